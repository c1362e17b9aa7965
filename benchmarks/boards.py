"""Boards for measurements, written in bulk with the toolkit's own events, lines and snapshot.

This takes two seconds for 100,000 tasks; through the API each task would need its own sync.
"""

import os
import shutil
import time
from collections.abc import Iterable, Iterator

from orchestrator import Orchestrator, snapshot
from orchestrator.core import clock
from orchestrator.core.events import Event, Recorded
from orchestrator.core.store import PART_SIZE
from orchestrator.core.strict_json import encode_payload
from orchestrator.domain.state import State
from orchestrator.domain.tasks.events import TaskAdded, TaskClaimed, TaskCompleted
from orchestrator.domain.workstreams.events import WorkstreamCreated
from orchestrator.snapshot_schedule import TAIL
from orchestrator.stores.files.layout import make
from orchestrator.stores.files.lines import Position, encode_line

STREAMS = tuple(f"stream-{number}" for number in range(10))
_DAY = 86400.0
_BATCH = 1 << 20
_STEP = 10
RESULT = (
    "Part {} is as planned but for two files: the retry counts one attempt too many, and the timeout"
    " is read in seconds where the guide says milliseconds. Both are noted with line numbers."
)
"""As long as the results that agents wrote on the real board of ``tests/data``: 176 characters."""

Fact = tuple[str, Event | None]
"""Who, and what; None stands for an event of the agents' own."""


class Writer:
    """Writes a log in segments, and folds it meanwhile.

    Args:
        folder: The board's folder.
        folds: Whether to fold the state, which a snapshot needs.
        segment_size: The size in bytes at which a segment is sealed.
    """

    def __init__(self, folder: str, *, folds: bool = True, segment_size: int = PART_SIZE) -> None:
        self.folder = make(folder)
        self._segment_size = segment_size
        self._log = f"{folder}/state/events.jsonl"
        self.state = State()
        self.position = Position()
        self._folds = folds
        self._sealed = 1
        self._began = time.time() - _DAY

    def write(self, facts: Iterable[Fact]) -> None:
        """Append events, each in its own commit."""
        batch: list[bytes] = []
        size = 0
        for record in self._records(facts):
            line = self._line(record)
            if self.position.offset == 0 and record.id > 1:
                self._flush(batch)
                os.rename(self._log, f"{self.folder}/state/events-{self._sealed}.jsonl")
                size = 0
            batch.append(line)
            size += len(line)
            if size > _BATCH:
                self._flush(batch)
                size = 0
            if self._folds:
                self.state.fold((record,))
        self._flush(batch)

    def _records(self, facts: Iterable[Fact]) -> Iterator[Recorded]:
        custom = encode_payload({"service": "api", "version": "2.0"})
        for number, (agent, fact) in enumerate(facts, self.position.id + 1):
            ts = clock.timestamp(self._began + number / 100)
            if fact is None:
                yield Recorded(number, ts, agent, "deployed", custom)
            else:
                yield Recorded(number, ts, agent, fact.TYPE, encode_payload(fact), fact.VERSION)

    def _line(self, record: Recorded) -> bytes:
        line, crc = encode_line(record, self.position.crc)
        segment, begin = self.position.segment or 1, self.position.end
        if begin + len(line) > self._segment_size:
            self._sealed = segment
            segment, begin = record.id, 0
        self.position = Position(
            id=record.id, segment=segment, offset=begin, end=begin + len(line), crc=crc
        )
        return line

    def _flush(self, batch: list[bytes]) -> None:
        with open(self._log, "ab") as file:
            file.writelines(batch)
        batch.clear()

    def save(self) -> None:
        """Write the snapshot; needs the fold."""
        with open(f"{self.folder}/state/state.json", "wb") as file:
            file.write(snapshot.encode(self.state, self.position))


def task_id(number: int) -> str:
    """Eight hex digits, different for every number."""
    return f"{number * 2654435761 % 2**32:08x}"


def streams() -> Iterator[Fact]:
    """Ten workstreams."""
    for number, name in enumerate(STREAMS):
        yield (
            "system",
            WorkstreamCreated(
                workstream=name,
                description=f"What belongs to part {number}",
                priority=number % 5 + 1,
            ),
        )


def added(number: int) -> Fact:
    """A realistic task: a sentence or two, some with needs, labels and resources."""
    return f"agent-{number % 20}", TaskAdded(
        id=task_id(number),
        workstream=STREAMS[number % len(STREAMS)],
        title=f"Task {number}: look into part {number % 97} and report",
        description="Read what is there, compare it with the plan, and write down what differs.",
        priority=number % 5 + 3,
        labels=("research",) if number % 3 == 0 else (),
        estimate=30.0 if number % 4 == 0 else None,
        needs=(task_id(number - 7),) if number % 10 == 9 else (),
        touches=(f"part-{number}",) if number % 10 == 5 else (),
    )


