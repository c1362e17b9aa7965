"""What came of a cycle: finished, failed, still running, added, learned, and by whom."""

from collections.abc import Iterator
from typing import Any

import msgspec

from orchestrator.core import clock
from orchestrator.core.clock import spoken
from orchestrator.core.errors import UsageError
from orchestrator.core.events import Recorded, decode
from orchestrator.core.printable import escape
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
from orchestrator.planning.quoting import quote, quote_line, writer

_STAYS = (
    *("task.renewed", "task.noted", "task.edited", "task.hung"),
    *("task.checked", "task.approved", "task.trusted", "task.distrusted"),
)
"""Events that leave a task's status as it is."""

_WORKED = (*_STAYS, "task.submitted")
"""Events that leave it open which claim an ending ended: a review comes between."""


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """A task that was done, and is so still at the end of the cycle. ``seconds``: since its last claim."""

    workstream: str
    task_id: str
    title: str
    result: str | None
    agent: str
    at: str
    seconds: float | None


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A task that failed, and was not tried again within the cycle."""

    workstream: str
    task_id: str
    title: str
    reason: str
    agent: str
    at: str
    seconds: float | None


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A task in progress at the end of the cycle, and how long it has been."""

    workstream: str
    task_id: str
    title: str
    assigned_to: str
    since: str
    age_seconds: float


class Added(msgspec.Struct, frozen=True, kw_only=True):
    """A task that was added or imported."""

    workstream: str
    task_id: str
    title: str
    agent: str
    at: str


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """The last change of a knowledge topic: written, edited (by hand) or deleted."""

    topic: str
    change: str
    agent: str
    at: str


class Share(msgspec.Struct, kw_only=True):
    """What one agent did. ``seconds`` is spent on what it finished and failed."""

    agent: str
    completed: int = 0
    failed: int = 0
    running: int = 0
    added: int = 0
    knowledge: int = 0
    seconds: float = 0.0


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """The report of a cycle, each list oldest first.

    Attributes:
        cycle: Its number; None if it is no cycle but the time since some moment.
        started_at: When it began; None for the beginning of the log.
        ended_at: When the next cycle began; None if it goes on.
        knowledge_updates: The topics that changed, by name, as the original has it; ``knowledge`` says how.
    """

    collected_at: str
    cycle: int | None
    started_at: str | None
    ended_at: str | None
    completed_this_cycle: list[Finished]
    failed: list[Failed]
    still_in_progress: list[Running]
    added: list[Added]
    knowledge_updates: list[str]
    knowledge: list[Learned]
    agents: list[Share]

    def markdown(self) -> str:
        """The report for people; what others wrote stands in quotes."""
        return _markdown(self)


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
    state, now = desk.read(), desk.now()
    span = _since(since, now) if since is not None else _of_cycle(state, cycle)
    return _Reading(desk, state, now, span).report()


def _of_cycle(state: State, number: int | None) -> Span:
    if number is None and state.cycles.cycle is None:
        return Span()  # nothing was planned yet: report from the beginning
    current = state.cycles.cycle.number if state.cycles.cycle else 0
    wanted = current if number is None else number
    after = start_of(state, wanted)
    before = None if wanted == current else start_of(state, wanted + 1)
    return Span(wanted, after=after, before=before)


def _since(moment: str | int, now: str) -> Span:
    begin = beginning(moment, now)
    return Span(after=begin) if isinstance(begin, int) else Span(since=begin)


