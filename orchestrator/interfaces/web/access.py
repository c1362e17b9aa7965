"""Who may ask the server: hosts, origins, the token, and the limits of requests.

A page of another site that is open in the person's browser is the attacker to think of. It can send requests
to this server, under a name of its own that leads here (DNS rebinding), and with the browser's cookies.
"""

import hmac
from collections.abc import Iterable, Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

import anyio
import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.interfaces.web.answers import HttpProblem, problem

LARGEST_BODY = 2 << 20
"""Bytes of the body of a request."""

LONGEST_QUERY = 16 << 10
"""Bytes of the path and the query of a request."""

BODY_TIME = 20.0
"""Seconds in which the body of a request must arrive."""

SAFE = ("GET", "HEAD", "OPTIONS")

HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Vary": "Origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Headers of every answer; an answer may set its own."""

_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What the server lets in.

    Attributes:
        token: What every request needs, as a cookie or as ``Authorization: Bearer``.
        hosts: The values of ``Host`` under which the server is reached.
        origins: The origins of its own pages.
        others: Origins of other pages that may use it.
        cookie: The name of the cookie.
        is_secure: Whether it is reached by TLS.
        is_read_only: Whether it refuses every change.
    """

    token: str
    hosts: frozenset[str]
    origins: frozenset[str]
    others: frozenset[str] = frozenset()
    cookie: str
    is_secure: bool = False
    is_read_only: bool = False


def rules_of(
    token: str,
    names: Iterable[str],
    port: int,
    *,
    others: Iterable[str] = (),
    is_secure: bool = False,
    is_read_only: bool = False,
) -> Rules:
    """The rules of a server that is reached under these names at a port."""
    scheme, usual = ("https", 443) if is_secure else ("http", 80)
    hosts = {f"{name}:{port}" for name in names} | ({*names} if port == usual else set())
    return Rules(
        token=token,
        hosts=frozenset(hosts),
        origins=frozenset(f"{scheme}://{host}" for host in hosts),
        others=frozenset(others),
        cookie=f"orc_{port}",  # cookies do not tell ports apart
        is_secure=is_secure,
        is_read_only=is_read_only,
    )


class Access:
    """The gate before the application.

    Args:
        app: What requests that are let in reach.
        rules: What is let in.
    """

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin", "")

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                message["headers"] += [pair for pair in _HEADERS if pair[0] not in own]
                if origin in self._rules.others:
                    _open_to(MutableHeaders(scope=message), origin)
            await send(message)

        try:
            reply = self._reply(scope, headers, origin)
        except HttpProblem as error:
            reply = problem(error)
        if reply is not None:
            await reply(scope, receive, sending)
        else:
            await self._app(scope, receive, sending)

    def _reply(self, scope: Scope, headers: Headers, origin: str) -> Response | None:
        """The answer of the gate; None: the request is let in."""
        rules = self._rules
        if len(scope["raw_path"]) + len(scope["query_string"]) > LONGEST_QUERY:
            raise HttpProblem(413, "too_large", "The address is too long")
        if "content-length" in headers and "transfer-encoding" in headers:
            # Where such a body ends is a matter of opinion: what is behind it may be another request.
            raise HttpProblem(
                400, "two_lengths", "A request has one length of its body", Connection="close"
            )
        if headers.get("host", "").lower() not in rules.hosts:
            raise HttpProblem(
                421,
                "other_host",
                "This server is not reached under that name",
                hint="Open the link that `orc serve` has printed.",
            )
        if origin and origin not in rules.origins and origin not in rules.others:
            raise HttpProblem(403, "other_origin", "A page of another site may not use this server")
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            return Response(status_code=204)  # it asks what `_add_headers` says
        if scope["path"] == "/" and scope["method"] == "GET" and scope["query_string"]:
            given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
            if given:
                return self._entered(given[0])
        self._check_token(headers, is_change=scope["method"] not in SAFE, origin=origin)
        if rules.is_read_only and scope["method"] not in SAFE:
            raise HttpProblem(403, "read_only", "This server only shows the board")
        return None

    def _entered(self, token: str) -> Response:
        """Take the token out of the address, into a cookie."""
        self._check(token)
        reply = RedirectResponse("/", 303, {"Cache-Control": "no-store"})
        reply.set_cookie(
            self._rules.cookie,
            token,
            httponly=True,
            samesite="strict",
            secure=self._rules.is_secure,
            max_age=400 * 24 * 3600,
        )
        return reply

    def _check_token(self, headers: Headers, *, is_change: bool, origin: str) -> None:
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            self._check(bearer.strip())
            return
        self._check(_cookie(headers, self._rules.cookie))
        # A browser names the origin of each request that changes the board.
        if is_change and not origin and headers.get("sec-fetch-site") != "same-origin":
            raise HttpProblem(403, "no_origin", "A change by a cookie needs the header Origin")

    def _check(self, token: str) -> None:
        if not hmac.compare_digest(token.encode(), self._rules.token.encode()):
            raise HttpProblem(
                401,
                "token",
                "The token is missing or wrong",
                hint="Open the link that `orc serve` has printed, or send Authorization: Bearer TOKEN.",
                WWW_Authenticate="Bearer",
            )


def _open_to(headers: MutableHeaders, origin: str) -> None:
    """Let a page of another origin read an answer."""
    headers["Access-Control-Allow-Origin"] = origin
    headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, DELETE"
    headers["Access-Control-Allow-Headers"] = (
        "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID"
    )
    headers["Access-Control-Expose-Headers"] = "ETag, Link, Total-Count, Exit-Status"
    headers["Cross-Origin-Resource-Policy"] = "cross-origin"


def _cookie(headers: Mapping[str, str], name: str) -> str:
    try:
        jar = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return jar[name].value if name in jar else ""


async def read_body(request: Request) -> bytes:
    """The body of a request, within the limits of size and time.

    Raises:
        HttpProblem: It is too large, or arrives too slowly.
    """
    too_large = HttpProblem(413, "too_large", f"A body has at most {LARGEST_BODY} bytes")
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or len(length) > 12 or int(length) > LARGEST_BODY:
        raise too_large
    parts, size = list[bytes](), 0
    try:
        with anyio.fail_after(BODY_TIME):
            async for part in request.stream():
                size += len(part)
                if size > LARGEST_BODY:
                    raise too_large
                parts.append(part)
    except TimeoutError:
        raise HttpProblem(
            408, "too_slow", "The body of the request did not arrive in time"
        ) from None
    return b"".join(parts)
