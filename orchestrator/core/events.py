"""Events: the record of one in the log, and the types that give its payload a meaning."""

import functools
import importlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

import msgspec

from orchestrator.core.errors import Damage


class RequestMark(msgspec.Struct, frozen=True, gc=False):
    """The request that a commit answered; stands on the last event of the commit.

    ``first`` is the id of the first event of the commit; ``arguments`` a digest of the command's arguments.
    """

    id: str
    command: str
    arguments: str
    first: int


class Recorded(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An event as it stands in the log: who, when, what; ``payload`` is still JSON text.

    ``more``: the commit goes on with the next event. ``v`` is the version of the payload's shape.
    """

    id: int
    ts: str
    agent: str
    type: str
    payload: msgspec.Raw
    v: int = 1
    req: RequestMark | None = None
    more: bool = False


class Event(msgspec.Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """The payload of one type of event: the fields are facts, ``apply`` is what they do to the state."""

    TYPE: ClassVar[str]
    VERSION: ClassVar[int] = 1

    def apply(self, state: Any, at: Recorded) -> None:
        """Change the state as this event says. Reads no clock and no file, and never refuses."""
        raise NotImplementedError

    def documents(self, state: Any) -> Mapping[str, str | None]:  # noqa: ARG002  for those that override it
        """The texts of the documents that this event changes, by path; None for one that is deleted.

        Args:
            state: The state after the event.
        """
        return {}

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


def decode(record: Recorded) -> Event | None:
    """The typed event of a record; None for a type that agents logged themselves.

    Raises:
        Damage: A reserved type, version or field that this version does not know.
    """
    decoder = _decoders[record.type]
    if decoder is None:
        return None
    try:
        if record.v == 1:
            return decoder(record.payload)
        return _upcast(_TYPES[record.type], record.v, record.payload)
    except msgspec.ValidationError as error:
        raise _newer(f"a payload of {record.type} in event {record.id} ({error})") from error


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
