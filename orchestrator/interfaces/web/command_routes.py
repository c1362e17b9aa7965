"""Every command of the board as a route, made from the catalogue: ``/api/commands/task/claim``."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import click
from starlette.datastructures import QueryParams

from orchestrator import Orchestrator
from orchestrator.core.errors import UsageError
from orchestrator.core.printable import shortened
from orchestrator.interfaces.catalogue import CommandCall
from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.groups import Command, Group
from orchestrator.interfaces.cli.rendering import Answer
from orchestrator.interfaces.cli.types import integer
from orchestrator.interfaces.web.answers import SELECTING

PREFIX = "/api/commands/"

MOST_WARNINGS, LONGEST = 10, 300
"""How many warnings a header has, and how long each of them may be."""

_ENDLESS = ("follow", "watch")
"""Options with which a command prints without end: a client has the stream."""


@cache
def calls() -> dict[str, CommandCall]:
    """The commands that are routes, by their path after the prefix."""
    return {path: call_of(path) for path in _paths(BOARD, "")}


def call_of(path: str) -> CommandCall:
    """The command of a path."""
    call = CommandCall(path.replace("/", " "), has_rare=True)
    call.parameters = [each for each in call.parameters if each.name not in _ENDLESS]
    return call


def _paths(group: Group, above: str) -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert isinstance(command, Command | Group), name
        if command.local:
            continue
        path = f"{above}{name}"
        if isinstance(command, Group):
            yield from _paths(command, f"{path}/")
        else:
            yield path


def methods_of(call: CommandCall) -> tuple[str, ...]:
    """``GET`` for a command that changes nothing, else ``POST``; both if that depends on its arguments."""
    if call.is_read_only:
        return ("GET",)
    return ("GET", "POST") if call.command.questions or call.command.reads else ("POST",)


def run(
    call: CommandCall, orc: Orchestrator, agent: str, arguments: dict[str, Any]
) -> tuple[Answer[Any], dict[str, str]]:
    """Run a command; a mistake that click finds is one of usage.

    Returns:
        Its answer, and the headers that say more: its exit status, and its warnings as a JSON array.

    Raises:
        UsageError: The arguments are wrong.
    """
    warnings: list[str] = []
    try:
        result = call.run(orc, agent, arguments, warnings, prog="orc")
    except click.ClickException as error:
        raise UsageError(error.format_message()) from None
    headers = {"Exit-Status": str(result.exit_status)}
    if warnings:
        shown = [shortened(text, LONGEST) for text in warnings[:MOST_WARNINGS]]
        headers["Warnings"] = json.dumps(shown)
    return result, headers


def arguments_of(call: CommandCall, query: QueryParams) -> dict[str, Any]:
    """The arguments in a query.

    Raises:
        UsageError: A value is not of the type of its argument.
    """
    kinds = {each.name: (each.kind, each.item_kind) for each in call.parameters}
    arguments: dict[str, Any] = {}
    for name in query:
        if name in SELECTING:
            continue
        kind, item_kind = kinds.get(name, ("string", "string"))
        values = [_value(name, text, item_kind) for text in query.getlist(name)]
        if kind != "array" and len(values) > 1:
            raise UsageError(f"{name!a} is there twice")
        arguments[name] = values if kind == "array" else values[0]
    return arguments


def check_question(call: CommandCall, arguments: dict[str, Any]) -> None:
    """Check that a command changes nothing with these arguments.

    Raises:
        UsageError: It does.
    """
    if not (call.is_read_only or call.command.only_reads(call.given(arguments))):
        raise UsageError(
            "With these arguments the command changes the board",
            hint="POST changes it.",
        )


def _value(name: str, text: str, kind: str) -> str | int | bool:
    """A text of a query as a value of a JSON type."""
    if kind == "integer":
        try:
            return integer(text)
        except ValueError as error:
            raise UsageError(f"{name!a} is an integer: {shortened(str(error), 80)}") from None
    if kind == "boolean" and text not in ("true", "false"):
        raise UsageError(f"{name!a} is true or false, not {text[:40]!a}")
    return text == "true" if kind == "boolean" else text
