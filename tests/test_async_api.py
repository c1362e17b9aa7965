"""The async facade: turns, waits that do not block the loop, and cancellation with a known outcome."""

import asyncio
import inspect
import os
import threading
import typing
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import FunctionType
from typing import Any

import anyio
import async_stub
import pytest
from anyio.abc import TaskGroup
from boards import check_law

from orchestrator import (
    AsyncOrchestrator,
    InputOutputError,
    NotFound,
    Orchestrator,
    OrchestratorError,
    Refused,
    TimedOut,
)
from orchestrator.api import Lazy
from orchestrator.stores.memory import MemoryStore

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


class SlowStore(MemoryStore):
    """A store whose appends wait after :meth:`hold` until the test releases them."""

    def __init__(self) -> None:
        super().__init__()
        self.appends = 0
        self.error: Exception | None = None
        self.began = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def hold(self) -> None:
        self.began.clear()
        self.go_on.clear()

    def append(self, *arguments):
        self.began.set()
        assert self.go_on.wait(60)
        if self.error is not None:
            raise self.error
        self.appends += 1
        return super().append(*arguments)


@pytest.fixture
def store() -> SlowStore:
    return SlowStore()


@pytest.fixture
async def orc(store: SlowStore) -> AsyncIterator[AsyncOrchestrator]:
    plain = Orchestrator(store)
    async with AsyncOrchestrator(plain) as orc:
        await orc.workstreams.create("build")
        yield orc
    check_law(plain)


async def titles(orc: AsyncOrchestrator) -> list[str]:
    return [task.title for task in await orc.tasks.all()]


async def add(orc: AsyncOrchestrator, title: str) -> str:
    return (await orc.tasks.add("build", title=title)).id


async def until(event: threading.Event) -> None:
    """Wait for an event of a thread without blocking the loop."""
    while not event.is_set():
        await anyio.sleep(0.001)


async def let_threads_end(orc: AsyncOrchestrator) -> None:
    """Wait until all threads of calls have ended, also of cancelled calls."""
    executor, orc._caller._executor = orc._caller._executor, ThreadPoolExecutor()
    await anyio.to_thread.run_sync(executor.shutdown)


class Undone(Exception):
    """The exception that ends a transaction in these tests."""


# Transactions


async def test_a_transaction_is_one_commit(orc: AsyncOrchestrator):
    async with orc.transaction():
        await add(orc, "one")
        async with orc.transaction():
            await add(orc, "two")
        assert await titles(orc) == ["one", "two"]
    assert [record.more for record in await orc.events.read(last=2)] == [True, False]


async def test_another_task_waits_for_its_turn_and_loses_nothing(orc: AsyncOrchestrator):
    added: list[str] = []

    async def other() -> None:
        added.append(await add(orc, "other"))

    async with anyio.create_task_group() as group:
        with suppress(Undone):
            async with orc.transaction():
                await add(orc, "mine")
                group.start_soon(other)
                for _ in range(20):
                    await anyio.sleep(0)
                assert added == [], "it waits"
                await add(orc, "mine too")
                raise Undone
    assert await titles(orc) == ["other"]


async def test_many_tasks_at_once_are_all_served(orc: AsyncOrchestrator):
    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(add, orc, str(number))
    assert sorted(map(int, await titles(orc))) == [*range(100)]


def adding(title: str) -> Callable[[Orchestrator], str]:
    return lambda orc: orc.tasks.add("build", title=title).title


async def started_together(
    orc: AsyncOrchestrator, group: TaskGroup, functions: list[Callable[[Orchestrator], Any]]
) -> list[Any]:
    """Start functions as grouped calls while another task has the board; the list gets their outcomes."""
    outcomes: list[Any] = [None] * len(functions)

    async def call(place: int) -> None:
        try:
            outcomes[place] = await orc.run_grouped(f"call {place}", functions[place])
        except (OrchestratorError, RuntimeError) as error:
            outcomes[place] = error

    async with orc.transaction():
        for place in range(len(functions)):
            group.start_soon(call, place)
            await anyio.wait_all_tasks_blocked()
    return outcomes


async def test_changes_that_wait_for_their_turn_have_one_append(
    orc: AsyncOrchestrator, store: SlowStore
):
    names = [str(number) for number in range(10)]
    async with anyio.create_task_group() as group:
        before = store.appends
        outcomes = await started_together(orc, group, [adding(name) for name in names])
    assert outcomes == await titles(orc) == names
    assert store.appends == before + 1
    assert not any(record.more for record in await orc.events.read(last=10))


