"""A program that was the only writer for a while needs no lock; its answers are true whatever others do."""

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from unittest.mock import Mock

import psycopg
import pytest
from boards import check_law

from orchestrator import Orchestrator, snapshot_schedule
from orchestrator.core.errors import BadInput, InputOutputError, Refused, TimedOut
from orchestrator.core.store import START
from orchestrator.core.transaction import Transaction
from orchestrator.domain.state import State
from orchestrator.snapshot_schedule import SnapshotSchedule
from orchestrator.stores.postgres import PostgresStore, schema, sole_writer
from orchestrator.stores.postgres import store as module
from orchestrator.stores.postgres.connection import Lost
from tests.postgres_faults import break_all, lose_answer, sent_by

from .building import add, texts_of

WITHOUT, WITH = "append_alone", "acquire_board"


def store_of(orc: Orchestrator) -> PostgresStore:
    store = orc.engine.store
    assert isinstance(store, PostgresStore)
    return store


@pytest.fixture
def orc(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Orchestrator]:
    """A board with two open tasks, whose program writes alone; a slow machine does not change that."""
    monkeypatch.setattr(sole_writer, "ALONE", 2)
    monkeypatch.setattr(module, "_RECENT", 3600.0)
    monkeypatch.setattr(snapshot_schedule, "PAUSE", 3600.0)
    monkeypatch.setattr("orchestrator.stores.postgres.rows._FRESH", 3600.0)
    with Orchestrator.open(url, agent="ann") as orc:
        orc.workstreams.create("build")
        ended = orc.tasks.add("build", title="ended").id
        orc.tasks.claim(ended)
        orc.tasks.complete(ended)  # reads the settings
        for title in "first", "second":
            orc.tasks.add("build", title=title)
        yield orc
        check_law(orc)


def named(orc: Orchestrator, title: str) -> str:
    """The id of the task with a title."""
    (task,) = (task for task in orc.tasks.list() if task.title == title)
    return task.id


@pytest.fixture
def other(orc: Orchestrator) -> Iterator[Orchestrator]:
    """Another program with the same board."""
    with Orchestrator.open(str(store_of(orc).address), agent="bob") as other:
        yield other


def test_a_command_of_a_program_that_writes_alone_costs_two_messages(orc: Orchestrator) -> None:
    """The commit, and its announcement."""
    first = named(orc, "first")
    sent = sent_by(store_of(orc))
    for command in (
        partial(orc.tasks.add, "build", title="more"),
        partial(orc.tasks.claim, first),
        partial(orc.tasks.complete, first),
        partial(orc.locks.acquire, "git"),
    ):
        sent.clear()
        command()
        assert len(sent) == 2, sent
        assert WITHOUT in sent[0]


def test_after_each_wrong_guess_twice_as_many_commands_use_the_lock_as_after_the_one_before(
    orc: Orchestrator, other: Orchestrator
) -> None:
    sent = sent_by(store_of(orc))
    for count in 4, 8:
        other.tasks.add("build", title="of another")
        sent.clear()
        for _ in range(count + 2):
            orc.tasks.add("build", title="more")
        steps = [name for query in sent for name in (WITHOUT, WITH) if name in query]
        assert steps == [WITHOUT, *[WITH] * (count + 1), WITHOUT]


def test_after_as_many_right_guesses_half_as_many_commands_use_the_lock(
    orc: Orchestrator, other: Orchestrator
) -> None:
    sent = sent_by(store_of(orc))
    steps = []
    for rights in 1, 8, 1:
        other.tasks.add("build", title="of another")
        sent.clear()
        orc.tasks.add("build", title="the guess is wrong")
        while WITHOUT not in sent[-2]:
            orc.tasks.add("build", title="more")
        steps.append(sum(WITH in query for query in sent))
        for _ in range(rights - 1):
            orc.tasks.add("build", title="more")
    assert steps == [5, 9, 9]


