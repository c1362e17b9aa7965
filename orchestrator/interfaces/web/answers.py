"""Answers over HTTP: JSON with entity tags and pages, and errors as problem details (RFC 9457)."""

import re
import zlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from orchestrator.core.errors import (
    BadInput,
    Damage,
    InputOutputError,
    NoBoard,
    NotFound,
    OrchestratorError,
    OutcomeUnknown,
    Refused,
    TimedOut,
    UsageError,
)
from orchestrator.interfaces.cli.rendering import chosen, plain

STATUSES: dict[type[OrchestratorError], int] = {
    BadInput: 422,
    UsageError: 400,
    NotFound: 404,
    Refused: 409,
    NoBoard: 503,
    Damage: 503,
    TimedOut: 503,
    InputOutputError: 503,
    OutcomeUnknown: 503,
    OrchestratorError: 400,
}
"""The status for each error of the family."""

PAGE = 100
"""The size of a page, if only its number is given."""

LARGEST_PAGE = 1000

FIELDS = "^[a-z_]+(,[a-z_]+)*$"
"""The form of the names of fields."""

SELECTING = ("page", "per_page", "fields")
"""What a query may have beside the arguments of a route: it selects a part of the answer."""

PROBLEM = "application/problem+json"

_encode = msgspec.json.Encoder(enc_hook=str).encode


class HttpProblem(Exception):
    """An error of the protocol, not of the board."""

    def __init__(
        self, status: int, code: str, message: str, *, hint: str = "", **headers: str
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.hint = status, code, message, hint
        self.headers = headers


class ProblemDetails(msgspec.Struct, kw_only=True):
    """What went wrong.

    Attributes:
        title: The kind of problem.
        status: The status of the answer.
        detail: What happened and why.
        code: A stable word for programs.
        hint: What to do next.
        retryable: Whether the same request may succeed later.
        error: The same as ``detail``, for clients of the original.
    """

    title: str
    status: int
    detail: str
    code: str
    hint: str = ""
    retryable: bool = False
    error: str


_TITLES = {
    400: "Bad request",
    401: "Token needed",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    409: "Refused by the state of the board",
    413: "Too large",
    421: "Another host",
    422: "Not acceptable",
    429: "Too many",
    500: "Failed",
    503: "Not now",
}


def problem(error: Exception) -> Response:
    """The answer for an error; what is unexpected says nothing of the cause."""
    headers: dict[str, str] = {}
    if isinstance(error, HttpProblem):
        headers = {name.replace("_", "-"): value for name, value in error.headers.items()}
    elif isinstance(error, TimedOut):
        headers["Retry-After"] = "1"
    details = details_of(error)
    return Response(_encode(details), details["status"], headers, media_type=PROBLEM)


def details_of(error: Exception) -> dict[str, Any]:
    """The members of the problem of an error."""
    status, code, hint, retryable = 500, "internal", "Its stderr has the cause.", False
    message = "The server failed"
    if isinstance(error, OrchestratorError):
        status = next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
        code, message, hint = error.code, error.message, error.hint
        retryable = error.retryable
        if isinstance(error, OutcomeUnknown):
            hint = "Repeat it with the same Idempotency-Key; without one, look first whether it happened."
    elif isinstance(error, HttpProblem):
        status, code, message, hint = error.status, error.code, error.message, error.hint
    details = ProblemDetails(
        title=_TITLES.get(status, "Error"),
        status=status,
        detail=message,
        code=code,
        hint=hint,
        retryable=retryable,
        error=message,
    )
    return msgspec.structs.asdict(details)


def to_json(value: Any) -> bytes:
    """A value as JSON, records with all their fields."""
    return _encode(plain(value))


def answer(
    request: Request, value: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A value as JSON, with only the page and the fields that are wanted; 304 if the client has it."""
    all_headers = dict(headers or {})
    if request.method in ("GET", "HEAD"):
        wanted = page_of(request.query_params)
        if wanted is not None and isinstance(value, list):
            value = _page(request, value, *wanted, all_headers)
        value = chosen(value, fields_of(request.query_params))
    return tagged(request, to_json(value), "application/json", status, all_headers)


def tagged(
    request: Request, body: bytes, media_type: str, status: int, headers: dict[str, str]
) -> Response:
    """A body with its entity tag; 304 if the client has this body already."""
    if request.method not in ("GET", "HEAD"):
        return Response(body, status, headers, media_type=media_type)
    tag = f'W/"{len(body):x}-{zlib.crc32(body):08x}"'
    headers["ETag"] = tag
    known = request.headers.get("if-none-match", "")
    if known and (known.strip() == "*" or tag in (each.strip() for each in known.split(","))):
        return Response(status_code=304, headers=headers)
    return Response(body, status, headers, media_type=media_type)


def page_of(query: QueryParams) -> tuple[int, int] | None:
    """The number and the size of the page that a query has; None: it wants everything.

    Raises:
        UsageError: They are no numbers, or too large.
    """
    if "page" not in query and "per_page" not in query:
        return None
    return _number(query, "page", 1), _number(query, "per_page", PAGE, LARGEST_PAGE)


def fields_of(query: QueryParams) -> str:
    """The fields of records that a query wants; empty: all.

    Raises:
        UsageError: They are no names.
    """
    given = query.getlist("fields")
    if given and (len(given) > 1 or not re.fullmatch(FIELDS, given[0])):
        raise UsageError("fields is one list of names with commas", hint="fields=id,title")
    return "".join(given)


def check_selection(query: QueryParams) -> None:
    """Check the page and the fields that a query asks for, before anything is done.

    Raises:
        UsageError: It is wrong.
    """
    page_of(query)
    fields_of(query)


def _page(
    request: Request, items: list[Any], number: int, size: int, headers: dict[str, str]
) -> list[Any]:
    """One page; links to its neighbours go into the headers."""
    last = max(1, -(-len(items) // size))
    links = {"first": 1, "prev": number - 1, "next": number + 1, "last": last}
    headers["Link"] = ", ".join(
        f'<{_url_of(request, page)}>; rel="{name}"'
        for name, page in links.items()
        if 1 <= page <= last
    )
    headers["Total-Count"] = str(len(items))
    return items[(number - 1) * size : number * size]


def _url_of(request: Request, page: int) -> str:
    pairs = [(name, text) for name, text in request.query_params.multi_items() if name != "page"]
    return f"{request.url.path}?{urlencode([*pairs, ('page', page)])}"


def _number(query: QueryParams, name: str, default: int, most: int = 1_000_000) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 8 and 1 <= int(text) <= most):
        raise UsageError(f"{name} is {text!a}", hint=f"Give a number from 1 to {most}.")
    return int(text)
