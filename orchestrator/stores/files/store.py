"""The store of a board on disk: plain files under one lock."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress

from orchestrator.core import names, system
from orchestrator.core.errors import Damage, InputOutputError
from orchestrator.core.events import Chunk, Position, Recorded, read_chunk
from orchestrator.stores.files import damage, disk, reading, recovery
from orchestrator.stores.files.locking import BoardLock
from orchestrator.stores.files.segments import Segment, Segments

SEGMENT_SIZE = 64 << 20
"""Bytes after which a segment of the log is sealed."""

_POLL = 0.01
_READS_AGAIN = 3


class FileStore:
    """A board's log, snapshot, presence and knowledge files; implements the Store port.

    Args:
        folder: The board's folder.
        light: Lock without importing ``filelock``, for one-shot commands.
        segment_size: Bytes after which a segment of the log is sealed.
        warn: Told what was repaired, in whole sentences.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        light: bool = False,
        segment_size: int = SEGMENT_SIZE,
        warn: Callable[[str], None],
    ) -> None:
        self._folder = os.path.abspath(folder)
        self._state = f"{self._folder}/state"
        self._presence = f"{self._state}/presence"
        self._knowledge = f"{self._folder}/knowledge"
        self._snapshot = f"{self._state}/state.json"
        self._segment_size = segment_size
        self._warn = warn
        self._segments = Segments(self._state)
        self._lock = BoardLock(self._state, light=light, warn=warn)

    def locked(self, command: str, timeout: float) -> AbstractContextManager[None]:
        """Hold the only right to write; see :class:`orchestrator.core.store.Store`."""
        return self._lock.held(command, timeout)

    def read(self, after: Position) -> Iterator[Chunk]:
        """The whole commits behind a position; inside :meth:`locked` the torn tail is repaired."""
        if self._lock.left_unsynced and self._lock.is_mine():
            self._sync_after_crashed_writer()
        return reading.read_forward(self._segments, after, self._end)

    def read_backwards(self, before: int | None = None) -> Iterator[Recorded]:
        """Events from the newest to the oldest; a tail that is not closed is passed over."""
        return reading.read_backward(self._segments, before)

    def event(self, number: int) -> Recorded:
        """One event by its id."""
        return reading.find_event(self._segments, number)

    def append(self, lines: bytes, after: Position) -> tuple[int, int]:
        """Make the lines of one commit durable behind ``after``."""
        if not self._lock.is_mine():
            raise RuntimeError("append outside of locked()")
        return self._segments.append(lines, after, self._segment_size)

    def load_snapshot(self) -> bytes | None:
        """The bytes of ``state.json``."""
        return disk.read(self._snapshot)

    def snapshot_age(self) -> float:
        """Seconds since ``state.json`` was written."""
        try:
            return abs(time.time() - os.lstat(self._snapshot).st_mtime)
        except OSError:
            return float("inf")

    def save_snapshot(self, data: bytes) -> None:
        """Replace ``state.json``."""
        disk.replace(self._snapshot, data)

    def wait(self, after: Position, timeout: float) -> bool:
        """Block until the log goes on behind ``after``, looking every 10 ms."""
        deadline = time.monotonic() + timeout
        looked_at = (after.segment, after.end)
        while True:
            active = self._segments.active()
            now = (active.number, active.size()) if active else (0, 0)
            if now != looked_at:
                if self._goes_on(after):
                    return True
                looked_at = now  # a torn tail: not a commit, and not worth a look until it changes
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(_POLL, left))

    def touch(self, agent: str) -> None:
        """Set the time of the agent's presence file."""
        path = f"{self._presence}/{names.file_name(agent)}"
        if os.path.islink(self._state) or os.path.islink(self._presence):
            return  # nothing outside the board is touched; the doctor reports the link
        try:
            try:
                system.touch(path)
            except FileNotFoundError:
                for folder in (self._state, self._presence):
                    with suppress(FileExistsError):
                        os.mkdir(folder)
                os.close(system.open_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        except OSError:
            pass  # a heartbeat is a hint; no command may fail for want of it

    def seen(self, *, needed: bool = False) -> dict[str, float]:
        """The times of the presence files."""
        found: dict[str, float] = {}
        try:
            for entry in _files(self._presence):
                with suppress(FileNotFoundError):
                    seen = entry.stat(follow_symlinks=False).st_mtime
                    found[names.from_file_name(entry.name)] = seen
        except (OSError, InputOutputError) as error:
            message = f"When agents were last seen is not known: {error}"
            if needed:
                raise InputOutputError(message) from None
            self._warn(message)
        return found

    def read_cursor(self, reader: str) -> str:
        """The text of ``cursors/<reader>``."""
        return (disk.read(self._cursor(reader)) or b"").decode("utf-8", "replace")

    def write_cursor(self, reader: str, text: str) -> None:
        """Replace ``cursors/<reader>``."""
        disk.make_folder(self._state)
        disk.replace(self._cursor(reader), text.encode())

    def _cursor(self, reader: str) -> str:
        return f"{self._state}/cursors/{names.file_name(reader)}"

    def documents(self) -> list[str]:
        """The names of ``knowledge/*.md``, in order."""
        return sorted(
            entry.name.removesuffix(".md")
            for entry in _files(self._knowledge)
            if entry.name.endswith(".md")
        )

    def read_document(self, name: str) -> bytes | None:
        """The bytes of a knowledge file."""
        return disk.read(self._document(name))

    def write_document(self, name: str, data: bytes) -> None:
        """Replace a knowledge file."""
        disk.replace(self._document(name), data)

    def delete_document(self, name: str) -> None:
        """Remove a knowledge file if it is there."""
        path = self._document(name)
        with disk.naming("delete", path):
            try:
                os.unlink(path)
            except FileNotFoundError:
                return
            system.sync_folder(self._knowledge)

    def _document(self, name: str) -> str:
        return f"{self._knowledge}/{name}.md"

    def _sync_after_crashed_writer(self) -> None:
        """Sync what the last holder wrote: it was killed, perhaps between its write and its sync.

        What is read under the lock may be acknowledged to somebody, so it has to be durable.
        """
        active = self._segments.active()
        if active is not None:
            active.sync()
        self._lock.left_unsynced = False

    def _end(self, segment: damage.Segment, chunk: Chunk) -> Chunk | None:
        """Where the log does not end with a closed commit: stop, repair, or raise."""
        if not self._lock.is_mine():
            return _read_again(segment, chunk)
        if not chunk.torn:
            raise damage.in_line(segment, chunk)
        if chunk.end.end == 0 and (segment.number > 1 or os.path.lexists(self._snapshot)):
            # Cutting it would empty a log that was read before: no crash leads there.
            raise damage.in_line(segment, chunk)
        assert isinstance(segment, Segment)
        quarantine = f"{self._state}/quarantine"
        return recovery.repair(segment, chunk, quarantine, self._warn)

    def _goes_on(self, after: Position) -> bool:
        try:
            return any(chunk.events for chunk in self.read(after))
        except Damage:
            return True  # to be told by the read that follows


def _read_again(segment: damage.Segment, chunk: Chunk) -> Chunk | None:
    """Without the lock the end may be in the middle of being written or taken back: look again."""
    start = chunk.end
    for _ in range(_READS_AGAIN):
        if chunk.torn:
            return None
        time.sleep(0.001)
        chunk = read_chunk(segment.read(start.end, segment.size() - start.end), start)
        if not chunk.problem:
            return chunk
    raise damage.in_line(segment, chunk)


def _files(folder: str) -> Iterator[os.DirEntry[str]]:
    """The regular files of a folder that are not hidden; none if the folder is not there."""
    with disk.naming("list", folder):
        try:
            entries = os.scandir(folder)
        except FileNotFoundError:
            return
        with entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False):
                    yield entry
