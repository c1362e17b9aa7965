"""Part 3: torn and damaged logs.

A log is mutated in one way: cut, filled with zeros, one bit flipped, lines swapped, doubled or dropped,
another line end, a byte order mark, the marks of a merge. Then the board is read, written, and checked by the
doctor. Each mutation must end in the old state, the new state, or a named error; to be exact:

- A reader sees the fold of whole commits from the beginning of the log: all unchanged commits at the
  beginning, and at least those of the snapshot. A reader changes no file.
- A writer either stops with one of our errors and changes no byte; or it sees the same fold, continues the
  log from there, and moves every removed byte to the quarantine.
"""

import base64
import hashlib
import itertools
import os
import shutil
import signal
from collections.abc import Iterator
from typing import Any, NamedTuple

from orchestrator import Orchestrator
from orchestrator.core.errors import Damage, OrchestratorError
from orchestrator.core.store import START, Cursor
from orchestrator.domain.state import State
from orchestrator.maintenance.doctor import examine
from orchestrator.stores.files import FileStore
from tests.boards import saved_bytes

from .part import Part, fast_folder, run, say

QUICK, FULL = 3_000, 100_000
"""How many of all mutations, chosen by the seed."""
MORNING = 1_795_241_580.0
PATIENCE = 30.0
"""Seconds after which a mutation counts as hanging."""


class Base(NamedTuple):
    """A board before it is mutated: its files, and the fold after each commit."""

    name: str
    files: dict[str, bytes]
    """The segments in order, the one being written last."""
    snapshots: dict[int, bytes]
    """``state.json`` as it was after so many commits."""
    ends: list[int]
    """Bytes of all segments together after each commit; 0 first."""
    states: list[str]
    segment_size: int

    @property
    def whole(self) -> bytes:
        return b"".join(self.files.values())


class Mutation(NamedTuple):
    """One changed file of a base, under one snapshot (None: there is none)."""

    base: str
    kind: str
    file: str
    data: bytes | None
    snapshot: int | None
    living: bool = False
    """Whether a process had the board open before."""


def work(orc: Orchestrator, clock: list[float]) -> Iterator[None]:
    """Commits of many kinds: of one event and of several, with requests, with text beyond ASCII."""
    orc.workstreams.create("build", description="Où 日本 😀")
    yield
    first = orc.tasks.add("build", title="One", touches=["git"])
    yield
    with orc.transaction():
        second = orc.tasks.add("build", title="Two", needs=[first.id])
        orc.tasks.add("build", title="Three", labels=["ui"])
        orc.events.log("ann", "deployed", n=1, text='a "quoted" \\ text')
    yield
    orc.tasks.claim(first.id, agent="ann", lease="1h")
    yield
    with orc.request("request-1"):
        orc.locks.acquire("git", agent="ann", ttl="1h")
    yield
    clock[0] += 2000
    orc.tasks.complete(first.id, result="done", agent="ann")
    yield
    orc.events.log(None, "ci.failed", facts={"a": [1, 2.5, None, True]})
    yield
    with orc.transaction():
        orc.tasks.claim(second.id, agent="bob", lease="1h")
        orc.tasks.note(second.id, "on it", agent="bob")
    yield


def text_of(state: State, position: Cursor) -> str:
    return f"{state!r} {position!r}"


def fold(store: FileStore) -> str:
    state, position = State(), START
    for chunk in store.read(START):
        state.fold(chunk.events)
        position = chunk.end
    return text_of(state, position)


def make_base(folder: str, name: str, segment_size: int) -> Base:
    """Build the board, commit by commit."""
    os.makedirs(f"{folder}/state")
    clock = [MORNING]
    store = FileStore(folder, segment_size=segment_size, warn=lambda _: None)
    orc = Orchestrator(store, light=True, now=lambda: clock[0])
    snapshots: dict[int, bytes] = {}
    ends, states = [0], [text_of(State(), START)]
    for number, _ in enumerate(work(orc, clock), start=1):
        states.append(fold(store))
        ends.append(len(b"".join(log_files(folder).values())))
        snapshots[number] = saved_bytes(store)
    return Base(name, log_files(folder), snapshots, ends, states, segment_size)


