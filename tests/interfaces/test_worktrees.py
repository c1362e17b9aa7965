"""``worktree``: a branch and a folder for each task, on the command line."""

import json
from pathlib import Path

import pytest

from orchestrator import InputOutputError
from orchestrator.core.git import Git
from orchestrator.domain.worktrees.commands import WorktreeRecords
from orchestrator.planning import work_brief

from .conftest import CommandLine


@pytest.fixture
def repository(tmp_path: Path, cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Git:
    """The working folder, a repository; the board is elsewhere."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user"))
    folder = tmp_path / "re po"
    folder.mkdir()
    git = Git(str(folder))
    git.run("init", "-q", "-b", "main")
    git.run("config", "user.name", "ann")
    git.run("config", "user.email", "ann@example.org")
    git.run("commit", "-q", "--allow-empty", "-m", "begin")
    monkeypatch.chdir(folder)
    cli("ws", "create", "build")
    return git


def added(cli: CommandLine, title: str = "Parse \x1b[31mred") -> str:
    return str(cli("add", title, "--json").json["id"])


def test_a_worktree_from_its_making_to_its_end(cli: CommandLine, repository: Git, tmp_path: Path):
    """Every answer is one line or one document; the path alone is printed for the shell."""
    task = added(cli)
    folder, branch = f"{tmp_path}/re po.worktrees/{task}", f"task/{task}-parse-31mred"
    made = cli("worktree", "add", task, "ann")
    assert made.lines == [f"Worktree: {folder} (branch {branch})"]
    again = cli("worktree", "add", task, "--agent", "ann", "--json").json
    assert (again["path"], again["branch"], again["base"]) == (folder, branch, "main")
    assert cli("worktree", "add", task, "ann").lines[1] == "Nothing changed: it was so before."
    assert cli("wt", "path", task).out == f"{folder}\n"
    (Path(folder) / "new\n.txt").write_text("x")
    heads, row = cli("worktree").lines
    assert heads.split()[:6] == ["task", "status", "agent", "branch", "ahead", "behind"]
    assert "1 untracked" in row
    shown = cli("worktree", "show", task)
    assert "Parse \\x1b[31mred" in shown.out
    assert "\x1b" not in shown.out
    refused = cli("worktree", "remove", task, "--agent", "ann", status=1)
    assert refused.err.startswith(
        f"Error: The worktree of task {task} stays: 1 untracked file ('new\\n.txt')"
    )
    error = cli("--json", "worktree", "rm", task, "--agent", "ann", status=1).error
    (reason,) = error["reasons"]
    assert reason["kind"] == "untracked"
    (Path(folder) / "new\n.txt").unlink()
    cli("done", task, "--agent", "ann")
    would = cli("worktree", "prune", "--dry-run").lines
    assert would == [f"Would remove {task}: {folder} and its branch, which is merged"]
    (removal,) = cli("worktree", "prune", "--json").json
    assert (removal["removed"], removal["branch_deleted"]) == (True, True)
    assert cli("worktree", "ls").lines == ["(no worktrees)"]
    assert cli("worktree", "path", task, status=1).err.startswith("Error: There is no worktree")


def test_claim_and_next_do_both_in_one(cli: CommandLine, repository: Git):
    first, second, third = added(cli, "One"), added(cli, "Two"), added(cli, "Three")
    cli("t", "edit", first, "--verify", "true", "--agent", "ann")
    claimed = cli("claim", first, "--agent", "ann", "--worktree", "--json").json
    assert (claimed["id"], claimed["worktree"]["branch"]) == (first, f"task/{first}-one")
    taken = cli("t", "next", "--agent", "ann", "--worktree", "--quiet").lines
    assert taken[0].startswith(f"Claimed next task: {second}")
    assert taken[1].startswith("Worktree: ")
    given = cli("next", "--agent", "ann", "--worktree", "--json").json
    assert (given["task"]["id"], given["worktree"]["branch"]) == (third, f"task/{third}-three")
    brief = cli("brief", first, "--agent", "ann").out
    assert f'cd "$(orc worktree path {first})"' in brief
    assert "runs these commands in its worktree" in brief
    again = cli("claim", first, "--agent", "ann", "--quiet").lines
    assert again[1] == taken[1].replace(second, first).replace("two", "one")  # it was made before
    assert f'cd "$(orc --agent ann worktree path {first})"' in cli("prime", "ann").out
    fresh = added(cli, "Without")
    assert "worktree" not in cli("claim", fresh, "--agent", "cleo", "--json").json
    fourth = added(cli, "Four")
    repository.run("checkout", "-q", "--detach")
    refused = cli("claim", fourth, "--agent", "ann", "--worktree", status=1)
    assert f"Task {fourth} is yours" in refused.err


def test_what_is_read_after_a_claim_can_fail_without_failing_the_claim(
    cli: CommandLine, repository: Git, monkeypatch: pytest.MonkeyPatch
):
    """The claim is committed: an error would say that nothing was changed."""

    def fail(*_: object, **__: object) -> None:
        raise InputOutputError("The disk cannot be read")

    task = added(cli)
    cli("worktree", "add", task, "ann")
    cli("t", "release", task, "--agent", "ann")
    monkeypatch.setattr(WorktreeRecords, "get", fail)
    monkeypatch.setattr(work_brief, "brief_work", fail)
    for words in (("next",), ("t", "next"), ("claim", task)):
        taken = cli(*words, "--agent", "ann")
        assert "Claimed" in taken.out
        for command in (f"worktree path {task}", f"show {task}"):
            assert f"The disk cannot be read. The work is yours; `orc {command}`" in taken.err
        cli("t", "release", task, "--agent", "ann")


def test_setup_commands_are_shown_and_allowed_by_a_person(
    cli: CommandLine, repository: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert cli("worktree", "trust").lines == ["config.toml sets nothing for worktrees."]
    (tmp_path / "board" / "config.toml").write_text(
        "[worktree]\nsetup = [\"sh -c 'echo no; exit 3'\"]\n"
    )
    shown = cli("worktree", "trust").lines
    assert shown == [
        "setup: sh -c 'echo no; exit 3'",
        "Not trusted: --yes allows it on this machine.",
    ]
    task = added(cli)
    assert "nobody has trusted them" in cli("worktree", "add", task, "ann").err
    assert cli("worktree", "trust", "--yes", "--json").json["trusted"]
    failed = cli("worktree", "add", task, "ann", status=1)
    assert "exit status 3" in failed.err
    assert "| no" in failed.err
    assert "output:\n  no" in cli("worktree", "show", task).out
    assert not cli("worktree", "trust", "--revoke", "--json").json["trusted"]
    cli("worktree", "trust", "--yes", "--revoke", status=2)
    assert json.loads(cli("worktree", "list", "--json").out)[0]["setup"]["passed"] is False
