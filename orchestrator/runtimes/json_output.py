"""Output in JSON lines: records that a runtime writes about what its agent does."""

import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from orchestrator.domain.subscriptions.records import AttemptReport
from orchestrator.runtimes.output import OutputReader, cut, first_line, text_of

_LONGEST = 16 * 1024 * 1024
"""Bytes of a line that is still read as a record."""

LONGEST_LINE = 4096
"""Characters of a line in the log."""

_TEXT = 65536
"""Characters of a text of the agent that its log gets."""

_TOOLS = 100
"""How many tools are counted by name."""

_SESSION = re.compile(r"[A-Za-z0-9][\w.:-]{0,199}", re.ASCII)


class JsonReader(OutputReader):
    """Reads JSON lines. A line that is no record goes to the log as it is.

    Attributes:
        is_complete: Whether the runtime has reported the end of its work.
    """

    longest = _LONGEST

    def __init__(self) -> None:
        super().__init__()
        self.is_complete = False
        self.tools: Counter[str] = Counter()
        self.input_tokens = self.output_tokens = 0
        self.cost = 0.0
        self.session = ""

    @abstractmethod
    def record(self, type: str, record: dict[str, Any]) -> Iterable[str]:
        """Take what is in a record; yield texts for the log."""

    def read(self, lines: list[bytes]) -> list[str]:
        shown: list[str] = []
        for line in lines:
            record = _record_of(line)
            if record is None:
                shown += text_of([line])
            else:
                for text in self.record(record["type"], record):
                    shown += text[:_TEXT].splitlines()
        return [cut(text, LONGEST_LINE) for text in shown]

    def missing(self) -> str:
        return "" if self.is_complete else "its output ended without a result"

    def completed(self, report: AttemptReport) -> AttemptReport:
        return replace(
            report,
            tools=dict(self.tools),
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cost=self.cost,
            session=self.session,
        )

    def begin(self, session: Any) -> None:
        """Keep the session, if it is a word that can be given as an argument later."""
        if isinstance(session, str) and _SESSION.fullmatch(session):
            self.session = session

    def use(self, tool: Any, given: Any) -> str:
        """Count a tool; return its line for the log."""
        name = first_line(text_in(tool), 100) or "?"
        if name in self.tools or len(self.tools) < _TOOLS:
            self.tools[name] += 1
        return f"[{name}] {first_line(text_in(given), 200)}".rstrip()


def _record_of(line: bytes) -> dict[str, Any] | None:
    try:
        record = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("type"), str) else None


def value_in(record: Any, *path: str) -> Any:
    """A value in a record by its path; None if it is not there."""
    for name in path:
        record = record.get(name) if isinstance(record, dict) else None
    return record


def text_in(record: Any, *path: str) -> str:
    """A text in a record; anything else as JSON, and nothing as an empty text."""
    value = value_in(record, *path)
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def items_in(record: Any, *path: str) -> list[Any]:
    """A list in a record; empty if it has none."""
    value = value_in(record, *path)
    return value if isinstance(value, list) else []


def count_in(record: Any, *path: str) -> int:
    """A count in a record; 0 if it has none."""
    value = value_in(record, *path)
    return value if type(value) is int and 0 <= value < 2**53 else 0


def cost_in(record: Any, *path: str) -> float:
    """An amount of money in a record; 0 if it has none."""
    value = value_in(record, *path)
    return float(value) if type(value) in (int, float) and 0 <= value < 1e9 else 0.0
