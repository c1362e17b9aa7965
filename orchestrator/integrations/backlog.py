"""Task files of Backlog.md: ``tasks/task-1 - Title.md``, YAML frontmatter above sections of markdown.

- A status is the name of a column: To Do, In Progress, Done ... A task with an assignee is assigned to it;
  claims are not imported. An export writes a ``config.yml`` with the columns that it uses.
- The priorities high, medium and low become 1, 5 and 9.
- Acceptance criteria become the lines of ``acceptance``; a ticked criterion begins with ``[x]``.
- The plan is appended to the description, the definition of done to the acceptance criteria. Notes and
  comments become notes, the final summary becomes the result.
- A need of a missing task becomes a signal, because it blocks in Backlog.md too.
- Times in Backlog.md are whole minutes (UTC).
"""

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Unpack

from msgspec.structs import replace

from orchestrator.core import clock, files, moments
from orchestrator.core.errors import (
    BadInput,
    InputOutputError,
    NotFound,
    OrchestratorError,
    UsageError,
)
from orchestrator.core.problems import Problems
from orchestrator.core.progress import ShowProgress, no_progress
from orchestrator.core.transaction import SYSTEM
from orchestrator.domain.knowledge import frontmatter
from orchestrator.domain.tasks.commands import Tasks
from orchestrator.domain.tasks.records import ENDED, Note, Task, TaskStatus
from orchestrator.domain.validation import check_text, check_title
from orchestrator.engine import Engine
from orchestrator.integrations import sections
from orchestrator.integrations.appendix import Appendix
from orchestrator.integrations.incoming_tasks import (
    ImportOptions,
    IncomingTask,
    Surroundings,
    take_in,
)
from orchestrator.integrations.report import Losses, Report, count_lost, is_plain, known_agent
from orchestrator.integrations.sections import Comment, Sections
from orchestrator.integrations.updates import NEED
from orchestrator.integrations.values import Fields

_TAKEN = ("tasks", "completed")
"""Folders whose files are tasks."""

_COLUMNS = {
    "pending": "To Do",
    "assigned": "To Do",
    "in_progress": "In Progress",
    "in_review": "In Review",
    "blocked": "Blocked",
    "done": "Done",
    "failed": "Failed",
    "cancelled": "Cancelled",
}
_STATUSES: dict[str, TaskStatus] = {
    "todo": "pending",
    "open": "pending",
    "backlog": "pending",
    "inprogress": "in_progress",
    "doing": "in_progress",
    "inreview": "in_progress",
    "review": "in_progress",
    "blocked": "blocked",
    "done": "done",
    "complete": "done",
    "completed": "done",
    "closed": "done",
    "failed": "failed",
    "cancelled": "cancelled",
    "canceled": "cancelled",
}
"""The status for each column, whose name is reduced to its letters."""

PLAN = Appendix("## Implementation Plan")
"""The plan, appended to the description."""

DONE = Appendix("Definition of done:", "\n")
"""The definition of done, appended to the acceptance criteria."""

_NOBODY = "backlog"
"""The author of notes without one."""

_BLOCKED = "blocked in Backlog.md"
_LONGEST_HEAD = 64 * 1024
_PRIORITIES = {"high": 1, "medium": 5, "low": 9}


# In


def import_backlog(
    engine: Engine,
    folder: str,
    *,
    progress: ShowProgress = no_progress,
    **options: Unpack[ImportOptions],
) -> Report:
    """Import the tasks of a Backlog.md project into a workstream; a missing workstream is created.

    Files that cannot be read are not imported, and are reported.

    Args:
        engine: The board.
        folder: The project, or its folder ``backlog``.
        progress: Shows how many files are read.
        **options: See :class:`orchestrator.integrations.incoming_tasks.ImportOptions`; the workstream is
            ``backlog`` if none is named.

    Raises:
        NotFound: The folder holds no tasks of Backlog.md.
        BadInput: No file is a task; with ``strict``: a file is not a task. All such files are named.
        Refused: See :meth:`orchestrator.integrations.incoming_tasks.TaskImport.arrive`.
    """
    root = _root(folder)
    project = _Project(root, strict=options.get("strict", False))
    project.read(progress)
    _lose_other_files(root, project.losses)
    return take_in(
        engine,
        project.tasks(),
        project.losses,
        _projection,
        source="Backlog.md",
        usual="backlog",
        surroundings=Surroundings(missing_keeps_back=True),
        **options,
    )


