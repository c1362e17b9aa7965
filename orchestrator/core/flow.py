"""Who acts inside this process: a flow is one thread, and in it one coroutine.

A board belongs to one flow at a time, as long as a command or a transaction of it runs. Contextvars would
not do: tasks and threads inherit them, so a child would join the transaction of its parent.
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
    """The flow that calls."""
    flow: Flow | None = getattr(_acting, "flow", None)
    return flow or (threading.get_ident(), _task())


@contextmanager
def acting_for(flow: Flow) -> Iterator[None]:
    """Let this thread work for another flow, which waits meanwhile."""
    _acting.flow = flow
    try:
        yield
    finally:
        _acting.flow = None


def _task() -> object:
    """The task that runs in this thread. A library that nobody has loaded runs none."""
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
    """Which flow has the board. Use it in a ``with``; its flow may enter again.

    Another thread waits until the board is free. Another coroutine of the same thread is refused, because
    waiting would stop the loop that the owner needs to go on.

    Args:
        timeout: Seconds that a thread waits.
    """

    def __init__(self, timeout: float) -> None:
        self._lock = threading.RLock()
        self._timeout = min(max(timeout, 0), threading.TIMEOUT_MAX)
        self._depth = 0
        self._flow: Flow | None = None

    def __enter__(self) -> None:
        """Take the board.

        Raises:
            Refused: Another coroutine of this thread has it.
            TimedOut: Another thread had it all the time.
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

    def __exit__(self, *_error: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._flow = None
        self._lock.release()
