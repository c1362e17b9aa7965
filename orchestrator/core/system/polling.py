"""Waiting for changes of files on systems that do not report them."""

import time
from collections.abc import Iterable

_PAUSE = 0.05  # seconds between two looks


def rest(seconds: float) -> bool:
    """Wait until it is time to look for changes: True, because there may be some."""
    time.sleep(min(_PAUSE, seconds))
    return True


class PollingAlarm:
    """Rings when files, or the entries of folders, may have changed: here, again and again.

    Args:
        paths: The files and folders.

    Attributes:
        is_told: Whether the system reports all changes; else the caller has to look for itself.
    """

    is_told = False

    def __init__(self, paths: Iterable[str]) -> None:
        pass

    def wait(self, seconds: float) -> bool:
        """Wait until it rings; False after so many seconds. The next wait waits for the next change."""
        return rest(seconds)

    def ring(self) -> None:
        """Do nothing: a wait is short."""

    def close(self) -> None:
        """Do nothing: there is nothing open."""
