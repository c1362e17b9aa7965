"""``orc query``: questions in SQL, and named ones."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orchestrator.core import clock
from orchestrator.core.errors import UsageError
from orchestrator.core.printable import escape_json, escape_lines
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.layout import Column, is_terminal, table_of
from orchestrator.interfaces.cli.parameters import argument, flag, option
from orchestrator.interfaces.cli.query_formats import RENDERED, objects
from orchestrator.interfaces.cli.rendering import Answer, plain, present, warn
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from orchestrator.index.description import Relation
    from orchestrator.index.named import NamedQuery
    from orchestrator.index.query import QueryResult


@BOARD.command(
    "query",
    example='query "SELECT status, count(*) FROM tasks GROUP BY status"',
    reads=True,
    long=True,
    filters_agent=True,
    context_settings={"ignore_unknown_options": True},
)
@argument(
    "[words...]",
    "One SELECT, - for stdin, or a named query; then values of its parameters: --ws build.",
    types.NAME,
    metavar="SQL|NAME [--PARAMETER VALUE]...",
)
@flag(
    "--list",
    "List the named queries: shipped ones, and those of the board in queries/*.sql.",
    name="list_",
)
@flag("--schema", "Show the tables and views that can be asked.")
@option("--format", "How to print it.", types.choice(*RENDERED), default="table")
@option("--limit", "At most so many rows.", types.POSITIVE, default=1000)
@option("--timeout", "How long it may take.", types.DURATION, default="30s", rare=True)
@flag("--stale", "Ask the index without updating it first.", rare=True)
def query(
    run: Run, words: Sequence[str], list_: bool, schema: bool, agent: str | None, **how: Any
) -> "Answer[list[NamedQuery] | list[Relation] | list[dict[str, Any]]]":
    """Query the board in SQL; nothing can be written.

    The answer comes from state/index.db, which is updated first, or from an index in memory if there is none
    (`index build` makes it). In CSV a text that a spreadsheet would run as a formula begins with a '.
    """
    if list_:
        from orchestrator.index.named import named_queries

        queries = named_queries(run.store.documents)
        columns = (
            "name",
            ("parameters", lambda named: [f"--{name}" for name in named.parameters]),
            "about",
        )
        return Answer(queries, lambda: _listed(queries, how["format"], *columns))
    if schema:
        from orchestrator.index.description import overview

        return present(
            overview(), lambda tables: _listed(tables, how["format"], "name", "columns", "about")
        )
    if not words:
        raise UsageError("There is nothing to answer", hint="`query --list` shows named queries.")
    return _asked(run, words, agent, **how)


def _listed(records: Sequence[Any], format: str, *columns: Column) -> str:
    """Descriptions as a table of these columns, or with all their fields in another format."""
    if format == "table":
        return table_of(records, *columns)
    from orchestrator.index.query import QueryResult

    rows = [[*plain(record).values()] for record in records]
    if not format.startswith("json"):
        rows = [
            [cell if isinstance(cell, str) else ", ".join(cell) for cell in row] for row in rows
        ]
    return _rendered(QueryResult(columns=[*plain(records[0])], rows=rows), format)


def _rendered(result: "QueryResult", format: str) -> str:
    """An answer in a format; a terminal gets no control characters, files and pipes get all of them."""
    text = RENDERED[format](result)
    if not is_terminal() or format not in _EXACT:
        return text
    return _EXACT[format](text)


_EXACT = {"json": escape_json, "jsonl": escape_json, "csv": escape_lines}
"""Formats that contain every character as it is, and how a terminal shows them."""


def _asked(
    run: Run,
    words: Sequence[str],
    agent: str | None,
    format: str,
    limit: int,
    timeout: str,
    stale: bool,
) -> "Answer[list[dict[str, Any]]]":
    from orchestrator.index.named import find_query, given, is_name, values_in
    from orchestrator.index.query import MEMORY, ask

    text, *rest = words
    pairs, acting = _pairs(rest), {} if agent is None else {"agent": agent}
    now = clock.timestamp(run.store.now())
    if is_name(text):
        named = find_query(run.store.documents, text)
        text, values = named.sql, given(named, pairs | acting, now)
    else:
        text = run.text_from("-") if text == "-" else text
        values = values_in(text, pairs, now) | acting
    seconds = clock.duration(timeout)
    with _watched(seconds):
        limits: dict[str, Any] = {"limit": limit, "seconds": seconds, "memory": MEMORY}
        result = run.index.answer(
            lambda database: ask(database, text, values, **limits), stale=stale
        )
    if result.cut:
        warn(f"Only the first {limit} rows are shown; --limit N shows more.")
    return Answer(objects(result), lambda: _rendered(result, format))


def _pairs(words: Sequence[str]) -> dict[str, str]:
    """The values of parameters: ``--ws build``, ``--ws=build``."""
    pairs = dict[str, str]()
    left = [*words]
    while left:
        word = left.pop(0)
        if not word.startswith("--"):
            raise UsageError(
                f"{word!a} is not a parameter",
                hint="Quote the SQL, and write --NAME VALUE after it.",
            )
        name, equals, value = word[2:].partition("=")
        if not equals:
            if not left:
                raise UsageError(f"--{name} needs a value")
            value = left.pop(0)
        pairs[name.replace("-", "_")] = value
    return pairs


@contextmanager
def _watched(seconds: float) -> "Iterator[None]":
    """End the process if SQLite does not return: some SQL functions cannot be interrupted."""

    def end() -> None:
        os.write(2, b"Error: the query took too long and could not be interrupted\n")
        os._exit(5)

    timer = threading.Timer(seconds + 10, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
