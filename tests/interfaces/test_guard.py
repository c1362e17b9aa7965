"""The guard, in real repositories of git: commits and edits of what others work on, and commits of tasks."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from .conftest import CommandLine, Stdin

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

BIN = os.path.dirname(sys.executable)


class Repository:
    """A repository with a board and an author."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        for name, value in {"user.name": "Ann", "user.email": "ann@example.org"}.items():
            self.git("config", name, value)

    def git(self, *words: str, agent: str = "", status: int = 0) -> str:
        variables = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
        variables |= {"ORC_AGENT": agent} if agent else {}
        done = subprocess.run(
            ["git", *words], cwd=self.folder, capture_output=True, text=True, env=variables
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def write(self, path: str, text: str = "x\n") -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)
        self.git("add", "--", path)

    def hook(self, name: str, text: str) -> Path:
        path = self.folder / ".git" / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path


@pytest.fixture
def repository(tmp_path: Path, cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    repository = Repository(tmp_path / "re po'sitory")
    monkeypatch.chdir(repository.folder)
    cli("ws", "create", "w")
    return repository


def test_a_commit_of_a_locked_file_is_refused_with_the_name_of_its_holder(
    repository: Repository, cli: CommandLine
) -> None:
    cli("guard", "install")
    repository.write("src/a.py")
    cli("lock", "src/a.py", "bob", "--ttl", "1h")
    output = repository.git("commit", "-qm", "x", agent="ann", status=1)
    assert "src/a.py: bob has locked it, until " in output
    repository.git("commit", "-qm", "x", agent="bob")


def test_a_commit_of_what_a_running_task_touches_is_refused(
    repository: Repository, cli: CommandLine
) -> None:
    cli("guard", "install")
    task = cli("add", "Parser", "--touches", "src/**", "--json").json["id"]
    cli("claim", task, "bob")
    repository.write("src/deep/a [1].py")
    repository.write("docs/a.md")
    output = repository.git("commit", "-qm", "x", status=1)
    assert f"src/deep/a [1].py: bob works on it, as part of src/** for task {task} Parser" in output
    assert "docs/a.md" not in output
    cli("done", task, "ok", "--agent", "bob")
    repository.git("commit", "-qm", "x")


def test_renames_deletions_and_a_partial_commit_are_checked(
    repository: Repository, cli: CommandLine
) -> None:
    cli("guard", "install")
    for path in ("old.py", "gone.py", "free.py"):
        repository.write(path)
    repository.git("commit", "-qm", "x")
    cli("lock", "old.py", "bob", "--ttl", "1h")
    cli("lock", "gone.py", "bob", "--ttl", "1h")
    repository.git("mv", "old.py", "new.py")
    repository.git("rm", "-q", "gone.py")
    output = repository.git("commit", "-qm", "x", status=1)
    assert "old.py: bob" in output
    assert "gone.py: bob" in output
    (repository.folder / "free.py").write_text("y")
    repository.git("commit", "-qm", "x", "free.py")


ODD = (
    "sp ace",
    "new\nline",
    "tab\t",
    "quo\"te'",
    "ünï",
    "-dash",
    "$(x)",
    os.fsdecode(b"latin\xe9"),
)


@pytest.mark.needs("names")
def test_every_name_that_git_takes_is_checked(repository: Repository, cli: CommandLine) -> None:
    cli("guard", "install")
    for name in ODD:
        (repository.folder / "src" / name).parent.mkdir(exist_ok=True)
        (repository.folder / "src" / name).write_text("x")
    repository.git("add", "src")
    cli("lock", "src", "bob", "--ttl", "1h")
    said = repository.git("commit", "-qm", "x", status=1)
    assert said.count("bob has locked it, as part of src") == len(ODD)
    cli("unlock", "src", "bob")
    repository.git("commit", "-qm", "x")


def test_a_merge_may_bring_what_others_committed_and_not_change_it(
    repository: Repository, cli: CommandLine
) -> None:
    cli("guard", "install")
    repository.write("a.py", "1\n")
    repository.write("both", "1\n")
    repository.git("commit", "-qm", "x")
    repository.git("checkout", "-qb", "bobs")
    cli("lock", "a.py", "bob", "--ttl", "1h")
    repository.write("a.py", "2\n")
    repository.write("both", "2\n")
    repository.git("commit", "-qm", "bob", agent="bob")
    repository.git("checkout", "-q", "main")
    repository.write("both", "3\n")
    repository.git("commit", "-qm", "ann", agent="ann")
    repository.git("merge", "-q", "bobs", status=1)
    repository.write("both", "2\n3\n")
    repository.write("a.py", "4\n")
    said = repository.git("commit", "-qm", "merged", agent="ann", status=1)
    assert "a.py: bob has locked it" in said
    assert "both" not in said
    repository.write("a.py", "2\n")
    repository.git("commit", "-qm", "merged", agent="ann")


def test_an_amended_commit_and_a_rebase_check_what_they_change(
    repository: Repository, cli: CommandLine
) -> None:
    cli("guard", "install")
    repository.write("a.py")
    repository.git("commit", "-qm", "x")
    cli("lock", "a.py", "bob", "--ttl", "1h")
    repository.write("b.py")
    repository.git("commit", "-q", "--amend", "-m", "y", agent="ann")
    repository.write("a.py", "2\n")
    assert "a.py: bob" in repository.git("commit", "-q", "--amend", "-m", "z", status=1)
    repository.git("reset", "-q", "--hard")
    repository.git("checkout", "-qb", "other")
    repository.write("c.py")
    repository.git("commit", "-qm", "c")
    repository.git("checkout", "-q", "main")
    repository.write("d.py")
    repository.git("commit", "-qm", "d")
    repository.git("rebase", "-q", "main", "other", agent="ann")


def test_worktrees_and_submodules_are_checked_against_the_board_around_them(
    repository: Repository, cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("guard", "install")
    repository.write("src/a.py")
    repository.git("commit", "-qm", "x")
    cli("lock", "src", "bob", "--ttl", "1h")
    repository.git("worktree", "add", "-q", "trees/two")
    inner = Repository(tmp_path / "inner")
    inner.write("f")
    inner.git("commit", "-qm", "f")
    words = ("submodule", "--quiet", "add", str(inner.folder), "module")
    repository.git("-c", "protocol.file.allow=always", *words)
    repository.git("commit", "-qm", "module")
    cli("lock", "module/f", "bob", "--ttl", "1h")

    top = repository.folder
    repository.folder = top / "trees" / "two" / "src"
    (repository.folder / "a.py").write_text("2\n")
    assert "src/a.py: bob" in repository.git("commit", "-qam", "y", status=1)
    for folder, path, named in (
        ("trees/two/src", "a.py", "src/a.py"),
        ("trees/two", "src/a.py", "src/a.py"),
        ("module", "f", "module/f"),
    ):
        monkeypatch.chdir(top / folder)
        assert cli("guard", "check", path, status=1).out.startswith(f"{named}: bob has locked it")


def test_a_person_at_a_terminal_learns_how_to_go_on_and_an_agent_does_not(
    repository: Repository, cli: CommandLine
) -> None:
    cli("guard", "install")
    repository.write("a.py")
    cli("lock", "a.py", "bob", "--ttl", "1h")
    assert "--no-verify" not in repository.git("commit", "-qm", "x", status=1)
    assert "`git commit --no-verify`" in at_terminal(repository, "git", "commit", "-qm", "x")
    with_name = at_terminal(repository, "env", "ORC_AGENT=ann", "git", "commit", "-qm", "x")
    assert "a.py: bob has locked it" in with_name
    assert "--no-verify" not in with_name
    repository.git("commit", "--no-verify", "-qm", "x")


def at_terminal(repository: Repository, *words: str) -> str:
    """What a person sees of a command that fails."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        words,
        cwd=repository.folder,
        env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as program:
        os.close(theirs)
        seen = b""
        with suppress(OSError):  # the end of a terminal
            while part := os.read(ours, 65536):
                seen += part
        os.close(ours)
        assert program.wait() == 1
    return seen.decode()


def test_a_lock_on_a_folder_covers_its_files(repository: Repository, cli: CommandLine) -> None:
    cli("lock", "src", "bob", "--ttl", "1h")
    assert (
        "src/a.py: bob has locked it, as part of src, until"
        in cli("guard", "check", "src/a.py", status=1).out
    )
    cli("guard", "check", "srcs/a.py")
    cli("guard", "check", str(repository.folder / "src" / "a.py"), status=1)
    cli("guard", "check", "src/a.py", "--agent", "bob")


def test_hooks_that_were_there_run_first_and_come_back(
    repository: Repository, cli: CommandLine
) -> None:
    mine = repository.hook("pre-commit", "#!/bin/sh\necho mine; exit $(cat status)\n")
    before = mine.read_bytes()
    (repository.folder / "status").write_text("0")
    cli("guard", "install")
    assert cli("guard", "install").out == "The guard is installed.\n"
    repository.write("a")
    assert "mine" in repository.git("commit", "-qm", "x")
    (repository.folder / "status").write_text("3")
    repository.write("b")
    repository.git("commit", "-qm", "x", status=1)
    cli("guard", "install", "--remove")
    assert mine.read_bytes() == before
    assert sorted(p.name for p in mine.parent.iterdir() if "sample" not in p.name) == ["pre-commit"]
    assert "not installed" in cli("guard", "install", "--remove").out


def test_a_rehearsal_changes_nothing(repository: Repository, cli: CommandLine) -> None:
    assert "Would create" in cli("guard", "install", "--dry-run").out
    assert not (repository.folder / ".git" / "hooks" / "pre-commit").exists()


def test_without_a_board_or_the_program_commits_go_through(
    repository: Repository, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("guard", "install")
    monkeypatch.delenv("ORCHESTRATOR_DIR")
    repository.write("a")
    assert repository.git("commit", "-qm", "x") == ""
    monkeypatch.setattr(sys.modules[__name__], "BIN", "/nowhere")
    script = repository.folder / ".git" / "hooks" / "pre-commit"
    script.write_text(
        script.read_text().replace(BIN, "/nowhere").replace("orc guard", "no-orc guard")
    )
    repository.write("b")
    repository.git("commit", "-qm", "x")


def test_a_commit_is_linked_to_the_tasks_of_its_trailers(
    repository: Repository, cli: CommandLine
) -> None:
    cli("guard", "install")
    first, second = (cli("add", title, "--json").json["id"] for title in ("One", "Two"))
    repository.write("a")
    message = f"Work on it\n\nTask: none is named here\n\nMore.\n\nTask: {first}, {second}\nTask: ffffffff\n"
    output = repository.git("commit", "-qm", message, agent="ann")
    commit = repository.git("rev-parse", "HEAD").strip()
    for task in (first, second):
        assert cli("show", task, "--json").json["commits"] == [commit]
    assert "ffffffff" in output
    repository.git("commit", "-q", "--allow-empty", "-m", "nothing named")
    assert cli("guard", "link", "HEAD~1").status == 0


@pytest.mark.parametrize(
    "config",
    [
        "repos:\n- repo: https://example.org/x\n  rev: v1 # pinned\n  hooks:\n  - id: x\n",
        "# mine\nrepos:\n  - repo: local\n    hooks:\n      - id: x # last\n\n# end\nfail_fast: true\n",
        "repos:\r\n- repo: local\r\n  hooks: []\r\n",
        "fail_fast: true\n",
    ],
)
def test_pre_commit_gets_a_hook_in_its_file(
    repository: Repository, cli: CommandLine, config: str
) -> None:
    import yaml

    repository.hook(
        "pre-commit", "#!/bin/sh\n# File generated by pre-commit: https://example.org\n"
    )
    path = repository.folder / ".pre-commit-config.yaml"
    path.write_bytes(config.encode())
    cli("guard", "install")
    repos = yaml.safe_load(path.read_text())["repos"]
    assert repos[-1]["hooks"][0]["id"] == "orc-guard"
    assert "guard check --staged" in repos[-1]["hooks"][0]["entry"]
    assert cli("guard", "install").out == "The guard is installed.\n"
    path.write_bytes(path.read_bytes() + b"# later\n")
    cli("guard", "install", "--remove")
    assert path.read_bytes() == config.encode() + b"# later\n"


@pytest.mark.parametrize(
    "config",
    [
        "",
        "pre-commit:\n  parallel: true\n  commands:\n    lint:\n      run: x # last\n",
        "pre-push:\n  commands:\n    a:\n      run: b\n",
    ],
)
def test_lefthook_gets_commands_in_its_file(
    repository: Repository, cli: CommandLine, config: str
) -> None:
    import yaml

    repository.hook("pre-commit", "#!/bin/sh\ncall_lefthook run pre-commit\n")
    path = repository.folder / "lefthook.yml"
    path.write_text(config)
    cli("guard", "install")
    value = yaml.safe_load(path.read_text())
    for name, call in {"pre-commit": "guard check --staged", "post-commit": "guard link"}.items():
        assert call in value[name]["commands"]["orc-guard"]["run"]
    assert cli("guard", "install").out == "The guard is installed.\n"
    cli("guard", "install", "--remove")
    assert path.read_text() == config


def test_husky_gets_lines_in_its_files(repository: Repository, cli: CommandLine) -> None:
    (repository.folder / ".husky" / "_").mkdir(parents=True)
    repository.git("config", "core.hooksPath", ".husky/_")
    path = repository.folder / ".husky" / "pre-commit"
    path.write_text("npm test")
    cli("guard", "install")
    assert path.read_text().startswith("npm test\n")
    assert "guard check --staged" in path.read_text()
    assert subprocess.run(["sh", "-n", path], check=False).returncode == 0
    cli("guard", "install", "--remove")
    assert path.read_text() == "npm test"
    assert not (repository.folder / ".husky" / "post-commit").exists()


def test_older_versions_of_husky_let_git_run_the_files(
    repository: Repository, cli: CommandLine
) -> None:
    (repository.folder / ".husky").mkdir()
    repository.git("config", "core.hooksPath", ".husky")
    cli("guard", "install")
    repository.write("a.py")
    cli("lock", "a.py", "bob", "--ttl", "1h")
    assert "a.py: bob" in repository.git("commit", "-qm", "x", agent="ann", status=1)
    task = cli("add", "One", "--json").json["id"]
    assert f"to {task}" in repository.git("commit", "-qm", f"x\n\nTask: {task}", agent="bob")


def test_hooks_that_repositories_share_are_left_alone(
    repository: Repository, cli: CommandLine, tmp_path: Path
) -> None:
    repository.git("config", "core.hooksPath", str(tmp_path / "shared"))
    assert "shared" in cli("guard", "install", status=1).err


CALLS: dict[str, tuple[dict[str, Any], Any]] = {
    "claude": (
        {"hook_event_name": "PreToolUse", "tool_name": "Write"},
        lambda answer: answer["hookSpecificOutput"]["permissionDecisionReason"],
    ),
    "codex": (
        {"hook_event_name": "PreToolUse", "tool_name": "apply_patch"},
        lambda answer: answer["hookSpecificOutput"]["permissionDecisionReason"],
    ),
    "gemini": (
        {"hook_event_name": "BeforeTool", "tool_name": "replace"},
        lambda answer: answer["reason"],
    ),
    "cursor": ({"hook_event_name": "preToolUse"}, lambda answer: answer["agent_message"]),
    "opencode": ({}, lambda answer: answer),
}


@pytest.mark.parametrize("client", CALLS)
def test_an_edit_is_refused_in_the_form_of_the_client(
    repository: Repository, cli: CommandLine, monkeypatch: pytest.MonkeyPatch, client: str
) -> None:
    facts, reason_of = CALLS[client]
    cli("lock", "a.py", "bob", "--ttl", "1h")

    def answer(path: str) -> str:
        call: dict[str, Any] = {"file_path": path}
        if client == "codex":
            call = {
                "command": f"*** Begin Patch\n*** Update File: {path}\n@@\n-a\n+b\n*** End Patch"
            }
        text = json.dumps({**facts, "cwd": str(repository.folder), "tool_input": call})
        monkeypatch.setattr(sys, "stdin", Stdin(text))
        return cli("guard", "check", "--hook", client).out

    out = answer(str(repository.folder / "a.py"))
    shown = out if client == "opencode" else json.loads(out)
    assert "a.py: bob has locked it" in reason_of(shown)
    assert answer(str(repository.folder / "b.py")) == "", "it may go on"
