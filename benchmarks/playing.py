"""A simulated day of four agents: the tokens that they read."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.boards import Boards
from benchmarks.measure import Figure
from examples.day import TOKENS, count, play


def a_day(boards: Boards, *, quick: bool) -> Iterator[Figure]:  # noqa: ARG001  # it needs neither
    """The tokens that an agent reads for each task, and the longest wait although work was ready."""
    with tempfile.TemporaryDirectory(prefix="orc-day-") as folder:
        counted = count(play(Path(folder)))
    by_verb = ", ".join(
        f"{verb} {number} times {tokens / number:.0f}"
        for verb, (number, tokens) in counted.by_verb.items()
    )
    yield Figure(
        name="day",
        what=f"tokens that an agent reads for each of {counted.tasks} tasks",
        measured=counted.tokens,
        bound=TOKENS,
        unit="tokens",
        detail=f"{counted.calls:.1f} commands a task; {by_verb}",
    )
    yield Figure(
        name="day",
        what="answers that were untrue",
        measured=len(counted.untrue),
        bound=0,
    )
    yield Figure(
        name="day",
        what="the longest wait of an agent while there was work for it",
        measured=counted.idle,
        bound=1.0,
        unit="s",
    )
