"""Remembered requests: what makes repeating a command with the same request id have one effect."""

import zlib

import msgspec

from orchestrator.core import events
from orchestrator.core.errors import Refused, UsageError

REMEMBERED = 10_000
"""Requests that a board remembers; older ones are forgotten, oldest first."""


class Request(msgspec.Struct, frozen=True, gc=False):
    """An answered request: the command, a digest of its arguments, its first and last event."""

    command: str
    arguments: str
    first: int
    last: int


def remember(requests: dict[str, Request], made: events.RequestMark, last: int) -> None:
    """Keep an answered request; part of the fold."""
    requests[made.id] = Request(made.command, made.arguments, made.first, last)
    if len(requests) > REMEMBERED:
        del requests[next(iter(requests))]


def digest(arguments: object) -> str:
    """A digest of a command's arguments, to tell a repetition from another request."""
    return f"{zlib.crc32(repr(arguments).encode('utf-8', 'backslashreplace')):08x}"


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

    Raises:
        Refused: The id was used for another command or other arguments.
    """
    known = requests.get(request_id)
    if known and (known.command, known.arguments) != (command, arguments):
        raise Refused(
            f"Request {request_id!r} was already used for {known.command} with other arguments",
            code="request_conflict",
            hint="Give every request an id of its own.",
        )
    return known
