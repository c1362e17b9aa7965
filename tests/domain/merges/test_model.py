"""Random histories of the merge queue with two runners, compared with a simple model.

Every submission ends in exactly one of merged, returned, rejected, withdrawn; two runners never have the same
one; an old token changes nothing; a task waits for its merge exactly while its branch is in the queue.
"""

from collections.abc import Callable
from typing import Any

import pytest
from boards import SettableClock, add, check_law, hand_in, new_store
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from orchestrator import Orchestrator, OrchestratorError
from orchestrator.domain.merges.commands import RENEWED_BELOW
from orchestrator.domain.merges.records import OPEN

LEASE = 60.0
COMMIT = "c" * 40
NEWEST = st.integers(0, 4)
"""Which one, counted from the newest: so that rules meet at the same ones."""
RUNNERS = st.integers(0, 1)


class ModelSubmission:
    """A submission in the model."""

    def __init__(self, branch: str, head: str, task: str | None, retries: int = 0) -> None:
        self.branch, self.head, self.task, self.retries = branch, head, task, retries
        self.status = "waiting"
        self.token: int | None = None
        self.until = 0.0


class MergeMachine(RuleBasedStateMachine):
    """Ann works on tasks and submits branches; two runners merge them, at any pace."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = SettableClock()
        store = new_store()
        self.runners = [Orchestrator(store, now=self.clock) for _ in range(2)]
        self.orc = self.runners[0]
        self.tasks: dict[str, str] = {}
        self.queue: dict[int, ModelSubmission] = {}
        self.tokens: list[tuple[int, int]] = []  # every claim that ever was

    @initialize()
    def begin(self) -> None:
        self.orc.workstreams.create("build")
        for _ in range(2):
            self.tasks[add(self.orc)] = "pending"

    # What is expected

    def is_live(self, known: ModelSubmission) -> bool:
        return known.status == "merging" and known.until > self.clock.seconds

    def open_of(self, branch: str) -> ModelSubmission | None:
        found = (s for s in self.queue.values() if s.branch == branch and s.status in OPEN)
        return next(found, None)

    def open_of_task(self, task: str) -> ModelSubmission | None:
        found = (s for s in self.queue.values() if s.task == task and s.status in OPEN)
        return next(found, None)

    def end(self, known: ModelSubmission, status: str) -> None:
        known.status = status
        if known.task is not None and self.tasks[known.task] == "merging":
            self.tasks[known.task] = "done" if status == "merged" else "assigned"

    def expect(self, allowed: bool, call: Callable[[], Any], *, changes: bool = True) -> Any:
        """Make a call that is allowed and changes something, or is not; what is refused changes nothing."""
        before = self.orc.engine.read().event
        result = None
        if allowed:
            result = call()
        else:
            with pytest.raises(OrchestratorError):
                call()
        assert (self.orc.engine.read().event > before) == (allowed and changes)
        return result

    # Ann

    @rule(which=NEWEST)
    def work(self, which: int) -> None:
        task = [*self.tasks][-1 - which % len(self.tasks)]
        if self.tasks[task] in ("pending", "assigned"):
            self.orc.tasks.claim(task, agent="ann", lease="100h")
            self.tasks[task] = "in_progress"

    @rule(which=NEWEST)
    def complete(self, which: int) -> None:
        task = [*self.tasks][-1 - which % len(self.tasks)]
        self.work(which)
        if self.tasks[task] != "in_progress":
            return
        hand_in(self.orc, task)
        last = [s for s in self.queue.values() if s.task == task]
        numbers = self.orc.engine.read().merges.submissions_of[task]
        previous = self.queue[numbers[-2]] if len(numbers) > 1 else None
        assert (previous is None) == (not last)
        again = previous is not None and previous.status == "returned"
        retries = previous.retries + 1 if previous is not None and again else 0
        self.queue[numbers[-1]] = ModelSubmission(f"task/{task}", "a" * 40, task, retries)
        self.tasks[task] = "merging"

    @rule(branch=st.sampled_from(["fix", "feature"]), head=st.sampled_from(["a" * 40, "b" * 40]))
    def submit(self, branch: str, head: str) -> None:
        known = self.open_of(branch)
        same = known is not None and known.head == head
        allowed = same or known is None or not self.is_live(known)
        submission = self.expect(
            allowed,
            lambda: self.orc.merges.submit_commit(branch, head, target="main", agent="ann"),
            changes=not same,
        )
        if submission is None or same:
            return
        if known is None:
            self.queue[submission.number] = ModelSubmission(branch, head, None)
        else:
            known.head, known.status, known.token = head, "waiting", None

    @rule(which=NEWEST, how=st.sampled_from(["cancel", "reopen"]))
    def change(self, which: int, how: str) -> None:
        task = [*self.tasks][-1 - which % len(self.tasks)]
        status, known = self.tasks[task], self.open_of_task(task)
        if how == "cancel":
            allowed = status != "done" and not (known is not None and self.is_live(known))
            changes, after = status != "cancelled", "cancelled"
        else:
            allowed = status in ("done", "cancelled", "pending")
            changes, after = status != "pending", "pending"
        made = self.expect(allowed, lambda: getattr(self.orc.tasks, how)(task), changes=changes)
        if made is not None:
            self.tasks[task] = after
            if known is not None:
                known.status = "withdrawn"

    # The queue

    @rule(runner=RUNNERS, limit=st.integers(1, 3))
    def claim(self, runner: int, limit: int) -> None:
        free = {
            number for number, s in self.queue.items() if s.status in OPEN and not self.is_live(s)
        }
        order = [s.number for s in self.orc.merges.all() if s.number in free]
        taken = self.runners[runner].merges.claim(f"q{runner}", limit=limit, lease=LEASE)
        assert [s.number for s in taken] == order[:limit]
        for submission in taken:
            known = self.queue[submission.number]
            assert submission.token is not None
            assert known.token is None or submission.token > known.token
            known.status, known.token = "merging", submission.token
            known.until = self.clock.seconds + LEASE
            self.tokens.append((submission.number, submission.token))

    @rule(seconds=st.sampled_from([1.0, 31.0, LEASE]))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(
        runner=RUNNERS,
        which=NEWEST,
        how=st.sampled_from(["merged", "merged", "returned", "release", "renew"]),
    )
    def report(self, runner: int, which: int, how: str) -> None:
        """Report under any token that ever was."""
        if not self.tokens:
            return
        number, token = self.tokens[-1 - which % len(self.tokens)]
        known, merges = self.queue[number], self.runners[runner].merges
        holds = known.status == "merging" and known.token == token
        calls: dict[str, tuple[str, Callable[[], Any]]] = {
            "merged": ("merged", lambda: merges.merged(number, token, commit=COMMIT)),
            "returned": (
                "returned",
                lambda: merges.returned(number, token, kind="red", reason="x"),
            ),
            "release": ("waiting", lambda: merges.release(number, token)),
            "renew": ("", lambda: merges.renew([number], token)),
        }
        after, call = calls[how]
        again = known.status == after and known.token == token
        # What has landed is merged, also if somebody stopped it before its runner could say so.
        is_late = how == "merged" and known.status in ("rejected", "withdrawn")
        is_late &= known.token == token
        left = known.until - self.clock.seconds
        again |= holds and how == "renew" and left >= LEASE * RENEWED_BELOW
        made = self.expect(holds or again or is_late, call, changes=not again)
        if made is None or again:
            return
        if is_late:
            known.status = "merged"
        elif how == "renew":
            known.until = self.clock.seconds + LEASE
        elif how == "release":
            known.status = "waiting"
        else:
            self.end(known, after)
            if how == "returned" and known.task is None:
                known.task = made.task
                self.tasks[made.task] = "assigned"

    @rule(which=NEWEST, how=st.sampled_from(["rejected", "withdrawn"]))
    def stop(self, which: int, how: str) -> None:
        if not self.queue:
            return
        number = [*self.queue][-1 - which % len(self.queue)]
        known, again = self.queue[number], self.queue[number].status == how
        allowed = again or (known.status in OPEN and not self.is_live(known))

        def call() -> Any:
            if how == "rejected":
                return self.orc.merges.reject(number, "no", agent="kim")
            return self.orc.merges.withdraw(number, agent="kim")

        if self.expect(allowed, call, changes=not again) is not None and not again:
            self.end(known, how)

    @rule(which=NEWEST)
    def retry(self, which: int) -> None:
        if not self.queue:
            return
        number = [*self.queue][-1 - which % len(self.queue)]
        known = self.queue[number]
        task = self.tasks[known.task] if known.task is not None else "done"
        again = known.status in OPEN
        has_other = self.open_of(known.branch) is not None or (
            known.task is not None and self.open_of_task(known.task) is not None
        )
        may = task in ("done", "pending", "assigned", "in_progress") and not has_other
        allowed = again or (known.status != "merged" and may)
        made = self.expect(
            allowed, lambda: self.orc.merges.retry(number, agent="ann"), changes=not again
        )
        if made is None or again:
            return
        known.status, known.token, known.retries = "waiting", None, known.retries + 1
        if task != "done":
            assert known.task is not None
            self.tasks[known.task] = "merging"

    # What always holds

    @invariant()
    def agrees(self) -> None:
        state = self.orc.engine.read()
        for number, known in self.queue.items():
            real = state.merges[number]
            facts = (real.status, real.token, real.task, real.commit, real.retries)
            assert facts == (known.status, known.token, known.task, known.head, known.retries)
            assert real.is_being_merged(self.orc.engine.now()) == self.is_live(known)
        assert len(state.merges) == len(self.queue)
        assert sorted(state.merges.merge_queue) == [
            number for number, known in self.queue.items() if known.status in OPEN
        ]
        for task, status in self.tasks.items():
            real_task = state.tasks[task]
            expected = ("in_review", "merge") if status == "merging" else (status, "")
            assert (real_task.status, real_task.waits_for) == expected
            assert (self.open_of_task(task) is not None) == (
                status == "merging"
                or (status == "done" and state.merges.open_of_task(task) is not None)
            )
            if status == "merging":
                assert state.merges.open_of_task(task) is not None

    def teardown(self) -> None:
        check_law(self.orc)


TestMergeQueue = MergeMachine.TestCase
TestMergeQueue.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
