"""Archived segments: in another folder or compressed, read all the same, and never lost on the way."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import pyzstd
from boards import check_law
from engine import faults
from engine.faults import Faults, injected
from engine.test_checkpoints import as_bytes, make_board, open_board, sealed, true_states

from orchestrator import Damage, Orchestrator, OrchestratorError, Refused, UsageError
from orchestrator.core.errors import ArchiveMissing, BadName
from orchestrator.core.events import ARCHIVED
from orchestrator.core.store import START
from orchestrator.domain.board.commands import Upgrades
from orchestrator.domain.state import State
from orchestrator.index.database import IndexFile
from orchestrator.maintenance.archiving import archive_log
from orchestrator.maintenance.copying import copy_board
from orchestrator.maintenance.doctor import examine
from orchestrator.stores.files import FileStore, layout
from orchestrator.stores.files.archived import TYPE
from orchestrator.stores.files.lines import Position, crc_of, parse
from orchestrator.stores.files.segments import Segments

pytestmark = pytest.mark.needs("sealing")


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A board of many segments, and an empty folder beside it."""
    (tmp_path / "board").mkdir()
    (tmp_path / "disk").mkdir()
    return make_board(tmp_path / "board", tasks=40)


@pytest.fixture
def disk(board: Path) -> Path:
    return board.parent / "disk"


def whole_log(board: Path) -> list[object]:
    """Every event as each way of reading gives it."""
    store = FileStore(board, warn=pytest.fail)
    forward = [record for chunk in store.read(START) for record in chunk.events]
    backward = [*store.read_backwards()][::-1]
    single = [FileStore(board, warn=pytest.fail).event(record.id) for record in forward[::9]]
    assert forward == backward
    assert forward[::9] == single
    return [*forward]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith((".", "events")))


def found(board: Path, **options: bool) -> dict[str, str]:
    """What the doctor finds: the check and its level; ok is left out."""
    examination = examine(open_board(board).engine, **options)
    return {f.check: f.level for f in examination.findings if f.level != "ok"}


def archive(board: Path, **options: object) -> list[str]:
    """Archive, and return the paths."""
    archived = archive_log(open_board(board).engine, **options)  # type: ignore[arg-type]
    return [part.path for part in archived.moved]


@pytest.mark.parametrize("seed", range(3))
def test_an_archived_log_is_read_as_before_wherever_its_segments_are(
    board: Path, disk: Path, seed: int
):
    random.seed(seed)
    other = board.parent / "other"
    other.mkdir()
    original = whole_log(board)
    for _ in range(5):
        options = random.choice(
            (
                {"compress": True, "keep": random.randrange(4)},
                {"folder": str(disk), "keep": random.randrange(4)},
                {"folder": str(other), "compress": True},
                {"undo": True},
            )
        )
        with open_board(board) as orc:
            index = IndexFile(orc.engine.store, str(board), warn=pytest.fail)
            index.build()
            archive_log(orc.engine, **options)  # type: ignore[arg-type]
            assert whole_log(board)[: len(original)] == original, options
            assert not index.status().problem
            orc.tasks.add("build", title="one more")
            check_law(orc)
        assert found(board) == found(board, full=True) == {}, options
        states = true_states(board)
        number = random.choice(sorted(states))
        assert as_bytes(open_board(board).engine.state_at(number)) == states[number]
    archive(board, undo=True)
    assert files(disk) == files(other) == []
    assert whole_log(board)[: len(original)] == original
    assert not [path for path in sealed(board) if TYPE.encode() in path.read_bytes()]


def test_a_segment_is_compressed_so_that_every_program_for_zstd_reads_it(board: Path):
    plain = {path.name: path.read_bytes() for path in sealed(board)}
    paths = archive(board, compress=True, keep=1)
    assert [Path(path).name for path in paths] == [f"{name}.zst" for name in [*plain][:-1]]
    for path in paths:
        assert pyzstd.decompress(Path(path).read_bytes()) == plain[Path(path).stem]
        assert Path(path).stat().st_size < len(plain[Path(path).stem])


def test_an_older_version_sees_a_newer_log_and_not_a_shorter_one(board: Path, disk: Path):
    """It reads the line in the place of the segment: its checksum is right, and its type is unknown."""
    before = 0
    ends = [crc_of(path.read_bytes().splitlines()[-1]) for path in sealed(board)]
    archive(board, folder=str(disk))
    for path, crc in zip(sealed(board), ends, strict=True):
        number = int(path.stem.split("-")[1])
        start = Position(id=number - 1, segment=number, crc=before)
        parsed = parse(path.read_bytes(), start)
        assert not parsed.problem
        (record,) = parsed.events
        assert record.type == TYPE
        with pytest.raises(Damage) as caught:
            State().fold((record,))
        assert caught.value.code == "newer_version"
        before = crc
    assert open_board(board).engine.read().board.format == ARCHIVED


