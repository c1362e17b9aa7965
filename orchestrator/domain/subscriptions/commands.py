"""``orc.subscriptions``: each agent processes each event once: attempts, cursors, claims, dead letters."""

from collections.abc import Iterable

from orchestrator.core import clock, names
from orchestrator.core.errors import NotFound, Refused
from orchestrator.core.events import Recorded
from orchestrator.core.printable import amount, times
from orchestrator.core.transaction import SYSTEM, Committed, Transaction, command
from orchestrator.domain.state import State
from orchestrator.domain.subscriptions.events import (
    SubscriptionClaimFinished,
    SubscriptionDied,
    SubscriptionDismissed,
    SubscriptionDue,
    SubscriptionFailed,
    SubscriptionFinished,
    SubscriptionInterrupted,
    SubscriptionOpened,
    SubscriptionRenewed,
    SubscriptionRetried,
    SubscriptionScheduled,
    SubscriptionStarted,
    SubscriptionWoken,
)
from orchestrator.domain.subscriptions.limits import (
    LONGEST_BACK_OFF,
    NO_LIMITS,
    Budget,
    chain_limit,
    check_may_start,
    doubled,
    rest_seconds,
    rounds_of,
)
from orchestrator.domain.subscriptions.readers import EventReaders, check_position
from orchestrator.domain.subscriptions.records import (
    DUE,
    Attempt,
    AttemptReport,
    DeadLetter,
    Subscriber,
)
from orchestrator.domain.subscriptions.task_attempts import (
    CRASHES,
    TASK_LEASE,
    TaskFilter,
    begin,
    hand_back,
    held_by_attempt,
    note_output,
    renew,
)
from orchestrator.domain.validation import check_line

DEEPEST = 50
"""How many causes in a row may start agents unless another number is given."""

LONGEST = 1000
"""How many attempts one event may lead to, directly and through others, unless another number is given."""


def subscriber_of(state: State, events: Committed) -> Subscriber:
    """The subscriber that a command is about."""
    subscribers = (getattr(event, "subscriber", None) for _, event in events)
    return state.subscriptions[next(filter(None, subscribers))]


def started_attempt(state: State, events: Committed) -> Attempt | None:
    """The attempt that began; None if the event became a dead letter instead."""
    for _, event in events:
        if isinstance(event, SubscriptionStarted):
            return state.subscriptions[event.subscriber].attempt(event.event)
    return None


def removed_letter(state: State, events: Committed) -> int:
    """The number of the dead letter that was retried or dismissed."""
    removals = (SubscriptionRetried, SubscriptionDismissed)
    return next(event.letter for _, event in events if isinstance(event, removals))


def due_event(state: State, events: Committed) -> Recorded | None:
    """The event that starts an agent by its schedule; None if another runner has recorded it."""
    return next((record for record, event in events if event is None), None)


