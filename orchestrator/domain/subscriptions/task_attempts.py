"""Attempts at tasks: which task an agent is given, and what becomes of the task when an attempt ends."""

from collections.abc import Callable, Iterable

from orchestrator.core.errors import Refused
from orchestrator.core.events import Recorded, caused_by, decode
from orchestrator.core.printable import times
from orchestrator.core.transaction import Transaction
from orchestrator.domain.agents.identity import act_to_work
from orchestrator.domain.slices import Record
from orchestrator.domain.state import State
from orchestrator.domain.subscriptions.events import SubscriptionDied, SubscriptionStarted
from orchestrator.domain.subscriptions.limits import chain_limit
from orchestrator.domain.subscriptions.records import Attempt, AttemptReport, Subscriber
from orchestrator.domain.tasks.events import (
    ReviewClaimed,
    ReviewReleased,
    TaskEvent,
    TaskFailed,
    TaskLapsed,
    TaskNoted,
    TaskReopened,
    blocked,
    released,
    renewal,
)
from orchestrator.domain.tasks.leases import claim, claim_review
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.tasks.verification_events import (
    TaskApproved,
    TaskRejected,
    TaskReturned,
)

TASK_LEASE = 600.0
"""Seconds of the lease of a task that an agent was given; it is renewed while the attempt runs."""

CRASHES = 3
"""The smallest number of attempts after which a task fails whose agents were ended before their time."""

REVIEW = "review"
"""The capability that a task in review needs."""

_NOTE = 1000  # characters of the last output that are kept as a note


class TaskFilter(Record, frozen=True, kw_only=True):
    """Tasks that an agent takes; an empty field fits every task.

    Attributes:
        labels: The task has all of them.
        capability: It is of this type or has this label; ``review``: it waits for a review.
    """

    ws: str = ""
    type: str = ""
    labels: tuple[str, ...] = ()
    capability: str = ""

    def fits(self, task: Task) -> bool:
        """Whether the agent takes this task."""
        if self.ws not in ("", task.workstream) or self.type not in ("", task.type):
            return False
        if not all(label in task.labels for label in self.labels):
            return False
        if self.capability == REVIEW:
            return task.awaits_review
        return self.capability in ("", task.type, *task.labels)


def best_task(
    state: State, subscriber: Subscriber, takes: Iterable[TaskFilter], now: str
) -> Task | None:
    """The task, or the review, that an agent is given next, in the order of ``next``.

    What hangs on its hook or is assigned to it fits whatever it takes.

    Args:
        state: The state.
        subscriber: The agent.
        takes: Of the other tasks, those that fit one of these.
        now: The time.
    """
    name = subscriber.agent
    letters = state.subscriptions.dead_letters.values()
    passed = {letter.task for letter in letters if letter.subscriber == name}
    for attempt in subscriber.attempts:
        if not attempt.may_begin(now):
            passed.add(attempt.task)

    def permits(task: Task) -> bool:
        return task.id not in passed

    takes = tuple(takes)
    actor, schedule = actor_of(state, name), state.schedule
    task = schedule.best_own(None, actor, now, permits)
    task = task or schedule.best_review(None, actor, now, takes, permits)
    if task is None:
        takes = tuple(taken for taken in takes if taken.capability != REVIEW)
        streams = {taken.ws for taken in takes}
        streams = {*state.workstreams} if "" in streams else streams
        task = schedule.best_free(streams, actor, now, takes, permits)
    return task


def begin(
    tx: Transaction[State],
    subscriber: Subscriber,
    task: str,
    takes: Iterable[TaskFilter],
    *,
    lease: float,
    most: int,
    rounds: int | None,
    deepest: int,
    longest: int,
) -> None:
    """Claim a task, or its review, and record that an attempt began; see ``subscriptions.take``."""
    name = subscriber.agent
    actor = act_to_work(tx, name)
    best = best_task(tx.state, subscriber, takes, tx.now)
    if best is None or best.id != task:
        raise Refused(f"Task {task} is not the next one of {name} now", code="moved")
    is_review = best.status == "in_review"
    added = tx.event(best.events[0])
    cause = caused_by(added)
    known = subscriber.attempt_on(task)
    attempts = known.number if known else 0
    reason = chain_limit(tx.state.subscriptions, added, cause.root, deepest, longest)
    if reason:
        letter = SubscriptionDied(
            subscriber=name, event=added.id, reason=reason, attempts=attempts, task=task
        )
        tx.record(letter if is_review else blocked(best, reason))
        return
    before, tx.cause = tx.cause, cause
    (claim_review if is_review else claim)(tx, best, lease)
    if rounds is not None and not is_review and _rejections(tx, best) >= rounds:
        reason = f"it was rejected {times(rounds)}, and `rounds` of {name} allows no more"
        tx.record(TaskFailed(task=task, reason=reason))
        tx.cause = before
        return
    tx.act_as(name)
    tx.record(
        SubscriptionStarted(
            subscriber=name,
            event=tx.state.tasks[task].events[-1],
            attempt=attempts + 1,
            most=max(most, known.most if known else 1),
            until=tx.later(lease),
            root=cause.root,
            task=task,
            machine=tx.state.machine,
        )
    )
    tx.act_as(actor)
    tx.cause = before


