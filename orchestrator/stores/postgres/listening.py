"""Waiting for commits of a board in a database; all connections of a process share one read of a commit."""

import threading
import time
from collections.abc import Callable, Iterator
from weakref import WeakValueDictionary

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


class Listener:
    """A connection on which the commits of a board are announced.

    Args:
        address: The address of the board.
        board: Its number.
        channel: The channel of its announcements.
    """

    def __init__(self, address: BoardAddress, board: int, channel: str) -> None:
        self._connection = Connection(address)
        self._board = board
        self._channel = channel
        self._announced = 0
        self._looked = float("-inf")

    def wait(self, after: int, timeout: float) -> int:
        """Wait until the log does not end with the event ``after``.

        Returns:
            The last event that is known; 0 if the time is over.

        Raises:
            InputOutputError: The server does not answer until the time is over.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                if last := self._look(after, deadline - time.monotonic()):
                    return last
                if (left := deadline - time.monotonic()) <= 0:
                    return 0
                until_look = self._next_look - time.monotonic()
                notices = self._connection.notified(max(0.0, min(left, until_look)))
                ends = (int(text) for text in notices if len(text) < _DIGITS and text.isdecimal())
                self._announced = max(ends, default=0)
                if self._announced > after:
                    return self._announced
            except InputOutputError:
                # The server restarts: wait for it as long as for the commit.
                if time.monotonic() + _AGAIN >= deadline:
                    raise
                time.sleep(_AGAIN)

    @property
    def _next_look(self) -> float:
        """When the log must be asked again, by the clock of this process."""
        return self._looked + (_LOOK_AT_REPLICA if self._connection.is_replica else _LOOK)

    def _look(self, after: int, left: float) -> int:
        """Ask the log for its end if announcements may be missing; return it if it is not ``after``, else 0.

        They may be missing on a new connection, on a replica, and if a program was killed before it announced
        its commit. At the end of a wait the log is always asked.
        """
        if not self._connection.is_open:
            self._connection.connect()
            if not self._connection.is_replica:
                self._connection.execute(f"LISTEN {self._channel}")
        elif self._announced <= after and left > 0 and time.monotonic() < self._next_look:
            return 0
        (head,) = self._connection.quick(_HEAD, self._board) or ("0",)
        self._looked, self._announced = time.monotonic(), 0
        return int(head or 0) if int(head or 0) != after else 0

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


_HEAD = "SELECT head FROM orchestrator.boards WHERE id = $1"


class LatestCommits:
    """The commits of a board that this process has read last: all its connections that they wake use them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._after = START
        self._chunks: list[Chunk] = []

    def read(self, after: Cursor, last: int, read: Callable[[], Iterator[Chunk]]) -> list[Chunk]:
        """The commits after a position, at least up to an event.

        Args:
            after: The position.
            last: The event.
            read: Reads them from the log; called if no other connection of this process has read them.

        Returns:
            The commits; empty if they could not be read: the caller reads them again, and reports the error.
        """
        with self._lock:
            chunks = self._chunks
            if self._after != after or not chunks or chunks[-1].end.id < last:
                try:
                    chunks = [*read()]
                except OrchestratorError:
                    return []
                is_small = sum(len(chunk.events) for chunk in chunks) <= _LARGEST
                self._after, self._chunks = after, chunks if is_small else []
            return chunks


_known: WeakValueDictionary[BoardAddress, LatestCommits] = WeakValueDictionary()


def latest_commits(address: BoardAddress) -> LatestCommits:
    """What all stores of a board share in this process."""
    return _known.setdefault(address, LatestCommits())
