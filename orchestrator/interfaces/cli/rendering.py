"""What people and programs see: text that is safe on a terminal, and JSON with every field.

Text from agents is data. It is shown with everything escaped that could move the cursor, change the
direction of writing, or pass for another line; ``--json`` gives it raw.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from time import monotonic
from typing import Any, TypeVar

import click
import msgspec

from orchestrator.core.errors import OrchestratorError
from orchestrator.core.printable import escape, escape_lines

Item = TypeVar("Item")

_COLOURS = {"red": 31, "green": 32, "yellow": 33, "blue": 34, "bold": 1, "dim": 2}


class Answer(msgspec.Struct):
    """The result of a command: a value for programs, its text for people, and the exit status.

    The text is built only when it is shown. ``after`` is called once the answer has been written out, and
    not at all if it could not be: for what is true only once the answer was read. What fails in it is a
    warning.
    """

    value: Any
    text: Callable[[], str]
    exit_status: int = 0
    after: Callable[[], object] | None = None


def say(value: Any, text: str, exit_status: int = 0) -> Answer:
    """An answer whose text is at hand."""
    return Answer(value, lambda: text, exit_status)


# Text


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows in aligned columns under their headers; what is None is an empty cell."""
    from tabulate import tabulate

    cells = [["" if cell is None else escape(str(cell)) for cell in row] for row in rows]
    text = tabulate(
        cells, headers=[paint(h, "bold") for h in headers], tablefmt="plain", disable_numparse=True
    )
    return "\n".join(line.rstrip() for line in text.split("\n"))


Column = str | tuple[str, str | Callable[[Any], object]]
"""An attribute of records, or a title and the attribute or function that gives the value below it."""


def _value(record: Any, column: Column) -> tuple[str, object]:
    """The title of a column, and what stands there for a record."""
    title, source = (column.replace("_", " "), column) if isinstance(column, str) else column
    value = getattr(record, source) if isinstance(source, str) else source(record)
    return title, ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value


def table_of(records: Iterable[Any], *columns: Column) -> str:
    """A table with a row for each record; nothing if there is none."""
    rows = [[_value(record, column) for column in columns] for record in records]
    if not rows:
        return ""
    return table([title for title, _ in rows[0]], [[cell for _, cell in row] for row in rows])


def listing(records: Sequence[Any], *columns: Column, empty: str) -> Answer:
    """An answer that shows records as a table, or a sentence if there is none."""
    return Answer(records, lambda: table_of(records, *columns) or empty)


def facts(record: Any, *columns: Column) -> str:
    """What is known of a record, a line each; what is empty is left out."""
    return fields(_value(record, column) for column in columns)


def fields(pairs: Iterable[tuple[str, object]]) -> str:
    """Names and values in two columns; what is empty is left out."""
    shown = [(name, str(value)) for name, value in pairs if value not in (None, "", (), [])]
    width = max((len(name) for name, _ in shown), default=0)
    return "\n".join(f"{name:{width}}  {escape(value)}" for name, value in shown)


def counted(counts: Mapping[str, int]) -> str:
    """``2 pending, 1 done``."""
    return ", ".join(f"{number} {name}" for name, number in counts.items())


def progress_of(record: Any) -> str:
    """How far something with parts is: a bar, the share, and the numbers."""
    return f"{bar(record.percent)} {record.percent}%, {record.ended} of {record.total} ended"


def section(title: str, text: str) -> str:
    """A text of several lines under a title; nothing if there is no text."""
    return titled(title, escape_lines(text))


def titled(title: str, text: str) -> str:
    """Lines that are safe to show already, under a title; nothing if there are none."""
    return f"{title}:\n" + "\n".join(f"  {row}" for row in text.split("\n")) if text else ""


def parts(*texts: str) -> str:
    """Texts one below the other; empty ones are left out."""
    return "\n".join(text for text in texts if text)


def lines(texts: Iterable[str], *, empty: str) -> str:
    """One text a line, or the sentence for none."""
    return "\n".join(texts) or empty


_WIDEST_BAR = 40
_EIGHTHS = " ▏▎▍▌▋▊▉"


