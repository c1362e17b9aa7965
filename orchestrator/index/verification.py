"""Compare an index with a new one from the log."""

import sqlite3
from contextlib import closing

from orchestrator.core.printable import amount
from orchestrator.core.store import Store
from orchestrator.index import schema, writing
from orchestrator.index.database import IndexFile


def differences(file: IndexFile, store: Store) -> list[str]:
    """The differences of an updated index, one sentence for each; then it is built again.

    Raises:
        Damage: The log is damaged, so that no index can be compared with it.
    """
    fresh = sqlite3.connect(":memory:", isolation_level=None)
    with closing(fresh):
        damage = writing.build(fresh, store)
        if damage is not None:
            raise damage
        try:
            with file.reading() as database:
                problems = _differences(database, fresh)
        except sqlite3.DatabaseError as error:
            problems = [f"SQLite finds damage: {error}"]
    if problems and file.exists:
        file.rebuild(problems[0])
    return problems


def _differences(database: sqlite3.Connection, fresh: sqlite3.Connection) -> list[str]:
    damage = [text for (text,) in database.execute("PRAGMA integrity_check") if text != "ok"]
    if damage:
        return [f"SQLite finds damage: {text}" for text in damage]
    tables = {table.name: "*" for table in schema.TABLES}
    tables |= {"_records": "*", "texts": ", ".join(schema.TEXTS.names[1:])}
    return [
        f"{name} differs in {amount(number, 'row')}"
        for name, columns in tables.items()
        if (number := _differing(database, fresh, f"SELECT {columns} FROM {name}"))
    ]


def _differing(one: sqlite3.Connection, other: sqlite3.Connection, sql: str) -> int:
    rows, others = (set(database.execute(sql)) for database in (one, other))
    return len(rows ^ others)
