"""Words in every text of the board, ranked: ``orc search``.

The most relevant come first by BM25, in which a word of a title counts as five of a text (Robertson and
Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009; SQLite computes it). Of the best
:data:`CANDIDATES` a text of today counts a half more than a very old one: the score is multiplied by
``1 + 0.5 / (1 + age in days / 30)``.

What a person writes is never an error: words are joined by AND; ``OR``, ``NOT`` and ``-word`` work, as do
``"a phrase"`` and ``begin*``; all other signs are blanks.
"""

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, get_args

import msgspec

from orchestrator.core import clock
from orchestrator.core.moments import moment
from orchestrator.index.database import IndexFile
from orchestrator.index.texts import gram_match, runs, without_runs

TextKind = Literal[
    "task", "result", "note", "evidence", "message", "knowledge", "decision", "goal", "event"
]

KINDS: tuple[TextKind, ...] = get_args(TextKind)

CANDIDATES = 200
"""How many texts are ranked by their age as well."""

LONGEST = 1000
"""Characters of a question that are used."""

_TITLE_WEIGHT = 5
_FRESH = 0.5
_MONTH = 30 * 86_400.0
_WORDS = 12
"""Words of a text that are shown around a match."""

_NEAR = 30
"""Letters around a word of a script without blanks."""

_OPEN, _CLOSE = "\x02", "\x03"
"""Signs around a match; no text that is shown keeps them."""

_MARKED = re.compile(f"({_OPEN}[^{_OPEN}{_CLOSE}]*{_CLOSE})")
_NO_SIGNS = {ord(_OPEN): None, ord(_CLOSE): None}
_TERM = re.compile(r'(-?)(?:"([^"]*)"?|([^\s"]+))')
_HAS_WORD = re.compile(r"[^\W_]")


class TextMatch(msgspec.Struct, frozen=True, kw_only=True):
    """A text in which the words are.

    Attributes:
        kind: What the text is.
        key: The task, topic or goal, or the number of the message, decision or event.
        number: Which of several notes or evidence of a task; else 0.
        task: The task that it is about, if any.
        title: Its title, or that of its task.
        agent: Who wrote it.
        ts: When it was written.
        score: How relevant it is; higher is better.
        snippet: The part of the text around the words.
        marks: Where the words are in the snippet: the first character, and the one behind the last.
    """

    kind: TextKind
    key: str
    number: int
    task: str | None
    title: str
    agent: str | None
    ts: str
    score: float
    snippet: str
    marks: list[tuple[int, int]]


def search(
    index: IndexFile,
    words: str,
    *,
    now: str,
    kinds: Iterable[TextKind] = (),
    agent: str | None = None,
    since: str | None = None,
    workstream: str | None = None,
    status: Iterable[str] = (),
    limit: int = 20,
    stale: bool = False,
) -> list[TextMatch]:
    """Return the texts in which the words are, the most relevant first.

    Args:
        index: The index.
        words: What a person wrote.
        now: The time from which ages count.
        kinds: Only texts of these kinds.
        agent: Only texts that this agent wrote.
        since: Only texts from this time on, or that long ago (``2h``).
        workstream: Only texts about tasks of this workstream.
        status: Only texts about tasks of these statuses.
        limit: At most so many.
        stale: In the index as it stands; else it is brought up to date first.
    """
    # A lone surrogate is in no text, and SQLite ends a question at a zero.
    words = words[:LONGEST].encode("utf-8", "ignore").decode().replace("\0", " ")
    query = match_of(words)
    filters = [
        *_one_of("t.kind", tuple(kinds)),
        *_one_of("k.status", tuple(status)),
        *_one_of("k.workstream", () if workstream is None else (workstream,)),
        *_one_of("t.agent", () if agent is None else (agent,)),
        *([] if since is None else [("t.ts >= ?", [moment(since, now, is_past=True)])]),
    ]

    def ask(database: sqlite3.Connection) -> list[TextMatch]:
        ranked = _ranked(database, query, filters, now, max(limit, CANDIDATES))[:limit]
        return [_shown(database, row, score, query, words) for row, score in ranked]

    return index.answer(ask, stale=stale) if query else []