def test_a_program_that_has_not_heard_from_the_server_for_a_while_uses_the_lock(
    orc: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RECENT", 0.0)
    sent = sent_by(store_of(orc))
    orc.tasks.add("build", title="later")
    assert WITH in sent[0]


def test_a_clock_that_is_set_back_a_little_brings_no_lock(
    orc: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = sent_by(store_of(orc))
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() - 0.5)
    orc.tasks.add("build", title="more")
    assert WITHOUT in sent[0]


def test_a_task_that_another_program_has_taken_meanwhile_is_not_given_again(
    orc: Orchestrator, other: Orchestrator
) -> None:
    taken = other.tasks.next("build")
    mine = orc.tasks.next("build")
    assert taken is not None
    assert mine is not None
    assert taken.id != mine.id
    with pytest.raises(Refused):
        orc.tasks.claim(taken.id)


def test_a_refusal_and_an_answer_without_a_change_are_confirmed_under_the_lock(
    orc: Orchestrator, other: Orchestrator
) -> None:
    """They include the changes of another program, although no append could notice these changes."""
    assert orc.tasks.next("build") is not None
    assert orc.tasks.next("build") is not None
    assert orc.tasks.next("build") is None
    other.tasks.add("build", title="new")
    assert getattr(orc.tasks.next("build"), "title", "") == "new"
    other.locks.acquire("git")
    other.locks.release("git")
    orc.locks.acquire("git")
    orc.locks.release("git")


def test_a_refusal_that_is_not_true_any_more_is_not_said(
    orc: Orchestrator, other: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = named(orc, "first")
    other.tasks.claim(first)
    with pytest.raises(Refused):
        orc.tasks.claim(first)
    monkeypatch.setattr(sole_writer, "ALONE", 0)
    other.tasks.release(first)
    assert orc.tasks.claim(first).assigned_to == "ann"


def test_a_program_that_holds_the_lock_is_waited_for(
    orc: Orchestrator, other: Orchestrator
) -> None:
    orc.engine.timeout = 0.2
    with (
        store_of(other).locked("long", 60),
        pytest.raises(TimedOut, match="long"),
    ):
        orc.tasks.add("build", title="meanwhile")
    orc.tasks.add("build", title="afterwards")


def test_settings_that_were_changed_meanwhile_count(
    orc: Orchestrator, admin: psycopg.Connection
) -> None:
    """Also if no commit has changed them."""
    for title in "first", "second":
        orc.tasks.claim(named(orc, title))
    sent = sent_by(store_of(orc))
    admin.execute(
        "INSERT INTO orchestrator.documents VALUES (%s, 'config.toml', %s)",
        (store_of(orc)._board, b"[merge]\nrequired = 1"),
    )
    with pytest.raises(BadInput, match="required"):
        orc.tasks.complete(named(orc, "first"))
    admin.execute("DELETE FROM orchestrator.documents")
    orc.tasks.complete(named(orc, "first"))
    assert [query for query in sent if WITHOUT in query]


def test_a_newer_version_of_the_tables_is_refused(
    orc: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    orc.tasks.add("build", title="before")
    monkeypatch.setattr(schema, "VERSION", schema.VERSION - 1)
    with pytest.raises(Refused) as raised:
        orc.tasks.add("build", title="after")
    assert raised.value.code == "newer_version"
    monkeypatch.undo()


def test_a_connection_that_breaks_before_the_commit_costs_only_the_lock(
    orc: Orchestrator, admin: psycopg.Connection
) -> None:
    break_all(admin)
    orc.tasks.add("build", title="kept")
    assert named(orc, "kept")


def test_a_commit_whose_answer_is_lost_is_found_out(
    orc: Orchestrator, other: Orchestrator, admin: psycopg.Connection
) -> None:
    lost = lose_answer(store_of(orc), WITHOUT, partial(break_all, admin))
    orc.tasks.add("build", title="kept")
    assert len(lost) == 1
    other.tasks.claim(named(other, "kept"))  # the lock is free


def test_an_append_that_the_server_gets_to_too_late_changes_nothing(
    orc: Orchestrator, other: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was still on its way when the connection broke, so the command runs again."""
    store, late, answers = store_of(orc), list[tuple[str, tuple[object, ...]]](), list[object]()
    quick, release = store._connection.quick, store._release

    def delay(query: str, *values: object) -> list[str | None]:
        if WITHOUT not in query:
            return quick(query, *values)
        late.append((query, values))
        raise Lost("The connection broke")

    def arrive() -> None:
        release()
        with store_of(other).locked("wait for the release", 60):
            pass
        query, values = late[0]
        answers.append(store_of(other)._connection.quick(query, *values))

    monkeypatch.setattr(store._connection, "quick", delay)
    monkeypatch.setattr(store, "_release", arrive)
    orc.tasks.add("build", title="late")
    assert len(late) == 1
    assert answers == [[], []]
    assert named(orc, "late")


def test_documents_are_written_under_the_lock(
    orc: Orchestrator, other: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the next command takes it too: the number of their changes comes with the lock."""
    monkeypatch.setattr(sole_writer, "ALONE", 0)
    other.knowledge.write("plan", "of another")
    sent = sent_by(store_of(orc))
    for text in "one", "two":
        orc.knowledge.append("plan", text)
    orc.tasks.add("build", title="next")
    assert other.knowledge.read("plan").split() == ["of", "another", "one", "two"]
    document, release = "INTO orchestrator.documents", "SELECT pg_advisory_unlock_all"
    steps = [
        mark
        for query in sent
        for mark in (WITH, WITHOUT, document, release)
        if (query.startswith(mark) if mark is release else mark in query)
    ]
    assert steps == [
        *(WITH, release),  # the lock was taken for the document, and others had written
        *2 * (WITH, document, release),
        *(WITH, release),
    ]


def test_a_command_that_changes_a_document_itself_takes_the_lock_first(orc: Orchestrator) -> None:
    sent = sent_by(store_of(orc))
    assert orc.saved.add("mine", ["ls", "--mine"]).question == "ls --mine"
    assert [
        name for query in sent for name in (WITH, "INTO orchestrator.documents") if name in query
    ] == [
        WITH,
        "INTO orchestrator.documents",
    ]
    assert list(orc.saved.all()) == ["mine"]


def test_a_message_that_another_program_has_taken_meanwhile_is_not_shown(
    orc: Orchestrator, other: Orchestrator
) -> None:
    for subject in "first", "second":
        orc.mail.send("queue:work", subject)
    orc.tasks.add("build", title="alone")
    taken, mine = other.mail.take("work"), orc.mail.take("work")
    assert [taken and taken.subject, mine and mine.subject] == ["first", "second"]


def test_the_lock_ends_with_the_commit_if_no_effect_follows(
    orc: Orchestrator, other: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next writer does not wait until this program has received its answer and released the lock."""
    monkeypatch.setattr(sole_writer, "ALONE", 1 << 60)
    free, release = list[bool](), store_of(orc)._release

    def look() -> None:
        try:
            with store_of(other).locked("test", 0.05):
                free.append(True)
        except TimedOut:
            free.append(False)
        release()

    monkeypatch.setattr(store_of(orc), "_release", look)
    orc.tasks.add("build", title="no effects")
    with orc.transaction():
        orc.tasks.add("build", title="several")
        orc.tasks.add("build", title="commands")
    orc.knowledge.write("plan", "a document")
    with orc.engine.grouped(lambda _: None):
        orc.tasks.add("build", title="too long to wait", description="x" * 70_000)
        orc.tasks.add("build", title="waits for the end of the group")
    assert free == [True, True, False, False]
    check_law(orc)


def test_a_lock_that_ended_with_a_commit_allows_no_other_append(url: str) -> None:
    store = PostgresStore(url)
    with store.locked("test", 60):
        store.prepare_append(keeps_lock=False)
        end = add(store, START, "a")
        with pytest.raises(RuntimeError):
            add(store, end, "b")
    with store.locked("test", 60):
        add(store, add(store, end, "b"), "c")
    assert texts_of(store) == ["a", "b", "c"]


def test_a_snapshot_is_saved_under_the_lock_as_often_as_otherwise(
    orc: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_schedule, "PAUSE", 0.0)
    sent = sent_by(store_of(orc))
    orc.tasks.add("build", title="saved")
    saves = [number for number, query in enumerate(sent) if "INTO orchestrator.snapshots" in query]
    assert len(saves) == 1
    assert WITH in sent[0]


@pytest.mark.parametrize("alone", [0, 1 << 60])
def test_a_snapshot_that_becomes_due_during_the_commit_waits_for_the_next_lock(
    orc: Orchestrator, monkeypatch: pytest.MonkeyPatch, alone: int
) -> None:
    monkeypatch.setattr(sole_writer, "ALONE", alone)
    due = iter((False, True, True, True))
    monkeypatch.setattr(SnapshotSchedule, "is_due", property(lambda _schedule: next(due)))
    sent = sent_by(store_of(orc))
    saves = []
    for _ in range(2):
        orc.tasks.add("build", title="more")
        saves.append(len([query for query in sent if "INTO orchestrator.snapshots" in query]))
    assert saves == [0, 1]


def test_the_size_of_the_log_is_true_after_commits_of_others(
    orc: Orchestrator, other: Orchestrator, admin: psycopg.Connection
) -> None:
    other.tasks.add("build", title="of another")
    assert named(orc, "of another")
    orc.tasks.add("build", title="mine")
    sizes = """
        SELECT bytes, sum(octet_length(line) + 1) FROM orchestrator.events
        JOIN orchestrator.boards ON boards.id = board WHERE board = %s GROUP BY boards.id
    """
    ((noted, counted),) = admin.execute(sizes, (store_of(orc)._board,)).fetchall()
    assert noted == counted


def test_commits_of_others_that_the_lock_has_brought_count(
    orc: Orchestrator, other: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    other.tasks.add("build", title="of another")
    monkeypatch.setattr(module, "_RECENT", 0.0)
    orc.tasks.add("build", title="with the lock")
    monkeypatch.setattr(module, "_RECENT", 3600.0)
    sent = sent_by(store_of(orc))
    orc.tasks.add("build", title="with the lock again")
    assert WITH in sent[0]


def test_a_run_that_is_not_confirmed_says_nothing_and_is_no_activity(
    orc: Orchestrator, other: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings = list[str]()
    monkeypatch.setattr(orc.engine, "warn", warnings.append)
    first = named(orc, "first")
    for _ in range(2):  # the second one changes nothing
        warnings.clear()
        orc.hooks.sling(first, "unknown-agent")
        assert len(warnings) == 1
    orc.tasks.add("build", title="alone")
    other.agents.register("claude")
    session = orc.sessions.join("claude", host="1:1:here", folder="/w")
    assert session.agent == "claude-2"
    other.agents.register("claude-3")
    assert orc.sessions.join("claude", host="1:1:here", folder="/w") == session


def test_an_error_of_any_kind_is_confirmed_under_the_lock(
    orc: Orchestrator, other: Orchestrator
) -> None:
    new = other.tasks.add("build", title="new").id

    def body(tx: Transaction[State]) -> str:
        return tx.state.tasks[new].title

    assert orc.engine.run("test", body, lambda _state, _events: "", None) == "new"


def test_a_lock_that_effects_need_is_waited_for_once(
    orc: Orchestrator, other: Orchestrator
) -> None:
    orc.engine.timeout = 0.2
    sent = sent_by(store_of(orc))
    with store_of(other).locked("long", 60), pytest.raises(TimedOut, match="long"):
        orc.knowledge.write("plan", "text")
    assert [WITH in query for query in sent].count(True) == 1


def test_signals_are_not_delayed_while_a_command_waits_for_the_lock_that_effects_need(
    orc: Orchestrator, other: Orchestrator, admin: psycopg.Connection
) -> None:
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    usual, found, held = signal.getsignal(signal.SIGINT), list[object](), threading.Event()

    def look() -> None:
        with store_of(other).locked("long", 60):
            held.set()
            while admin.execute(waiting).fetchone() == (0,):
                time.sleep(0.01)
            found.append(signal.getsignal(signal.SIGINT))

    with ThreadPoolExecutor(1) as pool:
        looks = pool.submit(look)
        held.wait()
        orc.knowledge.write("plan", "text")
        looks.result()
    assert found == [usual]


def test_after_a_sleep_of_the_machine_a_command_asks_for_the_time_with_the_lock(
    orc: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The monotonic clock of a process stands still meanwhile."""
    monkeypatch.undo()
    monkeypatch.setattr(sole_writer, "ALONE", 2)
    orc.tasks.add("build", title="before")
    sent = sent_by(store_of(orc))
    now = time.time
    for seconds in 3600, -3600:
        monkeypatch.setattr(time, "time", lambda seconds=seconds: now() + seconds)
        sent.clear()
        orc.tasks.add("build", title="after")
        assert WITH in sent[0]


def test_a_program_that_has_forgotten_a_lost_commit_warns_although_the_server_did_not_answer_at_first(
    url: str, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a replica has replaced the server without the last commit."""
    warnings = list[str]()
    orc = Orchestrator(PostgresStore(url), warn=warnings.append)
    store = store_of(orc)
    for name in "kept", "lost":
        orc.workstreams.create(name)
    line, end = store.line(1)
    orc.engine.forget()
    admin.execute("DELETE FROM orchestrator.snapshots WHERE board = %s", (store._board,))
    admin.execute("DELETE FROM orchestrator.events WHERE board = %s AND id > 1", (store._board,))
    admin.execute(
        "UPDATE orchestrator.boards SET head = 1, crc = %s, bytes = %s WHERE id = %s",
        (end.crc, len(line) + 1, store._board),
    )
    with monkeypatch.context() as context:
        context.setattr(store, "read", Mock(side_effect=InputOutputError("no answer")))
        with pytest.raises(InputOutputError):
            orc.workstreams.list()
    assert [stream.name for stream in orc.workstreams.list()] == ["kept"]
    assert len(warnings) == 1
    orc.close()


def test_a_part_of_the_log_begins_under_the_lock(url: str) -> None:
    store = PostgresStore(url, part_size=1)
    orc = Orchestrator(store)
    sent = sent_by(store)
    for name in "build", "test", "ship":
        orc.workstreams.create(name)
    assert not any(WITHOUT in query for query in sent)
    assert len(store._checkpoints.sizes()) == 2
    check_law(orc)


def test_threads_that_all_believe_to_be_alone_take_each_task_once(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hardest case: every thread first tries each command without the lock."""
    monkeypatch.setattr(sole_writer, "ALONE", 0)
    monkeypatch.setattr(module, "_RECENT", 3600.0)
    with Orchestrator.open(url) as orc:
        orc.workstreams.create("build")
        for number in range(40):
            orc.tasks.add("build", title=f"task {number}")
        sent, start = list[str](), threading.Barrier(4)

        def work(agent: str) -> list[str]:
            with Orchestrator.open(url, agent=agent) as own:
                mine = sent_by(store_of(own))
                own.events.log(agent, "said", text="hello")
                start.wait()
                done: list[str] = []
                while (task := own.tasks.next("build")) is not None:
                    own.tasks.complete(task.id)
                    done.append(task.id)
                sent.extend(mine)
                return done

        with ThreadPoolExecutor(4) as pool:
            done = [task for tasks in pool.map(work, ("a", "b", "c", "d")) for task in tasks]
        assert sorted(done) == sorted(task.id for task in orc.tasks.list(status=["done"]))
        assert len(done) == 40
        assert any(WITHOUT in query for query in sent)
        check_law(orc)
