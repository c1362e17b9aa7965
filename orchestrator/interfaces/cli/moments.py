"""Times as a reader at a terminal, of a file or of a pipe wants them."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.core import clock
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli.layout import is_terminal
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from orchestrator.core.events import Recorded

_RECENT = 3600.0
"""Seconds within which a terminal shows how long ago it was."""


def shown_time(moment: str, now: str, *, utc: bool = False) -> str:
    """A timestamp for people: in the local zone, and on a terminal ``2 min ago`` if it is that close.

    Args:
        moment: The timestamp.
        now: The present one.
        utc: Leave the timestamp as it stands in the log.
    """
    if utc:
        return moment
    ago = clock.seconds(now) - clock.seconds(moment)
    if is_terminal() and 0 <= ago < _RECENT:
        return f"{int(ago // 60)} min ago"
    return clock.local_time(moment, now)


def sentence_line(run: Run, *, utc: bool = False, subject: str = "") -> "Callable[[Recorded], str]":
    """Return what writes an event as ``06:38 dan completed 72e4c01d Write the conventions``.

    Args:
        run: The run, for its board.
        utc: Exact times.
        subject: The task that the events are about; its name is not repeated then.
    """
    from orchestrator.reports.sentences import Sentences

    def time(moment: str) -> str:
        return shown_time(moment, run.orc.engine.now(), utc=utc)

    sentences = Sentences(run.orc.engine, time, subject=subject)
    return lambda event: escape(f"{time(event.ts)} {event.agent} {sentences.of(event)}")
