"""The program git does what was asked, or fails clearly, whatever a repository or a name holds."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import BadName
from orchestrator.core import git as git_module
from orchestrator.core import names
from orchestrator.core.errors import NotFound, Refused, TimedOut
from orchestrator.core.git import Git, GitFailed

ODD = ["a b", "-rf", "quo\"te's", "line\nbreak", "naïve ☃", ":(glob)*", "*"]


@pytest.fixture
def repository(tmp_path: Path) -> Git:
    (tmp_path / "repo").mkdir()
    git = Git(str(tmp_path / "repo"))
    git.run("init", "-q", "-b", "main")
    git.run("config", "user.name", "ann")
    git.run("config", "user.email", "ann@example.org")
    git.run("commit", "-q", "--allow-empty", "-F", "-", stdin=b"the first\n")
    return git


def test_paths_and_texts_are_data_whatever_they_hold(repository: Git):
    """No path is an option, a pattern or a quoted text."""
    for name in ODD:
        Path(repository.folder, name).write_text(name)
    for name in ODD:
        repository.run("add", "--", name)
        assert repository.parts("diff", "--cached", "--name-only", "-z") == [name]
        repository.run("commit", "-q", "-F", "-", stdin=f"{name}\n\nZeile ü\n".encode())
    assert sorted(repository.parts("ls-files", "-z")) == sorted(ODD)
    assert repository.text("log", "-1", "--format=%b").strip() == "Zeile ü"
    assert repository.parts("diff", "--name-only", "-z") == []


def test_the_variables_of_a_hook_and_of_a_person_do_not_reach_git(
    repository: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Inside a hook, git's variables name the repository of the hook; keys are not for git."""
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY"):
        monkeypatch.setenv(name, str(tmp_path / "other"))
    monkeypatch.setenv("SECRET_TOKEN", "hidden")
    monkeypatch.setenv("GIT_EDITOR", "false")
    monkeypatch.setenv("GIT_PAGER", "false")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("GIT_COMMITTER_NAME", "Ben")
    assert repository.text("rev-parse", "--show-toplevel") == repository.folder
    repository.run("commit", "--amend", "--allow-empty", "-q")
    assert repository.text("log", "-1", "--format=%cn %s") == "Ben the first"
    seen = Git(repository.folder, settings={"alias.seen": "!env"}).text("seen").splitlines()
    assert "LC_ALL=C" in seen
    assert not [line for line in seen if "hidden" in line or "other" in line]


def test_a_failure_names_the_command_and_what_git_said(repository: Git):
    with pytest.raises(GitFailed) as caught:
        repository.run("rev-parse", "--verify", "--end-of-options", "no\x1b[31msuch")
    error = caught.value
    assert (error.code, error.exit_status, error.retryable) == ("git_failed", 74, False)
    assert error.message == (
        "`git rev-parse --verify --end-of-options 'no\\x1b[31msuch'` failed: Needed a single revision"
    )
    assert error.details["status"] == 128
    assert error.details["command"][-1] == "no\x1b[31msuch"  # type: ignore[index]
    assert repository.run("rev-parse", "--verify", "none", accepted=None).status == 128


def test_a_query_may_find_nothing(repository: Git):
    assert repository.commit("refs/heads/main") == repository.text("rev-parse", "HEAD")
    assert repository.commit("refs/heads/none") is None
    assert repository.found("config", "--get", "user.name") == "ann"
    assert repository.found("config", "--get", "no.such") is None
    assert repository.holds("merge-base", "--is-ancestor", "HEAD", "HEAD")


@pytest.mark.needs("groups")
def test_what_takes_too_long_or_prints_too_much_ends(
    repository: Git, monkeypatch: pytest.MonkeyPatch
):
    aliases = {"alias.hang": "!exec sleep 600", "alias.flood": "!exec yes"}
    with pytest.raises(TimedOut) as caught:
        Git(repository.folder, settings=aliases).run("hang", timeout=0.2)
    assert caught.value.code == "git_timeout"
    monkeypatch.setattr(git_module, "MOST", 100_000)
    with pytest.raises(GitFailed, match="printed more than 100000 bytes"):
        Git(repository.folder, settings=aliases).run("flood")


@pytest.mark.needs("groups")
def test_a_git_that_must_end_leaves_no_lock(repository: Git, tmp_path: Path):
    """It is asked to end before it is killed, so that it removes its lock files."""
    hook = Path(repository.folder, ".git", "hooks", "reference-transaction")
    hook.write_text("#!/bin/sh\nexec sleep 600\n")
    hook.chmod(0o755)
    with pytest.raises(TimedOut):
        repository.run("update-ref", "refs/heads/new", "HEAD", timeout=1)
    assert not list(Path(repository.folder, ".git").rglob("*.lock"))


def test_no_git_an_old_git_and_no_folder_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(NotFound) as caught:
        Git(str(tmp_path / "gone")).run("status")
    assert caught.value.code == "folder_not_found"
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotFound) as caught:
        Git(str(tmp_path)).run("status")
    assert caught.value.code == "no_git"
    program = tmp_path / "git"
    program.write_text(
        "#!/bin/sh\nshift 5\n[ $1 = version ] && echo git version 2.30.1 || exit 129\n"
    )
    program.chmod(0o755)
    for accepted in ((0, 1), None):
        with pytest.raises(Refused) as refused:
            Git(str(tmp_path)).run("status", accepted=accepted)
        assert refused.value.code == "old_git"
    assert "2.30.1" in refused.value.message


PIECES = st.sampled_from([*"aB/.-@{~^:?*[\\ \x7f\né☃'\"#;", "..", ".lock", "HEAD", "refs/"])


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, max_size=5).map("".join))
def test_a_branch_name_that_is_allowed_is_allowed_by_git(name: str):
    """And every other name that git allows has a reason: it is an option, a keyword, or invisible."""
    words = ["git", "check-ref-format", f"refs/heads/{name}"]
    allowed_by_git = subprocess.run(words, env={"PATH": os.environ["PATH"]}).returncode == 0
    try:
        names.branch(name)
    except BadName:
        odd = name.startswith(("-", "refs/")) or name in ("HEAD", "@")
        assert not allowed_by_git or odd
    else:
        assert allowed_by_git
