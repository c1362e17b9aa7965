"""Attempts at tasks: two runners, agents that act by themselves, leases that end, against a simple model."""

from typing import Any

import pytest
from boards import SettableClock, changes_nothing, check_law, code_of, new_store
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from orchestrator import Orchestrator, Refused
from orchestrator.core.events import Cause
from orchestrator.domain.subscriptions.limits import Budget, pause_of
from orchestrator.domain.subscriptions.task_attempts import (
    CRASHES,
    TASK_LEASE,
    TaskFilter,
    best_task,
)
from orchestrator.engine import cause_mark

ANY = (TaskFilter(),)


@pytest.fixture
def board(orc: Orchestrator) -> Orchestrator:
    orc.workstreams.create("build")
    orc.workstreams.create("docs")
    orc.subscriptions.open("coder")
    orc.subscriptions.open("critic")
    return orc


def best(orc: Orchestrator, agent: str = "coder", takes: Any = ANY) -> str | None:
    subscriber = orc.subscriptions.get(agent)
    task = best_task(orc.engine.read(), subscriber, takes, orc.engine.now())
    return task.id if task else None


def take(orc: Orchestrator, agent: str = "coder", takes: Any = ANY, **how: Any) -> Any:
    task = best(orc, agent, takes)
    return task and orc.subscriptions.take(agent, task, takes, **how)


def end(orc: Orchestrator, attempt: Any, agent: str = "coder", **how: Any) -> None:
    orc.subscriptions.fail(agent, attempt.event, attempt.token, "no", **how)


class TestChoice:
    @pytest.mark.parametrize(
        ("filter", "titles"),
        [
            ({}, ["a", "b", "c", "d"]),
            ({"ws": "docs"}, ["d"]),
            ({"type": "bug"}, ["b", "c"]),
            ({"labels": ("api", "py")}, ["c"]),
            ({"capability": "api"}, ["a", "c"]),
            ({"capability": "bug", "labels": ("py",)}, ["c"]),
            ({"ws": "gone"}, []),
            ({"capability": "review"}, []),
        ],
    )
    def test_an_agent_gets_the_tasks_that_fit_in_the_order_of_next(
        self, board: Orchestrator, filter: Any, titles: list[str]
    ):
        board.tasks.add("build", title="a", labels=["api"])
        board.tasks.add("build", title="b", type="bug")
        board.tasks.add("build", title="c", type="bug", labels=["api", "py"])
        board.tasks.add("docs", title="d")
        taken = []
        while attempt := take(board, takes=(TaskFilter(**filter),)):
            taken.append(board.tasks.complete(attempt.task, agent="coder").title)
            board.subscriptions.finish("coder", attempt.event, attempt.token)
        assert taken == titles

    def test_what_is_assigned_to_it_fits_whatever_it_takes(self, board: Orchestrator):
        board.tasks.add("build", title="free")
        mine = board.tasks.add("build", title="mine").id
        board.hooks.sling(mine, "coder", agent="ann")
        assert take(board, takes=(TaskFilter(ws="docs"),)).task == mine

    def test_a_review_is_given_to_another_agent_than_the_worker(self, board: Orchestrator):
        task = board.tasks.add("build", title="a", review=True).id
        attempt = take(board)
        board.tasks.complete(task, agent="coder")
        board.subscriptions.finish("coder", attempt.event, attempt.token)
        assert best(board) is None
        assert best(board, "critic", (TaskFilter(capability="docs"),)) is None
        assert take(board, "critic", (TaskFilter(capability="review"),)).task == task
        assert board.tasks.get(task).reviewer == "critic"

    def test_the_first_review_of_a_kind_is_passed_over_by_an_agent_that_takes_others(
        self, board: Orchestrator
    ):
        tasks = [
            board.tasks.add("build", title="a", review=True, labels=labels).id
            for labels in ([], ["py"], ["py"])
        ]
        for task in tasks:
            board.tasks.claim(task, agent="ann")
            board.tasks.complete(task, agent="ann")
        assert best(board, "critic", (TaskFilter(labels=("py",)),)) == tasks[1]
        board.reviews.approve(tasks[1], agent="bob")
        assert best(board, "critic", (TaskFilter(labels=("py",)),)) == tasks[2]

    def test_a_task_that_another_runner_was_given_is_not_given_again(self, board: Orchestrator):
        task = board.tasks.add("build", title="a").id
        board.subscriptions.take("coder", task, ANY)
        with changes_nothing(board):
            for agent in ("coder", "critic"):
                call = lambda: board.subscriptions.take(agent, task, ANY, concurrency=2)  # noqa: B023, E731
                assert code_of(call) == "moved"
            board.tasks.all()
        board.tasks.add("build", title="b")
        assert code_of(lambda: take(board)) == "busy"

    def test_a_retired_agent_is_given_nothing(self, board: Orchestrator):
        board.agents.register("coder")
        board.agents.retire("coder")
        board.tasks.add("build", title="a")
        assert code_of(lambda: take(board)) == "retired"


