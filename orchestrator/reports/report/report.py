"""A report of a board: its figures, made from the state and one pass over the log."""

from collections import Counter
from collections.abc import Iterable, Iterator

from orchestrator.core import clock
from orchestrator.core.errors import UsageError
from orchestrator.core.moments import moment
from orchestrator.core.multimap import multimap
from orchestrator.core.printable import one_line
from orchestrator.core.progress import ShowProgress, no_progress
from orchestrator.domain.event_log import beginning
from orchestrator.domain.goals.records import Goal
from orchestrator.domain.state import State
from orchestrator.domain.tasks.blockers import blockers
from orchestrator.domain.tasks.records import ENDED, STATUSES, Task
from orchestrator.engine import Engine
from orchestrator.planning.critical_path import critical_path
from orchestrator.planning.cycle_report import Learned, Share
from orchestrator.planning.survey import about
from orchestrator.reports.history import DAY, share, spread
from orchestrator.reports.report.cycles import Rounds, gantt
from orchestrator.reports.report.forecast import Played, forecast
from orchestrator.reports.report.goals import outlooks
from orchestrator.reports.report.lives import Chronicle, Life, ending_text, read_chronicle
from orchestrator.reports.report.records import (
    SHOWN,
    BoardReport,
    CycleWork,
    EvidenceCounts,
    FailedCheck,
    Failure,
    FlowTimes,
    GoalOutlook,
    HoldUp,
    OngoingTask,
    Spread,
    Standing,
    StatusTime,
)
from orchestrator.reports.report.time_line import time_line

_OTHERS = ("need", "parent", "children")
"""The kinds of reasons that are another task."""

REASON = 200
"""Characters of a reason."""

_OWN_REASONS = ("blocked", "signal")
"""What keeps a task back beside other tasks, and does not go away with time."""


def report(
    engine: Engine,
    *,
    since: str | int | None = None,
    until: str | None = None,
    workstream: str | None = None,
    progress: ShowProgress = no_progress,
) -> BoardReport:
    """Report what was done, how the work flows, and when the rest will be done.

    Args:
        since: Where it begins: after this event id, at this time, or so long ago (``7d``); else at the
            first event.
        until: Where it ends; the board is reported as it stood then.
        workstream: Only tasks of this workstream.
        progress: Shows the progress of reading and simulating.

    Raises:
        NotFound: There is no such workstream.
        UsageError: ``since`` or ``until`` is no moment, or nothing lies between them.
    """
    state, end = _state_at(engine, until)
    state.workstreams.check(workstream)
    begin = _beginning(engine, since, end)
    chronicle = read_chronicle(engine, state, begin, progress)
    return _Reporter(engine, state, chronicle, begin, end, workstream, progress).report()


def _state_at(engine: Engine, until: str | None) -> tuple[State, str]:
    """The board as it is, or stood at a moment, and this moment."""
    now = engine.now()
    if until is None:
        return engine.read(), now
    end = moment(until, now, is_past=True, is_end=True)
    state = engine.read()
    for record in engine.read_backwards():
        if record.ts <= end and record.id <= state.event:
            return engine.state_at(record.id), min(end, now)
    return State(), min(end, now)


def _beginning(engine: Engine, since: str | int | None, end: str) -> str:
    """The moment where a report begins; empty for the first event."""
    if since is None:
        return ""
    begin = beginning(since, engine.now())
    if isinstance(begin, int):
        begin = engine.event(begin).ts if begin else ""
    if begin > end:
        raise UsageError(f"The report would begin at {begin}, after its end: {end}")
    return begin


