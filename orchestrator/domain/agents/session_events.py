"""What a session is: its record, and the events that begin and end it."""

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from orchestrator.core.events import Event, Recorded, event

if TYPE_CHECKING:
    from orchestrator.domain.state import State

SEVERITIES = ("critical", "high", "medium", "low")
"""How bad a trouble is; the n-th gives a task of priority n."""

OUTCOMES = ("COMPLETED", "ESCALATED", "DEFERRED")
"""How an agent can be done with what hangs on its hook."""

OVERSEER = "overseer"
"""Who is told of escalations unless somebody else is named."""


class Session(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """The last session of an agent.

    Attributes:
        incarnation: Which start of the agent it is; 1 is the first.
        ended_at: When it ended; empty while it is live.
        outcome: How it ended: handoff, COMPLETED, ESCALATED, DEFERRED, or empty.
        subject: One line for the next session.
        note: What the next session should know.
        collected: What the agent held when it left: tasks, locks, mail, changed files.
        handed_off_in: Which incarnation left the note.
    """

    agent: str
    incarnation: int
    started_at: str
    ended_at: str = ""
    outcome: str = ""
    subject: str = ""
    note: str = ""
    collected: tuple[str, ...] = ()
    handed_off_at: str = ""
    handed_off_in: int = 0

    @property
    def is_live(self) -> bool:
        """Whether it has not ended."""
        return not self.ended_at


@event("session.started")
class SessionStarted(Event):
    """An agent started anew: its next incarnation, which finds the note that the last one left."""

    def apply(self, state: "State", at: Recorded) -> None:
        last = state.sessions.get(at.agent)
        session = Session(agent=at.agent, incarnation=1, started_at=at.ts)
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
        state.sessions[at.agent] = session


@event("session.ended")
class SessionEnded(Event):
    """An agent ended its session, perhaps with a note to its next one."""

    outcome: str = ""
    subject: str = ""
    note: str = ""
    collected: tuple[str, ...] = ()

    def apply(self, state: "State", at: Recorded) -> None:
        last = state.sessions.get(at.agent)
        session = last or Session(agent=at.agent, incarnation=0, started_at=at.ts)
        session = replace(session, ended_at=at.ts, outcome=self.outcome)
        if self.subject or self.note or self.collected:
            session = replace(
                session,
                subject=self.subject,
                note=self.note,
                collected=self.collected,
                handed_off_at=at.ts,
                handed_off_in=session.incarnation,
            )
        state.sessions[at.agent] = session
