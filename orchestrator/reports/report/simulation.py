"""Simulate the open work many times (Monte Carlo), to predict its end.

A free worker takes the first ready task. A task takes as long as tasks of its type and agent took on this
board, and its dependants wait for it. The number of workers, their pauses and the time of reviews come from
the history too.

The history is a sample, so each trial first draws the real speeds of the board: a Bayesian linear model of
the logarithms of the durations (type, agent) with the known residuals. With few data the ends lie far
apart, so that the promised share of boards is done by then, which is tested. The draws depend only on the
number of the trial: the same board has the same forecast.
"""

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from random import Random

import msgspec

from orchestrator.core.multimap import multimap
from orchestrator.core.progress import ShowProgress, no_progress
from orchestrator.reports.report.rhythm import Rhythm

TRIALS, FEWEST = 1000, 20
"""The usual and the least number of trials."""

DRAWS = 500_000
"""The most simulated tasks: large graphs have fewer trials, whose ends differ less."""

_SMOOTHED = 500
"""The least number of residuals of a model."""

_SHRINK = 3.0
"""The number of tasks of a type or agent that gives their mean half of the weight."""


class Took(msgspec.Struct, frozen=True, gc=False):
    """The durations of an ended task.

    Attributes:
        kind: Its type.
        agent: Who worked on it last.
        worked: Seconds in progress.
        waited: Seconds between its first claim and its end in which no agent worked on it.
        has_ended: Whether it is not in progress any more.
    """

    kind: str
    agent: str
    worked: float
    waited: float = 0.0
    has_ended: bool = True


class WorkHistory(msgspec.Struct):
    """The history of the work on a board.

    Attributes:
        pickups: Seconds from a free worker and a ready task to the claim.
        workers: How many tasks were worked on side by side, at most.
        rhythm: When work rests; all seconds here and in what is played are those of work.
    """

    took: list[Took]
    pickups: list[float]
    workers: int
    rhythm: Rhythm = Rhythm()


class OpenTask(msgspec.Struct):
    """An open task of the simulation, in the order in which tasks are taken.

    Attributes:
        agent: Who has it or will get it; empty: any.
        before: The positions of the tasks that must end before it begins.
        ready_in: Seconds until it can begin.
        elapsed: Seconds that it has been in progress; None: it is not.
        is_worked: Whether the work is done and waits for its review.
        is_instant: Whether it needs no work: a milestone.
    """

    kind: str
    agent: str = ""
    before: list[int] = []
    ready_in: float = 0.0
    elapsed: float | None = None
    is_worked: bool = False
    is_instant: bool = False


