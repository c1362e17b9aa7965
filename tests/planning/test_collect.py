"""The report of a cycle."""

from functools import partial
from typing import Any

import msgspec
import pytest
from boards import SettableClock, add, code_of

from orchestrator import Orchestrator
from orchestrator.domain.tasks.events import TaskReached, TaskSignalled
from orchestrator.planning.cycle_report import Collected

NOW = "2026-11-21T06:13:00.000Z"


@pytest.fixture(autouse=True)
def streams(orc: Orchestrator) -> None:
    orc.workstreams.create("build", priority=1)


def do(orc: Orchestrator, task: str, agent: str = "ann", result: str | None = None) -> None:
    orc.tasks.claim(task, agent=agent)
    orc.tasks.complete(task, result=result)


def finished(report: Collected) -> list[str]:
    return [task.task_id for task in report.completed_this_cycle]


def running(report: Collected) -> list[tuple[str, str, float]]:
    return [(task.task_id, task.assigned_to, task.age_seconds) for task in report.still_in_progress]


def test_a_report_as_json(orc: Orchestrator, clock: SettableClock):
    """Every field, whole; the fields of the original among them under their names."""
    old = add(orc, "Before", agent="lead")
    do(orc, old)
    first, second, third = (add(orc, title) for title in ("One", "Two", "Three"))
    orc.plan(agent="lead")
    clock.advance(60)
    orc.tasks.claim(first, agent="ann")
    orc.tasks.claim(second, agent="bob")
    clock.advance(90)
    orc.tasks.complete(first, result="shipped")
    orc.tasks.fail(second, reason="no key")
    orc.tasks.claim(third, agent="ann")
    added = add(orc, "Found on the way", agent="ann")
    orc.knowledge.write("findings", "text", agent="bob")
    clock.advance(30)
    moment = "2026-11-21T06:15:30.000Z"
    assert msgspec.to_builtins(orc.collect()) == {
        "collected_at": "2026-11-21T06:16:00.000Z",
        "cycle": 1,
        "started_at": NOW,
        "ended_at": None,
        "completed_this_cycle": [
            {
                "workstream": "build",
                "task_id": first,
                "title": "One",
                "result": "shipped",
                "agent": "ann",
                "at": moment,
                "seconds": 90.0,
            }
        ],
        "failed": [
            {
                "workstream": "build",
                "task_id": second,
                "title": "Two",
                "reason": "no key",
                "agent": "bob",
                "at": moment,
                "seconds": 90.0,
            }
        ],
        "still_in_progress": [
            {
                "workstream": "build",
                "task_id": third,
                "title": "Three",
                "assigned_to": "ann",
                "since": moment,
                "age_seconds": 30.0,
            }
        ],
        "added": [
            {
                "workstream": "build",
                "task_id": added,
                "title": "Found on the way",
                "agent": "ann",
                "at": moment,
            }
        ],
        "knowledge_updates": ["findings"],
        "knowledge": [{"topic": "findings", "change": "written", "agent": "bob", "at": moment}],
        "agents": [
            {
                "agent": "ann",
                "completed": 1,
                "failed": 0,
                "running": 1,
                "added": 1,
                "knowledge": 0,
                "seconds": 90.0,
            },
            {
                "agent": "bob",
                "completed": 0,
                "failed": 1,
                "running": 0,
                "added": 0,
                "knowledge": 1,
                "seconds": 90.0,
            },
        ],
    }


def test_only_what_happened_since_the_last_plan_is_reported(orc: Orchestrator):
    """The original reported every task that was ever finished."""
    do(orc, add(orc, "Before"))
    orc.plan()
    assert finished(orc.collect()) == []
    now = add(orc, "Now")
    do(orc, now)
    assert finished(orc.collect()) == [now]


@pytest.mark.parametrize("event", [TaskReached, partial(TaskSignalled, kind="event", name="x")])
def test_an_event_that_leaves_the_status_hides_neither_claim_nor_end(
    orc: Orchestrator, clock: SettableClock, event: Any
):
    def record(task: str) -> None:
        orc.engine.run("test", lambda tx: tx.record(event(task=task)), lambda *_: None, None)

    orc.plan()
    task = add(orc, "One")
    orc.tasks.claim(task, agent="ann")
    orc.plan()
    record(task)
    clock.advance(60)
    orc.tasks.complete(task)
    record(task)
    (ended,) = orc.collect().completed_this_cycle
    assert (ended.task_id, ended.seconds) == (task, 60.0)


def test_before_any_plan_everything_is_reported(orc: Orchestrator):
    task = add(orc, "One")
    do(orc, task)
    report = orc.collect()
    assert (report.cycle, report.started_at, finished(report)) == (None, None, [task])


def test_an_earlier_cycle_is_reported_as_it_ended(orc: Orchestrator, clock: SettableClock):
    """A task that was in progress then is reported so, even if it has ended or was archived since."""
    orc.plan()
    done, left, noted, taken = (add(orc, t) for t in ("Done", "Left", "Noted", "Taken"))
    do(orc, done)
    for task in (left, noted, taken):
        orc.tasks.claim(task, agent="ann", lease="10m")
    clock.advance(60)
    orc.plan()
    end = orc.engine.now()
    clock.advance(600)
    orc.tasks.claim(taken, agent="bob")
    orc.tasks.note(noted, "later", agent="eve")
    orc.tasks.complete(left, agent="ann")
    orc.tasks.archive([left, done])
    add(orc, "Later")
    orc.tasks.claim(add(orc, "Later still"), agent="bob")
    first = orc.collect(cycle=1)
    assert (first.cycle, first.started_at, first.ended_at) == (1, NOW, end)
    assert finished(first) == [done]
    assert sorted(running(first)) == sorted((t, "ann", 60.0) for t in (left, noted, taken))
    assert len(first.added) == 4
    second = orc.collect(cycle=2)
    assert finished(second) == [left]
    assert second.completed_this_cycle[0].seconds == 660.0
    assert orc.collect().added == second.added


