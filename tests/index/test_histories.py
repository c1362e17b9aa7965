"""Random histories: an index updated in any steps equals a new one, and matches the fold."""

import sqlite3

from boards import fold
from hypothesis import settings
from hypothesis.stateful import rule

from orchestrator.core.store import Store
from orchestrator.index import writing
from tests.engine.test_model import Board

from .comparing import built, check_sound, contents


class IndexedBoard(Board):
    """A real board with an index that is updated sometimes."""

    def __init__(self) -> None:
        super().__init__()
        self.index = built(self.store)

    @rule()
    def the_index_follows(self) -> None:
        writing.follow(self.index, self.store)

    def teardown(self) -> None:
        self.the_index_follows()
        check_is_index_of(self.index, self.store)
        super().teardown()


def check_is_index_of(index: sqlite3.Connection, store: Store) -> None:
    """Check that an index equals a new one, is sound, and matches the fold."""
    assert contents(index) == contents(built(store))
    check_sound(index)
    check_is_fold(index, store)


def check_is_fold(index: sqlite3.Connection, store: Store) -> None:
    """Check the tables against the state, without the code that wrote them."""
    state, _ = fold(store)
    live = {
        (t.id, t.title, t.status, t.priority, t.assigned_to, t.open_needs, t.result, len(t.notes))
        for t in state.tasks.values()
    }
    assert live == set(
        index.execute(
            "SELECT id, title, status, priority, assigned_to, open_needs, result,"
            " (SELECT count(*) FROM notes n WHERE n.task = tasks.id) FROM tasks"
            " WHERE archived_at IS NULL"
        )
    )
    assert {
        (id, t.outcome) for id, t in state.tasks.archived.items() if id not in state.tasks.deleted
    } == set(index.execute("SELECT id, status FROM tasks WHERE archived_at IS NOT NULL"))
    assert {
        (lock.resource, h.agent, h.until) for lock in state.locks.values() for h in lock.holders
    } == set(index.execute("SELECT resource, agent, until FROM locks WHERE ended_at IS NULL"))
    last = dict(index.execute("SELECT task, after FROM transitions ORDER BY event"))
    statuses = dict(index.execute("SELECT id, status FROM tasks"))
    assert last.keys() - statuses.keys() == state.tasks.deleted.keys()
    assert {task: last[task] for task in statuses} == statuses
    assert dict(index.execute("SELECT id, workstream FROM tasks WHERE archived_at IS NULL")) == {
        task.id: task.workstream for task in state.tasks.values()
    }
    assert (
        index.execute("SELECT count(*), coalesce(max(id), 0) FROM events").fetchone()
        == (state.event,) * 2
    )


TestIndexedBoard = IndexedBoard.TestCase
TestIndexedBoard.settings = settings(max_examples=25, stateful_step_count=40)
