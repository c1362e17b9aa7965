"""One task, one branch, one worktree; and nothing is removed that would be lost."""

import os
import shutil
from pathlib import Path

import pytest
from boards import SettableClock, add
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import BadName, NotFound, Orchestrator, OrchestratorError, Refused, UsageError
from orchestrator.core import names
from orchestrator.core.git import GitFailed
from orchestrator.domain.worktrees.records import branch_of
from orchestrator.stores.memory import MemoryStore
from orchestrator.trees.preparation import Preparation
from orchestrator.trees.removal import KeepReason, Removal, RemovalCheck

from .repositories import Repo

ODD = 'we \'ird\n"☃" -x'


def worktree_of(orc: Orchestrator, title: str = "x", **facts: object) -> tuple[str, Path]:
    """A new task with a worktree."""
    task = add(orc, title, **facts)
    return task, Path(orc.worktrees.add(task, agent="ann").path)


def kinds(removal: Removal) -> list[str]:
    return [reason.kind for reason in removal.reasons]


def refusal(orc: Orchestrator, task: str) -> list[str]:
    """The kinds of the reasons for which a worktree is kept."""
    with pytest.raises(Refused) as caught:
        orc.worktrees.remove(task, agent="ann")
    assert caught.value.code == "worktree_kept"
    reasons = caught.value.details["reasons"]
    assert all(reason["text"] in caught.value.message for reason in reasons)  # type: ignore[attr-defined]
    return [reason["kind"] for reason in reasons]  # type: ignore[attr-defined]


# Making


def test_a_task_gets_a_branch_a_folder_beside_the_repository_and_a_claim(
    orc: Orchestrator, repository: Repo
):
    task = add(orc, 'Write the "parser"; rm -rf')
    made = orc.worktrees.add(task, agent="ann")
    assert made.branch == f"task/{task}-write-the-parser-rm-rf"
    assert made.path == f"{repository.folder}.worktrees/{task}"
    assert (Path(made.path) / "a.txt").read_text() == "a\n"
    assert repository.git("symbolic-ref", "--short", "HEAD", folder=made.path) == made.branch
    assert (made.base, made.commit) == ("main", repository.git("rev-parse", "main"))
    assert orc.tasks.get(task).assigned_to == "ann"
    assert orc.worktrees.path(task[:5]) == made.path
    assert orc.engine.read().worktrees[task].path == f"../repo.worktrees/{task}"
    events = orc.engine.read().event
    assert orc.worktrees.add(task, agent="ann") == made
    assert orc.engine.read().event == events, "a second call changed something"
    with pytest.raises(Refused) as caught:
        orc.worktrees.add(task, agent="ben")
    assert caught.value.code == "already_claimed"


def test_the_claim_of_a_task_is_kept_and_without_a_name_nobody_claims(orc: Orchestrator):
    held, free = add(orc), add(orc)
    orc.tasks.claim(held, agent="ben")
    orc.worktrees.add(held)
    assert orc.tasks.get(held).assigned_to == "ben"
    with pytest.raises(UsageError) as caught:
        orc.worktrees.add(free)
    assert caught.value.code == "agent_needed"


def test_a_worktree_begins_with_the_named_base_else_with_the_branch_of_the_main_worktree(
    orc: Orchestrator, repository: Repo
):
    """Also from inside another worktree; a base that is not there, or an option, is refused."""
    repository.git("branch", "release")
    head = repository.commit_file("b.txt")
    task, _ = worktree_of(orc)
    other = add(orc)
    assert orc.worktrees.get(task).commit == head
    assert orc.worktrees.add(other, base="release", agent="ann").base == "release"
    assert orc.worktrees.show(other).behind == 0
    assert (orc.worktrees.show(task).ahead, orc.worktrees.show(task).behind) == (0, 0)
    third = add(orc)
    with pytest.raises(NotFound) as caught:
        orc.worktrees.add(third, base="none", agent="ann")
    assert caught.value.code == "base_not_found"
    with pytest.raises(BadName):
        orc.worktrees.add(third, base="--orphan", agent="ann")
    repository.git("checkout", "-q", "--detach")
    with pytest.raises(NotFound) as caught:
        orc.worktrees.add(third, agent="ann")
    assert caught.value.code == "no_base"
    assert orc.worktrees.add(third, base="main", agent="ann").commit == head


