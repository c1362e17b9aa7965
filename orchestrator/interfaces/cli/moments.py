"""Events as sentences, with times for a terminal, a file or a pipe."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.core.printable import escape
from orchestrator.interfaces.cli.layout import shown_time

if TYPE_CHECKING:
    from orchestrator import Orchestrator
    from orchestrator.core.events import Recorded


def sentence_line(orc: "Orchestrator", *, subject: str = "") -> "Callable[[Recorded], str]":
    """Return what writes an event as ``06:38 dan completed 72e4c01d Write the conventions``.

    Args:
        orc: The board.
        subject: The task that all events concern; its name is not repeated.
    """
    from orchestrator.reports.sentences import Sentences

    def time(moment: str) -> str:
        return shown_time(moment, orc.engine.now())

    sentences = Sentences(orc.engine, time, subject=subject)
    return lambda event: escape(f"{time(event.ts)} {event.agent} {sentences.of(event)}")
