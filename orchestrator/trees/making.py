"""Make the branch and the folder of a worktree, or find those that are there."""

import os
from collections.abc import Callable

import msgspec

from orchestrator.core.errors import NotFound, Refused
from orchestrator.core.git import Git, GitFailed
from orchestrator.core.paths import inside
from orchestrator.core.printable import escape, one_line
from orchestrator.trees.registered import INITIALIZING, Registered, RepositoryTrees

LONGEST = 3600.0
"""Seconds that git may take to write or delete the files of a worktree."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The worktree that a task is to have.

    Attributes:
        branch: Its branch, which is made if it does not exist.
        base: The branch to begin with.
        path: Its folder.
    """

    branch: str
    base: str
    path: str


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A worktree that is there now.

    Attributes:
        commit: The last commit that its branch and the base have in common.
        path: Its folder; another one than wanted if the branch was checked out there already.
    """

    commit: str
    path: str


def make(repository: RepositoryTrees, wanted: Wanted, warn: Callable[[str], None]) -> Made:
    """Make a worktree; one that has the branch already is taken as it is.

    Args:
        repository: The repository.
        wanted: The worktree.
        warn: Receives a sentence if a hook of the repository failed, which changes nothing.

    Raises:
        NotFound: There is no such base.
        Refused: The folder is taken, or git is still making the worktree.
        GitFailed: Git could not make it.
    """
    start = _start(repository, wanted.base)
    there = repository.on(wanted.branch)
    if there is not None and not there.is_main:
        _check_whole(there)
        return Made(commit=_common(repository, there.head, start), path=there.path)
    before = repository.at(wanted.path)
    if before is None or before.is_there:
        _check_free(repository, wanted.path)
    head = repository.head_of(wanted.branch)
    commit = start if not head else _common(repository, head, start)
    words = ["--no-track", "-b", wanted.branch, "--", wanted.path, start]
    if head and head == commit:  # no commit of its own: it begins anew
        words[1], commit = "-B", start
    elif head:
        words = ["--", wanted.path, wanted.branch]
    if before is not None:  # its folder was deleted by hand
        words.insert(0, "--force")
    try:
        repository.git.run("worktree", "add", "--quiet", *words, timeout=LONGEST)
    except GitFailed as error:
        # Git takes back what it could not make, and only then runs the hook.
        if not os.path.lexists(os.path.join(wanted.path, ".git")):
            raise
        said = escape(one_line(str(error.details["output"]), 200))
        warn(f"The worktree is made, but the hook post-checkout failed: {said}")
    return Made(commit=commit, path=wanted.path)


def _start(repository: RepositoryTrees, base: str) -> str:
    commit = repository.commit_of(base)
    if not commit:
        is_empty = not repository.trees[0].head and base == repository.trees[0].branch
        raise NotFound(
            "The repository has no commit yet" if is_empty else f"There is no branch {base!a}",
            code="base_not_found",
            hint="Make a first commit."
            if is_empty
            else "`git branch --all` lists them; --base names one.",
        )
    return commit


def _common(repository: RepositoryTrees, head: str, start: str) -> str:
    """The last commit that two commits have in common; the second if they have none."""
    return repository.git.found("merge-base", head, start) or start


def _check_whole(tree: Registered) -> None:
    if tree.lock == INITIALIZING:
        raise Refused(
            f"Git is still making the worktree {tree.path!a}",
            code="worktree_busy",
            hint="Try again. If git was killed meanwhile, `git worktree unlock` takes the lock away.",
        )


def _check_free(repository: RepositoryTrees, path: str) -> None:
    """Refuse a folder that is taken, or that git would show as untracked in the main worktree."""
    if os.path.lexists(path):
        raise Refused(
            f"{path!a} is there already, and is not the worktree of this task",
            code="path_exists",
            hint="Move it away, or name another folder in `config.toml`: `[worktree] folder`.",
        )
    below = inside(os.path.realpath(path), os.path.realpath(repository.main))
    if below is not None and not _is_ignored(repository, below):
        raise Refused(
            f"Git does not ignore {below!a}, which is in the main worktree",
            code="not_ignored",
            hint="Add its folder to `.gitignore`, or to `.git/info/exclude`.",
        )


def _is_ignored(repository: RepositoryTrees, path: str) -> bool:
    # The command takes no literal paths; behind `./` none is read as a pattern.
    git = Git(repository.main, variables={"GIT_LITERAL_PATHSPECS": "0"})
    return git.holds("check-ignore", "--quiet", "--", f"./{path}")
