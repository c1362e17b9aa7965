"""The events that make and change a task."""

from typing import Any

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from orchestrator.core import clock
from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.state import State
from orchestrator.domain.tasks.derived import (
    add_task,
    archive_task,
    count_open,
    kept_back,
    link,
    put_task,
    unlink,
)
from orchestrator.domain.tasks.records import (
    DEFAULT_LEASE,
    Checks,
    Gate,
    Link,
    Note,
    Signal,
    Task,
)


class TaskEvent(Event):
    """An event about one task that is on the board."""

    task: str

    def apply(self, state: State, at: Recorded) -> None:
        task = state.tasks[self.task]
        changes = self.changes(task, at)
        changes["updated_at"] = at.ts
        changes["events"] = (*task.events, at.id)
        put_task(state, replace(task, **changes))

    def changes(self, task: Task, at: Recorded) -> dict[str, Any]:
        """The fields of the record that this event changes."""
        raise NotImplementedError


UNHELD: dict[str, Any] = {"assigned_to": None, "lease_until": "", "token": None}
"""What changes when nobody has a task any more."""


@event("task.added")
class TaskAdded(Event):
    """A task was added."""

    task: str
    workstream: str
    title: str
    description: str = ""
    type: str = "task"
    priority: int = 5
    labels: tuple[str, ...] = ()
    acceptance: str = ""
    estimate: float | None = None
    needs: tuple[str, ...] = ()
    touches: tuple[str, ...] = ()
    parent: str | None = None
    gate: Gate | None = None
    links: tuple[Link, ...] = ()
    defer_until: str = ""
    due: str = ""
    checks: Checks | None = None
    signals: tuple[Signal, ...] = ()
    milestone: bool = False
    until: str = ""
    workflow: str | None = None
    assignee: str = ""

    def apply(self, state: State, at: Recorded) -> None:
        add_task(
            state,
            Task(
                id=self.task,
                workstream=self.workstream,
                title=self.title,
                description=self.description,
                status="pending",
                type=self.type,
                priority=self.priority,
                labels=self.labels,
                acceptance=self.acceptance,
                estimate=self.estimate,
                needs=self.needs,
                open_needs=count_open(state, self.needs),
                parent=self.parent,
                gate=self.gate,
                links=self.links,
                touches=self.touches,
                defer_until=self.defer_until,
                due=self.due,
                checks=self.checks,
                signals=self.signals,
                milestone=self.milestone,
                until=self.until,
                workflow=self.workflow,
                assignee=self.assignee,
                created_at=at.ts,
                created_by=at.agent,
                updated_at=at.ts,
                events=(at.id,),
            ),
        )


@event("task.imported")
class TaskImported(Event):
    """A task came from another system, with its times and its result; its commands are not trusted."""

    record: Task

    def apply(self, state: State, at: Recorded) -> None:
        open_needs = count_open(state, self.record.needs)
        checks = self.record.checks and replace(self.record.checks, trusted=False)
        derived: dict[str, Any] = {
            "open_needs": open_needs,
            "held": False,
            "waiting": False,
            "progress": None,
            "checks": checks,
            "workflow": None,
        }
        add_task(state, replace(self.record, **derived, events=(at.id,)))


