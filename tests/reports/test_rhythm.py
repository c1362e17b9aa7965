"""The rests of a board, taken from its history; hours of work in relation to all hours."""

from random import Random

import pytest
from boards import SettableClock
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import Orchestrator
from orchestrator.core import clock as times
from orchestrator.reports.report.markdown import markdown
from orchestrator.reports.report.rhythm import Rhythm, rhythm_of

HOUR, DAY = 3600.0, 86400.0
MONDAY = times.seconds("2026-11-23T00:00:00.000Z")

rhythms = st.builds(
    Rhythm,
    st.floats(0, DAY - 1),
    st.floats(0, DAY - HOUR),
    st.frozensets(st.integers(0, 6), max_size=6),
)


def worked(days: list[int], first: float, last: float, number: int = 6) -> list[float]:
    """Moments of work on the given days after a Monday, between two hours of the day."""
    random = Random(1)
    return [
        MONDAY + day * DAY + random.uniform(first, last) * HOUR
        for day in days
        for _ in range(number)
    ]


def test_nights_are_the_longest_time_without_work() -> None:
    rhythm = rhythm_of(worked([0, 1, 2], 9, 17), MONDAY + 2 * DAY + 17 * HOUR)
    assert 14 * HOUR < rhythm.begins <= 17 * HOUR
    assert 9 * HOUR <= (rhythm.begins + rhythm.length) % DAY < 11 * HOUR
    assert rhythm.days == frozenset()


def test_weekends_are_days_without_work_in_two_weeks() -> None:
    days = [0, 1, 2, 3, 4, 7, 8, 9, 10, 11]
    now = MONDAY + 14 * DAY + 12 * HOUR
    assert rhythm_of(worked(days, 9, 17), now).days == {5, 6}
    assert rhythm_of(worked(days[:5], 9, 17), MONDAY + 7 * DAY).days == frozenset()


@pytest.mark.parametrize(
    "moments",
    [
        [],
        [MONDAY],
        worked([0], 9, 17),  # no night has passed
        worked([0], 9, 10, number=50),  # nights have passed, but work did not go on
        worked([0, 1, 2], 9, 17, number=1),  # it may be chance
        worked([0, 1, 2], 0, 24),
    ],
)
def test_without_evidence_work_never_rests(moments: list[float]) -> None:
    assert rhythm_of(moments, MONDAY + 2 * DAY + 18 * HOUR) == Rhythm()


def test_hours_of_work_leave_out_nights_and_days_of_rest() -> None:
    rhythm = Rhythm(begins=18 * HOUR, length=15 * HOUR, days=frozenset({5, 6}))
    friday = MONDAY + 4 * DAY
    evening, tuesday = friday + 17 * HOUR, friday + 4 * DAY + 10 * HOUR
    assert rhythm.between(evening, tuesday) == (1 + 9 + 1) * HOUR
    assert rhythm.after(evening, HOUR) == friday + 18 * HOUR
    assert rhythm.after(evening, 2 * HOUR) == friday + 3 * DAY + 10 * HOUR
    assert rhythm.between(tuesday, evening) == 0
    assert Rhythm().between(evening, tuesday) == tuesday - evening


@given(rhythm=rhythms, begin=st.floats(MONDAY, MONDAY + 30 * DAY), seconds=st.floats(1, 400 * DAY))
def test_after_is_the_inverse_of_between(rhythm: Rhythm, begin: float, seconds: float) -> None:
    end = rhythm.after(begin, seconds)
    assert end >= begin + seconds - 0.01
    assert rhythm.between(begin, end) == pytest.approx(seconds, abs=0.01)


@given(
    rhythm=rhythms,
    moments=st.lists(st.floats(MONDAY, MONDAY + 30 * DAY), min_size=3, max_size=3),
)
def test_times_of_work_add_up(rhythm: Rhythm, moments: list[float]) -> None:
    first, second, third = sorted(moments)
    whole = rhythm.between(first, third)
    assert 0 <= whole <= third - first + 0.01
    parts = rhythm.between(first, second) + rhythm.between(second, third)
    assert whole == pytest.approx(parts, abs=0.01)


def test_the_forecast_of_a_board_rests_at_its_nights(
    orc: Orchestrator, clock: SettableClock
) -> None:
    """Eight hours a day for an hour a task: twelve more tasks end on the second day from now."""
    orc.workstreams.create("build")
    begin = clock.seconds
    for day in range(5):
        clock.seconds = begin + day * DAY
        for _ in range(8):
            task = orc.tasks.add("build", title="x").id
            orc.tasks.claim(task, agent="ann", lease="2h")
            clock.advance(HOUR)
            orc.tasks.complete(task, agent="ann")
    for _ in range(12):
        orc.tasks.add("build", title="x")
    report = orc.report()
    assert report.forecast.rest is not None
    begins, ends = map(times.seconds, report.forecast.rest)
    assert (begins - clock.seconds, ends - begins) == (pytest.approx(0, abs=1), 16 * HOUR)
    median = times.seconds(report.forecast.p50 or "")
    assert median - begin == pytest.approx(6 * DAY + 4 * HOUR, abs=HOUR)
    assert "Work has rested daily, next from " in markdown(report)
