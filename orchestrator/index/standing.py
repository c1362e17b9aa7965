"""Notes of an index about itself: the version of its schema, its build, and its last event."""

import sqlite3
from typing import Any

import msgspec

from orchestrator.core.store import START, Cursor

VERSION = 10
"""Grows with every change of the schema or the contents: an index of another version is built again."""


def value_of(database: sqlite3.Connection, name: str) -> Any:
    """A note: ``version``, ``build``, ``texts``, ``event``, ``position``, ``log``; None: there is none."""
    row = database.execute("SELECT value FROM _index WHERE name = ?", (name,)).fetchone()
    return row[0] if row else None


def note(database: sqlite3.Connection, **values: object) -> None:
    """Write notes."""
    database.executemany("INSERT OR REPLACE INTO _index VALUES (?, ?)", values.items())


def position_of(database: sqlite3.Connection, cursor_type: type[Cursor]) -> Cursor:
    """The position of an index in the log."""
    text = value_of(database, "position")
    return msgspec.json.decode(text, type=cursor_type) if text else START


def note_position(database: sqlite3.Connection, position: Cursor) -> None:
    """Write the position of an index in the log."""
    note(database, event=position.id, position=msgspec.json.encode(position).decode())
