"""The moments of a schedule: pure functions over ``every`` or ``cron`` of an agent file and times.

Times are whole milliseconds since 1970, as exact as those of the log.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING

import msgspec

from orchestrator.core.errors import NotFound

if TYPE_CHECKING:
    from cronsim import CronSim

_NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_DAY = 86_400_000
_WINDOWS = (_DAY // 24, _DAY, 32 * _DAY, 366 * _DAY, 9 * 366 * _DAY)
"""How far back to look for the newest moment, a longer way only if there is none in the shorter one."""


class Timetable(msgspec.Struct, frozen=True, kw_only=True):
    """When an agent is started: one of ``every`` (seconds) and ``cron``."""

    every: float = 0.0
    cron: str = ""
    timezone: str = ""

    @property
    def text(self) -> str:
        """The schedule as the log has it; empty if there is none."""
        return f"every {self.every:g}s" if self.every else f"{self.cron} {self.timezone}".strip()


def check_cron(text: str) -> str:
    """Check an expression of cron, as far as the extra ``runner`` is installed.

    Raises:
        ValueError: It is none, or no moment fits it.
    """
    words = " ".join(text.split())
    fields = _NAMED.get(words, words)
    if not re.fullmatch(r"[\w*,/#-]+( [\w*,/#-]+){4}", fields, re.ASCII):
        raise ValueError(f"{words!a} has not the five fields of cron: 0 7 * * 1-5")
    with suppress(NotFound):
        if next(_cron_moments(fields, datetime.now(UTC)), None) is None:
            raise ValueError(f"{words!a} is never due")
    return words


def check_zone(text: str) -> str:
    """Check the name of a time zone.

    Raises:
        ValueError: There is none of this name.
    """
    zone_of(text)
    return text


def zone_of(name: str) -> tzinfo:
    """The time zone of a name; that of the machine for an empty one.

    Raises:
        ValueError: There is none of this name.
    """
    if not name:
        try:
            from tzlocal import get_localzone
        except ModuleNotFoundError:
            raise missing_extra() from None
        return get_localzone()
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!a} is not a time zone, such as Europe/Berlin") from None


def moments(schedule: Timetable, since: int, after: int) -> Iterator[int]:
    """Yield the moments of a schedule after a time, in order.

    An hour that a time zone skips: what is due in it is due at its end. One that it repeats: what is due at a
    fixed time in it is due the first time only, as in Debian's cron.

    Args:
        schedule: The schedule.
        since: When it began; ``every`` counts from here.
        after: The time.

    Raises:
        NotFound: It needs the extra ``runner``.
    """
    if schedule.every:
        step = max(round(schedule.every * 1000), 1)
        moment = since + max((after - since) // step + 1, 1) * step
        while True:
            yield moment
            moment += step
    zone = zone_of(schedule.timezone)
    begin = datetime.fromtimestamp(after // 1000, zone)
    for due in _cron_moments(_NAMED.get(schedule.cron, schedule.cron), begin):
        moment = round(due.timestamp()) * 1000
        if moment > after:
            yield moment
            after = moment


def newest_moment(schedule: Timetable, since: int, last: int, now: int) -> int | None:
    """The newest moment after the last one and up to now: what was missed before it is not run.

    Args:
        schedule: The schedule.
        since: When it began.
        last: The newest moment that was run.
        now: The time.
    """
    if last >= now:
        return None
    if schedule.every:
        step = max(round(schedule.every * 1000), 1)
        moment = since + (now - since) // step * step
        return moment if moment > max(last, since) else None
    for window in _WINDOWS:
        newest = None
        after = max(last, now - window)
        for moment in moments(schedule, since, after):
            if moment > now:
                break
            newest = moment
        if newest is not None or after == last:
            return newest
    return None


def missing_extra() -> NotFound:
    """The error of what needs packages that are not installed."""
    return NotFound(
        "Schedules and the watching of files need packages that are not installed",
        code="extra_not_installed",
        hint="`pip install 'agent-orchestrator[runner]'` installs them.",
    )


def _cron_moments(expression: str, after: datetime) -> "CronSim":
    """The moments of cron.

    Raises:
        ValueError: It is not an expression of cron.
        NotFound: The library is not installed.
    """
    try:
        from cronsim import CronSim, CronSimError
    except ModuleNotFoundError:
        raise missing_extra() from None
    try:
        return CronSim(expression, after)
    except CronSimError as error:
        raise ValueError(f"{expression!a} is not an expression of cron: {error}") from None
