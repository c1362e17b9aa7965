"""Boards for tests: a clock that tests set, and the law that holds after every test.

The law: the state of a living board, the fold of its log, and ``state.json`` are the same bytes.
"""

import os
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator import Orchestrator, snapshot
from orchestrator import snapshot_schedule as schedule
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.store import START, Cursor, Store
from orchestrator.core.transaction import Transaction
from orchestrator.domain.merges import queue
from orchestrator.domain.merges.records import Proposal
from orchestrator.domain.state import State
from orchestrator.domain.tasks.ids import prefix_of
from orchestrator.domain.tasks.ready_queue import HeldResource, Schedule
from orchestrator.domain.tasks.records import ENDED, Task, rank_of
from orchestrator.domain.tasks.relations import Progress
from orchestrator.domain.tasks.resources import Need
from orchestrator.domain.tasks.verification_events import TaskSubmitted
from orchestrator.stores.memory import MemoryPresence, MemoryStore
from orchestrator.stores.postgres import PostgresStore
from orchestrator.stores.postgres.rows import RowPresence
from tests import postgres_server

MORNING = 1_795_241_580.0
"""2026-11-21T06:13:00Z: where the clock of every test begins."""


def new_store() -> Store:
    """The store of a new board: in memory, or in a database if ``ORC_TEST_STORE`` says so."""
    if os.environ.get("ORC_TEST_STORE") == "postgres":
        return PostgresStore(f"{postgres_server.shared().new_board()}&commit=asynchronous")
    return MemoryStore()


def set_seen(orc: Orchestrator, agent: str, moment: float) -> None:
    """Set when an agent was last active, for which stores have a clock of their own."""
    presence = orc.engine.presence
    if isinstance(presence, MemoryPresence):
        presence.times[agent] = moment
    else:
        assert isinstance(presence, RowPresence)
        presence._connection.execute(
            "INSERT INTO orchestrator.presence VALUES (%s, %s, to_timestamp(%s))"
            " ON CONFLICT (board, agent) DO UPDATE SET seen_at = excluded.seen_at",
            (presence._board, agent, moment),
        )


class SettableClock:
    """A clock in seconds since 1970 that only a test advances."""

    def __init__(self, seconds: float = MORNING) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


def add(orc: Orchestrator, title: str = "x", workstream: str = "build", **facts: Any) -> str:
    """Add a task, and return its id."""
    return orc.tasks.add(workstream, title=title, **facts).id


def hand_in(orc: Orchestrator, task: str, commit: str = "a" * 40, target: str = "main") -> None:
    """Hand in a task in work with a branch, as completing it does after git was asked."""
    branch = f"task/{task}"
    proposal = Proposal(branch=branch, target=target, commit=commit, strategy="merge")

    def within(tx: Transaction[State]) -> None:
        author = tx.act_as(tx.state.tasks[task].assigned_to)
        tx.record(TaskSubmitted(task=task, result="x", proposal=proposal))
        queue.enter(tx, proposal, author=author, task=task)

    orc.engine.run("tests.hand_in", within, lambda *_: None, None)


def fold(store: Store) -> tuple[State, Cursor]:
    """The state folded from the log alone, and the last line."""
    state, position = State(), START
    for chunk in store.read(START):
        state.fold(chunk.events)
        position = chunk.end
    return state, position


def check_law(orc: Orchestrator) -> None:
    """Check fold(log) == live state == state.json, and that derived data agrees with its source."""
    live = orc.engine
    folded = as_text(*fold(live.store))
    assert as_text(live.read(), live.position) == folded, "the live state is not the fold"
    check_saved(orc, folded)
    check_derived(live.read())
    orc.close()
    check_saved(orc, folded, must_be_recent=live._changed)


