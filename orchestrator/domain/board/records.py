"""What the state keeps of the board as a whole."""

from orchestrator.domain.slices import Slice


class BoardSlice(Slice):
    """The formats that the log has had.

    Attributes:
        format: The format now, a field of its own because the fold asks for it at every event.
        upgraded: The format that begins behind each event that upgraded the board, in their order.
    """

    format: int = 1
    upgraded: dict[int, int] = {}

    def format_at(self, number: int) -> int:
        """The format in which an event of the log stands."""
        formats = (format for event, format in self.upgraded.items() if event < number)
        return max(formats, default=1)