def log_files(folder: str) -> dict[str, bytes]:
    """The files of the log by name, in the order of their events."""
    state = f"{folder}/state"
    sealed = [n for n in os.listdir(state) if n.startswith("events-") and n.endswith(".jsonl")]
    sealed.sort(key=lambda name: int(name[7:-6]))
    names = [*sealed, *(["events.jsonl"] if os.path.exists(f"{state}/events.jsonl") else [])]
    collected = {}
    for file in names:
        with open(f"{state}/{file}", "rb") as stream:
            collected[file] = stream.read()
    return collected


# The mutations of one file


def cuts(data: bytes) -> Iterator[tuple[str, bytes]]:
    for offset in range(len(data)):
        yield "cut", data[:offset]


def zeros(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The effect of a power loss: the file has its new length, but not the data."""
    for offset in range(len(data) + 1):
        yield "zeros from there to the end", data[:offset] + b"\0" * (len(data) - offset)
        yield "zeros behind a cut", data[:offset] + b"\0" * (4096 - offset % 4096)
    for offset in range(0, len(data), 7):
        yield (
            "a block of zeros",
            data[:offset] + b"\0" * min(512, len(data) - offset) + data[offset + 512 :],
        )


def flips(data: bytes) -> Iterator[tuple[str, bytes]]:
    for offset, byte in enumerate(data):
        for bit in range(8):
            yield "one bit", data[:offset] + bytes([byte ^ 1 << bit]) + data[offset + 1 :]


def lines_changed(data: bytes) -> Iterator[tuple[str, bytes]]:
    lines = data.splitlines(keepends=True)
    number = range(len(lines))
    for number_a, other in itertools.combinations(number, 2):
        swapped = list(lines)
        swapped[number_a], swapped[other] = lines[other], lines[number_a]
        yield "lines swapped", b"".join(swapped)
        yield "lines dropped", b"".join(lines[:number_a] + lines[other:])
        yield "lines doubled", b"".join(lines[:other] + lines[number_a:])
    for number_a in number:
        yield "lines dropped", b"".join(lines[:number_a] + lines[number_a + 1 :])
        yield "lines doubled", b"".join([*lines[:number_a], lines[number_a], *lines[number_a:]])
        yield "a blank line", b"".join([*lines[:number_a], b"\n", *lines[number_a:]])
        yield (
            "CRLF in one line",
            b"".join([*lines[:number_a], lines[number_a][:-1] + b"\r\n", *lines[number_a + 1 :]]),
        )
        for other in number:
            moved = [*lines[:number_a], *lines[number_a + 1 :]]
            moved.insert(other, lines[number_a])
            if moved != lines:
                yield "a line moved", b"".join(moved)


def edits(data: bytes) -> Iterator[tuple[str, bytes]]:
    """What editors, scripts and version control do to a file."""
    lines = data.splitlines(keepends=True)
    yield "CRLF", data.replace(b"\n", b"\r\n")
    yield "CR", data.replace(b"\n", b"\r")
    yield "a byte order mark", b"\xef\xbb\xbf" + data
    yield "no final newline", data[:-1]
    yield "a final blank line", data + b"\n"
    yield "final blanks", data + b"  \n"
    yield "UTF-16", data.decode().encode("utf-16")
    yield "another encoding", data.decode("unicode_escape", "replace").encode("utf-8", "replace")
    yield "pretty", data.replace(b'","', b'", "')
    yield "upper case", data.upper()
    yield "empty", b""
    yield "twice", data + data
    yield "sorted", b"".join(sorted(lines))
    yield "reversed", b"".join(reversed(lines))
    for position in range(len(lines) + 1):
        for other in range(position, len(lines) + 1):
            mine, theirs = lines[position:other], lines[position:other][::-1] or [b'{"id":1}\n']
            marked = [b"<<<<<<< HEAD\n", *mine, b"=======\n", *theirs, b">>>>>>> theirs\n"]
            yield "a merge conflict", b"".join(lines[:position] + marked + lines[other:])
            three = [*marked[: len(mine) + 1], b"||||||| base\n", *marked[len(mine) + 1 :]]
            yield "a merge conflict of three", b"".join(lines[:position] + three + lines[other:])
            yield (
                "a merge that kept both",
                b"".join(lines[:position] + mine + theirs + lines[other:]),
            )


def splices(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Bytes that are removed, inserted, or replaced by others of the same log."""
    for offset in range(0, len(data), 3):
        yield "bytes taken out", data[:offset] + data[offset + 1 + offset % 40 :]
        yield "bytes put in", data[:offset] + data[: offset % 60 + 1] + data[offset:]
        yield (
            "bytes overwritten",
            data[:offset] + data[: 1 + offset % 200] + data[offset + 1 + offset % 200 :],
        )
        yield "rubbish at the end", data + hashlib.sha256(data[:offset]).digest()[: offset % 32 + 1]
        yield "rubbish lines at the end", data + data[offset : offset + 50] + b"\n"


EVERY = (cuts, zeros, flips, lines_changed, edits, splices)


def mutations(bases: list[Base], part: Part) -> Iterator[Mutation]:
    """Every mutation of every file of every base, under every snapshot."""
    for base in bases:
        for file, data in base.files.items():
            variants: list[tuple[str, bytes | None]] = [("the file is gone", None)]
            for make in EVERY:
                variants += make(data)
            for kind, mutated in variants:
                if mutated == data:
                    continue
                for snapshot in (None, *base.snapshots):
                    yield Mutation(base.name, kind, file, mutated, snapshot)
                yield Mutation(base.name, kind, file, mutated, len(base.ends) - 1, living=True)


# The verdict


class Arena:
    """The folder for mutated boards."""

    def __init__(self) -> None:
        self.folder = fast_folder()
        self.state = f"{self.folder}/state"

    def lay_out(self, base: Base, files: dict[str, bytes], snapshot: int | None) -> None:
        shutil.rmtree(self.state, ignore_errors=True)
        os.makedirs(self.state)
        os.makedirs(f"{self.folder}/knowledge", exist_ok=True)
        self.write(files)
        if snapshot:
            with open(f"{self.state}/state.json", "wb") as stream:
                stream.write(base.snapshots[snapshot])

    def write(self, files: dict[str, bytes]) -> None:
        for file in log_files(self.folder):
            if file not in files:
                os.unlink(f"{self.state}/{file}")
        for file, data in files.items():
            with open(f"{self.state}/{file}", "r+b" if self.has(file) else "wb") as stream:
                stream.write(data)
                stream.truncate()

    def has(self, file: str) -> bool:
        return os.path.exists(f"{self.state}/{file}")

    def quarantined(self) -> list[bytes]:
        folder = f"{self.state}/quarantine"
        collected = []
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            with open(f"{folder}/{name}", "rb") as stream:
                collected.append(stream.read())
        return collected

    def everything(self) -> dict[str, bytes]:
        collected = {}
        for top, _, files in os.walk(self.folder):
            for file in files:
                is_derived = top.endswith(("/presence", "/checkpoints"))
                if file not in (".lock", ".queue", ".holder") and not is_derived:
                    with open(f"{top}/{file}", "rb") as stream:
                        collected[f"{top}/{file}"] = stream.read()
        return collected

    def open(self, base: Base, warnings: list[str]) -> Orchestrator:
        store = FileStore(self.folder, segment_size=base.segment_size, warn=warnings.append)
        return Orchestrator(store, light=True, now=lambda: MORNING + 9000, warn=warnings.append)


def judge(arena: Arena, base: Base, mutation: Mutation, *, doctor: bool) -> tuple[str, str]:
    """The outcome of the mutation, and the violations of the contract in it."""
    files = {**base.files, mutation.file: mutation.data}
    mutated = {file: data for file, data in files.items() if data is not None}
    arena.lay_out(base, base.files if mutation.living else mutated, mutation.snapshot)
    orc = None
    if mutation.living:
        orc = arena.open(base, [])
        orc.engine.read()
        arena.write(mutated)
    before = arena.everything()
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        outcome, wrong = _judge_reader(arena, base, mutation, mutated)
        if not wrong and arena.everything() != before:
            wrong = "a reader changed a file"
        if not wrong and doctor:
            wrong = _judge_doctor(arena, base, before)
        if not wrong:
            outcome, wrong = _judge_writer(arena, base, mutation, mutated, before, orc)
    except Exception as error:
        return "another error", f"{type(error).__name__} got out: {error}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return outcome, wrong


class Hangs(Exception):
    """Raised if a command takes longer than allowed on such a small board."""


def _hangs(_number: int, _frame: object) -> None:
    raise Hangs(f"no answer within {PATIENCE} s")


def _same(left: bytes, other: bytes) -> int:
    """The number of equal bytes at the beginning of both."""
    pairs = enumerate(zip(left, other, strict=False))
    return next((offset for offset, (a, b) in pairs if a != b), min(len(left), len(other)))


def _untouched(base: Base, mutated: dict[str, bytes]) -> int:
    """The number of unchanged commits at the beginning of the log."""
    same = 0
    for file, data in base.files.items():
        result = mutated.get(file, b"")
        if result != data:
            same += _same(result, data)
            break
        same += len(data)
    return sum(end <= same for end in base.ends) - 1


def _covered(base: Base, mutation: Mutation) -> bool:
    """Whether the snapshot is newer than the changed file, which then is not read."""
    if not mutation.snapshot:
        return False
    begins = 0
    for file, data in base.files.items():
        if file == mutation.file:
            return base.ends[mutation.snapshot] > begins
        begins += len(data)
    return False


def _judge_reader(
    arena: Arena, base: Base, mutation: Mutation, mutated: dict[str, bytes]
) -> tuple[str, str]:
    warnings: list[str] = []
    orc = arena.open(base, warnings)
    try:
        state = orc.engine.read()
    except OrchestratorError as error:
        return "named error", _badly_said(error)
    seen = text_of(state, orc.engine.position)
    if seen not in base.states:
        return "another state", "a reader saw a state that never was"
    commits = base.states.index(seen)
    untouched, known = _untouched(base, mutated), mutation.snapshot or 0
    if commits < known:
        return "older", f"a reader saw {commits} commits, and the snapshot knew {known}"
    if commits != max(untouched, known) and not _covered(base, mutation):
        return "older", f"a reader saw {commits} commits, but {untouched} are untouched"
    return "read", ""


def _judge_writer(
    arena: Arena,
    base: Base,
    mutation: Mutation,
    mutated: dict[str, bytes],
    before: dict[str, bytes],
    orc: Orchestrator | None,
) -> tuple[str, str]:
    warnings: list[str] = []
    orc = orc or arena.open(base, warnings)
    try:
        orc.events.log("ann", "after", n=1)
    except OrchestratorError as error:
        if arena.everything() != before:
            return "named error", f"a file changed, and the command failed: {error.message}"
        return "named error", _badly_said(error)
    whole = b"".join(log_files(arena.folder).values())
    lines = whole.splitlines(keepends=True)
    kept = len(whole) - len(lines[-1])
    untouched, known = _untouched(base, mutated), mutation.snapshot or 0
    if mutation.living and not mutation.snapshot:
        known = 0
    added = b""
    for quarantined in arena.quarantined():
        added += quarantined
    data = b"".join(mutated.values())
    if whole[:kept] + added not in (data, data + b"\n"):
        return "bytes lost", "bytes of the log are neither in it nor in the quarantine"
    if added and not warnings and not mutation.living:
        return "silent", "a tail was set aside without a word"
    if _covered(base, mutation):
        return _judge_covered(arena, base, mutation, data, orc, known)
    if kept not in base.ends:
        return "another state", "the command was written behind half a commit"
    commits = base.ends.index(kept)
    closed = untouched + (kept == len(data) + 1)
    if commits < known or commits != closed:
        return (
            "older",
            f"a writer went on from commit {commits} of {closed}; the snapshot knew {known}",
        )
    return ("new state" if commits == len(base.ends) - 1 else "old state"), _next_works(arena, base)


def _judge_covered(
    arena: Arena, base: Base, mutation: Mutation, data: bytes, orc: Orchestrator, known: int
) -> tuple[str, str]:
    """Judge a change before the end of the snapshot: the snapshot counts, and the doctor must report the
    change."""
    state = orc.engine.read()
    events = len(base.whole[: base.ends[known]].splitlines())
    if state.event <= events:
        return "older", "a writer went on before the snapshot"
    return "new state", ""


def _next_works(arena: Arena, base: Base) -> str:
    """Check after a success that a new process, the fold and the saved state agree."""
    orc = arena.open(base, [])
    orc.events.log("bob", "after", n=2)
    seen = text_of(orc.engine.read(), orc.engine.position)
    store = FileStore(arena.folder, segment_size=base.segment_size, warn=lambda _: None)
    return "" if seen == fold(store) else "the state is not the fold of the log"


def _judge_doctor(arena: Arena, base: Base, before: dict[str, bytes]) -> str:
    orc = arena.open(base, [])
    examination = examine(orc.engine)
    if arena.everything() != before:
        return "the doctor changed a file without being asked"
    if examination.status == 0 and log_files(arena.folder) != base.files:
        whole = b"".join(log_files(arena.folder).values())
        if base.whole[: len(whole)] != whole or len(whole) not in base.ends:
            return "the doctor finds nothing wrong with a changed log"
    return ""


def _badly_said(error: OrchestratorError) -> str:
    if not isinstance(error, Damage):
        return f"{type(error).__name__} ({error.code}) and no damage: {error.message}"
    if "events" not in error.message or not error.hint:
        return f"no file or no remedy is named: {error.message!r} {error.hint!r}"
    return ""


def bases() -> dict[str, Base]:
    """A board with a single file, and one with several."""
    collected = {}
    for name, segment_size in (("one file", 1 << 20), ("segments", 700)):
        folder = fast_folder()
        try:
            collected[name] = make_base(folder, name, segment_size)
        finally:
            shutil.rmtree(folder)
    return collected


def body(part: Part) -> None:
    signal.signal(signal.SIGALRM, _hangs)
    known = bases()
    arena = Arena()
    chosen: Any = list(mutations(list(known.values()), part))
    part.figures["mutations there are"] = len(chosen)
    part.figures["bytes of the logs"] = {base.name: len(base.whole) for base in known.values()}
    part.random.shuffle(chosen)
    assert len(chosen) >= FULL
    chosen = chosen[: QUICK if part.quick else FULL]
    try:
        for number, mutation in enumerate(chosen):
            base = known[mutation.base]
            outcome, wrong = judge(arena, base, mutation, doctor=number % 5 == 0)
            part.count(f"{mutation.kind}")
            part.figures.setdefault("ended in", {}).setdefault(outcome, 0)
            part.figures["ended in"][outcome] += 1
            if (number + 1) % 50_000 == 0:
                say(f"  {number + 1} of {len(chosen)}, {len(part.violations)} violations")
            if wrong:
                part.figures.setdefault("violations by kind", {}).setdefault(mutation.kind, 0)
                part.figures["violations by kind"][mutation.kind] += 1
                part.violated(
                    f"{mutation.kind} of {mutation.file} ({mutation.base}), snapshot"
                    f" {mutation.snapshot}{', living' if mutation.living else ''}: {wrong}",
                    _kept(base, mutation),
                )
    finally:
        shutil.rmtree(arena.folder)


def _kept(base: Base, mutation: Mutation) -> dict[str, Any]:
    data = None if mutation.data is None else base64.b64encode(mutation.data).decode()
    files = {name: base64.b64encode(d).decode() for name, d in base.files.items()}
    snapshots = {n: base64.b64encode(d).decode() for n, d in base.snapshots.items()}
    kept = {**base._asdict(), "files": files, "snapshots": snapshots}
    return {**mutation._asdict(), "data": data, "base": kept}


def replay(case: dict[str, Any]) -> None:
    """Run a stored case again and print its verdict."""
    kept = case["base"]
    files = {name: base64.b64decode(d) for name, d in kept["files"].items()}
    snapshots = {int(n): base64.b64decode(d) for n, d in kept["snapshots"].items()}
    base = Base(**{**kept, "files": files, "snapshots": snapshots})
    data = None if case["data"] is None else base64.b64decode(case["data"])
    mutation = Mutation(**{**case, "base": base.name, "data": data})
    signal.signal(signal.SIGALRM, _hangs)
    arena = Arena()
    say(f"{judge(arena, base, mutation, doctor=True)}; the board is in {arena.folder}")


if __name__ == "__main__":
    run("mutations", body, replay)
