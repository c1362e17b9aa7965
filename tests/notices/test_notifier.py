"""Each event that fits a rule is in one notice, in order; a failure is tried again, and given up at last."""

import pytest
from boards import add

from orchestrator.notices.notifier import ATTEMPTS, BACK_OFF
from orchestrator.notices.rules import EVERY, Rule
from orchestrator.notices.sending import LEASE
from orchestrator.notices.texts import LISTED

from .conftest import Person

NAME = "notify/phone"


def test_an_event_that_fits_is_noticed_once(person: Person):
    person.push(count=3)
    person.add()
    (event,) = person.push()
    person.push("b.x")
    (notice,) = person.run()
    assert [e["id"] for e in notice.events] == [event]
    assert notice.title == "board: a.x"
    assert notice.body == "ann logged a.x"
    person.clock.advance(EVERY)
    assert person.run() == []


def test_the_history_before_a_rule_is_not_noticed_and_a_removed_rule_hears_nothing(person: Person):
    person.push(count=50)
    person.add()
    assert person.run() == []
    person.push()
    person.rules.remove("phone")
    assert person.run() == []


def test_events_in_a_short_time_are_in_one_notice(person: Person):
    person.add()
    first = person.push()
    person.run()
    later = person.push(count=LISTED + 12)
    assert person.run() == []
    person.clock.advance(EVERY - 1)
    assert person.run() == []
    person.clock.advance(1)
    (notice,) = person.run()
    assert person.ids == [first, later[:LISTED]]
    assert notice.more == 12
    assert notice.body.endswith("\nand 12 more")


def test_without_a_pause_each_event_has_a_notice_of_its_own(person: Person):
    person.add(every=0.0)
    events = person.push(count=3)
    for _ in events:
        person.run()
    assert person.ids == [[event] for event in events]


def test_a_notice_that_failed_is_tried_again_after_a_time_that_doubles(person: Person):
    person.add()
    events = person.push(count=2)
    person.fails = "it answered with HTTP status 500"
    person.run()
    person.push()
    person.fails = ""
    person.clock.advance(BACK_OFF - 1)
    assert person.run() == []
    person.clock.advance(1)
    assert [[e["id"] for e in notice.events] for notice in person.run()] == [events]
    assert [r.attempt for r in person.reports] == [1, 2]


def test_a_notice_is_given_up_after_its_last_attempt_and_the_reason_stays(person: Person):
    person.add()
    lost = person.push(count=2)
    person.fails = "it answered with HTTP status 500"
    for _ in range(ATTEMPTS):
        person.run()
        person.clock.advance(3600)
    assert [(r.attempt, r.is_last) for r in person.reports] == [
        (n, n == ATTEMPTS) for n in range(1, ATTEMPTS + 1)
    ]
    (letter,) = person.board.subscriptions.dead()
    assert (letter.subscriber, letter.reason, letter.first) == (NAME, person.fails, lost[0])
    person.fails = ""
    assert person.run() == []
    new = person.push()
    person.run()
    assert person.ids == [new]
    person.board.subscriptions.retry(letter.number)
    person.run()
    assert person.ids == [new, lost]


def test_failures_in_a_row_make_the_pause_longer_until_one_arrives(person: Person):
    person.add(every=0.0)
    person.push(count=20)
    person.fails = "the connection was refused"
    begun = person.clock.seconds
    while person.clock.seconds < begun + 8 * 3600:
        person.run()
        person.clock.advance(10)
    assert len(person.tried) < 20
    person.fails = ""
    person.board.subscriptions.wake(NAME)
    person.clock.advance(300)
    assert person.run()


def test_a_notice_whose_sender_was_killed_is_begun_again_after_its_lease(
    person: Person, monkeypatch: pytest.MonkeyPatch
):
    person.add()
    events = person.push(count=2)
    killed = person.notifier()
    monkeypatch.setattr(killed, "_start", lambda ear, attempt: None)
    killed._work()
    person.push()
    assert person.run() == []
    person.clock.advance(LEASE - 1)
    assert person.run() == []
    person.clock.advance(1)
    person.run()
    assert person.ids == [events]


