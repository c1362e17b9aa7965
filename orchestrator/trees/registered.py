"""The worktrees that git knows of a repository."""

import os
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec.structs import asdict

from orchestrator.core import repository
from orchestrator.core.errors import NotFound
from orchestrator.core.git import HEADS, Git
from orchestrator.core.git_worktrees import ListedWorktree, belongs, worktrees

if TYPE_CHECKING:
    from orchestrator.trees.losses import Stash

_REMOTES = "refs/remotes/"

INITIALIZING = "initializing"
"""The lock that git has on a worktree while it makes it."""


class Registered(ListedWorktree, frozen=True, kw_only=True):
    """A worktree as git knows it.

    Attributes:
        is_there: Whether the folder is there, and is this worktree.
    """

    is_there: bool


class RepositoryTrees:
    """A repository with its worktrees, as they are when it is read.

    Args:
        board: The folder of the board. Its repository is meant, else that of the working folder.

    Attributes:
        board: The folder of the board, if it has one.
        main: The main worktree; for a bare repository, the folder that contains it.
        git: Git in the folder that all worktrees share.
        trees: The worktrees that git knows, the main one first.

    Raises:
        NotFound: There is no repository.
    """

    def __init__(self, board: str | None) -> None:
        found = repository.nearest(board)
        common = found.common if found else repository.bare(os.getcwd())
        if common is None:
            raise NotFound(
                "There is no git repository here",
                code="no_repository",
                hint="Worktrees are made for a board in a repository, or from inside of one.",
            )
        self.board = board
        self.main = found.main if found else os.path.dirname(common)
        self.git = Git(os.path.realpath(common))
        self.trees = [
            Registered(**asdict(tree), is_there=belongs(tree.path, self.git.folder))
            for tree in worktrees(self.git)
        ]

    def at(self, path: str) -> Registered | None:
        """The worktree with this folder; None if git knows none."""
        return self._by_place.get(place_of(path))

    def on(self, branch: str) -> Registered | None:
        """The worktree in which a branch is checked out; None if there is none."""
        return next((t for t in self.trees if t.branch == branch and t.is_there), None)

    def linked(self) -> list[Registered]:
        """The worktrees without the main one."""
        return self.trees[1:]

    @cached_property
    def _by_place(self) -> dict[str, Registered]:
        return {place_of(tree.path): tree for tree in self.trees}

    @cached_property
    def _refs(self) -> dict[str, str]:
        """The commits of all branches, those of remotes included, and of the newest stash."""
        form = "--format=%(refname) %(objectname)"
        lines = self.git.text("for-each-ref", form, HEADS, _REMOTES, "refs/stash").splitlines()
        return dict(line.split(" ") for line in lines)

    @cached_property
    def stashes(self) -> "list[Stash]":
        """The stashes of all worktrees."""
        from orchestrator.trees.losses import stashes

        return stashes(self.git) if "refs/stash" in self._refs else []

    def head_of(self, branch: str) -> str:
        """The commit of a branch; empty if there is no such branch."""
        return self._refs.get(f"{HEADS}{branch}", "")

    def commit_of(self, branch: str) -> str:
        """The same, also for a branch of a remote such as ``origin/main``."""
        return self.head_of(branch) or self._refs.get(f"{_REMOTES}{branch}", "")

    def usual_base(self) -> str:
        """The branch that is checked out in the main worktree.

        Raises:
            NotFound: None is: the head is detached.
        """
        main = self.trees[0]
        branch = main.branch or (self.git.found("symbolic-ref", "--quiet", "HEAD") or "")
        if not branch:
            raise NotFound(
                "No branch is checked out in the main worktree",
                code="no_base",
                hint="--base BRANCH names the branch to start at.",
            )
        return branch.removeprefix(HEADS)


def place_of(path: str) -> str:
    """A path as it is compared: a link in the place of a worktree is not what it leads to."""
    above, name = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(above), name)
