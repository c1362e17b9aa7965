"""The verdict: rules that must hold on a board after any fault.

Every function returns a sentence for each violation; an empty list means that the board kept its contract. A
board is judged by its files. The log is read here without the store, by its definition: segments in the order
of their first id, and each line has a checksum over all lines before it.
"""

import contextlib
import io
import json
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from orchestrator import Orchestrator, snapshot
from orchestrator.core.cold_map import ColdDamage
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.events import Recorded
from orchestrator.core.store import START
from orchestrator.core.transaction import SYSTEM
from orchestrator.domain.state import State
from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.groups import Command
from orchestrator.interfaces.cli.main import main
from orchestrator.interfaces.cli.rendering import plain
from orchestrator.interfaces.cli.run import Run
from orchestrator.snapshot_schedule import SMALL
from orchestrator.stores.files import FileStore
from orchestrator.stores.files.archived import ArchivedSegment, open_sealed
from orchestrator.stores.files.lines import Position, parse

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sys.executable

SUCCESS, UNKNOWN = 0, 75
ANSWERS = {0, 1, 2, 3, 4, 5, 74, 75, 130, 143}
"""Every exit status that a command may end with."""


def environment(**more: str) -> dict[str, str]:
    """The environment of a child: no variables of the toolkit, cached byte code, constant hashes."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ORC", "PYTHONDONTWRITE"))
    }
    return {**kept, "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT), **more}


# The log, read from its files


def segments(board: str) -> list[str]:
    """The files of the log in order; a file with two names only once."""
    folder = f"{board}/state"
    collected: dict[tuple[int, int], tuple[float, str]] = {}
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        sealed = re.fullmatch(r"events-(\d+)\.jsonl", name)
        if sealed or name == "events.jsonl":
            path = f"{folder}/{name}"
            status = os.stat(path)
            order = float(sealed[1]) if sealed else float("inf")
            key = (status.st_dev, status.st_ino)
            if key not in collected or not sealed:
                collected[key] = (order, path)
    return [path for _, path in sorted(collected.values())]


def log(board: str) -> bytes:
    """Every byte of the log, in order; of an archived segment, its lines and not the reference to it."""
    return b"".join(map(_lines, segments(board)))


def _lines(path: str) -> bytes:
    sealed = re.search(r"events-(\d+)\.jsonl", path)
    segment = open_sealed(path, int(sealed[1])) if sealed else None
    if isinstance(segment, ArchivedSegment):
        return segment.read(0, segment.size())
    return Path(path).read_bytes()


class LogContents:
    """The contents of a log: its events up to the last closed commit, and the rest."""

    def __init__(self, data: bytes) -> None:
        chunk = parse(data, Position(segment=1))
        self.events: list[Recorded] = chunk.events
        self.committed = data[: chunk.end.end]
        self.rest = data[chunk.end.end :]
        self.torn = chunk.torn
        self.problem = chunk.problem if self.rest else ""
        self._fold: State | None = None

    @property
    def fold(self) -> State:
        """The fold of the events."""
        if self._fold is None:
            self._fold = folded(self.events)
        return self._fold


def read_contents(board: str) -> LogContents:
    """The contents of the log of a board."""
    return LogContents(log(board))


def folded(events: Sequence[Recorded]) -> State:
    """The fold of events."""
    state = State()
    state.fold(events)
    return state


# The verdict


def older_is_whole(before: LogContents, after: LogContents) -> Iterator[str]:
    """Check that every earlier commit is unchanged, byte for byte."""
    if not after.committed.startswith(before.committed):
        yield (
            f"older events are not whole: {len(before.events)} events before,"
            f" {len(after.events)} after, and the bytes differ"
        )


def new_types(before: LogContents, after: LogContents) -> list[str]:
    """The types of the new events."""
    return [entry.type for entry in after.events[len(before.events) :]]


def outcome_holds(
    status: int | None, came: list[str], expected: list[str], *, errors: str = ""
) -> Iterator[str]:
    """Check that acknowledged events are there, that a refusal changed nothing, and that commits are atomic.

    Args:
        status: The exit status; None for a process that was killed.
        came: The types of the recorded events.
        expected: The types that the whole command records.
        errors: The text on stderr.
    """
    if came and came != expected:
        yield f"half of a command: {came} came of {expected}"
    if status is None or status == UNKNOWN:
        return
    if "Traceback (most recent call last)" in errors:
        yield f"an error without a name: {errors.strip().splitlines()[-1]}"
    if status not in ANSWERS:
        yield f"the exit status {status}"
    if status == SUCCESS and came != expected:
        yield f"acknowledged, but {came} came of {expected}"
    if status != SUCCESS and came:
        yield f"exit {status}, but {came} came"


def snapshot_agrees(board: str, contents: LogContents, *, exact: bool = False) -> Iterator[str]:
    """``state.json`` is missing or whole, and holds the fold of the log at its line.

    With ``exact`` it must be there and, of a small board, be at the last line.
    """
    store = FileStore(board, warn=print)
    file = store.open_snapshot()
    try:
        saved = (
            snapshot.load(file, Position, store.cold, _no_fold, print) if file is not None else None
        )
    except ColdDamage as damage:
        yield f"state.json cannot be used: {damage}"
        return
    if file is None or saved is None:
        if file is not None or exact:
            yield f"state.json is {'missing' if file is None else 'no whole snapshot'}"
        return
    state, position = saved.state, saved.cursor
    if position.id > len(contents.events):
        yield f"state.json is at event {position.id}, ahead of the log ({len(contents.events)})"
        return
    then = folded(contents.events[: position.id])
    if snapshot.encode(state, START) != snapshot.encode(then, START):
        yield f"state.json is not the fold of the log at event {position.id}"
    if exact and file.size < SMALL and position.id != len(contents.events):
        yield f"state.json is at event {position.id} of {len(contents.events)}"


def _no_fold(_: int) -> State:
    raise AssertionError("a cold file is damaged")


def files(board: str, *folders: str) -> dict[str, bytes]:
    """The files below some folders of a board, by path."""
    collected = {}
    for folder in folders:
        for top, _, names in os.walk(f"{board}/{folder}"):
            for name in names:
                path = f"{top}/{name}"
                collected[os.path.relpath(path, board)] = Path(path).read_bytes()
    return collected


def cli(board: str, *words: str, stdin: str = "") -> tuple[int, str, str]:
    """Run a command line in this process: its status, stdout and stderr."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    given = io.TextIOWrapper(io.BytesIO(stdin.encode()), "utf-8")
    before, sys.stdin = sys.stdin, given
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = main(["--board", board, *words])
            except Exception as error:  # a child would have died of it
                err.write(f"Traceback (most recent call last)\n{error!r}")
                status = -1
    finally:
        sys.stdin = before
        for number, handler in handlers.items():  # a one-shot command keeps them for itself
            signal.signal(number, handler)
    for stream in (out, err):
        stream.flush()
    return status, out.buffer.getvalue().decode(), err.buffer.getvalue().decode()  # type: ignore[attr-defined]


