"""The events that make and change a task."""

from typing import Any, ClassVar

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import astuple, replace

from orchestrator.core import clock
from orchestrator.core.events import Event, Recorded, carrying, event
from orchestrator.domain.state import State
from orchestrator.domain.tasks.derived import (
    add_task,
    archive_task,
    change_task,
    count_open,
    delete_task,
    move_task,
)
from orchestrator.domain.tasks.facts import TaskFacts
from orchestrator.domain.tasks.records import (
    DEFAULT_LEASE,
    Note,
    Task,
    TaskStatus,
)
from orchestrator.domain.tasks.relations import Signal


class TaskEvent(Event):
    """An event about one task that is on the board.

    Attributes:
        STATUS: The status of the task after the event; None: the event leaves it as it is.
    """

    STATUS: ClassVar[TaskStatus | None] = None
    task: str

    def apply(self, state: State, record: Recorded) -> None:
        task = state.tasks.tasks[self.task]
        change_task(state, task, self.changed(task, record), record)

    def changed(self, task: Task, record: Recorded) -> Task:
        """A new record of the task as it is after this event, but for its history."""
        raise NotImplementedError


UNHELD: dict[str, Any] = {"assigned_to": None, "lease_until": "", "token": None}
"""The fields to change when no agent has a task any more."""

UNSUBMITTED: dict[str, Any] = {"waits_for": "", "proposal": None}
"""The fields to change when the branch of a task does not wait to be merged any more."""

UNREVIEWED: dict[str, Any] = {"reviewer": None, "review_lease": None, "review_until": ""}
"""The fields to change when no agent reviews a task any more."""


@event("task.added")
class TaskAdded(Event, TaskFacts):  # type: ignore[misc] # an event is not frozen, facts are
    """A task was added."""

    id: str = msgspec.field(name="task")

    @property
    def task(self) -> str:
        """The id of the task."""
        return self.id

    def apply(self, state: State, record: Recorded) -> None:
        task = Task(
            *astuple(self),  # type: ignore[misc] # the fields of TaskFacts, and no more
            status="pending",
            open_needs=count_open(state, self) if self.needs or self.needs_failure_of else 0,
            created_at=record.ts,
            created_by=record.agent,
            updated_at=record.ts,
            events=(record.id,),
        )
        add_task(state, task)


@event("task.imported")
class TaskImported(Event):
    """A task came from another system, with its times and its result; its commands are not trusted."""

    record: Task

    def apply(self, state: State, record: Recorded) -> None:
        task = replace(
            self.record,
            open_needs=count_open(state, self.record),
            held=False,
            waiting=False,
            progress=None,
            checks=self.record.checks and replace(self.record.checks, trusted=False),
            workflow=None,
            events=(record.id,),
        )
        add_task(state, task)


@event("task.assigned")
class TaskAssigned(TaskEvent):
    """The task was given to an agent, who has until a time to begin; ``hung``: on its hook."""

    STATUS = "assigned"

    to: str
    lease: float
    until: str
    hung: bool = False

    def apply(self, state: State, record: Recorded) -> None:
        super().apply(state, record)
        if self.hung:
            state.agents.hooks[self.to] = self.task

    def changed(self, task: Task, record: Recorded) -> Task:
        return replace(
            task,
            status=self.STATUS,
            assigned_to=self.to,
            lease=self.lease,
            lease_until=self.until,
            token=None,
            reason="",
            assignee="",
        )


@event("task.hung")
class TaskHung(TaskEvent):
    """The task hangs on the hook of the agent that has it."""

    def apply(self, state: State, record: Recorded) -> None:
        super().apply(state, record)
        task = state.tasks[self.task]
        assert task.assigned_to is not None
        state.agents.hooks[task.assigned_to] = self.task

    def changed(self, task: Task, record: Recorded) -> Task:
        return replace(task)


@event("task.claimed")
class TaskClaimed(TaskEvent):
    """An agent took the task under a lease of so many seconds, until a time.

    It hangs on the agent's hook if nothing hangs there.
    """

    STATUS = "in_progress"

    lease: float
    until: str
    machine: str = ""

    def apply(self, state: State, record: Recorded) -> None:
        TaskEvent.apply(self, state, record)  # `super()` takes twice as long
        state.agents.hooks.setdefault(record.agent, self.task)
        state.agents.note_machine(record.agent, self.machine)

    def changed(self, task: Task, record: Recorded) -> Task:
        workers, agent = task.workers, record.agent
        return replace(
            task,
            status=self.STATUS,
            assigned_to=agent,
            workers=workers if agent in workers else (*workers, agent),
            lease=self.lease,
            lease_until=self.until,
            token=record.id,
            attempt=task.attempt + 1,
            claimed_at=record.ts,
            machine=self.machine,
            reason="",
            assignee="",
        )


