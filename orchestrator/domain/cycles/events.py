"""Cycles: rounds of plan, brief, work, collect. A plan begins one and is kept as its event."""

from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.core.errors import NotFound
from orchestrator.core.events import Event, Recorded, event

if TYPE_CHECKING:
    from orchestrator.domain.state import State


class Cycle(msgspec.Struct, frozen=True, gc=False):
    """The present cycle, and the events that began this and the earlier ones, oldest first."""

    number: int
    started_at: str
    starts: tuple[int, ...]


@event("cycle.planned")
class CyclePlanned(Event):
    """A cycle began with this plan."""

    number: int
    plan: dict[str, Any]

    def apply(self, state: "State", at: Recorded) -> None:
        earlier = state.cycle.starts if state.cycle else ()
        state.cycle = Cycle(self.number, at.ts, (*earlier, at.id))


def start_of(state: "State", number: int) -> int:
    """The id of the event that began a cycle.

    Raises:
        NotFound: There was no such cycle.
    """
    cycle = state.cycle
    if cycle is None or not 1 <= number <= cycle.number:
        raise NotFound(
            f"There was no cycle {number}",
            code="cycle_not_found",
            hint="`runner plan` begins one.",
        )
    return cycle.starts[number - 1]
