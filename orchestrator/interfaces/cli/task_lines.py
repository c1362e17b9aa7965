"""A task in one line, as listings show it."""

from typing import TYPE_CHECKING

from orchestrator.core.printable import escape, few
from orchestrator.domain.tasks.records import ENDED, Task
from orchestrator.interfaces.cli.layout import paint, shown_time
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from orchestrator.domain.tasks.blockers import Blocker

COLOURS = {
    "in_progress": "blue",
    "blocked": "yellow",
    "in_review": "yellow",
    "done": "green",
    "failed": "red",
}

SHOWN = 3
"""Reasons that a line of a listing gives."""


def line(task: "Task") -> str:
    """``[status] ID: TITLE -> agent``."""
    status = paint(f"[{task.status}]", COLOURS.get(task.status, ""))
    holder = f" -> {escape(task.assigned_to)}" if task.assigned_to else ""
    return f"{status} {task.id}: {escape(task.title)}{holder}"


def why(blocker: "Blocker") -> str:
    """A blocker of a task, with the command that removes it."""
    way = f" (`{escape(blocker.command)}`)" if blocker.command else ""
    return f"{escape(blocker.says)}{way}"


def line_of(run: Run, task: "Task") -> str:
    """The line of a task, with short notes about its blockers and times."""
    now = run.orc.engine.now()
    lapsed = " (lapsed)" if task.has_lapsed(now) else ""
    review = f" ({review_of(task, now)})" if task.review_until > now else ""
    return line(task) + lapsed + review + _in_short(run, task)


def review_of(task: "Task", now: str) -> str:
    """Who reviews a task until when; empty if no agent does."""
    if task.review_until <= now:
        return ""
    return f"{escape(task.reviewer or '')} reviews it until {shown_time(task.review_until, now)}"


def _in_short(run: Run, task: "Task") -> str:
    if task.status in ENDED or (task.is_clear and not task.defer_until):
        return ""
    notes: dict[str, None] = {}
    for blocker in run.orc.links.blockers(task.id):
        if blocker.kind == "deferred":
            notes[f"put off until {shown_time(task.defer_until)}"] = None
        elif blocker.task is not None:
            children = "children of " if blocker.kind == "children" else ""
            is_own = blocker.task == task.id
            notes[f"waits for {'its children' if is_own else children + blocker.task}"] = None
        elif blocker.kind == "signal":
            notes[escape(blocker.says)] = None
    return f" ({', '.join(few([*notes], SHOWN))})" if notes else ""
