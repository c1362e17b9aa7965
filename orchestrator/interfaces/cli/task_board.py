"""``orc board``: the tasks as cards in columns."""

from itertools import zip_longest
from typing import TYPE_CHECKING

import msgspec

from orchestrator.core.printable import escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import VIEW
from orchestrator.interfaces.cli.layout import GAP, cut, padded, terminal_width, wrapped
from orchestrator.interfaces.cli.parameters import ONLY_WORKSTREAM, flag, option
from orchestrator.interfaces.cli.rendering import Answer
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from orchestrator.domain.tasks.records import Task
    from orchestrator.domain.tasks.stages import Stage

CARDS = 10
"""How many cards a column shows; the number of the others is below them."""

_TITLE = 3
"""Lines of a title on a card."""

_COLUMNS: "dict[str, tuple[Stage, ...]]" = {
    "ready": ("ready",),
    "in progress": ("in_progress", "assigned", "lapsed"),
    "in review": ("in_review",),
    "waiting": ("blocked", "waiting", "deferred"),
    "ended": ("done", "failed", "cancelled"),
}
"""The columns, each with the stages of its tasks."""

_MARKED = ("lapsed", "blocked", "deferred", "failed", "cancelled", "assigned")
"""Stages that a card names, since those of its column differ."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column of the board: its first tasks, and the number of all."""

    title: str
    total: int
    tasks: "list[Task]"


@VIEW.command("show", example="show build", reads=("watch",))
@ONLY_WORKSTREAM
@option("--limit", "Cards of a column at most.", types.COUNT, default=CARDS)
@flag("--watch", "Follow them live, as `dashboard` does.")
def show(
    run: Run, workstream: str | None, limit: int, watch: bool
) -> "Answer[list[Column]] | None":
    """Show the tasks in columns: ready, in progress, in review, waiting, and what ended last."""
    if watch:
        from orchestrator.interfaces.cli import dashboard

        dashboard.watch(run, workstream, in_lines=False)
        return None
    from orchestrator.domain.tasks.stages import STAGES, stage_of

    state, now = run.orc.engine.read(), run.orc.engine.now()
    stages = {task.id: stage_of(state, task, now) for task in run.orc.tasks.all(workstream)}
    columns = []
    for title, included in _COLUMNS.items():
        tasks = [state.tasks[task] for task, stage in stages.items() if stage in included]
        tasks.sort(key=lambda task: (STAGES.index(stages[task.id]), task.priority, task.events[0]))
        if title == "ended":
            tasks.sort(key=lambda task: task.ended_at or "", reverse=True)
        columns.append(Column(title=title, total=len(tasks), tasks=tasks[:limit]))
    return Answer(columns, lambda: _page([c for c in columns if c.total], stages))


def _page(columns: list[Column], stages: "dict[str, Stage]") -> str:
    if not columns:
        return "No tasks."
    width = (terminal_width() + len(GAP)) // len(columns) - len(GAP)
    heads = [cut(f"{column.title} ({column.total})", width) for column in columns]
    rows = [[padded(head, width, "bold") for head in heads]]
    texts = [_lines(column, stages, width) for column in columns]
    rows += [[padded(cell, width) for cell in row] for row in zip_longest(*texts, fillvalue="")]
    return "\n".join(GAP.join(row).rstrip() for row in rows)


def _lines(column: Column, stages: "dict[str, Stage]", width: int) -> list[str]:
    """The cards of a column, with a blank line between them."""
    lines: list[str] = []
    for task in column.tasks:
        if task.ended_at:  # a line each: what goes on needs the room
            mark = f" {stages[task.id]}:" if stages[task.id] in _MARKED else ""
            lines.append(cut(f"{task.id}{mark} {escape(task.title)}", width))
        else:
            lines += ["", *_card(task, stages[task.id], width)]
    others = column.total - len(column.tasks)
    return [*lines, "", f"+ {others} more"] if others else lines


def _card(task: "Task", stage: "Stage", width: int) -> list[str]:
    """The id with the priority, the title, and the agent."""
    marks = [f"P{task.priority}", *([stage] if stage in _MARKED else [])]
    marks += ["to be merged"] if task.waits_for else []
    title = wrapped(escape(task.title), width, _TITLE)
    agent = [f"@{escape(task.assigned_to)}"] if task.assigned_to else []
    head = wrapped(f"{task.id} {' '.join(marks)}", width)  # an id is wrapped, never cut
    return [*head, *(cut(line, width) for line in (*title, *agent))]
