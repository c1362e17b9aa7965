"""The figures of a report. The fields are the names in its JSON, times are UTC, durations are seconds.

Lists are bounded, so that a report can be read and its size does not grow with the board; what is counted is
counted in full.
"""

from typing import Literal

import msgspec

from orchestrator.domain.goals.progress import GoalProgress
from orchestrator.planning.cycle_report import Failed, Finished, Learned, Share
from orchestrator.planning.records import CriticalPath, TaskName

SHOWN = 50
"""Entries of a list."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How the tasks stand at the end of the report.

    Attributes:
        open: Those that have not ended.
        blocked: Open tasks that were set aside.
        done_share: The share of done tasks; cancelled tasks are not counted.
    """

    tasks: int
    done: int
    failed: int
    cancelled: int
    open: int
    in_progress: int
    in_review: int
    blocked: int
    done_share: float


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """How long ``count`` things took: half no longer than ``median``, 85 of 100 no longer than ``p85``."""

    count: int
    median: float
    p85: float


class FlowTimes(msgspec.Struct, frozen=True, kw_only=True):
    """How long tasks took that were done: from added to done (lead), from first claim to done (cycle)."""

    lead_time: Spread
    cycle_time: Spread


class StatusTime(msgspec.Struct, frozen=True, kw_only=True):
    """The time that tasks spent in a status; ``share`` is that of the time in all statuses."""

    status: str
    seconds: float
    share: float
    per_task: Spread


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the time line.

    Attributes:
        begins: The first moment of the step; the end is the next one's, or the report's.
        in_progress: Tasks in progress, on average over the step.
        in_review: Tasks in review, likewise.
        scope: Tasks that were wanted (not cancelled) at the end of the step.
        done: Tasks that were done at the end of the step.
    """

    begins: str
    added: int
    completed: int
    failed: int
    cancelled: int
    in_progress: float
    in_review: float
    scope: int
    done: int


class TimeLine(msgspec.Struct, frozen=True, kw_only=True):
    """Throughput, work in progress and burn-up, in steps of one length (``unit``); days begin in UTC."""

    unit: str
    seconds: float
    steps: list[Interval]


class OngoingTask(TaskName, frozen=True, kw_only=True):
    """A task that is being worked on or reviewed, since when, and by whom."""

    status: str
    agent: str | None
    since: str
    age: float


class HoldUp(msgspec.Struct, frozen=True, kw_only=True):
    """What other tasks or agents wait for.

    Attributes:
        kind: ``task``, ``lock``, ``review``, or the kind of the reason: ``blocked``, ``signal`` and so on.
        name: The id of the task, the resource of the lock, or the reason in words.
        agent: Who has it, if an agent has.
        waiting: How many wait.
        waiters: The first waiters: tasks by id, or agents by name.
    """

    kind: str
    name: str
    title: str
    status: str
    agent: str | None
    waiting: int
    waiters: list[str]


class Failure(TaskName, frozen=True, kw_only=True):
    """A task that failed; ``status`` is what it is now."""

    agent: str
    at: str
    reason: str
    status: str


class FailedCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A command or artifact that did not pass, and how often."""

    what: str
    times: int


class EvidenceCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How evidence went.

    Attributes:
        passed: Checks (commands and artifacts) that passed.
        failed: Checks that did not.
        forced: Tasks that were completed or handed in by force, such as after a failed check.
        failing: The checks that failed most often.
        reviews: How long reviews took, from handed in to the reviewer's word.
    """

    passed: int
    failed: int
    approved: int
    rejected: int
    forced: int
    failing: list[FailedCheck]
    reviews: Spread


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """A decision that was made."""

    number: int
    title: str
    agent: str
    at: str


class CycleWork(msgspec.Struct, frozen=True, kw_only=True):
    """What was done in one cycle; see ``collect``, which reports one in full.

    Attributes:
        number: None for the time before the first plan.
        finished: The last of the tasks that were done.
        failed: The last of the tasks that failed.
        agents: Who did it; ``running`` counts at the end of the cycle.
    """

    number: int | None
    started_at: str
    ended_at: str | None
    completed_count: int
    failed_count: int
    added_count: int
    finished: list[Finished]
    failed: list[Failed]
    agents: list[Share]


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """A time that a task spent in progress, in review or blocked."""

    status: str
    begins: str
    ends: str
    agent: str | None


class GanttRow(TaskName, frozen=True, kw_only=True):
    """A task of the chart; ``status`` is how it stood at the end."""

    status: str
    phases: list[Phase]


class Gantt(msgspec.Struct, frozen=True, kw_only=True):
    """The work of the last cycle; without cycles, of the whole report."""

    cycle: int | None
    begins: str
    ends: str
    rows: list[GanttRow]
    left_out: int


class HelpfulTask(TaskName, frozen=True, kw_only=True):
    """A task that can be worked on now, and how much earlier all is done (85 %) if it were done now."""

    status: str
    agent: str | None
    saves: float


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """When the open tasks of the board will have ended.

    Attributes:
        outcome: ``done``: nothing is open. ``unknown``: ``reason`` says why. Else ``forecast``.
        tasks: How many open tasks are in the forecast.
        left_out: How many are not: they need a task that failed or was cancelled, or are in a closed
            workstream.
        rest: When work rests on most days, the first such time from now on: its begin and its end. It is
            taken from the history, as are ``rest_days``; the forecast rests then. None: none is known.
        rest_days: The days of the week on which work rests, by the date (UTC) on which they begin.
        spared: How many are not, because they are done only if another task fails.
        assumed_free: How many in the forecast are blocked or wait for a signal now; they are taken as free.
        history: How many ended tasks it is drawn from.
        is_rough: The history is short, so the times lie far apart.
        workers: How many tasks were worked on side by side, at most.
        trials: How often the rest of the work was played.
        p50: Half of the trials were done by then.
        quantiles: The ends of 5, 10 ... 95 of 100 trials.
        helps: What helps most if it is done first.
    """

    outcome: Literal["done", "forecast", "unknown"]
    reason: str = ""
    tasks: int = 0
    left_out: int = 0
    spared: int = 0
    assumed_free: int = 0
    history: int = 0
    is_rough: bool = False
    workers: int = 0
    trials: int = 0
    p50: str | None = None
    p85: str | None = None
    p95: str | None = None
    quantiles: list[str] = []
    helps: list[HelpfulTask] = []
    rest: tuple[str, str] | None = None
    rest_days: list[str] = []


class GoalOutlook(GoalProgress, frozen=True, kw_only=True):
    """How far a goal is, and when its tasks will have ended.

    Attributes:
        outcome: ``ended``: the goal is reached or dropped. ``done``: its tasks have ended. ``unknown``:
            ``reason`` says why. Else ``forecast``.
        p50: Half of the trials had ended its tasks by then.
        in_time: The share of the trials that had ended them by its date.
        slip: Seconds from its date to ``p85``, or to when it was reached; below 0: so long before.
    """

    name: str
    description: str
    status: str
    due: str
    outcome: Literal["ended", "done", "forecast", "unknown"]
    reason: str = ""
    p50: str | None = None
    p85: str | None = None
    p95: str | None = None
    in_time: float | None = None
    slip: float | None = None


class BoardReport(msgspec.Struct, frozen=True, kw_only=True):
    """A report of a board.

    Attributes:
        event: The last event that is counted.
        since: Where the report begins: figures about a time are about the time from then to ``until``.
        until: Where it ends; what stands now stands at this moment.
        workstream: None: all.
    """

    generated_at: str
    event: int
    since: str
    until: str
    workstream: str | None
    standing: Standing
    forecast: Forecast
    goals: list[GoalOutlook]
    completed: int
    failed: int
    cancelled: int
    added: int
    per_day: float
    time_line: TimeLine
    times: FlowTimes
    times_by_type: dict[str, FlowTimes]
    statuses: list[StatusTime]
    ongoing: list[OngoingTask]
    hold_ups: list[HoldUp]
    failures: list[Failure]
    evidence: EvidenceCounts
    knowledge: list[Learned]
    decisions: list[Decided]
    agents: list[Share]
    cycles: list[CycleWork]
    gantt: Gantt
    critical_path: CriticalPath
