"""The figures of a report are correct: what happened in a period, and the state at its end."""

from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import msgspec
import pytest
from boards import SettableClock, code_of

from orchestrator import Orchestrator
from orchestrator.core import clock as times
from orchestrator.core.errors import OrchestratorError, UsageError
from orchestrator.domain.locks.events import LockAwaited
from orchestrator.domain.workflows.compiled import CompiledFormula, CompiledStep
from orchestrator.interfaces.cli.rendering import plain
from orchestrator.reports.report.markdown import markdown
from orchestrator.reports.report.records import SHOWN, BoardReport, Spread

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

Work = Callable[..., str]


@pytest.fixture
def work(build: Orchestrator, clock: SettableClock) -> Work:
    """Add a task that waits, is worked on, and ends."""

    def add(
        waits: float = MINUTE, takes: float = HOUR, *, agent: str = "ann", **fields: Any
    ) -> str:
        fails = fields.pop("fails", "")
        task = build.tasks.add(
            fields.pop("workstream", "build"), title=fields.pop("title", "x"), **fields
        )
        clock.advance(waits)
        build.tasks.claim(task.id, agent=agent, lease="30d")
        clock.advance(takes)
        if fails:
            build.tasks.fail(task.id, agent=agent, reason=fails)
        else:
            build.tasks.complete(task.id, agent=agent)
        return task.id

    return add


def test_an_empty_board_has_a_report(orc: Orchestrator) -> None:
    report = orc.report()
    assert report.standing.tasks == report.completed == 0
    assert report.forecast.outcome == "done"
    assert report.times.lead_time == Spread(count=0, median=0.0, p85=0.0)
    assert report.cycles[0].number is None
    assert len(report.time_line.steps) == 1
    assert_bounded(report)


def test_a_board_with_a_single_task_reports_that_its_history_is_too_short(
    build: Orchestrator,
) -> None:
    build.tasks.add("build", title="x")
    report = build.report()
    assert (report.standing.open, report.forecast.outcome) == (1, "unknown")
    assert report.forecast.reason == (
        "the history is too short: 0 of the 5 tasks that are needed were worked on and ended"
    )
    assert report.forecast.p85 is None


def test_lead_time_is_from_added_to_done_and_cycle_time_from_the_first_claim(
    build: Orchestrator, work: Work, clock: SettableClock
) -> None:
    for n in range(1, 11):
        work(waits=10 * n, takes=100 * n, type="bug" if n == 10 else "task")
    report = build.report()
    assert report.times.lead_time == Spread(count=10, median=605.0, p85=990.0)
    assert report.times.cycle_time == Spread(count=10, median=550.0, p85=900.0)
    assert report.times_by_type["bug"].lead_time == Spread(count=1, median=1100.0, p85=1100.0)
    task = build.tasks.add("build", title="Twice").id
    for _ in range(2):
        clock.advance(5)
        build.tasks.claim(task, agent="ann")
        clock.advance(10)
        build.tasks.release(task, agent="ann")
    build.tasks.complete(build.tasks.claim(task, agent="bob").id, agent="bob")
    twice = build.report(since=build.engine.read().event - 1)
    assert twice.times.lead_time.median == 30.0
    assert twice.times.cycle_time.median == 25.0


def test_metrics_and_the_report_count_the_same(
    build: Orchestrator, work: Work, clock: SettableClock
) -> None:
    work()
    work(fails="no disk")
    build.tasks.cancel(build.tasks.add("build", title="x").id)
    clock.advance(DAY)
    work(agent="bob")
    build.tasks.archive([work()])
    report, metrics, stats = build.report(), build.metrics(), build.stats()
    total = metrics.total
    counted = (report.added, report.completed, report.failed, report.cancelled)
    assert counted == (total.added, total.completed, total.failed, total.cancelled) == (5, 3, 1, 1)
    standing = report.standing
    assert (standing.tasks, standing.open, standing.done) == (
        stats.total.tasks,
        stats.total.open,
        3,
    )
    assert standing.done_share == stats.total.completion_rate
    assert {a.agent: a.completed for a in report.agents if a.completed} == {"ann": 2, "bob": 1}
    assert sum(step.completed for step in report.time_line.steps) == 3
    assert report.time_line.steps[-1].scope == 4


