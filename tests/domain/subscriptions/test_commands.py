"""Subscriptions: each agent finishes each event once; attempts, leases, limits, dead letters."""

import pytest
from boards import SettableClock, changes_nothing, code_of, new_store

from orchestrator import NotFound, Orchestrator, Refused, UsageError
from orchestrator.core.events import Cause
from orchestrator.domain.event_log import as_dict
from orchestrator.domain.subscriptions.records import AttemptReport
from orchestrator.engine import cause_mark

LEASE = 60.0


@pytest.fixture
def board(orc: Orchestrator) -> Orchestrator:
    """An agent that listens, and two events for it: 2 and 3."""
    orc.subscriptions.open("plan")
    orc.events.push("plan.request", {"prd_path": "pay.md"}, agent="ann")
    orc.events.push("plan.request", agent="ann")
    return orc


def start(orc: Orchestrator, event: int, **how: object) -> object:
    after = orc.subscriptions.get("plan").position
    return orc.subscriptions.start("plan", event, after=after, lease=LEASE, **how)


def types(orc: Orchestrator) -> list[str]:
    return [record.type for record in orc.events.read(type="subscription.*")]


class TestAttempts:
    def test_an_agent_begins_at_the_end_of_the_log_and_opening_again_changes_nothing(
        self, orc: Orchestrator
    ):
        orc.events.push("x", agent="ann")
        assert orc.subscriptions.open("plan").position == 1
        with changes_nothing(orc):
            assert orc.subscriptions.open("plan", position=0).position == 1
        with pytest.raises(UsageError):
            orc.subscriptions.open("code", position=99)

    def test_an_event_is_started_and_finished_once(self, board: Orchestrator):
        attempt = start(board, 2)
        assert (attempt.number, attempt.status, attempt.root) == (1, "running", 2)
        report = AttemptReport(exit_status=0, session="s1", tools={"Read": 2})
        after = board.subscriptions.finish("plan", 2, attempt.token, report)
        assert (after.position, after.attempts, after.session) == (2, (), "s1")
        with changes_nothing(board):
            assert code_of(lambda: start(board, 2)) == "settled"
            code = code_of(lambda: board.subscriptions.finish("plan", 2, attempt.token))
            assert code == "stale_token"
        assert types(board)[1:] == ["subscription.started", "subscription.finished"]

    def test_an_agent_works_one_event_after_the_other_unless_it_may_have_more(
        self, board: Orchestrator
    ):
        start(board, 2)
        with changes_nothing(board):
            assert code_of(lambda: start(board, 3)) == "busy"
        assert start(board, 3, concurrency=2).number == 1

    def test_a_runner_that_looked_from_an_older_position_looks_again(self, board: Orchestrator):
        start(board, 2, concurrency=2)
        with changes_nothing(board):
            call = lambda: board.subscriptions.start(  # noqa: E731
                "plan", 3, after=1, lease=LEASE, concurrency=2
            )
            assert code_of(call) == "moved"

    def test_what_is_not_there_is_not_found(self, board: Orchestrator):
        with pytest.raises(NotFound):
            start(board, 99)
        with pytest.raises(NotFound):
            board.subscriptions.start("nobody", 2, after=1, lease=LEASE)

    def test_a_failed_attempt_is_tried_again_after_its_delay_and_the_next_event_waits(
        self, board: Orchestrator, clock: SettableClock
    ):
        first = start(board, 2, most=2)
        board.subscriptions.fail("plan", 2, first.token, "exit status 1", back_off=30)
        with changes_nothing(board):
            assert code_of(lambda: start(board, 2)) == "not_due"
            assert code_of(lambda: start(board, 3)) == "busy"
        clock.advance(30)
        second = start(board, 2)
        assert (second.number, second.most) == (2, 2)
        board.subscriptions.finish("plan", 2, second.token)
        assert board.subscriptions.dead() == []

    def test_the_last_failure_makes_a_dead_letter_and_the_next_event_goes_on(
        self, board: Orchestrator
    ):
        attempt = start(board, 2)
        board.subscriptions.fail("plan", 2, attempt.token, "exit status 1")
        (letter,) = board.subscriptions.dead()
        assert (letter.subscriber, letter.event, letter.attempts) == ("plan", 2, 1)
        assert letter.reason == "exit status 1"
        assert types(board)[-2:] == ["subscription.failed", "subscription.died"]
        assert start(board, 3).number == 1

    def test_an_attempt_whose_lease_has_ended_is_marked_and_tried_again(
        self, board: Orchestrator, clock: SettableClock
    ):
        first = start(board, 2, most=2)
        with changes_nothing(board):
            assert code_of(lambda: start(board, 2)) == "in_work"
        clock.advance(LEASE)
        second = start(board, 2)
        assert second.number == 2
        assert types(board)[-2:] == ["subscription.interrupted", "subscription.started"]
        code = code_of(lambda: board.subscriptions.finish("plan", 2, first.token))
        assert code == "stale_token"

    def test_a_late_finish_counts_while_no_other_attempt_has_begun(
        self, board: Orchestrator, clock: SettableClock
    ):
        attempt = start(board, 2)
        clock.advance(10 * LEASE)
        assert board.subscriptions.finish("plan", 2, attempt.token).attempts == ()

    def test_the_last_attempt_that_is_interrupted_makes_a_dead_letter(
        self, board: Orchestrator, clock: SettableClock
    ):
        start(board, 2)
        clock.advance(LEASE)
        assert start(board, 2) is None
        assert board.subscriptions.dead()[0].reason == "its lease has ended"
        other = start(board, 3)
        board.subscriptions.interrupt("plan", 3, other.token, "its runner was killed")
        assert len(board.subscriptions.dead()) == 2

    def test_a_dead_letter_is_retried_once_more_or_dismissed(self, board: Orchestrator):
        attempt = start(board, 2)
        board.subscriptions.fail("plan", 2, attempt.token, "no disk")
        number = board.subscriptions.dead()[0].number
        board.subscriptions.retry(number, agent="ann")
        assert board.subscriptions.dead() == []
        again = start(board, 2)
        assert (again.number, again.most) == (2, 2)
        board.subscriptions.fail("plan", 2, again.token, "no disk")
        number = board.subscriptions.dead()[0].number
        board.subscriptions.dismiss(number)
        assert board.subscriptions.dead() == []
        for call in (board.subscriptions.retry, board.subscriptions.dismiss):
            with changes_nothing(board), pytest.raises(NotFound):
                call(number)

    def test_two_letters_of_one_event_are_two_attempts_one_after_the_other(
        self, board: Orchestrator
    ):
        for _ in range(2):
            attempt = start(board, 2)
            board.subscriptions.fail("plan", 2, attempt.token, "no disk")
            board.subscriptions.set_cursor("plan", 1)
        first, second = (letter.number for letter in board.subscriptions.dead())
        board.subscriptions.retry(first)
        with changes_nothing(board), pytest.raises(Refused, match="an attempt at event 2 already"):
            board.subscriptions.retry(second)
        again = start(board, 2)
        board.subscriptions.finish("plan", 2, again.token)
        board.subscriptions.retry(second)
        assert start(board, 2).number == 2


