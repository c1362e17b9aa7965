"""What only a store in a database promises: connections break, servers die, machines have other clocks."""

import os
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import psycopg
import pytest

from orchestrator import Orchestrator, snapshot_schedule
from orchestrator.core import clock, system
from orchestrator.core.errors import (
    BadName,
    Damage,
    InputOutputError,
    NoBoard,
    OutcomeUnknown,
    Refused,
    TimedOut,
    UsageError,
)
from orchestrator.core.store import START, Chunk
from orchestrator.interfaces.cli.main import main
from orchestrator.stores.files.lines import crc_of
from orchestrator.stores.postgres import PostgresStore, address, log, schema, sole_writer
from orchestrator.stores.postgres.connection import Lost
from tests.postgres_faults import break_all, lose_answer, sent_by, sent_on
from tests.postgres_server import Server, running

from .building import WAIT, add, end_of, fill, lines, texts_of


@pytest.fixture
def mortal() -> Iterator[Server]:
    """A server that the test may kill."""
    with running() as server:
        yield server


# The address


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:secret@db/work",
        "postgresql://ann@db/work?password=secret",
        "postgresql://ann@db/work?board=b&sslpassword=secret",
        "postgresql://ann:1/secret@db/work",
        "postgresql://ann:1#secret@db/work",
    ],
)
def test_an_address_with_a_password_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError) as raised:
        address.parse(url)
    assert raised.value.code == "password_in_url"
    assert "secret" not in f"{raised.value.message} {raised.value.hint}"


def test_an_address_has_the_board_and_leaves_the_rest_to_the_library() -> None:
    parsed = address.parse("postgres://ann@db:5433/work?sslmode=require&board=web")
    assert parsed.database == "postgresql://ann@db:5433/work?sslmode=require"
    assert parsed.board == "web"
    assert str(parsed) == "postgresql://ann@db:5433/work?sslmode=require&board=web"
    assert address.parse("postgresql:///work").board == "main"
    assert address.parse("postgresql:///work?board=web").database == "postgresql:///work"


def test_the_name_of_a_board_is_checked_like_every_name() -> None:
    with pytest.raises(BadName):
        address.parse("postgresql:///work?board=..")


def test_an_unknown_kind_of_commit_is_refused() -> None:
    with pytest.raises(UsageError):
        address.parse("postgresql:///work?commit=never")


# Opening


def test_who_only_reads_makes_no_board(url: str) -> None:
    with pytest.raises(NoBoard):
        PostgresStore(url, create=False)
    assert PostgresStore(url).is_new
    assert not PostgresStore(url, create=False).is_new


def test_boards_of_one_database_know_nothing_of_each_other(postgres: Server) -> None:
    one, other = PostgresStore(postgres.new_board()), PostgresStore(postgres.new_board())
    fill(one, ["a"])
    fill(other, ["x"], ["y"])
    one.documents.write("knowledge/a.md", b"a")
    assert (texts_of(one), texts_of(other)) == (["a"], ["x", "y"])
    assert other.documents.read("knowledge/a.md") is None


def test_a_server_that_may_lose_commits_is_refused_unless_that_is_asked_for(
    url: str, admin: psycopg.Connection
) -> None:
    name = "careless"
    admin.execute(f"CREATE ROLE {name} LOGIN SUPERUSER")
    admin.execute(f"ALTER ROLE {name} SET synchronous_commit = off")
    careless = url.replace("orc@", f"{name}@")
    with pytest.raises(Refused) as raised:
        PostgresStore(careless)
    assert raised.value.code == "unsafe_database"
    fill(PostgresStore(f"{careless}&commit=asynchronous"), ["a"])


def test_tables_of_a_newer_version_are_refused(mortal: Server) -> None:
    PostgresStore(mortal.url)
    with psycopg.connect(mortal.url, autocommit=True) as admin:
        admin.execute("UPDATE orchestrator.version SET number = %s", (schema.VERSION + 1,))
    with pytest.raises(Refused) as raised:
        PostgresStore(mortal.url)
    assert raised.value.code == "newer_version"