async def test_no_change_is_answered_before_it_is_durable(orc: AsyncOrchestrator, store: SlowStore):
    async with anyio.create_task_group() as group:
        store.hold()
        outcomes = await started_together(orc, group, [adding("one"), adding("two")])
        await until(store.began)
        await anyio.sleep(0.01)
        assert outcomes == [None, None]
        store.go_on.set()
    assert outcomes == ["one", "two"]


async def test_each_change_of_a_group_has_its_own_outcome(orc: AsyncOrchestrator):
    def broken(orc: Orchestrator) -> None:
        orc.tasks.add("build", title="kept")
        raise RuntimeError

    functions = [adding("one"), lambda orc: orc.tasks.claim("none", agent="ann"), broken]
    async with anyio.create_task_group() as group:
        outcomes = await started_together(orc, group, [*functions, adding("two")])
    assert [type(each) for each in outcomes] == [str, NotFound, RuntimeError, str]
    assert await titles(orc) == ["one", "kept", "two"]


async def test_an_append_that_fails_fails_for_all_of_its_group(
    orc: AsyncOrchestrator, store: SlowStore
):
    async with anyio.create_task_group() as group:
        store.error = InputOutputError("The disk is full")
        outcomes = await started_together(orc, group, [adding("one"), adding("two")])
    assert outcomes == [store.error, store.error]
    store.error = None
    assert await titles(orc) == []
    assert await orc.run_grouped("add", adding("three")) == "three"


async def test_who_waits_for_long_in_a_group_keeps_nobody_waiting(orc: AsyncOrchestrator):
    async with anyio.create_task_group() as group:
        waiting = lambda orc: orc.tasks.next("build", agent="bob", wait="1h").title  # noqa: E731
        outcomes = await started_together(
            orc, group, [lambda orc: orc.locks.acquire("git", agent="ann").resource, waiting]
        )
        while outcomes[0] is None:
            await anyio.sleep(0.001)
        assert outcomes == ["git", None]
        assert await orc.run_grouped("add", adding("one")) == "one"
    assert outcomes == ["git", "one"]


async def test_a_change_that_is_cancelled_before_its_turn_does_not_happen(orc: AsyncOrchestrator):
    async with anyio.create_task_group() as group, orc.transaction():
        group.start_soon(orc.run_grouped, "add", adding("cancelled"))
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert await orc.run_grouped("add", adding("one")) == "one"
    assert await titles(orc) == ["one"]


async def test_another_task_reads_what_is_committed_only(orc: AsyncOrchestrator):
    seen: list[list[str]] = []

    async def other() -> None:
        seen.append(await titles(orc))

    async with anyio.create_task_group() as group:
        with suppress(Undone):
            async with orc.transaction():
                await add(orc, "mine")
                group.start_soon(other)
                await anyio.sleep(0.01)
                raise Undone
    assert seen == [[]]


async def test_a_transaction_that_waits_for_another_task_gets_an_error_that_explains_it():
    async with AsyncOrchestrator(Orchestrator(MemoryStore(), timeout=0.05)) as orc:
        errors: list[OrchestratorError] = []

        async def child() -> None:
            try:
                await orc.workstreams.create("build")
            except OrchestratorError as error:
                errors.append(error)

        async with orc.transaction(), anyio.create_task_group() as group:
            group.start_soon(child)
    (error,) = errors
    assert isinstance(error, TimedOut)
    assert error.message == "Another task has the board; waited 0.05 s"
    assert "must not wait for commands of other tasks" in error.hint


async def test_a_plain_command_in_a_thread_waits_too(orc: AsyncOrchestrator):
    """A program may use both facades of a board, but must not block its loop."""
    plain = orc._orc
    began = threading.Event()

    def other() -> None:
        began.set()
        plain.tasks.add("build", title="other")

    async with anyio.create_task_group() as group:
        with suppress(Undone):
            async with orc.transaction():
                await add(orc, "mine")
                group.start_soon(anyio.to_thread.run_sync, other)
                await until(began)
                raise Undone
    assert await titles(orc) == ["other"]


