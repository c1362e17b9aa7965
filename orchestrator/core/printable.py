"""Text from agents made safe to show: nothing in it moves a cursor, hides, or reorders what is around it."""

import re

_UNSAFE = (
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def escape(text: str) -> str:
    r"""One line of a text: control, escape, bidi and invisible characters shown as ``\\x1b``, ``\\u202e``."""
    if text.isascii() and text.isprintable():
        return text
    return re.sub(_UNSAFE, _shown, text)


def escape_lines(text: str) -> str:
    """Several lines of a text: as :func:`escape`, but newlines and tabs stay."""
    return "\n".join(
        "\t".join(escape(part) for part in line.split("\t")) for line in text.split("\n")
    )


def _shown(match: re.Match[str]) -> str:
    character = match[0]
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character)
    return named or ascii(character)[1:-1]
