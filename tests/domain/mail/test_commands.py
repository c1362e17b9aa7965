"""Mail: messages that wait for their recipients, in mailboxes and queues; addresses, threads, receipts."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from boards import SettableClock, as_text, changes_nothing, check_law, code_of, fold, new_store
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from orchestrator import BadInput, NotFound, Orchestrator, OrchestratorError, Refused, UsageError
from orchestrator.core.events import Event, Recorded, event
from orchestrator.core.transaction import Noun, Transaction, command
from orchestrator.domain.mail import commands as mail
from orchestrator.domain.mail import events as mail_events
from orchestrator.domain.mail.matters import UnreadCount
from orchestrator.domain.mail.records import KINDS, PRIORITIES, Receipt
from orchestrator.domain.state import State

MORNING = "2026-11-21T06:13:00.000Z"
MINUTE_LATER = "2026-11-21T06:14:00.000Z"
TWO_MINUTES_LATER = "2026-11-21T06:15:00.000Z"


@event("tests.mail_renamed")
class Renamed(Event):
    """The effects of renaming an agent on its mail."""

    old: str
    new: str

    def apply(self, state: State, record: Recorded) -> None:
        mail_events.rename(state, self.old, self.new)


class Commands(Noun[State]):
    """Commands of other nouns, as far as mail is concerned."""

    @command(lambda state, events: None)
    def rename(self, tx: Transaction[State], old: str, new: str) -> None:
        tx.record(Renamed(old=old, new=new))

    @command(lambda state, events: events[0][0].id)
    def tell(self, tx: Transaction[State], to: list[str], agent: str) -> None:
        tx.act_as(agent)
        mail.post(tx, to, subject="your task", kind="work_assignment", priority="urgent")


def rename(orc: Orchestrator, old: str, new: str) -> None:
    Commands(orc.engine).rename(old, new)


def sent(orc: Orchestrator, to: str = "bob", subject: str = "hi", agent: str = "ann") -> int:
    """The id of a new message."""
    return orc.mail.send(to, subject, agent=agent).id


def held(orc: Orchestrator, agent: str) -> list[tuple[int, str]]:
    return [(item.id, item.status) for item in orc.mail.inbox(agent=agent)]


@pytest.fixture
def team(orc: Orchestrator) -> Orchestrator:
    """A board with ann and bob, who build, carl, who reviews, and dora, who is retired."""
    orc.agents.register("ann", type="builder")
    orc.agents.register("bob", type="builder")
    orc.agents.register("carl", type="reviewer")
    orc.agents.register("dora", type="reviewer")
    orc.agents.retire("dora")
    return orc


# Sending


def test_a_message_is_the_event_that_sent_it(orc: Orchestrator):
    letter = orc.mail.send(
        "bob", "Key", "It expires\ntoday", priority="high", kind="status_update", agent="ann"
    )
    assert letter.id == orc.engine.read().event
    assert (letter.sender, letter.to, letter.subject) == ("ann", ("bob",), "Key")
    assert (letter.priority, letter.kind, letter.sent_at) == ("high", "status_update", MORNING)
    assert (letter.thread, letter.reply_to, letter.incarnation) == (letter.id, None, 0)
    assert (letter.recipients, letter.queue, letter.body) == (("bob",), "", "It expires\ntoday")
    assert letter.receipts == {"bob": Receipt()}


def test_the_state_keeps_no_text(orc: Orchestrator):
    orc.mail.send("bob", "Key", "a long story " * 1000, agent="ann")
    assert "long story" not in as_text(orc.engine.read(), orc.engine.position)
    assert orc.mail.read(1, agent="bob").body == "a long story " * 1000


def test_a_message_waits_for_an_agent_that_was_never_seen(orc: Orchestrator):
    message = sent(orc, "rig/crew/zoe")
    orc.agents.register("rig/crew/zoe")
    assert held(orc, "rig/crew/zoe") == [(message, "new")]


def test_a_note_to_oneself_is_mail(orc: Orchestrator):
    message = sent(orc, "ann")
    assert held(orc, "ann") == [(message, "new")]


def test_a_sender_without_a_name_may_write(orc: Orchestrator):
    letter = orc.mail.send("bob", "hi")
    assert letter.sender == "system"
    with changes_nothing(orc):
        assert code_of(lambda: orc.mail.reply(letter.id, "who?", agent="bob")) == "usage"


@pytest.mark.parametrize("subject", ["", "  ", "two\nlines", "two\x85lines", "end\n", "x" * 501])
def test_a_subject_is_one_line(orc: Orchestrator, subject: str):
    with changes_nothing(orc), pytest.raises(UsageError):
        orc.mail.send("bob", subject, agent="ann")


@pytest.mark.parametrize("body", ["\0", "\ud800", "x" * (4 * 1024 * 1024 + 1)])
def test_a_text_that_cannot_be_kept_is_refused(orc: Orchestrator, body: str):
    with changes_nothing(orc), pytest.raises(BadInput):
        orc.mail.send("bob", "hi", body, agent="ann")


def test_priority_and_kind_are_of_those_there_are(orc: Orchestrator):
    with changes_nothing(orc):
        assert code_of(lambda: orc.mail.send("bob", "hi", priority="1")) == "usage"
        assert code_of(lambda: orc.mail.send("bob", "hi", kind="spam")) == "usage"
    for priority, kind in zip(PRIORITIES * 2, KINDS, strict=False):
        orc.mail.send("bob", "hi", priority=priority, kind=kind)


def test_a_repeated_request_sends_once_and_gives_the_same_message(orc: Orchestrator):
    letters = []
    for _ in range(2):
        with orc.request("r-1"):
            letters.append(orc.mail.send("bob", "hi", "text", agent="ann"))
    assert letters[0] == letters[1]
    assert len(orc.mail.inbox(agent="bob")) == 1


def test_other_nouns_post_in_their_own_transaction(orc: Orchestrator):
    message = Commands(orc.engine).tell(["bob", "carl"], "ann")
    letter = orc.mail.peek(message)
    assert (letter.sender, letter.recipients) == ("ann", ("bob", "carl"))
    assert (letter.kind, letter.priority) == ("work_assignment", "urgent")


def test_the_session_of_the_sender_stands_in_the_message_and_an_older_one_is_marked(
    orc: Orchestrator,
):
    orc.sessions.start("ann")
    orc.engine.session = 1
    assert (orc.mail.send("bob", "hi", agent="ann").incarnation) == 1
    orc.sessions.start("ann")
    orc.mail.send("bob", "late", agent="ann")
    assert [(item.subject, item.outdated) for item in orc.mail.inbox(agent="bob")] == [
        ("hi", False),
        ("late", True),
    ]


def test_a_message_can_be_read_in_the_transaction_that_sends_it(orc: Orchestrator):
    with orc.transaction():
        letter = orc.mail.send("bob", "hi", "text", agent="ann")
        assert orc.mail.read(letter.id, agent="bob").body == "text"
        assert orc.mail.reply(letter.id, "yes", agent="bob").thread == letter.id
    assert held(orc, "ann") == [(3, "new")]


# Addresses


@pytest.mark.parametrize(
    ("address", "recipients"),
    [
        ("bob", ("bob",)),
        ("bob, carl", ("bob", "carl")),
        ("@all", ("bob", "carl")),
        ("@type:builder", ("bob",)),
        ("@type:reviewer", ("carl",)),
        ("@ws:build", ("bob", "zoe")),
        ("list:night", ("dora", "zoe")),
        ("carl,@all,list:night", ("carl", "bob", "dora", "zoe")),
        ("ann,@all", ("ann", "bob", "carl")),
    ],
)
def test_groups_are_resolved_when_sent_each_agent_once_without_the_sender(
    team: Orchestrator, address: str, recipients: tuple[str, ...]
):
    team.workstreams.create("build")
    for agent in ("zoe", "bob", "ann"):
        team.tasks.claim(team.tasks.add("build", title="x").id, agent=agent)
    team.tasks.add("build", title="nobody's")
    team.mail.set_list("night", ["ann", "dora", "zoe"])
    letter = team.mail.send(address, "hi", agent="ann")
    assert letter.recipients == recipients
    assert all(held(team, agent) == [(letter.id, "new")] for agent in recipients)
    team.agents.register("late", type="builder")
    assert held(team, "late") == []


def test_a_copy_is_a_recipient_too(team: Orchestrator):
    letter = team.mail.send("bob", "hi", cc=["@type:reviewer", "bob"], agent="ann")
    assert (letter.to, letter.cc) == (("bob",), ("@type:reviewer", "bob"))
    assert letter.recipients == ("bob", "carl")


@pytest.mark.parametrize(
    "address", ["@all", "@type:reviewer", "@type:nothing", "@ws:build", "list:me"]
)
def test_an_empty_group_is_refused(orc: Orchestrator, address: str):
    orc.agents.register("ann")
    orc.workstreams.create("build")
    orc.mail.set_list("me", ["ann"])
    with changes_nothing(orc), pytest.raises(Refused) as caught:
        orc.mail.send(f"bob,{address}", "hi", agent="ann")
    assert (caught.value.code, caught.value.details["address"]) == ("nobody", address)


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("list:nobody", "list_not_found"),
        ("@ws:nowhere", "workstream_not_found"),
        ("", "usage"),
        (" , ", "bad_name"),
        ("system", "usage"),
        ("@everybody", "usage"),
        ("mailto:bob", "usage"),
        ("queue:a,queue:b", "usage"),
        ("queue:", "bad_name"),
        ("list:../x", "bad_name"),
        ("@type:", "bad_name"),
        ("../x", "bad_name"),
        ("bob/", "bad_name"),
        ("b\nob", "bad_name"),
        ("-bob", "bad_name"),
    ],
)
def test_what_is_not_an_address_is_refused(orc: Orchestrator, address: str, code: str):
    with changes_nothing(orc):
        assert code_of(lambda: orc.mail.send(address, "hi", agent="ann")) == code


def test_broadcast_is_mail_to_all(team: Orchestrator):
    assert team.mail.broadcast("frozen", agent="bob").recipients == ("ann", "carl")


# Lists


def test_a_list_is_set_as_a_whole_and_gone_without_members(orc: Orchestrator):
    assert orc.mail.set_list("night", ["bob", "ann"]) == ("bob", "ann")
    with changes_nothing(orc):
        assert orc.mail.set_list("night", ["bob", "ann"]) == ("bob", "ann")
        assert code_of(lambda: orc.mail.set_list("night", ["bob", "ann", "bob"])) == "usage"
        assert code_of(lambda: orc.mail.send("bob,ann,bob", "hello")) == "usage"
    orc.mail.set_list("day", ["carl"])
    assert orc.mail.lists() == {"day": ("carl",), "night": ("bob", "ann")}
    orc.mail.set_list("night", ["zoe"])
    assert orc.mail.list_members("night") == ("zoe",)
    orc.mail.set_list("night", [])
    assert orc.mail.lists() == {"day": ("carl",)}
    with pytest.raises(NotFound):
        orc.mail.list_members("night")


def test_who_was_never_here_gets_mail_and_is_a_stranger_until_it_acts(orc: Orchestrator):
    warnings: list[str] = []
    orc.engine.warn = warnings.append
    orc.mail.send("bbo,bob,queue:q", "hello", agent="bob")
    assert [item.subject for item in orc.mail.inbox(agent="bbo")] == ["hello"]
    assert warnings == [
        "no agent bbo was here yet; did you mean 'bob'?; what is meant for it waits"
    ]
    orc.mail.send("bob", "here I am", agent="bbo")
    orc.mail.send("bbo", "hello", agent="bob")
    assert len(warnings) == 1


def test_members_of_a_list_are_agents(orc: Orchestrator):
    with changes_nothing(orc):
        assert code_of(lambda: orc.mail.set_list("x", ["@all"])) == "usage"
        assert code_of(lambda: orc.mail.set_list("x", ["system"])) == "usage"
        assert code_of(lambda: orc.mail.set_list("x", ["queue:q"])) == "bad_name"
        assert code_of(lambda: orc.mail.set_list("../x", ["ann"])) == "bad_name"
    orc.mail.set_list("Night", ["ann"])
    with changes_nothing(orc):
        assert code_of(lambda: orc.mail.set_list("night", ["ann"])) == "bad_name"


# Reading


def test_reading_marks_with_the_time_and_again_records_nothing(
    orc: Orchestrator, clock: SettableClock
):
    message = sent(orc)
    clock.advance(60)
    letter = orc.mail.read(message, agent="bob")
    assert letter.receipts == {"bob": Receipt(delivered_at=MINUTE_LATER, read_at=MINUTE_LATER)}
    clock.advance(60)
    with changes_nothing(orc):
        assert orc.mail.read(message, agent="bob") == letter
    assert held(orc, "bob") == [(message, "read")]


def test_mail_of_another_agent_is_shown_and_not_marked(orc: Orchestrator):
    message = sent(orc)
    with changes_nothing(orc):
        assert orc.mail.read(message, agent="carl").subject == "hi"
        assert orc.mail.read(message, agent="ann").subject == "hi"
        assert orc.mail.peek(message).subject == "hi"
    assert held(orc, "bob") == [(message, "new")]


@pytest.mark.parametrize("number", [0, -1, 1, 4711, 2**70])
def test_what_is_not_a_message_is_not_found(orc: Orchestrator, number: int):
    orc.workstreams.create("build")
    for call in (orc.mail.read, orc.mail.ack, lambda m, agent: orc.mail.archive([m], agent=agent)):
        with changes_nothing(orc):
            assert code_of(lambda call=call: call(number, agent="bob")) == "message_not_found"  # type: ignore[misc]
    for query in (orc.mail.peek, orc.mail.thread, lambda m: orc.mail.reply(m, "x", agent="bob")):
        with changes_nothing(orc):
            assert code_of(lambda query=query: query(number)) == "message_not_found"  # type: ignore[misc]


def test_a_mailbox_needs_an_agent(orc: Orchestrator):
    message = sent(orc)
    calls: list[Callable[[], Any]] = [
        orc.mail.inbox,
        orc.mail.check,
        orc.mail.pending,
        lambda: orc.mail.owner,
        lambda: orc.mail.search("hi"),
        lambda: orc.mail.read(message),
        lambda: orc.mail.ack(message),
        lambda: orc.mail.archive([message]),
        lambda: orc.mail.deliver([message]),
        lambda: orc.mail.take("q"),
    ]
    for call in calls:
        with changes_nothing(orc):
            assert code_of(call) == "agent_needed"


def test_the_board_s_own_agent_is_meant_when_none_is_named(orc: Orchestrator):
    message = sent(orc)
    mine = Orchestrator(orc.engine.store, agent="bob", now=orc.engine._clock)
    assert mine.mail.owner == "bob"
    assert mine.mail.pending() == [message]
    assert mine.mail.read(message).receipts["bob"].read_at


def test_acknowledging_reads_too_and_counts_once(orc: Orchestrator, clock: SettableClock):
    message = sent(orc)
    orc.mail.deliver([message], agent="bob")
    clock.advance(60)
    letter = orc.mail.ack(message, agent="bob")
    assert letter.receipts["bob"] == Receipt(
        delivered_at=MORNING, read_at=MINUTE_LATER, acknowledged_at=MINUTE_LATER
    )
    clock.advance(60)
    with changes_nothing(orc):
        assert orc.mail.ack(message, agent="bob") == letter
        assert code_of(lambda: orc.mail.ack(message, agent="ann")) == "message_not_found"
    assert held(orc, "bob") == [(message, "read")]


def test_the_first_time_counts(orc: Orchestrator, clock: SettableClock):
    message = sent(orc)
    orc.mail.deliver([message], agent="bob")
    clock.advance(60)
    orc.mail.read(message, agent="bob")
    clock.advance(60)
    orc.mail.ack(message, agent="bob")
    clock.advance(60)
    assert orc.mail.ack(message, agent="bob").receipts["bob"] == Receipt(
        delivered_at=MORNING, read_at=MINUTE_LATER, acknowledged_at=TWO_MINUTES_LATER
    )


def test_every_recipient_has_a_receipt_of_its_own(orc: Orchestrator):
    message = sent(orc, "bob,carl")
    orc.mail.read(message, agent="bob")
    receipts = orc.mail.peek(message).receipts
    assert receipts["bob"].read_at
    assert receipts["carl"] == Receipt()


def test_counts_cost_nothing_and_say_what_is_new_and_unread(orc: Orchestrator):
    first, second, third = sent(orc), sent(orc), sent(orc)
    assert orc.mail.check(agent="bob") == UnreadCount(agent="bob", unread=3, new=3)
    orc.mail.deliver([first, second], agent="bob")
    assert orc.mail.check(agent="bob") == UnreadCount(agent="bob", unread=3, new=1)
    orc.mail.read(first, agent="bob")
    assert orc.mail.check(agent="bob") == UnreadCount(agent="bob", unread=2, new=1)
    assert held(orc, "bob") == [(first, "read"), (second, "unread"), (third, "new")]
    assert [item.id for item in orc.mail.inbox(agent="bob", unread=True)] == [second, third]
    assert orc.agents.register("bob").id == "bob"
    assert orc.agents.get("bob").unread == 2
    assert "bob (general) [2 unread]" in orc.status().text()


# Delivery


def test_delivery_is_in_the_order_of_the_ids_and_recorded_once(
    orc: Orchestrator, clock: SettableClock
):
    first, second, third = sent(orc), sent(orc), sent(orc)
    assert orc.mail.pending(agent="bob") == [first, second, third]
    assert orc.mail.deliver([second, first], agent="bob") == [first, second]
    assert orc.mail.pending(agent="bob") == [third]
    with changes_nothing(orc):
        assert orc.mail.deliver([first, 4711], agent="bob") == []
        assert orc.mail.deliver([first], agent="nobody") == []
    clock.advance(60)
    assert orc.mail.deliver([first, third], agent="bob") == [third]
    assert orc.mail.peek(first).receipts["bob"].delivered_at == MORNING
    assert orc.mail.peek(third).receipts["bob"].delivered_at == MINUTE_LATER


def test_pending_of_an_unknown_agent_is_empty(orc: Orchestrator):
    assert orc.mail.pending(agent="bob") == []


# Archiving


def test_a_header_leaves_the_state_with_the_last_mailbox_that_held_it(orc: Orchestrator):
    message = orc.mail.send("bob,carl,queue:q", "hi", "text", agent="ann").id
    for step in (
        lambda: orc.mail.archive([message], agent="bob"),
        lambda: orc.mail.take("q", agent="dora"),
        lambda: orc.mail.archive([message], agent="carl"),
    ):
        step()
        assert message in orc.engine.read().mail.messages
    assert orc.mail.archive([message], agent="dora") == [message]
    state = orc.engine.read()
    assert (state.mail.messages, state.mail.mailboxes, state.mail.queues) == ({}, {}, {})
    letter = orc.mail.peek(message)
    assert (letter.body, letter.copies, letter.receipts) == ("text", 0, {})


def test_an_agent_archives_its_own_messages_all_or_none(orc: Orchestrator):
    message, other = sent(orc), sent(orc, "carl")
    with changes_nothing(orc):
        for ids in ([message, other], [4711]):
            call = lambda ids=ids: orc.mail.archive(ids, agent="bob")  # noqa: E731
            assert code_of(call) == "message_not_found"
        assert orc.mail.archive([], agent="bob") == []
    assert orc.mail.archive([message], agent="bob") == [message]
    with changes_nothing(orc):
        assert code_of(lambda: orc.mail.archive([message], agent="bob")) == "message_not_found"


def test_by_age_what_was_read_goes_but_nothing_unread_or_pinned(
    orc: Orchestrator, clock: SettableClock
):
    old, unread = sent(orc), sent(orc)
    pinned = orc.mail.send("bob", "keep", pinned=True, agent="ann").id
    orc.mail.read(old, agent="bob")
    orc.mail.ack(pinned, agent="bob")
    clock.advance(60)
    fresh = sent(orc)
    orc.mail.read(fresh, agent="bob")
    assert orc.mail.archive(older_than="60s", agent="bob") == [old]
    assert held(orc, "bob") == [(unread, "new"), (pinned, "read"), (fresh, "read")]
    assert orc.mail.archive([pinned], older_than=0, agent="bob") == [pinned, fresh]


# Threads


def test_a_reply_goes_to_the_sender_and_stays_in_the_thread(orc: Orchestrator):
    first = sent(orc, "bob,carl", subject="Key")
    second = orc.mail.reply(first, "which?", agent="bob")
    assert (second.to, second.subject, second.body) == (("ann",), "Re: Key", "which?")
    assert (second.thread, second.reply_to) == (first, first)
    third = orc.mail.reply(second.id, "the old one", agent="ann")
    assert (third.to, third.subject) == (("bob",), "Re: Key")
    again = orc.mail.reply(third.id, "found it", agent="ann")
    assert again.to == ("bob",), "a reply to one's own message goes where that one went"
    sent(orc)
    for message in (first, second.id, again.id):
        shown = orc.mail.thread(message)
        assert [letter.id for letter in shown] == [first, second.id, third.id, again.id]
    assert [letter.body for letter in shown] == ["", "which?", "the old one", "found it"]


def test_a_thread_shows_what_was_archived_on_the_way_to_its_beginning(orc: Orchestrator):
    first = sent(orc)
    second = orc.mail.reply(first, "x", agent="bob").id
    third = orc.mail.reply(second, "y", agent="ann").id
    orc.mail.archive([first], agent="bob")
    orc.mail.archive([second], agent="ann")
    assert [letter.id for letter in orc.mail.thread(third)] == [first, second, third]
    assert [letter.id for letter in orc.mail.thread(second)] == [first, second, third]
    assert orc.mail.reply(first, "late", agent="bob").thread == first


def test_a_subject_that_is_full_can_be_replied_to(orc: Orchestrator):
    first = sent(orc, subject="x" * 500)
    assert orc.mail.reply(first, "y", agent="bob").subject == f"Re: {'x' * 496}"


# Searching


def test_a_search_covers_sent_and_held_messages(orc: Orchestrator):
    key = orc.mail.send("bob", "The KEY", "it expires\nsoon", agent="ann").id
    word = orc.mail.send("carl", "Word", "soon the key changes", agent="bob").id
    orc.mail.send("dora", "Secret", "key soon", agent="carl")
    assert [message.id for message in orc.mail.search("soon key", agent="bob")] == [word, key]
    assert orc.mail.search("expires", agent="ann") == [
        mail.SearchMatch(
            id=key, sender="ann", sent_at=MORNING, subject="The KEY", line="it expires"
        )
    ]
    assert orc.mail.search("key nothing", agent="bob") == []
    assert orc.mail.search(" ", agent="bob") == []


def test_a_search_finds_archived_messages_when_asked_to(orc: Orchestrator):
    mine = sent(orc, subject="key one")
    jobs = orc.mail.send("queue:q", "key two", agent="ann").id
    other = sent(orc, "carl", subject="key three", agent="carl")
    orc.mail.take("q", agent="bob")
    orc.mail.archive([mine, jobs], agent="bob")
    orc.mail.archive([other], agent="carl")
    assert orc.mail.search("key", agent="bob") == []
    assert [f.id for f in orc.mail.search("key", agent="bob", archived=True)] == [jobs, mine]
    assert [f.id for f in orc.mail.search("key", agent="ann", archived=True)] == [jobs, mine]


# Queues


def test_a_message_to_a_queue_has_exactly_one_taker(orc: Orchestrator, clock: SettableClock):
    first, second = (orc.mail.send("queue:q", str(n), "do it", agent="ann").id for n in range(2))
    clock.advance(60)
    letter = orc.mail.take("q", agent="bob")
    assert letter is not None
    assert (letter.id, letter.body, letter.queue) == (first, "do it", "q")
    assert (letter.taken_by, letter.taken_at) == ("bob", MINUTE_LATER)
    assert letter.receipts == {"bob": Receipt(delivered_at=MINUTE_LATER)}
    assert held(orc, "bob") == [(first, "unread")]
    taken = orc.mail.take("q", agent="carl")
    assert taken is not None
    assert taken.id == second
    with changes_nothing(orc):
        assert orc.mail.take("q", agent="bob") is None
        assert orc.mail.take("never", agent="bob") is None


def test_who_holds_a_message_already_may_take_it_from_its_queue(orc: Orchestrator):
    message = sent(orc, "bob,queue:q")
    assert orc.engine.read().mail.messages[message].copies == 2
    orc.mail.take("q", agent="bob")
    assert orc.engine.read().mail.messages[message].copies == 1
    assert held(orc, "bob") == [(message, "new")]
    orc.mail.archive([message], agent="bob")
    assert orc.engine.read().mail.messages == {}


def test_a_message_that_was_read_is_unread_again(orc: Orchestrator):
    message = sent(orc)
    with changes_nothing(orc):
        orc.mail.unread(message, agent="bob")
    orc.mail.ack(message, agent="bob")
    letter = orc.mail.unread(message, agent="bob")
    assert letter.receipts == {"bob": Receipt(delivered_at=MORNING)}
    assert orc.mail.check(agent="bob").unread == 1
    assert code_of(lambda: orc.mail.unread(message, agent="carl")) == "message_not_found"


def test_a_message_that_was_deleted_is_in_no_search_of_its_owner_but_in_that_of_its_sender(
    orc: Orchestrator,
):
    first, second = sent(orc, subject="key one"), sent(orc, subject="key two")
    assert orc.mail.delete([second, first], agent="bob") == [first, second]
    assert orc.mail.inbox(agent="bob") == []
    assert orc.mail.search("key", agent="bob", archived=True) == []
    assert [m.id for m in orc.mail.search("key", agent="ann", archived=True)] == [second, first]
    assert orc.mail.peek(first).subject == "key one"
    assert code_of(lambda: orc.mail.delete([first], agent="bob")) == "message_not_found"


def test_a_message_that_was_given_back_is_the_next_of_its_queue(orc: Orchestrator):
    first, second = (orc.mail.send("queue:q", "job", agent="ann").id for _ in range(2))
    orc.mail.take("q", agent="bob")
    orc.mail.read(first, agent="bob")
    queue = orc.mail.queues()[0]
    assert (queue.name, queue.waiting) == ("q", (second,))
    assert [(m.id, m.taken_by, m.taken_at) for m in queue.taken] == [(first, "bob", MORNING)]
    assert code_of(lambda: orc.mail.release(first, agent="carl")) == "message_not_found"
    released = orc.mail.release(first, agent="bob")
    assert (released.taken_by, released.taken_at, released.copies) == (None, None, 1)
    assert held(orc, "bob") == []
    assert [(q.waiting, q.taken) for q in orc.mail.queues()] == [((first, second), ())]
    letter = orc.mail.take("q", agent="carl")
    assert letter is not None
    assert (letter.id, letter.taken_by) == (first, "carl")
    assert orc.mail.take("q", agent="carl") is not None
    assert orc.mail.archive([first, second], agent="carl") == [first, second]
    assert orc.mail.queues() == []


def test_only_what_was_taken_is_given_back(orc: Orchestrator):
    message = sent(orc, "bob,queue:q")
    assert code_of(lambda: orc.mail.release(message, agent="bob")) == "not_taken"
    orc.mail.take("q", agent="bob")
    orc.mail.release(message, agent="bob")
    assert orc.engine.read().mail.queues == {"q": [message]}
    assert held(orc, "bob") == []


# Do not disturb


def test_only_urgent_mail_is_put_before_who_is_not_to_be_disturbed(
    orc: Orchestrator, clock: SettableClock
):
    assert orc.mail.do_not_disturb(until="1m", agent="bob").until == MINUTE_LATER
    with changes_nothing(orc):
        orc.mail.do_not_disturb(until=MINUTE_LATER, agent="bob")
    kept = sent(orc)
    urgent = orc.mail.send("bob", "fire", priority="urgent", agent="ann").id
    assert orc.mail.pending(agent="bob") == [urgent]
    assert orc.mail.check(agent="bob").unread == 2
    orc.mail.deliver([urgent], agent="bob")
    assert orc.mail.check(agent="bob", new=True, wait="10ms").new == 1
    assert orc.mail.pending(agent="bob") == []
    assert orc.agents.get("bob").do_not_disturb == MINUTE_LATER
    clock.advance(60)
    assert not orc.mail.quiet(agent="bob").on
    assert orc.mail.pending(agent="bob") == [kept]
    assert orc.agents.get("bob").do_not_disturb is None


def test_do_not_disturb_lasts_until_it_is_ended_and_moves_with_a_new_name(orc: Orchestrator):
    assert orc.mail.do_not_disturb(agent="bob").on
    sent(orc)
    rename(orc, "bob", "robert")
    assert orc.mail.pending(agent="robert") == []
    assert orc.mail.quiet(agent="robert").on
    assert not orc.mail.do_not_disturb(on=False, agent="robert").on
    with changes_nothing(orc):
        assert not orc.mail.do_not_disturb(on=False, agent="robert").on
    assert len(orc.mail.pending(agent="robert")) == 1
    for wrong in ({"on": False, "until": "1h"}, {"until": "2020-01-01"}, {"until": "soon"}):
        assert code_of(lambda w=wrong: orc.mail.do_not_disturb(agent="bob", **w)) == "usage"


def test_a_repeated_request_takes_once(orc: Orchestrator):
    sent(orc, "queue:q")
    sent(orc, "queue:q")
    taken = []
    for _ in range(2):
        with orc.request("r-1"):
            taken.append(orc.mail.take("q", agent="bob"))
    assert taken[0] == taken[1]
    assert len(orc.engine.read().mail.queues["q"]) == 1


# Waiting


@pytest.mark.parametrize("to", ["bob", "queue:q"])
def test_a_wait_ends_when_mail_comes(orc: Orchestrator, to: str):
    other = Orchestrator(orc.engine.store, now=orc.engine._clock)
    with ThreadPoolExecutor(1) as pool:
        if to == "bob":
            waiting = pool.submit(lambda: other.mail.check(agent="bob", wait=60).new)
        else:
            waiting = pool.submit(lambda: bool(other.mail.take("q", agent="bob", wait=60)))
        sent(orc, "carl")
        sent(orc, to)
        assert waiting.result(30) == 1


def test_a_wait_for_new_mail_ignores_delivered_mail(orc: Orchestrator):
    orc.mail.deliver([sent(orc)], agent="bob")
    assert orc.mail.check(agent="bob", wait=60).unread == 1
    assert orc.mail.check(agent="bob", new=True, wait="10ms").new == 0


def test_waiting_in_vain_ends(orc: Orchestrator):
    with changes_nothing(orc):
        assert orc.mail.check(agent="bob", wait="10ms").unread == 0
        assert orc.mail.take("q", agent="bob", wait="10ms") is None


# Renaming


def test_a_new_name_takes_the_mail_along(orc: Orchestrator):
    orc.mail.set_list("night", ["bob", "ann", "rob"])
    first, second, third = sent(orc), sent(orc, "rob"), sent(orc, "bob,rob")
    fourth = sent(orc, "ann,carl", agent="bob")
    orc.mail.read(first, agent="bob")
    orc.mail.deliver([third], agent="rob")
    rename(orc, "bob", "rob")
    assert held(orc, "bob") == []
    assert held(orc, "rob") == [(first, "read"), (second, "new"), (third, "unread")]
    assert orc.engine.read().mail.messages[third].copies == 1
    assert orc.mail.lists() == {"night": ("rob", "ann")}
    assert orc.mail.peek(first).to == ("rob",)
    assert orc.mail.reply(fourth, "thanks", agent="ann").to == ("rob",)
    rename(orc, "nobody", "somebody")
    assert "somebody" not in orc.engine.read().mail.mailboxes


def test_merged_mailboxes_deliver_in_the_order_of_the_ids(orc: Orchestrator):
    ids = [sent(orc, to) for to in ("rob", "bob", "rob", "bob")]
    rename(orc, "bob", "rob")
    assert list(orc.engine.read().mail.mailboxes["rob"].new) == ids


# Against a model

AGENTS = ["ann", "bob", "rig/carl"]
LISTS = ["night", "day"]
QUEUES = ["q", "jobs"]
TYPES = {"ann": "builder", "bob": "builder", "rig/carl": "reviewer"}
ADDRESSES = [
    *AGENTS,
    "zoe",
    "@all",
    "@type:builder",
    "@type:reviewer",
    "@ws:build",
    *(f"list:{name}" for name in LISTS),
    *(f"queue:{name}" for name in QUEUES),
    "ann,queue:q",
    "bob,@all",
]
OWNERS = [*AGENTS, "zoe"]
picks = st.integers(0, 10_000)


class Missing(Exception):
    """A refusal of the model, with the code of the error."""


class Post(RuleBasedStateMachine):
    """Mail on a board compared with a model: for every agent a dict from messages to their state."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = SettableClock()
        self.store = new_store()
        self.orc = Orchestrator(self.store, now=self.clock)
        self.ids: list[int] = []
        self.senders: dict[int, str] = {}
        self.threads: dict[int, int] = {}
        self.boxes: dict[str, dict[int, str]] = {name: {} for name in OWNERS}
        self.acknowledged: dict[str, set[int]] = {name: set() for name in OWNERS}
        self.queues: dict[str, list[int]] = {name: [] for name in QUEUES}
        self.takers: dict[int, tuple[str, str]] = {}
        self.lists: dict[str, list[str]] = {}
        self.registered: dict[str, bool] = {}
        self.working: set[str] = set()
        self.orc.workstreams.create("build")

    def both(self, real: Callable[[], Any], model: Callable[[], Any]) -> Any:
        """Run a step on both: they agree, or refuse for the same reason and change nothing."""
        before = as_text(self.orc.engine.read(), self.orc.engine.position)
        try:
            expected, refusal = model(), None
        except Missing as missing:
            expected, refusal = None, str(missing)
        try:
            result, code = real(), None
        except OrchestratorError as error:
            result, code = None, error.code
        assert code == refusal
        if refusal is not None:
            assert as_text(self.orc.engine.read(), self.orc.engine.position) == before
        else:
            assert expected is None or result == expected
        return result

    def meant(self, address: str, sender: str) -> tuple[list[str], str]:
        """The agents and the queue that an address means."""
        agents: list[str] = []
        queue = ""
        for part in address.split(","):
            form, _, name = part.partition(":")
            active = [a for a in AGENTS if self.registered.get(a)]
            if form == "queue":
                queue = name
                continue
            if form == "list" and name not in self.lists:
                raise Missing("list_not_found")
            group = {
                "@all": sorted(active),
                "@type": sorted(a for a in active if TYPES[a] == name),
                "@ws": sorted(self.working),
                "list": self.lists.get(name, []),
            }.get(form)
            if group is not None:
                group = [a for a in group if a != sender]
                if not group:
                    raise Missing("nobody")
            agents += [part] if group is None else group
        return list(dict.fromkeys(agents)), queue

    def record(self, id: int, sender: str, agents: list[str], queue: str, parent: int) -> None:
        self.ids.append(id)
        self.senders[id] = sender
        self.threads[id] = self.threads[parent] if parent else id
        for agent in agents:
            self.boxes[agent][id] = "new"
        if queue:
            self.queues[queue].append(id)

    def pick(self, number: int) -> int:
        return self.ids[number % len(self.ids)] if self.ids else 1  # 1 is the workstream

    def holds(self, agent: str, id: int) -> None:
        if id not in self.boxes[agent]:
            raise Missing("message_not_found")

    @rule(agent=st.sampled_from(AGENTS), register=st.booleans())
    def come_and_go(self, agent: str, register: bool) -> None:
        if register or not self.registered.get(agent):
            self.orc.agents.register(agent, type=TYPES[agent])
            self.registered[agent] = True
        else:
            self.orc.agents.retire(agent)
            self.registered[agent] = False
            self.working.discard(agent)

    @rule(agent=st.sampled_from(AGENTS))
    def work(self, agent: str) -> None:
        if self.registered.get(agent) is False:
            return  # a retired agent takes no work
        self.orc.tasks.claim(self.orc.tasks.add("build", title="x").id, agent=agent, lease="9d")
        self.working.add(agent)

    @rule(
        name=st.sampled_from(LISTS),
        members=st.lists(st.sampled_from(OWNERS), max_size=3, unique=True),
    )
    def set_list(self, name: str, members: list[str]) -> None:
        self.orc.mail.set_list(name, members)
        self.lists[name] = members
        if not members:
            del self.lists[name]

    @rule(
        sender=st.sampled_from(OWNERS),
        address=st.sampled_from(ADDRESSES),
        pinned=st.booleans(),
        answers=st.none() | picks,
    )
    def send(self, sender: str, address: str, pinned: bool, answers: int | None) -> None:
        parent = self.pick(answers) if answers is not None and self.ids else None
        letter = self.both(
            lambda: self.orc.mail.send(
                address, "hi", address, pinned=pinned, reply_to=parent, agent=sender
            ),
            lambda: self.meant(address, sender) and None,
        )
        if letter is not None:
            agents, queue = self.meant(address, sender)
            assert (letter.recipients, letter.queue) == (tuple(agents), queue)
            self.record(letter.id, sender, agents, queue, parent or 0)
            assert letter.thread == self.threads[letter.id]

    @rule(agent=st.sampled_from(OWNERS), number=picks)
    def read(self, agent: str, number: int) -> None:
        id = self.pick(number)

        def model() -> None:
            if not self.ids:
                raise Missing("message_not_found")
            if id in self.boxes[agent]:
                self.boxes[agent][id] = "read"

        letter = self.both(lambda: self.orc.mail.read(id, agent=agent), model)
        if letter is not None:
            held = {name for name, box in self.boxes.items() if id in box}
            assert (letter.id, set(letter.receipts)) == (id, held)
            assert letter.copies == len(held) + sum(id in queue for queue in self.queues.values())

    @rule(agent=st.sampled_from(OWNERS), number=picks)
    def ack(self, agent: str, number: int) -> None:
        id = self.pick(number)

        def model() -> None:
            self.holds(agent, id)
            self.boxes[agent][id] = "read"
            self.acknowledged[agent].add(id)

        self.both(lambda: self.orc.mail.ack(id, agent=agent), model)

    @rule(
        agent=st.sampled_from(OWNERS),
        numbers=st.lists(picks, max_size=3),
        verb=st.sampled_from(["archive", "delete"]),
    )
    def archive_or_delete(self, agent: str, numbers: list[int], verb: str) -> None:
        ids = sorted({self.pick(number) for number in numbers})

        def model() -> list[int]:
            for id in ids:
                self.holds(agent, id)
            for id in ids:
                del self.boxes[agent][id]
                self.acknowledged[agent].discard(id)
            return ids

        self.both(lambda: getattr(self.orc.mail, verb)(ids, agent=agent), model)

    @rule(agent=st.sampled_from(OWNERS), number=picks)
    def unread(self, agent: str, number: int) -> None:
        id = self.pick(number)

        def model() -> None:
            self.holds(agent, id)
            if self.boxes[agent][id] == "read":
                self.boxes[agent][id] = "unread"
                self.acknowledged[agent].discard(id)

        self.both(lambda: self.orc.mail.unread(id, agent=agent), model)

    @rule(agent=st.sampled_from(OWNERS), number=picks)
    def release(self, agent: str, number: int) -> None:
        id = self.pick(number)

        def model() -> None:
            self.holds(agent, id)
            who, queue = self.takers.get(id, ("", ""))
            if who != agent:
                raise Missing("not_taken")
            del self.takers[id], self.boxes[agent][id]
            self.acknowledged[agent].discard(id)
            self.queues[queue] = sorted([*self.queues[queue], id])

        self.both(lambda: self.orc.mail.release(id, agent=agent), model)

    @rule(agent=st.sampled_from(OWNERS), count=st.integers(0, 3))
    def deliver(self, agent: str, count: int) -> None:
        new = sorted(id for id, how in self.boxes[agent].items() if how == "new")
        assert self.orc.mail.pending(agent=agent) == new
        assert self.orc.mail.deliver(new[:count], agent=agent) == new[:count]
        self.boxes[agent].update(dict.fromkeys(new[:count], "unread"))

    @rule(agent=st.sampled_from(OWNERS), queue=st.sampled_from(QUEUES))
    def take(self, agent: str, queue: str) -> None:
        if self.registered.get(agent) is False:
            return  # a retired agent takes nothing
        letter = self.orc.mail.take(queue, agent=agent)
        first = self.queues[queue].pop(0) if self.queues[queue] else None
        assert (letter and letter.id) == first
        if first is not None:
            self.boxes[agent].setdefault(first, "unread")
            self.takers[first] = agent, queue

    @rule(old=st.sampled_from(OWNERS), new=st.sampled_from(OWNERS))
    def rename(self, old: str, new: str) -> None:
        rename(self.orc, old, new)
        far = ["new", "unread", "read"]
        moved, self.boxes[old] = self.boxes[old], {}
        for id, how in moved.items():
            mine = self.boxes[new].get(id, "new")
            self.boxes[new][id] = max(how, mine, key=far.index)
        acknowledged, self.acknowledged[old] = self.acknowledged[old], set()
        self.acknowledged[new] |= acknowledged
        self.senders = {id: new if who == old else who for id, who in self.senders.items()}
        for id, (who, queue) in self.takers.items():
            self.takers[id] = (new if who == old else who), queue
        for name, members in self.lists.items():
            self.lists[name] = list(dict.fromkeys(new if m == old else m for m in members))

    @rule(close=st.booleans())
    def another_process_opens_the_board(self, close: bool) -> None:
        if close:
            self.orc.close()
        self.orc = Orchestrator(self.store, now=self.clock)

    @invariant()
    def they_agree(self) -> None:
        state = self.orc.engine.read()
        for agent, box in self.boxes.items():
            items = self.orc.mail.inbox(agent=agent)
            assert [(item.id, item.status) for item in items] == sorted(box.items())
            unread = sum(how != "read" for how in box.values())
            assert self.orc.mail.check(agent=agent).unread == unread
            signed = {item.id for item in items if item.acknowledged_at}
            assert signed == self.acknowledged[agent]
            new = [id for id, how in sorted(box.items()) if how == "new"]
            assert list(state.mail.mailboxes[agent].new if box else []) == new
        assert state.mail.queues == {name: ids for name, ids in self.queues.items() if ids}
        assert {
            name: list(members) for name, members in state.mail.mailing_lists.items()
        } == self.lists
        alive = {id for box in self.boxes.values() for id in box}
        alive |= {id for ids in self.queues.values() for id in ids}
        assert {m.id: m.sender for m in state.mail.messages.values()} == {
            id: self.senders[id] for id in alive
        }
        assert as_text(state, self.orc.engine.position) == as_text(*fold(self.store))

    def teardown(self) -> None:
        check_law(self.orc)


TestPost = Post.TestCase
