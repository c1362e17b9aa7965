"""Tasks that need the failure of others: they are cancelled when one of the others is done."""

from orchestrator.core.errors import Refused
from orchestrator.core.transaction import Committed, Transaction
from orchestrator.domain.state import State
from orchestrator.domain.tasks.blockers import titled
from orchestrator.domain.tasks.events import TaskReopened, cancelled
from orchestrator.domain.tasks.records import Task


def follow(tx: Transaction[State], events: Committed) -> None:
    """Cancel the tasks whose failing task is done, and reopen them with it."""
    tasks = tx.state.tasks
    for _, event in events:
        task = getattr(event, "task", "") or getattr(getattr(event, "record", None), "id", "")
        if task not in tasks:
            continue
        for dependant in [*tasks.failure_needed_by.get(task, ())]:
            if isinstance(event, TaskReopened):
                _reopen(tx, dependant, task)
            _cancel(tx, dependant)
        _cancel(tx, task)


def check_not_needless(state: State, task: Task) -> None:
    """Refuse to reopen a task that would be cancelled at once.

    Raises:
        Refused: A task whose failure it needs is done.
    """
    if done := _done(state, task):
        raise Refused(
            f"Task {task.id} needs the failure of {titled(state, done)}, which is done",
            code="needless",
            hint=f"`t dep remove {task.id} {done[0]} --type needs-failure-of` removes that first.",
            tasks=done,
        )


def _done(state: State, task: Task) -> list[str]:
    return [need for need in task.needs_failure_of if state.tasks.is_done(need)]


def _cancel(tx: Transaction[State], task_id: str) -> None:
    task = tx.state.tasks.get(task_id)
    if task is None or not tx.state.tasks.is_open(task_id):
        return
    if done := _done(tx.state, task):
        tx.record(cancelled(task, _reason(done[0])))


def _reopen(tx: Transaction[State], task_id: str, need: str) -> None:
    task = tx.state.tasks.get(task_id)
    if task is not None and task.status == "cancelled" and task.reason == _reason(need):
        tx.record(TaskReopened(task=task_id, reason=f"{need} was reopened"))


def _reason(need: str) -> str:
    """Why a task is cancelled; it is reopened by this reason, too."""
    return f"it needs the failure of {need}, which is done"
