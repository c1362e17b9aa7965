"""The body of a task file of Backlog.md: sections under headings, between markers or not.

Between markers a text stands to the letter; a marker inside a text gets a backslash, so no text can end
its section or begin another.
"""

import re
from collections.abc import Iterator

import msgspec

from orchestrator.core import clock
from orchestrator.core.errors import BadInput, UsageError


class Comment(msgspec.Struct, frozen=True):
    """What an agent wrote about a task, and when."""

    author: str
    time: str
    text: str


class Sections(msgspec.Struct, frozen=True, kw_only=True):
    """The texts of a task file."""

    description: str
    acceptance: str
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


def read(body: str) -> Sections:
    """The sections of a body; what stands outside of them belongs to the description."""
    texts = _split(body)
    plan, done = texts["implementation plan"], texts["definition of done"]
    description = [texts["description"], plan and f"## Implementation Plan\n\n{plan}"]
    acceptance = [
        _criteria(texts["acceptance criteria"]),
        done and f"Definition of done:\n{_criteria(done)}",
    ]
    return Sections(
        description="\n\n".join(filter(None, description)),
        acceptance="\n\n".join(filter(None, acceptance)),
        notes=texts["implementation notes"],
        summary=texts["final summary"],
        comments=[*_comments(texts["comments"])],
    )


def _split(body: str) -> dict[str, str]:
    """The text of each section. Of one with markers, what stands outside of them is description."""
    marked: dict[str, list[str]] = {}
    loose: dict[str, list[str]] = {name: [] for name in _MARKERS}
    current, end = "description", ""
    for line in body.split("\n"):
        heading = line.removeprefix("## ").strip().casefold() if line.startswith("## ") else ""
        if end:
            if line.strip() == end:
                end = ""
            else:
                marked[current].append(line)
        elif heading in _MARKERS:
            current = heading
        elif line.strip() == f"<!-- {_MARKERS[current]}:BEGIN -->" and current not in marked:
            marked[current] = []
            end = f"<!-- {_MARKERS[current]}:END -->"
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


def _freed(match: re.Match[str]) -> str:
    return f"<!-- {match[1][1:]}{match[2]}"


def _criteria(text: str) -> str:
    """The criteria one a line; a ticked one keeps its tick."""
    return "\n".join(map(_criterion, text.split("\n")))


def _criterion(line: str) -> str:
    criterion = _CRITERION.fullmatch(line)
    if criterion is None:
        return line
    return criterion[2] if criterion[1] == " " else f"[x] {criterion[2]}"


def _comments(text: str) -> Iterator[Comment]:
    """The comments: facts, then the text between an empty line and a marker, or between dashes."""
    facts: dict[str, str] = {}
    text_lines: list[str] = []
    end = ""
    is_marked = False
    for line in text.split("\n"):
        if end and line != end:
            text_lines.append(line)
        elif end:
            yield _comment_of(facts, text_lines)
            facts, text_lines, end, is_marked = {}, [], "", False
        elif line == _BEGIN:
            is_marked = True
        elif line == ("" if is_marked else "---"):
            end = _END if is_marked else "---"
        else:
            name, _, value = line.partition(":")
            facts[name] = value.strip()


def _comment_of(facts: dict[str, str], text_lines: list[str]) -> Comment:
    created = facts.get("created", "")
    try:
        moment = clock.timestamp(clock.seconds(created) + 0.0001) if created else ""
    except UsageError:
        raise BadInput(f"a comment was written at no time: {created[:50]!a}") from None
    return Comment(facts.get("author", ""), moment, _MARKER.sub(_freed, "\n".join(text_lines)))


# Writing


def write(sections: Sections) -> str:
    """The body of a task file; empty sections are left out."""
    comments = [
        _comment(number, comment) for number, comment in enumerate(sections.comments, start=1)
    ]
    parts = [
        _section("Description", sections.description),
        _section("Acceptance Criteria", "\n".join(_checklist(sections.acceptance))),
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
    return (
        f"{_BEGIN}\nindex: {number}\nauthor: @{comment.author}\n"
        f"created: {comment.time}\n\n{_kept_apart(comment.text)}\n{_END}"
    )
