"""Checks, reviews and trust on the command line."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from system_under_test import SYSTEM

from .conftest import CommandLine
from .test_commands import added
from .test_process import board, run, start

__all__ = ["board"]


@pytest.fixture(autouse=True)
def _working_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("work"))


def claimed(cli: CommandLine, *options: str) -> str:
    task = added(cli, "Ship v1", *options)
    cli("t", "claim", task, "ann")
    return task


def test_commands_and_artifacts_are_repeated_and_never_split_at_commas(cli: CommandLine) -> None:
    task = added(
        cli,
        *("Ship v1", "--verify", "echo a,b", "--verify=test x = y,z", "--verify-timeout", "2m"),
        *("--artifact", "dist/a,b", "--artifacts", "c", "--review"),
    )
    checks = {
        "verify": ["echo a,b", "test x = y,z"],
        "timeout": 120.0,
        "artifacts": ["dist/a,b", "c"],
        "review": True,
        "trusted": True,
    }
    assert cli("t", "show", task, "--json").json["checks"] == checks
    cli("t", "edit", task, "--title", "Ship v2")
    assert cli("t", "show", task, "--json").json["checks"] == checks
    cli("t", "edit", task, "--verify", "", "--artifact", "", "--no-review")
    assert cli("t", "show", task, "--json").json["checks"] is None
    assert "exclude" in cli("t", "edit", task, "--review", "--no-review", status=2).err


def test_a_command_that_no_quote_closes_is_refused(cli: CommandLine) -> None:
    cli("ws", "create", "build")
    shown = cli("t", "add", "build", "x", "--verify", "echo 'a", status=2)
    assert "cannot be split into words" in shown.err
    assert "a shell" in shown.err or "sh -c" in shown.err


def test_a_check_that_fails_is_an_answer_for_people_and_for_programs(cli: CommandLine) -> None:
    task = claimed(cli, "--verify", "sh -c 'echo \"\\033[2Jone failed\"; exit 4'")
    shown = cli("t", "complete", task, status=1)
    assert shown.out == ""
    assert "of task" in shown.err
    assert "did not pass: exit status 4" in shown.err
    error = cli("t", "complete", task, "--json", status=1).error
    assert {key: error[key] for key in ("code", "kind", "status", "problem", "retryable")} == {
        "code": "check_failed",
        "kind": "verify",
        "status": 4,
        "problem": "exit status 4",
        "retryable": False,
    }
    assert error["output"] == "\x1b[2Jone failed\n"
    assert error["task"] == task
    page = cli("t", "show", task).out
    assert "  verify: sh -c" in page
    assert "FAILED verify" in page
    assert "    | \\x1b[2Jone failed\n" in page


def test_force_completes_with_a_reason_that_is_shown(cli: CommandLine) -> None:
    task = claimed(cli, "--verify", "false")
    assert "--reason" in cli("t", "complete", task, "--force", status=2).err
    done = cli("t", "complete", task, "It works", "--force", "--reason", "the check is wrong")
    assert done.lines[0] == "Completed: Ship v1"
    page = cli("t", "show", task).lines
    assert page[0] == f"[done] {task}: Ship v1 -> ann"
    assert "  the check is wrong" in page
    assert "  It works" in page


def test_evidence_is_shown_with_its_results(cli: CommandLine) -> None:
    Path("out").write_text("hello")
    task = claimed(cli, "--artifact", "out", "--verify", "echo fine")
    record = cli("t", "complete", task, "--json").json
    assert [sorted(item) for item in record["evidence"]] == 2 * [
        [
            *("agent", "at", "kind", "output", "passed", "problem"),
            *("seconds", "sha256", "size", "status", "what"),
        ]
    ]
    page = cli("t", "show", task).out
    assert "\n  passed artifact: out (5 bytes, sha256 2cf24dba" in page
    assert "\n  passed verify: echo fine (" in page
    assert "\n    | fine\n" in page


def test_another_agent_approves_or_rejects_what_is_in_review(cli: CommandLine) -> None:
    task = claimed(cli, "--review")
    assert cli("t", "complete", task, "Shipped").lines[0] == "To be reviewed: Ship v1"
    assert cli("t", "ls", "--status", "in_review").out == f"[in_review] {task}: Ship v1 -> ann\n"
    assert cli("ws", "ls").lines[1] == "  Tasks: 0 pending, 0 active, 0 done, 1 in_review"
    assert cli("t", "approve", task, "--agent", "ann", "--json", status=1).error["code"] == (
        "own_work"
    )
    assert cli("t", "approve", task, "--json", status=2).error["code"] == "agent_needed"
    rejected = cli("t", "reject", "build", task, "No", "tests", "--agent", "bob")
    assert rejected.lines[0] == "Rejected: Ship v1"
    assert "bob: No tests" in cli("t", "show", task).out
    cli("t", "claim", task, "ann")
    cli("t", "complete", task, "With tests")
    approved = cli("t", "approve", task, "Reads", "well", "--agent", "bob")
    assert approved.lines[0] == "Approved: Ship v1"
    page = cli("t", "show", task).out
    assert page.startswith(f"[done] {task}: Ship v1 -> ann\n")
    assert "rejected review (bob, " in page
    assert page.count(": No tests") == 2  # in a note, and in the history
    assert "approved review: Reads well (bob, " in page


def test_commands_of_an_imported_board_run_when_they_are_trusted(
    cli: CommandLine, tmp_path: Path
) -> None:
    task = claimed(cli, "--verify", "touch ran")
    file, copy = str(tmp_path / "out.jsonl"), str(tmp_path / "copy")
    cli("export", file)
    cli("import", file, "--board", copy)
    error = cli("t", "complete", task, "--board", copy, "--json", status=1).error
    assert (error["code"], error["commands"]) == ("not_trusted", ["touch ran"])
    assert not Path("ran").exists()
    assert f"do not run before `t trust {task}`" in cli("t", "show", task, "--board", copy).out
    trusted = cli("t", "trust", task, "--board", copy)
    assert trusted.out == "Trusted: Ship v1: touch ran\n"
    assert cli("t", "trust", task, "--board", copy).out == "Nothing to trust.\n"
    assert cli("t", "complete", task, "--board", copy).lines[0] == "Completed: Ship v1"
    assert Path("ran").exists()


def test_the_board_that_was_named_is_the_one_that_a_command_works_on(
    cli: CommandLine, tmp_path: Path
) -> None:
    named = str(tmp_path / "other")
    cli("ws", "create", "build", "--board", named)
    options = ("--verify", "sh -c 'echo $ORCHESTRATOR_DIR'", "--board", named, "--json")
    task = cli("t", "add", "build", "x", *options).json["id"]
    cli("t", "claim", task, "ann", "--board", named)
    done = cli("t", "complete", task, "--board", named, "--json").json
    assert done["evidence"][0]["output"] == f"{named}\n"


# The program


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_checks_run_ends_them_and_completes_nothing(
    board: Path, number: signal.Signals
) -> None:
    """Also after the lease was extended for the checks, which is a separate commit."""
    code = "import os, time; print(os.getpid(), file=open('new', 'w')); os.rename('new', 'pid')"
    command = f'{sys.executable} -c "{code}; time.sleep(600)"'
    task = run(board, "t", "add", "build", "T", "--verify", command)[1].split()[2].rstrip(":")
    run(board, "t", "claim", task, "ann", "--lease", "1m")
    process = start(board, "t", "complete", task)
    while not Path("pid").exists():
        time.sleep(0.01)
    child = os.pidfd_open(int(Path("pid").read_text()))
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == (143 if number == signal.SIGTERM else 130)
    assert select.select([child], [], [], 60)[0], "the check is still running"
    os.close(child)
    assert run(board, "t", "ls")[1].startswith("[in_progress]")


@pytest.mark.needs("flock")
def test_completing_a_task_without_checks_loads_nothing_to_run_them(board: Path) -> None:
    task = run(board, "t", "add", "build", "T")[1].split()[2].rstrip(":")
    run(board, "t", "claim", task, "ann")
    unneeded = {"subprocess", "shlex", "hashlib", "orchestrator.core.processes"}
    if SYSTEM == "darwin":  # psutil, which is asked about other disks there, loads it
        unneeded.remove("subprocess")
    code = (
        "import sys; from orchestrator.interfaces.cli.main import main;"
        f" status = main(['--board', {str(board)!r}, 't', 'complete', {task!r}]);"
        f" loaded = {unneeded!r} & set(sys.modules); assert not loaded, loaded; sys.exit(status)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
