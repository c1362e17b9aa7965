"""The engine: atomic commits, snapshots that may be deleted, earlier states, damage."""

import itertools
import json
import os
import shutil
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from boards import SettableClock, as_text, changes_nothing, check_law, code_of, fold

from orchestrator import (
    Damage,
    InputOutputError,
    NotFound,
    Orchestrator,
    OutcomeUnknown,
    Refused,
    TimedOut,
    UsageError,
    snapshot,
    snapshot_schedule,
)
from orchestrator.core.events import Recorded
from orchestrator.core.store import START
from orchestrator.stores.files import FileStore
from orchestrator.stores.files.lines import Position
from orchestrator.stores.memory import MemoryStore


def again(board: Orchestrator, **options: object) -> Orchestrator:
    """Another process that opens the same board."""
    return Orchestrator.open(board.folder, now=board.engine._clock, **options)  # type: ignore[arg-type]


def file(board: Orchestrator, name: str) -> Path:
    assert board.folder is not None
    return Path(board.folder, "state", name)


def titles(board: Orchestrator) -> list[str]:
    return [task.title for task in board.tasks.all()]


@pytest.fixture(autouse=True)
def build(board: Orchestrator) -> None:
    board.workstreams.create("build")


# Transactions


def test_a_transaction_is_one_commit(board: Orchestrator):
    with board.transaction():
        task = board.tasks.add("build", title="one")
        board.tasks.claim(task.id, agent="ann")
        board.locks.acquire("git", agent="bob")
        board.events.log("carl", "deployed")
    last = board.events.read(last=4)
    assert [entry.more for entry in last] == [True, True, True, False]
    assert [entry.agent for entry in last] == ["system", "ann", "bob", "carl"]
    assert {entry.ts for entry in last} == {"2026-11-21T06:13:00.000Z"}


def test_inside_a_transaction_its_own_commands_are_seen_and_outside_they_are_not(
    board: Orchestrator,
):
    with board.transaction():
        board.tasks.add("build", title="one")
        assert titles(board) == ["one"]
        assert titles(again(board)) == []
    assert titles(again(board)) == ["one"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, GeneratorExit, SystemExit])
def test_an_exception_leaves_nothing_of_a_transaction_behind(
    board: Orchestrator, error: type[BaseException]
):
    size = file(board, "events.jsonl").stat().st_size

    def attempt() -> None:
        with board.transaction():
            board.tasks.add("build", title="one")
            board.knowledge.write("findings", "x")
            raise error

    with changes_nothing(board), pytest.raises(error):
        attempt()
    assert file(board, "events.jsonl").stat().st_size == size
    assert board.knowledge.read("findings") is None
    assert board.tasks.add("build", title="two").title == "two"


def test_a_refused_command_in_a_transaction_ends_it(board: Orchestrator):
    def attempt() -> None:
        with board.transaction():
            board.tasks.add("build", title="one")
            board.tasks.add("bild", title="two")

    with changes_nothing(board), pytest.raises(NotFound):
        attempt()


def test_a_refusal_that_is_caught_leaves_the_rest_of_the_transaction(board: Orchestrator):
    with board.transaction():
        board.tasks.add("build", title="one")
        assert code_of(lambda: board.tasks.add("bild", title="two")) == "workstream_not_found"
        board.tasks.add("build", title="three")
    assert titles(board) == ["one", "three"]


def test_a_command_that_fails_halfway_never_leaves_its_half_in_the_log(
    board: Orchestrator, clock: SettableClock
):
    """A command happens completely or not at all, even if its error is caught."""
    task = board.tasks.add("build", title="one").id
    board.tasks.claim(task, agent="ann", lease=10)
    clock.advance(10)
    with changes_nothing(board):
        try:
            with board.transaction():
                assert code_of(lambda: board.tasks.claim(task, agent="bob", lease="x")) == "usage"
        except Refused as refused:
            assert refused.code == "half_done"  # noqa: PT017  # both ways keep the rule


def test_an_empty_transaction_commits_nothing(board: Orchestrator):
    with changes_nothing(board), board.transaction():
        titles(board)


def test_transactions_nest_into_one_commit(board: Orchestrator):
    with board.transaction():
        board.tasks.add("build", title="one")
        with board.transaction():
            board.tasks.add("build", title="two")
        board.tasks.add("build", title="three")
    assert [entry.more for entry in board.events.read(last=3)] == [True, True, False]


