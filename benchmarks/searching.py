"""``search`` over many tasks: rare words compared with reading a row, common words, whole processes."""

import time
from collections.abc import Callable, Iterator
from statistics import median
from time import process_time

from benchmarks.boards import Boards
from benchmarks.measure import Figure, interleave, ms, process, ratio
from orchestrator import Orchestrator
from orchestrator.core import clock
from orchestrator.index.database import IndexFile
from orchestrator.index.search import search

IMPORTS = ["-c", "import click, msgspec, sqlite3"]
"""A process that imports what a search needs and does nothing."""

_RARE = "4711"
_SOME = "1234*"
_COMMON = "look"


class _OpenIndex(IndexFile):
    """An index that stays open for many questions."""

    def __init__(self, orc: Orchestrator) -> None:
        super().__init__(orc.engine.store, orc.folder, warn=print)
        self.database = self._opened(stale=True)

    def answer(self, question, **how):  # type: ignore[no-untyped-def] # noqa: ARG002
        return question(self.database)


def searching(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Words of one task, of a dozen and of all."""
    board = boards.copy(boards.tasks(boards.big))
    with Orchestrator.open(board) as orc:
        orc.index.build()
        index = _OpenIndex(orc)
        key = orc.tasks.all()[0].id
    now = clock.timestamp(time.time())

    def found(words: str) -> int:
        return len(search(index, words, now=now, limit=10))

    def read() -> object:
        return index.database.execute("SELECT * FROM tasks WHERE id = ?", (key,)).fetchone()

    for words, what in ((_RARE, "a word of one task"), (_SOME, "words of a dozen tasks")):
        ours, bare = interleave(
            5 if quick else 15,
            lambda words=words: _each(lambda: found(words)),  # type: ignore[misc]
            lambda: _each(read),
        )
        yield Figure(
            name="search",
            what=f"search over {boards.big:,} tasks for {what}, against reading one by its key",
            measured=ratio(ours, bare),
            bound=30.0,
            detail=f"{1e6 * median(ours):.0f} µs against {1e6 * median(bare):.1f} µs",
        )
    (common,) = interleave(5 if quick else 15, lambda: _each(lambda: found(_COMMON), 1))
    yield Figure(
        name="search",
        what=f"search over {boards.big:,} tasks for a word of all: the top 10",
        measured=1000 * median(common),
        bound=150.0,
        unit="ms",
        detail=ms(common),
    )
    index.database.close()
    line, least = interleave(
        3 if quick else 9,
        lambda: process(["cli.py", "search", _RARE], board).cpu,
        lambda: process(IMPORTS).cpu,
    )
    yield Figure(
        name="search",
        what=f"`search` at {boards.big:,} tasks, whole process: CPU against importing 3 packages",
        measured=ratio(line, least),
        bound=1.5,
        detail=f"{ms(line)} against {ms(least)}",
    )
    boards.drop(board)


def _each(action: Callable[[], object], times: int = 50) -> float:
    """The CPU seconds of each of several calls."""
    start = process_time()
    for _ in range(times):
        action()
    return (process_time() - start) / times
