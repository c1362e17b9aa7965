"""How a workflow goes on by itself: what follows for it from the events of others.

Milestones are done when they are reached, times begin, steps are given to their assignees, signals come
from events and mail; a workflow ends with its root, and a wisp is condensed then if its formula says so.
All of it happens in the commit that brings it about (:mod:`orchestrator.domain.reactions`), so nothing has
to run for it.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from orchestrator.core import clock
from orchestrator.core.errors import Refused
from orchestrator.core.transaction import Committed, Transaction
from orchestrator.domain import agents, convoys
from orchestrator.domain.assignment import DEFAULT_ASSIGNMENT, give, tell
from orchestrator.domain.message_events import MessageSent
from orchestrator.domain.task_events import (
    ENDED,
    HELD,
    Task,
    TaskCancelled,
    TaskCompleted,
    TaskEdited,
    TaskNoted,
    TaskReached,
    TaskReleased,
    TaskReopened,
    TaskSignalled,
)
from orchestrator.domain.workflow_events import (
    Workflow,
    WorkflowBurned,
    WorkflowEnded,
    WorkflowReopened,
    WorkflowSquashed,
)

if TYPE_CHECKING:
    from orchestrator.domain.state import State

_RESULT = 200
"""Characters of the result of a step that a digest keeps."""

_LISTED = 200
"""Steps that a digest lists."""


def steps_of(state: "State", root: str) -> list[str]:
    """The steps of a workflow, whatever was added below them too; each behind what it is a part of."""
    found: list[str] = []
    waiting = state.children.get(root, [])[::-1]
    while waiting:
        step = waiting.pop()
        found.append(step)
        waiting += state.children.get(step, [])[::-1]
    return found


def live_steps(state: "State", root: str) -> Iterator[Task]:
    """The records of the steps that are not archived."""
    return (state.tasks[step] for step in steps_of(state, root) if step in state.tasks)


# What follows


def follow(tx: "Transaction[State]", events: Committed) -> None:
    """Record what follows for workflows from events of this transaction."""
    _give_signals(tx, events)
    settle(tx)
    touched: dict[str, None] = {}
    for _, event in events:
        task = tx.state.tasks.get(getattr(event, "task", ""))
        if task is None:
            continue
        if task.id in tx.state.workflows:
            touched[task.id] = None
        if task.parent is not None:
            _reopen_milestone(tx, task.parent)
    for root in touched:
        if root in tx.state.workflows:
            _follow_root(tx, tx.state.workflows[root], tx.state.tasks[root])


def settle(tx: "Transaction[State]") -> None:
    """Let happen what needs nobody: times begin, milestones are done, steps are given to their assignees."""
    while found := tx.state.schedule.by_itself():
        for task in found:
            if task.begins_times:
                tx.record(TaskReached(task=task.id))
            elif task.milestone:
                tx.record(TaskCompleted(task=task.id, result=_said_of(task)))
            else:
                _give_to_assignee(tx, task)


def _give_to_assignee(tx: "Transaction[State]", task: Task) -> None:
    """Give a step to whom it is for; if that agent is retired, anybody may take it."""
    to = tx.state.aliases.get(task.assignee, task.assignee)
    try:
        agents.check_active(tx.state, to)
    except Refused:
        tx.record(TaskEdited(task=task.id, assignee=""))
        return
    later = clock.seconds(task.defer_until) - clock.seconds(tx.now) if task.defer_until else 0.0
    given = give(tx, task, to, lease=DEFAULT_ASSIGNMENT + max(0.0, later))
    root = tx.state.tasks.get(task.workflow or "")
    if to != tx.agent and (root is None or root.assigned_to != to):
        tell(tx, given)


def _said_of(task: Task) -> str | None:
    """What is said of a milestone that is done; nothing if it has no parts."""
    progress = task.progress
    if progress is None or not progress.total:
        return None
    cancelled = f", {progress.cancelled} cancelled" if progress.cancelled else ""
    return f"{progress.done} of {progress.total} done{cancelled}"


def _give_signals(tx: "Transaction[State]", events: Committed) -> None:
    """Give the signals of those that wait for one of these events, or for mail that was sent."""
    for at, event in events:
        _give(tx, "event", at.type)
        if isinstance(event, MessageSent):
            _give(tx, "mail", event.subject)


def _give(tx: "Transaction[State]", kind: str, name: str) -> None:
    for task in [*tx.state.signals.get(f"{kind}:{name}", ())]:
        tx.record(TaskSignalled(task=task, kind=kind, name=name))


def _reopen_milestone(tx: "Transaction[State]", parent: str) -> None:
    """Reopen a milestone that was done, and has a part again that has not ended."""
    task = tx.state.tasks.get(parent)
    if task is not None and task.milestone and task.status == "done" and task.waiting:
        tx.record(TaskReopened(task=parent, reason="a part of it is open again"))


def _follow_root(tx: "Transaction[State]", workflow: Workflow, root: Task) -> None:
    has_ended = root.status in ENDED
    if has_ended == bool(workflow.ended_at):
        return
    if not has_ended:
        tx.record(WorkflowReopened(workflow=root.id))
        return
    if root.status == "cancelled":
        cancel(tx, live_steps(tx.state, root.id), f"the workflow {root.id} was cancelled")
    tx.record(WorkflowEnded(workflow=root.id, outcome=root.status))
    condense = workflow.condense
    by_itself = condense is not None and condense.by_itself and workflow.ephemeral
    if root.status == "done" and by_itself and not users_of(tx.state, workflow):
        squash(tx, workflow)


def cancel(tx: "Transaction[State]", tasks: Iterable[Task], reason: str) -> None:
    """Cancel those of these tasks that have not ended."""
    for task in [*tasks]:
        if tx.state.is_open(task.id):
            tx.record(TaskCancelled(task=task.id, reason=reason))


# The end of wisps


def squash(tx: "Transaction[State]", workflow: Workflow, summary: str = "") -> None:
    """Condense a wisp: its steps leave the board, and what they were is said in a digest."""
    state, root = tx.state, workflow.root
    digest = _digest(state, workflow, tx.now, summary)
    _end(tx, live_steps(state, root), f"the workflow {root} was squashed")
    if not workflow.own_root and root in state.tasks:
        tx.record(TaskNoted(task=root, text=digest))
    elif state.is_open(root):
        tx.record(TaskCompleted(task=root, result=digest))
    convoys.follow(tx, tx.events)
    steps = tuple(steps_of(state, root))
    tx.record(WorkflowSquashed(workflow=root, steps=steps, digest=digest))


def burn(tx: "Transaction[State]", workflow: Workflow) -> None:
    """Let a wisp leave the board without a trace."""
    state, root = tx.state, workflow.root
    ending = [*live_steps(state, root)]
    if workflow.own_root and root in state.tasks:
        ending.insert(0, state.tasks[root])
    _end(tx, ending, f"the workflow {root} was burned")
    convoys.follow(tx, tx.events)
    tx.record(WorkflowBurned(workflow=root, steps=tuple(steps_of(state, root))))


def _end(tx: "Transaction[State]", tasks: Iterable[Task], reason: str) -> None:
    for task in [*tasks]:
        if task.status in HELD:
            tx.record(TaskReleased(task=task.id, reason=reason))
        cancel(tx, [task], reason)


def check_unused(state: "State", workflow: Workflow, now: str) -> None:
    """Refuse to end a wisp whose steps somebody works on, or others wait for.

    Raises:
        Refused: With the task that is in the way.
    """
    for task in live_steps(state, workflow.root):
        if task.status == "in_progress" and not task.has_lapsed(now):
            raise Refused(
                f"{task.assigned_to} works on step {task.id}",
                code="still_running",
                hint="Let it end first, or take the step back: `unsling`.",
                task=task.id,
                assigned_to=task.assigned_to,
            )
    if users := users_of(state, workflow):
        raise Refused(
            f"Task {users[0]} waits for a step of workflow {workflow.root}",
            code="still_needed",
            hint="`t dep remove` takes the link away.",
            task=users[0],
        )


def users_of(state: "State", workflow: Workflow) -> list[str]:
    """The tasks outside of a workflow that wait for something that would leave the board with it."""
    leaving = [*steps_of(state, workflow.root), *([workflow.root] if workflow.own_root else [])]
    inside = {workflow.root, *leaving}
    return [
        user
        for task in leaving
        for users in (state.needed_by, state.awaited_by)
        for user in users.get(task, ())
        if user not in inside
    ]


# Digests


def _digest(state: "State", workflow: Workflow, now: str, summary: str) -> str:
    """What a condensed workflow was, in a few lines."""
    steps = [*live_steps(state, workflow.root)]
    kind = f" ({workflow.condense.kind})" if workflow.condense and workflow.condense.kind else ""
    done = sum(step.status == "done" for step in steps)
    lines = [
        f"{workflow.formula} version {workflow.version}{kind}: {done} of {len(steps)} steps done,"
        f" {workflow.poured_at} to {now}."
    ]
    lines += [f"{name}: {_line(value)}" for name, value in workflow.variables.items()]
    lines += ["", summary] if summary else []
    if workflow.condense is not None and workflow.condense.metrics:
        lines += ["", *_metrics(steps, workflow, now)]
    lines += ["", *(_of_step(step, workflow) for step in steps[:_LISTED] if not step.milestone)]
    return "\n".join(lines)


def _of_step(step: Task, workflow: Workflow) -> str:
    who = f" by {step.assigned_to}" if step.assigned_to else ""
    result = f": {_line(step.result or step.reason)}" if step.result or step.reason else ""
    return f"- {step.id.removeprefix(workflow.root + '.')} {step.status}{who}{result}"


def _metrics(steps: Iterable[Task], workflow: Workflow, now: str) -> Iterator[str]:
    worked = [step for step in steps if step.claimed_at and step.ended_at]
    took = clock.seconds(now) - clock.seconds(workflow.poured_at)
    yield f"It took {clock.spoken(took)}; {len({step.assigned_to for step in worked})} agents worked on it."
    for step in worked:
        seconds = clock.seconds(step.ended_at or now) - clock.seconds(step.claimed_at or now)
        again = f", {step.attempt} attempts" if step.attempt > 1 else ""
        yield f"- {step.id.removeprefix(workflow.root + '.')}: {clock.spoken(seconds)}{again}"


def _line(text: str) -> str:
    return " ".join(text.split())[:_RESULT]