def test_a_failed_inner_transaction_that_is_caught_is_not_committed_in_part(board: Orchestrator):
    """The inner transaction is part of the same commit, which happens completely or not at all."""
    try:
        with board.transaction():
            board.tasks.add("build", title="one")
            try:
                with board.transaction():
                    board.tasks.add("build", title="two")
                    raise KeyError
            except KeyError:
                pass
    except Refused:
        pass
    assert titles(board) in (["one"], [])


def test_threads_take_turns_with_a_transaction(board: Orchestrator):
    began, go_on = threading.Event(), threading.Event()

    def other() -> None:
        began.wait(60)
        go_on.set()
        board.tasks.add("build", title="other")

    thread = threading.Thread(target=other)
    thread.start()
    with board.transaction():
        board.tasks.add("build", title="one")
        began.set()
        go_on.wait(60)
        board.tasks.add("build", title="two")
    thread.join(60)
    assert titles(board) == ["one", "two", "other"]


def test_all_commands_of_a_holder_renew_leases_of_which_half_has_passed_in_the_same_commit(
    board: Orchestrator, clock: SettableClock
):
    task = board.tasks.add("build", title="one").id
    board.tasks.claim(task, agent="ann", lease=100)
    for command in (
        lambda: board.tasks.add("build", title="x", agent="ann"),
        lambda: board.knowledge.write("findings", "x", agent="ann"),
        lambda: board.locks.acquire("git", agent="ann"),
        lambda: board.events.log("ann", "deployed"),
        lambda: board.agents.register("ann"),
    ):
        clock.advance(50)
        command()
        last = board.events.read(last=2)
        assert [entry.more for entry in last] == [True, False]
        assert last[1].type == "task.renewed"
    assert board.tasks.get(task).attempt == 1


def test_commands_in_a_transaction_renew_too(board: Orchestrator, clock: SettableClock):
    first, second = (board.tasks.add("build", title=str(n)).id for n in range(2))
    board.tasks.claim(first, agent="ann", lease=100)
    board.tasks.claim(second, agent="bob", lease=100)
    clock.advance(60)
    with board.transaction():
        board.tasks.note(first, "half", agent="ann")
        board.tasks.note(second, "half", agent="bob")
    assert {entry.agent for entry in board.events.read(type="task.renewed")} == {"ann", "bob"}


def test_a_lease_is_renewed_once_however_often_the_task_was_changed(
    board: Orchestrator, clock: SettableClock
):
    task, other = (board.tasks.add("build", title=str(n)).id for n in range(2))
    board.tasks.claim(task, agent="ann", lease=100)
    board.links.add(task, other, agent="bob")
    board.links.remove(task, other, agent="bob")
    clock.advance(60)
    board.tasks.note(task, "half", agent="ann")
    assert len(board.events.read(type="task.renewed")) == 1


def test_reading_renews_nothing(board: Orchestrator, clock: SettableClock):
    task = board.tasks.add("build", title="one").id
    mine = again(board, agent="ann")
    mine.tasks.claim(task, lease=100)
    clock.advance(60)
    with changes_nothing(board):
        mine.tasks.get(task)
        mine.status()
        mine.events.read()


def test_a_refused_command_renews_nothing(board: Orchestrator, clock: SettableClock):
    task = board.tasks.add("build", title="one").id
    board.tasks.claim(task, agent="ann", lease=100)
    clock.advance(60)
    with changes_nothing(board), pytest.raises(Refused):
        board.workstreams.create("build", priority=2, agent="ann")


def test_the_default_agent_is_the_one_the_board_was_opened_with(
    board: Orchestrator, monkeypatch: pytest.MonkeyPatch
):
    again(board, agent="ann").tasks.add("build", title="x")
    monkeypatch.setenv("ORC_AGENT", "bob")
    again(board).tasks.add("build", title="y")
    again(board, agent="carl").tasks.add("build", title="z", agent="dora")
    assert [entry.agent for entry in board.events.read(last=3)] == ["ann", "bob", "dora"]


# What a failing disk does


class Failing(MemoryStore):
    """A store whose next operations fail as planned."""

    def __init__(self) -> None:
        super().__init__()
        self.fails: dict[str, Exception] = {}
        write, read = self.documents.write, self.documents.read
        self.documents.write = lambda *args: (self._fail("write_document"), write(*args))[1]
        self.documents.read = lambda *args: (self._fail("read_document"), read(*args))[1]

    def _fail(self, what: str) -> None:
        if what in self.fails:
            raise self.fails[what]

    def append(self, records, after):  # type: ignore[no-untyped-def]
        self._fail("append")
        return super().append(records, after)

    def save_snapshot(self, data: bytes) -> None:
        self._fail("save_snapshot")
        super().save_snapshot(data)