class TestEnds:
    def test_a_failed_attempt_waits_for_the_same_agent_and_is_free_for_others(
        self, board: Orchestrator, clock: SettableClock
    ):
        task = board.tasks.add("build", title="a").id
        end(board, take(board, most=2), back_off=30.0)
        assert best(board) is None
        assert best(board, "critic") == task
        clock.advance(30)
        attempt = take(board, most=2)
        assert (attempt.number, attempt.most) == (2, 2)
        end(board, attempt)
        assert board.tasks.get(task).status == "failed"

    def test_an_agent_that_was_ended_before_its_time_counts_less(self, board: Orchestrator):
        task = board.tasks.add("build", title="a").id
        for number in range(1, CRASHES + 1):
            assert board.tasks.get(task).status == "pending"
            attempt = take(board)
            assert attempt.number == number
            end(board, attempt, crashed=True)
        assert board.tasks.get(task).status == "failed"

    def test_an_interrupted_attempt_hands_the_task_back_however_often(self, board: Orchestrator):
        task = board.tasks.add("build", title="a").id
        for _ in range(6):
            attempt = take(board)
            board.subscriptions.interrupt("coder", attempt.event, attempt.token, "killed")
        assert board.tasks.get(task).status == "pending"

    @pytest.mark.parametrize("ending", ["fail", "interrupt"])
    def test_the_end_of_an_attempt_leaves_the_task_with_the_agent_that_took_it_over(
        self, board: Orchestrator, clock: SettableClock, ending: str
    ):
        task = board.tasks.add("build", title="a").id
        late = take(board)
        clock.advance(TASK_LEASE)
        take(board, "critic")
        getattr(board.subscriptions, ending)("coder", late.event, late.token, "no")
        assert board.tasks.get(task).is_run_by("critic", board.engine.now())

    def test_a_task_that_has_ended_leaves_no_attempt_behind(self, board: Orchestrator):
        board.tasks.add("build", title="a")
        end(board, take(board, most=2))
        board.tasks.cancel(board.tasks.all()[0].id)
        board.tasks.add("build", title="b")
        take(board)
        assert [a.status for a in board.subscriptions.get("coder").attempts] == ["running"]

    def test_a_lease_is_renewed_but_never_shortened(
        self, board: Orchestrator, clock: SettableClock
    ):
        task = board.tasks.add("build", title="a").id
        attempt = take(board)
        board.tasks.renew(task, agent="coder", lease="2h")
        long = board.tasks.get(task).lease_until
        clock.advance(TASK_LEASE / 2)
        board.subscriptions.renew("coder", attempt.event, attempt.token, lease=TASK_LEASE)
        assert board.tasks.get(task).lease_until >= long
        board.tasks.block(task, reason="wait", agent="coder")
        board.subscriptions.renew("coder", attempt.event, attempt.token, lease=TASK_LEASE)
        assert board.tasks.get(task).status == "blocked"

    def test_the_cause_of_the_claim_is_the_event_that_added_the_task_and_has_limits(
        self, board: Orchestrator
    ):
        board.tasks.add("build", title="a")
        added = board.engine.event(board.tasks.all()[0].events[0])
        attempt = take(board)
        claim = board.engine.event(attempt.event)
        assert claim.cause == Cause(event=added.id, depth=1, root=added.id)
        with Orchestrator(
            board.engine.store, cause=cause_mark(claim), now=board.engine._clock
        ) as orc:
            task = orc.tasks.add("build", title="b", agent="coder").id
        assert code_of(lambda: take(board)) == "busy"
        assert take(board, concurrency=2, deepest=1) is None
        blocked = board.tasks.get(task)
        assert (blocked.status, blocked.reason) == (
            "blocked",
            "it is number 2 in a row of causes, and 1 are allowed",
        )


AGENTS = st.sampled_from(["coder", "critic"])
RUNNERS = st.integers(0, 1)
NEWEST = st.integers(0, 3)
"""Which of the attempts, counted from the newest."""
ENDS = st.sampled_from(["finish", "fail", "end"])


