"""A text that a tracker stores separately, and that is appended to another text here, under a heading.

Splitting restores both texts exactly: an equal heading inside one of them gets a backslash while they are
joined.
"""

import re


class Appendix:
    """Joins two texts with a heading, and splits them again."""

    def __init__(self, heading: str, gap: str = "\n\n") -> None:
        self._heading, self._gap = heading, gap
        inside = rf"(?:\A|(?<=\n\n))(\\*){re.escape(heading)}"
        self._boundary = re.compile(rf"(?:\A|\n\n)(?<!\\){re.escape(heading)}{gap}")
        self._any = re.compile(rf"{inside}(?=\n*\Z|{gap})")

    def join(self, text: str, below: str) -> str:
        """Both texts joined; the first alone if the second is empty."""
        text, below = self._any.sub(self._escaped, text), self._any.sub(self._escaped, below)
        if not below:
            return text
        return f"{text}\n\n" * bool(text) + f"{self._heading}{self._gap}{below}"

    def split(self, joined: str) -> tuple[str, str]:
        """Split a text into both; without the heading the second is empty."""
        boundary = self._boundary.search(joined)
        text, below = (
            (joined, "")
            if boundary is None
            else (joined[: boundary.start()], joined[boundary.end() :])
        )
        return self._any.sub(self._freed, text), self._any.sub(self._freed, below)

    def _escaped(self, match: re.Match[str]) -> str:
        return f"\\{match[1]}{self._heading}"

    def _freed(self, match: re.Match[str]) -> str:
        return f"{match[1][1:]}{self._heading}"