def check_saved(orc: Orchestrator, folded: str, *, must_be_recent: bool = False) -> None:
    """``state.json`` and the tail of the log after it are the fold.

    Args:
        orc: The board.
        folded: The fold of its log.
        must_be_recent: A snapshot exists: of the last event if it is small, else at most an eighth of its
            size behind.
    """
    size = len(saved_bytes(orc.engine.store))
    snap = saved_state(orc.engine.store)
    if snap is None:
        assert not must_be_recent, "there is no whole state.json"
        return
    state, position = snap
    tail = 0
    for chunk in orc.engine.store.read(position):
        state.fold(chunk.events)
        tail += sum(len(record.payload) + schedule.ENVELOPE for record in chunk.events)
        position = chunk.end
    assert as_text(state, position) == folded, "state.json and the tail are not the fold"
    if must_be_recent:
        assert tail <= (size * schedule.TAIL if size >= schedule.SMALL else 0), (
            "state.json is too old"
        )


def saved_bytes(store: Store) -> bytes:
    """The bytes of the snapshot; empty if there is none."""
    file = store.open_snapshot()
    return file.read(0, file.size) if file is not None else b""


def saved_state(store: Store) -> tuple[State, Cursor] | None:
    """The state and the position in the snapshot, with its cold files; None if it cannot be used."""

    def damaged(_: int) -> State:
        raise AssertionError("a cold file is damaged")

    file = store.open_snapshot()
    loaded = file and snapshot.load(file, store.cursor_type, store.cold, damaged, print)
    return (loaded.state, loaded.cursor) if loaded else None


def as_text(state: State, position: Cursor) -> str:
    """Every field of every record, in order: equal texts mean equal states."""
    return f"{state!r}\n{position!r}".replace("), '", "),\n'")


def check_derived(state: State) -> None:
    """Check that the updated schedule equals a new one from the records alone."""
    assert holds(state.schedule) == holds(
        Schedule(state.tasks, state.workstreams, state.locks, state.agents)
    )
    running = {task.id for task in state.tasks.values() if task.status == "in_progress"}
    assert {task.id for task in state.schedule.running()} == running
    for task in state.tasks.values():
        open_needs = [need for need in task.needs if not state.tasks.is_done(need)]
        open_needs += [n for n in task.needs_failure_of if state.tasks.status_of(n) != "failed"]
        assert task.open_needs == len(open_needs), task.id
        assert task.held == any(map(_keeps_children, _open_parents(state, task))), task.id
        assert task.waiting == _waits_for_children(state, task), task.id
        assert (task.progress or Progress(0, 0, 0)) == _progress(state, task), task.id
    prefixes = map(prefix_of, (*state.tasks, *state.tasks.archived))
    assert {*filter(None, prefixes)} <= state.tasks.prefixes.keys()
    for root, steps in state.workflows.steps.items():
        if not state.tasks.archived.keys() & steps:
            work = [
                state.tasks[s]
                for s in steps
                if not state.tasks[s].milestone or s in state.workflows
            ]
            done = sum(task.status == "done" for task in work)
            cancelled = sum(task.status == "cancelled" for task in work)
            assert state.workflows.work.get(root, Progress(0, 0, 0)) == Progress(
                len(work), done, cancelled
            ), root
    for name in state.workstreams:
        counted: dict[str, int] = {}
        for task in state.tasks.values():
            if task.workstream == name:
                counted[task.status] = counted.get(task.status, 0) + 1
        for task_id, archived in state.tasks.archived.items():
            if archived.workstream == name and task_id not in state.tasks.deleted:
                counted[archived.outcome] = counted.get(archived.outcome, 0) + 1
        assert {status: n for status, n in state.tasks.counts[name].items() if n} == counted


def _open_parents(state: State, task: Task) -> list[Task]:
    """The parents above a task, up to the first that has ended or is archived."""
    above: list[Task] = []
    parent = state.tasks.get(task.parent or "")
    while parent is not None and parent.status not in ENDED:
        above.append(parent)
        parent = state.tasks.get(parent.parent or "")
    return above


def _keeps_children(parent: Task) -> bool:
    awaited = any(not signal.given_at for signal in parent.signals)
    return parent.status == "blocked" or parent.open_needs > 0 or awaited


