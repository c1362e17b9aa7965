"""Named queries: shipped ones, and those of the board in ``queries/*.sql``.

A query is a text of SQL. Its first comment describes it, and a comment ``-- :ws Only of this workstream``
a parameter. A parameter is NULL if it is not given.
"""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import msgspec

from orchestrator.core.decoding import decode_text
from orchestrator.core.errors import BadInput, OrchestratorError, UsageError, missing
from orchestrator.core.moments import moment
from orchestrator.core.store import Documents
from orchestrator.index.schema import TABLES, TEXTS, statements
from orchestrator.index.views import VIEWS

FOLDER, ENDING = "queries", ".sql"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_PARAMETER = re.compile(r"--\s*:([a-z][a-z0-9_]*)\s*(.*)")
_USED = re.compile(r"(?<![:\w]):([a-z][a-z0-9_]*)")
_LARGEST = 100_000


class NamedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A query with a name.

    Attributes:
        about: Its description.
        parameters: The descriptions of its parameters, by name.
        where: shipped, board, or schema: all of a table or view.
        sql: Its text.
    """

    name: str
    about: str
    parameters: dict[str, str]
    where: str
    sql: str


def is_name(text: str) -> bool:
    """Whether a text is a name of a query, and not SQL."""
    return _NAME.fullmatch(text) is not None


def named_queries(documents: Documents) -> list[NamedQuery]:
    """All named queries by name; those of the board replace shipped ones."""
    queries = {query.name: query for query in (*_shipped(), *_of_board(documents))}
    return [queries[name] for name in sorted(queries)]


def find_query(documents: Documents, name: str) -> NamedQuery:
    """The query of a name; for a table or view it selects all rows.

    Raises:
        NotFound: There is none.
        BadInput: Its file cannot be read.
    """
    data = documents.read(f"{FOLDER}/{name}{ENDING}") if is_name(name) else None
    if data is not None:
        return _read(name, data)
    queries = {query.name: query for query in named_queries(documents)}
    relation = next((r for r in (*TABLES, TEXTS, *VIEWS) if r.name == name), None)
    if relation is not None and name not in queries:
        sql = f"SELECT * FROM {name}"
        return NamedQuery(name=name, about=relation.about, parameters={}, where="schema", sql=sql)
    if name not in queries:
        raise missing("query", name, queries, hint="`orc query --list` shows them.")
    return queries[name]


def given(query: NamedQuery, pairs: dict[str, str], now: str) -> dict[str, object]:
    """The values of all parameters of a query; those named since and until are moments.

    Raises:
        UsageError: The query has no such parameter.
    """
    for name in pairs:
        if name not in query.parameters:
            known = ", ".join(f"--{known}" for known in query.parameters) or "none"
            raise UsageError(f"The query {query.name} has no parameter {name!a}; it has {known}")
    return {name: _value(name, pairs.get(name), now) for name in query.parameters}


def values_in(sql: str, pairs: dict[str, str], now: str) -> dict[str, object]:
    """The values of the parameters of a text of SQL.

    Raises:
        UsageError: It has no such parameter.
    """
    for name in pairs:
        if re.search(rf"[:@$]{re.escape(name)}(?!\w)", sql) is None:
            raise UsageError(
                f"The SQL has no parameter :{name}", hint="`query --help` lists the options."
            )
    return {name: _value(name, text, now) for name, text in pairs.items()}


def _value(name: str, text: str | None, now: str) -> object:
    if text is not None and name in ("since", "until"):
        return moment(text, now, is_past=True, is_end=name == "until")
    is_number = text is not None and re.fullmatch(r"-?[0-9]{1,18}", text) is not None
    return int(text) if text is not None and is_number else text


def _shipped() -> Iterator[NamedQuery]:
    folder = os.path.join(os.path.dirname(__file__), FOLDER)
    for name in os.listdir(folder):
        if name.endswith(ENDING):
            with open(os.path.join(folder, name), encoding="utf-8", newline="") as file:
                yield parse_query(name.removesuffix(ENDING), file.read(), "shipped")


def problems_of_queries(documents: Documents) -> Iterator[tuple[str, str]]:
    """Yield each file of the board that is no usable query, with the reason."""
    from orchestrator.index.query import QueryError, ask

    for file in documents.names(FOLDER):
        name = file.removesuffix(ENDING)
        if file != name and not is_name(name):
            yield f"{FOLDER}/{file}", "its name has other signs than a-z, 0-9, - and _"
    for query in _of_board(documents):
        file = f"{FOLDER}/{query.name}{ENDING}"
        if not query.sql:
            yield file, query.about.removeprefix(f"{file} ")
            continue
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
            for statement in statements():
                database.execute(statement)
            try:
                ask(database, query.sql, dict.fromkeys(query.parameters), limit=1, seconds=1)
            except QueryError as error:
                yield file, error.message
            except OrchestratorError:
                continue  # that it takes long is no fault


def _of_board(documents: Documents) -> Iterator[NamedQuery]:
    for file in documents.names(FOLDER):
        name = file.removesuffix(ENDING)
        if file == name or not is_name(name):
            continue
        data = documents.read(f"{FOLDER}/{file}")
        if data is None:
            continue
        try:
            yield _read(name, data)
        except BadInput as error:
            yield NamedQuery(name=name, about=error.message, parameters={}, where="board", sql="")


def _read(name: str, data: bytes) -> NamedQuery:
    file = f"{FOLDER}/{name}{ENDING}"
    if len(data) > _LARGEST:
        raise BadInput(f"{file} is larger than {_LARGEST} bytes")
    return parse_query(name, decode_text(data, file), "board")


def parse_query(name: str, text: str, where: str) -> NamedQuery:
    """Read a query with its comments."""
    about, parameters = list[str](), dict[str, str]()
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        parameter = _PARAMETER.match(line)
        if parameter is not None:
            parameters[parameter[1]] = parameter[2]
        else:
            about.append(line.lstrip("- ").strip())
    for name_used in _USED.findall(text):
        parameters.setdefault(name_used, "")
    return NamedQuery(
        name=name, about=" ".join(about), parameters=parameters, where=where, sql=text
    )
