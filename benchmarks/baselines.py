"""The baselines of the measurements: the least code with the same effect on the disk."""

import os

import filelock
import msgspec

POLL = 0.001
"""Seconds between two tries, as the toolkit has it."""

sync_data = getattr(os, "fdatasync", os.fsync)


class BareLog:
    """A minimal log: lock, one write, one sync, unlock."""

    def __init__(self, folder: str) -> None:
        os.makedirs(folder)
        self._lock = filelock.FileLock(f"{folder}/.lock")
        self._fd = os.open(f"{folder}/events.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def append(self, line: bytes) -> None:
        """Make one line durable."""
        self._lock.acquire(poll_interval=POLL)
        try:
            os.write(self._fd, line)
            sync_data(self._fd)
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close the log."""
        os.close(self._fd)


IMPORTS = ["-c", "import click, filelock, msgspec"]
"""A process that imports three packages and does nothing."""

DECODE = ["-c", "import msgspec, sys; msgspec.json.decode(open(sys.argv[1], 'rb').read())"]
"""A process that decodes one file; its path follows."""

DECODE_TYPED = [
    "-c",
    "import sys; from orchestrator import snapshot; import msgspec;"
    " msgspec.json.decode(open(sys.argv[1], 'rb').read(), type=snapshot.Snapshot)",
]
"""The same, into the records of a board."""


def decode(path: str) -> object:
    """Read and decode one JSON document, into dictionaries and lists."""
    return msgspec.json.decode(read(path))


def read(path: str) -> bytes:
    """All bytes of a file."""
    with open(path, "rb") as file:
        return file.read()
