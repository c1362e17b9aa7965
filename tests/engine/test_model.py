"""Random commands of every noun, compared with a simple model.

``ORC_EXAMPLES=2000 pytest tests/engine/test_model.py`` searches longer.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from boards import MORNING, SettableClock, as_text, check_derived, fold, saved_state
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator import Orchestrator, OrchestratorError
from orchestrator.core import clock as times
from orchestrator.core.store import START, Store
from orchestrator.domain.tasks.records import Task
from orchestrator.stores.files import FileStore
from orchestrator.stores.memory import MemoryStore
from orchestrator.stores.postgres import PostgresStore
from tests import postgres_server

from .model import ENDED, Model, Refusal, Work

STREAMS = ["build", "docs", "ops"]
AGENTS = ["ann", "bob", "rig/carl"]
RESOURCES = ["git", "src/**", "src/a", "s*", "db"]
TOPICS = ["findings", "notes"]

streams = st.sampled_from(STREAMS)
agents = st.sampled_from(AGENTS)
maybe_agents = st.none() | agents
priorities = st.integers(0, 3)
leases = st.sampled_from([10.0, 60.0, 600.0, 1800.0])
touches = st.lists(
    st.sampled_from([*RESOURCES, *(f"{name}:shared" for name in RESOURCES)]),
    max_size=2,
    unique_by=lambda text: text.removesuffix(":shared"),
)
picks = st.integers(0, 10_000)
"""Which of the tasks that there are; taken modulo their number."""


class Board(RuleBasedStateMachine):
    """A real board in memory beside a model of it."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = SettableClock()
        self.store = self.make_store()
        self.model = Model()
        self.ids: list[str] = []
        self.requests = 0
        self.open()

    def make_store(self) -> Store:
        return MemoryStore()

    def drop_snapshot(self) -> None:
        self.store._snapshot = None  # type: ignore[attr-defined]

    def open(self) -> None:
        self.orc = Orchestrator(self.store, now=self.clock)

    def both(
        self,
        real: Callable[[], Any],
        model: Callable[[], Any],
        agent: str | None = None,
    ) -> Any:
        """Run a command on both: both succeed, or both refuse for the same reason."""
        before = self.text()
        try:
            expected, refusal = model(), None
        except Refusal as refused:
            expected, refusal = None, refused.code
        try:
            result, code = real(), None
        except OrchestratorError as error:
            result, code = None, error.code
        assert code == refusal
        if refusal is not None:
            assert self.text() == before, "a refused command changed something"
            return None
        self.model.acted(agent)
        assert expected is None or result == expected
        return result

    def text(self) -> str:
        return as_text(self.orc.engine.read(), self.orc.engine.position)

    def head(self) -> int:
        return self.orc.engine.read().event

    def pick(self, number: int) -> str:
        return self.ids[number % len(self.ids)]

    def has_tasks(self) -> bool:
        return bool(self.ids)

    # Time and processes

    @rule(seconds=st.sampled_from([1, 5, 30, 300, 900, 1800]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.model.now += seconds

    @rule(close=st.booleans())
    def another_process_opens_the_board(self, close: bool) -> None:
        if close:
            self.orc.close()
        self.open()

    @rule()
    def the_snapshot_is_deleted(self) -> None:
        self.drop_snapshot()

    @rule()
    def the_snapshot_is_saved(self) -> None:
        if self.head():
            self.orc.engine.save()
            saved = saved_state(self.store)
            assert saved is not None
            assert as_text(*saved) == as_text(*fold(self.store)) == self.text()

    # Workstreams

    @initialize()
    def a_workstream_to_begin_with(self) -> None:
        self.create("build", 2)

    @rule(name=streams, priority=priorities)
    def create(self, name: str, priority: int) -> None:
        self.both(
            lambda: self.orc.workstreams.create(name, priority=priority),
            lambda: self.model.create(name, priority),
        )

    @rule(name=streams, priority=priorities)
    def edit_stream(self, name: str, priority: int) -> None:
        def model() -> None:
            self.model.stream(name).priority = priority

        self.both(lambda: self.orc.workstreams.edit(name, priority=priority), model)

    @rule(name=streams, active=st.booleans())
    def close_or_reopen_stream(self, name: str, active: bool) -> None:
        step = self.orc.workstreams.reopen if active else self.orc.workstreams.close
        self.both(lambda: step(name), lambda: self.model.set_active(name, active))

    # Tasks

    @rule(
        stream=streams,
        priority=priorities,
        needs=st.lists(picks, max_size=2),
        touches=touches,
        review=st.booleans(),
        agent=maybe_agents,
    )
    def add(
        self,
        stream: str,
        priority: int,
        needs: list[int],
        touches: list[str],
        review: bool,
        agent: str | None,
    ) -> None:
        chosen = list(dict.fromkeys(self.pick(number) for number in needs if self.ids))

        def model() -> None:
            self.model.check_add(stream)
            self.model.check_kept(chosen)

        task = self.both(
            lambda: self.orc.tasks.add(
                stream,
                title="t",
                priority=priority,
                needs=chosen,
                touches=touches,
                review=review or None,
                agent=agent,
            ),
            model,
            agent,
        )
        if task is not None:
            work = Work(stream, priority, len(self.ids), chosen, touches, review=review)
            self.model.tasks[task.id] = work
            self.ids.append(task.id)

    @precondition(has_tasks)
    @rule(number=picks, priority=st.none() | priorities, touches=st.none() | touches)
    def edit(self, number: int, priority: int | None, touches: list[str] | None) -> None:
        name = self.pick(number)

        def model() -> None:
            task = self.model.task(name)
            task.priority = task.priority if priority is None else priority
            task.touches = task.touches if touches is None else touches

        self.both(lambda: self.orc.tasks.edit(name, priority=priority, touches=touches), model)

    @precondition(has_tasks)
    @rule(number=picks, needs=st.lists(picks, max_size=2))
    def edit_needs(self, number: int, needs: list[int]) -> None:
        name = self.pick(number)
        chosen = list(dict.fromkeys(self.pick(need) for need in needs))
        self.both(
            lambda: self.orc.tasks.edit(name, needs=chosen, reason="planned anew"),
            lambda: self.model.edit_needs(name, chosen),
        )

    @precondition(has_tasks)
    @rule(number=picks, needs=st.lists(picks, max_size=2))
    def edit_needs_of_failures(self, number: int, needs: list[int]) -> None:
        name = self.pick(number)
        chosen = list(dict.fromkeys(self.pick(need) for need in needs))
        self.both(
            lambda: self.orc.tasks.edit(name, needs_failure_of=chosen, reason="planned anew"),
            lambda: self.model.edit_failures(name, chosen),
        )

    @precondition(has_tasks)
    @rule(number=picks, agent=agents, lease=leases)
    def claim(self, number: int, agent: str, lease: float) -> None:
        name = self.pick(number)
        work = self.model.tasks[name]

        def model() -> None:
            self.model.check_active(agent)
            if not self.model.is_settled(name, "claim", agent, None):
                self.model.take(self.model.check_claim(name, agent), agent, lease, 0)

        task = self.both(lambda: self.orc.tasks.claim(name, agent=agent, lease=lease), model, agent)
        if task is not None:
            assert task.token <= self.head()
            work.token = task.token

    @rule(stream=st.none() | st.just("build"), agent=agents, lease=leases, review=st.booleans())
    def next(self, stream: str | None, agent: str, lease: float, review: bool) -> None:
        due = self.model.best_review(stream, agent) if review else None
        best = due or self.model.best(stream, agent)
        task: Task | None = self.both(
            lambda: self.orc.tasks.next(stream, agent=agent, lease=lease, review=review),
            lambda: self.model.check_active(agent),
            agent,
        )
        if self.model.agents.get(agent) == "retired":
            return
        assert (task and task.id) == best
        if task is not None and due is not None:
            self.model.review(self.model.tasks[task.id], agent, lease)
        elif task is not None:
            self.model.take(self.model.tasks[task.id], agent, lease, task.token or 0)

    @precondition(has_tasks)
    @rule(number=picks, agent=agents, lease=leases, step=st.sampled_from(["claim", "approve"]))
    def review(self, number: int, agent: str, lease: float, step: str) -> None:
        name = self.pick(number)

        def model() -> None:
            task = self.model.check_review(name, agent)
            if step == "claim":
                self.model.review(task, agent, lease)
            else:
                self.model.put(task, "done", unheld=False)

        words = {"lease": lease} if step == "claim" else {}
        self.both(lambda: getattr(self.orc.reviews, step)(name, agent=agent, **words), model, agent)

    @rule(stream=st.none() | st.just("build"), agent=agents)
    def look_at_what_is_next(self, stream: str | None, agent: str) -> None:
        best = self.orc.engine.read().schedule.best(stream, agent, self.orc.engine.now())
        assert (best and best.id) == self.model.best(stream, agent)

    @precondition(has_tasks)
    @rule(
        number=picks,
        step=st.sampled_from(["complete", "complete", "fail", "release", "renew"]),
        agent=maybe_agents,
        token=st.sampled_from(["none", "right", "wrong"]),
    )
    def step_of_a_holder(self, number: int, step: str, agent: str | None, token: str) -> None:
        name = self.pick(number)
        work = self.model.tasks[name]
        given = {"none": None, "right": work.token, "wrong": (work.token or 0) + 1}[token]
        is_settled = not work.archived and self.model.is_settled(name, step, agent, given)
        actor = agent if is_settled else work.holder

        def model() -> None:
            if is_settled:
                return
            task = self.model.check_held(name, agent, given)
            if step == "renew":
                task.until = self.model.now + task.lease
            elif step == "release":
                self.model.put(task, "pending", unheld=True)
            elif step == "fail":
                self.model.put(task, "failed", unheld=False)
            else:
                self.model.check_nothing_open(task)
                self.model.put(task, "in_review" if work.review else "done", unheld=False)
                task.result = "r"

        result = {"result": "r"} if step == "complete" else {}
        self.both(
            lambda: getattr(self.orc.tasks, step)(name, agent=agent, token=given, **result),
            model,
            actor,
        )

    @precondition(has_tasks)
    @rule(number=picks, agent=maybe_agents)
    def complete_by_force(self, number: int, agent: str | None) -> None:
        name = self.pick(number)
        work = self.model.tasks[name]
        is_settled = not work.archived and self.model.is_settled(name, "complete", agent, None)
        actor = work.holder if agent is None and not is_settled else agent

        def model() -> None:
            if not is_settled:
                self.model.complete_by_force(self.model.task(name), agent)

        how = {"result": "r", "force": True, "reason": "we know"}
        self.both(lambda: self.orc.tasks.complete(name, agent=agent, **how), model, actor)

    @precondition(has_tasks)
    @rule(
        number=picks,
        step=st.sampled_from(["block", "unblock", "cancel", "reopen", "note"]),
        agent=maybe_agents,
    )
    def step_of_anybody(self, number: int, step: str, agent: str | None) -> None:
        name = self.pick(number)

        def model() -> None:
            if step == "note":
                self.model.task(name).notes += 1
            elif self.model.is_settled(name, step, agent, None):
                return
            elif step == "block":
                self.model.step(name, ("pending", "in_progress"), "blocked", unheld=True)
            elif step == "unblock":
                self.model.step(name, ("blocked",), "pending", unheld=False)
            elif step == "cancel":
                running = ("pending", "in_progress", "blocked", "in_review")
                self.model.step(name, running, "cancelled", unheld=False)
            else:
                task = self.model.task(name)
                if task.status in ENDED:
                    self.model.check_not_needless(task)
                self.model.step(name, ENDED, "pending", unheld=True).result = None
                self.model.reopened(name)

        words = {"block": {"reason": "rain"}, "note": {"text": "hm"}}.get(step, {})
        self.both(lambda: getattr(self.orc.tasks, step)(name, agent=agent, **words), model, agent)

    @precondition(has_tasks)
    @rule(number=picks)
    def archive(self, number: int) -> None:
        name = self.pick(number)

        def model() -> None:
            task = self.model.task(name)
            if task.status not in ENDED:
                raise Refusal("illegal_step")
            task.archived = True

        self.both(lambda: self.orc.tasks.archive([name]), model)

    @precondition(has_tasks)
    @rule(number=picks, agent=maybe_agents)
    def delete(self, number: int, agent: str | None) -> None:
        name = self.pick(number)
        self.both(
            lambda: self.orc.tasks.delete([name], agent=agent),
            lambda: self.model.delete(name),
            agent,
        )

    @precondition(has_tasks)
    @rule(number=picks, stream=streams)
    def move(self, number: int, stream: str) -> None:
        name = self.pick(number)

        def model() -> None:
            self.model.check_add(stream)
            self.model.task(name).stream = stream

        self.both(lambda: self.orc.tasks.move([name], stream), model)

    # Agents and locks

    @rule(agent=agents)
    def register(self, agent: str) -> None:
        def model() -> None:
            self.model.agents[agent] = "active"

        self.both(lambda: self.orc.agents.register(agent), model, agent)

    @rule(agent=agents)
    def heartbeat(self, agent: str) -> None:
        self.both(lambda: self.orc.agents.heartbeat(agent), lambda: None, agent)

    @rule(agent=agents)
    def retire(self, agent: str) -> None:
        self.both(lambda: self.orc.agents.retire(agent), lambda: self.model.retire(agent))

    @rule(
        resource=st.sampled_from(RESOURCES),
        agent=agents,
        shared=st.booleans(),
        ttl=st.sampled_from([5.0, 60.0, 1000.0]),
    )
    def acquire(self, resource: str, agent: str, shared: bool, ttl: float) -> None:
        self.both(
            lambda: self.orc.locks.acquire(resource, agent=agent, shared=shared, ttl=ttl),
            lambda: self.model.acquire(resource, agent, shared, ttl),
            agent,
        )

    @rule(resource=st.sampled_from(RESOURCES), agent=agents)
    def renew_lock(self, resource: str, agent: str) -> None:
        def model() -> None:
            grip = self.model.locks.get((resource, agent))
            if grip is None or grip.until <= self.model.now:
                raise Refusal("lock_not_held")
            grip.until = self.model.now + grip.ttl

        self.both(lambda: self.orc.locks.renew(resource, agent=agent), model, agent)

    @rule(resource=st.sampled_from(RESOURCES), agent=agents)
    def release_lock(self, resource: str, agent: str) -> None:
        self.both(
            lambda: self.orc.locks.release(resource, agent=agent),
            lambda: self.model.release(resource, agent),
            agent,
        )

    @rule(resource=st.sampled_from(RESOURCES))
    def break_lock(self, resource: str) -> None:
        self.both(
            lambda: self.orc.locks.break_(resource, reason="gone"),
            lambda: self.model.break_(resource),
        )

    # Knowledge, the journal, transactions, requests

    @rule(
        topic=st.sampled_from(TOPICS),
        text=st.sampled_from(["one", "two", "three\n"]),
        agent=maybe_agents,
    )
    def write(self, topic: str, text: str, agent: str | None) -> None:
        path = f"knowledge/{topic}.md"
        version = (text, agent or "system")
        is_there = self.store.documents.read(path) is not None

        def model() -> None:
            if is_there and self.model.written.get(topic) == version:
                return  # the topic says that already
            self.model.topics[topic] = text
            self.model.written[topic] = version
            self.model.versions.setdefault(topic, []).append(text)

        self.both(lambda: self.orc.knowledge.write(topic, text, agent=agent), model, agent)

    @rule(topic=st.sampled_from(TOPICS))
    def delete_topic(self, topic: str) -> None:
        there = self.model.topics.get(topic) is not None
        assert self.orc.knowledge.delete(topic) is there
        self.model.topics[topic] = None
        self.model.written.pop(topic, None)

    @rule(topic=st.sampled_from(TOPICS))
    def a_knowledge_file_is_lost(self, topic: str) -> None:
        if self.model.topics.get(topic) is not None:
            self.store.documents.delete(f"knowledge/{topic}.md")

    @rule(agent=agents)
    def log(self, agent: str) -> None:
        self.both(
            lambda: self.orc.events.log(agent, "deployed", n=1).type, lambda: "deployed", agent
        )

    @rule(agent=agents, stream=streams)
    def a_transaction_that_fails_leaves_nothing(self, agent: str, stream: str) -> None:
        before = self.text()
        try:
            with self.orc.transaction():
                self.orc.workstreams.create("never")
                self.orc.tasks.next(agent=agent)
                self.orc.locks.acquire("never", agent=agent)
                self.orc.workstreams.edit(stream, priority=3)
                raise KeyboardInterrupt
        except (KeyboardInterrupt, OrchestratorError):
            pass
        assert self.text() == before

    @rule(agent=agents, stream=streams, lease=leases)
    def a_transaction_is_one_commit_of_all_its_commands(
        self, agent: str, stream: str, lease: float
    ) -> None:
        before = self.head()

        def real() -> str:
            with self.orc.transaction():
                task = self.orc.tasks.add(stream, title="t", agent=agent).id
                self.orc.tasks.claim(task, agent=agent, lease=lease)
                self.orc.tasks.complete(task, result="r", agent=agent)
            return task

        def model() -> None:
            self.model.check_add(stream)
            self.model.check_active(agent)

        task = self.both(real, model, agent)
        if task is None:
            return
        work = Work(stream, 5, len(self.ids), status="done", holder=agent, attempt=1, result="r")
        self.model.tasks[task] = work
        self.ids.append(task)
        records = [entry for chunk in self.store.read(START) for entry in chunk.events][before:]
        assert [entry.more for entry in records] == [True] * (len(records) - 1) + [False]

    @rule(agent=agents, lease=leases)
    def a_request_that_is_repeated_has_one_effect(self, agent: str, lease: float) -> None:
        self.requests += 1
        with self.orc.request(f"r-{self.requests}"):
            self.next(None, agent, lease, False)
        request = self.orc.engine.read().requests.get(f"r-{self.requests}")
        if request is None:
            return
        before = self.text()
        with self.orc.request(f"r-{self.requests}"):
            task = self.orc.tasks.next(agent=agent, lease=lease)
        assert self.text() == before
        assert task is not None
        assert (task.assigned_to, task.token) == (agent, self.model.tasks[task.id].token)

    # What always holds

    @invariant()
    def the_state_is_the_fold_of_the_log(self) -> None:
        assert self.text() == as_text(*fold(self.store))
        check_derived(self.orc.engine.read())

    @invariant()
    def the_board_is_as_the_model_says(self) -> None:
        state = self.orc.engine.read()
        assert {n: (s.priority, s.status == "active") for n, s in state.workstreams.items()} == {
            n: (s.priority, s.active) for n, s in self.model.streams.items()
        }
        live = {name: work for name, work in self.model.tasks.items() if not work.archived}
        assert set(state.tasks) == set(live)
        assert set(state.tasks.archived) == set(self.model.tasks) - set(live)
        for name, work in live.items():
            assert _facts(state.tasks[name]) == _expected(work), name
        assert {task.id for task in self.orc.tasks.all(ready=True)} == {
            name for name in self.model.ready() if not self.model.tasks[name].archived
        }
        assert {agent.id: agent.status for agent in state.agents.values()} == self.model.agents
        held = {
            (lock.resource, holder.agent): (times.seconds(holder.until) - MORNING, holder.shared)
            for lock in state.locks.values()
            for holder in lock.holders
        }
        assert held == {key: (grip.until, grip.shared) for key, grip in self.model.locks.items()}

    @invariant()
    def knowledge_is_as_the_model_says(self) -> None:
        for topic, text in self.model.topics.items():
            assert self.orc.knowledge.read(topic) == text
        for topic, texts in self.model.versions.items():
            assert [version.text for version in self.orc.knowledge.history(topic)] == texts

    def teardown(self) -> None:
        leases_never_overlap_and_tokens_grow(self.store)
        no_agent_reviews_its_own_work(self.store)
        self.orc.close()


def _facts(task: Task) -> tuple[object, ...]:
    running = task.status == "in_progress"
    return (
        task.workstream,
        task.status,
        task.priority,
        list(task.needs),
        list(task.needs_failure_of),
        list(task.touches),
        task.assigned_to,
        times.seconds(task.lease_until) - MORNING if running else 0,
        task.token,
        task.attempt,
        len(task.notes),
        task.result,
        task.reviewer,
        times.seconds(task.review_until) - MORNING if task.reviewer else 0,
    )


def _expected(work: Work) -> tuple[object, ...]:
    return (
        work.stream,
        work.status,
        work.priority,
        work.needs,
        work.failures_needed,
        work.touches,
        work.holder,
        work.until if work.status == "in_progress" else 0,
        work.token,
        work.attempt,
        work.notes,
        work.result,
        work.reviewer,
        work.review_until if work.reviewer else 0,
    )


def leases_never_overlap_and_tokens_grow(store: Store) -> None:
    """From the log alone: no agent gets a task or review during the lease of another agent."""
    until: dict[str, str] = {}
    reviews: dict[str, str] = {}
    token: dict[str, int] = {}
    for chunk in store.read(START):
        for entry in chunk.events:
            if not entry.type.startswith("task."):
                continue
            payload = msgspec.json.decode(entry.payload)
            task = payload.get("task")
            if entry.type == "task.claimed":
                assert until.get(task, "") <= entry.ts, "two leases at once"
                assert token.get(task, 0) < entry.id
                until[task], token[task] = payload["until"], entry.id
            elif entry.type == "task.review_claimed":
                assert reviews.get(task, "") <= entry.ts, "two reviews at once"
                reviews[task] = payload["until"]
            elif entry.type == "task.review_renewed":
                reviews[task] = payload["until"]
            elif entry.type == "task.renewed":
                until[task] = payload["until"]
            elif entry.type == "task.lapsed":
                assert until[task] <= entry.ts, "a lease was taken before its end"
                until[task] = ""
            elif entry.type not in (
                "task.edited",
                "task.noted",
                "task.added",
                "task.archived",
                "task.deleted",
                "task.moved",
            ):
                until[task] = reviews[task] = ""


def no_agent_reviews_its_own_work(store: Store) -> None:
    """From the log alone: an agent that claimed a task since it was last done does not review that task."""
    workers: dict[str, set[str]] = {}
    for chunk in store.read(START):
        for record in chunk.events:
            task = msgspec.json.decode(record.payload).get("task")
            if record.type == "task.claimed":
                workers.setdefault(task, set()).add(record.agent)
            elif record.type in ("task.review_claimed", "task.approved", "task.rejected"):
                assert record.agent not in workers[task]
            elif record.type == "task.completed":
                workers[task] = set()


class BoardOfFiles(Board):
    """The same with real files and segments of a few events, and sometimes a new process."""

    def make_store(self) -> Store:
        parent = os.environ.get("PYTEST_DEBUG_TEMPROOT")
        self.folder = tempfile.mkdtemp(dir=parent, prefix="orchestrator-model-")
        return self.new_store()

    def new_store(self) -> Store:
        return FileStore(self.folder, segment_size=1500, warn=_unexpected)

    def drop_snapshot(self) -> None:
        Path(self.folder, "state", "state.json").unlink(missing_ok=True)

    def open(self) -> None:
        self.store = self.new_store()
        super().open()

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.folder)


def _unexpected(sentence: str) -> None:
    raise AssertionError(sentence)


class BoardOfDatabase(Board):
    """The same in a database, and sometimes with a new connection."""

    def make_store(self) -> Store:
        self.url = f"{postgres_server.shared().new_board()}&commit=asynchronous"
        return PostgresStore(self.url)

    def drop_snapshot(self) -> None:
        assert isinstance(self.store, PostgresStore)
        self.store._connection.execute("DELETE FROM orchestrator.snapshots")

    def open(self) -> None:
        self.store.close()
        self.store = PostgresStore(self.url)
        super().open()


TestBoard = Board.TestCase
TestBoard.settings = settings(
    max_examples=int(os.environ.get("ORC_EXAMPLES", settings().max_examples)),
    stateful_step_count=40,
)
TestBoardOfFiles = BoardOfFiles.TestCase
TestBoardOfFiles.settings = settings(
    max_examples=max(1, TestBoard.settings.max_examples // 4), stateful_step_count=40
)
TestBoardOfDatabase = pytest.mark.skipif(
    not postgres_server.is_here(), reason="no PostgreSQL server is installed here"
)(BoardOfDatabase.TestCase)
TestBoardOfDatabase.settings = settings(
    max_examples=max(1, TestBoard.settings.max_examples // 20), stateful_step_count=40
)
