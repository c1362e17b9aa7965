"""Tools that are commands of the command line: each is a row, the rest comes from the command's declaration.

A name of a row is a parameter of the command; one that the command does not have is a part of its words:
``task text`` are the words of ``task note ID TEXT``. ``!`` marks what is needed.
"""

from collections.abc import Callable, Mapping
from typing import Any

import click
import msgspec
from mcp_types import CallToolResult, TextContent, Tool, ToolAnnotations

from orchestrator import AsyncOrchestrator, Orchestrator
from orchestrator.core.errors import OrchestratorError, UsageError, did_you_mean
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.groups import Command
from orchestrator.interfaces.cli.rendering import Answer, plain
from orchestrator.interfaces.cli.run import Run
from orchestrator.interfaces.mcp.server import ServedTool


class CommandRow(msgspec.Struct, frozen=True):
    """A command as a tool.

    Attributes:
        command: Its words.
        names: The arguments of the tool, in order.
        always: Options of every call.
        about: What it does, if the summary of the command is about the command line.
        is_idempotent: Whether a second call with the same arguments changes nothing.
    """

    command: str
    names: str = ""
    always: tuple[str, ...] = ()
    about: str = ""
    is_idempotent: bool = False


_DAY: dict[str, CommandRow] = {
    "next": CommandRow("next", "workstream wait"),
    "done": CommandRow("done", "task result"),
    "fail": CommandRow("task fail", "task reason!"),
    "note": CommandRow("task note", "task text!"),
    "show": CommandRow("show", "task!"),
    "mail": CommandRow("mail check", always=("--inject",), about="Read your new mail."),
}

_BOARD: dict[str, CommandRow] = {
    "prime": CommandRow("prime"),
    "status": CommandRow("status"),
    "ready": CommandRow("ready", "workstream where limit"),
    "add": CommandRow("add", "workstream title! description priority needs labels parent"),
    "claim": CommandRow("claim", "task!", is_idempotent=True),
    "review": CommandRow("review", "task"),
    "approve": CommandRow("task approve", "task comment"),
    "reject": CommandRow("task reject", "task! reason!"),
    "lock": CommandRow("lock acquire", "resource! ttl wait shared", is_idempotent=True),
    "unlock": CommandRow("lock release", "resource!"),
    "search": CommandRow("search", "query!"),
    "kb_read": CommandRow("kb read", "topic!"),
    "kb_write": CommandRow("kb write", "topic! content!", is_idempotent=True),
    "plan": CommandRow("plan", "max"),
    "brief": CommandRow("brief", "target!"),
}

_MORE: dict[str, CommandRow] = {
    "release": CommandRow("task release", "task"),
    "block": CommandRow("task block", "task! reason!"),
    "unblock": CommandRow("task unblock", "task!"),
    "tasks": CommandRow("task list", "workstream where limit"),
    "blocked": CommandRow("task blocked"),
    "kb_append": CommandRow("kb append", "topic! content!"),
    "topics": CommandRow("kb list"),
    "decide": CommandRow("decision add", "title! context decision task"),
    "log": CommandRow("log", "last"),
}

MINIMAL, STANDARD = _DAY, {**_DAY, **_BOARD}
ALL = {**STANDARD, **_MORE}


class ToolRun(Run):
    """The run of a command for a tool: it keeps the answer, and has no stdin.

    Args:
        orc: The board for this call.
        agent: Who acts.
    """

    def __init__(self, orc: Orchestrator, agent: str) -> None:
        super().__init__()
        self._orc = orc
        self.settings.agent = agent
        self.settings.board = orc.folder
        self.answer: Answer | None = None

    @property
    def prog(self) -> str:
        """The program; the agent's command line finds the same board."""
        return "orc"

    def execute(self, command: Command, values: dict[str, Any]) -> int:
        """Run a command, and keep its answer."""
        assert command.callback is not None
        self.answer = command.callback(self, **values)
        return 0

    def stdin(self) -> Any:
        """Refuse: stdin carries the protocol.

        Raises:
            UsageError: Always.
        """
        raise UsageError("A tool has no stdin", hint="Give the text itself.")


