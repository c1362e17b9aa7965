"""Events: their records in the log, and the types of their payloads."""

import functools
import importlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

import msgspec

from orchestrator.core.errors import Damage


class RequestMark(msgspec.Struct, frozen=True, gc=False):
    """The request that a commit answered, recorded in the last event of the commit.

    ``first`` is the id of the first event of the commit; ``arguments`` a digest of the command's arguments.
    """

    id: str
    command: str
    arguments: str
    first: int


class Cause(msgspec.Struct, frozen=True, gc=False):
    """The event that started the agent which recorded an event.

    ``depth`` counts the causes up to ``root``, the event at the beginning of the chain.
    """

    event: int
    depth: int
    root: int


class Origin(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The event of another board from which a merge made an event.

    ``event`` is its id there, ``digest`` stands for its content. ``follows``: the event is no copy of it; the
    merge recorded it as a consequence.
    """

    event: int
    digest: str
    follows: bool = False


class Recorded(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An event as recorded in the log: who, when, what; ``payload`` is still JSON text.

    ``more``: the next event belongs to the same commit. ``v`` is the version of the payload's format.
    ``cause``: for what an agent records that an event has started. ``origin``: for what a merge recorded; the
    agent and the time of a copy are those of the other board.
    """

    id: int
    ts: str
    agent: str
    type: str
    payload: msgspec.Raw
    v: int = 1
    req: RequestMark | None = None
    more: bool = False
    cause: Cause | None = None
    origin: Origin | None = None

    @property
    def is_copy(self) -> bool:
        """Whether it was recorded on another board first."""
        return self.origin is not None and not self.origin.follows

    def __repr__(self) -> str:
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        values["payload"] = msgspec.json.decode(self.payload)
        return f"Recorded({', '.join(f'{name}={value!r}' for name, value in values.items())})"


def caused_by(record: Recorded) -> Cause:
    """The cause of what an agent records that this event has started."""
    before = record.cause
    if before is None:
        return Cause(record.id, 1, record.id)
    return Cause(record.id, before.depth + 1, before.root)


class Event(msgspec.Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """The payload of one type of event: the fields are facts, ``apply`` changes the state by them."""

    TYPE: ClassVar[str]
    VERSION: ClassVar[int] = 1

    def apply(self, state: Any, record: Recorded) -> None:
        """Change the state by this event. It reads no clock and no file, and never refuses."""
        raise NotImplementedError

    def documents(self, state: Any) -> Mapping[str, str | None]:  # noqa: ARG002  for subclasses
        """The texts of the documents that this event changes, by path; None for a deleted document.

        Args:
            state: The state after the event.
        """
        return {}

    @classmethod
    def upcast(cls, payload: dict[str, Any], version: int) -> dict[str, Any]:
        """Convert an older payload to the current version. A class with a new ``VERSION`` overrides this."""
        raise NotImplementedError(f"{cls.TYPE} has no older version {version} than {cls.VERSION}")


FORMAT = 6
"""The newest format of the log; this version writes it when a command needs it."""

ARCHIVED = 6
"""The format of a log whose old parts may be in other places. Versions that do not know it refuse the log."""


class _DeclaredNoun(msgspec.Struct):
    modules: tuple[str, ...]
    since: int


_TYPES: dict[str, type[Event]] = {}
_NOUNS: dict[str, _DeclaredNoun] = {}


def declare_noun(noun: str, *modules: str, since: int = 1) -> None:
    """Reserve the types ``noun.*`` for the toolkit; agents may log events of any other type.

    Args:
        noun: The first word of the types.
        modules: The modules that register the types. For a type that is not registered yet, they are imported
            in this order until it is.
        since: The first format of the log that reserves the noun. On a board of an older format, agents may
            have logged events of these types themselves.
    """
    _NOUNS[noun] = _DeclaredNoun(modules, since)


def format_of(noun: str) -> int:
    """The format of the log that a noun needs."""
    return _NOUNS[noun].since


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
    for module in {module for noun in _NOUNS.values() for module in noun.modules}:
        importlib.import_module(module)
    return dict(_TYPES)


def _class_of(type_name: str) -> type[Event] | None:
    declared = _NOUNS.get(type_name.partition(".")[0])
    modules = iter(declared.modules if declared else ())
    while type_name not in _TYPES and (module := next(modules, None)) is not None:
        importlib.import_module(module)
    return _TYPES.get(type_name)


def is_reserved(type_name: str, format: int = 1) -> bool:
    """Whether the type belongs to the toolkit (``task.*``) and agents may not log it themselves.

    Args:
        type_name: The type.
        format: The format of the board's log.
    """
    noun, dot, _ = type_name.partition(".")
    return bool(dot) and noun in _NOUNS and _NOUNS[noun].since <= format


class _Decoders(dict[str, Callable[[msgspec.Raw], Event] | None]):
    """The decoders for payloads of version 1, by type; None for a type that the fold skips.

    Each is created when its type first occurs.
    """

    def __init__(self, format: int) -> None:
        self.format = format

    def __missing__(self, type_name: str) -> Callable[[msgspec.Raw], Event] | None:
        is_declared = type_name.partition(".")[0] in _NOUNS
        is_ours = is_reserved(type_name, self.format)
        cls = _class_of(type_name) if is_ours or not is_declared else None
        if cls is None and is_ours:
            raise newer(f"events of the type {type_name!a}")
        if cls is None:
            decoder = None
        elif cls.VERSION == 1:
            decoder = msgspec.json.Decoder(cls).decode
        else:
            decoder = functools.partial(_upcast, cls, 1)
        self[type_name] = decoder
        return decoder


_decoders = {format: _Decoders(format) for format in range(1, FORMAT + 1)}


def decode(record: Recorded, format: int = 1) -> Event | None:
    """The typed event of a record; None for a type that agents logged themselves.

    Args:
        record: The record.
        format: The format of the log at the record.

    Raises:
        Damage: A reserved type, or a version or value of its payload, that this version does not know.
    """
    decoder = _decoders[format][record.type]
    if decoder is None:
        return None
    try:
        if record.v == 1:
            return decoder(record.payload)
        return _upcast(_TYPES[record.type], record.v, record.payload)
    except msgspec.ValidationError as error:
        if (event := _with_unknown_fields(record)) is not None:
            return event
        raise newer(f"a payload of {record.type} in event {record.id} ({error})") from error


def _upcast(cls: type[Event], version: int, payload: msgspec.Raw) -> Event:
    if version > cls.VERSION:
        raise msgspec.ValidationError(f"version {version} is newer than {cls.VERSION}")
    value = msgspec.json.decode(payload)
    return msgspec.convert(cls.upcast(value, version) if version < cls.VERSION else value, cls)


# Fields of a newer version


def unknown_fields(event: Event) -> dict[str, Any]:
    """The fields of an event that this version does not know, as they are in the payload."""
    return getattr(event, "unknown", {})


def carrying(event: Event, unknown: dict[str, Any]) -> Event:
    """The event with fields that this version does not know; they are written into its payload."""
    values = {name: getattr(event, name) for name in event.__struct_fields__}
    carrier = _carrier(type(event))(**values)
    vars(carrier)["unknown"] = unknown
    return carrier


def is_known(path: str) -> bool:
    """Whether this version knows a field of a type of events: ``task.added.checks.verify``."""
    noun, verb, *fields = path.split(".")
    cls: Any = _class_of(f"{noun}.{verb}")
    for name in fields:
        names = {f.encode_name: f.type for f in msgspec.structs.fields(cls)} if cls else {}
        if name not in names:
            return False
        cls = _record_type(names[name])
    return True


def _with_unknown_fields(record: Recorded) -> Event | None:
    """Decode a payload that contains unknown fields; None if it is invalid for another reason."""
    cls = _TYPES[record.type]
    value = msgspec.json.decode(record.payload)
    known, unknown = _split(value, cls) if isinstance(value, dict) else (value, {})
    if record.v != cls.VERSION or not unknown:
        return None
    try:
        return carrying(msgspec.convert(known, cls), unknown)
    except msgspec.ValidationError:
        return None


def _split(value: dict[str, Any], cls: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The known and the unknown fields of an object, nested fields included."""
    types = {field.encode_name: field.type for field in msgspec.structs.fields(cls)}
    known, unknown = dict[str, Any](), dict[str, Any]()
    for name, item in value.items():
        nested = _record_type(types[name]) if name in types else None
        if name not in types:
            unknown[name] = item
        elif nested is not None and isinstance(item, dict):
            known[name], below = _split(item, nested)
            if below:
                unknown[name] = below
        else:
            known[name] = item
    return known, unknown


def _record_type(hint: Any) -> Any:
    """The record class in an annotation; None if there is none, or the records are in a list."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint
    if isinstance(getattr(hint, "__origin__", None), type) and not hasattr(hint, "__metadata__"):
        return None  # a list or a mapping
    nested = map(_record_type, getattr(hint, "__args__", ()))
    return next(filter(None, nested), None)


@functools.cache
def _carrier(cls: type[Event]) -> type[Event]:
    """A class of the same events whose objects can carry unknown fields."""

    def apply(self: Event, state: Any, record: Recorded) -> None:
        cls.apply(self, state, record)
        state.carry(self, record)

    return msgspec.defstruct(  # type: ignore[return-value]
        cls.__name__, [], bases=(cls,), namespace={"apply": apply}, dict=True, gc=True
    )


def newer(what: str) -> Damage:
    """The error for a log that a newer version of the toolkit wrote."""
    return Damage(
        f"The log contains {what}, which this version does not know",
        code="newer_version",
        hint="The board was written by a newer version of the toolkit: upgrade this one.",
    )