def _rejections(tx: Transaction[State], task: Task) -> int:
    """How often reviews and the merge queue have given a task back since it was opened last."""
    count = 0
    for number in reversed(task.events):
        type = tx.event(number).type
        if type == TaskReopened.TYPE:
            break
        count += type in (TaskRejected.TYPE, TaskReturned.TYPE)
    return count


def actor_of(state: State, agent: str) -> str:
    """The present name of an agent."""
    return state.agents.aliases.get(agent, agent)


def held_by_attempt(state: State, agent: str, attempt: Attempt) -> Task | None:
    """The task of an attempt, if the agent still has it, or its review, under the claim of this attempt."""
    task, actor = state.tasks.get(attempt.task), actor_of(state, agent)
    if task is None:
        return None
    if task.status == "in_review":
        return task if task.reviewer == actor else None
    return task if task.status == "in_progress" and task.token == attempt.event else None


def hand_back(
    tx: Transaction[State], agent: str, attempt: Attempt, reason: str, *, is_last: bool = False
) -> None:
    """Take the task of an attempt from its agent, if that still has it.

    Args:
        tx: The transaction.
        agent: The agent.
        attempt: The attempt.
        reason: Why, in a sentence.
        is_last: The task fails; of a review, a dead letter says that the agent could not do it.
    """
    task = held_by_attempt(tx.state, agent, attempt)
    if task is None:
        return
    if task.status != "in_review":
        tx.record(TaskFailed(task=task.id, reason=reason) if is_last else released(task, reason))
        return
    tx.record(ReviewReleased(task=task.id, holder=task.reviewer or "", reason=reason))
    if is_last:
        tx.record(
            SubscriptionDied(
                subscriber=agent,
                event=attempt.event,
                reason=reason,
                attempts=attempt.number,
                task=task.id,
            )
        )


_LOSSES = (TaskApproved, ReviewClaimed, ReviewReleased)
"""Events, beside those that change the status of a task, that take it or its review from an agent."""


def loss_of(state: State, agent: str, attempt: Attempt, event: Callable[[int], Recorded]) -> str:
    """Why an agent works for nothing: another one has its task now, or its attempt is over; else empty.

    An agent that has ended its task itself goes on until it has finished.

    Args:
        state: The state.
        agent: The agent.
        attempt: Its attempt, as it began.
        event: Reads an event by its id.
    """
    known = state.subscriptions[agent].attempt(attempt.event)
    if known is None or known.token != attempt.token or known.status != "running":
        return "another runner has ended its attempt"
    if not attempt.task or held_by_attempt(state, agent, attempt) is not None:
        return ""
    task = state.tasks.get(attempt.task)
    if task is None:
        is_deleted = attempt.task in state.tasks.deleted
        return f"task {attempt.task} was deleted" if is_deleted else ""
    for record in (event(number) for number in task.events if number > attempt.event):
        change = decode(record)
        if not isinstance(change, TaskEvent) or not (change.STATUS or isinstance(change, _LOSSES)):
            continue
        if record.agent == actor_of(state, agent):
            return ""
        if isinstance(change, TaskLapsed):
            return f"its lease of task {task.id} has ended"
        verb = change.TYPE.partition(".")[2].replace("review_", "")
        return f"task {task.id} was {verb} by {record.agent}"
    return f"task {task.id} was changed by others"


def note_output(
    tx: Transaction[State], task: Task | None, attempt: Attempt, report: AttemptReport | None
) -> None:
    """Keep what an agent wrote last as a note of its task, for the next attempt."""
    text = (report.output if report else "").replace("\0", "").strip()
    if task is not None and text:
        text = text if len(text) <= _NOTE else f"…{text[-_NOTE:]}"
        tx.record(TaskNoted(task=task.id, text=f"The end of attempt {attempt.number}:\n{text}"))


def renew(tx: Transaction[State], agent: str, attempt: Attempt) -> None:
    """Extend the lease of the task of an attempt, or of its review, if the agent still has it."""
    task = held_by_attempt(tx.state, agent, attempt)
    if task is None:
        return
    event = renewal(task, tx.now)
    if event.until > max(task.lease_until, task.review_until):
        tx.record(event)
