"""The tasks that a report counts, archived ones included, and how they are grouped."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from orchestrator.core import clock
from orchestrator.core.errors import UsageError
from orchestrator.core.progress import ShowProgress
from orchestrator.domain.tasks.commands import Tasks
from orchestrator.domain.tasks.records import Task

if TYPE_CHECKING:
    from orchestrator.engine import Engine

LONGEST = 3660
"""Days that a report can go back."""

DAY = 86400.0
"""Seconds of a day."""

Key = Callable[[Task], str | None]
"""The name of the group that a task belongs to, if it belongs to one."""


def all_tasks(
    engine: "Engine", workstream: str | None, agent: str | None, progress: ShowProgress
) -> Iterator[Task]:
    """Yield the tasks of a workstream and agent, or of all, each with the present name of its agent."""
    aliases = engine.read().agents.aliases
    name = aliases.get(agent, agent) if agent is not None else None
    for task in Tasks(engine).ever(workstream, progress):
        holder = aliases.get(task.assigned_to or "", task.assigned_to)
        if name is None or holder == name:
            # Archived records keep the name that an agent had then.
            yield replace(task, assigned_to=holder)


def grouped(tasks: Iterable[Task], key: Key) -> dict[str, list[Task]]:
    """Return the tasks of each group; groups with numbers for names are in the order of the numbers."""
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        name = key(task)
        if name is not None:
            groups.setdefault(name, []).append(task)
    return {name: groups[name] for name in sorted(groups, key=lambda name: (_number(name), name))}


def by_workstream(task: Task) -> str:
    """Group by workstream."""
    return task.workstream


def by_priority(task: Task) -> str:
    """Group by priority."""
    return str(task.priority)


def by_type(task: Task) -> str:
    """Group by type."""
    return task.type


def by_agent(task: Task) -> str | None:
    """Group by the agent that has the task, or had it last."""
    return task.assigned_to


def first_moment(now: str, days: int) -> str:
    """Return the first moment of the day (UTC) that begins the last so many days.

    Raises:
        UsageError: The number of days is out of range.
    """
    if not 1 <= days <= LONGEST:
        raise UsageError(f"{days} is no number of days", hint=f"Give 1 to {LONGEST}.")
    return clock.after(now, -(days - 1) * DAY)[:10] + "T00:00:00.000Z"


def share(part: float, whole: float) -> float:
    """Return a part of a whole, 0 if there is no whole."""
    return round(part / whole, 4) if whole > 0 else 0.0


def _number(name: str) -> int:
    return int(name) if name.isdecimal() and name.isascii() and len(name) < 5 else 0