class TestCauses:
    def test_what_a_started_agent_pushes_has_a_cause_even_without_its_environment(
        self, board: Orchestrator
    ):
        start(board, 2)
        caused = board.events.push("plan.created", agent="plan")
        assert caused.cause == Cause(event=2, depth=1, root=2)
        assert as_dict(caused)["cause"] == {"event": 2, "depth": 1, "root": 2}
        assert board.events.push("plan.created", agent="ann").cause is None

    def test_the_variable_names_the_cause_of_all_that_a_process_records(self, clock: SettableClock):
        store = new_store()
        first = Orchestrator(store, now=clock).events.push("a", agent="ann")
        second = Orchestrator(store, now=clock, cause=cause_mark(first)).events.push("b")
        assert second.cause == Cause(event=1, depth=1, root=1)
        orc = Orchestrator(store, now=clock, cause=cause_mark(second))
        orc.workstreams.create("w")
        assert orc.events.read(last=1)[0].cause == Cause(event=2, depth=2, root=1)

    @pytest.mark.parametrize(
        "mark", ["", "1", "1/2020-01-01T00:00:00.000Z", "99/x", "x/y", "/", "٣/x"]
    )
    def test_a_mark_of_another_board_is_no_cause(self, clock: SettableClock, mark: str):
        store = new_store()
        Orchestrator(store, now=clock).events.push("a", agent="ann")
        assert Orchestrator(store, now=clock, cause=mark).events.push("b").cause is None

    def test_a_loop_ends_at_the_limit_of_causes_in_a_row(self, board: Orchestrator):
        event = 2
        for _ in ("plan.request", "its cause", "the cause of that"):
            attempt = start(board, event, deepest=2)
            after = board.events.push("again", agent="plan")
            board.subscriptions.finish("plan", event, attempt.token)
            event = after.id
        assert start(board, event, deepest=2) is None
        (letter,) = board.subscriptions.dead()
        assert (letter.event, letter.attempts) == (event, 0)
        assert letter.reason == "it is number 3 in a row of causes, and 2 are allowed"

    def test_a_loop_ends_after_the_rounds_of_an_agent_and_a_retry_gives_it_one_more(
        self, board: Orchestrator
    ):
        board.subscriptions.open("review")

        def work(agent: str, event: int, **limit: int) -> int:
            after = board.subscriptions.get(agent).position
            how = {"after": after, "lease": LEASE, **limit}
            attempt = board.subscriptions.start(agent, event, **how)
            if attempt is None:
                return 0
            pushed = board.events.push("made", agent=agent).id
            board.subscriptions.finish(agent, event, attempt.token)
            return pushed

        event = 2
        for _ in range(2):
            event = work("review", work("plan", event, rounds=2))
        assert work("plan", event, rounds=2) == 0
        (letter,) = board.subscriptions.dead()
        assert (letter.event, letter.attempts) == (event, 0)
        assert (
            letter.reason == "plan has been started 2 times in this chain of events, its `rounds`"
        )
        board.subscriptions.retry(letter.number)
        event = work("review", work("plan", event, rounds=2))
        assert work("plan", event, rounds=2) == 0
        assert work("plan", board.events.push("new", agent="ann").id, rounds=2)

    def test_an_event_leads_to_no_more_attempts_than_allowed_however_they_branch(
        self, board: Orchestrator
    ):
        attempt = start(board, 2, longest=3)
        caused = [board.events.push("again", agent="plan").id for _ in range(3)]
        board.subscriptions.finish("plan", 2, attempt.token)
        board.subscriptions.set_cursor("plan", 3)
        for event in caused[:2]:
            attempt = start(board, event, longest=3)
            board.subscriptions.finish("plan", event, attempt.token)
        assert start(board, caused[2], longest=3) is None
        assert "event 2 has led to 3 attempts" in board.subscriptions.dead()[0].reason