@settings(max_examples=200)
@given(st.text(max_size=30))
def test_every_title_gives_a_name_that_git_and_every_file_system_take(title: str):
    branch = branch_of("a1b2c3d4", title)
    assert names.branch(branch) == branch
    assert branch.isascii()
    assert len(branch) < 70


@pytest.mark.needs("names")
def test_odd_paths_of_repositories_and_odd_ids_are_data(
    memory_path: Path, monkeypatch: pytest.MonkeyPatch
):
    repository = Repo(memory_path / ODD)
    monkeypatch.chdir(repository.folder)
    with Orchestrator.open(memory_path / ODD / ".orchestrator") as orc:
        orc.workstreams.create("build")
        task, folder = worktree_of(orc, "-rf --force ☃ 'x' \"y\"")
        assert folder == memory_path / f"{ODD}.worktrees" / task
        (folder / ODD).write_text("x")
        view = orc.worktrees.all()[0]
        assert (view.path, view.untracked) == (str(folder), 1)
        assert refusal(orc, task) == ["untracked"]
        (folder / ODD).unlink()
        assert orc.worktrees.remove(task, agent="ann").branch_deleted
        assert not folder.exists()


def test_what_is_there_is_taken_and_what_is_not_ours_is_refused(
    orc: Orchestrator, repository: Repo, memory_path: Path
):
    """A worktree that git has and the board has not yet is recorded; a foreign folder stays."""
    ours, foreign = add(orc, "ours"), add(orc, "foreign")
    place = memory_path / "elsewhere"
    repository.git("worktree", "add", "-q", "-b", branch_of(ours, "ours"), str(place))
    assert orc.worktrees.add(ours, agent="ann").path == str(place)
    taken = Path(f"{repository.folder}.worktrees", foreign)
    taken.mkdir(parents=True)
    with pytest.raises(Refused) as caught:
        orc.worktrees.add(foreign, agent="ann")
    assert caught.value.code == "path_exists"
    assert orc.tasks.get(foreign).assigned_to == "ann", "the claim is kept, and the error is told"


def test_a_worktree_that_git_is_making_is_not_taken_for_ready(orc: Orchestrator, repository: Repo):
    task, folder = worktree_of(orc)
    repository.git("worktree", "lock", "--reason", "initializing", str(folder))
    orc.engine.read().worktrees.pop(task)  # the record is not there yet
    with pytest.raises(Refused) as caught:
        orc.worktrees.add(task, agent="ann")
    assert caught.value.code == "worktree_busy"
    repository.git("worktree", "unlock", str(folder))
    assert orc.worktrees.add(task, agent="ann").path == str(folder)


def test_a_folder_that_was_deleted_by_hand_is_made_again_with_its_commits(
    orc: Orchestrator, repository: Repo
):
    task, folder = worktree_of(orc)
    head = repository.commit_file("work.txt", folder=folder)
    shutil.rmtree(folder)
    assert not orc.worktrees.show(task).is_there
    for needs_folder in (orc.worktrees.path, orc.tasks.complete):
        orc.tasks.edit(task, artifacts=["work.txt"], reason="proof")
        with pytest.raises(Refused) as caught:
            needs_folder(task)
        assert caught.value.code == "worktree_gone"
    orc.worktrees.add(task, agent="ann")
    assert repository.git("rev-parse", "HEAD", folder=folder) == head
    orc.tasks.complete(task, agent="ann")


