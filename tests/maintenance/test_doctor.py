"""The doctor: which problems it detects, which it repairs, and which it leaves to people."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator import InputOutputError, Orchestrator, Refused
from orchestrator.board import locate
from orchestrator.core.store import START, Cursor, Problem
from orchestrator.maintenance.backup import import_board
from orchestrator.maintenance.doctor import Examination, examine
from orchestrator.stores.files.disk import FOLDER
from orchestrator.stores.files.layout import make
from orchestrator.stores.files.upkeep import FileUpkeep


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A board with two tasks, one done, and a topic."""
    with Orchestrator.open(tmp_path / "board") as orc:
        orc.workstreams.create("build")
        task = orc.tasks.add("build", title="one")
        orc.tasks.claim(task.id, agent="ann")
        orc.tasks.complete(task.id, result="page is live")
        orc.tasks.add("build", title="two")
        orc.knowledge.write("findings", "text")
    return tmp_path / "board"


def look(folder: Path, **options: bool) -> Examination:
    with Orchestrator.open(folder) as orc:
        return examine(orc.engine, **options)


def levels(examination: Examination) -> dict[str, str]:
    return {
        finding.check: finding.level for finding in examination.findings if finding.level != "ok"
    }


def test_a_sound_board_is_clean(folder: Path) -> None:
    examination = look(folder)
    assert (examination.status, levels(examination)) == (0, {})


