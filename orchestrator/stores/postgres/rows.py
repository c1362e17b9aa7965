"""What a database keeps beside the log: presence, documents and the positions of readers."""

import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import LiteralString

from orchestrator.core.errors import InputOutputError, OrchestratorError
from orchestrator.core.store import Cursor, FilePart, OpenFiles
from orchestrator.stores.postgres.address import BoardAddress
from orchestrator.stores.postgres.connection import Connection
from orchestrator.stores.postgres.schema import ATTENDING

_FRESH = 1.0
"""Seconds in which a process does not say again that an agent is active."""

_PRESENT = """
    SELECT agent, id IN (
        SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND granted
        AND classid::bigint = %s AND objsubid = 2
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ) FROM orchestrator.attendance WHERE board = %s AND kind = %s
"""

_SMALL = 64 << 10
"""The largest document in bytes that is kept in memory."""


class RowPresence:
    """When each agent was last active, by the clock of the database.

    A process that waits or serves holds an advisory lock as long as it runs: the database frees it with the
    connection, however the process ends and whichever machine it runs on.
    """

    def __init__(self, board: int, connection: Connection, address: BoardAddress) -> None:
        self._board = board
        self._connection = connection
        self._address = address
        self._touched: dict[str, float] = {}

    def touch(self, agent: str) -> None:
        now = time.monotonic()
        is_fresh = now - self._touched.get(agent, -_FRESH) < _FRESH
        if is_fresh or self._connection.is_replica:
            return
        # A heartbeat is a hint: no command may fail because of it.
        with suppress(OrchestratorError):
            self._connection.repeatable(
                "INSERT INTO orchestrator.presence VALUES (%s, %s, clock_timestamp())"
                " ON CONFLICT (board, agent) DO UPDATE SET seen_at = excluded.seen_at",
                (self._board, agent),
            )
            self._touched[agent] = now

    def knows(self, agent: str) -> bool:
        """See :class:`orchestrator.core.store.Presence`."""
        if agent in self._touched or self._connection.is_replica:  # which does not know
            return True
        question = "SELECT 1 FROM orchestrator.presence WHERE board = %s AND agent = %s"
        return self._connection.value(question, (self._board, agent)) is not None

    def seen(self, *, needed: bool = False) -> dict[str, float]:
        try:
            rows = self._connection.repeatable(
                "SELECT agent, extract(epoch FROM seen_at)::float8"
                " FROM orchestrator.presence WHERE board = %s",
                (self._board,),
            )
            times: dict[str, float] = dict(rows.fetchall())
            now = self._connection.value("SELECT extract(epoch FROM clock_timestamp())::float8")
        except InputOutputError:
            if needed:
                raise
            return {}
        return times | dict.fromkeys(self.waiting(), now)

    def waiting(self) -> set[str]:
        return {agent for agent, is_there in self._attending("waiting") if is_there}

    def waiting_as(self, agent: str) -> AbstractContextManager[None]:
        return self._attend("waiting", agent)

    def serving(self) -> dict[str, bool]:
        served: dict[str, bool] = {}
        for agent, is_there in self._attending("serving"):
            served[agent] = served.get(agent, False) or is_there
        return served

    def serving_as(self, agent: str) -> AbstractContextManager[None]:
        return self._attend("serving", agent)

    def _attending(self, kind: str) -> list[tuple[str, bool]]:
        with suppress(OrchestratorError):
            return self._connection.repeatable(_PRESENT, (ATTENDING, self._board, kind)).fetchall()
        return []

    @contextmanager
    def _attend(self, kind: str, agent: str) -> Iterator[None]:
        own = Connection(self._address)
        own.execute(  # rows of processes that were killed
            "DELETE FROM orchestrator.attendance WHERE board = %s AND kind = %s AND agent = %s"
            " AND pg_try_advisory_xact_lock(%s, id)",
            (self._board, kind, agent, ATTENDING),
        )
        number = own.value(
            "INSERT INTO orchestrator.attendance (board, kind, agent) VALUES (%s, %s, %s)"
            " RETURNING id, pg_advisory_lock(%s, id)",
            (self._board, kind, agent, ATTENDING),
        )
        try:
            yield
        finally:
            with suppress(OrchestratorError):
                own.execute("DELETE FROM orchestrator.attendance WHERE id = %s", (number,))
            own.close()


