"""The events of subscriptions."""

from collections.abc import Iterable

from msgspec.structs import replace

from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.state import State
from orchestrator.domain.subscriptions.limits import rest_after, with_report, with_run
from orchestrator.domain.subscriptions.records import (
    NEVER,
    REMEMBERED_CHAINS,
    AgentSchedule,
    Attempt,
    AttemptReport,
    DeadLetter,
    EventClaim,
    Subscriber,
)


class SubscriberEvent(Event):
    """An event of an agent that events start."""

    subscriber: str

    def put(self, state: State, subscriber: Subscriber) -> None:
        state.subscriptions[self.subscriber] = subscriber


class AttemptEvent(SubscriberEvent):
    """An event of an attempt."""

    event: int
    attempt: int


@event("subscription.opened")
class SubscriptionOpened(SubscriberEvent):
    """An agent was subscribed to the events after one event."""

    position: int

    def apply(self, state: State, record: Recorded) -> None:
        self.put(state, Subscriber(agent=self.subscriber, position=self.position))


@event("subscription.moved")
class SubscriptionMoved(SubscriberEvent):
    """The cursor was set; events that waited for another attempt are given up."""

    position: int

    def apply(self, state: State, record: Recorded) -> None:
        old = state.subscriptions[self.subscriber]
        self.put(state, replace(old, position=self.position, attempts=old.running))


@event("subscription.scheduled")
class SubscriptionScheduled(SubscriberEvent):
    """The schedule of an agent changed, and begins now; empty: it has none."""

    schedule: str

    def apply(self, state: State, record: Recorded) -> None:
        schedule = AgentSchedule(text=self.schedule, since=record.ts, due=record.ts)
        state.subscriptions.change(self.subscriber, schedule=schedule if self.schedule else None)


@event("subscription.due")
class SubscriptionDue(SubscriberEvent):
    """A moment of a schedule has come; earlier moments are skipped from now on."""

    due: str

    def apply(self, state: State, record: Recorded) -> None:
        old = state.subscriptions[self.subscriber].schedule
        assert old is not None
        state.subscriptions.change(self.subscriber, schedule=replace(old, due=self.due))


@event("subscription.started")
class SubscriptionStarted(AttemptEvent):
    """An attempt began; the agent is past the events before its event."""

    most: int
    until: str
    root: int
    task: str = ""
    first: int = 0
    machine: str = ""

    def apply(self, state: State, record: Recorded) -> None:
        old = state.subscriptions[self.subscriber]
        mine = Attempt(
            event=self.event,
            number=self.attempt,
            most=self.most,
            status="running",
            token=record.id,
            since=record.ts,
            until=self.until,
            root=self.root,
            task=self.task,
            first=self.first,
            machine=self.machine,
        )
        position = old.position if self.task else max(old.position, self.event)
        others = _open(state, _others(old, self.event, self.task))
        attempts = tuple(sorted((*others, mine), key=lambda attempt: attempt.event))
        usage = with_run(old.usage, record.ts)
        noticed = record.ts if self.first and self.attempt == 1 else old.noticed
        self.put(
            state,
            replace(old, position=position, attempts=attempts, usage=usage, noticed=noticed),
        )
        if self.first:  # a notice is in no chain
            return
        chains = state.subscriptions.chains
        chains[self.root] = chains.get(self.root, 0) + 1
        if len(chains) > REMEMBERED_CHAINS:
            del chains[min(chains)]


@event("subscription.renewed")
class SubscriptionRenewed(SubscriberEvent):
    """An attempt at a task goes on."""

    event: int
    until: str

    def apply(self, state: State, record: Recorded) -> None:
        old = state.subscriptions[self.subscriber]
        attempts = (
            replace(attempt, until=self.until) if attempt.event == self.event else attempt
            for attempt in old.attempts
        )
        self.put(state, replace(old, attempts=tuple(attempts)))


@event("subscription.finished")
class SubscriptionFinished(AttemptEvent):
    """An attempt succeeded; this happens once for each event and agent."""

    report: AttemptReport | None = None

    def apply(self, state: State, record: Recorded) -> None:
        old = state.subscriptions[self.subscriber]
        claim = state.subscriptions.event_claims.get(self.event)
        if claim is not None and claim.agent == self.subscriber:
            finish_claim(state, self.event)
        self.put(
            state,
            replace(
                old,
                attempts=_others(old, self.event),
                session=(self.report.session if self.report else "") or old.session,
                rest=None,
                usage=with_report(old.usage, self.report, record.ts),
            ),
        )


class AttemptEnded(AttemptEvent):
    """An attempt ended without success; the next attempt may begin at ``due``."""

    reason: str
    due: str = ""
    report: AttemptReport | None = None

    def apply(self, state: State, record: Recorded) -> None:
        old = state.subscriptions[self.subscriber]
        attempts = (
            replace(attempt, status="waiting", due=self.due)
            if attempt.event == self.event
            else attempt
            for attempt in old.attempts
        )
        usage = with_report(old.usage, self.report, record.ts)
        self.put(state, replace(old, attempts=_open(state, attempts), usage=usage))


