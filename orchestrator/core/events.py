r"""Events: what they are, how one line of the log is written, and how it is read back and verified.

A line is one JSON object, ASCII, closed by one ``\\n``; its last field is ``crc``, the CRC32 of the line
without that field, started from the crc of the line before. So every line vouches for all before it.
"""

import functools
import importlib
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, TypeVar

import msgspec

from orchestrator.core.errors import BadInput, Damage

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes that one line of the log may have."""

_ZEROS = b"\0" * 8  # a block that was never written; a text of another encoding has them singly
_CRC_FIELD = 18  # len(',"crc":"9a0b1c2d"}')
_NESTING = 64


class Request(msgspec.Struct, frozen=True, gc=False):
    """The request that a commit answered; stands on the last event of the commit.

    ``first`` is the id of the first event of the commit; ``arguments`` a digest of the command's arguments.
    """

    id: str
    command: str
    arguments: str
    first: int


class Recorded(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An event as it stands in the log: who, when, what; ``payload`` is still JSON text.

    ``more`` says that the commit goes on in the next line. ``v`` is the version of the payload's shape.
    """

    id: int
    ts: str
    agent: str
    type: str
    payload: msgspec.Raw
    v: int = 1
    req: Request | None = None
    more: bool = False
    crc: str = ""


class Event(msgspec.Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """The payload of one type of event: the fields are facts, ``apply`` is what they do to the state."""

    TYPE: ClassVar[str]
    VERSION: ClassVar[int] = 1

    def apply(self, state: Any, at: Recorded) -> None:
        """Change the state as this event says. Reads no clock and no file, and never refuses."""
        raise NotImplementedError

    def document(self) -> tuple[str, str | None] | None:
        """The knowledge file that this event leaves behind, as name and text (None: it is gone)."""
        return None

    @classmethod
    def upcast(cls, payload: dict[str, Any], version: int) -> dict[str, Any]:
        """Give an older payload today's shape. A class whose ``VERSION`` grows overrides this."""
        raise NotImplementedError(f"{cls.TYPE} has no older version {version} than {cls.VERSION}")


_TYPES: dict[str, type[Event]] = {}
_NOUNS: dict[str, tuple[str, ...]] = {}


def declare_noun(noun: str, *modules: str) -> None:
    """Reserve the types ``noun.*`` for the toolkit; agents may log events of any other type.

    Args:
        noun: The first word of the types.
        modules: The modules that register them; each is imported when a type that is not registered yet
            is met, in this order until it is.
    """
    _NOUNS[noun] = modules


E = TypeVar("E", bound=type[Event])


def event(type_name: str, version: int = 1) -> Callable[[E], E]:
    """Register the class of the events ``type_name``: ``@event("task.claimed")``."""

    def register(cls: E) -> E:
        cls.TYPE = type_name
        cls.VERSION = version
        _TYPES[type_name] = cls
        return cls

    return register


def types() -> dict[str, type[Event]]:
    """Every type of the toolkit and its class."""
    for module in {module for modules in _NOUNS.values() for module in modules}:
        importlib.import_module(module)
    return dict(_TYPES)


def _class_of(type_name: str) -> type[Event] | None:
    modules = iter(_NOUNS.get(type_name.partition(".")[0], ()))
    while type_name not in _TYPES and (module := next(modules, None)) is not None:
        importlib.import_module(module)
    return _TYPES.get(type_name)


def is_reserved(type_name: str) -> bool:
    """Whether the type belongs to the toolkit (``task.*``) and agents may not log it themselves."""
    noun, dot, _ = type_name.partition(".")
    return bool(dot) and noun in _NOUNS


class _Decoders(dict[str, Callable[[msgspec.Raw], Event] | None]):
    """What reads payloads of version 1 of a type; None where the fold passes over the type.

    Each is made when its type is first met.
    """

    def __missing__(self, type_name: str) -> Callable[[msgspec.Raw], Event] | None:
        cls = _class_of(type_name)
        if cls is None and is_reserved(type_name):
            raise _newer(f"events of the type {type_name!a}")
        if cls is None:
            decoder = None
        elif cls.VERSION == 1:
            decoder = msgspec.json.Decoder(cls).decode
        else:
            decoder = functools.partial(_upcast, cls, 1)
        self[type_name] = decoder
        return decoder


_decoders = _Decoders()


def decode(at: Recorded) -> Event | None:
    """The typed event of a record; None for a type that agents logged themselves.

    Raises:
        Damage: A reserved type, version or field that this version does not know.
    """
    decoder = _decoders[at.type]
    if decoder is None:
        return None
    try:
        return decoder(at.payload) if at.v == 1 else _upcast(_TYPES[at.type], at.v, at.payload)
    except msgspec.ValidationError as error:
        raise _newer(f"a payload of {at.type} in event {at.id} ({error})") from error


def _upcast(cls: type[Event], version: int, payload: msgspec.Raw) -> Event:
    if version > cls.VERSION:
        raise msgspec.ValidationError(f"version {version} is newer than {cls.VERSION}")
    value = msgspec.json.decode(payload)
    return msgspec.convert(cls.upcast(value, version) if version < cls.VERSION else value, cls)


def _newer(what: str) -> Damage:
    return Damage(
        f"The log holds {what}, which this version does not know",
        code="newer_version",
        hint="The board was written by a newer version of the toolkit: upgrade this one.",
    )


def encode_payload(value: Any) -> msgspec.Raw:
    """JSON of a payload, ASCII only.

    Raises:
        BadInput: NaN, infinity, an integer beyond 64 bits, a lone surrogate, more than 64 levels, a
            value that JSON does not have.
    """
    if not isinstance(value, msgspec.Struct):
        check_json(value)
    try:
        data = msgspec.json.encode(value)
    except UnicodeEncodeError:
        raise BadInput("A text holds a lone surrogate, which is no character") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInput(f"A value cannot be written as JSON: {error}") from None
    return msgspec.Raw(data if data.isascii() else _escaped(data))


def check_json(value: Any, depth: int = 0) -> None:
    """Refuse what JSON cannot carry without loss; see :func:`encode_payload` for the rules."""
    if depth > _NESTING:
        raise BadInput(f"A value is nested deeper than {_NESTING} levels")
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise BadInput("The keys of an object must be strings")
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            check_json(item, depth + 1)
    else:
        _check_scalar(value)


def _check_scalar(value: Any) -> None:
    if isinstance(value, float) and value - value != 0:
        raise BadInput("NaN and infinity are not JSON")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise BadInput("An integer is beyond 64 bits", hint="Write it as a string.")
    if value is not None and not isinstance(value, (str, int, float)):
        raise BadInput(f"A {type(value).__name__} is no value of JSON")


def _escaped(data: bytes) -> bytes:
    # Most lines are ASCII, and do not load this.
    from json.encoder import encode_basestring_ascii

    def escape(run: re.Match[str]) -> str:
        return encode_basestring_ascii(run[0])[1:-1]

    return re.sub(r"[^\x00-\x7f]+", escape, data.decode()).encode("ascii")


class Position(msgspec.Struct, frozen=True, gc=False):
    """A place in the log: the last line that somebody has read, and what it looked like.

    ``segment`` is the id of the first event of its file, ``offset`` the byte where the line begins,
    ``end`` the byte after its newline. The start of a log has no line: every field is 0.
    """

    segment: int = 0
    offset: int = 0
    end: int = 0
    id: int = 0
    crc: int = 0


START = Position()


def encode_line(record: Recorded, previous_crc: int) -> tuple[bytes, int]:
    """One line of the log with its newline, and its crc.

    Raises:
        BadInput: The line would be over 16 MiB.
    """
    body = msgspec.json.encode(record)[:-1]
    if not body.isascii():
        body = _escaped(body)
    if len(body) + _CRC_FIELD > LONGEST_LINE:
        raise BadInput(
            f"An event of {len(body)} bytes is over the {LONGEST_LINE} that a line may have"
        )
    crc = zlib.crc32(body, previous_crc)
    return b'%b,"crc":"%08x"}\n' % (body, crc), crc


class Chunk(msgspec.Struct):
    """What :func:`read_chunk` found: whole commits, where they end, and why it stopped, if it did.

    ``problem`` is empty when the data ended with a whole commit; ``torn`` says that what follows ``end``
    can be the rest of an interrupted write: nothing after it is a line of this log. ``at`` is the byte
    of the line that the problem is about.
    """

    events: list[Recorded]
    end: Position
    problem: str = ""
    torn: bool = False
    at: int = 0


_record_decoder = msgspec.json.Decoder(Recorded)
_decode_record = _record_decoder.decode

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding a damaged line can raise."""


def read_chunk(data: bytes, start: Position) -> Chunk:
    """Read and verify the lines that follow ``start`` in one segment, up to the last closed commit.

    Args:
        data: Bytes of the segment from ``start.end`` on.
        start: The line before them, with the number of the segment they are in.
    """
    return _read_sound(data, start) or _read_to_problem(data, start)


def _read_sound(data: bytes, start: Position) -> Chunk | None:
    """The chunk, if nothing is wrong with any whole line; in few steps a line, for speed."""
    lines = data.split(b"\n")
    rest = lines.pop()
    try:
        events = _record_decoder.decode_lines(data[: len(data) - len(rest)])
    except UNREADABLE:
        return None
    count = len(lines)
    crc, crc32 = start.crc, zlib.crc32
    crcs = [crc := crc32(line[:-_CRC_FIELD], crc) for line in lines]
    # Compared as wholes: that is half the price of a comparison for every line.
    if struct.pack(f">{count}I", *crcs).hex() != "".join([record.crc for record in events]):
        return None
    if [record.id for record in events] != list(range(start.id + 1, start.id + 1 + count)):
        return None
    end = _closed_end(data, lines, events, start)
    if rest or end.id < start.id + count:
        return Chunk(events, end, "the last commit is not complete", torn=True, at=end.end)
    return Chunk(events, end)


def _closed_end(
    data: bytes, lines: list[bytes], events: list[Recorded], start: Position
) -> Position:
    """Where the last closed commit ends; events behind it are taken off."""
    after = data.rfind(b"\n") + 1
    while events and events[-1].more:
        events.pop()
        after -= len(lines.pop()) + 1
    if not events:
        return start
    last = lines[-1]
    end = start.end + after
    crc = int(last[-10:-2], 16)
    return Position(start.segment, end - len(last) - 1, end, events[-1].id, crc)


def _read_to_problem(data: bytes, start: Position) -> Chunk:
    """The whole commits before the first line that is wrong, and what is wrong with it."""
    crc, number, offset = start.crc, start.id, start.end
    events: list[Recorded] = []
    lines = data.split(b"\n")
    problem = ""
    for line in lines:
        crc = zlib.crc32(line[:-_CRC_FIELD], crc)
        number += 1
        found = _verified(line, crc, number)
        if isinstance(found, str):
            problem = found
            break
        events.append(found)
        offset += len(line) + 1
    sound = data[: offset - start.end]
    end = _closed_end(sound, lines[: len(events)], events, start)
    remainder = data[offset - start.end :]
    torn = _ZEROS in remainder and not _holds_event(remainder)
    return Chunk(events, end, f"line at byte {offset} {problem}", torn, offset)


def _verified(line: bytes, crc: int, number: int) -> Recorded | str:
    """The record of a line, or what is wrong with the line."""
    if line[-_CRC_FIELD:] != b',"crc":"%08x"}' % crc:
        return "does not match its checksum"
    try:
        record = _decode_record(line)
    except UNREADABLE as error:
        return f"is no event: {error}"
    return record if record.id == number else f"has the id {record.id} where {number} belongs"


def read_unterminated(line: bytes, before: Position) -> Position | None:
    """The position of a last line that lost only its newline; None if it is not a whole line."""
    chunk = read_chunk(line + b"\n", before)
    return chunk.end if chunk.end.id == before.id + 1 and not chunk.problem else None


def _holds_event(data: bytes) -> bool:
    """Whether any line of the data is an event, so that the data cannot be one torn write."""
    for line in data.split(b"\n"):
        if line[:6] == b'{"id":' and b"\0" not in line:
            try:
                _decode_record(line)
            except UNREADABLE:
                continue
            return True
    return False


def commits(events: Iterable[Recorded]) -> Iterator[list[Recorded]]:
    """Group events that were committed together."""
    group: list[Recorded] = []
    for record in events:
        group.append(record)
        if not record.more:
            yield group
            group = []
