"""The status of a board: workstreams with counts, agents, locks, recent events, topics."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from orchestrator.core import clock
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.printable import escape
from orchestrator.domain.agents.commands import Agents, AgentView
from orchestrator.domain.event_log import as_dict
from orchestrator.domain.knowledge.commands import Knowledge
from orchestrator.domain.locks.records import Lock
from orchestrator.domain.state import State
from orchestrator.domain.tasks.records import STATUSES
from orchestrator.domain.workstreams.records import Workstream
from orchestrator.engine import Engine
from orchestrator.reports.sentences import Sentences

RECENT = 10
"""Events that a status shows."""


class StreamStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A workstream with how many tasks of each status it has."""

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


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How a board stood right after an event."""

    event: int
    at: str
    workstreams: list[StreamStatus]
    agents: list[AgentView]
    locks: list[Lock]
    events: list[dict[str, Any]]
    topics: list[str]

    def text(self, shown_time: Callable[[str, str], str] = clock.local_time) -> str:
        """Return the status for people; everything that agents wrote is escaped.

        Args:
            shown_time: How a time is shown, at the time of the status: two timestamps.
        """
        parts: dict[str, list[str]] = {
            "Workstreams": [stream.line() for stream in self.workstreams],
            "Agents": [_agent_line(agent) for agent in self.agents],
            "Locks": [_lock_line(lock) for lock in self.locks],
            "Recent events": [
                escape(f"{shown_time(event['ts'], self.at)} {event['agent']} {event['text']}")
                for event in self.events
            ],
            "Knowledge": [", ".join(self.topics)] if self.topics else [],
        }
        sections = (_section(title, lines) for title, lines in parts.items())
        return "\n".join([f"Board at event {self.event}, {self.at}", "", *sections])


def _section(title: str, lines: list[str]) -> str:
    return "\n".join([title, *(f"  {line}" for line in lines or ["(none)"]), ""])


def _agent_line(agent: AgentView) -> str:
    notes = {
        f"{len(agent.tasks)} task{'s' * (len(agent.tasks) != 1)}": agent.tasks,
        f"{agent.unread} unread": agent.unread,
        "STALE": agent.stale,
    }
    shown = [note for note, is_so in notes.items() if is_so]
    marks = ["retired"] if agent.status == "retired" else shown
    return escape(f"{agent.id} ({agent.type})" + "".join(f" [{mark}]" for mark in marks))


def _lock_line(lock: Lock) -> str:
    holders = (
        f"{holder.agent}{' (shared)' if holder.shared else ''} until {holder.until}"
        for holder in lock.holders
    )
    return escape(f"{lock.resource}: {', '.join(holders)}")


def status(engine: Engine, at: int | None = None) -> Status:
    """Return the status of the board, now or right after an event.

    Agents and locks of a past moment are judged by the time of its event; when agents were last seen is
    known only for now.

    Raises:
        NotFound: There is no such event.
    """
    if at is None:
        state, now, seen = engine.read(), engine.now(), engine.presence.seen()
    else:
        state, now, seen = engine.at(at), engine.event(at).ts, {}
    streams = sorted(state.workstreams.values(), key=lambda s: (s.priority, s.name))
    first = max(1, state.event - RECENT + 1)
    recent = [engine.event(number) for number in range(first, state.event + 1)]
    sentences = Sentences(engine, lambda moment: clock.local_time(moment, now))
    return Status(
        event=state.event,
        at=now,
        workstreams=[_stream(stream, state) for stream in streams],
        agents=Agents.views(state, now, seen),
        locks=[lock for lock in state.locks.values() if any(h.until > now for h in lock.holders)],
        events=[{**as_dict(record), "text": sentences.of(record)} for record in recent],
        topics=_topics(engine, state if at is not None else None),
    )


def _topics(engine: Engine, past: State | None) -> list[str]:
    """The topics, those of files that people made too; of the past only those that were recorded."""
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
