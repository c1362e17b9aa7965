"""The fields of a foreign record, each taken out once and checked; what is left had no place."""

from typing import Any

from orchestrator.core import clock
from orchestrator.core.errors import BadInput, UsageError
from orchestrator.integrations.report import Losses

_NO_TIME = "0001-01-01T00:00:00Z"
"""How Go writes a time that was never set."""


class Fields:
    """The fields of one record, by name.

    What takes a field raises BadInput for a value of another type.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = dict(values)

    def _take(self, name: str, types: type | tuple[type, ...], what: str) -> Any:
        """Take a value out; None if there is none.

        Raises:
            BadInput: It has another type.
        """
        value = self._values.pop(name, None)
        if value is not None and (isinstance(value, bool) or not isinstance(value, types)):
            raise BadInput(f"{name} is no {what}")
        return value

    def _take_list(self, name: str, type: type, what: str) -> list[Any]:
        value: list[Any] = self._take(name, list, what) or []
        if not all(isinstance(item, type) for item in value):
            raise BadInput(f"{name} is no {what}")
        return value

    def text(self, name: str) -> str:
        """A text; empty if there is none."""
        return self._take(name, str, "text") or ""

    def number(self, name: str) -> int | float | None:
        """A number, or None."""
        number: int | float | None = self._take(name, (int, float), "number")
        return number

    def texts(self, name: str) -> list[str]:
        """A list of texts; a single text is a list of one."""
        if isinstance(self._values.get(name), str):
            return list(filter(None, [self.text(name)]))
        return self._take_list(name, str, "list of texts")

    def records(self, name: str) -> "list[Fields]":
        """A list of records."""
        return [Fields(item) for item in self._take_list(name, dict, "list of objects")]

    def moment(self, name: str) -> str:
        """A time as the board writes it; empty if there is none."""
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
        """Note the fields that were not taken and are not empty."""
        for name, value in self._values.items():
            if value not in (None, "", [], {}, False):
                losses.lose(name, len(value) if isinstance(value, list) else 1)
