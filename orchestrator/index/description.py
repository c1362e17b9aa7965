"""Descriptions of the schema: ``docs/schema.md``, the list of tables, and metadata for Datasette.

``python -m orchestrator.index.description docs/schema.md`` writes the page; a test fails when it differs
from the declarations.
"""

import sys
from typing import Any

import msgspec

from orchestrator.index import schema
from orchestrator.index.standing import VERSION
from orchestrator.index.views import VIEWS

_HIDDEN = ("_records", "_index", "words")


class Relation(msgspec.Struct, frozen=True, kw_only=True):
    """A table or view that queries can read."""

    name: str
    about: str
    columns: list[str]


def overview() -> list[Relation]:
    """Every table and view with its columns."""
    tables = [
        Relation(name=table.name, about=table.about, columns=[*table.names])
        for table in (*schema.TABLES, schema.TEXTS)
    ]
    columns = _columns_of_views()
    views = [Relation(name=v.name, about=v.about, columns=columns[v.name]) for v in VIEWS]
    return tables + views


def metadata() -> dict[str, Any]:
    """The metadata for ``datasette state/index.db -m metadata.json``."""
    tables: dict[str, Any] = {name: {"hidden": True} for name in _HIDDEN}
    for table in (*schema.TABLES, schema.TEXTS):
        columns = {column.name: column.about for column in table.columns}
        tables[table.name] = {"description": table.about, "columns": columns}
    tables["tasks"] |= {"label_column": "title", "facets": ["workstream", "status", "assigned_to"]}
    tables["events"] |= {"sort_desc": "id", "facets": ["type", "agent"]}
    tables["texts"] |= {"fts_table": "words", "fts_pk": "id", "facets": ["kind"]}
    tables |= {view.name: {"description": view.about} for view in VIEWS}
    return {
        "title": "The board",
        "description": "An index of the board's log. It can be deleted at any time and built again.",
        "databases": {"index": {"tables": tables}},
    }


def page() -> str:
    """The page ``docs/schema.md``."""
    lines = [
        "# The schema of the index",
        "",
        "`orc index build` makes `state/index.db`, an SQLite database of everything on the board, and"
        " `orc query` reads it. It is made from the log and can be deleted at any time; commands that change"
        " the board do not read it. This page is generated from `orchestrator/index/schema.py`.",
        "",
        f"Version {VERSION}. A time is text such as `2026-11-21T06:13:00.123Z`; an unknown value"
        " is NULL; a list or mapping is JSON. `_records` and `_index` are internal.",
    ]
    for table in (*schema.TABLES, schema.TEXTS):
        lines += ["", f"## {table.name}", "", table.about, ""]
        lines += [
            f"Key: {', '.join(table.key)}.",
            "",
            "| column | type | contents |",
            "|---|---|---|",
        ]
        for column in table.columns:
            points = f" Points to `{column.references}`." if column.references else ""
            lines.append(f"| `{column.name}` | {column.kind} | {column.about}{points} |")
    lines += [
        "",
        "## words",
        "",
        "The full-text index (FTS5) of `texts`: `words MATCH 'parser AND error'`,",
    ]
    lines += ["`bm25(words, 5, 1, 1)` ranks. `rowid` is `texts.id`."]
    for view, relation in zip(VIEWS, overview()[-len(VIEWS) :], strict=True):
        columns = ", ".join(f"`{name}`" for name in relation.columns)
        lines += ["", f"## {view.name} (view)", "", view.about, "", f"Columns: {columns}."]
    return "\n".join(lines) + "\n"


def _columns_of_views() -> dict[str, list[str]]:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(":memory:")) as database:
        for statement in schema.statements():
            database.execute(statement)
        return {
            view.name: [name for _, name, *_ in database.execute(f"PRAGMA table_info({view.name})")]
            for view in VIEWS
        }


if __name__ == "__main__":
    with open(sys.argv[1], "w", encoding="utf-8", newline="\n") as file:
        file.write(page())
