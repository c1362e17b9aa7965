"""A board of many years: the cost of a command depends on the open tasks, not on the ended ones."""

import os
from collections.abc import Iterable, Iterator
from functools import partial

from benchmarks.boards import (
    RESULT,
    STREAMS,
    Boards,
    Fact,
    Writer,
    added,
    snapshot_of,
    streams,
    task_id,
)
from benchmarks.measure import Figure, interleave, ms, output, process, ratio
from orchestrator.domain.tasks.events import TaskImported
from orchestrator.domain.tasks.records import Task

OPEN = 1000
_LIMIT = 1500.0
_NEXT = ["t", "next", STREAMS[0], "--agent", "agent-1"]

_SAVE = """
import sys
from orchestrator import Orchestrator
Orchestrator.open(sys.argv[1]).engine.save()
"""

_PEAK = """
import os, runpy
end = os._exit
def ended(status):
    with open("/proc/self/status") as file:
        peak = next(line.split()[1] for line in file if line.startswith("VmHWM"))
    os.write(1, f"\\n{peak}\\n".encode())
    end(status)
os._exit = ended
runpy.run_path("cli.py", run_name="__main__")
"""
"""Runs the command line, and prints its peak memory by the kernel's own count."""


def history(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Open tasks with and without ten years of ended ones."""
    old, new = _board(boards, boards.many), _board(boards, 0)
    files = os.listdir(f"{old}/state/cold")
    size = sum(os.path.getsize(f"{old}/state/cold/{name}") for name in files)
    parts = f"state.json {os.path.getsize(snapshot_of(old)) / 1e6:.1f} MB, {len(files)} cold files"
    what = f"with {OPEN:,} open and {boards.many:,} ended tasks, against no ended ones"
    rounds = 5 if quick else 15
    for named, command, bare_command in (
        ("`t next`", _NEXT, _NEXT),
        ("`t show` of seven digits", _show(boards.many), _show(0)),
    ):
        long, short = interleave(
            rounds,
            partial(process, ["cli.py", *command], old),
            partial(process, ["cli.py", *bare_command], new),
        )
        walls, bare = [run.wall for run in long], [run.wall for run in short]
        yield Figure(
            name="history",
            what=f"{named} {what}: whole process",
            measured=ratio(walls, bare),
            bound=1.3,
            detail=f"{ms(walls)} against {ms(bare)}; {parts} of {size / 1e6:.0f} MB",
        )
    most, least = _peak(old), _peak(new)
    yield Figure(
        name="history",
        what=f"`t next` {what}: peak memory",
        measured=most / least,
        bound=1.2,
        detail=f"{most:.1f} MB against {least:.1f} MB",
    )


def million(boards: Boards, *, quick: bool) -> Iterator[Figure]:  # noqa: ARG001  one round in any case
    """The memory of a command on a board of a million open tasks."""
    board = boards.tasks(boards.many)
    peak = _peak(board)
    yield Figure(
        name="million",
        what=f"peak memory of `t next` with {boards.many:,} open tasks",
        measured=peak,
        bound=_LIMIT,
        unit=" MB",
        detail=f"state.json {os.path.getsize(snapshot_of(board)) / 1e6:.0f} MB",
    )


def _show(first: int) -> list[str]:
    """The command that shows an open task, named by seven of its eight digits."""
    return ["t", "show", task_id(first)[:7]]


def _peak(board: str) -> float:
    return int(output(["-c", _PEAK, *_NEXT], board).split()[-1]) * 1024 / 1e6


def _board(boards: Boards, number: int) -> str:
    """A board with open tasks, and so many ended ones that were added before them."""
    path = f"{boards.folder}/history-of-{number}"
    if not os.path.exists(path):
        writer = Writer(path, folds=False)
        writer.write(streams())
        writer.write(_ended(range(number)))
        writer.write(added(n) for n in range(number, number + OPEN))
        output(["-c", _SAVE, path])
    return path


def _ended(numbers: Iterable[int]) -> Iterator[Fact]:
    """Imported tasks that are done: each is one event instead of three."""
    at = "2026-01-05T08:00:00.000Z"
    for number in numbers:
        agent = f"agent-{number % 20}"
        yield (
            "system",
            TaskImported(
                record=Task(
                    id=task_id(number),
                    workstream=STREAMS[number % len(STREAMS)],
                    title=f"Task {number}: look into part {number % 97} and report",
                    description="Read what is there, compare it with the plan, and write down what differs.",
                    priority=number % 5 + 3,
                    needs=(task_id(number - 7),) if number % 10 == 9 else (),
                    status="done",
                    result=RESULT.format(number % 97),
                    assigned_to=agent,
                    token=number,
                    attempt=1,
                    workers=(agent,),
                    created_at=at,
                    created_by="system",
                    updated_at=at,
                    claimed_at=at,
                    ended_at=at,
                )
            ),
        )