def test_the_time_line_counts_work_in_progress_scope_and_done(
    build: Orchestrator, work: Work, clock: SettableClock
) -> None:
    """The clock begins at 06:13."""
    work(waits=17 * MINUTE, takes=HOUR)  # 06:30 to 07:30
    build.tasks.claim(build.tasks.add("build", title="x").id, agent="ann")
    clock.advance(HOUR)
    line = build.report().time_line
    assert line.unit == "10 minutes"
    assert [step.begins[11:16] for step in line.steps][::6] == ["06:10", "07:10", "08:10"]
    busy = {step.begins[11:16]: step.in_progress for step in line.steps}
    assert (busy["06:20"], busy["06:30"], busy["07:20"], busy["07:40"]) == (0.0, 1.0, 1.0, 1.0)
    assert (line.steps[0].scope, line.steps[0].done) == (1, 0)
    assert (line.steps[-1].scope, line.steps[-1].done) == (2, 1)
    since = build.report(since="30m").time_line
    assert (since.steps[0].scope, since.steps[0].done, since.steps[0].added) == (2, 1, 0)


def test_the_time_in_each_status_is_that_within_the_report(
    build: Orchestrator, work: Work, clock: SettableClock
) -> None:
    task = build.tasks.add("build", title="x", review=True).id
    clock.advance(HOUR)
    build.tasks.claim(task, agent="ann")
    clock.advance(2 * HOUR)
    build.tasks.complete(task, agent="ann")
    clock.advance(HOUR)
    build.reviews.approve(task, agent="bob")
    spent = {status.status: status.seconds for status in build.report().statuses}
    assert spent == {"pending": HOUR, "in_progress": 2 * HOUR, "in_review": HOUR}
    spent = {status.status: status.seconds for status in build.report(since="90m").statuses}
    assert spent == {"in_progress": HOUR / 2, "in_review": HOUR}
    assert build.report().evidence.approved == 1
    assert build.report().evidence.reviews == Spread(count=1, median=HOUR, p85=HOUR)


def test_cycles_agree_with_collect(build: Orchestrator, work: Work, clock: SettableClock) -> None:
    work()
    build.plan()
    clock.advance(MINUTE)
    done, failed = work(title="Done", agent="bob"), work(fails="no disk")
    again = work(fails="not yet")
    build.tasks.reopen(again)
    build.tasks.complete(build.tasks.claim(again, agent="ann").id, result="now", agent="ann")
    build.knowledge.write("parser", "It reads.", agent="ann")
    running = build.tasks.add("build", title="Running").id
    build.tasks.claim(running, agent="cid")
    clock.advance(MINUTE)
    build.plan()
    build.tasks.archive([done])
    clock.advance(MINUTE)
    work()
    before, first, second = build.report().cycles
    assert (before.number, before.completed_count) == (None, 1)
    for cycle in (first, second):
        collected = build.collect(cycle=cycle.number)
        assert cycle.finished == collected.completed_this_cycle
        assert cycle.failed == collected.failed
        assert cycle.agents == collected.agents
        assert cycle.started_at == collected.started_at
    assert [task.reason for task in first.failed] == ["no disk"]
    assert first.failed[0].task_id == failed
    assert [cycle.number for cycle in build.report(since="1m").cycles] == [2]


def test_the_chart_shows_the_tasks_of_the_last_cycle(
    build: Orchestrator, work: Work, clock: SettableClock
) -> None:
    work(title="Before")
    running = build.tasks.add("build", title="Running").id
    build.tasks.claim(running, agent="ann")
    clock.advance(HOUR)
    build.plan()
    clock.advance(HOUR)
    work(title="After", takes=HOUR, agent="bob")
    gantt = build.report().gantt
    assert gantt.cycle == 1
    assert [(row.title, row.status) for row in gantt.rows] == [
        ("Running", "in_progress"),
        ("After", "done"),
    ]
    assert gantt.rows[0].phases[0].begins == gantt.begins
    assert [phase.agent for phase in gantt.rows[1].phases] == ["bob"]


