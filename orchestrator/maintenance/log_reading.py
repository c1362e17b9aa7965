"""How the doctor reads the log: every event, or the checksums of old lines and only the latest events."""

import zlib
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import zip_longest

import msgspec

from orchestrator.cold.tree import whole_mailboxes
from orchestrator.core.errors import ArchiveMissing, InputOutputError, OrchestratorError
from orchestrator.core.events import Recorded
from orchestrator.core.progress import ShowProgress
from orchestrator.core.store import START, Cursor, Problem
from orchestrator.domain.state import State
from orchestrator.engine import Engine

_READER = "doctor"


class EarlierChecks(msgspec.Struct):
    """What earlier examinations have read. It is derived: without it, everything is read again.

    Attributes:
        log: The parts of the log, as :meth:`orchestrator.core.store.LogCheck.result` says.
        checkpoints: The mark and the position of each checkpoint.
    """

    log: str = ""
    checkpoints: dict[int, tuple[str, msgspec.Raw]] = {}


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
        self._store, self._past = engine.store, engine.past_states
        self._before = EarlierChecks() if full else self._remembered()
        self._now = EarlierChecks()
        self._known: dict[int, Cursor] = {}
        self.state, self.end = State(), START

    def checkpoints(self) -> Iterator[Problem]:
        """Check that each checkpoint is whole and belongs to this log."""
        for number in self._past.numbers():
            mark = self._past.mark(number)
            try:
                position = self._position(number, mark)
            except ArchiveMissing:
                continue  # it cannot be compared with the log
            except InputOutputError as error:
                yield Problem(check="checkpoints", message=error.message, hint=error.hint)
                continue
            if position is None:
                yield self._useless(number, "is damaged, or belongs to another log")
                continue
            self._known[number] = position
            if mark:
                self._now.checkpoints[number] = (mark, msgspec.Raw(msgspec.json.encode(position)))

    def _position(self, number: int, mark: str) -> Cursor | None:
        """The position of a checkpoint, which is read again only if it has changed."""
        known, data = self._before.checkpoints.get(number, ("", b""))
        if mark and known == mark:
            with suppress(msgspec.MsgspecError):  # of another version: it is read
                position = msgspec.json.decode(data, type=self._store.cursor_type)
                if self._past.is_in_log(position):
                    return position
        return self._past.position(number)

    def read(self) -> Iterator[Problem]:
        """Read the log to its end; a checkpoint that is due is saved, as by every fold.

        Raises:
            Damage: A record is invalid. The state is then that before it.
        """
        upkeep = self._store.upkeep
        check = upkeep.log_check(self._before.log) if upkeep is not None else None
        newest = None if self._full else self._newest()
        if newest is not None:
            checks = check.run(newest[1]) if check is not None else self._lines_before(newest[1])
            problems = [p for p in self._progress(checks, "Checking the log") if p is not None]
            yield from problems
            self.state, self.end = newest
            message = (
                f"the {'other ' if problems else ''}lines up to event {self.end.id} match their checksums;"
                " their events were not read"
            )
            hint = "`doctor --full` reads them too, and compares the checkpoints with them."
            yield Problem(check="log", level="ok", message=message, hint=hint)
        for chunk in self._progress(self._store.read(self.end), "Reading the log"):
            yield from self._folded(chunk.events)
            self._past.keep(self.state, self.end, chunk.end)
            self.end = chunk.end
        if check is not None:
            self._now.log = check.result(self._engine.now())
        self._remember()

    def _lines_before(self, end: Cursor) -> Iterator[None]:
        """Check the lines up to a position in a store that has no check of its own."""
        for chunk in self._store.read(START):
            yield None
            if chunk.end.id >= end.id:
                return

    def _remembered(self) -> EarlierChecks:
        try:
            checksum, _, text = self._store.cursors.read(_READER).partition(" ")
            if checksum == _checksum(text):
                return msgspec.json.decode(text, type=EarlierChecks)
        except (OrchestratorError, msgspec.MsgspecError):
            pass  # everything is read
        return EarlierChecks()

    def _remember(self) -> None:
        """Note what need not be read again, if there is something new."""
        text = msgspec.json.encode(self._now).decode()
        if self._now != self._before:
            with suppress(OrchestratorError, OSError):  # of a folder that is only read
                self._store.cursors.write(_READER, f"{_checksum(text)} {text}")

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
        return self._past.fold_on(state, position, number)

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
    """Whether two states are the same; their cold records are compared one after another."""
    pairs = zip(_whole(one), _whole(other), strict=True)
    return all(_is_equal(mine, others) for mine, others in pairs)


def _whole(state: State) -> list[object]:
    """The fields of a state; those of mailboxes have their cold receipts."""
    return [*(state.fields() | {"mailboxes": whole_mailboxes(state)}).values()]


def _is_equal(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        pairs = zip_longest(one.items(), other.items())
        return all(_bytes(mine) == _bytes(others) for mine, others in pairs)
    return _bytes(one) == _bytes(other)


_bytes = msgspec.json.Encoder().encode


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
