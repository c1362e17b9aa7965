"""Tools that are commands of the board: each is a row, the rest comes from the command's declaration."""

import json
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import click
import msgspec
from mcp_types import CallToolResult, TextContent, Tool, ToolAnnotations

from orchestrator import AsyncOrchestrator, Orchestrator
from orchestrator.core.errors import OrchestratorError
from orchestrator.interfaces.catalogue import MARK, CommandCall, command_at, command_of
from orchestrator.interfaces.cli.groups import Command
from orchestrator.interfaces.cli.rendering import error_text, plain
from orchestrator.interfaces.mcp.served import Due, ServedTool


class CommandRow(msgspec.Struct, frozen=True):
    """A command as a tool.

    Attributes:
        command: Its words.
        names: The arguments of the tool, as :class:`CommandCall` takes them.
        always: Options of every call.
        about: What it does, if the summary of the command is about the command line.
        also: Other commands that answers and hints name, which are this tool too.
    """

    command: str
    names: str | None = None
    always: tuple[str, ...] = ()
    about: str = ""
    also: tuple[str, ...] = ()


_DAY: dict[str, CommandRow] = {
    "next": CommandRow("next", "workstream wait", also=("task next",)),
    "done": CommandRow("done", "task result:message", also=("task complete",)),
    "fail": CommandRow("task fail", "task reason!"),
    "note": CommandRow("task note", "task text!"),
    "show": CommandRow("task show", "task!"),
    "mail": CommandRow(
        "mail check", "", ("--inject",), "Read your new mail.", also=("mail inbox",)
    ),
}

_BOARD: dict[str, CommandRow] = {
    "prime": CommandRow("prime", ""),
    "status": CommandRow("status", ""),
    "ready": CommandRow("task ready", "workstream where limit"),
    "add": CommandRow("add", "workstream title! description priority needs labels parent"),
    "claim": CommandRow("task claim", "task!"),
    "review": CommandRow("task review", "task"),
    "approve": CommandRow("task approve", "task comment"),
    "reject": CommandRow("task reject", "task! reason!"),
    "lock": CommandRow("lock acquire", "resource! ttl wait shared"),
    "unlock": CommandRow("lock release", "resource!"),
    "search": CommandRow("search", "words!"),
    "kb_read": CommandRow("kb read", "topic!"),
    "kb_write": CommandRow("kb write", "topic! content!"),
    "plan": CommandRow("runner plan", "max"),
    "brief": CommandRow("runner brief", "target!"),
}

_MORE: dict[str, CommandRow] = {
    "release": CommandRow("task release"),
    "block": CommandRow("task block"),
    "unblock": CommandRow("task unblock"),
    "edit": CommandRow("task edit"),
    "tasks": CommandRow("task list", "workstream where limit"),
    "blocked": CommandRow("task blocked"),
    "kb_append": CommandRow("kb append"),
    "topics": CommandRow("kb list"),
    "decide": CommandRow("decision add"),
    "merges": CommandRow("merge list"),
    "mail_read": CommandRow("mail read"),
    "reply": CommandRow("mail reply", "id! text!"),
    "handoff": CommandRow("handoff", "subject message collect keep"),
    "log": CommandRow("log", "last"),
}

MINIMAL, STANDARD = _DAY, {**_DAY, **_BOARD}
ALL = {**STANDARD, **_MORE}


class BoardTool:
    """A tool made from a row.

    Args:
        name: The name of the tool.
        row: The command.
        has_output: Whether its result is structured too.
    """

    def __init__(self, name: str, row: CommandRow, *, has_output: bool = False) -> None:
        self.name = name
        self.row = row
        self.call = CommandCall(row.command, row.names, row.always)
        self._has_output = has_output
        self.definition = Tool(
            name=name,
            description=row.about or self.call.command.summary,
            input_schema=self.call.input_schema(),
            output_schema=_output_schema(self.call.command) if has_output else None,
            annotations=self._annotations(),
        )

    def _annotations(self) -> ToolAnnotations:
        call = self.call
        if call.is_read_only:
            return ToolAnnotations(read_only_hint=True)
        # Without the hint a tool counts as destructive.
        return ToolAnnotations(
            destructive_hint=None if call.command.destructive else False,
            idempotent_hint=call.command.idempotent or None,
        )

    @property
    def waits(self) -> bool:
        """Whether a call may wait for others."""
        return any(parameter.name == "wait" for parameter in self.call.parameters)

    def run(
        self,
        orc: Orchestrator,
        agent: str,
        arguments: Mapping[str, Any],
        words: "ToolWords",
        warnings: list[str],
    ) -> tuple[CallToolResult, Callable[[], object] | None]:
        """Run the command on a board: the result, and what is due once it was written."""
        answer = self.call.run(orc, agent, arguments, warnings)
        result = _result(words.of_answer(answer.text()))
        if self._has_output:
            result.structured_content = {"result": words.of_value(plain(answer.value))}
        return result, answer.after


def _output_schema(command: Command) -> dict[str, Any]:
    """The schema of the structured result of a tool."""
    from orchestrator.interfaces.result_schemas import ResultSchemas

    schemas = ResultSchemas("#/$defs/{name}", is_brief=True)
    result = schemas.of_command(command)
    return {
        "type": "object",
        "properties": {"result": result},
        "required": ["result"],
        **({"$defs": schemas.definitions} if schemas.definitions else {}),
    }


