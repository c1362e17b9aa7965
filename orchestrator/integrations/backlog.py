"""Task files of Backlog.md: ``tasks/task-1 - Title.md``, YAML frontmatter above sections of markdown.

- Statuses are the words of a column: To Do, In Progress, Done ... A task with an assignee is assigned to
  it here: no claim is taken over. An export brings a ``config.yml`` with the columns that it uses.
- high, medium and low are the priorities 1, 5 and 9.
- Acceptance criteria are the lines of ``acceptance``; a ticked one begins with ``[x]``.
- The plan goes below the description, notes and comments become notes, the final summary is the result.
- Times there are whole minutes (UTC).
"""

import os
import re
import shutil
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from orchestrator.core import clock, names
from orchestrator.core.errors import BadInput, InputOutputError, NotFound, UsageError
from orchestrator.core.problems import Problems
from orchestrator.core.progress import ShowProgress, no_progress
from orchestrator.domain.knowledge import frontmatter
from orchestrator.domain.tasks.commands import Tasks
from orchestrator.domain.tasks.records import ENDED, Note, Task, TaskStatus
from orchestrator.domain.validation import check_text, check_title
from orchestrator.engine import Engine
from orchestrator.integrations import files, sections
from orchestrator.integrations.incoming_tasks import IncomingTask, take_in
from orchestrator.integrations.report import Losses, Report, count_lost
from orchestrator.integrations.sections import Comment, Sections
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
"""Columns by their letters alone."""

_BLOCKED = "blocked in Backlog.md"
_LONGEST_HEAD = 64 * 1024
_PRIORITIES = {"high": 1, "medium": 5, "low": 9}


# In


