"""The declaration of a route, from which the server and its OpenAPI document are made."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from orchestrator import Orchestrator
from orchestrator.core.errors import BadInput, UsageError
from orchestrator.core.strict_json import strict_json


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """No body, or no query."""


class Given(msgspec.Struct):
    """What a request gives.

    Attributes:
        agent: The person or program that acts.
        path: The values in the path, by name.
        query: The values of the query.
        body: The body.
    """

    agent: str
    path: Mapping[str, str]
    query: Any
    body: Any


class Reply(msgspec.Struct):
    """An answer that is encoded already, with its status and type."""

    body: bytes
    status: int = 200
    media_type: str = "application/json"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A route.

    Attributes:
        method: Its method.
        path: Its path; ``{name:path}`` may have slashes.
        about: What it does, in one line.
        run: Answers a request; it gets the board.
        result: The type of its result, or several in a tuple.
        body: The type of the body.
        query: The type of the query.
        status: The status of success.
        errors: The other statuses.
        example: An example of the body.
        media_type: The type of its answer.
        is_kept: Whether its answer is kept for a short time while no event is added.
    """

    method: str
    path: str
    about: str
    run: Callable[[Orchestrator, Given], Any]
    result: Any = Any
    body: type[msgspec.Struct] = Nothing
    query: type[msgspec.Struct] = Nothing
    status: int = 200
    errors: tuple[int, ...] = ()
    example: dict[str, Any] = {}
    media_type: str = "application/json"
    is_kept: bool = False


def decoded_body(data: bytes, kind: type[msgspec.Struct]) -> Any:
    """The body as a record.

    Raises:
        BadInput: It is not a JSON object.
        UsageError: It is not the one that the route takes.
    """
    value = json_object(data)
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"The body does not fit: {error}") from None


def json_object(data: bytes) -> dict[str, Any]:
    """The body as an object; an empty body is an empty object.

    Raises:
        BadInput: It is not a JSON object.
    """
    try:
        value = strict_json(data) if data else {}
    except BadInput as error:
        raise BadInput(f"The body is not JSON: {error.message}") from None
    if not isinstance(value, dict):
        raise BadInput("The body is not a JSON object")
    return value


def decoded_query(pairs: list[tuple[str, str]], kind: type[msgspec.Struct]) -> Any:
    """The query as a record.

    Raises:
        UsageError: It has a value that the route does not take.
    """
    try:
        return msgspec.convert(dict(pairs), kind, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"The query does not fit: {error}") from None
