"""The status of a board: workstreams with counts, agents, locks, recent events, topics."""

from collections.abc import Callable
from contextlib import suppress

import msgspec

from orchestrator.core import clock
from orchestrator.core.errors import OrchestratorError
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
        parts: dict[str, list[str]] = {
            "Workstreams": [stream.line() for stream in self.workstreams],
            **self._in_review(shown_time),
            **self._to_be_merged(shown_time),
            **self._late(shown_time),
            "Agents": [_agent_line(agent) for agent in self.agents],
            "Locks": [self._lock_line(lock, shown_time) for lock in self.locks],
            **self._asked(shown_time),
            **self._given_up(shown_time),
            "Recent events": [
                escape(f"{shown_time(event['ts'], self.at)} {event['agent']} {event['text']}")
                for event in self.events
            ],
        }
        sections = [_section(title, lines, fitted) for title, lines in parts.items()]
        sections.append(
            _section("Knowledge", [", ".join(map(escape, self.topics))] if self.topics else [])
        )
        return "\n".join(
            [f"Board at event {self.event}, {clock.local_time(self.at)}", "", *sections]
        )

    def _lock_line(self, lock: Lock, shown_time: Callable[[str, str], str]) -> str:
        """Return ``git: ann (shared) until 06:43, ben for task 299833bc until 06:50``."""
        holders = (
            f"{holder.agent}{' (shared)' if holder.shared else ''}"
            f"{f' for task {holder.task}' if holder.task else ''}"
            f" until {shown_time(holder.until, self.at)}"
            for holder in lock.holders
        )
        return escape(f"{lock.resource}: {', '.join(holders)}")

    def _in_review(self, shown_time: Callable[[str, str], str]) -> dict[str, list[str]]:
        """Return the section of tasks in review; None if there are none."""

        def line(review: ReviewStatus) -> str:
            by = "waits for a reviewer"
            if review.reviewer is not None and review.until is not None:
                by = f"{review.reviewer} reviews it until {shown_time(review.until, self.at)}"
            worker = f" of {review.worker}" if review.worker else ""
            return escape(f"{review.task} {review.title}{worker}: {by}")

        lines = few(self.reviews, RECENT, line)
        return {"In review": lines} if lines else {}

    def _to_be_merged(self, shown_time: Callable[[str, str], str]) -> dict[str, list[str]]:
        """Return the section of the merge queue, if anything is in it."""

        def line(submission: Submission) -> str:
            by = f"waits since {shown_time(submission.submitted_at, self.at)}"
            if submission.is_being_merged(self.at):
                until = shown_time(submission.until, self.at)
                by = f"{submission.runner} merges it until {until}"
            names = f"{submission.branch} into {submission.target} of {submission.author}"
            return escape(f"{submission.number} {names}: {by}")

        lines = few(self.merges, RECENT, line)
        return {"To be merged": lines} if lines else {}

    def _late(self, shown_time: Callable[[str, str], str]) -> dict[str, list[str]]:
        """Return the section of late goals, if there are any."""
        if not self.late_goals:
            return {}
        due = [f"{goal.name} (due {shown_time(goal.due, self.at)})" for goal in self.late_goals]
        return {"Late goals": [escape(first_of(due, _LATE))]}

    def _given_up(self, shown_time: Callable[[str, str], str]) -> dict[str, list[str]]:
        """Return the section of dead letters, the newest first, if there are any."""

        def line(letter: DeadLetter) -> str:
            return escape(
                f"{letter.number}: {letter.subscriber} gave up {letter.work}"
                f" {shown_time(letter.since, self.at)}: {letter.reason}"
            )

        lines = few(self.dead_letters, RECENT, line)
        return {"Dead letters": lines} if lines else {}

    def _asked(self, shown_time: Callable[[str, str], str]) -> dict[str, list[str]]:
        """Return the section of requests for permission, the oldest first, if there are any."""

        def line(request: PermissionView) -> str:
            asks = f"{request.id}: {request.agent} asks to use {request.tool}"
            until = f"until {shown_time(request.until, self.at)}"
            return f"{escape(asks)} {until}: {shown_input(request.tool_input, _INPUT)}"

        lines = few(self.permissions, RECENT, line)
        return {"Permissions asked": lines} if lines else {}


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
    recent = [engine.event(number) for number in range(first, state.event + 1)]
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
