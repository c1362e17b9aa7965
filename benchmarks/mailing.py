"""Mail between two processes: the time from sending until the waiting recipient prints it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median
from time import perf_counter

from benchmarks.boards import Boards
from benchmarks.measure import ROOT, Figure, environment
from orchestrator import Orchestrator

SMALL = 100
_SETTLE = 0.05
"""Seconds after its first look at the board in which a process has begun to wait."""


def delivery(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Row 10: a command line that waits for mail."""
    board = boards.copy(boards.tasks(SMALL))
    rounds = 9 if quick else 31
    with Orchestrator.open(board, agent="ann") as orc:
        taken = [1000 * _told(orc, board, f"agent-{n}") for n in range(rounds)]
    boards.drop(board)
    yield Figure(
        name="mail",
        what="`mail send` until a waiting `mail check --wait` prints it, median",
        measured=median(taken),
        bound=20.0,
        unit=" ms",
        detail=f"{min(taken):.1f} to {max(taken):.1f} ms in {rounds} rounds",
    )


def _told(orc: Orchestrator, board: str, agent: str) -> float:
    """The seconds from sending a message until the recipient prints a line, with the commit."""
    waiting = subprocess.Popen(
        [sys.executable, "cli.py", "mail", "check", "--wait", "60s", "--agent", agent],
        cwd=ROOT,
        env=environment(board),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert waiting.stdout is not None
    while not os.path.exists(f"{board}/state/presence/{agent}"):
        time.sleep(0.001)
    time.sleep(_SETTLE)
    start = perf_counter()
    orc.mail.send(agent, "hi", "Look at part 7, please.")
    line = waiting.stdout.readline()
    seconds = perf_counter() - start
    waiting.stdout.close()
    if waiting.wait() or not line.startswith(b"1 unread message"):
        raise RuntimeError(f"`mail check --wait` printed {line!r}")
    return seconds