class Subscriptions(EventReaders):
    """``orc.subscriptions``: open, start, finish, fail, interrupt; claim, cursor; retry, dismiss."""

    # Attempts

    @command(subscriber_of)
    def open(
        self, tx: Transaction[State], agent: str, *, position: int | None = None
    ) -> Subscriber | None:
        """Subscribe an agent to events; if it is subscribed already, nothing changes.

        Args:
            agent: The agent.
            position: It gets the events after this one; by default those from now on.
        """
        agent = names.agent(agent)
        if agent in tx.state.subscriptions:
            return tx.state.subscriptions[agent]
        if position is not None:
            check_position(tx.state, position)
        now = tx.state.event if position is None else position
        tx.record(SubscriptionOpened(subscriber=agent, position=now))
        return None

    @command(started_attempt)
    def start(
        self,
        tx: Transaction[State],
        agent: str,
        event: int,
        *,
        after: int,
        lease: float,
        most: int = 1,
        concurrency: int = 1,
        budget: Budget = NO_LIMITS,
        rounds: int | None = None,
        deepest: int = DEEPEST,
        longest: int = LONGEST,
    ) -> None:
        """Begin an attempt at an event: the next event for the agent, or one that waits for another attempt.

        Args:
            agent: The subscriber.
            event: The event.
            after: The position of the subscriber when the caller searched for the event.
            lease: Seconds until the attempt counts as interrupted.
            most: How many attempts there may be; an event that has waited keeps its own number.
            concurrency: How many events the agent may process at a time. Events that wait for another attempt
                count too, so with 1 it processes them in order.
            budget: How much the agent may use.
            rounds: How often a chain of causes may start the agent.
            deepest: The largest depth of a chain of causes.
            longest: How many attempts a chain of causes may start.

        Returns:
            The attempt; None if the event became a dead letter because of a limit or after the last attempt.

        Raises:
            NotFound: There is no such event or subscriber.
            Refused: ``settled``: the agent is past the event. ``moved``: another runner moved the position;
                search again. ``in_work``: an attempt runs. ``not_due``: it waits. ``busy``: the agent has
                reached its concurrency. ``resting``, ``budget``: the agent has to pause.
        """
        subscriber = tx.state.subscriptions.find(agent)
        tx.act_as(agent)
        record = tx.event(event)
        check_may_start(subscriber, budget, tx.now)
        known = subscriber.attempt(event)
        if known is not None and known.task:
            raise Refused(f"{agent} works on task {known.task} since event {event}", code="in_work")
        if known is None:
            _check_new(subscriber, event, after, concurrency)
            attempts = 0
        else:
            known = _again(tx, agent, known)
            if known is None:
                return
            attempts, most = known.number, known.most
        root = record.cause.root if record.cause else event
        # What is tried again has passed the limits, or a person has asked for it.
        reason = ""
        if known is None:
            reason = chain_limit(tx.state.subscriptions, record, root, deepest, longest)
        if known is None and rounds is not None and rounds_of(agent, record, tx.event) >= rounds:
            reason = (
                f"{agent} has been started {times(rounds)} in this chain of events, its `rounds`"
            )
        if reason:
            tx.record(
                SubscriptionDied(subscriber=agent, event=event, reason=reason, attempts=attempts)
            )
            return
        tx.record(
            SubscriptionStarted(
                subscriber=agent,
                event=event,
                attempt=attempts + 1,
                most=max(most, 1),
                until=tx.later(lease),
                root=root,
                machine=tx.state.machine,
            )
        )

    @command(started_attempt)
    def take(
        self,
        tx: Transaction[State],
        agent: str,
        task: str,
        takes: Iterable[TaskFilter],
        *,
        lease: float = TASK_LEASE,
        most: int = 1,
        concurrency: int = 1,
        rounds: int | None = None,
        budget: Budget = NO_LIMITS,
        deepest: int = DEEPEST,
        longest: int = LONGEST,
    ) -> None:
        """Claim a task, or the review of one, for an agent, and begin an attempt at it.

        The cause of the claim is the event that added the task.

        Args:
            agent: The subscriber.
            task: The task that the caller has seen as the best one for it.
            takes: The tasks that the agent takes.
            lease: Seconds; :meth:`renew` extends it.
            most: How many attempts of the agent there may be.
            concurrency: How many events and tasks the agent may have in work.
            rounds: How often reviews may reject a task before it fails.
            budget: How much the agent may use.
            deepest: How many causes in a row there may be.
            longest: How many attempts the chain of causes may have started.

        Returns:
            The attempt; None if a limit was reached: the task is blocked or failed then, a review is a dead
            letter.

        Raises:
            NotFound: There is no such subscriber.
            Refused: ``moved``: another task is the best one now. ``busy``: the agent has enough in work.
                ``resting``, ``budget``: it has to pause. ``retired``: it takes no work.
        """
        subscriber = tx.state.subscriptions.find(agent)
        check_may_start(subscriber, budget, tx.now)
        _check_room(subscriber, concurrency)
        begin(
            tx,
            subscriber,
            task,
            takes,
            lease=lease,
            most=most,
            rounds=rounds,
            deepest=deepest,
            longest=longest,
        )

    @command(started_attempt)
    def notice(
        self,
        tx: Transaction[State],
        rule: str,
        event: int,
        *,
        first: int,
        after: int,
        lease: float,
        most: int,
        every: float = 0.0,
    ) -> None:
        """Begin the first attempt at a notice about some events, or the next attempt at a notice that waits.

        No chain of causes counts it, and the rule does not become an agent of the board.

        Args:
            rule: The subscriber.
            event: The last of its events.
            first: The first of its events; a notice that waits keeps its own.
            after: The position of the subscriber when the caller searched for the events.
            lease: Seconds until the attempt counts as interrupted.
            most: How many attempts there may be; a notice that has waited keeps its own number.
            every: Seconds that must have passed since the last notice began.

        Returns:
            The attempt; None if it was the last attempt that was interrupted.

        Raises:
            NotFound: There is no such event or subscriber.
            Refused: ``settled``, ``moved``, ``in_work``, ``not_due``, ``busy``, ``resting``: as for an agent.
        """
        subscriber = tx.state.subscriptions.find(rule)
        tx.act_as(SYSTEM)
        tx.event(event)
        check_may_start(subscriber, NO_LIMITS, tx.now)
        known = subscriber.attempt(event)
        if known is None:
            _check_new(subscriber, event, after, 1)
            if tx.now < (due := subscriber.next_notice(every, tx.now)):
                raise Refused(f"{subscriber.agent} waits until {due}", code="not_due", until=due)
            number = 0
        else:
            known = _again(tx, rule, known)
            if known is None:
                return
            number, most, first = known.number, known.most, known.first
        tx.record(
            SubscriptionStarted(
                subscriber=rule,
                event=event,
                attempt=number + 1,
                most=max(most, 1),
                until=tx.later(lease),
                root=0,
                first=first,
                machine=tx.state.machine,
            )
        )

    @command(subscriber_of)
    def renew(
        self, tx: Transaction[State], agent: str, event: int, token: int, *, lease: float
    ) -> None:
        """Extend the lease of an attempt at a task, and of the task if the agent still has it.

        Raises:
            Refused: The attempt is over.
        """
        attempt = _running(tx, agent, event, token)
        renew(tx, agent, attempt)
        tx.record(SubscriptionRenewed(subscriber=agent, event=event, until=tx.later(lease)))

    @command(subscriber_of)
    def finish(
        self,
        tx: Transaction[State],
        agent: str,
        event: int,
        token: int,
        report: AttemptReport | None = None,
    ) -> None:
        """End an attempt with success; only once for each event and agent.

        Args:
            agent: The subscriber.
            event: The event.
            token: The token of the attempt.
            report: The report of its runtime.

        Raises:
            Refused: The attempt is over, or another one runs.
        """
        attempt = _running(tx, agent, event, token)
        claim = tx.state.subscriptions.event_claims.get(event)
        if claim is not None and claim.agent == tx.state.agents.aliases.get(agent):
            tx.record(SubscriptionClaimFinished(event=event))
        tx.record(
            SubscriptionFinished(
                subscriber=agent, event=event, attempt=attempt.number, report=report
            )
        )

    @command(subscriber_of)
    def fail(
        self,
        tx: Transaction[State],
        agent: str,
        event: int,
        token: int,
        reason: str,
        report: AttemptReport | None = None,
        *,
        back_off: float = 0.0,
        crashed: bool = False,
    ) -> None:
        """End an attempt without success; after the last attempt the event becomes a dead letter.

        A task is handed back, or fails if no attempt is left. What the agent has done with its task itself
        stays.

        Args:
            agent: The subscriber.
            event: The event.
            token: The token of the attempt.
            reason: Why, in a sentence.
            report: The report of its runtime.
            back_off: Seconds until the second attempt may begin; the pause doubles with each failure. After
                :data:`TOLERATED` failures in a row the agent rests too, for a time that doubles as well.
            crashed: The agent was ended before its time, which says nothing about a task.

        Raises:
            Refused: The attempt is over, or another one runs.
        """
        attempt = _running(tx, agent, event, token)
        reason = check_line("reason", reason)
        if attempt.task:
            most = max(attempt.most, CRASHES) if crashed else attempt.most
            note_output(tx, held_by_attempt(tx.state, agent, attempt), attempt, report)
            hand_back(tx, agent, attempt, reason, is_last=attempt.number >= most)
        rest = rest_seconds(tx.state.subscriptions[agent], back_off)
        tx.record(
            SubscriptionFailed(
                subscriber=agent,
                event=event,
                attempt=attempt.number,
                reason=reason,
                due=tx.later(doubled(back_off, attempt.number, LONGEST_BACK_OFF)),
                report=report,
                rest=tx.later(rest) if rest else "",
            )
        )
        _bury(tx, agent, attempt, reason)

    @command(subscriber_of)
    def interrupt(
        self,
        tx: Transaction[State],
        agent: str,
        event: int,
        token: int,
        reason: str,
        report: AttemptReport | None = None,
    ) -> None:
        """Mark an attempt as interrupted; the next attempt, if any is left, may begin at once.

        A task is handed back, however often.

        Raises:
            Refused: The attempt is over, or another one runs.
        """
        attempt = _running(tx, agent, event, token)
        _interrupted(tx, agent, attempt, check_line("reason", reason), report)

    @command(subscriber_of)
    def wake(self, tx: Transaction[State], agent: str) -> Subscriber:
        """Let failures in a row keep an agent no longer from being started.

        Raises:
            NotFound: There is no such subscriber.
        """
        subscriber = tx.state.subscriptions.find(agent)
        if subscriber.rest is not None:
            tx.record(SubscriptionWoken(subscriber=agent))
        return subscriber

    def get(self, agent: str) -> Subscriber:
        """The subscriber of an agent.

        Raises:
            NotFound: Events do not start it.
        """
        return self._state.subscriptions.find(agent)

    def all(self) -> list[Subscriber]:
        """Every subscriber by name."""
        return [record for _, record in sorted(self._state.subscriptions.items())]

    # Schedules

    @command(subscriber_of)
    def set_schedule(self, tx: Transaction[State], agent: str, schedule: str) -> Subscriber:
        """Set the schedule of an agent; a changed schedule begins now.

        Args:
            agent: The subscriber.
            schedule: The schedule as text; empty to remove it.

        Raises:
            NotFound: There is no such subscriber.
        """
        subscriber = tx.state.subscriptions.find(agent)
        known = subscriber.schedule.text if subscriber.schedule else ""
        if check_line("schedule", schedule) != known:
            tx.record(SubscriptionScheduled(subscriber=agent, schedule=schedule))
        return subscriber

    @command(due_event)
    def push_due(self, tx: Transaction[State], agent: str, schedule: str, due: str) -> None:
        """Push the event that starts an agent at a moment of its schedule; only once for each moment.

        Args:
            agent: The subscriber.
            schedule: The schedule that contains the moment.
            due: The moment.

        Returns:
            The event; None if this moment or a later one had its event, if the schedule has changed, or if
            the moment is in the future.

        Raises:
            NotFound: There is no such subscriber.
        """
        known = tx.state.subscriptions.find(agent).schedule
        if known is None or known.text != schedule or not known.due < clock.check(due) <= tx.now:
            return
        tx.record(SubscriptionDue(subscriber=agent, due=due))
        tx.record_custom(DUE, {"agent": agent, "due": due, "schedule": schedule})

    # Dead letters

    def dead(self) -> list[DeadLetter]:
        """The dead letters, oldest first."""
        return [record for _, record in sorted(self._state.subscriptions.dead_letters.items())]

    @command(removed_letter)
    def retry(self, tx: Transaction[State], letter: int, *, agent: str | None = None) -> None:
        """Give a dead letter one more attempt, and return its number.

        Raises:
            NotFound: There is none of this number.
            Refused: The agent has an attempt at its event already, as of another letter.
        """
        tx.act_as(agent)
        dead = _find_letter(tx.state, letter)
        if tx.state.subscriptions.find(dead.subscriber).attempt(dead.event) is not None:
            raise Refused(
                f"{dead.subscriber} has an attempt at event {dead.event} already",
                code="in_work",
                hint=f"`events dismiss {letter}` removes the letter.",
            )
        tx.record(SubscriptionRetried(letter=letter))

    @command(removed_letter)
    def dismiss(self, tx: Transaction[State], letter: int, *, agent: str | None = None) -> None:
        """Remove a dead letter from the list, and return its number; its event stays in the log.

        Raises:
            NotFound: There is none of this number.
        """
        tx.act_as(agent)
        _find_letter(tx.state, letter)
        tx.record(SubscriptionDismissed(letter=letter))


