"""The work of the last days: amount, speed and agents, from the records of tasks.

Without data a rate or duration is zero, so an empty board has every number.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from orchestrator.core import clock
from orchestrator.core.events import decode
from orchestrator.core.progress import ShowProgress, no_progress
from orchestrator.domain.agents.commands import Agents
from orchestrator.domain.cycles.events import CyclePlanned
from orchestrator.domain.tasks.records import Task
from orchestrator.engine import Engine
from orchestrator.reports.history import DAY, all_tasks, first_moment, grouped, share, spread


class Durations(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of ``count`` durations in seconds; nine of ten are at most ``p90``."""

    count: int
    mean: float
    median: float
    p90: float


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """The flow of some tasks in a period.

    Attributes:
        per_day: Completed tasks per day.
        success_rate: The share of done tasks among done and failed ones.
        time_to_start: From addition to the first claim, of tasks that ended in the period or are in progress.
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
    """The flow of one agent's tasks; ``busy_share`` is the share of the time with a task in progress.

    The time is known from the last claim of each task, so released work does not count.
    """

    working: int
    busy_share: float


class Crew(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of active and of busy agents, and busy / active."""

    active: int
    busy: int
    utilisation: float


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """The tasks of one day (UTC)."""

    day: str
    added: int
    completed: int
    failed: int


class CycleNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """The size of a cycle's plan, and the work until the next cycle began (None: it has not ended)."""

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
    """The work of the last days, today included."""

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


def metrics(
    engine: Engine,
    *,
    days: int = 14,
    workstream: str | None = None,
    agent: str | None = None,
    progress: ShowProgress = no_progress,
) -> Metrics:
    """Measure the last days.

    Args:
        days: How many days, today (UTC) included.
        workstream: Only tasks of this workstream.
        agent: Only tasks that this agent has or was the last to have.
        progress: Shows how many archived tasks are read.

    Raises:
        NotFound: There is no such workstream.
        UsageError: The number of days is out of range.
    """
    now = engine.now()
    window = _Window(engine, first_moment(now, days), now, days)
    tasks = list(all_tasks(engine, workstream, agent, progress))

    return Metrics(
        days=days,
        since=window.since,
        until=now,
        total=window.flow(tasks),
        agents=_crew(engine, now, agent),
        throughput=window.throughput(tasks),
        by_workstream=grouped(tasks, "workstream", window.flow),
        by_priority=grouped(tasks, "priority", window.flow),
        by_type=grouped(tasks, "type", window.flow),
        by_agent=grouped(tasks, "assigned_to", window.agent_flow),
        cycles=_cycles(engine, window.since, tasks),
    )


class _Window:
    """The time window of the metrics."""

    def __init__(self, engine: Engine, since: str, until: str, days: int) -> None:
        self.since, self.until = since, until
        self._engine, self._days = engine, days
        self._first_claims: dict[str, str | None] = {}

    def flow(self, tasks: Sequence[Task]) -> Flow:
        """Return the flow of the tasks in this period."""
        ended = [task for task in tasks if self.since <= (task.ended_at or "")]
        worked = [task for task in ended if task.status in ("done", "failed")]
        count = Counter(task.status for task in ended)
        started = [*worked, *(task for task in tasks if task.status == "in_progress")]
        return Flow(
            added=sum(task.created_at >= self.since for task in tasks),
            completed=count["done"],
            failed=count["failed"],
            cancelled=count["cancelled"],
            per_day=count["done"] / self._days,
            success_rate=share(count["done"], count["done"] + count["failed"]),
            time_to_start=_durations((t.created_at, self._first_claim(t)) for t in started),
            time_to_finish=_durations((t.claimed_at, t.ended_at) for t in worked),
        )

    def agent_flow(self, tasks: Sequence[Task]) -> AgentFlow:
        """Return the flow of one agent's tasks, and how busy they kept the agent."""
        flow = msgspec.structs.asdict(self.flow(tasks))
        working = sum(task.status == "in_progress" for task in tasks)
        return AgentFlow(**flow, working=working, busy_share=self._busy_share(tasks))

    def throughput(self, tasks: Sequence[Task]) -> list[Day]:
        """Return every day of the window, days without events included."""
        dates = [clock.after(self.since, day * DAY)[:10] for day in range(self._days)]
        added = Counter(task.created_at[:10] for task in tasks)
        ended = Counter((task.status, (task.ended_at or "")[:10]) for task in tasks)
        return [
            Day(day=d, added=added[d], completed=ended["done", d], failed=ended["failed", d])
            for d in dates
        ]

    def _first_claim(self, task: Task) -> str | None:
        """Return the time of the first claim; the record has only the last one."""
        if task.attempt <= 1:
            return task.claimed_at
        if task.id not in self._first_claims:
            events = (self._engine.event(number) for number in task.events)
            claims = (record.ts for record in events if record.type == "task.claimed")
            self._first_claims[task.id] = next(claims, task.claimed_at)
        return self._first_claims[task.id]

    def _busy_share(self, tasks: Iterable[Task]) -> float:
        """Return the share of the window that the union of the tasks' times in progress covers."""
        spans = []
        for task in tasks:
            is_running = task.status == "in_progress"
            end = min(task.lease_until, self.until) if is_running else task.ended_at
            start = max(task.claimed_at or "", self.since)
            if task.claimed_at and end and start < end:
                spans.append((start, end))
        busy, covered_until = 0.0, self.since
        for start, end in sorted(spans):
            if end > covered_until:
                busy += clock.between(max(start, covered_until), end)
                covered_until = end
        return share(busy, clock.between(self.since, self.until))


def _cycles(engine: Engine, since: str, tasks: Sequence[Task]) -> list[CycleNumbers]:
    """Return the cycles that began since then, oldest first."""
    cycle = engine.read().cycles.cycle
    cycles: list[CycleNumbers] = []
    until: str | None = None
    for number in reversed(cycle.starts if cycle else ()):
        record = engine.event(number)
        planned = decode(record)
        if record.ts < since or not isinstance(planned, CyclePlanned):
            break
        cycles.insert(0, _cycle(planned, record.ts, until, tasks))
        until = record.ts
    return cycles


def _cycle(
    planned: CyclePlanned, start: str, until: str | None, tasks: Sequence[Task]
) -> CycleNumbers:
    def is_within(moment: str | None) -> bool:
        return moment is not None and start <= moment and (until is None or moment < until)

    def size(field: str) -> int:
        """Return the number of entries in a list of the plan, including omitted ones."""
        left_out = planned.plan.get("left_out", {})
        return len(planned.plan.get(field, ())) + int(left_out.get(field, 0))

    ended = Counter(task.status for task in tasks if is_within(task.ended_at))
    return CycleNumbers(
        number=planned.number,
        started_at=start,
        ended_at=until,
        parallel=size("recommended_parallel"),
        serial=size("recommended_serial"),
        waiting=size("waiting"),
        attention=size("attention"),
        added=sum(is_within(task.created_at) for task in tasks),
        completed=ended["done"],
        failed=ended["failed"],
    )


def _crew(engine: Engine, now: str, agent: str | None) -> Crew:
    views = Agents.views(engine.read(), now, engine.presence.seen())
    here = [view for view in views if not view.stale and agent in (None, view.id)]
    busy = sum(view.presence == "working" for view in here)
    return Crew(active=len(here), busy=busy, utilisation=share(busy, len(here)))


def _durations(spans: Iterable[tuple[str | None, str | None]]) -> Durations:
    """Summarise the known spans."""
    lengths = (clock.between(start, end) for start, end in spans if start and end)
    return Durations(**spread(lengths, p90=0.9))
