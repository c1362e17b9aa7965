"""The slice of the state about the board as a whole."""

from orchestrator.domain.slices import Slice


class BoardSlice(Slice):
    """The formats that the log has had.

    Attributes:
        format: The current format, in a separate field because the fold needs it at every event.
        upgraded: The format that begins after each upgrade, by the id of its event, in order.
    """

    format: int = 1
    upgraded: dict[int, int] = {}

    def format_at(self, number: int) -> int:
        """The format of the log at an event."""
        formats = (format for event, format in self.upgraded.items() if event < number)
        return max(formats, default=1)
