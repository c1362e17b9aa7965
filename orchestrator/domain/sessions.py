"""Sessions: each start of an agent is an incarnation, and ends with a note to the next one.

An agent that says which session it is in (``ORC_SESSION``) is refused when a newer one of the same name
has begun: a late result of an earlier worker cannot end the work of the present one.
"""

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from orchestrator.core import names
from orchestrator.core.errors import NotFound, Refused
from orchestrator.core.events import Event, Recorded, event
from orchestrator.core.transaction import Committed, Desk, Noun, Transaction, command, somebody
from orchestrator.domain.checks import sentence, text_of

if TYPE_CHECKING:
    from orchestrator.domain.state import State


class Session(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """The last session of an agent.

    Attributes:
        incarnation: Which start of the agent it is; 1 is the first.
        ended_at: When it ended; empty while it is live.
        outcome: How it ended: handoff, COMPLETED, ESCALATED, DEFERRED, or empty.
        subject: One line for the next session.
        note: What the next session should know.
        collected: What the agent held when it left: tasks, locks, mail, changed files.
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

    @property
    def is_live(self) -> bool:
        """Whether it has not ended."""
        return not self.ended_at


@event("session.started")
class SessionStarted(Event):
    """An agent started anew: its next incarnation. What the last session left stays until it is replaced."""

    def apply(self, state: "State", at: Recorded) -> None:
        last = state.sessions.get(at.agent)
        if last is None:
            session = Session(agent=at.agent, incarnation=1, started_at=at.ts)
        else:
            session = replace(
                last, incarnation=last.incarnation + 1, started_at=at.ts, ended_at="", outcome=""
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
            )
        state.sessions[at.agent] = session


def the_session(state: "State", events: Committed) -> Session:
    """The result of starting and ending: the agent's session."""
    at = next(at for at, e in events if isinstance(e, (SessionStarted, SessionEnded)))
    return state.sessions[at.agent]


def act_now(tx: "Transaction[State]", agent: str | None, *, needed: bool = False) -> str:
    """Say who acts, as :meth:`Transaction.act_as`; an agent that was renamed acts under its new name."""
    actor = tx.act_as(agent, needed=needed)
    alias = tx.state.aliases.get(actor)
    return actor if alias is None else tx.act_as(alias)


def own_name(desk: "Desk[State]", agent: str | None) -> str:
    """Who asks for what is its own, by its present name; None for the one that the board was opened with.

    Raises:
        UsageError: Nobody is named.
    """
    name = somebody(desk.agent if agent is None else names.agent(agent))
    return desk.read().aliases.get(name, name)


def act_in_session(tx: "Transaction[State]", agent: str | None, *, needed: bool = False) -> str:
    """Say who acts, as :meth:`Transaction.act_as`; the agent's present session only.

    Raises:
        Refused: The agent has started anew since the session that acts here.
    """
    actor = act_now(tx, agent, needed=needed)
    if is_outdated(tx.state, actor, tx.session):
        now = tx.state.sessions[actor].incarnation
        raise Refused(
            f"{actor} has started anew: this is its session {tx.session}, and {now} has begun",
            code="older_session",
            hint="Stop here: the work is with the newer session. A note can carry over: `t note`.",
            session=tx.session,
            current=now,
        )
    return actor


def is_outdated(state: "State", agent: str, session: int | None) -> bool:
    """Whether an agent has started anew since its session of this number."""
    known = state.sessions.get(agent)
    return session is not None and known is not None and session < known.incarnation


class Sessions(Noun["State"]):
    """``orc.sessions``: start, end, get."""

    @command(the_session)
    def start(self, tx: "Transaction[State]", agent: str | None = None) -> None:
        """Begin a session: the next incarnation of the agent.

        Set ``ORC_SESSION`` to its number: then what an earlier incarnation still sends is refused.

        Args:
            agent: Who starts; needed.
        """
        tx.act_as(agent, needed=True)
        tx.record(SessionStarted())

    @command(the_session)
    def end(
        self,
        tx: "Transaction[State]",
        *,
        subject: str = "",
        note: str = "",
        collected: tuple[str, ...] = (),
        outcome: str = "",
        agent: str | None = None,
    ) -> None:
        """End the agent's session, perhaps with a note to the next one.

        Args:
            subject: One line for the next session.
            note: What it should know.
            collected: Lines that say what the agent held.
            outcome: How the session ended.
            agent: Who ends; needed.

        Raises:
            Refused: The agent has started anew since.
        """
        act_in_session(tx, agent, needed=True)
        tx.record(
            SessionEnded(
                outcome=sentence("outcome", outcome),
                subject=sentence("subject", subject),
                note=text_of("note", note),
                collected=tuple(text_of("collected", line) for line in collected),
            )
        )

    def get(self, agent: str) -> Session:
        """The last session of an agent.

        Raises:
            NotFound: It never had one.
        """
        session = self.state.sessions.get(agent)
        if session is None:
            raise NotFound(
                f"{agent} never began a session",
                code="session_not_found",
                hint="`session start` begins one.",
            )
        return session
