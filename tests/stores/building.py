"""Lines, commits and logs for the tests of the stores."""

import msgspec

from orchestrator.core.events import START, Position, Recorded, encode_line
from orchestrator.core.store import Store

TIMESTAMP = "2026-11-21T06:13:00.123Z"
WAIT = 20.0
"""Seconds that a test waits for what must come; never for what must not."""


def commit(after: Position, texts: list[str]) -> tuple[bytes, Position]:
    """The lines of one commit and the position of its last line, as if it went behind ``after``."""
    data, crc, last = b"", after.crc, 0
    for index, text in enumerate(texts):
        record = Recorded(
            after.id + 1 + index,
            TIMESTAMP,
            "tester",
            "note.made",
            msgspec.Raw(msgspec.json.encode({"text": text})),
            more=index < len(texts) - 1,
        )
        line, crc = encode_line(record, crc)
        last = len(data)
        data += line
    where = Position(
        after.segment, after.end + last, after.end + len(data), after.id + len(texts), crc
    )
    return data, where


def add(store: Store, after: Position, *texts: str) -> Position:
    """Append one commit; the caller holds the lock."""
    lines, where = commit(after, list(texts))
    segment, begin = store.append(lines, after)
    shift = begin - after.end
    return Position(segment, where.offset + shift, where.end + shift, where.id, where.crc)


def fill(store: Store, *commits: list[str]) -> list[Position]:
    """Append commits behind what is there; the position after each."""
    positions = []
    with store.locked("fill", WAIT):
        position = end_of(store)
        for texts in commits:
            position = add(store, position, *texts)
            positions.append(position)
    return positions


def end_of(store: Store, after: Position = START) -> Position:
    position = after
    for chunk in store.read(after):
        position = chunk.end
    return position


def texts_of(store: Store, after: Position = START) -> list[str]:
    return [text(record) for chunk in store.read(after) for record in chunk.events]


def text(record: Recorded) -> str:
    value: str = msgspec.json.decode(record.payload)["text"]
    return value
