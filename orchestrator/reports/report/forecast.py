"""The forecast of the end of the open tasks, and the tasks that help most.

``work.py`` collects the open work and the history, ``simulation.py`` simulates it.
"""

from collections.abc import Iterable, Mapping, Sequence

from orchestrator.core import clock
from orchestrator.core.progress import ShowProgress
from orchestrator.domain.state import State
from orchestrator.planning.survey import about
from orchestrator.reports.history import quantile
from orchestrator.reports.report.lives import Life
from orchestrator.reports.report.records import Forecast, HelpfulTask
from orchestrator.reports.report.rhythm import next_time
from orchestrator.reports.report.simulation import (
    DRAWS,
    play,
    simulate,
    trials_for,
    usual_durations,
)
from orchestrator.reports.report.work import WorkLeft, work_history

LEAST = 5
"""The fewest ended tasks for a forecast."""

ROUGH = 20
"""The fewest ended tasks for a forecast that is not rough."""

LONGEST = 100 * 365 * 86400.0
"""The latest end of a forecast, in seconds."""

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

HELPFUL = 5
"""The number of tasks that are tried for their effect."""


class Played:
    """A simulation of the open work of the board or of a workstream.

    Args:
        state: The board.
        lives: What happened to its tasks.
        workstream: Only tasks of this stream, and what they need.
        now: The moment from which on the work is played.
        progress: Shows how many trials are played.
        parts: Groups of tasks, each of which may end before the rest.

    Attributes:
        left: What is left of the work.
        history: How work went so far.
        reason: Why nothing was played, if anything is open.
        ends: In how many seconds all had ended, in each trial.
        part_ends: The same for each of the parts, as far as its tasks are played.
    """

    def __init__(
        self,
        state: State,
        lives: Mapping[str, Life],
        workstream: str | None,
        now: str,
        progress: ShowProgress,
        parts: Sequence[Iterable[str]] = (),
    ) -> None:
        self.now, self._progress = now, progress
        self.left = WorkLeft(state, workstream, now)
        self.history = work_history(lives, clock.seconds(now))
        self.ended = sum(took.has_ended for took in self.history.took)
        self.reason = self._reason()
        self.ends: list[float] = []
        self.part_ends: list[list[float]] = [[] for _ in parts]
        if not self.reason and self.left.tasks:
            self._work = self.left.played(self.history.rhythm)
            self._play(parts)

    def _reason(self) -> str:
        if not self.left.tasks:
            return "what is left waits for a decision" if self.left.left_out else ""
        if self.ended < LEAST:
            return (
                f"the history is too short: {self.ended} of the {LEAST} tasks that are needed were worked on"
                " and ended"
            )
        return ""

    def _play(self, parts: Sequence[Iterable[str]]) -> None:
        places = self.left.places
        chosen = [[places[task] for task in part if task in places] for part in parts]
        trials = trials_for(len(self._work))
        for ends in play(self.history, self._work, trials, self._progress):
            self.ends.append(max(ends))
            for part, part_ends in zip(chosen, self.part_ends, strict=True):
                part_ends.append(max((ends[place] for place in part), default=0.0))

    def by(self, ends: Sequence[float], share: float) -> str:
        """Return the time at which this share of the trials had ended."""
        return clock.after(self.now, self._in_time(quantile(ends, share)))

    def _in_time(self, worked: float) -> float:
        """Return how many seconds pass until there were so many of work."""
        now = clock.seconds(self.now)
        return min(self.history.rhythm.after(now, min(worked, LONGEST)) - now, LONGEST)

    def rest(self) -> tuple[str, str] | None:
        """Return when work rests next; None if that is not known."""
        rhythm = self.history.rhythm
        if not rhythm.length:
            return None
        begins = next_time(rhythm.begins, clock.seconds(self.now))
        return clock.timestamp(begins), clock.timestamp(begins + rhythm.length)

    def helps(self) -> list[HelpfulTask]:
        """Simulate again without each of the ready tasks that delay most, with the same random numbers."""
        history, work = self.history, self._work
        trials = max(10, len(self.ends) // 4)
        most = max(1, min(HELPFUL, DRAWS // (trials * len(work))))
        before = self._in_time(quantile(self.ends[:trials], 0.85))
        helpful = []
        for place in self.left.at_hand(usual_durations(history))[:most]:
            without = simulate(history, work, trials, self._progress, without=place)
            saves = before - self._in_time(quantile(without, 0.85))
            if saves > 0:
                task = self.left.tasks[place]
                how = {"status": task.status, **about(task)}
                agent, seconds = task.assigned_to, round(saves, 3)
                helpful.append(HelpfulTask(**how, agent=agent, saves=seconds))
        return sorted(helpful, key=lambda task: -task.saves)


def forecast(played: Played) -> Forecast:
    """Return the forecast of the open tasks."""
    ends, left = played.ends, played.left
    return Forecast(
        outcome="forecast" if ends else "unknown" if played.reason else "done",
        reason=played.reason,
        tasks=len(left.tasks),
        left_out=left.left_out,
        spared=len(left.spared),
        assumed_free=left.assumed_free,
        history=played.ended,
        is_rough=bool(ends) and played.ended < ROUGH,
        workers=played.history.workers,
        trials=len(ends),
        p50=played.by(ends, 0.5) if ends else None,
        p85=played.by(ends, 0.85) if ends else None,
        p95=played.by(ends, 0.95) if ends else None,
        quantiles=[played.by(ends, n / 20) for n in range(1, 20)] if ends else [],
        helps=played.helps() if ends else [],
        rest=played.rest(),
        rest_days=[WEEKDAYS[day] for day in sorted(played.history.rhythm.days)],
    )
