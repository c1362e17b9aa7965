"""The events of the board as a whole."""

from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.state import State


@event("board.repaired")
class BoardRepaired(Event):
    """The doctor repaired something; the names of the checks that had found it."""

    repaired: tuple[str, ...]

    def apply(self, state: State, at: Recorded) -> None:
        """Nothing of the state changes: a repair brings files in step with it."""
