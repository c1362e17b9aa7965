"""Issues of beads: one JSON object a line (``bd export``, ``.beads/issues.jsonl``).

Priorities are the same numbers (0 to 4). How issues of beads become tasks:

- The statuses open, deferred, blocked, closed become pending, pending until a time, blocked, done. An issue
  with an assignee is assigned to it. Claims are not imported: work in progress starts again, and its agent
  gets it first.
- The dependencies blocks, conditional-blocks, parent-child, waits-for become needs, needs of a failure,
  parent, gate; the others become links. An issue has failed if its ``close_reason`` contains a word for that.
  It is done here, and a need of its failure is fulfilled, so it is not imported.
- ``design`` is appended to the description, ``notes`` and comments become notes, a memory becomes knowledge.
- A molecule becomes a milestone: it is done when its parts are done. Records that are not work (agents,
  messages, gates, wisps, templates, pinned records) are not imported; an issue that such a record blocks
  waits for a signal.
"""

import os
import re
from collections.abc import Iterator
from typing import IO, Any, Literal, Unpack

import msgspec
from msgspec.structs import replace

from orchestrator.core import files
from orchestrator.core.errors import BadInput
from orchestrator.core.problems import Problems
from orchestrator.core.progress import ShowProgress, no_progress
from orchestrator.core.strict_json import strict_json
from orchestrator.core.transaction import SYSTEM
from orchestrator.domain.tasks.commands import Tasks
from orchestrator.domain.tasks.facts import KEPT
from orchestrator.domain.tasks.given_facts import TIMES
from orchestrator.domain.tasks.records import ENDED, Note, Task, TaskStatus
from orchestrator.domain.tasks.relations import KINDS, Gate, GateKind, Link
from orchestrator.domain.validation import check_priority, check_text, check_title
from orchestrator.engine import Engine
from orchestrator.integrations.appendix import Appendix
from orchestrator.integrations.incoming_tasks import (
    ImportOptions,
    IncomingTask,
    Surroundings,
    take_in,
)
from orchestrator.integrations.report import Losses, Report, count_lost, is_plain, known_agent
from orchestrator.integrations.updates import FAILURE_NEED, NEED, NEEDS
from orchestrator.integrations.values import Fields

_LOWEST = 4
_USUAL_PRIORITY = 2
"""The priority that beads gives an issue without one."""

_STATUSES: dict[str, TaskStatus | Literal["deferred"]] = {
    "open": "pending",
    "in_progress": "in_progress",
    "hooked": "in_progress",
    "blocked": "blocked",
    "deferred": "deferred",
    "closed": "done",
}
_DELETED = "tombstone"
_CONTAINER = "molecule"
"""The type of an issue that is done when its parts are done, and that no agent gets as work."""

DESIGN = Appendix("## Design")
"""The design, appended to the description."""

_NOBODY = "beads"
"""The author of notes without one."""

_BLOCKED = "blocked in beads"
_DEFERRED = "deferred in beads, until no set time"
_OTHER_STATUS = re.compile(r"status (\S+) in beads")

_NO_WORK = {
    "agent", "role", "rig", "message", "event", "convoy", "gate", "merge-request", "slot", "queue",
}  # fmt: skip
"""Types of records that are not work, or that beads never lists as ready.

Gas Town also writes them as labels: ``gt:agent``.
"""

_MARKS = {
    "is_template": "templates",
    "ephemeral": "wisps",
    "wisp": "wisps",
    "wisp_plane": "wisps",
    "wisp_type": "wisps",
}
"""Fields that mark a record that is not work, each with its name in the report."""

_COUNTS = (
    "_type", "content_hash", "is_blocked", "dependency_count", "dependent_count", "comment_count",
)  # fmt: skip
"""Fields that follow from others, or that describe the storage of the record."""

_SAME = {"relates-to": "related", "related-to": "related"}
"""Kinds of links that have another name here."""

_NAMES = ("depends_on_id", "depends_on_issue_id", "depends_on_wisp_id", "depends_on_external")
"""Fields for the target of a link, in the exports and in the tables of beads."""

_FAILED = (
    "failed", "rejected", "wontfix", "won't fix", "canceled", "cancelled", "abandoned", "blocked",
    "error", "timeout", "aborted",
)  # fmt: skip
"""Words in a ``close_reason`` that mean for beads that an issue failed."""

_FILES = ("issues.jsonl", "beads.jsonl")
_PARTS = {"dependencies": "issue_id", "labels": "issue_id", "comments": "issue_id"}


# In