def test_tables_of_an_older_version_are_brought_forward_with_their_boards(mortal: Server) -> None:
    """And a program of the older version that has a board open changes nothing any more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "_VERSIONS", schema._VERSIONS[:1])
        patch.setattr(schema, "VERSION", 1)
        with psycopg.connect(mortal.url, autocommit=True) as admin:
            PostgresStore(mortal.url)
            for number, line in enumerate(lines(START, "a", "b").decode().splitlines(), 1):
                admin.execute("INSERT INTO orchestrator.events VALUES (1, %s, %s)", (number, line))
            admin.execute(
                "UPDATE orchestrator.boards SET head = 2, crc = %s", (crc_of(line.encode()),)
            )
    store = PostgresStore(mortal.url)
    assert texts_of(store) == ["a", "b"]
    fill(store, ["c"])
    with psycopg.connect(mortal.url, autocommit=True) as admin:
        admin.execute("UPDATE orchestrator.version SET number = %s", (schema.VERSION + 1,))
    with pytest.raises(Refused) as raised:
        fill(store, ["d"])
    assert raised.value.code == "newer_version"


def test_the_statements_of_a_released_version_do_not_change() -> None:
    """Databases were made with these statements. A change belongs in the next version."""
    checksums = [zlib.crc32(statements.encode()) for statements in schema._VERSIONS]
    assert checksums == [3087773114, 12782603, 3251615230, 2472736546, 3345209161]


def test_lines_are_read_by_the_index_also_by_a_plan_of_a_small_table(mortal: Server) -> None:
    store = PostgresStore(mortal.url)
    fill(store, ["a", "b", "c"])
    with psycopg.connect(mortal.url) as connection:
        connection.execute("ANALYZE orchestrator.events")
        for _ in range(12):  # the first five calls of a session are planned each
            lines = connection.execute("SELECT orchestrator.lines_from(1, 2, 10, 1000)").fetchall()
            assert len(lines) == 2
        scans = "SELECT pg_stat_get_xact_numscans('orchestrator.events'::regclass)"
        assert connection.execute(scans).fetchone() == (0,)


def test_an_upgrade_waits_for_the_command_of_a_program_that_has_the_board_open(
    mortal: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, upgraded = PostgresStore(mortal.url), threading.Event()

    def upgrade() -> None:
        PostgresStore(mortal.url)
        upgraded.set()

    monkeypatch.setattr(schema, "_VERSIONS", (*schema._VERSIONS, "SELECT 1"))
    with store.locked("test", WAIT):
        monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
        thread = threading.Thread(target=upgrade)
        thread.start()
        with psycopg.connect(mortal.url, autocommit=True) as admin:
            while not admin.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
                pass
        add(store, START, "a")
        assert not upgraded.is_set()
    thread.join()
    assert texts_of(store) == ["a"]


def test_processes_that_open_a_new_database_at_once_make_its_tables_once(mortal: Server) -> None:
    with ThreadPoolExecutor(6) as pool:
        opened = [pool.submit(lambda: fill(PostgresStore(mortal.url), ["a"])) for _ in range(6)]
    assert [each.exception() for each in opened] == [None] * 6
    assert texts_of(PostgresStore(mortal.url)) == ["a"] * 6


def test_a_server_that_is_not_there_is_an_error_that_names_it_without_a_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--board", "postgresql://orc@127.0.0.1:1/none", "status"]) == 74
    error = capsys.readouterr().err
    assert "postgresql://orc@127.0.0.1:1/none cannot be used" in error
    assert "createdb" in error


def test_a_command_that_makes_the_board_names_it(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--board", url, "ws", "create", "build"]) == 0
    assert f"There was no board {url}: it was made" in capsys.readouterr().err


# Damage


def test_a_changed_line_is_damage_and_what_is_before_it_is_read(
    url: str, admin: psycopg.Connection
) -> None:
    store = PostgresStore(url)
    fill(store, ["a"], ["b"], ["c"])
    board = (store._board,)
    admin.execute(
        "UPDATE orchestrator.events SET line = replace(line, '\"b\"', '\"x\"')"
        " WHERE board = %s AND id = 2",
        board,
    )
    read: list[str] = []
    with pytest.raises(Damage, match="event 2"):
        read += [str(chunk.end.id) for chunk in store.read(START)]
    admin.execute("DELETE FROM orchestrator.events WHERE board = %s AND id = 2", board)
    with pytest.raises(Damage, match="event 2"):
        list(store.read(START))


@pytest.mark.parametrize("missing", [1, 2])
def test_a_missing_line_is_damage_when_the_log_is_read_backwards(
    url: str, admin: psycopg.Connection, missing: int
) -> None:
    store = PostgresStore(url)
    fill(store, ["a"], ["b"], ["c"])
    admin.execute(
        "DELETE FROM orchestrator.events WHERE board = %s AND id = %s", (store._board, missing)
    )
    read: list[int] = []
    with pytest.raises(Damage, match=f"event {missing}"):
        read.extend(record.id for record in store.read_backwards())
    assert read == list(range(3, missing, -1))


def test_a_commit_that_is_longer_than_a_page_is_read_as_a_whole(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "PAGE", 3)
    store = PostgresStore(url)
    texts = [str(number) for number in range(40)]
    fill(store, ["a"], texts, ["b"])
    assert texts_of(store) == ["a", *texts, "b"]
    sizes = [len(chunk.events) for chunk in store.read(START)]
    assert sum(sizes) == 42


# Messages to the server


def test_a_command_costs_three_messages_also_if_others_have_written_meanwhile(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock, which brings the new events; the commit; the release, which announces the commit."""
    monkeypatch.setattr(sole_writer, "ALONE", 1 << 60)
    # A slow machine would save a snapshot and a heartbeat too.
    monkeypatch.setattr(snapshot_schedule, "PAUSE", 3600.0)
    monkeypatch.setattr("orchestrator.stores.postgres.rows._FRESH", 3600.0)
    orc, other = Orchestrator.open(url), Orchestrator.open(url)
    orc.workstreams.create("build")
    store = orc.engine.store
    assert isinstance(store, PostgresStore)
    sent = sent_by(store)
    for number in range(3):
        task = other.tasks.add("build", title="of another").id
        other.tasks.claim(task, agent="ann")
        sent.clear()
        orc.tasks.add("build", title="mine")
        assert len(sent) == 3, sent
        sent.clear()
        orc.tasks.complete(task)
        assert number == 0 or len(sent) == 3, sent  # the first one reads the settings


