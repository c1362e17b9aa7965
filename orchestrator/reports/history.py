"""The tasks that a report counts, archived ones included, and how they are grouped."""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from msgspec.structs import replace

from orchestrator.core import clock
from orchestrator.core.decoding import whole_number
from orchestrator.core.errors import UsageError
from orchestrator.core.multimap import multimap
from orchestrator.core.progress import ShowProgress
from orchestrator.domain.tasks.commands import Tasks
from orchestrator.domain.tasks.records import Task
from orchestrator.engine import Engine

R = TypeVar("R")

LONGEST = 3660
"""The largest number of days in a report."""

DAY = 86400.0
"""Seconds of a day."""


def all_tasks(
    engine: Engine, workstream: str | None, agent: str | None, progress: ShowProgress
) -> Iterator[Task]:
    """Yield the tasks of a workstream and agent, or of all, each with the present name of its agent."""
    aliases = engine.read().agents.aliases
    name = aliases.get(agent, agent) if agent is not None else None
    for task in Tasks(engine).ever(workstream, progress):
        holder = aliases.get(task.assigned_to or "", task.assigned_to)
        if name is None or holder == name:
            # Archived records keep the former name of an agent.
            yield replace(task, assigned_to=holder)


def grouped(tasks: Iterable[Task], field: str, measure: Callable[[list[Task]], R]) -> dict[str, R]:
    """Measure the tasks of each value of a field, in numeric order."""
    values = ((getattr(task, field), task) for task in tasks)
    groups = multimap((str(value), task) for value, task in values if value is not None)
    ranked = sorted(groups, key=lambda name: (whole_number(name, 4) or 0, name))
    return {name: measure(groups[name]) for name in ranked}


def first_moment(now: str, days: int) -> str:
    """Return the start (UTC) of a period of the last days.

    Raises:
        UsageError: The number of days is out of range.
    """
    if not 1 <= days <= LONGEST:
        raise UsageError(f"{days} is not a number of days", hint=f"Give 1 to {LONGEST}.")
    return clock.after(now, -(days - 1) * DAY)[:10] + "T00:00:00.000Z"


def share(part: float, whole: float) -> float:
    """Return a share, 0 if the whole is 0."""
    return round(part / whole, 4) if whole > 0 else 0.0


def spread(lengths: Iterable[float], **shares: float) -> dict[str, Any]:
    """Return the count, the mean, the median and quantiles of durations; all are 0 without any.

    A duration is at least 0, even if the clock was set back.

    Args:
        lengths: The durations in seconds.
        **shares: The share of each quantile, by its name.
    """
    ranked = sorted(max(0.0, length) for length in lengths)
    if not ranked:
        return {"count": 0, "mean": 0.0, "median": 0.0, **dict.fromkeys(shares, 0.0)}
    values = {"mean": statistics.fmean(ranked), "median": statistics.median(ranked)}
    values |= {name: quantile(ranked, share) for name, share in shares.items()}
    return {"count": len(ranked), **{name: round(value, 3) for name, value in values.items()}}


def quantile(values: Iterable[float], share: float) -> float:
    """Return the quantile of the values; there must be at least one."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]
