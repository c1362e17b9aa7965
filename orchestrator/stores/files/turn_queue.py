"""``state/.queue``: which process is next at the lock. It makes turns fair, but protects no data."""

import threading
from contextlib import suppress

from orchestrator.core import system
from orchestrator.stores.files import disk


class TurnQueue:
    """The order of the processes that wait for the lock.

    Without it, the process that releases the lock takes it again before a waiting process wakes up. The
    kernel keeps processes that block on a ``flock`` in the order in which they came, without CPU time: a
    hundred processes that poll would leave the holder no time to work. A blocking call has no timeout, so
    a thread makes it. On systems without ``flock``, every process counts as next.
    """

    def __init__(self, path: str) -> None:
        self._file = disk.SharedFile(path)
        self._change = threading.Lock()
        self._is_wanted = False
        self._is_blocked = False
        self._is_next = threading.Event()

    def join(self) -> None:
        """Take the last place, or keep the place of an earlier try that timed out."""
        with self._change:
            self._is_wanted = True
            if self._is_blocked:
                return
            self._is_next.clear()
            try:
                file = self._file.open()
                if system.try_lock(file.fd):
                    self._is_next.set()
                    return
                thread = threading.Thread(target=self._block, args=(file,), daemon=True)
                self._is_blocked = True
                thread.start()
            except (OSError, RuntimeError):  # RuntimeError: no more threads
                self._is_blocked = False
                self._is_next.set()  # no queue, no order: every process may try

    def is_next(self, timeout: float) -> bool:
        """Whether this process is next; wait up to so many seconds for it."""
        return self._is_next.wait(timeout)

    def leave(self) -> None:
        """Let the next process in."""
        with self._change:
            self._is_wanted = False
            if not self._is_blocked:
                self._unlock()

    def _block(self, file: disk.Descriptor) -> None:
        with suppress(OSError):
            system.lock(file.fd)
        with self._change:
            self._is_blocked = False
            if self._is_wanted:
                self._is_next.set()
            else:
                self._unlock()

    def _unlock(self) -> None:
        self._is_next.clear()
        if self._file.opened is not None:
            with suppress(OSError):
                system.unlock(self._file.opened.fd)
