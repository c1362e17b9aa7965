"""A log of many segments: a past state, the doctor and a new state.json, against folding the whole log."""

import os
import time
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.boards import Boards, snapshot_of
from benchmarks.measure import Figure, heavy_lap, interleave, ms, ratio
from orchestrator import Orchestrator
from orchestrator.core.store import START
from orchestrator.domain.state import State
from orchestrator.maintenance.doctor import examine
from orchestrator.stores.files.segment import SETTLED

SEGMENTS = 8


def segments(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Each with checkpoints, against a fold of all events; compressed segments against plain ones."""
    rounds = 3 if quick else 5
    board = boards.segmented(boards.big, SEGMENTS)
    bare = boards.copy(board)
    os.unlink(snapshot_of(bare))
    middle = boards.big * 5 // 9
    _let_check(board)
    full = partial(_doctor, board, full=True)
    whole, folded = _folding(board), f"with a log of {SEGMENTS} segments, against folding all of it"
    rows: list[tuple[str, Callable[[], object], Callable[[], object], float]] = [
        (f"`status --at` event {middle:,} {folded}", lambda: _at(board, middle), whole, 0.5),
        (f"a new state.json {folded}", lambda: _open(bare), whole, 0.4),
        (
            "doctor, checked before, against doctor --full",
            lambda: _doctor(board, full=False),
            full,
            0.4,
        ),
    ]
    for row in rows:
        yield _compared(*row, rounds=rounds)
    # The states of these two boards are equally small, so this is the cost of the log alone.
    many, one = boards.logged(boards.big, SEGMENTS), boards.logged(boards.big // SEGMENTS, 1)
    _let_check(many)
    yield _compared(
        f"doctor with a log of {SEGMENTS} segments that were checked before, against one of 1 segment",
        partial(_doctor, many, full=False),
        partial(_doctor, one, full=False),
        1.5,
        rounds=5 if quick else 9,
    )
    packed = boards.copy(board)
    _archive(packed)
    yield _compared(
        "folding a log of compressed segments, against one of plain ones",
        _folding(packed),
        whole,
        1.3,
        rounds=rounds,
        more=f"; {_size(packed) / _size(board):.0%} of the size",
    )


def _compared(
    what: str,
    action: Callable[[], object],
    other: Callable[[], object],
    bound: float,
    *,
    rounds: int,
    more: str = "",
) -> Figure:
    ours, against = interleave(rounds, partial(heavy_lap, action), partial(heavy_lap, other))
    return Figure(
        name="past",
        what=what,
        measured=ratio(ours, against),
        bound=bound,
        detail=f"{ms(ours)} against {ms(against)}{more}",
    )


def _let_check(board: str) -> None:
    """Let the doctor read the files and note them; it notes no file that has just changed."""
    time.sleep(SETTLED / 1e9)
    _doctor(board, full=False)


def _open(board: str) -> State:
    return Orchestrator.open(board).engine.read()


def _at(board: str, number: int) -> State:
    return Orchestrator.open(board).engine.state_at(number)


def _doctor(board: str, *, full: bool) -> object:
    return examine(Orchestrator.open(board).engine, full=full)


def _folding(board: str) -> Callable[[], State]:
    def fold() -> State:
        state = State()
        for chunk in Orchestrator.open(board).engine.store.read(START):
            state.fold(chunk.events)
        return state

    return fold


def _archive(board: str) -> None:
    from orchestrator.maintenance.archiving import archive_log

    archive_log(Orchestrator.open(board).engine, compress=True)


def _size(board: str) -> int:
    """The bytes of the sealed segments."""
    entries = [entry for entry in os.scandir(f"{board}/state") if entry.name.startswith("events-")]
    return sum(entry.stat().st_size for entry in entries)
