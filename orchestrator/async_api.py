"""The facade for asyncio and trio: the nouns of :class:`Orchestrator` with awaitable commands and queries.

This module contains no rule and no list of methods. Each call runs the plain command in a thread, and only
one call at a time has the board: its turn. Long actions (waiting, the commands that verify a task) release
the turn meanwhile, because they call ``Desk.pause`` first.
"""

import functools
import math
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from inspect import getattr_static, signature
from types import FunctionType, GenericAlias, MethodType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar

import anyio
import anyio.from_thread
import anyio.lowlevel

from orchestrator.api import Lazy, Orchestrator
from orchestrator.core import flow
from orchestrator.core.errors import TimedOut
from orchestrator.core.printable import shortened
from orchestrator.engine import Engine

P = ParamSpec("P")
R = TypeVar("R")

_SLICE = 0.25
"""Seconds between two checks whether the async task of a waiting thread was cancelled."""

_GROUP = 0.02
"""Seconds for which calls are added to a group, whose first call waits for the sync of all."""

_THREADS = 100_000
"""More than any process needs: each waiting call needs its own thread, and only one thread works."""


class _Abandoned(BaseException):
    """Ends a thread whose task was cancelled while the thread did not use the board."""


class _Turn:
    """The right of one call to use the board. :meth:`begin` and :meth:`end` run in the loop."""

    def __init__(self, turns: anyio.Semaphore, timeout: float) -> None:
        self._turns = turns
        self._timeout = timeout
        self._token = anyio.lowlevel.current_token()
        self._change = threading.Lock()
        self._is_held = False
        self._is_abandoned = self._is_unwanted = False
        self.when_left: Callable[[], object] = lambda: None

    async def begin(self) -> None:
        """Wait for the turn.

        Raises:
            TimedOut: Other tasks had the board all the time.
        """
        await anyio.lowlevel.checkpoint_if_cancelled()
        try:
            self._turns.acquire_nowait()
        except anyio.WouldBlock:
            await self._wait_for_turn()
        self._is_held = True

    async def _wait_for_turn(self) -> None:
        try:
            with anyio.fail_after(self._timeout):
                await self._turns.acquire()
        except TimeoutError:
            raise TimedOut(
                f"Another task has the board; waited {self._timeout:g} s",
                hint="A transaction has not ended. It must not wait for commands of other tasks.",
            ) from None

    def share(self) -> None:
        """Use the turn that another call has; only the last of them ends it."""
        self._is_held = True

    def end(self) -> None:
        """Release the turn if it is held."""
        if self._is_held:
            self._is_held = False
            self._turns.release()

    def leave(self) -> None:
        """Release the turn while the board is not needed."""
        with self._change:
            was_held, self._is_held = self._is_held, False
            self._is_abandoned |= self._is_unwanted
        if was_held:
            anyio.from_thread.run_sync(self._turns.release, token=self._token)
        self.check_awaited()
        self.when_left()

    def check_awaited(self) -> None:
        """End the thread if its task was cancelled while the board was not used."""
        if self._is_abandoned:
            raise _Abandoned

    def resume(self) -> None:
        """Wait for the turn if it was left."""
        if self._is_held:
            return
        anyio.from_thread.run(self.begin, token=self._token)
        if self._is_abandoned:
            self.leave()

    def abandon(self, *, even_if_held: bool = False) -> bool:
        """Let the thread end as soon as it does not use the board; False if it uses the board now."""
        with self._change:
            self._is_unwanted = True
            self._is_abandoned = even_if_held or not self._is_held
            return self._is_abandoned

    def wait(self, watch: Callable[[float], bool], timeout: float) -> bool:
        """Wait without the turn, and not much longer than the task does."""
        self.leave()
        deadline = time.monotonic() + timeout
        while (remaining := deadline - time.monotonic()) > 0:
            if watch(min(remaining, _SLICE)):
                return True
            self.check_awaited()
        return False


