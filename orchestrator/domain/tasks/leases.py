"""Leases: take a task, and act as its holder."""

from collections.abc import Callable, Sequence

from orchestrator.core import clock
from orchestrator.core.errors import NotFound, Refused
from orchestrator.core.printable import one_line
from orchestrator.core.transaction import SYSTEM, Transaction
from orchestrator.domain.agents.identity import act_in_session, check_active
from orchestrator.domain.state import State
from orchestrator.domain.tasks.events import ReviewClaimed, TaskClaimed, TaskLapsed
from orchestrator.domain.tasks.lookup import find_live
from orchestrator.domain.tasks.records import DEFAULT_LEASE, HELD, Task
from orchestrator.domain.tasks.transitions import check_transition, is_settled, not_possible
from orchestrator.domain.validation import lease_length

SHOWN = 60
"""The largest length of a title in a list of tasks."""


def take(tx: Transaction[State], task: Task, agent: str, lease: float | str | None = None) -> None:
    """Claim a task for the acting agent; if it holds the task, nothing changes.

    Raises:
        Refused: It is not pending nor assigned to the agent, waits for other tasks, or touches what
            another agent holds.
    """
    if task.is_run_by(agent, tx.now):
        return
    if not task.has_lapsed(tx.now):
        check_transition(task, "claim")
        if task.status in HELD and not task.is_assigned_to(agent):
            raise not_possible(task, "claim")
    _check_free(tx.state, task, agent, tx.now)
    tx.state.workstreams.find_active(task.workstream)
    claim(tx, task, lease)


def claim(tx: Transaction[State], task: Task, lease: float | str | None) -> None:
    """Record the claim of a task that is free.

    Raises:
        Refused: The agent that acts is retired.
    """
    check_active(tx.state, tx.agent)
    if task.status in HELD and not task.is_assigned_to(tx.agent):
        tx.record(TaskLapsed(task=task.id, holder=task.assigned_to or SYSTEM))
    length = DEFAULT_LEASE if lease is None else lease_length(lease)
    until, machine = tx.later(length), tx.state.machine
    tx.record(TaskClaimed(task=task.id, lease=length, until=until, machine=machine))


def claim_review(tx: Transaction[State], task: Task, lease: float | str | None) -> None:
    """Record that the acting agent reviews a task, which waits for a reviewer."""
    length = DEFAULT_LEASE if lease is None else lease_length(lease)
    until, machine = tx.later(length), tx.state.machine
    tx.record(ReviewClaimed(task=task.id, lease=length, until=until, machine=machine))


def held_task(
    tx: Transaction[State], text: str, transition: str, agent: str | None, token: int | None
) -> Task:
    """Return the task for a transition that only its holder may make; without a name the holder acts.

    Raises:
        Refused: Another agent holds the task, or the token is of an older claim.
    """
    task = find_live(tx.state, text)
    actor = act_in_session(tx, agent, task=task.id)
    if token is not None and task.token != token:
        raise _not_held(task, f"The claim with token {token} has ended")
    if task.status in HELD and actor not in (SYSTEM, task.assigned_to):
        raise _not_held(task, f"{actor} does not hold task {task.id}")
    check_transition(task, transition)
    tx.act_as(task.assigned_to)
    return task


def has_ended_it(
    tx: Transaction[State], task: Task, transition: str, agent: str | None, token: int | None
) -> bool:
    """Whether the acting agent has ended the task by this transition; without a name, its holder has."""
    actor = act_in_session(tx, agent, task=task.id)
    if not is_settled(task, transition) or actor not in (SYSTEM, task.assigned_to):
        return False
    claims = (n for n in reversed(task.events) if tx.event(n).type == TaskClaimed.TYPE)
    return token is None or token == next(claims, None)


def named_or(
    own: Callable[[State, str, str], Task],
    tx: Transaction[State],
    task: str | None,
    agent: str | None,
) -> str:
    """Return the named task; without a name, the id of the one that ``own`` returns for the agent."""
    if task is not None:
        return task
    return own(tx.state, act_in_session(tx, agent, needed=True), tx.now).id