class TestClaims:
    def test_the_first_worker_gets_the_event_and_its_second_claim_records_nothing(
        self, board: Orchestrator
    ):
        assert board.subscriptions.claim(2, agent="w1").agent == "w1"
        with changes_nothing(board):
            assert board.subscriptions.claim(2, agent="w2").agent == "w1"
            assert board.subscriptions.claim(2, agent="w1").agent == "w1"
        assert board.subscriptions.claim_of(2).agent == "w1"
        assert board.subscriptions.claim_of(3) is None

    def test_a_claim_is_a_lease(self, board: Orchestrator, clock: SettableClock):
        first = board.subscriptions.claim(2, agent="w1", lease="1m")
        clock.advance(31)
        extended = board.subscriptions.claim(2, agent="w1", lease="1m")
        assert (extended.since, extended.token) == (first.since, first.token)
        assert extended.until > first.until
        clock.advance(60)
        assert board.subscriptions.claim_of(2) is None
        assert board.subscriptions.claim(2, agent="w2").agent == "w2"
        assert types(board)[-2:] == ["subscription.claim_lapsed", "subscription.claimed"]

    def test_a_claim_holds_for_good_once_the_cursor_is_behind_its_event(
        self, board: Orchestrator, clock: SettableClock
    ):
        board.subscriptions.claim(2, agent="w1")
        board.subscriptions.claim(3, agent="w1")
        board.subscriptions.set_cursor("w1", 2)
        clock.advance(1e6)
        assert board.subscriptions.claim_of(2).agent == "w1"
        assert board.subscriptions.claim_of(3) is None
        with changes_nothing(board):
            assert board.subscriptions.claim(2, agent="w2").agent == "w1"

    def test_a_finished_attempt_makes_its_claim_good(
        self, board: Orchestrator, clock: SettableClock
    ):
        attempt = start(board, 2)
        board.subscriptions.claim(2, agent="plan")
        board.subscriptions.finish("plan", 2, attempt.token)
        clock.advance(1e6)
        assert board.subscriptions.claim(2, agent="w2").agent == "plan"

    def test_claims_follow_a_renamed_agent(self, board: Orchestrator):
        for event in (2, 3):
            board.subscriptions.claim(event, agent="w1")
        board.subscriptions.set_cursor("w1", 2)
        board.agents.rename("w1", "w9")
        assert [board.subscriptions.claim_of(event).agent for event in (2, 3)] == ["w9", "w9"]

    def test_the_claim_of_a_renamed_subscriber_holds_for_good_when_it_has_finished(
        self, board: Orchestrator, clock
    ):
        attempt = start(board, 2)
        board.subscriptions.claim(2, agent="plan")
        board.agents.rename("plan", "planner")
        board.subscriptions.finish("plan", 2, attempt.token)
        clock.advance(1e6)
        claim = board.subscriptions.claim(2, agent="w2")
        assert (claim.agent, claim.until) == ("planner", "")

    def test_both_names_of_a_renamed_agent_are_one_worker(self, board: Orchestrator):
        board.subscriptions.claim(2, agent="w1")
        board.agents.rename("w1", "w9")
        assert board.subscriptions.claim(3, agent="w1").agent == "w9"
        with changes_nothing(board):
            assert board.subscriptions.claim(3, agent="w9").token == 6
        board.subscriptions.set_cursor("w1", 3)
        assert [board.subscriptions.claim_of(event).until for event in (2, 3)] == ["", ""]

    def test_what_cannot_be_claimed(self, board: Orchestrator):
        with changes_nothing(board):
            with pytest.raises(NotFound):
                board.subscriptions.claim(99, agent="w1")
            with pytest.raises(NotFound):
                board.subscriptions.claim_of(99)
            with pytest.raises(UsageError):
                board.subscriptions.claim(2)
            with pytest.raises(UsageError):
                board.subscriptions.claim(2, agent="w1", lease=0)


