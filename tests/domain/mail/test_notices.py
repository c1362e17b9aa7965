"""Notices: which events of tasks send mail, to whom; once, and in the same commit."""

import io
from collections.abc import Callable

import pytest
from boards import SettableClock

from orchestrator import Orchestrator
from orchestrator.domain.mail.notices import NOTICES
from orchestrator.domain.reactions import QUIET
from orchestrator.domain.tasks.events import TaskEvent
from orchestrator.integrations import import_beads

pytestmark = pytest.mark.usefixtures("build")


def claimed(orc: Orchestrator, agent: str = "ann", **facts: object) -> str:
    task = orc.tasks.add("build", title="Ship v1", agent="lead", **facts).id  # type: ignore[arg-type]
    orc.tasks.claim(task, agent=agent)
    return task


def told(orc: Orchestrator, step: Callable[[], object]) -> dict[str, str]:
    """The notices of a step: the first word of the subject by recipient; each recipient gets a single
    notice."""
    before = orc.engine.read().event
    step()
    sent = [event for event in orc.events.read(since=before) if event.type == "message.sent"]
    notices = [orc.mail.peek(event.id) for event in sent]
    assert all(event.more is False for event in orc.events.read(last=1))
    pairs = [
        (to, letter.subject.partition(":")[0]) for letter in notices for to in letter.recipients
    ]
    assert len(dict(pairs)) == len(pairs), "no agent is notified twice"
    return dict(pairs)


def test_a_review_that_is_due_goes_to_the_creator_and_two_that_suit(orc: Orchestrator):
    for name in ("a-worker", "bob", "cleo", "dan", "tester"):
        orc.agents.register(name, capabilities=["test"] if name == "tester" else [])
    orc.subscriptions.open("a-worker")  # a runner starts it, so it reads no mail before
    task = claimed(orc, review=True)
    due = told(orc, lambda: orc.tasks.complete(task, result="shipped", agent="ann"))
    assert due == dict.fromkeys(("bob", "cleo", "lead"), "Review due")
    [message] = orc.mail.inbox(agent="lead")
    assert (message.sender, message.subject) == ("ann", f"Review due: {task} Ship v1")
    assert orc.mail.peek(message.id).body.startswith(f"shipped\n\n`t review {task}`")


def test_the_worker_and_the_creator_hear_of_the_review_but_not_the_reviewer(orc: Orchestrator):
    task = claimed(orc, review=True)
    orc.tasks.complete(task, agent="ann")
    rejected = told(orc, lambda: orc.reviews.reject(task, reason="no tests", agent="bob"))
    assert rejected == {"ann": "Rejected", "lead": "Rejected"}
    orc.tasks.claim(task, agent="ann")
    orc.tasks.complete(task, agent="ann")
    approved = told(orc, lambda: orc.reviews.approve(task, agent="lead"))
    assert approved == {"ann": "Approved"}


def test_a_failure_goes_to_the_creator_and_the_watchers(orc: Orchestrator):
    task, other = claimed(orc), claimed(orc)
    orc.convoys.create("release", [task, other], notify=["boss", "list:gone", "lead"])
    failed = told(orc, lambda: orc.tasks.fail(task, reason="no key", agent="ann"))
    assert failed == {"lead": "Failed", "boss": "Failed"}


def test_a_convoy_that_lands_with_a_failure_reports_it_itself(orc: Orchestrator):
    task = claimed(orc)
    orc.convoys.create("release", [task], notify=["boss"])
    failed = told(orc, lambda: orc.tasks.fail(task, agent="ann"))
    assert failed == {"lead": "Failed", "boss": "Convoy release has landed"}


@pytest.mark.parametrize("how", ["next", "claim", "sling"])
def test_an_agent_that_loses_its_lease_to_another_gets_a_notice(
    orc: Orchestrator, clock: SettableClock, how: str
):
    task = claimed(orc)
    clock.advance(3600)
    steps = {
        "next": lambda: orc.tasks.next(agent="bob"),
        "claim": lambda: orc.tasks.claim(task, agent="bob"),
        "sling": lambda: orc.hooks.sling(task, "bob", agent="bob", convoy=False),
    }
    assert told(orc, steps[how]) == {"ann": "Lease lapsed", "lead": "Lease lapsed"}


