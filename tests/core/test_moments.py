"""Moments and durations as callers write them; the test sets the clock and the time zone."""

import os
import time
from collections.abc import Iterator

import pytest
from boards import SettableClock

from orchestrator import Orchestrator, UsageError
from orchestrator.core import clock
from orchestrator.core.moments import moment

NOW = "2026-11-25T23:30:00.000Z"
"""A Wednesday; in Berlin it is Thursday, half past midnight."""

needs_zones = pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone cannot be set")


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@needs_zones
@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("2026-12-01", "2026-11-30T23:00:00.000Z", "2026-12-01T22:59:59.999Z"),
        ("2026-07-01", "2026-06-30T22:00:00.000Z", "2026-07-01T21:59:59.999Z"),
        ("2026-10-25", "2026-10-24T22:00:00.000Z", "2026-10-25T22:59:59.999Z"),  # 25 hours
        ("today", "2026-11-25T23:00:00.000Z", "2026-11-26T22:59:59.999Z"),
        ("Tomorrow", "2026-11-26T23:00:00.000Z", "2026-11-27T22:59:59.999Z"),
        ("friday", "2026-11-26T23:00:00.000Z", "2026-11-27T22:59:59.999Z"),
        ("thursday", "2026-12-02T23:00:00.000Z", "2026-12-03T22:59:59.999Z"),
        ("next mon", "2026-11-29T23:00:00.000Z", "2026-11-30T22:59:59.999Z"),
    ],
)
def test_a_day_is_the_whole_day_in_the_local_zone(
    berlin: None, text: str, begin: str, end: str
) -> None:
    assert moment(text, NOW) == begin
    assert moment(text, NOW, is_end=True) == end


@needs_zones
@pytest.mark.parametrize(
    ("text", "stamp"),
    [
        ("yesterday", "2026-11-24T23:00:00.000Z"),
        ("thursday", "2026-11-25T23:00:00.000Z"),  # today
        ("friday", "2026-11-19T23:00:00.000Z"),
        ("2h", "2026-11-25T21:30:00.000Z"),
        ("2 hours ago", "2026-11-25T21:30:00.000Z"),
    ],
)
def test_of_the_past_the_last_such_day_is_meant(berlin: None, text: str, stamp: str) -> None:
    assert moment(text, NOW, is_past=True) == stamp


@needs_zones
@pytest.mark.parametrize(
    ("text", "stamp"),
    [
        ("now", NOW),
        ("5min", "2026-11-25T23:35:00.000Z"),
        ("in 3 days", "2026-11-28T23:30:00.000Z"),
        ("3d", "2026-11-28T23:30:00.000Z"),
        ("1h30m", "2026-11-26T01:00:00.000Z"),
        ("in 1 hour 30 minutes", "2026-11-26T01:00:00.000Z"),
        ("2026-12-01T09:00", "2026-12-01T08:00:00.000Z"),
        ("2026-12-01 09:00", "2026-12-01T08:00:00.000Z"),
        ("2026-12-01T09:00Z", "2026-12-01T09:00:00.000Z"),
        ("2026-12-01T09:00:00.250+02:00", "2026-12-01T07:00:00.250Z"),
    ],
)
def test_times_and_durations(berlin: None, text: str, stamp: str) -> None:
    assert moment(text, NOW) == moment(text, NOW, is_end=True) == stamp


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("20261201", "Write 2026-12-01."),
        ("20261301", "tomorrow or monday"),
        ("3", "3d for days"),
        ("0", "0d for days"),
        ("", "tomorrow or monday"),
        ("soon", "tomorrow or monday"),
        ("2026-02-30", "tomorrow or monday"),
        ("-1d", "tomorrow or monday"),
        ("3 fortnights", "tomorrow or monday"),
        ("1000000000d", "tomorrow or monday"),
    ],
)
def test_an_invalid_moment_is_refused_with_the_valid_forms(utc: None, text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        moment(text, NOW, is_end=True)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30.0),
        ("1.5h", 5400.0),
        ("5min", 300.0),
        ("5 minutes", 300.0),
        ("2 Weeks", 1209600.0),
        ("1d2h", 93600.0),
        (" 250ms ", 0.25),
        ("10 secs", 10.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert clock.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "1x", "1h30", "in 3 days", "tomorrow", "-1h", "1..5h"])
def test_what_is_not_a_duration(text: str) -> None:
    with pytest.raises(UsageError):
        clock.duration(text)


def test_what_is_shown_as_a_duration_is_read_as_one() -> None:
    for seconds in (0, 59, 90, 5400, 93600, 604800):
        assert clock.duration(clock.spoken(seconds)) == seconds


def test_every_field_of_a_task_and_every_report_reads_moments_so(
    orc: Orchestrator, clock: SettableClock, utc: None
) -> None:
    """The clock stands at Saturday, 2026-11-21T06:13:00Z."""
    orc.workstreams.create("w")
    task = orc.tasks.add("w", title="Pay", due="2026-12-01", defer="2026-11-30")
    assert task.due == "2026-12-01T23:59:59.999Z"
    assert task.defer_until == "2026-11-30T00:00:00.000Z"
    assert orc.tasks.edit(task.id, due="monday").due == "2026-11-23T23:59:59.999Z"
    assert orc.tasks.edit(task.id, defer="in 3 days").defer_until == "2026-11-24T06:13:00.000Z"
    for field in ("due", "defer"):
        with pytest.raises(UsageError, match=f"'20261201' is not a time for {field}") as caught:
            orc.tasks.edit(task.id, **{field: "20261201"})
        assert caught.value.hint == "Write 2026-12-01."
    orc.tasks.add("w", title="Next", priority=1)
    claimed = orc.tasks.next("w", agent="ann")
    assert claimed is not None
    orc.hooks.hang(claimed.id, agent="ann")
    with pytest.raises(UsageError, match="for until"):
        orc.sessions.done("DEFERRED", until="3", agent="ann")
    clock.advance(3600.0)
    orc.events.log("ann", "late")
    assert [event.type for event in orc.events.read(since="30 minutes ago")] == ["late"]
    assert orc.events.read(since="today") == orc.events.read(since=0)
    assert orc.events.read(since="20261201") == [], "a bare number is the id of an event"
    assert os.environ["TZ"] == "UTC"
