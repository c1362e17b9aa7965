"""The worktrees that git knows of a repository."""

import os
from functools import cached_property

import msgspec

from orchestrator.core import repository
from orchestrator.core.errors import NotFound, OrchestratorError
from orchestrator.core.git import Git
from orchestrator.trees.losses import Stash, stashes

HEADS = "refs/heads/"
_REMOTES = "refs/remotes/"

INITIALIZING = "initializing"
"""The lock that git has on a worktree while it makes it."""


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """A worktree as git knows it.

    Attributes:
        path: Its folder.
        head: The commit that is checked out; empty if there is none yet.
        branch: The branch that is checked out, without ``refs/heads/``; empty if none is.
        is_main: Whether it is the main worktree, or the bare repository.
        is_there: Whether the folder is there, and is this worktree.
        lock: Why it is locked, ``locked`` if no reason is known; empty if it is not.
    """

    path: str
    head: str = ""
    branch: str = ""
    is_main: bool = False
    is_there: bool = True
    lock: str = ""


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
        found = repository.around(board) if board is not None else None
        found = found or repository.here(os.getcwd())
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
        self.trees = [*map(self._registered, _records(self.git))]

    def at(self, path: str) -> Registered | None:
        """The worktree with this folder; None if git knows none."""
        place = place_of(path)
        return next((t for t in self.trees if place_of(t.path) == place), None)

    def on(self, branch: str) -> Registered | None:
        """The worktree in which a branch is checked out; None if there is none."""
        return next((t for t in self.trees if t.branch == branch and t.is_there), None)

    def linked(self) -> list[Registered]:
        """The worktrees without the main one."""
        return self.trees[1:]

    @cached_property
    def _refs(self) -> dict[str, str]:
        """The commits of all branches, those of remotes included, and of the newest stash."""
        form = "--format=%(refname) %(objectname)"
        lines = self.git.text("for-each-ref", form, HEADS, _REMOTES, "refs/stash").splitlines()
        return dict(line.split(" ") for line in lines)

    @cached_property
    def stashes(self) -> list[Stash]:
        """The stashes of all worktrees."""
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
                hint="--base BRANCH names the one to begin with.",
            )
        return branch.removeprefix(HEADS)

    def _registered(self, facts: dict[str, str]) -> Registered:
        path, head = facts["worktree"], facts.get("HEAD", "")
        return Registered(
            path=path,
            head=head if head.strip("0") else "",
            branch=facts.get("branch", "").removeprefix(HEADS),
            is_main="main" in facts,
            is_there=belongs(path, self.git.folder),
            lock=facts.get("locked", ""),
        )


def place_of(path: str) -> str:
    """A path as it is compared: a link in the place of a worktree is not what it leads to."""
    above, name = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(above), name)


def belongs(path: str, common: str) -> bool:
    """Whether a folder is there and is a worktree of the repository, and not merely inside of another one.

    Args:
        path: The folder.
        common: Git's folder, which all worktrees share, without links.
    """
    if os.path.islink(path):
        return False
    try:
        place = repository.around(path)
    except OrchestratorError:  # a file of git that cannot be read
        return False
    return place is not None and place.common == common and place.root == path


def _records(git: Git) -> list[dict[str, str]]:
    """What ``git worktree list`` tells about each worktree: the values by their words."""
    records: list[dict[str, str]] = [{"main": "main"}]
    for line in git.parts("worktree", "list", "--porcelain", "-z"):
        word, _, value = line.partition(" ")
        if word:
            records[-1][word] = value or word
        else:
            records.append({})
    return [record for record in records if "worktree" in record]
