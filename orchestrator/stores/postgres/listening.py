"""Waiting for commits of a board in a database: all stores of a process share what they learn."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from weakref import WeakSet, WeakValueDictionary

from orchestrator.core import system
from orchestrator.core.errors import InputOutputError, OrchestratorError
from orchestrator.core.store import START, Chunk, Cursor
from orchestrator.stores.postgres import schema
from orchestrator.stores.postgres.address import BoardAddress
from orchestrator.stores.postgres.connection import Connection
from orchestrator.stores.postgres.log import RowLog

_LOOK = 5.0
"""Seconds after which a wait looks at the log itself: a program that was killed has announced nothing."""

_LOOK_AT_REPLICA = 0.5
"""The same for a replica, which announces nothing."""

_AGAIN = 0.2
"""Seconds between two tries to reach a server that does not answer."""

_DIGITS = 20
"""An announcement with so many digits is ignored: it is no number of an event, and any role may send one."""

_LARGEST = 100
"""The most events that a process reads for all its stores."""


class Announcements:
    """The announcements of the commits of a board, for all stores of a process that wait for one.

    One of the threads that wait listens for all of them, and reads what is announced before it wakes them.
    When it stops, another one listens. It uses only the connection that all stores share: the connection of
    its own store may be waiting for the lock of the board in another thread.

    Args:
        address: The address of the board.
        board: Its number.
    """

    def __init__(self, address: BoardAddress, board: int) -> None:
        self._connection = Connection(address)
        self._channel = schema.NEW_COMMITS.format(board)
        self._log = RowLog(board, self._connection, address)
        self._listens_on = 0
        self._end = 0
        self._looked = float("-inf")
        self._latest: tuple[Cursor, Chunk | None] = (START, None)
        self._logs = WeakSet[RowLog]()
        self.forget_threads()

    def forget_threads(self) -> None:
        """Begin without the threads that wait: those of the parent of a forked process are not here."""
        self._changed = threading.Condition()
        self._is_heard = False

    def wait(self, log: RowLog, after: Cursor, timeout: float) -> int:
        """Wait until the log does not end at a position.

        Announcements may be missing on a new connection, on a replica, and if a program was killed before it
        announced its commit. So the log is asked from time to time, and always at the end of a wait.

        Args:
            log: The log, on the connection of the caller; see :meth:`leave`.
            after: The position.
            timeout: Seconds.

        Returns:
            The last event that is known; 0 if the time is over.

        Raises:
            InputOutputError: The server does not answer until the time is over.
        """
        self._logs.add(log)
        begun = time.monotonic()
        deadline = begun + timeout
        if self._end > after.id:
            with _patience(deadline):
                if end := self._ask(log, after):  # else it was no commit
                    return end
        while (left := deadline - time.monotonic()) > 0:
            listens = False
            try:
                with self._changed:
                    if self._end > after.id or (self._looked > begun and self._end != after.id):
                        return self._end
                    if self._is_heard:
                        self._changed.wait(min(left, threading.TIMEOUT_MAX))
                        continue
                    listens = self._is_heard = True
                with _patience(deadline):
                    self._listen(after, deadline)
            finally:
                if listens:
                    self._stop_listening()
        return self._ask(log, after) if log in self._logs else 0

    def _listen(self, after: Cursor, deadline: float) -> None:
        """Wait for an announcement, or ask the log if it is time."""
        connection = self._connection
        connection.connect()
        if self._listens_on != connection.number:
            if not connection.is_replica:
                connection.execute(f"LISTEN {self._channel}")
            self._listens_on = connection.number
            self._looked = float("-inf")
        next_look = self._looked + (_LOOK_AT_REPLICA if connection.is_replica else _LOOK)
        left = min(deadline, next_look) - time.monotonic()
        if left <= 0:
            self._ask(self._log, after)
            return
        notices = connection.notified(left)
        ends = [int(text) for text in notices if len(text) < _DIGITS and text.isdecimal()]
        end = max(ends, default=0)
        if 0 < end - after.id <= _LARGEST:
            # After an error, each thread reads the commits itself and reports the error.
            with suppress(OrchestratorError):
                self._latest = after, next(self._log.read(after), None)
        with self._changed:
            self._end = max(self._end, end)

    def _stop_listening(self) -> None:
        with self._changed:
            self._is_heard = False
            self._changed.notify_all()
        self._close_if_unused()

    def _ask(self, log: RowLog, after: Cursor) -> int:
        """The number of the last event, as far as it is known; 0 if the log ends at the position.

        While another thread uses the connection of ``log``, the log is not asked.
        """
        known, begun = self._end, time.monotonic()
        end = log.last_event()
        if end is None:
            return known if known > after.id else 0
        with self._changed:
            # Less than is known if an announcement was false, or if the log was set back.
            self._end = end if self._end == known else max(self._end, end)
            self._looked = begun
            self._changed.notify_all()
        return end if end != after.id else 0

    def latest(self, after: Cursor, last: int) -> Chunk | None:
        """The commits after a position up to an event, if they are the last that were read for all stores."""
        position, chunk = self._latest
        return chunk if position == after and chunk is not None and chunk.end.id >= last else None

    def leave(self, log: RowLog) -> None:
        """Close the connection if no other log is waited for; the next wait opens it again."""
        self._logs.discard(log)
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        with self._changed:
            if not self._logs and not self._is_heard:
                self._connection.close()


@contextmanager
def _patience(deadline: float) -> Iterator[None]:
    """Pause if the server does not answer: it may restart. The look at the end of a wait reports an error."""
    try:
        yield
    except InputOutputError:
        time.sleep(max(0.0, min(_AGAIN, deadline - time.monotonic())))


_known: WeakValueDictionary[tuple[BoardAddress, int], Announcements] = WeakValueDictionary()


def announcements(address: BoardAddress, board: int) -> Announcements:
    """The announcements that all stores of a board share in this process."""
    return _known.setdefault((address, board), Announcements(address, board))


def _free_after_fork() -> None:
    for shared in list(_known.values()):
        shared.forget_threads()


system.after_fork(_free_after_fork)
