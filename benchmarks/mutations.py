"""Durable commands inside a process: compared with a minimal log, and on a large and a small board."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

from benchmarks.baselines import BareLog
from benchmarks.boards import STREAMS, Boards, size, snapshot_of
from benchmarks.measure import Figure, lap, ms, ratio
from orchestrator import Orchestrator
from orchestrator.domain.tasks.records import Task
from orchestrator.snapshot_schedule import TAIL

SMALL = 100
VERBS = ("add", "next", "complete", "lock+release")
MUTATIONS = {"add": 1, "next": 1, "complete": 1, "lock+release": 2}
"""How many mutations, and so how many bare ones, each verb is."""

Laps = dict[str, list[float]]
"""For each verb, what it took each time."""


class Worker:
    """An agent on a board; each method is a command, and ``tidy`` restores the size of the board."""

    def __init__(self, board: str) -> None:
        self.board = board
        self.orc = Orchestrator.open(board, agent="agent-1")
        self._task: Task | None = None
        self.verbs: dict[str, Callable[[], object]] = {
            "add": self.add,
            "next": self.next,
            "complete": self.complete,
            "lock+release": self.lock_and_release,
        }

    def add(self) -> None:
        self.orc.tasks.add(
            STREAMS[0],
            title="Look into one more part and report",
            description="Read what is there, compare it with the plan, write down what differs.",
            priority=4,
        )

    def next(self) -> None:
        self._task = self.orc.tasks.next(STREAMS[0])

    def complete(self) -> None:
        assert self._task is not None
        self.orc.tasks.complete(self._task.id, result="It is as planned.")

    def lock_and_release(self) -> None:
        self.orc.locks.acquire("git", ttl=60)
        self.orc.locks.release("git")

    def tidy(self) -> None:
        assert self._task is not None
        self.orc.tasks.archive([self._task.id])

    def lengths(self) -> dict[str, int]:
        """Call each command once; return how many bytes it adds to the log."""
        grown = {}
        for verb, run in self.verbs.items():
            before = size(self.board)
            run()
            grown[verb] = size(self.board) - before
        self.tidy()
        return grown


class Bare:
    """The minimal log with the same appends of the same sizes as a command."""

    def __init__(self, folder: str, lengths: dict[str, int]) -> None:
        self.log = BareLog(folder)
        self._lines = {
            verb: [b"x" * (length // MUTATIONS[verb] - 1) + b"\n"] * MUTATIONS[verb]
            for verb, length in lengths.items()
        }

    def run(self, verb: str) -> None:
        for line in self._lines[verb]:
            self.log.append(line)


def against_bare(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Row 1: commands and minimal appends in turns; a new board for every group keeps it at 100 tasks."""
    ours: Laps = {verb: [] for verb in VERBS}
    bare: Laps = {verb: [] for verb in VERBS}
    for _ in range(3 if quick else 8):
        board = boards.copy(boards.tasks(SMALL))
        worker = Worker(board)
        floor = Bare(f"{board}/bare", worker.lengths())
        mine, least = _group(worker, floor, 50 if quick else 100)
        for verb in VERBS:
            ours[verb].append(mine[verb])
            bare[verb].append(least[verb])
        floor.log.close()
        worker.orc.close()
        boards.drop(board)
    for verb in VERBS:
        yield Figure(
            name="mutation",
            what=f"durable {verb} at {SMALL} tasks: rate against a bare locked append",
            measured=ratio(bare[verb], ours[verb]),
            bound=0.5,
            at_least=True,
            detail=f"{ms(ours[verb])} against {ms(bare[verb])}",
        )


def _group(worker: Worker, floor: Bare, rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """The mean time of each command, and of its minimal appends."""
    mine, least = dict.fromkeys(VERBS, 0.0), dict.fromkeys(VERBS, 0.0)
    for _ in range(rounds):
        for verb in VERBS:
            mine[verb] += lap(worker.verbs[verb]) / rounds
            least[verb] += lap(partial(floor.run, verb)) / rounds
        worker.tidy()
    return mine, least


def at_size(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Row 2: the same commands on a small and a large board in turns, then with their part of snapshots."""
    small = Worker(boards.copy(boards.tasks(SMALL)))
    big = Worker(boards.copy(boards.tasks(boards.big)))
    lengths = big.lengths()
    small.lengths()
    laps = [_in_turns(small, big, 20) for _ in range(5 if quick else 20)]
    for verb in VERBS:
        mine, theirs = ([pair[side][verb] for pair in laps] for side in (1, 0))
        yield _at_size(verb, mine, theirs, boards.big)
    yield _with_snapshot(big, laps, lengths, boards.big)
    for worker in (small, big):
        worker.orc.close()
        boards.drop(worker.board)


def _in_turns(small: Worker, big: Worker, rounds: int) -> list[dict[str, float]]:
    means = [dict.fromkeys(VERBS, 0.0), dict.fromkeys(VERBS, 0.0)]
    for _ in range(rounds):
        for verb in VERBS:
            for worker, mean in zip((small, big), means, strict=True):
                mean[verb] += lap(worker.verbs[verb]) / rounds
        small.tidy()
        big.tidy()
    return means


def _at_size(verb: str, big: list[float], small: list[float], tasks: int) -> Figure:
    return Figure(
        name="size",
        what=f"durable {verb} at {tasks:,} tasks: rate against its own at {SMALL}",
        measured=ratio(small, big),
        bound=0.8,
        at_least=True,
        detail=f"{ms(big)} against {ms(small)}",
    )


def _with_snapshot(
    big: Worker, laps: list[list[dict[str, float]]], lengths: dict[str, int], tasks: int
) -> Figure:
    """All commands together, each with its average part of the snapshots."""
    saving = median(lap(big.orc.engine.save) for _ in range(3))
    mean_line = sum(lengths.values()) / sum(MUTATIONS.values())
    until_due = os.path.getsize(snapshot_of(big.board)) * TAIL / mean_line
    share = saving / until_due * sum(MUTATIONS.values())
    theirs = [sum(pair[0].values()) for pair in laps]
    mine = [sum(pair[1].values()) + share for pair in laps]
    figure = _at_size("mutation with its share of the snapshot", mine, theirs, tasks)
    figure.detail = f"a snapshot of {1000 * saving:.0f} ms every {until_due:,.0f} mutations"
    return figure
