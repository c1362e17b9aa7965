"""What is left of an interrupted write is set aside; any other change of the log is named damage."""

import os
import zlib
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.core.errors import Damage
from orchestrator.core.store import START
from orchestrator.stores.files import FileStore
from orchestrator.stores.files.lines import Position

from .building import WAIT, add, end_of, fill, lines, text, texts_of

COMMITS = [["a"], ["b", "c", "d"], ["e"]]
ENDS = [0, 1, 4, 5]
"""The ids after each commit."""


class Board:
    """A board folder, with what its stores warned of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "state" / "events.jsonl"
        self.warnings: list[str] = []

    def store(self, segment_size: int = 1 << 20) -> FileStore:
        return FileStore(self.folder, segment_size=segment_size, warn=self.warnings.append)

    def quarantined(self) -> list[bytes]:
        return [file.read_bytes() for file in (self.folder / "state" / "quarantine").glob("*.torn")]


@pytest.fixture
def board(memory_path: Path) -> Board:
    return Board(memory_path)


def read_locked(store: FileStore) -> list[str]:
    with store.locked("read", WAIT):
        return texts_of(store)


def read_into(seen: list[str], store: FileStore) -> None:
    """Collect what is given until the damage comes."""
    for chunk in store.read(START):
        seen += [text(record) for record in chunk.events]


def test_a_log_cut_at_any_byte_is_the_one_before_or_after_a_commit(board: Board) -> None:
    """Cuts of a log of three commits: no lock, no change; under the lock, whole commits.

    In the last commit at every byte, before it at the ends of commits and at some in between.
    """
    ends = [position.end for position in fill(board.store(), *COMMITS)]
    whole = board.log.read_bytes()
    assert ends[-1] == len(whole)
    near = {end + offset for end in ends[:-1] for offset in (-2, -1, 0, 1, 2)}
    for cut in sorted({*range(0, ends[-2], 13), *near, *range(ends[-2], len(whole))}):
        board.log.write_bytes(whole[:cut])
        closed = sum(end <= cut for end in ends)
        # A commit that lacks nothing but its last newline is whole.
        saved = closed + (cut + 1 in ends)
        before = len(board.quarantined())
        store = board.store()
        assert texts_of(store) == list("abcde")[: ENDS[closed]], cut
        assert [text(record) for record in store.read_backwards()] == list("abcde")[: ENDS[closed]][
            ::-1
        ]
        assert board.log.read_bytes() == whole[:cut]
        assert read_locked(store) == list("abcde")[: ENDS[saved]], cut
        assert board.log.read_bytes() == whole[: ([0, *ends])[saved]]
        torn = cut not in (0, *ends) and saved == closed
        assert len(board.quarantined()) == before + torn
        fill(store, ["again"])
        assert texts_of(store) == [*list("abcde")[: ENDS[saved]], "again"]


def test_the_torn_tail_is_kept_in_its_own_file_and_reported(board: Board) -> None:
    first, _ = fill(board.store(), ["a"], ["b"])
    whole = board.log.read_bytes()
    board.log.write_bytes(whole[:-10])
    assert read_locked(board.store()) == ["a"]
    assert board.quarantined() == [whole[first.end : -10]]
    (warning,) = board.warnings
    assert "interrupted write" in warning
    assert str(board.folder / "state" / "quarantine") in warning


def test_two_torn_tails_do_not_overwrite_each_other(board: Board) -> None:
    fill(board.store(), ["a"])
    for tail in (b"first", b"second"):
        with board.log.open("ab") as file:
            file.write(tail)
        read_locked(board.store())
    assert sorted(board.quarantined()) == [b"first", b"second"]


def test_a_lost_final_newline_is_restored_and_reported(board: Board) -> None:
    fill(board.store(), *COMMITS)
    whole = board.log.read_bytes()
    board.log.write_bytes(whole[:-1])
    assert read_locked(board.store()) == list("abcde")
    assert board.log.read_bytes() == whole
    assert board.quarantined() == []
    (warning,) = board.warnings
    assert "lost its final newline" in warning


def test_a_tail_of_zeros_is_torn(board: Board) -> None:
    """File systems lengthen a file before its data is there; a power loss leaves zeros."""
    fill(board.store(), ["a"])
    whole = board.log.read_bytes()
    for zeros in (b"\0" * 4096, whole[:20] + b"\0" * 500, b"\0" * 90 + b"\n"):
        board.log.write_bytes(whole + zeros)
        assert texts_of(board.store()) == ["a"]
        assert [text(record) for record in board.store().read_backwards()] == ["a"]
        assert read_locked(board.store()) == ["a"]
        assert board.log.read_bytes() == whole
        assert zeros in board.quarantined()


def test_a_torn_tail_longer_than_a_chunk_is_set_aside(board: Board) -> None:
    (position,) = fill(board.store(), ["a"])
    torn = lines(position, "x" * (9 << 20), "y")
    with board.log.open("ab") as file:
        file.write(torn[:-1000])
    assert read_locked(board.store()) == ["a"]
    assert board.quarantined() == [torn[:-1000]]


def test_a_torn_tail_ends_no_wait(board: Board) -> None:
    (position,) = fill(board.store(), ["a"])
    with board.log.open("ab") as file:
        file.write(b'{"id":2,')
    assert not board.store().wait(position, 0.03)


def test_an_event_of_an_unclosed_commit_is_not_there(board: Board) -> None:
    (position,) = fill(board.store(), ["a"])
    unclosed = lines(position, "b", "c")
    with board.log.open("ab") as file:
        file.write(unclosed[: unclosed.index(b"\n") + 1])
    store = board.store()
    assert [text(record) for record in store.read_backwards()] == ["a"]
    assert [text(record) for record in store.read_backwards(3)] == ["a"]
    with pytest.raises(Exception, match="no event 2"):
        store.event(2)


def flip(line: bytes) -> bytes:
    return line.replace(b'"text"', b'"tezt"')


CHANGES: dict[str, tuple[Callable[[list[bytes]], list[bytes]], int, str]] = {
    "a flipped bit": (
        lambda ls: [ls[0], flip(ls[1]), *ls[2:]], 2, "does not match its checksum"
    ),
    "a flipped bit in the last line": (
        lambda ls: [*ls[:4], flip(ls[4])], 5, "does not match its checksum"
    ),
    "swapped lines": (
        lambda ls: [ls[0], ls[2], ls[1], *ls[3:]], 2, "does not match its checksum"
    ),
    "a doubled line": (lambda ls: [ls[0], *ls], 2, "does not match its checksum"),
    "a dropped line": (lambda ls: [ls[0], *ls[2:]], 2, "does not match its checksum"),
    "a dropped first line": (lambda ls: ls[1:], 1, ""),
    "an empty line": (lambda ls: [ls[0], b"\n", *ls[1:]], 2, ""),
    "a line that is not UTF-8": (
        lambda ls: [ls[0], ls[1].replace(b"tester", b"\xff\xc3"), *ls[2:]],
        2,
        "does not match its checksum",
    ),
    "a line of endless nesting": (
        lambda ls: [*ls, b'{"id":6,"payload":' + b"[" * 100_000 + b"\n"], 6, ""
    ),
    "a line of somebody else": (lambda ls: [*ls, b"hello\n"], 6, ""),
    "CRLF": (lambda ls: [line[:-1] + b"\r\n" for line in ls], 1, "ends with CRLF"),
    "a byte order mark": (
        lambda ls: [b"\xef\xbb\xbf" + ls[0], *ls[1:]], 1, "begins with a byte order mark"
    ),
    "a merge conflict": (
        lambda ls: [*ls[:2], b"<<<<<<< HEAD\n", ls[2], b"=======\n", *ls[3:]],
        3,
        "a merge conflict: `<<<<<<<`",
    ),
    "a merge conflict in the first line": (
        lambda ls: [b"<<<<<<< HEAD\n", *ls], 1, "a merge conflict: `<<<<<<<`"
    ),
    "zeros over a line in the middle": (
        lambda ls: [ls[0], b"\0" * (len(ls[1]) - 1) + b"\n", *ls[2:]], 2, "contains zero bytes"
    ),
}  # fmt: skip


@pytest.mark.parametrize("locked", [True, False], ids=["locked", "unlocked"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_log_is_named_damage_and_left_alone(
    board: Board, change: str, locked: bool
) -> None:
    """File, line number, byte and remedy are named."""
    edit, line, cause = CHANGES[change]
    fill(board.store(), *COMMITS)
    changed = edit(board.log.read_bytes().splitlines(keepends=True))
    board.log.write_bytes(b"".join(changed))
    store = board.store()
    with store.locked("read", WAIT) if locked else nullcontext(), pytest.raises(Damage) as raised:
        list(store.read(START))
    error = raised.value
    assert error.message.startswith(f"{board.log}:{line}: ")
    assert error.details["byte"] == sum(len(text) for text in changed[: line - 1])
    assert cause in error.message
    assert "orc doctor" in error.hint
    assert (error.code, error.details["line"]) == ("damage", line)
    assert board.log.read_bytes() == b"".join(changed)
    assert board.quarantined() == []


def test_what_stands_before_the_damage_is_read(board: Board) -> None:
    fill(board.store(), *COMMITS)
    board.log.write_bytes(board.log.read_bytes().replace(b'"e"', b'"x"'))
    seen: list[str] = []
    with pytest.raises(Damage):
        read_into(seen, board.store())
    assert seen == list("abcd")


@pytest.mark.parametrize("bit", range(0, 2000, 13))
def test_a_flipped_bit_is_never_read_as_an_event(board: Board, bit: int) -> None:
    """Damage, or, where the bit was the last newline, a torn tail: never other events."""
    fill(board.store(), *COMMITS)
    data = bytearray(board.log.read_bytes())
    byte = bit // 8 % len(data)
    data[byte] ^= 1 << bit % 8
    board.log.write_bytes(data)
    try:
        events = read_locked(board.store())
    except Damage:
        return
    assert events == list("abcde")[: len(events)]
    assert board.warnings


def test_a_torn_first_commit_is_set_aside_only_if_nothing_shows_that_it_was_read(
    board: Board,
) -> None:
    fill(board.store(), ["a"])
    board.log.write_bytes(board.log.read_bytes()[:30])
    board.store().save_snapshot(b"{}")
    with pytest.raises(Damage, match="not complete"):
        read_locked(board.store())
    (board.folder / "state" / "state.json").unlink()
    assert read_locked(board.store()) == []
    assert len(board.quarantined()) == 1


@pytest.mark.needs("sealing")
def test_a_later_segment_is_never_set_aside_whole(board: Board) -> None:
    """A torn rest of segment 2 with nothing before it: the log before it is what is missing."""
    store = board.store(segment_size=1)
    fill(store, ["a"], ["b"])
    (board.folder / "state" / "events-1.jsonl").unlink()
    os.truncate(board.log, 30)
    with pytest.raises(Damage):
        read_locked(board.store())
    assert board.log.stat().st_size == 30


@pytest.mark.parametrize("remains", [None, b""], ids=["missing", "empty"])
def test_a_missing_log_beside_a_snapshot_is_never_a_new_board(
    board: Board, remains: bytes | None
) -> None:
    fill(board.store(), ["a"])
    board.store().save_snapshot(b"{}")
    lose(board.log, remains)
    check_missing(board, board.log)


@pytest.mark.needs("sealing")
@pytest.mark.parametrize("remains", [None, b""], ids=["missing", "empty"])
def test_a_missing_log_beside_segments_is_never_a_new_board(
    board: Board, remains: bytes | None
) -> None:
    """What is left of it stays readable."""
    store = board.store(segment_size=1)
    fill(store, ["a"], ["b"])
    lose(board.log, remains)
    seen: list[str] = []
    with pytest.raises(Damage):
        read_into(seen, store)
    assert seen == ["a"]
    with pytest.raises(Damage), store.locked("test", WAIT):
        add(store, START, "new")
    with pytest.raises(Damage, match="missing or empty"):
        list(store.read_backwards())


def lose(log: Path, remains: bytes | None) -> None:
    log.unlink()
    if remains is not None:
        log.write_bytes(remains)


def check_missing(board: Board, path: Path) -> None:
    store = board.store()
    with pytest.raises(Damage, match="missing or empty") as raised:
        list(store.read(START))
    assert raised.value.details["path"] == str(path)
    with store.locked("test", WAIT), pytest.raises(Damage):
        add(store, START, "new")


def test_an_empty_log_with_nothing_beside_it_is_a_new_board(board: Board) -> None:
    board.log.parent.mkdir()
    board.log.touch()
    assert texts_of(board.store()) == []
    fill(board.store(), ["a"])
    assert texts_of(board.store()) == ["a"]


@pytest.mark.needs("sealing")
def test_a_missing_segment_in_the_middle_is_damage(board: Board) -> None:
    store = board.store(segment_size=1)
    first, *_ = fill(store, ["a"], ["b"], ["c"])
    gone = board.folder / "state" / "events-2.jsonl"
    gone.unlink()
    for after in (START, first):
        with pytest.raises(Damage, match="event 2 is not in the log") as raised:
            list(store.read(after))
        assert raised.value.details["path"] == str(gone)


@pytest.mark.needs("sealing")
def test_a_sealed_segment_that_is_torn_is_damage(board: Board) -> None:
    store = board.store(segment_size=300)
    fill(store, ["a"], ["b"], ["c"], ["d"])
    sealed = board.folder / "state" / "events-1.jsonl"
    whole = sealed.read_bytes()
    sealed.write_bytes(whole[:-5])
    with pytest.raises(Damage, match="the last commit is not complete"):
        read_locked(store)
    assert sealed.read_bytes() == whole[:-5]


@pytest.mark.needs("sealing")
def test_a_sealed_segment_that_is_empty_is_damage(board: Board) -> None:
    """A hole in the log, whichever way it is come upon; never the end of it."""
    store = board.store(segment_size=1)
    first, *_ = fill(store, ["a"], ["b"], ["c"])
    sealed = board.folder / "state" / "events-2.jsonl"
    os.truncate(sealed, 0)
    looks: list[Callable[[], object]] = [
        lambda: list(store.read(START)),
        lambda: list(store.read(first)),
        lambda: list(store.read_backwards()),
        lambda: store.event(2),
        lambda: read_locked(store),
    ]
    for look in looks:
        with pytest.raises(Damage, match="not an event") as raised:
            look()
        assert raised.value.details["path"] == str(sealed)
    seen: list[str] = []
    with pytest.raises(Damage):
        read_into(seen, store)
    assert seen == ["a"]
    assert sealed.stat().st_size == 0


@pytest.mark.needs("sealing")
def test_a_segment_that_is_cut_within_its_first_id_is_not_taken_for_another(board: Board) -> None:
    """Of `{"id":10` neither 1 nor 10 is known to be the id: more digits may have followed."""
    store = board.store(segment_size=1)
    first, *_ = fill(store, *([letter] for letter in "abcdefghij"))
    for cut in (7, 8):
        os.truncate(board.log, cut)
        seen: list[str] = []
        with pytest.raises(Damage, match="not an event") as raised:
            read_into(seen, board.store())
        assert seen == list("abcdefghi")
        assert raised.value.details["path"] == str(board.log)
        with pytest.raises(Damage, match="not an event"):
            texts_of(board.store(), first)
        board.log.write_bytes(b'{"id":10')


def test_a_log_that_was_cut_behind_a_position_is_behind_and_not_repaired(board: Board) -> None:
    store = board.store()
    first, last = fill(store, ["a"], ["b"])
    os.truncate(board.log, first.end + 10)
    with store.locked("test", WAIT), pytest.raises(Damage) as raised:
        list(store.read(last))
    assert raised.value.code == "log_behind"
    assert board.log.stat().st_size == first.end + 10


def test_a_log_that_was_replaced_is_seen_at_once(board: Board) -> None:
    """A branch switch gives another file in which every checksum is right."""
    store = board.store()
    fill(store, ["a"])
    (position,) = fill(store, ["b"])
    other = Board(board.folder / "other")
    other.folder.mkdir()
    fill(other.store(), ["a"], ["z"])
    other.log.replace(board.log)
    with store.locked("test", WAIT), pytest.raises(Damage, match="another line is there") as raised:
        list(store.read(position))
    assert raised.value.code == "log_behind"
    assert texts_of(store) == ["a", "z"]


def test_converted_line_endings_are_named_at_a_position_too(board: Board) -> None:
    store = board.store()
    _, last = fill(store, ["a"], ["b"])
    board.log.write_bytes(board.log.read_bytes().replace(b"\n", b"\r\n"))
    with pytest.raises(Damage, match="CRLF"):
        list(store.read(last))


@pytest.mark.needs("sealing")
@pytest.mark.parametrize("step", ["linked", "written"])
def test_a_crash_while_sealing_leaves_a_log_that_goes_on(board: Board, step: str) -> None:
    store = board.store(segment_size=250)
    (position,) = fill(store, ["a"])
    os.link(board.log, board.folder / "state" / "events-1.jsonl")
    if step == "written":
        (board.folder / "state" / "events.jsonl.new").write_bytes(lines(position, "lost"))
    assert texts_of(store) == ["a"]
    assert [text(record) for record in store.read_backwards()] == ["a"]
    fill(store, ["b"], ["c"], ["d"], ["e"])
    assert texts_of(board.store()) == list("abcde")
    assert [text(record) for record in board.store().read_backwards()] == list("edcba")
    assert not (board.folder / "state" / "events.jsonl.new").exists()


@pytest.mark.needs("sealing")
def test_another_file_under_the_sealed_name_is_never_overwritten(board: Board) -> None:
    store = board.store(segment_size=1)
    (position,) = fill(store, ["a"])
    other = board.folder / "state" / "events-1.jsonl"
    other.write_bytes(b"of somebody")
    with store.locked("test", WAIT), pytest.raises(Damage, match="is not the same file"):
        add(store, position, "b")
    assert other.read_bytes() == b"of somebody"
    assert end_of(store) == position


def test_a_log_is_read_while_it_is_sealed_by_another(board: Board) -> None:
    """A reader that began in the active file ends with it, and goes on from there."""
    store = board.store(segment_size=250)
    fill(store, ["a"])
    reader = board.store(segment_size=250)
    chunks = reader.read(START)
    first = next(chunks)
    fill(store, ["b"], ["c"], ["d"])
    position = first.end
    for chunk in chunks:
        position = chunk.end
    assert texts_of(reader, position) == list("abcd")[position.id :]


def test_the_golden_crc_of_a_line(board: Board) -> None:
    """The chain is CRC32 over the line before and this one without its crc, as documented."""
    fill(board.store(), ["a"], ["b"])
    crc = 0
    for line in board.log.read_bytes().splitlines():
        crc = zlib.crc32(line[:-18], crc)
        assert line.endswith(b',"crc":"%08x"}' % crc)


@pytest.mark.needs("sealing")
@pytest.mark.parametrize("size", [1, 120, 200, 300, 500])
def test_segments_are_sealed_between_commits_and_read_as_one_log(board: Board, size: int) -> None:
    store = board.store(segment_size=size)
    positions = fill(store, ["a"], ["b", "c", "d"], ["e"], ["f", "g"], ["h"])
    assert texts_of(store) == list("abcdefgh")
    assert len({position.segment for position in positions}) > 1
    for position in positions:
        assert texts_of(store, position) == list("abcdefgh")[position.id :]


@pytest.mark.needs("sealing")
def test_a_segment_is_numbered_by_its_first_event(board: Board) -> None:
    positions = fill(board.store(segment_size=1), ["a"], ["b", "c"], ["d"])
    assert [position.segment for position in positions] == [1, 2, 4]


def test_a_position_is_the_line_of_the_last_event(board: Board) -> None:
    """``state.json`` holds these fields."""
    first, second = fill(board.store(), ["a"], ["b", "c"])
    *_, last = board.log.read_bytes().splitlines(keepends=True)
    size = board.log.stat().st_size
    crc = int(last[-11:-3], 16)
    assert second == Position(id=3, segment=1, offset=size - len(last), end=size, crc=crc)
    assert (first.segment, first.offset) == (1, 0)


def test_a_cursor_that_names_another_line_or_file_is_behind(board: Board) -> None:
    store = board.store()
    _, last = fill(store, ["a"], ["b"])
    beyond = Position(id=3, segment=1, offset=last.end, end=last.end + 80, crc=1)
    for cursor, sentence in (
        (replace(last, crc=last.crc ^ 1), "another line is there"),
        (beyond, "the log is shorter"),
        (replace(last, segment=7), "not in the log any more"),
    ):
        with pytest.raises(Damage, match=sentence) as raised:
            list(store.read(cursor))
        assert raised.value.code == "log_behind"
