"""Resources: what a person or an agent can attach to a conversation; each is the answer of a command."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote

import msgspec
from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp_types import (
    INVALID_PARAMS,
    CompleteRequestParams,
    CompleteResult,
    Completion,
    ListResourcesResult,
    ListResourceTemplatesResult,
    PaginatedRequestParams,
    PromptReference,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextResourceContents,
)

from orchestrator import AsyncOrchestrator, Orchestrator
from orchestrator.core.errors import NotFound, OrchestratorError
from orchestrator.core.printable import escape, one_line
from orchestrator.interfaces.catalogue import CommandCall
from orchestrator.interfaces.mcp.board_tools import ToolWords
from orchestrator.interfaces.mcp.messages import Self

Context = ServerRequestContext[Any]

_SCHEME = "orc://"

_PAGE = 200
"""Resources in one answer of a listing."""

_COMPLETIONS = 100
"""Completions in one answer: the most that the protocol allows."""


class ResourceRow(msgspec.Struct, frozen=True):
    """A command whose answer is a resource.

    Attributes:
        command: Its words.
        about: What the resource is.
        mime: The type of its text.
        name: The argument of the command that the URI ends with; empty: there is only one resource.
    """

    command: str
    about: str
    mime: str = "text/plain"
    name: str = ""


_ROWS: dict[str, ResourceRow] = {
    "status": ResourceRow("status", "Workstreams, agents, locks, recent events, topics."),
    "tasks": ResourceRow("task list", "The tasks of the board."),
    "tasks/": ResourceRow("task show", "A task with its history.", name="task"),
    "briefs/": ResourceRow(
        "runner brief",
        "All that an agent needs to start a task, or the next task of a workstream.",
        "text/markdown",
        name="target",
    ),
    "knowledge": ResourceRow("kb list", "The topics of the knowledge base."),
    "knowledge/": ResourceRow("kb read", "A topic.", "text/markdown", name="topic"),
    "decisions": ResourceRow("decision list", "The decisions."),
    "decisions/": ResourceRow("decision show", "A decision.", "text/markdown", name="number"),
}
"""The resources by the path of their URI; one that ends with ``/`` has a name behind it."""

_NAMES: dict[str, Callable[[Orchestrator], list[str]]] = {
    "tasks/": lambda orc: [task.id for task in orc.tasks.all()],
    "briefs/": lambda orc: [task.id for task in orc.tasks.all()],
    "knowledge/": lambda orc: [topic.name for topic in orc.knowledge.all()],
    "decisions/": lambda orc: [str(decision.number) for decision in orc.decisions.all()],
}


class BoardResources:
    """The resources of a board.

    Args:
        orc: The board.
        me: Who reads.
        words: Puts tools in place of command lines.
    """

    def __init__(self, orc: AsyncOrchestrator, me: Self, words: ToolWords) -> None:
        self.orc = orc
        self._me = me
        self._words = words
        self._calls: dict[str, CommandCall] = {}

    async def list(
        self, _context: Context, params: PaginatedRequestParams | None
    ) -> ListResourcesResult:
        """A page of the resources: the listings, each topic and each decision."""
        cursor = params.cursor if params else None
        begin = int(cursor) if cursor and cursor.isdecimal() and len(cursor) < 10 else 0
        resources = await self.orc.run("resources", _listed)
        rest = len(resources) > begin + _PAGE
        return ListResourcesResult(
            resources=resources[begin : begin + _PAGE],
            next_cursor=str(begin + _PAGE) if rest else None,
        )

    async def templates(
        self, _context: Context, _params: PaginatedRequestParams | None
    ) -> ListResourceTemplatesResult:
        """The templates of URIs with a name."""
        templates = [
            ResourceTemplate(
                name=path.rstrip("s/"),
                uri_template=f"{_SCHEME}{path}{{{row.name}}}",
                description=row.about,
                mime_type=row.mime,
            )
            for path, row in _ROWS.items()
            if row.name
        ]
        return ListResourceTemplatesResult(resource_templates=templates)

    async def read(
        self, _context: Context, params: ReadResourceRequestParams
    ) -> ReadResourceResult:
        """The text of a resource.

        Raises:
            MCPError: There is no such resource.
        """
        path, _ = _parted(params.uri)
        text = await self.text(params.uri)
        contents = TextResourceContents(uri=params.uri, mime_type=_ROWS[path].mime, text=text)
        return ReadResourceResult(contents=[contents])

    async def text(self, uri: str) -> str:
        """The text alone."""
        path, name = _parted(uri)
        row = _ROWS[path]
        if path not in self._calls:
            self._calls[path] = CommandCall(row.command, f"{row.name}!" if row.name else "")
        arguments = {row.name: name} if row.name else {}

        def run(orc: Orchestrator) -> str:
            answer = self._calls[path].run(orc, self._me.name, arguments, [])
            text = self._words.of_answer(answer.text())
            if answer.exit_status:
                raise NotFound(text)
            return text

        try:
            await self._me.join()
            return await self.orc.run(row.command, run)
        except OrchestratorError as error:
            hint = f" {self._words.of_hint(error.hint)}" if error.hint else ""
            message = escape(f"{error.message}.{hint}")
            raise MCPError(INVALID_PARAMS, message, {"uri": escape(uri)}) from None

    async def names(self) -> str:
        """The URIs of all resources that are listed."""
        resources = await self.orc.run("resources", _listed)
        return "\n".join(resource.uri for resource in resources)

    async def complete(self, _context: Context, params: CompleteRequestParams) -> CompleteResult:
        """The names with which a URI can end."""
        uri = getattr(params.ref, "uri", "")
        find = _NAMES.get(uri.removeprefix(_SCHEME).partition("{")[0])
        if isinstance(params.ref, PromptReference):
            find = _NAMES["tasks/"]
        if find is None:
            return CompleteResult(completion=Completion(values=[]))
        names = await self.orc.run("completion", find)
        fitting = [name for name in names if name.startswith(params.argument.value)]
        completion = Completion(
            values=fitting[:_COMPLETIONS],
            total=len(fitting),
            has_more=len(fitting) > _COMPLETIONS,
        )
        return CompleteResult(completion=completion)


def uri_of(path: str, name: str) -> str:
    """The URI of a resource with a name."""
    return f"{_SCHEME}{path}{quote(name, safe='')}"


def _parted(uri: str) -> tuple[str, str]:
    """The path of a URI and the name behind it.

    Raises:
        MCPError: There is no such resource.
    """
    place = uri.removeprefix(_SCHEME)
    first, slash, rest = place.partition("/")
    path = first + slash
    if not uri.startswith(_SCHEME) or path not in _ROWS or bool(rest) != bool(_ROWS[path].name):
        known = ", ".join(f"{_SCHEME}{path}" for path in _ROWS)
        raise MCPError(
            INVALID_PARAMS,
            f"There is no resource {uri!a}; they begin {known}",
            {"uri": escape(uri)},
        )
    return path, unquote(rest)


def _listed(orc: Orchestrator) -> list[Resource]:
    listings = [
        Resource(name=path, uri=_SCHEME + path, description=row.about, mime_type=row.mime)
        for path, row in _ROWS.items()
        if not row.name
    ]
    topics = [
        Resource(
            name=escape(topic.name),
            uri=uri_of("knowledge/", topic.name),
            mime_type=_ROWS["knowledge/"].mime,
        )
        for topic in orc.knowledge.all()
    ]
    decisions = [
        Resource(
            name=escape(one_line(f"Decision {decision.number}: {decision.title}", 80)),
            uri=uri_of("decisions/", str(decision.number)),
            mime_type=_ROWS["decisions/"].mime,
        )
        for decision in orc.decisions.all()
    ]
    return [*listings, *topics, *decisions]
