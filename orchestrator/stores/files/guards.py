"""The guards of a board's lock. Each is tried, never waited for.

``state/.lock`` can be held by other programs too. The folder ``state/`` is a second guard for the case that
the lock file is deleted (``git clean``).
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
    """``state/.lock`` held by ``filelock``."""

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


class RawGuard:
    """``state/.lock`` held by a bare ``flock``, the same call as that of ``filelock``.

    For single commands: importing ``filelock`` would take longer than their work.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: disk.Descriptor | None = None

    def acquire(self) -> bool:
        """Take it if it is free."""
        file = disk.Descriptor.of_file(self._path, os.O_RDWR | os.O_CREAT)
        # The name may belong to another file by now: a lock on a deleted file excludes no process.
        if system.try_lock(file.fd) and file.is_still(self._path):
            self._file = file
            return True
        return False

    def release(self) -> None:
        """Release it if it is held."""
        file, self._file = self._file, None
        if file is not None:
            # A forked child may have a copy of the descriptor: closing this one would not unlock.
            with suppress(OSError):  # it is closed in any case, and the commit is valid
                system.unlock(file.fd)


class FolderGuard:
    """The folder ``state/``, locked if the system can lock folders; a link in its place is always refused."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._folder: disk.Descriptor | None = None

    def check(self) -> None:
        """Open the current folder.

        Raises:
            Refused: It is a symbolic link: files would be written outside the board.
        """
        if self._folder is None or not self._folder.is_still(self._path):
            if os.path.islink(self._path):
                raise disk.is_link(self._path)
            if system.HAS_FLOCK:
                self._folder = disk.Descriptor(system.open_folder(self._path))
            else:
                os.stat(self._path)  # filelock would create a missing folder

    def acquire(self) -> bool:
        """Take it if it is free."""
        if self._folder is None:
            self.check()
        folder = self._folder
        if folder is None:
            return True
        if not system.try_lock(folder.fd):
            return False
        if folder.is_still(self._path):
            return True
        self._folder = None  # the folder was replaced: its lock goes with its descriptor
        return False

    def release(self) -> None:
        """Release it if it is held."""
        if self._folder is not None:
            try:
                system.unlock(self._folder.fd)
            except OSError:
                self._folder = None  # closing it also unlocks it
