"""Issues of beads: one JSON object a line (``bd export``, ``.beads/issues.jsonl``).

Priorities are the same numbers (0 to 4). What an issue is called there and here:

- open, deferred, blocked, closed are pending, pending until a time, blocked, done. An issue with an
  assignee is assigned to it: no claim is taken over, so work in progress is begun anew, by its agent first.
- blocks, parent-child, waits-for are needs, parent, gate; the other kinds of links are links.
- ``design`` goes below the description, ``notes`` and comments become notes.
"""

from collections.abc import Iterator
from typing import IO, Any, Literal

import msgspec

from orchestrator.core import clock, names
from orchestrator.core.errors import BadInput
from orchestrator.core.problems import Problems
from orchestrator.core.progress import ShowProgress, no_progress
from orchestrator.core.strict_json import strict_json
from orchestrator.domain.tasks.commands import Tasks
from orchestrator.domain.tasks.facts import KEPT, TIMES
from orchestrator.domain.tasks.records import ENDED, Note, Task, TaskStatus
from orchestrator.domain.tasks.relations import KINDS, Gate, GateKind, Link
from orchestrator.domain.validation import check_priority, check_text, check_title
from orchestrator.engine import Engine
from orchestrator.integrations import files
from orchestrator.integrations.incoming_tasks import IncomingTask, take_in
from orchestrator.integrations.report import Losses, Report, count_lost
from orchestrator.integrations.values import Fields

_LOWEST = 4

_STATUSES: dict[str, TaskStatus | Literal["deferred"]] = {
    "open": "pending",
    "in_progress": "in_progress",
    "hooked": "in_progress",
    "blocked": "blocked",
    "deferred": "deferred",
    "closed": "done",
}
_DELETED = "tombstone"
_BLOCKED = "blocked in beads"
_DEFERRED = "deferred in beads, until no set time"

_COUNTS = ("content_hash", "dependency_count", "dependent_count", "comment_count")
"""What follows from other fields."""


# In


def import_beads(
    engine: Engine,
    lines: IO[bytes],
    *,
    workstream: str = "beads",
    skip_existing: bool = False,
    agent: str | None = None,
    progress: ShowProgress = no_progress,
) -> Report:
    """Take issues into a workstream, which is made if it is not there; all of them or none.

    Args:
        engine: The board.
        lines: The file.
        workstream: Where they belong from now on.
        skip_existing: Take in those only that are not on the board.
        agent: Who takes them in.
        progress: Shows how many issues are read.

    Raises:
        BadInput: Lines are no issues; every one is named.
        Refused: Some are on the board already, or they wait for one another in a circle.
    """
    losses, problems = Losses(), Problems("These issues cannot be taken in")
    incoming_tasks: dict[str, tuple[IncomingTask, Losses]] = {}
    for place, line in progress(files.lines("the file", lines), "Reading issues"):
        issue = problems.attempt(place, _issue, line)
        if issue is None:
            continue
        if issue.get("status") == _DELETED:
            losses.lose("deleted issues")
            continue
        lost = Losses()
        incoming = problems.attempt(place, _incoming_task, Fields(issue), lost)
        if incoming is not None and incoming.id in incoming_tasks:
            problems.note(place, f"the id {incoming.id!a} is there twice")
        elif incoming is not None:
            incoming_tasks[incoming.id] = incoming, lost
    problems.check()
    return take_in(
        engine,
        incoming_tasks.values(),
        losses,
        workstream=workstream,
        skip_existing=skip_existing,
        agent=agent,
    )


def _issue(line: bytes) -> dict[str, Any]:
    value = strict_json(files.decoded("it", line))
    if not isinstance(value, dict):
        raise BadInput("it is no object")
    return value


def _incoming_task(issue: Fields, losses: Losses) -> IncomingTask:
    issue_id = issue.text("id")
    if not issue_id:
        raise BadInput("it has no id")
    needs, parent, gate, links = _links(issue, losses)
    task = _task(issue, losses)
    issue.skip(*_COUNTS)
    issue.lose_rest(losses)
    return IncomingTask(
        id=issue_id, task=task, needs=needs, parent=parent, gate=gate, links=tuple(links)
    )


