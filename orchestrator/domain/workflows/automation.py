"""Automatic changes of workflows, as a consequence of other events.

Milestones complete, timers start, steps are given to their assignees, events and mail give signals; a
workflow ends with its root, and a wisp is then condensed if its formula asks for it. The commit that causes a
change records it too (:mod:`orchestrator.domain.reactions`), so no process has to run for it.
"""

from collections.abc import Iterable
from contextlib import suppress

from orchestrator.core import clock
from orchestrator.core.errors import OrchestratorError, Refused
from orchestrator.core.events import Event
from orchestrator.core.printable import one_line
from orchestrator.core.transaction import Committed, Transaction
from orchestrator.domain.agents.assignment import DEFAULT_ASSIGNMENT, assign, notify_assignee
from orchestrator.domain.agents.identity import check_active
from orchestrator.domain.mail import commands as mail
from orchestrator.domain.mail.events import MessageSent
from orchestrator.domain.mail.matters import matter_of
from orchestrator.domain.state import State
from orchestrator.domain.tasks.edit_events import TaskEdited
from orchestrator.domain.tasks.events import (
    TaskAssigned,
    TaskCompleted,
    TaskLapsed,
    TaskReached,
    TaskReleased,
    TaskReopened,
    TaskSignalled,
    cancelled,
    released,
)
from orchestrator.domain.tasks.records import ENDED, Task
from orchestrator.domain.tasks.relations import NO_CHILDREN
from orchestrator.domain.validation import LONGEST_TITLE
from orchestrator.domain.workflows.digest import digest_of
from orchestrator.domain.workflows.events import WorkflowEnded, WorkflowReopened
from orchestrator.domain.workflows.lookup import live_steps
from orchestrator.domain.workflows.records import Condense, Workflow

_LISTED = 200
"""How many steps a message lists."""

_LONGEST_EXTENSION = 10 * 365 * 86400.0
"""The largest extension of a lease for a deferred step, in seconds."""


def follow(tx: Transaction[State], events: Committed) -> None:
    """Record the consequences for workflows of events of this transaction."""
    _give_signals(tx, events)
    _reopen_steps(tx, events)
    settle(tx)
    changed: dict[str, None] = {}
    for _, event in events:
        task = tx.state.tasks.get(getattr(event, "task", ""))
        if task is None:
            continue
        _reopen_milestones(tx, task, event)
        if isinstance(event, TaskLapsed) and task.workflow is not None:
            _free_steps(tx, task.workflow, event.holder)
        if task.id in tx.state.workflows:
            changed[task.id] = None
            if isinstance(event, TaskReleased):
                _free_steps(tx, task.id, event.holder, "the workflow was given back")
            if isinstance(event, TaskAssigned):
                _reserve_steps(tx, task.id, event.to)
    for root in changed:
        if root in tx.state.workflows:
            _follow_root(tx, tx.state.workflows[root], tx.state.tasks[root])


def _free_steps(tx: Transaction[State], workflow: str, holder: str, reason: str = "") -> None:
    """Let any agent take the steps whose assignee is gone.

    With a reason, the agent gave the whole workflow back: then its assigned steps become free too.
    """
    for step in live_steps(tx.state, workflow):
        if step.assignee == holder:
            tx.record(TaskEdited(task=step.id, assignee=""))
        elif reason and step.is_assigned_to(holder):
            tx.record(released(step, reason))


def _reserve_steps(tx: Transaction[State], workflow: str, to: str) -> None:
    """Reserve the steps without an assignee or holder for the agent that was given the workflow."""
    for step in live_steps(tx.state, workflow):
        if step.status == "pending" and not step.assignee and not step.milestone:
            tx.record(TaskEdited(task=step.id, assignee=to))


def settle(tx: Transaction[State]) -> None:
    """Start timers, complete milestones, and give steps to their assignees, until no task is left."""
    given: dict[tuple[str, str], list[Task]] = {}
    while due := tx.state.schedule.due_for_automation():
        for task in due:
            if task.starts_timers:
                tx.record(TaskReached(task=task.id))
            elif task.completes_itself:
                _end_milestone(tx, task)
            else:
                _give_to_assignee(tx, task, given)
    for (to, root), tasks in given.items():
        _notify(tx, to, root, tasks)


def _end_milestone(tx: Transaction[State], task: Task) -> None:
    """Complete a milestone, unless it adds steps first; cancel a root without a done step."""
    if task.for_each is not None and task.gate is None:
        from orchestrator.domain.workflows import items

        if items.add(tx, task, task.for_each):
            return
    progress = task.progress
    if task.id in tx.state.workflows and progress is not None and not progress.done:
        tx.record(cancelled(task, "all of its steps were cancelled"))
    else:
        tx.record(TaskCompleted(task=task.id, result=(progress or NO_CHILDREN).text or None))


