"""Commits of merges: what they contain, what they say, and what cannot be merged."""

import os
from pathlib import Path

import pytest

from orchestrator.core.git import Git
from orchestrator.trees.merging import CannotMerge, Merging, SubmittedChange
from trees.repositories import Repo

LINES = "".join(f"line {n}\n" for n in range(12))


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "a repo", {"a.txt": LINES, "b.txt": LINES})


def change(repo: Repo, branch: str, strategy: str = "merge", **facts: object) -> SubmittedChange:
    given = {"number": 1, "title": f"Do {branch}", "trailers": (("Task", "299833bc"),), **facts}
    commit = repo.tip(f"refs/heads/{branch}")
    return SubmittedChange(branch=branch, commit=commit, strategy=strategy, **given)  # type: ignore[arg-type]


def add(repo: Repo, of: SubmittedChange, onto: str = "") -> str:
    return Merging(Git(str(repo.folder))).add(of, onto or repo.tip(), "main")


def test_a_merge_has_both_sides_and_names_the_task(repo: Repo):
    repo.branch("topic", {"a.txt": LINES.replace("line 1\n", "one\n")}, {"new": "x"})
    repo.write({"b.txt": "other\n"})
    repo.commit("on main")
    before = repo.git("status", "--porcelain"), repo.git("for-each-ref"), os.listdir(repo.folder)
    made = add(repo, change(repo, "topic"))
    assert repo.git("show", "-s", "--format=%P", made).split() == [repo.tip(), repo.tip("topic")]
    assert repo.git("show", "-s", "--format=%B", made) == (
        "Merge topic into main\n\nDo topic\n\nTask: 299833bc"
    )
    assert repo.files(made)["b.txt"] == "other"
    assert repo.files(made)["new"] == "x"
    assert "one" in repo.files(made)["a.txt"]
    after = repo.git("status", "--porcelain"), repo.git("for-each-ref"), os.listdir(repo.folder)
    assert after == before


def test_a_squash_is_one_commit_of_the_author_that_lists_the_others(repo: Repo):
    repo.git("checkout", "-q", "-b", "topic")
    repo.write({"new": "x"})
    repo.git("add", "-A")
    repo.git("-c", "user.name=Zoë", "commit", "-q", "--author=Zoë <zoe@example.org>", "-m", "first")
    repo.git("checkout", "-q", "main")
    made = add(repo, change(repo, "topic", "squash", title='Say "ü"\nnow\x1b[31m'))
    assert (
        repo.git("show", "-s", "--format=%P %an %ae", made) == f"{repo.tip()} Zoë zoe@example.org"
    )
    assert repo.git("show", "-s", "--format=%B", made) == (
        'Say "ü" now\\x1b[31m\n\n- first\n\nTask: 299833bc'
    )
    assert add(repo, change(repo, "topic", "squash"), onto=made) == made, "it is there already"


def test_a_rebase_keeps_each_commit_with_author_and_message_and_adds_the_trailers(repo: Repo):
    repo.branch("topic", {"a.txt": "1\n"}, {"a.txt": "2\n"}, {"new": "x"})
    repo.git("checkout", "-q", "topic")
    repo.git(
        "commit", "-q", "--allow-empty", "-m", "empty\n\n---\nno end\n\nSigned-off-by: ann <a@b>"
    )
    repo.git("checkout", "-q", "main")
    repo.write({"b.txt": "other\n"})
    repo.commit("on main")
    made = add(repo, change(repo, "topic", "rebase"))
    assert repo.main_line(made) == [
        *("empty", "topic 3", "topic 2", "topic 1"),
        *("on main", "the first"),
    ]
    assert repo.git("show", "-s", "--format=%(trailers:only)", made).split("\n")[:2] == [
        "Signed-off-by: ann <a@b>",
        "Task: 299833bc",
    ]
    assert repo.git("show", "-s", "--format=%(trailers:key=Task,valueonly)", f"{made}~2").strip()
    assert repo.files(made) == {**repo.files("topic"), "b.txt": "other"}
    again = add(repo, change(repo, "topic", "rebase"), onto=f"{made}~1")
    assert repo.tip(f"{again}^{{tree}}") == repo.tip(f"{made}^{{tree}}")
    assert repo.main_line(again).count("topic 3") == 1, "what the target has is not put there twice"


