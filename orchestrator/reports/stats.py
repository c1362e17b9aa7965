"""Statistics of tasks: counts by status, workstream, priority, type and agent."""

from collections.abc import Sequence

import msgspec

from orchestrator.core.progress import ShowProgress, no_progress
from orchestrator.domain.tasks.records import ENDED, HELD, STATUSES, Task
from orchestrator.engine import Engine
from orchestrator.reports.history import all_tasks, first_moment, grouped, share


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of some tasks.

    Attributes:
        open: Tasks that have not ended.
        active: Tasks that an agent has, or that wait for a review.
        completion_rate: The share of done tasks among tasks that were not cancelled.
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
    """Counts of the tasks of a board, archived ones included; ``since`` is empty for all times."""

    since: str
    total: Tally
    by_status: dict[str, int]
    by_workstream: dict[str, Tally]
    by_priority: dict[str, Tally]
    by_type: dict[str, Tally]
    by_agent: dict[str, Tally]
    active: list[ActiveTask]


def stats(
    engine: Engine,
    *,
    workstream: str | None = None,
    agent: str | None = None,
    days: int | None = None,
    progress: ShowProgress = no_progress,
) -> Stats:
    """Count tasks, archived ones included.

    Args:
        workstream: Only tasks of this workstream.
        agent: Only tasks that this agent has or was the last to have.
        days: Only tasks that changed in so many days, today included.
        progress: Shows how many archived tasks are read.

    Raises:
        NotFound: There is no such workstream.
        UsageError: The number of days is out of range.
    """
    since = "" if days is None else first_moment(engine.now(), days)
    tasks = [t for t in all_tasks(engine, workstream, agent, progress) if t.updated_at >= since]

    return Stats(
        since=since,
        total=_tally(tasks),
        by_status={status: sum(t.status == status for t in tasks) for status in STATUSES},
        by_workstream=grouped(tasks, "workstream", _tally),
        by_priority=grouped(tasks, "priority", _tally),
        by_type=grouped(tasks, "type", _tally),
        by_agent=grouped(tasks, "assigned_to", _tally),
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
