"""The log of a board as rows, read on one connection."""

from collections.abc import Iterator
from typing import LiteralString

from orchestrator.core.errors import Damage
from orchestrator.core.events import Recorded
from orchestrator.core.store import Chunk, Cursor
from orchestrator.stores.files.lines import Position, crc_of, decode_line, parse
from orchestrator.stores.postgres.address import BoardAddress
from orchestrator.stores.postgres.connection import Connection

PAGE, PAGE_BYTES = 2000, 8 << 20
"""The most events that are read at once, and about the most bytes."""

_BUSY = 0.2
"""Seconds after which a connection is said to be in use: another thread waits for a lock with it."""

_FORWARD: LiteralString = "SELECT orchestrator.lines_from(%s, %s, %s, %s)"

_BACKWARD: LiteralString = """
    SELECT line FROM orchestrator.events
    WHERE board = %s AND id < %s ORDER BY id DESC LIMIT %s
"""

_HEAD: LiteralString = "SELECT head FROM orchestrator.boards WHERE id = %s"

_ONE: LiteralString = "SELECT line FROM orchestrator.events WHERE board = %s AND id = %s"


class RowCursor(Cursor, frozen=True, gc=False):
    """A position in a log; ``crc`` is the checksum of its line, which covers all lines before."""

    crc: int = 0


class RowLog:
    """The log of a board, read on a connection.

    Args:
        board: The number of the board.
        connection: The connection.
        address: The address of the board.
    """

    def __init__(self, board: int, connection: Connection, address: BoardAddress) -> None:
        self._board = board
        self._connection = connection
        self._address = address

    def last_event(self) -> int | None:
        """The number of the last event; 0 if there is none, None if another thread uses the connection."""
        with self._connection.turn(_BUSY) as is_free:
            if not is_free:
                return None
            return self._connection.value(_HEAD, (self._board,)) or 0

    def read(self, after: Cursor) -> Iterator[Chunk]:
        """The commits after a position.

        Raises:
            Damage: The log does not hold the position, or is damaged after it.
        """
        position = position_of(after)
        most, is_first = PAGE, position.id > 0
        while True:
            limit = PAGE_BYTES * most // PAGE
            # The line of the cursor, which must still be there, and those after it.
            lines = self._lines(_FORWARD, position.id + (not is_first), most, limit)
            is_end = len(lines) < most and sum(map(len, lines)) <= limit
            if is_first and (not lines or crc_of(lines.pop(0)) != position.crc):
                raise self.behind(position.id)
            is_first = False
            parsed = parse(b"\n".join([*lines, b""]), position) if lines else None
            if parsed is not None and parsed.events:
                position = Position(id=parsed.end.id, crc=parsed.end.crc)
                yield Chunk(parsed.events, RowCursor(position.id, position.crc))
                most = PAGE
            else:
                most *= 4  # the commit is longer than a page
            if parsed is not None and parsed.problem and (not parsed.torn or is_end):
                raise self._damaged(position.id + 1, parsed.problem)
            if is_end:
                return

    def read_backwards(self, before: int | None) -> Iterator[Recorded]:
        """The events before one, or all, newest first."""
        number, last = 1 << 62 if before is None else before, 0
        while lines := self._lines(_BACKWARD, number, PAGE // 10):
            for record in map(decode_line, lines):
                if last and record.id != last - 1:
                    raise self._damaged(last - 1, "line is missing")
                yield record
                number = last = record.id
        if last > 1:
            raise self._damaged(last - 1, "line is missing")

    def _lines(self, query: LiteralString, number: int, *limits: int) -> list[bytes]:
        rows = self._connection.repeatable(query, (self._board, number, *limits))
        return [line.encode() for (line,) in rows.fetchall()]

    def line(self, number: int) -> bytes | None:
        """The line of an event; None if there is none."""
        line: str | None = self._connection.value(_ONE, (self._board, number))
        return None if line is None else line.encode()

    def behind(self, number: int) -> Damage:
        """The error of a log that has lost an event."""
        return Damage(
            f"The log of {self._address} does not hold event {number} as it was read before",
            code="log_behind",
            hint="Was the database restored, or another board put in its place? `orc doctor` shows more.",
            event=number,
        )

    def _damaged(self, number: int, problem: str) -> Damage:
        return Damage(
            f"The log of {self._address} is damaged at event {number}: the {problem}",
            hint="Nothing was changed. Restore the database from a backup.",
            event=number,
        )


def position_of(cursor: Cursor) -> Position:
    """The position of a cursor, of this store or the beginning."""
    return Position(id=cursor.id, crc=getattr(cursor, "crc", 0))
