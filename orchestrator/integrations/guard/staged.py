"""What git knows of a commit: the paths that it would change, and the tasks that its message names."""

import os
import re
from collections.abc import Sequence

import msgspec

from orchestrator.core import repository
from orchestrator.core.errors import NotFound
from orchestrator.core.git import Git

SECONDS = 30.0
"""How long git may take."""

_OF_THE_COMMIT = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH"),
)
"""Variables by which git tells its hooks which commit it makes."""


class NamedTasks(msgspec.Struct, frozen=True):
    """A commit, and the tasks that its trailers ``Task: ID`` name."""

    commit: str
    tasks: tuple[str, ...]


def staged_paths(folder: str) -> list[str]:
    """The paths that the next commit changes, from the top of the worktree; both names of a renamed file.

    A merge changes what differs from each branch: what comes unchanged from one was committed before.

    Raises:
        NotFound: There is no repository, or no git.
    """
    words = ("diff", "--cached", "--name-only", "-z", "--no-renames", "--no-ext-diff")
    changed = git(folder, words).split("\0")
    for commit in _merged(folder):
        others = {*git(folder, (*words, "--end-of-options", commit)).split("\0")}
        changed = [path for path in changed if path in others]
    return [path for path in changed if path]


def _merged(folder: str) -> list[str]:
    """The commits that the next commit merges into the branch."""
    path = git(folder, ("rev-parse", "--git-path", "MERGE_HEAD"))
    try:
        with open(os.path.join(folder, path), "rb") as file:
            return file.read().decode("ascii").split()
    except FileNotFoundError:
        return []


def named_tasks(folder: str, revision: str) -> NamedTasks:
    """The tasks that the message of a commit names in its trailers.

    Raises:
        NotFound: There is no repository, no git, or no such commit.
    """
    form = "--format=%H%n%(trailers:key=Task,valueonly,separator=%x0A)"
    words = ("log", "-1", "--no-color", form, "--end-of-options", revision)
    commit, *values = git(folder, words).split("\n")
    names = [name for value in values for name in re.split(r"[\s,]+", value) if name]
    return NamedTasks(commit, tuple(dict.fromkeys(names)))


def git(folder: str, words: Sequence[str]) -> str:
    """What git prints in a folder; inside of a hook, it uses the index of the commit.

    Raises:
        NotFound: There is no repository, or git is not installed.
        TimedOut: It took too long.
        GitFailed: It failed.
    """
    if repository.here(folder) is None:
        raise NotFound(
            "There is no git repository here", code="no_repository", hint="Run it in a worktree."
        )
    variables = {name: os.environ[name] for name in _OF_THE_COMMIT if name in os.environ}
    return Git(folder, variables=variables).text(*words, timeout=SECONDS)
