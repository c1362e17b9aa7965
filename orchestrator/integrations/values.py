"""The fields of a foreign record, each taken out once and checked; what is left had no place."""

from typing import Any

from orchestrator.core import clock
from orchestrator.core.errors import BadInput, UsageError
from orchestrator.integrations.report import Losses

_NO_TIME = "0001-01-01T00:00:00Z"
"""How Go writes a time that was never set."""


class Fields:
    """The fields of one record, by name."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = dict(values)

    def text(self, name: str) -> str:
        """A text; empty if there is none.

        Raises:
            BadInput: It is something else.
        """
        value = self._values.pop(name, None)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise BadInput(f"{name} is no text")
        return value

    def number(self, name: str) -> int | float | None:
        """A number, or None.

        Raises:
            BadInput: It is something else.
        """
        value = self._values.pop(name, None)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise BadInput(f"{name} is no number")
        return value

    def texts(self, name: str) -> list[str]:
        """A list of texts; a single text is a list of one.

        Raises:
            BadInput: It is something else.
        """
        value = self._values.pop(name, None)
        if isinstance(value, str):
            return [value] if value else []
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise BadInput(f"{name} is no list of texts")
        return value

    def records(self, name: str) -> "list[Fields]":
        """A list of records.

        Raises:
            BadInput: It is something else.
        """
        value = self._values.pop(name, None)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise BadInput(f"{name} is no list of objects")
        return [Fields(item) for item in value]

    def moment(self, name: str) -> str:
        """A time as the board writes it; empty if there is none.

        Raises:
            BadInput: It is no time.
        """
        text = self.text(name)
        if not text or text == _NO_TIME:
            return ""
        try:
            return clock.timestamp(clock.seconds(text) + 0.0001)
        except (UsageError, OverflowError, ValueError, OSError):
            raise BadInput(f"{name} is no time: {text[:50]!a}") from None

    def skip(self, *names: str) -> None:
        """Leave out fields that follow from others."""
        for name in names:
            self._values.pop(name, None)

    def lose_rest(self, losses: Losses) -> None:
        """Note the fields that nobody took and that say something."""
        for name, value in self._values.items():
            if value not in (None, "", [], {}, False):
                losses.lose(name, len(value) if isinstance(value, list) else 1)
