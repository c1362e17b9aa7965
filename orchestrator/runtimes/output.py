"""The output of an agent: bytes as they come, to lines for its log and to a report at the end."""

import signal
from collections import deque
from collections.abc import Iterable

import msgspec

from orchestrator.core.printable import escape
from orchestrator.domain.subscriptions.records import AttemptReport
from orchestrator.domain.validation import LONGEST_TEXT

LAST_LINES = 20
"""How many lines of the end of the output the report holds."""

LAST_BYTES = 4096
"""How many bytes of the end of the output the report holds."""

_PIECE = 65536
"""Bytes after which a line without an end is logged as one."""


class AttemptResult(msgspec.Struct, frozen=True):
    """How an attempt ended.

    Attributes:
        failure: Why it failed, in a sentence; empty if it succeeded.
        answer: The last text of the agent, which can be the result of its task.
    """

    failure: str
    report: AttemptReport
    answer: str = ""


class LineSplitter:
    """Lines of a stream whose parts are cut anywhere.

    Args:
        longest: Bytes after which a line without an end counts as one.
    """

    def __init__(self, longest: int = _PIECE) -> None:
        self._longest = longest
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that end in the data, without their ends."""
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = bytes(self._rest) + lines[0]
            self._rest.clear()
        self._rest += rest
        if len(self._rest) >= self._longest:
            lines += self.end()
        return lines

    def end(self) -> list[bytes]:
        """What is left at the end of the stream."""
        rest = bytes(self._rest)
        self._rest.clear()
        return [rest] if rest else []


class OutputReader:
    """Reads the output of any program: its lines, and its exit status.

    Attributes:
        longest: Bytes of the longest line of stdout that is read as one.
        error: What the program reports as the reason of its failure.
        answer: The last text of the agent; empty: nothing more than its output is known.
    """

    longest = _PIECE

    def __init__(self) -> None:
        self.error = self.answer = ""
        self._stdout = LineSplitter(self.longest)
        self._stderr = LineSplitter()
        self._last: deque[str] = deque(maxlen=LAST_LINES)

    def feed(self, data: bytes, *, stderr: bool = False) -> list[str]:
        """The lines for the log in a part of the output. They are text of the agent, not escaped."""
        if stderr:
            return self._kept(text_of(self._stderr.feed(data)))
        return self._kept(self.read(self._stdout.feed(data)))

    def end(self, status: int | None, seconds: float) -> tuple[list[str], AttemptResult]:
        """The last lines for the log, and the result.

        Args:
            status: The exit status; negative: the signal that ended it; None: it was killed.
            seconds: How long it ran.
        """
        lines = self._kept([*self.read(self._stdout.end()), *text_of(self._stderr.end())])
        output = "\n".join(self._last).encode()[-LAST_BYTES:].decode("utf-8", "ignore")
        report = AttemptReport(exit_status=status, seconds=seconds, output=output)
        failure = first_line(self.error) or failure_of(status) or self.missing()
        answer = (self.answer or output)[:LONGEST_TEXT].replace("\0", "\N{REPLACEMENT CHARACTER}")
        return lines, AttemptResult(failure, self.completed(report), answer)

    def read(self, lines: list[bytes]) -> list[str]:
        """The lines for the log in lines of stdout."""
        return text_of(lines)

    def missing(self) -> str:
        """What the output of a success must have, and this one has not."""
        return ""

    def completed(self, report: AttemptReport) -> AttemptReport:
        """The report with what the program has reported."""
        return report

    def _kept(self, lines: list[str]) -> list[str]:
        self._last += lines
        return lines


def failure_of(status: int | None) -> str:
    """What the exit status of a process says about a failure; empty if it succeeded."""
    if status is None:
        return "it was ended"
    if status >= 0:
        return f"it ended with exit status {status}" if status else ""
    try:
        return f"{signal.Signals(-status).name} ended it"
    except ValueError:
        return f"signal {-status} ended it"


def text_of(lines: Iterable[bytes]) -> list[str]:
    """Lines as text; what is not UTF-8 is replaced."""
    return [line.removesuffix(b"\r").decode("utf-8", "replace") for line in lines]


def first_line(text: str, most: int = 300) -> str:
    """The first line of a text that is not empty, without control characters, cut where it is long."""
    line = next(filter(None, map(str.strip, text.splitlines())), "")
    return cut(escape(line[: most + 1]), most)


def cut(text: str, most: int) -> str:
    """The beginning of a text; ``…`` follows if it is not the whole text."""
    return text if len(text) <= most else f"{text[:most]}…"
