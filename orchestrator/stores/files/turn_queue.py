"""``state/.queue``: which process is next at the lock. It makes turns even; it guards nothing."""

import threading
from contextlib import suppress

from orchestrator.core import system
from orchestrator.stores.files import disk


class TurnQueue:
    """The order of the processes that wait for the lock.

    Without it, the process that releases the lock takes it again before a waiting one has woken up. The
    kernel keeps those that block on one ``flock`` in the order in which they came, and needs no CPU for it:
    a hundred processes that ask again and again leave the holder no time to work. Blocking knows no
    timeout, so a thread does it. Where there is no ``flock``, every process is next.
    """

    def __init__(self, path: str) -> None:
        self._file = disk.SharedFile(path)
        self._change = threading.Lock()
        self._is_wanted = False
        self._is_blocked = False
        self._is_next = threading.Event()

    def join(self) -> None:
        """Take the last place; keep the one that an earlier try left when it ran out of time."""
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
        """Whether this process is the next one; wait up to so many seconds to be."""
        return self._is_next.wait(timeout)

    def leave(self) -> None:
        """Let another process be the next."""
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
