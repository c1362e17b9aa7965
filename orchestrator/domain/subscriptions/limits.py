"""Pauses of agents: after failures in a row, and because of a budget."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from orchestrator.core import clock
from orchestrator.core.errors import Refused
from orchestrator.core.events import Recorded
from orchestrator.core.printable import amount
from orchestrator.domain.slices import Record
from orchestrator.domain.subscriptions.records import (
    AttemptReport,
    Rest,
    Subscriber,
    SubscriptionSlice,
    Usage,
)

TOLERATED = 2
"""How many attempts may fail in a row before the agent rests."""

LONGEST_BACK_OFF = 300.0
"""The most seconds between two attempts at an event."""

LONGEST_REST = 3600.0
"""The most seconds that an agent rests after failures in a row."""

HOUR, DAY = 3600.0, 86400.0
_MINUTE, _TEN_MINUTES = 16, 15  # characters of a timestamp
_SECONDS = {_MINUTE: 60.0, _TEN_MINUTES: 600.0}

N = TypeVar("N", int, float)


class Budget(Record, frozen=True, kw_only=True):
    """The limits of an agent's usage; None: no limit.

    Attributes:
        runs: Attempts per hour.
        tokens: Tokens per day, if the runtime reports them.
        cost: US dollars per day, if the runtime reports them.
    """

    runs: int | None = None
    tokens: int | None = None
    cost: float | None = None


NO_LIMITS = Budget()


class Pause(msgspec.Struct, frozen=True):
    """Why an agent is not started now, and until when."""

    code: str
    reason: str
    until: str


def pause_of(subscriber: Subscriber, budget: Budget, now: str) -> Pause | None:
    """The pause of an agent now; None if it may be started."""
    rest, usage = subscriber.rest, subscriber.usage
    pauses = []
    if rest is not None and rest.since <= now < rest.until:  # a clock that was set back ends it
        reason = f"its last {rest.failures} attempts failed, the last one because {rest.reason}"
        pauses.append(Pause("resting", reason, rest.until))
    limits: tuple[tuple[Mapping[str, float], float | None, int, float, str], ...] = (
        (usage.runs, budget.runs, _MINUTE, HOUR, f"{amount(budget.runs or 0, 'run')} an hour"),
        (usage.tokens, budget.tokens, _TEN_MINUTES, DAY, f"{budget.tokens or 0:,} tokens a day"),
        (usage.cost, budget.cost, _TEN_MINUTES, DAY, f"${budget.cost or 0:.2f} a day"),
    )
    for used, most, width, window, words in limits:
        if most is not None and (until := _until(used, most, width, window, now)):
            step = "minute" if width == _MINUTE else "ten minutes"
            reason = f"its budget of {words} is spent, counted by the {step}"
            pauses.append(Pause("budget", reason, until))
    return max(pauses, key=lambda pause: pause.until, default=None)


def check_may_start(subscriber: Subscriber, budget: Budget, now: str) -> None:
    """Refuse to start an agent that has to pause.

    Raises:
        Refused: ``resting`` or ``budget``.
    """
    if (pause := pause_of(subscriber, budget, now)) is not None:
        raise Refused(
            f"{subscriber.agent} is not started until {pause.until}: {pause.reason}",
            code=pause.code,
            until=pause.until,
        )


def chain_limit(
    slice: SubscriptionSlice, record: Recorded, root: int, deepest: int, longest: int
) -> str:
    """The reason why a limit prevents an event from starting an agent; empty if no limit does."""
    if record.cause is not None and record.cause.depth > deepest:
        return f"it is number {record.cause.depth} in a row of causes, and {deepest} are allowed"
    if slice.chains.get(root, 0) >= longest:
        return f"event {root} has led to {longest} attempts, and more are not allowed"
    return ""


def rounds_of(agent: str, record: Recorded, event: Callable[[int], Recorded]) -> int:
    """How often the chain of causes that led to an event has started an agent.

    Args:
        agent: The agent.
        record: The event.
        event: Reads an event by its id.
    """
    count = 0
    while record.cause is not None:
        count += record.agent == agent
        record = event(record.cause.event)
    return count


def rest_after(old: Rest | None, reason: str, now: str, until: str) -> Rest:
    """The rest of an agent after one more failure."""
    return Rest(failures=(old.failures if old else 0) + 1, reason=reason, since=now, until=until)


def rest_seconds(subscriber: Subscriber, back_off: float) -> float:
    """The seconds that an agent rests if an attempt fails now; 0 for no rest."""
    failures = (subscriber.rest.failures if subscriber.rest else 0) + 1
    return 0.0 if failures <= TOLERATED else doubled(back_off, failures, LONGEST_REST)


def doubled(seconds: float, number: int, most: float) -> float:
    """A time that doubles with each number from 1 on, up to a limit."""
    return min(seconds * 2.0 ** min(number - 1, 60), most)


def with_run(usage: Usage, now: str) -> Usage:
    """The usage with one more attempt."""
    return replace(usage, runs=_added(usage.runs, 1, _MINUTE, HOUR, now))


def with_report(usage: Usage, report: AttemptReport | None, now: str) -> Usage:
    """The usage with the report of an attempt."""
    tokens = report.input_tokens + report.output_tokens if report else 0
    cost = report.cost if report else 0.0
    if not tokens and not cost:
        return usage
    return replace(
        usage,
        tokens=_added(usage.tokens, tokens, _TEN_MINUTES, DAY, now),
        cost=_added(usage.cost, cost, _TEN_MINUTES, DAY, now),
    )


def _added(used: Mapping[str, N], more: N, width: int, window: float, now: str) -> dict[str, N]:
    """Add an amount to the usage within a window, and drop older usage."""
    kept = {key: n for key, n in used.items() if key >= _first(window, width, now)}
    if more:
        key = now[:width]
        kept[key] = kept[key] + more if key in kept else more
    return kept


def _until(used: Mapping[str, float], most: float, width: int, window: float, now: str) -> str:
    """The end of the pause if a limit is reached; else empty. Usage in the future does not count."""
    first, last = _first(window, width, now), now[:width]
    keys = sorted(key for key in used if first <= key <= last)
    left = sum(used[key] for key in keys)
    until = ""
    for key in keys:
        if left < most:
            break
        left -= used[key]
        start = f"{key}{'0000-01-01T00:00:00.000Z'[width:]}"
        until = clock.after(start, window + _SECONDS[width])
    return until


def _first(window: float, width: int, now: str) -> str:
    return clock.after(now, -window)[:width]