def finished(number: int) -> Iterator[Fact]:
    """The events of a task that is claimed and completed."""
    agent, until = f"agent-{number % 20}", clock.timestamp(time.time() + _DAY)
    yield agent, TaskClaimed(task=task_id(number), lease=1800.0, until=until)
    yield agent, TaskCompleted(task=task_id(number), result=f"Part {number % 97} is as planned.")


def lives(tasks: int) -> Iterator[Fact]:
    """Tasks that are added, claimed and completed, each completion fifty additions later."""
    for number in range(tasks + 50):
        if number < tasks:
            yield added(number)
        if number >= 50:
            yield from finished(number - 50)


class Boards:
    """The boards of a run, each created on first use.

    Args:
        folder: Their folder; boards and baselines are on the same disk.
        quick: Reduce the large boards to a tenth.
    """

    def __init__(self, folder: str, *, quick: bool) -> None:
        self.folder = folder
        self.big = 10_000 if quick else 100_000
        self.many = 100_000 if quick else 1_000_000
        self._copies = 0

    def tasks(self, number: int) -> str:
        """A board with a number of pending tasks and an exact snapshot; do not change it, but a copy."""
        path = f"{self.folder}/tasks-{number}"
        if not os.path.exists(path):
            writer = Writer(path)
            writer.write(streams())
            writer.write(added(n) for n in range(number))
            writer.save()
        return path

    def tailed(self, number: int) -> str:
        """The same board with the longest possible log after the snapshot."""
        path = f"{self.folder}/tailed-{number}"
        if not os.path.exists(path):
            writer = Writer(path)
            writer.write(streams())
            writer.write(added(n) for n in range(number))
            writer.save()
            full = size(path) + int(os.path.getsize(snapshot_of(path)) * TAIL)
            begun = 0
            while size(path) + _STEP * 1024 < full:
                writer.write(fact for n in range(begun, begun + _STEP) for fact in finished(n))
                begun += _STEP
        return path

    def log(self, number: int) -> str:
        """A board with a number of events of tasks from addition to end, without a snapshot."""
        path = f"{self.folder}/log-{number}"
        if not os.path.exists(path):
            writer = Writer(path, folds=False)
            writer.write(streams())
            writer.write(lives((number - len(STREAMS)) // 3))
        return path

    def segmented(self, number: int, segments: int) -> str:
        """The same log in so many segments, with a snapshot and a checkpoint for each sealed one."""
        path = f"{self.folder}/log-{number}-in-{segments}"
        if not os.path.exists(path):
            writer = Writer(path, folds=False, segment_size=size(self.log(number)) // segments)
            writer.write(streams())
            writer.write(lives((number - len(STREAMS)) // 3))
            Orchestrator.open(path).engine.refold(whole=True)
        return path

    def logged(self, number: int, segments: int) -> str:
        """A board with a number of events that agents logged, in a number of segments, with checkpoints."""
        path = f"{self.folder}/logged-{number}-in-{segments}"
        if not os.path.exists(path):
            most = size(self.history(number)) // segments + 1
            writer = Writer(path, folds=False, segment_size=most)
            writer.write((f"agent-{n % 20}", None) for n in range(number))
            Orchestrator.open(path).engine.refold(whole=True)
        return path

    def history(self, number: int) -> str:
        """A board with a number of events that agents logged."""
        path = f"{self.folder}/history-{number}"
        if not os.path.exists(path):
            writer = Writer(path)
            writer.write((f"agent-{n % 20}", None) for n in range(number))
            writer.save()
        return path

    def graph(self, name: str, facts: Iterable[Fact]) -> str:
        """A board with these events and an exact snapshot; do not change it, but a copy."""
        path = f"{self.folder}/{name}"
        if not os.path.exists(path):
            writer = Writer(path)
            writer.write(facts)
            writer.save()
        return path

    def copy(self, board: str) -> str:
        """A copy of a board, which may be changed."""
        self._copies += 1
        path = f"{self.folder}/copy-{self._copies}"
        shutil.copytree(board, path)
        os.sync()  # the copy's own writing must not be waited for by what is measured
        return path

    def drop(self, copy: str) -> None:
        """Remove a copy."""
        shutil.rmtree(copy)


def size(board: str) -> int:
    """The size of the board's log in bytes."""
    folder = f"{board}/state"
    return sum(
        os.path.getsize(f"{folder}/{name}")
        for name in os.listdir(folder)
        if name.endswith(".jsonl")
    )


def lines(board: str) -> list[bytes]:
    """The lines of a log of one segment."""
    with open(f"{board}/state/events.jsonl", "rb") as file:
        return file.read().splitlines()


def snapshot_of(board: str) -> str:
    """The path of the board's snapshot."""
    return f"{board}/state/state.json"
