"""Ranks texts of an open board, for other queries than ``search``, with an index and without.

Without an index, a database in memory of the texts that are ranked gives the same order.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing

from orchestrator.core.errors import UsageError
from orchestrator.core.transaction import Desk
from orchestrator.domain.state import State
from orchestrator.index import schema
from orchestrator.index.database import IndexFile
from orchestrator.index.ranking import Condition, RankedText, ranked
from orchestrator.index.standing import value_of
from orchestrator.index.texts import SearchText, grams


def keys_ranked(
    desk: Desk[State],
    query: str,
    texts: Callable[[], Iterable[SearchText]],
    *,
    conditions: Sequence[Condition] = (),
    words: str = "words",
    in_index: bool = True,
) -> list[str]:
    """Return the keys of the texts that match, best first: by the index, or else by the texts alone.

    Args:
        desk: The board.
        query: What is looked for, in the language of FTS5.
        texts: The texts that are ranked where there is no index, or it is behind what is seen here.
        conditions: Only texts in the index that meet these.
        words: The full-text index that ranks them.
        in_index: Whether the index may have all of these texts.
    """
    if not query:
        return []
    now, event = desk.now(), desk.read().event

    def ask(database: sqlite3.Connection) -> list[RankedText] | None:
        is_behind = value_of(database, "event") < event
        return (
            None
            if is_behind
            else ranked(database, query, now=now, conditions=conditions, words=words)
        )

    index = IndexFile.of(desk)
    best = None
    if in_index and index.exists and _may_wait(desk):
        best = index.answer(ask)
    if best is None:
        with closing(_database_of(texts(), words)) as database:
            best = ranked(database, query, now=now, words=words)
    return [text.key for text in best]


def _may_wait(desk: Desk[State]) -> bool:
    """Whether no transaction is open: what it records is in no index."""
    try:
        desk.pause()
    except UsageError:
        return False
    return True


def _database_of(texts: Iterable[SearchText], words: str) -> sqlite3.Connection:
    """A database in memory of some texts alone, with the full-text index of this name."""
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.execute(schema.TEXTS.create())
    database.execute(schema.TOPIC_TEXTS)
    database.execute(schema.words_table(words))
    rows = [
        (number, *text, grams(text.title, text.body)) for number, text in enumerate(texts, start=1)
    ]
    database.executemany(schema.TEXTS.upsert, rows)
    database.execute(f"INSERT INTO {words} ({words}) VALUES ('rebuild')")
    return database