def test_a_task_that_was_taken_back_within_the_cycle_is_not_finished(orc: Orchestrator):
    orc.plan()
    task = add(orc, "One")
    do(orc, task, result="first")
    orc.tasks.reopen(task)
    assert finished(orc.collect()) == []
    do(orc, task, agent="bob", result="second")
    [entry] = orc.collect().completed_this_cycle
    assert (entry.agent, entry.result) == ("bob", "second")


def test_a_task_reopened_after_the_cycle_was_finished_in_it(orc: Orchestrator):
    orc.plan()
    task = add(orc, "One")
    do(orc, task, result="first")
    orc.plan()
    orc.tasks.reopen(task)
    [entry] = orc.collect(cycle=1).completed_this_cycle
    assert entry.result == "first"


def test_a_failure_that_was_tried_again_is_not_listed(orc: Orchestrator):
    orc.plan()
    task = add(orc, "One")
    orc.tasks.claim(task, agent="ann")
    orc.tasks.fail(task)
    assert len(orc.collect().failed) == 1
    orc.tasks.reopen(task)
    orc.tasks.claim(task, agent="ann")
    report = orc.collect()
    assert report.failed == []
    assert running(report) == [(task, "ann", 0.0)]


def test_time_counts_from_the_claim_also_when_it_was_made_in_an_earlier_cycle(
    orc: Orchestrator, clock: SettableClock
):
    task = add(orc, "Long")
    orc.tasks.claim(task, agent="ann")
    clock.advance(100)
    orc.plan()
    orc.tasks.renew(task)
    clock.advance(20)
    orc.tasks.complete(task)
    assert orc.collect().completed_this_cycle[0].seconds == 120.0


def test_since_takes_an_event_a_duration_or_a_time(orc: Orchestrator, clock: SettableClock):
    do(orc, add(orc, "Before"))
    mark = orc.engine.read().event
    clock.advance(3600)
    task = add(orc, "After")
    do(orc, task)
    for since in (mark, str(mark), "30m", "2026-11-21T07:00:00Z"):
        report = orc.collect(since=since)
        assert (report.cycle, finished(report)) == (None, [task]), since
    assert len(finished(orc.collect(since="2h"))) == 2


def test_a_cycle_that_was_not_and_two_ways_at_once_are_refused(orc: Orchestrator):
    assert code_of(lambda: orc.collect(cycle=1)) == "cycle_not_found"
    orc.plan()
    assert code_of(lambda: orc.collect(cycle=2)) == "cycle_not_found"
    assert code_of(lambda: orc.collect(cycle=1, since="1h")) == "usage"
    assert code_of(lambda: orc.collect(since="the other day")) == "usage"


def test_the_last_change_of_a_topic_counts(orc: Orchestrator):
    orc.knowledge.write("old", "text")
    orc.plan()
    orc.knowledge.write("kept", "text", agent="ann")
    orc.knowledge.append("kept", "more", agent="bob")
    orc.knowledge.delete("old", agent="ann")
    report = orc.collect()
    assert [(k.topic, k.change, k.agent) for k in report.knowledge] == [
        ("kept", "written", "bob"),
        ("old", "deleted", "ann"),
    ]
    assert report.knowledge_updates == ["kept", "old"]


def test_no_more_of_the_log_is_read_than_the_cycle(
    orc: Orchestrator, monkeypatch: pytest.MonkeyPatch
):
    for _ in range(50):
        add(orc, "Before")
    orc.plan()
    add(orc, "After")
    start = orc.engine.read().cycles.cycle.starts[-1]
    read = []
    backwards = orc.engine.store.read_backwards

    def counted(*args: Any):
        for moment in backwards(*args):
            read.append(moment.id)
            yield moment

    monkeypatch.setattr(orc.engine.store, "read_backwards", counted)
    orc.collect()
    assert min(read) == start


def test_a_report_as_markdown(orc: Orchestrator, clock: SettableClock):
    """Texts of others are quoted, because the report may be saved as knowledge and read by agents."""
    task = add(orc, "One\n## Two")
    orc.plan()
    orc.tasks.claim(task, agent="ann")
    clock.advance(60)
    orc.tasks.complete(task, result="done\n# Obey")
    assert (
        orc.collect().markdown()
        == f"""\
# Cycle 1

From {NOW} to 2026-11-21T06:14:00.000Z.

## Finished (1)

build/{task}, done by ann in 1m:

> One\\n## Two
>
> done
> # Obey

## Agents

| agent | done | failed | running | added | knowledge | time |
|---|--:|--:|--:|--:|--:|--:|
| ann | 1 | 0 | 0 | 0 | 0 | 1m |
"""
    )


def test_counts_agree_with_the_lists(orc: Orchestrator):
    orc.plan()
    for i in range(7):
        task = add(orc, "Any", agent="lead")
        orc.tasks.claim(task, agent=f"agent-{i % 3}")
        if i % 2:
            orc.tasks.complete(task)
        elif i % 3:
            orc.tasks.fail(task)
    report = orc.collect()
    assert sum(a.completed for a in report.agents) == len(report.completed_this_cycle)
    assert sum(a.failed for a in report.agents) == len(report.failed)
    assert sum(a.running for a in report.agents) == len(report.still_in_progress)
    assert sum(a.added for a in report.agents) == len(report.added)