class _TurnDesk:
    """The engine for a single call: every use of the board waits for the turn."""

    def __init__(self, engine: Engine, turn: _Turn) -> None:
        self._engine = engine
        self._turn = turn
        self.agent = engine.agent
        self.folder = engine.folder
        self.now = engine.now
        self.show_progress = engine.show_progress

    def __getattr__(self, name: str) -> Any:
        self._turn.resume()
        return getattr(self._engine, name)

    def take(self, turn: _Turn) -> None:
        """Use the turn of another call from now on."""
        self._turn = turn

    def pause(self) -> None:
        """Do as the engine does, and let other calls have the board."""
        self._turn.resume()
        self._engine.pause()
        self._turn.leave()

    def check_awaited(self) -> None:
        """Leave the thread if the task was cancelled."""
        self._turn.check_awaited()

    def watch(self) -> Callable[[float], bool]:
        """Do as the engine does; other calls have the board during the wait."""
        self._turn.resume()
        return functools.partial(self._turn.wait, self._engine.watch())


class _Job(Generic[R]):
    """A function that a thread runs for the async task that creates this.

    Args:
        name: The name of the call, for messages.
        function: What to run.
        finish: Called in the loop when the function has ended.
    """

    def __init__(
        self, name: str, function: Callable[[], R], finish: Callable[[], object] = lambda: None
    ) -> None:
        self._name = name
        self._function = function
        self.finish = finish
        self._caller = flow.current()
        self._token = anyio.lowlevel.current_token()
        self.ended = anyio.Event()
        self._outcome: Future[R] = Future()

    def work(self) -> None:
        """Run the function, and tell the task."""
        self.run()
        self.tell([self])

    def run(self) -> None:
        """Run the function; the task is not told yet."""
        try:
            with flow.acting_for(self._caller):
                self._outcome.set_result(self._function())
        except BaseException as error:  # noqa: BLE001  it is raised again in the loop
            self._outcome.set_exception(error)

    def fail(self, error: BaseException) -> None:
        """Replace the outcome, which nobody has seen, by an error."""
        self._outcome = Future()
        self._outcome.set_exception(error)

    def tell(self, jobs: "Sequence[_Job[Any]]") -> None:
        """Tell the tasks of these jobs that the functions have ended; without waiting for the loop."""
        loop: Any = self._token.native_token
        soon = getattr(loop, "call_soon_threadsafe", None) or loop.run_sync_soon  # asyncio or trio
        with suppress(RuntimeError):  # the loop has ended
            soon(self._end, jobs)

    @staticmethod
    def _end(jobs: "Sequence[_Job[Any]]") -> None:
        for job in jobs:
            job.finish()
            job.ended.set()

    async def outcome(self, turn: _Turn | None = None) -> R:
        """What the function returned or raised.

        A cancelled task does not get away before the function has ended, unless ``turn`` says that it only
        waits. If the cancellation is one that is repeated at the next ``await``, the outcome comes first.
        Else (``asyncio.Task.cancel``) the outcome is a note of the cancellation.
        """
        try:
            await self.ended.wait()
        except anyio.get_cancelled_exc_class() as cancelled:
            if turn is not None and not self.ended.is_set() and turn.abandon():
                raise
            with anyio.CancelScope(shield=True):
                while not self.ended.is_set():
                    with suppress(anyio.get_cancelled_exc_class()):
                        await self.ended.wait()
            if isinstance(self._outcome.exception(), _Abandoned):
                raise
            if anyio.current_effective_deadline() != -math.inf:
                cancelled.add_note(self._sentence())
                raise
        return self.result()

    def result(self) -> R:
        """The result of the ended function; raise its exception."""
        return self._outcome.result()

    def _sentence(self) -> str:
        if error := self._outcome.exception():
            return f"{self._name} had begun and failed: {error}"
        return f"{self._name} had begun and was done: {shortened(repr(self.result()), 500)}"