class TestCursors:
    def test_a_new_worker_begins_at_the_end(self, board: Orchestrator):
        assert board.subscriptions.cursor("w1") == 3

    def test_a_cursor_is_set_back_and_forth_without_an_event(self, board: Orchestrator):
        with changes_nothing(board):
            assert board.subscriptions.set_cursor("w1", 1) == 1
            assert board.subscriptions.cursor("w1") == 1

    def test_a_cursor_follows_a_renamed_worker(self, board: Orchestrator):
        board.subscriptions.set_cursor("w1", 1)
        board.agents.rename("w1", "w5")
        board.agents.rename("w5", "w9")
        assert [board.subscriptions.cursor(name) for name in ("w1", "w9")] == [1, 1]
        board.subscriptions.set_cursor("w1", 2)
        assert [board.subscriptions.cursor(name) for name in ("w1", "w9")] == [2, 2]

    @pytest.mark.parametrize("position", [-1, 99])
    def test_a_cursor_points_into_the_log(self, board: Orchestrator, position: int):
        with changes_nothing(board), pytest.raises(UsageError):
            board.subscriptions.set_cursor("w1", position)

    def test_the_cursor_of_a_subscriber_is_in_the_log_and_gives_up_what_waited(
        self, board: Orchestrator
    ):
        attempt = start(board, 2, most=9)
        assert code_of(lambda: board.subscriptions.set_cursor("plan", 1)) == "in_work"
        board.subscriptions.fail("plan", 2, attempt.token, "not yet", back_off=1000)
        board.subscriptions.set_cursor("plan", 1)
        assert board.subscriptions.cursor("plan") == 1
        assert start(board, 2).number == 1


