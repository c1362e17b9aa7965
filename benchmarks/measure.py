"""Measuring: laps inside a process, whole processes with their CPU, and ratios of interleaved pairs."""

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from time import perf_counter, process_time
from typing import TypeVar

import msgspec

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""The checkout that is measured."""

COMMITTER = {f"GIT_{r}_{p}": "ann" for r in ("AUTHOR", "COMMITTER") for p in ("NAME", "EMAIL")}
"""The variables for git that say who commits."""

R = TypeVar("R")


class Figure(msgspec.Struct, kw_only=True):
    """One line of the table.

    Attributes:
        name: Its name for ``--only``.
        what: What was measured, and compared with what.
        measured: The ratio, or the number with its unit.
        bound: The limit; None for a figure that only explains another one.
        at_least: Whether the limit is a minimum, not a maximum.
        detail: The absolute numbers.
    """

    name: str
    what: str
    measured: float
    bound: float | None = None
    at_least: bool = False
    unit: str = ""
    detail: str = ""

    @property
    def verdict(self) -> str:
        """``ok`` or ``missed``; empty without a bound."""
        if self.bound is None:
            return ""
        good = self.measured >= self.bound if self.at_least else self.measured <= self.bound
        return "ok" if good else "missed"


class Usage(msgspec.Struct):
    """The time of a whole process, in seconds."""

    wall: float
    cpu: float


def lap(action: Callable[[], object]) -> float:
    """Return the seconds of a call."""
    start = perf_counter()
    action()
    return perf_counter() - start


def heavy_lap(action: Callable[[], object]) -> float:
    """Return the CPU seconds of a call that makes many objects, without garbage collection and deletion."""
    gc.collect()
    start = process_time()
    result = action()
    seconds = process_time() - start
    del result
    return seconds


def environment(board: str | None = None) -> dict[str, str]:
    """The environment of measured processes: this checkout, one board, no settings of the caller."""
    ours = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("ORC", "_ORC", "PYTHON"))
    }
    ours["PYTHONPATH"] = ROOT
    return ours | ({"ORCHESTRATOR_DIR": board} if board else {})


def process(arguments: Sequence[str], board: str | None = None) -> Usage:
    """Run ``python ARGUMENTS`` in the checkout and return its time.

    Raises:
        RuntimeError: It failed.
    """
    start = perf_counter()
    child = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment(board),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert child.stderr is not None
    complaint = child.stderr.read()
    _, status, used = os.wait4(child.pid, 0)
    wall = perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    child.stderr.close()
    if child.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {complaint.decode(errors='replace')[-800:]}")
    return Usage(wall, used.ru_utime + used.ru_stime)


def computed(pid: int) -> float:
    """Seconds that a running process has computed so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def output(arguments: Sequence[str], board: str | None = None) -> str:
    """Return the output of ``python ARGUMENTS``."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment(board),
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def interleave(rounds: int, *runs: Callable[[], R]) -> list[list[R]]:
    """The results of each run, taken in turns (A B A B ...), so that noise affects all equally."""
    taken: list[list[R]] = [[] for _ in runs]
    for _ in range(rounds):
        for results, run in zip(taken, runs, strict=True):
            results.append(run())
    return taken


def ratio(of: Iterable[float], to: Iterable[float]) -> float:
    """The median of the ratios of pairs that were measured one after the other."""
    return median(a / b for a, b in zip(of, to, strict=True))


def ms(seconds: Iterable[float]) -> str:
    """The median, in milliseconds."""
    value = 1000 * median(seconds)
    return (
        f"{value:.0f} ms"
        if value >= 100
        else f"{value:.2f} ms"
        if value < 10
        else f"{value:.1f} ms"
    )
