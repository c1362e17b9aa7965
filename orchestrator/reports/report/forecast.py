"""When the open tasks will have ended, and what helps most if it is done first.

``work.py`` says what there is to do and how work went so far, ``simulation.py`` plays it.
"""

from collections.abc import Mapping, Sequence

from orchestrator.core import clock
from orchestrator.core.progress import ShowProgress
from orchestrator.domain.state import State
from orchestrator.reports.report.lives import Life
from orchestrator.reports.report.records import Forecast, HelpfulTask
from orchestrator.reports.report.simulation import (
    DRAWS,
    OpenTask,
    WorkHistory,
    quantile,
    simulate,
    trials_for,
    usual_durations,
)
from orchestrator.reports.report.work import WorkLeft, work_history

LEAST = 5
"""Ended tasks below which nothing is forecast."""

ROUGH = 20
"""Ended tasks below which a forecast is called rough."""

LONGEST = 100 * 365 * 86400.0
"""Seconds after which no later end is named."""

HELPFUL = 5
"""Tasks that are tried as what helps most."""


def forecast(
    state: State,
    lives: Mapping[str, Life],
    workstream: str | None,
    now: str,
    progress: ShowProgress,
) -> Forecast:
    """Forecast when the open tasks will have ended.

    Args:
        state: The board.
        lives: What happened to its tasks.
        workstream: Only tasks of this stream, and what they need.
        now: The moment from which on the work is played.
        progress: Shows how many trials are played.
    """
    left = WorkLeft(state, workstream, now)
    history = work_history(lives, clock.seconds(now))
    ended = sum(took.has_ended for took in history.took)
    ends: list[float] = []
    helps: list[HelpfulTask] = []
    reason = ""
    if not left.tasks:
        reason = "what is left waits for a decision" if left.left_out else ""
    elif ended < LEAST:
        reason = (
            f"the history is too short: {ended} tasks were worked on and ended,"
            f" and {LEAST} are needed"
        )
    else:
        work = left.played()
        ends = simulate(history, work, trials_for(len(work)), progress)
        helps = _helps(left, history, work, ends, progress)

    def by(share: float) -> str:
        return clock.after(now, min(quantile(ends, share), LONGEST))

    return Forecast(
        outcome="forecast" if ends else "unknown" if reason else "done",
        reason=reason,
        tasks=len(left.tasks),
        left_out=left.left_out,
        assumed_free=left.assumed_free,
        history=ended,
        is_rough=bool(ends) and ended < ROUGH,
        workers=history.workers,
        trials=len(ends),
        p50=by(0.5) if ends else None,
        p85=by(0.85) if ends else None,
        p95=by(0.95) if ends else None,
        quantiles=[by(n / 20) for n in range(1, 20)] if ends else [],
        helps=helps,
    )


def _helps(
    left: WorkLeft,
    history: WorkHistory,
    work: Sequence[OpenTask],
    ends: Sequence[float],
    progress: ShowProgress,
) -> list[HelpfulTask]:
    """Play again without each of the tasks at hand that hold up most, with the same chances."""
    trials = max(10, len(ends) // 4)
    most = max(1, min(HELPFUL, DRAWS // (trials * len(work))))
    before = quantile(ends[:trials], 0.85)
    helpful = []
    for place in left.at_hand(usual_durations(history))[:most]:
        without = simulate(history, work, trials, progress, without=place)
        saves = before - quantile(without, 0.85)
        if saves > 0:
            task = left.tasks[place]
            helpful.append(
                HelpfulTask(
                    workstream=task.workstream,
                    task=task.id,
                    title=task.title,
                    status=task.status,
                    agent=task.assigned_to,
                    saves=round(saves, 3),
                )
            )
    return sorted(helpful, key=lambda task: -task.saves)
