"""What the state keeps of the board as a whole."""

from orchestrator.domain.slices import Slice


class BoardSlice(Slice):
    """The format of the log, and the event that began it; both as on a new board until it is upgraded."""

    format: int = 1
    upgraded: int = 0

    def format_at(self, number: int) -> int:
        """The format in which an event of the log stands."""
        return self.format if number > self.upgraded else 1
