"""The right to write: one lock between all threads and processes that share a board.

It has two guards, see :mod:`orchestrator.stores.files.guards`; a process never waits for one while it holds
the other. The process that holds both records its identity, which the error after a timeout names.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orchestrator.core import system
from orchestrator.core.errors import TimedOut
from orchestrator.stores.files import disk, mounts
from orchestrator.stores.files.guards import FlockGuard, FolderGuard, Guard, LibraryGuard
from orchestrator.stores.files.holder_note import HolderNote
from orchestrator.stores.files.turn_queue import TurnQueue

NEXT = 0.0001
"""Seconds between two tries of the process that is next in the queue. filelock's default of 0.05 is unfair:
of 8 processes, one got 715 turns and another got 1."""

TURNS = 4
"""How often in a row a process may take the lock before it must queue: with a new holder at every turn, the
lock would be idle while each process wakes up."""

COURTESY = 0.25
"""Seconds without a new holder after which a process ignores the queue: the next process may be stopped."""


class BoardLock:
    """Both guards, and a lock for the threads of this process, under one timeout.

    Args:
        folder: The folder ``state/``.
        warn: Receives a sentence if the file system may not be local.
    """

    def __init__(self, folder: str, *, warn: Callable[[str], None]) -> None:
        self._folder = folder
        self._warn = warn
        self._checked = False
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._threads = threading.Lock()
        self._owner = 0
        path = f"{self._folder}/.lock"
        self._path = path
        self._file: Guard | None = None
        self._guard = FolderGuard(self._folder)
        self._turns = 0
        self._queue = TurnQueue(f"{self._folder}/.queue")
        self._holder = HolderNote(f"{self._folder}/.holder")
        self.left_unsynced = False

    @contextmanager
    def held(self, command: str, timeout: float) -> Iterator[None]:
        """Hold the lock; see :meth:`orchestrator.core.store.Store.locked`."""
        self.acquire(command, timeout)
        try:
            yield
        finally:
            self.release()

    def is_mine(self) -> bool:
        """Whether this thread holds the lock."""
        return self._owner == threading.get_ident() and self._pid == os.getpid()

    def acquire(self, command: str, timeout: float) -> None:
        """Take the lock: immediately if it is free, else in the order of the queue."""
        if self._pid != os.getpid():
            # After a fork the locks are shared with the parent, so open new descriptors.
            self._start()
        if self.is_mine():
            raise RuntimeError("this thread holds the lock of the board already")
        deadline = time.monotonic() + timeout
        if not self._threads.acquire(timeout=min(max(timeout, 0), threading.TIMEOUT_MAX)):
            raise self._timed_out(timeout)
        try:
            with disk.naming("lock", self._path):
                self._wait(deadline, timeout)
            self._owner = threading.get_ident()
            self.left_unsynced = self._holder.announce(command) or self.left_unsynced
        except BaseException:
            # This includes an interrupt after both guards were taken.
            self._let_go()
            raise

    def release(self) -> None:
        """Release the lock; a forked child does not hold it."""
        if self._pid == os.getpid():
            try:
                self._holder.clear()
            finally:
                self._let_go()

    def _let_go(self) -> None:
        """Release everything, even if an interrupt occurs in between."""
        self._owner = 0
        try:
            if self._file is not None:
                self._file.release()
        finally:
            try:
                self._guard.release()
            finally:
                self._threads.release()

    def _wait(self, deadline: float, timeout: float) -> None:
        """Try immediately, but only a few times in a row; then queue, and try often when next."""
        file = self._prepare()
        self._guard.check()
        if self._turns < TURNS and self._try(file):
            self._turns += 1
            return
        self._turns = 0
        seen = b""
        try:
            self._queue.join()
            while True:
                left = deadline - time.monotonic()
                if self._queue.is_next(max(0.0, min(left, COURTESY))):
                    if self._try(file):
                        return
                    time.sleep(NEXT)
                else:
                    # The next process may be stopped: ignore the order if the holder has not changed.
                    seen, before = self._holder.stamp(), seen
                    if (seen == before or left <= 0) and self._try(file):
                        return
                if left <= 0:
                    raise self._timed_out(timeout)
        finally:
            self._queue.leave()

    def _prepare(self) -> Guard:
        if self._file is None:
            if not os.path.isdir(self._folder):
                disk.make_folder(self._folder)
            if not self._checked:
                mounts.check_local(self._folder, self._warn)
                self._checked = True
            guard = FlockGuard if system.HAS_FLOCK else LibraryGuard
            self._file = guard(self._path)
        return self._file

    def _try(self, file: Guard) -> bool:
        # The folder first: a try costs one system call, so waiting takes no CPU time from the holder.
        if not self._guard.acquire():
            return False
        is_taken = False
        try:
            is_taken = file.acquire()
        finally:
            if not is_taken:
                self._guard.release()
        return is_taken

    def _timed_out(self, timeout: float) -> TimedOut:
        return TimedOut(
            f"The board is locked by {self._holder.describe()}; waited {timeout:g} s",
            hint="Repeat the command; if this continues, check what that process does.",
            path=self._path,
        )
