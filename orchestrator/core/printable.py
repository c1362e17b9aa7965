"""Make text from agents printable: on one line, shortened, and safe.

A safe text contains no character that moves the cursor, hides text or reorders it.
"""

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

TOKEN = 4
"""How many characters count as a token."""

_UNSAFE = (
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
"""The characters of Unicode's categories Cc (control), Cf (format), Cs, Zl and Zp.

Only the signs of category Cf that have a shape, such as that of an Arabic number, are not among them. Tags
(U+E0000 to U+E007F) stay here, although flags of regions use them: a text of them is invisible to a person
and readable for a model.
"""

_JOINERS = "\u200c\u200d"
_UNSAFE_RUN = f"(?:(?![\n{_JOINERS}]){_UNSAFE})+|[{_JOINERS}]"
"""Unsafe characters of JSON, several at once: a text may consist of them.

A newline in JSON is part of its indentation: newlines in texts are already escaped.
"""

_JOINED = ("Lo", "Lm", "Mn", "Mc", "So", "Sm")
"""The categories of characters before which a joiner stays: letters without case, marks and symbols.

A joiner is of category Cf, but it is spelling in Persian and in scripts of India, and the glue of an emoji of
several parts. It stays between a character that is not a blank and one of these, and behind a sign that takes
a vowel away (a virama). Elsewhere, as between Latin letters, it is invisible and makes two texts look alike.
"""


def shortened(text: str, length: int) -> str:
    """Cut a text to a length; ``…`` marks the cut."""
    return text if len(text) <= length else f"{text[: length - 1].rstrip(_JOINERS)}…"


def times(number: int) -> str:
    """A number of times in words: ``once``, ``2 times``."""
    return "once" if number == 1 else f"{number} times"


def amount(number: int, noun: str) -> str:
    """A number of things: ``1 task``, ``2 tasks``."""
    return f"{number} {noun}{'s' * (number != 1)}"


def first_of(items: Sequence[T], most: int, name: Callable[[T], str] = str) -> str:
    """The first items of a list by their names, and the number of the others."""
    others = len(items) - most
    return ", ".join(map(name, items[:most])) + (f" and {others} more" if others > 0 else "")


def few(
    items: Sequence[T], most: int, name: Callable[[T], str] = str, more: str = "and {} more"
) -> list[str]:
    """The first items of a list by their names, and behind them the number of the others, if any."""
    others = len(items) - most
    return [*map(name, items[:most]), *([more.format(others)] if others > 0 else [])]


def one_line(text: str, length: int) -> str:
    """The words of a text on one line, cut to a length."""
    return shortened(" ".join(text.split()), length)


def escape(text: str) -> str:
    r"""Escape control, bidi and invisible characters of one line: ``\\x1b``, ``\\u202e``.

    Joiners stay where they join; see :data:`_JOINED`.
    """
    if text.isprintable():
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
    from json.encoder import encode_basestring_ascii

    def escaped(match: re.Match[str]) -> str:
        return match[0] if _joins(match) else encode_basestring_ascii(match[0])[1:-1]

    return re.sub(_UNSAFE_RUN, escaped, text)


def _joins(match: re.Match[str]) -> bool:
    """Whether a character is a joiner between characters that it can join."""
    if match[0] not in _JOINERS:
        return False
    from unicodedata import category, combining

    before, after = (
        match.string[max(0, match.start() - 1) : match.start()],
        match.string[match.end() : match.end() + 1],
    )
    if not before or category(before)[0] not in "LMNS":
        return False
    is_joined = bool(after) and not after.isascii() and category(after) in _JOINED
    return is_joined or combining(before) == _VIRAMA


_VIRAMA = 9
"""The combining class of a sign that takes the vowel of a letter away."""


def _shown(match: re.Match[str]) -> str:
    character = match[0]
    if _joins(match):
        return character
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character)
    return named or ascii(character)[1:-1]
