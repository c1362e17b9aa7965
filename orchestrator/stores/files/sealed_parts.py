"""Which sealed segments need not be read again: they were checked, and their files have not changed since.

A file is recognised by what the system says about it: inode, size, and the times of its last changes. No
program can set the time of the last change of its status. So an edited file, a restored copy and another file
in its place differ, also if they have the same size. Changes that the system does not report, such as those
of a failing disk, are found only by reading.
"""

import os
import time
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from orchestrator.core.errors import Damage
from orchestrator.core.printable import amount
from orchestrator.core.store import Cursor, Problem
from orchestrator.stores.files.archived import ArchivedSegment
from orchestrator.stores.files.chain import check_chain
from orchestrator.stores.files.lines import Position
from orchestrator.stores.files.reading import end_of
from orchestrator.stores.files.segment import FileStatus, Segment
from orchestrator.stores.files.segments import Segments


class SealedPart(msgspec.Struct, frozen=True, array_like=True):
    """A sealed segment as its files are now.

    Attributes:
        number: The id of its first event.
        before: The checksum of the line before it.
        last: The id of its last event.
        size: The bytes of its lines.
        crc: The checksum of its last line.
        files: The status of its file, and of the file of its data if it is archived.
    """

    number: int
    before: int
    last: int
    size: int
    crc: int
    files: tuple[FileStatus, ...]

    @property
    def end(self) -> Position:
        """Its last line, without the offset."""
        return Position(id=self.last, segment=self.number, end=self.size, crc=self.crc)


class CheckedPart(msgspec.Struct, frozen=True, array_like=True):
    """A part, and when all its lines were compared with their checksums."""

    part: SealedPart
    at: str


class FileLogCheck:
    """One check of a log in files; implements the LogCheck port.

    Args:
        segments: The log.
        known: What an earlier check has returned; empty to read everything.
    """

    def __init__(self, segments: Segments, known: str) -> None:
        self._segments = segments
        self._began = time.time_ns()
        self._parts = sealed_parts(segments)
        self._known: list[CheckedPart] = []
        with suppress(msgspec.MsgspecError):  # of another version: everything is read
            self._known = msgspec.json.decode(known, type=list[CheckedPart]) if known else []
        parts = set(self._parts.values())
        self._unchanged = [checked for checked in self._known if checked.part in parts]

    def run(self, end: Cursor) -> Iterator[Problem | None]:
        assert isinstance(end, Position)
        unchanged = [c for c in self._unchanged if c.part.number < end.segment]
        yield from check_chain(self._segments, end, {c.part.number: c.part.end for c in unchanged})
        if unchanged:
            yield Problem(check="log", level="ok", message=_said(unchanged))

    def result(self, now: str) -> str:
        at = {checked.part: checked.at for checked in self._unchanged}
        after = sealed_parts(self._segments)
        settled = [
            CheckedPart(part, at.get(part, now))
            for number, part in self._parts.items()
            if part is not None and after.get(number) == part
            if all(file.is_settled(self._began) for file in part.files)
        ]
        # A disk that is not there now may come back as it was.
        away = [c for c in self._known if self._parts.get(c.part.number, c.part) is None]
        return msgspec.json.encode(settled + away).decode() if settled or away else ""


def sealed_parts(segments: Segments) -> dict[int, SealedPart | None]:
    """The sealed segments by number, up to the first damaged one; None if the data are not there."""
    parts: dict[int, SealedPart | None] = {}
    last = before = 0
    with suppress(Damage):  # reading reports it
        for number in segments.numbers()[:-1]:
            if number <= last:
                continue  # it is no part of the log, so it is not read
            segment, _ = segments.needed(number)
            end, files = end_of(segments, number), _files(segment)
            parts[number] = (
                SealedPart(number, before, end.id, end.end, end.crc, files) if files else None
            )
            last, before = end.id, end.crc
    return parts


def _files(segment: Segment) -> tuple[FileStatus, ...]:
    """The status of each file of a segment; empty if the data are not there."""
    if not isinstance(segment, ArchivedSegment):
        return (segment.status(),)
    try:
        return (segment.status(), FileStatus.of(os.lstat(segment.path)))
    except OSError:
        return ()  # reading reports it


def _said(unchanged: list[CheckedPart]) -> str:
    days = sorted({checked.at[:10] for checked in unchanged})
    when = f"on {days[0]}" if len(days) == 1 else f"between {days[0]} and {days[-1]}"
    one = len(unchanged) == 1
    return (
        f"{amount(len(unchanged), 'sealed segment')} {'has' if one else 'have'} not changed since"
        f" {'it was' if one else 'they were'} checked {when}; `doctor --full` reads {'it' if one else 'them'}"
    )
