"""The cost of cooking, pouring and working a workflow, compared with plain tasks and by size."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from statistics import median
from time import perf_counter

from benchmarks.boards import Boards
from benchmarks.measure import ROOT, Figure, environment, heavy_lap, interleave, lap, ms, ratio
from orchestrator import Orchestrator
from orchestrator.core.errors import Refused
from orchestrator.domain.workflows.compiled import CompiledFormula, CompiledStep
from orchestrator.stores.memory import MemoryStore

STEPS = 1000
"""Steps of the formula that is cooked and poured."""

SMALL = 100
"""Steps of the workflow that a big one is held against."""


def pouring(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Cooking and pouring a chain of steps, against adding as many tasks in one transaction."""
    rounds = 3 if quick else 7
    with tempfile.TemporaryDirectory(dir=boards.folder) as folder:
        ours, theirs = interleave(rounds, lambda: _cook_and_pour(folder), lambda: _add(folder))
    yield Figure(
        name="formulas",
        what=f"cook and pour a formula of {STEPS:,} steps, against adding {STEPS:,} tasks in one transaction",
        measured=ratio(ours, theirs),
        bound=10.0,
        detail=f"{ms(ours)} against {ms(theirs)}",
    )


def _cook_and_pour(folder: str) -> float:
    board = os.path.join(folder, "poured")
    os.makedirs(f"{board}/state", exist_ok=True)
    os.makedirs(f"{board}/formulas", exist_ok=True)
    with open(f"{board}/formulas/chain.formula.toml", "w", encoding="utf-8") as file:
        file.write('[vars]\nname = "x"\n')
        for number in range(STEPS):
            needs = f'needs = ["s{number - 1}"]\n' if number else ""
            file.write(f'[[steps]]\nid = "s{number}"\ntitle = "{_TITLE}"\n{needs}')
    with Orchestrator.open(board) as orc:
        orc.workstreams.create(f"build-{perf_counter()}")
        return heavy_lap(lambda: orc.workflows.pour(orc.formulas.cook("chain")))


def _add(folder: str) -> float:
    with Orchestrator.open(os.path.join(folder, "added")) as orc:
        stream = f"build-{perf_counter()}"
        orc.workstreams.create(stream)

        def add() -> None:
            with orc.transaction():
                for _ in range(STEPS):
                    orc.tasks.add(stream, title=_TITLE)

        return heavy_lap(add)


_TITLE = "Look into one more part of {{name}} and report"


def advancing(boards: Boards, *, quick: bool) -> Iterator[Figure]:  # noqa: ARG001 -- as all are called
    """Completing a step and claiming the next one, in a workflow of thousands against one of a hundred."""
    big = 1000 if quick else 8000
    rounds = 50 if quick else 90
    sides = [_Worker(steps) for steps in (big, SMALL)]
    ours, theirs = interleave(rounds, *(side.advance for side in sides))
    yield Figure(
        name="advance",
        what=f"complete a step and claim the next, in a workflow of {big:,} steps against {SMALL}",
        measured=ratio(ours, theirs),
        bound=1.5,
        detail=f"{ms(ours)} against {ms(theirs)} in memory, median {1e6 * median(ours):.0f} µs",
    )


class _Worker:
    """An agent in the middle of a workflow."""

    def __init__(self, steps: int) -> None:
        self._orc = Orchestrator(MemoryStore(), agent="ann")
        chain = tuple(
            CompiledStep(id=f"s{n}", title="x", needs=(f"s{n - 1}",) if n else ())
            for n in range(steps)
        )
        self._orc.workflows.pour(CompiledFormula(formula="chain", steps=chain))
        self._task = self._orc.tasks.next()

    def advance(self) -> float:
        """Return the seconds for the next step."""
        task = self._task
        assert task is not None
        advanced = []
        seconds = lap(lambda: advanced.append(self._orc.workflows.advance(task.id)))
        self._task = advanced[0].next
        return seconds


def hanoi(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Towers of Hanoi, worked by four processes that are killed at random, against one that is not."""
    discs = 6 if quick else 10
    alone = _Tower(boards, discs, workers=1, kills=0).work()
    together = _Tower(boards, discs, workers=4, kills=8).work()
    yield Figure(
        name="hanoi",
        what=f"hanoi with {discs} discs by four processes, 8 times killed, against one undisturbed",
        measured=together / alone,
        detail=f"{together:.1f} s against {alone:.1f} s for {2**discs - 1:,} moves, each closed once",
    )


_WORK = "import sys; from benchmarks.formulas import work; work(*sys.argv[1:])"


def work(board: str, root: str, agent: str) -> None:
    """Run a worker: continue the work on the hook, else take the next step, until all is done."""
    with Orchestrator.open(board, agent=agent, timeout=60) as orc:
        while orc.tasks.get(root).status != "done":
            hung = orc.hooks.show().task
            task = hung if hung and hung.status == "in_progress" else None
            task = task or orc.tasks.next("moves", lease=1.0, wait=1)
            while task is not None:
                try:
                    task = orc.workflows.advance(task.id, token=task.token).next
                except Refused:  # its lease has ended, and another worker has it
                    break


class _Tower:
    """A workflow for a tower of Hanoi, and the processes that work it."""

    def __init__(self, boards: Boards, discs: int, *, workers: int, kills: int) -> None:
        self._board = f"{boards.folder}/hanoi-{workers}"
        self._names = [f"agent-{number}" for number in range(workers)]
        self._kills = kills
        moves = 2**discs - 1
        steps = tuple(
            CompiledStep(id=f"move-{n}", title="Move", needs=(f"move-{n - 1}",) if n else ())
            for n in range(moves)
        )
        with Orchestrator.open(self._board) as orc:
            orc.workstreams.create("moves")
            poured = orc.workflows.pour(
                CompiledFormula(formula="hanoi", steps=steps), workstream="moves"
            )
        self._root, self._moves = poured.root.id, moves

    def work(self) -> float:
        """Return the seconds until the last move.

        Raises:
            RuntimeError: A move was closed twice, or out of order.
        """
        start = perf_counter()
        running = {name: self._start(name) for name in self._names}
        with Orchestrator.open(self._board) as orc:
            for number in range(self._kills):
                wanted = (number + 1) * self._moves // (self._kills + 1)
                while _done(orc, self._root) < wanted:
                    orc.engine.watch()(1)
                name = self._names[number % len(self._names)]
                running[name].kill()
                running[name].wait()
                running[name] = self._start(name)
            for process in running.values():
                process.wait()
            seconds = perf_counter() - start
            ends = [
                record.payload for record in orc.events.read() if record.type == "task.completed"
            ]
        closed = [bytes(payload) for payload in ends[:-1]]
        expected = [f'"{self._root}.move-{n}"'.encode() for n in range(self._moves)]
        if len(closed) != self._moves or not all(map(bytes.__contains__, closed, expected)):
            raise RuntimeError("the moves were not closed once each and in order")
        return seconds

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-c", _WORK, self._board, self._root, name]
        return subprocess.Popen(words, cwd=ROOT, env=environment())


def _done(orc: Orchestrator, root: str) -> int:
    progress = orc.tasks.get(root).progress
    return progress.done if progress is not None else 0
