"""Quote text that others wrote, so that it differs from the text of the toolkit.

An agent reads a brief as instructions, so text by others is quoted: a label names the author, and every line
begins with ``> ``. Control characters are escaped, so that no text can end its line or its quote, or look
like the brief's own text.
"""

from orchestrator.core import names
from orchestrator.core.errors import BadName
from orchestrator.core.printable import escape, escape_lines

SIGN = "> "


def quote(text: str) -> str:
    """Return a text of any number of lines as a quote."""
    lines = escape_lines(text.replace("\r\n", "\n").strip("\n")).split("\n")
    return "\n".join(f"{SIGN}{line}".rstrip() for line in lines)


def quote_line(text: str) -> str:
    """Return a text of one line, such as a title, as one line of a quote."""
    return f"{SIGN}{escape(text)}"


def quote_titled(label: str, title: str, text: str | None = "") -> str:
    """Return a label and under it a quote: a title, and a text after an empty line if there is one."""
    more = [">", quote(text)] if text else []
    return "\n".join([label, "", quote_line(title), *more])


def writer(name: str | None) -> str:
    """Return the name of a writer for a label. Knowledge files may hold text that is not a name."""
    try:
        return names.agent(name) if name else "an unnamed writer"
    except BadName:
        return "a writer without a valid name"