@pytest.mark.parametrize("error", [InputOutputError, OutcomeUnknown])
def test_a_commit_that_failed_is_not_in_the_state(
    clock: SettableClock, error: type[InputOutputError]
):
    store = Failing()
    orc = Orchestrator(store, now=clock)
    orc.workstreams.create("build")
    store.fails["append"] = error("disk full")
    with changes_nothing(orc), pytest.raises(error) as caught:
        orc.tasks.add("build", title="x")
    assert caught.value.exit_status in (74, 75)
    store.fails.clear()
    assert orc.tasks.add("build", title="y").title == "y"
    check_law(orc)


@pytest.mark.parametrize("what", ["save_snapshot", "write_document"])
def test_after_the_commit_nothing_turns_success_into_failure(clock: SettableClock, what: str):
    store, warnings = Failing(), []
    orc = Orchestrator(store, now=clock, warn=warnings.append)
    store.fails[what] = InputOutputError("disk full")
    orc.workstreams.create("build")
    orc.knowledge.write("findings", "text")
    assert any("disk full" in sentence for sentence in warnings)
    assert orc.knowledge.read("findings") == "text"
    orc.close()
    store.fails.clear()
    check_law(orc)


def test_a_board_that_is_locked_times_out_and_the_holder_is_named(board: Orchestrator):
    mine = again(board, timeout=0.01)
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with board.engine.store.locked("tests.hold", 20):
            held.set()
            go_on.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(60)
    try:
        with pytest.raises(TimedOut) as caught:
            mine.tasks.add("build", title="x")
    finally:
        go_on.set()
        thread.join(60)
    assert caught.value.exit_status == 5
    assert str(os.getpid()) in caught.value.message
    assert "tests.hold" in caught.value.message


# state.json is a cache


SNAPSHOTS: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "edited by hand": lambda path: path.write_text(path.read_text().replace("one", "two")),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-10]),
    "no json": lambda path: path.write_text("state"),
    "another format": lambda path: path.write_text(path.read_text().replace("1", "2", 1)),
    "with a comment": lambda path: path.write_bytes(path.read_bytes() + b"\n"),
    "crlf": lambda path: path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n")),
}


@pytest.mark.parametrize("harm", SNAPSHOTS)
def test_a_snapshot_that_is_not_as_it_was_written_changes_nothing(board: Orchestrator, harm: str):
    board.tasks.add("build", title="one")
    board.engine.save()
    before = as_text(board.engine.read(), board.engine.position)
    SNAPSHOTS[harm](file(board, "state.json"))
    other = again(board)
    assert as_text(other.engine.read(), other.engine.position) == before
    assert other.tasks.add("build", title="two").title == "two"
    other.close()
    check_law(other)


def test_every_byte_of_a_snapshot_may_be_wrong(board: Orchestrator):
    board.tasks.add("build", title="one")
    board.engine.save()
    before = as_text(board.engine.read(), board.engine.position)
    data = file(board, "state.json").read_bytes()
    for index in range(0, len(data), 7):
        changed = bytearray(data)
        changed[index] ^= 1
        assert snapshot.decode(bytes(changed), Position) is None
    file(board, "state.json").write_bytes(b"\0" * len(data))
    other = again(board)
    assert as_text(other.engine.read(), other.engine.position) == before
    other.engine.save()


def test_a_stale_snapshot_is_never_wrong(board: Orchestrator):
    board.engine.save()
    stale = file(board, "state.json").read_bytes()
    with board.request("r-1"):
        task = board.tasks.add("build", title="one")
    board.tasks.claim(task.id, agent="ann")
    file(board, "state.json").write_bytes(stale)
    other = again(board)
    assert as_text(other.engine.read(), other.engine.position) == as_text(*fold(board.engine.store))


def test_state_json_is_the_same_bytes_in_every_process_that_folds_the_log(board: Orchestrator):
    task = board.tasks.add("build", title="one", estimate=30)
    board.agents.register("ann")
    board.tasks.claim(task.id, agent="ann")
    board.locks.acquire("git", agent="ann")
    board.engine.save()
    mine = file(board, "state.json").read_text()
    file(board, "state.json").unlink()
    again(board).engine.save()
    assert file(board, "state.json").read_text() == mine
    again(board).engine.save()
    assert file(board, "state.json").read_text() == mine


