"""The event of cycles: a plan begins a cycle, and the event contains it."""

from typing import Any

from orchestrator.core.errors import NotFound
from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.cycles.records import Cycle
from orchestrator.domain.state import State


@event("cycle.planned")
class CyclePlanned(Event):
    """A cycle began with this plan."""

    number: int
    plan: dict[str, Any]

    def apply(self, state: State, record: Recorded) -> None:
        earlier = state.cycles.cycle.starts if state.cycles.cycle else ()
        state.cycles.cycle = Cycle(self.number, record.ts, (*earlier, record.id))


def start_of(state: State, number: int) -> int:
    """The id of the event that began a cycle.

    Raises:
        NotFound: There was no such cycle.
    """
    cycle = state.cycles.cycle
    if cycle is None or not 1 <= number <= cycle.number:
        raise NotFound(
            f"There was no cycle {number}", code="cycle_not_found", hint="`plan` begins one."
        )
    return cycle.starts[number - 1]
