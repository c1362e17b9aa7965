"""``state.json``: the fold of the log up to one event, indented for people, checked when it is read back.

The first line holds a checksum of everything after it. If the snapshot is missing, was edited or has another
format, the log is folded again. The file is flat: the fields of all slices are keys of one object.

Of a board with a long history, the records that are past are in cold files, which the snapshot names;
see :mod:`orchestrator.cold`.
"""

import zlib
from collections.abc import Callable
from typing import Any

import msgspec

from orchestrator.cold.tree import ColdPart, ColdTree, install, split, whole_maps
from orchestrator.core.cold_map import ColdDamage
from orchestrator.core.events import is_known
from orchestrator.core.store import ColdFiles, Cursor, StoredFile
from orchestrator.domain.state import State

LARGE = 64 << 20
"""The size in bytes from which a snapshot is read in pieces."""

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
    """The content of the file: the state, its position in the log, and its cold files."""

    format: int
    log: msgspec.Raw
    cold: ColdPart | None
    state: _FlatState  # type: ignore[valid-type]


_decode = msgspec.json.Decoder(Snapshot).decode


_WITH_UNKNOWN = 1000

_LAYOUT = 9
"""Incremented when the fold keeps more of a log than before, so that older snapshots are not used."""


def _format_of(state: State) -> int:
    # An older version must see an upgraded log and refuse it, so it must not accept the snapshot.
    # The same holds for a log with unknown fields: a version that knows them must fold it again.
    return _LAYOUT + state.board.format + (_WITH_UNKNOWN if state.newer_fields else 0)


def encode(state: State, cursor: Cursor) -> bytes:
    """The bytes of a ``state.json`` that needs no other file."""
    return _encode(state, cursor, None, whole_maps(state))


class Saving(msgspec.Struct):
    """A snapshot that is about to be saved.

    Attributes:
        data: The bytes of ``state.json``.
        part: Its cold files.
        moved: Whether records went to a cold file, so that the state in memory can be smaller.
    """

    data: bytes
    part: ColdPart | None
    moved: bool


def prepare(state: State, cursor: Cursor, tree: ColdTree | None, files: ColdFiles | None) -> Saving:
    """Encode a state, and write its past records to a cold file if there are many.

    Args:
        state: The state.
        cursor: Its position in the log.
        tree: The cold files that the state was loaded with.
        files: Where the cold files of the board are; None: everything is in ``state.json``.

    Raises:
        ColdDamage: A cold file was damaged: fold the log again.
    """
    parts = split(state, tree, files, cursor.id) if files is not None else None
    if parts is None:
        return Saving(_encode(state, cursor, None, {}), None, False)
    return Saving(_encode(state, cursor, parts.part, parts.hot), parts.part, parts.moved)


def clean(files: ColdFiles, part: ColdPart | None) -> None:
    """Remove the cold files that the saved snapshot does not name; those that are open can still be read."""
    named = {file.name for file in part.files} if part is not None else set()
    for name in files.names():
        if name not in named:
            files.remove(name)


def _encode(
    state: State, cursor: Cursor, part: ColdPart | None, hot: dict[str, dict[Any, Any]]
) -> bytes:
    log = msgspec.Raw(msgspec.json.encode(cursor))
    # The text may have 50 MB: it is copied once, after the compact form was released.
    flat = _FlatState(**state.fields() | hot)
    compact = msgspec.json.encode(Snapshot(_format_of(state), log, part, flat))
    text = msgspec.json.format(compact, indent=2)
    del compact
    body = memoryview(text)[2:]  # without the first brace and newline
    checksum = zlib.crc32(b"\n", zlib.crc32(body))
    return b"".join((_HEAD % checksum, body, b"\n"))


class LoadedSnapshot(msgspec.Struct):
    """What a snapshot contains: the state, its position in the log, its open cold files."""

    state: State
    cursor: Cursor
    tree: ColdTree | None


def load(
    file: StoredFile,
    cursor_type: type[Cursor],
    files: ColdFiles | None,
    restored: Callable[[int], State],
    warn: Callable[[str], None],
) -> LoadedSnapshot | None:
    """Read a snapshot; None if it was changed or damaged.

    Args:
        file: ``state.json``.
        cursor_type: The class of its position.
        files: Where the cold files of the board are.
        restored: Folds the log up to an event, if damage in a cold file is found later.
        warn: Receives a sentence about that damage.

    Raises:
        ColdDamage: A cold file is missing, cannot be read, or has another size.
    """
    loaded = _load(file, cursor_type)
    if loaded is None:
        return None
    state, cursor, part = loaded
    if part is None:
        return LoadedSnapshot(state, cursor, None)
    if files is None:
        return None
    folded: State | None = None

    def restore(error: Exception) -> State:
        nonlocal folded
        if folded is None:
            if isinstance(error, ColdDamage):
                warn(sentence_of(error))
            folded = restored(cursor.id)
        return folded

    try:
        tree = ColdTree(files, part)
        install(state, tree, restore)
    except (LookupError, ValueError):
        return None  # its cold part does not fit its records, so no snapshot was saved with it
    return LoadedSnapshot(state, cursor, tree)


def sentence_of(damage: ColdDamage) -> str:
    """What a person should know of a cold file that could not be used."""
    return f"{damage}. The log was read in its place, which takes longer; the next snapshot repairs it."


def decode(data: bytes, cursor_type: type[Cursor]) -> tuple[State, Cursor] | None:
    """The state and its position of a ``state.json`` that needs no other file; else None."""
    parts = _parse(data, _checksum(data), cursor_type)
    return parts[:2] if parts is not None and parts[2] is None else None


def _checksum(data: bytes) -> int:
    return zlib.crc32(memoryview(data)[_HEAD_LENGTH:])


_Parts = tuple[State, Cursor, ColdPart | None]


def _load(file: StoredFile, cursor_type: type[Cursor]) -> _Parts | None:
    if file.size < LARGE:
        data = file.read(0, file.size)
        return _parse(data, _checksum(data), cursor_type)
    from orchestrator import large_snapshot  # most boards do not need it

    try:
        data, checksum, tasks = large_snapshot.read(file, _HEAD_LENGTH)
    except msgspec.MsgspecError:
        return None
    parts = _parse(data, checksum, cursor_type)
    if parts is not None:
        parts[0].tasks.tasks = tasks
    return parts


def _parse(data: bytes, checksum: int, cursor_type: type[Cursor]) -> _Parts | None:
    """State, position and cold files in the text of a snapshot, whose checksum was computed."""
    if data[:_HEAD_LENGTH] != _HEAD % checksum:
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
    if snapshot.format != _format_of(state) or knows_more:
        return None
    return state, cursor, snapshot.cold


class _Position(msgspec.Struct):
    """The part of the file that says which line of the log it ends with."""

    log: msgspec.Raw


def position_of(data: bytes, cursor_type: type[Cursor]) -> Cursor | None:
    """The position of a ``state.json``, without decoding its state; None if it was changed or damaged."""
    if data[:_HEAD_LENGTH] != _HEAD % _checksum(data):
        return None
    try:
        return msgspec.json.decode(msgspec.json.decode(data, type=_Position).log, type=cursor_type)
    except msgspec.MsgspecError:
        return None
