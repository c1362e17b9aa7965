"""Checkpoints: an earlier state is read from about one segment, and equals the fold of the whole log."""

import errno
import gzip
import io
import random
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from boards import check_law, fold
from msgspec.structs import replace

from orchestrator import Damage, NotFound, Orchestrator, checkpoints, current_state, snapshot
from orchestrator.core.cold_map import ColdDamage
from orchestrator.core.store import START, Store
from orchestrator.domain.state import State
from orchestrator.maintenance.archiving import archive_log
from orchestrator.maintenance.backup import export_board
from orchestrator.maintenance.doctor import examine
from orchestrator.maintenance.log_reading import equal
from orchestrator.stores.files import FileStore, disk, reading
from orchestrator.stores.files.checkpoints import FileCheckpoints
from orchestrator.stores.files.lines import Position
from orchestrator.stores.files.segment import Segment

from .test_cold import cold_at_once

pytestmark = pytest.mark.needs("sealing")

SIZE = 3000


def open_board(folder: Path) -> Orchestrator:
    store = FileStore(folder, segment_size=SIZE, warn=pytest.fail)
    return Orchestrator(store, warn=pytest.fail)


def as_bytes(state: State) -> bytes:
    return msgspec.json.encode(state)


def make_board(folder: Path, tasks: int = 60) -> Path:
    with open_board(folder) as orc:
        work(orc, tasks)
    return folder