def test_state_json_is_json_for_people_and_tools(board: Orchestrator):
    board.tasks.add("build", title="one")
    board.close()
    text = file(board, "state.json").read_text()
    decoded = json.loads(text)
    assert [task["title"] for task in decoded["state"]["tasks"].values()] == ["one"]
    assert '\n    "tasks": {\n' in text


def test_closing_leaves_an_exact_snapshot_of_a_small_board(board: Orchestrator):
    for number in range(5):
        board.tasks.add("build", title=str(number))
    board.close()
    decoded = snapshot.decode(file(board, "state.json").read_bytes(), Position)
    assert decoded is not None
    assert decoded[0].event == 6


def test_a_one_shot_command_leaves_an_exact_snapshot_of_a_small_board(board: Orchestrator):
    for number in range(3):
        again(board, light=True).tasks.add("build", title=str(number))
        decoded = snapshot.decode(file(board, "state.json").read_bytes(), Position)
        assert decoded is not None
        assert decoded[0].event == number + 2


@pytest.mark.parametrize("set_back", [0, 0.002], ids=["clock", "clock set back"])
def test_a_large_snapshot_is_at_most_an_eighth_behind_and_who_opens_folds_the_tail(
    board: Orchestrator, monkeypatch: pytest.MonkeyPatch, set_back: float
):
    """A board of 1 MiB is slow to make, so the bound is lowered here."""
    monkeypatch.setattr(snapshot_schedule, "SMALL", 10_000)
    age = board.engine.store.snapshot_age
    monkeypatch.setattr(board.engine.store, "snapshot_age", lambda: age() - set_back)
    behind = set()
    for number in range(60):
        board.tasks.add("build", title=str(number))
        board.close()  # leaves a large snapshot as it is
        check_law(board)
        decoded = snapshot.decode(file(board, "state.json").read_bytes(), Position)
        assert decoded is not None
        behind.add(number + 2 - decoded[0].event)
        assert len(again(board).tasks.all()) == number + 1
    assert 0 in behind
    assert max(behind) > 1


def test_processes_that_take_turns_write_a_large_snapshot_once_for_each_eighth(
    board: Orchestrator, monkeypatch: pytest.MonkeyPatch
):
    """However fast the log grows."""
    monkeypatch.setattr(snapshot_schedule, "SMALL", 10_000)
    sizes: list[int] = []
    save = FileStore.save_snapshot

    def noted(store: FileStore, data: bytes) -> None:
        sizes.append(len(data))
        save(store, data)

    monkeypatch.setattr(FileStore, "save_snapshot", noted)
    for number in range(50):
        board.tasks.add("build", title=str(number))
    board.engine.save()
    others = [again(board) for _ in range(6)]
    for other in others:
        other.status()
    sizes.clear()
    for number in range(200):
        others[number % 6].tasks.add("build", title=str(number))
    assert len(sizes) > 5
    assert all(new > 1.1 * old for old, new in itertools.pairwise(sizes))


# Requests


def test_a_request_inside_another_leaves_the_outer_one_answered(board: Orchestrator):
    other = again(board, request_id="opening")
    with other.request("outer"):
        other.tasks.add("build", title="one")
        with other.request("inner"):
            other.tasks.add("build", title="two")
        other.tasks.add("build", title="three")
    other.tasks.add("build", title="four")
    marks = [record.req and record.req.id for record in other.events.read(last=4)]
    assert marks == ["outer", "inner", None, "opening"]


# The log decides


def test_a_log_that_is_shorter_than_what_the_snapshot_covers_refuses_writes(board: Orchestrator):
    """A branch switch or a restore passes every checksum."""
    old = file(board, "events.jsonl").read_bytes()
    board.tasks.add("build", title="one")
    board.engine.save()
    file(board, "events.jsonl").write_bytes(old)
    other = again(board)
    with pytest.raises(Damage) as caught:
        other.tasks.add("build", title="two")
    assert (caught.value.code, caught.value.exit_status) == ("log_behind", 4)
    assert file(board, "events.jsonl").read_bytes() == old
    file(board, "state.json").unlink()
    assert titles(again(board)) == []


