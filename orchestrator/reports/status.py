"""The status of a board: workstreams with counts, agents, locks, recent events, topics."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import msgspec

from orchestrator.core import clock
from orchestrator.core.errors import ArchiveMissing, OrchestratorError
from orchestrator.core.events import Recorded
from orchestrator.core.printable import amount, escape, few, first_of
from orchestrator.domain.agents.commands import Agents, AgentView
from orchestrator.domain.event_log import EventObject, as_dict
from orchestrator.domain.knowledge.commands import Knowledge
from orchestrator.domain.locks.commands import in_use
from orchestrator.domain.locks.records import Lock
from orchestrator.domain.merges.records import Submission
from orchestrator.domain.permissions.commands import PermissionView, shown_input, view_of
from orchestrator.domain.state import State
from orchestrator.domain.subscriptions.records import DeadLetter
from orchestrator.domain.tasks.records import STATUSES, Task
from orchestrator.domain.workstreams.records import Workstream
from orchestrator.engine import Engine
from orchestrator.reports.sentences import Sentences

RECENT = 10
"""How many events a status shows."""

_INPUT = 100
"""Characters of the input of a tool in a line."""

_LATE = 3
"""How many late goals are named."""


class StreamStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A workstream with the number of its tasks by status."""

    name: str
    description: str
    priority: int
    status: str
    counts: dict[str, int]

    def line(self) -> str:
        """Return ``[P1] name - description (2 pending, 1 done)``."""
        counts = ", ".join(f"{n} {status}" for status, n in self.counts.items()) or "no tasks"
        closed = " [closed]" if self.status == "closed" else ""
        about = f" - {self.description}" if self.description else ""
        return escape(f"[P{self.priority}] {self.name}{about}{closed} ({counts})")


class ReviewStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A task in review: its worker, and its reviewer with the end of the review; "" if there is none."""

    task: str
    title: str
    worker: str | None
    reviewer: str | None
    until: str | None


class LateGoal(msgspec.Struct, frozen=True, kw_only=True):
    """An open goal whose date has passed."""

    name: str
    due: str


class RecentEvent(EventObject):
    """An event for programs, with its sentence."""

    text: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The status of a board right after an event."""

    event: int
    at: str
    workstreams: list[StreamStatus]
    reviews: list[ReviewStatus]
    agents: list[AgentView]
    locks: list[Lock]
    merges: list[Submission]
    late_goals: list[LateGoal]
    events: list[RecentEvent]
    topics: list[str]
    dead_letters: list[DeadLetter]
    permissions: list[PermissionView]

    def text(
        self,
        shown_time: Callable[[str, str], str] = clock.local_time,
        fitted: Callable[[str], str] = str,
    ) -> str:
        """Return the status for people; everything that agents wrote is escaped.

        Args:
            shown_time: How a time is shown, at the time of the status: two timestamps.
            fitted: Makes a line fit where it is shown.
        """

        def shown(moment: str) -> str:
            return shown_time(moment, self.at)

        late = [f"{goal.name} (due {shown(goal.due)})" for goal in self.late_goals]
        parts = {
            "Workstreams": [stream.line() for stream in self.workstreams],
            "In review": few(self.reviews, RECENT, partial(_review_line, shown)),
            "To be merged": few(self.merges, RECENT, partial(_merge_line, shown, self.at)),
            "Late goals": [escape(first_of(late, _LATE))] if late else [],
            "Agents": [_agent_line(agent) for agent in self.agents],
            "Locks": [_lock_line(shown, lock) for lock in self.locks],
            "Permissions asked": few(self.permissions, RECENT, partial(_asked_line, shown)),
            "Dead letters": few(self.dead_letters, RECENT, partial(_letter_line, shown)),
            "Recent events": [
                escape(f"{shown(event['ts'])} {event['agent']} {event['text']}")
                for event in self.events
            ],
        }
        sections = [
            _section(title, lines, fitted)
            for title, lines in parts.items()
            if lines or title in _ALWAYS_SHOWN
        ]
        sections.append(
            _section("Knowledge", [", ".join(map(escape, self.topics))] if self.topics else [])
        )
        return "\n".join(
            [f"Board at event {self.event}, {clock.local_time(self.at)}", "", *sections]
        )


_ALWAYS_SHOWN = ("Workstreams", "Agents", "Locks", "Recent events")
"""The sections that are shown when they are empty, too."""

ShownTime = Callable[[str], str]
"""How a timestamp is shown."""


def _lock_line(shown: ShownTime, lock: Lock) -> str:
    """Return ``git: ann (shared) until 06:43, ben for task 299833bc until 06:50``."""
    holders = (
        f"{holder.agent}{' (shared)' if holder.shared else ''}"
        f"{f' for task {holder.task}' if holder.task else ''} until {shown(holder.until)}"
        for holder in lock.holders
    )
    return escape(f"{lock.resource}: {', '.join(holders)}")


