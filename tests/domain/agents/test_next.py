"""``orc.next``: a single answer for an agent that asks for work."""

import threading

import pytest
from boards import SettableClock, code_of

from orchestrator import Orchestrator

pytestmark = pytest.mark.usefixtures("build")


def in_review(orc: Orchestrator) -> str:
    task = orc.tasks.add("build", title="x", review=True).id
    orc.tasks.claim(task, agent="ann")
    orc.tasks.complete(task, agent="ann")
    return task


def test_a_task_is_claimed_and_given(orc: Orchestrator):
    task = orc.tasks.add("build", title="x").id
    answer = orc.next(agent="bob", lease=60)
    assert (answer.kind, answer.agent, answer.workstream) == ("task", "bob", None)
    assert answer.task == orc.tasks.get(task)
    assert answer.task.assigned_to == "bob"
    assert answer.task.lease == 60


def test_a_review_is_claimed_and_given_unless_none_is_wanted(orc: Orchestrator):
    task = in_review(orc)
    assert orc.next(agent="bob", review=False).kind == "none"
    answer = orc.next(agent="bob")
    assert answer.kind == "review"
    assert answer.task is not None
    assert (answer.task.id, answer.task.reviewer) == (task, "bob")


def test_work_goes_before_mail(orc: Orchestrator):
    orc.tasks.add("build", title="x")
    orc.mail.send("bob", "hello", agent="ann")
    assert [orc.next(agent="bob").kind for _ in range(2)] == ["task", "mail"]


def test_mail_is_announced_once(orc: Orchestrator):
    orc.tasks.add("build", title="x", needs=[orc.tasks.add("build", title="y").id])
    orc.next(agent="ann")
    first = orc.mail.send("bob", "hello", agent="ann").id
    assert orc.next(agent="bob", mail=False).kind == "none"
    answer = orc.next(agent="bob")
    assert [message.id for message in answer.mail] == [first]
    assert answer.standstill is not None
    assert orc.next(agent="bob").kind == "none"
    second = orc.mail.send("bob", "again", agent="ann").id
    assert [message.id for message in orc.next(agent="bob").mail] == [second]


def test_mail_that_was_delivered_is_not_announced(orc: Orchestrator):
    message = orc.mail.send("bob", "hello", agent="ann").id
    orc.mail.deliver([message], agent="bob")
    assert orc.next(agent="bob").kind == "none"


def test_only_urgent_mail_ends_the_wait_of_an_agent_that_is_not_to_be_disturbed(
    orc: Orchestrator, clock: SettableClock
):
    orc.tasks.add("build", title="x", needs=[orc.tasks.add("build", title="y").id])
    orc.next(agent="ann", lease="2h")
    orc.mail.do_not_disturb(until="1h", agent="bob")
    kept = orc.mail.send("bob", "hello", agent="ann").id
    assert orc.next(agent="bob").kind == "none"
    urgent = orc.mail.send("bob", "fire", priority="urgent", agent="ann").id
    assert [message.id for message in orc.next(agent="bob").mail] == [urgent]
    assert orc.next(agent="bob").kind == "none"
    clock.advance(3600)
    assert [message.id for message in orc.next(agent="bob").mail] == [kept]
    assert orc.next(agent="bob").kind == "none"


def test_an_empty_board_has_no_work_now_and_a_board_of_ended_tasks_has_no_more_work(
    orc: Orchestrator,
):
    orc.workstreams.create("docs")
    assert orc.next(agent="bob").kind == "none"
    task = orc.tasks.add("build", title="x").id
    orc.next(agent="bob")
    assert orc.next(agent="ann").kind == "none"
    orc.tasks.complete(task, agent="bob")
    answer = orc.next(agent="ann")
    assert answer.kind == "ended"
    assert answer.standstill is not None
    assert answer.standstill.ended == {"done": 1}
    assert orc.next("docs", agent="ann").kind == "none"
    orc.tasks.archive([task])
    assert orc.next("build", agent="ann").kind == "ended"


def test_tasks_in_a_closed_workstream_have_not_ended(orc: Orchestrator):
    orc.tasks.add("build", title="x")
    orc.workstreams.close("build")
    answer = orc.next(agent="bob")
    assert answer.kind == "none"
    assert answer.standstill is not None
    assert answer.standstill.closed.count == 1


def test_it_needs_to_know_who_asks_and_where(orc: Orchestrator):
    assert code_of(lambda: orc.next()) == "agent_needed"
    assert code_of(lambda: orc.next("nowhere", agent="bob")) == "workstream_not_found"


@pytest.mark.parametrize("what", ["task", "review", "mail", "ended"])
def test_a_wait_ends_at_once_with_what_comes(orc: Orchestrator, what: str):
    task = orc.tasks.add("build", title="x", review=what == "review" or None).id
    orc.tasks.claim(task, agent="ann")

    def come() -> None:
        if what == "task":
            orc.tasks.add("build", title="y")
        elif what == "mail":
            orc.mail.send("bob", "hello", agent="ann")
        else:
            orc.tasks.complete(task, agent="ann")

    other = threading.Timer(0.05, come)
    other.start()
    answer = orc.next(agent="bob", wait="1h")
    other.join()
    assert answer.kind == what


def test_a_wait_that_is_over_gives_the_reasons(orc: Orchestrator):
    answer = orc.next(agent="bob", wait="10ms")
    assert answer.kind == "none"
    assert answer.standstill is not None
    assert answer.standstill.open == 0


def test_a_wait_ends_at_once_where_only_a_decision_helps(orc: Orchestrator):
    first = orc.tasks.add("build", title="first").id
    orc.tasks.add("build", title="second", needs=[first])
    orc.tasks.claim(first, agent="ann")
    orc.tasks.fail(first, reason="no key", agent="ann")
    answer = orc.next(agent="bob", wait="1h")
    assert answer.kind == "none"
    assert answer.standstill is not None
    assert [task.command for task in answer.standstill.stuck.tasks] == [f"t reopen {first}"]


def test_the_end_of_all_tasks_goes_before_mail_and_names_it(orc: Orchestrator):
    task = orc.tasks.add("build", title="x").id
    orc.tasks.claim(task, agent="ann")
    orc.tasks.complete(task, agent="ann")
    orc.mail.send("bob", "All done", agent="ann")
    answer = orc.next(agent="bob")
    assert (answer.kind, [message.subject for message in answer.mail]) == ("ended", ["All done"])
