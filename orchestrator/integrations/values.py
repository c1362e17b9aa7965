"""The fields of a foreign record, each removed once and checked; the remaining fields have no place."""

import re
from collections.abc import Iterator
from typing import Any

from orchestrator.core import clock, moments
from orchestrator.core.errors import BadInput, UsageError
from orchestrator.core.strict_json import strict_json
from orchestrator.integrations.report import Losses

_NO_TIME = "0001-01-01T00:00:00Z"
"""How Go writes a time that was never set."""


class Fields:
    """The fields of one record, by name.

    A method raises BadInput for a value of another type; with ``losses`` the value is noted there instead,
    for imports that skip what they cannot read.
    """

    def __init__(self, values: dict[str, Any], losses: Losses | None = None) -> None:
        self._values = dict(values)
        self._losses = losses

    def _refuse(self, name: str, message: str) -> None:
        if self._losses is None:
            raise BadInput(message)
        self._losses.lose(f"{name} that cannot be read")

    def _take(self, name: str, types: type | tuple[type, ...], what: str) -> Any:
        """Remove a value and return it; None if there is none.

        Raises:
            BadInput: It has another type.
        """
        value = self._values.pop(name, None)
        if value is not None and (isinstance(value, bool) or not isinstance(value, types)):
            self._refuse(name, f"{name} is no {what}")
            return None
        return value

    def _take_list(self, name: str, type: type, what: str) -> list[Any]:
        value: list[Any] = self._take(name, list, what) or []
        good = [item for item in value if isinstance(item, type)]
        if len(good) < len(value):
            self._refuse(name, f"{name} is no {what}")
        return good

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
        if self._losses is not None and isinstance(self._values.get(name), list):
            self._values[name] = list(_flat(self._values[name]))
        return self._take_list(name, str, "list of texts")

    def records(self, name: str) -> "list[Fields]":
        """A list of records."""
        return [Fields(item) for item in self._take_list(name, dict, "list of objects")]

    def object(self, name: str) -> dict[str, Any]:
        """An object, also if it is a text with JSON; empty if there is none."""
        value = self._take(name, (dict, str), "object")
        if isinstance(value, str) and value:
            value = strict_json(value)
            if not isinstance(value, dict):
                raise BadInput(f"{name} is not an object")
        return value or {}

    def moment(self, name: str, *, is_end: bool = False) -> str:
        """A time as the board writes it; empty if there is none.

        Args:
            name: The field.
            is_end: A date alone means the end of the day, in the local zone.
        """
        text = self.text(name)
        if not text or text == _NO_TIME:
            return ""
        try:
            return moment(text, is_end=is_end)
        except BadInput:
            self._refuse(name, f"{name} is not a time: {text[:50]!a}")
            return ""

    def skip(self, *names: str) -> None:
        """Leave out fields that follow from others."""
        for name in names:
            self._values.pop(name, None)

    def lose_rest(self, losses: Losses) -> None:
        """Note the remaining fields that are not empty."""
        for name, value in self._values.items():
            if value not in (None, "", "{}", [], {}, False, 0):
                losses.lose(name, len(value) if isinstance(value, list) else 1)


def _flat(items: list[Any]) -> Iterator[Any]:
    for item in items:
        if isinstance(item, list):
            yield from _flat(item)
        else:
            yield item


_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_OLD_DATE = re.compile(r"(\d\d)[-/.](\d\d)[-/.](\d\d)", re.ASCII)
"""Day, month and year, as Backlog.md wrote them once."""


def moment(text: str, *, is_end: bool = False) -> str:
    """A time as the board writes it; see :meth:`Fields.moment`.

    Raises:
        BadInput: It is not a time.
    """
    text = text.strip()
    old = _OLD_DATE.fullmatch(text)
    date = f"20{old[3]}-{old[2]}-{old[1]}" if old else text
    try:
        if is_end and _DATE.fullmatch(date):
            return moments.moment(date, f"{date}T00:00:00Z", is_end=True)
        return clock.check(clock.timestamp(clock.seconds(date) + 0.0001))
    except (UsageError, OverflowError, ValueError, OSError):
        raise BadInput(f"{text[:50]!a} is not a time") from None
