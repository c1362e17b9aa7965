"""The ranking of texts: for ``search``, for knowledge in briefs and ``kb search``, for ``similar``.

It is BM25, in which a word of a title counts as five of a text (Robertson and Zaragoza, "The Probabilistic
Relevance Framework: BM25 and Beyond", 2009; SQLite computes it). Of the best :data:`CANDIDATES` a text of
today counts a half more than a very old one: the score is multiplied by ``1 + 0.5 / (1 + age in days / 30)``.

Where a board has no index, the texts that are ranked make one in memory, so the answers are the same.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from typing import NamedTuple

from orchestrator.core import clock
from orchestrator.core.errors import UsageError
from orchestrator.core.transaction import Desk
from orchestrator.domain.state import State
from orchestrator.index import schema
from orchestrator.index.database import IndexFile
from orchestrator.index.standing import value_of
from orchestrator.index.texts import SearchText, grams

CANDIDATES = 200
"""The number of best texts that are also ranked by age."""

_TITLE_WEIGHT = 5
_FRESH = 0.5
_MONTH = 30 * 86_400.0

Condition = tuple[str, Mapping[str, object]]
"""A condition on a row of ``texts``, with the values of its parameters."""


class RankedText(NamedTuple):
    """The row of a text that matches, what the text is of, and how relevant it is: higher is better."""

    row: int
    kind: str
    key: str
    number: int
    score: float


def ranked(
    database: sqlite3.Connection,
    query: str,
    *,
    now: str,
    most: int = 0,
    conditions: Sequence[Condition] = (),
    words: str = "words",
) -> list[RankedText]:
    """Return the texts that match, best first.

    Args:
        database: An index, or the texts alone.
        query: What is looked for, in the language of FTS5.
        now: The time from which ages count.
        most: At most so many; as a rule :data:`CANDIDATES`.
        conditions: Only texts that meet these.
        words: The full-text index: it says how rare a word is.
    """
    # CROSS JOIN: words come first, in the order of their rank, so that only the best are joined.
    rows = database.execute(
        f"SELECT texts.id, kind, key, number, rank, texts.ts FROM {words}"
        f" CROSS JOIN texts ON texts.id = {words}.rowid"
        f" WHERE {words} MATCH :query AND rank MATCH 'bm25({_TITLE_WEIGHT}, 1, 1)'"
        f"{''.join(f' AND {condition}' for condition, _ in conditions)} ORDER BY rank LIMIT :most",
        {"query": query, "most": most or CANDIDATES}
        | {k: v for _, values in conditions for k, v in values.items()},
    )
    present = clock.seconds(now)
    scored = [
        RankedText(row, kind, key, number, -rank * _freshness(ts, present))
        for row, kind, key, number, rank, ts in rows
    ]
    return sorted(scored, key=lambda text: (-text.score, text[1:4]))


def _freshness(ts: str, present: float) -> float:
    """The factor of a text's age: 1.5 today, near 1 for a very old one or an unknown time (a year)."""
    age = max(0.0, present - clock.seconds(ts)) if ts else 12 * _MONTH
    return 1 + _FRESH / (1 + age / _MONTH)


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