class RowDocuments:
    """Texts by their path.

    A thread that has the lock reads a document again only after a document of the board was changed. The
    database counts the changes, and the lock returns their number.

    Args:
        board: The number of the board.
        connection: The connection of its commands.
        address: Its address.
        take_lock: Takes the lock if a command that runs without it changes a document.

    Attributes:
        changes: The number of the connection that took the lock last, and the number of changes at that time;
            zeros after this store has changed a document.
    """

    def __init__(
        self,
        board: int,
        connection: Connection,
        address: BoardAddress,
        take_lock: Callable[[], None],
    ) -> None:
        self._board = board
        self._connection = connection
        self._address = address
        self._take_lock = take_lock
        self._thread = 0
        self.changes = (0, 0)
        self._known: dict[str, bytes | None] = {}

    def begin(self, changes: tuple[int, int]) -> None:
        """Use in this thread what was read before, if the number of changes is the same."""
        if changes != self.changes:
            self._known.clear()
        self._thread, self.changes = threading.get_ident(), changes

    def end(self) -> None:
        """Read every document again from now on."""
        self._thread = 0

    def _change(self, statement: LiteralString, *values: object) -> None:
        self._take_lock()
        self._thread, self.changes = 0, (0, 0)
        self._connection.repeatable(statement, (self._board, *values))

    def where(self, path: str) -> str:
        return f"{path} in {self._address}"

    def names(self, folder: str) -> list[str]:
        return sorted(name for name in self._below(folder) if "/" not in name)

    def folders(self, folder: str) -> list[str]:
        deeper = (name.partition("/") for name in self._below(folder))
        return sorted({name for name, slash, _ in deeper if slash})

    def _below(self, folder: str) -> list[str]:
        rows = self._connection.repeatable(
            "SELECT substr(path, length(%s) + 1) FROM orchestrator.documents"
            " WHERE board = %s AND starts_with(path, %s)",
            (f"{folder}/", self._board, f"{folder}/"),
        )
        return [name for (name,) in rows]

    def read(self, path: str) -> bytes | None:
        question = "SELECT data FROM orchestrator.documents WHERE board = %s AND path = %s"
        is_stable = self._thread == threading.get_ident()
        if is_stable and path in self._known:
            return self._known[path]
        data: bytes | None = self._connection.value(question, (self._board, path))
        if is_stable and len(data or b"") <= _SMALL:
            self._known[path] = data
        return data

    def write(self, path: str, data: bytes) -> None:
        self._change(
            "INSERT INTO orchestrator.documents VALUES (%s, %s, %s)"
            " ON CONFLICT (board, path) DO UPDATE SET data = excluded.data",
            path,
            data,
        )

    def delete(self, path: str) -> None:
        self._change("DELETE FROM orchestrator.documents WHERE board = %s AND path = %s", path)


class RowCursors:
    """The texts of readers."""

    def __init__(self, board: int, connection: Connection) -> None:
        self._board = board
        self._connection = connection

    def read(self, reader: str) -> str:
        question = "SELECT text FROM orchestrator.cursors WHERE board = %s AND reader = %s"
        return self._connection.value(question, (self._board, reader)) or ""

    def write(self, reader: str, text: str) -> None:
        self._connection.repeatable(
            "INSERT INTO orchestrator.cursors VALUES (%s, %s, %s)"
            " ON CONFLICT (board, reader) DO UPDATE SET text = excluded.text",
            (self._board, reader, text),
        )


class OpenRows:
    """Cold files in rows; implements the OpenFiles port."""

    def __init__(self, board: int, connection: Connection, sizes: dict[str, int]) -> None:
        self._board = board
        self._connection = connection
        self.sizes = sizes

    def read(self, parts: Sequence[FilePart]) -> list[bytes]:
        names, offsets, lengths = zip(*parts, strict=True)
        rows = self._connection.repeatable(
            "SELECT substring(data FROM first FOR length)"
            " FROM unnest(%s::text[], %s::int[], %s::int[]) WITH ORDINALITY"
            " AS part (name, first, length, number)"
            " LEFT JOIN orchestrator.cold_files AS file ON file.board = %s AND file.name = part.name"
            " ORDER BY number",
            ([*names], [offset + 1 for offset in offsets], [*lengths], self._board),
        )
        return [data or b"" for (data,) in rows]


