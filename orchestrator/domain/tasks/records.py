"""The record of a task, and the slice of the state with all tasks.

``token`` is the id of the event that claimed the task, so it grows with every claim, and distinguishes the
result of a late holder from that of the current one (a fencing token).
"""

from collections.abc import Iterator
from typing import Any, Literal, get_args

import msgspec

from orchestrator.core.cold_map import current
from orchestrator.domain.merges.records import Proposal
from orchestrator.domain.slices import MapSlice, Record
from orchestrator.domain.tasks.facts import TaskFacts
from orchestrator.domain.tasks.relations import Progress

DEFAULT_LEASE = 30 * 60.0
"""The default length of a claim, in seconds."""

TaskStatus = Literal[
    "pending", "assigned", "in_progress", "blocked", "in_review", "done", "failed", "cancelled"
]

STATUSES: tuple[TaskStatus, ...] = get_args(TaskStatus)

HELD: tuple[TaskStatus, ...] = ("assigned", "in_progress")
"""An agent has it, under a lease."""

IN_WORK: tuple[TaskStatus, ...] = (*HELD, "in_review")
"""The statuses in which an agent works on a task, or waits for its review."""

ENDED: tuple[TaskStatus, ...] = ("done", "failed", "cancelled")


Rank = tuple[int, int, str]
"""Priority, age (id of the event that added it), id: the order in which tasks are taken."""


class Evidence(Record, frozen=True, kw_only=True):
    """The result of a check.

    Attributes:
        what: The command, the path, the words of the reviewer, or the reason of a force or change.
        problem: Why it did not pass, in a few words; a reviewer's reason is in ``what``.
        status: Exit status of a command; negative: the signal that ended it; None: it did not end.
        seconds: How long the command took; None: it did not run.
        output: The end of the command's output.
        size: Bytes of an artifact; of a folder, of all files in it.
        sha256: Digest of an artifact; of a folder, of the digests and names of all files in it.
    """

    kind: Literal["verify", "artifact", "review", "force", "change"]
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