def test_a_watch_begins_at_the_end_and_goes_on_where_its_last_one_ended(clock: SettableClock):
    orc = Orchestrator(new_store(), now=clock)
    orc.events.push("before", agent="ann")
    first = orc.subscriptions.watch("w1")
    assert orc.subscriptions.cursor("w1") == 1
    orc.subscriptions.set_cursor("w1", 0)
    orc.events.push("two", agent="ann")
    first = orc.subscriptions.watch("w1")
    assert [next(first).type, next(first).type] == ["before", "two"]
    orc.events.push("three", agent="ann")
    assert next(first).type == "three"  # by asking, the caller has done with "two"
    first.close()
    assert orc.subscriptions.cursor("w1") == 2
    assert next(orc.subscriptions.watch("w1")).type == "three"


def test_a_watch_as_a_subscriber_leaves_its_cursor_alone(clock: SettableClock):
    orc = Orchestrator(new_store(), now=clock)
    orc.subscriptions.open("plan", position=0)
    orc.events.push("x", agent="ann")
    watch = orc.subscriptions.watch("plan")
    next(watch)
    next(watch)
    assert orc.subscriptions.cursor("plan") == 0
    with pytest.raises(Refused):
        orc.subscriptions.start("plan", 2, after=1, lease=LEASE)


class TestSchedules:
    SEVEN = "0 7 * * *"

    @pytest.fixture
    def scheduled(self, board: Orchestrator, clock: SettableClock) -> Orchestrator:
        board.subscriptions.set_schedule("plan", self.SEVEN)
        clock.advance(3600)
        return board

    def test_a_moment_is_pushed_once_and_never_one_before_it(self, scheduled: Orchestrator):
        push = scheduled.subscriptions.push_due
        due = push("plan", self.SEVEN, "2026-11-21T07:00:00.000Z")
        assert (due.type, as_dict(due)["payload"]) == (
            "schedule.due",
            {"agent": "plan", "due": "2026-11-21T07:00:00.000Z", "schedule": self.SEVEN},
        )
        with changes_nothing(scheduled):
            assert push("plan", self.SEVEN, "2026-11-21T07:00:00.000Z") is None
            assert push("plan", self.SEVEN, "2026-11-21T06:59:00.000Z") is None
        assert scheduled.subscriptions.get("plan").schedule.due == "2026-11-21T07:00:00.000Z"

    def test_a_moment_that_is_to_come_or_of_another_schedule_is_not_pushed(
        self, scheduled: Orchestrator
    ):
        push = scheduled.subscriptions.push_due
        with changes_nothing(scheduled):
            assert push("plan", self.SEVEN, "2026-11-21T08:00:00.000Z") is None
            assert push("plan", "0 6 * * *", "2026-11-21T07:00:00.000Z") is None
            with pytest.raises(UsageError):
                push("plan", self.SEVEN, "7:00")

    def test_a_changed_schedule_begins_now_and_the_same_one_changes_nothing(
        self, scheduled: Orchestrator
    ):
        before = scheduled.subscriptions.get("plan")
        with changes_nothing(scheduled):
            assert scheduled.subscriptions.set_schedule("plan", self.SEVEN) == before
        after = scheduled.subscriptions.set_schedule("plan", "@daily").schedule
        assert after.since == after.due > before.schedule.due
        assert scheduled.subscriptions.set_schedule("plan", "").schedule is None
        with pytest.raises(NotFound):
            scheduled.subscriptions.set_schedule("nobody", "@daily")
