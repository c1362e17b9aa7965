"""Remembered requests, so that a repeated command with the same request id has one effect."""

import zlib
from itertools import islice

import msgspec
from msgspec import structs

from orchestrator.core import events
from orchestrator.core.errors import Refused, UsageError

REMEMBERED = 10_000
"""How many requests a board remembers at least; the oldest are forgotten first."""

_FORGOTTEN = 1000
"""How many are forgotten together: to find the oldest, all of them are looked at."""


class Request(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """An answered request: the command, a digest of its arguments, its first and last event."""

    command: str
    arguments: str
    first: int
    last: int


def remember(requests: dict[str, Request], made: events.RequestMark, last: int) -> None:
    """Keep an answered request; part of the fold."""
    requests[made.id] = Request(made.command, made.arguments, made.first, last)
    if len(requests) == REMEMBERED + _FORGOTTEN:
        for oldest in [*islice(requests, _FORGOTTEN)]:
            del requests[oldest]


_OF_RECORDS = "r"
"""The start of the digest of arguments with records among them."""


def digest(arguments: object) -> str:
    """A digest of a command's arguments, to distinguish a repetition from another request.

    A record counts by its fields that differ from their defaults, so that a later version of the package,
    whose class has another name or one more field, still knows the request.
    """
    text = repr(arguments)
    plain = repr(_plain(arguments))
    crc = zlib.crc32(plain.encode("utf-8", "backslashreplace"))
    return f"{'' if plain == text else _OF_RECORDS}{crc:08x}"


def _plain(value: object) -> object:
    """Dicts in place of records, wherever they are."""
    if isinstance(value, msgspec.Struct):
        fields = sorted(structs.fields(value), key=lambda field: field.name)
        items = ((field, getattr(value, field.name)) for field in fields)
        return {field.name: _plain(item) for field, item in items if item != _default(field)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_plain(item) for item in value])
    return value


def _default(field: structs.FieldInfo) -> object:
    has_factory = field.default_factory is not msgspec.NODEFAULT
    return field.default_factory() if has_factory else field.default


def check_id(request_id: str) -> str:
    """Check the form of a request id: 1 to 200 printable ASCII characters.

    Raises:
        UsageError: It has another form.
    """
    if not (0 < len(request_id) <= 200 and request_id.isascii() and request_id.isprintable()):
        raise UsageError("A request id has 1 to 200 printable ASCII characters")
    return request_id


def answered(
    requests: dict[str, Request], request_id: str, command: str, arguments: str
) -> Request | None:
    """The request of this id, if it was answered before.

    A digest of records by an earlier version, which has no ``r``, cannot be compared: it counts as the same.

    Raises:
        Refused: The id was used for another command or other arguments.
    """
    known = requests.get(request_id)
    if known is None:
        return None
    is_same = known.arguments == arguments or (
        arguments.startswith(_OF_RECORDS) and not known.arguments.startswith(_OF_RECORDS)
    )
    if known.command != command or not is_same:
        raise Refused(
            f"Request {request_id!r} was already used for {known.command} with other arguments",
            code="request_conflict",
            hint="Give every request an id of its own.",
        )
    return known
