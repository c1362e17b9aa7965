"""How a workflow goes on by itself: what follows for it from the events of others.

Milestones are done when they are reached, times begin, steps are given to their assignees, signals come
from events and mail; a workflow ends with its root, and a wisp is condensed then if its formula says so.
All of it happens in the commit that brings it about (:mod:`orchestrator.domain.reactions`), so nothing has
to run for it.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress

from orchestrator.core import clock
from orchestrator.core.errors import OrchestratorError, Refused
from orchestrator.core.events import Event
from orchestrator.core.printable import one_line
from orchestrator.core.transaction import Committed, Transaction
from orchestrator.domain.agents import commands as agents
from orchestrator.domain.agents.assignment import DEFAULT_ASSIGNMENT, give, tell
from orchestrator.domain.convoys import commands as convoys
from orchestrator.domain.mail import commands as mail
from orchestrator.domain.mail.events import MessageSent
from orchestrator.domain.state import State
from orchestrator.domain.tasks.events import (
    TaskAssigned,
    TaskCancelled,
    TaskCompleted,
    TaskEdited,
    TaskLapsed,
    TaskNoted,
    TaskReached,
    TaskReleased,
    TaskReopened,
    TaskSignalled,
    released,
)
from orchestrator.domain.tasks.records import ENDED, HELD, Task
from orchestrator.domain.tasks.relations import NO_CHILDREN
from orchestrator.domain.validation import LONGEST_TITLE
from orchestrator.domain.workflows.events import (
    WorkflowBurned,
    WorkflowEnded,
    WorkflowReopened,
    WorkflowSquashed,
)
from orchestrator.domain.workflows.records import Workflow

_RESULT = 200
"""Characters of the result of a step that a digest keeps."""

_LISTED = 200
"""Steps that a digest or a message lists."""

_FARTHEST = 10 * 365 * 86400.0
"""Seconds by which a lease is longer at most, because the step is put off."""


def parts_of(state: State, root: str) -> list[str]:
    """All that is a part of a task, and of its parts; each behind what it is a part of."""
    found: list[str] = []
    waiting = state.tasks.children.get(root, [])[::-1]
    while waiting:
        part = waiting.pop()
        found.append(part)
        waiting += state.tasks.children.get(part, [])[::-1]
    return found


def live_steps(state: State, root: str) -> Iterator[Task]:
    """The steps that were poured with a workflow, but for archived ones."""
    return (
        state.tasks[step] for step in state.workflows.steps.get(root, ()) if step in state.tasks
    )


# What follows


def follow(tx: Transaction[State], events: Committed) -> None:
    """Record what follows for workflows from events of this transaction."""
    _give_signals(tx, events)
    _reopen_steps(tx, events)
    settle(tx)
    touched: dict[str, None] = {}
    for _, event in events:
        task = tx.state.tasks.get(getattr(event, "task", ""))
        if task is None:
            continue
        if task.id in tx.state.workflows:
            touched[task.id] = None
        _reopen_milestones(tx, task, event)
        if isinstance(event, TaskLapsed) and task.workflow is not None:
            _free_steps(tx, task.workflow, event.holder)
        if isinstance(event, TaskReleased) and task.id in tx.state.workflows:
            _free_steps(tx, task.id, event.holder, "the workflow was given back")
        if isinstance(event, TaskAssigned) and task.id in tx.state.workflows:
            _keep_steps(tx, task.id, event.to)
    for root in touched:
        if root in tx.state.workflows:
            _follow_root(tx, tx.state.workflows[root], tx.state.tasks[root])


def _free_steps(tx: Transaction[State], workflow: str, holder: str, given_back: str = "") -> None:
    """Let anybody take the steps that are for an agent who is not there any more.

    One that gave the whole workflow back, and why, loses those too that it was given and has not begun.
    """
    for step in [*live_steps(tx.state, workflow)]:
        if step.assignee == holder:
            tx.record(TaskEdited(task=step.id, assignee=""))
        elif given_back and step.is_assigned_to(holder):
            tx.record(released(step, given_back))


def _keep_steps(tx: Transaction[State], workflow: str, to: str) -> None:
    """Keep the steps that are for nobody, and that nobody has, for the agent that was given the workflow."""
    for step in [*live_steps(tx.state, workflow)]:
        if step.status == "pending" and not step.assignee and not step.milestone:
            tx.record(TaskEdited(task=step.id, assignee=to))


def settle(tx: Transaction[State]) -> None:
    """Let happen what needs nobody: times begin, milestones are done, steps are given to their assignees."""
    given: dict[tuple[str, str], list[Task]] = {}
    while found := tx.state.schedule.by_itself():
        for task in found:
            if task.starts_timers:
                tx.record(TaskReached(task=task.id))
            elif task.completes_itself:
                _end_milestone(tx, task)
            else:
                _give_to_assignee(tx, task, given)
    for (to, root), tasks in given.items():
        _tell(tx, to, root, tasks)


def _end_milestone(tx: Transaction[State], task: Task) -> None:
    """A milestone is done; a workflow of which nothing was done is cancelled with its steps."""
    progress = task.progress
    if task.id in tx.state.workflows and progress is not None and not progress.done:
        tx.record(TaskCancelled(task=task.id, reason="all of its steps were cancelled"))
    else:
        tx.record(TaskCompleted(task=task.id, result=(progress or NO_CHILDREN).text or None))


def _give_to_assignee(
    tx: Transaction[State], task: Task, given: dict[tuple[str, str], list[Task]]
) -> None:
    """Give a step to whom it is for; if that agent is retired, anybody may take it."""
    to = tx.state.agents.aliases.get(task.assignee, task.assignee)
    try:
        agents.check_active(tx.state, to)
    except Refused:
        tx.record(TaskEdited(task=task.id, assignee=""))
        return
    later = clock.seconds(task.defer_until) - clock.seconds(tx.now) if task.defer_until else 0.0
    lease = DEFAULT_ASSIGNMENT + min(max(0.0, later), _FARTHEST)
    given.setdefault((to, task.workflow or ""), []).append(give(tx, task, to, lease=lease))


def _tell(tx: Transaction[State], to: str, root: str, tasks: list[Task]) -> None:
    """Tell an agent of its steps, in one message; that it cannot be told keeps nobody from anything."""
    workflow = tx.state.tasks.get(root)
    if to == tx.agent or (workflow is not None and workflow.assigned_to == to):
        return
    with suppress(OrchestratorError):
        if len(tasks) == 1:
            tell(tx, tasks[0])
            return
        listed = (f"- {task.id}: {one_line(task.title, LONGEST_TITLE)}" for task in tasks[:_LISTED])
        mail.post(
            tx,
            to,
            subject=f"Assigned {len(tasks)} steps of workflow {root}",
            body="\n".join([*listed, "", "Begin with `t next`."]),
            kind="work_assignment",
        )


def _give_signals(tx: Transaction[State], events: Committed) -> None:
    """Give the signals of those that wait for one of these events, or for mail that was sent.

    Those that came with the same commit do not: what pours a workflow must not open its gates.
    """
    for at, event in events:
        _give(tx, "event", at.type)
        if isinstance(event, MessageSent):
            _give(tx, "mail", event.subject)


def _give(tx: Transaction[State], kind: str, name: str) -> None:
    first = tx.events[0][0].id
    for task in [*tx.state.tasks.signals.get(f"{kind}:{name}", ())]:
        if tx.state.tasks[task].events[0] < first:
            tx.record(TaskSignalled(task=task, kind=kind, name=name))


def _cancelled_with(root: str) -> str:
    """The reason that the steps of a cancelled workflow bear, by which they are known when it is reopened."""
    return f"the workflow {root} was cancelled"


def _reopen_steps(tx: Transaction[State], events: Committed) -> None:
    """Reopen the steps that were cancelled with a workflow that is open again."""
    for _, event in events:
        if isinstance(event, TaskReopened) and event.task in tx.state.workflows:
            for step in [*live_steps(tx.state, event.task)]:
                if step.status == "cancelled" and step.reason == _cancelled_with(event.task):
                    reason = f"the workflow {event.task} was reopened"
                    tx.record(TaskReopened(task=step.id, reason=reason))


def _reopen_milestones(tx: Transaction[State], task: Task, event: Event | None) -> None:
    """Reopen milestones that wait again for a part or a need; a cancelled one only for a part of it."""
    waiting = dict[str, tuple[str, ...]]()
    if task.parent is not None:
        waiting[task.parent] = ENDED
    if isinstance(event, TaskReopened):
        waiting |= dict.fromkeys(tx.state.tasks.needed_by.get(task.id, ()), ("done",))
    for name, statuses in waiting.items():
        found = tx.state.tasks.get(name)
        if (
            found is not None
            and found.milestone
            and found.status in statuses
            and not found.is_reached
            and tx.state.tasks.is_open(task.id)
        ):
            tx.record(TaskReopened(task=name, reason="what it waited for is open again"))


def _follow_root(tx: Transaction[State], workflow: Workflow, root: Task) -> None:
    has_ended = root.status in ENDED
    if has_ended == bool(workflow.ended_at):
        return
    if not has_ended:
        tx.record(WorkflowReopened(workflow=root.id))
        return
    if root.status == "cancelled":
        cancel(tx, live_steps(tx.state, root.id), _cancelled_with(root.id))
    condense = workflow.condense
    by_itself = condense is not None and condense.by_itself and workflow.ephemeral
    digest = _digest(tx.state, workflow, tx.now, "") if by_itself else ""
    tx.record(WorkflowEnded(workflow=root.id, outcome=root.status, digest=digest))


def cancel(tx: Transaction[State], tasks: Iterable[Task], reason: str) -> None:
    """Cancel those of these tasks that have not ended."""
    for task in [*tasks]:
        if tx.state.tasks.is_open(task.id):
            tx.record(TaskCancelled(task=task.id, reason=reason))


# The end of wisps


def squash(tx: Transaction[State], workflow: Workflow, summary: str = "") -> None:
    """Condense a wisp: its steps leave the board, and what they were is said in a digest."""
    state, root = tx.state, workflow.root
    digest = _digest(state, workflow, tx.now, summary)
    _end(tx, live_steps(state, root), f"the workflow {root} was squashed")
    if not workflow.own_root and root in state.tasks:
        tx.record(TaskNoted(task=root, text=digest))
    elif state.tasks.is_open(root):
        tx.record(TaskCompleted(task=root, result=digest))
    convoys.follow(tx, tx.events)
    steps = tuple(state.workflows.steps.get(root, ()))
    tx.record(WorkflowSquashed(workflow=root, steps=steps, digest=digest))


def burn(tx: Transaction[State], workflow: Workflow) -> None:
    """Let a wisp leave the board without a trace."""
    state, root = tx.state, workflow.root
    ending = [*live_steps(state, root)]
    if workflow.own_root:
        ending.insert(0, state.tasks[root])
    _end(tx, ending, f"the workflow {root} was burned")
    convoys.follow(tx, tx.events)
    tx.record(WorkflowBurned(workflow=root, steps=tuple(state.workflows.steps.get(root, ()))))


def _end(tx: Transaction[State], tasks: Iterable[Task], reason: str) -> None:
    for task in [*tasks]:
        if tx.state.tasks[task.id].status in HELD:
            tx.record(released(task, reason))
        cancel(tx, [task], reason)


def check_unused(state: State, workflow: Workflow, now: str, *, burning: bool) -> None:
    """Refuse to end a wisp whose steps somebody works on, or that others need.

    Raises:
        Refused: With the task that is in the way.
    """
    for task in live_steps(state, workflow.root):
        if task.status == "in_progress" and not task.has_lapsed(now):
            raise Refused(
                f"{task.assigned_to} works on step {task.id}",
                code="still_running",
                hint=f"Let it end first, or take the step back: `unsling {task.id}`.",
                task=task.id,
                assigned_to=task.assigned_to,
            )
    for user, why in users_of(state, workflow, burning=burning):
        raise Refused(
            f"Task {user} {why}, and would be left alone",
            code="still_needed",
            hint="`t dep remove` takes the link away; a workflow inside ends first.",
            task=user,
        )


def users_of(state: State, workflow: Workflow, *, burning: bool) -> Iterator[tuple[str, str]]:
    """The tasks that stay on the board and need something that would leave it, and why."""
    leaving = [*state.workflows.steps.get(workflow.root, ())]
    if burning and workflow.own_root:
        leaving.append(workflow.root)
    inside = {workflow.root, *leaving}
    for task in leaving:
        if task in state.workflows and task != workflow.root:
            yield task, "has a workflow of its own"
        for users, why in (
            (state.tasks.needed_by, "needs"),
            (state.tasks.awaited_by, "waits for parts of"),
            (state.tasks.children, "is a part of"),
        ):
            for user in users.get(task, ()):
                if user not in inside:
                    yield user, f"{why} {task}"


# Digests


def _digest(state: State, workflow: Workflow, now: str, summary: str) -> str:
    """What a condensed workflow was, in a few lines."""
    steps = [*live_steps(state, workflow.root)]
    kind = f" ({workflow.condense.kind})" if workflow.condense and workflow.condense.kind else ""
    work = state.workflows.work.get(workflow.root, NO_CHILDREN)
    lines = [
        f"{workflow.formula} version {workflow.version}{kind}: {work.done} of {work.total} steps done,"
        f" {workflow.poured_at} to {now}."
    ]
    told = ((name, one_line(value, _RESULT)) for name, value in workflow.variables.items())
    lines += [f"{name}: {value}" for name, value in told if value]
    lines += ["", summary] if summary else []
    if workflow.condense is not None and workflow.condense.metrics:
        lines += ["", *_metrics(steps, workflow, now)]
    lines += ["", *(_of_step(step, workflow) for step in steps[:_LISTED] if not step.milestone)]
    return "\n".join(lines)


def _of_step(step: Task, workflow: Workflow) -> str:
    who = f" by {step.assigned_to}" if step.assigned_to else ""
    result = (
        f": {one_line(step.result or step.reason, _RESULT)}" if step.result or step.reason else ""
    )
    return f"- {step.id.removeprefix(workflow.root + '.')} {step.status}{who}{result}"


def _metrics(steps: Iterable[Task], workflow: Workflow, now: str) -> Iterator[str]:
    worked = [step for step in steps if step.claimed_at and step.ended_at]
    took = clock.seconds(now) - clock.seconds(workflow.poured_at)
    yield f"It took {clock.spoken(took)}; {len({step.assigned_to for step in worked})} agents worked on it."
    for step in worked:
        seconds = clock.seconds(step.ended_at or now) - clock.seconds(step.claimed_at or now)
        again = f", {step.attempt} attempts" if step.attempt > 1 else ""
        yield f"- {step.id.removeprefix(workflow.root + '.')}: {clock.spoken(seconds)}{again}"