def work(orc: Orchestrator, tasks: int = 60) -> None:
    orc.workstreams.create("build")
    for number in range(tasks):
        with orc.transaction():
            task = orc.tasks.add("build", title=f"task {number}")
            orc.tasks.claim(task.id, agent="ann")
        if number % 3 == 0:
            orc.tasks.complete(task.id, result="done")


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A board of many segments."""
    (tmp_path / "board").mkdir()
    return make_board(tmp_path / "board")


def files(board: Path) -> list[Path]:
    """The checkpoints, oldest first."""
    found = (board / "state/checkpoints").glob("*.json.gz")
    return sorted(found, key=lambda path: int(path.name.split(".")[0]))


def sealed(board: Path) -> list[Path]:
    found = (board / "state").glob("events-*.jsonl")
    return sorted(found, key=lambda path: int(path.stem.split("-")[1]))


def read_line(path: Path, number: int) -> dict[str, int]:
    """One line of a file of the log."""
    return msgspec.json.decode(path.read_bytes().splitlines()[number])


def true_states(board: Path) -> dict[int, bytes]:
    """The state after each event of a board of files, folded from the log alone."""
    return states_of(FileStore(board, warn=pytest.fail))


def states_of(store: Store) -> dict[int, bytes]:
    """The state after each event, folded from the log alone."""
    state, states = State(), dict[int, bytes]()
    for chunk in store.read(START):
        for record in chunk.events:
            state.fold((record,))
            states[record.id] = as_bytes(state)
    return states


@pytest.fixture
def segments_read(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[int]]:
    """The segments whose lines were folded since this set was cleared."""
    numbers: set[int] = set()
    read_segment = reading._read_segment

    def noted(segment: Segment, position: Position, tail: reading.Tail) -> Iterator[object]:
        for parsed in read_segment(segment, position, tail):
            numbers.add(segment.number)
            yield parsed

    monkeypatch.setattr(reading, "_read_segment", noted)
    return numbers


def test_each_sealed_segment_leaves_a_checkpoint_that_is_the_fold_of_the_log(board: Path):
    states = true_states(board)
    assert len(files(board)) == len(sealed(board)) > 5
    for path in files(board):
        saved = snapshot.decode(gzip.decompress(path.read_bytes()), Position)
        assert saved is not None
        assert as_bytes(saved[0]) == states[saved[1].id]
        assert saved[1].segment == int(path.name.split(".")[0])


def test_an_earlier_state_is_folded_from_the_nearest_checkpoint(
    board: Path, segments_read: set[int]
):
    states = true_states(board)
    orc = open_board(board)
    for number in range(1, orc.engine.read().event + 1):
        segments_read.clear()
        assert as_bytes(orc.engine.state_at(number)) == states[number], number
        # A checkpoint contains the first commit of its segment. A state inside this commit is folded from
        # the checkpoint before.
        assert len(segments_read) <= 2, (number, segments_read)


def test_a_snapshot_of_another_log_is_not_used_for_an_earlier_state(board: Path, tmp_path: Path):
    """Also for the last event of the snapshot, where no event of the log is folded after it."""
    (tmp_path / "other").mkdir()
    with open_board(make_board(tmp_path / "other", tasks=50)) as other:
        other.engine.save()
        event = other.engine.read().event
    states = true_states(board)
    with open_board(board) as orc:
        orc.engine.read()
        saved = (tmp_path / "other/state/state.json").read_bytes()
        (board / "state/state.json").write_bytes(saved)
        for number in (event - 1, event, event + 1):
            assert as_bytes(orc.engine.state_at(number)) == states[number]


def test_a_repeated_request_begins_with_the_snapshot_if_that_is_nearer_than_a_checkpoint(
    board: Path, monkeypatch: pytest.MonkeyPatch
):
    """A checkpoint has all records of ended work, the snapshot only those of open work."""
    with open_board(board) as orc:
        orc.engine.save()
    with open_board(board) as orc:
        with orc.request("once"):
            first = orc.tasks.add("build", title="once")
        orc.tasks.edit(first.id, title="later")
        states = true_states(board)
        event = orc.engine.read().event
        monkeypatch.setattr(FileCheckpoints, "load", pytest.fail)
        with orc.request("once"):
            assert orc.tasks.add("build", title="once") == first
        assert as_bytes(orc.engine.state_at(event - 1)) == states[event - 1]


def test_an_earlier_state_is_folded_from_a_checkpoint_if_the_snapshot_is_older(
    board: Path, segments_read: set[int]
):
    old_snapshot = (board / "state" / "state.json").read_bytes()
    with open_board(board) as orc:
        for number in range(60):
            orc.tasks.add("build", title=f"later {number}")
    states = true_states(board)
    (board / "state" / "state.json").write_bytes(old_snapshot)
    orc = open_board(board)
    event = orc.engine.read().event
    segments_read.clear()
    assert as_bytes(orc.engine.state_at(event - 1)) == states[event - 1]
    assert len(segments_read) <= 2


def test_a_board_without_its_snapshot_is_opened_from_the_last_checkpoint(
    board: Path, segments_read: set[int]
):
    (board / "state/state.json").unlink()
    segments_read.clear()
    orc = open_board(board)
    assert len(orc.tasks.all()) == 60
    assert len(segments_read) == 1
    orc.tasks.add("build", title="one more")
    check_law(orc)


@pytest.mark.parametrize("seed", range(6))
def test_a_damaged_or_deleted_checkpoint_is_never_used_and_made_again(board: Path, seed: int):
    random.seed(seed)
    states = true_states(board)
    for path in random.sample(files(board), 4):
        data = bytearray(path.read_bytes())
        action = random.choice(("flip", "cut", "empty", "delete", "other"))
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        if action == "delete":
            path.unlink()
        elif action == "other":
            path.write_bytes(gzip.compress(b'{"state": {}}'))
        else:
            path.write_bytes({"flip": data, "cut": data[:-9], "empty": b""}[action])
    (board / "state/state.json").unlink()
    orc = open_board(board)
    for number in random.sample(sorted(states), 10):
        assert as_bytes(orc.engine.state_at(number)) == states[number]
    assert as_bytes(orc.engine.read()) == states[max(states)]
    orc.engine.refold(whole=True)
    assert len(files(board)) == len(sealed(board))
    test_each_sealed_segment_leaves_a_checkpoint_that_is_the_fold_of_the_log(board)


def test_a_checkpoint_that_cannot_be_read_is_skipped_and_not_removed(
    board: Path, monkeypatch: pytest.MonkeyPatch
):
    """It may be readable later. Until then an earlier one is used, and the doctor names the file."""
    unread, before = files(board)[-1], files(board)
    read = disk.read

    def failing(path: str, **limits: int) -> bytes | None:
        if path == str(unread):
            raise disk.failed(OSError(errno.EIO, "x"), "read", path)
        return read(path, **limits)

    with open_board(board) as orc:
        expected = as_bytes(orc.engine.read())
    with monkeypatch.context() as patch:
        patch.setattr(disk, "read", failing)
        (board / "state" / "state.json").unlink()
        with open_board(board) as orc:
            assert as_bytes(orc.engine.read()) == expected
            found = examine(orc.engine).findings
        warned = [finding for finding in found if finding.check == "checkpoints"]
        assert [str(unread) in finding.message for finding in warned] == [True]
    assert files(board) == before


@pytest.mark.parametrize("behind", [b"", gzip.compress(b"x", mtime=0), b"x"])
def test_a_checkpoint_is_decompressed_only_up_to_the_size_that_a_store_writes(
    board: Path, behind: bytes
):
    """A small file can expand to any size. Bytes after the compressed text make a checkpoint unusable too."""
    checkpoint = files(board)[-1]
    text = gzip.decompress(checkpoint.read_bytes())
    if not behind:
        text += bytes(checkpoints.FREE * 8)
    checkpoint.write_bytes(gzip.compress(text) + behind)
    with open_board(board) as orc:
        tracemalloc.start()
        try:
            assert orc.engine.past_states.usable(int(checkpoint.name.split(".")[0])) is None
            assert tracemalloc.get_traced_memory()[1] < checkpoints.FREE * 4
        finally:
            tracemalloc.stop()


def test_a_checkpoint_that_is_too_large_to_be_read_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(checkpoints, "FREE", 10)
    monkeypatch.setattr(checkpoints, "GROWTH", 0)
    (tmp_path / "board").mkdir()
    assert files(make_board(tmp_path / "board")) == []


def test_a_checkpoint_of_another_log_is_not_used(board: Path, tmp_path: Path):
    """After a branch switch the checkpoints may be those of the other branch."""
    (tmp_path / "other").mkdir()
    other = make_board(tmp_path / "other", tasks=70)
    for path in files(other):
        path.replace(board / "state/checkpoints" / path.name)
    states = true_states(board)
    (board / "state/state.json").unlink()
    orc = open_board(board)
    assert as_bytes(orc.engine.read()) == states[max(states)]
    for number in (50, 90, 130):
        assert as_bytes(orc.engine.state_at(number)) == states[number]


def test_checkpoints_thin_out_evenly_and_keep_the_last(
    board: Path, monkeypatch: pytest.MonkeyPatch
):
    sizes = [path.stat().st_size for path in files(board)]
    monkeypatch.setattr(checkpoints, "FREE", max(sizes) * 4)
    monkeypatch.setattr(checkpoints, "SHARE", 1000)
    numbers = [int(path.name.split(".")[0]) for path in files(board)]
    with open_board(board) as orc:
        while len(sealed(board)) == len(sizes):
            orc.tasks.add("build", title="x" * 100)
    kept = [int(path.name.split(".")[0]) for path in files(board)]
    assert sum(path.stat().st_size for path in files(board)) <= max(sizes) * 4
    assert kept[-1] > numbers[-1]
    gaps = [after - before for before, after in zip([1, *kept], kept, strict=False)]
    assert max(gaps) <= kept[-1] / len(kept) * 2.5, kept
    states = true_states(board)
    before = files(board)
    for number in range(1, max(states), 7):
        assert as_bytes(orc.engine.state_at(number)) == states[number]
    # A removed one is not made again while there is no room for it.
    assert files(board) == before


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ColdDamage("x")])
def test_a_checkpoint_that_cannot_be_written_fails_no_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    def failing(self: object, *_: object) -> None:
        raise error

    monkeypatch.setattr(FileCheckpoints, "save", failing)
    make_board(tmp_path, tasks=10)
    assert sealed(tmp_path)
    assert not files(tmp_path)
    orc = open_board(tmp_path)
    assert as_bytes(orc.engine.state_at(5)) == true_states(tmp_path)[5]


def test_large_cold_files_are_not_read_for_a_checkpoint_until_the_log_is_folded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Neither by the command that seals a segment, nor by the next command of another process."""
    monkeypatch.setattr(current_state, "COLD_AT_ONCE", 0)
    with cold_at_once(), open_board(tmp_path) as orc:
        orc.workstreams.create("build")
        for title in ("ended", "ended too"):
            orc.tasks.cancel(orc.tasks.add("build", title=title).id)
        orc.engine.save()
        other = open_board(tmp_path)
        assert other.engine.read().event == orc.engine.read().event
        while not sealed(tmp_path):
            orc.tasks.add("build", title="x" * 100)
        other.tasks.add("build", title="one more")
        assert not files(tmp_path)
        other.engine.refold()
        assert len(files(tmp_path)) == 1