def _review_line(shown: ShownTime, review: ReviewStatus) -> str:
    by = "waits for a reviewer"
    if review.reviewer is not None and review.until is not None:
        by = f"{review.reviewer} reviews it until {shown(review.until)}"
    worker = f" of {review.worker}" if review.worker else ""
    return escape(f"{review.task} {review.title}{worker}: {by}")


def _merge_line(shown: ShownTime, now: str, submission: Submission) -> str:
    by = f"waits since {shown(submission.submitted_at)}"
    if submission.is_being_merged(now):
        by = f"{submission.runner} merges it until {shown(submission.until)}"
    names = f"{submission.branch} into {submission.target} of {submission.author}"
    return escape(f"{submission.number} {names}: {by}")


def _letter_line(shown: ShownTime, letter: DeadLetter) -> str:
    return escape(
        f"{letter.number}: {letter.subscriber} gave up {letter.work}"
        f" {shown(letter.since)}: {letter.reason}"
    )


def _asked_line(shown: ShownTime, request: PermissionView) -> str:
    asks = f"{request.id}: {request.agent} asks to use {request.tool}"
    until = f"until {shown(request.until)}"
    return f"{escape(asks)} {until}: {shown_input(request.tool_input, _INPUT)}"


def _section(title: str, lines: list[str], fitted: Callable[[str], str] = str) -> str:
    return "\n".join([title, *(fitted(f"  {line}") for line in lines or ["(none)"]), ""])


def _agent_line(agent: AgentView) -> str:
    notes = {
        amount(len(agent.tasks), "task"): agent.tasks,
        amount(len(agent.reviews), "review"): agent.reviews,
        "waiting": agent.presence == "waiting",
        f"{agent.unread} unread": agent.unread,
        "STALE": agent.stale,
    }
    shown = [note for note, is_so in notes.items() if is_so]
    marks = ["retired"] if agent.status == "retired" else shown
    return escape(f"{agent.id} ({agent.type})" + "".join(f" [{mark}]" for mark in marks))


def status(engine: Engine, at: int | None = None) -> Status:
    """Return the status of the board, now or right after an event.

    For a past event, leases are judged by its time; the last activity of agents is
    known only for the present.

    Raises:
        NotFound: There is no such event.
    """
    if at is None:
        state, now = engine.read(), engine.now()
        agents = Agents.present(state, now, engine.presence)
    else:
        state, now = engine.state_at(at), engine.event(at).ts
        agents = Agents.views(state, now, {})
    streams = sorted(state.workstreams.values(), key=lambda s: (s.priority, s.name))
    first = max(1, state.event - RECENT + 1)
    recent = _recent(engine, first, state.event)
    sentences = Sentences(engine, lambda moment: clock.local_time(moment, now))
    return Status(
        event=state.event,
        at=now,
        workstreams=[_stream(stream, state) for stream in streams],
        reviews=[_review(task, now) for task in state.schedule.reviews.all()],
        agents=agents,
        locks=[lock for lock in in_use(state, now) if lock.holders],
        merges=state.merges.open(),
        late_goals=[LateGoal(name=g.name, due=g.due) for g in state.goals.late(now)],
        events=[{**as_dict(record), "text": sentences.of(record)} for record in recent],
        topics=_topics(engine, state if at is not None else None),
        dead_letters=[letter for _, letter in sorted(state.subscriptions.dead_letters.items())][
            ::-1
        ],
        permissions=[view_of(engine, request) for request in state.permissions.pending(now)],
    )


def _recent(engine: Engine, first: int, last: int) -> list[Recorded]:
    """The latest events. If an archived part of the log is missing, a warning replaces its events."""
    try:
        return [engine.event(number) for number in range(first, last + 1)]
    except ArchiveMissing as error:
        engine.warn(f"Some of the latest events are not shown: {error.message}.")
        away = error.details["last"]
        assert isinstance(away, int)
        return _recent(engine, away + 1, last)


def _review(task: Task, now: str) -> ReviewStatus:
    is_held = task.review_until > now
    return ReviewStatus(
        task=task.id,
        title=task.title,
        worker=task.assigned_to,
        reviewer=task.reviewer if is_held else None,
        until=task.review_until if is_held else None,
    )


def _topics(engine: Engine, past: State | None) -> list[str]:
    """The topics, those of hand-made files too; for a past event only recorded ones."""
    if past is None:
        with suppress(OrchestratorError):
            return [topic.name for topic in Knowledge(engine).all()]
        past = engine.read()
    return sorted(name for name, topic in past.knowledge.items() if not topic.deleted)


def _stream(stream: Workstream, state: State) -> StreamStatus:
    counts = state.tasks.counts[stream.name]
    return StreamStatus(
        name=stream.name,
        description=stream.description,
        priority=stream.priority,
        status=stream.status,
        counts={status: counts[status] for status in STATUSES if counts.get(status)},
    )
