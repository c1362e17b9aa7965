"""A mistyped id is answered alike by every command that takes one."""

import re

import pytest

from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.groups import Command, Group

from .conftest import CommandLine

MISTYPED = "0badc0de"


def commands(group: Group = BOARD, path: str = "") -> list[tuple[str, Command]]:
    inner = [pair for each in group.groups for pair in commands(each, f"{path}{each.name} ")]
    return inner + [(f"{path}{command.name}", command) for command in group.declared]


OF_OTHERS = ("agent", "mail", "hook", "formula", "similar", "timeline")
"""What takes ids that are not those of tasks, or not only."""

BY_TASK = [
    path
    for path, command in commands()
    if path.split()[0] not in OF_OTHERS
    and any("ID" in a.make_metavar().split() or a.type is types.TASK_ID for a in command.arguments)
]
MORE = {"task reject": ["why"], "task block": ["why"], "task note": ["text"], "task defer": ["1d"]}
MORE |= {
    "task edit": ["--title", "T"],
    "sling": ["ann"],
    "task fail": ["why"],
    "task reopen": ["why"],
}
MORE |= {f"task {verb}": [MISTYPED] for verb in ("duplicate", "supersede", "dep add", "dep remove")}
MORE |= {
    "goal create": ["--due", "1d"],
    "task cancel": ["--reason", "why"],
    "task label add": ["x"],
    "task label remove": ["x"],
    "task move": ["w"],
}


@pytest.mark.parametrize("path", BY_TASK)
def test_a_mistyped_id_of_a_task_is_answered_alike(cli: CommandLine, path: str):
    cli("ws", "create", "w")
    cli("t", "add", "w", "T")
    named = ["c", MISTYPED] if path.startswith(("convoy", "goal")) else [MISTYPED]
    if path in ("convoy add", "convoy remove"):
        cli("convoy", "create", "c")
    if path in ("goal add", "goal remove"):
        cli("goal", "create", "c", "--due", "1d")
    shown = cli(*path.split(), *named, *MORE.get(path, []), "--agent", "ann", status=1)
    assert shown.out == ""
    assert shown.err.startswith(f"Error: There is no task '{MISTYPED}'\nHint: ")


TWICE = (
    "add T --labels x,x",
    "add T --touches x,x",
    "add T --verify x --verify x",
    "add T --artifact x --artifact x",
    "add T --needs TASK,TASK",
    "t edit TASK --labels x,x",
    "t archive TASK TASK",
    "t trust TASK TASK",
    "convoy create c TASK TASK",
    "goal create g TASK TASK --due 1d",
    "mail list l x x",
    "say x,x hello",
    "a register y --capability x,x",
    "kb write k text --tags x,x",
)


@pytest.mark.parametrize("line", TWICE)
def test_what_stands_twice_in_a_list_is_refused_alike(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, line: str
):
    monkeypatch.setenv("ORC_AGENT", "ann")
    cli("ws", "create", "w")
    task = cli("t", "add", "w", "T", "--json").json["id"]
    shown = cli(*line.replace("TASK", task).split(), status=2)
    assert re.fullmatch(r"Error: `[a-z]+` contains '\w+' twice", shown.err.splitlines()[0])


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("add T --label", "labels"),
        ("add T --needs", "needs"),
        ("add T --touches", "touches"),
        ("t add w T --label", "labels"),
        ("ls --label", "labels"),
        ("ls --any-label", "any_labels"),
        ("t ls --label", "labels"),
    ],
)
def test_an_empty_list_where_there_is_nothing_to_clear_is_refused_alike(
    cli: CommandLine, line: str, what: str
):
    cli("ws", "create", "w")
    shown = cli(*line.split(), "", status=2)
    assert shown.err.startswith(f"Error: The list of {what} is empty\n")
