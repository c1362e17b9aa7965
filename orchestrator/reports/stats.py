"""How the tasks of a board stand now: counts by status, workstream, priority, type and agent."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from orchestrator.core.progress import ShowProgress, no_progress
from orchestrator.domain.tasks.records import ENDED, HELD, STATUSES, Task
from orchestrator.reports.history import (
    Key,
    all_tasks,
    by_agent,
    by_priority,
    by_type,
    by_workstream,
    first_moment,
    grouped,
    share,
)

if TYPE_CHECKING:
    from orchestrator.engine import Engine


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How some tasks stand.

    Attributes:
        open: Those that have not ended.
        active: Those that an agent has, or that wait for a review.
        completion_rate: The share of done tasks among those that were not cancelled.
    """

    tasks: int
    open: int
    active: int
    done: int
    failed: int
    cancelled: int
    completion_rate: float


class ActiveTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task that an agent has, or that waits for a review, and since when."""

    id: str
    workstream: str
    title: str
    status: str
    assigned_to: str | None
    since: str


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """How the tasks of a board stand, archived ones included; ``since`` is empty for all times."""

    since: str
    total: Tally
    by_status: dict[str, int]
    by_workstream: dict[str, Tally]
    by_priority: dict[str, Tally]
    by_type: dict[str, Tally]
    by_agent: dict[str, Tally]
    active: list[ActiveTask]


def stats(
    engine: "Engine",
    *,
    workstream: str | None = None,
    agent: str | None = None,
    days: int | None = None,
    progress: ShowProgress = no_progress,
) -> Stats:
    """Count the tasks of a board.

    Args:
        engine: The board.
        workstream: Only tasks of this workstream.
        agent: Only tasks that this agent has or had last.
        days: Only tasks that changed in so many days, today included.
        progress: Shows how many archived tasks are read.

    Raises:
        NotFound: There is no such workstream.
        UsageError: The number of days is out of range.
    """
    since = "" if days is None else first_moment(engine.now(), days)
    tasks = [t for t in all_tasks(engine, workstream, agent, progress) if t.updated_at >= since]

    def tallies(key: Key) -> dict[str, Tally]:
        return {name: _tally(group) for name, group in grouped(tasks, key).items()}

    return Stats(
        since=since,
        total=_tally(tasks),
        by_status={status: sum(t.status == status for t in tasks) for status in STATUSES},
        by_workstream=tallies(by_workstream),
        by_priority=tallies(by_priority),
        by_type=tallies(by_type),
        by_agent=tallies(by_agent),
        active=[_active(task) for task in tasks if _is_active(task)],
    )


def _tally(tasks: Sequence[Task]) -> Tally:
    count = {status: sum(task.status == status for task in tasks) for status in ENDED}
    return Tally(
        tasks=len(tasks),
        open=len(tasks) - sum(count.values()),
        active=sum(map(_is_active, tasks)),
        **count,
        completion_rate=share(count["done"], len(tasks) - count["cancelled"]),
    )


def _is_active(task: Task) -> bool:
    return task.status in HELD or task.status == "in_review"


def _active(task: Task) -> ActiveTask:
    since = task.claimed_at if task.status == "in_progress" else task.updated_at
    return ActiveTask(
        id=task.id,
        workstream=task.workstream,
        title=task.title,
        status=task.status,
        assigned_to=task.assigned_to,
        since=since or task.updated_at,
    )
