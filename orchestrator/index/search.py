"""Ranked full-text search over every text of the board: ``orc search``.

The most relevant come first, as :mod:`orchestrator.index.ranking` says.

No input is an error: words are joined by AND; ``OR``, ``NOT``, ``-word``, ``"a phrase"`` and ``begin*`` are
operators; all other signs are ignored.
"""

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import msgspec

from orchestrator.core import clock
from orchestrator.core.moments import moment
from orchestrator.index.database import IndexFile
from orchestrator.index.matching import match_of
from orchestrator.index.ranking import CANDIDATES, Condition, both, ranked, rarity, relevance
from orchestrator.index.texts import runs

if TYPE_CHECKING:
    from orchestrator.domain.tasks.filters import Filter

TextKind = Literal[
    "task", "result", "note", "evidence", "message", "knowledge", "decision", "goal", "event"
]

KINDS: tuple[TextKind, ...] = get_args(TextKind)

FEW = 20
"""Matches that are read at once, without sorting them first."""

LONGEST = 1000
"""The most characters of a search that are used."""

_WORDS = 12
"""The number of words in a snippet."""

_NEAR = 30
"""The number of letters around a match in a script without blanks."""

_OPEN, _CLOSE = "\x02", "\x03"
"""Signs around a match, which are removed before a text is shown."""

_MARKED = re.compile(f"({_OPEN}[^{_OPEN}{_CLOSE}]*{_CLOSE})")
_NO_SIGNS = {ord(_OPEN): None, ord(_CLOSE): None}


