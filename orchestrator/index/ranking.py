"""The ranking of texts: for ``search``, for knowledge in briefs and ``kb search``, for ``similar``.

It is BM25, in which a word of a title counts as five of a text (Robertson and Zaragoza, "The Probabilistic
Relevance Framework: BM25 and Beyond", 2009; SQLite computes it). Of the best :data:`CANDIDATES` a text of
today counts a half more than a very old one: the score is multiplied by ``1 + 0.5 / (1 + age in days / 30)``.

:mod:`orchestrator.index.board_ranking` ranks the texts of an open board.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from orchestrator.core import clock

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
    # The best are joined: FTS5 sorts by this function in half the time of its column `rank`.
    condition, values = both(conditions)
    joined = f" CROSS JOIN texts ON texts.id = {words}.rowid" if conditions else ""
    rows = database.execute(
        "SELECT texts.id, kind, key, number, rarity, ts FROM ("
        f"SELECT {words}.rowid AS best, {rarity(words)} AS rarity FROM {words}{joined}"
        f" WHERE {words} MATCH :query{condition} ORDER BY rarity LIMIT :most"
        ") CROSS JOIN texts ON texts.id = best",
        {"query": query, "most": most or CANDIDATES, **values},
    )
    present = clock.seconds(now)
    scored = [
        RankedText(row, kind, key, number, relevance(worth, ts, present))
        for row, kind, key, number, worth, ts in rows
    ]
    return sorted(scored, key=lambda text: (-text.score, text[1:4]))


def rarity(words: str) -> str:
    """The SQL of the measure that BM25 gives a match in a full-text index: the lower, the better."""
    return f"bm25({words}, {_TITLE_WEIGHT}, 1, 1)"


def both(conditions: Sequence[Condition]) -> Condition:
    """Return conditions as the end of a WHERE, and all their parameters."""
    sql = "".join(f" AND {condition}" for condition, _ in conditions)
    return sql, {name: value for _, values in conditions for name, value in values.items()}


def relevance(rarity: float, ts: str, present: float) -> float:
    """Return the score of a match, from what BM25 gives it and its age."""
    return -rarity * _freshness(ts, present)


def _freshness(ts: str, present: float) -> float:
    """The factor of a text's age: 1.5 today, near 1 for a very old one or an unknown time (a year)."""
    age = max(0.0, present - clock.seconds(ts)) if ts else 12 * _MONTH
    return 1 + _FRESH / (1 + age / _MONTH)
