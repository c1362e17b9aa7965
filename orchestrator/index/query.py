"""Safe queries in SQL: read-only, with limits of time, memory and rows.

SQLite asks the authorizer about each step of a statement before it runs, so any step that does not only
read is refused.
"""

import re
import sqlite3
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from orchestrator.core.errors import OrchestratorError, TimedOut, UsageError

ROWS = 1000
"""Default number of rows of an answer."""

SECONDS = 30.0
"""Default time limit of a query, in seconds."""

MEMORY = 512 * 1024 * 1024
"""Memory limit of SQLite in a process for one query, in bytes."""

_ANSWER = 64 * 1024 * 1024
_STEPS = 20_000
"""Steps of SQLite's virtual machine between two checks of the time."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
_PRAGMAS = {
    "data_version",  # FTS5 needs it
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "table_info",
    "table_list",
    "table_xinfo",
}
_VIRTUAL = (
    "words",
    "json_each('[]')",
    "json_tree('[]')",
    *(f"pragma_{name}('tasks')" for name in ("foreign_key_list", "index_list", "table_info")),
    "pragma_table_list",
)
_FORBIDDEN_FUNCTIONS = {"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"}
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 32 * 1024 * 1024,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 1_000_000,
    sqlite3.SQLITE_LIMIT_COLUMN: 500,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 500,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 100,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 200,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}


class QueryError(OrchestratorError):
    """SQLite rejects the query, or it is not allowed."""

    code = "query"
    exit_status = 2


class QueryResult(msgspec.Struct, kw_only=True):
    """The answer to a query in SQL.

    Attributes:
        columns: Their names.
        rows: The rows, each a list of values in the order of the columns.
        cut: Whether there were more rows than the limit.
    """

    columns: list[str]
    rows: list[list[Any]]
    cut: bool = False


def ask(
    database: sqlite3.Connection,
    sql: str,
    parameters: Mapping[str, object] | None = None,
    *,
    limit: int = ROWS,
    seconds: float = SECONDS,
    memory: int | None = None,
) -> QueryResult:
    """Answer a question.

    Args:
        database: An open index, which is read-only from here on.
        sql: One statement.
        parameters: The values of ``:name`` in it.
        limit: The most rows.
        seconds: The time limit in seconds.
        memory: The memory limit of SQLite in bytes, for this process from now on; None: no limit.

    Raises:
        QueryError: It is not exactly one statement that only reads, or SQLite rejects it.
        TimedOut: It took too long.
        sqlite3.DatabaseError: The index is damaged.
    """
    deadline = time.monotonic() + seconds
    if memory is not None:
        _limit_memory(database, memory)
    _restrict(database, deadline)
    try:
        cursor = database.execute(sql, dict(parameters or {}))
        if cursor.description is None:
            raise QueryError("This is not a question: it has no columns", hint=_HINT)
        columns = [name for name, *_ in cursor.description]
        return _read(cursor, columns, limit)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            raise
        if time.monotonic() >= deadline:
            raise TimedOut(
                f"The query took longer than {seconds:g} s", hint="Narrow it, or give --timeout."
            ) from None
        missing = _MISSING.search(str(error))
        hint = missing and f"Give a value after the query: --{missing[1]} VALUE."
        raise QueryError(f"The query failed: {error}", hint=hint or _HINT) from None
    except sqlite3.Warning as error:  # several statements
        raise QueryError(f"The query failed: {error}", hint=_HINT) from None
    except (MemoryError, OverflowError) as error:
        reason = "it needs too much memory" if isinstance(error, MemoryError) else str(error)
        raise QueryError(f"The query failed: {reason}", hint=_HINT) from None


_MISSING = re.compile(r"binding parameter :([a-z][a-z0-9_]*)")
_HINT = "`orc query --schema` shows tables, columns and views; only one SELECT can be asked."


def _limit_memory(database: sqlite3.Connection, size: int) -> None:
    """Limit the memory, beyond that of a database in memory; SQLite cannot raise the limit again."""
    (pages,), (page,) = (
        database.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size")
    )
    is_file = bool(database.execute("PRAGMA database_list").fetchone()[2])
    database.execute(f"PRAGMA hard_heap_limit = {size if is_file else size + 2 * pages * page}")


def _restrict(database: sqlite3.Connection, deadline: float) -> None:
    database.execute("PRAGMA query_only = ON")
    database.execute("PRAGMA trusted_schema = OFF")
    for table in _VIRTUAL:
        # The first use of a virtual table declares it, which the authorizer would refuse later.
        with suppress(sqlite3.OperationalError):  # an index without texts
            database.execute(f"SELECT 1 FROM {table} LIMIT 0")
    for category, value in _LIMITS.items():
        database.setlimit(category, value)
    database.set_progress_handler(lambda: time.monotonic() >= deadline, _STEPS)
    database.set_authorizer(_authorize)


def _authorize(
    action: int, first: str | None, second: str | None, _database: str | None, _inner: str | None
) -> int:
    if action in _ALLOWED:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION:
        is_fine = (second or "").lower() not in _FORBIDDEN_FUNCTIONS
    else:
        is_fine = action == sqlite3.SQLITE_PRAGMA and (first or "").lower() in _PRAGMAS
    return sqlite3.SQLITE_OK if is_fine else sqlite3.SQLITE_DENY


def _read(cursor: sqlite3.Cursor, columns: list[str], limit: int) -> QueryResult:
    rows: list[list[Any]] = []
    size = 0
    for row in cursor:
        if len(rows) == limit:
            return QueryResult(columns=columns, rows=rows, cut=True)
        rows.append([*row])
        size += sum(len(value) for value in row if isinstance(value, (str, bytes)))
        if size > _ANSWER:
            raise UsageError("The answer is too large", hint="Ask for fewer columns or rows.")
    return QueryResult(columns=columns, rows=rows)
