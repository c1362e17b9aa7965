"""Checkpoints: states of the past, from which the log is folded on instead of from its first event.

A checkpoint is a snapshot that a store keeps near the beginning of a part of the log. It is used only if its
checksum is right and its last line is in the log: the checksum of that line covers all lines before it. Any
other is removed. It is made again when the log is folded past its place.
"""

from contextlib import suppress

from orchestrator import snapshot
from orchestrator.core.cold_map import ColdDamage
from orchestrator.core.errors import Damage, NotFound, OrchestratorError
from orchestrator.core.store import START, Cursor, Store
from orchestrator.domain.state import State

COLD_AT_ONCE = 64 << 20
"""A command that reaches a new segment writes its checkpoint if the cold files have at most so many bytes.

That takes about a second. With more bytes, the checkpoint is written later: when ``--at`` or a new
``state.json`` folds the log from an earlier checkpoint or from its first event.
"""


class StatesOfThePast:
    """The checkpoints of a store as states; none if the store keeps none.

    Args:
        store: The store of the board.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept = store.checkpoints

    def newest(self, most: int | None = None) -> tuple[State, Cursor]:
        """The latest usable state and its position, at most that after an event; else the empty state."""
        for number in reversed(self.numbers()):
            if most is not None and number > most:
                continue
            saved = self.usable(number)
            if saved is None:
                with suppress(OrchestratorError):  # of a folder that is only read
                    self.remove(number)
            elif most is None or saved[1].id <= most:
                return saved
        return State(), START

    def fold_to(self, number: int) -> State:
        """Fold the log up to an event, from the nearest checkpoint before it.

        Raises:
            NotFound: The log has no such event.
        """
        state, position = self.newest(number)
        for chunk in self._store.read(position):
            state.fold(record for record in chunk.events if record.id <= number)
            if chunk.end.id >= number:
                return state
            self.keep(state, position, chunk.end)
            position = chunk.end
        raise NotFound(f"There is no event {number}", code="event_not_found")

    def numbers(self) -> list[int]:
        """The numbers of the checkpoints, in order."""
        return self._kept.numbers() if self._kept is not None else []

    def remove(self, number: int) -> None:
        """Remove a checkpoint."""
        if self._kept is not None:
            self._kept.remove(number)

    def remove_all(self) -> None:
        """Remove every checkpoint, so that the next fold of the whole log makes them again."""
        for number in self.numbers():
            self.remove(number)

    def usable(self, number: int) -> tuple[State, Cursor] | None:
        """The state of a checkpoint and its position; None if it is damaged or is not of this log."""
        data = self._load(number)
        saved = snapshot.decode(data, self._store.cursor_type)
        return saved if saved is not None and self._is_in_log(saved[1]) else None

    def position(self, number: int) -> Cursor | None:
        """The position of a checkpoint; None if it is damaged or is not of this log."""
        cursor = snapshot.position_of(self._load(number), self._store.cursor_type)
        return cursor if cursor is not None and self._is_in_log(cursor) else None

    def _load(self, number: int) -> bytes:
        return (self._kept.load(number) if self._kept is not None else None) or b""

    def _is_in_log(self, cursor: Cursor) -> bool:
        try:
            return self._store.line(cursor.id)[1] == cursor
        except (Damage, NotFound):
            return False

    def keep(self, state: State, before: Cursor, end: Cursor) -> None:
        """Save the state at a position, if a checkpoint is due between an earlier position and this one.

        A failure is ignored: without a checkpoint, only time is lost.
        """
        with suppress(OrchestratorError, OSError, ColdDamage):
            if self._kept is not None and self._kept.is_due(before, end):
                self._kept.save(snapshot.encode(state, end), end)
