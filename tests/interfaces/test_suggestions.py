"""An unknown name is answered with the known one that was probably meant, if one is near."""

import re

import pytest

from orchestrator.core.errors import did_you_mean, suggestion

from .conftest import CommandLine


@pytest.fixture
def named(cli: CommandLine) -> str:
    """A board with a name of every kind on it; returns the id of the task."""
    cli("ws", "create", "build")
    task = cli("add", "Parser", "--label", "parsing", "--type", "feature", "--json").json["id"]
    cli("a", "register", "agent-one")
    cli("t", "claim", task, "agent-one")
    cli("kb", "write", "findings", "text")
    cli("convoy", "create", "release-one", task)
    cli("lock", "git-main", "agent-one")
    cli("mail", "list", "team", "agent-one")
    return str(task)


LINES = {
    "ls biuld": "build",
    "brief biuld": "build",
    "t ready biuld": "build",
    "a retire agent-onw": "agent-one",
    "a rename agent-onw x": "agent-one",
    "say agent-onw hello": "agent-one",
    "sling TASK agent-onw --dry-run --force": "agent-one",
    "ls --agent agent-onw": "agent-one",
    "say list:taem hello": "team",
    "mail list taem": "team",
    "ls --label parsign": "parsing",
    "ls --type featuer": "feature",
    "ls --status pendign": "pending",
    "ls --sort priorty": "priority",
    "say agent-one hello --priority hihg": "high",
    "t graph --format mermiad": "mermaid",
    "t dep add TASK TASK --type need": "needs",
    "convoy status release-on": "release-one",
    "convoy add release-on TASK": "release-one",
    "formula show featrue": "feature",
    "formula pour featrue": "feature",
    "kb read findigns": "findings",
    "kb history findigns": "findings",
    "lock break git-mian --reason x": "git-main",
    "lock release git-mian agent-one": "git-main",
    "lock renew git-mian agent-one": "git-main",
    "log --type task.addd": "task.added",
}

MISTYPED = re.compile(
    "biuld|agent-onw|taem|parsign|featuer|pendign|priorty|hihg|mermiad|need|release-on|featrue"
    "|findigns|git-mian|task.addd"
)


@pytest.mark.parametrize("line", LINES)
def test_an_unknown_name_is_answered_with_the_known_one(cli: CommandLine, named: str, line: str):
    shown = cli(*line.replace("TASK", named).split(), status=None)
    assert f"id you mean '{LINES[line]}'?" in shown.out + shown.err


@pytest.mark.parametrize("line", LINES)
def test_a_name_that_is_like_none_gets_no_suggestion(cli: CommandLine, named: str, line: str):
    strange = MISTYPED.sub("zzqq", line.replace("TASK", named))
    assert "zzqq" in strange
    shown = cli(*strange.split(), status=None)
    assert "id you mean" not in shown.out + shown.err


def test_what_is_far_off_is_not_suggested():
    assert did_you_mean("lead", ["ned", "bead-store"]) == ""
    assert did_you_mean("carl", ["clarence"]) == ""
    assert did_you_mean("build", ["build", "built"]) == "", "it is known"
    assert did_you_mean("biuld", ["build", "built"]) == "; did you mean 'build'?"
    assert suggestion("biuld", ["build"]) == "Did you mean 'build'?"
    assert suggestion("x", [f"x{n}" for n in range(1000)]) == "", "as many are no help"


def test_who_looks_for_the_end_of_a_deferral_is_led_there(cli: CommandLine) -> None:
    cli("ws", "create", "w")
    task = cli("t", "add", "w", "T", "--defer", "1d", "--json").json["id"]
    assert f"`orc t defer {task}`" in cli("t", "undefer", task, status=2).err
    assert 't defer ID ""' in cli("t", "defer", task, status=2).err
    assert cli("t", "defer", task, "").out.endswith("not put off any more\n")


def test_the_nearest_command_of_the_whole_board_is_suggested(cli: CommandLine) -> None:
    """A word that is like the name of a group does not lead to a command of ``task``."""
    assert "`orc worktree list`" in cli("wortree", "list", status=2).err
    assert "`orc merge list`" in cli("merge", "queue", status=2).err
