"""``state/presence/waiting/<process>-<number>``: the agents that wait for work, each in a running process."""

import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

from orchestrator.core import names, system
from orchestrator.core.errors import BadName, InputOutputError
from orchestrator.stores.files import disk

_number = itertools.count()
"""Distinguishes the agents that wait in one process."""


class _Note(msgspec.Struct):
    """The note of a process in which an agent waits."""

    agent: str
    pid: int
    started: int
    boot: str
    since: float

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return system.condition(self.pid, self.started, self.boot, self.since) != "gone"


@contextmanager
def waiting_as(folder: str, agent: str) -> Iterator[None]:
    """Keep a note that an agent waits. It is a hint, so an error of writing it is ignored."""
    path = f"{folder}/{os.getpid()}-{next(_number)}"
    try:
        _write(folder, path, _Note(agent, os.getpid(), *system.identity(), time.time()))
        yield
    finally:
        with suppress(OSError):
            os.unlink(path)


def waiting(folder: str) -> set[str]:
    """The waiting agents; notes of processes that have ended are removed."""
    agents = set()
    with suppress(OSError, InputOutputError):
        for name in os.listdir(folder):
            note = _read(f"{folder}/{name}")
            if note is not None and note.is_alive:
                agents.add(note.agent)
            elif note is not None:
                with suppress(OSError):
                    os.unlink(f"{folder}/{name}")
    return agents


def _write(folder: str, path: str, note: _Note) -> None:
    above = os.path.dirname(folder)
    if any(map(os.path.islink, (os.path.dirname(above), above, folder))):
        return  # never touch a file outside the board; the doctor reports the link
    with suppress(OSError):
        os.makedirs(folder, exist_ok=True)
        fd = system.open_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            os.write(fd, msgspec.json.encode(note))
        finally:
            os.close(fd)


def _read(path: str) -> _Note | None:
    """The note in a file; None if it is incomplete or not a note."""
    with suppress(OSError, InputOutputError, msgspec.MsgspecError, BadName):
        note = msgspec.json.decode(disk.read(path) or b"", type=_Note)
        names.agent(note.agent)
        return note
    return None