class TaskMachine(RuleBasedStateMachine):
    """Two runners give tasks to two agents; agents act by themselves, people too; leases end."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = SettableClock()
        store = new_store()
        self.runners = [Orchestrator(store, now=self.clock) for _ in range(2)]
        self.attempts: list[tuple[str, Any]] = []
        self.over: set[int] = set()

    @initialize()
    def begin(self) -> None:
        self.runners[0].workstreams.create("build")
        for agent in ("coder", "critic"):
            self.runners[0].subscriptions.open(agent)

    @rule(runner=RUNNERS, review=st.booleans())
    def add(self, runner: int, review: bool) -> None:
        self.runners[runner].tasks.add("build", title="a", review=review)

    @rule(seconds=st.sampled_from([1.0, TASK_LEASE / 2, TASK_LEASE]))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(runner=RUNNERS, agent=AGENTS)
    def take(self, runner: int, agent: str) -> None:
        orc = self.runners[runner]
        task = best(orc, agent)
        held = [(a, t) for a, t in self.attempts if t.token not in self.over]
        mine = [t for a, t in held if a == agent]
        if task is None:
            return
        call = lambda: orc.subscriptions.take(agent, task, ANY, most=2, concurrency=2)  # noqa: E731
        if pause_of(orc.subscriptions.get(agent), Budget(), orc.engine.now()):
            assert code_of(call) == "resting"
            return
        if len(mine) >= 2:
            assert code_of(call) == "busy"
            return
        attempt = call()
        self.over |= {old.token for old in mine if old.task == task}
        before = orc.engine.now()
        assert not [t for _, t in held if t.task == task and t.until > before and self.has(orc, t)]
        self.attempts.append((agent, attempt))

    def has(self, orc: Orchestrator, attempt: Any) -> bool:
        """Whether the task of an attempt is still under the claim of it."""
        task = orc.tasks.get(attempt.task)
        return task.token == attempt.event and task.lease_until > orc.engine.now()

    @rule(runner=RUNNERS, which=NEWEST, how=ENDS)
    def end(self, runner: int, which: int, how: str) -> None:
        if not self.attempts:
            return
        agent, attempt = self.attempts[-1 - which % len(self.attempts)]
        orc = self.runners[runner]
        task = orc.tasks.get(attempt.task)
        had = task.token == attempt.event
        code = ""
        try:
            with orc.transaction():
                if how == "finish" and had:
                    orc.tasks.complete(task.id, agent=agent, token=task.token)
                    orc.subscriptions.finish(agent, attempt.event, attempt.token)
                elif how == "fail":
                    end(orc, attempt, agent, crashed=which % 2 == 0)
                else:
                    orc.subscriptions.interrupt(agent, attempt.event, attempt.token, "killed")
        except Refused as refused:
            code = refused.code
        assert code == ("stale_token" if attempt.token in self.over else "")
        if code:
            return
        self.over.add(attempt.token)
        after = orc.tasks.get(attempt.task)
        if task.status == "in_review" and task.reviewer == agent:
            assert (after.status, after.reviewer) == ("in_review", None)
        elif not had:
            assert after == task
        elif how == "finish":
            assert after.status in ("done", "in_review")
        else:
            assert after.status == ("pending" if how == "end" else after.status)
            assert after.status in ("pending", "failed")

    @rule(runner=RUNNERS, which=NEWEST, by=AGENTS, lapses=st.booleans(), how=ENDS)
    def lose(self, runner: int, which: int, by: str, lapses: bool, how: str) -> None:
        """An agent, perhaps the same one, gets the task under another claim; then the first attempt ends."""
        if not self.attempts:
            return
        agent, attempt = self.attempts[-1 - which % len(self.attempts)]
        orc = self.runners[runner]
        task = orc.tasks.get(attempt.task)
        if task.token != attempt.event or task.status != "in_progress":
            return
        if lapses:
            self.clock.advance(TASK_LEASE)
        else:
            orc.tasks.release(task.id, agent=agent)
        if task.needs or orc.tasks.get(task.id).is_held_by(by, orc.engine.now()):
            return
        orc.tasks.claim(task.id, agent=by)
        self.end(runner, which, how)

    @rule(runner=RUNNERS, which=NEWEST, how=st.sampled_from(["release", "block", "fail"]))
    def act(self, runner: int, which: int, how: str) -> None:
        """The agent ends its task itself, or a person does."""
        if not self.attempts:
            return
        agent, attempt = self.attempts[-1 - which % len(self.attempts)]
        tasks = self.runners[runner].tasks
        try:
            getattr(tasks, how)(attempt.task, reason="own", agent=agent)
        except Refused:
            return

    @invariant()
    def each_task_has_one_holder_and_one_attempt(self) -> None:
        orc = self.runners[0]
        for agent in ("coder", "critic"):
            attempts = orc.subscriptions.get(agent).attempts if agent in self.known(orc) else ()
            tasks = [attempt.task for attempt in attempts]
            assert len(tasks) == len(set(tasks))
            assert sum(attempt.status == "running" for attempt in attempts) <= 2

    @staticmethod
    def known(orc: Orchestrator) -> list[str]:
        return [subscriber.agent for subscriber in orc.subscriptions.all()]

    def teardown(self) -> None:
        if self.runners[0].subscriptions.all():
            check_law(self.runners[0])


TestTaskMachine = TaskMachine.TestCase
TestTaskMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