def test_under_the_lock_a_document_is_read_once_until_one_is_changed_or_a_commit_has_happened(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = PostgresStore(url), PostgresStore(url)
    sent = sent_by(store)
    for text in (b"a", b"b"):
        other.documents.write("config.toml", text)
        for messages in (3, 2):
            sent.clear()
            with store.locked("test", WAIT):
                assert store.documents.read("config.toml") == text
            assert len(sent) == messages, sent
    with store.locked("test", WAIT):
        add(store, START, "a")
        other.documents.write("config.toml", b"c")
        assert store.documents.read("config.toml") == b"c"
        store.documents.write("config.toml", b"d")
        assert store.documents.read("config.toml") == b"d"
    other.documents.delete("config.toml")
    assert store.documents.read("config.toml") is None
    with store.locked("test", WAIT):
        assert store.documents.read("config.toml") is None


def test_under_the_lock_a_document_is_read_again_if_another_program_has_changed_it(
    url: str, admin: psycopg.Connection
) -> None:
    """Programs of an older version do not count changes; the database does."""
    store = PostgresStore(url)
    store.documents.write("config.toml", b"a")
    for text in (b"b", b"c"):
        admin.execute("UPDATE orchestrator.documents SET data = %s", (text,))
        with store.locked("test", WAIT):
            assert store.documents.read("config.toml") == text
    admin.execute("DELETE FROM orchestrator.documents")
    with store.locked("test", WAIT):
        assert store.documents.read("config.toml") is None


def test_a_statement_that_does_not_fit_into_the_buffer_of_the_system_is_sent_in_parts(
    url: str,
) -> None:
    store = PostgresStore(url)
    fill(store, ["x" * (15 << 20)], ["b"])
    assert [len(text) for text in texts_of(store)] == [15 << 20, 1]


def test_a_posted_statement_that_fails_or_ends_with_its_connection_does_not_disturb_the_next_one(
    url: str, admin: psycopg.Connection
) -> None:
    connection = PostgresStore(url)._connection
    connection.post("SELECT 1 / $1::integer", 0)
    assert connection.quick("SELECT $1::text", "a") == ["a"]
    connection.post("SELECT 1 / $1::integer", 0)
    assert connection.value("SELECT 2") == 2
    connection.post("SELECT 1")
    break_all(admin)
    assert connection.value("SELECT 3") == 3
    with pytest.raises(InputOutputError, match="division by zero"):
        connection.quick("SELECT 1 / $1::integer", 0)
    assert connection.quick("SELECT 1 WHERE false") == []


_WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
"""How many connections wait for the lock of a board."""


def test_an_interrupt_ends_the_wait_for_a_lock_and_the_statement_in_the_server(
    url: str, admin: psycopg.Connection
) -> None:
    store, other = PostgresStore(url), PostgresStore(url)

    def interrupt() -> None:
        while admin.execute(_WAITING).fetchone() == (0,):
            pass
        signal.raise_signal(signal.SIGINT)

    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    with other.locked("test", WAIT):
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt), store.locked("test", WAIT):
            pass
        thread.join()
        while admin.execute(_WAITING).fetchone() != (0,):
            pass
    signal.signal(signal.SIGINT, usual)
    fill(store, ["a"])


