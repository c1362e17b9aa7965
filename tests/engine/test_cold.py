"""Past records leave the snapshot for cold files, and no answer changes with that."""

import base64
import errno
import functools
import io
import itertools
import os
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from boards import SettableClock, as_text, check_derived, check_law, fold, saved_bytes, saved_state
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant

from orchestrator import (
    Orchestrator,
    OrchestratorError,
    large_snapshot,
    snapshot,
    snapshot_schedule,
)
from orchestrator.board import locate
from orchestrator.cold import past, run, tree
from orchestrator.core import system
from orchestrator.core.cold_map import ColdLine, ColdMap, MapPart, spans_of
from orchestrator.core.errors import NotFound, Refused
from orchestrator.core.store import FilePart, OpenFiles, Store
from orchestrator.core.transaction import Transaction
from orchestrator.domain.tasks import lookup
from orchestrator.domain.workflows.compiled import CompiledFormula, CompiledStep
from orchestrator.integrations import import_beads
from orchestrator.maintenance import doctor
from orchestrator.planning.attention import attention
from orchestrator.planning.critical_path import longest_chain
from orchestrator.planning.standstill import standstill
from orchestrator.snapshot_schedule import SnapshotSchedule
from orchestrator.stores.files import FileStore
from orchestrator.stores.memory import MemoryStore
from orchestrator.stores.postgres import PostgresStore
from orchestrator.stores.postgres.rows import OpenRows
from tests.postgres_server import Server

from .test_model import Board


