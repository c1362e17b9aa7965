"""The stage of a task: its status, in more detail for open tasks."""

from typing import Literal, get_args

from orchestrator.domain.state import State
from orchestrator.domain.tasks.records import Task, TaskStatus

Stage = Literal[
    "in_progress", "lapsed", "in_review", "assigned", "ready", "deferred", "waiting", "blocked",
    "failed", "done", "cancelled",
]  # fmt: skip

STAGES: tuple[Stage, ...] = get_args(Stage)
"""The stages in the order of a listing: running, ready, blocked and ended tasks."""

Standing = Literal[TaskStatus, Stage]

STANDINGS: tuple[Standing, ...] = get_args(Standing)
"""The words that tasks are filtered by: their status, or their stage now."""


def stage_of(state: State, task: Task, now: str) -> Stage:
    """The stage of a task.

    Returns:
        ``lapsed``: its lease has ended, so another agent may take it. ``ready``: any agent may take it.
        ``deferred``: only its time keeps it back. ``waiting``: tasks, signals or a closed workstream keep it
        back. Else its status.
    """
    if task.has_lapsed(now):
        return "lapsed"
    if task.status != "pending":
        return task.status
    if is_offered(state, task, now):
        return "ready"
    is_active = state.workstreams[task.workstream].status == "active"
    return "deferred" if task.is_clear and is_active and task.defer_until > now else "waiting"


def is_offered(state: State, task: Task, now: str) -> bool:
    """Whether any agent may take the task now: it has no blocker, no open child and no holder."""
    is_open = state.workstreams[task.workstream].status == "active"
    return is_open and task.can_be_taken(now) and not open_parts(state, task)


def is_kept_back(state: State, task: Task, now: str) -> bool:
    """Whether no agent has or may take a task."""
    idle = task.status in ("pending", "blocked") or task.has_lapsed(now)
    return idle and not is_offered(state, task, now)


def open_parts(state: State, task: Task) -> list[str]:
    """The children of a task that have not ended."""
    return [part for part in state.tasks.children.get(task.id, ()) if state.tasks.is_open(part)]
