"""Questions about tasks: lint, similar, and the note about a similar task when adding one."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from boards import SettableClock

from orchestrator import Orchestrator

from .conftest import CommandLine


def added(cli: CommandLine, title: str, *options: str) -> str:
    task: str = cli("t", "add", "w", title, *options, "--json").json["id"]
    return task


def test_lint_names_the_commands_that_mend_and_they_do(cli: CommandLine) -> None:
    cli("ws", "create", "w")
    assert cli("t", "lint").out == "Nothing is wrong with the open tasks.\n"
    need = added(cli, "Need", "--acceptance", "Works", "--estimate", "1h", "--priority", "9")
    task = added(cli, "Write\x1b it", "--needs", need, "--priority", "1")
    other = added(cli, "Late", "--acceptance", "x", "--estimate", "5", "--defer", "2999-01-01")
    shown = cli("t", "lint", status=1)
    assert shown.lines == [
        f"{task}: Write\\x1b it",
        f"    it is P1 and waits for {need}, which is P9: `orc t edit {need} --priority 1`",
        f"    it does not say when it is done: `orc t edit {task} --acceptance TEXT`",
        f"    it has no estimate: `orc t edit {task} --estimate 2h`",
        f"{other}: Late",
        f'    it is put off until 2999-01-01: `orc t defer {other} ""`',
        "Flaws: 4, tasks: 2.",
    ]
    assert [
        f["rule"] for f in cli("t", "lint", "--where", "label is empty", "--json", status=1).json
    ] == [
        "less_urgent_need",
        "no_acceptance",
        "no_estimate",
        "deferred_for_ever",
    ]
    for line in shown.lines:
        if "`" in line:
            cli(*shlex.split(line.split("`")[1])[1:])
    assert cli("t", "lint", "w").out == "Nothing is wrong with the open tasks.\n"
    assert cli("t", "lint", "--json").json == []


def test_similar_shows_how_like_tasks_are(cli: CommandLine) -> None:
    cli("ws", "create", "w")
    task = added(cli, "Write the parser")
    assert cli("similar", "write parser").out == f"86% [pending] {task}: Write the parser\n"
    assert cli("similar", "write parser", "--json").json[0]["task"]["id"] == task
    assert cli("similar", task).out == "No task is like it.\n"
    assert cli("similar", "write parser", "--where", "not open").out == "No task is like it.\n"


def test_add_names_a_similar_open_task(cli: CommandLine) -> None:
    cli("ws", "create", "w")
    task = added(cli, "Write the parser")
    again = cli("t", "add", "w", "Write the Parser!")
    new = again.out.split()[2].rstrip(":")
    assert again.err == (
        f"Warning: {task} says the same: Write the parser; `orc similar {new}` compares them\n"
    )
    assert cli("add", "Write the printer", "--ws", "w").err == ""


def test_a_timeline_has_sentences_with_gaps_between(cli: CommandLine) -> None:
    cli("ws", "create", "w", "--agent", "ann")
    task = added(cli, "Write\x1b it", "--agent", "ann")
    cli("t", "claim", task, "bob")
    shown = cli("timeline", task).lines
    assert [line.split(" ", 1)[1].partition(" until")[0] for line in shown] == [
        "ann added it to w",
        "bob claimed it",
    ]
    assert [e["after"] >= 0 for e in cli("timeline", "w", "--json").json] == [True] * 3
    assert (
        cli("timeline", "w", "--json")
        .json[1]["says"]
        .endswith(f"ann added {task} Write\\x1b it to w")
    )
    assert len(cli("timeline", "--agent", "bob").lines) == 1
    assert cli("timeline", "w", "--since", "9999").out == "No events.\n"
    assert cli("timeline", "nothing", status=1).err.startswith(
        "Error: No task, workstream or agent"
    )


def test_a_timeline_shows_the_time_between_events(cli: CommandLine, tmp_path: Path) -> None:
    clock = SettableClock()
    with Orchestrator.open(tmp_path / "board", now=clock, agent="ann") as orc:
        orc.workstreams.create("w")
        clock.advance(3700)
        orc.workstreams.edit("w", priority=1)
    assert cli("timeline", "w").lines[1] == "  1h1m later"


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_orphans_shows_commits_as_data(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("ws", "create", "w")
    task = added(cli, "Write it")
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert "no git repository" in cli("orphans", status=1).err
    git = ["git", "-c", "user.name=Ann", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    assert cli("orphans").out == "No commit names an open task.\n"
    for number in range(5):
        message = f"{task}: \x1b[31mround {number}"
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", message], check=True)
    shown = cli("orphans").lines
    assert shown[0] == f"[pending] {task}: Write it (`orc t claim {task}`)"
    assert all("Ann: " + task + r": \x1b[31mround" in line for line in shown[1:4])
    assert shown[4] == "    and 2 more"
    answer = cli("orphans", "--since", "1h", "--json").json
    assert (answer["read"], answer["is_cut"], len(answer["tasks"][0]["commits"])) == (5, False, 5)
    assert answer["tasks"][0]["commits"][0]["subject"] == f"{task}: \x1b[31mround 4"
