"""The part of ``orc.subscriptions`` for readers of the log: claims of events, and cursors."""

from collections.abc import Iterator
from typing import Any

from orchestrator.core import clock, names
from orchestrator.core.decoding import whole_number
from orchestrator.core.errors import Refused, UsageError
from orchestrator.core.events import Recorded
from orchestrator.core.transaction import Committed, Noun, Transaction, command
from orchestrator.domain.agents.identity import act_now
from orchestrator.domain.event_log import Events
from orchestrator.domain.state import State
from orchestrator.domain.subscriptions.events import (
    SubscriptionClaimed,
    SubscriptionClaimFinished,
    SubscriptionClaimLapsed,
    SubscriptionMoved,
)
from orchestrator.domain.subscriptions.records import EventClaim

LEASE = 1800.0
"""Seconds that a claim of an event lasts unless another time is given."""

_BURST = 100
"""Events after which a watch writes its cursor, if more wait."""


def claimed_event(state: State, events: Committed) -> EventClaim:
    """The claim that was made."""
    number = next(e.event for _, e in events if isinstance(e, SubscriptionClaimed))
    return state.subscriptions.event_claims[number]


def has_moved(state: State, events: Committed) -> bool:
    """Whether the cursor of a subscriber was set."""
    return any(isinstance(event, SubscriptionMoved) for _, event in events)


class EventReaders(Noun[State], name="subscriptions"):
    """Claims of events, and cursors."""

    # Claims

    @command(claimed_event)
    def claim(
        self,
        tx: Transaction[State],
        event: int,
        *,
        agent: str | None = None,
        lease: float | str = LEASE,
    ) -> EventClaim | None:
        """Claim an event, so that only one of several workers processes it.

        Args:
            event: The event.
            agent: The worker.
            lease: How long the claim lasts if its work is not finished before.

        Returns:
            The valid claim: of this worker, or of another one that was first.

        Raises:
            NotFound: There is no such event.
            UsageError: No worker is named.
        """
        worker = act_now(tx, agent, needed=True)
        tx.event(event)
        seconds = clock.duration(lease)
        if seconds <= 0:
            raise UsageError("A claim lasts longer than that", hint="Give --lease 30m.")
        known = claim_of(tx.state, tx.event, event)
        if known is not None and known.is_valid(tx.now):
            until = clock.after(tx.now, seconds / 2)
            if known.agent != worker or not known.until or known.until > until:
                return known
        elif known is not None and known.agent != worker:
            tx.record(SubscriptionClaimLapsed(event=event, holder=known.agent))
        tx.record(SubscriptionClaimed(event=event, until=tx.later(seconds), lease=seconds))
        return None

    def claim_of(self, event: int) -> EventClaim | None:
        """The valid claim on an event; None if any worker may claim it.

        Raises:
            NotFound: There is no such event.
        """
        self._desk.event(event)
        known = claim_of(self._state, self._desk.event, event)
        return known if known is not None and known.is_valid(self._desk.now()) else None

    # Cursors

    def cursor(self, worker: str) -> int:
        """The event after which a worker continues: a subscriber, or a reader of :meth:`watch`."""
        state = self._state
        subscriber = state.subscriptions.get(names.agent(worker))
        if subscriber is not None:
            return subscriber.position
        texts = (self._desk.cursors.read(_reader(name)) for name in _names(state, worker))
        position = whole_number(next(filter(None, texts), ""))
        return state.event if position is None else min(position, state.event)

    def set_cursor(self, worker: str, position: int) -> int:
        """Set the event after which a worker continues; its claims up to there become permanent.

        Raises:
            UsageError: The log has no such event.
            Refused: The worker is a subscriber that runs.
        """
        is_subscriber = self._set_cursor(worker, position)
        if not is_subscriber:
            self._write_cursor(worker, position)
        return position

    def _write_cursor(self, worker: str, position: int) -> None:
        self._desk.cursors.write(_reader(_names(self._state, worker)[0]), str(position))

    @command(has_moved)
    def _set_cursor(self, tx: Transaction[State], worker: str, position: int) -> bool:
        actor = act_now(tx, worker, needed=True)
        check_position(tx.state, position)
        subscriber = tx.state.subscriptions.get(worker)
        if subscriber is not None and any(a.until > tx.now for a in subscriber.running):
            raise Refused(
                f"{worker} works on event {subscriber.running[0].event} now",
                code="in_work",
                hint="Stop the runner first, or wait until the agent has finished.",
            )
        claims = tx.state.subscriptions.event_claims
        passed = [c for c in claims.values() if c.agent == actor and c.event <= position]
        for claim in sorted(passed, key=lambda claim: claim.event):
            if claim.is_valid(tx.now):
                tx.record(SubscriptionClaimFinished(event=claim.event))
        if subscriber is not None:
            tx.record(SubscriptionMoved(subscriber=worker, position=position))
        return subscriber is not None

    def watch(self, worker: str) -> Iterator[Recorded]:
        """Yield events after the cursor of a worker, then new ones, without end.

        A new worker begins at the end of the log. The cursor moves past an event when the next one is
        requested, and it is written when no more events wait: after a crash events may come again, but none
        is lost. The runner moves the cursors of subscribers.
        """
        position = written = self.cursor(worker)
        is_reader = worker not in self._state.subscriptions

        def write() -> None:
            if is_reader:
                self._write_cursor(worker, position)

        write()
        try:
            for record in Events(self._desk).follow(since=position):
                yield record
                position = record.id
                if position - written >= _BURST or position >= self._state.event:
                    write()
                    written = position
        finally:
            if position > written:
                write()


def claim_of(state: State, event: Any, number: int) -> EventClaim | None:
    """The claim on an event, even if it has lapsed.

    Args:
        state: The state.
        event: Reads an event by its id.
        number: The event.
    """
    slice = state.subscriptions
    if number in slice.event_claims:
        return slice.event_claims[number]
    if number not in slice.finished_claims:
        return None
    record = event(slice.finished_claims[number])
    agent = state.agents.aliases.get(record.agent, record.agent)
    return EventClaim(event=number, agent=agent, token=record.id, since=record.ts, until="")


def check_position(state: State, position: int) -> None:
    """Refuse a position that the log does not have.

    Raises:
        UsageError: It is before the log or after its end.
    """
    if not 0 <= position <= state.event:
        raise UsageError(
            f"The log has no event {position}", hint=f"It ends with event {state.event}."
        )


def _names(state: State, worker: str) -> list[str]:
    """The present name of a worker, then its earlier ones, the last first."""
    aliases = state.agents.aliases
    name = aliases.get(worker, worker)
    return [name, *(old for old in reversed(aliases) if aliases[old] == name)]


def _reader(worker: str) -> str:
    """The name of a worker among the readers of the board."""
    return f"events/{names.agent(worker)}"