def test_another_line_where_the_snapshot_ends_refuses_writes(board: Orchestrator, tmp_path: Path):
    fork = tmp_path / "fork"
    board.close()
    shutil.copytree(str(board.folder), fork)
    board.tasks.add("build", title="mine")
    board.close()
    with Orchestrator.open(fork, now=board.engine._clock) as other:
        other.tasks.add("build", title="other")
        other.tasks.add("build", title="more")
    ours = file(board, "events.jsonl").read_bytes()
    file(board, "events.jsonl").write_bytes((fork / "state" / "events.jsonl").read_bytes())
    reopened = again(board)
    assert code_of(lambda: reopened.tasks.add("build", title="two")) == "log_behind"
    file(board, "events.jsonl").write_bytes(ours)


def test_a_missing_log_beside_a_snapshot_is_never_a_new_board(board: Orchestrator):
    board.close()
    moved = file(board, "moved")
    file(board, "events.jsonl").rename(moved)
    other = again(board)
    with pytest.raises(Damage):
        other.workstreams.create("new")
    assert not file(board, "events.jsonl").exists()
    moved.rename(file(board, "events.jsonl"))


def test_a_reader_that_saw_a_commit_that_was_taken_back_reads_on(board: Orchestrator):
    """The writer's sync failed after the reader had read; the next writer replaces these lines."""
    board.engine.save()
    log, state = file(board, "events.jsonl"), file(board, "state.json").read_bytes()
    size = log.stat().st_size
    reader = again(board)
    again(board).workstreams.create("taken-back")
    assert len(reader.workstreams.all()) == 2
    os.truncate(log, size)
    file(board, "state.json").write_bytes(state)
    again(board).workstreams.create("another")
    assert [stream.name for stream in reader.workstreams.all()] == ["another", "build"]
    assert reader.workstreams.create("third").name == "third"
    board.engine.forget()


def damage_line(board: Orchestrator, number: int) -> bytes:
    """Change a digit in a line of the log; return the former log."""
    board.close()
    data = file(board, "events.jsonl").read_bytes()
    lines = data.splitlines(keepends=True)
    lines[number - 1] = lines[number - 1].replace(b"2026", b"2027", 1)
    file(board, "events.jsonl").write_bytes(b"".join(lines))
    return data


def test_of_a_damaged_log_readers_see_the_valid_part_and_writers_refuse(board: Orchestrator):
    for number in range(4):
        board.tasks.add("build", title=str(number))
    whole = damage_line(board, 4)
    file(board, "state.json").unlink()
    damaged = file(board, "events.jsonl").read_bytes()
    warnings: list[str] = []
    other = again(board, warn=warnings.append)
    assert titles(other) == ["0", "1"]
    assert "events.jsonl:4" in warnings[0]
    with pytest.raises(Damage) as caught:
        other.tasks.add("build", title="more")
    assert caught.value.exit_status == 4
    assert caught.value.details["line"] == 4
    assert "doctor" in caught.value.hint
    assert file(board, "events.jsonl").read_bytes() == damaged
    file(board, "events.jsonl").write_bytes(whole)
    assert titles(other) == ["0", "1", "2", "3"]
    assert other.tasks.add("build", title="more").title == "more"


@pytest.mark.parametrize(
    ("tail", "word"),
    [
        (b"<<<<<<< HEAD\n", "merge conflict"),
        (b'{"id":99}\r\n', "CRLF"),
        (b"hello\n", ""),
        (b"\n", ""),
    ],
)
def test_lines_that_an_editor_or_git_left_stop_writes_and_say_what_they_are(
    board: Orchestrator, tail: bytes, word: str
):
    whole = file(board, "events.jsonl").read_bytes()
    file(board, "events.jsonl").write_bytes(whole + tail)
    with pytest.raises(Damage) as caught:
        again(board).tasks.add("build", title="x")
    assert word in caught.value.message
    assert file(board, "events.jsonl").read_bytes() == whole + tail
    file(board, "events.jsonl").write_bytes(whole)


def test_a_byte_order_mark_and_crlf_everywhere_stop_writes(board: Orchestrator):
    whole = file(board, "events.jsonl").read_bytes()
    for changed in (b"\xef\xbb\xbf" + whole, whole.replace(b"\n", b"\r\n")):
        file(board, "events.jsonl").write_bytes(changed)
        assert code_of(lambda: again(board).tasks.add("build", title="x")) in (
            "damage",
            "log_behind",
        )
        assert file(board, "events.jsonl").read_bytes() == changed
    file(board, "events.jsonl").write_bytes(whole)


def write_event(board: Orchestrator, type_name: str, payload: bytes, version: int = 1) -> None:
    """Append an event like another version of the toolkit."""
    engine = board.engine
    with engine.store.locked("tests", 20):
        engine.read()
        after = engine.position
        entry = Recorded(
            after.id + 1, engine.now(), "ann", type_name, msgspec.Raw(payload), version
        )
        engine.store.append([entry], after)


