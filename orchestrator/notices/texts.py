"""The texts of a notice: plain, on lines of a limited length, and without markup or mentions.

What agents have written is data. Titles have one line, so no header of a mail can begin in them, and nothing
in a text is a tag, a link with another text, or a mention for the program that shows it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from orchestrator.core.errors import UsageError, did_you_mean
from orchestrator.core.events import Recorded
from orchestrator.core.printable import escape, one_line, shortened

TITLE = "{board}: {type}"
"""The title of a notice unless its rule has a template."""

BODY = "{agent} {what}"
"""A line of a notice for one of its events unless its rule has a template."""

FIELDS = (
    *("board", "rule", "event", "type", "time", "agent", "what"),
    *("task", "title", "workstream", "priority"),
)
"""What templates may name."""

LISTED = 10
"""How many events a notice shows; the others are counted."""

_LONGEST_TITLE, _LONGEST_LINE, _LONGEST_TEMPLATE = 120, 240, 500
_LARGEST = 4000  # characters of an event that a program gets whole
_FIELD = re.compile(r"\{([a-z]+)\}")
_MENTION = re.compile(r"@(?=\w)")
_NO_MARKUP = str.maketrans({"<": "\u2039", ">": "\u203a"})


class NoticeText(msgspec.Struct, frozen=True, kw_only=True):
    """A notice as it is sent.

    Attributes:
        events: The first of its events, for programs.
        more: How many further events it is about.
    """

    rule: str
    title: str
    body: str
    events: tuple[dict[str, Any], ...]
    more: int = 0


def check_template(template: str) -> str:
    """Check a template of a title or of a line.

    Raises:
        UsageError: It names a field that does not exist, or is too long.
    """
    for name in _FIELD.findall(template):
        if name not in FIELDS:
            raise UsageError(
                f"There is no field {{{name}}}{did_you_mean(name, FIELDS)}",
                hint=f"Fields: {', '.join(FIELDS)}.",
            )
    if len(template) > _LONGEST_TEMPLATE:
        raise UsageError(f"A template has at most {_LONGEST_TEMPLATE} characters")
    return template


def compose(
    rule: str,
    templates: tuple[str, str],
    records: Sequence[Recorded],
    as_dict: Callable[[Recorded], dict[str, Any]],
    fields_of: Callable[[Recorded], Mapping[str, str]],
    count: int,
) -> NoticeText:
    """Make a notice about some events.

    Args:
        rule: The name of the rule.
        templates: Those of the title and of a line; empty for the usual ones.
        records: The first events, at most :data:`LISTED`.
        as_dict: An event for programs.
        fields_of: The values of the fields for an event.
        count: How many events the notice is about.
    """
    title, line = templates[0] or TITLE, templates[1] or BODY
    more = count - len(records)
    all_fields = [{**fields_of(record), "rule": rule} for record in records]
    head = _line(title, all_fields[0], _LONGEST_TITLE)
    lines = [_line(line, fields, _LONGEST_LINE) for fields in all_fields]
    return NoticeText(
        rule=rule,
        title=head if count == 1 else f"{head} and {count - 1} more",
        body="\n".join([*lines, *([f"and {more} more"] if more else [])]),
        events=tuple(_limited(as_dict(record)) for record in records),
        more=more,
    )


def _line(template: str, fields: Mapping[str, str], length: int) -> str:
    """A template with its fields, on one safe line."""
    text = _FIELD.sub(lambda match: shortened(fields.get(match[1], ""), length), template)
    return safe(one_line(text, length)) or "-"


def safe(text: str) -> str:
    """A line without control characters, markup, links and mentions."""
    text = escape(text).translate(_NO_MARKUP).replace("](", "] (")
    return _MENTION.sub("@\u200b", text)


def _limited(event: dict[str, Any]) -> dict[str, Any]:
    """An event without its facts if they are too long for a notice."""
    if len(msgspec.json.encode(event["payload"])) <= _LARGEST:
        return event
    return {**event, "payload": None}
