"""The store of a board on disk."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from itertools import islice

from orchestrator.core import paths, system
from orchestrator.core.errors import Damage
from orchestrator.core.events import Recorded
from orchestrator.core.store import (
    PART_SIZE,
    Checkpoints,
    Chunk,
    ColdFiles,
    Cursor,
    Cursors,
    Documents,
    LockSaving,
    Presence,
    StoredFile,
    Upkeep,
)
from orchestrator.stores.files import damage, disk, reading
from orchestrator.stores.files.checkpoints import FileCheckpoints
from orchestrator.stores.files.cold import FolderOfColdFiles, open_file
from orchestrator.stores.files.folders import FileCursors, FileDocuments, FilePresence
from orchestrator.stores.files.lines import ParsedLines, Position, encode_line, parse
from orchestrator.stores.files.locking import BoardLock
from orchestrator.stores.files.segment import FileStatus, Segment
from orchestrator.stores.files.segments import Segments

_LOOK = 0.25  # seconds between two looks: some file systems of virtual machines report no changes
_READS_AGAIN = 3
_RECENT, _SMALL = 500, 4096  # how many records are kept in memory, of at most so many bytes
_AHEAD = 50  # how many are read at once


class FileStore:
    """The log, snapshot, presence and documents of a board as files; implements the Store port.

    Args:
        folder: The board's folder.
        segment_size: The size in bytes at which a segment of the log is sealed.
        warn: Receives sentences about repairs.
    """

    cursor_type: type[Cursor] = Position
    is_local = True
    now = staticmethod(time.time)

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        segment_size: int = PART_SIZE,
        warn: Callable[[str], None],
    ) -> None:
        self.folder = os.path.abspath(folder)
        self._state = f"{self.folder}/state"
        self._snapshot = f"{self._state}/state.json"
        self._segment_size = segment_size
        self._warn = warn
        self._recent: dict[int, Recorded] = {}
        self._segments = Segments(self._state)
        self._alarms: list[tuple[Segment | None, system.FileAlarm]] = []
        self._lock = BoardLock(self._state, warn=warn)
        self.presence: Presence = FilePresence(self._state, warn)
        self.documents: Documents = FileDocuments(self.folder)
        self.cursors: Cursors = FileCursors(self._state)
        self.checkpoints: Checkpoints | None = FileCheckpoints(self._state, self._segments)
        self.cold: ColdFiles | None = FolderOfColdFiles(f"{self._state}/cold")
        self.lock_saving: LockSaving | None = None

    @property
    def upkeep(self) -> Upkeep:
        from orchestrator.stores.files.upkeep import FileUpkeep  # most commands do not need it

        return FileUpkeep(self.folder, self)

    def locked(self, command: str, timeout: float) -> AbstractContextManager[None]:
        return self._lock.held(command, timeout)

    def read(self, after: Cursor) -> Iterator[Chunk]:
        if self._lock.left_unsynced and self._lock.is_mine():
            self._sync_after_crashed_writer()
        return self._noted(reading.read_forward(self._segments, _position(after), self._end))

    def line(self, number: int) -> tuple[bytes, Position]:
        return reading.find_line(self._segments, number)

    def fingerprint(self, end: Cursor, known: str = "") -> str:
        from orchestrator.stores.files.fingerprint import fingerprint  # only the index needs it

        return fingerprint(self._segments, _position(end), known)

    def read_backwards(self, before: int | None = None) -> Iterator[Recorded]:
        return reading.read_backward(self._segments, before)

    def event(self, number: int) -> Recorded:
        record = self._recent.get(number)
        if record is not None:
            return record
        # Who asks for an event behind a known one will ask for the next one, too.
        most = _AHEAD if number - 1 in self._recent else 1
        records = reading.find_events(self._segments, number, most)
        self._note(records)
        return records[0]

    def append(self, records: list[Recorded], after: Cursor) -> Position:
        if not self._lock.is_mine():
            raise RuntimeError("append outside of locked()")
        before = _position(after)
        lines, crc = [], before.crc
        for record in records:
            line, crc = encode_line(record, crc)
            lines.append(line)
        data = b"".join(lines)
        segment, begin = self._segments.append(data, before, self._segment_size)
        self._note(records)
        end = begin + len(data)
        return Position(
            id=records[-1].id, segment=segment, offset=end - len(lines[-1]), end=end, crc=crc
        )

    def open_snapshot(self) -> StoredFile | None:
        return open_file(self._snapshot)

    def snapshot_age(self) -> float:
        try:
            return abs(time.time() - os.lstat(self._snapshot).st_mtime)
        except OSError:
            return float("inf")

    def snapshot_mark(self) -> object:
        try:
            return FileStatus.of(os.lstat(self._snapshot))
        except OSError:
            return None

    def save_snapshot(self, data: bytes) -> None:
        disk.replace(self._snapshot, data)

    def close(self) -> None:
        """Do nothing: only a lock file stays open."""

    def mark(self) -> object:
        return self._segments.mark()

    def wait(self, after: Cursor, timeout: float) -> bool:
        position = _position(after)
        deadline = time.monotonic() + timeout
        known = (position.segment, position.end)
        watched: Segment | None = None
        alarm: system.FileAlarm | None = None
        with suppress(IndexError):
            watched, alarm = self._alarms.pop()
        try:
            while True:
                active = self._segments.active()
                now = (active.number, active.size()) if active else (0, 0)
                if now != known:
                    if self._has_new_commit(position):
                        return True
                    known = now  # a torn tail is not a commit: wait until it changes
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                if alarm is not None and watched is active:
                    alarm.wait(min(left, _LOOK))
                    continue
                if alarm is not None:
                    alarm.close()
                # Then look again: what happens from here on is reported.
                watched = active
                alarm = system.FileAlarm([self._segments.path if active else self._state])
        finally:
            if alarm is not None and alarm.is_told:
                self._alarms.append((watched, alarm))  # closing it would take some 10 ms

    def _noted(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        try:
            for chunk in chunks:
                self._note(chunk.events)
                yield chunk
        except Damage:  # the log may have changed before its end, too
            self._recent.clear()
            raise

    def _note(self, records: list[Recorded]) -> None:
        """Keep small records that were read or written: a process that follows the log asks for them."""
        recent = self._recent
        for record in records[-_RECENT:]:
            if len(record.payload) <= _SMALL:
                recent[record.id] = record
        # All at once: each look for the first key passes over the places of the removed ones.
        for number in [*islice(recent, max(0, len(recent) - _RECENT))]:
            del recent[number]

    def _sync_after_crashed_writer(self) -> None:
        """Sync the data of the last holder, which may have been killed between its write and its sync.

        Data that is read under the lock may be acknowledged, so it must be durable.
        """
        active = self._segments.active()
        if active is not None:
            active.sync()
        self._lock.left_unsynced = False

    def _end(self, segment: Segment, parsed: ParsedLines) -> ParsedLines | None:
        """Stop, repair or raise, if the log does not end with a closed commit."""
        if not self._lock.is_mine():
            return _read_again(segment, parsed)
        if not parsed.torn:
            raise damage.in_line(segment, parsed)
        if parsed.end.end == 0 and (segment.number > 1 or paths.exists(self._snapshot)):
            # Truncating would empty a log that was read before: this is not the result of a crash.
            raise damage.in_line(segment, parsed)
        from orchestrator.stores.files import recovery  # only a torn tail needs it

        return recovery.repair(segment, parsed, f"{self._state}/quarantine", self._warn)

    def _has_new_commit(self, after: Position) -> bool:
        try:
            return any(chunk.events for chunk in self.read(after))
        except Damage:
            return True  # the next read reports it


def _position(cursor: Cursor) -> Position:
    return cursor if isinstance(cursor, Position) else Position()


def _read_again(segment: Segment, parsed: ParsedLines) -> ParsedLines | None:
    """Read the end again: without the lock, another process may just be writing or removing it."""
    start = parsed.end
    for _ in range(_READS_AGAIN):
        if parsed.torn:
            return None
        time.sleep(0.001)
        parsed = parse(segment.read(start.end, segment.size() - start.end), start)
        if not parsed.problem:
            return parsed
    raise damage.in_line(segment, parsed)
