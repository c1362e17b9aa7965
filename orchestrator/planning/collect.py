"""Collect: read from the log what was finished, failed, added and learned in a cycle, and by whom."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from orchestrator.core import clock
from orchestrator.core.errors import UsageError
from orchestrator.core.events import Event, Recorded, decode
from orchestrator.core.transaction import SYSTEM, Desk
from orchestrator.domain.cycles.events import start_of
from orchestrator.domain.event_log import beginning
from orchestrator.domain.knowledge.events import (
    KnowledgeDeleted,
    KnowledgeEdited,
    KnowledgeWritten,
)
from orchestrator.domain.state import State
from orchestrator.domain.tasks.commands import Tasks
from orchestrator.domain.tasks.events import (
    TaskAdded,
    TaskArchived,
    TaskClaimed,
    TaskCompleted,
    TaskFailed,
    TaskImported,
)
from orchestrator.domain.tasks.records import Task
from orchestrator.planning.cycle_report import (
    Added,
    Collected,
    Failed,
    Finished,
    Learned,
    Running,
    Share,
)

_STATUS_KEPT = (
    *("task.renewed", "task.noted", "task.edited", "task.hung"),
    *("task.checked", "task.approved", "task.trusted", "task.distrusted"),
)
"""Events that leave a task's status as it is."""

_CLAIM_KEPT = (*_STATUS_KEPT, "task.submitted")
"""Events between a claim and the end of the work: a review may come between."""


class Span(msgspec.Struct, frozen=True):
    """The part of the log that is reported: events after ``after`` or ``since``, before ``before``."""

    cycle: int | None = None
    after: int = 0
    since: str = ""
    before: int | None = None


def collect(
    desk: Desk[State], *, cycle: int | None = None, since: str | int | None = None
) -> Collected:
    """Report the present cycle, an earlier one, or everything since a moment.

    Args:
        desk: The board.
        cycle: The number of a cycle: from its plan to the next.
        since: After this event id, from this time on, or from so long ago (``2h``).

    Raises:
        NotFound: There was no such cycle.
        UsageError: Both are given, or ``since`` is neither.
    """
    if cycle is not None and since is not None:
        raise UsageError("A cycle and a moment were given; one of them says what to collect")
    if since is None:
        return _Collector(desk, _cycle_span(desk.read(), cycle)).report()
    begin = beginning(since, desk.now())
    span = Span(after=begin) if isinstance(begin, int) else Span(since=begin)
    return _Collector(desk, span).report()


def _cycle_span(state: State, number: int | None) -> Span:
    cycle = state.cycles.cycle
    if number is None and cycle is None:
        return Span()  # nothing was planned yet: report from the beginning
    current = cycle.number if cycle else 0
    wanted = current if number is None else number
    after = start_of(state, wanted)
    before = None if wanted == current else start_of(state, wanted + 1)
    return Span(wanted, after=after, before=before)


