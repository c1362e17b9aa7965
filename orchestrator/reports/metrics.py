"""How much is done, how fast and by whom: numbers about a board, from the records of its tasks alone.

Every number is there on an empty board too: a rate or a duration of nothing is zero.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from orchestrator.core import clock
from orchestrator.core.errors import UsageError
from orchestrator.core.events import decode
from orchestrator.domain.agents.commands import Agents
from orchestrator.domain.cycles.events import CyclePlanned
from orchestrator.domain.tasks.archive import Watch, unwatched
from orchestrator.domain.tasks.commands import Tasks
from orchestrator.domain.tasks.records import ENDED, HELD, STATUSES, Task

if TYPE_CHECKING:
    from orchestrator.engine import Engine

LONGEST = 3660
"""Days that numbers can go back."""

_DAY = 86400.0


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How some tasks stand.

    Attributes:
        open: Those that have not ended.
        active: Those that an agent has, or that wait for a review.
        completion_rate: The share that is done of those that are still wanted (not cancelled).
    """

    tasks: int
    open: int
    active: int
    done: int
    failed: int
    cancelled: int
    completion_rate: float


class ActiveTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task that an agent has, or that waits for a review, and since when it stands so."""

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


class Durations(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds that something took, over ``count`` times; ``p90``: nine of ten took no longer."""

    count: int
    mean: float
    median: float
    p90: float


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """What came of some tasks in a time.

    Attributes:
        per_day: Completed tasks a day.
        success_rate: The share of done ones in those that were done or failed.
        time_to_start: From being added to the first claim, of tasks that ended in this time or run now.
        time_to_finish: From the last claim to the end.
    """

    added: int
    completed: int
    failed: int
    cancelled: int
    per_day: float
    success_rate: float
    time_to_start: Durations
    time_to_finish: Durations


class AgentFlow(Flow, frozen=True, kw_only=True):
    """The same of one agent; ``busy_share`` is the share of the time in which it had work in progress.

    That time is known from the last claim of each task: work that was given back does not count.
    """

    working: int
    busy_share: float


class Crew(msgspec.Struct, frozen=True, kw_only=True):
    """How many agents are here (active), how many of them work (busy), and busy / active."""

    active: int
    busy: int
    utilisation: float


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """What happened on one day (UTC)."""

    day: str
    added: int
    completed: int
    failed: int


class CycleNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """A cycle: what its plan said, and what was done until the next one began.

    ``ended_at`` is None for the present cycle.
    """

    number: int
    started_at: str
    ended_at: str | None
    parallel: int
    serial: int
    waiting: int
    attention: int
    added: int
    completed: int
    failed: int


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """What was done in the last days, the present one included."""

    days: int
    since: str
    until: str
    total: Flow
    agents: Crew
    throughput: list[Day]
    by_workstream: dict[str, Flow]
    by_priority: dict[str, Flow]
    by_type: dict[str, Flow]
    by_agent: dict[str, AgentFlow]
    cycles: list[CycleNumbers]


def stats(
    engine: "Engine",
    *,
    workstream: str | None = None,
    agent: str | None = None,
    days: int | None = None,
    watch: Watch = unwatched,
) -> Stats:
    """How the tasks of a board stand.

    Args:
        engine: The board.
        workstream: Only tasks of this stream.
        agent: Only tasks that this agent has or had last.
        days: Only tasks that something happened to in so many days, today included.
        watch: Told the archived tasks that are read, one by one.

    Raises:
        NotFound: There is no such workstream.
        UsageError: A number of days that is out of range.
    """
    since = "" if days is None else _since(engine.now(), days)
    tasks = [t for t in _tasks(engine, workstream, agent, watch) if t.updated_at >= since]
    counts = _grouped(tasks, lambda task: task.status)
    return Stats(
        since=since,
        total=_tally(tasks),
        by_status={status: len(counts.get(status, ())) for status in STATUSES},
        by_workstream=_tallies(tasks, lambda task: task.workstream),
        by_priority=_tallies(tasks, _priority),
        by_type=_tallies(tasks, lambda task: task.type),
        by_agent=_tallies(tasks, lambda task: task.assigned_to),
        active=[_active(task) for task in tasks if _is_active(task)],
    )