def test_it_shows_who_waits_for_whom(build: Orchestrator, clock: SettableClock) -> None:
    first = build.tasks.add("build", title="First").id
    others = [build.tasks.add("build", title="x", needs=[first]).id for _ in range(2)]
    whole = build.tasks.add("build", title="Whole").id
    build.tasks.add("build", title="Part", parent=whole)
    after = build.tasks.add("build", title="After", waits_for=f"all:{whole}").id
    aside = build.tasks.add("build", title="Aside").id
    build.tasks.block(aside, reason="no key")
    build.tasks.claim(first, agent="ann")
    reviewed = build.tasks.add("build", title="Reviewed", review=True).id
    build.tasks.complete(build.tasks.claim(reviewed, agent="cid").id, agent="cid")
    build.locks.acquire("git", agent="ann")
    with build.transaction():
        assert build.engine._open is not None
        build.engine._open.act_as("bob")
        build.engine._open.record(
            LockAwaited(resource="git", until=times.timestamp(clock.seconds + HOUR))
        )
    hold_ups = {hold_up.name: hold_up for hold_up in build.report().hold_ups}
    assert (hold_ups[first].agent, hold_ups[first].waiting, hold_ups[first].waiters) == (
        "ann",
        2,
        others,
    )
    assert (hold_ups["blocked: no key"].kind, hold_ups["blocked: no key"].waiters) == (
        "blocked",
        [aside],
    )
    assert (hold_ups[whole].kind, hold_ups[whole].waiters) == ("task", [after])
    assert (hold_ups["git"].agent, hold_ups["git"].waiters) == ("ann", ["bob"])
    assert (hold_ups[reviewed].kind, hold_ups[reviewed].waiters) == ("review", ["cid"])


def test_what_failed_stands_with_its_reason_and_what_became_of_it(
    build: Orchestrator, work: Work
) -> None:
    work(fails="no disk", title="First")
    again = work(fails="no net", title="Second")
    build.tasks.reopen(again)
    failures = build.report().failures
    assert [(f.title, f.reason, f.status, f.agent) for f in failures] == [
        ("Second", "no net", "pending", "ann"),
        ("First", "no disk", "failed", "ann"),
    ]
    assert build.report().failed == 1


def test_checks_are_counted_with_those_that_failed(build: Orchestrator) -> None:
    task = build.tasks.add("build", title="x", artifacts=["nowhere.txt"], agent="ann").id
    build.tasks.claim(task, agent="ann")
    assert code_of(lambda: build.tasks.complete(task, agent="ann")) == "check_failed"
    build.tasks.complete(task, agent="ann", force=True, reason="it is elsewhere")
    evidence = build.report().evidence
    assert (evidence.passed, evidence.failed, evidence.forced) == (0, 2, 1)
    assert [(check.what, check.times) for check in evidence.failing] == [("nowhere.txt", 2)]
    assert "Completed by force, with a reason: 1 task." in markdown(build.report())


def test_knowledge_and_decisions_of_the_time_are_named(
    build: Orchestrator, clock: SettableClock
) -> None:
    build.knowledge.write("parser", "It reads.", agent="ann")
    clock.advance(HOUR)
    build.knowledge.write("style", "Short.", agent="ann")
    build.knowledge.write("style", "Shorter.", agent="bob")
    build.decisions.add("No retries", agent="ann")
    report = build.report(since="30m")
    assert [(k.topic, k.agent) for k in report.knowledge] == [("style", "bob")]
    assert [(d.number, d.title) for d in report.decisions] == [(1, "No retries")]
    assert [k.topic for k in build.report().knowledge] == ["parser", "style"]


def test_a_workstream_has_a_report_of_its_own(build: Orchestrator, work: Work) -> None:
    build.workstreams.create("docs")
    work()
    build.tasks.add("docs", title="x", needs=[build.tasks.add("build", title="y").id])
    report = build.report(workstream="docs")
    assert (report.standing.tasks, report.completed) == (1, 0)
    assert report.forecast.tasks == 2  # what it needs elsewhere is played, too
    assert [task.workstream for task in report.critical_path.tasks] == ["docs"]
    assert code_of(lambda: build.report(workstream="nope")) == "workstream_not_found"


