"""A notice about a settled matter is not unread any more and ends no wait; the mailbox keeps it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from boards import SettableClock, fold

from orchestrator import Orchestrator
from orchestrator.domain.mail.events import rename
from orchestrator.domain.mail.matters import count_unread
from orchestrator.domain.workflows.compiled import CompiledFormula, CompiledStep


@pytest.fixture(autouse=True)
def streams(orc: Orchestrator) -> None:
    orc.workstreams.create("build")
    orc.agents.register("bob")
    orc.agents.register("overseer", capabilities=["escalation"])


def handed_in(orc: Orchestrator) -> str:
    task = orc.tasks.add("build", title="x", review=True, agent="lead").id
    orc.tasks.claim(task, agent="ann")
    orc.tasks.complete(task, agent="ann")
    return task


def unread(orc: Orchestrator, agent: str) -> list[str]:
    """The first words of the subjects of unread mail; all queries must agree on them."""
    items = orc.mail.inbox(agent=agent, unread=True)
    count = orc.mail.check(agent=agent)
    assert (count.unread, count.new) == (len(items), len(items))
    assert orc.mail.pending(agent=agent) == [item.id for item in items]
    assert orc.agents.get(agent).unread == len(items)
    return [item.subject.partition(":")[0] for item in items]


ENDS: dict[str, Callable[[Orchestrator, str], object]] = {
    "taken": lambda orc, task: orc.reviews.claim(task, agent="carl"),
    "approved": lambda orc, task: orc.reviews.approve(task, agent="carl"),
    "withdrawn": lambda orc, task: orc.tasks.cancel(task, agent="boss"),
    "archived": lambda orc, task: (
        orc.reviews.approve(task, agent="carl"),
        orc.tasks.archive([task]),
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_review_that_is_taken_or_over_is_not_due(orc: Orchestrator, end: str):
    task = handed_in(orc)
    assert unread(orc, "bob") == ["Review due"]
    ENDS[end](orc, task)
    assert unread(orc, "bob") == []
    (item,) = orc.mail.inbox(agent="bob")
    assert item.status == "settled"


def test_only_the_last_of_several_reviews_is_due(orc: Orchestrator):
    task = handed_in(orc)
    orc.reviews.reject(task, reason="no", agent="bob")
    assert unread(orc, "ann") == ["Rejected"]
    orc.tasks.claim(task, agent="ann")
    assert unread(orc, "ann") == []
    orc.tasks.complete(task, agent="ann")
    assert unread(orc, "bob") == ["Review due"]


def test_a_review_that_lapses_is_due_again(orc: Orchestrator, clock: SettableClock):
    task = handed_in(orc)
    orc.reviews.claim(task, agent="carl", lease=60)
    assert unread(orc, "bob") == []
    clock.advance(60)
    assert unread(orc, "bob") == ["Review due"]


def test_a_failure_is_settled_by_another_try(orc: Orchestrator):
    task = orc.tasks.add("build", title="x", agent="lead").id
    orc.tasks.claim(task, agent="ann")
    orc.tasks.fail(task, agent="ann")
    assert unread(orc, "lead") == ["Failed"]
    orc.tasks.reopen(task)
    assert unread(orc, "lead") == []


def test_a_lapse_is_settled_when_the_task_goes_to_another_again_or_ends(
    orc: Orchestrator, clock: SettableClock
):
    task = orc.tasks.add("build", title="x", agent="lead").id
    orc.tasks.claim(task, agent="ann", lease=60)
    clock.advance(60)
    orc.tasks.claim(task, agent="bob")
    assert unread(orc, "lead") == ["Lease lapsed"]
    orc.tasks.complete(task, agent="bob")
    assert unread(orc, "lead") == []


def test_an_assignment_is_settled_when_it_is_begun(orc: Orchestrator):
    task = orc.tasks.add("build", title="x").id
    orc.hooks.sling(task, "bob", agent="lead")
    assert len(unread(orc, "bob")) == 1
    orc.tasks.next(agent="bob")
    assert unread(orc, "bob") == []


def test_an_escalation_is_settled_with_its_task(orc: Orchestrator):
    task = orc.sessions.escalate("No key", agent="ann")
    assert len(unread(orc, "overseer")) == 1
    orc.tasks.cancel(task.id)
    assert unread(orc, "overseer") == []


def test_what_only_informs_stays_until_it_is_read(orc: Orchestrator):
    task = handed_in(orc)
    orc.reviews.approve(task, agent="carl")
    orc.tasks.reopen(task)
    assert unread(orc, "ann") == ["Approved"]
    orc.mail.send("ann", "Review due: x", kind="notification", agent="carl")
    assert len(unread(orc, "ann")) == 2


def test_next_does_not_answer_with_a_settled_notice(orc: Orchestrator):
    task = handed_in(orc)
    orc.reviews.claim(task, agent="carl")
    assert orc.next(agent="bob").kind == "none"
    orc.reviews.release(task, agent="carl")
    assert orc.next(agent="bob", review=False).kind == "mail"


class Untouched(dict[int, Any]):
    """A map of messages that allows counting and single look-ups, but no iteration."""

    def __iter__(self) -> Iterator[int]:
        raise AssertionError("the whole mailbox was read")

    keys = values = items = __reversed__ = __iter__  # type: ignore[assignment]


def test_to_count_unread_mail_looks_at_unread_notices_only(orc: Orchestrator):
    handed_in(orc)
    for _ in range(3):
        orc.mail.send("bob", "hi", agent="ann")
    mail = orc.engine.read().mail
    mail.messages = Untouched(mail.messages)
    box = mail.mailboxes["bob"]
    box.new, box.unread = Untouched(box.new), Untouched(box.unread)
    count = orc.mail.check(agent="bob")
    assert (count.unread, count.new) == (4, 4)


def test_what_was_read_archived_or_renamed_counts_no_more_and_no_less(orc: Orchestrator):
    first, second = handed_in(orc), handed_in(orc)
    kept = orc.mail.inbox(agent="bob")
    orc.mail.read(kept[0].id, agent="bob")
    assert unread(orc, "bob") == ["Review due"]
    orc.agents.rename("bob", "rob")
    assert unread(orc, "rob") == ["Review due"]
    orc.tasks.cancel(first)
    assert unread(orc, "rob") == ["Review due"]
    orc.tasks.cancel(second)
    assert unread(orc, "rob") == []
    orc.mail.archive([message.id for message in kept], agent="rob")
    assert unread(orc, "rob") == []
    assert not orc.engine.read().mail.asking.get("rob")


def test_a_notice_that_two_mailboxes_had_is_read_when_one_has_read_it(orc: Orchestrator):
    orc.agents.register("rob")
    task, _ = handed_in(orc), handed_in(orc)
    first = orc.mail.inbox(agent="rob")[0].id
    orc.mail.read(first, agent="rob")
    orc.tasks.cancel(task)
    state = fold(orc.engine.store)[0]
    rename(state, "rob", "bob")
    assert first in state.mail.mailbox("bob").read
    assert count_unread(state, "bob", orc.engine.now()).unread == 1


def test_an_assignment_is_settled_for_an_agent_when_another_one_gets_the_task(orc: Orchestrator):
    task = orc.tasks.add("build", title="x").id
    orc.hooks.sling(task, "bob", agent="lead")
    orc.hooks.sling(task, "carl", force=True, agent="lead")
    assert "Assigned" not in "".join(unread(orc, "bob"))
    assert len(unread(orc, "carl")) == 1


@pytest.mark.parametrize("end", ["claimed", "cancelled"])
def test_an_assignment_of_several_steps_is_settled_with_the_last_of_them(
    orc: Orchestrator, end: str
):
    root = poured(orc)
    assert unread(orc, "bob") == [f"Assigned 2 steps of workflow {root}"]
    first, last = f"{root}.b", f"{root}.c"
    orc.tasks.claim(first, agent="bob")
    assert len(unread(orc, "bob")) == 1
    if end == "claimed":
        orc.tasks.claim(last, agent="bob")
    else:
        orc.tasks.cancel(last, agent="bob")
    assert unread(orc, "bob") == []


def poured(orc: Orchestrator) -> str:
    """A workflow with two steps that were assigned to bob in the same commit."""
    steps = [CompiledStep(id="a", title="A")]
    steps += [CompiledStep(id=i, title="T", needs=("a",), assignee="bob") for i in ("b", "c")]
    root = orc.workflows.pour(CompiledFormula(formula="two", steps=tuple(steps))).root.id
    orc.tasks.claim(f"{root}.a", agent="ann")
    orc.tasks.complete(f"{root}.a", agent="ann")
    return root
