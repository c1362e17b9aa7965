"""``state.json``: the fold of the log at one line, indented for people, checked when it is read back.

The first line holds a checksum of all that follows it. A file that is missing, was edited or is of another
format is no error: the log is folded anew.
"""

import zlib

import msgspec

from orchestrator.core.events import Position
from orchestrator.domain.state import State

FORMAT = 2
_HEAD = b'{\n  "checksum": "%08x",\n'
_HEAD_LENGTH = len(_HEAD % 0)


class Snapshot(msgspec.Struct):
    """What the file holds: the state, and the line of the log that it goes up to."""

    format: int
    log: Position
    state: State


_decode = msgspec.json.Decoder(Snapshot).decode


def encode(state: State, position: Position) -> bytes:
    """The bytes of ``state.json``."""
    # The text may have 50 MB: it is copied once, and the compact form is gone by then.
    text = msgspec.json.format(msgspec.json.encode(Snapshot(FORMAT, position, state)), indent=2)
    body = memoryview(text)[2:]  # without the first brace and newline
    checksum = zlib.crc32(b"\n", zlib.crc32(body))
    return b"".join((_HEAD % checksum, body, b"\n"))


def decode(data: bytes) -> tuple[State, Position] | None:
    """The state and its line, or None if the file is not as it was written."""
    body = memoryview(data)[_HEAD_LENGTH:]
    if data[:_HEAD_LENGTH] != _HEAD % zlib.crc32(body):
        return None
    try:
        snapshot = _decode(data)
    except msgspec.MsgspecError:
        return None
    return (snapshot.state, snapshot.log) if snapshot.format == FORMAT else None
