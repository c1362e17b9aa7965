"""Forecasts for goals come from the same simulation as the forecast of the board."""

import pytest
from boards import SettableClock

from orchestrator import NotFound, Orchestrator
from orchestrator.reports.report.markdown import markdown

HOUR, DAY = 3600.0, 86400.0


@pytest.fixture
def steady(build: Orchestrator, clock: SettableClock) -> Orchestrator:
    """A board with an agent that needs an hour for each task."""
    for _ in range(30):
        task = add(build)
        build.tasks.claim(task, agent="ann", lease="2h")
        clock.advance(HOUR)
        build.tasks.complete(task, agent="ann")
    return build


def add(orc: Orchestrator, **facts: object) -> str:
    return orc.tasks.add("build", title="x", **facts).id


def test_without_enough_history_the_outlook_is_unknown(build: Orchestrator) -> None:
    build.goals.create("beta", [add(build)], due="1d")
    outlook = build.outlook("beta")
    assert (outlook.outcome, outlook.slip, outlook.p85) == ("unknown", None, None)
    assert outlook.reason.startswith("the history is too short: 0 of the 5 tasks")
    with pytest.raises(NotFound):
        build.outlook("gamma")


def test_a_goal_slips_by_what_its_forecast_is_after_its_date(steady: Orchestrator) -> None:
    """An agent with three hours of work: it ends an hour before the date, or an hour after it."""
    tasks = [add(steady) for _ in range(3)]
    for name, due, slip in (("near", "2h", HOUR), ("far", "4h", -HOUR)):
        steady.goals.create(name, tasks, due=due)
        outlook = steady.outlook(name)
        assert outlook.outcome == "forecast"
        assert outlook.slip == pytest.approx(slip, abs=HOUR / 10)
        assert outlook.in_time == (slip < 0)


def test_other_work_of_the_board_comes_first_if_it_is_more_urgent(steady: Orchestrator) -> None:
    steady.goals.create("beta", [add(steady, priority=4)], due="5h")
    alone = steady.outlook("beta").slip
    for _ in range(3):
        add(steady, priority=1)
    together = steady.outlook("beta").slip
    assert alone is not None
    assert together == pytest.approx(alone + 3 * HOUR, abs=HOUR / 5)


def test_an_outlook_names_what_cannot_be_predicted(steady: Orchestrator) -> None:
    failed, late = add(steady), add(steady)
    waits = add(steady, needs=[failed])
    steady.tasks.claim(failed, agent="ann")
    steady.tasks.fail(failed, agent="ann", reason="no key")
    steady.goals.create("empty", due="1d")
    steady.goals.create("stuck", [waits], due="1d")
    steady.goals.create("over", [failed], due="1d")
    steady.goals.create("dropped", [late], due="1d")
    steady.goals.drop("dropped", reason="no")
    outlooks = {name: steady.outlook(name) for name in ("empty", "stuck", "over", "dropped")}
    assert {name: (o.outcome, o.reason) for name, o in outlooks.items()} == {
        "empty": ("unknown", "it has no tasks"),
        "stuck": ("unknown", f"{waits} waits for a decision"),
        "over": ("done", ""),
        "dropped": ("ended", "no"),
    }


def test_a_reached_goal_shows_how_long_after_its_date_it_was(
    steady: Orchestrator, clock: SettableClock
) -> None:
    steady.goals.create("beta", due="1h")
    clock.advance(3 * HOUR)
    steady.goals.reach("beta")
    assert steady.outlook("beta").slip == 2 * HOUR


def test_the_report_has_the_open_goals_with_slip_and_moved_dates(steady: Orchestrator) -> None:
    steady.workstreams.create("docs")
    other = steady.tasks.add("docs", title="y").id
    steady.goals.create("docs-done", [other], due="1d")
    steady.goals.create("beta", [add(steady)], due="2d")
    steady.goals.edit("beta", due="4d")
    steady.goals.create("gone", due="1d")
    steady.goals.drop("gone")
    report = steady.report()
    assert [goal.name for goal in report.goals] == ["docs-done", "beta"]
    assert report.goals[1] == steady.outlook("beta")
    assert report.goals[1].moved == 2 * DAY
    assert [goal.name for goal in steady.report(workstream="docs").goals] == ["docs-done"]
    assert steady.report(workstream="docs").goals[0] == report.goals[0]
    rows = [line for line in markdown(report).splitlines() if line.startswith("| beta |")]
    assert len(rows) == 1
    assert "earlier (in time in 100% of the trials) | 2d later |" in rows[0]


def test_a_report_of_the_past_has_the_goals_of_then(
    steady: Orchestrator, clock: SettableClock
) -> None:
    steady.goals.create("beta", [add(steady)], due="2d")
    clock.advance(DAY)
    steady.goals.drop("beta")
    assert steady.report().goals == []
    assert [goal.name for goal in steady.report(until="20h").goals] == ["beta"]