class _Reading:
    """One pass over the events of a span, newest first, as far back as it begins and no further."""

    def __init__(self, desk: Desk[State], state: State, now: str, span: Span) -> None:
        self._desk = desk
        self._state = state
        self._now = now
        self._span = span
        self._completed: list[tuple[Recorded, TaskCompleted]] = []
        self._failed: list[tuple[Recorded, TaskFailed]] = []
        self._added: list[Added] = []
        self._learned: dict[str, Learned] = {}
        self._archived: dict[str, Task] = {}
        self._settled: set[str] = set()
        self._claims: dict[str, list[Recorded]] = {}
        self._shares: dict[str, Share] = {}

    def report(self) -> Collected:
        for at in self._events():
            self._note(at)
        started_at, ended_at = self._limits()
        finished = [self._finished(at, event) for at, event in reversed(self._completed)]
        failed = [self._failure(at, event) for at, event in reversed(self._failed)]
        running = [self._running(task, claim, ended_at) for task, claim in self._in_progress()]
        self._count(finished, failed, running)
        return Collected(
            collected_at=self._now,
            cycle=self._span.cycle,
            started_at=started_at,
            ended_at=ended_at,
            completed_this_cycle=finished,
            failed=failed,
            still_in_progress=sorted(running, key=lambda r: (r.since, r.task_id)),
            added=self._added[::-1],
            knowledge_updates=sorted(self._learned),
            knowledge=list(self._learned.values())[::-1],
            agents=[self._shares[agent] for agent in sorted(self._shares)],
        )

    def _limits(self) -> tuple[str | None, str | None]:
        span, event = self._span, self._desk.event
        started = event(span.after).ts if 0 < span.after <= self._state.event else span.since
        return started or None, event(span.before).ts if span.before else None

    def _events(self) -> Iterator[Recorded]:
        span = self._span
        for at in self._desk.read_backwards():
            if at.id <= span.after or at.ts < span.since:
                return
            if at.id > self._state.event:
                continue  # committed since the state was read
            if span.before is None or at.id < span.before:
                yield at
            elif at.type == "task.archived":
                self._archive(decode(at))

    # What happened

    def _note(self, at: Recorded) -> None:
        noun = at.type.partition(".")[0]
        if noun not in ("task", "knowledge") or at.type in _STAYS:
            return
        event = decode(at)
        if isinstance(event, (KnowledgeWritten, KnowledgeEdited, KnowledgeDeleted)):
            self._learn(at, event.topic)
        elif isinstance(event, (TaskAdded, TaskImported)):
            self._add(at, event)
        elif isinstance(event, TaskArchived):
            self._archive(event)
        elif isinstance(event, TaskClaimed):
            self._claims.setdefault(event.task, []).append(at)
            self._settled.add(event.task)
        else:
            self._settle(at, event)

    def _settle(self, at: Recorded, event: Any) -> None:
        """A step of a task counts if no later one of the cycle took it back."""
        if event.task not in self._settled:
            self._settled.add(event.task)
            if isinstance(event, TaskCompleted):
                self._completed.append((at, event))
            elif isinstance(event, TaskFailed):
                self._failed.append((at, event))

    def _archive(self, event: Any) -> None:
        self._archived[event.record.id] = event.record

    def _add(self, at: Recorded, event: TaskAdded | TaskImported) -> None:
        task_id = event.task if isinstance(event, TaskAdded) else event.record.id
        about = event if isinstance(event, TaskAdded) else event.record
        self._added.append(
            Added(
                workstream=about.workstream,
                task_id=task_id,
                title=about.title,
                agent=at.agent,
                at=at.ts,
            )
        )
        self._share(at.agent).added += 1

    def _learn(self, at: Recorded, topic: str) -> None:
        change = at.type.partition(".")[2]
        self._learned.setdefault(
            topic, Learned(topic=topic, change=change, agent=at.agent, at=at.ts)
        )
        self._share(at.agent).knowledge += 1

    # What it means

    def _task(self, task_id: str) -> Task:
        known = self._state.tasks.get(task_id) or self._archived.get(task_id)
        return known or Tasks(self._desk).get(task_id)

    def _finished(self, at: Recorded, event: TaskCompleted) -> Finished:
        task = self._task(event.task)
        return Finished(
            workstream=task.workstream,
            task_id=task.id,
            title=task.title,
            result=event.result,
            agent=event.worker or at.agent,
            at=at.ts,
            seconds=self._seconds(task, at),
        )

    def _failure(self, at: Recorded, event: TaskFailed) -> Failed:
        task = self._task(event.task)
        return Failed(
            workstream=task.workstream,
            task_id=task.id,
            title=task.title,
            reason=event.reason,
            agent=at.agent,
            at=at.ts,
            seconds=self._seconds(task, at),
        )

    def _seconds(self, task: Task, end: Recorded) -> float | None:
        """How long the claim lasted that this event ended."""
        claims = (at for at in self._claims.get(task.id, ()) if at.id < end.id)
        claim = next(claims, None) or self._claim_before(task, end.id, _WORKED)
        return _between(claim.ts, end.ts) if claim else None

    def _claim_before(
        self, task: Task, number: int, passed: tuple[str, ...] = _STAYS
    ) -> Recorded | None:
        """The claim under which a task ran when an event happened; None if it did not run."""
        for earlier in reversed(task.events):
            if earlier < number:
                at = self._desk.event(earlier)
                if at.type not in passed:
                    return at if at.type == "task.claimed" else None
        return None

    def _in_progress(self) -> Iterator[tuple[Task, str]]:
        """The tasks that ran at the end of the span, and when they were claimed."""
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
                yield msgspec.structs.replace(task, assigned_to=claim.agent), claim.ts

    def _running(self, task: Task, since: str, ended_at: str | None) -> Running:
        return Running(
            workstream=task.workstream,
            task_id=task.id,
            title=task.title,
            assigned_to=task.assigned_to or SYSTEM,
            since=since,
            age_seconds=_between(since, ended_at or self._now),
        )

    def _count(
        self, finished: list[Finished], failed: list[Failed], running: list[Running]
    ) -> None:
        for done in finished:
            self._share(done.agent).completed += 1
            self._share(done.agent).seconds += done.seconds or 0.0
        for lost in failed:
            self._share(lost.agent).failed += 1
            self._share(lost.agent).seconds += lost.seconds or 0.0
        for task in running:
            self._share(task.assigned_to).running += 1

    def _share(self, agent: str) -> Share:
        return self._shares.setdefault(agent, Share(agent=agent))


