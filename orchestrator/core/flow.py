"""Flows: which thread, and which coroutine in it, runs a command.

A board belongs to one flow at a time, while a command or transaction of that flow runs. Contextvars are not
usable here: tasks and threads inherit them, so a child would join the transaction of its parent.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.core.errors import Refused, TimedOut

Flow = tuple[int, object]
"""The identity of a thread, and the asyncio or trio task that it runs; None outside of one."""

_acting = threading.local()


def current() -> Flow:
    """The calling flow."""
    flow: Flow | None = getattr(_acting, "flow", None)
    return flow or (threading.get_ident(), _task())


@contextmanager
def acting_for(flow: Flow) -> Iterator[None]:
    """Let this thread act for another flow, which waits meanwhile."""
    _acting.flow = flow
    try:
        yield
    finally:
        _acting.flow = None


def _task() -> object:
    """The async task that runs in this thread. A library that is not loaded runs no task."""
    for library, place in ("asyncio", "asyncio"), ("trio", "trio.lowlevel"):
        if library in sys.modules and (module := sys.modules.get(place)):
            try:
                task = module.current_task()
            except (RuntimeError, AttributeError):  # no loop runs here, or it is being imported
                continue
            if task is not None:
                return task
    return None


class Ownership:
    """The ownership of the board by a flow: a reentrant context manager.

    Another thread waits until the board is free. Another coroutine of the same thread is refused, because
    waiting would block the loop that the owner needs to continue.

    Args:
        timeout: Seconds that a thread waits.
    """

    def __init__(self, timeout: float) -> None:
        self._lock = threading.RLock()
        self._timeout = min(max(timeout, 0), threading.TIMEOUT_MAX)
        self._depth = 0
        self._flow: Flow | None = None
        self._queries: list[object] = []

    def __enter__(self) -> None:
        """Take the board.

        Raises:
            Refused: Another coroutine of this thread has it.
            TimedOut: Another thread did not release it in time.
        """
        if not self._lock.acquire(timeout=self._timeout):
            raise TimedOut(
                f"Another thread of this process has the board; waited {self._timeout:g} s",
                hint="A transaction there has not ended. Keep transactions short.",
            )
        flow = current()
        if self._depth and self._flow != flow:
            self._lock.release()
            raise Refused(
                "Another coroutine has a transaction open on this board",
                code="transaction_open",
                hint="Let it end first, or use AsyncOrchestrator: its commands wait for their turn.",
            )
        self._flow = flow
        self._depth += 1

    @contextmanager
    def kept_in_thread(self) -> Iterator[None]:
        """Keep other threads out, also between two flows that this thread acts for; it has the board now."""
        with self._lock:
            yield

    def __exit__(self, *_error: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._flow = None
        self._lock.release()

    @contextmanager
    def until_pause(self) -> Iterator[None]:
        """Hold the board for a query until it ends or pauses.

        Raises:
            OrchestratorError: As when the board is taken.
        """
        query = object()
        self.__enter__()
        self._queries.append(query)
        try:
            yield
        finally:
            if query in self._queries:
                self._queries.remove(query)
                self.__exit__()

    def pause(self) -> None:
        """Release the board that queries of this flow hold, so that other threads can use it."""
        while self._queries and self._flow == current():
            self._queries.pop()
            self.__exit__()