class _Reporter:
    """The figures of one board up to a moment."""

    def __init__(
        self,
        engine: Engine,
        state: State,
        chronicle: Chronicle,
        since: str,
        until: str,
        workstream: str | None,
        progress: ShowProgress,
    ) -> None:
        self._engine, self._state, self._progress = engine, state, progress
        self._workstream, self._chronicle = workstream, chronicle
        self._since = since or min(chronicle.began or until, until)
        self._until = until
        self._begin, self._end = clock.seconds(self._since), clock.seconds(until)
        self._lives = {
            task: life
            for task, life in chronicle.lives.items()
            if workstream is None or (life.facts and life.facts.workstream == workstream)
        }

    def report(self) -> BoardReport:
        """Return the report."""
        ended = [life for life in self._lives.values() if self._is_recent(life.last.moment)]
        count = Counter(life.last.status for life in ended)
        done = [life for life in ended if life.last.status == "done"]
        by_type = multimap((life.facts.type, life) for life in done if life.facts is not None)
        days = max(1.0, (self._end - self._begin) / DAY)
        cycles = self._cycles()
        last = cycles[-1] if cycles else None
        charted = max(self._begin, clock.seconds(last.started_at)) if last else self._begin
        return BoardReport(
            generated_at=self._engine.now(),
            event=self._state.event,
            since=self._since,
            until=self._until,
            workstream=self._workstream,
            standing=self._standing(),
            forecast=forecast(
                Played(self._state, self._lives, self._workstream, self._until, self._progress)
            ),
            goals=self._goals(),
            completed=count["done"],
            failed=count["failed"],
            cancelled=count["cancelled"],
            added=sum(self._is_recent(life.added) for life in self._lives.values()),
            per_day=round(count["done"] / days, 3),
            time_line=time_line(self._lives.values(), self._begin, self._end),
            times=_times(done),
            times_by_type={kind: _times(by_type[kind]) for kind in sorted(by_type)},
            statuses=self._statuses(),
            ongoing=self._ongoing(),
            hold_ups=self._hold_ups(),
            failures=self._failures(),
            evidence=self._evidence(),
            knowledge=self._knowledge(),
            decisions=[d for d in self._chronicle.decisions if d.at >= self._since][-SHOWN:],
            agents=self._agents(),
            cycles=cycles,
            gantt=gantt(self._lives, last.number if last else None, charted, self._end),
            critical_path=critical_path(self._state, self._workstream),
        )

    def _is_recent(self, moment: float) -> bool:
        return self._begin <= moment <= self._end

    # Present state

    def _standing(self) -> Standing:
        count = Counter(life.last.status for life in self._lives.values())
        total = sum(count.values())
        return Standing(
            tasks=total,
            done=count["done"],
            failed=count["failed"],
            cancelled=count["cancelled"],
            open=total - sum(count[status] for status in ENDED),
            in_progress=count["in_progress"],
            in_review=count["in_review"],
            blocked=count["blocked"],
            done_share=share(count["done"], total - count["cancelled"]),
        )

    def _open_tasks(self) -> Iterator[Task]:
        for task in self._state.tasks.values():
            if task.status not in ENDED and self._workstream in (None, task.workstream):
                yield task

    def _ongoing(self) -> list[OngoingTask]:
        tasks = [task for task in self._open_tasks() if task.status in ("in_progress", "in_review")]
        since = {task.id: clock.timestamp(self._lives[task.id].last.moment) for task in tasks}
        tasks.sort(key=lambda task: (since[task.id], task.id))
        return [
            OngoingTask(
                **about(task),
                status=task.status,
                agent=task.assigned_to,
                since=since[task.id],
                age=round(max(0.0, self._end - self._lives[task.id].last.moment), 3),
            )
            for task in tasks[:SHOWN]
        ]

    def _hold_ups(self) -> list[HoldUp]:
        """The tasks that others wait for, most awaited first, by the blockers of tasks."""
        waiting: dict[tuple[str, str], list[str]] = {}
        for task in self._open_tasks():
            if task.status not in ("pending", "blocked"):
                continue
            for blocker in blockers(self._state, task, self._until):
                if blocker.kind in _OWN_REASONS:
                    waiting.setdefault((blocker.kind, blocker.says), []).append(task.id)
                elif blocker.kind in _OTHERS and blocker.task not in (None, task.id):
                    assert blocker.task is not None
                    waiting.setdefault(("task", blocker.task), []).append(task.id)
        result = [self._hold_up(*key, waiters) for key, waiters in waiting.items()]
        result += self._locks() if self._workstream is None else []
        result += self._reviews()
        return sorted(result, key=lambda hold_up: -hold_up.waiting)[:SHOWN]

    def _hold_up(self, kind: str, name: str, waiters: list[str]) -> HoldUp:
        task = self._state.tasks.get(name) if kind == "task" else None
        status = self._state.tasks.status_of(name) if kind == "task" else ""
        return HoldUp(
            kind=kind,
            name=one_line(name, REASON),
            title=task.title if task else "",
            status=status,
            agent=task.assigned_to if task else None,
            waiting=len(waiters),
            waiters=waiters[:_NAMED],
        )

    def _locks(self) -> Iterator[HoldUp]:
        for lock in self._state.locks.values():
            current = lock.without_ended(self._until)
            if current.waiting:
                waiters = [waiter.agent for waiter in current.waiting]
                yield HoldUp(
                    kind="lock",
                    name=lock.resource,
                    title="",
                    status="",
                    agent=next((holder.agent for holder in current.holders), None),
                    waiting=len(waiters),
                    waiters=waiters[:_NAMED],
                )

    def _reviews(self) -> Iterator[HoldUp]:
        for task in self._open_tasks():
            if task.status == "in_review":
                reviewer = task.reviewer if task.review_until > self._until else None
                yield HoldUp(
                    kind="review",
                    name=task.id,
                    title=task.title,
                    status=task.status,
                    agent=reviewer,
                    waiting=1,
                    waiters=[task.assigned_to] if task.assigned_to else [],
                )

    def _goals(self) -> list[GoalOutlook]:
        """The open goals, next date first; of a workstream, the goals with a task in it."""
        goals = [goal for goal in self._state.goals.values() if self._is_wanted(goal)]
        goals = sorted(goals, key=lambda goal: (goal.due, goal.name))[:SHOWN]
        if not goals:
            return []
        return outlooks(self._state, goals, self._chronicle.lives, self._until, self._progress)

    def _is_wanted(self, goal: Goal) -> bool:
        if goal.status != "open" or self._workstream is None:
            return goal.status == "open"
        tasks = self._state.tasks
        return any(tasks.workstream_of(task) == self._workstream for task in goal.tasks)

    # What happened

    def _statuses(self) -> list[StatusTime]:
        spent: dict[str, list[float]] = {}
        for life in self._lives.values():
            own: dict[str, float] = {}
            for change, end in life.spans(self._end):
                seconds = min(end, self._end) - max(change.moment, self._begin)
                if seconds > 0 and change.status not in ENDED:
                    own[change.status] = own.get(change.status, 0.0) + seconds
            for status, seconds in own.items():
                spent.setdefault(status, []).append(seconds)
        total = sum(map(sum, spent.values()))
        return [
            StatusTime(
                status=status,
                seconds=round(sum(spent[status]), 3),
                share=share(sum(spent[status]), total),
                per_task=_spread(spent[status]),
            )
            for status in STATUSES
            if status in spent
        ]

    def _failures(self) -> list[Failure]:
        collected = [
            (change, life)
            for life in self._lives.values()
            for change in life.changes
            if change.status == "failed" and self._is_recent(change.moment)
        ]
        collected.sort(key=lambda entry: -entry[0].event)
        return [
            Failure(
                **life.named,
                agent=change.agent,
                at=clock.timestamp(change.moment),
                reason=ending_text(self._engine, change) or "",
                status=life.last.status,
            )
            for change, life in collected[:SHOWN]
        ]

    def _evidence(self) -> EvidenceCounts:
        checks = [
            check
            for check in self._chronicle.checks
            if check.task in self._lives and self._is_recent(check.moment)
        ]
        failing = Counter(what for check in checks for what in check.failed)
        reviews = (
            end - change.moment
            for life in self._lives.values()
            for change, end in life.spans(self._end)
            if change.status == "in_review" and change is not life.last and self._is_recent(end)
        )
        return EvidenceCounts(
            passed=sum(check.passed for check in checks),
            failed=sum(len(check.failed) for check in checks),
            approved=sum(check.approved is True for check in checks),
            rejected=sum(check.approved is False for check in checks),
            forced=len({check.task for check in checks if check.forced}),
            failing=[
                FailedCheck(what=one_line(what, REASON), times=times)
                for what, times in failing.most_common(_CHECKS)
            ],
            reviews=_spread(reviews),
        )

    def _knowledge(self) -> list[Learned]:
        """The last change of each topic, oldest first."""
        topics: dict[str, Learned] = {}
        for event, learned in self._chronicle.knowledge:
            if event > self._chronicle.before:
                topics.pop(learned.topic, None)
                topics[learned.topic] = learned
        return [*topics.values()][-SHOWN:]

    def _agents(self) -> list[Share]:
        rounds = Rounds(self._engine, self._chronicle, self._lives, [self._chronicle.before])
        return rounds.shares[1].in_order()

    def _cycles(self) -> list[CycleWork]:
        """The cycles in the period, oldest first; without cycles, the whole period."""
        cycle = self._state.cycles.cycle
        starts = cycle.starts if cycle else ()
        rounds = Rounds(self._engine, self._chronicle, self._lives, starts)
        times = [
            self._chronicle.began or self._since,
            *(self._engine.event(start).ts for start in starts),
        ]
        ends = [*times[1:], None]
        collected = []
        for place, (started, ended) in enumerate(zip(times, ends, strict=True)):
            if ended is None or ended > self._since:
                collected.append(rounds.work(place, place or None, started, ended))
        before_plan = collected[0] if collected and collected[0].number is None else None
        if before_plan and len(collected) > 1 and not before_plan.agents:
            collected = collected[1:]
        return collected[-SHOWN:]


_NAMED = 5
"""Waiters that are named."""

_CHECKS = 10
"""Failing checks that are named."""


def _times(done: Iterable[Life]) -> FlowTimes:
    """Lead and cycle time of done tasks; a task without a claim has no cycle time."""
    lead, cycle = [], []
    for life in done:
        end = life.last.moment
        lead.append(end - life.added)
        claims = [change.moment for change in life.changes if change.status == "in_progress"]
        if claims:
            cycle.append(end - claims[0])
    return FlowTimes(lead_time=_spread(lead), cycle_time=_spread(cycle))


def _spread(lengths: Iterable[float]) -> Spread:
    """Summarise durations."""
    numbers = spread(lengths, p85=0.85)
    del numbers["mean"]
    return Spread(**numbers)
