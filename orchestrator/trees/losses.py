"""What would be lost with a worktree: changes, files, stashes and commits that are nowhere else."""

import os
import re
from collections.abc import Callable, Iterator, Sequence

import msgspec

from orchestrator.core import repository
from orchestrator.core.git import Git
from orchestrator.core.git_worktrees import changes
from orchestrator.core.printable import amount, few
from orchestrator.trees.kept import KeepReason

_NAMED = 5
"""How many paths of a loss are named."""

_OPERATIONS = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "BISECT_LOG": "bisection",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
}
"""What git keeps in its folder of a worktree during an operation that is not finished."""

_ANY_AUTHOR = {
    f"GIT_{role}_{fact}": "orc" for role in ("AUTHOR", "COMMITTER") for fact in ("NAME", "EMAIL")
}


def losses_of_folder(git: Git) -> Iterator[KeepReason]:
    """What would be lost with the folder of a worktree, beside commits and stashes."""
    found = changes(git)
    if found.changed:
        yield KeepReason(kind="changes", text=_paths("changed file", found.changed))
    if found.untracked:
        yield KeepReason(kind="untracked", text=_paths("untracked file", found.untracked))
    place = repository.around(git.folder)
    for name, operation in _OPERATIONS.items():
        if place is not None and os.path.exists(os.path.join(place.git, name)):
            yield KeepReason(kind="unfinished", text=f"a {operation} that is not finished")
    hidden, modules = _entries(git)
    if hidden:
        yield KeepReason(
            kind="hidden", text=_paths("file", hidden) + " whose changes git does not show"
        )
    for path in modules:
        if _has_own_work(Git(os.path.join(git.folder, path))):
            yield KeepReason(
                kind="submodule", text=f"work in the submodule {path!a} that is not pushed"
            )


def unmerged(git: Git, heads: Sequence[str], targets: Sequence[str], *, pushed: bool = True) -> int:
    """How many commits are neither merged into one of the targets nor pushed.

    Commits count as merged if a target contains them, or the same changes: as the commits of a rebase, or
    all together as one commit.

    Args:
        git: The repository.
        heads: The commits that may be lost, with what is below them.
        targets: The commits that may contain them.
        pushed: Whether it is enough that a remote has them.
    """
    remotes = ["--remotes"] if pushed else []
    count = len(own_commits(git, heads, [*targets, *remotes]))
    is_applied = count and all(
        any(_is_applied(git, head, target) for target in targets) for head in heads
    )
    return 0 if is_applied else count


def own_commits(git: Git, heads: Sequence[str], others: Sequence[str]) -> list[str]:
    """The commits of heads that others have not."""
    return git.text("rev-list", *heads, "--not", *others, "--").split() if heads else []


def _is_applied(git: Git, head: str, target: str) -> bool:
    """Whether a target contains the changes of all commits of a head, under other ids."""
    base = git.found("merge-base", head, target)
    if base is None:
        return False
    # `git cherry` passes over merges, which may contain changes of their own.
    if not git.text("rev-list", "--merges", "-n1", head, f"^{target}"):
        marks = git.text("cherry", target, head).splitlines()
        if all(mark.startswith("-") for mark in marks):
            return True
    author = Git(git.folder, variables=_ANY_AUTHOR)
    together = author.text("commit-tree", "-p", base, "-m", "all changes", f"{head}^{{tree}}")
    return git.text("cherry", target, together).startswith("-")


class Stash(msgspec.Struct, frozen=True, kw_only=True):
    """A stash; all worktrees of a repository share one list of them.

    Attributes:
        name: ``stash@{0}``.
        commit: The commit on which it was made.
        branch: The branch that its message names; empty if it was made on a detached head, or by ``git stash
            store``.
    """

    name: str
    commit: str
    branch: str

    def belongs(self, branch: str, own: Callable[[], Sequence[str]]) -> bool:
        """Whether it belongs to a branch: its message names it, or it was made on a commit of its own.

        Args:
            branch: The branch.
            own: Returns the commits that only this branch has.
        """
        return self.branch == branch if self.branch else self.commit in own()


def stashes(git: Git) -> list[Stash]:
    """The stashes of a repository that has any."""
    found = []
    words = ("--walk-reflogs", "-z", "--format=%gd%x1f%P%x1f%gs", "refs/stash", "--")
    for entry in git.parts("log", *words):
        name, parents, message = entry.split("\x1f", 2)
        named = re.match(r"(?:WIP on|On) (.+?): ", message)
        branch = named[1] if named and named[1] != "(no branch)" else ""
        found.append(Stash(name=name, commit=parents.partition(" ")[0], branch=branch))
    return found


def _entries(git: Git) -> tuple[list[str], list[str]]:
    """The files whose changes git was told not to show, and the submodules that are checked out."""
    hidden, modules = [], []
    for entry in git.parts("ls-files", "-v", "--stage", "-z"):
        facts, _, path = entry.partition("\t")
        tag, mode, *_ = facts.split(" ")
        place = os.path.join(git.folder, path)
        if mode == "160000":
            if os.path.lexists(os.path.join(place, ".git")):
                modules.append(path)
        elif (tag.islower() or tag == "S") and os.path.lexists(place):
            hidden.append(path)
    return hidden, modules


def _has_own_work(git: Git) -> bool:
    """Whether a submodule has changes, stashes, or commits that no remote has."""
    if next(losses_of_folder(git), None) is not None or git.commit("refs/stash") is not None:
        return True
    return bool(git.text("rev-list", "-n1", "HEAD", "--branches", "--not", "--remotes", "--"))


def _paths(noun: str, paths: Sequence[str]) -> str:
    return f"{amount(len(paths), noun)} ({', '.join(few(paths, _NAMED, ascii))})"
