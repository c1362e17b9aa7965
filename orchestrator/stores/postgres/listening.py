"""Waiting for commits of a board in a database: all its connections of a process share what they learn."""

import threading
import time
from collections.abc import Iterator
from typing import Protocol
from weakref import WeakSet, WeakValueDictionary

from orchestrator.core import system
from orchestrator.core.errors import InputOutputError, OrchestratorError
from orchestrator.core.store import START, Chunk, Cursor
from orchestrator.stores.postgres.address import BoardAddress
from orchestrator.stores.postgres.connection import Connection

_LOOK = 5.0
"""Seconds after which a wait looks at the log itself: a program that was killed has announced nothing."""

_LOOK_AT_REPLICA = 0.5
"""The same for a replica, which announces nothing."""

_AGAIN = 0.2
"""Seconds between two tries to reach a server that does not answer."""

_DIGITS = 20
"""An announcement with so many digits is ignored: it is no number of an event, and any role may send one."""

_LARGEST = 100
"""The most events that a process keeps for its other connections."""


class Log(Protocol):
    """The log of a board, on a connection of its own."""

    def last_event(self) -> int:
        """The number of its last event."""

    def read_on(self, after: Cursor) -> Iterator[Chunk]:
        """Its commits after a position."""


class Announcements:
    """The announcements of the commits of a board, for all connections of a process that wait for one.

    One of the threads that wait listens for all of them, and reads what is announced before it wakes them.
    When it stops, another one listens.

    Args:
        address: The address of the board.
        channel: The channel of its announcements.

    Attributes:
        latest: The commits that one of the connections has read last.
    """

    def __init__(self, address: BoardAddress, channel: str) -> None:
        self._connection = Connection(address)
        self._channel = channel
        self._end = 0
        self._looked = float("-inf")
        self._logs = WeakSet[Log]()
        self.latest = LatestCommits()
        self.forget_threads()

    def forget_threads(self) -> None:
        """Begin without the threads that wait: those of the parent of a forked process are not here."""
        self._changed = threading.Condition()
        self._is_heard = False

    def wait(self, log: Log, after: Cursor, timeout: float) -> int:
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
        if self._end > after.id and (end := self._ask(log)) != after.id:  # else it was no commit
            return end
        while (left := deadline - time.monotonic()) > 0:
            with self._changed:
                if self._end > after.id or (self._looked > begun and self._end != after.id):
                    return self._end
                if self._is_heard:
                    self._changed.wait(min(left, threading.TIMEOUT_MAX))
                    continue
                self._is_heard = True
            try:
                self._listen(log, after, deadline)
            except InputOutputError:
                # The server restarts: wait for it as long as for the commit.
                if time.monotonic() + _AGAIN >= deadline:
                    raise
                time.sleep(_AGAIN)
            finally:
                with self._changed:
                    self._is_heard = False
                    self._changed.notify_all()
        end = self._ask(log)
        return end if end != after.id else 0

    def _listen(self, log: Log, after: Cursor, deadline: float) -> None:
        """Wait for an announcement, or ask the log if it is time."""
        connection = self._connection
        if not connection.is_open:
            connection.connect()
            if not connection.is_replica:
                connection.execute(f"LISTEN {self._channel}")
            self._looked = float("-inf")
        next_look = self._looked + (_LOOK_AT_REPLICA if connection.is_replica else _LOOK)
        left = min(deadline, next_look) - time.monotonic()
        if left <= 0:
            self._ask(log)
            return
        notices = connection.notified(left)
        ends = [int(text) for text in notices if len(text) < _DIGITS and text.isdecimal()]
        end = max(ends, default=0)
        if end > after.id:
            self.latest.read(log, after, end)
        with self._changed:
            self._end = max(self._end, end)

    def _ask(self, log: Log) -> int:
        known, begun = self._end, time.monotonic()
        end = log.last_event()
        with self._changed:
            # Less than is known if an announcement was false, or if the log was set back.
            self._end = end if self._end == known else max(self._end, end)
            self._looked = begun
            self._changed.notify_all()
        return end

    def leave(self, log: Log) -> None:
        """Close the connection if no other log is waited for; the next wait opens it again."""
        self._logs.discard(log)
        with self._changed:
            if not self._logs and not self._is_heard:
                self._connection.close()


class LatestCommits:
    """The commits of a board that this process has read last: all its connections that they wake use them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._after = START
        self._chunks: list[Chunk] = []

    def read(self, log: Log, after: Cursor, last: int) -> list[Chunk]:
        """The commits after a position, at least up to an event.

        Args:
            log: The log, to read them if no other connection of this process has read them.
            after: The position.
            last: The event.

        Returns:
            The commits; empty if they could not be read: the caller reads them again, and reports the error.
        """
        with self._lock:
            chunks = self._chunks
            if self._after != after or not chunks or chunks[-1].end.id < last:
                try:
                    chunks = [*log.read_on(after)]
                except OrchestratorError:
                    return []
                is_small = sum(len(chunk.events) for chunk in chunks) <= _LARGEST
                self._after, self._chunks = after, chunks if is_small else []
            return chunks


_known: WeakValueDictionary[BoardAddress, Announcements] = WeakValueDictionary()


def announcements(address: BoardAddress, channel: str) -> Announcements:
    """What all stores of a board share in this process."""
    return _known.setdefault(address, Announcements(address, channel))


def _free_after_fork() -> None:
    for shared in list(_known.values()):
        shared.forget_threads()


system.after_fork(_free_after_fork)