@event("task.edited")
class TaskEdited(TaskEvent):
    """Fields of a task changed; a field that is not there did not."""

    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    labels: tuple[str, ...] | UnsetType = UNSET
    acceptance: str | UnsetType = UNSET
    estimate: float | UnsetType | None = UNSET
    needs: tuple[str, ...] | UnsetType = UNSET
    touches: tuple[str, ...] | UnsetType = UNSET
    parent: str | UnsetType | None = UNSET
    gate: Gate | UnsetType | None = UNSET
    links: tuple[Link, ...] | UnsetType = UNSET
    defer_until: str | UnsetType = UNSET
    due: str | UnsetType = UNSET
    commits: tuple[str, ...] | UnsetType = UNSET
    checks: Checks | UnsetType | None = UNSET
    milestone: bool | UnsetType = UNSET
    assignee: str | UnsetType = UNSET

    def apply(self, state: State, at: Recorded) -> None:
        moves = any(getattr(self, field) is not UNSET for field in ("needs", "parent", "gate"))
        if moves:
            unlink(state, state.tasks[self.task])
        super().apply(state, at)
        if moves:
            task = state.tasks[self.task]
            link(state, task)
            open_needs = count_open(state, task.needs)
            put_task(state, replace(kept_back(state, task), open_needs=open_needs))

    def changes(self, task: Task, at: Recorded) -> dict[str, Any]:
        return self.fields()

    def fields(self) -> dict[str, Any]:
        """The fields that are given, with their new values."""
        values = ((field, getattr(self, field)) for field in EDITABLE)
        return {field: value for field, value in values if value is not UNSET}


EDITABLE = tuple(field for field in TaskEdited.__struct_fields__ if field != "task")


@event("task.assigned")
class TaskAssigned(TaskEvent):
    """The task was given to an agent, who has until a time to begin; ``hung``: on its hook."""

    to: str
    lease: float
    until: str
    hung: bool = False

    def apply(self, state: State, at: Recorded) -> None:
        super().apply(state, at)
        if self.hung:
            state.agents.hooks[self.to] = self.task

    def changes(self, task: Task, at: Recorded) -> dict[str, Any]:
        return {
            "status": "assigned",
            "assigned_to": self.to,
            "lease": self.lease,
            "lease_until": self.until,
            "token": None,
            "reason": "",
            "assignee": "",
        }


@event("task.hung")
class TaskHung(TaskEvent):
    """The task hangs on the hook of the agent that has it."""

    def apply(self, state: State, at: Recorded) -> None:
        super().apply(state, at)
        task = state.tasks[self.task]
        assert task.assigned_to is not None
        state.agents.hooks[task.assigned_to] = self.task

    def changes(self, task: Task, at: Recorded) -> dict[str, Any]:
        return {}


@event("task.claimed")
class TaskClaimed(TaskEvent):
    """An agent took the task under a lease of so many seconds, until a time.

    It hangs on the agent's hook if nothing hangs there.
    """

    lease: float
    until: str

    def apply(self, state: State, at: Recorded) -> None:
        super().apply(state, at)
        state.agents.hooks.setdefault(at.agent, self.task)

    def changes(self, task: Task, at: Recorded) -> dict[str, Any]:
        return {
            "status": "in_progress",
            "assigned_to": at.agent,
            "lease": self.lease,
            "lease_until": self.until,
            "token": at.id,
            "attempt": task.attempt + 1,
            "claimed_at": at.ts,
            "reason": "",
            "assignee": "",
        }


@event("task.renewed")
class TaskRenewed(TaskEvent):
    """The holder's lease was extended."""

    until: str
    lease: float | UnsetType = UNSET

    def changes(self, task: Task, at: Recorded) -> dict[str, Any]:
        lease = task.lease if self.lease is UNSET else self.lease
        return {"lease_until": self.until, "lease": lease}


@event("task.lapsed")
class TaskLapsed(TaskEvent):
    """The lease of ``holder`` ran out and somebody else wants the task."""

    holder: str

    def changes(self, task: Task, at: Recorded) -> dict[str, Any]:
        return {"status": "pending", **UNHELD}


@event("task.completed")
class TaskCompleted(TaskEvent):
    """The work is done.

    ``reason``: why it is done although a check failed; ``worker``: who did it, where another agent ends it.
    """

    result: str | None = None
    reason: str = ""
    worker: str = ""

    def changes(self, task: Task, at: Recorded) -> dict[str, Any]:
        return {
            "status": "done",
            "result": self.result,
            "reason": self.reason,
            "ended_at": at.ts,
            "lease_until": "",
            "token": None,
        }


@event("task.failed")
class TaskFailed(TaskEvent):
    """The work was tried and could not be done."""

    reason: str = ""

    def changes(self, task: Task, at: Recorded) -> dict[str, Any]:
        return {
            "status": "failed",
            "reason": self.reason,
            "failures": task.failures + 1,
            "ended_at": at.ts,
            "lease_until": "",
            "token": None,
        }


