"""``state/checkpoints/<segment>.json.gz``: snapshots near the beginning of the segments of the log.

They are derived from the log, and may be deleted at any time; see :mod:`orchestrator.checkpoints`.
"""

import os
import time
from contextlib import suppress

import msgspec

from orchestrator.core.store import Cursor
from orchestrator.stores.files import disk
from orchestrator.stores.files.lines import Position
from orchestrator.stores.files.segment import FileStatus
from orchestrator.stores.files.segments import Segments

_SUFFIX = ".json.gz"


class FileCheckpoints:
    """The checkpoints of a board on disk; implements the Checkpoints port."""

    def __init__(self, state: str, segments: Segments) -> None:
        self._folder = f"{state}/checkpoints"
        self._segments = segments

    def part(self, position: Cursor) -> int:
        return position.segment if isinstance(position, Position) else 1

    def sizes(self) -> dict[int, int]:
        numbers = (
            int(name.removesuffix(_SUFFIX))
            for name in disk.names_in(self._folder)
            if name.endswith(_SUFFIX) and name.removesuffix(_SUFFIX).isdecimal()
        )
        sizes = {}
        for number in sorted(numbers):
            with suppress(FileNotFoundError):  # another process has removed it
                sizes[number] = os.lstat(self._path(number)).st_size
        return sizes

    def log_size(self) -> int:
        return self._segments.size()

    def save(self, number: int, data: bytes) -> None:
        disk.replace(self._path(number), data)

    def mark(self, number: int) -> str:
        with suppress(OSError):
            status = FileStatus.of(os.lstat(self._path(number)))
            if status.is_settled(time.time_ns()):
                return msgspec.json.encode(status).decode()
        return ""

    def load(self, number: int) -> bytes | None:
        return disk.read(self._path(number))

    def remove(self, number: int) -> None:
        with disk.naming("remove", self._path(number)), suppress(FileNotFoundError):
            os.unlink(self._path(number))

    def _path(self, number: int) -> str:
        return f"{self._folder}/{number}{_SUFFIX}"