class Note(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A remark on a task, appended and never replaced."""

    agent: str
    at: str
    text: str


class Task(TaskFacts, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """A piece of work: its facts, its status and its history.

    Defaults that are left out of ``state.json`` are empty, None or small numbers only: msgspec compares
    others by identity, so a text would be left out by one process and written by another. What a factory
    makes is never left out.

    Attributes:
        open_needs: How many of ``needs`` are not done, and of ``needs_failure_of`` did not fail.
        held: Whether a parent, or a parent of it, that is still open is blocked or has open needs.
        waiting: Whether the gate is still closed.
        progress: The progress of its children; None if it has none.
        lease: Seconds that the claim, or its last renewal, lasts.
        machine: The machine on which it was claimed last, if machines share the board.
        attempt: How often it was claimed.
        workers: The agents that claimed it since it was last done, with their former names.
        reviewer: The agent that reviews it, under a separate lease, while it is in review.
        review_lease: Seconds that this lease lasts.
        review_until: When it ends; the review is free for others then.
        waits_for: What it waits for in review; empty: a reviewer. ``merge``: that its branch is merged.
        proposal: The branch that was handed in with its result.
        reason: Why it is blocked, failed or was cancelled, or was completed although a check failed.
        evidence: The last results of the checks, and the words of reviewers.
        events: Ids of the events that changed it; the first one added it.
    """

    type: str = msgspec.field(default_factory=lambda: "task")
    status: TaskStatus = msgspec.field(default_factory=lambda: "pending")
    open_needs: int = 0
    held: bool = False
    waiting: bool = False
    progress: Progress | None = None
    assigned_to: str | None = None
    lease: float | None = None
    lease_until: str = ""
    token: int | None = None
    attempt: int = 0
    workers: tuple[str, ...] = ()
    failures: int = 0
    reviewer: str | None = None
    review_lease: float | None = None
    review_until: str = ""
    waits_for: Literal["", "merge"] = ""
    proposal: Proposal | None = None
    result: str | None = None
    reason: str = ""
    evidence: tuple[Evidence, ...] = ()
    notes: tuple[Note, ...] = ()
    created_at: str = ""
    created_by: str = ""
    updated_at: str = ""
    claimed_at: str | None = None
    machine: str = ""
    ended_at: str | None = None
    events: tuple[int, ...] = ()

    @property
    def is_reached(self) -> bool:
        """Whether no other task blocks it."""
        return not (self.open_needs or self.held or self.waiting)

    @property
    def is_clear(self) -> bool:
        """Whether no other task and no signal blocks it."""
        if self.open_needs or self.held or self.waiting:
            return False
        return not (self.signals and self.awaits_signal)

    @property
    def awaits_signal(self) -> bool:
        """Whether a signal that it waits for was not given yet."""
        return any(not signal.given_at for signal in self.signals)

    @property
    def keeps_children(self) -> bool:
        """Whether it blocks its children: it is open, and blocked or waits for needs or signals."""
        kept = self.held or self.open_needs > 0 or self.status == "blocked" or self.awaits_signal
        return kept and self.status not in ENDED

    @property
    def automation_is_due(self) -> bool:
        """Whether automation changes it now.

        Its timers start, it completes as a milestone, or it is given to its assignee.
        """
        if not self.is_reached or self.status not in ("pending", *HELD):
            return False
        if self.starts_timers:
            return True
        is_assignable = self.assignee != "" and self.status == "pending"
        return (self.completes_itself or is_assignable) and not self.awaits_signal

    @property
    def completes_itself(self) -> bool:
        """Whether it is done as soon as nothing blocks it: a milestone without checks."""
        return self.milestone and self.checks is None

    @property
    def starts_timers(self) -> bool:
        """Whether the times of its signals begin as soon as no other task blocks it."""
        return any(signal.seconds is not None and not signal.until for signal in self.signals)

    @property
    def is_automated(self) -> bool:
        """Whether automation may change this task."""
        return self.milestone or self.assignee != "" or self.signals != ()

    @property
    def free_from(self) -> str | None:
        """From when any agent may take it: clear, not put off, and under no lease; None: not as it is."""
        is_free = self.status == "pending" or self.status in HELD
        if not is_free or not self.is_clear or self.completes_itself:
            return None
        return (
            self.defer_until
            if self.status == "pending"
            else max(self.defer_until, self.lease_until)
        )

    def can_be_taken(self, now: str) -> bool:
        """Whether any agent may take it now."""
        free_from = self.free_from
        return free_from is not None and free_from <= now

    def is_held(self, now: str) -> bool:
        """Whether an agent has it under a live lease."""
        return self.status in HELD and self.lease_until > now

    def is_held_by(self, agent: str, now: str) -> bool:
        """Whether the agent has it, begun or not, under a lease that has not ended."""
        return self.assigned_to == agent and self.is_held(now)

    def is_run_by(self, agent: str, now: str) -> bool:
        """Whether the agent holds it under a lease that has not ended."""
        return self.status == "in_progress" and self.assigned_to == agent and self.lease_until > now

    def is_assigned_to(self, agent: str) -> bool:
        """Whether it waits for this agent to begin it."""
        return self.status == "assigned" and self.assigned_to == agent

    @property
    def awaits_review(self) -> bool:
        """Whether another agent must approve it, and not only the merge is missing."""
        return self.status == "in_review" and not self.waits_for

    @property
    def all_workers(self) -> tuple[str, ...]:
        """The agents that worked on the current result, which another agent must approve."""
        holder, workers = self.assigned_to, self.workers
        return workers if holder is None or holder in workers else (*workers, holder)

    def has_lapsed(self, now: str) -> bool:
        """Whether an agent has it but the lease has ended, so that the next claim may take it."""
        return self.status in HELD and self.lease_until <= now

    def is_reviewed_by(self, agent: str, now: str) -> bool:
        """Whether the agent reviews it under a lease that has not ended."""
        return self.reviewer == agent and self.review_until > now


def rank_of(task: Task) -> Rank:
    """The position of the task among the ready ones of its workstream."""
    return (task.priority, task.events[0], task.id)


class ArchivedTask(
    msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, array_like=True
):
    """The rest of an archived task: for counts, needs and finding its record in the log."""

    workstream: str
    outcome: TaskStatus
    event: int


class TaskSlice(MapSlice[str, Task]):
    """The tasks by id, and data that is derived from them.

    :mod:`orchestrator.domain.tasks.derived` keeps the derived maps up to date.

    Attributes:
        archived: The rests of archived and deleted tasks.
        deleted: The deleted tasks, each with the reason.
        counts: How many tasks of each status a workstream has, archived ones included.
        needed_by: For each task, the tasks that need it.
        failure_needed_by: For each task, the tasks that need its failure.
        children: For each task, its children, archived ones included.
        awaited_by: For each task, the tasks whose gate waits for its children.
        linked_by: For each task, the live tasks with a link to it that never blocks.
        signals: For each signal that was not given yet, the tasks that wait for it.
        prefixes: The prefixes that ids of tasks have or had.
        unknown_facts: For each task, the facts that a newer version gave it and this one does not know.
    """

    MAIN = "tasks"
    tasks: dict[str, Task] = {}
    archived: dict[str, ArchivedTask] = {}
    deleted: dict[str, str] = {}
    counts: dict[str, dict[str, int]] = {}
    needed_by: dict[str, list[str]] = {}
    failure_needed_by: dict[str, list[str]] = {}
    children: dict[str, list[str]] = {}
    awaited_by: dict[str, list[str]] = {}
    linked_by: dict[str, list[str]] = {}
    signals: dict[str, list[str]] = {}
    prefixes: dict[str, None] = {}
    unknown_facts: dict[str, dict[str, Any]] = {}

    def carry(self, type_name: str, event: Any, unknown: dict[str, Any]) -> None:
        """Keep the facts of a task in an event that this version does not know."""
        if type_name in ("task.added", "task.edited", "task.reimported"):
            self.unknown_facts[event.task] = self.unknown_facts.get(event.task, {}) | unknown
        elif type_name == "task.imported":
            self.unknown_facts[event.record.id] = unknown.get("record", {})

    def open(self) -> Iterator[Task]:
        """The tasks that have not ended, in the order in which they were added; ended ones cost nothing."""
        return (task for task in current(self.tasks) if task.status not in ENDED)

    def is_done(self, task_id: str) -> bool:
        """Whether a task, archived or not, is done."""
        return self.status_of(task_id) == "done"

    def has_failed(self, task_id: str) -> bool:
        """Whether a task, archived or not, failed; a cancelled one was not tried."""
        return self.status_of(task_id) == "failed"

    def status_of(self, task_id: str) -> TaskStatus:
        """The status of a task; of an archived one, how it ended."""
        task = self.tasks.get(task_id)
        return task.status if task is not None else self.archived[task_id].outcome

    def workstream_of(self, task_id: str) -> str:
        """The workstream of a task, archived or not."""
        return (self.tasks.get(task_id) or self.archived[task_id]).workstream

    def is_open(self, task_id: str) -> bool:
        """Whether a task has not ended; an archived one has."""
        task = self.tasks.get(task_id)
        return task is not None and task.status not in ENDED
