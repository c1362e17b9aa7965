"""Boards with a known end, simulated by other code than that of the forecast."""

from heapq import heapify, heappop, heappush, heapreplace
from random import Random

import msgspec

from orchestrator.core import clock
from orchestrator.domain.tasks.records import Task
from orchestrator.reports.report.lives import Change, Life
from orchestrator.reports.report.simulation import OpenTask
from orchestrator.reports.report.work import work_history

SHAPES = ("lognormal", "gamma", "exponential", "mixed")
HOUR, DAY = 3600.0, 86400.0
LENGTHS = (8, 12, 20, 40, 80, 150)


class Worked(msgspec.Struct):
    """The work on a task: agent, begin, duration, and the duration of its review."""

    task: int
    agent: str
    begin: float
    worked: float
    review: float

    @property
    def end(self) -> float:
        return self.begin + self.worked

    @property
    def done(self) -> float:
        return self.end + self.review


class SimulatedBoard:
    """A board with its own agents and types, on which the first tasks have ended.

    Attributes:
        history: The history after a number of tasks have ended.
        left: The open tasks at that moment.
        now: That moment.
        truth: The seconds from then until all tasks had ended.
    """

    def __init__(self, number: int, *, rests: bool = False) -> None:
        random = self.random = Random(number)
        # A resting board is awake for some hours a day, on some boards not on two days of the week.
        self.awake = random.uniform(6, 12) * HOUR if rests else DAY
        self.wakes = random.uniform(0, DAY)
        self.days_off = {5, 6} if rests and random.random() < 0.4 else set[int]()
        self.shape = SHAPES[number % len(SHAPES)]
        self.ended = random.choice(LENGTHS)
        total = self.ended + random.randint(4, 30)
        self.medians = {
            f"kind-{n}": random.lognormvariate(8.5 if rests else 7, 0.8)
            for n in range(random.randint(1, 4))
        }
        self.speeds = {
            f"agent-{n}": random.lognormvariate(0, 0.3) for n in range(random.randint(1, 5))
        }
        self.spread = random.uniform(0.3, 1.0)
        self.pause = random.choice([0, 60, 600, 2000])
        self.reviews = random.random() < 0.3
        self.kinds = [random.choice([*self.medians]) for _ in range(total)]
        self.needs = [self._needs(task) for task in range(total)]
        self._look_back(self._play())

    def _in_time(self, work: Worked) -> Worked:
        begin, end, done = map(self._calendar, (work.begin, work.end, work.done))
        return Worked(work.task, work.agent, begin, end - begin, done - end)

    def _needs(self, task: int) -> list[int]:
        earlier = range(max(0, task - 12), task)
        return self.random.sample(earlier, min(task, self.random.choice([0, 0, 0, 1, 1, 2])))

    def _duration(self, kind: str, agent: str) -> float:
        random, usual = self.random, self.medians[kind] * self.speeds[agent]
        match self.shape:
            case "lognormal":
                return usual * random.lognormvariate(0, self.spread)
            case "gamma":
                return usual * random.gammavariate(2, 0.6)
            case "exponential":
                return usual * random.expovariate(1)
        is_usual = random.random() < 0.85
        return usual * random.lognormvariate(*((0, 0.3) if is_usual else (1.5, 0.5)))

    def _play(self) -> list[Worked]:
        """Simulate agents: each takes the oldest ready task when it is free, after a pause."""
        waits = [len(needs) for needs in self.needs]
        free = [(0.0, agent) for agent in self.speeds]
        heapify(free)
        ends: list[tuple[float, int]] = []
        ready = [task for task, count in enumerate(waits) if not count]
        played = []
        while ready or ends:
            now, agent = free[0]
            while ends and (ends[0][0] <= now or not ready):
                moment, ended = heappop(ends)
                now = max(now, moment)
                for task, needs in enumerate(self.needs):
                    if ended in needs:
                        waits[task] -= 1
                        if not waits[task]:
                            heappush(ready, task)
            if ready:
                task = heappop(ready)
                pause = self.random.expovariate(1 / self.pause) if self.pause else 0.0
                worked = self._duration(self.kinds[task], agent)
                has_review = self.reviews and self.random.random() < 0.5
                review = self.random.expovariate(1 / 600) if has_review else 0.0
                played.append(Worked(task, agent, now + pause, worked, review))
                heapreplace(free, (played[-1].end, agent))
                heappush(ends, (played[-1].done, task))
        return played

    @property
    def nights(self) -> int:
        """The number of rests in the history."""
        return int((self.now - self.wakes) // DAY)

    def _calendar(self, worked: float) -> float:
        """The moment after a number of seconds of work."""
        day, left = divmod(worked, self.awake)
        weeks, days = divmod(int(day), 7 - len(self.days_off))
        working = [n for n in range(7) if n not in self.days_off]
        return self.wakes + (weeks * 7 + working[days]) * DAY + left

    def _look_back(self, played: list[Worked]) -> None:
        played = [self._in_time(work) for work in played] if self.awake < DAY else played
        dones = sorted(work.done for work in played)
        now = dones[self.ended - 1]
        self.truth = dones[-1] - now
        begun = {work.task: work for work in played if work.begin <= now}
        lives = {
            str(task): self._life(task, begun.get(task), now) for task in range(len(self.kinds))
        }
        self.now = now
        self.history = work_history(lives, now)
        order = [t for t in range(len(self.kinds)) if t not in begun or begun[t].done > now]
        places = {task: place for place, task in enumerate(order)}
        self.left = [
            OpenTask(
                self.kinds[task],
                agent=begun[task].agent if task in begun else "",
                before=[places[need] for need in self.needs[task] if need in places],
                elapsed=self.history.rhythm.between(begun[task].begin, now)
                if task in begun and begun[task].end > now
                else None,
                is_worked=task in begun and begun[task].end <= now,
            )
            for task in order
        ]

    def _life(self, task: int, work: Worked | None, now: float) -> Life:
        changes = [Change(1, 0.0, "pending", "lead")]
        if work is not None:
            changes.append(Change(2, work.begin, "in_progress", work.agent))
            ended = [Change(3, work.end, "in_review", work.agent)] if work.review else []
            ended.append(Change(4, work.done, "done", work.agent))
            changes += [change for change in ended if change.moment <= now]
        facts = Task(
            id=str(task),
            workstream="build",
            title="x",
            type=self.kinds[task],
            needs=tuple(map(str, self.needs[task])),
            lease_until=clock.timestamp(now + 1),
        )
        return Life(0.0, changes, facts)