def import_beads(
    engine: Engine,
    source: IO[bytes] | str,
    *,
    progress: ShowProgress = no_progress,
    **options: Unpack[ImportOptions],
) -> Report:
    """Import issues into a workstream in one commit; a missing workstream is created.

    Records that are not work or cannot be read are not imported, and are reported.

    Args:
        engine: The board.
        source: The file, or the folder that holds it; ``dependencies.jsonl``, ``labels.jsonl`` and
            ``comments.jsonl`` in the folder are read with it.
        progress: Shows how many issues are read.
        **options: See :class:`orchestrator.integrations.incoming_tasks.ImportOptions`; the workstream is
            ``beads`` if none is named.

    Raises:
        BadInput: No line is an issue; with ``strict``: a line is not an issue. All such lines are named.
        Refused: See :meth:`orchestrator.integrations.incoming_tasks.TaskImport.arrive`.
    """
    reading = _IssueReading(engine.now(), strict=options.get("strict", False))
    if isinstance(source, str):
        reading.read_folder(source, progress)
    else:
        reading.read(source, progress)
    return take_in(
        engine,
        reading.tasks(),
        reading.losses,
        lambda task: _projection(task, engine.now()),
        source="beads",
        usual="beads",
        surroundings=reading.surroundings(),
        **options,
    )


class _IssueReading:
    """Reads the records of an import."""

    def __init__(self, now: str, *, strict: bool) -> None:
        self._now, self._strict = now, strict
        self.losses, self._problems = Losses(), Problems("These issues cannot be taken in")
        self._issues: dict[str, tuple[str, dict[str, Any]]] = {}
        self._left_out: dict[str, bool] = {}
        self._topics: dict[str, str] = {}

    def read_folder(self, folder: str, progress: ShowProgress) -> None:
        """Read the files of a folder, or of the ``.beads`` in it."""
        paths = [os.path.join(folder, inside, name) for inside in ("", ".beads") for name in _FILES]
        path = next(filter(os.path.isfile, paths), paths[0])
        with files.open_file(path) as lines:
            self.read(lines, progress)
        for name, key in _PARTS.items():
            beside = os.path.join(os.path.dirname(path), f"{name}.jsonl")
            if os.path.lexists(beside):
                with files.open_file(beside) as lines:
                    self._read_part(name, key, lines)

    def read(self, lines: IO[bytes], progress: ShowProgress) -> None:
        """Read the lines of a file of issues."""
        for place, line in progress(files.lines("the file", lines), "Reading issues"):
            record = self._problems.attempt(place, _record, line)
            if record is None or "_schema" in record:
                continue
            if record.get("_type") == "memory":
                self._problems.attempt(place, self._remember, Fields(record))
            else:
                self._problems.attempt(place, self._add, place, record)

    def _read_part(self, name: str, key: str, lines: IO[bytes]) -> None:
        for place, line in files.lines(f"{name}.jsonl", lines):
            record = self._problems.attempt(f"{name}.jsonl, {place}", _record, line)
            issue_id = record.get(key) if record is not None else None
            if record is None or issue_id is None:
                continue
            if issue_id not in self._issues:
                self.losses.lose(f"{name} of issues that are not there", example=str(issue_id))
                continue
            items = self._issues[issue_id][1].setdefault(name, [])
            if isinstance(items, list):
                items.append(record.get("label") if name == "labels" else record)

    def _remember(self, memory: Fields) -> None:
        key, value = memory.text("key"), memory.text("value")
        if key and value:
            topic = self.losses.fitted("topic", key)
            self._topics[topic] = f"\n{value}" if value.startswith("---") else value

    def _add(self, place: str, record: dict[str, Any]) -> None:
        issue_id = Fields(record).text("id")
        if not issue_id:
            raise BadInput("it has no id")
        if issue_id in self._issues:
            if self._strict:
                raise BadInput(f"the id {issue_id!a} is there twice")
            self.losses.lose("duplicate ids: the newer counts", example=issue_id)
            if str(record.get("updated_at") or "") < str(
                self._issues[issue_id][1].get("updated_at") or ""
            ):
                return
        self._issues[issue_id] = place, record

    def tasks(self) -> list[tuple[IncomingTask, Losses]]:
        """The issues that are work.

        Raises:
            BadInput: No record can be read; with ``strict``: a record cannot be read.
        """
        taken: list[tuple[IncomingTask, Losses]] = []
        for issue_id, (place, record) in self._issues.items():
            if kind := _no_work(record):
                self.losses.lose(kind, example=issue_id)
                keeps_back = record.get("status") not in ("closed", "pinned", _DELETED)
                self._left_out[issue_id] = keeps_back
                continue
            lost = Losses()
            incoming = self._problems.attempt(place, _incoming_task, Fields(record), lost)
            if incoming is None:
                self._left_out[issue_id] = record.get("status") != "closed"
            else:
                taken.append((incoming, lost))
        self._problems.sort(_number)
        if self._strict or not (taken or self.losses.no_place or self._topics):
            self._problems.check()
        for place, message in self._problems:
            self.losses.lose("records that cannot be read", example=f"{place}: {message}")
        needs = {need for i, _ in taken for need in (*i.needs, *i.needs_failure_of)}
        # A need of another project blocks the issue until that delivers it.
        self._left_out |= {need: True for need in needs if need.startswith("external:")}
        return list(self._settled(taken))

    def _settled(
        self, taken: list[tuple[IncomingTask, Losses]]
    ) -> Iterator[tuple[IncomingTask, Losses]]:
        """Apply the rules of beads that depend on several issues."""
        by_id = {incoming.id: incoming.task for incoming, _ in taken}
        parents = {incoming.parent for incoming, _ in taken}
        for incoming, lost in taken:
            gate, task = incoming.gate, incoming.task
            spawner = by_id.get(gate.of) if gate is not None else None
            if gate is not None and gate.of not in parents and spawner and spawner.status in ENDED:
                gate = None  # without children, "all children" is fulfilled
            parent = by_id.get(incoming.parent or "")
            put_off = parent.defer_until if parent and parent.status not in ENDED else ""
            if put_off > max(task.defer_until, self._now):
                task = replace(task, defer_until=put_off)
            failures = [need for need in incoming.needs_failure_of if not self._has_failed(need)]
            met = len(incoming.needs_failure_of) - len(failures)
            lost.lose("needs of a failure that are met", met, incoming.id)
            yield replace(incoming, task=task, gate=gate, needs_failure_of=tuple(failures)), lost

    def _has_failed(self, issue_id: str) -> bool:
        """Whether an issue is closed because it failed."""
        record = self._issues[issue_id][1] if issue_id in self._issues else {}
        reason = str(record.get("close_reason") or "").lower()
        return record.get("status") == "closed" and any(word in reason for word in _FAILED)

    def surroundings(self) -> Surroundings:
        """The data of the records besides the tasks."""
        return Surroundings(
            left_out=self._left_out,
            missing_keeps_back=bool(self._problems),
            topics=self._topics,
        )