def current_task(state: State, agent: str, _now: str) -> Task:
    """Return the task that an agent works on: the one on its hook, else the only one that it has begun.

    Of a workflow it is the step: the root is done with its last one.

    Raises:
        NotFound: It works on none.
        Refused: It works on several, and none of them hangs on its hook.
    """
    begun = [task for task in state.schedule.held_by(agent) if task.status == "in_progress"]
    tasks = [task for task in begun if task.id not in state.workflows or not task.waiting]
    hung = state.agents.hooks.get(agent)
    current = [task for task in tasks if hung and hung in (task.id, task.workflow)] or tasks
    if len(current) == 1:
        return current[0]
    if not tasks:
        reviews = state.schedule.reviews.held_by(agent)
        begin = (
            f"`t claim {hung}` begins what hangs on your hook."
            if hung
            else f"You review {reviews[0].id}: `approve`, `reject` or `release` ends it."
            if reviews
            else "`t next` takes one."
        )
        raise NotFound(f"{agent} works on no task", code="hook_empty", hint=begin)
    raise _ambiguous(f"{agent} works on {len(current)} tasks", current)


def current_review(state: State, agent: str, now: str) -> Task:
    """Return the task that an agent reviews; one whose review has lapsed, only if there is no other.

    Raises:
        NotFound: It reviews none.
        Refused: It reviews several.
    """
    held = state.schedule.reviews.held_by(agent)
    reviews = [task for task in held if task.is_reviewed_by(agent, now)] or held
    if not reviews:
        raise NotFound(
            f"{agent} reviews no task", code="no_review", hint="`next` takes a review that is due."
        )
    if len(reviews) > 1:
        raise _ambiguous(f"{agent} reviews {len(reviews)} tasks", reviews)
    return reviews[0]


def task_at_hand(state: State, agent: str, now: str) -> Task:
    """Return the task that an agent works on, or if it works on none, the one that it reviews.

    Raises:
        NotFound: It does neither.
        Refused: It has several.
    """
    try:
        return current_task(state, agent, now)
    except NotFound:
        if not state.schedule.reviews.held_by(agent):
            raise
        return current_review(state, agent, now)


def _ambiguous(what: str, tasks: Sequence[Task]) -> Refused:
    listed = [f"{task.id} ({one_line(task.title, SHOWN)})" for task in tasks]
    return Refused(
        f"{what}: {', '.join(listed[:5])}",
        code="ambiguous_task",
        hint="Give the id of the one that is meant.",
        tasks=[task.id for task in tasks],
    )


def _check_free(state: State, task: Task, agent: str, now: str) -> None:
    if not task.is_clear or task.defer_until > now:
        from orchestrator.domain.tasks.blockers import blockers, open_needs, ways_out

        reasons = [r for r in blockers(state, task, now) if r.kind != "parts"]
        texts = [blocker.says for blocker in reasons]
        commands = ways_out(reasons)
        raise Refused(
            f"Task {task.id} is not ready: {'; '.join(texts[:5])}",
            code="not_ready",
            hint=f"{_next_steps(commands)}; `t next` finds other work.",
            needs=open_needs(state, task),
            reasons=texts,
            commands=commands,
        )
    if holds := state.schedule.task_collisions(task, agent, now):
        hold = holds[0]
        until = clock.local_time(hold.until, now)
        source = f" for task {hold.task}" if hold.task else ""
        raise Refused(
            f"Task {task.id} touches {hold.resource}, which {hold.agent} holds{source}",
            code="resource_held",
            hint=f"It is free at {until} at the latest; `t next` finds other work.",
            resource=hold.resource,
            holder=hold.agent,
        )


def _next_steps(commands: Sequence[str]) -> str:
    if not commands:
        return "`t dep tree` shows where those stand"
    return f"The way out: {', '.join(f'`{command}`' for command in commands)}"


def _not_held(task: Task, reason: str) -> Refused:
    now = f"{task.assigned_to} has it now" if task.status in HELD else f"it is {task.status}"
    return Refused(
        f"{reason}: {now}",
        code="not_holder",
        hint=f"`t next` finds other work; `t note {task.id} TEXT` keeps what you found.",
        assigned_to=task.assigned_to,
        status=task.status,
        token=task.token,
    )
