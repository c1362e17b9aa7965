"""The pages of the help, made from the declarations; common options have their own page."""

import inspect
import re

import click

from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.groups import ALL, Command, Group
from orchestrator.interfaces.cli.help_lines import Row, rows, wrapped
from orchestrator.interfaces.cli.help_topics import TOPICS
from orchestrator.interfaces.cli.parameters import Argument, Option

LONGEST = 25
"""The most lines of the page of a command without ``--all``."""

_DAY = ("prime", "next", "show", "note", "done", "fail", "add", "ls", "say", "lock")
"""The commands of a day, in the order of the page."""


def page(command: click.Command, context: click.Context) -> str:
    """The help of a command or group; with ``--all`` rare options too."""
    if isinstance(command, Command):
        return _command_page(command, context)
    assert isinstance(command, Group)
    if command is BOARD and ALL not in context.meta:
        return _day(context)
    return _group_page(command, context)


def _command_page(command: Command, context: click.Context) -> str:
    everything = ALL in context.meta
    first, *others = inspect.cleandoc(command.help or "").split("\n\n")
    shown: list[Row] = []
    rare: list[str] = []
    for param in [*command.arguments, *command.options]:
        if isinstance(param, Option) and param.rare and not everything:
            rare.append(param.opts[0])
        elif not (isinstance(param, Argument) and _EVIDENT.fullmatch(param.help or "")):
            shown += filter(None, [param.get_help_record(context)])
    usage = [param.make_metavar(context) for param in command.arguments]
    more = f"More by --help --all: {', '.join(rare)}" if rare else "More by --help --all."
    return "\n".join(
        [
            *wrapped(" ".join([f"Usage: {context.command_path}", *usage])),
            *(
                line
                for text in [first, *others[: len(others) * everything]]
                for line in wrapped(text)
            ),
            *rows(shown),
            *wrapped(f"Example: {_example(command, context)}"),
            *(wrapped(more) if rare or (others and not everything) else []),
        ]
    )


_EVIDENT = re.compile(r"The \w+\.")
"""Help texts that only repeat the name of an argument."""


def _example(command: Command, context: click.Context) -> str:
    """The example with the words that led here: a group, or a verb at the top."""
    above = context.parent or context
    if isinstance(above.command, Group) and above.command.commands.get(command.name) is command:
        first, blank, rest = command.example.partition(" ")
        # An alias has the same options, so the example has the word that was typed.
        word = context.info_name if first == command.name else first
        return f"{above.command_path} {word}{blank}{rest}"
    return f"{context.command_path} {command.example.removeprefix(f'{command.name} ')}"


def _group_page(group: Group, context: click.Context) -> str:
    shown = group.list_commands(context)
    listed = [(", ".join(group.words[name]), _summary(group, name)) for name in shown]
    listed += [(verb, _summary(group, verb)) for verb in group.verbs]
    return "\n".join(
        [
            f"Usage: {context.command_path} COMMAND ...",
            *_without_command(group, context),
            *wrapped(group.help or ""),
            "Commands:",
            *rows(listed),
            *(
                line
                for command in group.declared[:1]
                for line in wrapped(f"Example: {context.command_path} {command.example}")
            ),
        ]
    )


def _without_command(group: Group, context: click.Context) -> list[str]:
    """The usage of a line that names no command: its arguments, or its default command."""
    command = group.get_command(None, group.otherwise or group.default)
    if not isinstance(command, Command) or (command.name == "list" and not group.otherwise):
        return []
    if not group.otherwise:
        return [f"Alone: {context.command_path} {command.name}"]
    usage = [param.make_metavar(context) for param in command.arguments]
    for param in command.options:
        if not param.rare:
            value = "" if param.is_flag else f" {param.make_metavar(context)}"
            usage.append(f"[{param.opts[0]}{value}]")
    return wrapped(f"   or: {' '.join([context.command_path, *usage])}", " " * 7)


def _summary(group: Group, name: str) -> str:
    """The first clause of a command's help; the rest is on its page."""
    first = (getattr(group.get_command(None, name), "help", "") or "").partition("\n")[0]
    clause = _CLAUSE.match(first)
    return (clause[0] if clause else first).removesuffix(".")


_CLAUSE = re.compile(r"\w+ [^.;:,]+(?=[.;:,] )")
"""Several words up to a stop; a comma after the first word belongs to a list of verbs."""


def _day(context: click.Context) -> str:
    prog = context.command_path
    listed = [(_usage(name), _summary(BOARD, name)) for name in _DAY]
    groups = ", ".join("/".join(group.names) for group in BOARD.groups)
    others = sorted(
        {*BOARD.list_commands(None), *BOARD.verbs} - {*_DAY} - {g.name for g in BOARD.groups}
    )
    return "\n".join(
        [
            f"Usage: {prog} COMMAND ...",
            *wrapped(BOARD.help or ""),
            "A day, once `export ORC_AGENT=NAME` says who you are:",
            *rows(listed),
            *wrapped(f"More: {', '.join(others)}"),
            *wrapped(f"Groups, each of which lists alone: {groups}"),
            *wrapped(
                f"`{prog} COMMAND --help` says more, `{prog} --help --all` all in a sentence each"
            ),
            *wrapped(
                f"Topics, by `{prog} help TOPIC` (`help topics` explains them): {', '.join(TOPICS)}"
            ),
        ]
    )


def _usage(name: str) -> str:
    command = BOARD.get_command(None, name)
    assert command is not None
    places = [p.make_metavar() for p in command.params if isinstance(p, Argument)]
    return " ".join([name, *places])
