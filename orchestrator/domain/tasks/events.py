"""What a task is: its record, and the events that make and change it.

``token`` is the id of the event that claimed the task, so it grows with every claim of anything and tells a
late holder's result from the present one's (a fencing token).
"""

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from orchestrator.core import clock
from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.tasks.verification import Checks, Evidence

if TYPE_CHECKING:
    from orchestrator.domain.state import State

DEFAULT_LEASE = 30 * 60.0
"""Seconds that a claim lasts unless the claimer says otherwise."""

STATUSES = (
    "pending",
    "assigned",
    "in_progress",
    "blocked",
    "in_review",
    "done",
    "failed",
    "cancelled",
)
HELD = ("assigned", "in_progress")
"""An agent has it, under a lease."""
ENDED = ("done", "failed", "cancelled")


class Note(msgspec.Struct, frozen=True, gc=False):
    """A remark on a task, appended and never replaced."""

    agent: str
    at: str
    text: str


class Link(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A link to another task that never blocks; see :data:`orchestrator.domain.tasks.dependencies.KINDS`."""

    kind: str
    task: str


class Gate(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a task waits for beside its needs: ``all`` or ``any`` of the children of a task, itself or not."""

    how: str
    of: str


class Progress(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """How far the children of a task are, archived ones included."""

    total: int
    done: int
    cancelled: int

    def passes(self, how: str) -> bool:
        """Whether a gate is open: any child is done, or there are some and all that are wanted are done."""
        if how == "any":
            return self.done > 0
        return 0 < self.total == self.done + self.cancelled

    @property
    def says(self) -> str:
        """It in words; empty if there are no children."""
        cancelled = f", {self.cancelled} cancelled" if self.cancelled else ""
        return f"{self.done} of {self.total} done{cancelled}" if self.total else ""

    def moved(self, before: str | None, after: str | None) -> "Progress":
        """The progress after a child went from one status to another; None: it is no child then."""
        done = (after == "done") - (before == "done")
        cancelled = (after == "cancelled") - (before == "cancelled")
        total = (after is not None) - (before is not None)
        return Progress(self.total + total, self.done + done, self.cancelled + cancelled)


NO_CHILDREN = Progress(0, 0, 0)


class Signal(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """What a task waits for from outside of the graph.

    Attributes:
        kind: timer, human (somebody's word), event, mail, condition; another word waits for its name too.
        name: The type of the event, the subject of the mail, the name of the condition.
        seconds: Of a timer: how long, once nothing else keeps the task back. Of others: when it is overdue.
        until: When that is.
        given_at: When it was given; empty: it still keeps the task back.
    """

    kind: str
    name: str = ""
    seconds: float | None = None
    until: str = ""
    given_at: str = ""

    @property
    def key(self) -> str:
        """What tells those that wait for the same."""
        return f"{self.kind}:{self.name}"

    def keeps_back(self, now: str) -> bool:
        """Whether it was not given yet, or is a timer that runs."""
        return not self.given_at or (self.kind == "timer" and self.until > now)

    def again(self) -> "Signal":
        """The signal of a task that is to be done again: a word must be given anew, what happened has."""
        has_happened = self.kind in ("timer", "event", "mail")
        return self if has_happened else replace(self, given_at="", until="")

    def given(self, now: str) -> "Signal":
        """The signal once it was given; the time of a timer is over then, begun or not."""
        until = now if self.kind == "timer" else self.until
        return replace(self, given_at=now, until=until)


class Task(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """A piece of work.

    Defaults that are left out of ``state.json`` are empty, None or small numbers only: msgspec compares
    others by identity, so a text would be left out by one process and written by another.

    Attributes:
        priority: 1 comes first.
        estimate: Minutes, or None.
        open_needs: How many of ``needs`` are not done.
        parent: The task that it is a part of; what keeps the parent back keeps it back too.
        held: Whether a parent, or a parent of it, that is still open is blocked or has open needs.
        gate: Children that it waits for.
        waiting: Whether the gate is still closed.
        signals: What it waits for from outside.
        milestone: It is done by itself as soon as nothing keeps it back, unless it has checks.
        until: What ends its parts early, in words; those that nobody has begun are cancelled then.
        workflow: The root of the workflow that it is a step of.
        assignee: Whom it is given to once nothing keeps it back.
        progress: How far its own children are; None if it has none.
        links: Links that never block.
        defer_until: Not to be taken before this time.
        due: When it should be done.
        commits: Commits of a version control that belong to it.
        touches: Resources it needs while it runs, exclusive or ``:shared``.
        lease: Seconds that the claim, or its last renewal, lasts.
        attempt: How often it was claimed.
        reason: Why it is blocked, failed or was cancelled, or was completed although a check failed.
        checks: What must be shown before it is done; None if nothing.
        evidence: What the checks showed last, and what reviewers said.
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
    parent: str | None = None
    held: bool = False
    gate: Gate | None = None
    waiting: bool = False
    signals: tuple[Signal, ...] = ()
    milestone: bool = False
    until: str = ""
    workflow: str | None = None
    assignee: str = ""
    progress: Progress | None = None
    links: tuple[Link, ...] = ()
    touches: tuple[str, ...] = ()
    defer_until: str = ""
    due: str = ""
    commits: tuple[str, ...] = ()
    assigned_to: str | None = None
    lease: float | None = None
    lease_until: str = ""
    token: int | None = None
    attempt: int = 0
    failures: int = 0
    result: str | None = None
    reason: str = ""
    checks: Checks | None = None
    evidence: tuple[Evidence, ...] = ()
    notes: tuple[Note, ...] = ()
    created_at: str = ""
    created_by: str
    updated_at: str = ""
    claimed_at: str | None = None
    ended_at: str | None = None
    events: tuple[int, ...] = ()

    @property
    def is_reached(self) -> bool:
        """Whether no other task keeps it back."""
        return not (self.open_needs or self.held or self.waiting)

    @property
    def is_clear(self) -> bool:
        """Whether no other task and no signal keeps it back."""
        if self.open_needs or self.held or self.waiting:
            return False
        return not (self.signals and self.awaits_signal)

    @property
    def awaits_signal(self) -> bool:
        """Whether a signal that it waits for was not given yet."""
        return any(not signal.given_at for signal in self.signals)

    @property
    def keeps_children(self) -> bool:
        """Whether it keeps its children back: it is open, and blocked or waits for needs or signals."""
        kept = self.held or self.open_needs > 0 or self.status == "blocked" or self.awaits_signal
        return kept and self.status not in ENDED

    @property
    def goes_on_by_itself(self) -> bool:
        """Whether something happens to it without anybody.

        The times of its signals begin, as a milestone it is done, or it is given to its assignee.
        """
        if not self.is_reached or self.status not in ("pending", *HELD):
            return False
        if self.begins_times:
            return True
        given = self.ends_by_itself or (self.assignee != "" and self.status == "pending")
        return given and not self.awaits_signal

    @property
    def ends_by_itself(self) -> bool:
        """Whether it is done as soon as nothing keeps it back: a milestone that has nothing to show."""
        return self.milestone and self.checks is None

    @property
    def begins_times(self) -> bool:
        """Whether the times of its signals begin as soon as no other task keeps it back."""
        return any(one.seconds is not None and not one.until for one in self.signals)

    @property
    def may_go_on_by_itself(self) -> bool:
        """Whether it is of those that something may happen to without anybody."""
        return self.milestone or self.assignee != "" or self.signals != ()

    def can_be_taken(self, now: str) -> bool:
        """Whether anybody may take it: clear, not put off, and nobody has it under a lease."""
        free = self.status == "pending" or self.has_lapsed(now)
        return free and self.is_clear and self.defer_until <= now and not self.ends_by_itself

    def is_with(self, agent: str, now: str) -> bool:
        """Whether the agent has it, begun or not, under a lease that has not ended."""
        return self.status in HELD and self.assigned_to == agent and self.lease_until > now

    def is_running_for(self, agent: str, now: str) -> bool:
        """Whether the agent holds it under a lease that has not ended."""
        return self.status == "in_progress" and self.assigned_to == agent and self.lease_until > now

    def is_assigned_to(self, agent: str) -> bool:
        """Whether it waits for this agent to begin it."""
        return self.status == "assigned" and self.assigned_to == agent

    def renewal(self, now: str) -> "TaskRenewed":
        """The event that extends its lease, from now, by its length."""
        return TaskRenewed(task=self.id, until=clock.after(now, self.lease or DEFAULT_LEASE))

    def released(self, reason: str) -> "TaskReleased":
        """The event by which nobody has it any more."""
        return TaskReleased(task=self.id, reason=reason, holder=self.assigned_to or "")

    def has_lapsed(self, now: str) -> bool:
        """An agent has it, but the lease has ended: the next claim may take it."""
        return self.status in HELD and self.lease_until <= now


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

    def apply(self, state: "State", at: Recorded) -> None:
        open_needs = _count_open(state, self.record.needs)
        checks = self.record.checks and replace(self.record.checks, trusted=False)
        derived: dict[str, Any] = {
            "open_needs": open_needs,
            "held": False,
            "waiting": False,
            "progress": None,
            "checks": checks,
            "workflow": None,
        }
        _add(state, replace(self.record, **derived, events=(at.id,)))


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

    def apply(self, state: "State", at: Recorded) -> None:
        moves = any(getattr(self, field) is not UNSET for field in ("needs", "parent", "gate"))
        if moves:
            unlink(state, state.tasks[self.task])
        super().apply(state, at)
        if moves:
            task = state.tasks[self.task]
            _link(state, task)
            open_needs = _count_open(state, task.needs)
            state.put_task(replace(kept_back(state, task), open_needs=open_needs))

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

    def apply(self, state: "State", at: Recorded) -> None:
        super().apply(state, at)
        if self.hung:
            state.hooks[self.to] = self.task

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

    def apply(self, state: "State", at: Recorded) -> None:
        super().apply(state, at)
        task = state.tasks[self.task]
        assert task.assigned_to is not None
        state.hooks[task.assigned_to] = self.task

    def changes(self, task: Task, at: Recorded) -> dict[str, Any]:
        return {}


@event("task.claimed")
class TaskClaimed(TaskEvent):
    """An agent took the task under a lease of so many seconds, until a time.

    It hangs on the agent's hook if nothing hangs there.
    """

    lease: float
    until: str

    def apply(self, state: "State", at: Recorded) -> None:
        super().apply(state, at)
        state.hooks.setdefault(at.agent, self.task)

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

    def apply(self, state: "State", at: Recorded) -> None:
        task = self.record
        state.archived[task.id] = ArchivedTask(task.workstream, task.status, at.id)
        for need in task.needs:
            _remove(state.needed_by, need, task.id)
        if task.gate is not None:
            _remove(state.awaited_by, task.gate.of, task.id)
        state.drop_task(task.id)


def _add(state: "State", task: Task) -> None:
    if task.workflow is not None:
        state.steps.setdefault(task.workflow, []).append(task.id)
    if task.needs or task.parent is not None or task.gate is not None:
        _link(state, task)
        task = kept_back(state, task)
    state.put_task(task)


def _link(state: "State", task: Task) -> None:
    """Enter a task under those that it needs, belongs to and awaits."""
    for need in task.needs:
        state.needed_by.setdefault(need, []).append(task.id)
    if task.gate is not None:
        state.awaited_by.setdefault(task.gate.of, []).append(task.id)
    if task.parent is not None:
        state.children.setdefault(task.parent, []).append(task.id)
        state.move_child(task.parent, None, task.status)


def unlink(state: "State", task: Task) -> None:
    """Take a task from under those that it needs, belongs to and awaits. Part of a fold."""
    for need in task.needs:
        _remove(state.needed_by, need, task.id)
    if task.gate is not None:
        _remove(state.awaited_by, task.gate.of, task.id)
    if task.parent is not None:
        _remove(state.children, task.parent, task.id)
        state.move_child(task.parent, task.status, None)


def _remove(lists: dict[str, list[str]], key: str, task: str) -> None:
    lists[key].remove(task)
    if not lists[key]:
        del lists[key]


def kept_back(state: "State", task: Task) -> Task:
    """The record with what its parent and its gate do to it now."""
    parent = state.tasks.get(task.parent) if task.parent is not None else None
    held = parent is not None and parent.keeps_children
    waiting = False
    if task.gate is not None:
        own = task.gate.of == task.id
        progress = task.progress if own else progress_of(state, task.gate.of)
        waiting = not (progress or NO_CHILDREN).passes(task.gate.how)
    return replace(task, held=held, waiting=waiting)


def progress_of(state: "State", task_id: str) -> Progress | None:
    """How far the children of a task are; those of an archived one are counted, for nothing keeps that."""
    task = state.tasks.get(task_id)
    if task is not None:
        return task.progress
    progress = NO_CHILDREN
    for child in state.children.get(task_id, ()):
        progress = progress.moved(None, state.status_of(child))
    return progress


def _count_open(state: "State", needs: tuple[str, ...]) -> int:
    return sum(not state.is_done(need) for need in needs) if needs else 0