def test_the_notice_of_a_lapsed_lease_names_the_new_holder(orc: Orchestrator, clock: SettableClock):
    task = claimed(orc)
    clock.advance(3600)
    assert told(orc, lambda: orc.tasks.claim(task, agent="ann")) == {}, "it goes on itself"
    clock.advance(3600)
    orc.tasks.claim(task, agent="bob")
    [message] = orc.mail.inbox(agent="ann")
    assert orc.mail.peek(message.id).body.startswith(
        "The lease of ann ended. bob has the task now."
    )


def test_an_agent_gets_a_notice_of_work_taken_from_it_and_none_of_work_that_it_gives_back(
    orc: Orchestrator,
):
    task = claimed(orc)
    taken = told(orc, lambda: orc.hooks.unsling(task, reason="not now", agent="lead"))
    assert taken == {"ann": "Taken from you"}
    orc.tasks.claim(task, agent="ann")
    assert told(orc, lambda: orc.tasks.release(task, agent="ann")) == {}


def test_a_change_of_what_work_is_judged_by_goes_to_creator_and_worker(orc: Orchestrator):
    task = claimed(orc, acceptance="it ships", verify=["true"])
    weaker = told(orc, lambda: orc.tasks.edit(task, verify=[], reason="no tool", agent="ann"))
    assert weaker == {"lead": "What it is judged by changed"}
    [message] = orc.mail.inbox(agent="lead")
    body = orc.mail.peek(message.id).body
    assert body.startswith("The sender changed checks after work on it began: no tool\n")
    other = told(orc, lambda: orc.tasks.edit(task, acceptance="it runs", agent="boss"))
    assert other == {"lead": "What it is judged by changed", "ann": "What it is judged by changed"}
    assert told(orc, lambda: orc.tasks.edit(task, title="Ship v2", agent="boss")) == {}
    orc.tasks.release(task, agent="ann")
    # It was in work once: whoever had it must not change it unseen before taking it again.
    after = told(orc, lambda: orc.tasks.edit(task, acceptance="it flies", agent="boss"))
    assert after == {"lead": "What it is judged by changed"}
    fresh = orc.tasks.add("build", title="x", agent="lead").id
    assert told(orc, lambda: orc.tasks.edit(fresh, acceptance="it flies", agent="boss")) == {}


def test_no_notice_goes_to_a_retired_agent_or_to_no_agent(orc: Orchestrator):
    orc.agents.register("lead")
    task = claimed(orc)
    orc.agents.retire("lead")
    assert told(orc, lambda: orc.tasks.fail(task, agent="ann")) == {}
    nameless = orc.tasks.add("build", title="x").id
    orc.tasks.claim(nameless, agent="ann")
    assert told(orc, lambda: orc.tasks.fail(nameless, agent="ann")) == {}


def test_the_name_that_an_imported_task_came_with_gets_no_notice(orc: Orchestrator):
    line = b'{"id":"x-1","title":"One","status":"open","created_by":"eve@example.com"}'
    import_beads(orc.engine, io.BytesIO(line), workstream="build")
    [task] = orc.tasks.all("build")
    assert task.created_by != "system"
    orc.tasks.claim(task.id, agent="ann")
    assert told(orc, lambda: orc.tasks.fail(task.id, agent="ann")) == {}


def test_a_completed_task_without_a_review_costs_no_notice(orc: Orchestrator):
    task = claimed(orc)
    assert told(orc, lambda: orc.tasks.complete(task, agent="ann")) == {}


def test_a_transaction_that_submits_and_approves_asks_for_no_review(orc: Orchestrator):
    task = claimed(orc, review=True)

    def both() -> None:
        with orc.transaction():
            orc.tasks.complete(task, agent="ann")
            orc.reviews.approve(task, agent="bob")

    assert told(orc, both) == {"ann": "Approved", "lead": "Approved"}


