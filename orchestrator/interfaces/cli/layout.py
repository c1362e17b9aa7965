"""The layout of texts for people: tables, facts, sections, bars and colours.

Text from agents is data: characters that could move the cursor, change the direction of writing or imitate
another line are escaped.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from orchestrator.core import clock
from orchestrator.core.printable import escape, escape_lines

_COLOURS = {
    "red": 31,
    "green": 32,
    "yellow": 33,
    "blue": 34,
    "magenta": 35,
    "cyan": 36,
    "bold": 1,
    "dim": 2,
}


def table(
    headers: Sequence[str],
    rows: Iterable[Sequence[object]],
    colours: Mapping[str, str] | None = None,
    indent: int = 0,
    *,
    wraps: bool = False,
) -> str:
    """Align rows in columns under their headers, within the width of the terminal.

    Args:
        headers: The titles of the columns.
        rows: The cells; None is an empty cell.
        colours: The colour of a cell, by its text.
        indent: By how many columns the caller will indent the table.
        wraps: The last column is of sentences, which are wrapped and not cut.
    """
    import tabulate

    tabulate.MIN_PADDING = 0  # never wider than its title
    assert all(headers), "a column without a title"
    cells = [["" if cell is None else escape(str(cell)) for cell in row] for row in rows]
    widths = [max(map(columns, column)) for column in zip(headers, *cells, strict=True)]
    if is_terminal():
        _fit(widths, terminal_width() - indent)
    if wraps:
        room = widths[-1]
        for row in cells:
            if columns(row[-1]) > room:
                row[-1] = "\n".join(wrapped(row[-1], room))
    shown = [
        [
            paint(cell if "\n" in cell else cut(cell, room), (colours or {}).get(cell, ""))
            for cell, room in zip(row, widths, strict=True)
        ]
        for row in cells
    ]
    heads = [paint(cut(header, room), "bold") for header, room in zip(headers, widths, strict=True)]
    text = tabulate.tabulate(shown, headers=heads, tablefmt="plain", disable_numparse=True)
    return "\n".join(line.rstrip() for line in text.split("\n"))


GAP = "  "
"""The text between two columns."""

_NARROWEST = 12
"""The smallest width of a cut column: an id stays whole."""


def _fit(widths: list[int], room: int) -> None:
    """Make the widest columns narrower until a row fits; the first one, a name to type, as the last."""
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - room
    for first in (1, 0):
        while excess > 0 and (widest := max(widths[first:], default=0)) > _NARROWEST:
            second = max((width for width in widths[first:] if width < widest), default=0)
            less = min(excess, widest - max(second, _NARROWEST))
            widths[widths.index(widest, first)] -= less
            excess -= less


def terminal_width() -> int:
    """The width of the terminal, in columns."""
    import shutil

    return shutil.get_terminal_size().columns


_SIMPLE_BELOW = "\u0300"
"""Every printable character before this one takes one column."""


def columns(text: str) -> int:
    """The width of a safe text in columns: 2 for most CJK and emoji, 0 for combining marks."""
    if text.isascii() or max(text) < _SIMPLE_BELOW:
        return len(text)
    from wcwidth import width

    return width(text)


def cut(text: str, room: int) -> str:
    """A safe text, cut to a number of columns with a sign at the end; no character is halved."""
    if columns(text) <= room:
        return text
    if text.isascii():
        return f"{text[: room - 1]}…"
    from wcwidth import clip

    return f"{clip(text, 0, room - 1, fillchar=' ').rstrip()}…"


def fitted(line: str) -> str:
    """A safe line, cut to the width of a terminal."""
    return cut(line, terminal_width()) if is_terminal() else line


def padded(text: str, room: int, colour: str = "") -> str:
    """A safe text, padded with blanks to a number of columns."""
    return paint(text, colour) + " " * (room - columns(text))


def wrapped(text: str, room: int, most: int | None = None) -> list[str]:
    """A safe text, wrapped to a number of columns; beyond ``most`` lines the last one is cut."""
    if text.isascii():
        from textwrap import wrap
    else:
        from wcwidth import wrap
    return wrap(text, room, max_lines=most, placeholder="…")


Column = str | tuple[str, str | Callable[[Any], object]]
"""A column: an attribute of records, or a title with an attribute or function."""


def _value(record: Any, column: Column) -> tuple[str, object]:
    """The title of a column, and the function for its cells."""
    title, source = (column.replace("_", " "), column) if isinstance(column, str) else column
    value = getattr(record, source) if isinstance(source, str) else source(record)
    if isinstance(value, str) and isinstance(source, str) and _is_time(source):
        value = shown_time(value)
    return title, ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value


def _is_time(attribute: str) -> bool:
    """Whether an attribute is a timestamp."""
    return attribute.endswith("_at") or attribute in ("since", "until", "last_seen")


def table_of(records: Iterable[Any], *columns: Column, indent: int = 0, wraps: bool = False) -> str:
    """A table with a row for each record; empty without records."""
    rows = [[_value(record, column) for column in columns] for record in records]
    if not rows:
        return ""
    headers = [title for title, _ in rows[0]]
    cells = [[cell for _, cell in row] for row in rows]
    return table(headers, cells, indent=indent, wraps=wraps)


def facts(record: Any, *columns: Column) -> str:
    """The facts of a record, one line each; empty facts are left out."""
    return fields(_value(record, column) for column in columns)


def fields(pairs: Iterable[tuple[str, object]]) -> str:
    """Names and values in two columns; empty values are left out."""
    shown = [(name, str(value)) for name, value in pairs if value not in (None, "", (), [])]
    width = max((columns(name) for name, _ in shown), default=0)
    return "\n".join(f"{padded(name, width)}{GAP}{escape(value)}" for name, value in shown)


_RECENT = 3600.0
"""Age in seconds below which a terminal shows a relative time."""

_JUST_NOW = 5.0


def shown_time(moment: str | None, now: str = "") -> str:
    """A timestamp for people, in the local zone; a recent one on a terminal as ``2 min ago``.

    Args:
        moment: The timestamp, or empty.
        now: The present time, if it is known.
    """
    if not moment:
        return ""
    now = now or clock.timestamp(time.time())
    ago = clock.between(moment, now)
    if not is_terminal() or clock.are_exact() or not 0 <= ago < _RECENT:
        return clock.local_time(moment, now)
    if ago < _JUST_NOW:
        return "now"
    return f"{int(ago)} s ago" if ago < 60 else f"{int(ago // 60)} min ago"


def counted(counts: Mapping[str, int]) -> str:
    """``2 pending, 1 done``."""
    return ", ".join(f"{number} {name}" for name, number in counts.items())


def outlined(rows: "Iterable[dict[str, str | None]]") -> str:
    """Tasks that are followed together, as a table; empty if there are none."""
    shown = [(row["task"], row["status"], row["assigned_to"], row["title"]) for row in rows]
    return table(("task", "status", "agent", "title"), shown) if shown else ""


def progress_of(record: Any) -> str:
    """Progress: a bar, the share, and the numbers."""
    return f"{bar(record.percent)} {record.percent}%, {record.ended} of {record.total} ended"


def prose(text: str, indent: int = 0) -> str:
    """Lines of sentences, wrapped to the width of a terminal."""
    if not is_terminal():
        return text
    room = terminal_width() - indent
    return "\n".join("\n".join(wrapped(line, room)) for line in text.split("\n"))


def section(title: str, text: str) -> str:
    """A text of several lines under a title; empty without a text."""
    return titled(title, escape_lines(text))


def titled(title: str, text: str) -> str:
    """Safe lines under a title; empty without lines."""
    return f"{title}:\n" + "\n".join(f"  {row}" for row in text.split("\n")) if text else ""


def parts(*texts: str) -> str:
    """Join texts by newlines; empty ones are left out."""
    return "\n".join(text for text in texts if text)


def lines(texts: Iterable[str], *, empty: str) -> str:
    """One text on each line, or a sentence if there is none."""
    return "\n".join(texts) or empty


_WIDEST_BAR = 40
_EIGHTHS = " ▏▎▍▌▋▊▉"
_BLOCKS = f"█░{_EIGHTHS}"


def bars(rows: Sequence[tuple[str, int]]) -> str:
    """A chart: a line with a bar for each name and number; in ASCII where the encoding has no blocks."""
    most = max((number for _, number in rows), default=0)
    names = [escape(name) for name, _ in rows]
    head = max(map(columns, names), default=0)
    room = terminal_width() - head - len(str(most)) - 3
    width = min(_WIDEST_BAR, max(1, room))
    lines = []
    for name, (_, number) in zip(names, rows, strict=True):
        shown = paint(_bar(number / most * width), "green") + " " if number else ""
        lines.append(f"{padded(name, head)}{GAP}{shown}{number}")
    return "\n".join(lines)


def _bar(length: float) -> str:
    """A bar; a value above 0 is always visible."""
    if not can_show(_BLOCKS):
        return "#" * max(1, round(length))
    eighths = max(1, round(length * 8))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def can_show(characters: str) -> bool:
    """Whether stdout can encode these characters."""
    try:
        characters.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def paint(text: str, colour: str) -> str:
    """A colour on a terminal; never with ``NO_COLOR``, in a pipe or in a file."""
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if colour and takes_colours() else text


def takes_colours() -> bool:
    """Whether colours are shown."""
    is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return is_terminal() and not is_plain


def bar(percent: int, width: int = 10) -> str:
    """A share as a bar of blocks; of ASCII characters where stdout has no blocks."""
    full, empty = ("█", "░") if can_show(_BLOCKS) else ("#", ".")
    filled = percent * width // 100
    return full * filled + empty * (width - filled)


def is_terminal() -> bool:
    """Whether a person reads the answer at a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()