def _number(place: str) -> tuple[str, int]:
    """A key that sorts the places of one file by line."""
    file, _, number = place.rpartition(" ")
    return file, int(number)


def _record(line: bytes) -> dict[str, Any]:
    value = strict_json(files.decoded("it", line))
    if not isinstance(value, dict):
        raise BadInput("it is not an object")
    return value


def _no_work(record: dict[str, Any]) -> str:
    """The name in the report of a record that is not work; empty for work."""
    if record.get("status") == _DELETED:
        return "deleted issues"
    status = record.get("status") or "open"
    if status == "pinned" or (record.get("pinned") and status not in ("blocked", "closed")):
        return "pinned records"
    mark = next((mark for mark in _MARKS if record.get(mark) not in (None, False, 0, "")), "")
    if mark:
        return _MARKS[mark]
    labels = record.get("labels")
    marks = [label.removeprefix("gt:") for label in _texts(labels) if label.startswith("gt:")]
    type = next((word for word in (record.get("issue_type"), *marks) if word in _NO_WORK), None)
    return f"records of the type {type}" if type else ""


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _incoming_task(issue: Fields, losses: Losses) -> IncomingTask:
    issue_id = issue.text("id")
    if not issue_id:
        raise BadInput("it has no id")
    links = _Links(issue, losses)
    task = _task(issue, losses)
    gate = links.gate
    if task.milestone and task.status not in ENDED and gate is None:
        gate = Gate("all", issue_id)
    issue.skip(*_COUNTS)
    issue.lose_rest(losses)
    return IncomingTask(
        id=issue_id,
        task=task,
        needs=tuple(need for need in links.needs if need not in links.failures),
        needs_failure_of=tuple(links.failures),
        parent=links.parent,
        gate=gate,
        links=tuple(dict.fromkeys(links.links)),
    )


def _projection(task: Task, now: str) -> IncomingTask:
    """The result of an export and an import of the task."""
    fields = msgspec.json.decode(msgspec.json.encode(dict(_fields(task, now, Losses()))))
    return _incoming_task(Fields(fields), Losses())


