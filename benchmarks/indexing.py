"""Building the index, compared with a plain ``executemany`` of the same rows; and updating it."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import count, groupby
from statistics import median

from benchmarks.boards import STREAMS, Boards
from benchmarks.measure import Figure, heavy_lap, interleave, lap, ms, ratio
from orchestrator import Orchestrator
from orchestrator.index import writing
from orchestrator.index.database import FAST, connect
from orchestrator.stores.files import FileStore

FEW = 1000
ADDED = 100

Rows = list[tuple[int, list[tuple[object, ...]]]]
"""Rows by how many columns they have."""


def building(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Build from a long log, with the tables of texts and without."""
    board = boards.log(boards.many)
    path = f"{board}.index"
    for has_texts, bound in ((False, 0.25), (True, 0.04)):
        _build(board, path, has_texts=has_texts)
        rows = _rows_of(path)
        number = sum(len(group) for _, group in rows)
        ours, bare = interleave(
            1 if quick else 3,
            lambda has_texts=has_texts: heavy_lap(  # type: ignore[misc]
                lambda: _build(board, path, has_texts=has_texts)
            ),
            lambda rows=rows: heavy_lap(lambda: _insert(rows, path)),  # type: ignore[misc]
        )
        with_texts = "with" if has_texts else "without"
        rate = boards.many / median(ours)
        yield Figure(
            name="index-build",
            what=f"building an index of {boards.many:,} events {with_texts} texts, as a share of the speed"
            f" of executemany of its {number:,} rows",
            measured=ratio(bare, ours),
            bound=bound,
            at_least=True,
            detail=f"{ms(ours)} against {ms(bare)}; {rate:,.0f} events a second",
        )
    os.unlink(path)


def following(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Update the index by a few events of a long and of a short log; the boards are open."""
    many, few = (_indexed(boards.copy(boards.log(number))) for number in (boards.many, FEW))
    laps = interleave(10 if quick else 30, lambda: _follow(many), lambda: _follow(few))
    yield Figure(
        name="index-follow",
        what=f"bringing the index up to date with {ADDED} events at {boards.many:,}, against {FEW:,}",
        measured=ratio(*laps),
        bound=2.0,
        detail=f"{ms(laps[0])} against {ms(laps[1])}",
    )


def _build(board: str, path: str, *, has_texts: bool) -> None:
    with closing(_fresh(path)) as database:
        writing.build(database, FileStore(board, warn=print), has_texts=has_texts)


def _fresh(path: str) -> sqlite3.Connection:
    if os.path.exists(path):
        os.unlink(path)
    database = connect(path, "rwc")
    for setting in FAST:
        database.execute(f"PRAGMA {setting}")
    return database


def _rows_of(path: str) -> Rows:
    """The rows of the index, without those that SQLite makes for full-text search."""
    with closing(sqlite3.connect(path)) as database:
        tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'words%'"
        names = [name for (name,) in database.execute(tables)]
        rows = [row for name in names for row in database.execute(f"SELECT * FROM {name}")]
    rows.sort(key=len)
    return [(width, [*group]) for width, group in groupby(rows, len)]


def _insert(rows: Rows, path: str) -> None:
    with closing(_fresh(path)) as database:
        columns = [f"c{number}" for number in range(rows[-1][0])]
        database.execute(f"CREATE TABLE everything ({', '.join(columns)})")
        database.execute("BEGIN")
        for width, group in rows:
            marks = ", ".join("?" * width)
            names = ", ".join(columns[:width])
            database.executemany(f"INSERT INTO everything ({names}) VALUES ({marks})", group)
        database.execute("COMMIT")


def _indexed(board: str) -> Orchestrator:
    orc = Orchestrator.open(board, agent="agent-1")
    orc.index.build()
    orc.engine.read()
    return orc


_numbers = count()


def _follow(orc: Orchestrator) -> float:
    """Add, claim, note and complete tasks; return the time of a query that needs these events."""
    before = orc.engine.read().event
    with orc.transaction():
        for _ in range(ADDED // 4):
            title = f"Look into one more part: {next(_numbers)}"
            task = orc.tasks.add(STREAMS[0], title=title, description="Read what is there.").id
            orc.tasks.claim(task)
            orc.tasks.note(task, "It is as planned so far.")
            orc.tasks.complete(task, result="It is as planned.")
    if orc.engine.read().event != before + ADDED:
        raise RuntimeError(f"{orc.engine.read().event - before} events where {ADDED} were meant")
    return lap(lambda: orc.index.query("SELECT 1"))
