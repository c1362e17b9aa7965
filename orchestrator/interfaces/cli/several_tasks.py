"""``orc task label``, ``move``, ``delete``: commands that change several tasks in one commit."""

from typing import TYPE_CHECKING

from orchestrator.core.calls import split_list
from orchestrator.core.errors import UsageError
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import LABEL, TASK
from orchestrator.interfaces.cli.layout import table
from orchestrator.interfaces.cli.parameters import Decorator, argument, option, together
from orchestrator.interfaces.cli.rendering import Answer
from orchestrator.interfaces.cli.run import Run
from orchestrator.interfaces.cli.task_words import Words, all_changed, named

if TYPE_CHECKING:
    from orchestrator.domain.tasks.records import Task


def _tasks_and(last: str, help: str) -> Decorator:
    """Declare the words ``IDS... LAST``, and ``--ids`` in place of the tasks."""
    words = argument("words...", help, types.TASK_ID, metavar=f"IDS... {last}")
    ids = option("--ids", "The tasks.", types.TASK_ID, many=True, rare=True)
    return together(words, ids)


def _split(words: Words, ids: Words | None, last: str) -> tuple[Words, str]:
    """Return the tasks, and the word after them.

    Raises:
        UsageError: There is only one word and no ``--ids``.
    """
    words = (*(ids or ()), *words)
    if len(words) < 2:
        raise UsageError(f"The {last} is missing", hint=f"It follows the tasks: IDS... {last}")
    return words[:-1], words[-1]


def _changed(run: Run, tasks: "list[Task]", what: str) -> "Answer[list[Task]]":
    return all_changed(run, tasks, lambda task: f"{named(task)}: {what}")


@LABEL.command("add", example="add 299833bc 1f00aa2b urgent", idempotent=True)
@_tasks_and("LABEL", "The tasks, and the label; several: ui,urgent.")
def add(run: Run, words: Words, ids: Words | None) -> "Answer[list[Task]]":
    """Add a label to tasks."""
    tasks, labels = _split(words, ids, "LABEL")
    changed = run.orc.tasks.label(tasks, add=split_list(labels))
    return _changed(run, changed, f"labelled {escape(labels)}")


@LABEL.command("remove", example="remove 299833bc 1f00aa2b urgent", idempotent=True)
@_tasks_and("LABEL", "The tasks, and the label; several: ui,urgent.")
def remove(run: Run, words: Words, ids: Words | None) -> "Answer[list[Task]]":
    """Remove a label from tasks."""
    tasks, labels = _split(words, ids, "LABEL")
    changed = run.orc.tasks.label(tasks, remove=split_list(labels))
    return _changed(run, changed, f"not labelled {escape(labels)} any more")


@LABEL.command("list", example="list", reads=True)
def list_labels(run: Run) -> "Answer[dict[str, int]]":
    """List the labels of the live tasks, most used first."""
    counts = run.orc.tasks.labels()
    headers = ("label", "tasks")
    return Answer(counts, lambda: table(headers, [*counts.items()]) if counts else "No labels.")


@TASK.command("move", example="move 299833bc 1f00aa2b docs")
@_tasks_and("WS", "The tasks, and the workstream where they belong then.")
def move(run: Run, words: Words, ids: Words | None) -> "Answer[list[Task]]":
    """Move tasks, and their parts, to another workstream."""
    tasks, workstream = _split(words, ids, "WS")
    moved = run.orc.tasks.move(tasks, workstream)
    return _changed(run, moved, f"now in {escape(workstream)}")


@TASK.command("delete", example='delete 299833bc --reason "Added twice"', destructive=True)
@argument("tasks...", "The tasks.", types.TASK_ID, metavar="IDS...")
@option("--reason", "Why.", default="")
def delete(run: Run, tasks: Words, reason: str) -> "Answer[list[Task]]":
    """Delete tasks: no list and no count contains them, and their ids are not used again.

    An open task is cancelled first. `t show` and the log keep its history. A task that others wait for cannot
    be deleted. `t archive` removes ended tasks from the lists but keeps them in the counts.
    """
    deleted = run.orc.tasks.delete(tasks, reason=reason)
    return _changed(run, deleted, "deleted")