def test_until_reports_the_board_as_it_stood(
    build: Orchestrator, work: Work, clock: SettableClock
) -> None:
    work()
    then = clock.seconds + 1
    clock.advance(HOUR)
    work()
    build.tasks.claim(build.tasks.add("build", title="x").id, agent="ann")
    report = build.report(until=times.timestamp(then))
    assert (report.completed, report.standing.tasks) == (1, 1)
    assert report.until == times.timestamp(then)
    assert build.report(until="2020-01-01").standing.tasks == 0
    with pytest.raises(UsageError, match="would begin"):
        build.report(since="1m", until=times.timestamp(then))


def test_a_report_begins_behind_an_event_or_at_a_time(
    build: Orchestrator, work: Work, clock: SettableClock
) -> None:
    work()
    event = build.engine.read().event
    clock.advance(HOUR)
    work(agent="bob")
    for since in (event + 1, "90m", times.timestamp(clock.seconds - 1.5 * HOUR)):
        report = build.report(since=since)
        assert (report.completed, report.standing.tasks) == (1, 2)
        assert [agent.agent for agent in report.agents if agent.completed] == ["bob"]
    assert build.report(since=0).completed == 2
    assert code_of(lambda: build.report(since=10**6)) == "not_found"


def test_clocks_that_went_back_make_nothing_negative(
    build: Orchestrator, work: Work, clock: SettableClock
) -> None:
    for backwards in (0, 3 * HOUR, -90 * DAY, 400 * DAY, 0):
        task = build.tasks.add("build", title="x").id
        clock.advance(-backwards)
        build.tasks.claim(task, agent="ann", lease="3000d")
        clock.advance(-backwards)
        build.tasks.complete(task, agent="ann")
    build.tasks.add("build", title="x")
    report = build.report()
    numbers = [n for n in leaves(plain(report)) if isinstance(n, (int, float))]
    assert min(numbers) >= 0
    assert report.forecast.outcome == "forecast"
    assert len(report.time_line.steps) <= 61


def test_archived_tasks_count_and_those_that_left_without_a_trace_do_not(
    build: Orchestrator, work: Work
) -> None:
    build.tasks.archive([work() for _ in range(6)])
    build.tasks.add("build", title="x")
    report = build.report()
    assert (report.completed, report.standing.tasks, report.forecast.history) == (6, 7, 6)
    formula = CompiledFormula(formula="look", steps=(CompiledStep(id="a", title="a"),))
    wisp = build.workflows.pour(formula, workstream="build", ephemeral=True).root.id
    assert build.report().standing.tasks > 7
    build.workflows.burn(wisp, agent="ann")
    assert build.report().standing.tasks == 7


def test_a_forecast_names_what_is_left_out_and_what_helps_most(
    build: Orchestrator, work: Work, clock: SettableClock
) -> None:
    for _ in range(25):
        work()
    failed = work(fails="no disk")
    build.tasks.add("build", title="Stuck", needs=[failed])
    first = build.tasks.add("build", title="First").id
    second = build.tasks.add("build", title="Second", needs=[first]).id
    build.tasks.add("build", title="Third", needs=[second])
    aside = build.tasks.add("build", title="Aside", needs=[second]).id
    build.tasks.block(aside, reason="no key")
    forecast = build.report().forecast
    assert (forecast.outcome, forecast.is_rough) == ("forecast", False)
    assert (forecast.tasks, forecast.left_out, forecast.assumed_free) == (4, 1, 1)
    assert (forecast.history, forecast.workers) == (26, 1)
    assert [task.title for task in forecast.helps] == ["First"]
    assert forecast.helps[0].saves == pytest.approx(HOUR, rel=0.2)
    hours = (times.seconds(forecast.p50 or "") - clock.seconds) / HOUR
    assert hours == pytest.approx(4, rel=0.1)
    assert forecast.quantiles == sorted(forecast.quantiles)
    assert [forecast.p50, forecast.p85, forecast.p95] == [
        forecast.quantiles[n] for n in (9, 16, 18)
    ]
    assert build.report().forecast == forecast


def test_lists_are_bounded_and_counts_are_not(build: Orchestrator, work: Work) -> None:
    for n in range(SHOWN + 5):
        work(takes=1, fails="no disk", title=f"Task {n}")
    report = build.report()
    assert report.failed == SHOWN + 5
    assert report.cycles[0].failed_count == SHOWN + 5
    assert report.failures[0].title == f"Task {SHOWN + 4}"
    assert_bounded(report)


