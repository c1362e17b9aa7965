"""What a task is: its record, and the slice of the state that tasks are kept in.

``token`` is the id of the event that claimed the task, so it grows with every claim of anything and tells a
late holder's result from the present one's (a fencing token).
"""

import msgspec
from msgspec.structs import replace

from orchestrator.domain.slices import MapSlice

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


DEFAULT_TIMEOUT = 600.0
"""Seconds that one command may take, unless the task says otherwise."""


class Checks(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """What a task must show.

    Attributes:
        verify: Commands that must succeed.
        timeout: Seconds that each of them may take; None for the usual ten minutes.
        artifacts: Files and folders that must be there and hold something.
        review: Whether another agent must approve.
        trusted: Whether the commands were written here, or trusted here after they came by import.
    """

    verify: tuple[str, ...] = ()
    timeout: float | None = None
    artifacts: tuple[str, ...] = ()
    review: bool = False
    trusted: bool = False

    @property
    def are_due(self) -> bool:
        """Whether something must be looked at before the task is complete; a review comes after."""
        return bool(self.verify or self.artifacts)

    @property
    def are_inert(self) -> bool:
        """Whether there are commands that must not run, because nobody here knows them."""
        return bool(self.verify) and not self.trusted

    @property
    def patience(self) -> float:
        """Seconds that one command may take."""
        return self.timeout or DEFAULT_TIMEOUT


class Evidence(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """What one check showed.

    Attributes:
        kind: verify, artifact or review.
        what: The command, the path, or what the reviewer said.
        problem: Why it did not pass, in a few words; a reviewer's reason stands in ``what``.
        status: Exit status of a command; negative: the signal that ended it; None: it did not end.
        seconds: How long the command took; None: it did not run.
        output: The end of what the command wrote.
        size: Bytes of an artifact; of a folder, of all files in it.
        sha256: Digest of an artifact; of a folder, of the digests and names of all files in it.
    """

    kind: str
    what: str
    passed: bool
    problem: str = ""
    status: int | None = None
    seconds: float | None = None
    output: str = ""
    size: int | None = None
    sha256: str = ""
    at: str
    agent: str


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

    def has_lapsed(self, now: str) -> bool:
        """An agent has it, but the lease has ended: the next claim may take it."""
        return self.status in HELD and self.lease_until <= now


class ArchivedTask(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What stays of an archived task: enough for counts, needs and finding its record in the log."""

    workstream: str
    outcome: str
    event: int


class TaskSlice(MapSlice[str, Task]):
    """The tasks by id, and what is derived from them.

    :mod:`orchestrator.domain.tasks.derived` keeps the derived maps up to date.

    Attributes:
        archived: What stays of archived tasks.
        counts: How many tasks of each status a workstream has, archived ones included.
        needed_by: For each task, the tasks that need it.
        children: For each task, its children, archived ones included.
        awaited_by: For each task, the tasks whose gate waits for its children.
        signals: For each signal that was not given yet, the tasks that wait for it.
    """

    MAIN = "tasks"
    tasks: dict[str, Task] = {}
    archived: dict[str, ArchivedTask] = {}
    counts: dict[str, dict[str, int]] = {}
    needed_by: dict[str, list[str]] = {}
    children: dict[str, list[str]] = {}
    awaited_by: dict[str, list[str]] = {}
    signals: dict[str, list[str]] = {}

    def is_done(self, task_id: str) -> bool:
        """Whether a task, archived or not, is done."""
        return self.status_of(task_id) == "done"

    def status_of(self, task_id: str) -> str:
        """The status of a task; of an archived one, how it ended."""
        task = self.tasks.get(task_id)
        return task.status if task is not None else self.archived[task_id].outcome

    def is_open(self, task_id: str) -> bool:
        """Whether a task has not ended; an archived one has."""
        task = self.tasks.get(task_id)
        return task is not None and task.status not in ENDED
