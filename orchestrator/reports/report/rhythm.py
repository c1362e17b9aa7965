"""When work on a board rests, such as at night: measured in its history, and left out of durations.

The forecast plays hours of work. A task that was claimed in the evening and done in the morning took the
hours in which the board was awake, and what is forecast ends when so many hours of work have passed.
"""

import math
from collections.abc import Iterable

import msgspec

from orchestrator.core.multimap import multimap

DAY = 86400.0

_SHORTEST = 3 * 3600.0
"""Seconds of a rest, at least."""

_CHANCE = 0.01
"""How likely a gap may be by chance that is taken for a rest."""

_WEEKS = 2
"""How often a day of the week was seen without work, at least, if it is a day of rest."""

_ACTIVE = 0.7
"""The share of the other days on which there was work, if a day of the week is a day of rest."""


class Rhythm(msgspec.Struct, frozen=True):
    """When work rests.

    Attributes:
        begins: When the daily rest begins, in seconds of the day (UTC).
        length: How long it lasts; 0: there is none.
        days: The days of the week without work, 0 is Monday. A day lasts from the end of one daily rest to
            the end of the next, and is named by the date (UTC) on which it begins.
    """

    begins: float = 0.0
    length: float = 0.0
    days: frozenset[int] = frozenset()

    def between(self, begin: float, end: float) -> float:
        """Return the seconds of work between two moments; 0 if the end is before the begin."""
        if end <= begin or not (self.length or self.days):
            return max(0.0, end - begin)
        return self._until(end) - self._until(begin)

    def after(self, begin: float, seconds: float) -> float:
        """Return the moment at which so many seconds of work have passed, the first one."""
        if seconds <= 0 or not (self.length or self.days):
            return begin + max(0.0, seconds)
        awake = DAY - self.length
        wanted = self._until(begin) + seconds
        weeks, left = divmod(wanted, awake * (7 - len(self.days)))
        if not left:
            weeks, left = weeks - 1, awake * (7 - len(self.days))
        day = weeks * 7
        while self._rests_on(day) or left > awake:
            left -= 0.0 if self._rests_on(day) else awake
            day += 1
        return self._origin + day * DAY + left

    @property
    def _origin(self) -> float:
        """The end of a daily rest: the first one of 1970."""
        return (self.begins + self.length) % DAY

    def _until(self, moment: float) -> float:
        """The seconds of work from the origin to a moment."""
        awake = DAY - self.length
        day, rest = divmod(moment - self._origin, DAY)
        weeks, days = divmod(day, 7)
        whole = sum(not self._rests_on(weeks * 7 + n) for n in range(int(days)))
        worked = 0.0 if self._rests_on(day) else min(rest, awake)
        return (weeks * (7 - len(self.days)) + whole) * awake + worked

    def _rests_on(self, day: float) -> bool:
        return int(day + 3) % 7 in self.days  # 1970 began on a Thursday


def rhythm_of(moments: Iterable[float], now: float) -> Rhythm:
    """Return the rhythm of moments at which work began or ended.

    The daily rest is the longest time of the day without any of them, if that is unlikely by chance and work
    went on after it at least once. Shorter rests, and those of some days only, are not known by this.
    """
    times = sorted(moments)
    daily = _daily_rest(times)
    if daily is None:
        return Rhythm()
    return msgspec.structs.replace(daily, days=_days_of_rest(times, daily, now))


def _daily_rest(times: list[float]) -> Rhythm | None:
    clock = sorted(moment % DAY for moment in times)
    if len(clock) < 2:
        return None
    gaps = [(b - a, a) for a, b in zip(clock, [*clock[1:], clock[0] + DAY], strict=True)]
    length, begins = max(gaps)
    # Work begins and ends in pairs, so half of the moments count (Stevens, "Solution to a geometrical
    # problem in probability", 1939: the longest gap of n points on a circle).
    count = len(times) / 2
    chance = count * (1 - length / DAY) ** (count - 1)
    nights = (times[-1] - begins - length) // DAY - math.ceil((times[0] - begins) / DAY) + 1
    if length < _SHORTEST or chance > _CHANCE or nights < 1:
        return None
    return Rhythm(begins, length)


def _days_of_rest(times: list[float], daily: Rhythm, now: float) -> frozenset[int]:
    origin = (daily.begins + daily.length) % DAY
    active = {int((moment - origin) // DAY) for moment in times}
    past = range(min(active), int((now - origin) // DAY))
    seen = multimap(((day + 3) % 7, day in active) for day in past)
    idle = {weekday for weekday, days in seen.items() if len(days) >= _WEEKS and not any(days)}
    others = [was for weekday, days in seen.items() if weekday not in idle for was in days]
    is_regular = bool(others) and sum(others) >= _ACTIVE * len(others)
    return frozenset(idle if is_regular and len(idle) < 7 else ())


def next_time(time_of_day: float, now: float) -> float:
    """Return the next moment with this time of the day, in seconds of the day (UTC)."""
    return now + (time_of_day - now) % DAY