def metrics(
    engine: "Engine",
    *,
    days: int = 14,
    workstream: str | None = None,
    agent: str | None = None,
    watch: Watch = unwatched,
) -> Metrics:
    """What was done in the last days, how fast and by whom.

    Args:
        engine: The board.
        days: So many, the present day (UTC) included.
        workstream: Only tasks of this stream.
        agent: Only tasks that this agent has or had last.
        watch: Told the archived tasks that are read, one by one.

    Raises:
        NotFound: There is no such workstream.
        UsageError: A number of days that is out of range.
    """
    now = engine.now()
    window = _Window(engine, _since(now, days), now, days)
    tasks = list(_tasks(engine, workstream, agent, watch))
    by_agent = _grouped(tasks, lambda task: task.assigned_to)
    return Metrics(
        days=days,
        since=window.since,
        until=now,
        total=window.flow(tasks),
        agents=_crew(engine, now, agent),
        throughput=window.throughput(tasks),
        by_workstream=window.flows(tasks, lambda task: task.workstream),
        by_priority=window.flows(tasks, _priority),
        by_type=window.flows(tasks, lambda task: task.type),
        by_agent={name: window.agent_flow(found) for name, found in by_agent.items()},
        cycles=window.cycles(tasks),
    )


class _Window:
    """The time that metrics are about; counts what happened in it."""

    def __init__(self, engine: "Engine", since: str, until: str, days: int) -> None:
        self._engine = engine
        self.since, self.until = since, until
        self._days = days
        self._first_claims: dict[str, str] = {}

    def flows(self, tasks: Sequence[Task], key: Callable[[Task], str | None]) -> dict[str, Flow]:
        """The flow of each group of tasks."""
        groups = _grouped(tasks, key).items()
        return {name: self.flow(found) for name, found in groups}

    def flow(self, tasks: Sequence[Task]) -> Flow:
        """What came of the tasks in this time."""
        ended = [task for task in tasks if self.since <= (task.ended_at or "")]
        worked = [task for task in ended if task.status in ("done", "failed")]
        count = {status: sum(task.status == status for task in ended) for status in ENDED}
        started = [*worked, *(task for task in tasks if task.status == "in_progress")]
        return Flow(
            added=sum(task.created_at >= self.since for task in tasks),
            completed=count["done"],
            failed=count["failed"],
            cancelled=count["cancelled"],
            per_day=count["done"] / self._days,
            success_rate=_share(count["done"], count["done"] + count["failed"]),
            time_to_start=_durations((t.created_at, self._first_claim(t)) for t in started),
            time_to_finish=_durations((t.claimed_at, t.ended_at) for t in worked),
        )

    def agent_flow(self, tasks: Sequence[Task]) -> AgentFlow:
        """The flow of one agent's tasks, and how busy they kept it."""
        fields = msgspec.structs.asdict(self.flow(tasks))
        working = sum(task.status == "in_progress" for task in tasks)
        return AgentFlow(**fields, working=working, busy_share=self._busy_share(tasks))

    def _first_claim(self, task: Task) -> str | None:
        """When the task was first claimed: its record knows the last time only."""
        if task.attempt <= 1:
            return task.claimed_at
        if task.id not in self._first_claims:
            events = (self._engine.event(number) for number in task.events)
            claim = next((at.ts for at in events if at.type == "task.claimed"), "")
            self._first_claims[task.id] = claim or task.claimed_at or ""
        return self._first_claims[task.id]

    def _busy_share(self, tasks: Iterable[Task]) -> float:
        spans = []
        for task in tasks:
            end = task.ended_at
            if task.status == "in_progress":
                end = min(task.lease_until, self.until)
            start = max(task.claimed_at or "", self.since)
            if task.claimed_at and end and start < end:
                spans.append((start, end))
        busy, reached = 0.0, self.since
        for start, end in sorted(spans):
            if end > reached:
                busy += _seconds(max(start, reached), end)
                reached = end
        return _share(busy, _seconds(self.since, self.until))

    def throughput(self, tasks: Sequence[Task]) -> list[Day]:
        """Every day of the window, also those on which nothing happened."""
        added, completed, failed = (dict.fromkeys(self._dates(), 0) for _ in range(3))
        for task in tasks:
            _count(added, task.created_at)
            if task.status == "done":
                _count(completed, task.ended_at or "")
            elif task.status == "failed":
                _count(failed, task.ended_at or "")
        return [
            Day(day=day, added=added[day], completed=completed[day], failed=failed[day])
            for day in added
        ]

    def _dates(self) -> list[str]:
        return [clock.after(self.since, day * _DAY)[:10] for day in range(self._days)]

    def cycles(self, tasks: Sequence[Task]) -> list[CycleNumbers]:
        """The cycles that began in the window, oldest first."""
        cycle = self._engine.read().cycles.cycle
        found: list[CycleNumbers] = []
        until: str | None = None
        for number in reversed(cycle.starts if cycle else ()):
            at = self._engine.event(number)
            planned = decode(at)
            if at.ts < self.since or not isinstance(planned, CyclePlanned):
                break
            found.append(_cycle(planned, at.ts, until, tasks))
            until = at.ts
        found.reverse()
        return found


