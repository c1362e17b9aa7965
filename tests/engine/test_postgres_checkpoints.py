"""Checkpoints in a database: an earlier state is read from about one part of the log, as on files."""

import gzip
import random

import psycopg
import pytest
from boards import check_law

from orchestrator import Orchestrator, checkpoints, snapshot
from orchestrator.core.store import START
from orchestrator.maintenance.doctor import examine
from orchestrator.stores.files.lines import crc_of
from orchestrator.stores.postgres import PostgresStore, log, schema
from tests.postgres_faults import break_all, lose_answer, sent_by
from tests.postgres_server import Server, running

from .test_checkpoints import as_bytes, states_of, work

SIZE = 3000


class Counts:
    """What a program has asked its database for since :meth:`clear`."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.lines: list[int] = []

    def clear(self) -> None:
        self.statements.clear()
        self.lines.clear()


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a page have fewer events than a part, as with the usual sizes."""
    monkeypatch.setattr(log, "PAGE", 10)


@pytest.fixture
def counts() -> Counts:
    return Counts()


def store_at(url: str, counts: Counts | None = None, part_size: int = SIZE) -> PostgresStore:
    store = PostgresStore(url, part_size=part_size)
    if counts is not None:
        counts.statements, lines_of = sent_by(store), store._log._lines

        def noted_lines(query: str, *values: int) -> list[bytes]:
            lines = lines_of(query, *values)  # type: ignore[arg-type]
            counts.lines += [len(line) for line in lines]
            return lines

        store._log._lines = noted_lines  # type: ignore[assignment,method-assign]
    return store


def open_board(url: str, counts: Counts | None = None) -> Orchestrator:
    return Orchestrator(store_at(url, counts), warn=pytest.fail)


@pytest.fixture
def board(url: str) -> str:
    """A board of many parts."""
    with open_board(url) as orc:
        work(orc)
    return url


def parts(store: PostgresStore) -> list[int]:
    """The numbers of all parts except the first."""
    store._checkpoints._read_parts()
    return store._checkpoints._parts[1:]


def test_each_part_of_the_log_leaves_a_checkpoint_that_is_the_fold_of_the_log(board: str) -> None:
    store = store_at(board)
    states = states_of(store)
    kept = store._checkpoints
    assert list(kept.sizes()) == parts(store)
    assert len(parts(store)) == kept.log_size() // SIZE > 5
    for number in parts(store):
        saved = snapshot.decode(gzip.decompress(kept.load(number) or b""), store.cursor_type)
        assert saved is not None
        assert as_bytes(saved[0]) == states[saved[1].id]
        assert kept.part(saved[1]) == number