class ToolWords:
    """Puts tools in place of command lines: an agent that has these tools may have no shell.

    Args:
        tools: The tools that are served.
    """

    def __init__(self, tools: Iterable[BoardTool]) -> None:
        self._tools: dict[click.Command, BoardTool] = {}
        for tool in tools:
            for words in (tool.row.command, *tool.row.also):
                self._tools[command_of(words)] = tool

    def of_answer(self, text: str) -> str:
        """The text of an answer, in which ``MARK`` begins each command line."""
        return _LINE.sub(lambda match: self._replaced(match[1], "orc "), text)

    def of_hint(self, text: str) -> str:
        """A hint of the board, in which command lines are in backticks and have no program."""
        return _QUOTED.sub(lambda match: f"`{self._replaced(match[1], '')}`", text)

    def of_value(self, value: Any) -> Any:
        """A value with the same in its texts."""
        if isinstance(value, str):
            return self.of_answer(value) if MARK in value else value
        if isinstance(value, dict):
            return {name: self.of_value(item) for name, item in value.items()}
        return [self.of_value(item) for item in value] if isinstance(value, list) else value

    def _replaced(self, line: str, prog: str) -> str:
        try:
            words = shlex.split(line)
        except ValueError:
            return prog + line
        if words[:1] == ["--agent"]:  # the agent is the one of this server
            words = words[2:]
        command, rest = command_at(words)
        if command is None:
            return prog + line
        tool = self._tools.get(command)
        called = _as_call(tool, rest) if tool is not None else None
        return called or f"orc {line}"


_LINE = re.compile(MARK + r"orc ([^`\n\x02]*)")
_QUOTED = re.compile(r"`([^`\n]*)`")


def _as_call(tool: BoardTool, words: list[str]) -> str | None:
    """The words after a command as a call of the tool: ``done(task="1a2b", result="RESULT")``.

    None: the tool does not take them.
    """
    given: dict[str, Any] = {}
    flags = {
        flag: parameter
        for parameter in tool.call.parameters
        if parameter.is_option and parameter.declared is not None
        for flag in parameter.declared.opts
    }
    texts, rest = list[str](), list(words)
    while rest:
        word = rest.pop(0)
        flag, _, value = word.partition("=")
        if flag in flags:
            is_flag = getattr(flags[flag].declared, "is_flag", False)
            given[flags[flag].name] = True if is_flag else value or (rest.pop(0) if rest else "")
        elif word.startswith("--") and word not in tool.row.always:
            return None
        elif word not in tool.row.always:
            texts.append(word)
    placed = _placed(tool, texts)
    if placed is None:
        return None
    given = placed | given
    kinds = {parameter.name: parameter.kind for parameter in tool.call.parameters}
    values = (f"{name}={_shown(value, kinds[name])}" for name, value in given.items())
    return f"{tool.name}({', '.join(values)})" if given else tool.name


def _shown(value: str | bool, kind: str) -> str:
    """A value of a call as JSON."""
    is_number = kind == "integer" and isinstance(value, str) and value.isdecimal()
    return str(value) if is_number else json.dumps(value, ensure_ascii=False)


def _placed(tool: BoardTool, texts: list[str]) -> dict[str, str] | None:
    """The arguments that words by position are; None if there are too many.

    ``RESULT`` stands for a result. Other words are what is needed, or all in order if there are more.
    """
    places = [parameter.name for parameter in tool.call.parameters if parameter.has_place]
    needed = [p.name for p in tool.call.parameters if p.has_place and p.is_required]
    given = {text.lower(): text for text in texts if text.isupper() and text.lower() in places}
    others = [text for text in texts if text not in given.values()]
    free = [
        name for name in (needed if len(others) <= len(needed) else places) if name not in given
    ]
    if len(others) > len(free):
        return None
    given |= dict(zip(free, others, strict=False))
    return {name: given[name] for name in places if name in given}


def board_tools(
    orc: AsyncOrchestrator,
    tools: Iterable[BoardTool],
    agent: Callable[[], str],
    warnings: list[str],
    words: ToolWords,
) -> list[ServedTool]:
    """Tools for the calls of an agent.

    Args:
        orc: The board, which stays open.
        tools: The tools.
        agent: Returns who acts.
        warnings: What the board warns of; each answer takes what came.
        words: Puts tools in place of command lines.
    """

    def served(tool: BoardTool) -> ServedTool:
        async def call(arguments: dict[str, Any], due: list[Due]) -> CallToolResult:
            def run(plain_orc: Orchestrator) -> CallToolResult:
                result, after = tool.run(plain_orc, agent(), arguments, words, warnings)
                if after is not None:
                    due.append(lambda: orc.run(tool.name, lambda _: after(), earlier=plain_orc))
                return result

            return await answered(orc, tool.name, run, warnings, words)

        return ServedTool(tool.definition, call, waits=tool.waits)

    return [served(tool) for tool in tools]


async def answered(
    orc: AsyncOrchestrator,
    name: str,
    function: Callable[[Orchestrator], CallToolResult],
    warnings: list[str],
    words: ToolWords | None = None,
) -> CallToolResult:
    """The result of a call on the board; an error of the board is one of the tool, with its hint."""
    words = words or ToolWords(())
    try:
        result = await orc.run(name, function)
    except OrchestratorError as error:
        error.hint = words.of_hint(error.hint)
        result = _result(error_text(error).rstrip("\n"), is_error=True)
    except click.ClickException as error:
        result = _result(f"Error: {_sentence(error)}", is_error=True)
    except OSError as error:
        result = _result(f"Error: {error.strerror or error}", is_error=True)
    lines = [f"Warning: {words.of_answer(text)}" for text in warnings]
    warnings.clear()
    if lines:
        result.content.append(TextContent(type="text", text="\n".join(lines)))
    return result


def _sentence(error: click.ClickException) -> str:
    """What is wrong with an argument, by its name as the tool has it."""
    param = getattr(error, "param", None)
    if isinstance(error, click.BadParameter) and param is not None:
        return f"The argument {param.name!a}: {error.message}"
    return error.format_message()


def _result(text: str, *, is_error: bool = False) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=is_error)