async def test_a_failed_command_ends_the_transaction_unless_it_did_nothing(orc: AsyncOrchestrator):
    async with orc.transaction():
        await add(orc, "one")
        with pytest.raises(Refused):
            await orc.workstreams.create("build", priority=2)
    assert await titles(orc) == ["one"]


async def test_a_rehearsal_leaves_nothing(orc: AsyncOrchestrator):
    async with orc.rehearsal():
        await add(orc, "one")
        assert await titles(orc) == ["one"]
    assert await titles(orc) == []


@pytest.mark.anyio
async def test_a_wait_that_is_cancelled_before_it_begins_to_wait_ends_too(orc: AsyncOrchestrator):
    """The board is in use then, so the call goes on until it would wait."""
    began, go_on = threading.Event(), threading.Event()

    def call(plain: Orchestrator) -> object:
        began.set()
        assert go_on.wait(60)
        return plain.tasks.next(agent="ann", wait="1h")

    async with anyio.create_task_group() as group:
        group.start_soon(orc.run, "next", call)
        await until(began)
        group.cancel_scope.cancel()
        go_on.set()
    assert await titles(orc) == []


async def test_nothing_takes_long_inside_a_transaction(orc: AsyncOrchestrator):
    async with orc.transaction():
        with pytest.raises(OrchestratorError, match="inside a transaction"):
            await orc.tasks.next(agent="ann", wait="1h")


async def test_a_request_is_that_of_its_task(orc: AsyncOrchestrator):
    async def other() -> None:
        await add(orc, "other")

    with orc.request("r1"):
        async with anyio.create_task_group() as group:
            group.start_soon(other)
        first = await add(orc, "mine")
    with orc.request("r1"):
        assert await add(orc, "mine") == first
    assert await titles(orc) == ["other", "mine"]


# Waiting


async def test_waiting_lets_the_loop_and_other_commands_go_on(orc: AsyncOrchestrator):
    taken: list[str] = []

    async def wait() -> None:
        task = await orc.tasks.next(agent="ann", wait="1h")
        assert task is not None
        taken.append(task.title)

    async with anyio.create_task_group() as group:
        for _ in range(60):  # more than anyio has threads by default
            group.start_soon(wait)
        await anyio.sleep(0.05)
        for number in range(60):
            await add(orc, str(number))
    assert sorted(map(int, taken)) == [*range(60)]


async def test_a_cancelled_wait_ends_at_once_and_claims_nothing(orc: AsyncOrchestrator):
    with anyio.fail_after(60):
        with anyio.move_on_after(0.05):
            await orc.tasks.next(agent="ann", wait="1h")
        task = await add(orc, "later")
        assert (await orc.tasks.get(task)).status == "pending"
        await let_threads_end(orc)
        assert (await orc.tasks.get(task)).status == "pending"


async def test_a_task_that_is_cancelled_before_its_turn_did_nothing(orc: AsyncOrchestrator):
    async with orc.transaction(), anyio.create_task_group() as group:
        group.start_soon(add, orc, "other")
        await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    assert await titles(orc) == []


async def test_events_are_followed_as_they_come(orc: AsyncOrchestrator):
    seen: list[str] = []
    head = (await orc.events.read())[-1].id

    async def follow() -> None:
        async for event in orc.events.follow(type="task.*", since=head):
            seen.append(event.type)
            if len(seen) == 3:
                return

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(follow)
            await anyio.sleep(0.05)
            for number in range(3):
                await add(orc, str(number))
    assert seen == ["task.added"] * 3


async def test_a_follower_may_use_the_board_between_two_events(orc: AsyncOrchestrator):
    await add(orc, "one")
    with anyio.fail_after(60):
        async for event in orc.events.follow(since=0, type="task.added"):
            assert event.type == "task.added"
            assert await orc.tasks.next(agent="ann")
            break


async def test_following_is_really_cancelled(orc: AsyncOrchestrator):
    with anyio.fail_after(60), anyio.move_on_after(0.05):
        async for _ in orc.events.follow():
            raise AssertionError
    await add(orc, "one")


async def test_a_query_that_yields_is_an_async_iterator(orc: AsyncOrchestrator):
    for number in range(3):
        await add(orc, str(number))
    assert [task.title async for task in orc.tasks.ever()] == ["0", "1", "2"]
    async with orc.transaction():
        await add(orc, "3")
        assert [task.title async for task in orc.tasks.ever()] == ["0", "1", "2", "3"]


