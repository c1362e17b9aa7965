"""The runner of agents: from an event to the end of the agent that it starts, and what waiting costs."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import IO

from benchmarks.boards import Boards
from benchmarks.measure import ROOT, Figure, computed, environment, lap
from orchestrator import Orchestrator
from orchestrator.core.trust import Trust
from orchestrator.supervisor.agent_files import load_agent

SMALL = 100
_SETTLE = 1.0
"""Seconds after which a runner that is ready waits."""


class _Runner:
    """A runner of shell agents that end at once: agent ``a0`` listens to ``job.0``, and so on."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.pid = process.pid
        assert process.stdout is not None
        self._lines: IO[bytes] = process.stdout
        self.until(b'"runner.ready"')

    def until(self, text: bytes, count: int = 1) -> None:
        """Wait for so many lines with a text."""
        for line in self._lines:
            count -= text in line
            if not count:
                return
        raise RuntimeError(f"the runner ended without {text!r}")

    @property
    def pids(self) -> tuple[int, ...]:
        """The keeper, which is what was started, and the runner, its child."""
        return self.pid, *_children(self.pid)

    def cpu(self) -> float:
        """Seconds that it and its keeper have computed, without its agents."""
        return sum(map(computed, self.pids))

    def memory(self) -> float:
        """Its present memory and that of its keeper, in MB."""
        return sum(map(_resident, self.pids)) / 1e6


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def _resident(pid: int) -> int:
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _user(board: str) -> str:
    """The folder of the user's data; what a board has cannot say what may run."""
    return f"{board}-user"


def _add_agents(board: str, count: int) -> None:
    trust = Trust(os.path.join(_user(board), "orc"))
    os.makedirs(os.path.join(board, "agents"))
    digests = {}
    for number in range(count):
        path = os.path.join(board, "agents", f"a{number}.md")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"---\nruntime: shell\nlisten: [job.{number}]\n---\ntrue\n")
        digests[path] = load_agent(path).digest
    trust.add(digests)


@contextmanager
def _running(board: str) -> Iterator[_Runner]:
    process = subprocess.Popen(
        [sys.executable, "cli.py", "--json", "runner", "run"],
        cwd=ROOT,
        env=environment(board) | {"XDG_DATA_HOME": _user(board)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    try:
        yield _Runner(process)
    finally:
        process.terminate()
        process.communicate()


def reacting(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """An event comes while all agents wait."""
    board = boards.copy(boards.tasks(SMALL))
    _add_agents(board, 1)
    taken, bare = [], []
    with Orchestrator.open(board) as orc, _running(board) as runner:
        for _ in range(9 if quick else 31):
            time.sleep(0.05)
            taken.append(1000 * lap(lambda: _work(orc, runner)))
            bare.append(1000 * lap(_shell))
    boards.drop(board)
    yield Figure(
        name="react",
        what="`events push` until a shell agent has finished, above starting its shell, median",
        measured=median(taken) - median(bare),
        bound=20.0,
        unit=" ms",
        detail=f"{median(taken):.1f} ms against {median(bare):.1f} ms",
    )


def _work(orc: Orchestrator, runner: _Runner) -> None:
    orc.events.push("job.0")
    runner.until(b'"subscription.finished"')


def _shell() -> None:
    subprocess.run(["sh", "-c", "true"], check=True)


def working_a_queue(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Events that wait when the runner starts."""
    agents, events = 4, 200 if quick else 1000
    board = boards.copy(boards.tasks(SMALL))
    _add_agents(board, agents)
    with _running(board):
        pass
    with Orchestrator.open(board) as orc, orc.transaction():
        for number in range(events):
            orc.events.push(f"job.{number % agents}", {"number": number})
    with _running(board) as runner:
        begin, start = runner.cpu(), perf_counter()
        runner.until(b'"subscription.finished"', events)
        seconds, cpu = perf_counter() - start, runner.cpu() - begin
    boards.drop(board)
    yield Figure(
        name="queue",
        what=f"{events:,} events that wait, through {agents} shell agents: CPU of the runner an event",
        measured=1000 * cpu / events,
        bound=3.0,
        unit=" ms",
        detail=f"{cpu:.2f} s of CPU in {seconds:.1f} s",
    )


def idling(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Nothing happens: few agents wait, then many."""
    seconds = 5 if quick else 30
    shares: list[float] = []
    for agents in (2, 200):
        board = boards.copy(boards.tasks(SMALL))
        _add_agents(board, agents)
        with _running(board) as runner:
            time.sleep(_SETTLE)
            begin = runner.cpu()
            time.sleep(seconds)
            shares.append(100 * (runner.cpu() - begin) / seconds)
            memory = runner.memory()
        boards.drop(board)
        what = f"a runner whose {agents} agents wait"
        yield Figure(
            name="idle",
            what=f"{what}: share of a core",
            measured=shares[-1],
            bound=0.3,
            unit=" %",
            detail=f"in {seconds} s",
        )
        yield Figure(name="idle", what=f"{what}: memory", measured=memory, bound=80.0, unit=" MB")
