"""The list of figures in the order of the table, and how the table is printed and stored."""

import math
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec

from benchmarks import (
    databases,
    delivering,
    formulas,
    graph,
    growing,
    indexing,
    mailing,
    merging,
    mutations,
    page,
    past,
    playing,
    processes,
    racing,
    reading,
    reporting,
    searching,
    serving,
    starting,
    web,
    worktrees,
)
from benchmarks.boards import Boards
from benchmarks.measure import Figure


class Measurement(Protocol):
    """Measures one row of the table; a row may have several lines."""

    def __call__(self, boards: Boards, *, quick: bool) -> Iterator[Figure]: ...


ALL: dict[str, Measurement] = {
    "mutation": mutations.against_bare,
    "size": mutations.at_size,
    "race": racing.racing,
    "next": processes.next_small,
    "next-big": processes.next_big,
    "open": reading.opening,
    "fold": reading.folding,
    "past": past.segments,
    "last": reading.last_events,
    "memory": processes.memory,
    "history": growing.history,
    "million": growing.million,
    "mail": mailing.delivery,
    "push": delivering.pushing,
    "messages": delivering.flowing,
    "dependants": graph.completing,
    "ready": graph.finding_ready,
    "twin": graph.naming_a_twin,
    "formulas": formulas.pouring,
    "advance": formulas.advancing,
    "hanoi": formulas.hanoi,
    "day": playing.a_day,
    "report": reporting.reporting,
    "index-build": indexing.building,
    "index-follow": indexing.following,
    "search": searching.searching,
    "react": starting.reacting,
    "queue": starting.working_a_queue,
    "idle": starting.idling,
    "merge": merging.queueing,
    "serve-start": serving.starting,
    "serve-call": serving.calling,
    "web": web.answering,
    "web-follow": web.following,
    "page": page.showing,
    "worktree-add": worktrees.adding,
    "database": databases.mutating,
    "database-race": databases.racing,
    "database-wake": databases.waking,
    "database-writers": databases.writing,
    "database-replica": databases.replicating,
}


class Report(msgspec.Struct):
    """The stored result of a run; ``load`` is the load average before and after it.

    Other work on the machine affects the race most: its processes then wait for a core, not for the lock.
    """

    when: str
    machine: dict[str, str | int]
    load: tuple[float, float]
    quick: bool
    figures: list[Figure]
    verdicts: dict[str, int]


def measure(
    names: Sequence[str], boards: Boards, *, quick: bool, tell: Callable[[str], None]
) -> Iterator[Figure]:
    """Measure the named rows and show progress; an error in a row does not end the run."""
    for name in names:
        tell(f"measuring {name} ...")
        try:
            yield from ALL[name](boards, quick=quick)
        except Exception:  # noqa: BLE001  # whatever broke, the other rows are worth having
            print(traceback.format_exc(), file=sys.stderr)
            yield Figure(name=name, what=f"{name}: could not be measured", measured=math.nan)


def table(figures: Sequence[Figure]) -> str:
    """The figures, aligned."""
    rows = [
        (
            figure.what,
            _number(figure.measured, figure.unit),
            _bound(figure),
            figure.verdict,
            figure.detail,
        )
        for figure in figures
    ]
    rows.insert(0, ("figure", "measured", "bound", "", "absolute"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        f"{what:<{widths[0]}}  {measured:>{widths[1]}}  {bound:>{widths[2]}}"
        f"  {verdict:<{widths[3]}}  {detail}".rstrip()
        for what, measured, bound, verdict, detail in rows
    )


def _number(value: float, unit: str) -> str:
    return f"{value:.0f}{unit}" if value >= 100 else f"{value:.2f}{unit}"


def _bound(figure: Figure) -> str:
    if figure.bound is None:
        return ""
    return f"{'>=' if figure.at_least else '<='} {figure.bound:g}{figure.unit}"


def report(figures: Sequence[Figure], load: tuple[float, float], *, quick: bool) -> bytes:
    """The run as JSON."""
    verdicts = [figure.verdict for figure in figures]
    document = Report(
        when=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        machine={
            "cores": os.cpu_count() or 0,
            "machine": platform.machine(),
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        load=load,
        quick=quick,
        figures=list(figures),
        verdicts={word: verdicts.count(word) for word in ("ok", "missed")},
    )
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