def _task(issue: Fields, losses: Losses) -> Task:
    word = issue.text("status") or "open"
    status = _status(word, losses)
    created_by, assignee = map(losses.agent, (issue.text("created_by"), issue.text("assignee")))
    created, updated = issue.moment("created_at"), issue.moment("updated_at")
    closed, shared = issue.moment("closed_at"), _shared(issue)
    reason = ""
    if status == "deferred":
        status, reason = ("pending", "") if shared["defer_until"] else ("blocked", _DEFERRED)
    elif status == "blocked":
        reason = _BLOCKED
    elif status == "other":
        status, reason = "blocked", f"status {word} in beads"
    elif status == "in_progress":
        losses.lose("claims of work in progress")
        status = "pending"
    if status == "pending" and assignee:
        status = "assigned"
    elif status == "blocked" and assignee:
        losses.lose("assignees of blocked issues")
        assignee = ""
    type = losses.fitted("type", issue.text("issue_type") or "task")
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
        description=check_text(
            "description", DESIGN.join(issue.text("description"), issue.text("design"))
        ),
        status=status,
        type=type,
        priority=_priority(issue),
        labels=losses.labels(issue.texts("labels")),
        estimate=None if minutes is None else float(minutes),
        assigned_to=assignee or None,
        result=check_text("close_reason", closing) if closing and status == "done" else None,
        reason=reason,
        milestone=type == _CONTAINER,
        notes=_notes(issue, losses),
        created_at=created,
        created_by=created_by,
        updated_at=updated,
        ended_at=(closed or updated or created) if status == "done" else None,
        **shared,
    )


_SHARED = {field: kept.beads for field, kept in KEPT.items() if kept.beads}
"""Facts that are the same text or time in beads, with their names there."""


def _shared(issue: Fields) -> dict[str, Any]:
    return {
        field: issue.moment(name) if field in TIMES else check_text(name, issue.text(name))
        for field, name in _SHARED.items()
    }


def _status(word: str, losses: Losses) -> TaskStatus | Literal["deferred", "other"]:
    """The status of the task; in beads an issue with a custom status is not ready."""
    if word not in _STATUSES:
        losses.lose(f"status {word[:50]}")
    return _STATUSES.get(word, "other")


def _priority(issue: Fields) -> int:
    number = issue.number("priority")
    if number is not None and not isinstance(number, int):
        raise BadInput("priority is not a whole number")
    return check_priority(_USUAL_PRIORITY if number is None else number)


def _notes(issue: Fields, losses: Losses) -> tuple[Note, ...]:
    """The notes, which have no author and no time in beads, and the comments."""
    notes = []
    if text := issue.text("notes"):
        notes.append(Note(_NOBODY, "", check_text("notes", text)))
    notes += [
        Note(
            losses.agent(comment.text("author")) or SYSTEM,
            comment.moment("created_at"),
            check_text("comment", comment.text("text")),
        )
        for comment in issue.records("comments")
    ]
    return tuple(notes)


class _Links:
    """The needs, the needs of a failure, the parent, the gate and the other links of an issue."""

    def __init__(self, issue: Fields, losses: Losses) -> None:
        self.needs: dict[str, None] = {}
        self.failures: dict[str, None] = {}
        self.parent: str | None = None
        self.gate: Gate | None = None
        self.links: list[Link] = []
        self._losses = losses
        for dependency in issue.records("dependencies"):
            other = next(filter(None, map(dependency.text, _NAMES)), "")
            if not other:
                raise BadInput("a dependency has no depends_on_id")
            kind = dependency.text("type") or "blocks"
            self._add(_SAME.get(kind, kind), other, dependency)
        self.parent = self.parent or issue.text("parent") or None

    def _add(self, kind: str, other: str, dependency: Fields) -> None:
        if kind == "blocks":
            self.needs[other] = None
        elif kind == "conditional-blocks":
            self.failures[other] = None
        elif kind == "parent-child" and self.parent is None:
            self.parent = other
        elif kind == "waits-for" and self.gate is None:
            how, also_blocks = _how(dependency)
            self.gate = Gate(how, other)
            if also_blocks:
                self.needs[other] = None
        elif kind == "waits-for":
            self._losses.lose("further gates, which wait for the parent of the children now")
            self.needs[other] = None
        elif kind in KINDS or kind == "parent-child":
            self._losses.lose("further parents", int(kind == "parent-child"))
            self.links.append(Link(kind if kind in KINDS else "related", other))
        else:
            self._losses.lose(f"dependencies {kind[:50]}")


