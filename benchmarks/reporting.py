"""A report of a large board with half of its tasks ended, compared with folding its log."""

import os
from collections.abc import Iterator

from benchmarks.boards import Boards, Fact, added, finished, snapshot_of, streams
from benchmarks.measure import Figure, heavy_lap, interleave, ms, ratio
from orchestrator import Orchestrator
from orchestrator.domain.state import State
from orchestrator.reports.report.records import BoardReport


def reporting(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """A report and folding the log, compared with folding alone."""
    board = boards.graph(f"report-{boards.big}", _half_done(boards.big))
    os.replace(snapshot_of(board), f"{board}/state.json")
    ours, fold = interleave(
        1 if quick else 3,
        lambda: heavy_lap(lambda: _report(board)),
        lambda: heavy_lap(lambda: _state(board)),
    )
    os.replace(f"{board}/state.json", snapshot_of(board))
    yield Figure(
        name="report",
        what=f"report of a board of {boards.big:,} tasks, half of them open, against folding its log",
        measured=ratio(ours, fold),
        bound=10.0,
        detail=f"{ms(ours)} against {ms(fold)}",
    )


def _half_done(tasks: int) -> Iterator[Fact]:
    yield from streams()
    for number in range(tasks):
        yield added(number)
    for number in range(tasks // 2):
        yield from finished(number)


def _state(board: str) -> State:
    return Orchestrator.open(board).engine.read()


def _report(board: str) -> BoardReport:
    return Orchestrator.open(board).report()
