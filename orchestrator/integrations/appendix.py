"""A text that a tracker keeps separately and that is below another text here, under its own heading.

Taken apart, both are again what they were: a heading of the same words that was in one of them before has a
backslash while they are together.
"""

import re


class Appendix:
    """Joins two texts under a heading, and takes them apart."""

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
        """The two texts of one; the second is empty if there is no such heading."""
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
