"""What only Linux has: the report of changed files, and the adoption of orphans."""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress

from orchestrator.core.system import polling

assert sys.platform != "win32"

_CHANGES = 0x2 | 0x4 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800
"""Written, other attributes, an entry moved away, moved here, made or deleted, and gone itself."""

_SUBREAPER = 36


class InotifyAlarm:
    """Rings when files, or the entries of folders, may have changed.

    Args:
        paths: The files and folders.

    Attributes:
        is_told: Whether the system reports all changes; else the caller has to look for itself.
    """

    _fd = -1

    def __init__(self, paths: Iterable[str]) -> None:
        import ctypes  # only what waits needs it

        self._library = ctypes.CDLL(None)
        self._fd = self._library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        add = self._library.inotify_add_watch
        self._watches = [add(self._fd, os.fsencode(path), _CHANGES) for path in paths]
        # It fails for a path that is missing, and for a user who has too many alarms.
        self.is_told = min((self._fd, *self._watches)) >= 0

    def wait(self, seconds: float) -> bool:
        """Wait until it rings; False after so many seconds. The next wait waits for the next change."""
        if not self.is_told:
            return polling.rest(seconds)
        import select

        readable = select.poll()
        readable.register(self._fd, select.POLLIN)
        if not readable.poll(seconds * 1000):
            return False
        with suppress(BlockingIOError):  # another thread was faster
            os.read(self._fd, 65536)
        return True

    def ring(self) -> None:
        """End a wait in another thread."""
        for watch in self._watches:
            self._library.inotify_rm_watch(self._fd, watch)

    def close(self) -> None:
        """End the reports. The system takes some 10 ms for it."""
        fd, self._fd, self.is_told = self._fd, -1, False
        if fd >= 0:
            os.close(fd)

    __del__ = close


def adopt_orphans() -> bool:
    """Become the parent of descendants whose parent has ended; whether the system does that."""
    import ctypes

    has_children = os.path.exists(f"/proc/self/task/{os.getpid()}/children")
    return has_children and not ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
