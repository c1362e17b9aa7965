"""The commands of the board as calls: typed arguments with a JSON schema, effects, types of results.

It is made from the declarations of the command line, and knows no protocol: the server for agents
makes tools of it, and any other interface for programs can be made of it too.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import click
import msgspec

from orchestrator import Orchestrator
from orchestrator.core.errors import UsageError, did_you_mean
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.groups import AGENT_FILTER, Command, Group
from orchestrator.interfaces.cli.parameters import Option
from orchestrator.interfaces.cli.rendering import Answer, kept_warnings
from orchestrator.interfaces.cli.run import Run

_UNSET: Any = getattr(click.core, "UNSET", None)
"""What newer versions of click have for an option that is not there, until a line has been read."""

MARK = "\x02"
"""Begins each command line in the text of an answer. No text of the board holds it unescaped."""


def command_of(words: str) -> Command:
    """The command that these words name: ``task fail``."""
    named: Any = BOARD
    for word in words.split():
        named = named.get_command(None, word)
    assert isinstance(named, Command), words
    return named


class Parameter(msgspec.Struct, frozen=True):
    """An argument of a call.

    Attributes:
        name: Its name.
        schema: The JSON schema of a value.
        is_required: Whether a call needs it.
        declared: The parameter of the command; None: it is a part of the command's words.
        has_place: Whether a line can have it by position.
    """

    name: str
    schema: dict[str, Any]
    is_required: bool = False
    declared: click.Parameter | None = None
    has_place: bool = True

    def raw(self, value: Any) -> Any:
        """A value as click takes it from a line.

        Raises:
            UsageError: It is of another type.
        """
        texts = self.texts(value)
        assert self.declared is not None
        if isinstance(self.declared, click.Option) and self.declared.is_flag:
            return value
        if self.declared.nargs == -1:
            return tuple(texts)
        return texts if self.declared.multiple else texts[0]

    @property
    def is_option(self) -> bool:
        """Whether its words belong before those of arguments."""
        return isinstance(self.declared, click.Option)

    def texts(self, value: Any) -> list[str]:
        """The texts of a value.

        Raises:
            UsageError: It is of another type.
        """
        items = value if self.kind == "array" else [value]
        type_, words = _TYPES[self.item_kind]
        if not isinstance(items, list) or any(type(item) is not type_ for item in items):
            what = f"an array of {self.item_kind}s" if self.kind == "array" else words
            raise UsageError(f"The argument {self.name!a} is {what}")
        return [str(item) for item in items]

    @property
    def kind(self) -> str:
        """The JSON type of a value."""
        return str(self.schema["type"])

    @property
    def item_kind(self) -> str:
        """The JSON type of an item, if a value is an array; else of the value."""
        return str(self.schema["items"]["type"]) if self.kind == "array" else self.kind


_TYPES: dict[str, tuple[type, str]] = {
    "string": (str, "a string"),
    "integer": (int, "an integer"),
    "boolean": (bool, "a boolean"),
}
"""The type of a value of a JSON type, and its name in messages."""


class CommandCall:
    """A command of the board as a call.

    Args:
        command: Its words: ``task fail``.
        names: Its arguments in order, ``!`` marks what is needed; ``result:message`` is the option
            ``--message`` under another name. By default all that the command declares, without rare ones.
        always: Options of every call.
        has_rare: Whether the arguments by default include the rare ones.
    """

    def __init__(
        self,
        command: str,
        names: str | None = None,
        always: tuple[str, ...] = (),
        *,
        has_rare: bool = False,
    ) -> None:
        self.words = command
        self.command = command_of(command)
        self._always = [str(p.name) for p in self.command.options if {*p.opts} & {*always}]
        declared = _declared(self.command)
        self.parameters = (
            [
                p
                for p in declared.values()
                if p.declared is None or not _is_left_out(p.declared, has_rare=has_rare)
            ]
            if names is None
            else [_named(word, declared) for word in names.split()]
        )

    @property
    def is_read_only(self) -> bool:
        """Whether it changes nothing, whatever its arguments are."""
        return self.command.reads is True

    def input_schema(self) -> dict[str, Any]:
        """The JSON schema of the arguments."""
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {parameter.name: parameter.schema for parameter in self.parameters},
        }
        required = [parameter.name for parameter in self.parameters if parameter.is_required]
        return {**schema, "required": required} if required else schema

    def given(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as click takes them from a line: texts by the name of the parameter.

        No text is ever read as an option, because there is no line.

        Raises:
            UsageError: An argument is missing, not known, or of another type.
        """
        names = [parameter.name for parameter in self.parameters]
        for name in arguments:
            if name not in names:
                raise UsageError(
                    f"There is no argument {name!a}{did_you_mean(name, names)}",
                    hint=f"The arguments are: {', '.join(names) or 'none'}.",
                )
        values: dict[str, Any] = dict.fromkeys(self._always, True)
        parts: list[str] = []
        for parameter in self.parameters:
            value = arguments.get(parameter.name)
            if value is None:
                if parameter.is_required:
                    raise UsageError(f"The argument {parameter.name!a} is missing")
            elif parameter.declared is None:
                parts += parameter.texts(value)
            else:
                values[str(parameter.declared.name)] = parameter.raw(value)
        if parts:
            words = next(p for p in self.command.arguments if p.nargs == -1)
            values[str(words.name)] = tuple(parts)
        return values

    def run(
        self,
        orc: Orchestrator,
        agent: str,
        arguments: Mapping[str, Any],
        warnings: list[str],
        prog: str = f"{MARK}orc",
    ) -> Answer[Any]:
        """Run the command on a board.

        Args:
            orc: The board.
            agent: Who acts.
            arguments: The arguments.
            warnings: Gets the warnings and notes of the command.
            prog: The program in the command lines of the answer.
        """
        run = _CallRun(orc, agent, prog)
        run.names_task = arguments.get("task") is not None
        given = self.given(arguments)
        with (
            kept_warnings(warnings),
            click.Context(self.command, info_name=self.words, obj=run) as context,
        ):
            filters = [AGENT_FILTER] if self.command.filters_agent else []
            for param in (*self.command.params, *filters):
                param.handle_parse_result(context, given, [])
            for name, value in context.params.items():
                if value is _UNSET:
                    context.params[name] = None
            with suppress(click.exceptions.Exit):  # a saved question is the command behind it
                self.command.invoke(context)
        return run.answer


