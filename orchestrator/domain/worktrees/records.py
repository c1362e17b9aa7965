"""The record of a worktree."""

import os
import re

from orchestrator.core import repository
from orchestrator.core.errors import Refused
from orchestrator.core.machine import are_apart
from orchestrator.domain.slices import MapSlice, Record

PREFIX = "task/"
"""The begin of the name of a task's branch: ``task/<id>-<title>``."""

_LONGEST_SLUG = 40


class SetupResult(Record, frozen=True, kw_only=True):
    """How the setup commands of a worktree ended.

    Attributes:
        passed: Whether all of them succeeded.
        command: The one that did not.
        problem: Why.
        output: The end of its output.
        seconds: How long all of them took.
    """

    passed: bool
    command: str = ""
    problem: str = ""
    output: str = ""
    seconds: float = 0.0


class Worktree(Record, frozen=True, kw_only=True):
    """The worktree of a task; a task has at most one.

    Attributes:
        task: The task.
        branch: Its branch, without ``refs/heads/``.
        base: The branch from which it was made.
        commit: The commit of the base from which it was made.
        path: Its folder, relative to the main worktree if the board is in it.
        machine: The machine on which it is, if machines share the board.
        agent: Who made it.
        made_at: When it was made.
        setup: How its setup commands ended; None if there are none, or they did not run.
    """

    task: str
    branch: str
    base: str
    commit: str
    path: str
    agent: str
    made_at: str
    setup: SetupResult | None = None
    machine: str = ""

    def is_on(self, machine: str) -> bool:
        """Whether it is on a machine, as far as that is known."""
        return not are_apart(self.machine, machine)

    def check_here(self, machine: str) -> None:
        """Refuse a worktree of another machine.

        Raises:
            Refused: It is one (``other_machine``).
        """
        if not self.is_on(machine):
            raise Refused(
                f"The worktree of task {self.task} is on {self.machine}",
                code="other_machine",
                hint="Call this on that machine.",
                machine=self.machine,
            )


class WorktreeSlice(MapSlice[str, Worktree]):
    """The worktrees by task."""

    MAIN, NOUN = "worktrees", "worktree"
    HINT = "`worktree list` shows the worktrees, `worktree add TASK` makes one."
    worktrees: dict[str, Worktree] = {}


def branch_of(task: str, title: str) -> str:
    """The name of the branch of a new worktree: ``task/299833bc-write-the-parser``."""
    words = re.findall("[a-z0-9]+", title.lower())
    slug = "-".join(words)[:_LONGEST_SLUG].strip("-")
    return f"{PREFIX}{task}-{slug}".removesuffix("-")


def folder_of(worktree: Worktree, board: str | None) -> str:
    """The folder of a worktree as an absolute path.

    Args:
        worktree: The worktree.
        board: The folder of the board, if it has one.
    """
    main = main_of(board)
    return os.path.normpath(os.path.join(main, worktree.path)) if main else worktree.path


def folder_there(worktree: Worktree, board: str | None, machine: str) -> str:
    """The folder of a worktree, which must be there.

    Args:
        worktree: The worktree.
        board: The folder of the board, if it has one.
        machine: This machine, if machines share the board.

    Raises:
        Refused: It is gone, or on another machine.
    """
    worktree.check_here(machine)
    folder = folder_of(worktree, board)
    if not os.path.isdir(folder):
        raise Refused(
            f"The worktree {folder!a} of task {worktree.task} is gone",
            code="worktree_gone",
            hint=f"`worktree add {worktree.task}` makes it again; its branch has what was committed.",
        )
    return folder


def main_of(board: str | None) -> str | None:
    """The main worktree of the repository that contains a board; None if it is in none."""
    place = repository.around(board) if board is not None else None
    return place.main if place else None