def _children(state: State, task_id: str) -> list[str]:
    """The status of each child of a task, including archived ones."""
    live = [task.status for task in state.tasks.values() if task.parent == task_id]
    gone = [i for i in state.tasks.children.get(task_id, ()) if i in state.tasks.archived]
    return live + [state.tasks.archived[i].outcome for i in gone]


def _progress(state: State, task: Task) -> Progress:
    children = _children(state, task.id)
    return Progress(len(children), children.count("done"), children.count("cancelled"))


def _waits_for_children(state: State, task: Task) -> bool:
    if task.gate is None:
        return False
    children = _children(state, task.gate.of)
    if task.gate.how == "any":
        return "done" not in children
    return not children or any(status not in ("done", "cancelled") for status in children)


def naive_is_free(state: State, task: Task, now: str) -> bool:
    """Whether any agent may take a task, by the definition."""
    lapsed = task.status in ("assigned", "in_progress") and task.lease_until <= now
    return (
        (task.status == "pending" or lapsed)
        and all(map(state.tasks.is_done, task.needs))
        and not any(map(_keeps_children, _open_parents(state, task)))
        and not _waits_for_children(state, task)
        and task.defer_until <= now
    )


def holds(schedule: Schedule) -> set[HeldResource]:
    """All resources that locks and running tasks hold, also with leases that have ended."""
    return set(schedule.collisions(Need("**"), None, ""))


def any_task(_task: Task) -> bool:
    return True


def naive_best(
    state: State,
    workstream: str | None,
    agent: str,
    now: str,
    fits: Callable[[Task], bool] = any_task,
) -> Task | None:
    """The task that ``next`` must return, by the definition: filter all, then sort all.

    Tasks that any agent may take have to fit.
    """
    best: list[tuple[int, int, tuple[int, int, str], Task]] = []
    fresh = Schedule(state.tasks, state.workstreams, state.locks, state.agents)
    for task in state.tasks.values():
        stream = state.workstreams[task.workstream]
        if workstream not in (None, task.workstream) or stream.status != "active":
            continue
        free = naive_is_free(state, task, now)
        mine = task.assigned_to == agent and (
            free or naive_is_free(state, replace(task, status="pending"), now)
        )
        if task.status == "in_progress" and task.lease_until > now:
            mine = False
        hung = mine and state.agents.hooks.get(agent) == task.id
        queued = mine and task.status == "assigned"
        free = free and fits(task)
        if (free or hung or queued) and not fresh.task_collisions(task, agent, now):
            first = 0 if hung else 1 if queued else 2
            priority = stream.priority if first == 2 else 0
            best.append((first, priority, rank_of(task), task))
    return min(best, key=lambda entry: entry[:3])[3] if best else None


def naive_best_review(
    state: State,
    workstream: str | None,
    agent: str,
    now: str,
    fits: Callable[[Task], bool] = any_task,
) -> Task | None:
    """The review that ``next`` must return, by the definition."""
    record = state.agents.get(agent)
    streams = state.workstreams
    due = [
        (streams[task.workstream].priority, rank_of(task), task)
        for task in state.tasks.values()
        if task.status == "in_review"
        and fits(task)
        and agent not in task.all_workers
        and (task.reviewer is None or task.review_until <= now)
        and (record is None or record.suits(task))
        and workstream in (None, task.workstream)
        and streams[task.workstream].status == "active"
    ]
    return min(due, key=lambda entry: entry[:2])[2] if due else None


def code_of(call: Callable[[], object]) -> str:
    """The code of the error that refuses a call."""
    with pytest.raises(OrchestratorError) as caught:
        call()
    return caught.value.code


@contextmanager
def changes_nothing(orc: Orchestrator):
    """Check that the block adds no event and does not change the state."""
    before = as_text(orc.engine.read(), orc.engine.position)
    yield
    assert as_text(orc.engine.read(), orc.engine.position) == before