def trials_for(tasks: int) -> int:
    """The number of trials."""
    return max(FEWEST, min(TRIALS, DRAWS // max(tasks, 1)))


def simulate(
    history: WorkHistory,
    work: Sequence[OpenTask],
    trials: int,
    progress: ShowProgress = no_progress,
    *,
    without: int | None = None,
) -> list[float]:
    """Return the seconds until all work has ended, for each trial.

    Args:
        history: At least one task that has ended.
        work: The open tasks.
        trials: How often.
        progress: Shows how many trials are played.
        without: The position of a task that counts as ended.
    """
    played = play(history, work, trials, progress, without=without)
    return [max(ends, default=0.0) for ends in played]


def play(
    history: WorkHistory,
    work: Sequence[OpenTask],
    trials: int,
    progress: ShowProgress = no_progress,
    *,
    without: int | None = None,
) -> Iterator[list[float]]:
    """Yield the seconds until each task has ended, for each trial; see :func:`simulate`."""
    model, course = _Model(history), _Play(work, without)
    for number in progress(range(trials), "Forecasting", trials):
        yield course.ends(model, Random(number))


def usual_durations(history: WorkHistory) -> dict[str, float]:
    """Return the usual duration of each type in seconds; ``""`` is for types without a history."""
    kinds = multimap((kind, took.worked) for took in history.took for kind in (took.kind, ""))
    return {kind: statistics.median(durations) for kind, durations in kinds.items()}


class _Draw(msgspec.Struct):
    """A possible speed of the board: one draw from the model of its history."""

    speeds: dict[str, float]
    kinds: dict[str, float]
    unknown_kind: float
    residuals: list[float]
    scale: float
    crew: list[str]
    waits: list[float]
    pickups: list[float]


class _Model:
    """The linear model of the logarithms: mean + type + agent + residual."""

    def __init__(self, history: WorkHistory) -> None:
        self._workers = history.workers
        self._waits = [took.waited for took in history.took if took.has_ended]
        self._pickups = history.pickups or [0.0]
        logs = _logs(history.took)
        self._count = len(logs)
        self._mean = sum(logs) / self._count
        rest = [log - self._mean for log in logs]
        self._kinds = _effects([took.kind for took in history.took], rest)
        rest = [r - self._kinds[t.kind][0] for r, t in zip(rest, history.took, strict=True)]
        self._agents = _effects([took.agent for took in history.took], rest)
        rest = [r - self._agents[t.agent][0] for r, t in zip(rest, history.took, strict=True)]
        # The effects partly explain chance, which makes the residuals too small.
        fitted = 1 + sum(n / (n + _SHRINK) for n in self._sizes())
        self._freedom = max(self._count - fitted, self._count / 3, 1.0)
        centre = sum(rest) / self._count
        widen = math.sqrt(self._count / self._freedom)
        known = [(r - centre) * widen for r in rest]
        self._deviation = math.sqrt(sum(r * r for r in known) / self._count)
        self._residuals = _smoothed(known, self._deviation)

    def _sizes(self) -> Iterable[int]:
        """The numbers of tasks behind each effect but the first, which the mean stands for."""
        for effects in (self._kinds, self._agents):
            yield from sorted((n for _, n in effects.values()), reverse=True)[1:]

    def draw(self, random: Random) -> _Draw:
        freedom, gauss = self._freedom, random.gauss
        scale = math.sqrt(freedom / (2 * random.gammavariate(freedom / 2, 1.0)))
        deviation = scale * self._deviation
        mean = self._mean + gauss(0, deviation / math.sqrt(self._count))

        def drawn(effect: tuple[float, int]) -> float:
            return effect[0] + gauss(0, deviation / math.sqrt(effect[1] + _SHRINK))

        unknown = deviation / math.sqrt(_SHRINK)
        return _Draw(
            speeds={agent: drawn(effect) for agent, effect in self._agents.items()},
            kinds={kind: mean + drawn(effect) for kind, effect in self._kinds.items()},
            unknown_kind=mean + gauss(0, unknown),
            residuals=self._residuals,
            scale=scale,
            crew=self._crew(random),
            waits=_resampled(self._waits, random),
            pickups=self._drawn_pickups(random),
        )

    def _drawn_pickups(self, random: Random) -> list[float]:
        """A draw of the pauses: a few long ones, such as nights, say little about the next one."""
        pauses = _resampled(self._pickups, random)
        squares = sum(pause * pause for pause in self._pickups)
        if not squares:
            return pauses
        # The number of equal pauses with the same weight.
        weight = 1 + sum(self._pickups) ** 2 / squares
        scale = weight / random.gammavariate(weight, 1.0)
        return [pause * scale for pause in pauses]

    def _crew(self, random: Random) -> list[str]:
        """The agents that work at the same time, drawn in proportion to their work."""
        weights = {agent: n for agent, (_, n) in self._agents.items()}
        keys = {agent: random.expovariate(weight) for agent, weight in weights.items()}
        chosen = sorted(keys, key=keys.__getitem__)[: self._workers]
        more = self._workers - len(chosen)
        return chosen + random.choices([*weights], [*weights.values()], k=more)


def _logs(took: Sequence[Took]) -> list[float]:
    """Return the logarithms of the durations, with expected ones for tasks in progress.

    Leaving these out would leave out long tasks. One step of expectation maximization is enough.
    """
    logs = [math.log(max(t.worked, 1.0)) for t in took]
    ended = [log for log, t in zip(logs, took, strict=True) if t.has_ended]
    mean = sum(ended) / len(ended)
    deviation = math.sqrt(sum((log - mean) ** 2 for log in ended) / max(1, len(ended) - 1))
    return [
        log if t.has_ended else mean + deviation * _beyond((log - mean) / (deviation or 1.0))
        for log, t in zip(logs, took, strict=True)
    ]


def _beyond(bound: float) -> float:
    """Return the mean of a standard normal variable beyond a bound."""
    tail = math.erfc(bound / math.sqrt(2))
    if tail < 1e-12:
        return bound
    return math.sqrt(2 / math.pi) * math.exp(-bound * bound / 2) / tail


def _smoothed(residuals: list[float], deviation: float) -> list[float]:
    """Return more residuals around the known ones: a short history has not seen the longest tasks yet."""
    random = Random(len(residuals))
    width = 0.65 * deviation * len(residuals) ** -0.2
    copies = max(1, _SMOOTHED // len(residuals))
    return [r + random.gauss(0, width) for r in residuals for _ in range(copies)]


def _effects(names: Sequence[str], values: Sequence[float]) -> dict[str, tuple[float, int]]:
    """The effect of each name, drawn towards 0 for few values, and the number of values."""
    groups = multimap(zip(names, values, strict=True))
    return {name: (sum(g) / (len(g) + _SHRINK), len(g)) for name, g in groups.items()}


def _resampled(values: list[float], random: Random) -> list[float]:
    """The same number of values, drawn with replacement (bootstrap)."""
    return _chosen(values, len(values), random)


def _chosen(values: list[float], count: int, random: Random) -> list[float]:
    """Some of the values, drawn with replacement."""
    first = values[0]
    if all(value == first for value in values):
        return [first] * count
    return random.choices(values, k=count)


class _Play:
    """The open tasks as numbers, for many trials."""

    def __init__(self, work: Sequence[OpenTask], without: int | None) -> None:
        self._work = work
        self._needs = [len(task.before) for task in work]
        self._after: list[list[int]] = [[] for _ in work]
        for place, task in enumerate(work):
            for before in task.before:
                self._after[before].append(place)
        places = range(len(work))
        self._running = [p for p in places if work[p].elapsed is not None and p != without]
        self._worked = [p for p in places if work[p].is_worked and p != without]
        # Tasks in progress, whatever they need.
        self._ongoing = {*self._running, *self._worked, without}
        self._start = _Course(free=[], speeds=[], needs=self._needs)
        if without is not None:
            self._start.events.append((0.0, without, True))
        for place in places:
            if not self._needs[place] and place not in self._ongoing:
                self._open(self._start, place, 0.0)

    def ends(self, model: _Model, random: Random) -> list[float]:
        """Simulate once: the seconds until each task ends."""
        draw = model.draw(random)
        # Random numbers are drawn for each task first, so that they do not depend on the order.
        count = len(self._work)
        residuals = random.choices(draw.residuals, k=count)
        waits = _chosen(draw.waits, count, random)
        pickups = _chosen(draw.pickups, count, random)
        exp, scale, kinds, unknown = math.exp, draw.scale, draw.kinds, draw.unknown_kind
        worked = [
            exp(kinds.get(task.kind, unknown) + scale * residual)
            for task, residual in zip(self._work, residuals, strict=True)
        ]
        course = self._begun(draw, waits, random)
        return self._go_on(course, worked, waits, pickups)

    def _begun(self, draw: _Draw, waits: list[float], random: Random) -> "_Course":
        """Give the workers their present tasks."""
        start = self._start
        speeds = [math.exp(draw.speeds[agent]) for agent in draw.crew]
        course = _Course(
            [0.0] * len(speeds), speeds, [*start.needs], [*start.ready], [*start.events]
        )
        course.events += ((waits[place], place, True) for place in self._worked)
        for worker, place in enumerate(self._running):
            task = self._work[place]
            if worker == len(course.free):
                course.free.append(0.0)
                course.speeds.append(1.0)
            if task.agent in draw.speeds:
                course.speeds[worker] = math.exp(draw.speeds[task.agent])
            centre = math.exp(draw.kinds.get(task.kind, draw.unknown_kind))
            left = _left(centre * course.speeds[worker], task.elapsed or 0.0, draw, random)
            course.free[worker] = left
            course.events.append((left + waits[place], place, True))
        return course

    def _open(self, course: "_Course", place: int, moment: float) -> None:
        """Open a task: it waits only for its start time."""
        task = self._work[place]
        if task.is_instant:
            heappush(course.events, (max(moment, task.ready_in), place, True))
        elif task.ready_in > moment:
            heappush(course.events, (task.ready_in, place, False))
        else:
            heappush(course.ready, place)

    def _go_on(
        self, course: "_Course", worked: list[float], waits: list[float], pickups: list[float]
    ) -> list[float]:
        """Let free workers take ready tasks until none is left; return the end of each task."""
        events, ready, needs, speeds = course.events, course.ready, course.needs, course.speeds
        free = [(moment, worker) for worker, moment in enumerate(course.free)]
        heapify(free)
        heapify(events)
        ends = [0.0] * len(needs)
        while events or ready:
            now, worker = free[0]
            while events and (events[0][0] <= now or not ready):
                moment, place, is_end = heappop(events)
                now = max(now, moment)
                if not is_end:
                    heappush(ready, place)
                    continue
                ends[place] = moment
                for other in self._after[place]:
                    needs[other] -= 1
                    if not needs[other] and other not in self._ongoing:
                        self._open(course, other, moment)
            if ready:
                place = heappop(ready)
                done = now + pickups[place] + worked[place] * speeds[worker]
                heapreplace(free, (done, worker))
                heappush(events, (done + waits[place], place, True))
        return ends


class _Course(msgspec.Struct):
    """The state of a trial.

    Attributes:
        free: The time at which each worker is free.
        speeds: The speed factor of each worker.
        needs: The number of tasks that each task waits for.
        ready: The tasks that can be taken, a heap.
        events: The next events, a heap: the time, the task, and whether it ends or becomes ready.
    """

    free: list[float]
    speeds: list[float]
    needs: list[int]
    ready: list[int] = []
    events: list[tuple[float, int, bool]] = []


_TRIES = 16
"""The most draws of a duration that must be longer than the elapsed time."""


def _left(centre: float, elapsed: float, draw: _Draw, random: Random) -> float:
    """Return the remaining time of a task in progress."""
    for _ in range(_TRIES):
        worked = centre * math.exp(draw.scale * random.choice(draw.residuals))
        if worked > elapsed:
            return worked - elapsed
    return centre  # longer than any known task: add the usual duration
