"""The store of a board in a PostgreSQL database.

The right to write is an advisory lock of the connection that appends, so a statement that appends is proof
that the lock is held. A commit is one statement: it moves the head of the board from the event that the
writer has read, and inserts the lines. So the ids have no gaps, whatever happens.

A program that was the only writer for a while appends without the lock: the append then takes it for one
transaction, and checks that nothing has changed since the program has read it.

A commit is announced when the lock is released. PostgreSQL lets only one transaction with a ``NOTIFY``
commit at a time, in all databases of a server: in the commit it would make boards wait for each other.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import LiteralString

from orchestrator.core import clock, flow
from orchestrator.core.errors import (
    Damage,
    InputOutputError,
    NoBoard,
    NotFound,
    OrchestratorError,
    OutcomeUnknown,
    TimedOut,
)
from orchestrator.core.events import Recorded
from orchestrator.core.store import (
    PART_SIZE,
    START,
    Checkpoints,
    Chunk,
    ColdFiles,
    Cursor,
    Cursors,
    Documents,
    LockSaving,
    Outdated,
    Presence,
    StoredFile,
    Upkeep,
)
from orchestrator.stores.bytes_file import BytesFile
from orchestrator.stores.files.lines import Position, crc_of, decode_line, encode_line, parse
from orchestrator.stores.postgres import address as addresses
from orchestrator.stores.postgres import log, schema
from orchestrator.stores.postgres.address import BoardAddress
from orchestrator.stores.postgres.connection import Connection, Lost
from orchestrator.stores.postgres.listening import announcements
from orchestrator.stores.postgres.log import RowCursor, RowLog, position_of
from orchestrator.stores.postgres.rows import (
    RowCheckpoints,
    RowColdFiles,
    RowCursors,
    RowDocuments,
    RowPresence,
)
from orchestrator.stores.postgres.sole_writer import SoleWriter

_LONGEST_NAME = 63
"""The length to which PostgreSQL cuts the name of a program."""

_CLOCK_CHECK = 5.0
"""Seconds after which a reader asks the database for the time again; a writer does with each lock."""

_AGAIN = 0.2
"""Seconds between two tries to reach a server that does not answer."""

_KEPT = 100
"""The most events of a page that are kept: who follows the log asks for what it has just read."""

_RECENT = 1.0
"""Seconds after the last answer of the server in which a command may run without the lock. They are measured
by a clock that does not stop while the machine sleeps. After a sleep, the lock brings the time of the board.
"""

_FRESH = 1.0
"""Seconds after a wait in which a read may use the commits that another thread has read."""

_LOCK: LiteralString = r"""
    SELECT version, head, crc, bytes, part, documents, seconds, snapshot_age, array_to_string(lines, E'\n')
    FROM orchestrator.acquire_board($1, $2, $3, $4, $5, $6, $7)
"""

_UNLOCK: LiteralString = "SELECT pg_advisory_unlock_all()"
"""All: who looks for the outcome of a commit may have taken it twice."""

_ANNOUNCE: LiteralString = "SELECT pg_notify($1, $2)"

_UNLOCK_AND_ANNOUNCE: LiteralString = "SELECT pg_advisory_unlock_all(), pg_notify($1, $2)"

_APPEND: LiteralString = r"""
    WITH moved AS (
        UPDATE orchestrator.boards SET head = $4, crc = $5, bytes = $6, part = $7
        WHERE id = $1 AND head = $2 AND crc = $3 RETURNING id
    ), added AS (
        INSERT INTO orchestrator.events
        SELECT moved.id, line.number + $2, line.text
        FROM moved, unnest(string_to_array($8, E'\n')) WITH ORDINALITY AS line (text, number)
    )
    SELECT id FROM moved
"""

_APPEND_AND_UNLOCK: LiteralString = _APPEND.replace(
    "SELECT id FROM moved",
    """
    , taken AS (SELECT pg_advisory_xact_lock($9, $1) FROM moved)
    , freed AS (SELECT pg_advisory_unlock_all() FROM taken)
    SELECT 1 FROM freed
    """,
)
"""The lock of the connection becomes one of the transaction, so the commit frees it."""

_APPEND_PART: LiteralString = _APPEND.replace(
    "SELECT id FROM moved",
    ", begun AS (INSERT INTO orchestrator.parts SELECT id, $7 FROM moved) SELECT id FROM moved",
)

_APPEND_ALONE: LiteralString = (
    "SELECT orchestrator.append_alone($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
)

_FENCE: LiteralString = "UPDATE orchestrator.boards SET documents = documents + 1 WHERE id = %s"
"""Makes an append without the lock fail if it reaches the server after this statement."""

_CONFIRM: LiteralString = "UPDATE orchestrator.boards SET crc = crc WHERE id = %s"

_HOLDER: LiteralString = """
    SELECT coalesce(application_name, ''), extract(epoch FROM state_change)::float8
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND classid::bigint = %s AND objid::bigint = %s
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

