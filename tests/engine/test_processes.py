"""Real processes on a board: no event is lost or repeated if processes die or files are deleted."""

import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from boards import check_law
from system_under_test import LACKING

from orchestrator import Orchestrator
from orchestrator.core.store import START
from orchestrator.stores.files import FileStore
from tests import forked

WORKER = Path(__file__).with_name("worker.py")
ROUNDS = int(os.environ.get("ORC_STRESS_ROUNDS", "6"))
"""How often processes are killed; ``ORC_STRESS_ROUNDS=100`` looks longer."""


def start(
    started: list[subprocess.Popen[str]], folder: Path, role: str, name: str, count: int = 0
) -> subprocess.Popen[str]:
    process = forked.popen(
        [str(folder), role, name, str(count)],
        script=WORKER,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    started.append(process)
    return process


def go(processes: list[subprocess.Popen[str]]) -> None:
    """Let all begin at the same time."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def finish(process: subprocess.Popen[str], *, killed: bool = False) -> list[str]:
    """The acknowledgements of a process that has ended; half a line does not count."""
    out, err = process.communicate(timeout=120)
    if not killed:
        assert process.returncode == 0, err
    assert "Traceback" not in err
    return [line for line in out.split("\n")[:-1] if line != "ready"]


def have_acknowledged(processes: list[subprocess.Popen[str]]) -> bool:
    """Whether each process has an unread acknowledgement."""
    pipes = [process.stdout for process in processes]
    return len(select.select(pipes, [], [], 0)[0]) == len(pipes)


def wait_for_acknowledgements(processes: list[subprocess.Popen[str]]) -> None:
    """Wait until each process has acknowledged an event, which :func:`finish` reads."""
    for process in processes:
        select.select([process.stdout], [], [])


def reopen(folder: Path) -> Orchestrator:
    return Orchestrator(FileStore(folder, warn=lambda _: None))


@pytest.mark.parametrize("role", ["add", "add-light"])
def test_of_8_processes_that_add_50_tasks_each_nothing_is_lost(
    folder: Path, started: list[subprocess.Popen[str]], role: str
):
    processes = [start(started, folder, role, f"agent-{n}", 50) for n in range(8)]
    go(processes)
    acknowledged = [task for process in processes for task in finish(process)]
    orc = reopen(folder)
    tasks = {task.id: task.title for task in orc.tasks.all()}
    assert len(acknowledged) == len(set(acknowledged)) == 400
    assert set(tasks) == set(acknowledged)
    assert set(tasks.values()) == {f"agent-{n}-{i}" for n in range(8) for i in range(50)}
    if "sealing" not in LACKING:
        assert len(list((folder / "state").glob("events-*.jsonl"))) >= 2, "no segment was sealed"
    orc.workstreams.create("after")
    check_law(orc)


def test_of_8_processes_that_race_for_100_tasks_no_two_get_the_same_task(
    folder: Path, started: list[subprocess.Popen[str]]
):
    with reopen(folder) as orc, orc.transaction():
        tasks = [orc.tasks.add("build", title=str(n)).id for n in range(100)]
    roles = ["next", "next-light"]
    processes = [start(started, folder, roles[n % 2], f"agent-{n}") for n in range(8)]
    go(processes)
    claims = [line.split() for process in processes for line in finish(process)]
    assert sorted(task for task, _ in claims) == sorted(tasks)
    assert len({token for _, token in claims}) == 100
    orc = reopen(folder)
    assert {task.status for task in orc.tasks.all()} == {"in_progress"}
    assert {task.attempt for task in orc.tasks.all()} == {1}
    claimed = [record.id for record in orc.events.read(type="task.claimed")]
    assert len(claimed) == 100
    orc.workstreams.create("after")
    check_law(orc)


@pytest.mark.needs("fork")
def test_a_process_that_is_killed_at_any_moment_loses_nothing_it_acknowledged(
    folder: Path, started: list[subprocess.Popen[str]]
):
    """SIGKILL in a loop under load; the next process repeats requests with an unknown outcome."""
    dice = random.Random(11)
    acknowledged: dict[str, str] = {}
    worked: list[str] = []
    for number in range(ROUNDS):
        processes = [
            start(started, folder, "add-forever", f"a{number}"),
            start(started, folder, "add-forever-light", f"b{number}"),
            start(started, folder, "work-forever", f"w{number}"),
        ]
        go(processes)
        wait_for_acknowledgements(processes)
        for process in dice.sample(processes, len(processes)):
            time.sleep(dice.uniform(0.02, 0.2))  # the moment of death must be any moment
            process.send_signal(signal.SIGKILL)
        for process in processes[:2]:
            acknowledged |= dict(reversed(line.split()) for line in finish(process, killed=True))
        worked += finish(processes[2], killed=True)
    orc = reopen(folder)
    orc.agents.heartbeat("undertaker")  # whatever was torn is set aside
    tasks = {task.id: task for task in orc.tasks.all()}
    assert len(acknowledged) >= 2 * ROUNDS
    for request, task in acknowledged.items():
        assert tasks[task].title == request
    for line in worked:
        kind, task = line.split()[:2]
        assert task in tasks
        if kind == "completed":
            assert tasks[task].status == "done"
    titles = [task.title for task in tasks.values() if task.title[0] in "ab"]
    assert len(titles) == len(set(titles)), "a request had two effects"
    known = orc.engine.read().requests
    for request, task in list(acknowledged.items())[-20:]:
        assert request in known
        with orc.request(request):
            mine = Orchestrator(orc.engine.store, request_id=request)
            repeated = mine.tasks.add("build", title=request)
        assert repeated.id == task
    assert len(orc.tasks.all()) == len(tasks)
    no_task_was_claimed_twice(orc)
    orc.workstreams.create("after")
    check_law(orc)


@pytest.mark.needs("fork", "flock")
def test_deleting_the_lock_file_under_load_loses_nothing(
    folder: Path, started: list[subprocess.Popen[str]]
):
    """``git clean -fdx`` in a loop under 8 writers: the second guard keeps them apart."""
    roles = ["work-forever", "work-forever-light", "add-forever", "add-forever-light"]
    processes = [start(started, folder, roles[n % 4], f"agent-{n}") for n in range(8)]
    go(processes)
    deleted = 0
    while not have_acknowledged(processes) or deleted < 100 * ROUNDS:
        for name in (".lock", ".holder", "state.json"):
            try:
                os.unlink(folder / "state" / name)
                deleted += 1
            except FileNotFoundError:
                pass
    for process in processes:
        process.send_signal(signal.SIGKILL)
    lines = [(n, line) for n, p in enumerate(processes) for line in finish(p, killed=True)]
    orc = reopen(folder)
    orc.agents.heartbeat("undertaker")
    tasks = {task.id: task for task in orc.tasks.all()}
    assert len({n for n, _ in lines}) == 8
    for _, line in lines:
        task = next(word for word in line.split() if len(word) == 8 and word in tasks)
        if line.startswith("completed"):
            assert tasks[task].status == "done"
    titles = [task.title for task in tasks.values()]
    assert len(titles) == len(set(titles))
    no_task_was_claimed_twice(orc)
    orc.workstreams.create("after")
    check_law(orc)


def no_task_was_claimed_twice(orc: Orchestrator) -> None:
    """All leases are long here, so a second claim would be during the first lease."""
    claims = [bytes(record.payload) for record in orc.events.read(type="task.claimed")]
    tasks = [claim.partition(b'"task":"')[2][:8] for claim in claims]
    assert len(tasks) == len(set(tasks))
    numbers = [record.id for chunk in orc.engine.store.read(START) for record in chunk.events]
    assert numbers == list(range(1, len(numbers) + 1))


def test_four_dispatchers_at_once_give_sixty_tasks_to_six_agents_each_once_and_evenly(
    tmp_path: Path, started: list[subprocess.Popen[str]]
):
    folder = tmp_path / "board"
    agents = [f"agent-{n}" for n in range(6)]
    with Orchestrator.open(folder) as orc:
        orc.workstreams.create("build")
        for name in agents:
            orc.agents.register(name)
        with orc.transaction():
            tasks = {orc.tasks.add("build", title=str(n), priority=n).id for n in range(60)}
    processes = [start(started, folder, "dispatch", f"boss-{n}", 60) for n in range(4)]
    go(processes)
    given = [line.split() for process in processes for line in finish(process)]
    assert sorted(task for task, _ in given) == sorted(tasks)
    with Orchestrator.open(folder) as orc:
        loads = [orc.agents.get(name).load for name in agents]
        letters = [len(orc.mail.inbox(agent=name)) for name in agents]
        check_law(orc)
    assert loads == letters
    assert sum(loads) == 60
    assert max(loads) - min(loads) <= 1