def test_a_worktree_that_was_moved_is_found_again(
    orc: Orchestrator, repository: Repo, memory_path: Path
):
    task, folder = worktree_of(orc)
    repository.git("worktree", "move", str(folder), str(memory_path / "moved"))
    assert orc.worktrees.add(task, agent="ann").path == str(memory_path / "moved")


def test_the_board_and_its_worktrees_may_move_together(
    repository: Repo, memory_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with Orchestrator.open(repository.folder / ".orchestrator") as orc:
        orc.workstreams.create("build")
        task, folder = worktree_of(orc)
    moved = memory_path / "new"
    moved.mkdir()
    for path in (repository.folder, folder.parent):
        path.rename(moved / path.name)
    place = moved / folder.parent.name / task
    monkeypatch.chdir(moved / "repo")
    repository.git("worktree", "repair", str(place), folder=moved / "repo")
    with Orchestrator.open(moved / "repo" / ".orchestrator") as orc:
        assert orc.worktrees.path(task) == str(place)
        assert orc.worktrees.show(task).is_there


# Odd repositories


def test_no_repository_an_empty_one_and_a_bare_one(
    memory_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Without a repository it is a clear error; in the folder of a bare one there are worktrees."""
    monkeypatch.chdir(memory_path)
    with Orchestrator.open(memory_path / "lone") as orc:
        orc.workstreams.create("build")
        with pytest.raises(NotFound) as caught:
            worktree_of(orc)
        assert caught.value.code == "no_repository"
        assert orc.tasks.all()[0].status == "pending", "nothing was claimed"
    repository = Repo(memory_path / "repo", {"a.txt": "a\n"})
    empty = memory_path / "empty"
    repository.git("init", "-q", "-b", "main", str(empty))
    with Orchestrator.open(empty / ".orchestrator") as orc:
        orc.workstreams.create("build")
        with pytest.raises(NotFound, match="no commit yet"):
            worktree_of(orc)
    bare = memory_path / "home" / "repo.git"
    repository.git("clone", "-q", "--bare", str(repository.folder), str(bare))
    monkeypatch.chdir(bare)
    with Orchestrator.open(memory_path / "home" / ".orchestrator") as orc:
        orc.workstreams.create("build")
        task, folder = worktree_of(orc)
        assert (folder / "a.txt").exists()
        assert orc.worktrees.remove(task, agent="ann").removed


def test_submodules_are_removed_only_when_their_work_is_pushed(
    orc: Orchestrator, repository: Repo, memory_path: Path
):
    """Git keeps the commits of a submodule in the worktree's own folder, and would delete them with it."""
    inner = Repo(memory_path / "inner")
    repository.git("submodule", "--quiet", "add", str(inner.folder), "lib")
    repository.git("commit", "-qm", "a submodule")
    task, folder = worktree_of(orc)
    orc.tasks.complete(task, agent="ann")
    assert orc.worktrees.show(task).changed == 0
    repository.git("submodule", "--quiet", "update", "--init", folder=folder)
    head = repository.git("rev-parse", "HEAD", folder=folder / "lib")
    repository.git("checkout", "-q", "-b", "own", folder=folder / "lib")
    repository.commit_file("own.txt", folder=folder / "lib")
    repository.git("checkout", "-q", "--detach", head, folder=folder / "lib")
    assert refusal(orc, task) == ["submodule"]
    repository.git("push", "-q", "origin", "own", folder=folder / "lib")
    repository.git("fetch", "-q", "origin", folder=folder / "lib")
    (folder / "lib" / "new.txt").write_text("x")
    assert refusal(orc, task) == ["changes", "submodule"]
    (folder / "lib" / "new.txt").unlink()
    assert orc.worktrees.remove(task, agent="ann").removed
    assert not folder.exists()


def test_pointers_of_lfs_stay_pointers_or_fail_as_a_whole(orc: Orchestrator, repository: Repo):
    """A filter that fails leaves no half worktree, and the next try works."""
    (repository.folder / ".gitattributes").write_text("*.bin filter=lfs\n")
    repository.git("add", ".gitattributes")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    repository.commit_file("big.bin", pointer)
    task, folder = worktree_of(orc)
    assert (folder / "big.bin").read_text() == pointer
    assert orc.worktrees.show(task).changed == 0
    repository.git("config", "filter.lfs.clean", "cat")
    repository.git("config", "filter.lfs.smudge", "false")
    repository.git("config", "filter.lfs.required", "true")
    other = add(orc)
    with pytest.raises(GitFailed):
        orc.worktrees.add(other, agent="ann")
    assert not folder.with_name(other).exists()
    assert [view.task for view in orc.worktrees.all()] == [task]
    head = repository.commit_file("c.txt")
    repository.git("config", "filter.lfs.smudge", "cat")
    assert orc.worktrees.add(other, agent="ann").commit == head, "the branch began anew"


def test_a_hook_that_fails_after_the_checkout_is_told_and_changes_nothing(
    orc: Orchestrator, repository: Repo, warnings: list[str]
):
    repository.hook("post-checkout", "echo broken hook >&2; exit 3")
    task, folder = worktree_of(orc)
    assert (folder / "a.txt").exists()
    assert "broken hook" in warnings[-1]
    assert orc.worktrees.show(task).is_there
    repository.hook("reference-transaction", "exit 1")
    with pytest.raises(GitFailed):
        worktree_of(orc)


def test_a_shallow_clone_has_worktrees_and_what_is_pushed_may_go(
    repository: Repo, memory_path: Path, monkeypatch: pytest.MonkeyPatch
):
    repository.commit_file("b.txt")
    clone = memory_path / "clone"
    repository.git(
        "clone", "-q", "--depth=1", "--no-single-branch", f"file://{repository.folder}", str(clone)
    )
    monkeypatch.chdir(clone)
    with Orchestrator.open(clone / ".orchestrator") as orc:
        orc.workstreams.create("build")
        task, folder = worktree_of(orc)
        repository.commit_file("own.txt", folder=folder)
        assert refusal(orc, task) == ["commits"]
        repository.git("push", "-q", "origin", "HEAD", folder=folder)
        removal = orc.worktrees.remove(task, agent="ann")
        assert (removal.removed, removal.branch_deleted) == (True, False), "pushed, not merged"


def test_the_size_of_untracked_files_costs_nothing(orc: Orchestrator):
    """A file of a terabyte: to read it would take longer than any test."""
    task, folder = worktree_of(orc)
    with (folder / "huge.img").open("wb") as file:
        file.truncate(1 << 40)
    assert orc.worktrees.show(task).untracked == 1
    assert refusal(orc, task) == ["untracked"]


def test_a_rename_of_case_only_is_a_change_until_it_is_committed(
    orc: Orchestrator, repository: Repo
):
    task, folder = worktree_of(orc)
    repository.git("mv", "a.txt", "A.txt", folder=folder)
    assert refusal(orc, task) == ["changes"]
    repository.git("commit", "-qm", "rename", folder=folder)
    assert orc.worktrees.show(task).ahead == 1
    repository.git("merge", "-q", orc.worktrees.get(task).branch)
    assert orc.worktrees.remove(task, agent="ann").branch_deleted
    assert os.listdir(repository.folder).count("A.txt") == 1


# Removing


def test_prune_takes_what_is_merged_and_clean_and_says_why_the_others_stay(
    orc: Orchestrator, repository: Repo, memory_path: Path
):
    """The zoo of worktrees: each kind of loss alone, and what may go."""
    zoo: dict[str, tuple[str, Path]] = {}

    def animal(kind: str, *, commit: bool = False, ended: bool = True) -> Path:
        task, folder = worktree_of(orc, kind)
        if commit:
            repository.commit_file(f"{kind}.txt", f"{kind}\n", folder=folder)
        if ended:
            orc.tasks.complete(task, agent="ann")
        zoo[kind] = task, folder
        return folder

    def branch(kind: str) -> str:
        return orc.worktrees.get(zoo[kind][0]).branch

    (repository.folder / ".gitignore").write_text("*.log\n")
    repository.git("add", ".gitignore")
    repository.git("commit", "-qm", "ignore")
    remote = memory_path / "remote.git"
    repository.git("clone", "-q", "--bare", str(repository.folder), str(remote))
    repository.git("remote", "add", "origin", str(remote))

    (animal("changed") / "a.txt").write_text("changed")
    (animal("untracked") / "new.txt").write_text("x")
    staged = animal("staged")
    (staged / "a.txt").write_text("staged")
    repository.git("add", "a.txt", folder=staged)
    stashed = animal("stashed")
    (stashed / "a.txt").write_text("stashed")
    repository.git("stash", "-q", folder=stashed)
    animal("unpushed", commit=True)
    detached = animal("detached")
    repository.git("checkout", "-q", "--detach", folder=detached)
    repository.commit_file("detached.txt", folder=detached)
    unfinished = animal("unfinished", commit=True)
    repository.git("push", "-q", "origin", "HEAD", folder=unfinished)
    repository.git("bisect", "start", folder=unfinished)
    hidden = animal("hidden")
    repository.git("update-index", "--assume-unchanged", "a.txt", folder=hidden)
    (hidden / "a.txt").write_text("not shown")
    repository.git("worktree", "lock", "--reason", "on a stick", str(animal("locked")))
    animal("open", ended=False)
    repository.git("worktree", "add", "-q", "-b", "mine", str(memory_path / "unknown"))
    shutil.rmtree(animal("gone with commits", commit=True))
    replaced = animal("replaced")
    shutil.rmtree(replaced)
    Repo(replaced)

    (animal("empty") / "build.log").write_text("ignored files go")
    animal("merged", commit=True)
    repository.git("merge", "-q", "--no-edit", branch("merged"))
    animal("rebased", commit=True)
    repository.git("cherry-pick", branch("rebased"))
    squashed = animal("squashed", commit=True)
    repository.commit_file("second.txt", folder=squashed)
    repository.git("merge", "-q", "--squash", branch("squashed"))
    repository.git("commit", "-qm", "squashed")
    pushed = animal("pushed", commit=True)
    repository.git("push", "-q", "origin", "HEAD", folder=pushed)
    shutil.rmtree(animal("gone"))

    stay = {
        "changed": ["changes"],
        "untracked": ["untracked"],
        "staged": ["changes"],
        "stashed": ["stash"],
        "unpushed": ["commits"],
        "detached": ["commits"],
        "unfinished": ["unfinished"],
        "hidden": ["hidden"],
        "locked": ["locked"],
        "open": ["open"],
        "gone with commits": ["commits"],
        "replaced": ["unknown"],
    }
    go = {"empty", "merged", "rebased", "squashed", "pushed", "gone"}
    tasks = {task: kind for kind, (task, _) in zoo.items()}

    for dry_run in (True, False):
        removals = orc.worktrees.prune(dry_run=dry_run)
        found = {tasks[r.task] if r.task else "unknown": r for r in removals}
        assert {kind for kind, removal in found.items() if removal.removed} == go
        assert {kind: kinds(found[kind]) for kind in stay} == stay
        assert kinds(found["unknown"]) == ["unknown"]
        deleted = {kind for kind, removal in found.items() if removal.branch_deleted}
        assert deleted == go - {"pushed"}
        assert (zoo["empty"][1].exists(), zoo["merged"][1].exists()) == (dry_run, dry_run)
    assert all(zoo[kind][1].exists() for kind in stay if not kind.startswith("gone"))
    assert (memory_path / "unknown").exists()
    assert {view.task for view in orc.worktrees.all()} == {zoo[kind][0] for kind in stay} | {None}
    names_left = repository.git("branch", "--list", "--format=%(refname)")
    assert not [kind for kind in deleted if zoo[kind][0] in names_left]
    with pytest.raises(Refused, match="the board does not know it"):
        orc.worktrees.remove(str(memory_path / "unknown"))


def test_what_git_would_take_with_a_worktree_keeps_it(
    orc: Orchestrator, repository: Repo, memory_path: Path
):
    """Another worktree in an ignored folder of it, and commits that only a moved or deleted one has."""
    (repository.folder / ".gitignore").write_text("inner/\n")
    repository.git("add", ".gitignore")
    repository.git("commit", "-qm", "ignore")
    outer, folder = worktree_of(orc)
    repository.git("worktree", "add", "-q", "--detach", str(folder / "inner" / "tree"))
    (folder / "inner" / "tree" / "a.txt").write_text("not committed")
    assert refusal(orc, outer) == ["nested"]

    moved, folder = worktree_of(orc)
    repository.git("checkout", "-q", "--detach", folder=folder)
    repository.commit_file("detached.txt", folder=folder)
    folder.rename(memory_path / "moved by hand")
    assert refusal(orc, moved) == ["commits"]

    locked, folder = worktree_of(orc)
    repository.git("worktree", "lock", "--reason", "on a stick", str(folder))
    folder.rename(memory_path / "unplugged")
    assert refusal(orc, locked) == ["locked"]

    link, folder = worktree_of(orc)
    other, place = worktree_of(orc)
    folder.rename(memory_path / "behind the link")
    folder.symlink_to(place)
    assert refusal(orc, link) == ["unknown"]
    assert orc.worktrees.remove(other, agent="ann").removed


def test_a_program_that_tells_git_what_has_changed_hides_no_work(
    orc: Orchestrator, repository: Repo, memory_path: Path
):
    """``core.fsmonitor`` names a program; one that is wrong makes ``git status`` say that all is clean."""
    task, folder = worktree_of(orc)
    ran = memory_path / "ran"
    repository.hook("monitor", f"touch '{ran}'; printf 'token\\0'")
    monitor = str(repository.folder / ".git" / "hooks" / "monitor")
    repository.git("config", "core.fsmonitor", monitor)
    repository.git("update-index", "--fsmonitor", folder=folder)
    repository.git("status", folder=folder)
    (folder / "a.txt").write_text("work")
    assert not repository.git("status", "--porcelain", folder=folder)
    ran.unlink()
    assert refusal(orc, task) == ["changes"]
    assert orc.worktrees.show(task).changed == 1
    assert not ran.exists()


def test_a_branch_that_another_worktree_is_on_stays(orc: Orchestrator, repository: Repo):
    task, folder = worktree_of(orc)
    branch = orc.worktrees.get(task).branch
    repository.git("checkout", "-q", "--detach", folder=folder)
    repository.git("checkout", "-q", branch)
    assert not orc.worktrees.remove(task, agent="ann").branch_deleted
    assert repository.git("rev-parse", "HEAD") == repository.tip("main")


def test_what_git_refuses_at_the_last_moment_stops_no_other_removal(
    orc: Orchestrator, monkeypatch: pytest.MonkeyPatch
):
    """Work comes into a worktree after it was looked at."""
    tasks = {}
    for title in ("first", "second"):
        task, folder = worktree_of(orc, title)
        orc.tasks.complete(task, agent="ann")
        tasks[task] = folder
    reasons = RemovalCheck.reasons

    def then_work_comes(check: RemovalCheck) -> list[KeepReason]:
        found = reasons(check)
        (next(iter(tasks.values())) / "new.txt").write_text("x")
        return found

    monkeypatch.setattr(RemovalCheck, "reasons", then_work_comes)
    assert [kinds(removal) for removal in orc.worktrees.prune()] == [["refused"], []]
    assert [folder.exists() for folder in tasks.values()] == [True, False]


def test_a_stash_counts_for_the_branch_on_which_it_was_made(orc: Orchestrator, repository: Repo):
    """All worktrees share one list of stashes; one without a name belongs to the commit below it."""
    (first, place), (second, other) = worktree_of(orc, "first"), worktree_of(orc, "second")
    (place / "a.txt").write_text("first")
    repository.git("stash", "push", "-q", "-m", "On another: text", folder=place)
    assert refusal(orc, first) == ["stash"]
    head = repository.commit_file("own.txt", folder=other)
    repository.git("push", "-q", str(repository.folder), "HEAD:refs/remotes/origin/x", folder=other)
    repository.git("checkout", "-q", "--detach", head, folder=other)
    (other / "a.txt").write_text("second")
    repository.git("stash", "-q", folder=other)
    repository.git("checkout", "-q", orc.worktrees.get(second).branch, folder=other)
    assert refusal(orc, second) == ["stash"]
    repository.git("stash", "drop", "-q")
    assert orc.worktrees.remove(second, agent="ann").removed
    assert refusal(orc, first) == ["stash"]


def test_nobody_loses_the_folder_under_their_feet(
    orc: Orchestrator, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
):
    task, folder = worktree_of(orc)
    with pytest.raises(Refused, match="ann works on its task"):
        orc.worktrees.remove(task, agent="ben")
    monkeypatch.chdir(folder)
    assert refusal(orc, task) == ["here"]
    monkeypatch.chdir(folder.parent)
    clock.advance(3600)
    assert orc.worktrees.remove(task, agent="ben").removed
    with pytest.raises(NotFound):
        orc.worktrees.get(task)


def test_a_commit_that_the_queue_has_merged_is_merged_whatever_became_of_it(
    orc: Orchestrator, repository: Repo
):
    task, folder = worktree_of(orc)
    head = repository.commit_file("own.txt", folder=folder)
    orc.tasks.complete(task, agent="ann")
    submitted = orc.merges.submit_commit(
        orc.worktrees.get(task).branch, head, target="main", task=task, agent="ann"
    )
    assert [kinds(r) for r in orc.worktrees.prune()] == [["commits"]]
    claimed = orc.merges.claim("queue")[0]
    assert claimed.token is not None
    commit = repository.git("rev-parse", "main")
    orc.merges.merged(submitted.number, claimed.token, commit=commit)
    assert [r.branch_deleted for r in orc.worktrees.prune()] == [True]


# Setup


def test_setup_commands_run_once_they_are_trusted_until_they_succeed(
    orc: Orchestrator, repository: Repo, warnings: list[str], monkeypatch: pytest.MonkeyPatch
):
    config = repository.folder / ".orchestrator" / "config.toml"
    config.write_text(
        "[worktree]\nsetup = [\"sh -c 'echo $ORC_TASK $ORC_AGENT $PWD > setup.txt; cat needed'\"]\n"
    )
    task, folder = worktree_of(orc)
    assert "nobody has trusted" in warnings[-1]
    assert not (folder / "setup.txt").exists()
    monkeypatch.setenv("ORC_CAUSE", "1 1 1")
    with pytest.raises(Refused) as caught:
        Preparation(orc.engine).allow()
    assert caught.value.code == "not_yours"
    monkeypatch.delenv("ORC_CAUSE")
    Preparation(orc.engine).allow()
    with pytest.raises(Refused) as caught:
        orc.worktrees.add(task, agent="ann")
    assert caught.value.code == "setup_failed"
    assert "cat: needed" in str(caught.value.details["output"])
    shown = orc.worktrees.show(task).setup
    assert shown is not None
    assert (shown.passed, shown.problem) == (False, "exit status 1")
    assert (folder / "setup.txt").read_text().split() == [task, "ann", str(folder)]
    (folder / "needed").write_text("")
    assert orc.worktrees.add(task, agent="ann").setup is not None
    (folder / "setup.txt").unlink()
    orc.worktrees.add(task, agent="ann")
    assert not (folder / "setup.txt").exists(), "what succeeded runs once"
    config.write_text("[worktree]\nsetup = ['touch other']\n")
    other, place = worktree_of(orc)
    assert not (place / "other").exists(), "other commands are not trusted"
    assert orc.worktrees.show(other).setup is None


def test_another_folder_must_be_ignored_by_git_or_trusted(
    orc: Orchestrator, repository: Repo, memory_path: Path
):
    config = repository.folder / ".orchestrator" / "config.toml"
    config.write_text("[worktree]\nfolder = '.trees'\n")
    task = add(orc)
    with pytest.raises(Refused) as caught:
        orc.worktrees.add(task, agent="ann")
    assert caught.value.code == "not_ignored"
    with (repository.folder / ".git" / "info" / "exclude").open("a") as file:
        file.write("/.trees/\n")
    made = orc.worktrees.add(task, agent="ann")
    assert made.path == str(repository.folder / ".trees" / task)
    assert repository.git("status", "--porcelain") == ""
    other = add(orc)
    for outside in ("../other", "~/.config", ".trees/link"):
        (repository.folder / ".trees" / "link").unlink(missing_ok=True)
        (repository.folder / ".trees" / "link").symlink_to(memory_path)
        config.write_text(f"[worktree]\nfolder = '{outside}'\n")
        with pytest.raises(Refused) as caught:
            orc.worktrees.add(other, agent="ann")
        assert caught.value.code == "not_trusted"
    config.write_text("[worktree]\nfolder = '../other'\n")
    Preparation(orc.engine).allow()
    assert orc.worktrees.add(other, agent="ann").path == str(memory_path / "other" / other)


# Checks


def test_checks_and_artifacts_are_those_of_the_worktree_wherever_it_is_completed(
    orc: Orchestrator, repository: Repo
):
    """In the main worktree, the file of the same name would pass both."""
    task, folder = worktree_of(
        orc, verify=["test -s result.txt", f"test -d {repository.folder}"], artifacts=["a.txt"]
    )
    (repository.folder / "result.txt").write_text("of another task")
    (folder / "a.txt").unlink()
    with pytest.raises(Refused) as caught:
        orc.tasks.complete(task, agent="ann")
    assert caught.value.details["failed"] == ["a.txt", "test -s result.txt"]
    (folder / "a.txt").write_text("a")
    (folder / "result.txt").write_text("done")
    assert orc.tasks.complete(task, agent="ann").status == "done"


def test_errors_are_of_the_family(orc: Orchestrator):
    for call in (orc.worktrees.show, orc.worktrees.path, orc.worktrees.remove, orc.worktrees.get):
        with pytest.raises(OrchestratorError) as caught:
            call(add(orc))
        assert caught.value.code == "worktree_not_found"


def test_a_worktree_of_another_machine_is_neither_used_nor_removed_here(
    repository: Repo, clock: SettableClock, tmp_path: Path
):
    store, other = MemoryStore(), Repo(tmp_path / "clone")
    mill = Orchestrator(store, now=clock, machine="mill", folder=str(repository.folder))
    forge = Orchestrator(store, now=clock, machine="forge", folder=str(other.folder))
    mill.workstreams.create("build")
    task, tree = worktree_of(mill)
    for act in (forge.worktrees.path, forge.worktrees.remove, forge.worktrees.add):
        with pytest.raises(Refused) as caught:
            act(task, **({"agent": "ann"} if act != forge.worktrees.path else {}))
        assert caught.value.code == "other_machine"
    mill.tasks.complete(task, agent="ann")
    assert forge.worktrees.prune() == []
    (view,) = forge.worktrees.all()
    assert (view.machine, view.is_there) == ("mill", False)
    assert tree.exists()
    assert [removal.removed for removal in mill.worktrees.prune()] == [True]
