"""All boards of a process that wait for commits in a database share one connection that listens."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
import pytest

from orchestrator.core import flow
from orchestrator.core.store import START, Cursor
from orchestrator.stores.postgres import PostgresStore, listening, log
from orchestrator.stores.postgres.connection import Lost
from tests.postgres_faults import break_all, sent_by

from .building import WAIT, fill, records, texts_of

CONNECTIONS = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'orc%'"


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


def connections(admin: psycopg.Connection) -> set[int]:
    return {pid for (pid,) in admin.execute(CONNECTIONS).fetchall()}


@pytest.mark.usefixtures("never_looks")
def test_one_connection_listens_for_all_boards_of_a_process_until_the_last_one_is_closed(
    url: str, admin: psycopg.Connection, pool: ThreadPoolExecutor
) -> None:
    writer, *stores = (PostgresStore(url) for _ in range(5))
    (end,) = fill(writer, ["a"])
    before = connections(admin)
    waits = waiting(pool, stores, end)
    (listens,) = connections(admin) - before
    fill(writer, ["b"])
    assert [wait.result(WAIT) for wait in waits] == [True] * 4
    for store in stores[:3]:
        store.close()
    assert stores[3]._announcements._connection.is_open
    stores[3].close()
    until(lambda: listens not in connections(admin))
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
    shared = stores[0]._announcements
    broken = shared._listens_on
    break_all(admin)
    until(lambda: shared._listens_on > broken)
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
            # The handler of the test run would continue the tests in this process.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(round(WAIT))
            waited = store.wait(end, 0.05)
            fill(store, ["b"])
            status = 7 if not waited and store.wait(end, WAIT) and [*store.read(end)] else 8
        finally:
            os._exit(status)
    forked.set()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert wait.result(WAIT)
    fill(writer, ["c"])
    assert texts_of(store) == ["a", "b", "c"]


def test_a_connection_that_was_cut_before_does_not_end_a_wait(
    url: str, admin: psycopg.Connection
) -> None:
    store = PostgresStore(url)
    (end,) = fill(store, ["a"])
    for known in 1, 9:  # the latter is a false announcement
        assert not store.wait(end, 0.01)
        store._announcements._end = known
        break_all(admin)
        assert not store.wait(end, 0.01)


def test_a_connection_that_breaks_at_the_end_of_a_wait_does_not_matter(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is asked then anyway, on another connection."""
    store = PostgresStore(url)
    (end,) = fill(store, ["a"])

    def breaks(timeout: float) -> list[str]:
        time.sleep(timeout)
        raise Lost("The connection broke")

    assert not store.wait(end, 0.01)
    monkeypatch.setattr(store._announcements._connection, "notified", breaks)
    assert not store.wait(end, 0.01)
    fill(PostgresStore(url), ["b"])
    assert store.wait(end, 0.01)


@pytest.mark.usefixtures("never_looks")
def test_a_store_that_waits_for_the_lock_lets_all_threads_go_on_waiting_for_commits(
    url: str, admin: psycopg.Connection, pool: ThreadPoolExecutor
) -> None:
    """Also its own ones, and those for which one of its threads listens."""
    writer, store, other = (PostgresStore(url) for _ in range(3))
    (end,) = fill(writer, ["a"])
    waits = waiting(pool, [store, other], end)

    def wait_for_lock() -> None:
        with store.locked("wait", WAIT):
            pass

    with writer.locked("hold", WAIT):
        locks = pool.submit(wait_for_lock)
        until(lambda: admin.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchall())
        assert not store.wait(end, 0.01)
        writer.append(records(end, "b"), end)
        admin.execute("SELECT pg_notify(%s, '2')", (store._channel,))
        assert [wait.result(WAIT) for wait in waits] == [True] * 2
        assert not locks.done()
    locks.result(WAIT)


@pytest.mark.usefixtures("never_looks")
def test_after_an_interrupt_before_it_listens_a_process_listens_all_the_same(
    url: str, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PostgresStore(url)
    (end,) = fill(store, ["a"])

    def interrupt(_query: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(store._announcements._connection, "execute", interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.wait(end, WAIT)
    (wait,) = waiting(pool, [store], end)
    fill(PostgresStore(url), ["b"])
    assert wait.result(WAIT)


def test_a_board_that_is_far_behind_reads_the_log_page_by_page(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not all of it at once, for all boards of the process."""
    monkeypatch.setattr(log, "PAGE", 100)
    store = PostgresStore(url)
    fill(PostgresStore(url), *[["x"] * 50] * 9)
    assert store.wait(START, WAIT)
    sent = sent_by(store)
    assert len(next(store.read(START)).events) == 100
    assert len(sent) == 1


def test_a_store_that_is_closed_while_a_thread_waits_leaves_no_connection(
    url: str, pool: ThreadPoolExecutor
) -> None:
    store = PostgresStore(url)
    (end,) = fill(store, ["a"])
    (wait,) = waiting(pool, [store], end, 0.2)
    store.close()
    assert not wait.result(WAIT)
    shared = store._announcements
    assert [shared._connection.is_open, store._connection.is_open] == [False, False]


def test_a_read_of_another_task_in_the_thread_that_waited_asks_the_server(url: str) -> None:
    """A task that was cancelled after its wait reads nothing any more, but its thread is used again."""
    store, other = PostgresStore(url), PostgresStore(url)
    (end,) = fill(store, ["a"])
    assert not store.wait(end, 0.01)  # from now on the process listens
    fill(other, ["b"])
    with flow.acting_for((1, "cancelled")):
        assert store.wait(end, WAIT)
    assert store._announcements.latest(end, 2)
    fill(other, ["c"])
    with flow.acting_for((1, "next")):
        assert sum(len(chunk.events) for chunk in store.read(end)) == 2


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