async def test_a_query_that_yields_raises_its_own_error(orc: AsyncOrchestrator):
    with pytest.raises(OrchestratorError, match="nowhere"):
        [task async for task in orc.tasks.ever("nowhere")]


async def test_the_board_is_free_while_a_task_shows_what_it_did(orc: AsyncOrchestrator, tmp_path):
    go = tmp_path / "go"
    waits = f"python3 -c \"import os, time\nwhile not os.path.exists('{go}'): time.sleep(0.01)\""
    task = (await orc.tasks.add("build", title="one", verify=[waits])).id
    await orc.reviews.trust([task], agent="bob")
    await orc.tasks.claim(task, agent="ann")

    async def other() -> None:
        await add(orc, "other")
        go.touch()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(other)
            done = await orc.tasks.complete(task, agent="ann")
    assert done.status == "done"


async def test_a_completion_that_is_cancelled_while_its_checks_run_ends_them_and_completes_nothing(
    orc: AsyncOrchestrator, tmp_path
):
    began, second = tmp_path / "began", tmp_path / "second"
    script = (
        "import os, time"
        f"\nopen('{began}.new', 'w').write(str(os.getpid()))\nos.rename('{began}.new', '{began}')"
        "\ntime.sleep(600)"
    )
    checks = [f'python3 -c "{script}"', f"touch {second}"]
    task = (await orc.tasks.add("build", title="one", verify=checks)).id
    await orc.reviews.trust([task], agent="bob")
    await orc.tasks.claim(task, agent="ann")
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: orc.tasks.complete(task, agent="ann"))
            while not began.exists():
                await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        assert (await orc.tasks.get(task)).status == "in_progress"
        await let_threads_end(orc)
        with pytest.raises(ProcessLookupError):
            os.kill(int(began.read_text()), 0)
        assert not second.exists()
        assert (await orc.tasks.get(task)).status == "in_progress"


# Cancellation of what has begun


