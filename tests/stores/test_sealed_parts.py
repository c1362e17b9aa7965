"""Sealed segments that were checked: the doctor reads them again only after a change, and finds it."""

import gzip
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from engine.test_checkpoints import files as checkpoint_files
from engine.test_checkpoints import make_board, open_board, sealed

from orchestrator.core.errors import Damage, InputOutputError
from orchestrator.maintenance import log_reading
from orchestrator.maintenance.archiving import archive_log
from orchestrator.maintenance.doctor import examine
from orchestrator.stores.files import chain, segment
from orchestrator.stores.files.checkpoints import FileCheckpoints
from orchestrator.stores.files.folders import FileCursors
from orchestrator.stores.files.lines import Position
from orchestrator.stores.files.segment import Segment

pytestmark = pytest.mark.needs("sealing")

_SHORT = 20 * 10**6
"""Longer than the steps of the clock of a file system, in nanoseconds."""


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A board of many segments, and an empty folder beside it."""
    monkeypatch.setattr(segment, "SETTLED", _SHORT)
    for name in ("board", "disk"):
        (tmp_path / name).mkdir()
    return make_board(tmp_path / "board", tasks=30)


class Read:
    """The segments and checkpoints that the doctor has read since :meth:`clear`."""

    def __init__(self) -> None:
        self.segments: set[int] = set()
        self.checkpoints: set[int] = set()

    def clear(self) -> None:
        self.segments.clear()
        self.checkpoints.clear()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Read:
    noted = Read()
    check_segment, load = chain.check_segment, FileCheckpoints.load

    def checked(one: Segment, position: Position, size: int) -> Iterator[Position]:
        noted.segments.add(one.number)
        return check_segment(one, position, size)

    def loaded(self: FileCheckpoints, number: int) -> bytes | None:
        noted.checkpoints.add(number)
        return load(self, number)

    monkeypatch.setattr(chain, "check_segment", checked)
    monkeypatch.setattr(FileCheckpoints, "load", loaded)
    return noted


def settle(*folders: Path) -> None:
    """Wait until a new change of a file gets a later time than its last change."""
    paths = [path for folder in folders for path in folder.rglob("*")]
    latest = max(path.stat().st_ctime_ns for path in paths)
    while time.time_ns() <= latest + _SHORT:
        time.sleep(0.001)


def look(board: Path, **options: bool) -> tuple[dict[str, str], str]:
    """What the doctor finds (without ok), and what it says about the log."""
    settle(board, board.parent / "disk")
    findings = examine(open_board(board).engine, **options).findings
    found = {f.check: f.level for f in findings if f.level != "ok"}
    return found, "; ".join(f.message for f in findings if f.check == "log")


def numbers(paths: list[Path]) -> list[int]:
    return [int(path.name.split(".")[0].removeprefix("events-")) for path in paths]


def archive(board: Path, **options: object) -> None:
    archive_log(open_board(board).engine, **options)  # type: ignore[arg-type]


_FORMS = ("plain", "compressed", "moved", "both")


def in_form(board: Path, form: str) -> list[Path]:
    """Bring the sealed segments to a form; return the files of their data."""
    is_moved, is_compressed = form in ("moved", "both"), form in ("compressed", "both")
    disk = board.parent / "disk"
    if form != "plain":
        archive(board, folder=str(disk) if is_moved else None, compress=is_compressed)
    if is_moved:
        return sorted(disk.glob("events*"), key=lambda path: numbers([path]))
    ending = ".jsonl.zst" if is_compressed else ".jsonl"
    return [path.with_suffix(ending) for path in sealed(board)]


@pytest.mark.parametrize("form", _FORMS)
def test_a_sealed_segment_is_read_once_and_again_with_full(board: Path, read: Read, form: str):
    in_form(board, form)
    every = set(numbers(sealed(board)))
    found, said = look(board)
    assert (found, read.segments - {max(read.segments)}) == ({}, every)
    assert "not changed" not in said
    read.clear()
    found, said = look(board)
    assert (found, read.segments & every) == ({}, set())
    newest = max(numbers(checkpoint_files(board)))
    assert read.checkpoints == {newest}
    day = time.strftime("%Y-%m-%d", time.gmtime())
    assert said.startswith(
        f"{len(every)} sealed segments have not changed since they were checked on {day};"
        " `doctor --full` reads them; the other lines up to event "
    )
    read.clear()
    found, said = look(board, full=True)
    assert (found, said) == ({}, "")
    assert read.checkpoints == {*numbers(checkpoint_files(board))}
    with open_board(board) as orc:
        while len(sealed(board)) == len(every):
            orc.tasks.add("build", title="x" * 100)
    read.clear()
    assert look(board)[0] == {}
    assert read.segments & {*numbers(sealed(board))} == {*numbers(sealed(board))} - every


def test_full_counts_as_a_check(board: Path, read: Read):
    look(board, full=True)
    read.clear()
    assert "not changed" in look(board)[1]
    assert not read.segments & {*numbers(sealed(board))}


def _edit(path: Path) -> None:
    """Change a byte, and restore the time of the last change, as some tools do."""
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 2 // 3)


def _replace(path: Path) -> None:
    """Put another file of the same size and times in its place."""
    status, copy = path.stat(), path.with_name("copy")
    shutil.copy2(path, copy)
    _edit(copy)
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    copy.replace(path)


_DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "edited": (_edit, "damage"),
    "cut": (_cut, "damage"),
    "replaced": (_replace, "damage"),
    "empty": (lambda path: path.write_bytes(b"") and None, "damage"),
    "missing": (lambda path: path.unlink(), "missing"),
}


@pytest.mark.parametrize("form", _FORMS)
def test_every_change_of_a_checked_segment_is_found(board: Path, read: Read, form: str):
    data = in_form(board, form)
    look(board)
    for which in (0, 2, -1):
        path, sound = data[which], data[which].read_bytes()
        for name, (change, result) in _DAMAGE.items():
            assert "not changed" in look(board)[1], "the check before is not used"
            change(path)
            found, _ = look(board)
            is_there = result != "missing" or form == "plain"
            assert found == ({**found, "log": "damage"} if is_there else {"archive": "warning"}), (
                name
            )
            assert look(board, full=True)[0] != {}, name
            path.write_bytes(sound)  # restored from a backup
            read.clear()
            assert look(board)[0] == {}, name
            assert numbers(data)[which] in read.segments, name


@pytest.mark.parametrize("form", ["moved", "both"])
def test_a_changed_reference_is_found_and_a_moved_segment_is_read_again(
    board: Path, read: Read, form: str
):
    in_form(board, form)
    look(board)
    place, sound = sealed(board)[1], sealed(board)[1].read_bytes()
    for change in (
        _edit,
        _cut,
        _replace,
        lambda path: path.write_bytes(sealed(board)[2].read_bytes()),
    ):
        change(place)
        assert look(board)[0]["log"] == "damage"
        place.write_bytes(sound)
        assert look(board)[0] == {}
    archive(board, undo=True)
    read.clear()
    assert look(board)[0] == {}
    assert {*numbers(sealed(board))} <= read.segments


def test_a_segment_that_was_checked_before_its_disk_was_unmounted_is_not_read_again(
    board: Path, read: Read
):
    in_form(board, "both")
    look(board)
    disk, away = board.parent / "disk", board.parent / "away"
    disk.rename(away)
    disk.mkdir()
    (disk / "unused").touch()
    assert look(board)[0] == {"archive": "warning"}
    shutil.rmtree(disk)
    away.rename(disk)
    read.clear()
    assert look(board)[0] == {}
    assert not read.segments & {*numbers(sealed(board))}


def test_a_changed_checkpoint_is_found(board: Path):
    look(board)
    for path in (checkpoint_files(board)[1], checkpoint_files(board)[-1]):
        sound = path.read_bytes()
        for change in (_edit, _cut, _replace, lambda path: path.write_bytes(gzip.compress(b"{}"))):
            change(path)
            assert look(board)[0] == {"checkpoints": "warning"}
            path.write_bytes(sound)
            assert look(board)[0] == {}


def test_if_the_note_of_the_doctor_is_missing_or_damaged_everything_is_read(
    board: Path, read: Read
):
    random.seed(5)
    look(board)
    note = board / "state/cursors/doctor"
    sound = note.read_bytes()
    every = {*numbers(sealed(board))}
    for number in range(25):
        data = bytearray(sound)
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        note.write_bytes((data, sound[: random.randrange(len(sound))], b"", b"[]")[number % 4])
        read.clear()
        found, said = look(board)
        assert (found, every - read.segments) == ({}, set())
        assert "not changed" not in said
    _edit(sealed(board)[1])
    note.unlink()
    assert look(board)[0]["log"] == "damage"


def test_a_note_of_another_version_is_not_used(board: Path, read: Read):
    look(board)
    note = board / "state/cursors/doctor"
    known = msgspec.json.decode(note.read_text().partition(" ")[2])
    marks = {number: [mark, None] for number, (mark, _) in known["checkpoints"].items()}
    for other in ({"log": "more"}, {"log": '[{"part": 1}]'}, {"checkpoints": marks}):
        text = msgspec.json.encode(known | other).decode()
        note.write_text(f"{log_reading._checksum(text)} {text}")
        read.clear()
        assert look(board)[0] == {}
        assert read.segments if "log" in other else len(read.checkpoints) > 1


def test_a_segment_that_is_no_part_of_the_log_is_found_and_does_not_count_as_read(
    board: Path, read: Read
):
    """Commands find events by the names of the files, so they would read this file."""
    look(board)
    place, lines = sealed(board)[1], sealed(board)[1].read_bytes().splitlines(keepends=True)
    surplus = place.with_name(f"events-{numbers([place])[0] + 1}.jsonl")
    for data in (b"".join(lines[1:]), sealed(board)[3].read_bytes()):
        surplus.write_bytes(data)
        every = len(sealed(board)) - 1
        for _ in range(2):
            found, said = look(board)
            assert found["log"] == "damage"
            assert f"{every} sealed segments have not changed" in said
            assert f"{surplus} is no part of the log" in said
            assert look(board, full=True)[0]["log"] == "damage"
        surplus.unlink()
        assert look(board)[0] == {}


@pytest.mark.parametrize("change", ["swapped", "only the active file is left"])
def test_reading_a_file_with_the_events_of_another_file_ends_with_damage(board: Path, change: str):
    look(board)
    places = sealed(board)
    number = numbers(places)[3]
    if change == "swapped":
        one, other = places[2].read_bytes(), places[3].read_bytes()
        places[2].write_bytes(other)
        places[3].write_bytes(one)
    else:
        for path in places:
            path.unlink()
    assert look(board)[0]["log"] == look(board, full=True)[0]["log"] == "damage"
    store = open_board(board).engine.store
    for read in (
        lambda: store.event(number + 2),
        lambda: store.line(number + 2),
        lambda: [*store.read_backwards()],
    ):
        with pytest.raises(Damage):
            read()


def test_a_note_about_another_log_or_about_the_original_of_a_copy_is_not_used(
    board: Path, read: Read, tmp_path: Path
):
    look(board)
    copy = tmp_path / "disk/copy"
    shutil.copytree(board, copy)
    read.clear()
    found, said = look(copy)
    assert (found, {*numbers(sealed(copy))} - read.segments) == ({}, set())
    assert "not changed" not in said
    (tmp_path / "disk/other").mkdir()
    other = make_board(tmp_path / "disk/other", tasks=30)
    look(other)
    shutil.copy2(board / "state/cursors/doctor", other / "state/cursors/doctor")
    read.clear()
    assert look(other)[0] == {}
    assert {*numbers(sealed(other))} <= read.segments
    # The first segments of the other log are sound, but the later ones do not follow from them.
    assert numbers(sealed(other)) == numbers(sealed(board))
    for path, place in list(zip(sealed(other), sealed(board), strict=True))[:2]:
        path.replace(place)
    assert look(board)[0]["log"] == "damage"


def test_a_file_that_has_just_changed_is_read_again(
    board: Path, read: Read, monkeypatch: pytest.MonkeyPatch
):
    """A second change within the same step of the clock would not be noticed."""
    monkeypatch.setattr(segment, "SETTLED", 3600 * 10**9)
    for _ in range(2):
        read.clear()
        assert look(board)[0] == {}
        assert {*numbers(sealed(board))} <= read.segments


def test_a_board_that_cannot_be_written_is_examined_all_the_same(
    board: Path, monkeypatch: pytest.MonkeyPatch
):
    def refused(*_: object) -> None:
        raise InputOutputError("read-only")

    monkeypatch.setattr(FileCursors, "write", refused)
    assert look(board)[0] == look(board)[0] == {}


@pytest.mark.parametrize("seed", range(3))
def test_after_random_changes_the_doctor_finds_the_same_as_with_full(board: Path, seed: int):
    random.seed(seed)
    disk = board.parent / "disk"
    (disk / "unused").touch()
    damage: list[tuple[Path, bytes]] = []
    for _ in range(12):
        act = random.choice(("add", "archive", "undo", "damage", "damage", "repair"))
        if act == "add":
            with open_board(board) as orc:
                for _ in range(random.randrange(8)):
                    orc.tasks.add("build", title="x" * 100)
        elif act == "archive" and not damage:
            in_form(board, random.choice(("compressed", "moved", "both")))
        elif act == "undo" and not damage:
            archive(board, undo=True)
        elif act == "damage":
            path = random.choice(
                [*sealed(board), *disk.glob("events*"), *(board / "state").glob("*.zst")]
            )
            damage.append((path, path.read_bytes()))
            random.choice((_edit, _cut, _replace))(path)
        elif damage:
            path, data = damage.pop()
            path.write_bytes(data)
        plain, full = look(board)[0], look(board, full=True)[0]
        assert plain == full == ({**full, "log": "damage"} if damage else {}), (act, damage)
