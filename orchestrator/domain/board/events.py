"""The events of the board as a whole."""

from orchestrator.core.events import FORMAT, Event, Recorded, event, newer
from orchestrator.domain.state import State


@event("board.repaired")
class BoardRepaired(Event):
    """The doctor repaired the board; the names of the checks that reported the problems."""

    repaired: tuple[str, ...]

    def apply(self, state: State, record: Recorded) -> None:
        """Do nothing: a repair changes files, not the state."""


@event("board.upgraded")
class BoardUpgraded(Event):
    """From this event on, the log has a newer format, which reserves more types of events."""

    format: int

    def apply(self, state: State, record: Recorded) -> None:
        if self.format > FORMAT:
            raise newer(f"events of format {self.format}")
        state.board.format = state.board.upgraded[record.id] = self.format