async def test_a_command_that_has_begun_ends_and_gives_its_result(
    orc: AsyncOrchestrator, store: SlowStore
):
    """A cancelled scope raises again at the next `await`, so the result must be returned before."""
    got: list[str] = []
    store.hold()

    async def adding() -> None:
        got.append(await add(orc, "one"))
        await anyio.sleep(0)
        got.append("not cancelled")

    async with anyio.create_task_group() as group:
        group.start_soon(adding)
        await until(store.began)
        group.cancel_scope.cancel()
        store.go_on.set()
    assert [task.id for task in await orc.tasks.all()] == got


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_cancelled_asyncio_task_reports_the_outcome_of_its_command(
    orc: AsyncOrchestrator, store: SlowStore
):
    store.hold()
    adding = asyncio.ensure_future(add(orc, "one"))
    await until(store.began)
    for _ in range(3):  # also a task that is cancelled again and again
        adding.cancel()
        await asyncio.sleep(0)
    assert not adding.done()
    store.go_on.set()
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await adding
    (task,) = await orc.tasks.all()
    (note,) = cancelled.value.__notes__
    assert note.startswith(f"tasks.add had begun and was done: Task(id={task.id!r}")


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_cancelled_asyncio_task_reports_why_its_command_failed(
    orc: AsyncOrchestrator, store: SlowStore, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object) -> None:
        store.began.set()
        assert store.go_on.wait(60)
        raise Refused("the disk is full")

    monkeypatch.setattr(store, "append", refuse)
    store.hold()
    adding = asyncio.ensure_future(add(orc, "one"))
    await until(store.began)
    adding.cancel()
    await asyncio.sleep(0)
    store.go_on.set()
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await adding
    assert cancelled.value.__notes__ == ["tasks.add had begun and failed: the disk is full"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_timeout_of_asyncio_does_not_lose_the_outcome(
    orc: AsyncOrchestrator, store: SlowStore
):
    store.hold()

    async def end_the_time(limit: asyncio.Timeout) -> None:
        await until(store.began)
        limit.reschedule(0)
        while not limit.expired():
            await asyncio.sleep(0)
        store.go_on.set()

    with pytest.raises(TimeoutError) as timed_out:  # noqa: PT012
        async with asyncio.timeout(None) as limit:
            ending = asyncio.ensure_future(end_the_time(limit))
            await add(orc, "one")
    await ending
    cause = timed_out.value.__cause__
    assert cause is not None
    assert cause.__notes__[0].startswith("tasks.add had begun and was done")
    assert await titles(orc) == ["one"]


async def test_a_transaction_that_is_cancelled_before_its_commit_leaves_nothing(
    orc: AsyncOrchestrator,
):
    with anyio.move_on_after(0.05):
        async with orc.transaction():
            await add(orc, "one")
            await anyio.sleep(60)
    assert await titles(orc) == []
    assert await add(orc, "two"), "the board is free"


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_transaction_whose_commit_has_begun_stands(
    orc: AsyncOrchestrator, store: SlowStore
):
    async def commit() -> None:
        async with orc.transaction():
            await add(orc, "one")
            store.hold()

    committing = asyncio.ensure_future(commit())
    await until(store.began)
    while store.go_on.is_set():
        await asyncio.sleep(0)
    await until(store.began)
    committing.cancel()
    await asyncio.sleep(0)
    store.go_on.set()
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await committing
    assert cancelled.value.__notes__ == ["transaction had begun and was done: None"]
    assert await titles(orc) == ["one"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
@pytest.mark.parametrize("steps", range(0, 40, 3))
async def test_a_task_that_is_cancelled_at_any_moment_leaves_the_board_free(
    orc: AsyncOrchestrator, steps: int
):
    async def work() -> None:
        async with orc.transaction():
            await add(orc, "one")
            await add(orc, "two")
        await add(orc, "three")

    working = asyncio.ensure_future(work())
    for _ in range(steps):
        await asyncio.sleep(0.0002)
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
    assert await titles(orc) in ([], ["one", "two"], ["one", "two", "three"])
    await add(orc, "four")


async def test_an_interrupt_while_the_thread_of_a_transaction_starts_leaves_the_board_free(
    orc: AsyncOrchestrator, monkeypatch: pytest.MonkeyPatch
):
    """Trio raises KeyboardInterrupt anywhere in the main thread, and starting a thread waits."""
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        if thread.name.startswith("transaction"):
            monkeypatch.undo()
            raise KeyboardInterrupt

    await add(orc, "one")
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        async with orc.transaction():
            pass
    assert not orc._orc.engine._owner._depth
    async with orc.transaction():
        await add(orc, "two")
    assert await titles(orc) == ["one", "two"]


# What Python tells about it


OWN = {*vars(AsyncOrchestrator)}
"""What the async facade does in its own way."""


def members() -> dict[str, FunctionType]:
    """The plain commands and queries by the path to their async form."""
    collected: dict[str, FunctionType] = {}
    for name in dir(Orchestrator):
        member = getattr(Orchestrator, name)
        if isinstance(member, Lazy):
            noun = member.load()
            collected |= {
                f"{name}.{command}": method
                for command in dir(noun)
                if isinstance(method := inspect.getattr_static(noun, command), FunctionType)
                and not command.startswith("_")
            }
        elif isinstance(member, FunctionType) and name not in OWN and name[0] != "_":
            collected[name] = member
    return collected


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
@pytest.mark.parametrize("path", members())
async def test_each_command_has_an_async_form_with_the_same_signature(path: str):
    orc = AsyncOrchestrator(Orchestrator(MemoryStore(), agent="ann"))
    call = orc
    for name in path.split("."):
        assert name in dir(call)
        call = getattr(call, name)
    plain = inspect.signature(members()[path])
    shown = inspect.signature(call)
    assert [*shown.parameters.values()] == [*plain.parameters.values()][1:]
    assert call.__doc__ == members()[path].__doc__
    hints = typing.get_type_hints(call)
    if inspect.iscoroutinefunction(call):
        assert hints == typing.get_type_hints(members()[path])
    else:
        assert typing.get_origin(hints["return"]) is AsyncIterator
        assert typing.get_origin(shown.return_annotation) is AsyncIterator


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_what_is_not_a_command_is_not_there():
    orc = AsyncOrchestrator(Orchestrator(MemoryStore()))
    with pytest.raises(AttributeError, match="'AsyncOrchestrator' object has no attribute 'taks'"):
        _ = orc.taks
    with pytest.raises(AttributeError, match="tasks has no command or query 'ad'"):
        _ = orc.tasks.ad


@pytest.mark.parametrize(("path", "code"), async_stub.stubs().items())
def test_the_types_are_those_of_the_facade(path: Path, code: str):
    """If this fails: make docs."""
    assert path.read_text() == code
