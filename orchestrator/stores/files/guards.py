"""The guards of a board's lock. Each is tried, never waited for.

``state/.lock`` can be held by other programs too, also through ``filelock``, which makes the same system call
where there is a ``flock``. The folder ``state/`` is a second guard for the case that the lock file is deleted
(``git clean``).
"""

import os
from contextlib import suppress
from typing import Protocol

from orchestrator.core import system
from orchestrator.stores.files import disk


class Guard(Protocol):
    """A lock that is tried, never waited for."""

    def acquire(self) -> bool:
        """Take it if it is free."""
        ...

    def release(self) -> None:
        """Release it if it is held."""
        ...


class LibraryGuard:
    """``state/.lock`` held by ``filelock``, for systems without ``flock``."""

    def __init__(self, path: str) -> None:
        import filelock

        self._path = path
        self._lock = filelock.FileLock(path, fallback_to_soft=False, thread_local=False)
        self._taken = filelock.Timeout
        self._in_doubt = False

    def acquire(self) -> bool:
        """Take it if it is free."""
        if self._in_doubt:
            with disk.naming("unlock", self._path):
                self._lock.release()
            self._in_doubt = False
        try:
            self._lock.acquire(blocking=False)
        except self._taken:
            return False
        return True

    def release(self) -> None:
        """Release it if it is held; :meth:`acquire` repeats a failed release first."""
        self._in_doubt = True
        with suppress(OSError):  # the commit is valid, even if the lock fails
            self._lock.release()
            self._in_doubt = False


class FlockGuard:
    """``state/.lock`` held by a ``flock``; the file is opened once, and again after it was replaced."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: disk.Descriptor | None = None

    def acquire(self) -> bool:
        """Take it if it is free."""
        for _ in range(2):
            if self._file is None:
                self._file = self._open()
            if not system.try_lock(self._file.fd):
                return False
            # The name may belong to another file by now: a lock on a deleted file excludes no process.
            if self._file.is_still(self._path):
                return True
            self._file = None  # its lock goes with its descriptor
        return False

    def release(self) -> None:
        """Release it if it is held."""
        if self._file is not None:
            # A forked child may have a copy of the descriptor: closing this one would not unlock.
            try:
                system.unlock(self._file.fd)
            except OSError:  # the commit is valid
                self._file = None  # closing it also unlocks it

    def _open(self) -> disk.Descriptor:
        return disk.Descriptor.of_file(self._path, os.O_RDWR | os.O_CREAT)


class FolderGuard(FlockGuard):
    """The folder ``state/``, locked if the system can lock folders; a link in its place is always refused."""

    def check(self) -> None:
        """Open the current folder.

        Raises:
            Refused: It is a symbolic link: files would be written outside the board.
        """
        if self._file is None or not self._file.is_still(self._path):
            if os.path.islink(self._path):
                raise disk.is_link(self._path)
            if system.HAS_FLOCK:
                self._file = self._open()
            else:
                os.stat(self._path)  # filelock would create a missing folder

    def acquire(self) -> bool:
        """Take it if it is free."""
        return not system.HAS_FLOCK or super().acquire()

    def _open(self) -> disk.Descriptor:
        return disk.Descriptor(system.open_folder(self._path))