@event("task.renewed")
class TaskRenewed(TaskEvent):
    """The holder's lease was extended."""

    until: str
    lease: float | UnsetType = UNSET

    def changed(self, task: Task, record: Recorded) -> Task:
        lease = task.lease if self.lease is UNSET else self.lease
        return replace(task, lease_until=self.until, lease=lease)


@event("task.review_claimed")
class ReviewClaimed(TaskEvent):
    """An agent reviews the task under a lease of so many seconds, until a time."""

    lease: float
    until: str
    machine: str = ""

    def apply(self, state: State, record: Recorded) -> None:
        super().apply(state, record)
        state.agents.note_machine(record.agent, self.machine)

    def changed(self, task: Task, record: Recorded) -> Task:
        lease = {"review_lease": self.lease, "review_until": self.until}
        return replace(task, reviewer=record.agent, **lease)


@event("task.review_renewed")
class ReviewRenewed(TaskEvent):
    """The reviewer's lease was extended."""

    until: str

    def changed(self, task: Task, record: Recorded) -> Task:
        return replace(task, review_until=self.until)


RENEWED = TaskRenewed | ReviewRenewed
"""Events that only show that an agent still works: they are not news about the task."""


@event("task.review_released")
class ReviewReleased(TaskEvent):
    """The review of ``holder`` was released, by the reviewer or another agent."""

    holder: str
    reason: str = ""

    def changed(self, task: Task, record: Recorded) -> Task:
        return replace(task, **UNREVIEWED)


@event("task.lapsed")
class TaskLapsed(TaskEvent):
    """The lease of ``holder`` has ended, and another agent takes the task."""

    STATUS = "pending"

    holder: str

    def changed(self, task: Task, record: Recorded) -> Task:
        return replace(task, status=self.STATUS, **UNHELD)


@event("task.completed")
class TaskCompleted(TaskEvent):
    """The work is done.

    ``reason``: why it is done although a check failed; ``worker``: who did it, where another agent ends it.
    """

    STATUS = "done"

    result: str | None = None
    reason: str = ""
    worker: str = ""

    def changed(self, task: Task, record: Recorded) -> Task:
        return replace(
            task,
            status=self.STATUS,
            ended_at=record.ts,
            lease_until="",
            token=None,
            workers=(),
            result=self.result,
            reason=self.reason,
            waits_for="",  # not `**UNSUBMITTED`: a call with a mapping takes a quarter longer
            proposal=None,
        )


@event("task.failed")
class TaskFailed(TaskEvent):
    """The work was tried and failed."""

    STATUS = "failed"

    reason: str = ""

    def changed(self, task: Task, record: Recorded) -> Task:
        return replace(
            task,
            status=self.STATUS,
            ended_at=record.ts,
            lease_until="",
            token=None,
            reason=self.reason,
            failures=task.failures + 1,
        )


@event("task.released")
class TaskReleased(TaskEvent):
    """The task of ``holder`` was released, by the holder or another agent."""

    STATUS = "pending"

    reason: str = ""
    holder: str = ""

    def changed(self, task: Task, record: Recorded) -> Task:
        return replace(task, status=self.STATUS, **UNHELD)


@event("task.blocked")
class TaskBlocked(TaskEvent):
    """The task was blocked for a reason outside the board; ``holder`` had it."""

    STATUS = "blocked"

    reason: str
    holder: str = ""

    def changed(self, task: Task, record: Recorded) -> Task:
        return replace(task, status=self.STATUS, reason=self.reason, **UNHELD)


@event("task.unblocked")
class TaskUnblocked(TaskEvent):
    """A blocked task is pending again."""

    STATUS = "pending"

    def changed(self, task: Task, record: Recorded) -> Task:
        return replace(task, status=self.STATUS, reason="")


@event("task.cancelled")
class TaskCancelled(TaskEvent):
    """The task was cancelled; ``reviewer`` reviewed it."""

    STATUS = "cancelled"

    reason: str = ""
    reviewer: str = ""

    def changed(self, task: Task, record: Recorded) -> Task:
        return replace(
            task,
            status=self.STATUS,
            ended_at=record.ts,
            lease_until="",
            token=None,
            reason=self.reason,
            **UNREVIEWED,
            **UNSUBMITTED,
        )


