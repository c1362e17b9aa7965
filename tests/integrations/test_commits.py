"""Open tasks that commits name, in real repositories of git."""

import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator import Orchestrator
from orchestrator.core.errors import InputOutputError, NotFound, TimedOut
from orchestrator.integrations import commits
from orchestrator.integrations.commits import orphans

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


class Repository:
    """A repository with its own author."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        for name, value in {"user.name": "Ann", "user.email": "ann@example.org"}.items():
            self.git("config", name, value)

    def git(self, *words: str) -> None:
        subprocess.run(["git", "-C", self.folder, *words], check=True, capture_output=True)

    def commit(self, message: str, *options: str) -> None:
        self.git("commit", "--quiet", "--allow-empty", "-m", message, *options)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


@pytest.fixture
def board(orc: Orchestrator) -> Orchestrator:
    orc.workstreams.create("w")
    return orc


def named(orc: Orchestrator, repository: Repository, **how: str) -> dict[str, list[str]]:
    result = orphans(orc.engine, str(repository.folder), **how)
    return {o.task.id: [commit.subject for commit in o.commits] for o in result.tasks}


def test_open_tasks_are_found_by_their_ids_in_whole_messages(
    board: Orchestrator, repository: Repository
) -> None:
    task, other, done = (board.tasks.add("w", title=title).id for title in ("A", "B", "C"))
    part = board.tasks.add("w", title="D", parent=other, name="deploy").id
    board.tasks.cancel(done)
    assert named(board, repository) == {}
    repository.commit(f"fix({task}): the parser")
    repository.commit(f"More\n\nCloses #{task}, {done} and x{other}.")
    repository.git("checkout", "--quiet", "-b", "side")
    repository.commit(f"{part}.")
    repository.git("checkout", "--quiet", "main")
    assert named(board, repository) == {
        part: [f"{part}."],
        task: ["More", f"fix({task}): the parser"],
    }


def test_old_commits_are_left_out(board: Orchestrator, repository: Repository) -> None:
    task = board.tasks.add("w", title="A").id
    repository.commit(f"{task} old", "--date=2020-01-01T00:00:00Z")
    assert named(board, repository, since="2099-01-01") == {}
    assert named(board, repository, since="2000-01-01") == {task: [f"{task} old"]}


def test_the_number_of_commits_is_bounded(
    board: Orchestrator, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = board.tasks.add("w", title="A").id
    repository.commit(task)
    for number in range(3):
        repository.commit(f"later {number}")
    monkeypatch.setattr(commits, "MOST", 3)
    result = orphans(board.engine, str(repository.folder))
    assert (result.tasks, result.read, result.is_cut) == ([], 3, True)


def test_hostile_messages_and_settings_do_nothing(
    board: Orchestrator, repository: Repository, tmp_path: Path
) -> None:
    task = board.tasks.add("w", title="A").id
    trap = f"touch {tmp_path / 'ran'}"
    message = f"{task} $(touch ran) `touch ran` \x1b[31m \u202e {'x' * 1000}\n--exec=touch\x01"
    repository.git("config", "user.name", "A\x1bnn")
    repository.commit(message)
    repository.git("config", "log.showSignature", "true")
    for name in ("pager.log", "gpg.program", "core.sshCommand", "core.pager", "core.fsmonitor"):
        repository.git("config", name, trap)
    repository.git("config", "alias.log", f"!{trap}")
    result = orphans(board.engine, str(repository.folder)).tasks[0].commits[0]
    assert result.subject.startswith(f"{task} $(touch ran) `touch ran` \x1b[31m \u202e xxx")
    assert len(result.subject) <= 120
    assert not [*tmp_path.rglob("ran")]


def test_no_repository_no_git_a_slow_and_a_failing_git_are_clear_errors(
    board: Orchestrator, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(NotFound, match="no git repository"):
        orphans(board.engine, str(tmp_path / "elsewhere"))
    bin = tmp_path / "bin"
    bin.mkdir()
    monkeypatch.setenv("PATH", str(bin))
    with pytest.raises(NotFound, match="not installed"):
        named(board, repository)
    program = bin / "git"
    program.write_text("#!/bin/sh\necho broken >&2\nexit 128\n")
    program.chmod(0o755)
    with pytest.raises(InputOutputError, match="git failed: broken"):
        named(board, repository)
    program.write_text("#!/bin/sh\nread line < /dev/zero\n")
    monkeypatch.setattr(commits, "SECONDS", 0.05)
    with pytest.raises(TimedOut):
        named(board, repository)