def assert_bounded(report: BoardReport) -> None:
    """Check that no list is longer than its limit, or than the steps of the time line."""
    lists = [value for value in values(plain(report)) if isinstance(value, list)]
    assert max(map(len, lists)) <= max(SHOWN, 61)


def values(document: Any) -> list[Any]:
    """Every value of a document, at any depth."""
    below = document.values() if isinstance(document, dict) else document
    inner = below if isinstance(document, (dict, list)) else ()
    return [document, *(value for item in inner for value in values(item))]


def leaves(document: Any) -> list[Any]:
    return [value for value in values(document) if not isinstance(value, (dict, list))]


def test_the_report_goes_through_json_and_back(build: Orchestrator, work: Work) -> None:
    work()
    report = build.report()
    assert msgspec.json.decode(msgspec.json.encode(report), type=BoardReport) == report


def random_day(orc: Orchestrator, clock: SettableClock, random: Random) -> None:
    """Let agents do random commands: add, work on, end, reopen and archive tasks, plan and write."""
    orc.workstreams.create("build")
    orc.workstreams.create("docs")
    for _ in range(80):
        clock.advance(random.choice([0, 1, 60, 3000]))
        with suppress(OrchestratorError):
            random_step(orc, random, random.choice(["ann", "bob", "cid"]))


STEPS: dict[str, dict[str, Any]] = {
    "complete": {"result": "It works."},
    "fail": {"reason": "no disk"},
    "release": {},
    "block": {"reason": "no key"},
    "unblock": {},
    "cancel": {},
    "reopen": {},
}


def random_step(orc: Orchestrator, random: Random, agent: str) -> None:
    tasks = [*orc.engine.read().tasks]
    task = random.choice(tasks) if tasks else ""
    step = random.choice(
        [*STEPS, "complete", "add", "add", "next", "next", "review", "archive", "plan"]
    )
    if step in STEPS:
        getattr(orc.tasks, step)(task, agent=agent, **STEPS[step])
    elif step == "add":
        needs = random.sample(tasks, random.choice([0, 0, 1])) if tasks else []
        review = random.random() < 0.2
        orc.tasks.add(random.choice(["build", "docs"]), title="x", needs=needs, review=review)
    elif step == "next":
        orc.next(agent=agent, mail=False, lease=random.choice(["10m", "9d"]))
    elif step == "review":
        how = random.choice(["approve", "reject"])
        getattr(orc.reviews, how)(
            task, agent=agent, **({"reason": "no"} if how == "reject" else {})
        )
    elif step == "archive":
        orc.tasks.archive([task])
    else:
        orc.knowledge.write(random.choice(["parser", "style"]), str(random.random()), agent=agent)
        orc.plan()


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_the_report_agrees_with_the_other_commands(
    orc: Orchestrator, clock: SettableClock, seed: int
) -> None:
    random_day(orc, clock, Random(seed))
    report, stats, total = orc.report(), orc.stats(), orc.metrics(days=60).total
    standing = report.standing
    assert (standing.tasks, standing.open) == (stats.total.tasks, stats.total.open)
    assert (standing.done, standing.failed, standing.cancelled) == (
        stats.total.done,
        stats.total.failed,
        stats.total.cancelled,
    )
    assert standing.blocked == stats.by_status["blocked"]
    counted = (report.added, report.completed, report.failed, report.cancelled)
    assert counted == (total.added, total.completed, total.failed, total.cancelled)
    for cycle in report.cycles:
        if cycle.number is not None:
            collected = orc.collect(cycle=cycle.number)
            assert cycle.finished == collected.completed_this_cycle
            assert cycle.failed == collected.failed
            assert cycle.agents == collected.agents
            assert cycle.added_count == len(collected.added)
    assert report.agents == orc.collect(since=0).agents
    assert report.time_line.steps[-1].scope == standing.tasks - standing.cancelled
    assert report.time_line.steps[-1].done == standing.done
    assert_bounded(report)
    assert orc.report(until=times.timestamp(clock.seconds)).standing == standing
