"""Failures in a row and budgets keep an agent from being started, until a known time."""

from itertools import pairwise

import pytest
from boards import SettableClock, code_of, new_store
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import Orchestrator, Refused
from orchestrator.core import clock as times
from orchestrator.domain.subscriptions.limits import LONGEST_REST, TOLERATED, Budget, pause_of
from orchestrator.domain.subscriptions.records import AttemptReport

BACK_OFF = 10.0


@pytest.fixture
def board(orc: Orchestrator) -> Orchestrator:
    orc.subscriptions.open("plan")
    return orc


def start(orc: Orchestrator, **how: object) -> object:
    """Begin an attempt at a new event."""
    event = orc.events.push("job", agent="ann").id
    after = orc.subscriptions.get("plan").position
    return orc.subscriptions.start("plan", event, after=after, lease=60, **how)


def run(orc: Orchestrator, report: AttemptReport | None = None, **how: object) -> None:
    attempt = start(orc, **how)
    orc.subscriptions.finish("plan", attempt.event, attempt.token, report)


def fail(orc: Orchestrator, reason: str = "no", report: AttemptReport | None = None) -> None:
    attempt = start(orc)
    orc.subscriptions.fail("plan", attempt.event, attempt.token, reason, report, back_off=BACK_OFF)


def seconds_of_pause(orc: Orchestrator, budget: Budget | None = None) -> float:
    now = orc.engine.now()
    pause = pause_of(orc.subscriptions.get("plan"), budget or Budget(), now)
    return times.between(now, pause.until) if pause else 0.0


class TestRests:
    def test_after_failures_in_a_row_the_agent_rests_for_a_time_that_doubles(
        self, board: Orchestrator, clock: SettableClock
    ):
        rests = []
        for _ in range(12):
            fail(board)
            rests.append(seconds_of_pause(board))
            if rests[-1]:
                with pytest.raises(Refused, match="the last one because no") as refused:
                    start(board)
                assert refused.value.code == "resting"
            clock.advance(rests[-1])
            assert not seconds_of_pause(board)
        assert rests[:TOLERATED] == [0] * TOLERATED
        assert rests[TOLERATED : TOLERATED + 2] == [40, 80]
        assert all(b in (2 * a, LONGEST_REST) for a, b in pairwise(rests[TOLERATED:]))
        assert rests[-1] == LONGEST_REST

    def test_a_success_ends_the_row(self, board: Orchestrator):
        for _ in range(5):
            for _ in range(TOLERATED):
                fail(board)
            run(board)
        assert board.subscriptions.get("plan").rest is None

    def test_an_interrupted_attempt_is_no_failure(self, board: Orchestrator):
        for _ in range(5):
            attempt = start(board)
            board.subscriptions.interrupt("plan", attempt.event, attempt.token, "killed")
        assert not seconds_of_pause(board)

    def test_a_clock_that_was_set_back_ends_a_rest(self, board: Orchestrator, clock: SettableClock):
        for _ in range(3):
            fail(board)
        assert seconds_of_pause(board)
        clock.advance(-1)
        assert not seconds_of_pause(board)


class TestBudgets:
    def test_tokens_and_cost_count_for_a_day_also_of_failures(
        self, board: Orchestrator, clock: SettableClock
    ):
        budget = Budget(tokens=100, cost=1.0)
        run(board, AttemptReport(input_tokens=40, output_tokens=20, cost=0.25), budget=budget)
        clock.advance(3600)
        fail(board, report=AttemptReport(input_tokens=40, cost=0.5))
        with pytest.raises(Refused, match="its budget of 100 tokens a day is spent") as refused:
            start(board, budget=budget)
        assert refused.value.code == "budget"
        pause = seconds_of_pause(board, budget)
        assert 23 * 3600 <= pause <= 23 * 3600 + 600
        assert not seconds_of_pause(board, Budget(tokens=101, cost=0.76))
        assert seconds_of_pause(board, Budget(cost=0.75))
        clock.advance(pause)
        run(board, budget=budget)

    def test_the_log_has_what_was_used(self, clock: SettableClock):
        store = new_store()
        orc = Orchestrator(store, now=clock)
        orc.subscriptions.open("plan")
        budget = Budget(runs=2)
        run(orc, budget=budget)
        run(orc, budget=budget)
        again = Orchestrator(store, now=clock)
        assert code_of(lambda: start(again, budget=budget)) == "budget"
        assert seconds_of_pause(again, budget) == seconds_of_pause(orc, budget)

    def test_the_state_does_not_grow_with_the_runs(self, board: Orchestrator, clock: SettableClock):
        for _ in range(400):
            run(board, AttemptReport(input_tokens=1, cost=0.1))
            clock.advance(600)
        usage = board.subscriptions.get("plan").usage
        assert len(usage.runs) <= 62
        assert len(usage.tokens) == len(usage.cost) <= 146

    def test_a_limit_that_cannot_be_reached_by_what_is_in_the_future(
        self, board: Orchestrator, clock: SettableClock
    ):
        run(board)
        clock.advance(-7200)
        assert not seconds_of_pause(board, Budget(runs=1))

    @settings(max_examples=60, deadline=None)
    @given(most=st.integers(1, 5), waits=st.lists(st.integers(0, 3000), min_size=1, max_size=40))
    def test_no_hour_has_more_runs_and_the_pause_is_as_long_as_needed(
        self, most: int, waits: list[int]
    ):
        clock = SettableClock()
        orc = Orchestrator(new_store(), now=clock)
        orc.subscriptions.open("plan")
        budget, starts = Budget(runs=most), []
        for wait in waits:
            clock.advance(wait)
            pause = seconds_of_pause(orc, budget)
            if pause:
                assert code_of(lambda: start(orc, budget=budget)) == "budget"
                assert sum(clock.seconds - moment < 3660 for moment in starts) >= most
                clock.advance(pause)
            run(orc, budget=budget)
            starts.append(clock.seconds)
            assert sum(clock.seconds - moment < 3600 for moment in starts) <= most
