"""Forecasts are correct on boards with a known end."""

from collections import defaultdict
from itertools import count

import pytest

from orchestrator.reports.history import quantile
from orchestrator.reports.report.simulation import (
    DRAWS,
    FEWEST,
    OpenTask,
    Took,
    WorkHistory,
    simulate,
    trials_for,
)

from .simulated_boards import LENGTHS, SHAPES, SimulatedBoard

BOARDS, TRIALS = 1000, 100
HOUR = 3600.0


@pytest.mark.timeout(1200)
def test_the_promised_share_of_boards_is_done_in_time() -> None:
    """85 % of 1,000 boards; nearly so with any distribution of durations and any length of history."""
    in_time: dict[object, list[bool]] = defaultdict(list)
    half: list[bool] = []
    for number in range(BOARDS):
        board = SimulatedBoard(number)
        ends = simulate(board.history, board.left, TRIALS)
        is_in_time = board.truth <= quantile(ends, 0.85)
        half.append(board.truth <= quantile(ends, 0.5))
        for group in ("all", board.shape, board.ended):
            in_time[group].append(is_in_time)
    shares = {group: round(sum(hits) / len(hits), 3) for group, hits in in_time.items()}
    assert len(in_time["all"]) == BOARDS
    assert 0.8 <= shares["all"] <= 0.9, shares
    assert all(shares[group] >= 0.7 for group in (*SHAPES, *LENGTHS)), shares
    assert 0.42 <= sum(half) / BOARDS <= 0.6


@pytest.mark.timeout(1200)
def test_the_promised_share_of_boards_that_rest_is_done_in_time() -> None:
    """Work happens in some hours a day, on some boards not at weekends; the history includes a night."""
    in_time: dict[object, list[bool]] = defaultdict(list)
    half: list[bool] = []
    for number in count():
        board = SimulatedBoard(number, rests=True)
        if board.nights < 1:
            continue
        rhythm = board.history.rhythm
        ends = simulate(board.history, board.left, TRIALS)
        median, most = (rhythm.after(board.now, quantile(ends, share)) for share in (0.5, 0.85))
        half.append(board.now + board.truth <= median)
        for group in ("all", board.shape, bool(board.days_off)):
            in_time[group].append(board.now + board.truth <= most)
        if len(half) == BOARDS:
            break
    shares = {group: round(sum(hits) / len(hits), 3) for group, hits in in_time.items()}
    assert 0.8 <= shares["all"] <= 0.9, shares
    assert all(shares[group] >= 0.7 for group in (*SHAPES, False, True)), shares
    assert 0.42 <= sum(half) / BOARDS <= 0.6


def known(*worked: float, workers: int = 1, pickups: tuple[float, ...] = (0.0,)) -> WorkHistory:
    """A history of tasks of one type and agent."""
    return WorkHistory([Took("task", "ann", w) for w in worked], [*pickups], workers)


def chances(history: WorkHistory, *work: OpenTask, without: int | None = None) -> list[float]:
    return simulate(history, work, 200, without=without)


def test_a_board_has_one_forecast() -> None:
    board = SimulatedBoard(7)
    assert simulate(board.history, board.left, 50) == simulate(board.history, board.left, 50)


def test_a_short_history_makes_the_ends_lie_further_apart() -> None:
    durations = [HOUR / 2, HOUR, 2 * HOUR]
    few, many = (chances(known(*durations * n), *[OpenTask("task")] * 10) for n in (2, 50))
    spread = [quantile(ends, 0.95) / quantile(ends, 0.5) for ends in (few, many)]
    assert spread[0] > 1.5 * spread[1]


def test_equal_durations_leave_no_doubt() -> None:
    steady = known(*[HOUR] * 30)
    chain = OpenTask("task"), OpenTask("task", before=[0]), OpenTask("task", before=[1])
    assert set(map(round, chances(steady, *chain))) == {3 * HOUR}
    side_by_side = known(*[HOUR] * 30, workers=3)
    assert set(map(round, chances(side_by_side, *[OpenTask("task")] * 3))) == {HOUR}
    assert set(map(round, chances(side_by_side, *chain))) == {3 * HOUR}


def test_what_a_task_waits_for_counts() -> None:
    steady = known(*[HOUR] * 30)
    assert set(map(round, chances(steady, OpenTask("task", ready_in=5 * HOUR)))) == {6 * HOUR}
    assert set(map(round, chances(steady, OpenTask("task", is_instant=True)))) == {0}
    late = known(*[HOUR] * 30, pickups=(HOUR,) * 30)
    assert quantile(chances(late, OpenTask("task")), 0.5) == pytest.approx(2 * HOUR, rel=0.05)
    reviewed = WorkHistory([Took("task", "ann", HOUR, HOUR)] * 30, [0.0], 1)
    assert set(map(round, chances(reviewed, OpenTask("task", is_worked=True)))) == {HOUR}
    both = OpenTask("task"), OpenTask("task", before=[0])
    assert set(map(round, chances(reviewed, *both))) == {4 * HOUR}


def test_a_task_in_progress_takes_what_is_left_of_it() -> None:
    steady = known(*[HOUR] * 30)
    half = OpenTask("task", agent="ann", elapsed=HOUR / 2)
    assert set(map(round, chances(steady, half))) == {HOUR / 2}
    assert set(map(round, chances(steady, half, OpenTask("task")))) == {1.5 * HOUR}
    overdue = OpenTask("task", agent="ann", elapsed=9 * HOUR)
    assert set(map(round, chances(steady, overdue))) == {HOUR}


def test_types_and_agents_take_as_long_as_they_took() -> None:
    took = [Took("bug", "ann", HOUR), Took("feature", "ann", 4 * HOUR)] * 40
    history = WorkHistory(took, [0.0], 1)
    bug, feature, unknown = (
        quantile(chances(history, OpenTask(kind)), 0.5) for kind in ("bug", "feature", "chore")
    )
    assert bug == pytest.approx(HOUR, rel=0.2)
    assert feature == pytest.approx(4 * HOUR, rel=0.2)
    assert bug < unknown < feature
    took = [Took("task", "ann", HOUR), Took("task", "bob", 4 * HOUR)] * 40
    history = WorkHistory(took, [0.0], 2)
    ann, bob = (
        quantile(chances(history, OpenTask("task", agent=agent, elapsed=0.0)), 0.5)
        for agent in ("ann", "bob")
    )
    assert bob > 3 * ann


def test_a_task_that_is_done_already_holds_nothing_up() -> None:
    steady = known(*[HOUR] * 30, workers=2)
    work = OpenTask("task"), OpenTask("task", before=[0]), OpenTask("task")
    assert quantile(chances(steady, *work), 0.85) == pytest.approx(2 * HOUR)
    assert quantile(chances(steady, *work, without=0), 0.85) == pytest.approx(HOUR)
    assert quantile(chances(steady, *work, without=2), 0.85) == pytest.approx(2 * HOUR)


def test_large_graphs_are_played_less_often() -> None:
    assert trials_for(10) == 1000
    assert trials_for(10_000) * 10_000 <= DRAWS
    assert trials_for(1_000_000) == FEWEST
