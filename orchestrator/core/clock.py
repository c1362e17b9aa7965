"""Times as text and durations as seconds.

A time is UTC in ISO 8601 with milliseconds: ``2026-11-21T06:13:00.123Z``. All have the same width, so their
texts sort like the times, and comparing needs no parsing.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from orchestrator.core.errors import UsageError

Clock = Callable[[], float]
"""Returns seconds since 1970; ``time.time``, except in tests."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SPELLED = {
    "ms": "ms millisecond milliseconds",
    "s": "s sec secs second seconds",
    "m": "m min mins minute minutes",
    "h": "h hr hrs hour hours",
    "d": "d day days",
    "w": "w week weeks",
}
_WORDS = {word: unit for unit, words in _SPELLED.items() for word in words.split()}
_PART = r"([0-9]+(?:\.[0-9]+)?) ?([a-z]+) ?"
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_TIMESTAMP = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z"
_LONGEST = 100 * 365 * 86400.0


def timestamp(seconds: float) -> str:
    """The time ``seconds`` after 1970 as text."""
    milliseconds = int(seconds * 1000)
    whole, rest = divmod(milliseconds, 1000)
    t = time.gmtime(whole)
    return (
        f"{t.tm_year:04}-{t.tm_mon:02}-{t.tm_mday:02}T"
        f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}.{rest:03}Z"
    )


def seconds(text: str) -> float:
    """Seconds since 1970 of a timestamp; the inverse of :func:`timestamp`.

    Raises:
        UsageError: The text is not an ISO 8601 time.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{text!r} is not a time", hint="Write it as 2026-11-21T06:13:00Z."
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def between(begin: str, end: str) -> float:
    """Seconds from one timestamp to another; below 0 if the second one is earlier."""
    return round(seconds(end) - seconds(begin), 3)


def check(text: str) -> str:
    """Return the text if it has exactly the form that :func:`timestamp` writes.

    Raises:
        UsageError: It has another form.
    """
    if not re.fullmatch(_TIMESTAMP, text):
        raise UsageError(
            f"{text!a} is not a timestamp", hint="Write it as 2026-11-21T06:13:00.000Z."
        )
    return text


def after(text: str, duration: float) -> str:
    """The timestamp ``duration`` seconds after another."""
    return timestamp(round(seconds(text) + duration, 3) + 0.0001)


_are_exact: ContextVar[bool] = ContextVar("_are_exact", default=False)


@contextmanager
def exact_times(wanted: bool) -> Iterator[None]:
    """Texts for people that are made inside have times as they stand in the log, if that is wanted."""
    before = _are_exact.set(wanted or are_exact())
    try:
        yield
    finally:
        _are_exact.reset(before)


def are_exact() -> bool:
    """Whether times in texts for people are those of the log; see :func:`exact_times`."""
    return _are_exact.get()


def local_time(moment: str, now: str = "") -> str:
    """A timestamp for people, in the local zone: ``06:38``, or ``2026-11-24 06:38`` if that is not today.

    What is stored, and so read on other days, has the timestamp itself.
    """
    if are_exact():
        return moment
    there = time.localtime(seconds(moment))
    is_today = now and time.localtime(seconds(now))[:3] == there[:3]
    return time.strftime("%H:%M" if is_today else "%Y-%m-%d %H:%M", there)


def duration(text: str | float) -> float:
    """Seconds of ``30m``, ``1.5h``, ``250ms``, ``5 min``, ``1h30m``, ``3 days`` or a bare number of seconds.

    Raises:
        UsageError: The text has another form, or is longer than a hundred years.
    """
    if isinstance(text, (int, float)):
        value = float(text)
    else:
        words = text.strip().lower()
        if re.fullmatch(_NUMBER, words):
            value = float(words)
        elif is_duration(words):
            value = sum(float(n) * _UNITS[_WORDS[unit]] for n, unit in re.findall(_PART, words))
        else:
            raise UsageError(
                f"{text!r} is not a duration", hint="Write a number and ms, s, m, h, d or w: 30m."
            )
    if not 0 <= value <= _LONGEST:
        raise UsageError(
            f"{text!r} is out of range", hint="A duration is between 0 and a hundred years."
        )
    return value


def is_duration(words: str) -> bool:
    """Whether a lower-case text is a duration with units."""
    has_form = re.fullmatch(f"(?:{_PART})+", words) is not None
    return has_form and all(unit in _WORDS for _, unit in re.findall(_PART, words))


def spoken(duration: float, units: int = 2) -> str:
    """A duration for people, by its largest units: ``90`` is ``1m30s``, ``93784`` is ``1d2h``."""
    whole, parts = int(duration), list[str]()
    for unit in ("d", "h", "m", "s"):
        number, whole = divmod(whole, int(_UNITS[unit]))
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts[:units]) or "0s"
