"""Every command gives the same answer to a mistyped id, a repeated item and an empty item."""

import re

import pytest

from orchestrator import Orchestrator, OrchestratorError
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
    "t add w T --meta x=1 --meta x=2",
    "formula show f --var x=1 --var x=2",
    "ls --label x,x",
    "ls --status done,done",
    "search x --in note,note",
    "mail send bob s --cc x,x",
    "convoy create c TASK --notify x,x",
    "t fail --ids TASK,TASK",
)


@pytest.mark.parametrize("line", TWICE)
def test_what_stands_twice_in_a_list_is_refused_alike(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, line: str
):
    monkeypatch.setenv("ORC_AGENT", "ann")
    cli("ws", "create", "w")
    task = cli("t", "add", "w", "T", "--json").json["id"]
    shown = cli(*line.replace("TASK", task).split(), status=2)
    assert re.fullmatch(r"Error: `[a-z]+` contains '[^']+' twice", shown.err.splitlines()[0])


LISTS = {
    "add T": "labels touches needs",
    "t add w T": "labels touches needs verify artifacts meta",
    "t edit TASK": "labels touches needs verify artifacts",
    "ls": "labels any-labels status",
    "t ls": "labels any-labels status",
    "a register y": "capabilities",
    "kb write k text": "tags",
    "kb append k text": "tags",
    "search x": "in status",
    "convoy create c TASK": "notify",
    "mail send bob s": "cc",
    "t fail": "ids",
    "formula show f": "var",
}
"""Options of commands that take a list."""

ONE_BY_ONE = {"verify", "artifacts", "meta", "var"}
"""Those whose items may contain commas."""

CLEARING = {"t edit TASK", "kb write k text", "kb append k text"}
"""Commands of what has a list already, which an empty one clears."""

OPTIONS = [(line, option) for line, options in LISTS.items() for option in options.split()]


def words_of(cli: CommandLine, line: str) -> list[str]:
    cli("ws", "create", "w")
    task = cli("t", "add", "w", "T", "--json").json["id"]
    return [*line.replace("TASK", task).split(), "--agent", "ann"]


@pytest.mark.parametrize(("line", "option"), OPTIONS)
def test_an_empty_item_of_a_list_is_refused_alike(cli: CommandLine, line: str, option: str):
    words, flag = words_of(cli, line), f"--{option}"
    item = "a=1" if option in ("meta", "var") else "done" if option == "status" else "note"
    lists = [[flag, item, flag, ""], [flag, "", flag, item], [flag, "", flag, ""]]
    if option not in ONE_BY_ONE:
        lists += [[flag, f"{item},"], [flag, f",{item}"], [flag, f"{item}, ,x"]]
    for given in lists:
        if "x" in "".join(given) and option in ("status", "in"):
            continue  # not a word of the choice
        refused = cli(*words, *given, status=2).err.splitlines()
        assert re.fullmatch(r"Error: `[a-z_]+` contains an empty text", refused[0]), given
        assert refused[1:] == ["Hint: Leave it out."]


@pytest.mark.parametrize(("line", "option"), OPTIONS)
def test_an_empty_list_clears_what_there_is_and_is_refused_elsewhere(
    cli: CommandLine, line: str, option: str
):
    words = [*words_of(cli, line), f"--{option}", ""]
    if line in CLEARING:
        cli(*words)
    else:
        refused = cli(*words, status=2).err.splitlines()
        assert re.fullmatch(r"Error: The list of [a-z_]+ is empty", refused[0])
        assert refused[1:] == ["Hint: Leave the option out."]


@pytest.mark.parametrize("addresses", ["bob,", ",bob", "bob,,eve"])
def test_an_empty_address_is_refused_alike(cli: CommandLine, addresses: str):
    shown = cli("mail", "send", addresses, "s", "--agent", "ann", status=2)
    assert shown.err.startswith("Error: `addresses` contains an empty text\n")


def test_python_refuses_an_empty_item_alike(orc: Orchestrator):
    orc.workstreams.create("w")
    task = orc.tasks.add("w", title="T").id
    for call in (
        lambda: orc.tasks.add("w", title="T", labels=["a", ""]),
        lambda: orc.tasks.edit(task, touches=["", "a"]),
        lambda: orc.tasks.all(labels=[""]),
        lambda: orc.agents.register("x", capabilities=[""]),
        lambda: orc.knowledge.write("k", "x", tags=["a", ""]),
        lambda: orc.convoys.create("c", [task], notify=["bob", ""]),
        lambda: orc.mail.send(["bob", ""], "s", agent="ann"),
        lambda: orc.mail.send("bob,,eve", "s", agent="ann"),
        lambda: orc.tasks.each("fail", [task, ""]),
        lambda: orc.batch.apply([{"title": "T", "labels": "a,,b"}], workstream="w"),
        lambda: orc.batch.apply([{"title": "T", "labels": ["a", ""]}], workstream="w"),
    ):
        with pytest.raises(OrchestratorError, match="contains an empty text"):
            call()
