"""Wait for a change of the board: try, sleep until a commit or the end of a lease, try again."""

import time
from collections.abc import Callable
from typing import TypeVar

from orchestrator.core import clock
from orchestrator.core.transaction import Desk
from orchestrator.domain.state import State

R = TypeVar("R")


def wait_for(desk: Desk[State], attempt: Callable[[], R | None], patience: float | str) -> R | None:
    """Try until there is a result or the time is over.

    Args:
        desk: The board.
        attempt: What to try; None means not yet.
        patience: Seconds, or a duration as text; 0 tries once.

    Returns:
        The result, or None when the time is over.
    """
    deadline = time.monotonic() + clock.duration(patience)
    wait = desk.watch()
    while (result := attempt()) is None:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return None
        now = desk.now()
        state = desk.read()
        changes = (state.schedule.next_change(now), state.mail.next_end_of_quiet(now))
        change = min(filter(None, changes), default=None)
        if change is not None:
            remaining = min(remaining, max(clock.between(now, change), 0.001))
        desk.pause()
        wait(remaining)
        desk.read()  # so the next wait begins after this commit, else it would end at once
        wait = desk.watch()
    return result
