"""A transaction belongs to the thread and the coroutine that opened it; it contains no other commands."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import anyio
import anyio.lowlevel
import pytest
from boards import add, code_of

from orchestrator import Orchestrator, Refused, TimedOut
from orchestrator.core.transaction import Noun
from orchestrator.domain.state import State
from orchestrator.stores.memory import MemoryStore

pytestmark = pytest.mark.usefixtures("build")

BACKENDS = ["asyncio", "trio"]


def titles(orc: Orchestrator) -> list[str]:
    return [task.title for task in orc.tasks.all()]


class Undone(Exception):
    """The exception that ends a transaction in these tests."""


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_another_coroutine_adds_is_never_lost_by_a_rollback(orc: Orchestrator, backend: str):
    """The command is refused at once, and works after the transaction."""
    refused: list[str] = []
    opened, tried = anyio.Event, anyio.Event

    async def other(opened: anyio.Event, tried: anyio.Event) -> None:
        await opened.wait()
        refused.append(code_of(lambda: add(orc, "other")))
        tried.set()

    async def main() -> None:
        is_open, was_tried = opened(), tried()
        async with anyio.create_task_group() as group:
            group.start_soon(other, is_open, was_tried)
            with suppress(Undone), orc.transaction():
                add(orc, "mine")
                is_open.set()
                await was_tried.wait()
                raise Undone
        add(orc, "later")

    anyio.run(main, backend=backend)
    assert refused == ["transaction_open"]
    assert titles(orc) == ["later"]


EVERY_WAY_IN: dict[str, Callable[[Orchestrator], object]] = {
    "command": lambda orc: add(orc, "other"),
    "query": lambda orc: orc.tasks.all(),
    "state": lambda orc: orc.status(),
    "event": lambda orc: next(orc.events.follow(since=0)),
    "transaction": lambda orc: orc.transaction().__enter__(),
    "rehearsal": lambda orc: orc.rehearsal().__enter__(),
    "wait": lambda orc: orc.tasks.next(agent="ann", wait=5),
    "close": lambda orc: orc.close(),
}


@pytest.mark.parametrize("way", EVERY_WAY_IN)
def test_a_child_task_does_not_enter_the_transaction_of_its_parent(orc: Orchestrator, way: str):
    async def child() -> str:
        return code_of(lambda: EVERY_WAY_IN[way](orc))

    async def main() -> str:
        with orc.transaction():
            add(orc, "mine")
            return await asyncio.create_task(child())

    assert asyncio.run(main()) == "transaction_open"
    assert titles(orc) == ["mine"]


def test_two_coroutines_that_gather_do_not_share_one_commit(orc: Orchestrator):
    async def pair(name: str) -> bool:
        try:
            with orc.transaction():
                add(orc, f"{name}1")
                await asyncio.sleep(0)
                add(orc, f"{name}2")
        except Refused:
            return False
        return True

    async def main() -> list[bool]:
        return await asyncio.gather(pair("a"), pair("b"))

    assert asyncio.run(main()) == [True, False]
    assert titles(orc) == ["a1", "a2"]


def test_a_thread_that_is_started_inside_does_not_join_but_waits_for_its_turn(orc: Orchestrator):
    """`asyncio.to_thread` copies the context of its caller, which must not make it the owner."""

    async def main() -> None:
        began = threading.Event()

        def other() -> str:
            began.set()
            return add(orc, "other")

        with suppress(Undone), orc.transaction():
            add(orc, "mine")
            adding = asyncio.create_task(asyncio.to_thread(other))
            while not began.is_set():
                await asyncio.sleep(0)
            add(orc, "mine too")
            raise Undone
        await adding

    asyncio.run(main())
    assert titles(orc) == ["other"]


@pytest.mark.parametrize(
    "reads",
    [
        lambda orc: orc.events.read(last=1)[0].id,
        lambda orc: orc.status().event,
        lambda orc: len(orc.tasks.all()),
    ],
)
def test_another_thread_reads_what_is_committed_only(
    orc: Orchestrator, reads: Callable[[Orchestrator], int]
):
    before = reads(orc)
    with ThreadPoolExecutor() as pool:
        with suppress(Undone), orc.transaction():
            add(orc, "mine")
            reading = pool.submit(reads, orc)
            raise Undone
        assert reading.result(60) == before


def test_an_event_of_an_open_transaction_is_not_there_for_another_thread(orc: Orchestrator):
    with ThreadPoolExecutor() as pool:
        with suppress(Undone), orc.transaction():
            add(orc, "mine")
            number = orc.engine.event(2).id
            reading = pool.submit(lambda: code_of(lambda: orc.engine.event(number)))
            raise Undone
        assert reading.result(60) == "not_found"


def test_a_thread_waits_no_longer_than_for_the_lock():
    orc = Orchestrator(MemoryStore(), timeout=0.05)
    with ThreadPoolExecutor() as pool, orc.transaction():
        reading = pool.submit(orc.tasks.all)
        error = reading.exception(60)
    assert isinstance(error, TimedOut)
    assert error.message == "Another thread of this process has the board; waited 0.05 s"


def test_the_coroutine_that_opened_a_transaction_goes_on_in_it_after_it_awaited(orc: Orchestrator):
    async def main() -> None:
        with orc.transaction():
            add(orc, "one")
            await asyncio.sleep(0)
            with orc.transaction():
                add(orc, "two")
            await asyncio.sleep(0)
            assert titles(orc) == ["one", "two"]

    asyncio.run(main())
    assert [record.more for record in orc.events.read(last=2)] == [True, False]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_request_id_is_that_of_the_coroutine_that_gave_it(orc: Orchestrator, backend: str):
    async def other(given: anyio.Event, added: anyio.Event) -> None:
        await given.wait()
        add(orc, "other")
        added.set()

    async def main() -> None:
        given, added = anyio.Event(), anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(other, given, added)
            with orc.request("r1"):
                given.set()
                await added.wait()
                add(orc, "mine")

    anyio.run(main, backend=backend)
    requests = {orc.engine.event(record.id).req for record in orc.events.read()}
    assert {request.id for request in requests if request} == {"r1"}
    assert orc.engine.read().requests["r1"].last == 3, "the command of the one who asked"


def test_the_request_that_a_board_is_opened_with_is_that_of_its_first_command():
    """Even if that runs in a coroutine or a thread."""
    orc = Orchestrator(MemoryStore(), request_id="r1")

    async def main() -> None:
        orc.workstreams.create("build")
        orc.workstreams.create("deploy")

    asyncio.run(main())
    assert [record.req is not None for record in orc.events.read()][::-1] == [False, True]


def run_each(orc: Orchestrator, steps: list[Callable[[], Awaitable[None]]]) -> None:
    """Run coroutines one after another, each as a task of its own."""

    async def main() -> None:
        for step in steps:
            await asyncio.create_task(step())

    asyncio.run(main())


def test_a_refused_coroutine_leaves_the_board_free(orc: Orchestrator):
    manager = orc.transaction()

    async def begin() -> None:
        manager.__enter__()
        add(orc, "mine")

    async def refused() -> None:
        assert code_of(lambda: add(orc, "other")) == "transaction_open"

    async def end() -> None:
        manager.__exit__(None, None, None)
        add(orc, "third")

    run_each(orc, [begin, refused, end])
    assert titles(orc) == ["mine", "third"]


def test_a_command_loads_no_event_loop():
    code = "import sys, orchestrator, orchestrator.engine; sys.exit('asyncio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class Slow(Noun[State]):
    """A noun whose query does something while it has the state."""

    def look(self, meanwhile: Callable[[], object], *, paused: bool = False) -> int:
        """Return how many tasks there are after ``meanwhile``."""
        state = self._state
        if paused:
            self._desk.pause()
        meanwhile()
        return len(state.tasks)


def test_a_query_keeps_other_threads_out_until_it_pauses():
    orc = Orchestrator(MemoryStore(), timeout=0.05)
    orc.workstreams.create("build")

    def other() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(add, orc, "other").result()

    slow = Slow(orc.engine)
    assert code_of(lambda: slow.look(other)) == "timed_out"
    assert code_of(lambda: slow.look(lambda: slow.look(other))) == "timed_out"
    assert slow.look(other, paused=True) == 1
    assert slow.look(lambda: slow.look(other, paused=True)) == 2
    other()
    assert len(titles(orc)) == 3


def test_a_query_that_pauses_inside_a_transaction_is_refused(orc: Orchestrator):
    with orc.transaction():
        assert code_of(lambda: Slow(orc.engine).look(int, paused=True)) == "usage"
        add(orc, "still open")
    assert titles(orc) == ["still open"]
