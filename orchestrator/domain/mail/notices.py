"""Notices: mail about an event of a task, sent in the commit of the event.

``NOTICES`` lists the message and its recipients for each event. The sender is the agent of the event, so an
answer reaches it, and it is never sent to itself. A retired agent gets none, and neither does the name that
an imported task came with, which may be no agent of this board.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from orchestrator.core.errors import OrchestratorError
from orchestrator.core.events import Event
from orchestrator.core.printable import one_line, shortened
from orchestrator.core.transaction import SYSTEM, Committed, Transaction
from orchestrator.domain.state import State
from orchestrator.domain.tasks.edit_events import TaskEdited, TaskReimported
from orchestrator.domain.tasks.events import (
    TaskBlocked,
    TaskCancelled,
    TaskDeleted,
    TaskFailed,
    TaskImported,
    TaskLapsed,
    TaskReleased,
)
from orchestrator.domain.tasks.judged import is_begun
from orchestrator.domain.tasks.records import ENDED, HELD, Task
from orchestrator.domain.tasks.verification_events import TaskApproved, TaskRejected, TaskSubmitted
from orchestrator.domain.validation import LONGEST_TITLE

_LONGEST = 1000
"""The largest length of a result or a reason in a notice; `t show` has the whole text."""

Addressees = Callable[[Transaction[State], Task, Any], Iterable[str]]
"""Names of agents, or addresses, that a notice about a task goes to."""


class Notice(msgspec.Struct, frozen=True):
    """A message about a task.

    Attributes:
        subject: What happened; the task follows.
        to: Functions that return its recipients.
        text: Returns its text, from the event and the task after the commit.
        advice: Returns the next action, from the task.
        applies: Whether the event makes this notice, given the task after the commit.
    """

    subject: str
    to: tuple[Addressees, ...]
    text: Callable[[Task, Any], str | None]
    advice: Callable[[Task], str]
    applies: Callable[[Task, Any, str], bool] = lambda _task, _event, _actor: True


# Recipients


def _creator(tx: Transaction[State], task: Task, _event: Event) -> Iterator[str]:
    """Yield who added the task, unless it was imported with a name that no agent here has."""
    is_known = task.created_by in tx.state.agents
    if is_known or tx.event(task.events[0]).type != TaskImported.TYPE:
        yield task.created_by


def _watchers(tx: Transaction[State], task: Task, _event: Event) -> Iterator[str]:
    """Yield the agents that open convoys of the task notify; one that lands with it reports it itself."""
    for name in tx.state.convoys.tracked_by.get(task.id, ()):
        convoy = tx.state.convoys[name]
        if convoy.status == "open":
            yield from convoy.notify


def _worker(_tx: Transaction[State], task: Task, _event: Event) -> Iterator[str]:
    yield task.assigned_to or SYSTEM


def _reviewer(_tx: Transaction[State], task: Task, _event: Event) -> Iterator[str]:
    yield task.reviewer or SYSTEM


def _reviewer_before(_tx: Transaction[State], _task: Task, event: TaskCancelled) -> Iterator[str]:
    yield event.reviewer


def _holder(
    _tx: Transaction[State], _task: Task, event: TaskBlocked | TaskLapsed | TaskReleased
) -> Iterator[str]:
    yield event.holder


def _holder_before(tx: Transaction[State], task: Task, event: TaskReimported) -> Iterator[str]:
    """Yield who had the task, unless that is only a name which an import gave it."""
    if event.holder in tx.state.agents or task.attempt:
        yield event.holder


def _reviewers(tx: Transaction[State], task: Task, _event: Event) -> Iterable[str]:
    from orchestrator.domain.agents.reviewers import suitable_reviewers

    return suitable_reviewers(tx.state, task, tx.now)


def _now_with(task: Task) -> str:
    return f"{task.assigned_to} has the task now." if task.status in HELD else "The task is free."


def _is_reimport_of_work(task: Task, event: TaskReimported, _actor: str) -> bool:
    """Whether an import changed how a task is judged that an agent has or had, or took it from its agent."""
    is_taken = bool(event.holder) and event.holder != task.assigned_to
    is_in_work = bool(event.holder) or task.attempt > 0
    return bool(event.source) and (is_taken or (is_in_work and bool(event.judged())))


def _reimport(task: Task, event: TaskReimported) -> str:
    changed = "" if event.facts().get("status") is None else f" It is {task.status} now."
    judged = " and ".join(field for field in event.judged() if field != "status")
    return f"It was {event.because}{f', and its {judged} changed' if judged else ''}.{changed}"


NOTICES: dict[type[Event], Notice] = {
    TaskSubmitted: Notice(
        "Review due",
        (_reviewers, _creator),
        lambda _task, event: event.result,
        lambda task: f"`t review {task.id}` takes the review, unless the work is yours.",
        lambda task, _event, _actor: task.awaits_review,
    ),
    TaskApproved: Notice(
        "Approved",
        (_worker, _creator),
        lambda _task, event: event.comment,
        lambda task: (
            "Its branch waits to be merged, which ends the task."
            if task.waits_for
            else "The task is done."
        ),
    ),
    TaskRejected: Notice(
        "Rejected",
        (_worker, _creator, _watchers),
        lambda _task, event: event.reason,
        lambda task: f"{_now_with(task)} `t claim {task.id}` continues it.",
    ),
    TaskFailed: Notice(
        "Failed",
        (_creator, _watchers),
        lambda _task, event: event.reason,
        lambda task: f"What needs it waits: `t reopen {task.id}` lets an agent try again.",
    ),
    TaskLapsed: Notice(
        "Lease lapsed",
        (_holder, _creator, _watchers),
        lambda task, event: f"The lease of {event.holder} ended. {_now_with(task)}",
        lambda task: f"`t note {task.id} TEXT` keeps what was learned before.",
        lambda task, event, _actor: task.assigned_to != event.holder,
    ),
    TaskEdited: Notice(
        "What it is judged by changed",
        (_creator, _worker, _reviewer, _watchers),
        lambda _task, event: (
            f"The sender {event.problem} after work on it began: {event.reason or 'no reason was given'}"
        ),
        lambda task: f"`t show {task.id}` has the old and the new values.",
        lambda task, event, _actor: bool(event.problem) and (is_begun(task) or task.attempt > 0),
    ),
    TaskReimported: Notice(
        "Changed by an import",
        (_holder_before, _creator, _watchers),
        _reimport,
        lambda task: f"`t show {task.id}` has the old and the new values.",
        _is_reimport_of_work,
    ),
    TaskCancelled: Notice(
        "Cancelled",
        (_worker, _reviewer_before),
        lambda _task, event: event.reason,
        lambda _task: "The task is over: stop working on it, or on its review.",
    ),
    TaskBlocked: Notice(
        "Blocked",
        (_holder,),
        lambda _task, event: event.reason,
        lambda task: f"You have it no longer. `t unblock {task.id}` makes it free again.",
    ),
    TaskReleased: Notice(
        "Taken from you",
        (_holder,),
        lambda _task, event: event.reason,
        lambda task: f"`t note {task.id} TEXT` keeps what you learned.",
        lambda _task, event, actor: event.holder != actor,
    ),
}
"""The table of notices: the message and its recipients for each event of a task."""


def follow(tx: Transaction[State], events: Committed) -> None:
    """Send the notices of events of this transaction."""
    deleted = {
        event.record.id: event.record for _, event in events if isinstance(event, TaskDeleted)
    }
    for record, event in events:
        notice = NOTICES.get(type(event)) if event is not None else None
        if event is None or notice is None:
            continue
        task_id: str = event.task  # type: ignore[attr-defined]
        task = tx.state.tasks.get(task_id) or deleted.get(task_id)
        if task is None or not notice.applies(task, event, record.agent):
            continue
        recipients = _recipients(tx, record.agent, notice, task, event)
        if recipients:
            _send(tx, record.agent, recipients, notice, task, event)


def _recipients(
    tx: Transaction[State], actor: str, notice: Notice, task: Task, event: Event | None
) -> tuple[str, ...]:
    """Return the distinct recipients of a notice: agents, and queues as addresses."""
    from orchestrator.domain.convoys.commands import informed_of_the_end
    from orchestrator.domain.mail import addresses

    chosen: dict[str, None] = {}
    for whom in notice.to:
        for address in whom(tx, task, event):
            if address in ("", SYSTEM):
                continue
            try:
                reached = addresses.resolve(tx.state, [address], actor)
            except OrchestratorError:  # a group without members, a list that is gone, no name
                continue
            chosen |= dict.fromkeys(a for a in reached.agents if not tx.state.agents.is_retired(a))
            chosen |= {f"queue:{reached.queue}": None} if reached.queue else {}
    chosen.pop(actor, None)
    # One event, one message: the report of a convoy that lands with the task says what the notice would.
    reported = informed_of_the_end(tx, task) if task.status in ENDED and chosen else ()
    return tuple(recipient for recipient in chosen if recipient not in reported)


def _send(
    tx: Transaction[State],
    actor: str,
    to: tuple[str, ...],
    notice: Notice,
    task: Task,
    event: Event,
) -> None:
    from orchestrator.domain.mail import commands as mail
    from orchestrator.domain.mail.matters import matter_of

    text = shortened(notice.text(task, event) or "", _LONGEST)
    with tx.as_before():
        tx.act_as(actor)
        mail.post(
            tx,
            to,
            subject=one_line(f"{notice.subject}: {task.id} {task.title}", LONGEST_TITLE),
            body="\n\n".join(filter(None, [text, notice.advice(task)])),
            kind="notification",
            about=matter_of(event.TYPE, task),
        )