def _check_new(subscriber: Subscriber, event: int, after: int, concurrency: int) -> None:
    name, position = subscriber.agent, subscriber.position
    if event <= position:
        raise Refused(f"{name} has passed event {event}", code="settled")
    if after != position:
        raise Refused(f"{name} went on to event {position}", code="moved")
    _check_room(subscriber, concurrency)


def _check_room(subscriber: Subscriber, concurrency: int) -> None:
    count = len(subscriber.in_work)
    if count >= concurrency:
        raise Refused(f"{subscriber.agent} has {amount(count, 'attempt')} in work", code="busy")


def _again(tx: Transaction[State], agent: str, attempt: Attempt) -> Attempt | None:
    """Return the attempt to repeat; None if its lease has ended, and no attempt is left."""
    runs = attempt.status == "running"
    if attempt.may_begin(tx.now):
        return _interrupted(tx, agent, attempt, "its lease has ended") if runs else attempt
    if runs:
        raise Refused(f"Attempt {attempt.number} at event {attempt.event} runs", code="in_work")
    raise Refused(f"Event {attempt.event} waits until {attempt.due}", code="not_due")


def _running(tx: Transaction[State], agent: str, event: int, token: int) -> Attempt:
    subscriber = tx.state.subscriptions.find(agent)
    attempt = subscriber.attempt(event)
    tx.act_as(SYSTEM if attempt is not None and attempt.first else agent)
    if attempt is None or attempt.token != token or attempt.status != "running":
        raise Refused(
            f"The attempt of {agent} at event {event} under token {token} is over",
            code="stale_token",
            hint="Its lease had ended, and another attempt began or will.",
        )
    return attempt