def _between(start: str, end: str) -> float:
    return round(max(0.0, clock.seconds(end) - clock.seconds(start)), 3)


# For people


def _markdown(report: Collected) -> str:
    parts = [_heading(report)]
    parts += _listing("Finished", [_finished_text(task) for task in report.completed_this_cycle])
    parts += _listing("Failed", [_failed_text(task) for task in report.failed])
    parts += _listing("Still running", [_running_text(task) for task in report.still_in_progress])
    parts += _listing("Added", [_added_text(task) for task in report.added])
    parts += _listing("Knowledge", [_learned_text(topic) for topic in report.knowledge])
    parts += _agents_table(report.agents)
    return "\n\n".join(parts) + "\n"


def _heading(report: Collected) -> str:
    name = f"Cycle {report.cycle}" if report.cycle is not None else "Collected"
    start = report.started_at or "the beginning"
    return f"# {name}\n\nFrom {start} to {report.ended_at or report.collected_at}."


def _listing(title: str, entries: list[str]) -> list[str]:
    return [f"## {title} ({len(entries)})", *entries] if entries else []


def _finished_text(task: Finished) -> str:
    label = f"{task.workstream}/{task.task_id}, done by {writer(task.agent)}{_took(task.seconds)}:"
    lines = [quote_line(task.title)]
    if task.result:
        lines += [">", quote(task.result)]
    return "\n".join([label, "", *lines])


def _failed_text(task: Failed) -> str:
    place = f"{task.workstream}/{task.task_id}"
    label = f"{place}, given up by {writer(task.agent)}{_took(task.seconds)}:"
    lines = [quote_line(task.title)]
    if task.reason:
        lines += [">", quote(task.reason)]
    return "\n".join([label, "", *lines])


def _running_text(task: Running) -> str:
    age = spoken(task.age_seconds)
    label = f"{task.workstream}/{task.task_id}, with {writer(task.assigned_to)} for {age}:"
    return f"{label}\n\n{quote_line(task.title)}"


def _added_text(task: Added) -> str:
    label = f"{task.workstream}/{task.task_id}, added by {writer(task.agent)}:"
    return f"{label}\n\n{quote_line(task.title)}"


def _learned_text(topic: Learned) -> str:
    return f"- `{escape(topic.topic)}` {topic.change} by {writer(topic.agent)}"


def _agents_table(agents: list[Share]) -> list[str]:
    if not agents:
        return []
    rows = [
        "| agent | done | failed | running | added | knowledge | time |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    rows += [
        f"| {writer(a.agent)} | {a.completed} | {a.failed} | {a.running} | {a.added}"
        f" | {a.knowledge} | {spoken(a.seconds)} |"
        for a in agents
    ]
    return ["## Agents", "\n".join(rows)]


def _took(seconds: float | None) -> str:
    return f" in {spoken(seconds)}" if seconds is not None else ""