def _how(dependency: Fields) -> tuple[GateKind, bool]:
    """``any`` or ``all`` of the children, and whether it waits for the parent too.

    beads keeps that as JSON in a text.
    """
    gate = dependency.object("metadata")
    how: GateKind = "any" if gate.get("gate") == "any-children" else "all"
    return how, gate.get("also_blocks") in (True, "true")


# Out


def export_beads(
    engine: Engine,
    out: IO[str],
    *,
    workstream: str | None = None,
    progress: ShowProgress = no_progress,
) -> Report:
    """Write the tasks of a board as issues of beads, one a line: archived ones too, but no wisps.

    Args:
        engine: The board.
        out: The file.
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
    "estimate", "needs", "needs_failure_of", "parent", "gate", "links", "assigned_to", "result", "reason",
    "notes", "signals", "milestone",
    "created_at", "created_by", "updated_at", "ended_at", *_SHARED,
)  # fmt: skip


def _fields(task: Task, now: str, losses: Losses) -> Iterator[tuple[str, Any]]:
    """Yield the fields of an issue without empty ones, as beads does."""
    count_lost(losses, task, _PLACED)
    yield "id", task.id
    yield "title", task.title
    description, design = DESIGN.split(task.description)
    yield "description", description
    yield from _filled("design", design)
    yield "status", _status_there(task, now, losses)
    if task.priority > _LOWEST:
        losses.lose(f"priority over {_LOWEST}", example=task.id)
    yield "priority", min(task.priority, _LOWEST)
    losses.lose("milestone", int(task.milestone and task.type != _CONTAINER), task.id)
    losses.lose("signals", sum(signal.kind not in NEEDS for signal in task.signals), task.id)
    yield "issue_type", task.type
    yield from _filled("assignee", task.assigned_to)
    if task.estimate is not None:
        if task.estimate != int(task.estimate):
            losses.lose("parts of minutes", example=task.id)
        yield "estimated_minutes", int(task.estimate)
    yield "created_at", task.created_at
    yield from _filled("created_by", known_agent(task.created_by))
    yield "updated_at", task.updated_at
    if task.status in ENDED:
        yield "closed_at", task.ended_at or task.updated_at
        yield from _filled("close_reason", task.result or task.reason)
    elif task.reason not in ("", _BLOCKED, _DEFERRED) and not _OTHER_STATUS.fullmatch(task.reason):
        losses.lose("reason", example=task.id)
    for field, name in _SHARED.items():
        yield from _filled(name, getattr(task, field))
    yield from _filled("labels", task.labels)
    yield from _filled("dependencies", [*_dependencies(task, losses)])
    yield from _filled("notes", "\n\n".join(n.text for n in task.notes if is_plain(n)))
    yield from _filled("comments", [*_comments(task)])


def _filled(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if value:
        yield name, value


def _status_there(task: Task, now: str, losses: Losses) -> str:
    if task.status in ("failed", "cancelled", "in_review"):
        losses.lose(f"status {task.status}", example=task.id)
    if task.status in ENDED:
        return "closed"
    if task.status in ("in_progress", "in_review"):
        return "in_progress"
    if task.status == "blocked":
        other = _OTHER_STATUS.fullmatch(task.reason)
        return other[1] if other else "deferred" if task.reason == _DEFERRED else "blocked"
    return "deferred" if task.defer_until > now else "open"


def _dependencies(task: Task, losses: Losses) -> Iterator[dict[str, str]]:
    pairs = [("parent-child", task.parent)] if task.parent is not None else []
    pairs += [("blocks", need) for need in task.needs]
    pairs += [("conditional-blocks", need) for need in task.needs_failure_of]
    kinds = {NEED: "blocks", FAILURE_NEED: "conditional-blocks"}
    pairs += [(kinds[s.kind], s.name) for s in task.signals if s.kind in NEEDS]
    pairs += [(link.kind, link.task) for link in task.links]
    if task.gate is not None:
        if task.gate.of == task.id:
            losses.lose("gates on own children", int(task.type != _CONTAINER), task.id)
        else:
            pairs.append(("waits-for", task.gate.of))
    for kind, other in pairs:
        dependency = {"issue_id": task.id, "depends_on_id": str(other), "type": kind}
        if kind == "waits-for" and task.gate is not None:
            dependency["metadata"] = f'{{"gate":"{task.gate.how}-children"}}'
        yield dependency


def _comments(task: Task) -> Iterator[dict[str, Any]]:
    comments = (note for note in task.notes if not is_plain(note))
    for number, note in enumerate(comments, start=1):
        yield {
            "id": number,
            "issue_id": task.id,
            **dict(_filled("author", known_agent(note.agent))),
            "text": note.text,
            **dict(_filled("created_at", note.at)),
        }