def test_a_conflict_names_its_files(repo: Repo):
    odd = 'quo"te ü\n.txt'
    repo.write({odd: LINES})
    repo.commit("odd")
    repo.branch("topic", {"a.txt": LINES.replace("line 1\n", "one\n"), odd: "x\n"})
    repo.write({"a.txt": LINES.replace("line 1\n", "1\n"), odd: "y\n"})
    repo.commit("on main")
    for strategy in ("merge", "squash", "rebase"):
        with pytest.raises(CannotMerge) as error:
            add(repo, change(repo, "topic", strategy))
        assert error.value.kind == "conflict"
        assert set(error.value.files) == {"a.txt", odd}
        assert "CONFLICT (content): Merge conflict in a.txt" in error.value.output


def test_what_no_merge_can_do_is_invalid(repo: Repo):
    repo.git("checkout", "-q", "--orphan", "other")
    repo.write({"a.txt": "other\n"})
    repo.commit("no history")
    repo.git("checkout", "-q", "-f", "main")
    for strategy in ("merge", "squash", "rebase"):
        with pytest.raises(CannotMerge, match="history in common") as error:
            add(repo, change(repo, "other", strategy))
        assert error.value.kind == "invalid"
    repo.branch("side", {"s": "s"})
    repo.branch("topic", {"t": "t"})
    repo.git("checkout", "-q", "topic")
    repo.git("merge", "-q", "--no-edit", "side")
    repo.git("checkout", "-q", "main")
    with pytest.raises(CannotMerge, match="which a rebase would lose"):
        add(repo, change(repo, "topic", "rebase"))


def test_no_hook_runs_and_a_user_that_git_does_not_know_is_no_error(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
):
    for hook in (
        "pre-commit",
        "commit-msg",
        "pre-merge-commit",
        "prepare-commit-msg",
        "post-merge",
    ):
        path = repo.folder / ".git" / "hooks" / hook
        path.write_text(f"#!/bin/sh\necho ran >> '{repo.folder}/ran'\nexit 1\n")
        path.chmod(0o755)
    repo.git("branch", "topic")
    commit = repo.git("commit-tree", "main^{tree}", "-p", "main", "-m", "topic")
    repo.git("update-ref", "refs/heads/topic", commit)
    for name in ("GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "GIT_AUTHOR_NAME", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    for name in ("user.name", "user.email"):
        repo.git("config", "--unset", name)
    made = add(repo, change(repo, "topic"))
    assert repo.git("show", "-s", "--format=%cn %an", made) == "merge queue merge queue"
    assert not (repo.folder / "ran").exists()


def test_names_that_look_like_options_or_patterns_are_names(repo: Repo):
    for name in ("naïve-☃", "quo\"te's", "a/-rf", "end;rm"):
        repo.branch(name, {f"{name.replace('/', '_')}.txt": "x"})
        made = add(repo, change(repo, name, title="--no-verify"))
        assert repo.git("show", "-s", "--format=%s", made) == f"Merge {name} into main"


def test_signatures_that_a_person_wants_to_see_are_not_taken_for_names_or_messages(
    repo: Repo, tmp_path: Path
):
    """With ``log.showSignature`` git starts a program for each signed commit, and prints what that says."""
    program = tmp_path / "gpg"
    program.write_text("#!/bin/sh\necho 'gpg: a good signature' >&2\n")
    program.chmod(0o755)
    repo.git("config", "gpg.program", str(program))
    repo.git("config", "log.showSignature", "true")
    repo.branch("topic", {"new.txt": "x\n"})
    text, message = repo.git("cat-file", "commit", "topic").split("\n\n", 1)
    signed = (
        f"{text}\ngpgsig -----BEGIN PGP SIGNATURE-----\n -----END PGP SIGNATURE-----\n\n{message}\n"
    )
    commit = repo.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=signed)
    repo.git("branch", "signed", commit)
    assert "a good signature" in repo.git("log", "-1", "--format=%an", commit)
    for strategy in ("squash", "rebase"):
        made = add(repo, change(repo, "signed", strategy))
        assert "signature" not in repo.git("cat-file", "commit", made)
