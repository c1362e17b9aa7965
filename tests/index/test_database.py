"""The file of the index is restored after any damage, and its answers are never wrong."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orchestrator import Orchestrator
from orchestrator.core.errors import Damage, Refused
from orchestrator.index import writing
from orchestrator.index.standing import VERSION, value_of

from .comparing import check_sound
from .test_histories import check_is_index_of

COUNT = "SELECT count(*), max(id) FROM events"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def worked(board: Orchestrator) -> Orchestrator:
    """A board of files with some work on it, and an index."""
    board.workstreams.create("build")
    for number in range(20):
        board.tasks.add("build", title=f"Task {number}", needs=[])
    board.index.build()
    return board


def path_of(orc: Orchestrator, ending: str = "") -> Path:
    """The file of the index."""
    return Path(orc.folder or "") / "state" / f"index.db{ending}"


def check(orc: Orchestrator) -> None:
    """Check that the index answers, and that its file matches the log."""
    head = orc.engine.read().event
    assert orc.index.query(COUNT).rows == [[head, head]]
    with closing(sqlite3.connect(path_of(orc), isolation_level=None)) as database:
        check_is_index_of(database, orc.engine.store)


def delete(path: Path) -> None:
    path.unlink()


def delete_with_what_is_beside_it(path: Path) -> None:
    for file in path.parent.glob("index.db*"):
        file.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut_in_half(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def cut_within_a_page(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(100_000))


def text(path: Path) -> None:
    path.write_text("not a database\n")


def header_and_garbage(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:100] + os.urandom(len(data) - 100))


def pages_of_zeros(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:8192] + bytes(len(data) - 8192))


def another_database(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE people (name)")


def older_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE _index SET value = ? WHERE name = 'version'", (VERSION - 1,))
        database.execute("DROP TABLE notes")


def newer_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE _index SET value = ? WHERE name = 'version'", (VERSION + 1,))


def no_position(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE _index SET value = '{' WHERE name = 'position'")


DAMAGE = [
    empty, cut_in_half, cut_within_a_page, garbage, text, header_and_garbage, pages_of_zeros,
    another_database, older_version, newer_version, no_position,
]  # fmt: skip


@pytest.mark.parametrize("spoil", DAMAGE, ids=lambda spoil: spoil.__name__)
def test_an_unusable_file_is_rebuilt_with_a_warning(
    worked: Orchestrator, warnings: list[str], spoil: Callable[[Path], None]
):
    for ending in ("-wal", "-shm"):
        path_of(worked, ending).unlink(missing_ok=True)
    spoil(path_of(worked))
    worked.tasks.add("build", title="One more")
    worked.index.query("SELECT count(*) FROM texts, notes")
    worked.index.query("SELECT count(*) FROM words WHERE words MATCH 'task'")
    assert any(text.startswith("The index is built again: ") for text in warnings)
    check(worked)


@pytest.mark.parametrize("spoil", DAMAGE, ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("ask", ["status", "verify", "search"])
def test_every_command_builds_such_a_file_anew_with_a_warning(
    worked: Orchestrator, warnings: list[str], ask: str, spoil: Callable[[Path], None]
):
    for ending in ("-wal", "-shm"):
        path_of(worked, ending).unlink(missing_ok=True)
    spoil(path_of(worked))
    result = worked.index.search("Task") if ask == "search" else getattr(worked.index, ask)()
    if ask == "status" and spoil in (header_and_garbage, pages_of_zeros):
        return  # only those who read the pages see that
    assert any(text.startswith("The index is built again: ") for text in warnings)
    if ask == "status":
        assert (result.problem, result.event, result.version) == ("", result.head, VERSION)
    elif ask == "search":
        assert len(result) == 20
    check(worked)
    assert worked.index.verify() == []


def test_an_index_that_differs_from_the_log_is_built_anew_when_that_is_seen(
    worked: Orchestrator, warnings: list[str]
):
    with closing(sqlite3.connect(path_of(worked))) as database, database:
        database.execute("UPDATE tasks SET title = 'Changed' WHERE title = 'Task 3'")
    assert worked.index.verify() == ["tasks differs in 2 rows"]
    assert warnings == ["The index is built again: tasks differs in 2 rows"]
    check(worked)
    assert worked.index.verify() == []


def damage_line(board: Path, number: int) -> None:
    """Change a letter in a line of the log, counted from 1, and drop the snapshot."""
    log = board / "state" / "events.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    lines[number - 1] = lines[number - 1].replace(b'"title":"Task', b'"title":"Tusk')
    log.write_bytes(b"".join(lines))
    (board / "state" / "state.json").unlink()


@pytest.mark.parametrize("has_file", [True, False])
def test_beside_a_damaged_log_every_answer_names_its_last_event(
    worked: Orchestrator, tmp_path: Path, warnings: list[str], has_file: bool
):
    worked.tasks.add("build", title="Task 20")
    worked.tasks.add("build", title="Task 21")
    head = worked.engine.read().event
    if not has_file:
        worked.index.drop()
    copy = tmp_path / "copy"
    shutil.copytree(worked.folder or "", copy)
    damage_line(copy, head)
    damaged = Orchestrator.open(copy, warn=warnings.append)
    for ask in (lambda: damaged.index.query(COUNT), lambda: damaged.index.search("Task")):
        warnings.clear()
        ask()
        assert any(f"The answer is as of event {head - 1}." in text for text in warnings)
    with pytest.raises(Damage):
        damaged.index.verify()


@pytest.mark.parametrize("number", [1, 10, 21])
def test_damage_before_its_last_event_is_noticed_by_every_answer_until_it_is_repaired(
    worked: Orchestrator, tmp_path: Path, warnings: list[str], number: int
):
    copy = tmp_path / "copy"
    shutil.copytree(worked.folder or "", copy)
    log = copy / "state" / "events.jsonl"
    sound = log.read_bytes()
    lines = sound.splitlines(keepends=True)
    lines[number - 1] = lines[number - 1].replace(b'"agent"', b'"Agent"')
    log.write_bytes(b"".join(lines))
    damaged = Orchestrator.open(copy, warn=warnings.append)
    for ask in (lambda: damaged.index.query(COUNT), lambda: damaged.index.search("Task")):
        warnings.clear()
        ask()
        (text,) = warnings
        if number < 21:
            assert f"events.jsonl:{number}: the line at byte" in text
            assert text.endswith("The answer is as of event 21.")
        else:  # then it is not known whether the log went another way
            assert "line at byte" in text
    warnings.clear()
    log.write_bytes(sound)
    damaged.tasks.add("build", title="One more")
    check(damaged)
    assert warnings == []


def test_a_board_from_a_backup_keeps_its_index(
    worked: Orchestrator, tmp_path: Path, warnings: list[str]
):
    copy = tmp_path / "copy"
    shutil.copytree(worked.folder or "", copy, copy_function=shutil.copy)
    restored = Orchestrator.open(copy, warn=warnings.append)
    with closing(sqlite3.connect(path_of(restored))) as database:
        build = value_of(database, "build")
    check(restored)
    restored.tasks.add("build", title="One more")
    check(restored)
    assert warnings == []
    with closing(sqlite3.connect(path_of(restored))) as database:
        assert value_of(database, "build") == build


def test_a_part_of_a_deleted_task_points_to_no_parent(worked: Orchestrator):
    whole = worked.tasks.add("build", title="Whole")
    part = worked.tasks.add("build", title="Part", parent=whole.id)
    worked.tasks.cancel(part.id, reason="no")
    question = f"SELECT parent FROM tasks WHERE id = '{part.id}'"
    assert worked.index.query(question).rows == [[whole.id]]
    worked.tasks.delete([whole.id], reason="no")
    assert worked.index.query(question).rows == [[None]]
    worked.tasks.edit(part.id, title="Part of nothing")
    assert worked.index.query(question).rows == [[None]]
    check(worked)


@pytest.mark.parametrize("spoil", [delete, delete_with_what_is_beside_it])
def test_a_deleted_index_is_none_and_can_be_built_again(
    worked: Orchestrator, warnings: list[str], spoil: Callable[[Path], None]
):
    spoil(path_of(worked))
    assert not worked.index.status().exists
    assert worked.index.query("SELECT count(*) FROM tasks").rows == [[20]]
    worked.index.build()
    check(worked)
    assert warnings == []


def test_an_index_of_a_log_that_went_back_is_built_anew(worked: Orchestrator, warnings: list[str]):
    folder = Path(worked.folder or "")
    shutil.copy(folder / "state" / "events.jsonl", folder / "kept")
    worked.tasks.add("build", title="Lost by the restore")
    worked.index.build()
    worked.close()
    shutil.copy(folder / "state" / "index.db", folder / "newer")
    shutil.copy(folder / "kept", folder / "state" / "events.jsonl")
    (folder / "state" / "state.json").unlink()
    restored = Orchestrator.open(folder, warn=warnings.append)
    assert restored.index.query("SELECT count(*) FROM tasks").rows == [[20]]
    assert "The index is built again: the log does not go on from where it ended" in warnings
    shutil.copy(folder / "newer", folder / "state" / "index.db")
    assert restored.similar("Lost by the restore") == []
    shutil.copy(folder / "newer", folder / "state" / "index.db")
    restored.knowledge.write("one", "The parser")
    restored.knowledge.write("other", "A parser, and more of the parser")
    assert {match.topic for match in restored.knowledge.search("parser")} == {"one", "other"}
    restored.tasks.add("build", title="Another one in its place")
    assert restored.index.query("SELECT title FROM tasks ORDER BY added DESC", limit=1).rows == [
        ["Another one in its place"]
    ]
    check(restored)
    worked.engine.forget()


def test_another_log_of_the_same_length_is_seen(worked: Orchestrator, warnings: list[str]):
    """The index stands at event 21 of one log, and the log has 21 events, but others."""
    folder = Path(worked.folder or "")
    worked.close()
    (folder / "state" / "events.jsonl").unlink()
    (folder / "state" / "state.json").unlink()
    other = Orchestrator.open(folder, warn=warnings.append)
    other.workstreams.create("build")
    for number in range(20):
        other.tasks.add("build", title=f"Other {number}")
    assert other.index.query("SELECT count(*) FROM tasks WHERE title LIKE 'Other%'").rows == [[20]]
    assert len(warnings) == 1
    worked.engine.forget()


def test_drop_removes_it_and_what_a_killed_build_left(worked: Orchestrator):
    path_of(worked, ".building").write_bytes(b"left")
    assert worked.index.drop()
    assert not path_of(worked).exists()
    assert not path_of(worked, ".building").exists()
    assert not worked.index.drop()


def test_a_symbolic_link_in_its_place_is_refused(worked: Orchestrator, tmp_path: Path):
    worked.index.drop()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path_of(worked).symlink_to(victim)
    with pytest.raises(Refused):
        worked.index.build()
    assert victim.read_text() == "precious"


@pytest.mark.needs("flock")
def test_an_index_that_may_only_be_read_answers_up_to_date(
    worked: Orchestrator, warnings: list[str], monkeypatch: pytest.MonkeyPatch
):
    """A process of another user may not lock the file."""
    worked.tasks.add("build", title="One more")
    before = path_of(worked).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("orchestrator.core.system.open_file", _denied)
        assert worked.index.query("SELECT count(*) FROM tasks").rows == [[21]]
        assert path_of(worked).read_bytes() == before
        garbage(path_of(worked))
        assert worked.index.query("SELECT count(*) FROM tasks").rows == [[21]]
    assert warnings == ["The index cannot be written, so one in memory answers"]


def _denied(path: str, *_: object, **__: object) -> int:
    raise PermissionError(13, "Permission denied", path)


@pytest.mark.needs("flock")
def test_while_another_process_writes_it_the_answer_names_its_last_event(
    worked: Orchestrator, warnings: list[str]
):
    worked.tasks.add("build", title="One more")
    worked.engine.timeout = 0.0
    import fcntl

    with open(path_of(worked, ".lock")) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert worked.index.query("SELECT count(*) FROM tasks").rows == [[20]]
    assert warnings == [
        "The index could not be brought up to date (another process is writing it): as of event 21"
    ]
    assert worked.index.query("SELECT count(*) FROM tasks").rows == [[21]]


def test_a_follow_that_fails_halfway_leaves_it_as_it_was(
    worked: Orchestrator, monkeypatch: pytest.MonkeyPatch
):
    before = worked.index.query(COUNT).rows
    worked.tasks.add("build", title="One more")

    def fail(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(writing, "note_position", fail)
        with pytest.raises(RuntimeError):
            worked.index.query(COUNT)
    assert worked.index.query(COUNT, stale=True).rows == before
    check(worked)


# Real processes


def _start(orc: Orchestrator, doing: str) -> "subprocess.Popen[str]":
    words = [sys.executable, "-m", "tests.index.worker", orc.folder or "", doing]
    return subprocess.Popen(
        words, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_two_processes_that_build_at_once_make_one_sound_index(worked: Orchestrator):
    worked.index.drop()
    builders = [_start(worked, "build") for _ in range(3)]
    answers = [builder.communicate() for builder in builders]
    assert [
        (builder.returncode, *answer) for builder, answer in zip(builders, answers, strict=True)
    ] == [(0, "21\n", "")] * 3
    check(worked)


def test_processes_that_write_the_board_and_ask_at_once_see_what_they_wrote(worked: Orchestrator):
    workers = [_start(worked, "15") for _ in range(3)]
    for worker in workers:
        out, err = worker.communicate()
        assert (worker.returncode, err) == (0, "")
        counts = [int(line.strip("[]")) for line in out.split()]
        assert counts == sorted(counts)
        assert len(counts) == 15
    assert worked.index.query("SELECT count(*) FROM tasks").rows == [[65]]
    check(worked)


def _killed_at(step: int, folder: str) -> bool:
    """Build in a process that is killed at its n-th use of a file of the index.

    Returns:
        Whether it reached this use.
    """
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert status in (0, signal.SIGKILL)
        return status == signal.SIGKILL
    left = [step]

    def count(event: str, arguments: tuple[object, ...]) -> None:
        uses = ("open", "os.remove", "os.rename", "sqlite3.connect", "noted")
        if event in uses and "index.db" in str(arguments):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    try:
        note = writing.note_position

        def noting(*arguments: Any) -> None:
            count("noted", ("index.db, before",))
            note(*arguments)
            count("noted", ("index.db, after",))

        writing.note_position = noting
        sys.addaudithook(count)
        Orchestrator.open(folder).index.build()
        os._exit(0)
    finally:
        os._exit(1)


def _fall_behind(path: Path) -> None:
    orc = Orchestrator.open(path.parents[1])
    orc.tasks.add("build", title="One more")


@pytest.mark.needs("fork")
@pytest.mark.parametrize("before", [delete_with_what_is_beside_it, older_version, _fall_behind])
def test_a_build_that_is_killed_anywhere_leaves_the_index_as_it_was_or_done(
    worked: Orchestrator, before: Callable[[Path], None]
):
    step = 1
    while True:
        if path_of(worked).exists():
            before(path_of(worked))
        if not _killed_at(step, worked.folder or ""):
            break
        head = worked.index.status().head
        if path_of(worked).exists():
            assert worked.index.query(COUNT).rows == [[head, head]]
            check(worked)
        step += 1
    assert step > 5
    check(worked)


@pytest.mark.needs("fork")
def test_a_build_that_is_killed_at_a_random_time_does_no_harm(worked: Orchestrator):
    for number in range(4):
        worked.index.drop()
        path_of(worked, ".lock").unlink()
        builder = _start(worked, "build")
        while not path_of(worked, ".lock").exists() and builder.poll() is None:
            time.sleep(0.001)
        time.sleep(number * 0.004)
        builder.kill()
        builder.communicate()
        worked.index.build()
        check(worked)


def test_sound_means_that_damage_is_seen(worked: Orchestrator):
    """The check of these tests detects damage."""
    with closing(sqlite3.connect(path_of(worked), isolation_level=None)) as database:
        database.execute("DELETE FROM texts WHERE id = 1")
        with pytest.raises((AssertionError, sqlite3.DatabaseError)):
            check_sound(database)
    assert worked.index.verify()
