"""The cold files of a snapshot: past records are written to them, and read from them.

The files form a log-structured merge tree. Past records are written to a new file. If several files have
a record, that of the newest file is valid. Small files are merged into one, so that a record is written only
a few times, however long the history is. The snapshot names its files. A file never changes, and is removed
after the next snapshot was saved. So a crash at any time leaves a snapshot with all of its files.
"""

from collections.abc import Callable, Iterator
from heapq import merge
from itertools import chain
from typing import Any, get_args

import msgspec

from orchestrator.cold.past import (
    KINDS,
    MAILBOX,
    DividedMap,
    HotRecord,
    divided_mailboxes,
    divided_maps,
)
from orchestrator.cold.run import ColdRun, RunName, encode, hash_of, pack
from orchestrator.core.cold_map import ColdDamage, ColdLine, ColdMap, MapPart, spans_of
from orchestrator.core.store import ColdFiles
from orchestrator.domain.mail.records import Mailbox, Receipt
from orchestrator.domain.state import State

FEWEST = 1000
"""The fewest past records for which a file is written: fewer cost less in the snapshot."""

LARGEST = 64_000
"""How many records are written to one file; a file that has as many is never merged again."""

MERGED = 8
"""How many of the newest files are merged into one: small files, then the larger ones made of them."""

Lines = Iterator[tuple[str, str, bytes]]
"""Kind, key and bytes of lines, in their order."""


class ColdPart(msgspec.Struct):
    """What the snapshot says of its cold files.

    Attributes:
        files: The files, the oldest first.
        maps: The maps that have cold records.
        boxes: The number of each mailbox that has cold records.
        last_box: The last number that a mailbox got.
    """

    files: list[RunName]
    maps: dict[str, MapPart]
    boxes: dict[str, int] = {}
    last_box: int = 0


class ColdTree:
    """The open cold files of a snapshot; implements ``ColdRecords``.

    Attributes:
        part: What the snapshot says of them.
    """

    def __init__(self, files: ColdFiles, part: ColdPart) -> None:
        self.part = part
        self._files = files
        self._opened = files.open([file.name for file in part.files])
        self._runs = [self._run(name) for name in part.files]

    def _run(self, name: RunName) -> ColdRun:
        where, size = self._files.where(name.name), self._opened.sizes.get(name.name)
        if size != name.size:
            what = "is missing" if size is None else f"has {size} bytes in place of {name.size}"
            raise ColdDamage(f"{where} {what}")
        return ColdRun(self._opened, name, where)

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(name.size for name in self.part.files)

    def find(self, kind: str, key: str) -> ColdLine | None:
        """The record of a key; None if there is none."""
        try:
            hash = hash_of(kind, key)
        except UnicodeEncodeError:  # no file can have a part of a surrogate pair
            return None
        self._read_pages(hash)
        for run in reversed(self._runs):
            line = run.find(kind, key) if run.may_have(hash) else None
            if line is not None:
                return None if line.is_removal else line
        return None

    def _read_pages(self, hash: int) -> None:
        """Read what says which files can have a key: a short page of each, all in one go."""
        unread = [(run, part) for run in self._runs if (part := run.unread_page(hash)) is not None]
        pages = self._opened.read([part for _, part in unread]) if unread else []
        for (run, _), page in zip(unread, pages, strict=True):
            run.take_page(hash, page)

    def scan(self, kind: str, begins: tuple[str, ...] = ("",)) -> Iterator[ColdLine]:
        """The records of a map whose keys begin with one of some texts, in any order."""
        known = set()
        for run in reversed(self._runs):
            for line in chain.from_iterable(run.scan(kind, begin) for begin in begins):
                if line.key not in known:
                    known.add(line.key)
                    if not line.is_removal:
                        yield line

    def are_there(self) -> bool:
        """Whether all files are still there, so that another snapshot may name them."""
        return {name.name for name in self.part.files} <= {*self._files.names()}

    def damages(self) -> Iterator[ColdDamage]:
        """Read all files, and return what is wrong with them."""
        for run in self._runs:
            try:
                run.check()
            except ColdDamage as damage:
                yield damage

    def merged(self, begin: int, kinds: set[str]) -> Lines:
        """The lines of the files from the n-th on, without those of other kinds and without older ones."""
        last = ("", "")
        runs = self._runs[begin:]
        aged = map(_aged, range(len(runs), 0, -1), runs)
        for kind, key, _, is_removal, line in merge(*aged):
            is_known, last = (kind, key) == last, (kind, key)
            if not is_known and kind in kinds and not (is_removal and begin == 0):
                yield kind, key, line