def on(orc: Orchestrator, words: Sequence[str], request: str | None = None) -> tuple[int, Any]:
    """Run a command line on an open board, through its API: the exit status it would have, and the answer."""
    run = _OnBoard(orc)
    with (
        orc.request(request) if request else contextlib.nullcontext(),
        BOARD.make_context("orc", list(words), obj=run) as context,
    ):
        status = BOARD.invoke(context)
    return status, run.value


class _OnBoard(Run):
    """A run on a board that is open already, which keeps the answer and shows nothing."""

    def __init__(self, orc: Orchestrator) -> None:
        super().__init__()
        self._orc = orc
        self.value: Any = None

    def execute(self, command: Command, values: dict[str, Any]) -> int:
        self.orc.engine.agent = self.settings.agent or SYSTEM
        answer = command.callback(self, **values)  # type: ignore[misc]
        if answer is None:
            return 0
        self.value = plain(answer.value)
        return answer.exit_status


def next_command_works(board: str) -> Iterator[str]:
    """Check that a command without faults works, and that its snapshot equals the fold."""
    before = read_contents(board)
    status, _, errors = cli(board, "events", "log", "check.after")
    if status != SUCCESS:
        yield f"the next command ends with {status}: {errors.strip()}"
        return
    after = read_contents(board)
    if new_types(before, after)[-1:] != ["check.after"]:
        yield f"the next command was acknowledged and is not there: {new_types(before, after)}"
    if after.rest:
        yield f"the log goes on behind the last commit after the next command: {after.rest[:80]!r}"
    yield from older_is_whole(before, after)
    yield from snapshot_agrees(board, after, exact=True)


