"""Checkpoints: states of the past, from which the log is folded on instead of from its first event.

A checkpoint is a snapshot that a store keeps near the beginning of a part of the log. It is used only if its
checksum is right and its last line is in the log: the checksum of that line covers all lines before it. Any
other is removed. It is made again when the log is folded past its place.

Together they have at most a part of the size of the log: if they are larger, those whose neighbours are
closest are removed, so that the rest are spread evenly over the log.
"""

import zlib
from contextlib import suppress

from orchestrator import snapshot
from orchestrator.core.cold_map import ColdDamage
from orchestrator.core.errors import Damage, InputOutputError, NotFound, OrchestratorError
from orchestrator.core.store import START, Checkpoints, Cursor, Store
from orchestrator.domain.state import State

SHARE = 4
"""The checkpoints together have at most this part of the bytes of the log: a fourth."""

FREE = 16 << 20
"""The size in bytes that they may always have."""

GROWTH = 4
"""The text of a checkpoint has at most so many times the bytes of the log; few have as many as the log."""

COLD_AT_ONCE = 64 << 20
"""A command that reaches a new segment writes its checkpoint if the cold files have at most so many bytes.

That takes about a second. With more bytes, the checkpoint is written later: when ``--at`` or a new
``state.json`` folds the log from an earlier checkpoint or from its first event.
"""

_GZIP = 31  # the parameter wbits of zlib for data in the format of gzip
_LEVEL = 1  # a state is repetitive: higher levels save little and take several times as long


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
            try:
                saved = self.usable(number)
            except InputOutputError:
                continue  # it may be readable later; what the log lacks is an error when it is read
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
        return self.fold_on(*self.newest(number), number, keeps=True)

    def fold_on(self, state: State, position: Cursor, number: int, *, keeps: bool = False) -> State:
        """Fold the log up to an event, from an earlier state and its position.

        Args:
            state: The earlier state, which is changed.
            position: Its position.
            number: The id of the event.
            keeps: Save the checkpoints that are due on the way. Each needs all records of the state, also the
                cold ones.

        Raises:
            NotFound: The log has no such event.
        """
        if position.id == number:
            return state
        for chunk in self._store.read(position):
            state.fold(record for record in chunk.events if record.id <= number)
            if chunk.end.id >= number:
                return state
            if keeps:
                self.keep(state, position, chunk.end)
            position = chunk.end
        raise NotFound(f"There is no event {number}", code="event_not_found")

    def numbers(self) -> list[int]:
        """The numbers of the checkpoints, in order."""
        return list(self._kept.sizes()) if self._kept is not None else []

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
        return saved if saved is not None and self.is_in_log(saved[1]) else None

    def position(self, number: int) -> Cursor | None:
        """The position of a checkpoint; None if it is damaged or is not of this log."""
        cursor = snapshot.position_of(self._load(number), self._store.cursor_type)
        return cursor if cursor is not None and self.is_in_log(cursor) else None

    def mark(self, number: int) -> str:
        """What differs after each change of a checkpoint; empty if that is not known."""
        return self._kept.mark(number) if self._kept is not None else ""

    def _load(self, number: int) -> bytes:
        kept = self._kept
        if kept is None or not 0 < kept.sizes().get(number, 0) <= (most := _most(kept)):
            return b""
        packed = zlib.decompressobj(_GZIP)
        try:
            data = packed.decompress(kept.load(number) or b"", most)
        except zlib.error:
            return b""
        return data if packed.eof and not packed.unused_data else b""

    def is_in_log(self, cursor: Cursor) -> bool:
        """Whether the log has the line that a position names."""
        try:
            return self._store.line(cursor.id)[1] == cursor
        except (Damage, NotFound):
            return False

    def keep(self, state: State, before: Cursor, end: Cursor) -> None:
        """Save the state at a position, if a checkpoint is due between an earlier position and this one.

        A failure is ignored: without a checkpoint, only time is lost.
        """
        kept = self._kept
        with suppress(OrchestratorError, OSError, ColdDamage):
            if kept is None or (number := kept.part(end)) in (1, kept.part(before)):
                return
            if _has_room(kept, number):
                data = snapshot.encode(state, end)
                if len(data) <= _most(kept):
                    _save(kept, number, data)


def _has_room(kept: Checkpoints, number: int) -> bool:
    """Whether a part has no checkpoint and there is room for one; there always is for the newest."""
    sizes = kept.sizes()
    if number in sizes:
        return False
    if number > max(sizes, default=0):
        return True
    return sum(sizes.values()) + max(sizes.values()) <= _room(kept)


def _save(kept: Checkpoints, number: int, data: bytes) -> None:
    """Save the checkpoint of a part; remove others if they take too much room."""
    kept.save(number, zlib.compress(data, _LEVEL, _GZIP))
    sizes, room = kept.sizes(), _room(kept)
    while len(sizes) > 1 and sum(sizes.values()) > room:
        kept.remove(closest := _closest(list(sizes)))
        del sizes[closest]


def _most(kept: Checkpoints) -> int:
    """The bytes that the text of a checkpoint may have: a longer one was not written by the store."""
    return max(FREE, kept.log_size() * GROWTH)


def _room(kept: Checkpoints) -> int:
    """The bytes that the checkpoints may have together."""
    return max(FREE, kept.log_size() // SHARE)


def _closest(numbers: list[int]) -> int:
    """The number that leaves the smallest gap, the first of several; never the last one."""
    gaps = {
        number: after - before
        for before, number, after in zip([1, *numbers], numbers, numbers[1:], strict=False)
    }
    return min(gaps, key=gaps.__getitem__)