@contextmanager
def cold_at_once(*, newest: int = 1) -> Iterator[None]:
    """Write every past record to a cold file, in tiny blocks, and merge files in pairs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree, "FEWEST", 1)
        patch.setattr(tree, "MERGED", 2)
        patch.setattr(tree, "LARGEST", 8)
        patch.setattr(run, "BLOCK", 200)
        patch.setattr(past, "NEWEST", {"tasks": newest})
        # The number of files must not depend on time.
        patch.setattr(snapshot_schedule, "PAUSE", 3600.0)
        yield


def named_cold_files(store: Store) -> set[str]:
    """The cold files that the snapshot needs."""
    return {file["name"] for file in msgspec.json.decode(saved_bytes(store))["cold"]["files"]}


def plain(orc: Orchestrator) -> Orchestrator:
    """The same board without a snapshot: all is in memory."""
    other = Orchestrator(orc.engine.store, now=orc.engine._clock)
    current = other.engine._current
    current.state, current.position = fold(orc.engine.store)
    return other


def answers(orc: Orchestrator) -> list[Any]:
    """What queries of every kind say of a board."""
    state, now = orc.engine.read(), orc.engine.now()
    tasks = state.tasks
    queries: list[Callable[[], Any]] = [
        lambda: attention(state, now, {}),
        lambda: [standstill(state, agent, None, now) for agent in AGENTS],
        lambda: [longest_chain(state), orc.links.blocked(), orc.links.stale(0.0)],
        lambda: [orc.tasks.all(open=True), orc.tasks.all(ready=True), orc.tasks.all()],
        lambda: [*orc.tasks.ever()],
        lambda: [[orc.tasks.needed_by(id), orc.tasks.history(id)] for id in state.tasks],
        lambda: [orc.tasks.get(id[:6]).id for id in state.tasks],
        lambda: [orc.tasks.labels(), orc.stats(), orc.status().workstreams],
        lambda: [orc.workflows.all(), orc.workflows.all(ended=True)],
        lambda: [orc.workflows.standing(root) for root in state.workflows],
        lambda: [orc.mail.inbox(agent=agent) for agent in AGENTS],
        lambda: [orc.mail.thread(number) for number in state.mail.messages],
        lambda: [orc.mail.queues(), orc.mail.search("1")],
        lambda: [len(tasks), len(state.mail.messages), len(state.requests), len(state.workflows)],
        lambda: [task.id for task in reversed(tasks.values())],
        lambda: as_text(state, orc.engine.position),
    ]
    found: list[Any] = []
    for query in queries:
        try:
            found.append(query())
        except OrchestratorError as error:
            found.append(str(error))
    return found


class ColdBoard(Board):
    """Every past record goes to a cold file with the next commit."""

    def make_store(self) -> Store:
        self.patches = ExitStack()
        self.patches.enter_context(cold_at_once())
        return super().make_store()

    def teardown(self) -> None:
        self.patches.close()
        super().teardown()

    @invariant()
    def no_answer_depends_on_cold_records(self) -> None:
        assert answers(self.orc) == answers(plain(self.orc))


TestColdBoard = ColdBoard.TestCase
TestColdBoard.settings = settings(
    max_examples=max(1, settings().max_examples // 5), stateful_step_count=40
)


# Two boards, one of them with cold records

AGENTS = ("ann", "bob", "eve")

_STEPS = tuple(CompiledStep(id=i, title=i, needs=n) for i, n in (("a", ()), ("b", ("a",))))
FORMULAS = tuple(CompiledFormula(formula="made", steps=_STEPS, ephemeral=e) for e in (False, True))

numbers = st.integers(0, 30)
Command = tuple[str, int, int]


class Chosen:
    """What two numbers choose of a board, for a command on it."""

    def __init__(self, orc: Orchestrator, first: int, second: int) -> None:
        state = orc.engine.read()
        tasks, messages, flows = [*state.tasks], [*state.mail.messages], [*state.workflows]
        self.orc, self.first, self.second = orc, first, second
        self.task = tasks[first % len(tasks)] if tasks else "abc"
        self.other = tasks[second % len(tasks)] if tasks else "abc"
        self.message = messages[first % len(messages)] if messages else 1
        self.flow = flows[first % len(flows)] if flows else "abc"
        self.agent, self.sender = AGENTS[second % 3], AGENTS[first % 3]

    def add(self) -> object:
        facts: dict[str, Any] = {}
        if self.second % 3 == 0 and self.task != "abc":
            facts = {"needs": [self.task]}
        elif self.second % 3 == 1 and self.other != "abc":
            facts = {"parent": self.other}
        title = f"{self.first} {self.second}"
        return self.orc.tasks.add("build", title=title, labels=[f"l{self.first % 3}"], **facts)

    def end(self, how: Callable[..., object]) -> object:
        self.orc.tasks.claim(self.task, agent=self.agent)
        return how(self.task, agent=self.agent)

    def request(self) -> object:
        name = f"r{self.first % 8}"
        with self.orc.request(name):
            return self.orc.tasks.add("build", title=name)


COMMANDS: dict[str, Callable[[Chosen], object]] = {
    "add": Chosen.add,
    "add another": Chosen.add,
    "claim": lambda c: c.orc.tasks.claim(c.task, agent=c.agent),
    "done": lambda c: c.end(c.orc.tasks.complete),
    "done again": lambda c: c.end(c.orc.tasks.complete),
    "fail": lambda c: c.end(c.orc.tasks.fail),
    "cancel": lambda c: c.orc.tasks.cancel(c.task, reason="x"),
    "reopen": lambda c: c.orc.tasks.reopen(c.task),
    "archive": lambda c: c.orc.tasks.archive([c.task]),
    "delete": lambda c: c.orc.tasks.delete([c.task], reason="x"),
    "edit": lambda c: c.orc.tasks.edit(c.task, title=f"new {c.second}"),
    "link": lambda c: c.orc.links.add(c.task, c.other),
    "relate": lambda c: c.orc.links.add(c.task, c.other, kind="related"),
    "next": lambda c: c.orc.next(None, agent=c.agent),
    "send": lambda c: c.orc.mail.send(c.agent, f"{c.first}", agent=c.sender),
    "send again": lambda c: c.orc.mail.send(c.agent, f"{c.first}", agent=c.sender),
    "enqueue": lambda c: c.orc.mail.send("queue:q", f"{c.first}", agent=c.sender),
    "read": lambda c: c.orc.mail.read(c.message, agent=c.agent),
    "read another": lambda c: c.orc.mail.read(c.message, agent=c.agent),
    "unread": lambda c: c.orc.mail.unread(c.message, agent=c.agent),
    "drop": lambda c: c.orc.mail.archive([c.message], agent=c.agent),
    "take": lambda c: c.orc.mail.take("q", agent=c.agent),
    "rename": lambda c: c.orc.agents.rename(c.agent, c.sender),
    "pour": lambda c: c.orc.workflows.pour(FORMULAS[c.second % 2]),
    "burn": lambda c: c.orc.workflows.burn(c.flow),
    "request": Chosen.request,
}


@contextmanager
def chosen_ids(start: int) -> Iterator[None]:
    """Let both boards choose the same ids for new tasks."""
    ids = (f"{number * 2654435761 % 2**32:08x}" for number in itertools.count(start))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transaction, "random_id", staticmethod(lambda: next(ids)))
        yield


def outcome(orc: Orchestrator, command: Command, start: int) -> Any:
    """The result of a command, or the error that it ends with."""
    with chosen_ids(start):
        try:
            verb, first, second = command
            return COMMANDS[verb](Chosen(orc, first, second))
        except OrchestratorError as error:
            return error.code, error.message


@given(
    st.lists(st.tuples(st.sampled_from([*COMMANDS]), numbers, numbers), max_size=60), st.booleans()
)
def test_commands_have_equal_results_with_everything_cold_and_with_nothing_cold(
    commands: list[Command], reopens: bool
):
    """Tasks, mail, workflows, requests: the same results, errors, states and answers."""
    clock = SettableClock()
    stores = MemoryStore(), MemoryStore()
    stores[1].cold = None
    warm = Orchestrator(stores[1], now=clock)
    cold = Orchestrator(stores[0], now=clock)
    for orc in (warm, cold):
        orc.workstreams.create("build")
    with cold_at_once():
        for number, command in enumerate(commands):
            clock.advance(60)
            if reopens:
                cold = Orchestrator(stores[0], now=clock)
            expected = outcome(warm, command, number * 100)
            assert outcome(cold, command, number * 100) == expected, command
            cold.engine.save()
            assert repr(cold.engine.read()) == repr(warm.engine.read())
        assert answers(cold)[:-1] == answers(warm)[:-1]
        check_derived(cold.engine.read())
        check_law(cold)


# One map


KEYS = st.integers(0, 12)
STEPS = st.lists(
    st.tuples(st.sampled_from(["set", "del", "pop", "setdefault", "get", "move"]), KEYS),
    max_size=40,
)


class Lines:
    """Cold records in memory."""

    def __init__(self) -> None:
        self.lines: dict[str, ColdLine] = {}

    def find(self, _: str, key: str) -> ColdLine | None:
        return self.lines.get(key)

    def scan(self, _: str, begins: tuple[str, ...] = ("",)) -> list[ColdLine]:
        lines = (line for line in self.lines.values() if line.key.startswith(begins))
        return sorted(lines, key=lambda line: line.key)


def cooled(records: dict[int, list[int]], chosen: set[int]) -> ColdMap[int, list[int]]:
    """The same map with some records cold."""
    lines = Lines()
    hot, orders = {}, []
    for order, (key, value) in enumerate(records.items()):
        if key in chosen:
            raw = msgspec.Raw(msgspec.json.encode(value))
            lines.lines[str(key)] = ColdLine("m", str(key), order, raw)
        else:
            hot[key] = value
            orders.append(order)
    part = MapPart(len(records), len(lines.lines), len(records) - 1, spans_of(orders))
    return ColdMap("m", lines, part, hot, (int, list[int]), lambda _: {})


@given(st.lists(KEYS, unique=True), st.sets(KEYS), STEPS)
def test_a_map_with_cold_records_is_the_dict_that_it_was(
    keys: list[int], chosen: set[int], steps: list[tuple[str, int]]
):
    """Also its order, its length and lists that are changed in place; whatever was asked for between."""
    plain = {key: [key] for key in keys}
    cold = cooled({key: [key] for key in keys}, chosen)
    for number, (step, key) in enumerate(steps):
        for records in (plain, cold):
            if step == "set":
                records[key] = [number]
            elif step == "del":
                records.pop(key, None)
            elif step == "pop" and key in records:
                assert records.pop(key)
            elif step == "setdefault":
                records.setdefault(key, []).append(number)
            elif step == "move" and records.get(key):
                records[key + 1] = records.pop(key)
        assert cold.get(key) == plain.get(key)
        assert (key in cold, len(cold), bool(cold)) == (key in plain, len(plain), bool(plain))
    assert cold == plain
    assert plain == cold
    assert [*reversed(cold.values())] == [*reversed(plain.values())]
    assert [*reversed(cold.items())] == [*reversed(plain.items())]
    same = [*plain.items()]
    assert [*cold.items()] == [*dict(cold).items()] == [*{**cold}.items()] == same
    assert (
        [*(cold | {}).items()] == [*({} | cold).items()] == [*zip(cold, cold.values(), strict=True)]
    )
    assert (repr(cold), [*cold.keys()]) == (repr(plain), [*plain])
    assert cold.beginning(("1", "2")) == [key for key in plain if str(key).startswith(("1", "2"))]


def test_a_map_with_all_records_in_memory_reads_no_file(monkeypatch: pytest.MonkeyPatch):
    """Also after its last cold record was loaded, and for a key that it never had."""
    records = cooled({1: [1], 2: [2]}, {1})
    assert records[1] == [1]
    monkeypatch.setattr(Lines, "find", lambda *_: pytest.fail("a file was read"))
    assert (3 in records, records.get(4), records.pop(1), 1 in records) == (False, None, [1], False)


# Files: crashes, damage, other processes


def board_of(store: Store, tasks: int = 12) -> Orchestrator:
    """A board with ended and open tasks, and mail, all of which is cold that may be."""
    orc = Orchestrator(store, now=SettableClock())
    orc.workstreams.create("build")
    for number in range(tasks):
        with chosen_ids(number):
            task = orc.tasks.add("build", title=f"t{number}", needs=[])
        if number % 3:
            with orc.request(f"r{number}"):
                orc.tasks.claim(task.id, agent="ann")
            orc.tasks.complete(task.id, result="x", agent="ann")
            orc.mail.read(orc.mail.send("ann", "s", agent="bob").id, agent="ann")
    orc.engine.save()
    return orc


def new_store(folder: Path) -> FileStore:
    folder.mkdir()
    return FileStore(folder, warn=print)


def merge_files(orc: Orchestrator) -> None:
    """Write so many cold files that the first ones are merged."""
    for number in range(8):
        orc.tasks.cancel(orc.tasks.add("build", title=str(number)).id)
        orc.engine.save()


class Crash(BaseException):
    """The process ends here."""


def crashing(store: FileStore, point: int) -> list[str]:
    """Let a store end the process before its n-th write of snapshot or cold file; return the writes."""
    done: list[str] = []

    def before(name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def crash_or(*args: Any) -> Any:
            if len(done) == point:
                raise Crash
            done.append(name)
            return act(*args)

        return crash_or

    assert store.cold is not None
    for holder, name in ((store.cold, "write"), (store.cold, "remove"), (store, "save_snapshot")):
        setattr(holder, name, before(name, getattr(holder, name)))
    return done


def test_a_crash_at_any_write_leaves_a_snapshot_with_all_of_its_files(memory_path: Path):
    """Before and after each cold file, the snapshot and each removal: nothing is folded anew."""
    reached: set[str] = set()
    with cold_at_once():
        for point in itertools.count():
            folder = memory_path / str(point)
            board_of(new_store(folder)).close()
            store = FileStore(folder, warn=print)
            dying = Orchestrator(store, now=SettableClock())
            dying.engine.read()
            done = crashing(store, point)
            try:
                for task in dying.tasks.all(open=True):
                    dying.tasks.cancel(task.id)
                    dying.engine.save()
                ended = True
            except Crash:
                ended = False
            reached |= {*done}
            saved = saved_state(FileStore(folder, warn=print))
            assert saved is not None, done
            after = Orchestrator(FileStore(folder, warn=print), now=SettableClock())
            assert answers(after) == answers(plain(after))
            after.tasks.add("build", title="new")
            after.engine.save()
            kept = {*os.listdir(folder / "state" / "cold")}
            assert kept == named_cold_files(after.engine.store), "nothing is left behind"
            check_law(after)
            if ended:
                break
    assert reached == {"write", "remove", "save_snapshot"}


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)


def _flip_index(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


def _flip_filter(path: Path) -> None:
    data = bytearray(path.read_bytes())
    at = data[:-1].rindex(b"\n") - 300  # in the last page of the filter
    data[at] = ord("B" if data[at] == ord("A") else "A")
    path.write_bytes(data)


DAMAGES: list[Callable[[Path], object]] = [
    Path.unlink,
    _flip,
    _flip_index,
    _flip_filter,
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(path.read_bytes()[:-1]),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_in_a_cold_file_changes_no_answer_is_told_and_repaired(
    memory_path: Path, damage: Callable[[Path], object]
):
    with cold_at_once():
        orc = board_of(new_store(memory_path / "b"))
        expected = answers(plain(orc))
        for file in sorted((memory_path / "b" / "state" / "cold").iterdir()):
            if not file.exists():
                continue
            damage(file)
            found = doctor.examine(again(orc).engine).findings
            assert [f.check for f in found if f.level == "warning"] == ["snapshot"]
            assert file.name in found[1].message
            assert answers(again(orc)) == expected
            first = again(orc)
            assert first.tasks.get(orc.tasks.all()[1].id).status == "done"
            if damage is not Path.unlink:
                doctor.examine(again(orc).engine, fix=True)
            else:  # the next snapshot does the same
                first.engine.save()
            found = doctor.examine(again(orc).engine).findings
            assert [finding for finding in found if finding.level == "warning"] == []
            expected = answers(plain(again(orc)))
            assert answers(again(orc)) == expected
        check_law(again(orc))


@contextmanager
def unreadable_cold_files(error: OSError, at: str) -> Iterator[None]:
    """Let every attempt to open a cold file fail, or every attempt to read one."""
    opened: set[int] = set()
    real_open, real_read = system.open_file, system.read_part

    def open_file(path: str, flags: int) -> int:
        is_cold = "/cold/" in path and not flags & os.O_CREAT
        if is_cold and at == "open":
            raise error
        fd = real_open(path, flags)
        (opened.add if is_cold else opened.discard)(fd)
        return fd

    def read_part(fd: int, *args: int) -> bytes:
        if fd in opened:
            raise error
        return real_read(fd, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(system, "open_file", open_file)
        patch.setattr(system, "read_part", read_part)
        yield


@pytest.mark.parametrize("at", ["open", "read"])
@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_a_cold_file_that_cannot_be_read_changes_no_answer_and_is_kept_until_no_snapshot_needs_it(
    memory_path: Path, at: str, code: int
):
    """Commands read the log instead, and a warning names the file; the doctor reports it."""
    folder = memory_path / "b" / "state" / "cold"
    error = OSError(code, os.strerror(code))
    with cold_at_once():
        orc = board_of(new_store(memory_path / "b"))
        before, expected = {*folder.iterdir()}, answers(plain(orc))
        with unreadable_cold_files(error, at):
            told: list[str] = []
            assert answers(again(orc, told.append)) == expected
            assert [any(str(file) in text for file in before) for text in told] == [True]
            assert os.strerror(code) in told[0]
            found = doctor.examine(again(orc).engine).findings
            assert [f.check for f in found if f.level == "warning"] == ["snapshot"]
        assert {*folder.iterdir()} == before, "a reader removes nothing"
        told.clear()
        assert answers(again(orc, told.append)) == expected
        assert told == [], "the files can be read again"
        with unreadable_cold_files(error, at):
            writer = again(orc)
            writer.tasks.add("build", title="new", needs=[*writer.engine.read().tasks][:3])
            writer.engine.save()
        assert not {*folder.iterdir()} & before, "the new snapshot needs none of them"
        told.clear()
        after = again(orc, told.append)
        assert answers(after) == answers(plain(after))
        assert told == []
        check_law(after)


@pytest.mark.parametrize("change", ["long block", "spans", "unknown mailbox", "name"])
def test_a_crafted_snapshot_or_cold_file_with_valid_checksums_ends_no_command(
    memory_path: Path, change: str
):
    """A board of another person can have such files. They must not use all memory or make it unusable."""
    with cold_at_once():
        store = new_store(memory_path / "b")
        orc = board_of(store)
        expected = answers(plain(orc))
        crafted = msgspec.json.decode(saved_bytes(store))
        for name in crafted["cold"]["files"] if change == "long block" else ():
            path = memory_path / "b/state/cold" / name["name"]
            data = path.read_bytes()
            filter_size = run._PAGE_LINE * run._pages(name["lines"])
            blocks = [
                (*block[:3], 1 << 60, block[4])
                for block in msgspec.json.decode(data[name["index"] :])
            ]
            index = msgspec.json.encode(blocks)
            name["checksum"] = zlib.crc32(index)
            bits = b"\xff" * run._PAGE
            check = functools.partial(run._page_checksum, bits, checksum=name["checksum"])
            pages = [
                b'"%b"\n' % base64.b64encode(bits + check(number))
                for number in range(run._pages(name["lines"]))
            ]
            data = b"".join((data[: name["index"] - filter_size], *pages, index, b"\n"))
            path.write_bytes(data)
            name["size"] = len(data)
        if change == "spans":
            crafted["cold"]["maps"]["tasks"]["spans"] = [0, 1 << 60]
        elif change == "unknown mailbox":
            crafted["cold"]["boxes"]["agent-without-mailbox"] = 1
        elif change == "name":
            crafted["cold"]["files"][0]["name"] = "a\0b"
        del crafted["checksum"]
        body = msgspec.json.format(msgspec.json.encode(crafted), indent=2)[2:] + b"\n"
        store.save_snapshot(snapshot._HEAD % zlib.crc32(body) + body)
        told: list[str] = []
        assert answers(again(orc, told.append)) == expected
        assert all(".jsonl is damaged" in sentence for sentence in told)
        assert bool(told) == (change == "long block")


def test_a_link_in_place_of_a_cold_file_is_damage(memory_path: Path):
    """A link can come from git. The board does not follow it, and its target does not change."""
    target = memory_path / "mine"
    with cold_at_once():
        orc = board_of(new_store(memory_path / "b"))
        expected = answers(plain(orc))
        file = next((memory_path / "b" / "state" / "cold").iterdir())
        target.write_bytes(content := file.read_bytes())
        file.unlink()
        file.symlink_to(target)
        told: list[str] = []
        assert answers(again(orc, told.append)) == expected
        assert str(file) in told[0]
        again(orc).engine.save()
        assert answers(again(orc, pytest.fail)) == expected
        assert (file.is_symlink(), target.read_bytes()) == (False, content)


def test_what_was_removed_since_the_snapshot_stays_removed_when_damage_is_found(
    memory_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Also a record that no cold file ever had: the fold up to the snapshot has it."""
    with cold_at_once():
        orc = board_of(new_store(memory_path / "b"))
        oldest = orc.tasks.all(open=True)[0]
        newest = orc.tasks.add("build", title="newer than each cold one")
        orc.engine.save()
        monkeypatch.setattr(SnapshotSchedule, "is_due", False)
        again(orc).tasks.delete([oldest.id, newest.id], reason="x")
        for file in (memory_path / "b" / "state" / "cold").iterdir():
            _flip(file)
        assert answers(again(orc)) == answers(plain(orc))


