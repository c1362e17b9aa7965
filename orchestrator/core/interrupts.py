"""Delay signals during a commit, so that a success is never reported as a failure."""

import signal
import threading
from types import FrameType
from typing import Any

from orchestrator.core import system


class Interrupts:
    """Delays the signals that ask a process to end; :meth:`release` delivers them.

    Only the main thread gets signals, so both methods do nothing in other threads.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._received: list[int] = []

    def hold(self) -> None:
        """Start to delay signals."""
        if self._handlers or threading.current_thread() is not threading.main_thread():
            return
        for number in system.INTERRUPTS:
            self._handlers[number] = signal.signal(number, self._remember)

    def release(self) -> None:
        """Restore the handlers and deliver the first signal that was received."""
        if not self._handlers or threading.current_thread() is not threading.main_thread():
            return
        for number, handler in self._handlers.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._handlers = {}
        received, self._received = self._received, []
        for number in received[:1]:
            signal.raise_signal(number)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self._received.append(number)
