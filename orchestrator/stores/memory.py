"""The store for tests: a board in memory, with the behaviour of the one on disk."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.core import clock
from orchestrator.core.errors import TimedOut
from orchestrator.core.events import Chunk, Position, Recorded
from orchestrator.stores.files import damage, reading

SEGMENT_SIZE = 64 << 20
"""Bytes after which a segment of the log is sealed."""


class MemorySegment:
    """The bytes of one segment of the log."""

    def __init__(self, number: int, data: bytes) -> None:
        self.number = number
        self.path = f"memory:events-{number}"
        self.data = bytearray(data)

    def size(self) -> int:
        """Bytes that it has now."""
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        """The bytes there; fewer only where the segment ends."""
        return bytes(self.data[offset : offset + length])


class MemorySegments:
    """All segments of the log, in order."""

    path = "memory:events"

    def __init__(self) -> None:
        self._segments: dict[int, MemorySegment] = {}

    def find(self, number: int) -> tuple[MemorySegment, bool] | None:
        """The segment that begins with that event, and whether it is the one being written."""
        segment = self._segments.get(number)
        return (segment, segment is self.active()) if segment else None

    def numbers(self) -> list[int]:
        """The segments, in order."""
        return list(self._segments)

    def missing(self, number: int) -> Exception:
        """The error for a segment that must be there and is not."""
        return damage.missing(f"memory:events-{number}", f"event {number} is not in the log")

    def active(self) -> MemorySegment | None:
        """The segment that is written to."""
        return next(reversed(self._segments.values()), None)

    def append(self, lines: bytes, after: Position, limit: int) -> tuple[int, int]:
        """See :meth:`orchestrator.core.store.Store.append`; a segment grows to ``limit`` bytes."""
        active = self.active()
        end = (active.number, active.size()) if active else (0, 0)
        if end != (after.segment, after.end):
            raise damage.changed(self.path)
        if active is None or after.end + len(lines) > limit:
            self._segments[after.id + 1] = MemorySegment(after.id + 1, lines)
            return after.id + 1, 0
        active.data += lines
        return end


class MemoryStore:
    """A board in memory, for tests; implements the Store port for the threads of one process.

    Args:
        segment_size: Bytes after which a segment of the log is sealed.
    """

    def __init__(self, *, segment_size: int = SEGMENT_SIZE) -> None:
        self._segment_size = segment_size
        self._segments = MemorySegments()
        self._lock = threading.Lock()
        self._owner = 0
        self._holder = ""
        self._grown = threading.Condition()
        self._snapshot: bytes | None = None
        self._snapshot_time = float("-inf")
        self._presence: dict[str, float] = {}
        self._cursors: dict[str, str] = {}
        self._documents: dict[str, bytes] = {}

    @contextmanager
    def locked(self, command: str, timeout: float) -> Iterator[None]:
        """Hold the only right to write; see :class:`orchestrator.core.store.Store`."""
        if self._owner == threading.get_ident():
            raise RuntimeError("this thread holds the lock of the board already")
        if not self._lock.acquire(timeout=min(max(timeout, 0), threading.TIMEOUT_MAX)):
            raise TimedOut(f"The board is locked by {self._holder}; waited {timeout:g} s")
        try:
            self._owner = threading.get_ident()
            since = clock.timestamp(time.time())
            self._holder = f"thread {self._owner} (`{command}`), since {since}"
            yield
        finally:
            self._owner = 0
            self._lock.release()

    def read(self, after: Position) -> Iterator[Chunk]:
        """The whole commits behind a position."""
        return reading.read_forward(self._segments, after, reading.refuse)

    def read_backwards(self, before: int | None = None) -> Iterator[Recorded]:
        """Events from the newest to the oldest."""
        return reading.read_backward(self._segments, before)

    def event(self, number: int) -> Recorded:
        """One event by its id."""
        return reading.find_event(self._segments, number)

    def append(self, lines: bytes, after: Position) -> tuple[int, int]:
        """Add the lines of one commit behind ``after``."""
        if self._owner != threading.get_ident():
            raise RuntimeError("append outside of locked()")
        with self._grown:
            begin = self._segments.append(lines, after, self._segment_size)
            self._grown.notify_all()
        return begin

    def load_snapshot(self) -> bytes | None:
        """The last saved fold."""
        return self._snapshot

    def snapshot_age(self) -> float:
        """Seconds since the fold was saved."""
        return time.monotonic() - self._snapshot_time

    def save_snapshot(self, data: bytes) -> None:
        """Replace the saved fold."""
        self._snapshot = bytes(data)
        self._snapshot_time = time.monotonic()

    def wait(self, after: Position, timeout: float) -> bool:
        """Block until the log goes on behind ``after``."""

        def grown() -> bool:
            active = self._segments.active()
            return active is not None and (active.number, active.size()) != (
                after.segment,
                after.end,
            )

        with self._grown:
            return self._grown.wait_for(grown, timeout)

    def touch(self, agent: str) -> None:
        """Remember the time."""
        self._presence[agent] = time.time()

    def seen(self, *, needed: bool = False) -> dict[str, float]:  # noqa: ARG002  nothing here can fail
        """When each agent was here last."""
        return dict(self._presence)

    def read_cursor(self, reader: str) -> str:
        """What the reader noted last."""
        return self._cursors.get(reader, "")

    def write_cursor(self, reader: str, text: str) -> None:
        """Remember the text."""
        self._cursors[reader] = text

    def documents(self) -> list[str]:
        """The names of the documents, in order."""
        return sorted(self._documents)

    def read_document(self, name: str) -> bytes | None:
        """The bytes of a document."""
        return self._documents.get(name)

    def write_document(self, name: str, data: bytes) -> None:
        """Replace a document."""
        self._documents[name] = bytes(data)

    def delete_document(self, name: str) -> None:
        """Remove a document if it is there."""
        self._documents.pop(name, None)
