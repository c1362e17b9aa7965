"""The application: routes to the board, behind the gate of :mod:`.access`."""

import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import anyio
import msgspec
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator import AsyncOrchestrator, Orchestrator
from orchestrator.core.errors import OrchestratorError, TimedOut, UsageError
from orchestrator.index.database import LARGE
from orchestrator.interfaces.catalogue import CommandCall
from orchestrator.interfaces.cli.rendering import Answer, warn
from orchestrator.interfaces.web import command_routes, openapi, page
from orchestrator.interfaces.web.access import SAFE, Access, Rules, read_body
from orchestrator.interfaces.web.answers import (
    SELECTING,
    HttpProblem,
    answer,
    check_selection,
    problem,
    tagged,
    to_json,
)
from orchestrator.interfaces.web.beside import Beside, answer_of, make_index
from orchestrator.interfaces.web.endpoints import (
    Endpoint,
    Given,
    Reply,
    decoded_body,
    decoded_query,
    json_object,
)
from orchestrator.interfaces.web.original import ORIGINAL
from orchestrator.interfaces.web.stream import EventStream, LiveLog, stream_of

LONGEST = 60.0
"""Seconds that a request may take; commands that wait end without a change."""

FRESH = 1.0
"""Seconds for which pages that ask often get the same answer, if no event was added. It names its time."""

T = TypeVar("T")

Answering = Callable[[Request], Any]


class KeptAnswer(msgspec.Struct, frozen=True):
    """An answer, the mark of the log before it was made, and the time until it may be given again."""

    mark: object
    until: float
    body: bytes


class Service:
    """What the routes share.

    Args:
        orc: The board.
        agent: The person, under whose name requests act that name no agent.
        board: The name of the board.
        is_read_only: Whether the page shows the board only.
    """

    def __init__(
        self, orc: AsyncOrchestrator, agent: str, board: str = "", *, is_read_only: bool = False
    ) -> None:
        self.orc = orc
        self.agent = agent
        self.board = board
        self.is_read_only = is_read_only
        self.log = LiveLog(orc)
        self._beside = Beside()
        self._openapi = b""
        self._kept: dict[str, KeptAnswer] = {}

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Follow the log while the server runs."""
        async with anyio.create_task_group() as tasks:
            self._store = await self.orc.run("serve", lambda orc: orc.engine.store)
            self._folder = await self.orc.run("serve", lambda orc: orc.folder)
            tasks.start_soon(self.log.follow)
            tasks.start_soon(self._make_index)
            yield
            self.log.end()
            tasks.cancel_scope.cancel()

    async def _make_index(self) -> None:
        """Make the index of a large board, so that no search has to wait for it."""
        if self._folder is None or await self.log.last() < LARGE:
            return
        try:
            await self._beside.run(make_index, self._folder)
        except (OrchestratorError, HttpProblem, OSError, sqlite3.Error) as error:
            warn(f"the index was not made: {error}")

    async def on_board(self, request: Request, function: Callable[[Orchestrator], T]) -> T:
        """Run a function on the board; a request id makes a change happen once.

        Raises:
            TimedOut: It waited for too long.
        """
        is_change = request.method not in SAFE
        key = request.headers.get("idempotency-key") if is_change else None

        def call(orc: Orchestrator) -> T:
            if key is None:
                return function(orc)
            with orc.request(key):
                return function(orc)

        with _in_time():
            name = f"{request.method} {request.url.path}"
            run = self.orc.run_grouped if is_change else self.orc.run
            return await run(name, call)

    def endpoint(self, route: Endpoint) -> Answering:
        """Answer requests of a declared route."""

        async def respond(request: Request) -> Response:
            given = decoded_body(await read_body(request), route.body)
            check_selection(request.query_params)
            query = decoded_query(_arguments(request, route), route.query)

            def work(orc: Orchestrator) -> Response:
                value = route.run(orc, Given(self.agent, request.path_params, query, given))
                if not isinstance(value, Reply):
                    return answer(request, value, route.status)
                return tagged(request, value.body, value.media_type, value.status, {})

            return await self.on_board(request, work)

        async def respond_as_kept(request: Request) -> Response:
            if request.query_params:
                return await respond(request)
            await read_body(request)
            # A database is asked in the thread of the call: other requests must not wait for its answer.
            kept = self._kept_answer(route) if self._store.is_local else None
            if kept is None:
                kept = await self.on_board(request, self._keeping(route))
            return tagged(request, kept.body, route.media_type, route.status, {})

        return respond_as_kept if route.is_kept else respond

    def _kept_answer(self, route: Endpoint) -> KeptAnswer | None:
        """The last answer of a route, if it may be given again."""
        kept = self._kept.get(route.path)
        if kept is None or time.monotonic() > kept.until or kept.mark != self._store.mark():
            return None
        return kept

    def _keeping(self, route: Endpoint) -> Callable[[Orchestrator], KeptAnswer]:
        def work(orc: Orchestrator) -> KeptAnswer:
            if (kept := self._kept_answer(route)) is not None:
                return kept  # made while this call waited for its turn
            mark = self._store.mark()  # before it reads: what comes later makes the answer old
            value = route.run(orc, Given(self.agent, {}, None, None))
            kept = KeptAnswer(mark, time.monotonic() + FRESH, to_json(value))
            self._kept[route.path] = kept
            return kept

        return work

    async def command(self, request: Request) -> Response:
        """Run a command of the catalogue."""
        call = command_routes.calls().get(request.path_params["path"])
        if call is None:
            raise HttpProblem(
                404, "no_command", "There is no such command", hint="GET /api/openapi.json"
            )
        methods = command_routes.methods_of(call)
        method = "GET" if request.method == "HEAD" else request.method
        if method not in methods:
            allow = ", ".join((*methods, "HEAD") if "GET" in methods else methods)
            taken = " and ".join(methods)
            raise HttpProblem(405, "method", f"This command takes {taken}", Allow=allow)
        body = await read_body(request)
        check_selection(request.query_params)
        if method == "GET":
            arguments = command_routes.arguments_of(call, request.query_params)
            command_routes.check_question(call, arguments)
        else:
            arguments = json_object(body)
            for name, value in arguments.items():
                if value is None:  # the schemas of the document allow none
                    raise UsageError(f"The argument {name!a} is null", hint="Leave it out.")
        return await self._answered(request, call, arguments)

    async def _answered(
        self, request: Request, call: CommandCall, arguments: dict[str, Any]
    ) -> Response:
        as_text = request.headers.get("accept", "").startswith("text/plain")
        if as_text and "fields" in request.query_params:
            raise UsageError("A text has no fields", hint="Ask for application/json.")

        def work(orc: Orchestrator) -> Response:
            result, headers = command_routes.run(call, orc, self.agent, arguments)
            reply = _rendered(request, result, headers, as_text=as_text)
            if (after := result.after) is not None:
                # It runs when the answer was sent, with the board of this call.
                reply.background = BackgroundTask(
                    self.orc.run, "after", lambda _: after(), earlier=orc
                )
            return reply

        if not call.command.long or self._folder is None:
            return await self.on_board(request, work)
        path = request.path_params["path"]
        with _in_time():
            result, headers = await self._beside.run(
                answer_of, self._folder, path, self.agent, arguments, as_text
            )
        return _rendered(request, result, headers, as_text=as_text)

    async def stream(self, request: Request) -> EventStream:
        """Follow the log."""
        return await stream_of(self.log, request)

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI document."""
        if not self._openapi:
            self._openapi = to_json(openapi.document())
        return tagged(request, self._openapi, "application/json", 200, {})

    async def page(self, request: Request) -> Response:
        """The page for people, for each address that a browser opens.

        Raises:
            HttpProblem: A program asks for what is not there.
        """
        wanted = request.headers.get("accept", "")
        if request.url.path != "/" and "text/html" not in wanted:
            raise HttpProblem(404, "no_route", "Not Found", hint="GET /api/openapi.json")
        return page.shell(
            request,
            person=self.agent,
            board=self.board,
            event=await self.log.last(),
            is_read_only=self.is_read_only,
        )

    async def page_file(self, request: Request) -> Response:
        """A file of the page."""
        return page.file(request)


