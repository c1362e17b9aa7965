"""Parse moments: dates, times, names of days, and durations from now.

A date or a day means the whole day in the local zone; a time without a zone is local too.
"""

import re
from datetime import date, datetime, timedelta

from orchestrator.core import clock
from orchestrator.core.errors import UsageError

FORMS = 'Write 2026-12-01, 2026-12-01T09:00, 3d, "in 3 days", tomorrow or monday.'

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}


def moment(text: str, now: str, *, is_past: bool = False, is_end: bool = False) -> str:
    """Parse a moment to a timestamp.

    Args:
        text: The moment.
        now: The present timestamp.
        is_past: Durations count back from now, and ``monday`` is the last Monday, today included; else they
            count forward, and ``monday`` is the next Monday after today.
        is_end: A day means its last moment, else its first.

    Raises:
        UsageError: It is not a moment. A bare number is refused too.
    """
    words = " ".join(text.lower().split())
    if words == "now":
        return now
    if words.isdecimal():
        raise UsageError(f"{text!a} is a bare number and no moment", hint=_meant(words))
    try:
        day = _day(words, _local(now).date(), is_past=is_past)
        if day is not None:
            return _stamp(_bound(day, is_end=is_end))
        if seconds := _distance(words):
            return clock.after(now, -seconds if is_past or words.endswith(" ago") else seconds)
        return clock.check(_stamp(datetime.fromisoformat(text.strip())))
    except (ValueError, OverflowError, OSError, UsageError):
        raise UsageError(f"{text!a} is not a moment", hint=FORMS) from None


def _day(words: str, today: date, *, is_past: bool) -> date | None:
    """The day that a date or a word means; None for other texts."""
    if words in _DAYS:
        return today + timedelta(_DAYS[words])
    name = words.removeprefix("next ").removeprefix("last ")
    matching = [i for i, day in enumerate(_WEEKDAYS) if name in (day, day[:3])]
    if matching:
        ahead = (matching[0] - today.weekday()) % 7
        return today + timedelta(ahead - 7 if is_past and ahead else ahead or (0 if is_past else 7))
    return date.fromisoformat(words) if re.fullmatch(r"\d{4}-\d\d-\d\d", words, re.ASCII) else None


def _distance(words: str) -> float | None:
    """The seconds of ``3d``, ``in 3 days``, ``2h ago``; None for a text that is not a duration."""
    length = words.removeprefix("in ").removesuffix(" ago").removesuffix(" from now")
    return clock.duration(length) if clock.is_duration(length) else None


def _bound(day: date, *, is_end: bool) -> datetime:
    """The first or the last millisecond of a day."""
    midnight = datetime(day.year, day.month, day.day)
    return midnight + timedelta(days=1, milliseconds=-1) if is_end else midnight


def _local(now: str) -> datetime:
    return datetime.fromtimestamp(clock.seconds(now))


def _stamp(local: datetime) -> str:
    return clock.timestamp(round(local.timestamp(), 3) + 0.0001)


def _meant(number: str) -> str:
    """The hint for a bare number: a date if the dashes are missing, else a duration."""
    if re.fullmatch(r"\d{8}", number, re.ASCII):
        try:
            return f"Write {date(int(number[:4]), int(number[4:6]), int(number[6:]))}."
        except ValueError:
            return FORMS
    return f"Write {number}d for days, {number}h for hours, or a date: 2026-12-01."
