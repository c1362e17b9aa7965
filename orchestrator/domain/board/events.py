"""The events of the board as a whole."""

from orchestrator.core.events import FORMAT, Event, Recorded, event, newer
from orchestrator.domain.state import State


@event("board.repaired")
class BoardRepaired(Event):
    """The doctor repaired something; the names of the checks that had found it."""

    repaired: tuple[str, ...]

    def apply(self, state: State, record: Recorded) -> None:
        """Nothing of the state changes: a repair brings files in step with it."""


@event("board.upgraded")
class BoardUpgraded(Event):
    """From here on the log has this format: the types of nouns that came with it are the toolkit's."""

    format: int

    def apply(self, state: State, record: Recorded) -> None:
        if self.format > FORMAT:
            raise newer(f"events of format {self.format}")
        state.board.format = state.board.upgraded[record.id] = self.format