class _Collector:
    """One pass over the events of a span, newest first, as far back as it begins and no further."""

    def __init__(self, desk: Desk[State], span: Span) -> None:
        self._desk = desk
        self._state = desk.read()
        self._now = desk.now()
        self._span = span
        self._ended: list[tuple[Recorded, TaskCompleted | TaskFailed]] = []
        self._added: list[Added] = []
        self._learned: dict[str, Learned] = {}
        self._archived: dict[str, Task] = {}
        self._settled: set[str] = set()
        self._claims: dict[str, list[Recorded]] = {}
        self._shares: dict[str, Share] = {}

    def report(self) -> Collected:
        """Read the span and return its report."""
        for record in self._records():
            self._note(record)
        span, event = self._span, self._desk.event
        started = event(span.after).ts if 0 < span.after <= self._state.event else span.since
        ended_at = event(span.before).ts if span.before else None
        finished, failed = self._endings()
        running = [self._running(*entry, ended_at or self._now) for entry in self._in_progress()]
        return Collected(
            collected_at=self._now,
            cycle=span.cycle,
            started_at=started or None,
            ended_at=ended_at,
            completed_this_cycle=finished,
            failed=failed,
            still_in_progress=sorted(running, key=lambda r: (r.since, r.task_id)),
            added=self._added[::-1],
            knowledge_updates=sorted(self._learned),
            knowledge=list(self._learned.values())[::-1],
            agents=[self._shares[agent] for agent in sorted(self._shares)],
        )

    def _records(self) -> Iterator[Recorded]:
        span = self._span
        for record in self._desk.read_backwards():
            if record.id <= span.after or record.ts < span.since:
                return
            if record.id > self._state.event:
                continue  # committed since the state was read
            if span.before is None or record.id < span.before:
                yield record
            elif record.type == "task.archived":
                self._note(record)

    def _note(self, record: Recorded) -> None:
        """Note one event; of the transitions of a task only the last one of the span counts."""
        if not record.type.startswith(("task.", "knowledge.")) or record.type in _STATUS_KEPT:
            return
        event = decode(record)
        if isinstance(event, (KnowledgeWritten, KnowledgeEdited, KnowledgeDeleted)):
            change = record.type.partition(".")[2]
            learned = Learned(topic=event.topic, change=change, agent=record.agent, at=record.ts)
            self._learned.setdefault(event.topic, learned)
            self._share(record.agent).knowledge += 1
        elif isinstance(event, TaskAdded):
            self._note_added(record, event.task, event)
        elif isinstance(event, TaskImported):
            self._note_added(record, event.record.id, event.record)
        elif isinstance(event, TaskArchived):
            self._archived[event.record.id] = event.record
        elif isinstance(event, TaskClaimed):
            self._claims.setdefault(event.task, []).append(record)
            self._settled.add(event.task)
        else:
            self._settle(record, event)

    def _note_added(self, record: Recorded, task_id: str, task: TaskAdded | Task) -> None:
        self._added.append(
            Added(
                workstream=task.workstream,
                task_id=task_id,
                title=task.title,
                agent=record.agent,
                at=record.ts,
            )
        )
        self._share(record.agent).added += 1

    def _settle(self, record: Recorded, event: Event | None) -> None:
        task_id = getattr(event, "task", "")
        if task_id not in self._settled:
            self._settled.add(task_id)
            if isinstance(event, (TaskCompleted, TaskFailed)):
                self._ended.append((record, event))

    def _endings(self) -> tuple[list[Finished], list[Failed]]:
        finished: list[Finished] = []
        failed: list[Failed] = []
        for record, event in reversed(self._ended):
            known = self._state.tasks.get(event.task) or self._archived.get(event.task)
            task = known or Tasks(self._desk).get(event.task)
            worker = event.worker if isinstance(event, TaskCompleted) else None
            agent = worker or record.agent
            seconds = self._seconds(task, record)
            facts: dict[str, Any] = {
                "workstream": task.workstream,
                "task_id": task.id,
                "title": task.title,
                "agent": agent,
                "at": record.ts,
                "seconds": seconds,
            }
            share = self._share(agent)
            share.seconds += seconds or 0.0
            if isinstance(event, TaskCompleted):
                finished.append(Finished(**facts, result=event.result))
                share.completed += 1
            else:
                failed.append(Failed(**facts, reason=event.reason))
                share.failed += 1
        return finished, failed

    def _seconds(self, task: Task, end: Recorded) -> float | None:
        """Return how long the claim lasted that this event ended."""
        claims = (claim for claim in self._claims.get(task.id, ()) if claim.id < end.id)
        claim = next(claims, None) or self._claim_before(task, end.id, _CLAIM_KEPT)
        return _between(claim.ts, end.ts) if claim else None

    def _claim_before(
        self, task: Task, number: int, passed: tuple[str, ...] = _STATUS_KEPT
    ) -> Recorded | None:
        """Return the claim under which a task ran at an event; None if it did not run."""
        for earlier in reversed(task.events):
            if earlier < number:
                record = self._desk.event(earlier)
                if record.type not in passed:
                    return record if record.type == "task.claimed" else None
        return None

    def _in_progress(self) -> Iterator[tuple[Task, str]]:
        """Yield the tasks that ran at the end of the span, and when they were claimed."""
        before = self._span.before
        if before is None:
            for task in self._state.schedule.running():
                yield task, task.claimed_at or task.updated_at
            return
        for task in (*self._state.tasks.values(), *self._archived.values()):
            if task.events[-1] < before:
                if task.status == "in_progress":
                    yield task, task.claimed_at or task.updated_at
            elif task.events[0] < before and (claim := self._claim_before(task, before)):
                yield replace(task, assigned_to=claim.agent), claim.ts

    def _running(self, task: Task, since: str, until: str) -> Running:
        agent = task.assigned_to or SYSTEM
        self._share(agent).running += 1
        return Running(
            workstream=task.workstream,
            task_id=task.id,
            title=task.title,
            assigned_to=agent,
            since=since,
            age_seconds=_between(since, until),
        )

    def _share(self, agent: str) -> Share:
        return self._shares.setdefault(agent, Share(agent=agent))


def _between(start: str, end: str) -> float:
    return round(max(0.0, clock.seconds(end) - clock.seconds(start)), 3)
