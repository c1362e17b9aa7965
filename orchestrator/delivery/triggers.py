"""The triggers: when to look at a mailbox."""

import time
from collections.abc import Callable

from orchestrator.core.transaction import Desk
from orchestrator.domain.state import State


class Watch:
    """Each commit of the board, as the store reports it: by file events where the system has them.

    Args:
        desk: The board.
    """

    def __init__(self, desk: Desk[State]) -> None:
        self._desk = desk

    def watch(self) -> Callable[[float], bool]:
        """See :class:`orchestrator.delivery.ports.Trigger`."""
        wait = self._desk.watch()

        def waited(seconds: float) -> bool:
            self._desk.pause()
            return wait(seconds)

        return waited


_SLICE = 0.25
"""Seconds between two checks whether the caller still waits."""


class Poll:
    """Every so many seconds, for file systems that report changes late or never.

    Args:
        desk: The board.
        seconds: The time between two looks.
    """

    def __init__(self, desk: Desk[State], seconds: float) -> None:
        self._desk = desk
        self._seconds = seconds

    def watch(self) -> Callable[[float], bool]:
        """See :class:`orchestrator.delivery.ports.Trigger`."""

        def waited(seconds: float) -> bool:
            self._desk.pause()
            end = time.monotonic() + min(seconds, self._seconds)
            while (left := end - time.monotonic()) > 0:
                time.sleep(min(left, _SLICE))
                self._desk.check_awaited()
            return seconds >= self._seconds

        return waited
