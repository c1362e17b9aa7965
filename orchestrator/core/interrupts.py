"""SIGINT and SIGTERM wait while a commit is on its way, so that success is never reported as failure."""

import signal
import threading
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Holds the two signals back; what came meanwhile is delivered by :meth:`release`.

    Only the main thread gets signals, so elsewhere both methods do nothing.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._came: list[int] = []

    def hold(self) -> None:
        """From now on a signal is only remembered."""
        if self._handlers or threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            self._handlers[number] = signal.signal(number, self._remember)

    def release(self) -> None:
        """Put the handlers back and deliver what came."""
        if not self._handlers or threading.current_thread() is not threading.main_thread():
            return
        for number, handler in self._handlers.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._handlers = {}
        came, self._came = self._came, []
        for number in came[:1]:
            signal.raise_signal(number)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self._came.append(number)
