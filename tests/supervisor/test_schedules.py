"""Schedules: each moment runs once, in a single runner; missed moments run once; DST as in cron."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path

import pytest
from boards import SettableClock, check_law
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator import Orchestrator, OrchestratorError
from orchestrator.domain.event_log import as_dict
from orchestrator.stores.memory import MemoryStore
from orchestrator.supervisor.agent_files import AgentFile, parse_agent
from orchestrator.supervisor.schedule_moments import (
    Timetable,
    check_cron,
    moments,
    newest_moment,
    zone_of,
)
from orchestrator.supervisor.schedules import Schedules, coming_moments, is_due_for

BERLIN = "Europe/Berlin"
HOUR = 3_600_000


def agent(head: str, name: str = "report") -> AgentFile:
    return parse_agent(f"agents/{name}.md", f"---\n{head}\n---\nDo it.\n")


def milliseconds(text: str, zone: str = "") -> int:
    moment = datetime.fromisoformat(text)
    return round(moment.replace(tzinfo=zone_of(zone) if zone else UTC).timestamp() * 1000)


def local(cron: str, zone: str, begin: str, most: int) -> list[str]:
    after = milliseconds(begin, zone)
    coming = islice(moments(Timetable(cron=cron, timezone=zone), 0, after), most)
    return [datetime.fromtimestamp(m / 1000, zone_of(zone)).isoformat() for m in coming]


class TestMoments:
    def test_cron_of_weekdays_in_a_time_zone(self):
        assert local("0 7 * * 1-5", BERLIN, "2026-11-27T06:00:00", 2) == [
            "2026-11-27T07:00:00+01:00",
            "2026-11-30T07:00:00+01:00",
        ]

    def test_what_is_due_in_a_skipped_hour_is_due_at_its_end(self):
        assert local("30 2 * * *", BERLIN, "2026-03-28T12:00:00", 2) == [
            "2026-03-29T03:00:00+02:00",
            "2026-03-30T02:30:00+02:00",
        ]

    def test_what_is_due_in_a_repeated_hour_is_due_the_first_time_only(self):
        assert local("30 2 * * *", BERLIN, "2026-10-24T12:00:00", 2) == [
            "2026-10-25T02:30:00+02:00",
            "2026-10-26T02:30:00+01:00",
        ]

    def test_what_is_due_each_hour_is_due_in_both_of_the_repeated_ones(self):
        assert local("0 * * * *", BERLIN, "2026-10-25T01:30:00", 3) == [
            "2026-10-25T02:00:00+02:00",
            "2026-10-25T02:00:00+01:00",
            "2026-10-25T03:00:00+01:00",
        ]

    def test_an_interval_counts_from_its_beginning(self):
        every = Timetable(every=3600)
        assert [*islice(moments(every, 500, 500), 2)] == [HOUR + 500, 2 * HOUR + 500]
        assert next(moments(every, 500, HOUR + 500)) == 2 * HOUR + 500
        assert next(moments(every, HOUR, 0)) == 2 * HOUR

    @pytest.mark.parametrize(
        ("cron", "problem"),
        [
            ("0 7 * *", "five fields"),
            ("0 25 * * *", "not an expression"),
            ("0 7 * * 1-5 2026", "five fields"),
            ("@reboot", "five fields"),
            ("0 0 31 2 *", "not an expression"),
            ("*/0 * * * *", "not an expression"),
            ("\u0660 7 * * *", "five fields"),
        ],
    )
    def test_a_wrong_expression_is_refused(self, cron: str, problem: str):
        with pytest.raises(ValueError, match=problem):
            check_cron(cron)

    def test_a_wrong_schedule_is_reported_with_its_line(self):
        with pytest.raises(OrchestratorError) as caught:
            agent("cron: 0 25 * * *\ntimezone: Europe/Nowhere")
        assert "line 2" in str(caught.value)
        assert "line 3" in str(caught.value)
        for head in ("every: 1ms", "timezone: UTC", "every: 1h\ncron: '@daily'"):
            with pytest.raises(OrchestratorError):
                agent(head)


SCHEDULES = st.one_of(
    st.builds(Timetable, every=st.sampled_from([1.0, 59.9, 3600.0, 86400.0 * 40])),
    st.builds(
        Timetable,
        cron=st.sampled_from(
            [
                "* * * * *",
                "0 * * * *",
                "*/7 1-3 * * *",
                "30 2 * * *",
                "0,30 1,2,3 * * *",
                "5 0 * * 0",
                "0 7 * * MON-FRI",
                "0 0 29 2 *",
                "15 1 L * *",
                "@monthly",
            ]
        ),
        timezone=st.sampled_from(
            ["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"]
        ),
    ),
)
CHANGES = [
    milliseconds("2026-03-29T01:00:00"),  # Berlin, both ways
    milliseconds("2026-10-25T01:00:00"),
    milliseconds("2026-11-01T06:00:00"),  # New York
    milliseconds("2026-04-04T15:00:00"),  # Lord Howe: half an hour
]
TIMES = st.builds(
    lambda change, off: change + off,
    st.sampled_from(CHANGES),
    st.one_of(
        st.integers(-4 * HOUR, 4 * HOUR),
        st.integers(-5000 * HOUR, 5000 * HOUR),
        st.integers(-16, 16).map(lambda n: n * HOUR // 4),
    ),
)


class TestEveryTime:
    @given(SCHEDULES, TIMES, st.integers(0, 3 * HOUR))
    def test_moments_rise_and_do_not_depend_on_where_the_search_begins(
        self, schedule: Timetable, after: int, step: int
    ):
        since = CHANGES[0] - 9000 * HOUR
        first, second, third = islice(moments(schedule, since, after), 3)
        assert after < first < second < third
        between = min(after + step, first - 1)
        assert next(moments(schedule, since, between)) == first
        assert next(moments(schedule, since, first)) == second

    @given(SCHEDULES, TIMES, st.one_of(st.integers(0, 300), st.integers(0, 20_000)))
    @settings(deadline=None)
    @example(Timetable(cron="0 0 29 2 *", timezone="UTC"), CHANGES[0], 30_000)
    def test_the_newest_moment_is_the_last_one_that_has_come(
        self, schedule: Timetable, last: int, minutes: int
    ):
        now = last + minutes * 60_000
        since = last - 7
        newest = newest_moment(schedule, since, last, now)
        if newest is None:
            assert next(moments(schedule, since, last)) > now
            return
        assert last < newest <= now
        assert next(moments(schedule, since, newest)) > now
        assert newest_moment(schedule, since, newest, now) is None

    @given(SCHEDULES, TIMES, st.lists(st.integers(-90, 600), max_size=20))
    @settings(deadline=None)
    def test_with_any_jumps_of_the_clock_each_moment_is_run_at_most_once_and_none_too_early(
        self, schedule: Timetable, begin: int, steps: list[int]
    ):
        now = last = begin
        runs: list[int] = []
        for minutes in steps:
            now += minutes * 60_000
            due = newest_moment(schedule, begin, last, now)
            if due is not None:
                assert due <= now
                runs.append(due)
                last = due
        assert all(a < b for a, b in pairwise(runs))
        assert all(next(moments(schedule, begin, run - 1)) == run for run in runs)


class Runners:
    """Runners on the same board, each with its own object, with a shared clock."""

    def __init__(self, clock: SettableClock, *agents: AgentFile, most: int = 1) -> None:
        self.store = MemoryStore()
        self.orcs = [Orchestrator(self.store, now=clock) for _ in range(most)]
        self.schedules = [Schedules(orc, lambda *_: None) for orc in self.orcs]
        for schedules in self.schedules:
            schedules.load(agents)

    def due(self) -> list[tuple[str, str]]:
        payloads = [as_dict(r)["payload"] for r in self.orcs[0].events.read(type="schedule.due")]
        return [(payload["agent"], payload["due"]) for payload in payloads]


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


def test_an_agent_is_started_once_an_interval(clock: SettableClock):
    runners = Runners(clock, agent("every: 1h"))
    (schedules,) = runners.schedules
    assert schedules.push_due() == 60.0
    assert runners.due() == []
    clock.advance(3590)
    assert schedules.push_due() == pytest.approx(10)
    clock.advance(10)
    schedules.push_due()
    schedules.push_due()
    assert runners.due() == [("report", "2026-11-21T07:13:00.000Z")]
    (record,) = runners.orcs[0].events.read(type="schedule.due")
    assert is_due_for("report", record)
    assert not is_due_for("other", record)


def test_what_was_missed_while_nothing_ran_is_run_once(clock: SettableClock):
    runners = Runners(clock, agent("every: 1h"), agent("cron: 0 7 * * *\ntimezone: UTC", "daily"))
    clock.advance(timedelta(days=9, hours=3).total_seconds())
    again = Schedules(Orchestrator(runners.store, now=clock), lambda *_: None)
    again.load([agent("every: 1h"), agent("cron: 0 7 * * *\ntimezone: UTC", "daily")])
    again.push_due()
    again.push_due()
    assert runners.due() == [
        ("report", "2026-11-30T09:13:00.000Z"),
        ("daily", "2026-11-30T07:00:00.000Z"),
    ]


def test_a_clock_that_goes_back_runs_nothing_again(clock: SettableClock):
    runners = Runners(clock, agent("every: 1h"))
    clock.advance(3600)
    runners.schedules[0].push_due()
    clock.advance(-3000)
    runners.schedules[0].push_due()
    clock.advance(3599)
    runners.schedules[0].push_due()
    assert len(runners.due()) == 1
    clock.advance(3601)
    runners.schedules[0].push_due()
    assert len(runners.due()) == 2


def test_two_runners_start_an_agent_once_for_each_moment(clock: SettableClock):
    runners = Runners(clock, agent("every: 1m"), agent("cron: '* * * * *'", "minute"), most=3)
    with ThreadPoolExecutor(3) as pool:
        for _ in range(5):
            clock.advance(61)
            list(pool.map(Schedules.push_due, runners.schedules))
    due = runners.due()
    assert len(due) == len({*due}) == 10
    check_law(runners.orcs[0])


def test_a_changed_schedule_begins_now_and_one_that_is_gone_starts_nothing(clock: SettableClock):
    runners = Runners(clock, agent("every: 40d"))
    (schedules,) = runners.schedules
    clock.advance(86400)
    schedules.load([agent("every: 1h")])
    schedules.push_due()
    assert runners.due() == []
    clock.advance(3600)
    schedules.load([agent("listen: [x]")])
    schedules.push_due()
    assert runners.due() == []
    assert runners.orcs[0].subscriptions.get("report").schedule is None


def test_a_runner_with_an_older_file_starts_nothing(clock: SettableClock):
    runners = Runners(clock, agent("every: 1h"), most=2)
    runners.schedules[1].load([agent("every: 2h")])
    clock.advance(3600)
    runners.schedules[0].push_due()
    assert runners.due() == []
    clock.advance(3600)
    runners.schedules[1].push_due()
    assert len(runners.due()) == 1


def test_the_coming_moments_are_shown(clock: SettableClock):
    now = "2026-11-27T20:00:00.000Z"
    assert coming_moments(Timetable(every=3600), now, "2026-11-27T19:30:00.000Z", 2) == [
        "2026-11-27T20:30:00.000Z",
        "2026-11-27T21:30:00.000Z",
    ]
    assert coming_moments(Timetable(cron="0 7 * * 1-5", timezone=BERLIN), now, most=1) == [
        "2026-11-30T06:00:00.000Z"
    ]


def test_a_board_on_disk_keeps_the_schedule(tmp_path: Path, clock: SettableClock):
    with Orchestrator.open(str(tmp_path), now=clock) as orc:
        Schedules(orc, lambda *_: None).load([agent("every: 1h")])
    with Orchestrator.open(str(tmp_path), now=clock) as orc:
        assert orc.subscriptions.get("report").schedule.text == "every 3600s"
