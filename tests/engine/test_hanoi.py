"""Towers of Hanoi by four processes that are killed at random: every move is completed once, in order."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from boards import check_law

from orchestrator import Orchestrator
from tests import forked

pytestmark = pytest.mark.needs("fork")

DATA = Path(__file__).parents[1] / "data" / "formulas"
WORKER = Path(__file__).with_name("hanoi_worker.py")


def start(board: Path, root: str, agent: str) -> subprocess.Popen[bytes]:
    return forked.popen([str(board), root, agent], script=WORKER, stdout=subprocess.PIPE)


@pytest.mark.parametrize(("formula", "kills"), [("towers-of-hanoi", 6), ("towers-of-hanoi-10", 12)])
def test_four_workers_that_are_killed_at_random_close_every_move_once_and_in_order(
    tmp_path: Path, formula: str, kills: int
):
    board = tmp_path / "board"
    (board / "formulas").mkdir(parents=True)
    (board / "state").mkdir()
    (board / "formulas" / f"{formula}.formula.toml").write_bytes(
        (DATA / f"{formula}.formula.toml").read_bytes()
    )
    with Orchestrator.open(board) as orc:
        orc.workstreams.create("moves")
        poured = orc.workflows.pour(orc.formulas.cook(formula), workstream="moves")
    root, steps = poured.root.id, [step.id for step in poured.steps]
    chance = random.Random(17)
    workers = {name: start(board, root, name) for name in ("ann", "ben", "cat", "dan")}
    every = max(1, len(steps) // (kills + 1))
    for number in range(1, kills + 1):
        _wait_for_events(board, root, number * every)
        victim = chance.choice(sorted(workers))
        os.kill(workers[victim].pid, signal.SIGKILL)
        workers[victim].wait()
        if number % 3:  # every third dies for good: another one takes over when its lease has ended
            workers[victim] = start(board, root, victim)
        else:
            workers[victim] = start(board, root, f"{victim}-{number}")
    for worker in workers.values():
        assert worker.wait(timeout=120) == 0
    with Orchestrator.open(board) as orc:
        moves = {
            record.id: task
            for task in steps
            for record in orc.tasks.history(task)
            if is_end(record.type)
        }
        closed = [moves[number] for number in sorted(moves)]
        assert sorted(closed) == sorted(steps), "every move is closed exactly once"
        assert closed == steps, "in an order that respects the needs"
        assert orc.tasks.get(root).status == "done"
        check_law(orc)


def is_end(type_name: str) -> bool:
    return type_name == "task.completed"


def _wait_for_events(board: Path, root: str, done: int) -> None:
    """Wait until a number of steps are closed."""
    with Orchestrator.open(board) as orc:
        while (progress := orc.tasks.get(root).progress) is None or progress.done < done:
            orc.engine.watch()(1)


def test_the_fold_is_the_same_in_every_process(tmp_path: Path):
    """The order of sets differs between processes, so no order in the state may come from a set."""
    board = tmp_path / "board"
    (board / "formulas").mkdir(parents=True)
    (board / "state").mkdir()
    gates = "".join(f'[[steps.gate]]\ntype = "human"\nid = "{name}"\n' for name in "abcdef")
    (board / "formulas" / "two.formula.toml").write_text(f'[[steps]]\nid = "s"\n{gates}')
    with Orchestrator.open(board) as orc:
        orc.workflows.pour(orc.formulas.cook("two"))
    program = (
        "import sys; from orchestrator import Orchestrator;"
        "o = Orchestrator.open(sys.argv[1]); o.engine.store.open_snapshot = lambda: None;"
        "print(list(o.engine.read().tasks.signals))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", program, str(board)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in "0123"
    }
    assert len(seen) == 1
