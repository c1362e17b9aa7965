"""Collect the results of a cycle from the log: what each agent finished, failed, added and learned."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from orchestrator.core import clock
from orchestrator.core.errors import UsageError
from orchestrator.core.events import Recorded, decode, types
from orchestrator.core.transaction import SYSTEM, Desk
from orchestrator.domain.cycles.events import start_of
from orchestrator.domain.event_log import beginning
from orchestrator.domain.knowledge.events import KnowledgeDeleted, VersionEvent
from orchestrator.domain.state import State
from orchestrator.domain.tasks import events
from orchestrator.domain.tasks.commands import Tasks
from orchestrator.domain.tasks.facts import TaskFacts
from orchestrator.domain.tasks.records import Task
from orchestrator.planning import cycle_report
from orchestrator.planning.cycle_report import Collected

_TRANSITIONS = {
    name
    for name, event in types().items()
    if issubclass(event, events.TaskEvent) and event.STATUS is not None
}
"""Types of events that change the status of a task."""

_ENDINGS_OF_CLAIMS = _TRANSITIONS - {"task.submitted"}
"""These types without a review, which may come between a claim and the end of the work."""

_REPORTED = _TRANSITIONS | {
    cls.TYPE for cls in (events.TaskAdded, events.TaskImported, events.TaskArchived)
}

Ending = events.TaskCompleted | events.TaskFailed


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
        cycle: The number of a cycle: from its plan to the next.
        since: The id of an event, a time, or a duration before now (``2h``).

    Raises:
        NotFound: There was no such cycle.
        UsageError: Both are given, or ``since`` is neither.
    """
    if cycle is not None and since is not None:
        raise UsageError("A cycle and a moment were given; give only one of them")
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
    """A single pass over the events of a span, newest first, back to its beginning."""

    def __init__(self, desk: Desk[State], span: Span) -> None:
        self._desk, self._span = desk, span
        self._state, self._now = desk.read(), desk.now()
        self._ended: list[tuple[Recorded, Ending]] = []
        self._added: list[cycle_report.Added] = []
        self._learned: dict[str, cycle_report.Learned] = {}
        self._archived: dict[str, Task] = {}
        self._settled: set[str] = set()
        self._claims: dict[str, list[Recorded]] = {}
        self._shares = cycle_report.Shares()

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
            agents=self._shares.in_order(),
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
        """Note an event; only the last transition of a task in the span counts."""
        if record.type not in _REPORTED and not record.type.startswith("knowledge."):
            return
        event = decode(record)
        by = {"agent": record.agent, "at": record.ts}
        if isinstance(event, (VersionEvent, KnowledgeDeleted)):
            change = record.type.partition(".")[2]
            learned = cycle_report.Learned(topic=event.topic, change=change, **by)
            self._learned.setdefault(event.topic, learned)
            self._shares[record.agent].knowledge += 1
        elif isinstance(event, (events.TaskAdded, events.TaskImported)):
            task = event if isinstance(event, events.TaskAdded) else event.record
            self._added.append(cycle_report.Added(**_named(task), **by))
            self._shares[record.agent].added += 1
        elif isinstance(event, events.TaskArchived):
            self._archived[event.record.id] = event.record
        elif isinstance(event, events.TaskEvent):
            if isinstance(event, events.TaskClaimed):
                self._claims.setdefault(event.task, []).append(record)
            elif isinstance(event, Ending) and event.task not in self._settled:
                self._ended.append((record, event))
            self._settled.add(event.task)

    def _endings(self) -> tuple[list[cycle_report.Finished], list[cycle_report.Failed]]:
        finished: list[cycle_report.Finished] = []
        failed: list[cycle_report.Failed] = []
        for record, event in reversed(self._ended):
            known = self._state.tasks.get(event.task) or self._archived.get(event.task)
            task = known or Tasks(self._desk).get(event.task)
            agent = getattr(event, "worker", "") or record.agent
            seconds = self._seconds(task, record)
            facts = _named(task) | {"agent": agent, "at": record.ts, "seconds": seconds}
            if isinstance(event, events.TaskCompleted):
                finished.append(cycle_report.Finished(**facts, result=event.result))
            else:
                failed.append(cycle_report.Failed(**facts, reason=event.reason))
            is_done = isinstance(event, events.TaskCompleted)
            self._shares.note_ending(agent, seconds, is_done=is_done)
        return finished, failed

    def _seconds(self, task: Task, end: Recorded) -> float | None:
        """Return the length of the claim that this event ended."""
        claims = (claim for claim in self._claims.get(task.id, ()) if claim.id < end.id)
        claim = next(claims, None) or self._claim_before(task, end.id, _ENDINGS_OF_CLAIMS)
        return max(0.0, clock.between(claim.ts, end.ts)) if claim else None

    def _claim_before(
        self, task: Task, number: int, transitions: set[str] = _TRANSITIONS
    ) -> Recorded | None:
        """Return the claim under which a task ran at an event; None if it did not run."""
        earlier = (self._desk.event(event) for event in reversed(task.events) if event < number)
        last = next((record for record in earlier if record.type in transitions), None)
        return last if last is not None and last.type == "task.claimed" else None

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

    def _running(self, task: Task, since: str, until: str) -> cycle_report.Running:
        agent = task.assigned_to or SYSTEM
        self._shares[agent].running += 1
        age = max(0.0, clock.between(since, until))
        facts = _named(task)
        return cycle_report.Running(**facts, assigned_to=agent, since=since, age_seconds=age)


def _named(task: TaskFacts) -> dict[str, Any]:
    return {"workstream": task.workstream, "task_id": task.id, "title": task.title}
