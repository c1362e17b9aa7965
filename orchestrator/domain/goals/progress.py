"""The progress of a goal, as a pure function of the state."""

import msgspec

from orchestrator.core import clock
from orchestrator.domain.goals.records import Goal
from orchestrator.domain.state import State
from orchestrator.domain.tasks.lookup import outlines
from orchestrator.domain.tasks.records import ENDED
from orchestrator.domain.tasks.stages import is_kept_back


class GoalProgress(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of a goal.

    Attributes:
        total: The number of its tasks without cancelled ones.
        done: The number of done tasks.
        open: The number of tasks that have not ended.
        blocked: The number of open tasks that no agent has or may take.
        percent: The share of done tasks.
        estimate: The sum of the estimates of its open tasks, in minutes.
        without_estimate: The number of open tasks without an estimate.
        late: Seconds since its date, while it is open; else 0.
        moved: Seconds between its first date and the present one.
    """

    total: int
    done: int
    open: int
    blocked: int
    percent: int
    estimate: float
    without_estimate: int
    late: float
    moved: float


class GoalStatus(GoalProgress, frozen=True, kw_only=True):
    """A goal with its progress: its tasks by status, and each task with its status, title and agent."""

    goal: Goal
    counts: dict[str, int]
    tasks: list[dict[str, str | None]]


def goal_status(state: State, goal: Goal, now: str) -> GoalStatus:
    """Return the progress of a goal."""
    rows, counts = outlines(state, goal.tasks)
    live = state.tasks.present(goal.tasks)
    left = [task for task in live if task.status not in ENDED and not task.completes_itself]
    total, done = len(rows) - counts.get("cancelled", 0), counts.get("done", 0)
    return GoalStatus(
        goal=goal,
        counts=counts,
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
