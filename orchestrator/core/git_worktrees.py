"""What git says of the worktrees of a repository: which there are, and what is not committed in one."""

import os

import msgspec

from orchestrator.core import repository
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.git import HEADS, Git


class ListedWorktree(msgspec.Struct, frozen=True, kw_only=True):
    """A worktree in the list of git.

    Attributes:
        path: Its folder.
        head: The commit that is checked out; empty if there is none yet.
        branch: The branch that is checked out, without ``refs/heads/``; empty if none is.
        is_main: Whether it is the main worktree, or the bare repository.
        lock: Why it is locked, ``locked`` if no reason is known; empty if it is not.
    """

    path: str
    head: str = ""
    branch: str = ""
    is_main: bool = False
    lock: str = ""


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What is not committed in a worktree.

    Attributes:
        changed: The paths of changed files.
        untracked: The paths of files and folders that git neither tracks nor ignores.
    """

    changed: list[str]
    untracked: list[str]


def worktrees(git: Git) -> list[ListedWorktree]:
    """The worktrees of a repository, the main one first; the folder of one may be gone."""
    records: list[dict[str, str]] = [{"main": "main"}]
    for line in git.parts("worktree", "list", "--porcelain", "-z"):
        word, _, value = line.partition(" ")
        if word:
            records[-1][word] = value or word
        else:
            records.append({})
    return [_listed(record) for record in records if "worktree" in record]


def _listed(facts: dict[str, str]) -> ListedWorktree:
    head = facts.get("HEAD", "")
    return ListedWorktree(
        path=facts["worktree"],
        head=head if head.strip("0") else "",
        branch=facts.get("branch", "").removeprefix(HEADS),
        is_main="main" in facts,
        lock=facts.get("locked", ""),
    )


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


def changes(git: Git) -> Changes:
    """What is not committed in the worktree of ``git``, whatever its settings show to people."""
    words = ("--porcelain=v1", "-z", "--untracked-files=normal", "--ignore-submodules=none")
    changed: list[str] = []
    untracked: list[str] = []
    for entry in git.parts("status", *words, "--no-renames"):
        status, path = entry[:2], entry[3:]
        (untracked if status == "??" else changed).append(path)
    return Changes(changed=changed, untracked=untracked)