def _aged(age: int, run: ColdRun) -> Iterator[tuple[str, str, int, bool, bytes]]:
    return ((one.kind, one.key, age, one.is_removal, line) for one, line in run.lines())


def install(state: State, tree: ColdTree, restored: Callable[[Exception], State]) -> None:
    """Put the cold records behind the maps of a state that was read from a snapshot.

    Args:
        state: The state with the records of the snapshot.
        tree: The cold files of the snapshot.
        restored: The fold of the log up to the snapshot, if a record cannot be read; receives the error.
    """
    part = tree.part
    holders = {name: holder for holder, name in state.holders()}
    for kind in part.maps.keys() & {*KINDS}:
        holder = holders[kind]

        def restore(error: Exception, kind: str = kind) -> dict[Any, Any]:
            return restored(error).fields()[kind]  # type: ignore[no-any-return]

        types = get_args(type(holder).__annotations__[kind])
        hot = getattr(holder, kind)
        setattr(holder, kind, ColdMap(kind, tree, part.maps[kind], hot, types, restore))
    for agent, number in part.boxes.items():

        def restore_box(error: Exception, agent: str = agent) -> dict[int, Receipt]:
            return restored(error).mail.mailbox(agent).read

        kind, box = _box_kind(number), state.mail.mailboxes[agent]
        of_box, types = part.maps[kind], (int, Receipt)
        box.read = ColdMap(kind, tree, of_box, box.read, types, restore_box)


def whole_maps(state: State) -> dict[str, dict[Any, Any]]:
    """The maps of a state that have cold records, complete, by the names of their fields."""
    whole = {n: value.copy() for n, value in state.fields().items() if isinstance(value, ColdMap)}
    boxes = state.mail.mailboxes
    if any(isinstance(box.read, ColdMap) for box in boxes.values()):
        whole["mailboxes"] = whole_mailboxes(state)
    return whole


def whole_mailboxes(state: State) -> dict[str, Mailbox]:
    """The mailboxes with their cold receipts."""
    boxes = state.mail.mailboxes
    return {a: Mailbox(b.new, b.unread, b.read.copy()) for a, b in boxes.items()}


class Split(msgspec.Struct):
    """The state, divided into what the snapshot contains and what is in cold files.

    Attributes:
        hot: The maps of the state as far as the snapshot contains them, by the names of their fields.
        part: What the snapshot says of the cold files.
        moved: Whether past records were written to a cold file.
    """

    hot: dict[str, dict[Any, Any]]
    part: ColdPart
    moved: bool


