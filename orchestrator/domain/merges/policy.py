"""What completing a task hands to the merge queue: the policy of the board, and what the caller asks for."""

from typing import TYPE_CHECKING, NamedTuple

from orchestrator.core import names
from orchestrator.core.errors import UsageError
from orchestrator.core.printable import escape
from orchestrator.domain.merges.records import Strategy
from orchestrator.domain.state import State
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.worktrees.records import Worktree

if TYPE_CHECKING:
    from orchestrator.domain.board.settings import MergeSettings


class BranchRequest(NamedTuple):
    """What is asked to be submitted; an empty text or None stands for the usual one.

    Attributes:
        branch: The branch; else the one of the task.
        target: The branch to merge it into; else that of the task's convoy, else the board's.
        strategy: How; else the board's.
    """

    branch: str = ""
    target: str | None = None
    strategy: Strategy | None = None


class Handover(NamedTuple):
    """What is handed in with a task, or without one.

    Attributes:
        task: The task; empty if it is only a branch.
        branch: The branch, if the board or the caller knows it; git knows that of a task by its name.
        is_named: Whether the caller named it, so that it is no other one.
        worktree: The worktree of the task.
        target: The branch to merge it into.
        strategy: How.
        is_needed: Whether it is an error if there is no branch.
    """

    task: str
    branch: str
    is_named: bool
    worktree: Worktree | None
    target: str
    strategy: Strategy
    is_needed: bool


def due_with(
    state: State, data: bytes | None, task: Task, request: BranchRequest | None = None
) -> Handover | None:
    """Return what completing a task hands in: its branch, if the policy of the board or the caller wants it.

    Args:
        state: The board.
        data: The content of ``config.toml``; None if there is none.
        task: The task.
        request: What the caller wants submitted.
    """
    # Most boards have no policy, and completing a task is a hot command: it does not read settings then.
    if request is None and (data is None or b"merge" not in data):
        return None
    from orchestrator.domain.board.settings import settings

    policy = settings(data).merge
    if request is None and not policy.required:
        return None
    return handover_of(state, policy, task.id, request)


def handover_of(
    state: State, policy: "MergeSettings", task: str, request: BranchRequest | None
) -> Handover:
    """Return what a request, or without one the policy, hands in; with the usual values for what is open."""
    asked = request or BranchRequest()
    worktree, last = state.worktrees.get(task), state.merges.last_of_task(task)
    known = next((record.branch for record in (worktree, last) if record is not None), "")
    return Handover(
        task=task,
        branch=asked.branch or known,
        is_named=bool(asked.branch),
        worktree=worktree if worktree and asked.branch in ("", worktree.branch) else None,
        target=names.branch(asked.target or target_of(state, task) or policy.target),
        strategy=asked.strategy or policy.strategy,
        is_needed=request is not None,
    )


def check_apart(branch: str, target: str) -> None:
    """Check that a branch is not its own target.

    Raises:
        UsageError: It is.
    """
    if branch == target:
        raise UsageError(f"{escape(branch)} cannot be merged into itself")


def target_of(state: State, task: str) -> str:
    """The target branch of the convoys of a task, the oldest first; empty if none has one."""
    convoys = state.convoys.present(state.convoys.tracked_by.get(task, ()))
    return next((convoy.target for convoy in convoys if convoy.target), "")