@contextmanager
def _in_time() -> Iterator[None]:
    try:
        with anyio.fail_after(LONGEST):
            yield
    except TimeoutError:
        raise TimedOut(f"The request took longer than {LONGEST:g} s") from None


def _rendered(
    request: Request, result: Answer[Any], headers: dict[str, str], *, as_text: bool
) -> Response:
    """The answer of a command, as a text for people or as JSON."""
    if not as_text:
        return answer(request, result.value, headers=headers)
    text = result.text().encode("utf-8", "backslashreplace")
    return tagged(request, text, "text/plain", 200, headers)


def _arguments(request: Request, route: Endpoint) -> list[tuple[str, str]]:
    """The query without what selects a part of an answer in JSON."""
    selecting = SELECTING if route.media_type == "application/json" else ()
    pairs = request.query_params.multi_items()
    return [(name, text) for name, text in pairs if name not in selecting]


class Answered:
    """A route as an application: what it raises is a problem.

    Args:
        respond: Answers a request.
    """

    def __init__(self, respond: Answering) -> None:
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        request = Request(scope, receive)
        try:
            reply = await self._respond(request)
        except (OrchestratorError, HttpProblem) as error:
            reply = problem(error)
        await reply(scope, receive, send)


def _by_method(answering: dict[str, Answering]) -> Answering:
    """Answer each method of a path; a route for each would not know the others."""

    async def respond(request: Request) -> Any:
        method = "GET" if request.method == "HEAD" else request.method
        return await answering[method](request)

    return respond


async def _refused(_: Request, error: Exception) -> Response:
    """A path or a method that no route has, as a problem."""
    assert isinstance(error, HTTPException)
    code = {404: "no_route", 405: "method"}.get(error.status_code, "http")
    headers = {name.replace("-", "_"): value for name, value in (error.headers or {}).items()}
    hint = "GET /api/openapi.json"
    return problem(HttpProblem(error.status_code, code, error.detail, hint=hint, **headers))


class _ViewPath(StringConvertor):
    """A path of a view of the page: any path that does not begin with ``api/`` or ``page/``."""

    regex = "(?!api/|page/).*"


register_url_convertor("view", _ViewPath())


async def _failed(_: Request, error: Exception) -> Response:
    return problem(error)


def application(service: Service, rules: Rules) -> ASGIApp:
    """The routes, behind the gate that lets in what passes the rules."""
    declared: dict[str, dict[str, Answering]] = {}
    for route in ORIGINAL:
        declared.setdefault(route.path, {})[route.method] = service.endpoint(route)
    routes = [
        *(
            Route(path, Answered(_by_method(by_method)), methods=[*by_method])
            for path, by_method in declared.items()
        ),
        Route(command_routes.PREFIX + "{path:path}", Answered(service.command)),
        Route("/api/stream", Answered(service.stream), methods=["GET"]),
        Route("/api/openapi.json", Answered(service.openapi), methods=["GET"]),
        Route(page.PREFIX + "{path:path}", Answered(service.page_file), methods=["GET"]),
        Route("/{path:view}", Answered(service.page), methods=["GET"]),
    ]
    handlers: Any = {HTTPException: _refused, Exception: _failed}
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=service.lifespan)
    app.router.redirect_slashes = False
    return Access(app, rules)
