"""What a task is: its record, and the events that make and change it.

``token`` is the id of the event that claimed the task, so it grows with every claim of anything and tells a
late holder's result from the present one's (a fencing token).
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from orchestrator.core import clock
from orchestrator.core.events import Event, Recorded, event

if TYPE_CHECKING:
    from orchestrator.domain.state import State

DEFAULT_LEASE = 30 * 60.0
"""Seconds that a claim lasts unless the claimer says otherwise."""

STATUSES = ("pending", "in_progress", "blocked", "done", "failed", "cancelled")
ENDED = ("done", "failed", "cancelled")


class Note(msgspec.Struct, frozen=True, gc=False):
    """A remark on a task, appended and never replaced."""

    agent: str
    at: str
    text: str


class Task(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """A piece of work.

    Defaults that are left out of ``state.json`` are empty, None or small numbers only: msgspec compares
    others by identity, so a text would be left out by one process and written by another.

    Attributes:
        priority: 1 comes first.
        estimate: Minutes, or None.
        open_needs: How many of ``needs`` are not done; at 0 a pending task is ready.
        touches: Resources it needs while it runs, exclusive or ``:shared``.
        lease: Seconds that the claim, or its last renewal, lasts.
        attempt: How often it was claimed.
        reason: Why it is blocked, or why it failed or was cancelled.
        events: Ids of the events that changed it; the first one added it.
    """

    id: str
    workstream: str
    title: str
    description: str = ""
    status: str
    type: str
    priority: int = 5
    labels: tuple[str, ...] = ()
    acceptance: str = ""
    estimate: float | None = None
    needs: tuple[str, ...] = ()
    open_needs: int = 0
    touches: tuple[str, ...] = ()
    assigned_to: str | None = None
    lease: float | None = None
    lease_until: str = ""
    token: int | None = None
    attempt: int = 0
    failures: int = 0
    result: str | None = None
    reason: str = ""
    notes: tuple[Note, ...] = ()
    created_at: str = ""
    created_by: str
    updated_at: str = ""
    claimed_at: str | None = None
    ended_at: str | None = None
    events: tuple[int, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Pending, and everything that it needs is done."""
        return self.status == "pending" and not self.open_needs

    def is_running_for(self, agent: str, now: str) -> bool:
        """Whether the agent holds it under a lease that has not ended."""
        return self.status == "in_progress" and self.assigned_to == agent and self.lease_until > now

    def renewal(self, now: str) -> "TaskRenewed":
        """The event that extends its lease, from now, by its length."""
        return TaskRenewed(task=self.id, until=clock.after(now, self.lease or DEFAULT_LEASE))

    def has_lapsed(self, now: str) -> bool:
        """In progress, but the lease has ended: the next claim may take it."""
        return self.status == "in_progress" and self.lease_until <= now


class ArchivedTask(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What stays of an archived task: enough for counts, needs and finding its record in the log."""

    workstream: str
    outcome: str
    event: int


# Events


class TaskEvent(Event):
    """An event about one task that is on the board."""

    task: str

    def apply(self, state: "State", at: Recorded) -> None:
        task = state.tasks[self.task]
        changes = self.changes(task, at)
        changes["updated_at"] = at.ts
        changes["events"] = (*task.events, at.id)
        state.put_task(replace(task, **changes))

    def changes(self, task: Task, at: Recorded) -> dict[str, Any]:
        """The fields of the record that this event changes."""
        raise NotImplementedError


_UNHELD: dict[str, Any] = {"assigned_to": None, "lease_until": "", "token": None}


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

    def apply(self, state: "State", at: Recorded) -> None:
        _add(
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
                open_needs=_count_open(state, self.needs),
                touches=self.touches,
                created_at=at.ts,
                created_by=at.agent,
                updated_at=at.ts,
                events=(at.id,),
            ),
        )


@event("task.imported")
class TaskImported(Event):
    """A task came from another system, with its times and its result."""

    record: Task

    def apply(self, state: "State", at: Recorded) -> None:
        open_needs = _count_open(state, self.record.needs)
        _add(state, replace(self.record, open_needs=open_needs, events=(at.id,)))


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

    def apply(self, state: "State", at: Recorded) -> None:
        if self.needs is not UNSET:
            _unlink(state, self.task, state.tasks[self.task].needs)
            _link(state, self.task, self.needs)
            open_needs = _count_open(state, self.needs)
            state.put_task(replace(state.tasks[self.task], open_needs=open_needs))
        super().apply(state, at)

    def changes(self, task: Task, at: Recorded) -> dict[str, Any]:
        values = ((field, getattr(self, field)) for field in EDITABLE)
        return {field: value for field, value in values if value is not UNSET}


EDITABLE = tuple(field for field in TaskEdited.__struct_fields__ if field != "task")


@event("task.claimed")
class TaskClaimed(TaskEvent):
    """An agent took the task under a lease of so many seconds, until a time."""

    lease: float
    until: str

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
        return {"status": "pending", **_UNHELD}


@event("task.completed")
class TaskCompleted(TaskEvent):
    """The work is done."""

    result: str | None = None

    def changes(self, task: Task, at: Recorded) -> dict[str, Any]:
        return {
            "status": "done",
            "result": self.result,
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
    """The holder gave the task back."""

    reason: str = ""

    def changes(self, task: Task, at: Recorded) -> dict[str, Any]:
        return {"status": "pending", **_UNHELD}


@event("task.blocked")
class TaskBlocked(TaskEvent):
    """Something outside the board keeps the task from being done."""

    reason: str

    def changes(self, task: Task, at: Recorded) -> dict[str, Any]:
        return {"status": "blocked", "reason": self.reason, **_UNHELD}


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
    """An ended task is to be done again; its end, holder and result are cleared."""

    reason: str = ""

    def changes(self, task: Task, at: Recorded) -> dict[str, Any]:
        return {"status": "pending", "reason": "", "ended_at": None, "result": None, **_UNHELD}


@event("task.noted")
class TaskNoted(TaskEvent):
    """A note was appended."""

    text: str

    def changes(self, task: Task, at: Recorded) -> dict[str, Any]:
        return {"notes": (*task.notes, Note(at.agent, at.ts, self.text))}


@event("task.archived")
class TaskArchived(Event):
    """An ended task left the state; the event keeps its record."""

    record: Task

    def apply(self, state: "State", at: Recorded) -> None:
        task = self.record
        state.archived[task.id] = ArchivedTask(task.workstream, task.status, at.id)
        _unlink(state, task.id, task.needs)
        del state.tasks[task.id]


def _add(state: "State", task: Task) -> None:
    _link(state, task.id, task.needs)
    state.put_task(task)


def _link(state: "State", task: str, needs: Iterable[str]) -> None:
    for need in needs:
        state.needed_by.setdefault(need, []).append(task)


def _unlink(state: "State", task: str, needs: Iterable[str]) -> None:
    for need in needs:
        dependants = state.needed_by[need]
        dependants.remove(task)
        if not dependants:
            del state.needed_by[need]


def _count_open(state: "State", needs: tuple[str, ...]) -> int:
    return sum(not state.is_done(need) for need in needs) if needs else 0