def test_a_board_without_sealed_segments_has_no_checkpoints(tmp_path: Path):
    with Orchestrator.open(tmp_path / "board") as orc:
        orc.workstreams.create("build")
        assert orc.engine.state_at(1).event == 1
        assert fold(orc.engine.store)[0].event == 1
    assert not (tmp_path / "board/state/checkpoints").exists()


@pytest.mark.parametrize("which", [0, 4, -1], ids=["first", "middle", "last"])
def test_a_missing_segment_is_named_in_every_direction_of_reading(board: Path, which: int):
    """No reader skips the missing segment, and none says that its events do not exist."""
    gone = sealed(board)[which]
    first, last = (read_line(gone, at)["id"] for at in (0, -1))
    gone.rename(board / "gone")
    orc = open_board(board)
    end = orc.engine.read().event
    events, store = orc.events, orc.engine.store
    orc.subscriptions.set_cursor("ann", first - 1)
    asked: list[Callable[[], object]] = [
        lambda: [*store.read(START)],
        lambda: [*store.read_backwards()],
        lambda: [*store.read_backwards(last + 1)],
        lambda: [*store.read_backwards(last)],
        lambda: store.event(first),
        lambda: store.line(last),
        lambda: orc.engine.state_at(last - 1),
        lambda: events.read(),
        lambda: events.read(last=end - first),
        lambda: events.read(since=first - 1),
        lambda: events.read(first=2, since=first - 1),
        lambda: next(orc.subscriptions.watch("ann")),
        lambda: export_board(orc.engine, io.StringIO()),
        lambda: archive_log(orc.engine, compress=True),
    ]
    for number, ask in enumerate(asked):
        with pytest.raises(Damage, match=f"{gone.name} is missing or empty: event {first} is not"):
            raise AssertionError(f"{number}: {ask()!r:.200}")
    end = orc.engine.read().event
    assert [e.id for e in events.read(last=end - last)] == [*range(last + 1, end + 1)]
    assert [e.id for e in store.read_backwards(first)] == [*range(first - 1, 0, -1)]
    with pytest.raises(NotFound):
        store.event(end + 1)
    assert found(board)["log"] == found(board, full=True)["log"] == "damage"


