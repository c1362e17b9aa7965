"""What a session is: its record, and the events that begin and end it."""

from msgspec.structs import replace

from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.agents.records import Session
from orchestrator.domain.state import State


@event("session.started")
class SessionStarted(Event):
    """An agent started anew: its next incarnation, which finds the note that the last one left."""

    def apply(self, state: State, record: Recorded) -> None:
        last = state.agents.sessions.get(record.agent)
        session = Session(agent=record.agent, incarnation=1, started_at=record.ts)
        if last is not None:
            session = replace(session, incarnation=last.incarnation + 1)
            if last.handed_off_in == last.incarnation:
                session = replace(
                    session,
                    subject=last.subject,
                    note=last.note,
                    collected=last.collected,
                    handed_off_at=last.handed_off_at,
                    handed_off_in=last.handed_off_in,
                )
        state.agents.sessions[record.agent] = session


@event("session.ended")
class SessionEnded(Event):
    """An agent ended its session, perhaps with a note to its next one."""

    outcome: str = ""
    subject: str = ""
    note: str = ""
    collected: tuple[str, ...] = ()

    def apply(self, state: State, record: Recorded) -> None:
        last = state.agents.sessions.get(record.agent)
        session = last or Session(agent=record.agent, incarnation=0, started_at=record.ts)
        session = replace(session, ended_at=record.ts, outcome=self.outcome)
        if self.subject or self.note or self.collected:
            session = replace(
                session,
                subject=self.subject,
                note=self.note,
                collected=self.collected,
                handed_off_at=record.ts,
                handed_off_in=session.incarnation,
            )
        state.agents.sessions[record.agent] = session
