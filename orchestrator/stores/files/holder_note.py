"""``state/.holder``: which process has the lock, for the error after a timeout. Its errors are ignored."""

import os
import time
from typing import Any

import msgspec

from orchestrator.core import clock, system
from orchestrator.stores.files import disk

_RECORD = 512
_COMMAND = 150
_HELD_OFFSET = 8  # len('{"held":')
_CONDITIONS = {
    "running": "",
    "gone": " (that process is gone; a child of it may hold the lock)",
    "stopped": " (that process is stopped, and holds the lock until it continues or ends)",
}


class HolderNote:
    """One record of a fixed length, written in place."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = disk.SharedFile(path)
        self._identity = b""

    def announce(self, command: str) -> bool:
        """Record this process as the holder; True if the last holder may have died with the lock."""
        if not self._identity:
            started, boot = system.identity()
            own = (os.getpid(), started, boot.encode())
            self._identity = b'"pid":%d,"started":%d,"boot":"%b"' % own
        text = msgspec.json.encode(ascii(command)[1:-1][:_COMMAND])
        record = b'{"held":1,%b,"since":%.3f,"command":%b}' % (self._identity, time.time(), text)
        try:
            fd = self._file.open().fd
            before = system.read_part(fd, 1, _HELD_OFFSET)
            system.write_part(fd, record.ljust(_RECORD - 1) + b"\n", 0)
        except OSError:
            return True  # not known; the cost is one needless sync
        return before != b"0"

    def clear(self) -> None:
        """Record that the lock was released."""
        try:
            if self._file.opened is not None:
                system.write_part(self._file.opened.fd, b"0", _HELD_OFFSET)
        except OSError:
            pass  # the cost is one needless sync by the next holder

    def stamp(self) -> bytes:
        """Bytes that change with every holder of the lock; empty if they cannot be read."""
        try:
            return system.read_part(self._file.open().fd, _RECORD, 0)
        except OSError:
            return b""

    def describe(self) -> str:
        """The holder of the lock, as a part of a sentence."""
        record = self._read()
        if record.get("held") != 1:
            return "an unknown process"
        pid, since = int(record["pid"]), float(record["since"])
        condition = system.condition(pid, int(record["started"]), str(record["boot"]), since)
        who = f"pid {pid} (`{record['command']}`), since {clock.timestamp(since)}"
        return who + _CONDITIONS[condition]

    def _read(self) -> dict[str, Any]:
        try:
            data = disk.read(self._path) or b"{}"
            record = msgspec.json.decode(data, type=dict[str, Any])
            return record if {"pid", "started", "boot", "since", "command"} <= record.keys() else {}
        except Exception:  # noqa: BLE001  # the holder is unknown, whatever the file contains
            return {}
