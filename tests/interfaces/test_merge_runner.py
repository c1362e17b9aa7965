"""``merge run`` and ``merge trust``: who may run tests, what is printed, and how a watching runner ends."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import Orchestrator
from orchestrator.core.git import Git
from orchestrator.domain.board.settings import FILE

from .conftest import CommandLine

ROOT = Path(__file__).resolve().parent.parent.parent
WHO = {f"GIT_{r}_{p}": "ann@x" for r in ("AUTHOR", "COMMITTER") for p in ("NAME", "EMAIL")}


@pytest.fixture
def repository(tmp_path: Path, cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Git:
    """The working folder, with the branches ``good``, ``red`` and ``clash`` that are submitted."""
    for name, value in {**WHO, "XDG_DATA_HOME": str(tmp_path / "user")}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "repo").mkdir()
    monkeypatch.chdir(tmp_path / "repo")
    git = Git(str(tmp_path / "repo"))
    git.run("init", "-q", "-b", "main")
    git.run("commit", "-q", "--allow-empty", "-m", "begin")
    for branch, name in (("good", "a"), ("red", "red"), ("clash", "a")):
        git.run("switch", "-q", "-c", branch, "main")
        Path(name).write_text(branch)
        git.run("add", name)
        git.run("commit", "-q", "-m", branch)
    git.run("switch", "-q", "main")
    for branch in ("good", "red", "clash"):
        cli("merge", "submit", branch, "--agent", "ann")
    return git


TEST = f"{sys.executable} -S -c \"import os, sys; sys.exit(os.path.exists('red'))\""


def test_a_run_prints_what_ended_and_gives_programs_the_records(cli: CommandLine, repository: Git):
    done = cli("merge", "run", "--test", TEST, "--json")
    assert {s["branch"]: s["kind"] or s["status"] for s in done.json["ended"]} == {
        "good": "merged",
        "red": "red",
        "clash": "conflict",
    }
    assert done.json["waiting"] == {}
    cli("merge", "retry", "red")
    again = cli("merge", "run", "--once", "--test", TEST)
    assert again.lines[0].startswith("Returned 2: red into main: The test `")
    assert cli("merge", "run").lines == ["Nothing waits to be merged."]
    assert not Path(f"{repository.folder}.worktrees").exists() or not any(
        Path(f"{repository.folder}.worktrees").iterdir()
    )


def test_tests_of_the_board_run_only_once_they_are_trusted_as_they_are(
    cli: CommandLine, repository: Git, tmp_path: Path
):
    config = tmp_path / "board" / FILE
    config.write_text(f"[merge]\ntest = [{json.dumps(TEST)}]\n")
    assert cli("merge", "run", "--json", status=1).error["code"] == "not_trusted"
    assert cli("merge", "trust").lines[-1].startswith("Not trusted")
    assert cli("merge", "trust", "--yes").lines == [f"test: {TEST}", "Trusted on this machine."]
    config.write_text(f"[merge]\ntest = [{json.dumps(TEST)}]\nbatch = 2\n")
    assert cli("merge", "trust", "--json").json["trusted"] is True, "the batch runs nothing"
    config.write_text("[merge]\ntest = ['touch /tmp/mine']\n")
    assert cli("merge", "run", "--json", status=1).error["code"] == "not_trusted"
    config.write_text(f"[merge]\ntest = [{json.dumps(TEST)}]\n")
    assert cli("merge", "run").lines[0].startswith("Merged 1: good into main as ")
    cli("merge", "trust", "--revoke")
    assert cli("merge", "run", "--json", status=1).error["code"] == "not_trusted"
    both = cli("merge", "run", "--once", "--watch", "--json", status=2)
    assert both.error["code"] == "usage"


def test_a_target_that_takes_nothing_is_a_status_of_its_own(cli: CommandLine, repository: Git):
    Path("red").write_text("x")
    repository.run("add", "red")
    repository.run("commit", "-q", "-m", "red by hand")
    done = cli("merge", "run", "--test", TEST, status=1)
    assert done.lines[-1].startswith("main waits: the tests fail on main itself, at ")


@pytest.mark.needs("fork")
def test_a_watching_runner_merges_what_comes_and_ends_at_a_signal(
    cli: CommandLine, repository: Git, tmp_path: Path
):
    words = [ROOT / "cli.py", "--board", tmp_path / "board", "--json"]
    runner = subprocess.Popen(
        [sys.executable, *words, "merge", "run", "--watch", "--test", TEST],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert runner.stdout is not None
    ended = [json.loads(runner.stdout.readline())["branch"] for _ in range(3)]
    assert sorted(ended) == ["clash", "good", "red"]
    repository.run("branch", "later", "main")
    later = repository.text(*("commit-tree", "main^{tree}", "-p", "main", "-m", "later"), stdin=b"")
    repository.run("update-ref", "refs/heads/later", later)
    cli("merge", "submit", "later", "--agent", "ann")
    assert json.loads(runner.stdout.readline())["status"] == "merged"
    runner.send_signal(signal.SIGTERM)
    runner.communicate()
    assert runner.returncode in (-signal.SIGTERM, 128 + signal.SIGTERM)
    with Orchestrator.open(tmp_path / "board") as orc:
        assert orc.merges.all() == []


def in_a_folder(tmp_path: Path) -> dict[str, str]:
    """An environment with ``orc`` on the path and a user of its own."""
    program = tmp_path / "programs" / "orc"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT / "cli.py"} "$@"\n', newline="\n")
    program.chmod(0o755)
    own = {k: v for k, v in os.environ.items() if not k.startswith(("ORC", "GIT_"))}
    user = dict.fromkeys(("HOME", "XDG_DATA_HOME", "LOCALAPPDATA"), str(tmp_path / "user"))
    return own | WHO | user | {"PATH": f"{program.parent}{os.pathsep}{own['PATH']}"}


@pytest.mark.skipif(shutil.which("sh") is None, reason="there is no sh")
def test_the_guide_runs(tmp_path: Path):
    guide = (ROOT / "docs" / "guides" / "merging.md").read_text()
    first = guide.split("```sh\n")[1].partition("```")[0]
    shown = subprocess.run(
        ["sh", "-e", "-c", first],
        cwd=tmp_path,
        env=in_a_folder(tmp_path),
        capture_output=True,
        text=True,
    )
    assert shown.returncode == 0, shown.stderr
    ends = [line for line in shown.stdout.splitlines() if line.startswith(("Merged", "Returned"))]
    assert [line.split(":")[0] for line in ends] == ["Merged 1", "Returned 2", "Merged 3"]
    menu = subprocess.run(
        ["git", "show", "main:menu"], cwd=tmp_path / "project", capture_output=True, text=True
    ).stdout
    assert menu.split() == ["tea", "cake", "juice"]
    with Orchestrator.open(tmp_path / "project" / ".orchestrator") as orc:
        letters = orc.mail.inbox(agent="ben")
        (back,) = (mail.id for mail in letters if mail.subject.startswith("Not merged (conflict)"))
        body = orc.mail.read(back, agent="ben").body
    assert re.search(
        r"Merge main into the branch in `worktree path (\w+)`.*`done \1` submits", body
    )


@pytest.mark.needs("fork")
def test_the_demo_ends_with_a_green_target_and_leaves_nothing(memory_path: Path):
    demo = subprocess.run(
        [sys.executable, ROOT / "examples" / "demo_merge.py"],
        cwd=memory_path,
        env=os.environ | {"TMPDIR": str(memory_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert demo.returncode == 0, demo.stderr
    assert "[landed] opening" in demo.stdout
    assert "The target is green" in demo.stdout
    assert [*memory_path.iterdir()] == []