def _cycle(
    planned: CyclePlanned, start: str, until: str | None, tasks: Sequence[Task]
) -> CycleNumbers:
    def happened(moment: str | None) -> bool:
        return moment is not None and start <= moment and (until is None or moment < until)

    def planned_count(field: str) -> int:
        """How many entries a list of the plan has, those that were left out included."""
        left_out = planned.plan.get("left_out", {})
        return len(planned.plan.get(field, ())) + int(left_out.get(field, 0))

    ended = [task for task in tasks if happened(task.ended_at)]
    return CycleNumbers(
        number=planned.number,
        started_at=start,
        ended_at=until,
        parallel=planned_count("recommended_parallel"),
        serial=planned_count("recommended_serial"),
        waiting=planned_count("waiting"),
        attention=planned_count("attention"),
        added=sum(happened(task.created_at) for task in tasks),
        completed=sum(task.status == "done" for task in ended),
        failed=sum(task.status == "failed" for task in ended),
    )


def _tasks(
    engine: "Engine", workstream: str | None, agent: str | None, watch: Watch
) -> Iterator[Task]:
    state = engine.read()
    name = state.agents.aliases.get(agent, agent) if agent is not None else None
    for task in Tasks(engine).ever(workstream, watch):
        holder = state.agents.aliases.get(task.assigned_to or "", task.assigned_to)
        if name is None or holder == name:
            # Archived records keep the name that an agent had then.
            yield msgspec.structs.replace(task, assigned_to=holder)


def _crew(engine: "Engine", now: str, agent: str | None) -> Crew:
    views = Agents.views(engine.read(), now, engine.presence.seen())
    here = [view for view in views if not view.stale and agent in (None, view.id)]
    busy = sum(view.presence == "working" for view in here)
    return Crew(active=len(here), busy=busy, utilisation=_share(busy, len(here)))


# Parts


def _since(now: str, days: int) -> str:
    """The first moment of the day (UTC) that begins the last so many days."""
    if not 1 <= days <= LONGEST:
        raise UsageError(f"{days} is no number of days", hint=f"Give 1 to {LONGEST}.")
    return clock.after(now, -(days - 1) * _DAY)[:10] + "T00:00:00.000Z"


def _grouped(tasks: Iterable[Task], key: Callable[[Task], str | None]) -> dict[str, list[Task]]:
    """The tasks of each group, by the name of the group; those of none are left out."""
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        name = key(task)
        if name is not None:
            groups.setdefault(name, []).append(task)
    return {name: groups[name] for name in sorted(groups, key=lambda name: (_rank(name), name))}


def _rank(name: str) -> int:
    return int(name) if name.isdecimal() and name.isascii() and len(name) < 5 else 0


def _priority(task: Task) -> str:
    return str(task.priority)


def _tallies(tasks: Sequence[Task], key: Callable[[Task], str | None]) -> dict[str, Tally]:
    return {name: _tally(found) for name, found in _grouped(tasks, key).items()}


def _tally(tasks: Sequence[Task]) -> Tally:
    count = {status: sum(task.status == status for task in tasks) for status in ENDED}
    return Tally(
        tasks=len(tasks),
        open=len(tasks) - sum(count.values()),
        active=sum(map(_is_active, tasks)),
        **count,
        completion_rate=_share(count["done"], len(tasks) - count["cancelled"]),
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


def _durations(spans: Iterable[tuple[str | None, str | None]]) -> Durations:
    """What is known of how long things took; a clock that was set back made nothing shorter than 0."""
    found = sorted(max(0.0, _seconds(start, end)) for start, end in spans if start and end)
    if not found:
        return Durations(count=0, mean=0.0, median=0.0, p90=0.0)
    return Durations(
        count=len(found),
        mean=round(statistics.fmean(found), 3),
        median=round(statistics.median(found), 3),
        p90=found[math.ceil(0.9 * len(found)) - 1],
    )


def _seconds(start: str, end: str) -> float:
    return round(clock.seconds(end) - clock.seconds(start), 3)


def _share(part: float, whole: float) -> float:
    return round(part / whole, 4) if whole > 0 else 0.0


def _count(days: dict[str, int], moment: str) -> None:
    day = moment[:10]
    if day in days:
        days[day] += 1