def test_a_repeated_request_sends_no_second_notice(orc: Orchestrator):
    task = claimed(orc)
    for _ in range(2):
        with orc.request("r1"):
            orc.tasks.fail(task, agent="ann")
    assert len(orc.mail.inbox(agent="lead")) == 1


def test_every_notice_is_about_an_event_of_a_task(orc: Orchestrator):
    assert all(issubclass(event, TaskEvent) for event in NOTICES)
    assert not {event.TYPE for event in NOTICES} & set(QUIET)


@pytest.mark.parametrize("is_retired", [True, False])
def test_the_notice_of_a_rejection_names_who_has_the_work(orc: Orchestrator, is_retired: bool):
    task = claimed(orc, review=True)
    orc.tasks.complete(task, agent="ann")
    if is_retired:
        orc.agents.register("ann")
        orc.agents.retire("ann")
    orc.reviews.reject(task, reason="no test", agent="bob")
    body = orc.mail.peek(orc.mail.inbox(agent="lead")[-1].id).body
    where = "The task is free." if is_retired else "ann has the task now."
    assert body == f"no test\n\n{where} `t claim {task}` continues it."


@pytest.mark.parametrize("end", ["fail", "approve"])
def test_a_watcher_that_is_also_creator_or_worker_gets_one_message_of_the_end(
    orc: Orchestrator, end: str
):
    task = claimed(orc, review=end == "approve")
    orc.convoys.create("release", [task], notify=["lead", "ann"], agent="boss")
    if end == "fail":
        ending = lambda: orc.tasks.fail(task, reason="no key", agent="ann")  # noqa: E731
    else:
        orc.tasks.complete(task, agent="ann")
        ending = lambda: orc.reviews.approve(task, comment="reads well", agent="bob")  # noqa: E731
    assert told(orc, ending)["lead"] == "Convoy release has landed"
    body = orc.mail.peek(orc.mail.inbox(agent="lead")[-1].id).body
    assert ("no key" if end == "fail" else "reads well") in body


def test_two_convoys_that_land_together_make_one_message_for_a_watcher_of_both(orc: Orchestrator):
    task = claimed(orc)
    orc.convoys.create("release", [task], notify=["boss", "carl"], agent="boss")
    orc.convoys.create("sprint", [task], notify=["boss"], agent="boss")
    landed = told(orc, lambda: orc.tasks.complete(task, agent="ann"))
    assert landed == {
        "boss": "Convoys release, sprint have landed",
        "carl": "Convoy release has landed",
    }


def test_who_works_on_what_another_agent_ends_or_blocks_gets_mail(orc: Orchestrator):
    task = claimed(orc)
    assert told(orc, lambda: orc.tasks.block(task, reason="rain", agent="boss")) == {
        "ann": "Blocked"
    }
    orc.tasks.unblock(task)
    orc.tasks.claim(task, agent="ann")
    assert told(orc, lambda: orc.tasks.cancel(task, agent="boss")) == {"ann": "Cancelled"}
    other = claimed(orc)
    assert told(orc, lambda: orc.tasks.block(other, reason="rain", agent="ann")) == {}
    assert told(orc, lambda: orc.tasks.cancel(claimed(orc), agent="ann")) == {}


def test_who_works_on_a_deleted_task_gets_one_message(orc: Orchestrator):
    task = claimed(orc)
    assert told(orc, lambda: orc.tasks.delete([task], agent="boss")) == {"ann": "Cancelled"}
    ended = claimed(orc)
    orc.tasks.complete(ended, agent="ann")
    assert told(orc, lambda: orc.tasks.delete([ended], agent="boss")) == {}


def test_the_reviewer_and_the_worker_of_a_cancelled_task_get_mail(orc: Orchestrator):
    task = claimed(orc, review=True)
    orc.tasks.complete(task, agent="ann")
    orc.reviews.claim(task, agent="carl")
    both = {"ann": "Cancelled", "carl": "Cancelled"}
    assert told(orc, lambda: orc.tasks.cancel(task, agent="boss")) == both
