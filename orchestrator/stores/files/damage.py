"""Errors for damage: which file, line and byte, what is wrong, what to do next."""

from orchestrator.core.errors import Damage
from orchestrator.stores.files.lines import ParsedLines, Position
from orchestrator.stores.files.segment import Segment

OTHER_BOARD = (
    "`git worktree add ../other BRANCH` checks the other branch out beside this one, and `orc board merge"
    " ../other/.orchestrator` takes over the work of the board in it."
)
"""How the board of another branch becomes a part of this one."""

_BLOCK = 1 << 20
_REMEDY = "Nothing was changed. `orc doctor` shows what is readable and what a person can accept."
_UNMERGED = (
    "Nothing was changed; `orc doctor` shows what is readable. Bring the log back to what one of the two"
    f" branches has. {OTHER_BOARD}"
)
_MARKERS = (b"<<<<<<<", b"|||||||", b"=======", b">>>>>>>")


def in_line(segment: Segment, parsed: ParsedLines) -> Damage:
    """The error for a changed or damaged line of the log."""
    number = _count_lines(segment, parsed.offset) + 1
    line = segment.read(parsed.offset, _BLOCK).partition(b"\n")[0]
    cause = _cause(line, first=parsed.offset == 0)
    is_conflict = line.startswith(_MARKERS)
    return Damage(
        f"{segment.path}:{number}: the {parsed.problem.removeprefix('the ')}{cause}",
        hint=_UNMERGED if is_conflict else _REMEDY,
        path=segment.path,
        line=number,
        byte=parsed.offset,
        is_conflict=is_conflict,
    )


def no_event(segment: Segment, offset: int = 0) -> Damage:
    """The error for a line that is not an event, at the start of a segment or during a search."""
    problem = f"line at byte {offset} is not an event"
    return in_line(segment, ParsedLines([], Position(), problem, offset=offset))


def other_id(segment: Segment, offset: int, number: int, expected: int | None) -> Damage:
    """The error for an event that does not come directly before the event after it."""
    problem = f"line at byte {offset} has the id {number} instead of {expected}"
    return in_line(segment, ParsedLines([], Position(), problem, offset=offset))


def behind(path: str, number: int, segment: Segment | None, offset: int = 0) -> Damage:
    """The error for a log that ends before a position that was read before, or has another line there."""
    problem, cause, is_conflict = "it is not in the log any more", "", False
    if segment is not None:
        first = segment.read(0, _BLOCK).partition(b"\n")[0]
        line = segment.read(offset, _BLOCK).partition(b"\n")[0]
        problem = "the log is shorter" if offset >= segment.size() else "another line is there"
        cause = _cause(first, first=True) or _cause(line, first=False)
        is_conflict = first.startswith(_MARKERS) or line.startswith(_MARKERS)
    hint = "Restore the newer log, or run `orc doctor`, which shows what a person can accept."
    return Damage(
        f"{path} does not hold event {number} as it was read before: {problem}{cause}",
        code="log_behind",
        hint=_UNMERGED if is_conflict else hint,
        path=path,
        event=number,
    )


def missing(path: str, why: str) -> Damage:
    """The error for a missing file of the log, if other files prove that it existed."""
    return Damage(
        f"{path} is missing or empty: {why}",
        hint="Restore the file from a backup, or run `orc doctor`, which shows what a person can accept.",
        path=path,
    )


def _cause(line: bytes, *, first: bool) -> str:
    if first and line.startswith(b"\xef\xbb\xbf"):
        return " (it begins with a byte order mark: an editor or script wrote the file)"
    if line.startswith(_MARKERS):
        return f" (a merge conflict: `{line[:7].decode()}`)"
    if line.endswith(b"\r"):
        return " (it ends with CRLF: git or an editor converted the line endings)"
    if b"\0" in line:
        return " (it contains zero bytes: the file system lost the data)"
    return ""


def _count_lines(segment: Segment, end: int) -> int:
    return sum(
        segment.read(offset, min(_BLOCK, end - offset)).count(b"\n")
        for offset in range(0, end, _BLOCK)
    )
