"""A worker must give a reason if its task waits for less than before; the creator gets it by mail."""

from collections.abc import Callable

import pytest
from boards import changes_nothing, code_of

from orchestrator import Orchestrator


@pytest.fixture(autouse=True)
def task(orc: Orchestrator) -> str:
    """A task of ann's that needs an open task, waits for children of another one, and has an open part."""
    orc.workstreams.create("build")
    needed = orc.tasks.add("build", title="needed", agent="lead").id
    other = orc.tasks.add("build", title="other", agent="lead").id
    orc.tasks.add("build", title="child", parent=other, name="child")
    task = orc.tasks.add("build", title="Ship", agent="lead").id
    orc.tasks.claim(task, agent="ann")
    orc.links.add(task, needed, agent="lead")
    orc.links.add(task, other, kind="waits-for", agent="lead")
    orc.tasks.add("build", title="part", parent=task, name="part", agent="lead")
    return task


def found(orc: Orchestrator, title: str) -> str:
    return next(task.id for task in orc.tasks.all() if task.title == title)


WAYS: dict[str, tuple[str, Callable[[Orchestrator, str, str, str], object]]] = {
    "unlink": (
        "needed",
        lambda orc, t, other, r: orc.links.remove(t, other, reason=r, agent="ann"),
    ),
    "edit": ("needed", lambda orc, t, _, r: orc.tasks.edit(t, needs=[], reason=r, agent="ann")),
    "gate": ("other", lambda orc, t, other, r: orc.links.remove(t, other, reason=r, agent="ann")),
    "any": (
        "other",
        lambda orc, t, other, r: orc.links.add(
            t, other, kind="waits-for", any=True, reason=r, agent="ann"
        ),
    ),
    "part": ("part", lambda orc, t, other, r: orc.links.remove(other, t, reason=r, agent="ann")),
    "orphan": (
        "part",
        lambda orc, _, other, r: orc.tasks.edit(other, parent="", reason=r, agent="ann"),
    ),
    "adopt": (
        "part",
        lambda orc, _, part, r: orc.links.add(
            part, found(orc, "needed"), kind="parent", reason=r, agent="ann"
        ),
    ),
    "cancel": ("part", lambda orc, _, other, r: orc.tasks.cancel(other, reason=r, agent="ann")),
    "nameless": ("needed", lambda orc, t, other, r: orc.links.remove(t, other, reason=r)),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_worker_gives_the_reason_why_its_task_waits_for_less(
    orc: Orchestrator, task: str, way: str
):
    title, drop = WAYS[way]
    dropped = found(orc, title)
    with changes_nothing(orc):
        assert code_of(lambda: drop(orc, task, dropped, "")) == "reason_needed"
    drop(orc, task, dropped, "it is not needed")
    (evidence,) = orc.tasks.get(task).evidence
    assert (evidence.kind, evidence.what) == ("change", "it is not needed")
    assert evidence.problem == f"let it go without {dropped}"
    (letter,) = orc.mail.inbox(agent="lead")
    assert letter.subject == f"What it is judged by changed: {task} Ship"
    assert f"let it go without {dropped}" in orc.mail.peek(letter.id).body


def test_it_is_so_too_for_an_agent_that_gave_the_task_back(orc: Orchestrator, task: str):
    orc.tasks.release(task, agent="ann")
    with changes_nothing(orc):
        for way in ("unlink", "gate", "part", "cancel"):
            title, drop = WAYS[way]
            assert code_of(lambda: drop(orc, task, found(orc, title), "")) == "reason_needed"  # noqa: B023


def test_the_old_name_of_a_worker_is_its_worker(orc: Orchestrator, task: str):
    orc.agents.rename("ann", "anna")
    with changes_nothing(orc):
        title, drop = WAYS["unlink"]
        assert code_of(lambda: drop(orc, task, found(orc, title), "")) == "reason_needed"


def test_what_is_done_is_no_longer_waited_for_and_goes_without_a_reason(
    orc: Orchestrator, task: str
):
    needed, part = found(orc, "needed"), found(orc, "part")
    orc.tasks.complete(needed, force=True, reason="there", agent="bob")
    orc.tasks.cancel(part, agent="lead")
    orc.links.remove(task, needed, agent="ann")
    orc.links.remove(part, task, agent="ann")
    assert orc.tasks.get(task).evidence == ()


def test_a_planner_changes_it_without_a_reason_and_the_worker_gets_mail(
    orc: Orchestrator, task: str
):
    orc.links.remove(task, found(orc, "needed"), agent="lead")
    (letter,) = orc.mail.inbox(agent="ann")
    assert letter.subject.startswith("What it is judged by changed")


def test_a_task_that_no_agent_began_is_planned_freely(orc: Orchestrator):
    first = orc.tasks.add("build", title="first").id
    second = orc.tasks.add("build", title="second", needs=[first], agent="lead").id
    third = orc.tasks.add("build", title="third", parent=second, agent="lead").id
    orc.links.remove(third, second, agent="bob")
    orc.links.remove(second, first, agent="bob")
    assert orc.mail.inbox(agent="lead") == []


def test_a_replaced_need_is_one_less(orc: Orchestrator, task: str):
    done = orc.tasks.add("build", title="done").id
    orc.tasks.complete(done, force=True, reason="there", agent="bob")
    needed = found(orc, "needed")
    orc.links.supersede(needed, done, agent="ann")
    (evidence,) = orc.tasks.get(task).evidence
    assert evidence.what == f"superseded by {done}"
    assert "What it is judged by changed" in orc.mail.inbox(agent="lead")[0].subject


def test_the_reviewer_gets_mail_when_it_changes_during_the_review(orc: Orchestrator):
    reviewed = orc.tasks.add("build", title="x", review=True, acceptance="all", agent="lead").id
    orc.tasks.claim(reviewed, agent="ann")
    orc.tasks.complete(reviewed, agent="ann")
    orc.reviews.claim(reviewed, agent="bob")
    orc.tasks.edit(reviewed, acceptance="half", agent="lead")
    subjects = [letter.subject for letter in orc.mail.inbox(agent="bob")]
    assert subjects == [f"What it is judged by changed: {reviewed} x"]


def test_a_link_is_not_changed_by_an_outdated_session(orc: Orchestrator, task: str):
    for _ in range(2):
        orc.sessions.start("ann")
    orc.engine.session = 1
    needed = found(orc, "needed")
    with changes_nothing(orc):
        for step in (orc.links.add, orc.links.remove, orc.links.duplicate, orc.links.supersede):
            assert code_of(lambda: step(task, needed, agent="ann")) == "older_session"  # noqa: B023
