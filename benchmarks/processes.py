"""Whole processes: the cost of a call of the command line, and the memory of a large board."""

import os
from collections.abc import Iterator
from statistics import median
from time import perf_counter

from benchmarks import baselines
from benchmarks.boards import Boards, snapshot_of
from benchmarks.measure import Figure, Usage, interleave, ms, output, process, ratio

SMALL = 100
MUTATIONS = 50
NEXT = ["cli.py", "t", "next", "--agent", "agent-1"]

_PEAK = """
import sys
from orchestrator import Orchestrator
orc = Orchestrator.open(sys.argv[1], agent="agent-1")
for _ in range(int(sys.argv[2])):
    task = orc.tasks.next()
    orc.tasks.complete(task.id, result="It is as planned.")
if sys.argv[3] == "save":
    orc.engine.save()
with open("/proc/self/status") as file:
    print(next(line.split()[1] for line in file if line.startswith("VmHWM")))
"""
"""Peak memory by the kernel's own count: ``ru_maxrss`` of a child begins with that of its parent."""


def next_small(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Row 4."""
    board = boards.copy(boards.tasks(SMALL))
    quiet = [*NEXT, "--quiet"]
    process(quiet, board)
    line, page, bare = interleave(
        4 if quick else 9,
        lambda: process(quiet, board),
        lambda: process(NEXT, board),
        lambda: process(baselines.IMPORTS),
    )
    boards.drop(board)
    for what, bound in (("CPU", 0.9), ("wall", None)):
        mine, least = _taken(line, what), _taken(bare, what)
        yield Figure(
            name="next",
            what=f"`t next --quiet` at {SMALL} tasks, whole process: {what} against importing 3 packages",
            measured=ratio(mine, least),
            bound=bound,
            detail=f"{ms(mine)} against {ms(least)}",
        )
    without, complete = _taken(line, "CPU"), _taken(page, "CPU")
    yield Figure(
        name="next",
        what="what the brief adds to it: CPU",
        measured=(median(complete) - median(without)) * 1000,
        bound=15.0,
        unit="ms",
        detail=f"{ms(complete)} against {ms(without)}",
    )


def _taken(runs: list[Usage], what: str) -> list[float]:
    return [run.cpu if what == "CPU" else run.wall for run in runs]


def next_big(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Row 5: with an exact snapshot, and with the longest possible log after it."""
    rounds = 3 if quick else 5
    fresh = boards.copy(boards.tasks(boards.big))
    tailed = boards.copy(boards.tailed(boards.big))
    path = snapshot_of(boards.tasks(boards.big))
    ours, late, bare, typed = interleave(
        rounds,
        lambda: process(NEXT, fresh).wall,
        lambda: process(NEXT, tailed).wall,
        lambda: process([*baselines.DECODE, path]).wall,
        lambda: process([*baselines.DECODE_TYPED, path]).wall,
    )
    boards.drop(fresh)
    boards.drop(tailed)
    what = f"`t next` at {boards.big:,} tasks, whole process"
    lines = (
        ("against decoding its state.json", ours, bare, 1.5),
        ("against decoding it into records", ours, typed, None),
        ("before a snapshot is due, against decoding", late, bare, 1.5),
    )
    for against, mine, other, bound in lines:
        yield Figure(
            name="next-big",
            what=f"{what}, {against}",
            measured=ratio(mine, other),
            bound=bound,
            detail=f"{ms(mine)} against {ms(other)}",
        )


def memory(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Row 9: opened from its snapshot, then folded from its log."""
    board = boards.tasks(boards.big)
    yield _peak("opened, 50 mutations and a snapshot", boards, boards.copy(board), "save")
    if not quick:
        yield _peak("opened, 50 mutations", boards, boards.copy(board), "", bound=None)
    folded = boards.copy(board)
    os.unlink(snapshot_of(folded))
    yield _peak("folded from its log, the same", boards, folded, "save")


def _peak(how: str, boards: Boards, board: str, saving: str, bound: float | None = 300.0) -> Figure:
    start = perf_counter()
    kibibytes = int(output(["-c", _PEAK, board, str(MUTATIONS // 2), saving]))
    seconds = perf_counter() - start
    boards.drop(board)
    return Figure(
        name="memory",
        what=f"peak memory with {boards.big:,} tasks: {how}",
        measured=kibibytes * 1024 / 1e6,
        bound=bound,
        unit=" MB",
        detail=f"{seconds:.1f} s",
    )
