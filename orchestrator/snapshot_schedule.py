"""When ``state.json`` is written: after each commit of a small board, sometimes for a large one."""

from collections.abc import Iterable

from orchestrator.core.events import Recorded
from orchestrator.core.store import Store

SMALL = 1024 * 1024
"""The size of ``state.json`` in bytes up to which it is written after every commit."""

TAIL = 1 / 8
"""How much the log may grow before a large ``state.json`` is written again, relative to its size."""

ENVELOPE = 150
"""The approximate size of an event in the log without its payload, in bytes."""

PAUSE = 0.25
"""Seconds between two snapshots of a small board by long-lived processes."""


class SnapshotSchedule:
    """What a process knows of the saved snapshot, and how far the log has grown since then.

    Args:
        store: Where the snapshot is.
        light: The process ends after one command, so a small snapshot is due after every commit.

    Attributes:
        event: The event that the snapshot goes up to.
    """

    def __init__(self, store: Store, *, light: bool) -> None:
        self._store = store
        self._light = light
        self.saved(0, 0)

    def saved(self, size: int, event: int) -> None:
        """Note that the snapshot was loaded or saved: its bytes (0 if there is none) and its event."""
        self._size = size
        self.event = event
        self._begin_tail()

    def grow(self, records: Iterable[Recorded]) -> None:
        """Note events after the snapshot."""
        if not self.is_small:
            self._tail += sum(len(record.payload) + ENVELOPE for record in records)

    @property
    def is_small(self) -> bool:
        """Whether the snapshot must be exact."""
        return self._size < SMALL

    @property
    def is_due(self) -> bool:
        """Whether the snapshot must be saved after a commit."""
        if self.is_small:
            return self._light or self._store.snapshot_age() >= PAUSE
        if self._tail <= self._size * TAIL:
            return False
        if self._store.snapshot_mark() == self._mark:
            return True
        self._begin_tail()  # another process has saved it
        return False

    def _begin_tail(self) -> None:
        self._mark = None if self.is_small else self._store.snapshot_mark()
        self._tail = 0
