"""``state.json``: the fold of the log up to one event, indented for people, checked when it is read back.

The first line holds a checksum of everything after it. If the snapshot is missing, was edited or has another
format, the log is folded again. The file is flat: the fields of all slices are keys of one object.
"""

import zlib

import msgspec

from orchestrator.core.events import is_known
from orchestrator.core.store import Cursor
from orchestrator.domain.state import State

_HEAD = b'{\n  "checksum": "%08x",\n'
_HEAD_LENGTH = len(_HEAD % 0)


# The defaults are those of an empty state, so that an empty field is left out of the file.
_FlatState = msgspec.defstruct(
    "_FlatState",
    [
        (name, type(holder).__annotations__[name], getattr(holder, name))
        for holder, name in State().holders()
    ],
    omit_defaults=True,
)


class Snapshot(msgspec.Struct):
    """The content of the file: the state, and its position in the log."""

    format: int
    log: msgspec.Raw
    state: _FlatState  # type: ignore[valid-type]


_decode = msgspec.json.Decoder(Snapshot).decode


_WITH_UNKNOWN = 1000

_LAYOUT = 6
"""Incremented when the fold keeps more of a log than before, so that older snapshots are not used."""


def _format_of(state: State) -> int:
    # An older version must see an upgraded log and refuse it, so it must not accept the snapshot.
    # The same holds for a log with unknown fields: a version that knows them must fold it again.
    return _LAYOUT + state.board.format + (_WITH_UNKNOWN if state.newer_fields else 0)


def encode(state: State, cursor: Cursor) -> bytes:
    """The bytes of ``state.json``."""
    log = msgspec.Raw(msgspec.json.encode(cursor))
    # The text may have 50 MB: it is copied once, after the compact form was released.
    flat = _FlatState(*[getattr(holder, name) for holder, name in state.holders()])
    compact = msgspec.json.encode(Snapshot(_format_of(state), log, flat))
    text = msgspec.json.format(compact, indent=2)
    del compact
    body = memoryview(text)[2:]  # without the first brace and newline
    checksum = zlib.crc32(b"\n", zlib.crc32(body))
    return b"".join((_HEAD % checksum, body, b"\n"))


def decode(data: bytes, cursor_type: type[Cursor]) -> tuple[State, Cursor] | None:
    """The state and its position in the log; None if the file was changed or damaged."""
    body = memoryview(data)[_HEAD_LENGTH:]
    if data[:_HEAD_LENGTH] != _HEAD % zlib.crc32(body):
        return None
    try:
        snapshot = _decode(data)
        cursor = msgspec.json.decode(snapshot.log, type=cursor_type)
    except msgspec.MsgspecError:
        return None
    state = State()
    for holder, name in state.holders():
        setattr(holder, name, getattr(snapshot.state, name))
    knows_more = any(is_known(name) for name in state.newer_fields)
    return (state, cursor) if snapshot.format == _format_of(state) and not knows_more else None
