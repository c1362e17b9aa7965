"""The contents of an index, in a form that can be compared."""

import sqlite3

from orchestrator.core.store import Store
from orchestrator.index import schema, writing

Contents = dict[str, list[tuple[object, ...]]]


def built(store: Store) -> sqlite3.Connection:
    """An index in memory that is built in one step."""
    database = sqlite3.connect(":memory:", isolation_level=None)
    writing.build(database, store)
    return database


def contents(database: sqlite3.Connection) -> Contents:
    """Every row of every table; texts without their id, which depends on the order of writing."""
    tables = {table.name: "*" for table in schema.TABLES}
    tables |= {"_records": "kind, key, CAST(value AS TEXT)"}
    tables["texts"] = ", ".join(schema.TEXTS.names[1:])
    return {
        name: sorted(database.execute(f"SELECT {columns} FROM {name}"), key=repr)
        for name, columns in tables.items()
    }


def check_sound(database: sqlite3.Connection) -> None:
    """Check that every foreign key has its row, and that the full-text indexes match the texts."""
    assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    for words in schema.WORDS:
        database.execute(f"INSERT INTO {words} ({words}, rank) VALUES ('integrity-check', 1)")
