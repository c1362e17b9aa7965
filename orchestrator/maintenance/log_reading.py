"""How the doctor reads the log: every event, or the checksums of old lines and only the latest events."""

from collections.abc import Iterator
from functools import partial

from orchestrator import snapshot
from orchestrator.core.errors import ArchiveMissing, InputOutputError
from orchestrator.core.events import Recorded
from orchestrator.core.progress import ShowProgress
from orchestrator.core.store import START, Cursor, Problem
from orchestrator.domain.state import State
from orchestrator.engine import Engine


class LogReading:
    """One reading of the log, with the checks of its checkpoints.

    Args:
        engine: The board.
        progress: Shows how much of the log was read.
        full: Fold every event, and compare each checkpoint with the fold.

    Attributes:
        state: The fold of the log as far as it was read.
        end: The position up to which it was read.
    """

    def __init__(self, engine: Engine, progress: ShowProgress, *, full: bool) -> None:
        self._engine, self._progress, self._full = engine, progress, full
        self._past = engine.past_states
        self._known: dict[int, Cursor] = {}
        self.state, self.end = State(), START

    def checkpoints(self) -> Iterator[Problem]:
        """Check that each checkpoint is whole and belongs to this log."""
        for number in self._past.numbers():
            try:
                position = self._past.position(number)
            except ArchiveMissing:
                continue  # it cannot be compared with the log
            except InputOutputError as error:
                yield Problem(check="checkpoints", message=error.message, hint=error.hint)
                continue
            if position is not None:
                self._known[number] = position
            else:
                yield self._useless(number, "is damaged, or belongs to another log")

    def read(self) -> Iterator[Problem]:
        """Read the log to its end.

        Raises:
            Damage: A record is invalid. The state is then that before it.
        """
        upkeep = self._engine.store.upkeep
        newest = None if self._full else self._newest()
        if newest is not None and upkeep is not None:
            checks = upkeep.check_chain(newest[1])
            problems = [p for p in self._progress(checks, "Checking the log") if p is not None]
            yield from problems
            self.state, self.end = newest
            message = (
                f"the {'other ' if problems else ''}lines up to event {self.end.id} match their checksums;"
                " their events were not read"
            )
            hint = "`doctor --full` reads them too, and compares the checkpoints with them."
            yield Problem(check="log", level="ok", message=message, hint=hint)
        for chunk in self._progress(self._engine.store.read(self.end), "Reading the log"):
            yield from self._folded(chunk.events)
            self.end = chunk.end

    def _folded(self, records: list[Recorded]) -> Iterator[Problem]:
        """Fold events in, and compare the checkpoints among them if every event is read."""
        begin = 0
        for number, cursor in self._known.items() if self._full else ():
            end = cursor.id - records[0].id + 1
            if 0 < end <= len(records):
                self.state.fold(records[begin:end])
                begin = end
                yield from self._compared(number)
        self.state.fold(records[begin:])

    def state_at(self, number: int) -> State:
        """The state right after an event; unlike the engine's, it writes no checkpoint."""
        state, position = (None if self._full else self._newest(number)) or (State(), START)
        for chunk in self._engine.store.read(position):
            state.fold(record for record in chunk.events if record.id <= number)
            if chunk.end.id >= number:
                break
        return state

    def _newest(self, most: int | None = None) -> tuple[State, Cursor] | None:
        """The latest usable checkpoint, at most that after an event."""
        for number, cursor in sorted(self._known.items(), reverse=True):
            if most is None or cursor.id <= most:
                saved = self._past.usable(number)
                if saved is not None:
                    return saved
        return None

    def _compared(self, number: int) -> Iterator[Problem]:
        saved = self._past.usable(number)
        if saved is None or not equal(saved[0], self.state):
            yield self._useless(number, "does not agree with the log")

    def _useless(self, number: int, why: str) -> Problem:
        return Problem(
            check="checkpoints",
            message=f"The checkpoint of the segment {number} {why}",
            repair=partial(self._past.remove, number),
        )


def equal(one: State, other: State) -> bool:
    """Whether two states are the same."""
    return snapshot.encode(one, START) == snapshot.encode(other, START)
