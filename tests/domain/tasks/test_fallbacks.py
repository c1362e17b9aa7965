"""Needs of a failure: a task that runs only if another task failed, and is cancelled if that is done."""

import pytest
from boards import SettableClock, check_law, code_of

from orchestrator import Orchestrator
from orchestrator.planning.standstill import standstill
from tests.boards import check_derived


@pytest.fixture
def deploy(orc: Orchestrator) -> str:
    orc.workstreams.create("build")
    return orc.tasks.add("build", title="Deploy").id


@pytest.fixture
def undo(orc: Orchestrator, deploy: str) -> str:
    return orc.tasks.add("build", title="Roll back", needs_failure_of=[deploy[:5]]).id


def end(orc: Orchestrator, task: str, how: str) -> None:
    orc.tasks.claim(task, agent="ann")
    getattr(orc.tasks, how)(task, agent="ann")


def test_it_waits_and_is_free_once_the_other_one_failed(
    orc: Orchestrator, deploy: str, undo: str
) -> None:
    assert orc.tasks.get(undo).needs_failure_of == (deploy,)
    assert [task.id for task in orc.links.ready()] == [deploy]
    assert code_of(lambda: orc.tasks.claim(undo, agent="ann")) == "not_ready"
    (blocked,) = orc.links.blocked()
    assert [(b.kind, b.task, b.says) for b in blocked.by] == [
        ("failure", deploy, f"needs the failure of {deploy}, which is ready")
    ]
    end(orc, deploy, "fail")
    assert [task.id for task in orc.links.ready()] == [undo]
    assert [task.id for task in orc.aftermath(orc.tasks.get(deploy)).freed] == [undo]
    end(orc, undo, "complete")
    check_law(orc)


def test_it_is_cancelled_in_the_commit_that_completes_the_other_one(
    orc: Orchestrator, deploy: str, undo: str
) -> None:
    before = orc.engine.read().event
    orc.tasks.claim(deploy, agent="ann")
    orc.tasks.complete(deploy, agent="ann")
    task = orc.tasks.get(undo)
    assert (task.status, task.reason) == (
        "cancelled",
        f"it needs the failure of {deploy}, which is done",
    )
    types = [event.type for event in orc.events.read()[before:]]
    assert types == ["task.claimed", "task.completed", "task.cancelled"]
    check_law(orc)


def test_a_cancelled_one_was_not_tried_and_keeps_it_waiting(
    orc: Orchestrator, deploy: str, undo: str
) -> None:
    orc.tasks.cancel(deploy)
    assert orc.links.ready() == []
    (blocked,) = orc.links.blocked()
    way = f"t dep remove {undo} {deploy} --type needs-failure-of"
    assert [b.command for b in blocked.by] == [way]
    still = orc.next("build", agent="ann", wait=0)
    assert deploy in str(still)
    orc.links.remove(undo, deploy, kind="needs-failure-of")
    assert [task.id for task in orc.links.ready()] == [undo]


def test_reopened_with_the_other_one_and_not_alone(
    orc: Orchestrator, deploy: str, undo: str
) -> None:
    end(orc, deploy, "complete")
    assert code_of(lambda: orc.tasks.reopen(undo)) == "needless"
    orc.tasks.reopen(deploy)
    assert orc.tasks.get(undo).status == "pending"
    assert not orc.tasks.get(undo).is_clear
    end(orc, deploy, "fail")
    orc.tasks.claim(undo, agent="bob")
    orc.tasks.reopen(deploy)
    end(orc, deploy, "complete")
    assert orc.tasks.get(undo).status == "cancelled"
    check_derived(orc.engine.read())


def test_one_that_is_cancelled_for_another_reason_stays_so(
    orc: Orchestrator, deploy: str, undo: str
) -> None:
    orc.tasks.cancel(undo, reason="not wanted")
    end(orc, deploy, "complete")
    orc.tasks.reopen(deploy)
    assert (orc.tasks.get(undo).status, orc.tasks.get(undo).reason) == ("cancelled", "not wanted")


def test_of_several_all_must_fail_and_one_that_is_done_is_enough_to_cancel(
    orc: Orchestrator, deploy: str
) -> None:
    other = orc.tasks.add("build", title="Deploy elsewhere").id
    undo = orc.tasks.add("build", title="Roll back", needs_failure_of=[deploy, other]).id
    end(orc, deploy, "fail")
    assert not orc.tasks.get(undo).is_clear
    end(orc, other, "complete")
    assert orc.tasks.get(undo).status == "cancelled"


