"""The lines of help: paragraphs and rows that fit the page."""

import textwrap
from collections.abc import Iterable

import click

from orchestrator.interfaces.cli.layout import is_terminal, terminal_width

Row = tuple[str, str]

_WIDEST = 100


def _width() -> int:
    return min(_WIDEST, terminal_width()) if is_terminal() else _WIDEST


def wrapped(text: str, indent: str = "  ") -> list[str]:
    """A paragraph in lines that fit; all but the first are indented."""
    return textwrap.wrap(
        text, _width(), subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )


def rows(pairs: Iterable[Row]) -> list[str]:
    """Names and what they mean: two columns at a terminal, elsewhere no padding, which costs tokens."""
    listed = list(pairs)
    if not listed:
        return []
    if not is_terminal():
        return [line for name, text in listed for line in wrapped(f"  {name}  {text}", "    ")]
    formatter = click.HelpFormatter(width=_width())
    formatter.indent()
    formatter.write_dl(listed)
    return [
        part for line in formatter.getvalue().rstrip("\n").split("\n") for part in _broken(line)
    ]


def _broken(line: str) -> list[str]:
    """A line whose list of choices may be wider than the page, broken between two of them."""
    if len(line) <= _width() or "|" not in line[: _width()]:
        return [line]
    end = line.rindex("|", 0, _width()) + 1
    return [line[:end], *_broken(f"      {line[end:]}")]


def fitted(text: str) -> str:
    """A written page, as wide as the terminal at most: paragraphs, and rows of words and their meaning."""
    if not is_terminal() or max(map(len, text.split("\n"))) <= terminal_width():
        return text
    lines: list[str] = []
    paragraph: list[str] = []
    for line in [*text.split("\n"), ""]:
        if line and not line.startswith(" "):
            paragraph.append(line)
            continue
        lines += wrapped(" ".join(paragraph), "") if paragraph else []
        paragraph = []
        lines += _row(line)
    return "\n".join(lines).rstrip("\n")


def _row(line: str) -> list[str]:
    """A row that is wider than the page has its meaning in the lines below it."""
    words, gap, meaning = line.lstrip().partition("  ")
    if len(line) <= _width() or not gap:
        return [line]
    return [f"  {words}", *wrapped(f"      {meaning.strip()}", " " * 6)]