def test_a_key_that_no_file_can_have_is_not_found(memory_path: Path):
    """The bytes of an argument that are no UTF-8 are parts of surrogate pairs in Python."""
    with cold_at_once():
        orc = again(board_of(new_store(memory_path / "b")))
        with pytest.raises(NotFound):
            orc.tasks.get("\udcff")


@pytest.mark.parametrize("name", ["cold", "checkpoints"])
def test_a_link_in_place_of_a_folder_that_is_cleaned_is_refused(memory_path: Path, name: str):
    """Git can bring such a link with a board, and files with such names elsewhere are not of the board."""
    orc = board_of(new_store(memory_path / "b"))
    (memory_path / "mine").mkdir()
    (memory_path / "b" / "state" / name).symlink_to(memory_path / "mine")
    with pytest.raises(Refused, match="symbolic link"):
        locate(orc.engine.store.folder)  # type: ignore[attr-defined]


def again(orc: Orchestrator, warn: Callable[[str], None] = print) -> Orchestrator:
    """Another process on the same board."""
    store = FileStore(orc.engine.store.folder, warn=warn)  # type: ignore[attr-defined]
    return Orchestrator(store, now=orc.engine._clock, warn=warn)


def test_who_has_read_the_board_before_files_were_merged_reads_on(memory_path: Path):
    """Cold files that are open can be read after their removal; a snapshot never names a removed one."""
    with cold_at_once():
        orc = board_of(new_store(memory_path / "b"))
        reader, writer = again(orc), again(orc)
        reader.engine.read()
        writer.engine.read()
        old = {*os.listdir(memory_path / "b" / "state" / "cold")}
        merge_files(orc)
        assert old - {*os.listdir(memory_path / "b" / "state" / "cold")}
        assert answers(reader) == answers(plain(orc))
        writer.tasks.add("build", title="new")
        writer.engine.save()
        assert saved_state(writer.engine.store) is not None
        check_law(again(orc))