@pytest.mark.parametrize("form", ["moved", "compressed"])
def test_a_folder_that_is_not_there_is_named_and_no_answer_is_made_up(
    board: Path, disk: Path, form: str
):
    states = true_states(board)
    original = len(whole_log(board))
    archive(board, folder=str(disk), compress=form == "compressed", keep=2)
    index = IndexFile(FileStore(board, warn=pytest.fail), str(board), warn=pytest.fail)
    index.build()
    disk.rename(board.parent / "unplugged")
    assert not index.status().problem, "the index needs the archive although nothing has changed"
    orc = open_board(board)
    for ask in (
        lambda: orc.events.read(),
        lambda: orc.engine.event(1),
        lambda: orc.engine.state_at(3),
        lambda: [*orc.engine.store.read(START)],
    ):
        with pytest.raises(ArchiveMissing, match=str(disk)) as caught:
            ask()
        assert "Mount the disk" in caught.value.hint
    # What the open part and the checkpoints answer is answered.
    (board / "state/state.json").unlink()
    orc = open_board(board)
    assert as_bytes(orc.engine.read())
    last = orc.engine.read().event
    assert as_bytes(orc.engine.state_at(last - 2))
    orc.tasks.add("build", title="one more")
    assert [event.id for event in orc.events.read(last=3)] == [last - 1, last, last + 1]
    assert found(board) == {"archive": "warning"}
    assert found(board, full=True)["archive"] == "warning"
    with pytest.raises(ArchiveMissing):
        archive(board, undo=True)
    (board.parent / "unplugged").rename(disk)
    assert found(board) == found(board, full=True) == {}
    assert len(whole_log(board)) == original + 2
    assert {number: states[number] for number in [*states][::20]} == {
        number: as_bytes(open_board(board).engine.state_at(number)) for number in [*states][::20]
    }


def test_the_status_works_without_the_archive_and_says_that_some_events_are_not_shown(
    board: Path, disk: Path
):
    archive(board, folder=str(disk))
    count = len(sealed(board))
    with open_board(board) as orc:
        while len(sealed(board)) == count:
            orc.tasks.add("build", title="x" * 100)
        first = orc.engine.read().event
    IndexFile(FileStore(board, warn=pytest.fail), str(board), warn=pytest.fail).build()
    archive(board, folder=str(disk), compress=True)
    disk.rename(board.parent / "unplugged")
    orc = open_board(board)
    orc.engine.warn = (warned := list[str]()).append
    assert [event["id"] for event in orc.status().events] == [first]
    assert "Some of the latest events are not shown" in warned[0]
    assert str(disk) in warned[0]
    # The index was built before its segments were moved, so it cannot be compared with the log.
    findings = examine(Orchestrator.open(board).engine).findings
    assert {f.check for f in findings if f.level != "ok"} == {"archive", "index"}


@pytest.mark.parametrize("compress", [False, True])
def test_every_damage_of_an_archived_segment_is_found(board: Path, disk: Path, compress: bool):
    random.seed(7)
    path = Path(archive(board, folder=str(disk), compress=compress)[1])
    sound = path.read_bytes()
    for _ in range(20):
        data = bytearray(sound)
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        path.write_bytes(random.choice((data, sound[: random.randrange(len(sound))])))
        if compress and _reads_as(path, sound):
            continue  # a bit that means nothing, such as one of a frame's optional fields
        assert found(board)["log"] == "damage"
    path.write_bytes(sound)
    assert found(board) == {}


def _reads_as(path: Path, sound: bytes) -> bool:
    try:
        return pyzstd.decompress(path.read_bytes()) == pyzstd.decompress(sound)
    except pyzstd.ZstdError:
        return False


def test_a_damaged_reference_is_found(board: Path, disk: Path):
    archive(board, folder=str(disk))
    place = sealed(board)[1]
    sound = place.read_bytes()
    random.seed(3)
    for _ in range(30):
        data = bytearray(sound)
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        place.write_bytes(data)
        assert found(board)["log"] == "damage"
    place.write_bytes(sealed(board)[2].read_bytes())
    assert found(board)["log"] == "damage"
    place.write_bytes(sound)
    assert found(board) == {}