class RowColdFiles:
    """The cold files of a board; a removed one can be read for an hour by who has it open."""

    def __init__(self, board: int, connection: Connection) -> None:
        self._board = board
        self._connection = connection

    def where(self, name: str) -> str:
        return f"the cold file {name}"

    def names(self) -> list[str]:
        question = (
            "SELECT name FROM orchestrator.cold_files"
            " WHERE board = %s AND removed_at IS NULL ORDER BY name"
        )
        return [name for (name,) in self._connection.repeatable(question, (self._board,))]

    def open(self, names: Iterable[str]) -> OpenFiles:
        question = (
            "SELECT name, octet_length(data) FROM orchestrator.cold_files"
            " WHERE board = %s AND name = ANY(%s) AND removed_at IS NULL"
        )
        rows = self._connection.repeatable(question, (self._board, [*names]))
        return OpenRows(self._board, self._connection, dict(rows.fetchall()))

    def write(self, name: str, data: bytes) -> None:
        self._connection.repeatable(
            "INSERT INTO orchestrator.cold_files (board, name, data) VALUES (%s, %s, %s)"
            " ON CONFLICT (board, name) DO UPDATE SET data = excluded.data, removed_at = NULL",
            (self._board, name, data),
        )

    def remove(self, name: str) -> None:
        self._connection.repeatable(
            "UPDATE orchestrator.cold_files SET removed_at = clock_timestamp()"
            " WHERE board = %s AND name = %s",
            (self._board, name),
        )
        self._connection.repeatable(
            "DELETE FROM orchestrator.cold_files"
            " WHERE board = %s AND removed_at < clock_timestamp() - interval '1 hour'",
            (self._board,),
        )


class RowCheckpoints:
    """The checkpoints of a board, and the parts of its log.

    A part begins with the first commit with which the log passes a multiple of the size of a part.

    Attributes:
        newest: The last part of the log as far as this process knows; 0: it has not asked yet.
    """

    def __init__(self, board: int, connection: Connection) -> None:
        self._board = board
        self._connection = connection
        self._parts = [1]
        self.newest = 0

    def part(self, position: Cursor) -> int:
        if not self.newest:
            self._read_parts()
            self.newest = self._parts[-1]
        if position.id >= self.newest:
            return self.newest
        if position.id >= self._parts[-1]:
            self._read_parts()
        return self._parts[max(0, bisect_right(self._parts, position.id) - 1)]

    def _read_parts(self) -> None:
        question = "SELECT first FROM orchestrator.parts WHERE board = %s ORDER BY first"
        rows = self._connection.repeatable(question, (self._board,))
        self._parts = [1, *(first for (first,) in rows)]

    def sizes(self) -> dict[int, int]:
        question = (
            "SELECT part, octet_length(data) FROM orchestrator.checkpoints"
            " WHERE board = %s ORDER BY part"
        )
        return dict(self._connection.repeatable(question, (self._board,)).fetchall())

    def log_size(self) -> int:
        question = "SELECT bytes FROM orchestrator.boards WHERE id = %s"
        size: int = self._connection.value(question, (self._board,))
        return size

    def save(self, number: int, data: bytes) -> None:
        self._connection.repeatable(
            "INSERT INTO orchestrator.checkpoints VALUES (%s, %s, %s)"
            " ON CONFLICT (board, part) DO UPDATE SET data = excluded.data",
            (self._board, number, data),
        )

    def mark(self, number: int) -> str:
        question = (  # which transaction wrote the row, and where it is
            "SELECT xmin::text || ' ' || ctid::text FROM orchestrator.checkpoints"
            " WHERE board = %s AND part = %s"
        )
        return self._connection.value(question, (self._board, number)) or ""

    def load(self, number: int) -> bytes | None:
        question = "SELECT data FROM orchestrator.checkpoints WHERE board = %s AND part = %s"
        data: bytes | None = self._connection.value(question, (self._board, number))
        return data

    def remove(self, number: int) -> None:
        self._connection.repeatable(
            "DELETE FROM orchestrator.checkpoints WHERE board = %s AND part = %s",
            (self._board, number),
        )
