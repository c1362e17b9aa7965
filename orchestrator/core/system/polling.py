"""Waiting for changes of files on systems that do not report them."""

import time
from collections.abc import Iterable

_SHORTEST, _LONGEST = 0.001, 0.05  # seconds between two looks, while nothing happens for longer


class FileAlarm:
    """Waits until files, or the entries of folders, may have changed: here it is time to look.

    Args:
        paths: The files and folders.
    """

    def __init__(self, paths: Iterable[str]) -> None:  # noqa: ARG002 -- as on every system
        self._pause = _SHORTEST

    def wait(self, seconds: float) -> None:
        """Return when something may have changed, at the latest after so many seconds."""
        time.sleep(min(self._pause, seconds))
        self._pause = min(self._pause * 2, _LONGEST)

    def close(self) -> None:
        """Do nothing: there is nothing open."""
