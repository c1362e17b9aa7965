"""A target is moved to what was tested, or not at all, and nobody's work is touched."""

from pathlib import Path

import pytest

from orchestrator.core.git import Git, GitFailed
from orchestrator.trees.landing import Target, TargetGone, TargetInUse, TargetMoved
from orchestrator.trees.merging import Merging, SubmittedChange
from trees.repositories import Repo


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    repo = Repo(tmp_path / "repo", {"a.txt": "a\n", "b.txt": "b\n"})
    repo.git("checkout", "-q", "--detach")
    return repo


def target(repo: Repo, name: str = "main") -> Target:
    return Target(str(repo.folder), repo.common, name)


def change(
    repo: Repo, number: int = 1, files: dict[str, str | None] | None = None
) -> SubmittedChange:
    branch = f"topic{number}"
    commit = repo.branch(branch, files or {f"new{number}": "x\n"})
    return SubmittedChange(
        number=number, branch=branch, commit=commit, strategy="squash", title=branch
    )


def built(repo: Repo, of: SubmittedChange) -> str:
    return Merging(Git(str(repo.folder))).add(of, repo.tip(), "main")


def land(repo: Repo, of: SubmittedChange, by: Target | None = None) -> str:
    by = by or target(repo)
    if by.take([of]):
        raise AssertionError("it is there")
    made = built(repo, of)
    by.land({of: made}, repo.tip(), made)
    return made


def test_what_has_landed_is_known_again_whatever_its_strategy(repo: Repo):
    first, second = change(repo, 1), change(repo, 2)
    made = land(repo, first)
    assert repo.tip() == made
    assert target(repo).take([first, second]) == {1: made}
    repo.git("checkout", "-q", "main")
    repo.git("merge", "-q", "--no-ff", "--no-edit", second.branch)
    repo.commit("more")
    assert target(repo).take([second]) == {2: repo.tip("main~1")}, "a person merged it"


def test_a_push_in_the_middle_wins(repo: Repo):
    of, by = change(repo), target(repo)
    by.take([of])
    made, before = built(repo, of), repo.tip()
    pushed = repo.git("commit-tree", "main^{tree}", "-p", "main", "-m", "pushed")
    repo.git("update-ref", "refs/heads/main", pushed)
    with pytest.raises(TargetMoved):
        by.land({of: made}, before, made)
    assert repo.tip() == pushed
    assert target(repo).take([of]) == {}, "an intent alone is no merge"
    repo.git("update-ref", "-d", "refs/heads/main")
    with pytest.raises(TargetGone):
        target(repo).take([of])


def test_a_runner_that_was_stopped_for_a_while_lands_nothing_that_another_one_took(repo: Repo):
    """Neither before nor after it has written its intents."""
    of, late = change(repo), target(repo)
    late.take([of])
    made, before = built(repo, of), repo.tip()
    target(repo).take([of])
    with pytest.raises(TargetMoved):
        late.land({of: made}, before, made)
    late.take([of])
    late._swap({of: late._set[1]}, {of: made})
    other = target(repo)
    assert other.take([of]) == {}
    with pytest.raises(TargetMoved):
        late._move({of: made}, before, made)
    assert repo.tip() == before
    late.forget([of])
    other.land({of: made}, before, made)
    other.forget([of])
    assert repo.git("for-each-ref", "refs/orchestrator") == ""


def test_a_worktree_that_has_the_target_follows_with_the_work_in_it(repo: Repo):
    repo.git("checkout", "-q", "main")
    repo.write({"a.txt": "mine\n", "mine.txt": "mine\n"})
    by = target(repo)
    land(repo, change_elsewhere(repo, {"b.txt": "theirs\n", "c/d.txt": "new\n"}), by)
    by.bring_along()
    assert repo.git("status", "--porcelain") == " M a.txt\n?? mine.txt"
    assert (repo.folder / "b.txt").read_text() == "theirs\n"
    assert repo.git("for-each-ref", "refs/orchestrator/behind") == ""


