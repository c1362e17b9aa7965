"""All boards of a process that wait for commits in a database share one connection that listens."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
import pytest

from orchestrator.core.store import Cursor
from orchestrator.stores.postgres import PostgresStore, listening
from tests.postgres_faults import break_all, sent_by

from .building import WAIT, fill, texts_of

LISTENING = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND state = 'idle'"


@pytest.fixture
def never_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Announcements alone end a wait."""
    monkeypatch.setattr(listening, "_LOOK", 3600.0)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def waiting(
    pool: ThreadPoolExecutor, stores: list[PostgresStore], end: Cursor, timeout: float = WAIT
) -> "list[Future[bool]]":
    """Begin to wait with each store; returns once all of them wait."""
    shared = stores[0]._announcements
    begun = [pool.submit(store.wait, end, timeout) for store in stores]
    until(
        lambda: (
            shared._is_heard
            and shared._looked > 0  # so it listens
            and len(shared._changed._waiters) == len(stores) - 1  # type: ignore[attr-defined]
        )
    )
    return begun


def until(is_true: Callable[[], object]) -> None:
    while not is_true():
        time.sleep(0.001)


def listening_now(admin: psycopg.Connection) -> list[int]:
    return [pid for (pid,) in admin.execute(LISTENING).fetchall()]


@pytest.mark.usefixtures("never_looks")
def test_one_connection_listens_for_all_boards_of_a_process_until_the_last_one_is_closed(
    url: str, admin: psycopg.Connection, pool: ThreadPoolExecutor
) -> None:
    before = set(listening_now(admin))
    writer, *stores = (PostgresStore(url) for _ in range(5))
    (end,) = fill(writer, ["a"])
    waits = waiting(pool, stores, end)
    assert len(set(listening_now(admin)) - before) == 1
    fill(writer, ["b"])
    assert [wait.result(WAIT) for wait in waits] == [True] * 4
    for store in stores[:3]:
        store.close()
    assert stores[3]._announcements._connection.is_open
    stores[3].close()
    until(lambda: set(listening_now(admin)) <= before)
    assert not stores[3].wait(Cursor(2), 0)


@pytest.mark.usefixtures("never_looks")
def test_when_the_thread_that_listens_stops_another_one_listens(
    url: str, pool: ThreadPoolExecutor
) -> None:
    writer, first, *others = (PostgresStore(url) for _ in range(4))
    (end,) = fill(writer, ["a"])
    listens = pool.submit(first.wait, end, 0.3)
    until(lambda: first._announcements._is_heard)
    waits = [pool.submit(store.wait, end, WAIT) for store in others]
    assert listens.result(WAIT) is False
    fill(writer, ["b"])
    assert [wait.result(WAIT) for wait in waits] == [True] * 2


@pytest.mark.usefixtures("never_looks")
def test_all_boards_go_on_waiting_when_the_connection_that_listens_breaks(
    url: str, admin: psycopg.Connection, pool: ThreadPoolExecutor
) -> None:
    stores = [PostgresStore(url) for _ in range(3)]
    (end,) = fill(stores[0], ["a"])
    waits = waiting(pool, stores, end)
    broken = listening_now(admin)
    break_all(admin)
    until(lambda: set(listening_now(admin)) - set(broken))
    fill(PostgresStore(url), ["b"])
    assert [wait.result(WAIT) for wait in waits] == [True] * 3


def test_a_log_that_was_set_back_ends_all_waits(
    url: str, admin: psycopg.Connection, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as that of a replica that was promoted without the last commits."""
    monkeypatch.setattr(listening, "_LOOK", 0.05)
    stores = [PostgresStore(url) for _ in range(3)]
    _, end = fill(stores[0], ["a"], ["b"])
    waits = waiting(pool, stores, end)
    admin.execute("UPDATE orchestrator.boards SET head = 1 WHERE id = %s", (stores[0]._board,))
    assert [wait.result(WAIT) for wait in waits] == [True] * 3


@pytest.mark.usefixtures("never_looks")
def test_a_false_announcement_ends_one_wait_of_each_board_and_not_the_next(
    url: str, admin: psycopg.Connection, pool: ThreadPoolExecutor
) -> None:
    stores = [PostgresStore(url) for _ in range(3)]
    (end,) = fill(stores[0], ["a"])
    waits = waiting(pool, stores, end)
    admin.execute("SELECT pg_notify(%s, '99')", (stores[0]._channel,))
    assert [wait.result(WAIT) for wait in waits] == [True] * 3
    assert [list(store.read(end)) for store in stores] == [[]] * 3
    sent = sent_by(stores[0])
    assert not stores[0].wait(end, 0.2)
    assert len(sent) == 2, sent  # it looks at the log before it waits, and at the end


@pytest.mark.usefixtures("never_looks")
def test_a_commit_between_the_read_and_the_wait_of_a_board_ends_the_wait(
    url: str, pool: ThreadPoolExecutor
) -> None:
    """Another thread has heard the announcement already."""
    late, *stores = (PostgresStore(url) for _ in range(3))
    (end,) = fill(late, ["a"])
    waits = waiting(pool, stores, end)
    (last,) = fill(PostgresStore(url), ["b"])
    assert [wait.result(WAIT) for wait in waits] == [True] * 2
    again = waiting(pool, stores, last)
    assert late.wait(end, WAIT)
    fill(late, ["c"])
    assert [wait.result(WAIT) for wait in again] == [True] * 2


@pytest.mark.needs("after_fork")
@pytest.mark.usefixtures("never_looks")
def test_a_fork_does_not_wait_for_threads_of_its_parent(url: str, pool: ThreadPoolExecutor) -> None:
    held, forked = threading.Event(), threading.Event()

    def hold() -> None:
        with store._announcements._changed:
            held.set()
            forked.wait(WAIT)

    store, writer = PostgresStore(url), PostgresStore(url)
    (end,) = fill(store, ["a"])
    (wait,) = waiting(pool, [store], end)
    pool.submit(hold)
    held.wait(WAIT)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            # The handler of the tests would go on with them.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(round(WAIT))
            status = 7 if store.wait(end, 0.05) is False else 8
        finally:
            os._exit(status)
    forked.set()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    fill(writer, ["b"])
    assert wait.result(WAIT)
    assert texts_of(store) == ["a", "b"]


def test_threads_that_wait_again_and_again_miss_no_commit(
    url: str, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "_LOOK", 3600.0)
    stores = [PostgresStore(url) for _ in range(5)]
    (end,) = fill(stores[0], ["a"])

    def follow(store: PostgresStore) -> list[int]:
        seen, position = list[int](), end
        while len(seen) < 60:
            assert store.wait(position, WAIT)
            for chunk in store.read(position):
                seen += [record.id for record in chunk.events]
                position = chunk.end
        return seen

    follows = [pool.submit(follow, store) for store in stores]
    writers = [PostgresStore(url) for _ in range(2)]
    writes = [pool.submit(fill, store, *[["x"]] * 30) for store in writers]
    assert [write.exception(WAIT) for write in writes] == [None] * 2
    assert [each.result(WAIT) for each in follows] == [list(range(2, 62))] * 5