@pytest.mark.parametrize(
    ("type_name", "payload", "version"),
    [
        ("task.teleported", b"{}", 1),
        ("workstream.created", b'{"workstream":"new"}', 2),
    ],
)
def test_of_a_board_by_a_newer_version_readers_see_what_they_know_and_writers_refuse(
    tmp_path: Path, clock: SettableClock, type_name: str, payload: bytes, version: int
):
    with Orchestrator.open(tmp_path / "newer", now=clock) as board:
        board.workstreams.create("known")
        write_event(board, type_name, payload, version)
        size = file(board, "events.jsonl").stat().st_size
        for removed in (False, True):
            if removed:
                file(board, "state.json").unlink()
            warnings: list[str] = []
            other = again(board, warn=warnings.append)
            assert [stream.name for stream in other.workstreams.all()] == ["known"]
            assert len(warnings) == 1
            assert code_of(lambda other=other: other.workstreams.create("x")) == "newer_version"
            assert [stream.name for stream in other.workstreams.all()] == ["known"]
        assert file(board, "events.jsonl").stat().st_size == size


def test_facts_of_a_newer_version_are_kept_in_the_state_its_snapshot_and_the_archive(
    board: Orchestrator, monkeypatch: pytest.MonkeyPatch
):
    """An older program works on the board, and loses no facts that it does not know."""
    added = b'{"task":"abc00009","workstream":"build","title":"New","colour":"red","size":1}'
    write_event(board, "task.added", added)
    write_event(board, "task.edited", b'{"task":"abc00009","size":2}')
    warnings: list[str] = []
    with again(board, warn=warnings.append) as older:
        older.tasks.claim("abc00009", agent="ann")
        older.tasks.complete("abc00009")
    data = file(board, "state.json").read_bytes()
    saved = snapshot.decode(data, FileStore.cursor_type)
    assert saved is not None
    assert saved[0].tasks.unknown_facts == {"abc00009": {"colour": "red", "size": 2}}
    assert [*saved[0].newer_fields] == ["task.added.colour", "task.added.size", "task.edited.size"]
    with again(board, warn=warnings.append) as older:
        older.tasks.archive(["abc00009"])
        archived = older.events.read(last=1)[0]
        assert older.tasks.get("abc00009").title == "New"
        check_law(older)
    record = msgspec.json.decode(archived.payload)["record"]
    assert (record["colour"], record["size"], record["title"]) == ("red", 2, "New")
    assert warnings == []
    with monkeypatch.context() as newer:
        newer.setattr(snapshot, "is_known", lambda path: path == "task.added.colour")
        assert snapshot.decode(data, FileStore.cursor_type) is None, "who knows more folds anew"


def test_a_snapshot_with_a_field_that_is_not_known_is_folded_anew(board: Orchestrator):
    """A newer program wrote it: the next snapshot must not lose the field."""
    board.tasks.add("build", title="One")
    state, cursor = board.engine.read(), board.engine.position
    body = snapshot.encode(state, cursor)[snapshot._HEAD_LENGTH :]
    more = body.replace(b'"title": "One"', b'"title": "One", "colour": "red"')
    assert more != body
    for text, is_read in ((body, True), (more, False)):
        data = snapshot._HEAD % zlib.crc32(text) + text
        assert (snapshot.decode(data, FileStore.cursor_type) is not None) == is_read


def test_events_of_the_agents_own_types_never_stop_anybody(board: Orchestrator):
    write_event(board, "taskforce.formed", b'{"anything":[1,2]}')
    write_event(board, "deployed", b"null")
    assert board.tasks.add("build", title="x").title == "x"


# A torn tail


def test_a_log_cut_anywhere_keeps_whole_commits_and_sets_the_rest_aside(
    board: Orchestrator, tmp_path: Path
):
    with board.transaction():
        board.tasks.add("build", title="one")
        board.tasks.add("build", title="two")
    whole = file(board, "events.jsonl").read_bytes()
    first = whole.index(b"\n") + 1
    for cut in [*range(first, len(whole), 13), len(whole) - 2, len(whole) - 1]:
        folder = tmp_path / f"cut-{cut}"
        (folder / "state").mkdir(parents=True)
        log = folder / "state" / "events.jsonl"
        log.write_bytes(whole[:cut])
        other = Orchestrator(FileStore(folder, warn=lambda _: None), now=board.engine._clock)
        assert titles(other) == []
        if cut == len(whole) - 1:
            other.agents.heartbeat("ann")
            assert titles(other) == ["one", "two"], "only the newline was missing"
            continue
        other.tasks.add("build", title="next")
        assert titles(other) == ["next"]
        kept = (
            [path.read_bytes() for path in (folder / "state" / "quarantine").glob("*")]
            if (folder / "state" / "quarantine").exists()
            else []
        )
        assert kept == ([whole[first:cut]] if cut > first else [])
        shutil.rmtree(folder)