def test_a_log_that_cannot_be_looked_at_is_not_called_sound(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that fails is no absence of the file: the doctor said that nothing is to be repaired."""
    log, lstat = folder / "state" / "events.jsonl", os.lstat
    log.write_bytes(log.read_bytes().removesuffix(b"\n"))

    def failing(path: str, *rest: Any, **more: Any) -> os.stat_result:
        if os.fspath(path) == str(log):
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return lstat(path, *rest, **more)

    problems = FileUpkeep.problems

    def examined_on_a_failing_disk(upkeep: FileUpkeep, end: Cursor) -> Iterator[Problem]:
        with monkeypatch.context() as patch:
            patch.setattr(os, "lstat", failing)
            yield from problems(upkeep, end)

    monkeypatch.setattr(FileUpkeep, "problems", examined_on_a_failing_disk)
    with (
        Orchestrator.open(folder) as orc,
        pytest.raises(InputOutputError, match="cannot be read"),
    ):
        examine(orc.engine, fix=True)


def test_submissions_whose_runner_let_its_lease_end_wait_again(folder: Path) -> None:
    with Orchestrator.open(folder) as orc:
        orc.merges.submit_commit("fix", "a" * 40, target="main")
        (claimed,) = orc.merges.claim("queue", lease=0.001)
        assert look(folder, fix=True).findings
        assert orc.merges.get(1).status == "waiting"
        assert claimed.token is not None
        with pytest.raises(Refused):
            orc.merges.merged(1, claimed.token, commit="b" * 40)
    assert levels(look(folder)) == {}


@pytest.mark.parametrize(
    ("check", "break_it"),
    [
        ("snapshot", lambda folder: (folder / "state/state.json").unlink()),
        ("snapshot", lambda folder: (folder / "state/state.json").write_text("{}")),
        ("knowledge", lambda folder: (folder / "knowledge/findings.md").unlink()),
        ("leftovers", lambda folder: (folder / "state/.state.json.1-1.new").touch()),
        *(
            pytest.param(
                "modes",
                lambda folder, name=name, mode=mode: (folder / name).chmod(mode),
                marks=pytest.mark.needs("modes"),
            )
            for name, mode in (
                *(("state/state.json", 0o666), ("state", 0o777)),
                *((".", 0o777), ("knowledge", 0o775)),
            )
        ),
    ],
)
def test_what_can_be_repaired_is_repaired_and_a_second_time_changes_nothing(
    folder: Path, check: str, break_it
) -> None:
    break_it(folder)
    assert levels(look(folder)) == {check: "warning"}
    assert look(folder, fix=True).status == 0
    log = (folder / "state/events.jsonl").read_bytes()
    assert look(folder, fix=True).status == 0
    assert (folder / "state/events.jsonl").read_bytes() == log


def test_a_lock_that_ended_is_no_warning(orc: Orchestrator, clock) -> None:
    orc.locks.acquire("git", agent="ann", ttl=60)
    clock.advance(3600)
    assert levels(examine(orc.engine)) == {}


def messages(folder: Path, check: str) -> list[str]:
    """What a check of the doctor finds."""
    return [f.message for f in look(folder).findings if f.check == check and f.level != "ok"]


def test_settings_that_cannot_be_used_are_named(folder: Path) -> None:
    file = folder / "config.toml"
    file.write_text('[saved.good]\nquestion = "ls --open"\n')
    assert levels(look(folder)) == {}
    file.write_text('[saved.good]\nquestion = "ls"\n[saved.bad]\nquestion = "ls \'"\n')
    assert messages(folder, "settings") == [
        "config.toml: the saved question 'bad' cannot be read: No closing quotation"
    ]
    file.write_text("workstream = 5\n")
    assert "config.toml cannot be used" in messages(folder, "settings")[0]


def test_queries_that_cannot_be_asked_are_named(folder: Path) -> None:
    queries = folder / "queries"
    queries.mkdir()
    for name, text in {
        "good.sql": "-- Of a stream.\nSELECT * FROM tasks WHERE workstream = :ws",
        "wrong.sql": "SELECT title FROM task",
        "writes.sql": "DELETE FROM tasks",
        "Odd name.sql": "SELECT 1",
        "readme.txt": "not a query",
    }.items():
        (queries / name).write_text(text)
    (queries / "latin.sql").write_bytes(b"SELECT '\xe9'")
    problems = messages(folder, "queries")
    assert {message.partition(": ")[0] for message in problems} == {
        "queries/Odd name.sql",
        "queries/latin.sql",
        "queries/wrong.sql",
        "queries/writes.sql",
    }
    assert "no such table: task" in "".join(problems)


@pytest.mark.needs("modes")
def test_a_formula_that_cannot_be_cooked_or_that_others_may_write_is_reported(folder: Path) -> None:
    (folder / "formulas").mkdir(exist_ok=True)
    for name, text in (
        ("good", '[[steps]]\nid = "a"'),
        ("bad", '[[steps]]\nid = "a"\nneeds = ["b"]'),
    ):
        (folder / f"formulas/{name}.formula.toml").write_text(text)
    examination = look(folder)
    assert levels(examination) == {"formulas": "warning"}
    (message,) = (first.message for first in examination.findings if first.check == "formulas")
    assert "bad" in message
    assert "good" not in message
    (folder / "formulas/good.formula.toml").chmod(0o666)
    assert levels(look(folder)) == {"formulas": "warning", "modes": "warning"}


def test_looking_changes_no_file(folder: Path) -> None:
    (folder / "state/state.json").unlink()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    look(folder)
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert after == before


def test_a_changed_line_is_damage_and_stays_out_of_what_is_salvaged(folder: Path) -> None:
    log = folder / "state/events.jsonl"
    log.write_bytes(log.read_bytes().replace(b"page is live", b"page is dead"))
    examination = look(folder, salvage_log=True)
    assert examination.status == 4
    assert levels(examination)["log"] == "damage"
    assert examination.salvaged is not None
    assert "page is dead" not in Path(examination.salvaged).read_text()
    assert b"page is dead" in Path(f"{examination.salvaged}.left-out").read_bytes()
    with Orchestrator.open(folder.parent / "new") as orc, open(examination.salvaged) as lines:
        import_board(orc.engine, lines)
        assert [task.title for task in orc.tasks.all()] == ["one", "two"]


def test_both_sides_of_a_merge_conflict_are_salvaged(folder: Path, tmp_path: Path) -> None:
    log = folder / "state/events.jsonl"
    common = log.read_bytes()
    sides = []
    for name in ("ours", "theirs"):
        log.write_bytes(common)
        (folder / "state/state.json").unlink(missing_ok=True)
        with Orchestrator.open(folder) as orc:
            orc.tasks.add("build", title=name)
        sides.append(log.read_bytes()[len(common) :])
    (folder / "state/state.json").unlink()
    conflict = b"<<<<<<< a\n" + sides[0] + b"=======\n" + sides[1] + b">>>>>>> b\n"
    log.write_bytes(common + conflict)
    examination = look(folder, salvage_log=True)
    assert examination.salvaged is not None
    assert log.read_bytes() == common + conflict
    with Orchestrator.open(tmp_path / "new") as orc, open(examination.salvaged) as lines:
        import_board(orc.engine, lines)
        assert [task.title for task in orc.tasks.all()][2:] == ["ours", "theirs"]


def test_a_log_behind_its_snapshot_is_given_up_only_by_a_persons_word(folder: Path) -> None:
    log = folder / "state/events.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:-1]))
    assert look(folder, fix=True).status == 4
    assert look(folder, fix=True, accept_log=True).status == 0
    with Orchestrator.open(folder) as orc:
        orc.tasks.add("build", title="three")


def test_an_interrupted_write_is_set_aside(folder: Path) -> None:
    log = folder / "state/events.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole + b'{"id":')
    examination = look(folder)
    assert (examination.status, levels(examination)) == (1, {"log": "warning"})
    fixed = look(folder, fix=True)
    assert (fixed.status, [f.fixed for f in fixed.findings if f.check == "log"]) == (0, [True])
    assert log.read_bytes().startswith(whole)
    assert fixed.backup is not None
    assert (Path(fixed.backup) / "state__events.jsonl").read_bytes() == whole + b'{"id":'


def test_an_interrupted_write_in_a_segment_that_has_just_begun_is_seen_and_kept(
    folder: Path,
) -> None:
    """The last whole commit is in the sealed file, so its end does not show the end of the active file."""
    log = folder / "state/events.jsonl"
    whole = log.read_bytes()
    tail = b'{"id":%d,"ts":"2026-11-21T06:13:00.123Z","agent":"b' % (whole.count(b"\n") + 1)
    log.rename(log.with_name("events-1.jsonl"))
    log.write_bytes(tail)
    assert len(tail) < len(whole)
    for fix in (False, True):
        (finding,) = (f for f in look(folder, fix=fix).findings if f.check == "log")
        assert finding.level == "warning"
        assert f"{log} ends with {len(tail)} bytes of an interrupted write after event" in (
            finding.message
        )
        assert ("doctor --fix" in finding.hint) is not fix, "what was tried is not advised again"
        # No crash leaves this: the first commit of a file comes with its name.
        assert (log.read_bytes(), log.with_name("events-1.jsonl").read_bytes()) == (tail, whole)


def test_a_file_that_is_half_sealed_has_no_interrupted_write(folder: Path) -> None:
    log = folder / "state/events.jsonl"
    os.link(log, log.with_name("events-1.jsonl"))
    assert (look(folder).status, levels(look(folder))) == (0, {})


def test_a_board_of_a_newer_version_is_not_called_damaged(folder: Path) -> None:
    """No data is lost, so restore and salvage are not suggested: an older program just cannot read it."""
    with Orchestrator.open(folder) as orc:
        store = orc.engine.store
        with store.locked("test", 20):
            *_, chunk = store.read(START)
            record = replace(chunk.events[-1], id=chunk.end.id + 1, type="task.teleported")
            store.append([record], chunk.end)
    before = (folder / "state/events.jsonl").read_bytes()
    examination = look(folder, fix=True, salvage_log=True)
    (finding,) = (finding for finding in examination.findings if finding.check == "log")
    assert (examination.status, examination.salvaged) == (1, None)
    assert "task.teleported" in finding.message
    assert "newer version" in finding.hint
    assert (folder / "state/events.jsonl").read_bytes() == before


def test_a_board_without_files_has_only_the_checks_of_every_board(orc: Orchestrator) -> None:
    orc.knowledge.write("plan", "text")
    orc.engine.documents.delete("knowledge/plan.md")
    examination = examine(orc.engine, fix=True)
    assert {f.check: (f.level, f.fixed) for f in examination.findings} == {
        "log": ("ok", False),
        "snapshot": ("ok", False),
        "knowledge": ("warning", True),
        "leases": ("ok", False),
        "formulas": ("ok", False),
        "settings": ("ok", False),
        "queries": ("ok", False),
    }
    assert examination.backup is None
    assert orc.engine.documents.read("knowledge/plan.md") == b"text\n"


def test_a_disk_that_does_not_answer_hides_nothing_from_doctor_and_salvage(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed read must not leave out a part of a salvage, or a copy of a repair."""
    log = folder / "state" / "events.jsonl"
    log.write_bytes(log.read_bytes().replace(b"page is live", b"page is dead"))
    (folder / "state" / "state.json").unlink()
    real = os.stat

    def stat(path: object, *args: Any, **options: Any) -> os.stat_result:
        if str(path) in (str(log), str(folder / "knowledge")):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, *args, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, Orchestrator.open(folder) as orc:
        patch.setattr(os, "stat", stat)
        examination = examine(orc.engine, salvage_log=True)
    assert examination.salvaged is not None
    assert Path(examination.salvaged).read_bytes().count(b"\n") > 3

    with Orchestrator.open(folder) as orc:
        for name in ("listdir", "lstat"):
            with monkeypatch.context() as patch:
                patch.setattr(os, name, failing)
                with pytest.raises(InputOutputError, match="Input/output error"):
                    examine(orc.engine)


def failing(*_: object, **__: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_disk_that_does_not_answer_leads_to_no_other_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The board of a parent folder is not used instead of one that cannot be read."""
    for folder in (tmp_path, tmp_path / "inner"):
        make(str(folder / FOLDER))
    assert locate(start=str(tmp_path / "inner")).folder == str(tmp_path / "inner" / FOLDER)
    real = os.lstat

    def lstat(path: object, *args: Any, **options: Any) -> os.stat_result:
        if str(path) == str(tmp_path / "inner" / FOLDER):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "lstat", lstat)
    with pytest.raises(InputOutputError, match="cannot be read"):
        locate(start=str(tmp_path / "inner"))