def test_threads_that_take_the_lock_do_not_read_the_answers_of_each_other(
    url: str, admin: psycopg.Connection
) -> None:
    store, other = PostgresStore(url), PostgresStore(url)

    def take() -> None:
        with store.locked("test", WAIT):
            pass

    with ThreadPoolExecutor(2) as pool:
        with other.locked("test", WAIT):
            first = pool.submit(take)
            while admin.execute(_WAITING).fetchone() == (0,):
                pass
            with pytest.raises(TimedOut, match="by another thread"), store.locked("test", 0.1):
                pass
            second = pool.submit(take)
        assert [each.exception(WAIT) for each in (first, second)] == [None, None]


def test_a_connection_is_closed_after_the_statement_of_another_thread(
    url: str, admin: psycopg.Connection
) -> None:
    connection = PostgresStore(url)._connection
    runs = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT % FROM pg_sleep(%'"
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(connection.quick, "SELECT 7 FROM pg_sleep(0.2)")
        while admin.execute(runs).fetchone() == (0,):
            pass
        connection.close()
        assert answer.result(WAIT) == ["7"]
    assert not connection.is_open


@pytest.mark.parametrize("is_impatient", [False, True])
@pytest.mark.parametrize("place", ["_checked", "_flush", "_wait"])
def test_after_an_interrupted_statement_the_next_one_gets_its_own_result(
    url: str, monkeypatch: pytest.MonkeyPatch, place: str, is_impatient: bool
) -> None:
    """Also if another interrupt comes before the statement is cancelled."""
    connection = PostgresStore(url)._connection
    usual = getattr(connection, place)

    def interrupted(*values: object) -> None:
        usual(*values)
        monkeypatch.undo()
        if is_impatient:
            monkeypatch.setattr(connection, "_cancel", Mock(side_effect=KeyboardInterrupt))
        raise KeyboardInterrupt

    monkeypatch.setattr(connection, place, interrupted)
    with pytest.raises(KeyboardInterrupt):
        connection.quick("SELECT $1::text FROM pg_sleep(0.01)", "a")
    assert connection.quick("SELECT $1::text FROM pg_sleep(0.01)", "b") == ["b"]
    assert connection.quick("SELECT $1::text", "b") == ["b"]
    assert connection.value("SELECT 1") == 1


def test_a_commit_whose_writer_was_killed_before_its_announcement_ends_a_wait_all_the_same(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.stores.postgres.listening._LOOK", 0.05)
    store, other = PostgresStore(url), PostgresStore(url)
    (end,) = fill(store, ["a"])
    with other.locked("test", WAIT):
        add(other, end, "b")  # the lock is not released yet, so nothing is announced
        assert store.wait(end, WAIT)
    (last,) = fill(other, ["c"])
    with other.locked("test", WAIT):
        woken = threading.Event()
        thread = threading.Thread(target=lambda: store.wait(last, WAIT) and woken.set())
        thread.start()
        add(other, last, "d")
        assert woken.wait(WAIT)
    thread.join()


def test_a_commit_that_wakes_many_boards_of_a_process_is_read_once(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = PostgresStore(url)
    (end,) = fill(writer, ["a"])
    stores = [PostgresStore(url) for _ in range(4)]
    read: list[Chunk] = []

    def follow(store: PostgresStore) -> None:
        assert store.wait(end, WAIT)
        read.extend(store.read(end))

    assert not stores[0].wait(end, 0.01)  # from now on the process listens
    sent = sent_on(stores[0]._announcements._connection)
    of_stores = [sent_by(store) for store in stores]
    with ThreadPoolExecutor(4) as pool:
        waits = [pool.submit(follow, store) for store in stores]
        fill(writer, ["b"])
    assert [each.exception() for each in waits] == [None] * 4
    assert len(read) == 4
    assert {chunk.end.id for chunk in read} == {2}
    assert (len(sent), of_stores) == (1, [[]] * 4)
    fill(writer, ["c"])
    assert [texts_of(store)[-1] for store in stores] == ["c"] * 4


def test_a_notification_of_another_role_can_end_a_wait_and_changes_nothing(
    url: str, admin: psycopg.Connection
) -> None:
    """Every role of a database may notify on every channel."""
    store = PostgresStore(url)
    (end,) = fill(store, ["a"])
    assert not store.wait(end, 0)
    for text in "", "x", "-1", "0", "9" * 30, "9" * 5000:
        admin.execute("SELECT pg_notify(%s, %s)", (store._channel, text))
    if store.wait(end, 0.5):
        assert list(store.read(end)) == []
    assert not store.wait(end, 0)
    assert texts_of(store) == ["a"]


def test_a_read_long_after_a_wait_reads_the_log(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store, other = PostgresStore(url), PostgresStore(url)
    (end,) = fill(store, ["a"])
    fill(other, ["b"])
    assert store.wait(end, WAIT)
    assert len(list(store.read(end))) == 1
    assert store.wait(end, WAIT)
    fill(other, ["c"])
    later = time.monotonic() + 2
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert sum(len(chunk.events) for chunk in store.read(end)) == 2


# Connections that break


def test_a_connection_that_breaks_between_commands_is_opened_again(
    url: str, admin: psycopg.Connection
) -> None:
    store = PostgresStore(url)
    fill(store, ["a"])
    break_all(admin)
    assert texts_of(store) == ["a"]
    break_all(admin)
    with store.locked("test", WAIT):
        add(store, end_of(store), "b")
    assert texts_of(store) == ["a", "b"]


def test_a_connection_that_breaks_under_the_lock_loses_the_lock_and_changes_nothing(
    url: str, admin: psycopg.Connection
) -> None:
    store, other = PostgresStore(url), PostgresStore(url)
    (end,) = fill(store, ["a"])
    with store.locked("test", WAIT):
        break_all(admin)
        fill(other, ["of another"])
        with pytest.raises(InputOutputError):
            add(store, end, "b")
    assert texts_of(store) == ["a", "of another"]


def test_a_lock_that_broke_is_not_that_of_the_next_connection(
    url: str, admin: psycopg.Connection
) -> None:
    """Reading connects again; the right to write is gone nevertheless, which is no damage."""
    store, other = PostgresStore(url), PostgresStore(url)
    (end,) = fill(store, ["a"])
    with store.locked("test", WAIT):
        break_all(admin)
        assert texts_of(store) == ["a"]
        with pytest.raises(InputOutputError, match="right to write"):
            add(store, end, "b")
        with other.locked("test", WAIT):
            add(other, end, "of another")
    assert texts_of(store) == ["a", "of another"]


def test_a_lock_is_waited_for_as_long_as_asked_whatever_the_server_allows_a_statement(
    mortal: Server,
) -> None:
    with psycopg.connect(mortal.url, autocommit=True) as admin:
        admin.execute("ALTER ROLE orc SET statement_timeout = 50")
    store, other = PostgresStore(mortal.url), PostgresStore(mortal.url)
    with other.locked("test", WAIT), pytest.raises(TimedOut), store.locked("test", 0.2):
        pass


def test_a_commit_whose_answer_is_lost_is_found_out(url: str, admin: psycopg.Connection) -> None:
    """The connection breaks after the server has committed, and before it answers."""
    store = PostgresStore(url)
    (end,) = fill(store, ["a"])
    lost = lose_answer(store, "moved", lambda: break_all(admin))
    with store.locked("test", WAIT):
        end = add(store, end, "b")
        add(store, end, "c")  # the lock was taken again
    assert len(lost) == 1
    assert texts_of(store) == ["a", "b", "c"]


def test_the_outcome_is_found_out_although_the_connection_breaks_again_and_another_commits(
    url: str, monkeypatch: pytest.MonkeyPatch, admin: psycopg.Connection
) -> None:
    store, other = PostgresStore(url), PostgresStore(url)
    (end,) = fill(store, ["a"])
    line = store._log.line

    def break_and_commit() -> None:
        break_all(admin)
        fill(other, ["of another"])

    def broken(_number: int) -> bytes | None:
        monkeypatch.setattr(store._log, "line", line)
        raise InputOutputError("The connection broke again")

    lost = lose_answer(store, "moved", break_and_commit)
    monkeypatch.setattr(store._log, "line", broken)
    with store.locked("test", WAIT):
        end = add(store, end, "b")
        (chunk,) = store.read(end)
        add(store, chunk.end, "c")
    assert len(lost) == 1
    assert texts_of(store) == ["a", "b", "of another", "c"]
    with other.locked("test", 0.5):
        pass


def test_a_commit_is_unknown_while_the_server_does_not_answer(mortal: Server) -> None:
    store = PostgresStore(mortal.url)
    (end,) = fill(store, ["a"])
    store._connection.patience = 0.5
    with store.locked("test", WAIT):
        mortal.kill()
        with pytest.raises(OutcomeUnknown):
            add(store, end, "b")
    mortal.start()
    store._connection.patience = WAIT
    with store.locked("test", WAIT):
        add(store, end_of(store), "c")
    assert texts_of(store)[-1] == "c"


WRITER = """
import sys
from orchestrator import Orchestrator, snapshot_schedule
from orchestrator.core.errors import InputOutputError, OutcomeUnknown, TimedOut
orc = Orchestrator.open(sys.argv[1], timeout=30)
for number in range(10_000):
    request = f"{sys.argv[2]}-{number}"
    while True:
        try:
            with orc.engine.request(request):
                orc.tasks.add("build", title=request)
            break
        except (InputOutputError, OutcomeUnknown, TimedOut):
            pass
    print(request, flush=True)
"""


def test_no_acknowledged_change_is_lost_or_doubled_when_the_server_is_killed(
    mortal: Server,
) -> None:
    """Two writers repeat each request until it is acknowledged; the server dies three times meanwhile."""
    orc = Orchestrator.open(mortal.url)
    orc.workstreams.create("build")
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, mortal.url, name], stdout=subprocess.PIPE)
        for name in ("ann", "bob")
    ]
    done: list[str] = []
    try:
        for _ in range(3):
            for writer in writers:
                assert writer.stdout is not None
                done += [writer.stdout.readline().decode().strip() for _ in range(5)]
            mortal.kill()
            mortal.start()
    finally:
        for writer in writers:
            writer.kill()
            assert writer.stdout is not None
            done += [line.decode().strip() for line in writer.stdout]
            writer.wait()
            writer.stdout.close()
    titles = [task.title for task in Orchestrator.open(mortal.url).tasks.list()]
    assert len(titles) == len(set(titles))
    assert set(done) - {""} <= set(titles)


def test_a_wait_goes_on_when_the_server_was_started_again(mortal: Server) -> None:
    store = PostgresStore(mortal.url)
    (end,) = fill(store, ["a"])
    woken = threading.Event()

    def wait() -> None:
        if store.wait(end, WAIT):
            woken.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    mortal.kill()
    mortal.start()
    fill(PostgresStore(mortal.url), ["b"])
    waiting.join()
    assert woken.is_set()


def test_a_process_that_was_killed_does_not_wait_or_serve_any_more(url: str) -> None:
    program = (
        "import sys, time\n"
        "from orchestrator.stores.postgres import PostgresStore\n"
        "presence = PostgresStore(sys.argv[1]).presence\n"
        "with presence.waiting_as('ann'), presence.serving_as('bob'):\n"
        "    print(flush=True)\n"
        "    sys.stdin.read()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", program, url], **pipes)  # type: ignore[call-overload]
    process.stdout.readline()
    presence = PostgresStore(url).presence
    assert (presence.waiting(), presence.serving()) == ({"ann"}, {"bob": True})
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    # The server notices the end of each connection on its own.
    while presence.waiting() or presence.serving() != {"bob": False}:
        pass


