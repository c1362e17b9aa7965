"""How far a goal is, as a pure function of the state."""

import msgspec

from orchestrator.core import clock
from orchestrator.domain.goals.records import Goal
from orchestrator.domain.state import State
from orchestrator.domain.tasks.lookup import outline
from orchestrator.domain.tasks.records import ENDED, STATUSES
from orchestrator.domain.tasks.stages import is_kept_back


class GoalStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A goal with its progress.

    Attributes:
        counts: Its tasks by status.
        total: How many of its tasks are wanted; cancelled tasks are not.
        done: How many of these are done.
        open: How many have not ended.
        blocked: How many of the open ones no agent has or may take.
        percent: The share of done tasks.
        estimate: Minutes that its open tasks are estimated at.
        without_estimate: How many open tasks have no estimate, and are not in ``estimate``.
        late: Seconds since its date, while it is open; else 0.
        moved: Seconds between its first date and the present one.
        tasks: Each task with its status, title and agent.
    """

    goal: Goal
    counts: dict[str, int]
    total: int
    done: int
    open: int
    blocked: int
    percent: int
    estimate: float
    without_estimate: int
    late: float
    moved: float
    tasks: list[dict[str, str | None]]


def goal_status(state: State, goal: Goal, now: str) -> GoalStatus:
    """Return how far a goal is."""
    rows = [outline(state, task) for task in goal.tasks]
    statuses = [str(row["status"]) for row in rows]
    live = state.tasks.present(goal.tasks)
    left = [task for task in live if task.status not in ENDED and not task.completes_itself]
    total, done = len(rows) - statuses.count("cancelled"), statuses.count("done")
    return GoalStatus(
        goal=goal,
        counts={status: statuses.count(status) for status in STATUSES if status in statuses},
        total=total,
        done=done,
        open=sum(task.status not in ENDED for task in live),
        blocked=sum(is_kept_back(state, task, now) for task in left),
        percent=100 * done // total if total else 0,
        estimate=sum(task.estimate or 0.0 for task in left),
        without_estimate=sum(task.estimate is None for task in left),
        late=clock.between(goal.due, now) if goal.is_late(now) else 0.0,
        moved=clock.between(goal.first_due, goal.due),
        tasks=rows,
    )
