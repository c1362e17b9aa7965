"""The body of a task file of Backlog.md: sections under headings, between markers or not.

Text between markers is kept exactly; a marker inside a text gets a backslash, so a text cannot end its
section or begin another one.
"""

import re
from collections.abc import Iterator

import msgspec

from orchestrator.core.errors import BadInput
from orchestrator.integrations.report import Losses
from orchestrator.integrations.values import moment


class Comment(msgspec.Struct, frozen=True):
    """A comment of an agent on a task, with its time."""

    author: str
    time: str
    text: str


class Sections(msgspec.Struct, frozen=True, kw_only=True):
    """The texts of a task file."""

    description: str
    plan: str = ""
    acceptance: str
    done: str = ""
    notes: str
    summary: str
    comments: list[Comment]


_MARKERS = {
    "description": "SECTION:DESCRIPTION",
    "acceptance criteria": "AC",
    "definition of done": "DOD",
    "implementation plan": "SECTION:PLAN",
    "implementation notes": "SECTION:NOTES",
    "comments": "COMMENTS",
    "final summary": "SECTION:FINAL_SUMMARY",
}
"""The headings that begin a section, with the word of their markers."""

_MARKER = re.compile(r"<!-- (\\*)((?:SECTION:\w+|AC|DOD|COMMENTS?):(?:BEGIN|END) -->)")
_BEGIN, _END = "<!-- COMMENT:BEGIN -->", "<!-- COMMENT:END -->"
_CRITERION = re.compile(r"- \[([ xX])\] (?:#\d+(?: |$))?(.*)")


# Reading


def read(body: str, losses: Losses | None = None) -> Sections:
    """The sections of a body; text outside of them belongs to the description.

    Args:
        body: The text.
        losses: Notes comments without a time; None refuses them.
    """
    texts = _split(body)
    return Sections(
        description=texts["description"],
        plan=texts["implementation plan"],
        acceptance=_criteria(texts["acceptance criteria"]),
        done=_criteria(texts["definition of done"]),
        notes=texts["implementation notes"],
        summary=texts["final summary"],
        comments=[*_comments(texts["comments"], losses)],
    )


def _split(body: str) -> dict[str, str]:
    """The text of each section. In a section with markers, text outside of them is description."""
    marked: dict[str, list[str]] = {}
    loose: dict[str, list[str]] = {name: [] for name in _MARKERS}
    current, end = "description", ""
    lines = body.split("\n")
    # A section without an end goes up to the next heading, as one without markers does.
    ends = {line.strip(): number for number, line in enumerate(lines)}
    for number, line in enumerate(lines):
        if end:
            if line.strip() == end:
                end = ""
            else:
                marked[current].append(line)
        elif (name := _section_of(line)) is not None:
            current = name
        elif line.strip() == f"<!-- {_MARKERS[current]}:BEGIN -->":
            end = f"<!-- {_MARKERS[current]}:END -->"
            if ends.get(end, -1) > number:
                marked.setdefault(current, [])
            else:
                end = ""
        elif line.strip() or current not in marked:
            loose["description" if current in marked else current].append(line)
    texts = {name: "\n".join(lines).strip() for name, lines in loose.items()}
    for name, lines in marked.items():
        text = "\n".join(lines)
        outside = texts[name] if name == "description" else ""
        texts[name] = "\n\n".join(filter(None, [text, outside]))
    return {
        name: _MARKER.sub(_freed, text) for name, text in texts.items() if name != "comments"
    } | {"comments": texts["comments"]}


def _section_of(line: str) -> str | None:
    """The section that a heading begins; None if the line is not the heading of a section."""
    if not line.startswith("## "):
        return None
    title = line.removeprefix("## ").strip().casefold().removesuffix(" (optional)")
    return title if title in _MARKERS else None


def _freed(match: re.Match[str]) -> str:
    return f"<!-- {match[1][1:]}{match[2]}"


def _criteria(text: str) -> str:
    """The criteria, one a line; a ticked criterion keeps its tick."""
    return "\n".join(map(_criterion, text.split("\n")))


def _criterion(line: str) -> str:
    criterion = _CRITERION.fullmatch(line)
    if criterion is None:
        return line
    return criterion[2] if criterion[1] == " " else f"[x] {criterion[2]}"


def _comments(text: str, losses: Losses | None) -> Iterator[Comment]:
    """The comments: facts, then the text between an empty line and a marker, or between dashes."""
    facts: dict[str, str] = {}
    text_lines: list[str] = []
    end = ""
    is_marked = False
    for line in text.split("\n"):
        if end and line != end:
            text_lines.append(line)
        elif end:
            yield _comment_of(facts, text_lines, losses)
            facts, text_lines, end, is_marked = {}, [], "", False
        elif line == _BEGIN:
            is_marked = True
        elif line == ("" if is_marked else "---"):
            end = _END if is_marked else "---"
        else:
            name, _, value = line.partition(":")
            facts[name] = value.strip()
    if text_lines:
        yield _comment_of(facts, text_lines, losses)


def _comment_of(facts: dict[str, str], text_lines: list[str], losses: Losses | None) -> Comment:
    created = facts.get("created", "")
    try:
        time = moment(created) if created else ""
    except BadInput:
        if losses is None:
            raise BadInput(f"a comment was written at no time: {created[:50]!a}") from None
        losses.lose("times of comments that cannot be read")
        time = ""
    return Comment(facts.get("author", ""), time, _MARKER.sub(_freed, "\n".join(text_lines)))


# Writing


def write(sections: Sections) -> str:
    """The body of a task file; empty sections are left out."""
    comments = [
        _comment(number, comment) for number, comment in enumerate(sections.comments, start=1)
    ]
    parts = [
        _section("Description", sections.description),
        _section("Acceptance Criteria", "\n".join(_checklist(sections.acceptance))),
        _section("Definition of Done", "\n".join(_checklist(sections.done))),
        _section("Implementation Plan", sections.plan),
        _section("Implementation Notes", sections.notes),
        _section("Comments", "\n\n".join(comments), of_texts=True),
        _section("Final Summary", sections.summary),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _section(title: str, text: str, *, of_texts: bool = False) -> str:
    if not text:
        return ""
    word = _MARKERS[title.casefold()]
    inside = text if of_texts else _kept_apart(text)
    blank = "\n" if word.startswith("SECTION") else ""
    return f"## {title}\n{blank}<!-- {word}:BEGIN -->\n{inside}\n<!-- {word}:END -->"


def _kept_apart(text: str) -> str:
    return _MARKER.sub(r"<!-- \\\1\2", text)


def _checklist(acceptance: str) -> Iterator[str]:
    number = 0
    for line in acceptance.split("\n"):
        if not line:
            yield line
            continue
        number += 1
        ticked = line.startswith("[x] ")
        yield f"- [{'x' if ticked else ' '}] #{number} {line[4:] if ticked else line}"


def _comment(number: int, comment: Comment) -> str:
    facts = [f"index: {number}"]
    if comment.author:
        facts.append(f"author: @{comment.author}")
    if comment.time:
        facts.append(f"created: {comment.time}")
    head = "\n".join([_BEGIN, *facts])
    return f"{head}\n\n{_kept_apart(comment.text)}\n{_END}"