def change_elsewhere(repo: Repo, files: dict[str, str]) -> SubmittedChange:
    """A change that is made without the worktree of the repository."""
    other = repo.folder.parent / "other"
    repo.git("worktree", "add", "-q", "-b", "topic", str(other), "main")
    for name, text in files.items():
        (other / name).parent.mkdir(exist_ok=True)
        (other / name).write_text(text)
    Git(str(other)).run("add", "-A", "-f")
    Git(str(other)).run("commit", "-q", "-m", "topic")
    return SubmittedChange(
        number=1, branch="topic", commit=repo.tip("topic"), strategy="squash", title="topic"
    )


@pytest.mark.parametrize("case", ["changed", "staged", "untracked", "ignored", "above", "rebase"])
def test_work_that_the_merge_would_change_keeps_the_target_where_it_is(repo: Repo, case: str):
    repo.git("checkout", "-q", "main")
    of = change_elsewhere(repo, {"b.txt": "theirs\n", "c/d.txt": "new\n"})
    mine = {"untracked": "c/d.txt", "ignored": "c/d.txt", "above": "c"}.get(case, "b.txt")
    if case == "rebase":
        repo.commit("mine")
        repo.git("-c", "sequence.editor=sed -i s/pick/edit/", "rebase", "-q", "-i", "HEAD~1")
        assert repo.git("rev-parse", "--abbrev-ref", "HEAD") == "HEAD"
    else:
        repo.write({mine: "mine\n"})
    if case in ("ignored", "above"):
        (repo.folder / ".git" / "info" / "exclude").write_text("c\n")
    if case == "staged":
        repo.git("add", mine)
    before, status = repo.tip(), repo.git("status", "--porcelain", "--ignored")
    with pytest.raises(TargetInUse, match="main"):
        land(repo, of)
    assert (repo.tip(), repo.git("status", "--porcelain", "--ignored")) == (before, status)
    if case == "rebase":
        repo.git("rebase", "--continue")
    else:
        assert (repo.folder / mine).read_text() == "mine\n"
        repo.git("rm", "-q", "--cached", "--ignore-unmatch", mine)
        (repo.folder / mine).unlink()
        repo.git("checkout", "-q", "HEAD", "--", "b.txt")
    by = target(repo)
    land(repo, of, by)
    by.bring_along()
    assert repo.git("status", "--porcelain") == ""


def test_a_kill_between_the_target_and_its_worktree_is_mended_by_the_next_run(repo: Repo):
    repo.git("checkout", "-q", "main")
    made = land(repo, change_elsewhere(repo, {"b.txt": "theirs\n", "c": "new\n"}))
    assert repo.git("status", "--porcelain") != "", "it is behind now"
    target(repo).bring_along()
    assert (repo.git("status", "--porcelain"), repo.tip("HEAD")) == ("", made)
    target(repo).bring_along()
    assert repo.git("status", "--porcelain") == ""


def test_what_a_killed_runner_has_left_of_a_worktree_is_known_when_changes_are_taken(repo: Repo):
    repo.git("checkout", "-q", "main")
    of = change_elsewhere(repo, {"b.txt": "theirs\n"})
    behind, before = "refs/orchestrator/behind/main", repo.tip()
    repo.git("update-ref", behind, before)
    made = land(repo, of, by := target(repo))
    assert (repo.tip(), repo.tip(behind)) == (made, before), "its note was replaced by this one's"
    by.bring_along()
    late = target(repo)
    assert late.take([of]) == {1: made}
    repo.git("update-ref", behind, before)
    with pytest.raises(GitFailed, match="already exists"):
        late.land({of: before}, made, before)
    assert repo.tip() == made, "another runner's note is never replaced unseen"


def test_commits_that_are_gone_are_named(repo: Repo):
    here = change(repo)
    gone = SubmittedChange(number=2, branch="x", commit="1" * 40, strategy="merge", title="x")
    tree = SubmittedChange(
        number=3, branch="x", commit=repo.tip("main^{tree}"), strategy="merge", title="x"
    )
    assert target(repo).missing([here, gone, tree]) == {2, 3}


def test_a_reference_that_somebody_has_locked_is_an_error_and_not_a_moved_target(repo: Repo):
    lock = repo.folder / ".git" / "refs" / "heads" / "main.lock"
    lock.touch()
    with pytest.raises(Exception, match="update-ref") as error:
        land(repo, change(repo))
    assert not isinstance(error.value, TargetMoved)
