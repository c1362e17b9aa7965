"""What a cycle is."""

import msgspec

from orchestrator.domain.slices import Slice


class Cycle(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The current cycle, and the events that began it and the earlier cycles, oldest first."""

    number: int
    started_at: str
    starts: tuple[int, ...]


class CycleSlice(Slice):
    """The current cycle; None before the first plan."""

    cycle: Cycle | None = None