class TextMatch(msgspec.Struct, frozen=True, kw_only=True):
    """A text that contains the words.

    Attributes:
        kind: The kind of text.
        key: The task, topic or goal, or the number of the message, decision or event.
        number: The number of a note or evidence of a task; else 0.
        task: Its task, if any.
        title: Its title, or that of its task.
        agent: Who wrote it.
        ts: When it was written.
        score: Its relevance; higher is better.
        snippet: The part of the text around the words.
        marks: The positions of the words in the snippet: the first character, and the one after the last.
        title_marks: Their positions in the title.
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
    title_marks: list[tuple[int, int]]


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
    where: "Filter | None" = None,
    limit: int = 20,
    stale: bool = False,
) -> list[TextMatch]:
    """Return the texts that contain the words, the most relevant first.

    Args:
        index: The index.
        words: The search.
        now: The time from which ages count.
        kinds: Only texts of these kinds.
        agent: Only texts that this agent wrote.
        since: Only texts from this time on, or that long ago (``2h``).
        workstream: Only texts about tasks of this workstream.
        status: Only texts about tasks of these statuses.
        where: Only texts about tasks that pass this.
        limit: At most so many.
        stale: Do not update the index first.
    """
    # No text contains a lone surrogate, and SQLite ends a search at a NUL.
    words = words[:LONGEST].encode("utf-8", "ignore").decode().replace("\0", " ")
    query = match_of(words)
    kinds = tuple(kinds)
    table = "topic_words" if kinds == ("knowledge",) else "words"
    conditions: list[Condition] = [
        *_one_of("kind", kinds),
        *_one_of("agent", () if agent is None else (agent,)),
        *([] if since is None else [("ts >= :since", {"since": moment(since, now, is_past=True)})]),
        *_about_task("status", tuple(status)),
        *_about_task("workstream", () if workstream is None else (workstream,)),
    ]
    if where is not None:
        from orchestrator.index.filters import passing_task  # late: it needs all facts of tasks

        conditions.append(passing_task(where, now, "texts.task"))

    def ask(database: sqlite3.Connection) -> list[TextMatch]:
        matches = _Matches(database, table, query, words)
        few = matches.few(*both(conditions))
        if len(few) <= FEW:
            present = clock.seconds(now)
            scored = [(row, relevance(row.rarity, row.ts, present)) for row in few]
            scored.sort(key=lambda pair: (-pair[1], pair[0][:3]))
            return [matches.shown(row, score) for row, score in scored[:limit]]
        most = max(limit, CANDIDATES)
        best = ranked(database, query, now=now, most=most, conditions=conditions, words=table)
        return [matches.shown(matches.row(text.row), text.score) for text in best[:limit]]

    return index.answer(ask, stale=stale, by_size=True) if query else []


def _one_of(column: str, values: Sequence[str]) -> list[Condition]:
    named = {f"{column}{number}": value for number, value in enumerate(values)}
    return [(f"{column} IN (:{', :'.join(named)})", named)] if named else []


def _about_task(column: str, values: Sequence[str]) -> list[Condition]:
    return [
        (f"EXISTS (SELECT 1 FROM tasks k WHERE k.id = texts.task AND k.{condition})", named)
        for condition, named in _one_of(column, values)
    ]


class _MatchRow(NamedTuple):
    """What is read of a matching text."""

    kind: TextKind
    key: str
    number: int
    task: str | None
    title: str
    agent: str | None
    ts: str
    body: str | None
    marked: str | None
    marked_title: str | None
    rarity: float


class _Matches:
    """Reads the texts that match, each with a snippet around the words."""

    def __init__(self, database: sqlite3.Connection, table: str, query: str, words: str) -> None:
        self._database = database
        self._words = words
        self._values = {"query": query, "open": _OPEN, "close": _CLOSE, "most": FEW + 1}
        self._table = table

    def few(self, condition: str, values: Mapping[str, object]) -> list[_MatchRow]:
        """Return the matches that meet a condition, in no order, one more than a few at most."""
        return self._read(rarity(self._table), condition, values)

    def row(self, row: int) -> _MatchRow:
        """Return one match, without its rarity: BM25 counts all matches for it."""
        (match,) = self._read("0.0", " AND texts.id = :row", {"row": row})
        return match

    def _read(self, rarity: str, condition: str, values: Mapping[str, object]) -> list[_MatchRow]:
        table = self._table
        rows = self._database.execute(
            "SELECT kind, key, number, texts.task,"
            " coalesce(texts.title, (SELECT k.title FROM tasks k WHERE k.id = texts.task), ''),"
            f" agent, ts, texts.body, snippet({table}, 1, :open, :close, '…', {_WORDS}),"
            f" highlight({table}, 0, :open, :close), {rarity}"
            f" FROM {table} CROSS JOIN texts ON texts.id = {table}.rowid"
            f" WHERE {table} MATCH :query{condition} LIMIT :most",
            {**self._values, **values},
        )
        return [*map(_MatchRow._make, rows)]

    def shown(self, row: _MatchRow, score: float) -> TextMatch:
        """Return a match as it is shown."""
        text = _around_run(row.body or "", self._words) or row.marked or ""
        snippet, marks = _unmarked(text)
        title, title_marks = _unmarked(
            _with_run_marked(row.title, self._words) or row.marked_title or ""
        )
        return TextMatch(
            kind=row.kind,
            key=row.key,
            number=row.number,
            task=row.task,
            title=row.title,
            agent=row.agent,
            ts=row.ts,
            score=round(score, 3),
            snippet=snippet,
            marks=marks,
            title_marks=title_marks if title == row.title else [],
        )


def _around_run(body: str, words: str) -> str:
    """The snippet around a word of a script without blanks, which SQLite does not mark."""
    for run in runs(words):
        first = body.find(run)
        if first >= 0:
            end = first + len(run)
            head, tail = body[max(0, first - _NEAR) : first], body[end : end + _NEAR]
            cut = ("…" if first > _NEAR else "", "…" if end + _NEAR < len(body) else "")
            return f"{cut[0]}{head}{_OPEN}{body[first:end]}{_CLOSE}{tail}{cut[1]}"
    return ""


def _with_run_marked(title: str, words: str) -> str:
    """The title, if it contains a word of a script without blanks, with marks around it."""
    run = next((run for run in runs(words) if run in title), None)
    return title.replace(run, f"{_OPEN}{run}{_CLOSE}", 1) if run else ""


def _unmarked(marked: str) -> tuple[str, list[tuple[int, int]]]:
    """Return a text on one line without the signs around matches, and the positions of the signs."""
    text, marks = "", list[tuple[int, int]]()
    for part in _MARKED.split(" ".join(marked.split())):
        plain = part.translate(_NO_SIGNS)
        if part.startswith(_OPEN) and part.endswith(_CLOSE) and plain:
            marks.append((len(text), len(text) + len(plain)))
        text += plain
    return text, marks