def test_a_missing_line_is_found_by_reading_backward(board: Path):
    path = sealed(board)[1]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], *lines[3:]]))
    with pytest.raises(Damage, match=f"{path.name}:2: the line at byte .* has the id"):
        open_board(board).events.read()


def test_a_segment_that_only_one_listing_of_the_folder_lacks_is_read(
    board: Path, monkeypatch: pytest.MonkeyPatch
):
    """A folder that changes while it is listed may lack a file, or name it twice."""
    whole = [record.id for record in FileStore(board, warn=pytest.fail).read_backwards()]
    names_in = disk.names_in
    lists = [lambda names: names[:3] + names[4:], lambda names: names + names[2:5]]

    def listed(path: str) -> list[str]:
        names = names_in(path)
        return lists.pop(0)(names) if lists else names

    monkeypatch.setattr(disk, "names_in", listed)
    store = FileStore(board, warn=pytest.fail)
    assert [record.id for record in store.read_backwards()] == whole
    lists.append(lambda names: [name for name in names if "events-1." not in name])
    assert store.event(1).id == 1


# The doctor


def found(board: Path, **options: bool) -> dict[str, str]:
    """What the doctor finds: the check and its level; ok is left out."""
    examination = examine(open_board(board).engine, **options)
    return {f.check: f.level for f in examination.findings if f.level != "ok"}


