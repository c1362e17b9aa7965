"""A change of the log before a position is noticed, and noticing costs no more as the log grows."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.core.errors import Damage
from orchestrator.core.store import Cursor
from orchestrator.stores.files import FileStore, fingerprint
from orchestrator.stores.files.segment import Segment

from .building import WAIT, add, end_of, fill

pytestmark = pytest.mark.needs("sealing")

SIZE = 400
"""The size of a segment, which then has three events."""

Spoil = Callable[[Path], None]


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """A log of three sealed segments and an active one, of three events each."""
    return filled(FileStore(tmp_path / "board", segment_size=SIZE, warn=print))


def filled(store: FileStore, texts: str = "abcdefghijkl") -> FileStore:
    os.makedirs(store.folder, exist_ok=True)
    fill(store, *([text] for text in texts))
    return store


def files(store: FileStore) -> list[Path]:
    """The files of the log, the active one last."""
    state = Path(store.folder) / "state"
    sealed = sorted(state.glob("events-*.jsonl"), key=lambda path: int(path.stem.partition("-")[2]))
    return [*sealed, state / "events.jsonl"]


def again(store: FileStore) -> FileStore:
    """The same log in another process, which has no file open."""
    return FileStore(store.folder, segment_size=SIZE, warn=print)


def changed_byte(place: float) -> Spoil:
    """Change one byte of a text, in place."""

    def spoil(path: Path) -> None:
        data = bytearray(path.read_bytes())
        number = min(int(len(data) * place), len(data) - 1)
        data[number] ^= 1
        with open(path, "r+b") as file:
            file.write(data)

    return spoil


def cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"\n", 0, -1) + 1])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def replaced(path: Path) -> None:
    """Put a changed copy in its place, with the times of the original."""
    changed_byte(0.5)(path)
    copy = path.with_suffix(".copy")
    shutil.copy2(path, copy)
    os.replace(copy, path)


def removed(path: Path) -> None:
    path.unlink()


SPOILS = [changed_byte(0), changed_byte(0.5), changed_byte(1), cut, emptied, replaced, removed]
NAMES = ["first byte", "middle byte", "last byte", "cut", "emptied", "replaced", "removed"]


def test_a_log_that_did_not_change_has_the_same_fingerprint_and_is_not_read(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
):
    assert len(files(store)) == 4
    end = end_of(store)
    known = store.fingerprint(end)
    reader = again(store)
    reader.fingerprint(end, known)
    monkeypatch.setattr(fingerprint, "_crc", None)
    assert reader.fingerprint(end, known) == known


@pytest.mark.parametrize("number", [0, 1, 2, 3])
@pytest.mark.parametrize("spoil", SPOILS, ids=NAMES)
def test_damage_anywhere_before_the_position_is_noticed(
    store: FileStore, spoil: Spoil, number: int
):
    end = end_of(store)
    known = store.fingerprint(end)
    spoil(files(store)[number])
    with pytest.raises(Damage) as error:
        again(store).fingerprint(end, known)
    if spoil in SPOILS[:3]:
        assert files(store)[number].name.split(".")[0] in str(error.value)


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_repaired_log_is_as_it_was(store: FileStore, number: int):
    end = end_of(store)
    known = store.fingerprint(end)
    path = files(store)[number]
    data = path.read_bytes()
    changed_byte(0.5)(path)
    path.write_bytes(data)
    renewed = again(store).fingerprint(end, known)
    assert renewed != known
    assert again(store).fingerprint(end, renewed) == renewed


def test_a_board_restored_from_a_backup_is_as_it_was(store: FileStore, tmp_path: Path):
    end = end_of(store)
    known = store.fingerprint(end)
    shutil.copytree(store.folder, tmp_path / "backup")
    shutil.rmtree(store.folder)
    shutil.copytree(tmp_path / "backup", store.folder)
    again(store).fingerprint(end, known)


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_file_of_another_log_is_noticed(store: FileStore, tmp_path: Path, number: int):
    """Its lines are valid, and it has the same length."""
    end = end_of(store)
    known = store.fingerprint(end)
    other = filled(FileStore(tmp_path / "other", segment_size=SIZE, warn=print), "ABCDEFGHIJKL")
    shutil.copy(files(other)[number], files(store)[number])
    with pytest.raises(Damage):
        again(store).fingerprint(end, known)


@pytest.mark.parametrize("steps", [[12], [1, 5, 12], [3, 4, 6, 9, 12], [*range(1, 13)]])
def test_a_fingerprint_that_was_continued_notices_the_same(tmp_path: Path, steps: list[int]):
    store = FileStore(tmp_path, segment_size=SIZE, warn=print)
    ends = fill(store, *([text] for text in "abcdefghijkl"))
    known = ""
    for step in steps:
        known = store.fingerprint(ends[step - 1], known)
    changed_byte(0.5)(files(store)[1])
    with pytest.raises(Damage):
        store.fingerprint(ends[-1], known)


def test_damage_that_an_append_hides_is_noticed_in_a_small_file(store: FileStore):
    end = end_of(store)
    known = store.fingerprint(end)
    changed_byte(0.2)(files(store)[-1])
    end = appended(store, end)
    with pytest.raises(Damage):
        store.fingerprint(end, known)


@pytest.mark.parametrize("is_sealed", [False, True], ids=["grown", "sealed"])
def test_in_a_large_file_it_is_noticed_when_it_has_grown_or_is_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_sealed: bool
):
    monkeypatch.setattr(fingerprint, "SMALL", 100)
    store = filled(FileStore(tmp_path, warn=print), "x" * 20)
    end = end_of(store)
    if is_sealed:
        size = files(store)[-1].stat().st_size * 21 // 20 + 10  # room for one event more
        store = FileStore(tmp_path, segment_size=size, warn=print)
    known = store.fingerprint(end)
    changed_byte(0.2)(files(store)[-1])
    end = appended(store, end)
    read = list[int]()
    original = Segment.read

    def counted(segment: Segment, offset: int, length: int) -> bytes:
        read.append(length)
        return original(segment, offset, length)

    with monkeypatch.context() as patch:
        patch.setattr(Segment, "read", counted)
        known = store.fingerprint(end, known)
    assert sum(read) < 200  # the new line alone
    with pytest.raises(Damage):
        follow(store, end, known)
    assert len(files(store)) == (2 if is_sealed else 1)


def follow(store: FileStore, end: Cursor, known: str) -> None:
    for _ in range(20):
        end = appended(store, end)
        known = store.fingerprint(end, known)


def appended(store: FileStore, end: Cursor) -> Cursor:
    with store.locked("test", WAIT):
        return add(store, end, "y")