def test_of_two_notifiers_only_one_begins_a_notice(person: Person, monkeypatch: pytest.MonkeyPatch):
    person.add()
    events = person.push(count=2)
    slow = person.notifier()
    slow._load(person.board.engine.read())
    slow._read(person.board.engine.read())
    person.run()
    slow.run_once()
    assert person.ids == [events]
    assert person.warnings == []


def test_what_notices_record_gives_no_notice(person: Person):
    person.add("one", on=("*", "subscription.*"), every=0.0)
    person.add("two", on=("subscription.*",), every=0.0)
    person.push()
    for _ in range(5):
        person.run()
    assert {(notice.rule, notice.events[0]["type"]) for notice in person.sent} == {("one", "a.x")}


def test_a_rule_becomes_no_agent_and_counts_in_no_chain_of_causes(person: Person):
    person.add()
    person.push()
    person.run()
    state = person.board.engine.read()
    assert [agent.id for agent in person.board.agents.all()] == ["ann"]
    assert state.subscriptions.chains == {}


def test_a_notifier_that_begins_again_reads_only_what_was_added(
    person: Person, monkeypatch: pytest.MonkeyPatch
):
    person.add()
    person.push("b.x", count=200)
    person.run()
    (event,) = person.push()
    read: list[int] = []
    known = person.board.engine.event

    def event_of(number: int):
        read.append(number)
        return known(number)

    monkeypatch.setattr(person.board.engine, "event", event_of)
    person.run()
    assert person.ids == [[event]]
    assert len({*read}) < 10


def test_a_changed_filter_reads_again_from_the_last_notice_on(person: Person):
    person.add(on=("b.*",))
    (event,) = person.push()
    person.run()
    person.rules.remove("phone")
    person.rules.add("phone", Rule(on=("a.*",), to="desktop"))
    person.run()
    assert person.ids == [[event]]


def test_events_are_chosen_by_agent_task_workstream_label_and_priority(person: Person):
    board = person.board
    board.workstreams.create("build")
    board.workstreams.create("web")
    on = ("task.claimed",)
    person.add("agent", on=on, agents=("ann",))
    person.add("ws", on=on, workstreams=("web",))
    person.add("labels", on=on, labels=("api", "pay"))
    person.add("urgent", on=on, priority=1)
    pay = add(board, "Pay", labels=["api", "pay"], priority=1)
    page = add(board, "Page", "web", labels=["api"], priority=3)
    person.add("task", on=on, tasks=(page,))
    board.tasks.claim(pay, agent="bob")
    board.tasks.claim(page, agent="ann")
    person.run()
    heard = {n.rule: [e["payload"]["task"] for e in n.events] for n in person.sent}
    assert heard == {
        "agent": [page],
        "ws": [page],
        "labels": [pay],
        "urgent": [pay],
        "task": [page],
    }


def test_a_template_shows_the_task(person: Person):
    person.board.workstreams.create("build")
    task = add(person.board, "Pay", priority=1)
    person.add(
        on=("task.claimed",),
        title="{rule}: {title} ({priority})",
        body="{agent} {task} {workstream} {type}",
    )
    person.board.tasks.claim(task, agent="bob")
    (notice,) = person.run()
    assert notice.title == "phone: Pay (1)"
    assert notice.body == f"bob {task} build task.claimed"


def test_a_sender_that_breaks_fails_the_attempt_without_its_text(person: Person):
    person.add()
    person.push()
    notifier = person.notifier()

    def broken(*_: object) -> str:
        raise RuntimeError("https://h/s3cret")

    notifier._send = broken
    notifier.run_once()
    assert [report.reason for report in person.reports] == ["sending failed with RuntimeError"]
