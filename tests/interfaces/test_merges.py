"""``merge``: the queue on the command line, and how a task that waits for its merge is shown everywhere."""

from pathlib import Path

import pytest

from orchestrator import Orchestrator
from orchestrator.core.git import Git
from orchestrator.domain.board.settings import FILE

from .conftest import CommandLine


@pytest.fixture
def repository(tmp_path: Path, cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Git:
    """The working folder, with a branch ``fix`` and a policy that demands merges."""
    (tmp_path / "repo").mkdir()
    git = Git(str(tmp_path / "repo"))
    git.run("init", "-q", "-b", "main")
    git.run("config", "user.name", "ann")
    git.run("config", "user.email", "ann@example.org")
    git.run("commit", "-q", "--allow-empty", "-m", "begin")
    commit(git, "fix")
    (tmp_path / "board" / FILE).write_text("[merge]\nrequired = true\n")
    monkeypatch.chdir(git.folder)
    cli("ws", "create", "build")
    return git


@pytest.fixture
def orc(tmp_path: Path, cli: CommandLine) -> Orchestrator:
    """The board of the command line, as the runner of the queue has it."""
    return Orchestrator.open(tmp_path / "board")


def commit(git: Git, branch: str) -> None:
    git.run("switch", "-q", "-c", branch, "main")
    git.run("commit", "-q", "--allow-empty", "-m", branch)
    git.run("switch", "-q", "main")


def begun(cli: CommandLine, *words: str) -> str:
    """A task in work."""
    task = str(cli("add", "Parse \x1b[31mred", "--json", *words).json["id"])
    cli("claim", task, "--agent", "ann")
    return task


def test_a_task_is_merged_from_its_completion_to_its_end(
    cli: CommandLine, repository: Git, orc: Orchestrator
):
    task = begun(cli)
    branch = f"task/{task}-parse"
    refused = cli("done", task, "ok", "--agent", "ann")
    assert refused.lines[0].startswith("Completed"), "without a branch there is nothing to merge"
    task = begun(cli)
    branch = f"task/{task}-parse"
    commit(repository, branch)
    first, waits, *_ = cli("done", task, "ok", "--agent", "ann").lines
    assert first == "To be merged: Parse \\x1b[31mred"
    assert waits == f"Done when {branch} is merged into main: `orc merge show {task}`"

    shown = cli("show", task)
    assert f"merge       waiting: {branch} into main (submission 1)" in shown.lines
    answer = cli("show", task, "--json").json
    assert (answer["waits_for"], answer["submission"]["number"]) == ("merge", 1)
    assert "approve" not in answer["allowed"]
    assert f"- To be merged (1): {task}" in cli("next", "--agent", "kim", status=1).out
    assert f"  1 {branch} into main of ann: waits since" in cli("status").out
    assert "1 to be merged" in cli("prime", "--agent", "kim").out
    assert "to be merged" in cli("board").out
    error = cli("approve", task, "--agent", "kim", "--json", status=1).error
    assert (error["code"], error["hint"]) == (
        "waits_for_merge",
        f"`orc merge show {task}` shows where it is; the merge ends the task.",
    )
    alerts = cli("plan").json["attention"]
    assert [alert["command"] for alert in alerts if alert["kind"] == "to_merge"] == [
        f"merge show {task}"
    ]

    (claimed,) = orc.merges.claim("queue")
    listed = cli("merge").lines
    assert listed[0].split()[:6] == ["number", "status", "branch", "target", "task", "author"]
    assert listed[1].split()[:6] == ["1", "merging", branch, "main", task, "ann"]
    orc.merges.returned(
        1,
        claimed.token or 0,
        kind="conflict",
        reason="a\x1b[2J",
        files=["src/a\n.py"],
        tail="no\r\n",
    )
    page = cli("merge", "show", "1").out
    assert "[returned] 1 " in page
    assert "src/a\\n.py" in page
    assert "\x1b" not in page
    assert cli("merge", "show", task, "--json").json["kind"] == "conflict"
    assert cli("merge", "retry", task, "--agent", "ann").lines[0].startswith("Waits again: 1 ")
    view = cli("merge", "show", branch, "--json").json
    assert view["score"]["points"] == sum(part["points"] for part in view["score"]["parts"])
    (claimed,) = orc.merges.claim("queue")
    orc.merges.merged(1, claimed.token or 0, commit="c" * 40)
    assert cli("show", task, "--json").json["status"] == "done"
    assert cli("merge").out == "Nothing waits to be merged.\n"
    assert cli("merge", "list", "--all", "--json").json[0]["merge_commit"] == "c" * 40


def test_branches_are_submitted_rejected_and_withdrawn(cli: CommandLine, repository: Git):
    commit(repository, "other")
    submitted = cli("merge", "submit", "fix", "--strategy", "rebase", "--agent", "ann")
    assert submitted.out == "Submitted: 1 fix into main (waiting)\n"
    again = cli("merge", "submit", "fix", "--strategy", "rebase", "--agent", "ann")
    assert again.lines[1] == "Nothing changed: it was so before."
    assert cli("merge", "reject", "fix", "not wanted").out.startswith("Rejected: 1 fix")
    assert cli("merge", "show", "1", "--json").json["reason"] == "not wanted"
    cli("merge", "submit", "other", "--target", "fix", "--agent", "ann")
    assert cli("merge", "withdraw", "2", "--reason", "later").out.startswith("Withdrawn: 2 other")
    task = begun(cli, "--review")
    commit(repository, f"task/{task}")
    reviewed = cli("merge", "submit", task, "--agent", "ann").lines
    assert reviewed[0].startswith("To be reviewed: ")
    assert cli("approve", task, "--agent", "kim").lines[1].startswith(f"Done when task/{task} is")
    assert cli("merge", "list", "--json").json[0]["task"] == task


def test_a_convoy_collects_branches_and_lands_as_one(
    cli: CommandLine, repository: Git, orc: Orchestrator
):
    repository.run("branch", "release-1", "fix")
    task = begun(cli)
    cli("convoy", "create", "release", task, "--target", "release-1")
    assert "target    release-1" in cli("convoy", "show", "release").lines
    error = cli("convoy", "land", "release", "--json", status=1).error
    assert error["code"] == "open_tasks"
    cli("done", task, "--agent", "ann")
    assert cli("convoy", "land", "release").out == "Submitted: 1 release-1 into main (waiting)\n"
    assert orc.merges.get(1).convoy == "release"