def split(state: State, tree: ColdTree | None, files: ColdFiles, event: int) -> Split | None:
    """Divide a state for its snapshot, and write past records to a cold file if there are many.

    Args:
        state: The state.
        tree: The cold files of the snapshot that it was read from.
        files: Where they are.
        event: The last event of the state, for the name of a new file.

    Returns:
        The parts; None if no record is cold.

    Raises:
        ColdDamage: One of the files was damaged.
    """
    maps = divided_maps(state)
    # Read receipts do not count: there are many if there are many messages.
    is_large = sum(len(each.records) for each in maps) >= FEWEST
    moves = is_large and sum(each.surplus() for each in maps) >= FEWEST
    if tree is None and not moves:
        return None
    maps += divided_mailboxes(state)
    if any(_is_restored(each.records) for each in maps):
        raise ColdDamage
    old = tree.part if tree is not None else ColdPart([], {})
    part = ColdPart([*old.files], {}, last_box=old.last_box)
    boxes = dict(state.mail.mailboxes)
    hot: dict[str, dict[Any, Any]] = {"mailboxes": boxes}
    lines: list[_Line] = []
    for each in maps:
        is_cold = isinstance(each.records, ColdMap)
        if not is_cold and not moves:
            continue
        stay, past = each.parts() if moves else (each.hot(), [])
        if not is_cold and not past:
            continue
        kind = _kind(each, part)
        kept = {record.key: record.value for record in stay}
        if each.agent:
            box = boxes[each.agent]
            boxes[each.agent] = Mailbox(box.new, box.unread, kept)
        else:
            hot[kind] = kept
        spans = spans_of(record.order for record in stay)
        part.maps[kind] = _map_part(each, past, spans, moves)
        if moves:
            lines += _lines(each, past, kind, tree)
    if moves:
        _write(files, part, sorted(lines, key=_place), f"{event:010d}")
    return Split(hot, part, moves)


_Line = tuple[str, str, int, Any]
"""Kind, key, order and record of a line that is to be written; the order of a removal is negative."""


def _place(line: _Line) -> tuple[str, str]:
    return line[:2]


def _is_restored(records: object) -> bool:
    return isinstance(records, ColdMap) and records.is_restored


def _box_kind(number: int) -> str:
    return f"{MAILBOX} {number}"


def _kind(each: DividedMap, part: ColdPart) -> str:
    """The kind of a map; a mailbox gets a number, which stays when its agent has another name."""
    if not each.agent:
        return each.kind
    if isinstance(each.records, ColdMap):
        number = int(each.records.kind.removeprefix(MAILBOX))
    else:
        number = part.last_box = part.last_box + 1
    part.boxes[each.agent] = number
    return _box_kind(number)


def _map_part(each: DividedMap, past: list[HotRecord], spans: list[int], moves: bool) -> MapPart:
    last = past[-1].order if past else -1
    records = each.records
    if not isinstance(records, ColdMap):
        return MapPart(len(records), len(past), last, spans)
    gone = [] if moves else [*map(str, records.gone)]
    cold = records.cold + len(past)
    return MapPart(records.next, cold, max(records.last, last), spans, gone)


def _lines(
    each: DividedMap, past: list[HotRecord], kind: str, tree: ColdTree | None
) -> Iterator[_Line]:
    """The lines of a map for a new file: records that became past, and keys of records that were removed."""
    cold = each.records if isinstance(each.records, ColdMap) else None
    for order, key, value in past:
        if cold is not None and tree is not None and order <= cold.last:
            known = tree.find(kind, str(key))
            if known is not None and (known.order, bytes(known.value)) == (order, encode(value)):
                continue  # it was only read
        yield kind, str(key), order, value
    if cold is not None:
        again = {record.key for record in past}
        yield from ((kind, str(key), -1, None) for key in cold.gone if key not in again)


def _write(files: ColdFiles, part: ColdPart, lines: list[_Line], name: str) -> None:
    """Write lines to new files, and merge files where there are many of a size."""
    for begin in range(0, len(lines), LARGEST):
        packed = (
            (kind, key, encode([kind, key] if order < 0 else [kind, key, order, value]))
            for kind, key, order, value in lines[begin : begin + LARGEST]
        )
        part.files.append(_write_file(files, packed, name))
    kinds = {*KINDS, *map(_box_kind, part.boxes.values())}
    for limit in (LARGEST // MERGED, LARGEST):
        begin = len(part.files)
        while begin and part.files[begin - 1].lines < limit:
            begin -= 1
        if len(part.files) - begin >= MERGED:
            merged = ColdTree(files, part).merged(begin, kinds)
            part.files[begin:] = [_write_file(files, merged, name)]


def _write_file(files: ColdFiles, lines: Lines, name: str) -> RunName:
    data, named = pack(lines, name)
    files.write(named.name, data)
    return named