def test_the_doctor_finds_every_changed_byte_of_an_old_segment_without_reading_its_events(
    board: Path, segments_read: set[int]
):
    with open_board(board) as orc:
        segments_read.clear()
        assert examine(orc.engine).status == 0
        assert len(segments_read) == 1
    path = sealed(board)[1]
    sound = path.read_bytes()
    random.seed(4)
    lines = sound.splitlines(keepends=True)
    changed = [
        *(bytes(_flipped(sound, random.randrange(len(sound)))) for _ in range(25)),
        b"".join([*lines[:2], *lines[3:]]),
        b"".join([*lines[:2], lines[3], lines[2], *lines[4:]]),
        b"".join([*lines[:2], lines[2], *lines[2:]]),
        sound[:-1],
        b"".join(lines[:-1]),
        sound + lines[-1],
        b"",
    ]
    for data in changed:
        path.write_bytes(data)
        assert found(board)["log"] == "damage"
        assert found(board, full=True)["log"] == "damage"
    path.unlink()
    assert found(board)["log"] == "damage"
    path.write_bytes(sound)
    assert found(board) == found(board, full=True) == {}


def test_the_doctor_reports_a_log_whose_last_segment_is_damaged_at_its_beginning_or_gone(
    board: Path,
):
    log = board / "state/events.jsonl"
    log.write_bytes(b"x" + log.read_bytes()[1:])
    assert found(board)["log"] == "damage"
    log.unlink()
    assert found(board)["log"] == "damage"


def _flipped(data: bytes, at: int) -> bytearray:
    changed = bytearray(data)
    changed[at] ^= 1 << random.randrange(8)
    return changed


def test_the_doctor_says_what_it_did_not_read_and_reads_it_if_asked(
    board: Path, segments_read: set[int]
):
    def message(**options: bool) -> str:
        findings = examine(open_board(board).engine, **options).findings
        return next(f.message for f in findings if f.check == "log")

    assert "their events were not read" in message()
    segments_read.clear()
    assert message(full=True) == ""
    assert len(segments_read) == len(sealed(board)) + 1


def test_states_are_equal_only_if_all_records_and_their_order_are_equal(board: Path):
    def state() -> State:
        saved = snapshot.decode(gzip.decompress(files(board)[-1].read_bytes()), Position)
        assert saved is not None
        return saved[0]

    assert equal(state(), state())
    changed = [state() for _ in range(4)]
    first = next(iter(changed[0].tasks.tasks))
    changed[0].tasks.tasks[first] = replace(changed[0].tasks.tasks[first], title="other")
    changed[1].tasks.tasks[first] = changed[1].tasks.tasks.pop(first)
    del changed[2].tasks.tasks[[*changed[2].tasks.tasks][-1]]
    changed[3].event += 1
    for other in changed:
        assert not equal(state(), other)
        assert not equal(other, state())


def test_the_doctor_removes_a_useless_checkpoint_only_if_it_is_asked_to(board: Path):
    """A checkpoint with a right checksum and a wrong state is found by --full."""
    second, last = files(board)[1], files(board)[-1]
    last.write_bytes(b"no")
    saved = snapshot.decode(gzip.decompress(second.read_bytes()), Position)
    assert saved is not None
    saved[0].event = 1
    wrong = gzip.compress(snapshot.encode(*saved))
    second.write_bytes(wrong)
    (board / "state/state.json").unlink()
    assert found(board) == {"checkpoints": "warning", "snapshot": "warning"}
    assert (second.read_bytes(), last.read_bytes()) == (wrong, b"no")
    examination = examine(open_board(board).engine, full=True)
    assert [f.check for f in examination.findings if f.level == "warning"].count("checkpoints") == 2
    assert found(board, full=True, fix=True)
    assert not second.exists() or second.read_bytes() != wrong
    assert found(board, full=True) == {}