def _task(issue: Fields, losses: Losses) -> Task:
    status = _status(issue.text("status") or "open", losses)
    created_by, assignee = _person(issue, "created_by", losses), _person(issue, "assignee", losses)
    created, updated = issue.moment("created_at"), issue.moment("updated_at")
    closed, shared = issue.moment("closed_at"), _shared(issue)
    reason = ""
    if status == "deferred":
        status, reason = ("pending", "") if shared["defer_until"] else ("blocked", _DEFERRED)
    elif status == "blocked":
        reason = _BLOCKED
    elif status == "in_progress":
        losses.lose("claims of work in progress")
        status = "pending"
    if status == "pending" and assignee:
        status = "assigned"
    elif status == "blocked" and assignee:
        losses.lose("assignees of blocked issues")
        assignee = ""
    closing = issue.text("close_reason")
    if closing and status != "done":
        losses.lose("close_reason")
    minutes = issue.number("estimated_minutes")
    if minutes is not None and not 0 <= minutes < 1e9:
        raise BadInput("estimated_minutes is out of range")
    return Task(
        id="",
        workstream="",
        title=check_title(issue.text("title")),
        description=_description(issue),
        status=status,
        type=losses.fitted("type", issue.text("issue_type") or "task"),
        priority=_priority(issue),
        labels=_labels(issue, losses),
        estimate=None if minutes is None else float(minutes),
        assigned_to=assignee or None,
        result=check_text("close_reason", closing) if closing and status == "done" else None,
        reason=reason,
        notes=_notes(issue, losses, created_by or "beads", updated or created),
        created_at=created,
        created_by=created_by,
        updated_at=updated,
        ended_at=(closed or updated or created) if status == "done" else None,
        **shared,
    )


_SHARED = {field: kept.beads for field, kept in KEPT.items() if kept.beads}
"""Facts that are the same text or time here and there, with what beads calls them."""


def _shared(issue: Fields) -> dict[str, Any]:
    return {
        field: issue.moment(name) if field in TIMES else check_text(name, issue.text(name))
        for field, name in _SHARED.items()
    }


def _status(word: str, losses: Losses) -> TaskStatus | Literal["deferred"]:
    if word not in _STATUSES:
        losses.lose(f"status {word[:50]}")
    return _STATUSES.get(word, "pending")


def _person(fields: Fields, name: str, losses: Losses) -> str:
    text = fields.text(name)
    return losses.fitted("agent", text.removeprefix("@"), names.agent) if text else ""


def _priority(issue: Fields) -> int:
    number = issue.number("priority")
    # beads leaves out what is 0, its highest.
    if number is not None and not isinstance(number, int):
        raise BadInput("priority is no whole number")
    return check_priority(number or 0)


def _labels(issue: Fields, losses: Losses) -> tuple[str, ...]:
    return tuple(dict.fromkeys(losses.fitted("label", label) for label in issue.texts("labels")))


def _description(issue: Fields) -> str:
    description, design = issue.text("description"), issue.text("design")
    both = "\n\n".join(filter(None, [description, design and f"## Design\n\n{design}"]))
    return check_text("description", both)


def _notes(issue: Fields, losses: Losses, author: str, time: str) -> tuple[Note, ...]:
    notes = []
    if text := issue.text("notes"):
        notes.append(Note(author, time, check_text("notes", text)))
    notes += [
        Note(
            _person(comment, "author", losses) or author,
            comment.moment("created_at") or time,
            check_text("comment", comment.text("text")),
        )
        for comment in issue.records("comments")
    ]
    return tuple(notes)


def _links(
    issue: Fields, losses: Losses
) -> tuple[tuple[str, ...], str | None, Gate | None, list[Link]]:
    """The needs, the parent, the gate and the other links of an issue."""
    needs: list[str] = []
    parent, gate = None, None
    links: list[Link] = []
    for dependency in issue.records("dependencies"):
        other, kind = dependency.text("depends_on_id"), dependency.text("type") or "blocks"
        if not other:
            raise BadInput("a dependency has no depends_on_id")
        if kind == "blocks":
            needs.append(other)
        elif kind == "parent-child" and parent is None:
            parent = other
        elif kind == "waits-for" and gate is None:
            gate = Gate(_how(dependency), other)
        elif kind in KINDS:
            links.append(Link(kind, other))
        else:
            losses.lose(f"dependencies {kind[:50]}")
    return tuple(dict.fromkeys(needs)), parent, gate, links