def test_a_board_in_a_database_has_its_cold_files_in_rows(postgres: Server):
    """The same answers; readers of removed rows read on, and damaged rows are made again."""
    url = postgres.new_board()
    with cold_at_once():
        orc = board_of(PostgresStore(url))
        reader = Orchestrator(PostgresStore(url), now=orc.engine._clock)
        reader.engine.read()
        files = orc.engine.store.cold
        assert files is not None
        old = files.names()
        merge_files(orc)
        assert {*old} - {*files.names()}
        assert answers(reader) == answers(plain(orc))
        with pytest.MonkeyPatch.context() as patch:
            read = OpenRows.read
            reads: list[int] = []

            def counted(opened: OpenRows, parts: Sequence[FilePart]) -> list[bytes]:
                reads.append(len(parts))
                return read(opened, parts)

            patch.setattr(OpenRows, "read", counted)
            state = Orchestrator(PostgresStore(url), now=orc.engine._clock).engine.read()
            assert "nowhere" not in state.tasks
            assert reads == [len(files.names())], "one statement reads all files"
        for name in files.names():
            [begin] = files.open([name]).read([FilePart(name, 0, 9)])
            files.write(name, begin + b"?")
        after = Orchestrator(PostgresStore(url), now=orc.engine._clock)
        assert answers(after) == answers(plain(orc))
        after.engine.save()
        assert saved_state(PostgresStore(url)) is not None
        check_law(after)


