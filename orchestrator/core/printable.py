"""Make text from agents printable: on one line, shortened, and safe.

A safe text contains no character that moves the cursor, hides text or reorders it.
"""

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

_UNSAFE = (
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def shortened(text: str, length: int) -> str:
    """Cut a text to a length; ``…`` marks the cut."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def times(number: int) -> str:
    """A number of times in words: ``once``, ``2 times``."""
    return "once" if number == 1 else f"{number} times"


def first_of(items: Sequence[T], most: int, name: Callable[[T], str] = str) -> str:
    """The first items of a list by their names, and the number of the others."""
    others = len(items) - most
    return ", ".join(map(name, items[:most])) + (f" and {others} more" if others > 0 else "")


def one_line(text: str, length: int) -> str:
    """The words of a text on one line, cut to a length."""
    return shortened(" ".join(text.split()), length)


def escape(text: str) -> str:
    r"""Escape control, bidi and invisible characters of one line: ``\\x1b``, ``\\u202e``."""
    if text.isascii() and text.isprintable():
        return text
    return re.sub(_UNSAFE, _shown, text)


def is_plain(text: str) -> bool:
    """Whether a text is shown as it is: a name that a reader can type."""
    return escape(text) == text


def escape_lines(text: str) -> str:
    """Escape a text of several lines: like :func:`escape`, but newlines and tabs stay."""
    return "\n".join(
        "\t".join(escape(part) for part in line.split("\t")) for line in text.split("\n")
    )


def escape_json(text: str) -> str:
    r"""The same JSON with unsafe characters written as ``\u009b``, for JSON that people read."""
    return re.sub(_UNSAFE, lambda match: _as_json(match[0]), text)


def _as_json(character: str) -> str:
    # A newline here is part of the indentation: newlines in texts are already escaped.
    from json.encoder import encode_basestring_ascii

    return character if character == "\n" else encode_basestring_ascii(character)[1:-1]


def _shown(match: re.Match[str]) -> str:
    character = match[0]
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character)
    return named or ascii(character)[1:-1]
