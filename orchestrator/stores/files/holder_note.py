"""``state/.holder``: which process has the lock, for those that wait in vain. Its errors never matter."""

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
    "gone": " (that process is gone; one that it started may hold the lock)",
    "stopped": " (that process is stopped, and holds the lock until it goes on or ends)",
}


class HolderNote:
    """One record of a fixed length, written in place."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = disk.SharedFile(path)
        self._identity = b""

    def announce(self, command: str) -> bool:
        """Note who holds the lock; True if the holder before may have died without releasing it."""
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
            return True  # not known; a needless sync is all that it costs
        return before != b"0"

    def clear(self) -> None:
        """Note that the lock was released."""
        try:
            if self._file.opened is not None:
                system.write_part(self._file.opened.fd, b"0", _HELD_OFFSET)
        except OSError:
            pass  # the next holder then syncs the log once more than it must

    def stamp(self) -> bytes:
        """Bytes that every turn at the lock changes; none if they cannot be read."""
        try:
            return system.read_part(self._file.open().fd, _RECORD, 0)
        except OSError:
            return b""

    def describe(self) -> str:
        """Who holds the lock, as the subject of a sentence."""
        record = self._read()
        if record.get("held") != 1:
            return "somebody who left no name"
        pid, since = int(record["pid"]), float(record["since"])
        condition = system.condition(pid, int(record["started"]), str(record["boot"]), since)
        who = f"pid {pid} (`{record['command']}`), since {clock.timestamp(since)}"
        return who + _CONDITIONS[condition]

    def _read(self) -> dict[str, Any]:
        try:
            data = disk.read(self._path) or b"{}"
            record = msgspec.json.decode(data, type=dict[str, Any])
            return record if {"pid", "started", "boot", "since", "command"} <= record.keys() else {}
        except Exception:  # noqa: BLE001  # whatever is in the file, the answer is: not known
            return {}
