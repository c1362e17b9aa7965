"""Throughput, work in progress and burn-up over time, in steps of a readable length."""

from collections.abc import Iterable

from orchestrator.core import clock
from orchestrator.domain.tasks.records import ENDED
from orchestrator.reports.report.lives import Life
from orchestrator.reports.report.records import Interval, TimeLine

MOST = 60
"""The most steps of a chart."""

_DAY, _WEEK = 86400, 7 * 86400
_UNITS = (
    ("minute", 60),
    ("10 minutes", 600),
    ("hour", 3600),
    ("6 hours", 6 * 3600),
    ("day", _DAY),
    ("week", _WEEK),
)
_MONDAY = 4 * _DAY
"""The first Monday of 1970."""


def time_line(lives: Iterable[Life], since: float, until: float) -> TimeLine:
    """Count the tasks of each step: added, ended, in work, wanted and done."""
    unit, step = _unit(until - since)
    offset = _MONDAY if step % _WEEK == 0 else 0
    first = (since - offset) // step * step + offset
    count = max(1, int((until - first) // step) + 1)
    counts = _Counts(first, step, count, since, until)
    for life in lives:
        counts.note(life)
    return TimeLine(unit=unit, seconds=step, steps=counts.steps())


def _unit(length: float) -> tuple[str, int]:
    """The shortest unit that does not divide the time into too many parts."""
    for unit, step in _UNITS:
        if length <= (MOST - 1) * step:
            return unit, step
    weeks = int(length // ((MOST - 1) * _WEEK)) + 1
    return f"{weeks} weeks", weeks * _WEEK


class _Counts:
    """The numbers of each step."""

    def __init__(self, first: float, step: int, count: int, since: float, until: float) -> None:
        self._first, self._step, self._count = first, step, count
        self._since, self._until = since, until
        self._ended = {status: [0] * count for status in ("added", *ENDED)}
        self._busy = {status: [0.0] * count for status in ("in_progress", "in_review")}
        # Earlier events are in the slot before the first step.
        self._wanted = [0] * (count + 1)
        self._done = [0] * (count + 1)

    def note(self, life: Life) -> None:
        """Count a task."""
        if self._is_within(life.added):
            self._ended["added"][self._place(life.added)] += 1
        last = life.last
        if last.status in ENDED and self._is_within(last.moment):
            self._ended[last.status][self._place(last.moment)] += 1
        was_wanted = was_done = False
        for change, end in life.spans(self._until):
            wanted, done = change.status != "cancelled", change.status == "done"
            place = 0 if change.moment < self._since else self._place(change.moment) + 1
            self._wanted[place] += wanted - was_wanted
            self._done[place] += done - was_done
            was_wanted, was_done = wanted, done
            if change.status in self._busy:
                self._spend(self._busy[change.status], change.moment, end)

    def _is_within(self, moment: float) -> bool:
        return self._since <= moment <= self._until

    def _place(self, moment: float) -> int:
        return min(self._count - 1, max(0, int((moment - self._first) // self._step)))

    def _spend(self, busy: list[float], begin: float, end: float) -> None:
        """Add a period to the steps that it overlaps."""
        begin, end = max(begin, self._since), min(end, self._until)
        if begin >= end:
            return
        for place in range(self._place(begin), self._place(end) + 1):
            start = self._first + place * self._step
            busy[place] += max(0.0, min(end, start + self._step) - max(begin, start))

    def steps(self) -> list[Interval]:
        """The steps, oldest first."""
        wanted, done = self._wanted[0], self._done[0]
        steps = []
        for place in range(self._count):
            wanted += self._wanted[place + 1]
            done += self._done[place + 1]
            begins = self._first + place * self._step
            length = min(begins + self._step, self._until) - max(begins, self._since)
            average = {
                status: round(busy[place] / length, 3) if length > 0 else 0.0
                for status, busy in self._busy.items()
            }
            steps.append(
                Interval(
                    begins=clock.timestamp(begins),
                    added=self._ended["added"][place],
                    completed=self._ended["done"][place],
                    failed=self._ended["failed"][place],
                    cancelled=self._ended["cancelled"][place],
                    scope=wanted,
                    done=done,
                    **average,
                )
            )
        return steps