@pytest.mark.parametrize("with_snapshot", [True, False])
def test_a_log_that_lost_only_its_final_newline_is_whole(board: Orchestrator, with_snapshot: bool):
    """An editor removed it. The line is whole, so this is neither a torn write nor damage."""
    board.tasks.add("build", title="one")
    board.close()
    whole = file(board, "events.jsonl").read_bytes()
    file(board, "events.jsonl").write_bytes(whole[:-1])
    if not with_snapshot:
        file(board, "state.json").unlink()
    other = again(board)
    other.tasks.add("build", title="two")
    assert titles(other) == ["one", "two"]
    assert file(board, "events.jsonl").read_bytes().startswith(whole)


# Time travel


def test_status_at_an_event_shows_the_board_as_it_was(board: Orchestrator, clock: SettableClock):
    seen = {1: (0, 0)}
    for number in range(3):
        clock.advance(60)
        task = board.tasks.add("build", title=str(number))
        seen[board.engine.read().event] = (number + 1, number)
        board.tasks.claim(task.id, agent="ann")
        board.tasks.complete(task.id)
    for number, (total, done) in seen.items():
        status = board.status(at=number)
        assert status.event == number
        assert status.at == board.engine.event(number).ts
        counts = status.workstreams[0].counts
        assert (sum(counts.values()), counts.get("done", 0)) == (total, done)
        assert [event["id"] for event in status.events][-1] == number
    assert board.status().event == board.engine.read().event


def test_the_state_at_every_event_is_the_fold_up_to_it(board: Orchestrator):
    with board.transaction():
        task = board.tasks.add("build", title="x")
        board.tasks.claim(task.id, agent="ann")
    board.tasks.complete(task.id)
    records = [entry for chunk in board.engine.store.read(START) for entry in chunk.events]
    for number in range(1, len(records) + 1):
        state = type(board.engine.read())()
        state.fold(records[:number])
        assert repr(board.engine.state_at(number)) == repr(state)


def test_leases_and_locks_of_the_past_are_judged_by_the_time_of_the_event(
    board: Orchestrator, clock: SettableClock
):
    board.locks.acquire("git", agent="ann", ttl=60)
    then = board.engine.read().event
    clock.advance(3600)
    assert [lock.resource for lock in board.status(at=then).locks] == ["git"]
    assert board.status().locks == []


@pytest.mark.parametrize("number", [99, -1])
def test_an_event_that_never_was_is_not_found(board: Orchestrator, number: int):
    with pytest.raises(NotFound):
        board.status(at=number)


# Segments


@pytest.mark.needs("sealing")
def test_a_log_of_many_segments_is_one_log(tmp_path: Path, clock: SettableClock):
    def open_board() -> Orchestrator:
        store = FileStore(tmp_path / "b", segment_size=600, warn=pytest.fail)
        return Orchestrator(store, now=clock)

    (tmp_path / "b").mkdir()
    orc = open_board()
    orc.workstreams.create("build")
    for number in range(12):
        with orc.transaction():
            orc.tasks.add("build", title=f"{number}a")
            orc.tasks.add("build", title=f"{number}b")
    sealed = sorted((tmp_path / "b" / "state").glob("events-*.jsonl"))
    assert len(sealed) >= 5
    for path in sealed:
        last = path.read_bytes().splitlines()[-1]
        assert b'"more":true' not in last, "a commit straddles two segments"
    assert [entry.id for entry in open_board().events.read()] == list(range(1, 26))
    assert open_board().engine.event(13).id == 13
    assert open_board().status(at=14).event == 14
    check_law(orc)
    sealed[2].rename(tmp_path / "away")
    shutil.rmtree(tmp_path / "b" / "state" / "checkpoints")
    (tmp_path / "b" / "state" / "state.json").unlink()
    warnings: list[str] = []
    reader = Orchestrator(
        FileStore(tmp_path / "b", warn=warnings.append), now=clock, warn=warnings.append
    )
    assert 0 < len(reader.tasks.all()) < 24
    assert any(sealed[2].name in sentence for sentence in warnings)
    with pytest.raises(Damage):
        reader.tasks.add("build", title="x")