class _CallRun(Run):
    """The run of a command that keeps the answer, and has no stdin."""

    def __init__(self, orc: Orchestrator, agent: str, prog: str) -> None:
        super().__init__()
        self._orc = orc
        self._prog = prog
        self.settings.agent = agent
        self.settings.board = orc.folder
        self.answer: Answer[Any] = Answer(None, str)
        self.show = self._keep

    @property
    def prog(self) -> str:
        """The program; the agent's command line finds the same board."""
        return self._prog

    def actor(self, named: str | None) -> str | None:
        """The agent that a command names, else who acts: a call always has both."""
        return named or self.settings.agent

    def execute(self, command: Command, values: dict[str, Any]) -> int:
        """Run a command, and keep its answer."""
        assert command.callback is not None
        self.answer = command.callback(self, **values) or self.answer
        return 0

    def _keep(self, answer: Answer[Any], **_how: bool) -> None:
        self.answer = answer

    def stdin(self) -> Any:
        """Refuse: there is no line that could read one.

        Raises:
            UsageError: Always.
        """
        raise UsageError("A call has no stdin", hint="Give the text itself.")


def _declared(command: Command) -> dict[str, Parameter]:
    """What a command takes: its arguments and options, and the parts of its words."""
    parameters: dict[str, Parameter] = {}
    for param in command.params:
        for name, is_required in _parts(param):
            schema = _LIST if name == "tasks" else {"type": "string"}
            parameters.setdefault(name, Parameter(name, schema, is_required))
        if not _parts(param):
            name = str(param.name)
            has_place = name in parameters or not isinstance(param, click.Option)
            schema = _schema_of(param)
            parameters[name] = Parameter(name, schema, param.required, param, has_place)
    if command.filters_agent:
        parameters["agent"] = Parameter("agent", _schema_of(AGENT_FILTER), declared=AGENT_FILTER)
    return parameters


def _parts(param: click.Parameter) -> list[tuple[str, bool]]:
    """The names of the words of an argument such as ``[[WS] ID] REASON...``, and whether each is needed."""
    usage = (param.metavar or "").replace("[WS] ", "")
    if param.nargs != -1 or "ID" not in usage or _is_integer(param.type):
        return []
    return [(_PARTS.get(word, word.lower()), not bracket) for bracket, word in _PART.findall(usage)]


_PART = re.compile(r"(\[?)([A-Z]+)")

_PARTS = {"ID": "task", "IDS": "tasks"}

_LIST: dict[str, Any] = {"type": "array", "items": {"type": "string"}}


def _is_left_out(param: click.Parameter, *, has_rare: bool) -> bool:
    """Whether calls do without it: what is rare, names who acts, or is about files of the caller."""
    is_rare = isinstance(param, Option) and param.rare and not has_rare
    names_actor = param.name == "agent" and param is not AGENT_FILTER
    is_for_lines = param.name == "ids" and isinstance(param, click.Option)
    return is_rare or names_actor or is_for_lines or param.type in _FILES


_FILES = (types.FILE, types.FOLDER, types.TEXT_FILE, types.OUTPUT_FILE, types.OUTPUT_FOLDER)


def _named(word: str, declared: Mapping[str, Parameter]) -> Parameter:
    name, needed = word.removesuffix("!"), word.endswith("!")
    name, _, option = name.partition(":")
    parameter = declared.get(option or name) or Parameter(name, {"type": "string"})
    schema, has_place = parameter.schema, parameter.has_place
    if option:
        schema, has_place = {"type": "string"}, name in declared
    elif name == "task" and not needed and not parameter.is_option:
        schema = {**schema, "description": "Its id; else the one that you have."}
    return msgspec.structs.replace(
        parameter, name=name, schema=schema, is_required=needed, has_place=has_place
    )


def _schema_of(param: click.Parameter) -> dict[str, Any]:
    if isinstance(param, click.Option) and param.is_flag:
        kind: dict[str, Any] = {"type": "boolean"}
    elif isinstance(param.type, types.Several):
        kind = {"type": "array", "items": _kind_of(param.type.of)}
    elif param.nargs == -1 and param.type is not types.TEXT:
        kind = {"type": "array", "items": _kind_of(param.type)}
    else:
        kind = _kind_of(param.type)
    about = getattr(param, "help", "") or ""
    return {**kind, "description": about} if about else kind


def _is_integer(type_: types.ParamType) -> bool:
    return isinstance(type_, types.Type) and type_.is_integer


def _kind_of(type_: types.ParamType) -> dict[str, Any]:
    if _is_integer(type_):
        return {"type": "integer"}
    words = type_.words if isinstance(type_, types.Type) else ()
    return {"type": "string", "enum": list(words)} if words else {"type": "string"}


def command_at(words: list[str]) -> tuple[Command | None, list[str]]:
    """The command at the beginning of a line, and the words after it."""
    named: Any = BOARD
    rest = list(words)
    while isinstance(named, Group) and rest and named.get_command(None, rest[0]) is not None:
        named = named.get_command(None, rest.pop(0))
    return (named if isinstance(named, Command) else None), rest