def test_what_is_salvaged_and_copied_has_the_archived_events(board: Path, disk: Path):
    archive(board, folder=str(disk), compress=True, keep=2)
    with open_board(board) as source, Orchestrator.open(board.parent / "copy") as target:
        copy_board(source.engine, target.engine)
    assert whole_log(board.parent / "copy") == whole_log(board)
    plain = sealed(board)[-1]
    plain.write_bytes(plain.read_bytes().replace(b"task", b"tusk", 1))
    salvaged = examine(open_board(board).engine, salvage_log=True).salvaged
    assert salvaged is not None
    lines = Path(salvaged).read_bytes().splitlines()
    assert len(lines) >= open_board(board).engine.read().event - 3


def test_a_folder_is_checked_before_anything_is_moved(board: Path, disk: Path):
    before = whole_log(board)
    (disk / sealed(board)[2].name).write_bytes(b"of another board\n")
    (board.parent / "link").symlink_to(board / "state")
    for folder, code in (
        (str(disk), "archive_taken"),
        (str(board.parent / "nowhere"), "no_folder"),
        (str(board / "state"), "archive_in_log"),
        (str(board.parent / "link"), "archive_in_log"),
    ):
        with pytest.raises(Refused) as refused:
            archive(board, folder=folder)
        assert refused.value.code == code
    for folder in ("", "a\nb", " "):
        with pytest.raises(BadName):
            archive(board, folder=folder)
    for options in ({}, {"keep": 1}, {"undo": True, "compress": True}, {"undo": True, "keep": 1}):
        with pytest.raises(UsageError):
            archive(board, **options)
    assert files(disk) == [sealed(board)[2].name]
    assert open_board(board).engine.read().board.format < 6
    assert whole_log(board) == before


def test_without_the_extra_the_error_names_it(board: Path, monkeypatch: pytest.MonkeyPatch):
    archive(board, compress=True, keep=1)
    monkeypatch.setitem(sys.modules, "pyzstd", None)
    for ask in (
        lambda: archive(board, compress=True),
        lambda: open_board(board).events.read(),
    ):
        with pytest.raises(UsageError) as caught:
            ask()
        assert "agent-orchestrator[archive]" in caught.value.hint


def test_a_copy_of_a_board_never_removes_what_the_board_refers_to(board: Path, disk: Path):
    """Both refer to the same files after `cp -r`; only the board that has moved a segment removes it."""
    archive(board, folder=str(disk))
    log = whole_log(board)
    other = board.parent / "other"
    shutil.copytree(board, other)
    moved = archive_log(open_board(other).engine, undo=True).moved
    assert [Path(part.left).name for part in moved] == files(disk)
    assert whole_log(board) == whole_log(other) == log
    assert {part.left for part in archive_log(open_board(board).engine, undo=True).moved} == {""}
    assert files(disk) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fifos in folders")
def test_what_is_no_file_in_place_of_a_compressed_segment_is_damage(board: Path, disk: Path):
    archive(board, folder=str(disk), compress=True)
    path = disk / "events-1.jsonl.zst"
    path.unlink()
    for make, remove in ((os.mkfifo, os.unlink), (os.mkdir, os.rmdir)):
        make(path)
        with pytest.raises(Damage, match="not a regular file"):
            whole_log(board)
        assert found(board)["log"] == "damage"
        remove(path)


def git(folder: Path, *words: str) -> None:
    user = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *user, *words], cwd=folder, check=True, capture_output=True)


def test_a_board_that_git_keeps_is_whole_in_each_clone(board: Path, disk: Path):
    """A move to a folder that a clone does not have is refused; compressed segments are in git."""
    archive(board, folder=str(disk), keep=2)
    git(board, "init", "-q")
    layout.make(str(board), versioned=True)
    (warning,) = (f for f in examine(open_board(board).engine).findings if f.level != "ok")
    assert (warning.check, str(disk) in warning.message) == ("git", True)
    git(board, "add", "-A")
    git(board, "commit", "-qm", "moved")
    git(board.parent, "clone", "-q", str(board), "lacking")
    disk.rename(board.parent / "unplugged")
    with pytest.raises(ArchiveMissing, match=str(disk)):
        whole_log(board.parent / "lacking")
    (board.parent / "unplugged").rename(disk)
    archive(board, undo=True)
    assert found(board) == {}
    for options in ({}, {"compress": True}):
        with pytest.raises(Refused) as refused:
            archive(board, folder=str(disk), **options)
        assert refused.value.code == "archive_versioned"
    assert files(disk) == []
    archive(board, compress=True)
    assert found(board) == {}
    git(board, "add", "-A")
    git(board, "commit", "-qm", "compressed")
    git(board.parent, "clone", "-q", str(board), "clone")
    assert whole_log(board.parent / "clone") == whole_log(board)
    (board.parent / "clone/knowledge").mkdir()  # git keeps no empty folder
    assert set(found(board.parent / "clone")) <= {"snapshot"}


