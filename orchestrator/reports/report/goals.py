"""The outlook of goals: their progress, and whether their tasks will have ended by their dates."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import asdict

from orchestrator.core import clock
from orchestrator.core.printable import first_of
from orchestrator.core.progress import ShowProgress, no_progress
from orchestrator.domain.goals.progress import GoalStatus, goal_status
from orchestrator.domain.goals.records import Goal
from orchestrator.domain.state import State
from orchestrator.domain.tasks.records import ENDED
from orchestrator.engine import Engine
from orchestrator.reports.report.forecast import Played
from orchestrator.reports.report.lives import Life, read_chronicle
from orchestrator.reports.report.records import GoalOutlook

_NAMED = 3
"""Tasks that a reason names."""


def outlook(engine: Engine, goal: str, *, progress: ShowProgress = no_progress) -> GoalOutlook:
    """Return how far a goal is, and whether its tasks will have ended by its date.

    Args:
        goal: Its name.
        progress: Shows the progress of reading and simulating.

    Raises:
        NotFound: There is no such goal.
    """
    state = engine.read()
    record = state.goals.find(goal)
    if record.status != "open":
        return _ended(goal_status(state, record, engine.now()))
    lives = read_chronicle(engine, state, "", progress).lives
    return outlooks(state, [record], lives, engine.now(), progress)[0]


def outlooks(
    state: State, goals: Sequence[Goal], lives: Mapping[str, Life], now: str, progress: ShowProgress
) -> list[GoalOutlook]:
    """Return the same for open goals. All open tasks are simulated, because they share the workers."""
    played = Played(state, lives, None, now, progress, [goal.tasks for goal in goals])
    return [
        _outlook(goal_status(state, goal, now), played, ends)
        for goal, ends in zip(goals, played.part_ends, strict=True)
    ]


def _outlook(status: GoalStatus, played: Played, ends: list[float]) -> GoalOutlook:
    places = played.left.places
    undone = [str(row["task"]) for row in status.tasks if row["status"] not in ENDED]
    stuck = [task for task in undone if task not in places and task not in played.left.spared]
    if not status.total:
        return _made(status, outcome="unknown", reason="it has no tasks")
    if not status.open:
        return _made(status, outcome="done")
    if stuck:
        reason = f"{first_of(stuck, _NAMED)} waits for a decision"
        return _made(status, outcome="unknown", reason=reason)
    if not ends:
        return _made(status, outcome="unknown", reason=played.reason)
    p85, rhythm = played.by(ends, 0.85), played.history.rhythm
    until = rhythm.between(clock.seconds(played.now), clock.seconds(status.goal.due))
    return _made(
        status,
        outcome="forecast",
        p50=played.by(ends, 0.5),
        p85=p85,
        p95=played.by(ends, 0.95),
        in_time=round(sum(end <= until for end in ends) / len(ends), 3),
        slip=clock.between(status.goal.due, p85),
    )


def _ended(status: GoalStatus) -> GoalOutlook:
    goal = status.goal
    slip = clock.between(goal.due, goal.ended_at) if goal.status == "reached" else None
    return _made(status, outcome="ended", slip=slip)


def _made(status: GoalStatus, **facts: Any) -> GoalOutlook:
    """Return the outlook with these facts, and those of the goal and of its progress."""
    known = asdict(status.goal) | asdict(status)
    return GoalOutlook(**{n: known[n] for n in GoalOutlook.__struct_fields__ if n in known} | facts)
