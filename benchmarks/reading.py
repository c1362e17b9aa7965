"""Opening a large board, folding a long log and reading its end, compared with plain decoding."""

import os
from collections.abc import Callable, Iterator

import msgspec

from benchmarks import baselines
from benchmarks.boards import Boards, lines, snapshot_of
from benchmarks.measure import Figure, heavy_lap, interleave, lap, ms, process, ratio
from orchestrator import Orchestrator
from orchestrator.core.events import Recorded
from orchestrator.domain.state import State
from orchestrator.snapshot import Snapshot

FEW = 1000
LAST = 20


def _state(board: str) -> State:
    """Open a board and read it."""
    return Orchestrator.open(board).engine.read()


def opening(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Row 6."""
    board = boards.tasks(boards.big)
    path = snapshot_of(board)
    ours, bare, typed = interleave(
        3 if quick else 7,
        lambda: heavy_lap(lambda: _state(board)),
        lambda: heavy_lap(lambda: baselines.decode(path)),
        lambda: heavy_lap(lambda: msgspec.json.decode(baselines.read(path), type=Snapshot)),
    )
    what = f"opening a board of {boards.big:,} tasks"
    detail = f"{ms(ours)} against {ms(bare)}; state.json {os.path.getsize(path) / 1e6:.0f} MB"
    yield Figure(
        name="open",
        what=f"{what}, against decoding its state.json",
        measured=ratio(ours, bare),
        bound=1.5,
        detail=detail,
    )
    yield Figure(
        name="open",
        what=f"{what}, against decoding it into records",
        measured=ratio(ours, typed),
        detail=f"{ms(ours)} against {ms(typed)}",
    )


def folding(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Row 7."""
    board = boards.log(boards.big)
    every = lines(board)
    ours, bare, typed = interleave(
        3 if quick else 7,
        lambda: heavy_lap(lambda: _state(board)),
        lambda: heavy_lap(lambda: _decode(every, msgspec.json.Decoder().decode)),
        lambda: heavy_lap(lambda: _decode(every, msgspec.json.Decoder(Recorded).decode)),
    )
    for against, other, bound in (("decoding its lines", bare, 4.0), ("into records", typed, None)):
        yield Figure(
            name="fold",
            what=f"folding {len(every):,} events, against {against}",
            measured=ratio(ours, other),
            bound=bound,
            detail=f"{ms(ours)} against {ms(other)}",
        )


def _decode(every: list[bytes], decode: Callable[[bytes], object]) -> None:
    for line in every:
        decode(line)


def last_events(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Row 8, through the API and as a whole process."""
    long, short = boards.history(boards.many), boards.history(FEW)
    laps = interleave(
        50 if quick else 200,
        lambda: lap(lambda: _last(long)),
        lambda: lap(lambda: _last(short)),
    )
    yield _last_figure("API", laps[0], laps[1], boards.many)
    command = ["cli.py", "events", "--last", str(LAST)]
    runs = interleave(
        5 if quick else 15,
        lambda: process(command, long).wall,
        lambda: process(command, short).wall,
    )
    yield _last_figure("whole process", runs[0], runs[1], boards.many)


def _last(board: str) -> None:
    events = Orchestrator.open(board).events.read(last=LAST)
    if len(events) != LAST:
        raise RuntimeError(f"{len(events)} events where {LAST} were asked for")


def _last_figure(way: str, many: list[float], few: list[float], number: int) -> Figure:
    return Figure(
        name="last",
        what=f"`events --last {LAST}` ({way}) of {number:,} events, against {FEW:,}",
        measured=ratio(many, few),
        bound=1.5,
        detail=f"{ms(many)} against {ms(few)}",
    )
