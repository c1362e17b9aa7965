"""A program is killed at each change of a commit that writes cold records, a checkpoint and a snapshot."""

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
from boards import as_text, fold

from orchestrator import Orchestrator
from orchestrator.cold import run
from orchestrator.stores.postgres import PostgresStore
from tests.postgres_server import Server

from .test_cold import cold_at_once, named_cold_files

pytestmark = pytest.mark.needs("fork")

DEATHS = ("before", "during", "after")


def open_board(url: str) -> Orchestrator:
    """Open the board so that every commit begins a part of the log, and is followed by a new snapshot."""
    store = PostgresStore(url, part_size=1)
    return Orchestrator(store, light=True, warn=pytest.fail)


def end_task(url: str, task: str) -> None:
    """End a task with a request id; the task becomes a cold record."""
    orc = open_board(url)
    with orc.request(f"end {task}"):
        orc.tasks.cancel(task)


def end_task_and_die(url: str, task: str, place: int, death: str, sent: int) -> None:
    """End a task, and kill this process at one of the statements that change the database.

    Args:
        url: The board.
        task: The task to end.
        place: The number of the statement, from 0.
        death: When the process is killed: before, during or after this statement.
        sent: A pipe that gets the beginning of each such statement.
    """
    orc = open_board(url)
    orc.engine.read()
    store = orc.engine.store
    assert isinstance(store, PostgresStore)
    count, is_inside = 0, False

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(query: str, *values: object) -> object:
            nonlocal count, is_inside
            is_read = query.split()[0] == "SELECT" and "unlock" not in query
            if is_read or is_inside:  # `quick` calls `post`
                return call(query, *values)
            os.write(sent, f"{' '.join(query.split())[:60]}\n".encode())
            here, count = count == place, count + 1
            if here and death == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            if here and death == "during":
                threading.Timer(0.0003, os.kill, (os.getpid(), signal.SIGKILL)).start()
            is_inside = True
            answer = call(query, *values)
            is_inside = False
            if here:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return called

    for name in ("execute", "quick", "post"):
        setattr(store._connection, name, dying(getattr(store._connection, name)))
    with orc.request(f"end {task}"):
        orc.tasks.cancel(task)
    orc.close()


def killed(url: str, task: str, place: int, death: str) -> list[str] | None:
    """Run :func:`end_task_and_die` in a new process; return its statements, or None if it was not killed."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            end_task_and_die(url, task, place, death, writing)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        statements = pipe.read().splitlines()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return statements if status else None


def test_a_killed_program_has_done_its_command_or_nothing_and_repeating_it_has_one_effect(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[str] = set()
    url = f"{postgres.new_database('killed')}?board=b"
    with cold_at_once():
        monkeypatch.setattr(run, "BLOCK", 1 << 16)  # a block is read by a statement
        with open_board(url) as orc:
            orc.workstreams.create("build")
            tasks = [orc.tasks.add("build", title=f"task {number}").id for number in range(70)]
        ended = 0
        for death in DEATHS:
            place = 0
            while (statements := killed(url, tasks[ended], place, death)) is not None:
                seen |= {*statements}
                # Repeats the command, after the statements of the killed process have ended.
                end_task(url, tasks[ended])
                place, ended = place + 1, ended + 1
                orc = open_board(url)
                assert len(orc.tasks.list(status=["cancelled"])) == ended, (death, statements[-1])
                folded = as_text(*fold(orc.engine.store))
                assert as_text(orc.engine.read(), orc.engine.position) == folded
                orc.close()
            ended += 1
        check_kept(url)
    for written in ("cold_files", "checkpoints", "snapshots", "WITH moved", "unlock"):
        assert any(written in statement for statement in seen), written


def check_kept(url: str) -> None:
    """Check that every checkpoint can be used, and that the last snapshot needs every cold file."""
    with open_board(url) as orc:
        orc.tasks.add("build", title="the last one")
        past = orc.engine.past_states
        assert len(past.numbers()) > 20
        assert all(past.usable(number) for number in past.numbers())
        cold = orc.engine.store.cold
        assert cold is not None
        assert {*cold.names()} <= named_cold_files(orc.engine.store)