_NOW: LiteralString = "SELECT extract(epoch FROM clock_timestamp())::float8"


class PostgresStore:
    """The log, snapshot, presence and documents of a board as rows; implements the Store port.

    Args:
        url: The URL of the board; see :mod:`orchestrator.stores.postgres.address`.
        create: Make the board if the database does not have it.
        part_size: The size in bytes at which a new part of the log begins.

    Raises:
        NoBoard: The database has no such board, unless ``create``.
        InputOutputError: The server cannot be reached.
        Refused: It could lose what it has acknowledged, or a newer version of the program made its tables.
    """

    cursor_type: type[Cursor] = RowCursor
    is_local = False
    upkeep: Upkeep | None = None

    def __init__(self, url: str, *, create: bool = True, part_size: int = PART_SIZE) -> None:
        self.address: BoardAddress = addresses.parse(url)
        self._connection = Connection(self.address)
        self.is_new = False
        self._board = self._find_board(create)
        self.presence: Presence = RowPresence(self._board, self._connection, self.address)
        self._documents = RowDocuments(
            self._board, self._connection, self.address, self._take_missing_lock
        )
        self.documents: Documents = self._documents
        self.cursors: Cursors = RowCursors(self._board, self._connection)
        self.cold: ColdFiles | None = RowColdFiles(self._board, self._connection)
        self._checkpoints = RowCheckpoints(self._board, self._connection)
        self.checkpoints: Checkpoints | None = self._checkpoints
        self.lock_saving: LockSaving | None = self
        self._threads = threading.Lock()
        self._owner = 0
        self._locked_on = 0
        self._may_hold = False
        self._keeps_lock = True
        self._presumes = False
        self._sole_writer = SoleWriter()
        self._answered_at = float("-inf")
        self._holder = ""
        self._head = START
        self._part_size = part_size
        self._size = 0
        self._seen: Cursor | None = None
        self._tail: tuple[Cursor, bytes] = (START, b"")
        self._latest: list[Recorded] = []
        self._is_announced = True
        self._saved = float("-inf")
        self._channel = schema.NEW_COMMITS.format(self._board)
        self._asked = float("-inf")
        self._offset = 0.0
        self._log = RowLog(self._board, self._connection, self.address)
        self._announcements = announcements(self.address, self._board)
        self._woken = threading.local()

    def _find_board(self, create: bool) -> int:
        question = "SELECT id FROM orchestrator.boards WHERE name = %s"
        board: int | None = None
        if schema.prepare(self._connection, create=create):
            board = self._connection.value(question, (self.address.board,))
        if board is None and create:
            rows = self._connection.execute(
                "INSERT INTO orchestrator.boards (name) VALUES (%s) ON CONFLICT DO NOTHING",
                (self.address.board,),
            )
            self.is_new = rows.rowcount == 1
            board = self._connection.value(question, (self.address.board,))
        if board is None:
            raise NoBoard(
                f"There is no board {self.address}",
                hint=f"`orc init --store '{self.address}'` makes it, and so does the first change.",
            )
        return board

    # The right to write

    @contextmanager
    def locked(self, command: str, timeout: float) -> Iterator[None]:
        with self._turn(timeout) as deadline:
            self._connection.check_writable()
            self._acquire(command, deadline, timeout)
            yield

    @contextmanager
    def _turn(self, timeout: float) -> Iterator[float]:
        """Let no other thread write in the block; yield the time at which the wait for the lock ends."""
        if self._owner == threading.get_ident():
            raise RuntimeError("this thread holds the lock of the board already")
        deadline = time.monotonic() + timeout
        if not self._threads.acquire(timeout=min(max(timeout, 0), threading.TIMEOUT_MAX)):
            raise self._timed_out(self._holder or "another thread that waits for it", timeout)
        self._keeps_lock = True
        try:
            yield deadline
        finally:
            self._owner, self._holder = 0, ""
            try:
                self._release()
            finally:
                self._threads.release()

    def without_lock(self, command: str, timeout: float) -> AbstractContextManager[None] | None:
        is_recent = abs(time.time() - self._answered_at) < _RECENT
        is_known = self._seen == self._head and self._documents.changes[0] == self._locked_on
        is_likely = self._sole_writer.is_likely and is_recent and is_known
        return self._presuming(command, timeout) if is_likely else None

    @contextmanager
    def _presuming(self, command: str, timeout: float) -> Iterator[None]:
        with self._turn(timeout) as deadline:
            self._take_lock = partial(self._acquire, command, deadline, timeout)
            self._owner = threading.get_ident()
            self._documents.begin(self._documents.changes)
            self._presumes = True
            try:
                yield
            except Exception as error:
                has_waited = self._may_hold and isinstance(error, TimedOut)
                if self._presumes and not has_waited:
                    raise Outdated from None
                raise
            else:
                if self._presumes:
                    raise Outdated
            finally:
                self._presumes = False

    @property
    def has_lock(self) -> bool:
        """See :class:`orchestrator.core.store.LockSaving`."""
        return self._may_hold

    @property
    def presumes(self) -> bool:
        """See :class:`orchestrator.core.store.LockSaving`."""
        return self._presumes and self._owner == threading.get_ident()

    def prepare_append(self, *, keeps_lock: bool) -> None:
        self._keeps_lock = keeps_lock
        if keeps_lock:
            self._take_missing_lock()

    def _take_missing_lock(self) -> None:
        if self.presumes:
            known = self._head, self._documents.changes
            self._take_lock()
            if (self._head, self._documents.changes) != known:
                self._sole_writer.note_wrong()
                raise Outdated
            self._presumes = False

    def _acquire(self, command: str, deadline: float, timeout: float) -> None:
        name = f"{command[:32]} {os.getpid()}@{socket.gethostname()}"[:_LONGEST_NAME]
        seen = self._seen or RowCursor(1 << 62)  # who has read nothing begins with the snapshot
        for attempt in range(2):
            left = max(1, round(1000 * (deadline - time.monotonic())))
            values = (
                schema.WRITERS,
                self._board,
                name,
                f"{left}ms",
                seen.id,
                log.PAGE,
                log.PAGE_BYTES,
            )
            self._may_hold = True
            try:
                row = self._connection.quick(_LOCK, *values)
            except Lost:
                if attempt:
                    raise
                continue  # nothing was changed, and the lock went with the connection
            except InputOutputError as error:
                if self._connection.is_timeout(error):
                    raise self._timed_out(self._describe_holder(), timeout) from None
                raise
            break
        self._locked_on = self._connection.number
        version, head, crc, size, part, changes, seconds, snapshot_age, lines = row
        schema.check(int(version or 0))
        self._head, self._size = RowCursor(int(head or 0), int(crc or 0)), int(size or 0)
        self._checkpoints.newest = int(part or 1)
        self._documents.begin((self._connection.number, int(changes or 0)))
        self._tail = (seen, (lines or "").encode())
        self._set_clock(float(seconds or 0))
        self._saved = self._asked - abs(float(snapshot_age or "inf"))
        self._answered_at = time.time()
        self._sole_writer.note_lock(is_alone=not lines)
        self._owner = threading.get_ident()
        since = clock.timestamp(time.time())
        self._holder = f"thread {self._owner} (`{command}`), since {since}"

    def _release(self) -> None:
        self._documents.end()
        if self._connection.is_open:
            with suppress(OrchestratorError):  # a broken connection has lost the lock already
                if not self._is_announced:
                    self._connection.post(_UNLOCK_AND_ANNOUNCE, self._channel, self._head.id)
                elif self._may_hold:
                    self._connection.post(_UNLOCK)
        self._may_hold, self._is_announced = False, True

    def _describe_holder(self) -> str:
        with suppress(OrchestratorError):
            row = self._connection.execute(_HOLDER, (schema.WRITERS, self._board)).fetchone()
            if row is not None:
                name, since = row
                return f"`{name}`, since {clock.timestamp(since)}"
        return "another program"

    @staticmethod
    def _timed_out(holder: str, timeout: float) -> TimedOut:
        return TimedOut(
            f"The board is locked by {holder}; waited {timeout:g} s",
            hint="Repeat the command; if this continues, check what that process does.",
        )

    # The log

    def read(self, after: Cursor) -> Iterator[Chunk]:
        if self._owner == threading.get_ident():
            known, tail = self._tail
            if after == known and tail and (chunk := _whole(tail, position_of(after))):
                after = chunk.end
                yield self._noted(chunk)
            if position_of(after) == position_of(self._head):
                return
        elif latest := self._known_to_the_process(after):
            yield self._noted(latest)
            return
        yield from map(self._noted, self._log.read(after))

    def _known_to_the_process(self, after: Cursor) -> Chunk | None:
        """The commits that ended the last wait of this flow; another thread may have read them already."""
        last, self._woken.by = getattr(self._woken, "by", 0), 0
        if last <= after.id or time.monotonic() > self._woken.at + _FRESH:
            return None
        is_same = self._woken.flow == flow.current()
        return self._announcements.latest(after, last) if is_same else None

    def _noted(self, chunk: Chunk) -> Chunk:
        self._seen = chunk.end
        self._latest = chunk.events if len(chunk.events) <= _KEPT else []
        return chunk

    def line(self, number: int) -> tuple[bytes, RowCursor]:
        line = self._log.line(number) if number > 0 else None
        if line is None:
            raise NotFound(f"The log has no event {number}", event=number)
        return line, RowCursor(number, crc_of(line))

    def fingerprint(self, end: Cursor, known: str = "") -> str:
        if known:
            number, _, crc = known.partition(":")
            line = self._log.line(int(number))
            if int(number) and (line is None or f"{crc_of(line):08x}" != crc):
                raise self._log.behind(int(number))
        position = position_of(end)
        return f"{position.id}:{position.crc:08x}"

    def read_backwards(self, before: int | None = None) -> Iterator[Recorded]:
        return self._log.read_backwards(before)

    def event(self, number: int) -> Recorded:
        latest = self._latest
        place = number - latest[0].id if latest else -1
        return latest[place] if 0 <= place < len(latest) else decode_line(self.line(number)[0])

    def append(self, records: list[Recorded], after: Cursor) -> RowCursor:
        if self._owner != threading.get_ident() or not (self._presumes or self._may_hold):
            raise RuntimeError("append outside of locked()")
        crc = before = position_of(after).crc
        lines: list[str] = []
        size = self._size
        for record in records:
            line, crc = encode_line(record, crc)
            size += len(line)
            lines.append(line[:-1].decode())
        end = RowCursor(records[-1].id, crc)
        begins_part = after.id > 0 and size // self._part_size > self._size // self._part_size
        part = records[0].id if begins_part else self._checkpoints.newest
        presumes = self._presumes
        if begins_part:
            self._keeps_lock = True
            if presumes:
                raise Outdated
        values = (self._board, after.id, before, end.id, end.crc, size, part, "\n".join(lines))
        try:
            self._commit(_APPEND_PART if begins_part else _APPEND, *values)
        except Lost as error:
            self._presumes = False
            self._find_out(end, error, may_come=presumes)
        else:
            self._answered_at = time.time()
            self._head = self._seen = end
            self._size, self._checkpoints.newest = size, part
            self._presumes = self._is_announced = False
        return end

    def _commit(self, statement: LiteralString, *values: object) -> None:
        """Run the statement of an append, or the one for a program without the lock.

        Raises:
            Lost: The connection broke meanwhile, or the replica has not confirmed the commit.
            InputOutputError: Nothing was changed.
            Outdated: Nothing was changed, because another program may write.
            Damage: Nothing was changed, because the log has another end although this program has the lock.
        """
        if not self._connection.is_open or self._connection.number != self._locked_on:
            raise InputOutputError(
                f"The connection to {self.address.database} broke, and the right to write with it",
                hint="Nothing was changed. Repeat the command.",
            )
        self._documents.end()
        if self._presumes:
            known = (schema.WRITERS, schema.VERSION, self._documents.changes[1])
            if not self._connection.quick(_APPEND_ALONE, *values, *known):
                self._sole_writer.note_wrong()
                raise Outdated
            self._sole_writer.note_right()
        else:
            if not self._keeps_lock:
                statement, values = _APPEND_AND_UNLOCK, (*values, schema.WRITERS)
            if not self._connection.quick(statement, *values):
                raise Damage(
                    "The log does not end at the position that was read", code="log_changed"
                )
            self._may_hold = self._keeps_lock
        if self._connection.has_warned:  # it ended the wait for its synchronous replica
            raise Lost(f"The replica of {self.address.database} has not confirmed the commit")

    def _find_out(self, end: RowCursor, error: Lost, *, may_come: bool) -> None:
        """Return if the commit that ends with ``end`` has happened, although the connection broke.

        Who gets the lock knows: the writer before has ended, with its commit or without.

        Args:
            end: The end of the log after the commit.
            error: What broke.
            may_come: The append was sent without the lock, so the server may get to it later. It fails then.

        Raises:
            InputOutputError: It has not happened.
            Outdated: It has not happened, and ``may_come``.
            OutcomeUnknown: The server does not answer, or the lost connection still has the lock there.
        """
        deadline = time.monotonic() + self._connection.patience
        while time.monotonic() < deadline:
            try:
                self._acquire("outcome", deadline, self._connection.patience)
                line = self._log.line(end.id)
                if line is None and may_come:
                    self._connection.execute(_FENCE, (self._board,))
            except TimedOut:
                break
            except OrchestratorError:
                time.sleep(_AGAIN)
                continue
            if line is not None and crc_of(line) == end.crc:
                if not self._is_confirmed(deadline):
                    continue
                self._is_announced = False
                return
            if may_come:
                self._presumes = True
                raise Outdated from error
            raise InputOutputError(
                f"{error.message}. Nothing was changed.", hint="Repeat the command."
            ) from error
        raise OutcomeUnknown(
            f"{error.message} during a commit, and the server does not say whether it has happened",
            hint="Repeat the command with the same --request-id once the server answers.",
        ) from error

    def _is_confirmed(self, deadline: float) -> bool:
        """Commit once more, which waits for a synchronous replica like the commit that is in question.

        A connection that ends while it waits for the replica leaves its commit on the server that may fail.
        """
        try:
            with self._connection.ending_waits(deadline - time.monotonic()):
                self._connection.execute(_CONFIRM, (self._board,))
        except OrchestratorError:
            return False
        return not self._connection.has_warned

    def mark(self) -> object:
        question = "SELECT head, crc FROM orchestrator.boards WHERE id = %s"
        return self._connection.repeatable(question, (self._board,)).fetchone()

    def now(self) -> float:
        if time.monotonic() - self._asked > _CLOCK_CHECK:
            self._set_clock(self._connection.value(_NOW))
        return time.monotonic() + self._offset

    def _set_clock(self, seconds: float) -> None:
        self._asked = time.monotonic()
        self._offset = seconds - self._asked

    def wait(self, after: Cursor, timeout: float) -> bool:
        last = self._announcements.wait(self._log, after, timeout)
        self._woken.by, self._woken.at, self._woken.flow = last, time.monotonic(), flow.current()
        return last > 0

    # The snapshot

    def open_snapshot(self) -> StoredFile | None:
        if self._connection.is_replica:  # the log and its checkpoints are all that it has
            return None
        question = "SELECT data FROM orchestrator.snapshots WHERE board = %s"
        data: bytes | None = self._connection.value(question, (self._board,))
        return BytesFile(data) if data is not None else None

    def snapshot_age(self) -> float:
        if self._owner == threading.get_ident():  # only who has the right to write saves one
            return time.monotonic() - self._saved
        question = (
            "SELECT extract(epoch FROM clock_timestamp() - saved_at)::float8"
            " FROM orchestrator.snapshots WHERE board = %s"
        )
        age: float | None = self._connection.value(question, (self._board,))
        return float("inf") if age is None else abs(age)

    def snapshot_mark(self) -> object:
        question = "SELECT saved_at::text FROM orchestrator.snapshots WHERE board = %s"
        return self._connection.value(question, (self._board,))

    def save_snapshot(self, data: bytes) -> None:
        if not self._is_announced:  # waiting programs need the commit, but not the snapshot
            self._connection.post(_ANNOUNCE, self._channel, self._head.id)
            self._is_announced = True
        self._connection.repeatable(
            "INSERT INTO orchestrator.snapshots VALUES (%s, %s, clock_timestamp())"
            " ON CONFLICT (board) DO UPDATE SET data = excluded.data, saved_at = excluded.saved_at",
            (self._board, data),
        )
        self._saved = time.monotonic()

    def close(self) -> None:
        self._connection.close()
        self._announcements.leave(self._log)


def _whole(lines: bytes, position: Position) -> Chunk | None:
    """The commits in lines that follow a position; None if they do not follow it."""
    parsed = parse(lines + b"\n", position)
    if not parsed.events:
        return None
    return Chunk(parsed.events, RowCursor(parsed.end.id, parsed.end.crc))