def test_a_damaged_segment_is_not_moved(board: Path, disk: Path):
    path = sealed(board)[1]
    path.write_bytes(path.read_bytes().replace(b"task", b"tusk", 1))
    damaged = path.read_bytes()
    with pytest.raises(Damage):
        archive(board, folder=str(disk))
    assert files(disk) == [sealed(board)[0].name]
    assert path.read_bytes() == damaged


def test_a_reader_follows_a_segment_that_is_moved_under_it(board: Path, disk: Path):
    archive(board, folder=str(disk))
    segments = Segments(str(board / "state"))
    first, second = (segments.find(number) for number in segments.numbers()[:2])
    assert first is not None
    assert second is not None
    archive(board, undo=True)
    assert first[0].read(0, 99) == sealed(board)[0].read_bytes()[:99]
    plain = sealed(board)[1].read_bytes()
    archive(board, compress=True)
    assert second[0].read(0, 99) == plain[:99]


def test_of_two_who_archive_at_once_one_is_refused_and_nothing_is_lost(board: Path, disk: Path):
    before = whole_log(board)
    upkeep = FileStore(board, warn=pytest.fail).upkeep
    late = upkeep.archive(folder=None, compress=True, keep=0, undo=False)
    archive(board, folder=str(disk))
    with pytest.raises(Refused) as refused:
        late[0]()
    assert refused.value.code == "archive_busy"
    assert whole_log(board)[: len(before)] == before


def test_writers_and_readers_go_on_while_another_process_archives(board: Path, disk: Path):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            for _ in range(4):
                archive(board, folder=str(disk), compress=True)
                archive(board, undo=True)
            code = 0
        finally:
            os._exit(code)
    orc = open_board(board)
    before = orc.engine.read().event
    written, ended = 0, (0, 0)
    while ended[0] == 0:
        orc.tasks.add("build", title="one more")
        written += 1
        reader = FileStore(board, warn=pytest.fail)
        records = [record.id for chunk in reader.read(START) for record in chunk.events]
        assert records == [*range(1, len(records) + 1)]
        assert len(records) >= before + written
        assert reader.event(written % before + 1).id == written % before + 1
        ended = os.waitpid(pid, os.WNOHANG)
    assert os.waitstatus_to_exitcode(ended[1]) == 0
    check_law(orc)
    assert found(board) == {}


# Kills and failures at every step


MOVES: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "move": ({}, {"folder": "DISK"}),
    "compress": ({}, {"compress": True}),
    "both": ({"folder": "DISK", "keep": 1}, {"folder": "OTHER", "compress": True}),
    "undo": ({"folder": "DISK", "compress": True}, {"undo": True}),
}


def _in(folder: Path, options: dict[str, object]) -> dict[str, object]:
    places = {"DISK": str(folder / "disk"), "OTHER": str(folder / "other")}
    return {name: places.get(str(value), value) for name, value in options.items()}


@pytest.mark.parametrize("name", MOVES)
def test_a_move_that_dies_or_fails_at_any_call_loses_nothing_and_can_be_repeated(
    memory_path: Path, name: str
):
    folder, original = memory_path / "work", memory_path / "original"
    board = folder / "board"
    for path in (board, folder / "disk", folder / "other"):
        path.mkdir(parents=True)
    make_board(board, tasks=22)
    Upgrades(open_board(board).engine).to(ARCHIVED)
    before = whole_log(board)
    first, options = MOVES[name]
    if first:
        archive(board, **_in(folder, first))
    folder.rename(original)

    def prepared() -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        return Path(shutil.copytree(original, folder))

    def move(folder: Path) -> None:
        store = FileStore(folder / "board", warn=lambda _: None)
        archive_log(Orchestrator(store).engine, **_in(folder, options))  # type: ignore[arg-type]

    def check(where: str) -> None:
        assert set(found(board)) <= {"leftovers"}, where
        move(folder)
        store = FileStore(board, warn=pytest.fail)
        assert [record for chunk in store.read(START) for record in chunk.events] == before, where

    with injected(Faults(faults.goes_through, 0)) as counted:
        move(prepared())
    assert counted.names.count("replace") >= 2
    for number, call in enumerate(counted.names):
        for action in (_fail, _die) if call != "open" else ():
            action(prepared(), number, move)
            check(f"{action.__name__} at call {number} ({call}) of {counted.names}")


def _fail(folder: Path, number: int, move: Callable[[Path], None]) -> None:
    try:
        with injected(Faults(faults.fails, number)):
            move(folder)
    except OrchestratorError:
        pass


def _die(folder: Path, number: int, move: Callable[[Path], None]) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            with injected(Faults(faults.dies_before, number)):
                move(folder)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
