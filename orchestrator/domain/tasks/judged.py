"""The facts by which a task is judged, which its worker may change only with a reason.

That is its acceptance and checks, and, while these are open, its needs, its gate and its parts. Its creator
gets mail about a change while it is in work: :mod:`orchestrator.domain.mail.notices`.
"""

from collections.abc import Collection, Mapping
from typing import Any

from orchestrator.core.errors import Refused
from orchestrator.core.transaction import SYSTEM, Transaction
from orchestrator.domain.state import State
from orchestrator.domain.tasks.blockers import open_failures, open_needs
from orchestrator.domain.tasks.edit_events import TaskEdited
from orchestrator.domain.tasks.events import TaskClaimed
from orchestrator.domain.tasks.facts import JUDGED
from orchestrator.domain.tasks.records import ENDED, IN_WORK, Task
from orchestrator.domain.validation import check_line


def is_begun(task: Task) -> bool:
    """Whether an open task has or had a worker."""
    return task.status in IN_WORK or (task.attempt > 0 and task.status not in ENDED)


def change_facts(
    tx: Transaction[State], task: Task, changes: Mapping[str, Any], reason: str = ""
) -> None:
    """Record changed facts of a task; every command that changes what it waits for uses it.

    Raises:
        Refused: A worker changes what its task is judged by, or takes an open part from it, without a reason.
    """
    dropped = _dropped(tx.state, task, changes) if is_begun(task) else {}
    check_reason(tx, task, {*(JUDGED & changes.keys()), *dropped.values()}, reason)
    parent = tx.state.tasks.get(task.parent or "")
    leaves = parent is not None and "parent" in changes and _is_awaited(task, parent)
    if parent is not None and leaves:
        check_reason(tx, parent, ("parts",), reason)
    reason = check_line("reason", reason)
    tx.record(TaskEdited(task=task.id, reason=reason, dropped=tuple(dropped), **changes))
    if parent is not None and leaves:
        tx.record(TaskEdited(task=parent.id, reason=reason, dropped=(task.id,)))


def drop_part(tx: Transaction[State], part: Task, reason: str) -> None:
    """Record with a task that its worker ends an open part of it, which is then not done.

    Raises:
        Refused: There is no reason.
    """
    parent = tx.state.tasks.get(part.parent or "")
    if parent is not None and _is_awaited(part, parent) and _worker_that_acts(tx, parent):
        check_reason(tx, parent, ("parts",), reason)
        tx.record(TaskEdited(task=parent.id, reason=reason, dropped=(part.id,)))


def check_reason(tx: Transaction[State], task: Task, judged: Collection[str], reason: str) -> None:
    """Refuse an agent to change without a reason what a task is judged by that it has or had.

    Who gives no name counts as the agent that has it. An agent that gives the task back, changes it and takes
    it again is its worker all the same.

    Args:
        tx: The transaction.
        task: The task.
        judged: What changes of that which it is judged by.
        reason: Why.

    Raises:
        Refused: There is no reason.
    """
    if not judged or reason.strip():
        return
    if worker := _worker_that_acts(tx, task):
        has_it = worker == task.assigned_to and task.status in IN_WORK
        raise Refused(
            f"{worker} {'has' if has_it else 'had'} task {task.id}, and changes what it is judged by"
            f" ({', '.join(sorted(judged))}): that takes a reason",
            code="reason_needed",
            hint="Add --reason TEXT; the creator of the task gets it by mail.",
            task=task.id,
            changed=sorted(judged),
        )


def _worker_that_acts(tx: Transaction[State], task: Task) -> str:
    """Return the agent that has or had the task, if it is the one that acts; else nothing."""
    if task.status in IN_WORK and tx.agent in (SYSTEM, task.assigned_to):
        return task.assigned_to or SYSTEM
    return tx.agent if task.attempt and _had_it(tx, task) else ""


def takes_reason(tx: Transaction[State], task: Task, changes: Mapping[str, Any]) -> bool:
    """Whether the agent that acts has to say why it makes these changes of a task."""
    dropped = _dropped(tx.state, task, changes) if is_begun(task) else {}
    is_judged = bool(dropped) or not JUDGED.isdisjoint(changes)
    return is_judged and bool(_worker_that_acts(tx, task))


def _had_it(tx: Transaction[State], task: Task) -> bool:
    """Whether the agent that acts has claimed the task before, and did not write it down itself."""
    claims = (tx.event(number) for number in task.events)
    is_worker = any(e.agent == tx.agent and e.type == TaskClaimed.TYPE for e in claims)
    return is_worker and tx.agent != task.created_by


def _dropped(state: State, task: Task, changes: Mapping[str, Any]) -> dict[str, str]:
    """Return the tasks that a task does not wait for any more although they are open, each with the fact."""
    open_ones = {"needs": open_needs, "needs_failure_of": open_failures}
    dropped = {
        need: fact
        for fact, awaited in open_ones.items()
        if fact in changes
        for need in awaited(state, task)
        if need not in changes[fact]
    }
    if task.gate is not None and task.waiting and changes.get("gate", task.gate) != task.gate:
        dropped[task.gate.of] = "gate"
    return dropped


def _is_awaited(part: Task, parent: Task) -> bool:
    """Whether a task that was begun waits for this part of it."""
    return part.status not in ENDED and is_begun(parent)
