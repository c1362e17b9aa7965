"""``state/checkpoints/<segment>.json.gz``: snapshots near the beginning of the segments of the log.

Each has the number of the segment that contains its last line. They are derived from the log, and may be
deleted at any time. Together they have at most a part of its size: if they are larger, those whose neighbours
are closest are removed, so that the rest are spread evenly over the log.
"""

import os
import zlib
from contextlib import suppress

from orchestrator.core.store import Cursor
from orchestrator.stores.files import disk
from orchestrator.stores.files.lines import Position
from orchestrator.stores.files.segments import Segments

SHARE = 4
"""The checkpoints together have at most this part of the bytes of the log: a fourth."""

FREE = 16 << 20
"""The size in bytes that they may always have."""

_SUFFIX = ".json.gz"
_LEVEL = 1  # a state is repetitive: higher levels save little and take several times as long


class FileCheckpoints:
    """The checkpoints of a board on disk; implements the Checkpoints port."""

    def __init__(self, state: str, segments: Segments) -> None:
        self._folder = f"{state}/checkpoints"
        self._segments = segments

    def is_due(self, before: Cursor, end: Cursor) -> bool:
        first, last = (c.segment if isinstance(c, Position) else 1 for c in (before, end))
        if first == last or last == 1:
            return False
        sizes = self._sizes()
        if last in sizes:
            return False
        is_newest = last > max(sizes, default=0)
        return is_newest or sum(sizes.values()) + max(sizes.values()) <= self._room()

    def save(self, data: bytes, end: Cursor) -> None:
        import gzip  # only a sealed segment needs it

        assert isinstance(end, Position)
        disk.replace(self.path(end.segment), gzip.compress(data, _LEVEL, mtime=0))
        sizes = self._sizes()
        room = self._room()
        while len(sizes) > 1 and sum(sizes.values()) > room:
            self.remove(closest := _closest(list(sizes)))
            del sizes[closest]

    def numbers(self) -> list[int]:
        return list(self._sizes())

    def load(self, number: int) -> bytes | None:
        import gzip

        data = disk.read(self.path(number))
        try:
            return gzip.decompress(data or b"") or None
        except (OSError, EOFError, zlib.error):
            return None

    def remove(self, number: int) -> None:
        with suppress(FileNotFoundError), disk.naming("remove", self.path(number)):
            os.unlink(self.path(number))

    def path(self, number: int) -> str:
        return f"{self._folder}/{number}{_SUFFIX}"

    def _sizes(self) -> dict[int, int]:
        """The size of each checkpoint in bytes, by the number of its segment, in order."""
        numbers = (
            int(name.removesuffix(_SUFFIX))
            for name in disk.names_in(self._folder)
            if name.endswith(_SUFFIX) and name.removesuffix(_SUFFIX).isdecimal()
        )
        sizes = {}
        for number in sorted(numbers):
            with suppress(FileNotFoundError):  # another process has removed it
                sizes[number] = os.lstat(self.path(number)).st_size
        return sizes

    def _room(self) -> int:
        located = map(self._segments.find, self._segments.numbers())
        return max(FREE, sum(found[0].size() for found in located if found) // SHARE)


def _closest(numbers: list[int]) -> int:
    """The number that leaves the smallest gap, the first of several; never the last one."""
    gaps = {
        number: after - before
        for before, number, after in zip([1, *numbers], numbers, numbers[1:], strict=False)
    }
    return min(gaps, key=gaps.__getitem__)