class _GroupedCall(_Job[R]):
    """A call that may run in the thread of another one.

    Args:
        name: The name of the call.
        function: What to run.
        turn: Its turn, which it may get from the call before it.
        seen_in: Makes the board for a turn.
    """

    def __init__(
        self,
        name: str,
        function: Callable[[Orchestrator], R],
        turn: _Turn,
        seen_in: Callable[[_Turn], Orchestrator],
    ) -> None:
        super().__init__(name, lambda: function(seen_in(turn)))
        self.turn = turn
        turn.share()
        self._is_begun = threading.Lock()

    def begin(self) -> bool:
        """Whether the caller of this is the one to run it."""
        return self._is_begun.acquire(blocking=False)


class _Transaction:
    """The transaction that is open: its task, and the one thread that all of it runs in."""

    def __init__(self) -> None:
        self.flow = flow.current()
        self.executor = ThreadPoolExecutor(1, thread_name_prefix="transaction")
        # Start the thread now. An interrupt while it starts makes the executor start a second one for the
        # next call, and what the first has entered could not be left there.
        self.executor.submit(int)

    async def run(self, name: str, function: Callable[[], R]) -> R:
        """Run a function in this thread."""
        job = _Job(name, function)
        self.executor.submit(job.work)
        return await job.outcome()


class _Caller:
    """Runs calls on a board for the tasks of one event loop.

    Args:
        orc: The board.
    """

    def __init__(self, orc: Orchestrator) -> None:
        self._orc = orc
        self._turns = anyio.Semaphore(1, fast_acquire=True)
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="orchestrator")
        self._open: _Transaction | None = None
        self._grouped: deque[_GroupedCall[Any]] = deque()

    def _turn(self) -> _Turn:
        return _Turn(self._turns, self._orc.engine.timeout)

    def _seen_in(self, turn: _Turn) -> Orchestrator:
        """The board for one call."""
        orc = object.__new__(Orchestrator)
        orc.folder = self._orc.folder
        orc.engine = _TurnDesk(self._orc.engine, turn)  # type: ignore[assignment]
        return orc

    def _own(self) -> _Transaction | None:
        """The transaction that the calling task has opened."""
        is_own = self._open is not None and self._open.flow == flow.current()
        return self._open if is_own else None

    async def call(
        self,
        name: str,
        function: Callable[[Orchestrator], R],
        earlier: Orchestrator | None = None,
    ) -> R:
        """Run a command or query, inside the transaction of the calling task if it has one."""
        if own := self._own():
            return await own.run(name, lambda: function(self._orc))
        turn = self._turn()
        await turn.begin()
        orc = earlier or self._seen_in(turn)
        if isinstance(orc.engine, _TurnDesk):
            orc.engine.take(turn)
        job = _Job(name, lambda: function(orc), turn.end)
        self._executor.submit(job.work)
        return await job.outcome(turn)

    async def call_grouped(self, name: str, function: Callable[[Orchestrator], R]) -> R:
        """Run a function whose commits one sync may make durable with those of others.

        The thread of the call that has the turn runs those that wait, too, one after the other.
        """
        if self._own():
            return await self.call(name, function)
        call = _GroupedCall(name, function, self._turn(), self._seen_in)
        self._grouped.append(call)
        turn = self._turn()
        try:
            await turn.begin()
        except BaseException:
            if call.begin():
                raise
            return await call.outcome(call.turn)  # another thread has begun it
        if call.begin():
            self._executor.submit(self._run_together, call)
        else:
            turn.end()
        return await call.outcome(call.turn)

    def _run_together(self, first: "_GroupedCall[Any]") -> None:
        """Run a call that has the turn, and others that wait, in a thread; tell them after the sync."""
        until = time.monotonic() + _GROUP
        ended: list[_GroupedCall[Any]] = []
        sure: list[_GroupedCall[Any]] = []

        def settled(error: BaseException | None) -> None:
            for call in ended:
                if error is not None:
                    call.fail(error)
            sure.extend(ended)
            ended.clear()
            if sure and not group.is_open:
                first.tell([*sure])
                sure.clear()

        with suppress(Exception), self._orc.engine.grouped(settled) as group:  # the calls have it
            following: _GroupedCall[Any] | None = first
            while following is not None:
                call = following
                call.run()
                if group.error is not None:  # what this call did before it may be lost
                    call.fail(group.error)
                ended.append(call)
                is_sound = group.is_open and group.error is None
                may_follow = is_sound and time.monotonic() < until
                following = self._next_grouped() if may_follow else None
            call.finish = call.turn.end
        settled(None)

    def _next_grouped(self) -> "_GroupedCall[Any] | None":
        """The next call that waits; nobody else runs it."""
        while self._grouped:
            call = self._grouped.popleft()
            if call.begin():
                return call
        return None

    async def iterate(
        self, name: str, function: Callable[[Orchestrator], Iterator[R]]
    ) -> AsyncIterator[R]:
        """Run a query that yields, and yield its values as soon as they exist."""
        if self._own():
            for item in await self.call(name, lambda orc: [*function(orc)]):
                yield item
            return
        turn = self._turn()
        await turn.begin()
        orc = self._seen_in(turn)
        send, receive = anyio.create_memory_object_stream[list[R]]()
        items: list[R] = []

        def deliver() -> None:
            batch = [*items]
            items.clear()
            if batch:
                anyio.from_thread.run(send.send, batch, token=token)

        def work() -> None:
            for item in function(orc):
                items.append(item)  # noqa: PERF402  they are delivered while more are waited for
            turn.leave()

        def finish() -> None:
            turn.end()
            send.close()

        token = anyio.lowlevel.current_token()
        turn.when_left = deliver
        run = _Job(name, work, finish)
        self._executor.submit(run.work)
        try:
            with receive:
                async for batch in receive:
                    for item in batch:
                        yield item
            run.result()
        finally:
            turn.abandon(even_if_held=True)

    @asynccontextmanager
    async def inside(
        self, name: str, begin: Callable[[], AbstractContextManager[None]]
    ) -> AsyncIterator[None]:
        """Hold a context of the board, entered and left in one thread, for the calling task."""
        own = self._own()
        if own is not None:
            async with self._entered(own, name, begin()):
                yield
            return
        turn = self._turn()
        await turn.begin()
        try:
            self._open = own = _Transaction()
            async with self._entered(own, name, begin()):
                yield
        finally:
            self._open = None
            if own is not None:
                own.executor.shutdown(wait=False)
            turn.end()

    @asynccontextmanager
    async def _entered(
        self, own: _Transaction, name: str, context: AbstractContextManager[None]
    ) -> AsyncIterator[None]:
        def leave(error: BaseException | None) -> None:
            context.__exit__(type(error) if error else None, error, None)

        try:
            await own.run(name, context.__enter__)
            yield
        except BaseException as error:
            cause = error
            await own.run(name, lambda: leave(cause))
            raise
        await own.run(name, lambda: leave(None))


