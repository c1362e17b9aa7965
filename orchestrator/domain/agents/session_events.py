"""The events of a session: its begin, its notes and its end."""

from msgspec.structs import asdict, replace

from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.agents.records import Session
from orchestrator.domain.state import State


@event("session.started")
class SessionStarted(Event):
    """An agent started its next incarnation, which gets the note of the last."""

    client: str = ""
    host: str = ""
    folder: str = ""
    machine: str = ""

    def apply(self, state: State, record: Recorded) -> None:
        state.agents.note_machine(record.agent, self.machine)
        last = state.agents.sessions.get(record.agent)
        place = asdict(self)
        session = Session(agent=record.agent, incarnation=1, started_at=record.ts, **place)
        if last is not None:
            number = last.incarnation + 1
            has_note = last.handed_off_in == last.incarnation
            started = {
                "incarnation": number,
                "started_at": record.ts,
                "ended_at": "",
                "outcome": "",
                **place,
            }
            session = replace(last if has_note else session, **started)
        state.agents.sessions[record.agent] = session


@event("session.noted")
class SessionNoted(Event):
    """An agent keeps a note for later, and goes on."""

    subject: str = ""
    note: str = ""
    collected: tuple[str, ...] = ()

    def apply(self, state: State, record: Recorded) -> None:
        last = state.agents.sessions.get(record.agent)
        session = last or Session(agent=record.agent, incarnation=0, started_at=record.ts)
        changes = {name: value for name, value in asdict(self).items() if value}
        if session.handed_off_in != session.incarnation:  # that note was for this session
            changes = asdict(self)
        changes |= {"handed_off_at": record.ts, "handed_off_in": session.incarnation}
        state.agents.sessions[record.agent] = replace(session, **changes)


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