def _give_to_assignee(
    tx: Transaction[State], task: Task, given: dict[tuple[str, str], list[Task]]
) -> None:
    """Give a step to its assignee; if that agent is retired, any agent may take it."""
    to = tx.state.agents.aliases.get(task.assignee, task.assignee)
    try:
        check_active(tx.state, to)
    except Refused:
        tx.record(TaskEdited(task=task.id, assignee=""))
        return
    deferred = clock.between(tx.now, task.defer_until) if task.defer_until else 0.0
    lease = DEFAULT_ASSIGNMENT + min(max(0.0, deferred), _LONGEST_EXTENSION)
    given.setdefault((to, task.workflow or ""), []).append(assign(tx, task, to, lease=lease))


def _notify(tx: Transaction[State], to: str, root: str, tasks: list[Task]) -> None:
    """Send an agent a message about its steps; ignore an error of sending."""
    workflow = tx.state.tasks.get(root)
    if to == tx.agent or (workflow is not None and workflow.assigned_to == to):
        return
    with suppress(OrchestratorError):
        if len(tasks) == 1:
            notify_assignee(tx, tasks[0])
            return
        lines = (f"- {task.id}: {one_line(task.title, LONGEST_TITLE)}" for task in tasks[:_LISTED])
        mail.post(
            tx,
            to,
            subject=f"Assigned {len(tasks)} steps of workflow {root}",
            body="\n".join([*lines, "", "Begin with `t next`."]),
            kind="work_assignment",
            about=matter_of("task.assigned", *tasks),
        )


def _give_signals(tx: Transaction[State], events: Committed) -> None:
    """Give the signals for these events and messages to the tasks that wait for them.

    Tasks that the same commit added get none: the commit of a new workflow must not open its gates.
    """
    for recorded, event in events:
        keys = [("event", recorded.type)]
        if isinstance(event, MessageSent):
            keys.append(("mail", event.subject))
        for kind, name in keys:
            for task in [*tx.state.tasks.signals.get(f"{kind}:{name}", ())]:
                if tx.state.tasks[task].events[0] < tx.events[0][0].id:
                    tx.record(TaskSignalled(task=task, kind=kind, name=name))


def _ended_with(root: str, status: str) -> str:
    """The reason of steps that were cancelled with their workflow; reopening finds the steps by it."""
    return f"the workflow {root} was {'completed by force' if status == 'done' else status}"


def _reopen_steps(tx: Transaction[State], events: Committed) -> None:
    """Reopen the steps that were cancelled with a workflow that was reopened."""
    for _, event in events:
        if isinstance(event, TaskReopened) and event.task in tx.state.workflows:
            reasons = [_ended_with(event.task, status) for status in ("cancelled", "done")]
            for step in live_steps(tx.state, event.task):
                if step.status == "cancelled" and step.reason in reasons:
                    reason = f"the workflow {event.task} was reopened"
                    tx.record(TaskReopened(task=step.id, reason=reason))


def _reopen_milestones(tx: Transaction[State], task: Task, event: Event | None) -> None:
    """Reopen milestones that wait for a child or a need again; a cancelled one only for a child."""
    if not tx.state.tasks.is_open(task.id):
        return
    waiting: dict[str, tuple[str, ...]] = {} if task.parent is None else {task.parent: ENDED}
    if isinstance(event, TaskReopened):
        waiting |= dict.fromkeys(tx.state.tasks.needed_by.get(task.id, ()), ("done",))
    for name, statuses in waiting.items():
        other = tx.state.tasks.get(name)
        is_over = other is not None and other.milestone and other.status in statuses
        if other is not None and is_over and not other.is_reached:
            tx.record(TaskReopened(task=name, reason="what it waited for is open again"))


def _follow_root(tx: Transaction[State], workflow: Workflow, root: Task) -> None:
    """End or reopen a workflow with its root."""
    has_ended = root.status in ENDED
    if has_ended == bool(workflow.ended_at):
        return
    if not has_ended:
        tx.record(WorkflowReopened(workflow=root.id))
        return
    if root.status == "cancelled" or (root.status == "done" and root.reason):  # by force
        cancel(tx, live_steps(tx.state, root.id), _ended_with(root.id, root.status))
    is_condensed = workflow.ephemeral and (workflow.condense or Condense()).by_itself
    digest = digest_of(tx.state, workflow, tx.now) if is_condensed else ""
    tx.record(WorkflowEnded(workflow=root.id, outcome=root.status, digest=digest))


def cancel(tx: Transaction[State], tasks: Iterable[Task], reason: str) -> None:
    """Cancel the tasks that have not ended."""
    for task in tasks:
        if tx.state.tasks.is_open(task.id):
            tx.record(cancelled(task, reason))