def _how(dependency: Fields) -> GateKind:
    """``any`` or ``all`` of the children; beads keeps it as JSON in a text."""
    metadata = dependency.text("metadata")
    gate = strict_json(metadata) if metadata else {}
    if not isinstance(gate, dict):
        raise BadInput("the metadata of a dependency is no object")
    return "any" if gate.get("gate") == "any-children" else "all"


# Out


def export_beads(
    engine: Engine,
    out: IO[str],
    *,
    workstream: str | None = None,
    progress: ShowProgress = no_progress,
) -> Report:
    """Write the tasks of a board, archived ones included, as issues of beads, one a line; no wisps.

    Args:
        engine: The board.
        out: Where to.
        workstream: Only tasks of this stream; None for all.
        progress: Shows how many tasks are written.

    Raises:
        NotFound: There is no such workstream.
    """
    losses, now = Losses(), engine.now()
    written = list(Tasks(engine).lasting(workstream, progress))
    for task in progress(written, "Writing issues"):
        fields = dict(_fields(task, now, losses))
        out.write(msgspec.json.encode(fields).decode() + "\n")
    if workstream is None:
        losses.lose("workstream", len(written))
    return losses.report(written)


_PLACED = (
    "id", "workstream", "title", "description", "status", "type", "priority", "labels",
    "estimate", "needs", "parent", "gate", "links", "assigned_to", "result", "reason", "notes",
    "created_at", "created_by", "updated_at", "ended_at", *_SHARED,
)  # fmt: skip


def _fields(task: Task, now: str, losses: Losses) -> Iterator[tuple[str, Any]]:
    """Yield the fields of an issue; what is empty is left out, as beads does."""
    count_lost(losses, task, _PLACED)
    yield "id", task.id
    yield "title", task.title
    yield "description", task.description
    yield "status", _status_there(task, now, losses)
    if task.priority > _LOWEST:
        losses.lose(f"priority over {_LOWEST}")
    yield "priority", min(task.priority, _LOWEST)
    yield "issue_type", task.type
    yield from _filled("assignee", task.assigned_to)
    if task.estimate is not None:
        if task.estimate != int(task.estimate):
            losses.lose("parts of minutes")
        yield "estimated_minutes", int(task.estimate)
    yield "created_at", task.created_at
    yield "created_by", task.created_by
    yield "updated_at", task.updated_at
    if task.status in ENDED:
        yield "closed_at", task.ended_at or task.updated_at
        yield from _filled("close_reason", task.result or task.reason)
    elif task.reason not in ("", _BLOCKED, _DEFERRED):
        losses.lose("reason")
    for field, name in _SHARED.items():
        yield from _filled(name, getattr(task, field))
    yield from _filled("labels", task.labels)
    yield from _filled("dependencies", [*_dependencies(task, losses)])
    yield from _filled("comments", [*_comments(task)])


def _filled(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if value:
        yield name, value


def _status_there(task: Task, now: str, losses: Losses) -> str:
    if task.status in ("failed", "cancelled", "in_review"):
        losses.lose(f"status {task.status}")
    if task.status in ENDED:
        return "closed"
    if task.status in ("in_progress", "in_review"):
        return "in_progress"
    if task.status == "blocked":
        return "deferred" if task.reason == _DEFERRED else "blocked"
    return "deferred" if task.defer_until > now else "open"


def _dependencies(task: Task, losses: Losses) -> Iterator[dict[str, str]]:
    pairs = [("parent-child", task.parent)] if task.parent is not None else []
    pairs += [("blocks", need) for need in task.needs]
    pairs += [(link.kind, link.task) for link in task.links]
    if task.gate is not None:
        if task.gate.of == task.id:
            losses.lose("gates on own children")
        else:
            pairs.append(("waits-for", task.gate.of))
    for kind, other in pairs:
        dependency = {"issue_id": task.id, "depends_on_id": str(other), "type": kind}
        dependency |= {"created_at": task.created_at, "created_by": task.created_by}
        if kind == "waits-for" and task.gate is not None:
            dependency["metadata"] = f'{{"gate":"{task.gate.how}-children"}}'
        yield dependency


def _comments(task: Task) -> Iterator[dict[str, Any]]:
    for number, note in enumerate(task.notes, start=1):
        yield {
            "id": number,
            "issue_id": task.id,
            "author": note.agent,
            "text": note.text,
            "created_at": note.at or clock.timestamp(0),
        }