# Finding and making boards


def test_a_named_board_is_made_whole_and_a_folder_of_other_things_is_refused(tmp_path: Path):
    with Orchestrator.open(tmp_path / "new") as orc:
        orc.workstreams.create("build")
    assert {"state", "knowledge"} <= {path.name for path in (tmp_path / "new").iterdir()}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    assert code_of(lambda: Orchestrator.open(tmp_path / "other")) == "no_board"
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["file"]


def test_a_named_folder_is_the_board_or_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    inner = Orchestrator.open(tmp_path / ".orchestrator").folder
    monkeypatch.chdir(tmp_path)
    assert Orchestrator.open(".").folder == inner == str(tmp_path / ".orchestrator")
    monkeypatch.setenv("ORCHESTRATOR_DIR", str(tmp_path))
    assert Orchestrator.open().folder == inner
    (tmp_path / "state").mkdir()
    assert Orchestrator.open(".").folder == str(tmp_path)


@pytest.mark.parametrize("place", [".", "knowledge", "state/presence", "agents/ann"])
def test_a_board_is_found_from_inside_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
):
    (tmp_path / ".orchestrator").mkdir()
    board = Orchestrator.open(tmp_path / "my-board").folder
    inside = tmp_path / "my-board" / place
    inside.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(inside)
    assert Orchestrator.open().folder == board == str(tmp_path / "my-board")


def test_a_folder_that_only_has_a_state_of_its_own_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Many projects have a folder `state`; that of a board contains a log, or has a knowledge base beside
    it."""
    (tmp_path / "state").mkdir()
    monkeypatch.chdir(tmp_path)
    assert code_of(Orchestrator.open) == "no_board"
    (tmp_path / "state" / "events.jsonl").touch()
    assert Orchestrator.open().folder == str(tmp_path)


def test_a_board_is_found_here_or_above_and_never_made_by_accident(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert code_of(Orchestrator.open) == "no_board"
    assert list(deep.iterdir()) == []
    (tmp_path / ".orchestrator").mkdir()
    assert Orchestrator.open().folder == str(tmp_path / ".orchestrator")
    monkeypatch.setenv("ORCHESTRATOR_DIR", str(tmp_path / "named"))
    assert Orchestrator.open().folder == str(tmp_path / "named")
    assert Orchestrator.open(tmp_path / "option").folder == str(tmp_path / "option")


def test_waiting_inside_a_transaction_is_a_usage_error(board: Orchestrator):
    with changes_nothing(board), pytest.raises(UsageError), board.transaction():
        board.tasks.next(agent="ann", wait=5)


def test_next_waits_for_the_event_that_makes_a_task_ready(board: Orchestrator):
    need = board.tasks.add("build", title="need")
    task = board.tasks.add("build", title="task", needs=[need.id])
    board.tasks.claim(need.id, agent="bob")
    collected: list[object] = []
    waiter = threading.Thread(
        target=lambda: collected.append(again(board).tasks.next(agent="ann", wait=60))
    )
    waiter.start()
    board.tasks.complete(need.id)
    waiter.join(60)
    assert [collected[0].id] == [task.id]  # type: ignore[attr-defined]


def test_a_log_that_is_gone_is_not_a_new_board_to_who_has_seen_it(board: Orchestrator):
    """The state folder was moved or is empty: events that were read stay readable, with a warning."""
    warnings: list[str] = []
    witness = again(board, warn=warnings.append)
    assert witness.engine.read().event == 1
    assert board.folder is not None
    Path(board.folder, "state").rename(Path(board.folder, "moved"))
    for made in (False, True):
        if made:
            Path(board.folder, "state").mkdir()
        for _ in range(2):
            warnings.clear()
            assert [ws.name for ws in witness.workstreams.all()] == ["build"]
            assert any("not in the log any more" in sentence for sentence in warnings)
    for _ in range(2):
        with pytest.raises(Damage, match="not in the log any more"):
            witness.workstreams.create("docs")
    assert not file(board, "events.jsonl").exists()
    Path(board.folder, "state", ".lock").unlink(missing_ok=True)
    shutil.rmtree(Path(board.folder, "state"))
    Path(board.folder, "moved").rename(Path(board.folder, "state"))
    witness.workstreams.create("docs")