def test_a_snapshot_of_the_layout_before_cold_records_is_folded_anew(memory_path: Path):
    """The golden file was written by version 0.18, whose snapshots name no cold files."""
    store = new_store(memory_path / "b")
    orc = board_of(store)
    data = saved_bytes(store)
    body = data[snapshot._HEAD_LENGTH :].replace(b'"cold": null,\n  ', b"")
    body = re.sub(rb'"format": [0-9]+', b'"format": 8', body, count=1)
    assert (snapshot._HEAD % 0)[:5] == data[:5]
    store.save_snapshot(snapshot._HEAD % zlib.crc32(body) + body)
    assert answers(again(orc)) == answers(plain(orc))
    assert saved_state(store) is None
    again(orc).engine.save()
    assert saved_state(store) is not None


def test_a_small_board_has_no_cold_files(memory_path: Path):
    """A thousand past records are the least that is worth a file."""
    orc = board_of(new_store(memory_path / "b"))
    assert not (memory_path / "b" / "state" / "cold").exists()
    assert snapshot.decode(saved_bytes(orc.engine.store), FileStore.cursor_type)


def test_a_snapshot_costs_what_has_changed_and_not_what_has_ended():
    """With all files of one size merged, a record is written a few times, however many there are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree, "FEWEST", 10)
        patch.setattr(tree, "LARGEST", 640)
        patch.setattr(past, "NEWEST", {"tasks": 1})
        store = MemoryStore()
        orc = Orchestrator(store, now=SettableClock())
        written: list[int] = []
        assert store.cold is not None
        write = store.cold.write
        patch.setattr(
            store.cold,
            "write",
            lambda name, data: (written.append(data.count(b"\n")), write(name, data)),
        )
        orc.workstreams.create("build")
        for _ in range(60):
            with orc.transaction():
                for number in range(20):
                    task = orc.tasks.add("build", title=f"t{number}")
                    orc.tasks.cancel(task.id)
            orc.engine.save()
        lines = sum(data.count(b"\n") for data in store.cold.data.values())  # type: ignore[attr-defined]
        assert lines > 1100
        assert sum(written) <= 4 * lines
        assert len(store.cold.names()) < 20
        assert len(saved_bytes(store)) < 30_000


class Parts:
    """Notes which parts of open cold files are read."""

    def __init__(self, opened: OpenFiles) -> None:
        self.sizes = opened.sizes
        self.read_parts: list[FilePart] = []
        self._opened = opened

    def read(self, parts: Sequence[FilePart]) -> list[bytes]:
        self.read_parts += parts
        return self._opened.read(parts)


def test_a_search_for_a_missing_key_reads_a_short_page_of_each_file_and_no_index():
    """The page has the same length in a file of any size. Every record that exists is found."""
    files = MemoryStore().cold
    assert files is not None
    keys = [f"{number * 2654435761 % 2**32:08x}" for number in range(20_000)]
    present, absent = keys[:10_000], keys[10_000:]
    runs = []
    for begin in range(0, len(present), 2500):
        lines = [("tasks", k, run.encode(["tasks", k, 1, k])) for k in present[begin:][:2500]]
        data, name = run.pack(sorted(lines), str(begin))
        files.write(name.name, data)
        runs.append(name)
    opened = Parts(files.open(files.names()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "open", lambda _: opened)
        found = tree.ColdTree(files, tree.ColdPart(runs, {}))
        assert found.find("tasks", absent[0]) is None
        assert [part.name for part in opened.read_parts] == [name.name for name in runs]
        assert sum(part.length for part in opened.read_parts) == 4 * run._PAGE_LINE
        assert found.find("tasks", absent[0]) is None
        assert len(opened.read_parts) == 4, "a page is read once"
        assert [found.find("tasks", key) for key in absent] == [None] * len(absent)
        blocks = [part for part in opened.read_parts if part.length != run._PAGE_LINE]
        assert len(blocks) < len(absent) // 10, "the filter knows most keys"
        for key in present[::7]:
            line = found.find("tasks", key)
            assert line is not None
            assert bytes(line.value) == run.encode(key)
        assert [*found.damages()] == []


def test_keys_that_begin_with_a_text_are_found_without_reading_the_others(
    monkeypatch: pytest.MonkeyPatch,
):
    """Also keys that were removed since or added again, and those of other maps that begin alike."""
    files = MemoryStore().cold
    assert files is not None
    keys = [f"{number * 2654435761 % 2**32:08x}" for number in range(20_000)]
    runs = []
    for begin in range(0, len(keys), 5000):
        lines = [("tasks", key, run.encode(["tasks", key, 1, key])) for key in keys[begin:][:5000]]
        lines += [
            (kind, key, run.encode([kind, key, 1, 0])) for kind, key, _ in lines for kind in "sv"
        ]
        lines += [("tasks", key, run.encode(["tasks", key])) for key in keys[: begin // 2 : 2]]
        data, name = run.pack(sorted(lines), str(begin))
        files.write(name.name, data)
        runs.append(name)
    opened = Parts(files.open(files.names()))
    monkeypatch.setattr(files, "open", lambda _: opened)
    found = tree.ColdTree(files, tree.ColdPart(runs, {}))
    left = {*keys} - {*keys[:7500:2]}
    for texts in [("0",), ("fff",), (keys[3],), ("a1", "a", "zz"), ("-", "5e"), ("",)]:
        opened.read_parts.clear()
        lines_found = [line.key for line in found.scan("tasks", texts)]
        assert sorted(lines_found) == sorted(key for key in left if key.startswith(texts))
        if texts == ("fff",):
            blocks = [part for part in opened.read_parts if part.offset < runs[0].index]
            assert len(blocks) <= 4 * 2, "at most two blocks of each file"


@pytest.mark.parametrize("few", [20, 0], ids=["few prefixes", "many prefixes"])
def test_the_first_digits_of_an_id_name_the_same_task_when_it_is_cold(
    memory_path: Path, monkeypatch: pytest.MonkeyPatch, few: int
):
    """With the prefix of a workstream, of another tracker, and with none; archived and deleted ones, too."""
    monkeypatch.setattr(lookup, "_FEW", few)
    with cold_at_once():
        orc = Orchestrator(new_store(memory_path / "b"), now=SettableClock())
        for name, prefix in (("plain", ""), ("build", "be"), ("docs", "cab")):
            orc.workstreams.create(name, prefix=prefix)
        orc.workstreams.edit("docs", prefix="")
        ids = [orc.tasks.add(name, title=name).id for name in ("plain", "build", "docs") * 6]
        imported = ("bd-a1b2", "other-be-a1c3", "bad-a1", "be-a1b2.more", "cab-1", "abc-0abc")
        lines = (msgspec.json.encode({"id": id, "title": id}) for id in imported)
        import_beads(orc.engine, io.BytesIO(b"\n".join(lines)))
        ids += imported
        for number, task in enumerate(ids):
            orc.tasks.cancel(task)
            if number % 5 == 1:
                orc.tasks.archive([task])
            elif number % 7 == 2:
                orc.tasks.delete([task])
        orc.tasks.add("plain", title="last")
        orc.engine.save()
        texts = {task[begin:end] for task in ids for begin in range(5) for end in range(2, 12)}
        colds, hots = again(orc), plain(orc)

        def named(board: Orchestrator, text: str) -> str:
            try:
                return board.tasks.get(text).id
            except OrchestratorError as error:
                return str(error)

        assert isinstance(colds.engine.read().tasks.tasks, ColdMap)
        for text in sorted(texts):
            assert named(colds, text) == named(hots, text), text
        assert named(colds, "a1b") == named(colds, "bd-a1b2") == "bd-a1b2"


@pytest.mark.parametrize("piece", [1, 7, 64, 1000, 1 << 20])
def test_a_large_snapshot_is_read_in_pieces_of_any_size(memory_path: Path, piece: int):
    """It is the same state, whatever the pieces cut, and damage anywhere is found."""
    orc = board_of(new_store(memory_path / "b"))
    orc.tasks.add("build", title='},\n      }, "tasks": {', description="\n    }\n")
    orc.engine.save()
    expected = as_text(*fold(orc.engine.store))
    path = memory_path / "b" / "state" / "state.json"
    whole = path.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot, "LARGE", 0)
        patch.setattr(large_snapshot, "PIECE", piece)
        saved = saved_state(orc.engine.store)
        assert saved is not None
        assert as_text(*saved) == expected
        for at in range(0, len(whole), len(whole) // 40):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            assert saved_state(orc.engine.store) is None
            path.write_bytes(whole[:at])
            assert saved_state(orc.engine.store) is None