class _AsyncNoun:
    """One noun whose commands and queries are awaitable."""

    def __init__(self, caller: _Caller, name: str, noun: Lazy) -> None:
        self._caller = caller
        self._name = name
        self._noun = noun
        self.__doc__ = noun.__doc__

    def __getattr__(self, name: str) -> object:
        method = None if name.startswith("_") else getattr_static(self._noun.load(), name, None)
        if not isinstance(method, FunctionType):
            raise AttributeError(f"orc.{self._name} has no command or query {name!r}")
        call = _awaitable(
            method,
            self._caller,
            f"{self._name}.{name}",
            lambda orc: getattr(getattr(orc, self._name), name),
        )
        vars(self)[name] = bound = MethodType(call, self)
        return bound

    def __dir__(self) -> list[str]:
        noun = self._noun.load()
        return [name for name in dir(noun) if isinstance(getattr_static(noun, name), FunctionType)]


def _awaitable(
    method: FunctionType,
    caller: _Caller,
    name: str,
    find: Callable[[Orchestrator], Callable[..., Any]],
) -> Callable[..., Any]:
    """The awaitable form of a method, or the async iterator of one that yields."""
    result = method.__annotations__["return"]
    if getattr(result, "__origin__", None) is Iterator:

        @functools.wraps(method)
        def iterate(_self: object, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            return caller.iterate(name, lambda orc: find(orc)(*args, **kwargs))

        yields = GenericAlias(AsyncIterator, result.__args__)
        iterate.__annotations__ = {**method.__annotations__, "return": yields}
        plain = signature(method)
        iterate.__signature__ = plain.replace(return_annotation=yields)  # type: ignore[attr-defined]
        return iterate

    @functools.wraps(method)
    async def call(_self: object, *args: Any, **kwargs: Any) -> Any:
        return await caller.call(name, lambda orc: find(orc)(*args, **kwargs))

    call.__annotations__ = method.__annotations__
    return call


def _opening(plain: Callable[P, Orchestrator]) -> Callable[P, "AsyncOrchestrator"]:
    @functools.wraps(plain)
    def open(*args: P.args, **kwargs: P.kwargs) -> "AsyncOrchestrator":
        return AsyncOrchestrator(plain(*args, **kwargs))

    open.__annotations__ = plain.__annotations__ | {"return": "AsyncOrchestrator"}
    return open


if TYPE_CHECKING:
    from orchestrator.async_nouns import AsyncNouns
else:

    class AsyncNouns:
        """The nouns and commands; ``async_nouns.pyi`` has them written out for type checkers."""

        def __getattr__(self, name: str) -> object:
            member = None if name.startswith("_") else getattr(Orchestrator, name, None)
            if isinstance(member, Lazy):
                value: object = _AsyncNoun(self._caller, name, member)
            elif isinstance(member, FunctionType):
                call = _awaitable(member, self._caller, name, lambda orc: getattr(orc, name))
                value = MethodType(call, self)
            else:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            vars(self)[name] = value
            return value

        def __dir__(self) -> list[str]:
            return sorted({*super().__dir__(), *dir(Orchestrator)})


class AsyncOrchestrator(AsyncNouns):
    """A board for the tasks of one event loop, asyncio's or trio's.

    ``await orc.tasks.add(...)``, ``await orc.status()``: every command and query of
    :class:`Orchestrator` is awaitable, every iterator an async one. Commands of other tasks wait for their
    turn while a transaction is open. A cancelled task leaves no command half done: one that has begun
    ends first. One that only waits (``wait="1h"``, :meth:`Events.follow`) ends at once and changes
    nothing; so does one that runs the checks of a task, which end with it.

    Args:
        orc: The board. Its plain commands must not be called from the thread of the event loop.
    """

    def __init__(self, orc: Orchestrator) -> None:
        self.folder = orc.folder
        self._orc = orc
        self._caller = _Caller(orc)

    open = staticmethod(_opening(Orchestrator.open))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Several commands of this task, one commit; an exception leaves nothing behind."""
        async with self._caller.inside("transaction", self._orc.transaction):
            yield

    @asynccontextmanager
    async def rehearsal(self) -> AsyncIterator[None]:
        """A dry run: commands of this task answer as they would, and leave every file as it was."""
        async with self._caller.inside("rehearsal", self._orc.rehearsal):
            yield

    async def run(
        self,
        name: str,
        function: Callable[[Orchestrator], R],
        *,
        earlier: Orchestrator | None = None,
    ) -> R:
        """Run a function of the plain board in a thread, as one call of this task.

        Args:
            name: The name of the call, for messages.
            function: Gets the board, for this call only.
            earlier: The board of an earlier call that has ended, for what that call has left to do.
        """
        return await self._caller.call(name, self._apart(function), earlier)

    async def run_grouped(self, name: str, function: Callable[[Orchestrator], R]) -> R:
        """The same for a function that changes the board.

        One sync may make its commits durable with those of others that wait for their turn.
        """
        return await self._caller.call_grouped(name, self._apart(function))

    def _apart(self, function: Callable[[Orchestrator], R]) -> Callable[[Orchestrator], R]:
        """The function, which sees of the engine only what it does itself."""

        def call(orc: Orchestrator) -> R:
            self._orc.engine.has_recorded = False
            return function(orc)

        return call

    def request(self, request_id: str) -> AbstractContextManager[None]:
        """The command of this task inside answers this request: repeating it has one effect."""
        return self._orc.request(request_id)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        with anyio.CancelScope(shield=True):
            await self.close()