def _interrupted(
    tx: Transaction[State],
    agent: str,
    attempt: Attempt,
    reason: str,
    report: AttemptReport | None = None,
) -> Attempt | None:
    """Mark an attempt as interrupted; return it, or None if it was the last attempt."""
    if attempt.task:
        note_output(tx, tx.state.tasks.get(attempt.task), attempt, report)
        hand_back(tx, agent, attempt, reason)
    tx.record(
        SubscriptionInterrupted(
            subscriber=agent,
            event=attempt.event,
            attempt=attempt.number,
            reason=reason,
            due=tx.now,
            report=report,
        )
    )
    _bury(tx, agent, attempt, reason)
    return tx.state.subscriptions[agent].attempt(attempt.event)


def _bury(tx: Transaction[State], agent: str, attempt: Attempt, reason: str) -> None:
    """Make the event a dead letter if no attempt is left."""
    if attempt.number >= attempt.most and not attempt.task:
        tx.record(
            SubscriptionDied(
                subscriber=agent,
                event=attempt.event,
                reason=reason,
                attempts=attempt.number,
                first=attempt.first,
            )
        )


def _find_letter(state: State, number: int) -> DeadLetter:
    letter = state.subscriptions.dead_letters.get(number)
    if letter is None:
        raise NotFound(
            f"There is no dead letter {number}",
            code="letter_not_found",
            hint="`events dead` lists them.",
        )
    return letter
