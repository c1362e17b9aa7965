"""Eight processes that take tasks from a board at the same time, compared with a single one."""

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.context import SpawnProcess
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from statistics import median
from time import perf_counter

import msgspec

from benchmarks.boards import Boards
from benchmarks.measure import Figure, interleave, ratio
from orchestrator import Orchestrator

RACERS = 8
TASKS = 10_000
"""More than can be taken in the time."""

Turns = tuple[int, float]
"""How many tasks a process took, and the longest that it waited for one."""


class Race(msgspec.Struct):
    """The result of a race: the tasks of each process in a given number of seconds."""

    racers: list[Turns]
    seconds: float

    @property
    def rate(self) -> float:
        """Tasks a second, all together."""
        return sum(turns for turns, _ in self.racers) / self.seconds

    @property
    def evenness(self) -> float:
        """The slowest process divided by the fastest."""
        return min(self.racers)[0] / max(self.racers)[0]

    @property
    def longest(self) -> float:
        """The longest wait of a process for a task."""
        return max(wait for _, wait in self.racers)


def _take(
    board: str,
    agent: str,
    seconds: float,
    start: Barrier,
    results: "Queue[Turns]",
    prepare: Callable[[], None] | None,
) -> None:
    try:
        if prepare is not None:
            prepare()
        orc = Orchestrator.open(board, agent=agent)
        orc.status()
    except BaseException:
        start.abort()  # else the others wait for this process
        raise
    start.wait()
    results.put(_turns(orc, seconds))


def _turns(orc: Orchestrator, seconds: float) -> Turns:
    turns, longest = 0, 0.0
    before = perf_counter()
    end = before + seconds
    while before < end:
        if orc.tasks.next() is None:
            raise RuntimeError("the board ran out of tasks before the race was over")
        after = perf_counter()
        turns, longest, before = turns + 1, max(longest, after - before), after
    return turns, longest


def race_on_copy(boards: Boards, processes: int, seconds: float) -> Race:
    """Let processes race on a new board of files."""
    board = boards.copy(boards.tasks(TASKS))
    result = race(board, processes, seconds)
    boards.drop(board)
    return result


def race(
    board: str, processes: int, seconds: float, prepare: Callable[[], None] | None = None
) -> Race:
    """Let a number of processes take tasks for some seconds; each of them calls ``prepare`` first."""
    fresh = multiprocessing.get_context("spawn")
    start, results = fresh.Barrier(processes), fresh.Queue()
    racers = [
        fresh.Process(target=_take, args=(board, f"agent-{n}", seconds, start, results, prepare))
        for n in range(processes)
    ]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(timeout=60 + seconds)
        if racer.exitcode != 0:
            raise _broken(racers)
    turns = [results.get() for _ in racers]
    return Race(turns, seconds)


def _broken(racers: list[SpawnProcess]) -> RuntimeError:
    """End all processes after one has failed."""
    for racer in racers:
        racer.kill()
    return RuntimeError("a process fell out of the race; its own words are above")


def racing(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Row 3: total, evenness and longest wait."""
    seconds = 1.0 if quick else 2.0
    alone, together = interleave(
        1 if quick else 4,
        lambda: race_on_copy(boards, 1, 0.8),
        lambda: race_on_copy(boards, RACERS, seconds),
    )
    most = max(run.racers for run in together)
    yield Figure(
        name="race",
        what=f"{RACERS} processes racing `next`: their total against one alone",
        measured=ratio((run.rate for run in together), (run.rate for run in alone)),
        bound=0.5,
        at_least=True,
        detail=f"{median(run.rate for run in together):.0f}/s"
        f" against {median(run.rate for run in alone):.0f}/s",
    )
    yield Figure(
        name="race",
        what=f"{RACERS} processes racing `next`: the slowest against the fastest",
        measured=median(run.evenness for run in together),
        bound=0.5,
        at_least=True,
        detail=f"{min(most)[0]} against {max(most)[0]} turns",
    )
    yield Figure(
        name="race",
        what=f"{RACERS} processes racing `next`: the longest wait",
        measured=max(run.longest for run in together),
        bound=1.0,
        unit=" s",
        detail=f"alone {1000 * max(run.longest for run in alone):.0f} ms",
    )