@event("task.released")
class TaskReleased(TaskEvent):
    """``holder`` gave the task back, or it was taken away."""

    reason: str = ""
    holder: str = ""

    def changes(self, task: Task, at: Recorded) -> dict[str, Any]:
        return {"status": "pending", **UNHELD}


@event("task.blocked")
class TaskBlocked(TaskEvent):
    """Something outside the board keeps the task from being done."""

    reason: str

    def changes(self, task: Task, at: Recorded) -> dict[str, Any]:
        return {"status": "blocked", "reason": self.reason, **UNHELD}


@event("task.unblocked")
class TaskUnblocked(TaskEvent):
    """What blocked the task is gone."""

    def changes(self, task: Task, at: Recorded) -> dict[str, Any]:
        return {"status": "pending", "reason": ""}


@event("task.cancelled")
class TaskCancelled(TaskEvent):
    """The task is not wanted any more."""

    reason: str = ""

    def changes(self, task: Task, at: Recorded) -> dict[str, Any]:
        return {
            "status": "cancelled",
            "reason": self.reason,
            "ended_at": at.ts,
            "lease_until": "",
            "token": None,
        }


@event("task.reopened")
class TaskReopened(TaskEvent):
    """An ended task is to be done again; its end, holder, result and evidence are cleared.

    If it was done, what somebody said before counts for that time only: it waits for their word again.
    """

    reason: str = ""

    def changes(self, task: Task, at: Recorded) -> dict[str, Any]:
        signals = task.signals
        if task.status == "done":
            signals = tuple(signal.again() for signal in signals)
        return {
            "signals": signals,
            "status": "pending",
            "reason": "",
            "ended_at": None,
            "result": None,
            "evidence": (),
            **UNHELD,
        }


@event("task.noted")
class TaskNoted(TaskEvent):
    """A note was appended."""

    text: str

    def changes(self, task: Task, at: Recorded) -> dict[str, Any]:
        return {"notes": (*task.notes, Note(at.agent, at.ts, self.text))}


@event("task.reached")
class TaskReached(TaskEvent):
    """No other task keeps it back any more: the times of its signals begin."""

    def changes(self, task: Task, at: Recorded) -> dict[str, Any]:
        signals = tuple(_begun(signal, at.ts) for signal in task.signals)
        ends = [signal.until for signal in signals if signal.kind == "timer"]
        return {"signals": signals, "defer_until": max(task.defer_until, *ends, "")}


@event("task.signalled")
class TaskSignalled(TaskEvent):
    """A signal that the task waited for was given, with what there was to say."""

    kind: str
    name: str = ""
    text: str = ""

    def changes(self, task: Task, at: Recorded) -> dict[str, Any]:
        given = {
            one: one.given(at.ts)
            for one in task.signals
            if (one.kind, one.name) == (self.kind, self.name) and one.keeps_back(at.ts)
        }
        changes: dict[str, Any] = {"signals": tuple(given.get(one, one) for one in task.signals)}
        if task.defer_until and any(task.defer_until == one.until for one in given):
            changes["defer_until"] = max(
                (s.until for s in changes["signals"] if s.until > at.ts and s.kind == "timer"),
                default="",
            )
        if self.text:
            changes["notes"] = (*task.notes, Note(at.agent, at.ts, self.text))
        return changes


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

    def apply(self, state: State, at: Recorded) -> None:
        archive_task(state, self.record, at.id)


def renewal(task: Task, now: str) -> TaskRenewed:
    """The event that extends the lease of a task, from now, by its length."""
    return TaskRenewed(task=task.id, until=clock.after(now, task.lease or DEFAULT_LEASE))


def released(task: Task, reason: str) -> TaskReleased:
    """The event that takes a task from the agent that has it."""
    return TaskReleased(task=task.id, reason=reason, holder=task.assigned_to or "")