def doctor(board: str, *words: str) -> tuple[int, dict[str, object]]:
    """The exit status and the record of the doctor."""
    status, out, errors = cli(board, "doctor", *words, "--json")
    try:
        return status, json.loads(out)
    except ValueError:
        return status, {"findings": [], "error": errors}


def doctor_finds_no_damage(board: str, *, clean: bool = False) -> Iterator[str]:
    """Check that the doctor reports only warnings, or with ``clean`` no problem at all."""
    status, record = doctor(board)
    only_leases = _open(record) == {"leases"}
    if status not in ((0,) if clean and not only_leases else (0, 1)):
        yield f"the doctor ends with {status}: {_findings(record)}"


def fixing_twice_equals_once(board: str) -> Iterator[str]:
    """Check that ``doctor --fix`` leaves a clean board, and does nothing when it is run again."""
    before = read_contents(board)
    status, record = doctor(board, "--fix")
    if status != SUCCESS:
        yield f"doctor --fix ends with {status}: {_findings(record)}"
        return
    yield from older_is_whole(before, read_contents(board))
    once = _without_traces(board)
    status, record = doctor(board, "--fix")
    if status != SUCCESS:
        yield f"doctor --fix the second time ends with {status}: {_findings(record)}"
    again = _without_traces(board)
    changed = sorted(
        path for path in once.keys() | again.keys() if once.get(path) != again.get(path)
    )
    if changed and _fixed(record) != {"leases"}:  # a lease may end meanwhile
        yield f"doctor --fix the second time changed {changed}: {_findings(record)}"
    yield from doctor_finds_no_damage(board, clean=True)
    yield from snapshot_agrees(board, read_contents(board), exact=bool(read_contents(board).events))


def _without_traces(board: str) -> dict[str, bytes]:
    result = files(board, "state", "knowledge")
    traces = ("state/.holder", "state/.lock", "state/.queue")
    return {path: data for path, data in result.items() if path not in traces}


def _fixed(record: dict[str, object]) -> set[str]:
    findings = record.get("findings")
    assert isinstance(findings, list)
    return {finding["check"] for finding in findings if finding["fixed"]}


def _open(record: dict[str, object]) -> set[str]:
    findings = record.get("findings")
    assert isinstance(findings, list)
    return {f["check"] for f in findings if f["level"] != "ok" and not f["fixed"]}


def _findings(record: dict[str, object]) -> str:
    findings = record.get("findings")
    assert isinstance(findings, list)
    messages = [
        f"{finding['check']}: {finding['message']}"
        for finding in findings
        if finding["level"] != "ok" and not finding["fixed"]
    ]
    return "; ".join(messages) or str(record.get("error", "nothing"))


def all_hold(board: str, before: LogContents) -> list[str]:
    """Check all rules that hold at any time, while no process works on the board."""
    try:
        after = read_contents(board)
        return [
            *older_is_whole(before, after),
            *snapshot_agrees(board, after),
            *doctor_finds_no_damage(board),
            *next_command_works(board),
            *fixing_twice_equals_once(board),
        ]
    except (OrchestratorError, OSError) as error:
        return [f"the verdict cannot be reached: {error!r}"]