def match_of(words: str) -> str:
    """Return a question in the language of FTS5; empty if there is no word in it."""
    alternatives: list[str] = []
    wanted: list[str] = []
    unwanted: list[str] = []

    def close() -> None:
        # A question that only excludes would find all else: its words are looked for instead.
        terms = " AND ".join(wanted or unwanted)
        without = "".join(f" NOT {term}" for term in unwanted) if wanted else ""
        if terms:
            alternatives.append(f"({terms}{without})")
        wanted.clear()
        unwanted.clear()

    negated = False
    for sign, phrase, word in _TERM.findall(words):
        if word == "OR" and not sign:
            close()
        elif word == "NOT" and not sign:
            negated = True
        elif word != "AND":
            (unwanted if sign or negated else wanted).extend(_terms(phrase or word, bool(phrase)))
            negated = False
    close()
    return " OR ".join(alternatives)


def _terms(text: str, is_phrase: bool) -> Iterator[str]:
    """Yield the terms of FTS5 for a word or phrase."""
    yield from map(gram_match, runs(text))
    rest = without_runs(text)
    if _HAS_WORD.search(rest):
        begins = not is_phrase and rest.rstrip(")").endswith("*")
        yield f'"{rest}"{" *" if begins else ""}'


def _one_of(column: str, values: Sequence[str]) -> list[tuple[str, Sequence[str]]]:
    return [(f"{column} IN ({', '.join('?' * len(values))})", values)] if values else []


def _ranked(
    database: sqlite3.Connection,
    query: str,
    filters: Sequence[tuple[str, Sequence[str]]],
    now: str,
    most: int,
) -> list[tuple[int, float]]:
    """Return the rows of the texts that match, with their scores, best first."""
    conditions = "".join(f" AND {condition}" for condition, _ in filters)
    # CROSS JOIN: the words come first, in the order of their rank, so that only the best are joined.
    rows = database.execute(
        "SELECT words.rowid, rank, t.ts FROM words CROSS JOIN texts t ON t.id = words.rowid"
        " LEFT JOIN tasks k ON k.id = t.task"
        f" WHERE words MATCH ? AND rank MATCH 'bm25({_TITLE_WEIGHT}, 1, 1)'{conditions}"
        " ORDER BY rank LIMIT ?",
        [query, *(value for _, values in filters for value in values), most],
    )
    present = clock.seconds(now)
    scored = [(row, -rank * _freshness(ts, present)) for row, rank, ts in rows]
    return sorted(scored, key=lambda item: (-item[1], item[0]))


def _freshness(ts: str, present: float) -> float:
    """The factor of a text's age: 1.5 today, near 1 for a very old one or an unknown time (a year)."""
    age = max(0.0, present - clock.seconds(ts)) if ts else 12 * _MONTH
    return 1 + _FRESH / (1 + age / _MONTH)


def _shown(
    database: sqlite3.Connection, row: int, score: float, query: str, words: str
) -> TextMatch:
    """Return a text that matches, with the part of it in which the words are."""
    kind, key, number, task, title, agent, ts, body = database.execute(
        "SELECT t.kind, t.key, t.number, t.task, coalesce(t.title, k.title, ''), t.agent, t.ts, t.body"
        " FROM texts t LEFT JOIN tasks k ON k.id = t.task WHERE t.id = ?",
        [row],
    ).fetchone()
    (marked,) = database.execute(
        "SELECT snippet(words, 1, ?, ?, '…', ?) FROM words WHERE words MATCH ? AND rowid = ?",
        [_OPEN, _CLOSE, _WORDS, query, row],
    ).fetchone()
    snippet, marks = _unmarked(_around_run(body or "", words) or marked or "")
    return TextMatch(
        kind=kind,
        key=key,
        number=number,
        task=task,
        title=title,
        agent=agent,
        ts=ts,
        score=round(score, 3),
        snippet=snippet,
        marks=marks,
    )


def _around_run(body: str, words: str) -> str:
    """The part of a text around a word of a script without blanks, which SQLite does not mark."""
    for run in runs(words):
        first = body.find(run)
        if first >= 0:
            end = first + len(run)
            head, tail = body[max(0, first - _NEAR) : first], body[end : end + _NEAR]
            cut = ("…" if first > _NEAR else "", "…" if end + _NEAR < len(body) else "")
            return f"{cut[0]}{head}{_OPEN}{body[first:end]}{_CLOSE}{tail}{cut[1]}"
    return ""


def _unmarked(marked: str) -> tuple[str, list[tuple[int, int]]]:
    """Return a text without the signs around matches, on one line, and where these were."""
    text, marks = "", list[tuple[int, int]]()
    for part in _MARKED.split(" ".join(marked.split())):
        plain = part.translate(_NO_SIGNS)
        if part.startswith(_OPEN) and part.endswith(_CLOSE) and plain:
            marks.append((len(text), len(text) + len(plain)))
        text += plain
    return text, marks