def _root(folder: str) -> str:
    """The folder that holds ``tasks``."""
    for inside in ("", "backlog", ".backlog"):
        root = os.path.join(folder, inside) if inside else folder
        if os.path.isdir(os.path.join(root, "tasks")):
            return root
    raise NotFound(
        f"{folder} holds no tasks of Backlog.md",
        code="file_not_found",
        hint="Name the project, or its folder `backlog`, which has a folder `tasks`.",
    )


def _lose_other_files(root: str, losses: Losses) -> None:
    """Count the files of the other folders: drafts, documents, decisions, archived tasks."""
    for path, folders, entries in os.walk(root):
        folders.sort()
        name = os.path.relpath(path, root)
        if name.partition(os.sep)[0] not in (".", *_TAKEN):
            losses.lose(f"files in {name}", sum(file.endswith(".md") for file in entries))


class _Project:
    """Reads the task files of a project."""

    def __init__(self, root: str, *, strict: bool) -> None:
        self._root, self._strict = root, strict
        self.losses, self._problems = Losses(), Problems("These tasks cannot be taken in")
        self._tasks: dict[str, tuple[IncomingTask, Losses]] = {}
        config = self._config()
        self._prefix = Fields(config, self.losses).text("task_prefix").casefold() or "task"
        self._last_column = _letters((Fields(config, self.losses).texts("statuses") or [""])[-1])

    def _config(self) -> dict[str, Any]:
        """The settings of the project; empty if it has none or they cannot be read."""
        above = os.path.join(self._root, os.pardir)
        for path in (
            os.path.join(self._root, "config.yml"),
            os.path.join(self._root, "config.yaml"),
            os.path.join(above, "backlog.config.yml"),
        ):
            if os.path.isfile(path):
                try:
                    config = frontmatter.load(files.read_text(path))
                except OrchestratorError:
                    break
                return config if isinstance(config, dict) else {}
        return {}

    def read(self, progress: ShowProgress) -> None:
        """Read the files; Backlog.md too ignores files with other names."""
        paths = [
            os.path.join(folder, path)
            for folder in _TAKEN
            for path in map(os.path.basename, files.markdown_files(f"{self._root}/{folder}"))
        ]
        for place in progress(paths, "Reading task files"):
            if os.path.basename(place).casefold().startswith(f"{self._prefix}-"):
                self._problems.attempt(place, self._add, place)
            else:
                self.losses.lose(f"files that are not {self._prefix}-*.md", example=place)

    def _add(self, place: str) -> None:
        lost = Losses()
        text = files.read_text(os.path.join(self._root, place))
        metadata, body = _TaskFile.split(text)
        task_file = _TaskFile(metadata, body, lost, self._last_column, lenient=not self._strict)
        if not self._strict:
            task_file.take_names_from(os.path.basename(place))
        incoming = task_file.incoming_task(completed=place.startswith("completed"))
        key = self._key(incoming.id)
        if key in self._tasks:
            if self._strict:
                raise BadInput(f"the id {incoming.id!a} is there twice")
            self.losses.lose("duplicate ids: the newer counts", example=incoming.id)
            if incoming.task.updated_at < self._tasks[key][0].task.updated_at:
                return
        self._tasks[key] = incoming, lost

    def _key(self, task_id: str) -> str:
        """A key that is equal for ids that are equal in Backlog.md: ``2``, ``task-2``, ``TASK-02``."""
        text = task_id.strip().casefold()
        prefix, number = re.fullmatch(r"(?:([a-z]+)-)?(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
        if re.fullmatch(r"[0-9]+(\.[0-9]+)*", number):
            number = ".".join(part.lstrip("0") or "0" for part in number.split("."))
        return f"{prefix or self._prefix}-{number}"

    def tasks(self) -> list[tuple[IncomingTask, Losses]]:
        """The tasks; their links have ids in the spelling of the files.

        Raises:
            BadInput: No file can be read; in a strict import: a file cannot be read.
        """
        if self._strict or not self._tasks:
            self._problems.check()
        for place, message in self._problems:
            self.losses.lose("files that cannot be read", example=f"{place}: {message}")
        return [(self._linked(incoming), lost) for incoming, lost in self._tasks.values()]

    def _linked(self, incoming: IncomingTask) -> IncomingTask:
        needs = tuple(dict.fromkeys(map(self._written, incoming.needs)))
        parent = incoming.parent and self._written(incoming.parent)
        return replace(incoming, needs=needs, parent=parent)

    def _written(self, task_id: str) -> str:
        known = self._tasks.get(self._key(task_id))
        return known[0].id if known else task_id


class _TaskFile:
    """Makes a task of a task file."""

    def __init__(
        self,
        metadata: dict[str, Any],
        body: str,
        losses: Losses,
        last_column: str = "",
        *,
        lenient: bool = True,
    ) -> None:
        self._fields = Fields(metadata, losses if lenient else None)
        self._body, self._losses, self._last_column = body, losses, last_column
        self._lenient = lenient
        self._id, self._title = self._fields.text("id"), self._fields.text("title")

    @staticmethod
    def split(text: str) -> tuple[dict[str, Any], str]:
        """The frontmatter of a file, and the body below it."""
        if text.partition("\n")[0].endswith("\r"):
            text = text.replace("\r\n", "\n")
        return frontmatter.split(_with_quotes(text))

    def take_names_from(self, file: str) -> None:
        """Set a missing id or title from the name of the file: ``task-1 - Title.md``."""
        name = file.removesuffix(".md")
        self._losses.lose("ids that only the file names", int(not self._id))
        self._id = self._id or name.partition(" ")[0]
        self._title = self._title or name.partition(" - ")[2] or self._id

    def incoming_task(self, *, completed: bool = False) -> IncomingTask:
        """The task; in the folder of completed tasks it is done, whatever its status is."""
        if not self._id:
            raise BadInput("it has no id")
        fields, losses = self._fields, self._losses
        body = sections.read(self._body, losses if self._lenient else None)
        task = _task(fields, self._title, body, self._last_column, losses)
        if completed and task.status not in ENDED:
            task = replace(task, status="done", reason="", ended_at=task.updated_at)
        needs, parent = fields.texts("dependencies"), fields.text("parent_task_id") or None
        fields.skip("subtasks")  # each of them names its parent
        fields.lose_rest(losses)
        return IncomingTask(id=self._id, task=task, needs=tuple(needs), parent=parent)


def _projection(task: Task) -> IncomingTask:
    """The result of an export and an import of the task.

    It skips the YAML of the frontmatter, which takes half of the time and changes no value.
    """
    return _TaskFile(*_file(task, Losses()), Losses()).incoming_task()


_NAMED = re.compile(r"^([ \t]*(?:assignee|reporter): *)(\S.*)$", re.MULTILINE)


def _with_quotes(text: str) -> str:
    """Quote names such as ``@ann`` in a file: Backlog.md reads them without quotes, YAML does not."""
    head, mark, below = text.partition("\n---")
    if len(head) > _LONGEST_HEAD:
        raise BadInput(f"its frontmatter is longer than {_LONGEST_HEAD} characters")
    return _NAMED.sub(_quoted, head) + mark + below


def _quoted(match: re.Match[str]) -> str:
    value = match[2].rstrip()
    if value.startswith("["):
        value = re.sub(r"(?<=[\[,])\s*(@[^\s,\]'\"]+)", r' "\1"', value)
    elif value[0] not in "'\"-{|>&*!":
        value = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return match[1] + value


def _task(fields: Fields, title: str, body: Sections, last: str, losses: Losses) -> Task:
    people = [name.strip() for text in fields.texts("assignee") for name in text.split(",")]
    assignees = [losses.agent(name) for name in people if name]
    losses.lose("further assignees", len(assignees) - 1 if assignees else 0)
    reporter = losses.agent(fields.text("reporter"))
    created, updated = fields.moment("created_date"), fields.moment("updated_date")
    status, reason, assignee = _standing(fields.text("status"), assignees, last, losses)
    ended = fields.moment("actual_end")
    notes = [Note(_NOBODY, "", body.notes)] if body.notes else []
    notes += [Note(losses.agent(c.author) or SYSTEM, c.time, c.text) for c in body.comments]
    summary = body.summary
    if summary and status not in ENDED:
        losses.lose("final summaries of open tasks, which are notes now")
        notes.append(Note(_NOBODY, "", summary))
        summary = ""
    return Task(
        id="",
        workstream="",
        title=check_title(title),
        description=check_text("description", PLAN.join(body.description, body.plan)),
        status=status,
        type=losses.fitted("type", fields.text("type") or "task"),
        priority=_priority(fields.text("priority"), losses),
        labels=losses.labels(fields.texts("labels")),
        acceptance=check_text("acceptance", DONE.join(body.acceptance, body.done)),
        defer_until=fields.moment("planned_start"),
        due=fields.moment("due_date", is_end=True),
        assigned_to=assignee,
        result=check_text("final summary", summary) if summary and status == "done" else None,
        reason=reason or (check_text("final summary", summary) if status != "done" else ""),
        notes=tuple(replace(note, text=check_text("note", note.text)) for note in notes),
        created_at=created,
        created_by=reporter,
        updated_at=updated or created,
        claimed_at=fields.moment("actual_start") or None,
        ended_at=(ended or updated or created) if status in ENDED else None,
    )


def _standing(
    column: str, assignees: list[str], last: str, losses: Losses
) -> tuple[TaskStatus, str, str | None]:
    """Status, reason and holder of a task in a column; the last column contains finished work."""
    word = _letters(column)
    status = _STATUSES.get(word, "pending")
    if word and word == last and status not in ENDED:
        status = "done"
    elif word and word not in _STATUSES:
        losses.lose(f"status {column[:50]}")
    holder = assignees[0] if assignees else None
    if status == "blocked":
        losses.lose("assignees of blocked tasks", int(holder is not None))
        return status, _BLOCKED, None
    if status == "in_progress":
        losses.lose("claims of work in progress")
        status = "pending"
    if status == "pending" and holder is not None:
        status = "assigned"
    return status, "", holder


def _letters(column: str) -> str:
    return re.sub(r"[\W_]", "", column.casefold())


def _priority(word: str, losses: Losses) -> int:
    known = _PRIORITIES.get(word.casefold())
    if word and known is None:
        losses.lose(f"priority {word[:50]}")
    return 5 if known is None else known


# Out


_PLACED = (
    "id", "workstream", "title", "description", "status", "type", "priority", "labels",
    "acceptance", "needs", "parent", "defer_until", "due", "assigned_to", "result", "reason",
    "notes", "created_at", "created_by", "updated_at", "claimed_at", "ended_at", "signals",
)  # fmt: skip


def export_backlog(
    engine: Engine,
    folder: str,
    *,
    workstream: str | None = None,
    progress: ShowProgress = no_progress,
) -> Report:
    """Write the tasks of a board, including archived ones, as a project of Backlog.md.

    Args:
        engine: The board.
        folder: A new folder, or an empty one; it is there as a whole or not at all.
        workstream: Only tasks of this stream; None for all.
        progress: Shows how many tasks are written.

    Raises:
        NotFound: There is no such workstream.
        UsageError: The folder is not empty.
    """
    folder = os.path.abspath(folder)
    if os.path.islink(folder) or (os.path.lexists(folder) and not _is_empty(folder)):
        raise UsageError(f"{folder} is there already", hint="Name a new folder.")
    losses = Losses()
    unfinished = f"{folder}.part-{os.getpid()}"
    try:
        written = list(Tasks(engine).lasting(workstream, progress))
        _write(progress(written, "Writing task files"), unfinished, losses)
        if os.path.isdir(folder):
            os.rmdir(folder)  # an empty one, which not every system replaces
        os.rename(unfinished, folder)
    except OSError as error:
        raise InputOutputError(f"{folder} cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    if workstream is None:
        losses.lose("workstream", len(written))
    return losses.report(written)


def _is_empty(folder: str) -> bool:
    return os.path.isdir(folder) and not os.listdir(folder)


def _write(tasks: Iterable[Task], folder: str, losses: Losses) -> None:
    for name in _TAKEN:
        os.makedirs(os.path.join(folder, name))
    for task in tasks:
        inside = _TAKEN[task.status in ENDED]
        text = frontmatter.join(*_file(task, losses))
        _save(os.path.join(folder, inside, _file_name(task)), text)
    _save(os.path.join(folder, "config.yml"), _config())


def _save(path: str, text: str) -> None:
    with open(path, "x", encoding="utf-8", newline="\n") as file:
        file.write(text)


def _config() -> str:
    # The last column is the one of finished work, which keeps nothing back.
    names = dict.fromkeys(column for column in _COLUMNS.values() if column != _COLUMNS["done"])
    columns = ", ".join(f'"{column}"' for column in (*names, _COLUMNS["done"]))
    return (
        'project_name: "Exported board"\n'
        f'default_status: "To Do"\nstatuses: [{columns}]\n'
        "labels: []\ndate_format: yyyy-mm-dd hh:mm\n"
    )


def _file_name(task: Task) -> str:
    """The file name ``task-<id> - <title>.md``, with characters that every file system allows."""
    prefix = "" if task.id.casefold().startswith("task-") else "task-"
    title = re.sub(r"[^\w.-]+", "-", task.title)
    room = 240 - len(f"{prefix}{task.id} - .md".encode())
    short = title.encode()[: max(0, min(100, room))].decode(errors="ignore").strip("-.")
    return f"{prefix}{task.id} - {short}.md" if short else f"{prefix}{task.id}.md"


def _file(task: Task, losses: Losses) -> tuple[dict[str, Any], str]:
    """The frontmatter of the file of a task, and its body."""
    count_lost(losses, task, _PLACED)
    losses.lose("reviews", int(task.status == "in_review"), task.id)
    losses.lose("signals", sum(signal.kind != NEED for signal in task.signals), task.id)
    metadata = dict(_metadata(task, losses))
    blocked_elsewhere = task.status == "blocked" and task.reason != _BLOCKED
    losses.lose("reason", int(blocked_elsewhere), task.id)
    summary = task.result if task.status == "done" else task.reason
    description, plan = PLAN.split(task.description)
    acceptance, done = DONE.split(task.acceptance)
    body = Sections(
        description=description,
        plan=plan,
        acceptance=acceptance,
        done=done,
        notes="\n\n".join(note.text for note in task.notes if is_plain(note)),
        summary=(summary or "") if task.status in ENDED else "",
        comments=[_comment(note, losses) for note in task.notes if not is_plain(note)],
    )
    return metadata, sections.write(body)


def _comment(note: Note, losses: Losses) -> Comment:
    return Comment(known_agent(note.agent), _minute(note.at, losses), note.text)


def _metadata(task: Task, losses: Losses) -> Iterator[tuple[str, str | list[str]]]:
    yield "id", task.id
    yield "title", task.title
    yield "status", _COLUMNS[task.status]
    yield "assignee", [f"@{task.assigned_to}"] if task.assigned_to else []
    if reporter := known_agent(task.created_by):
        yield "reporter", f"@{reporter}"
    yield "created_date", _minute(task.created_at, losses)
    yield "updated_date", _minute(task.updated_at, losses)
    yield "labels", list(task.labels)
    missing = (signal.name for signal in task.signals if signal.kind == NEED)
    yield "dependencies", [*task.needs, *missing]
    if task.parent is not None:
        yield "parent_task_id", task.parent
    yield "priority", _word(task.priority, losses)
    if task.type != "task":
        yield "type", task.type
    if task.due:
        yield "due_date", _day(task.due) or _minute(task.due, losses)
    times = {
        "planned_start": task.defer_until,
        "actual_start": task.claimed_at,
        "actual_end": task.ended_at,
    }
    for name, moment in times.items():
        if moment:
            yield name, _minute(moment, losses)


def _word(priority: int, losses: Losses) -> str:
    losses.lose("priority between the words", int(priority not in _PRIORITIES.values()))
    return "high" if priority <= 3 else "medium" if priority <= 6 else "low"


def _day(moment: str) -> str:
    """The date if the time is the end of a day; else empty."""
    day = datetime.fromtimestamp(clock.seconds(moment)).date().isoformat()
    return day if moments.moment(day, moment, is_end=True) == moment else ""


def _minute(moment: str, losses: Losses) -> str:
    """A time as Backlog.md writes it."""
    losses.lose("seconds of times", int(moment[17:] not in ("", "00.000Z")))
    return clock.check(moment)[:16].replace("T", " ") if moment else ""
