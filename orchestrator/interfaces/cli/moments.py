"""Times for people: the local time of day, the date where it was another day, and how long ago it was."""

import time

from orchestrator.core import clock
from orchestrator.interfaces.cli.layout import is_terminal

_RECENT = 3600.0
"""Seconds within which a terminal shows how long ago it was."""


def shown_time(moment: str, now: str, *, utc: bool = False) -> str:
    """A timestamp as people read it: ``06:38``, ``2026-11-24 06:38``, and on a terminal ``2 min ago``.

    Args:
        moment: The timestamp.
        now: The present one.
        utc: The timestamp as it stands in the log.
    """
    if utc:
        return moment
    ago = clock.seconds(now) - clock.seconds(moment)
    if is_terminal() and 0 <= ago < _RECENT:
        return f"{int(ago // 60)} min ago"
    there, here = (time.localtime(clock.seconds(text)) for text in (moment, now))
    return time.strftime("%H:%M" if there[:3] == here[:3] else "%Y-%m-%d %H:%M", there)