def import_backlog(
    engine: Engine,
    folder: str,
    *,
    workstream: str = "backlog",
    skip_existing: bool = False,
    agent: str | None = None,
    progress: ShowProgress = no_progress,
) -> Report:
    """Take the tasks of a Backlog.md project into a workstream, which is made if it is not there.

    Args:
        engine: The board.
        folder: The project, or its folder ``backlog``.
        workstream: Where they belong from now on.
        skip_existing: Take in those only that are not on the board.
        agent: Who takes them in.
        progress: Shows how many files are read.

    Raises:
        NotFound: The folder holds no tasks of Backlog.md.
        BadInput: Files are no tasks; every one is named.
        Refused: Some are on the board already, or they wait for one another in a circle.
    """
    losses, problems = Losses(), Problems("These tasks cannot be taken in")
    root = _root(folder)
    incoming_tasks: dict[str, tuple[IncomingTask, Losses]] = {}
    paths = [path for name in _TAKEN for path in files.markdown_files(os.path.join(root, name))]
    for path in progress(paths, "Reading task files"):
        place = os.path.relpath(path, root)
        lost = Losses()
        incoming = problems.attempt(place, _incoming_task, path, lost)
        if incoming is not None and incoming.id.casefold() in incoming_tasks:
            problems.note(place, f"the id {incoming.id!a} is there twice")
        elif incoming is not None:
            incoming_tasks[incoming.id.casefold()] = incoming, lost
    problems.check()
    _lose_other_files(root, losses)
    ids = {folded: incoming.id for folded, (incoming, _) in incoming_tasks.items()}
    return take_in(
        engine,
        [(_linked(incoming, ids), lost) for incoming, lost in incoming_tasks.values()],
        losses,
        workstream=workstream,
        skip_existing=skip_existing,
        agent=agent,
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


def _linked(incoming: IncomingTask, ids: dict[str, str]) -> IncomingTask:
    """The same with its links as the ids are written: Backlog.md takes TASK-1 and task-1 for one."""
    needs = tuple(ids.get(need.casefold(), need) for need in incoming.needs)
    parent = incoming.parent and ids.get(incoming.parent.casefold(), incoming.parent)
    return replace(incoming, needs=needs, parent=parent)


def _incoming_task(path: str, losses: Losses) -> IncomingTask:
    text = files.read_text(path)
    if text.partition("\n")[0].endswith("\r"):
        text = text.replace("\r\n", "\n")
    metadata, body = frontmatter.split(_with_quotes(text))
    fields = Fields(metadata)
    task_id = fields.text("id")
    if not task_id:
        raise BadInput("it has no id")
    task = _task(fields, sections.read(body), losses)
    needs, parent = tuple(fields.texts("dependencies")), fields.text("parent_task_id") or None
    fields.skip("subtasks")  # each of them names its parent
    fields.lose_rest(losses)
    return IncomingTask(id=task_id, task=task, needs=needs, parent=parent)


def _with_quotes(text: str) -> str:
    """The file with names such as ``@ann`` quoted, which Backlog.md reads and YAML does not."""
    head, mark, below = text.partition("\n---")
    if len(head) > _LONGEST_HEAD:
        raise BadInput(f"its frontmatter is longer than {_LONGEST_HEAD} characters")
    quoted = re.sub(
        r"^((?:assignee|reporter): *)(@[^\s'\"]+) *$", r'\1"\2"', head, flags=re.MULTILINE
    )
    listed = re.sub(
        r"^(assignee: *\[)([^'\"\[\]]*)\]",
        lambda match: match[1] + re.sub(r"@[^\s,]+", r'"\g<0>"', match[2]) + "]",
        quoted,
        flags=re.MULTILINE,
    )
    return listed + mark + below


def _task(fields: Fields, body: Sections, losses: Losses) -> Task:
    assignees = [_person(text, losses) for text in fields.texts("assignee")]
    losses.lose("further assignees", len(assignees) - 1 if assignees else 0)
    reporter = fields.text("reporter")
    created, updated = fields.moment("created_date"), fields.moment("updated_date")
    author = assignees[0] if assignees else "backlog"
    status, reason, assignee = _standing(fields.text("status"), assignees, losses)
    ended = fields.moment("actual_end")
    notes = [(body.notes, author, updated or created)] if body.notes else []
    notes += [(c.text, _person(c.author, losses) or author, c.time) for c in body.comments]
    summary = body.summary
    if summary and status not in ENDED:
        notes.append((summary, author, updated or created))
        summary = ""
    return Task(
        id="",
        workstream="",
        title=check_title(fields.text("title")),
        description=check_text("description", body.description),
        status=status,
        type=losses.fitted("type", fields.text("type") or "task"),
        priority=_priority(fields.text("priority"), losses),
        labels=tuple(dict.fromkeys(losses.fitted("label", x) for x in fields.texts("labels"))),
        acceptance=check_text("acceptance", body.acceptance),
        defer_until=fields.moment("planned_start"),
        due=fields.moment("due_date"),
        assigned_to=assignee,
        result=check_text("final summary", summary) if summary and status == "done" else None,
        reason=reason or (check_text("final summary", summary) if status != "done" else ""),
        notes=tuple(
            Note(who, time or created, check_text("note", text)) for text, who, time in notes
        ),
        created_at=created,
        created_by=_person(reporter, losses),
        updated_at=updated or created,
        claimed_at=fields.moment("actual_start") or None,
        ended_at=(ended or updated or created) if status in ENDED else None,
    )


def _person(text: str, losses: Losses) -> str:
    return losses.fitted("agent", text.removeprefix("@"), names.agent) if text else ""


def _standing(
    column: str, assignees: list[str], losses: Losses
) -> tuple[TaskStatus, str, str | None]:
    """Status, reason and holder of a task in a column."""
    word = re.sub(r"[^a-z]", "", column.casefold())
    if word and word not in _STATUSES:
        losses.lose(f"status {column[:50]}")
    status = _STATUSES.get(word, "pending")
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


def _priority(word: str, losses: Losses) -> int:
    known = _PRIORITIES.get(word.casefold())
    if word and known is None:
        losses.lose(f"priority {word[:50]}")
    return 5 if known is None else known


# Out


_PLACED = (
    "id", "workstream", "title", "description", "status", "type", "priority", "labels",
    "acceptance", "needs", "parent", "defer_until", "due", "assigned_to", "result", "reason",
    "notes", "created_at", "created_by", "updated_at", "claimed_at", "ended_at",
)  # fmt: skip


def export_backlog(
    engine: Engine,
    folder: str,
    *,
    workstream: str | None = None,
    progress: ShowProgress = no_progress,
) -> Report:
    """Write the tasks of a board, archived ones included, as a project of Backlog.md.

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
        _save(os.path.join(folder, inside, _file_name(task)), _page(task, losses))
    _save(os.path.join(folder, "config.yml"), _config())


def _save(path: str, text: str) -> None:
    with open(path, "x", encoding="utf-8", newline="\n") as file:
        file.write(text)


def _config() -> str:
    columns = ", ".join(f'"{column}"' for column in dict.fromkeys(_COLUMNS.values()))
    return (
        'project_name: "Exported board"\n'
        f'default_status: "To Do"\nstatuses: [{columns}]\n'
        "labels: []\ndate_format: yyyy-mm-dd hh:mm\n"
    )


def _file_name(task: Task) -> str:
    """``task-<id> - <title>.md``, with letters of the title that are safe in every file system."""
    prefix = "" if task.id.casefold().startswith("task-") else "task-"
    title = re.sub(r"[^\w.-]+", "-", task.title)
    room = 240 - len(f"{prefix}{task.id} - .md".encode())
    short = title.encode()[: max(0, min(100, room))].decode(errors="ignore").strip("-.")
    return f"{prefix}{task.id} - {short}.md" if short else f"{prefix}{task.id}.md"


def _page(task: Task, losses: Losses) -> str:
    count_lost(losses, task, _PLACED)
    if task.status == "in_review":
        losses.lose("reviews")
    metadata = dict(_metadata(task, losses))
    losses.lose("reason", int(task.status == "blocked" and task.reason != _BLOCKED))
    summary = task.result if task.status == "done" else task.reason
    body = Sections(
        description=task.description,
        acceptance=task.acceptance,
        notes="",
        summary=(summary or "") if task.status in ENDED else "",
        comments=[Comment(note.agent, _minute(note.at, losses), note.text) for note in task.notes],
    )
    return frontmatter.join(metadata, sections.write(body))


def _metadata(task: Task, losses: Losses) -> Iterator[tuple[str, object]]:
    yield "id", task.id
    yield "title", task.title
    yield "status", _COLUMNS[task.status]
    yield "assignee", [f"@{task.assigned_to}"] if task.assigned_to else []
    yield "reporter", f"@{task.created_by}"
    yield "created_date", _minute(task.created_at, losses)
    yield "updated_date", _minute(task.updated_at, losses)
    yield "labels", list(task.labels)
    yield "dependencies", list(task.needs)
    if task.parent is not None:
        yield "parent_task_id", task.parent
    yield "priority", _word(task.priority, losses)
    if task.type != "task":
        yield "type", task.type
    times = {
        "due_date": task.due,
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


def _minute(moment: str, losses: Losses) -> str:
    """A time as Backlog.md writes it."""
    losses.lose("seconds of times", int(moment[17:] not in ("", "00.000Z")))
    return clock.check(moment)[:16].replace("T", " ") if moment else ""