def test_one_that_is_added_when_the_other_one_is_done_is_cancelled_at_once(
    orc: Orchestrator, deploy: str
) -> None:
    end(orc, deploy, "complete")
    undo = orc.tasks.add("build", title="Roll back", needs_failure_of=[deploy])
    assert undo.status == "cancelled"
    later = orc.tasks.add("build", title="Later").id
    assert orc.links.add(later, deploy, kind="needs-failure-of").status == "cancelled"


def test_circles_deletion_and_replacement_know_it(
    orc: Orchestrator, deploy: str, undo: str
) -> None:
    assert code_of(lambda: orc.tasks.edit(deploy, needs=[undo])) == "circle"
    assert code_of(lambda: orc.tasks.edit(deploy, needs_failure_of=[deploy])) == "circle"
    assert code_of(lambda: orc.tasks.delete([deploy])) == "needed"
    better = orc.tasks.add("build", title="Deploy better").id
    orc.links.supersede(deploy, better)
    assert orc.tasks.get(undo).needs_failure_of == (better,)
    assert [e.kind for e in orc.links.graph(task=undo).edges] == ["needs-failure-of"]
    assert [(b.kind, b.id) for b in orc.links.tree(undo)][1:] == [("needs failure of", better)]


def test_an_archived_one_counts_as_it_ended(orc: Orchestrator, deploy: str, undo: str) -> None:
    end(orc, deploy, "fail")
    orc.tasks.archive([deploy])
    assert [task.id for task in orc.links.ready()] == [undo]
    check_law(orc)


def test_an_expression_asks_for_it(orc: Orchestrator, deploy: str, undo: str) -> None:
    where = f"needs_failure_of = {deploy}"
    assert [task.id for task in orc.tasks.all(where=where)] == [undo]


def test_it_is_on_no_critical_path_until_the_other_one_failed(
    orc: Orchestrator, deploy: str
) -> None:
    parent = orc.tasks.add("build", title="Undo", needs_failure_of=[deploy]).id
    part = orc.tasks.add("build", title="A part", parent=parent, estimate=600).id
    path = orc.report().critical_path
    assert [task.task for task in path.tasks] == [deploy]
    end(orc, deploy, "fail")
    path = orc.report().critical_path
    assert [task.task for task in path.tasks] == [part]


def test_a_forecast_takes_the_other_one_to_succeed(
    orc: Orchestrator, clock: SettableClock, deploy: str, undo: str
) -> None:
    for _ in range(6):
        task = orc.tasks.add("build", title="Work").id
        orc.tasks.claim(task, agent="ann", lease="2h")
        clock.advance(3600)
        orc.tasks.complete(task, agent="ann")
    group = orc.tasks.add("build", title="All of it").id
    orc.tasks.edit(undo, parent=group)
    orc.tasks.add("build", title="After", needs=[undo])
    forecast = orc.report().forecast
    assert (forecast.tasks, forecast.spared, forecast.left_out) == (2, 1, 1)
    orc.tasks.cancel(deploy)
    forecast = orc.report().forecast
    assert (forecast.tasks, forecast.spared, forecast.left_out) == (1, 0, 2)
    orc.tasks.reopen(deploy)
    end(orc, deploy, "fail")
    forecast = orc.report().forecast
    assert (forecast.tasks, forecast.spared, forecast.left_out) == (3, 0, 0)


def test_only_a_cancelled_one_needs_attention(orc: Orchestrator, deploy: str, undo: str) -> None:
    """Success cancels it and failure frees it; after a cancellation a person must decide."""
    assert not [alert for alert in orc.plan().attention if alert.kind == "need_ended"]
    orc.tasks.cancel(deploy)
    (alert,) = [alert for alert in orc.plan().attention if alert.kind == "need_ended"]
    assert (alert.task, alert.dependants, alert.command) == (deploy, [undo], f"t reopen {deploy}")
    flaws = [flaw for flaw in orc.lint() if flaw.rule == "ended_need"]
    assert [(flaw.task, flaw.says) for flaw in flaws] == [
        (undo, f"it needs the failure of {deploy}, which is cancelled")
    ]
    (stuck,) = orc.next(agent="ann").standstill.stuck.tasks
    assert (stuck.task, stuck.needed_by) == (deploy, 1)
    orc.tasks.reopen(deploy)
    end(orc, deploy, "fail")
    orc.links.add(undo, orc.tasks.add("build", title="Tell the users").id)
    assert not [alert for alert in orc.plan().attention if alert.kind == "need_ended"]
    assert not standstill(orc.engine.read(), "ann", None, orc.engine.now()).stuck.tasks
    assert not [flaw for flaw in orc.lint() if flaw.rule == "ended_need"]
