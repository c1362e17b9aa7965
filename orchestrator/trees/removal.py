"""Remove a worktree, or say why it stays: what would be lost, and who needs it."""

import os
from collections.abc import Sequence
from functools import cache

from orchestrator.core.git import HEADS, Git, GitFailed
from orchestrator.core.paths import inside
from orchestrator.core.printable import amount, escape
from orchestrator.core.repository import around
from orchestrator.domain.state import State
from orchestrator.domain.worktrees.records import Worktree
from orchestrator.trees.kept import KeepReason, Removal
from orchestrator.trees.losses import losses_of_folder, own_commits, unmerged
from orchestrator.trees.making import LONGEST
from orchestrator.trees.registered import Registered, RepositoryTrees, place_of


def uses(
    state: State, worktree: Worktree, agent: str, now: str, *, only_ended: bool
) -> list[KeepReason]:
    """Who needs a worktree: one who works on its task, or the caller, who is in it.

    Args:
        state: The state.
        worktree: The worktree, with its absolute path.
        agent: Who would remove it.
        now: The time.
        only_ended: Keep it also if nobody works on the task, but it has not ended.
    """
    reasons = []
    task = state.tasks.get(worktree.task)
    holder = task.assigned_to if task is not None else None
    if only_ended and state.tasks.is_open(worktree.task):
        reasons.append(KeepReason(kind="open", text="its task has not ended"))
    elif task is not None and holder not in (None, agent) and task.is_held_by(holder or "", now):
        reasons.append(KeepReason(kind="in_use", text=f"{holder} works on its task"))
    if inside(os.getcwd(), os.path.realpath(worktree.path)) is not None:
        reasons.append(KeepReason(kind="here", text="you are in it"))
    return reasons


class RemovalCheck:
    """What would be lost with a worktree of a repository.

    Args:
        repository: The repository.
        worktree: The worktree, with its absolute path.
        merged: Commits that the merge queue has merged for its task, under other ids perhaps.
        targets: The branches that may contain its work, beside its base.
    """

    def __init__(
        self,
        repository: RepositoryTrees,
        worktree: Worktree,
        merged: Sequence[str],
        targets: Sequence[str],
    ) -> None:
        self._repository, self._worktree = repository, worktree
        self._tree = repository.at(worktree.path)
        self.head = repository.head_of(worktree.branch)
        names = dict.fromkeys([worktree.base, *targets, repository.trees[0].branch])
        commits = [repository.commit_of(name) for name in names if name != worktree.branch]
        known = (repository.git.commit(commit) for commit in merged)
        self._targets = [*filter(None, dict.fromkeys((*commits, *known)))]

    def reasons(self) -> list[KeepReason]:
        """The reasons to keep it: what would be lost, and what git refuses."""
        try:
            return [*self._of_folder(), *self._of_branch()]
        except GitFailed as error:
            return [KeepReason(kind="unreadable", text=f"git cannot read it: {error.message}")]

    @property
    def can_delete_branch(self) -> bool:
        """Whether the targets contain all of the branch, and no other worktree is on it."""
        if not self.head:
            return False
        branch = self._worktree.branch
        if any(t.branch == branch for t in self._repository.trees if t is not self._tree):
            return False
        return not unmerged(self._repository.git, [self.head], self._targets, pushed=False)

    def _of_folder(self) -> list[KeepReason]:
        tree, path = self._tree, self._worktree.path
        reasons = []
        if tree is not None and tree.lock:
            reasons.append(KeepReason(kind="locked", text=f"it is locked ({escape(tree.lock)})"))
        if tree is None or not tree.is_there:
            if os.path.lexists(path):
                text = "git does not know the folder, which is there"
                reasons.append(KeepReason(kind="unknown", text=text))
            return reasons
        reasons += self._nested()
        return [*reasons, *losses_of_folder(Git(path))]

    def _nested(self) -> list[KeepReason]:
        """What is below its folder and is not of it, which git would remove if it ignores it."""
        top = os.path.realpath(self._worktree.path)
        places = [tree.path for tree in self._repository.trees if tree is not self._tree]
        places += [board] if (board := self._repository.board) is not None else []
        return [
            KeepReason(kind="nested", text=f"{place!a} is in it")
            for place in places
            if os.path.lexists(place) and inside(place_of(place), top) is not None
        ]

    def _of_branch(self) -> list[KeepReason]:
        git, tree = self._repository.git, self._tree
        # Also if the folder is gone: with the worktree git forgets what was checked out there.
        checked_out = tree.head if tree is not None else ""
        heads = [*filter(None, dict.fromkeys((self.head, checked_out)))]
        reasons = []
        if count := unmerged(git, heads, self._targets):
            are = "is" if count == 1 else "are"
            text = f"{amount(count, 'commit')} that {are} neither merged nor pushed"
            reasons.append(KeepReason(kind="commits", text=text))
        own = cache(lambda: own_commits(git, heads, self._targets))
        branch = self._worktree.branch
        if names := [s.name for s in self._repository.stashes if s.belongs(branch, own)]:
            text = f"stashes of its branch: {', '.join(names)}"
            reasons.append(KeepReason(kind="stash", text=text))
        return reasons


def remove(repository: RepositoryTrees, worktree: Worktree, check: RemovalCheck) -> Removal:
    """Remove a worktree without loss of work, and its branch if it is merged.

    Raises:
        GitFailed: Git could not.
    """
    tree = repository.at(worktree.path)
    if tree is not None:
        # Git refuses a worktree with submodules unless it is forced, whatever is in them.
        force = ["--force"] if tree.is_there and _has_submodules(tree) else []
        repository.git.run("worktree", "remove", *force, "--", tree.path, timeout=LONGEST)
    is_deleted = check.can_delete_branch
    if is_deleted:  # with its value: a branch that moved meanwhile stays
        words = ("update-ref", "-d", "--", f"{HEADS}{worktree.branch}", check.head)
        is_deleted = repository.git.run(*words, accepted=None).status == 0
    return Removal(
        task=worktree.task,
        path=worktree.path,
        branch=worktree.branch,
        commit=check.head,
        removed=True,
        branch_deleted=is_deleted,
    )


def _has_submodules(tree: Registered) -> bool:
    place = around(tree.path)
    return place is not None and os.path.isdir(os.path.join(place.git, "modules"))