class BoardTool:
    """A tool made from a row.

    Args:
        name: The name of the tool.
        row: The command.
        has_output: Whether its result is structured too.
    """

    def __init__(self, name: str, row: CommandRow, *, has_output: bool) -> None:
        self.row = row
        self.command = _command(row.command)
        self._known = {str(param.name): param for param in self.command.params}
        self.needed = [word[:-1] for word in row.names.split() if word.endswith("!")]
        self.names = [word.removesuffix("!") for word in row.names.split()]
        self._has_output = has_output
        self.definition = Tool(
            name=name,
            description=row.about or self.command.summary,
            input_schema=self._schema(),
            output_schema=_OUTPUT if has_output else None,
            annotations=self._annotations(),
        )

    def _annotations(self) -> ToolAnnotations:
        if self.command.reads is True:
            return ToolAnnotations(read_only_hint=True)
        return ToolAnnotations(
            destructive_hint=False, idempotent_hint=True if self.row.is_idempotent else None
        )

    def _schema(self) -> dict[str, Any]:
        properties = {name: self._schema_of(name) for name in self.names}
        schema: dict[str, Any] = {"type": "object", "properties": properties}
        return {**schema, "required": self.needed} if self.needed else schema

    def _schema_of(self, name: str) -> dict[str, Any]:
        about = _OPTIONAL_TASK if name == "task" and name not in self.needed else ""
        return _schema_of(self._known.get(name), about)

    def line(self, arguments: Mapping[str, Any]) -> list[str]:
        """The words of the command for the arguments of a call.

        Raises:
            UsageError: An argument is missing, not known, or of another type.
        """
        for name in arguments:
            if name not in self.names:
                raise UsageError(
                    f"There is no argument {name!a}{did_you_mean(name, self.names)}",
                    hint=f"The arguments are: {', '.join(self.names) or 'none'}.",
                )
        given = {name: value for name, value in arguments.items() if value is not None}
        missing = [name for name in self.needed if name not in given]
        if missing:
            raise UsageError(f"The argument {missing[0]!a} is missing")
        options, words = list(self.row.always), list[str]()
        for name in self.names:
            if name in given:
                param = self._known.get(name)
                texts = _texts(name, given[name], self._schema_of(name))
                if isinstance(param, click.Option) and param.is_flag:
                    options += [param.opts[0]] if given[name] else []
                elif isinstance(param, click.Option):
                    options += [f"{param.opts[0]}={text}" for text in texts]
                else:
                    words += texts
        return [*options, "--", *words]

    def run(self, orc: Orchestrator, agent: str, arguments: Mapping[str, Any]) -> CallToolResult:
        """Run the command on a board."""
        run = ToolRun(orc, agent)
        line = self.line(arguments)
        with self.command.make_context(self.row.command, line, obj=run) as context:
            self.command.invoke(context)
        if run.answer is None:
            return _result("")
        result = _result(run.answer.text())
        if self._has_output:
            result.structured_content = {"result": plain(run.answer.value)}
        if run.answer.after is not None:
            run.answer.after()
        return result


_OUTPUT: dict[str, Any] = {"type": "object", "properties": {"result": {}}, "required": ["result"]}


def board_tools(
    orc: AsyncOrchestrator,
    rows: Mapping[str, CommandRow],
    agent: Callable[[], str],
    warnings: list[str],
    *,
    has_output: bool = False,
) -> list[ServedTool]:
    """The tools of these rows.

    Args:
        orc: The board, which stays open.
        rows: The rows by name.
        agent: Returns who acts.
        warnings: What the board warns of; each answer takes what came.
        has_output: Whether results are structured too.
    """

    def served(name: str, row: CommandRow) -> ServedTool:
        tool = BoardTool(name, row, has_output=has_output)

        async def call(arguments: dict[str, Any]) -> CallToolResult:
            return await answered(
                orc, name, lambda plain_orc: tool.run(plain_orc, agent(), arguments), warnings
            )

        return ServedTool(tool.definition, call)

    return [served(name, row) for name, row in rows.items()]


async def answered(
    orc: AsyncOrchestrator,
    name: str,
    function: Callable[[Orchestrator], CallToolResult],
    warnings: list[str],
) -> CallToolResult:
    """The result of a call on the board; an error of the board is one of the tool, with its hint."""
    try:
        result = await orc.run(name, function)
    except OrchestratorError as error:
        hint = f"\nHint: {error.hint}" if error.hint else ""
        result = _result(f"Error: {error.message}{hint}", is_error=True)
    except click.ClickException as error:
        result = _result(f"Error: {error.format_message()}", is_error=True)
    except OSError as error:
        result = _result(f"Error: {error.strerror or error}", is_error=True)
    lines = [f"Warning: {text}" for text in warnings]
    warnings.clear()
    if lines:
        result.content.append(TextContent(type="text", text="\n".join(lines)))
    return result


def _result(text: str, *, is_error: bool = False) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=is_error)


def _command(words: str) -> Command:
    found: Any = BOARD
    for word in words.split():
        found = found.get_command(None, word)
    assert isinstance(found, Command)
    return found


_NUMBERS = (types.INTEGER, types.COUNT, types.POSITIVE, types.ID, types.PRIORITY)

_OPTIONAL_TASK = "Its id; else the one that you have."


def _schema_of(param: click.Parameter | None, about: str) -> dict[str, Any]:
    """The schema of a parameter; of a part of the words: a text."""
    if isinstance(param, click.Option) and param.is_flag:
        kind: dict[str, Any] = {"type": "boolean"}
    elif isinstance(param, click.Option) and param.multiple:
        kind = {"type": "array", "items": {"type": "string"}}
    elif param is not None and param.type in _NUMBERS:
        kind = {"type": "integer"}
    else:
        kind = {"type": "string"}
    about = about or getattr(param, "help", "") or ""
    return {**kind, "description": about} if about else kind


_KINDS: dict[str, type | tuple[type, ...]] = {
    "string": (str, int),
    "integer": (str, int),
    "boolean": bool,
    "array": list,
}
"""What a value may be; the command reads numbers from texts, and says what is wrong with them."""


def _texts(name: str, value: Any, schema: Mapping[str, Any]) -> list[str]:
    """The words for a value, as a line would have them."""
    kind = schema["type"]
    items = value if isinstance(value, list) else [value]
    is_kind = isinstance(value, _KINDS[kind]) and isinstance(value, bool) == (kind == "boolean")
    if not is_kind or not all(isinstance(item, str | int) for item in items):
        raise UsageError(f"The argument {name!a} is {kind}")
    return [str(item) for item in items]