def test_an_earlier_state_needs_one_part_of_the_log_and_no_more_statements_late_than_early(
    board: str, counts: Counts
) -> None:
    states = states_of(store_at(board))
    orc = open_board(board, counts)
    orc.engine.read()
    costs = []
    for number in range(1, max(states)):
        counts.clear()
        assert as_bytes(orc.engine.state_at(number)) == states[number], number
        # A checkpoint contains the first commit of its part. A state inside this commit is folded from
        # the checkpoint before.
        assert sum(counts.lines) < 2 * SIZE + 1500, number
        costs.append(len(counts.statements))
    assert max(costs[len(costs) // 2 :]) <= max(costs[: len(costs) // 2])


def test_a_board_without_its_snapshot_is_opened_from_the_last_checkpoint(
    board: str, counts: Counts, admin: psycopg.Connection
) -> None:
    orc = open_board(board, counts)
    admin.execute("DELETE FROM orchestrator.snapshots WHERE board = %s", (orc.engine.store._board,))  # type: ignore[attr-defined]
    counts.clear()
    assert len(orc.tasks.all()) == 60
    assert sum(counts.lines) < SIZE + 1500
    orc.tasks.add("build", title="one more")
    check_law(orc)


def test_checkpoints_outlive_a_crash_of_the_server_and_the_snapshot_does_not(
    counts: Counts,
) -> None:
    with running() as mortal:
        with open_board(mortal.url) as orc:
            work(orc)
        mortal.kill()
        mortal.start()
        orc = open_board(mortal.url, counts)
        assert orc.engine.store.open_snapshot() is None
        counts.clear()
        assert len(orc.tasks.all()) == 60
        assert sum(counts.lines) < SIZE + 1500
        check_law(orc)


@pytest.mark.parametrize("seed", range(3))
def test_a_checkpoint_that_is_damaged_deleted_or_of_another_log_is_never_used_and_made_again(
    board: str, postgres: Server, admin: psycopg.Connection, seed: int
) -> None:
    random.seed(seed)
    store, states = store_at(board), states_of(store_at(board))
    numbers = parts(store)
    with open_board(postgres.new_board()) as stranger:
        work(stranger, 70)
        foreign = stranger.engine.store.checkpoints
        assert foreign is not None
    for number in random.sample(numbers, 5):
        data = bytearray(store._checkpoints.load(number) or b"")
        action = random.choice(("flip", "cut", "empty", "delete", "foreign"))
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        other = foreign.load(random.choice(list(foreign.sizes()))) or b""
        changed = {"flip": bytes(data), "cut": bytes(data[:-9]), "empty": b"", "foreign": other}
        store._checkpoints.save(number, changed.get(action, b""))
        if action == "delete":
            store._checkpoints.remove(number)
    admin.execute("DELETE FROM orchestrator.snapshots WHERE board = %s", (store._board,))
    orc = open_board(board)
    for number in random.sample(sorted(states), 10):
        assert as_bytes(orc.engine.state_at(number)) == states[number]
    assert as_bytes(orc.engine.read()) == states[max(states)]
    orc.engine.refold(whole=True)
    assert list(store._checkpoints.sizes()) == numbers
    test_each_part_of_the_log_leaves_a_checkpoint_that_is_the_fold_of_the_log(board)


def test_a_checkpoint_of_commits_that_were_lost_with_their_server_is_removed(
    board: str, admin: psycopg.Connection
) -> None:
    """This happens if an asynchronous replica is promoted that has the checkpoint but not the commits."""
    store = store_at(board)
    last, states = parts(store)[-1], states_of(store)
    saved = snapshot.decode(
        gzip.decompress(store._checkpoints.load(last) or b""), store.cursor_type
    )
    assert saved is not None
    end = max(number for number in states if number < last)
    line = store.line(end)[0]
    admin.execute(
        "DELETE FROM orchestrator.events WHERE board = %s AND id > %s", (store._board, end)
    )
    admin.execute(
        "UPDATE orchestrator.boards SET head = %s, crc = %s WHERE id = %s",
        (end, crc_of(line), store._board),
    )
    admin.execute("DELETE FROM orchestrator.snapshots WHERE board = %s", (store._board,))
    orc = open_board(board)
    assert as_bytes(orc.engine.read()) == states[end]
    assert last not in store._checkpoints.sizes()


def test_the_doctor_compares_every_line_and_folds_only_after_the_last_checkpoint(
    board: str, admin: psycopg.Connection, counts: Counts
) -> None:
    """It reads an old checkpoint once, and again only if the checkpoint has changed."""

    def found(**options: bool) -> dict[str, str]:
        counts.clear()
        findings = examine(open_board(board, counts).engine, **options).findings
        said.append(next(f.message for f in findings if f.check == "log"))
        return {f.check: f.level for f in findings if f.level != "ok"}

    def loaded() -> int:
        return sum("SELECT data FROM orchestrator.checkpoints" in s for s in counts.statements)

    said: list[str] = []
    store = store_at(board)
    assert (found(), loaded()) == ({}, len(parts(store)) + 1)
    assert (found(), loaded()) == ({}, 1)
    assert "match their checksums; their events were not read" in said[-1]
    assert (found(full=True), said[-1]) == ({}, "")
    old = parts(store)[1]
    sound = store._checkpoints.load(old) or b""
    store._checkpoints.save(old, sound[:-9])
    assert found() == {"checkpoints": "warning"}
    store._checkpoints.save(old, sound)
    assert found() == {}
    admin.execute(
        "UPDATE orchestrator.events SET line = replace(line, 'task 3', 'task 4')"
        " WHERE board = %s AND id < %s",
        (store._board, parts(store)[2]),
    )
    assert found()["log"] == found(full=True)["log"] == "damage"


def test_checkpoints_thin_out_evenly_and_keep_the_last(
    board: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_at(board)
    before = store._checkpoints.sizes()
    room = max(before.values()) * 4
    monkeypatch.setattr(checkpoints, "FREE", room)
    monkeypatch.setattr(checkpoints, "SHARE", 1000)
    with open_board(board) as orc:
        while len(parts(store)) == len(before):
            orc.tasks.add("build", title="x" * 100)
    kept = store._checkpoints.sizes()
    assert sum(kept.values()) <= room
    assert max(kept) == parts(store)[-1] > max(before)
    states = states_of(store)
    for number in range(1, max(states), 7):
        assert as_bytes(orc.engine.state_at(number)) == states[number]
    assert store._checkpoints.sizes() == kept, (
        "a removed checkpoint is written again only if there is room"
    )


def test_only_the_command_that_begins_a_part_of_the_log_sends_more_messages(
    url: str, counts: Counts
) -> None:
    """Also if it is the first command of its process."""
    with open_board(url) as orc:
        work(orc, 20)
    seen = first = len(parts(store_at(url)))
    for number in range(25):
        orc = open_board(url, counts)
        orc.engine.read()
        counts.clear()
        orc.tasks.add("build", title=f"task {number}")
        more = [query for query in counts.statements if "checkpoints" in query or "parts" in query]
        now = len(parts(store_at(url)))
        assert bool(more) == (now > seen), more
        seen = now
    assert seen > first


def test_the_outcome_of_a_commit_that_begins_a_part_is_found_out_if_the_answer_is_lost(
    url: str, admin: psycopg.Connection
) -> None:
    """Later commits belong to the new part."""
    orc = open_board(url)
    orc.workstreams.create("build")
    store = orc.engine.store
    assert isinstance(store, PostgresStore)
    lost = lose_answer(store, "begun", lambda: break_all(admin))
    while not parts(store_at(url)):
        orc.tasks.add("build", title="x" * 100)
    orc.tasks.add("build", title="after")
    assert len(lost) == 1
    (first,) = parts(store)
    assert list(store._checkpoints.sizes()) == [first]
    assert len(states_of(store)) == store._checkpoints.newest + 1 == first + 1
    check_law(orc)


def test_an_older_database_gets_the_parts_of_its_logs_and_an_older_program_is_refused(
    postgres: Server,
) -> None:
    url = postgres.new_database("older")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "_VERSIONS", schema._VERSIONS[:3])
        patch.setattr(schema, "VERSION", 3)
        for name in ("b1", "b2"):
            PostgresStore(f"{url}?board={name}")
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(
            "INSERT INTO orchestrator.events"
            " SELECT 1, number, repeat('x', 50 << 20) FROM generate_series(1, 3) AS number"
        )
        admin.execute("UPDATE orchestrator.boards SET head = 3 WHERE id = 1")
        first, second = PostgresStore(f"{url}?board=b1"), PostgresStore(f"{url}?board=b2")
        assert parts(first) == [2, 3]
        assert first._checkpoints.log_size() == 3 * ((50 << 20) + 1)
        assert (parts(second), second._checkpoints.log_size()) == ([], 0)
        heads = admin.execute("SELECT head, part FROM orchestrator.boards ORDER BY id").fetchall()
        assert heads == [(3, 3), (0, 1)]
        # A program of version 3 sends this for each command, and compares the first value with its version.
        row = admin.execute(
            "SELECT * FROM orchestrator.lock_board(%s, 1, 'x', '1s', 0, 1, 1)", (schema.WRITERS,)
        ).fetchone()
        assert row == (schema.VERSION, None, None, None, None, None)
    with second.locked("test", 10):
        assert list(second.read(START)) == []
