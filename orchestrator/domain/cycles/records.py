"""What a cycle is."""

import msgspec

from orchestrator.domain.slices import Slice


class Cycle(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The present cycle, and the events that began this and the earlier ones, oldest first."""

    number: int
    started_at: str
    starts: tuple[int, ...]


class CycleSlice(Slice):
    """The present cycle; None before the first plan."""

    cycle: Cycle | None = None