def bars(rows: Sequence[tuple[str, int]]) -> str:
    """A chart: a line with a bar for each name and number; in ASCII where the encoding has no blocks."""
    import shutil

    most = max((number for _, number in rows), default=0)
    names = [escape(name) for name, _ in rows]
    head = max(map(len, names), default=0)
    room = shutil.get_terminal_size().columns - head - len(str(most)) - 3
    width = min(_WIDEST_BAR, max(1, room))
    lines = []
    for name, (_, number) in zip(names, rows, strict=True):
        shown = paint(_bar(number / most * width), "green") + " " if number else ""
        lines.append(f"{name:{head}}  {shown}{number}")
    return "\n".join(lines)


def _bar(length: float) -> str:
    """A bar of at least a sliver: what is not nothing can be seen."""
    if not _has_blocks():
        return "#" * max(1, round(length))
    eighths = max(1, round(length * 8))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _has_blocks() -> bool:
    try:
        f"█░{_EIGHTHS}".encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def paint(text: str, colour: str) -> str:
    """A colour on a terminal; never with ``NO_COLOR``, in a pipe or in a file."""
    if not colour or not _is_terminal():
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def bar(percent: int, width: int = 10) -> str:
    """A share as a bar of blocks; of ASCII characters where stdout has no blocks."""
    full, empty = ("█", "░") if _has_blocks() else ("#", ".")
    filled = percent * width // 100
    return full * filled + empty * (width - filled)


def _is_terminal() -> bool:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not plain and sys.stdout is not None and sys.stdout.isatty()


# Progress

_PATIENCE, _STEP = 0.5, 0.1
"""Seconds after which a bar is shown, and between two changes of it."""


def progress_bar(items: Iterable[Item], label: str, length: int | None = None) -> Iterable[Item]:
    """Pass items through; with a bar on stderr if that is a terminal and the work lasts."""
    is_seen = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return _with_bar(items, label, length) if is_seen else items


def _with_bar(items: Iterable[Item], label: str, length: int | None) -> Iterator[Item]:
    bar = click.progressbar(items, length=length, label=label, file=sys.stderr)
    shown, due = 0, monotonic() + _PATIENCE
    with ExitStack() as stack:
        for done, item in enumerate(items, start=1):
            yield item
            if monotonic() >= due:
                if not shown:
                    stack.enter_context(bar)
                bar.update(done - shown)
                shown, due = done, monotonic() + _STEP


# JSON


def to_json(value: Any) -> bytes:
    """One JSON document, indented. A record has all of its fields, also those at their default."""
    try:
        data = msgspec.json.encode(plain(value))
    except UnicodeEncodeError:  # a lone surrogate, from an argument that is no UTF-8
        data = msgspec.json.encode(_without_surrogates(plain(value)))
    return msgspec.json.format(data, indent=2) + b"\n"


def plain(value: Any) -> Any:
    """Objects and arrays in place of records; JSON encodes it without leaving a field out."""
    if isinstance(value, msgspec.Struct):
        pairs = ((field, getattr(value, field)) for field in value.__struct_fields__)
        return {name: plain(item) for name, item in pairs if item is not msgspec.UNSET}
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, dict):
        return {_without_surrogates(k): _without_surrogates(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


# Writing


def warn(text: str) -> None:
    """Write a warning on stderr."""
    if sys.stderr is not None:
        sys.stderr.write(f"Warning: {escape(text)}\n")


def show(answer: Answer, *, as_json: bool, lossy: bool) -> None:
    """Write an answer to stdout, and do what follows from it.

    A reader that went away is no failure. What was committed stays true when it cannot be shown
    (``lossy``); a query that cannot be shown has failed.
    """
    try:
        written = write(_rendered(answer, as_json=as_json))
    except BrokenPipeError:
        return
    except OSError as error:
        if not lossy:
            raise
        done = "it is done, but " if answer.after is None else ""
        warn(f"{done}the answer could not be written: {error.strerror}")
        return
    if written and answer.after is not None:
        _follow(answer.after)


def _rendered(answer: Answer, *, as_json: bool) -> bytes:
    if as_json:
        return to_json(answer.value)
    text = answer.text()
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return (text + "\n" if text else "").encode(encoding, "backslashreplace")


def _follow(after: Callable[[], object]) -> None:
    """Do what follows from an answer that was written; the answer stands, whatever fails now."""
    try:
        after()
    except OrchestratorError as error:
        warn(f"the answer stands, but what follows from it failed: {error.message}")
    except OSError as error:
        warn(f"the answer stands, but what follows from it failed: {error.strerror}")


def write(data: bytes) -> bool:
    """Write to stdout at once; False for a process that has no stdout."""
    if sys.stdout is None:
        return False
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    return True
