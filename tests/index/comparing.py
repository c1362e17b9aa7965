"""What an index holds, in a form that can be compared."""

import sqlite3

from orchestrator.core.store import Store
from orchestrator.index import schema, writing

Contents = dict[str, list[tuple[object, ...]]]


def built(store: Store) -> sqlite3.Connection:
    """An index in memory, built at once."""
    database = sqlite3.connect(":memory:", isolation_level=None)
    writing.build(database, store)
    return database


def contents(database: sqlite3.Connection) -> Contents:
    """Every row of every table; of texts without the id, which tells in which order they came."""
    tables = {table.name: "*" for table in schema.TABLES}
    tables |= {"_records": "kind, key, CAST(value AS TEXT)"}
    tables["texts"] = ", ".join(schema.TEXTS.names[1:])
    return {
        name: sorted(database.execute(f"SELECT {columns} FROM {name}"), key=repr)
        for name, columns in tables.items()
    }


def check_sound(database: sqlite3.Connection) -> None:
    """Every key that points to a row points to one, and the full-text indexes are those of the texts."""
    assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    for words in schema.WORDS:
        database.execute(f"INSERT INTO {words} ({words}, rank) VALUES ('integrity-check', 1)")