def test_a_fork_does_not_share_the_connection_of_its_parent(url: str) -> None:
    store = PostgresStore(url)
    fill(store, ["a"])
    child = os.fork()
    if child == 0:
        try:
            fill(store, ["of the child"])
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    fill(store, ["of the parent"])
    assert texts_of(store) == ["a", "of the child", "of the parent"]


@pytest.mark.needs("after_fork")
def test_a_fork_does_not_wait_for_a_thread_that_only_its_parent_has(
    url: str, admin: psycopg.Connection
) -> None:
    store = PostgresStore(url)
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(%'"
    thread = threading.Thread(target=lambda: store._connection.value("SELECT pg_sleep(1)"))
    thread.start()
    while admin.execute(waiting).fetchone() == (0,):
        pass
    child = os.fork()
    if child == 0:
        status = 1
        try:
            # The handler of the test run would continue the tests in this process.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(round(WAIT))
            store.mark()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    thread.join()


# Clocks


def test_time_is_that_of_the_database_whatever_clock_the_machine_has(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    orc = Orchestrator.open(url)
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="Ship")
    monkeypatch.setattr("time.time", lambda: 0.0)
    other = Orchestrator.open(url)
    claimed = other.tasks.claim(task.id, agent="ann", lease="1h")
    assert claimed.lease_until > task.created_at
    assert orc.tasks.get(task.id).assigned_to == "ann"


@pytest.mark.parametrize("shift", [-3600.0, 3600.0], ids=["behind", "ahead"])
def test_a_clock_that_is_an_hour_off_changes_no_lease_no_request_no_mail_and_no_patrol(
    url: str, monkeypatch: pytest.MonkeyPatch, shift: float
) -> None:
    right, real = Orchestrator.open(url), time.time
    right.workstreams.create("build")
    first, second = (right.tasks.add("build", title=title).id for title in ("one", "two"))
    right.tasks.claim(first, agent="ann", lease="20m")
    before = right.engine.now()
    monkeypatch.setattr("time.time", lambda: real() + shift)
    wrong = Orchestrator.open(url)
    with pytest.raises(Refused):
        wrong.tasks.claim(first, agent="bob")  # ann's lease has not ended
    renewed = wrong.tasks.renew(first, agent="ann").lease_until
    assert 0 < clock.between(right.engine.now(), renewed) <= 1200
    assert wrong.patrols.run().nudged == ()
    assert [view.presence for view in wrong.agents.all() if view.id == "ann"] == ["working"]
    with wrong.request("once"):
        wrong.tasks.claim(second, agent="bob", lease=0.2)
    with wrong.request("once"):
        assert wrong.tasks.claim(second, agent="bob", lease=0.2).assigned_to == "bob"
    assert right.tasks.next("build", agent="carl", wait=WAIT).id == second, "bob's lease lapses"
    sent = wrong.mail.send("ann", "hello", "x", agent="bob").sent_at
    times = [event.ts for event in right.events.read(first=100)]
    assert times == sorted(times)
    assert before <= sent <= right.engine.now()


def test_a_transaction_whose_connection_breaks_is_not_continued_on_another_one(
    url: str, admin: psycopg.Connection
) -> None:
    connection = PostgresStore(url)._connection

    def make_both() -> None:
        with connection.transaction():
            connection.execute("CREATE TABLE public.half (made integer)")
            break_all(admin)
            connection.repeatable("CREATE TABLE public.other_half (made integer)")

    with pytest.raises(Lost):
        make_both()
    found = connection.value("SELECT count(*) FROM pg_tables WHERE tablename LIKE '%half'")
    assert found == 0


def test_folders_of_two_machines_have_the_documents_as_files_and_adopt_edits(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def orc(machine: str, *words: str) -> int:
        monkeypatch.setenv("ORC_MACHINE", machine)
        return main([f"--board={machine}", *words])

    main(["init", "mill", "--store", url])
    assert orc("mill", "kb", "write", "plan", "one") == 0
    main(["init", "forge", "--store", url])
    plan = tmp_path / "forge/knowledge/plan.md"
    assert plan.read_text() == "one\n"
    plan.write_text("two\n")
    capsys.readouterr()
    assert orc("forge", "kb", "sync") == 0
    assert capsys.readouterr().out == "Adopted knowledge/plan.md\n"
    assert orc("mill", "kb", "sync") == 0
    assert (tmp_path / "mill/knowledge/plan.md").read_text() == "two\n"
    (tmp_path / "mill/knowledge/a b.md").write_text("x")
    assert orc("mill", "kb", "sync") == 1
    assert main(["--board", url, "kb", "sync"]) == 1
    assert "no folder on this machine" in capsys.readouterr().err
    assert orc("forge", "agent", "register", "fay") == 0
    capsys.readouterr()
    assert orc("mill", "agent", "list") == 0
    printed = capsys.readouterr()
    assert "forge" in printed.out
    assert printed.err == ""


@pytest.mark.needs("proc")
def test_a_session_on_another_machine_of_the_same_name_is_warned(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORC_MACHINE", "mill")
    main(["init", "mill", "--store", url])
    monkeypatch.setattr(system, "identity", lambda: (1, "of another machine"))
    capsys.readouterr()
    assert main(["--board=mill", "session", "start", "ann"]) == 0
    assert "Another machine has the name mill too" in capsys.readouterr().err


# Groups of commits


def test_a_group_whose_connection_breaks_before_its_commit_has_changed_nothing_and_says_so(
    url: str, admin: psycopg.Connection
) -> None:
    orc, settled = _with_stream(url), list[BaseException | None]()
    with suppress(InputOutputError), orc.engine.grouped(settled.append):
        orc.tasks.add("build", title="one")
        orc.tasks.add("build", title="two")
        break_all(admin)
    assert isinstance(settled[0], InputOutputError)
    assert orc.tasks.all() == []
    orc.tasks.add("build", title="three")
    assert [task.title for task in Orchestrator.open(url).tasks.all()] == ["three"]


def test_a_group_whose_answer_is_lost_is_found_out_as_a_whole(
    url: str, admin: psycopg.Connection
) -> None:
    orc, settled = _with_stream(url), list[BaseException | None]()
    store = orc.engine.store
    assert isinstance(store, PostgresStore)
    lost = lose_answer(store, "moved", lambda: break_all(admin))
    with orc.engine.grouped(settled.append):
        orc.tasks.add("build", title="one")
        orc.tasks.add("build", title="two")
    assert len(lost) == 1
    assert {*settled} == {None}
    assert [task.title for task in Orchestrator.open(url).tasks.all()] == ["one", "two"]


def test_the_outcome_of_a_group_is_unknown_to_all_its_requests_while_the_server_does_not_answer(
    mortal: Server,
) -> None:
    orc, settled = _with_stream(mortal.url), list[BaseException | None]()
    orc.engine.store._connection.patience = 0.5  # type: ignore[attr-defined]
    with suppress(OutcomeUnknown), orc.engine.grouped(settled.append):
        with orc.engine.request("r-1"):
            orc.tasks.add("build", title="one")
        mortal.kill()
    assert isinstance(settled[0], OutcomeUnknown)
    mortal.start()
    for _ in range(2):
        with orc.engine.request("r-1"):
            orc.tasks.add("build", title="one")
    assert [task.title for task in Orchestrator.open(mortal.url).tasks.all()] == ["one"]


def _with_stream(url: str) -> Orchestrator:
    orc = Orchestrator.open(url)
    orc.workstreams.create("build")
    return orc


# Replicas


def test_a_commit_after_which_the_server_warns_is_not_acknowledged_before_another_one_is_confirmed(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The warning says that the server no longer waits for its synchronous replica."""
    store = PostgresStore(url)
    (end,) = fill(store, ["a"])
    connection, warned = store._connection, [True, True, False]

    def warning(run: Callable[..., object]) -> Callable[..., object]:
        def warn(query: str, *values: object) -> object:
            answer = run(query, *values)
            if query.strip().startswith(("WITH moved", "UPDATE")):
                connection.has_warned = warned.pop(0)
            return answer

        return warn

    for name in "quick", "execute":
        monkeypatch.setattr(connection, name, warning(getattr(connection, name)))
    with store.locked("test", WAIT):
        add(store, end, "b")
    assert warned == []
    connection.patience, warned[:] = 0, [True]
    with store.locked("test", WAIT), pytest.raises(OutcomeUnknown):
        add(store, end_of(store), "c")


def test_a_replica_answers_commands_that_only_read_and_refuses_others_until_it_is_promoted(
    mortal: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    orc = _with_stream(mortal.url)
    orc.tasks.add("build", title="first")
    orc.engine.save()
    with running(copy_of=mortal) as replica:
        assert main(["--board", replica.url, "status"]) == 0
        assert main(["--board", replica.url, "doctor"]) == 0
        reader = Orchestrator.open(replica.url, agent="ann")
        assert [task.title for task in reader.tasks.all()] == ["first"]
        end = reader.engine.position
        assert not reader.engine.store.wait(end, 0)
        orc.tasks.add("build", title="second")
        assert reader.engine.store.wait(end, WAIT)
        assert [task.title for task in reader.tasks.all()] == ["first", "second"]
        assert reader.agents.all() == []
        capsys.readouterr()
        assert main(["--board", replica.url, "t", "next", "build", "bob"]) == 1
        assert "is read-only" in capsys.readouterr().err
        assert main(["--board", f"{replica.url}?board=new", "ws", "create", "x"]) == 1
        with pytest.raises(Refused, match="read-only") as raised:
            reader.tasks.add("build", title="third")
        assert raised.value.code == "read_only"
        mortal.kill()
        with psycopg.connect(replica.url, autocommit=True) as admin:
            assert admin.execute("SELECT pg_promote()").fetchone() == (True,)
        reader.tasks.add("build", title="third")
        reader.engine.save()
        assert [task.title for task in Orchestrator.open(replica.url).tasks.all()][-1] == "third"


def test_commits_that_are_lost_with_their_server_are_told_to_who_has_read_them(
    url: str, admin: psycopg.Connection
) -> None:
    """As after the promotion of an asynchronous replica: the log is shorter, and snapshots are gone."""
    warnings: list[str] = []
    orc = Orchestrator.open(url, warn=warnings.append)
    orc.workstreams.create("build")
    orc.tasks.add("build", title="lost")
    board = orc.engine.store._board  # type: ignore[attr-defined]
    (line,) = admin.execute(
        "SELECT line FROM orchestrator.events WHERE board = %s AND id = 1", (board,)
    ).fetchone() or ("",)
    admin.execute("DELETE FROM orchestrator.events WHERE board = %s AND id > 1", (board,))
    crc = crc_of(line.encode())
    admin.execute("UPDATE orchestrator.boards SET head = 1, crc = %s WHERE id = %s", (crc, board))
    admin.execute("TRUNCATE orchestrator.snapshots")
    orc.tasks.add("build", title="after")
    assert [task.title for task in orc.tasks.all()] == ["after"]
    assert any("does not hold event 2 as it was read before" in sentence for sentence in warnings)
