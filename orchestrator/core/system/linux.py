"""What only Linux has: the report of changed files, and the adoption of orphans."""

import ctypes
import os
import select
import sys
from collections.abc import Iterable

from orchestrator.core.system import polling

assert sys.platform != "win32"

_CHANGES = 0x2 | 0x4 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800
"""Written, other attributes, an entry moved away, moved here, made or deleted, and gone itself."""

_LONGEST = (
    0.25  # seconds until a look without a report: some file systems of virtual machines send none
)
_SUBREAPER = 36


class FileAlarm:
    """Waits until files, or the entries of folders, may have changed.

    Args:
        paths: The files and folders; one that is missing is not watched.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        library = ctypes.CDLL(None)
        self._polled = polling.FileAlarm(paths)
        self._fd: int = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:  # this user has too many of them
            return
        wanted = [library.inotify_add_watch(self._fd, os.fsencode(p), _CHANGES) for p in paths]
        if min(wanted, default=-1) < 0:
            self.close()

    def wait(self, seconds: float) -> None:
        """Return when something may have changed, at the latest after so many seconds."""
        if self._fd < 0:
            self._polled.wait(seconds)
            return
        readable = select.poll()
        readable.register(self._fd, select.POLLIN)
        if readable.poll(min(seconds, _LONGEST) * 1000):
            os.read(self._fd, 65536)

    def close(self) -> None:
        """End the reports."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


def adopt_orphans() -> bool:
    """Become the parent of descendants whose parent has ended; whether the system does that."""
    return os.path.exists(f"/proc/self/task/{os.getpid()}/children") and not ctypes.CDLL(
        None
    ).prctl(_SUBREAPER, 1, 0, 0, 0)
