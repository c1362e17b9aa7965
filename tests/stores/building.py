"""Records, lines and logs for the tests of the stores."""

from pathlib import Path

import msgspec

from orchestrator.core.events import Recorded
from orchestrator.core.store import PART_SIZE, START, Cursor, Store
from orchestrator.stores.files import FileStore
from orchestrator.stores.files.guards import LibraryGuard
from orchestrator.stores.files.lines import encode_line

TIMESTAMP = "2026-11-21T06:13:00.123Z"
WAIT = 60.0
"""Seconds that a test waits for what must come; never for what must not."""


def file_store(folder: Path, *, segment_size: int = PART_SIZE) -> FileStore:
    """A store of this version."""
    return FileStore(folder, segment_size=segment_size, warn=print)


def older_store(folder: Path, *, segment_size: int = PART_SIZE) -> FileStore:
    """A store that locks as earlier versions did."""
    return with_filelock(file_store(folder, segment_size=segment_size))


def with_filelock(store: FileStore) -> FileStore:
    """Let a store lock with ``filelock``, as earlier versions did, and as systems without ``flock`` do."""
    state = Path(store.folder, "state")
    state.mkdir(exist_ok=True)
    store._lock._file = LibraryGuard(str(state / ".lock"))
    return store


def records(after: Cursor, *texts: str) -> list[Recorded]:
    """The records of a commit after ``after``."""
    return [
        Recorded(
            number,
            TIMESTAMP,
            "tester",
            "note.made",
            msgspec.Raw(msgspec.json.encode({"text": text})),
            more=number < after.id + len(texts),
        )
        for number, text in enumerate(texts, after.id + 1)
    ]


def lines(after: Cursor, *texts: str) -> bytes:
    """The lines that a file store writes for such a commit."""
    data, crc = b"", getattr(after, "crc", 0)
    for record in records(after, *texts):
        line, crc = encode_line(record, crc)
        data += line
    return data


def add(store: Store, after: Cursor, *texts: str) -> Cursor:
    """Append a commit; the caller holds the lock."""
    return store.append(records(after, *texts), after)


def fill(store: Store, *commits: list[str]) -> list[Cursor]:
    """Append commits; return the cursor after each."""
    positions = []
    with store.locked("fill", WAIT):
        position = end_of(store)
        for texts in commits:
            position = add(store, position, *texts)
            positions.append(position)
    return positions


def end_of(store: Store, after: Cursor = START) -> Cursor:
    position = after
    for chunk in store.read(after):
        position = chunk.end
    return position


def texts_of(store: Store, after: Cursor = START) -> list[str]:
    return [text(record) for chunk in store.read(after) for record in chunk.events]


def text(record: Recorded) -> str:
    value: str = msgspec.json.decode(record.payload)["text"]
    return value
