"""Text that others wrote, set apart from the text of the toolkit.

An agent reads a brief as instructions, so whatever came from somebody else stands in a quote: a label
says who wrote it, and every line of it begins with ``> ``. Control characters are escaped, so nothing in it
can end its line, its quote, or pass for the brief's own words.
"""

from orchestrator.core import names
from orchestrator.core.errors import BadName
from orchestrator.core.printable import escape, escape_lines

SIGN = "> "


def quote(text: str) -> str:
    """A text of any number of lines as a quote."""
    lines = escape_lines(text.replace("\r\n", "\n").strip("\n")).split("\n")
    return "\n".join(f"{SIGN}{line}".rstrip() for line in lines)


def quote_line(text: str) -> str:
    """A text of one line, such as a title, as one line of a quote."""
    return f"{SIGN}{escape(text)}"


def writer(name: str | None) -> str:
    """Who wrote something, to stand in a label: a name if it is one, as knowledge files may say anything."""
    try:
        return names.agent(name) if name else "nobody named"
    except BadName:
        return "somebody whose name is not one"
