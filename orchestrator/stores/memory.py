"""A board in memory, for tests: it behaves like a board on disk, for the threads of one process."""

import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from orchestrator.core import clock
from orchestrator.core.errors import BadInput, Damage, NotFound, TimedOut
from orchestrator.core.events import Recorded
from orchestrator.core.store import (
    LARGEST_RECORD,
    Checkpoints,
    Chunk,
    ColdFiles,
    Cursor,
    Cursors,
    Documents,
    FilePart,
    LockSaving,
    OpenFiles,
    Presence,
    StoredFile,
)
from orchestrator.stores.bytes_file import BytesFile


class MemoryCursor(Cursor, frozen=True, gc=False):
    """A position in a log; ``log`` identifies the log."""

    log: str = ""


class MemoryPresence:
    """When each agent was last active."""

    def __init__(self) -> None:
        self.times: dict[str, float] = {}
        self._waiting: list[str] = []
        self._serving: list[str] = []

    def touch(self, agent: str) -> None:
        self.times[agent] = time.time()

    def knows(self, agent: str) -> bool:
        """See :class:`orchestrator.core.store.Presence`."""
        return agent in self.times

    def seen(self, *, needed: bool = False) -> dict[str, float]:  # noqa: ARG002  this cannot fail
        return self.times | dict.fromkeys(self._waiting, time.time())

    def waiting(self) -> set[str]:
        return set(self._waiting)

    @contextmanager
    def waiting_as(self, agent: str) -> Iterator[None]:
        self._waiting.append(agent)
        try:
            yield
        finally:
            self._waiting.remove(agent)

    def serving(self) -> dict[str, bool]:
        return dict.fromkeys(self._serving, True)

    @contextmanager
    def serving_as(self, agent: str) -> Iterator[None]:
        self._serving.append(agent)
        try:
            yield
        finally:
            self._serving.remove(agent)


class MemoryDocuments:
    """Documents by their path."""

    def __init__(self) -> None:
        self._documents: dict[str, bytes] = {}

    def where(self, path: str) -> str:
        return path

    def names(self, folder: str) -> list[str]:
        paths = (path.rpartition("/") for path in self._documents)
        return sorted(name for above, _, name in paths if above == folder)

    def folders(self, folder: str) -> list[str]:
        deeper = (
            path.removeprefix(f"{folder}/").partition("/")
            for path in self._documents
            if path.startswith(f"{folder}/")
        )
        return sorted({name for name, inside, _ in deeper if inside})

    def read(self, path: str) -> bytes | None:
        return self._documents.get(path)

    def write(self, path: str, data: bytes) -> None:
        self._documents[path] = bytes(data)

    def delete(self, path: str) -> None:
        self._documents.pop(path, None)


class MemoryCursors:
    """The texts of readers, by reader."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def read(self, reader: str) -> str:
        return self._texts.get(reader, "")

    def write(self, reader: str, text: str) -> None:
        self._texts[reader] = text


class OpenMemoryFiles:
    """Cold files that are open, by name."""

    def __init__(self, data: dict[str, bytes]) -> None:
        self._data = data
        self.sizes = {name: len(each) for name, each in data.items()}

    def read(self, parts: Sequence[FilePart]) -> list[bytes]:
        return [self._data[name][begin : begin + length] for name, begin, length in parts]


class MemoryColdFiles:
    """The cold files by name."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}

    def where(self, name: str) -> str:
        return name

    def names(self) -> list[str]:
        return sorted(self.data)

    def open(self, names: Iterable[str]) -> OpenFiles:
        return OpenMemoryFiles({name: self.data[name] for name in names if name in self.data})

    def write(self, name: str, data: bytes) -> None:
        self.data[name] = data

    def remove(self, name: str) -> None:
        self.data.pop(name, None)


class MemoryStore:
    """A board in memory; implements the Store port."""

    cursor_type: type[Cursor] = MemoryCursor
    is_local = True
    upkeep = None
    checkpoints: Checkpoints | None = None
    lock_saving: LockSaving | None = None
    now = staticmethod(time.time)

    def __init__(self) -> None:
        self.presence: Presence = MemoryPresence()
        self.documents: Documents = MemoryDocuments()
        self.cursors: Cursors = MemoryCursors()
        self.cold: ColdFiles | None = MemoryColdFiles()
        self._log = os.urandom(8).hex()
        self._records: list[Recorded] = []
        self._lock = threading.Lock()
        self._owner = 0
        self._holder = ""
        self._appended = threading.Condition()
        self._snapshot: bytes | None = None
        self._snapshot_time = float("-inf")

    @contextmanager
    def locked(self, command: str, timeout: float) -> Iterator[None]:
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

    def read(self, after: Cursor) -> Iterator[Chunk]:
        if after.id > len(self._records) or (after.id and after != self._cursor(after.id)):
            raise Damage(
                f"The log does not hold event {after.id} as it was read before",
                code="log_behind",
                event=after.id,
            )
        events = self._records[after.id :]
        return iter([Chunk(events, self._cursor(events[-1].id))] if events else [])

    def line(self, number: int) -> tuple[bytes, Cursor]:
        from orchestrator.stores.files.lines import encode_line  # only a merge of boards needs it

        self.event(number)  # or it is not found
        line, crc = b"", 0
        for record in self._records[:number]:
            line, crc = encode_line(record, crc)
        return line[:-1], self._cursor(number)

    def fingerprint(self, end: Cursor, known: str = "") -> str:  # noqa: ARG002  nothing else can change it
        return known

    def read_backwards(self, before: int | None = None) -> Iterator[Recorded]:
        end = None if before is None else max(0, before - 1)
        return reversed(self._records[:end])

    def event(self, number: int) -> Recorded:
        if not 1 <= number <= len(self._records):
            raise NotFound(f"The log has no event {number}", event=number)
        return self._records[number - 1]

    def append(self, records: list[Recorded], after: Cursor) -> Cursor:
        if self._owner != threading.get_ident():
            raise RuntimeError("append outside of locked()")
        if after.id != len(self._records):
            raise Damage("The log does not end at the position that was read", code="log_changed")
        if any(len(record.payload) > LARGEST_RECORD for record in records):
            raise BadInput(f"An event is larger than the limit of {LARGEST_RECORD} bytes")
        with self._appended:
            self._records += records
            self._appended.notify_all()
        return self._cursor(records[-1].id)

    def _cursor(self, number: int) -> Cursor:
        return MemoryCursor(number, self._log)

    def mark(self) -> object:
        return len(self._records)

    def wait(self, after: Cursor, timeout: float) -> bool:
        with self._appended:
            return self._appended.wait_for(lambda: len(self._records) > after.id, timeout)

    def open_snapshot(self) -> StoredFile | None:
        return BytesFile(self._snapshot) if self._snapshot is not None else None

    def snapshot_age(self) -> float:
        return time.monotonic() - self._snapshot_time

    def snapshot_mark(self) -> object:
        return self._snapshot_time if self._snapshot is not None else None

    def save_snapshot(self, data: bytes) -> None:
        self._snapshot = bytes(data)
        self._snapshot_time = time.monotonic()

    def close(self) -> None:
        """Do nothing: memory is not given back."""
