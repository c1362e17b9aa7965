"""Which tasks may be deleted: tasks that no other task depends on."""

from collections.abc import Collection

from orchestrator.core.errors import Refused
from orchestrator.domain.state import State
from orchestrator.domain.tasks.blockers import titled
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.tasks.stages import open_parts


def check_deletable(state: State, task: Task, together: Collection[str]) -> None:
    """Refuse to delete a task that others depend on.

    Args:
        state: The state that the task is in.
        task: The task.
        together: The ids of all tasks that are deleted in this commit.

    Raises:
        Refused: It is a step of a workflow or its root (``of_a_workflow``), a task that stays waits for it
            (``needed``), or a part of it is open and stays (``has_parts``).
    """
    if task.workflow is not None or task.id in state.workflows:
        raise Refused(
            f"Task {task.id} belongs to a workflow, which keeps its steps",
            code="of_a_workflow",
            hint=f"`t cancel {task.id}` ends it; a wisp leaves the board by `formula burn`.",
        )
    waiting = [other for other in _waiting_for(state, task) if other not in together]
    if waiting:
        raise Refused(
            f"Task {task.id} is needed by {titled(state, waiting)}",
            code="needed",
            hint=f"`t dep remove {waiting[0]} {task.id}` removes the link first.",
            tasks=waiting,
        )
    parts = [part for part in open_parts(state, task) if part not in together]
    if parts:
        raise Refused(
            f"Task {task.id} has open parts: {titled(state, parts)}",
            code="has_parts",
            hint="Name its parts, too, or end them first.",
            tasks=parts,
        )


def _waiting_for(state: State, task: Task) -> list[str]:
    """Return the open tasks that wait for a task, or would wait again if it had never been."""
    tasks = state.tasks
    is_done = tasks.is_done(task.id)
    needing = [] if is_done else tasks.needed_by.get(task.id, [])
    behind = tasks.awaited_by.get((task.parent if is_done else task.id) or "", [])
    failing = [] if tasks.has_failed(task.id) else tasks.failure_needed_by.get(task.id, [])
    return [
        other
        for other in (*needing, *failing, *behind)
        if other != task.id and tasks.is_open(other)
    ]


def with_parts(state: State, task: Task) -> list[str]:
    """Return a task and its live parts, and theirs."""
    order = [task.id]
    for current in order:
        parts = state.tasks.children.get(current, ())
        order += [part for part in parts if part in state.tasks and part not in order]
    return order