@event("task.reopened")
class TaskReopened(TaskEvent):
    """An ended task was reopened; its end, holder, result and evidence are cleared.

    If it was done, a person's word given before counts for that time only: it waits for a word again.
    """

    STATUS = "pending"

    reason: str = ""

    def changed(self, task: Task, record: Recorded) -> Task:
        was_done = task.status == "done"
        signals = tuple(signal.again() if was_done else signal for signal in task.signals)
        return replace(
            task,
            signals=signals,
            status=self.STATUS,
            reason="",
            ended_at=None,
            result=None,
            evidence=(),
            **UNHELD,
        )


@event("task.noted")
class TaskNoted(TaskEvent):
    """A note was appended."""

    text: str

    def changed(self, task: Task, record: Recorded) -> Task:
        return replace(task, notes=(*task.notes, Note(record.agent, record.ts, self.text)))


@event("task.moved")
class TaskMoved(TaskEvent):
    """The task belongs to another workstream now."""

    workstream: str

    def apply(self, state: State, record: Recorded) -> None:
        before = state.tasks[self.task]
        move_task(state, before, self.changed(before, record), record)

    def changed(self, task: Task, record: Recorded) -> Task:
        return replace(task, workstream=self.workstream)


@event("task.reached")
class TaskReached(TaskEvent):
    """No other task blocks it any more: the times of its signals begin."""

    def changed(self, task: Task, record: Recorded) -> Task:
        signals = tuple(_begun(signal, record.ts) for signal in task.signals)
        ends = [signal.until for signal in signals if signal.kind == "timer"]
        return replace(task, signals=signals, defer_until=max(task.defer_until, *ends, ""))


@event("task.signalled")
class TaskSignalled(TaskEvent):
    """A signal that the task waited for was given, with a remark."""

    kind: str
    name: str = ""
    text: str = ""

    def changed(self, task: Task, record: Recorded) -> Task:
        given = {
            signal: signal.given(record.ts)
            for signal in task.signals
            if (signal.kind, signal.name) == (self.kind, self.name) and signal.keeps_back(record.ts)
        }
        changes: dict[str, Any] = {
            "signals": tuple(given.get(signal, signal) for signal in task.signals)
        }
        if task.defer_until and any(task.defer_until == signal.until for signal in given):
            changes["defer_until"] = max(
                (s.until for s in changes["signals"] if s.until > record.ts and s.kind == "timer"),
                default="",
            )
        if self.text:
            changes["notes"] = (*task.notes, Note(record.agent, record.ts, self.text))
        return replace(task, **changes)


def _begun(signal: Signal, now: str) -> Signal:
    """A signal whose time has begun: a timer is given with that, for the task is put off until its end."""
    if signal.seconds is None or signal.until:
        return signal
    given_at = now if signal.kind == "timer" else signal.given_at
    return replace(signal, until=clock.after(now, signal.seconds), given_at=given_at)


@event("task.archived")
class TaskArchived(Event):
    """An ended task left the state; the event keeps its record."""

    record: Task

    def apply(self, state: State, record: Recorded) -> None:
        archive_task(state, self.record, record.id)


@event("task.deleted")
class TaskDeleted(TaskArchived):
    """An ended task was deleted; the event keeps its record, the state only that its id was used."""

    reason: str = ""

    def apply(self, state: State, record: Recorded) -> None:
        delete_task(state, self.record, record.id, self.reason)


def renewal(task: Task, now: str) -> TaskRenewed | ReviewRenewed:
    """The event that extends the lease of a task, or of its review, from now, by its length."""
    if task.reviewer is not None:
        until = clock.after(now, task.review_lease or DEFAULT_LEASE)
        return ReviewRenewed(task=task.id, until=until)
    return TaskRenewed(task=task.id, until=clock.after(now, task.lease or DEFAULT_LEASE))


def blocked(task: Task, reason: str) -> TaskBlocked:
    """The event that blocks a task."""
    return TaskBlocked(task=task.id, reason=reason, holder=task.assigned_to or "")


def cancelled(task: Task, reason: str) -> TaskCancelled:
    """The event that cancels a task."""
    return TaskCancelled(task=task.id, reason=reason, reviewer=task.reviewer or "")


def released(task: Task, reason: str) -> TaskReleased:
    """The event that takes a task from the agent that has it."""
    return TaskReleased(task=task.id, reason=reason, holder=task.assigned_to or "")


def archived(state: State, task: Task) -> Event:
    """The event that removes an ended task from the state, with its whole record."""
    unknown = state.tasks.unknown_facts.get(task.id)
    event = TaskArchived(record=task)
    return event if unknown is None else carrying(event, {"record": unknown})
