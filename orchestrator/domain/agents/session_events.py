"""The events that begin and end a session."""

from msgspec.structs import asdict, replace

from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.agents.records import Session
from orchestrator.domain.state import State


@event("session.started")
class SessionStarted(Event):
    """An agent started its next incarnation, which gets the note of the last."""

    def apply(self, state: State, record: Recorded) -> None:
        last = state.agents.sessions.get(record.agent)
        session = Session(agent=record.agent, incarnation=1, started_at=record.ts)
        if last is not None:
            number = last.incarnation + 1
            has_note = last.handed_off_in == last.incarnation
            started = {
                "incarnation": number,
                "started_at": record.ts,
                "ended_at": "",
                "outcome": "",
            }
            session = replace(last if has_note else session, **started)
        state.agents.sessions[record.agent] = session


@event("session.ended")
class SessionEnded(Event):
    """An agent ended its session, perhaps with a note for the next one."""

    outcome: str = ""
    subject: str = ""
    note: str = ""
    collected: tuple[str, ...] = ()

    def apply(self, state: State, record: Recorded) -> None:
        last = state.agents.sessions.get(record.agent)
        session = last or Session(agent=record.agent, incarnation=0, started_at=record.ts)
        changes = asdict(self) if self.subject or self.note or self.collected else {}
        if changes:
            changes |= {"handed_off_at": record.ts, "handed_off_in": session.incarnation}
        changes |= {"ended_at": record.ts, "outcome": self.outcome}
        state.agents.sessions[record.agent] = replace(session, **changes)
