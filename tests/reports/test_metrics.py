"""Numbers are counted from records, including archived ones, over the requested days."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from boards import SettableClock, code_of

from orchestrator import Orchestrator
from orchestrator.core.errors import UsageError
from orchestrator.domain.tasks.records import STATUSES
from orchestrator.reports.metrics import Crew, CycleNumbers, Durations

HOUR, DAY = 3600.0, 86400.0
NOTHING = Durations(count=0, mean=0.0, median=0.0, p90=0.0)


@pytest.fixture
def work(build: Orchestrator, clock: SettableClock) -> Callable[..., str]:
    """Add a task that waits, is worked on, and ends."""

    def add(
        waits: float, takes: float, *, agent: str = "ann", fails: bool = False, **fields: Any
    ) -> str:
        task = build.tasks.add(fields.pop("workstream", "build"), title="x", **fields)
        clock.advance(waits)
        build.tasks.claim(task.id, agent=agent, lease="30d")
        clock.advance(takes)
        (build.tasks.fail if fails else build.tasks.complete)(task.id, agent=agent)
        return task.id

    return add


def numbers_of(value: Any) -> list[Any]:
    """Every leaf of a document."""
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in numbers_of(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in numbers_of(item)]
    return [value]


def test_an_empty_board_has_zeros_and_nothing_is_none(orc: Orchestrator) -> None:
    for figures in (
        orc.stats(),
        orc.stats(days=1),
        orc.metrics(),
        orc.metrics(agent="ann", days=1),
    ):
        leaves = numbers_of(msgspec.to_builtins(figures))
        assert None not in leaves
        assert not any(
            leaf
            for leaf in leaves
            if isinstance(leaf, (int, float)) and leaf != found_days(figures)
        )
    assert orc.stats().by_status == dict.fromkeys(STATUSES, 0)
    assert len(orc.metrics().throughput) == 14


def found_days(figures: Any) -> int:
    return getattr(figures, "days", 0)


def test_tasks_are_counted_by_everything_archived_ones_too(
    build: Orchestrator, work: Callable[..., str]
) -> None:
    build.workstreams.create("other")
    archived = work(1, 1, priority=10, type="bug")
    work(1, 1, agent="bob", fails=True, priority=2)
    build.tasks.cancel(build.tasks.add("other", title="x").id)
    running = build.tasks.add("other", title="Running", priority=2)
    build.tasks.claim(running.id, agent="bob")
    build.tasks.add("other", title="x")
    build.tasks.archive([archived])
    figures = build.stats()
    total = figures.total
    assert (total.tasks, total.open, total.active) == (5, 2, 1)
    assert (total.done, total.failed, total.cancelled) == (1, 1, 1)
    assert total.completion_rate == 0.25  # the cancelled one is not wanted
    assert figures.by_status["done"] == figures.by_status["pending"] == 1
    assert {name: tally.tasks for name, tally in figures.by_workstream.items()} == {
        "build": 2,
        "other": 3,
    }
    assert {name: tally.tasks for name, tally in figures.by_type.items()} == {"bug": 1, "task": 4}
    assert {name: tally.done for name, tally in figures.by_agent.items()} == {"ann": 1, "bob": 0}
    assert [*figures.by_priority] == ["2", "5", "10"]
    assert [(task.id, task.assigned_to) for task in figures.active] == [(running.id, "bob")]


def test_filters_choose_tasks_by_workstream_agent_and_days(
    build: Orchestrator, work: Callable[..., str], clock: SettableClock
) -> None:
    work(1, 1)
    clock.advance(3 * DAY)
    work(1, 1, agent="bob")
    assert build.stats(agent="bob").total.tasks == 1
    assert build.stats(workstream="build").total.tasks == 2
    assert build.stats(days=1).total.tasks == build.stats(days=3).total.tasks == 1
    assert build.stats(days=4).total.tasks == 2
    assert build.metrics(agent="ann").total.completed == 1
    assert code_of(lambda: build.stats(workstream="nope")) == "workstream_not_found"
    for days in (0, -1, 10**6):
        with pytest.raises(UsageError):
            build.metrics(days=days)


def test_an_agent_that_was_renamed_is_one_agent(
    build: Orchestrator, work: Callable[..., str]
) -> None:
    build.agents.register("ann")
    build.tasks.archive([work(1, 1)])
    build.agents.rename("ann", "anna")
    work(1, 1, agent="anna")
    assert {name: tally.done for name, tally in build.stats().by_agent.items()} == {"anna": 2}
    assert build.stats(agent="ann").total.done == 2


def test_durations_are_seconds_with_mean_median_and_p90(
    build: Orchestrator, work: Callable[..., str]
) -> None:
    for n in range(1, 11):
        work(10 * n, 100 * n)
    total = build.metrics().total
    assert total.time_to_start == Durations(count=10, mean=55.0, median=55.0, p90=90.0)
    assert total.time_to_finish == Durations(count=10, mean=550.0, median=550.0, p90=900.0)


def test_time_to_start_ends_with_the_first_claim(build: Orchestrator, clock: SettableClock) -> None:
    task = build.tasks.add("build", title="x")
    clock.advance(10)
    build.tasks.claim(task.id, agent="ann")
    build.tasks.release(task.id, agent="ann")
    clock.advance(100)
    build.tasks.claim(task.id, agent="bob")
    clock.advance(1000)
    build.tasks.complete(task.id, agent="bob")
    total = build.metrics().total
    assert total.time_to_start.median == 10
    assert total.time_to_finish.median == 1000


def test_throughput_has_every_day_with_what_happened_on_it(
    build: Orchestrator, work: Callable[..., str], clock: SettableClock
) -> None:
    work(1, 1)
    work(1, 1, fails=True)
    clock.advance(DAY)
    work(1, 1)
    clock.advance(DAY)
    figures = build.metrics(days=3)
    assert [(d.day, d.added, d.completed, d.failed) for d in figures.throughput] == [
        ("2026-11-21", 2, 1, 1),
        ("2026-11-22", 1, 1, 0),
        ("2026-11-23", 0, 0, 0),
    ]
    assert (figures.total.completed, figures.total.failed, figures.total.added) == (2, 1, 3)
    assert figures.total.success_rate == pytest.approx(2 / 3, abs=1e-4)
    assert figures.total.per_day == pytest.approx(2 / 3)
    assert build.metrics(days=2).total.completed == 1
    assert build.metrics(days=1).total.time_to_finish == NOTHING


def test_a_task_that_was_reopened_is_not_completed(
    build: Orchestrator, work: Callable[..., str]
) -> None:
    build.tasks.reopen(work(1, 1))
    assert build.metrics().total.completed == 0


def test_utilisation_is_busy_agents_of_those_that_are_here(
    build: Orchestrator, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ann", "bob", "cid", "dan"):
        build.agents.register(name)
    build.agents.retire("dan")
    build.tasks.claim(build.tasks.add("build", title="x").id, agent="ann")
    assert build.metrics().agents == Crew(active=3, busy=1, utilisation=0.3333)
    assert build.metrics(agent="ann").agents == Crew(active=1, busy=1, utilisation=1.0)
    monkeypatch.setattr(build.engine.presence, "seen", dict)
    clock.advance(DAY)
    assert build.metrics().agents == Crew(active=0, busy=0, utilisation=0.0)


def test_the_busy_share_counts_time_once_however_much_an_agent_has(
    build: Orchestrator, clock: SettableClock
) -> None:
    """The clock begins at 06:13, so the window of one day is 6:13 h before the first event."""
    a, b, c = (build.tasks.add("build", title="x").id for _ in range(3))
    build.tasks.claim(a, agent="ann", lease="9h")
    clock.advance(HOUR)
    build.tasks.claim(b, agent="ann", lease="9h")
    clock.advance(HOUR)
    build.tasks.complete(a, agent="ann")
    clock.advance(HOUR)
    build.tasks.complete(b, agent="ann")
    clock.advance(HOUR)
    build.tasks.claim(c, agent="ann", lease="1h")
    clock.advance(2 * HOUR)  # the lease has ended after one of them
    flow = build.metrics(days=1).by_agent["ann"]
    assert flow.busy_share == pytest.approx(4 / (6 + 13 / 60 + 6), abs=1e-4)
    assert (flow.completed, flow.working) == (2, 1)


def test_cycles_are_shown_with_their_plans_and_what_came_of_them(
    build: Orchestrator, work: Callable[..., str], clock: SettableClock
) -> None:
    first = build.tasks.add("build", title="x")
    build.tasks.add("build", title="y", needs=[first.id])
    clock.advance(60)
    build.plan()
    clock.advance(60)
    work(1, 1)
    clock.advance(60)
    build.plan()
    clock.advance(60)
    work(1, 1, fails=True)
    outcome, two = build.metrics().cycles
    assert outcome == CycleNumbers(
        number=1,
        started_at=outcome.started_at,
        ended_at=two.started_at,
        parallel=1,
        serial=0,
        waiting=1,
        attention=outcome.attention,
        added=1,
        completed=1,
        failed=0,
    )
    assert (two.number, two.ended_at, two.added, two.completed, two.failed) == (2, None, 1, 0, 1)
    clock.advance(30 * DAY)
    assert build.metrics().cycles == []


@pytest.mark.parametrize("close", [0, 1000])
def test_archived_records_are_read_once_each_oldest_first_with_progress(
    build: Orchestrator, work: Callable[..., str], monkeypatch: pytest.MonkeyPatch, close: int
) -> None:
    """In a single pass over the log, or one by one; also those of an open transaction."""
    monkeypatch.setattr("orchestrator.domain.tasks.archive.CLOSE", close)
    tasks = [work(1, 1) for _ in range(5)]
    counts: list[int] = []

    def progress(numbers: Sequence[int], label: str, length: int | None = None) -> Sequence[int]:
        counts.extend(numbers)
        return numbers

    build.tasks.archive(tasks[:2])
    with build.transaction():
        build.tasks.archive(tasks[2:4])
        assert [task.id for task in build.tasks.ever(progress=progress)] == tasks
    assert build.stats().total.done == 5
    assert len(counts) == len(set(counts)) == 4
