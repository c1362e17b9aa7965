"""What is recorded of worktrees. :mod:`orchestrator.trees.worktrees` makes and removes them."""

import os
from collections.abc import Iterable

from msgspec.structs import replace

from orchestrator.core.transaction import Noun, Transaction, command, no_result
from orchestrator.domain.agents.identity import act_in_session
from orchestrator.domain.board.commands import upgrade_for
from orchestrator.domain.state import State
from orchestrator.domain.tasks.lookup import resolve_ever
from orchestrator.domain.worktrees.events import WorktreeAdded, WorktreePrepared, WorktreeRemoved
from orchestrator.domain.worktrees.records import (
    SetupResult,
    Worktree,
    folder_of,
    folder_there,
    main_of,
)


class WorktreeRecords(Noun[State], name="worktrees"):
    """The worktrees that the board knows."""

    def get(self, task: str) -> Worktree:
        """Return the worktree of a task, with its absolute path.

        Args:
            task: The id of the task or a prefix.

        Raises:
            NotFound: There is no such task, or it has no worktree.
        """
        worktree = self._state.worktrees.find(resolve_ever(self._state, task))
        return self._located([worktree])[0]

    def path(self, task: str) -> str:
        """Return the folder of the worktree of a task.

        Args:
            task: The id of the task or a prefix.

        Raises:
            NotFound: There is no such task, or it has no worktree.
            Refused: The folder is gone, or on another machine.
        """
        worktree = self._state.worktrees.find(resolve_ever(self._state, task))
        return folder_there(worktree, self._desk.folder, self._state.machine)

    def _located(self, worktrees: Iterable[Worktree]) -> list[Worktree]:
        """Worktrees with their absolute paths."""
        board = self._desk.folder
        return [replace(worktree, path=folder_of(worktree, board)) for worktree in worktrees]

    @command(no_result, answers_request=False)
    def _added(
        self,
        tx: Transaction[State],
        task: str,
        *,
        branch: str,
        base: str,
        commit: str,
        path: str,
        agent: str | None,
    ) -> None:
        act_in_session(tx, agent, task=task)
        if (main := main_of(self._desk.folder)) is not None:
            path = os.path.relpath(path, main).replace(os.sep, "/")
        upgrade_for(tx, "worktree")
        facts = {"branch": branch, "base": base, "commit": commit, "path": path}
        tx.record(WorktreeAdded(task=task, machine=tx.state.machine, **facts))

    @command(no_result, answers_request=False)
    def _prepared(
        self, tx: Transaction[State], task: str, setup: SetupResult, *, agent: str | None
    ) -> None:
        act_in_session(tx, agent, task=task)
        tx.record(WorktreePrepared(task=task, setup=setup))

    @command(no_result, answers_request=False)
    def _removed(
        self, tx: Transaction[State], task: str, *, commit: str, kept: bool, agent: str | None
    ) -> None:
        act_in_session(tx, agent, task=task)
        if (worktree := tx.state.worktrees.get(task)) is not None:
            tx.record(WorktreeRemoved(task=task, branch=worktree.branch, commit=commit, kept=kept))
