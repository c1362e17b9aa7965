"""Move sealed segments of the log to another folder, compress them, or take them back.

The data are copied, synced and compared. Then the file in the folder of the log is replaced by a rename: at
that moment the move has happened. After a crash the segment is in its old place or in its new one. The next
attempt uses a copy that is left.
"""

import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager

from orchestrator.core import clock, names, system
from orchestrator.core.errors import Refused
from orchestrator.core.store import ArchivedPart
from orchestrator.stores.files import archived, disk
from orchestrator.stores.files.archived import ArchivedSegment, CompressedFile, Reference
from orchestrator.stores.files.chain import check_segment
from orchestrator.stores.files.lines import Position
from orchestrator.stores.files.reading import CHUNK, check_complete, end_of
from orchestrator.stores.files.segment import Segment
from orchestrator.stores.files.segments import Segments

Locked = Callable[[], AbstractContextManager[None]]
"""Holds the right to write."""


class Move:
    """The move of one segment.

    Args:
        segments: The log.
        source: The segment.
        target: The new path of its data.

    Attributes:
        number: The id of its first event.
    """

    def __init__(self, segments: Segments, source: Segment, target: str) -> None:
        self._segments, self._source, self._target = segments, source, target
        self.number = source.number
        self._place = segments.sealed_path(self.number)
        self._mark = archived.mark_of(segments.folder)

    @property
    def _is_return(self) -> bool:
        return self._target == self._place

    def check_target(self) -> None:
        """Refuse to overwrite another file.

        Raises:
            Refused: There is one with another content.
        """
        if not self._is_return and os.path.lexists(self._target):
            self._compare(self._target)

    def carry_out(self, locked: Locked) -> ArchivedPart:
        """Check the segment, copy it, compare both, record the move, and only then remove the old file.

        Args:
            locked: Holds the right to write, for the moment of the record.

        Raises:
            Damage: The segment is damaged. It was not moved.
            Refused: Another process has moved it meanwhile.
        """
        before = self._crc_before()
        start = Position(id=self.number - 1, segment=self.number, crc=before)
        last = deque(check_segment(self._source, start, self._source.size()), 1).pop()
        if self._is_return or not os.path.lexists(self._target):
            self._copy(locked)
        else:
            self._compare(self._target)
        if not self._is_return:
            is_beside = os.path.dirname(self._target) == self._segments.folder
            path = os.path.basename(self._target) if is_beside else self._target
            reference = Reference(path, last.id, last.end, last.crc, before, self._mark)
            line = archived.reference_line(self.number, reference, clock.timestamp(time.time()))
            with locked():
                self._check_unmoved()
                disk.replace(self._place, line)
        left = self._remove_source()
        with disk.naming("read", self._target):
            stored = os.lstat(self._target).st_size
        return ArchivedPart(self.number, last.id, self._target, last.end, stored, left)

    def _remove_source(self) -> str:
        """Remove the old file; return its path if a board in another folder may need it."""
        source = self._source
        if not isinstance(source, ArchivedSegment):
            return ""
        is_inside = os.path.dirname(source.path) == self._segments.folder
        if not is_inside and source.reference.mover != self._mark:
            return source.path
        disk.remove(source.path)
        return ""

    def _crc_before(self) -> int:
        """The checksum of the line before the segment; 0 for the first one."""
        earlier = [number for number in self._segments.numbers() if number < self.number]
        return end_of(self._segments, earlier[-1]).crc if earlier else 0

    def _copy(self, locked: Locked) -> None:
        """Write the target; the place in the log is replaced under the lock."""
        folder, name = os.path.split(self._target)
        new = f"{folder}/.{name}.{os.getpid()}.new"
        with disk.naming("write", self._target):
            try:
                self._write(new)
                self._compare(new)
                if self._is_return:
                    with locked():
                        self._check_unmoved()
                        system.replace(new, self._target)
                else:
                    system.replace(new, self._target)
            except BaseException:
                disk.remove(new)
                raise
            system.sync_folder(folder)

    def _write(self, path: str) -> None:
        fd = system.open_file(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            if self._target.endswith(archived.COMPRESSED):
                with archived.compressing(_Written(fd)) as compressed:
                    self._write_parts(compressed)
            else:
                self._write_parts(_Written(fd))
            system.sync(fd)
            system.forget_cached(fd)  # what is compared is what the disk has
        finally:
            os.close(fd)

    def _write_parts(self, file: "_Written") -> None:
        for offset in range(0, self._source.size(), CHUNK):
            file.write(self._source.read(offset, CHUNK))

    def _compare(self, path: str) -> None:
        """Check that a file has exactly the data of the segment, as a reader gets them."""
        is_compressed = self._target.endswith(archived.COMPRESSED)
        data = CompressedFile(path) if is_compressed else Segment.open(path, self.number)
        size = self._source.size()
        if data is None or data.size() != size or not self._is_equal(data, size):
            raise Refused(
                f"{path} has other events than the segment {self.number} of this log",
                code="archive_taken",
                hint="Name a folder that has only the segments of this board.",
                path=path,
            )

    def _is_equal(self, data: "Segment | CompressedFile", size: int) -> bool:
        return all(
            data.read(offset, CHUNK) == self._source.read(offset, CHUNK)
            for offset in range(0, size, CHUNK)
        )

    def _check_unmoved(self) -> None:
        now = self._segments.find(self.number)
        if now is None or now[1] or now[0].identity != self._source.identity:
            raise Refused(
                f"Another process has moved the segment {self.number}",
                code="archive_busy",
                hint="Repeat the command.",
            )


class _Written:
    """Writes all data that it gets to an open file."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, data: bytes) -> int:
        disk.write_all(self._fd, data)
        return len(data)


def moves(
    segments: Segments, *, folder: str | None, compress: bool, keep: int, undo: bool
) -> list[Move]:
    """The moves that are to be made, oldest segment first.

    Args:
        segments: The log.
        folder: The new folder of the data; None leaves them in their folder.
        compress: Compress them.
        keep: How many of the latest sealed segments stay as they are.
        undo: Take them back to the folder of the log, not compressed.

    Raises:
        Refused: A file of another board is in the way, or the folder is not allowed.
        Damage: A segment is missing.
    """
    if compress:
        archived.zstd()
    if folder is not None:
        folder = checked_folder(folder, segments.folder)
    check_complete(segments)
    numbers = segments.numbers()[:-1]
    wanted = []
    for number in numbers[: len(numbers) - keep] if keep else numbers:
        source, _ = segments.needed(number)
        name = f"events-{number}.jsonl"
        if not undo and (compress or source.path.endswith(archived.COMPRESSED)):
            name += archived.COMPRESSED
        target = os.path.join(
            segments.folder if undo else folder or os.path.dirname(source.path), name
        )
        if target != source.path:
            wanted.append(Move(segments, source, target))
    for move in wanted:
        move.check_target()
    return wanted


def checked_folder(text: str, log: str) -> str:
    """The absolute path of a folder for segments.

    Raises:
        BadName: The path is not allowed.
        Refused: It is no folder, or the folder of the log itself.
    """
    folder = os.path.realpath(names.folder(text))
    if not os.path.isdir(folder):
        raise Refused(
            f"{folder} is not a folder",
            code="no_folder",
            hint="Make the folder first, or mount its disk.",
            path=folder,
        )
    if os.path.commonpath([folder, os.path.realpath(log)]) == os.path.realpath(log):
        raise Refused(
            f"{folder} is in the folder of the log",
            code="archive_in_log",
            hint="`events archive --compress` makes segments smaller where they are.",
            path=folder,
        )
    return folder


def folders_elsewhere(segments: Segments) -> list[str]:
    """The folders of archived segments, except the folder of the log."""
    folders = {os.path.dirname(path) for path in _sealed_paths(segments)}
    return sorted(folders - {segments.folder})


def _sealed_paths(segments: Segments) -> set[str]:
    """The paths of the data of the sealed segments."""
    located = map(segments.find, segments.numbers()[:-1])
    return {found[0].path for found in located if found is not None}


def unused_copies(segments: Segments) -> list[str]:
    """The copies of segments, also in folders of archived ones, that the log does not use."""
    sealed = segments.numbers()[:-1]
    used = _sealed_paths(segments)
    folders = {segments.folder, *(os.path.dirname(path) for path in used)}
    endings = (".jsonl", f".jsonl{archived.COMPRESSED}")
    possible = {
        os.path.join(folder, f"events-{number}{ending}")
        for folder in folders
        for number in sealed
        for ending in endings
    }
    places = {segments.sealed_path(number) for number in sealed}
    copies = [path for path in possible - used - places if os.path.lexists(path)]
    for folder in folders - {segments.folder}:
        names_there = disk.names_in(folder)
        copies += [
            f"{folder}/{n}" for n in names_there if n.startswith(".events-") and n.endswith(".new")
        ]
    return sorted(copies)