@event("subscription.failed")
class SubscriptionFailed(AttemptEnded):
    """An attempt failed; the agent rests until a time if others failed before."""

    rest: str = ""

    def apply(self, state: State, record: Recorded) -> None:
        super().apply(state, record)
        old = state.subscriptions[self.subscriber].rest
        rest = rest_after(old, self.reason, record.ts, self.rest)
        state.subscriptions.change(self.subscriber, rest=rest)


@event("subscription.woken")
class SubscriptionWoken(SubscriberEvent):
    """The failures of an agent count no longer, because its file was changed."""

    def apply(self, state: State, record: Recorded) -> None:
        state.subscriptions.change(self.subscriber, rest=None)


@event("subscription.interrupted")
class SubscriptionInterrupted(AttemptEnded):
    """An attempt ended with its runner, or its lease has ended; its progress is unknown."""


@event("subscription.died")
class SubscriptionDied(SubscriberEvent):
    """An event became a dead letter: no attempt is left, or a limit prevented the first one."""

    event: int
    reason: str
    attempts: int = 0
    task: str = ""
    first: int = 0

    def apply(self, state: State, record: Recorded) -> None:
        old = state.subscriptions[self.subscriber]
        position = old.position if self.task else max(old.position, self.event)
        attempts = _others(old, self.event, self.task)
        self.put(state, replace(old, position=position, attempts=attempts))
        state.subscriptions.dead_letters[record.id] = DeadLetter(
            number=record.id,
            subscriber=self.subscriber,
            event=self.event,
            attempts=self.attempts,
            reason=self.reason,
            since=record.ts,
            task=self.task,
            first=self.first,
        )


@event("subscription.retried")
class SubscriptionRetried(Event):
    """A dead letter gets one more attempt, at once: the failures of the agent count no longer."""

    letter: int

    def apply(self, state: State, record: Recorded) -> None:
        letter = state.subscriptions.dead_letters.pop(self.letter)
        _wait(state, letter, record)
        state.subscriptions.change(letter.subscriber, rest=None)


@event("subscription.dismissed")
class SubscriptionDismissed(Event):
    """A dead letter was removed from the list."""

    letter: int

    def apply(self, state: State, record: Recorded) -> None:
        letter = state.subscriptions.dead_letters.pop(self.letter)
        if letter.task:  # else the agent would be given it again at once
            _wait(state, letter, record, due=NEVER)


class ClaimEvent(Event):
    """An event about the claim of a worker on an event."""

    event: int


@event("subscription.claimed")
class SubscriptionClaimed(ClaimEvent):
    """A worker claimed an event, or extended its claim."""

    until: str
    lease: float

    def apply(self, state: State, record: Recorded) -> None:
        old = state.subscriptions.event_claims.get(self.event)
        is_mine = old is not None and old.agent == record.agent
        state.subscriptions.event_claims[self.event] = EventClaim(
            event=self.event,
            agent=record.agent,
            token=old.token if is_mine and old else record.id,
            since=old.since if is_mine and old else record.ts,
            until=self.until,
            lease=self.lease,
        )


@event("subscription.claim_lapsed")
class SubscriptionClaimLapsed(ClaimEvent):
    """The lease of a claim has ended, and another worker claims the event."""

    holder: str

    def apply(self, state: State, record: Recorded) -> None:
        del state.subscriptions.event_claims[self.event]


@event("subscription.claim_finished")
class SubscriptionClaimFinished(ClaimEvent):
    """The cursor of the claimant is past the event: the claim is permanent."""

    def apply(self, state: State, record: Recorded) -> None:
        finish_claim(state, self.event)


def finish_claim(state: State, event: int) -> None:
    """Make a claim permanent."""
    claim = state.subscriptions.event_claims.pop(event)
    state.subscriptions.finished_claims[event] = claim.token


def rename(state: State, old: str, new: str) -> None:
    """Move the open claims of an agent to its new name."""
    claims = state.subscriptions.event_claims
    for claim in [claim for claim in claims.values() if claim.agent == old]:
        claims[claim.event] = replace(claim, agent=new)


def _wait(state: State, letter: DeadLetter, record: Recorded, due: str = "") -> None:
    """Let the event or task of a dead letter wait for one more attempt."""
    old = state.subscriptions[letter.subscriber]
    again = Attempt(
        event=letter.event,
        number=letter.attempts,
        most=letter.attempts + 1,
        status="waiting",
        token=record.id,
        since=record.ts,
        until=record.ts,
        root=0 if letter.first else letter.event,
        due=due,
        task=letter.task,
        first=letter.first,
    )
    attempts = sorted((*old.attempts, again), key=lambda attempt: attempt.event)
    state.subscriptions.change(letter.subscriber, attempts=tuple(attempts))


def _others(subscriber: Subscriber, event: int, task: str = "") -> tuple[Attempt, ...]:
    """The attempts at other events and tasks."""
    return tuple(
        a for a in subscriber.attempts if a.event != event and (not task or a.task != task)
    )


def _open(state: State, attempts: Iterable[Attempt]) -> tuple[Attempt, ...]:
    """Attempts without those that wait for a task which has ended."""
    return tuple(
        attempt
        for attempt in attempts
        if attempt.status == "running" or not attempt.task or state.tasks.is_open(attempt.task)
    )
