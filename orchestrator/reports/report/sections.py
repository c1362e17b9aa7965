"""A report in words and tables, the same for every layout: markdown, HTML and the terminal.

Text of agents is unchanged here; each layout escapes it.
"""

from collections.abc import Iterable, Sequence

import msgspec

from orchestrator.core.clock import local_time, spoken
from orchestrator.core.printable import amount, one_line
from orchestrator.planning.cycle_report import Share
from orchestrator.reports.report.records import (
    BoardReport,
    CycleWork,
    FlowTimes,
    GoalOutlook,
    Spread,
)

TITLE = 70
"""Characters of a title."""

_LATEST = 12
"""Steps of the time line that a table shows."""

_NEWEST = 8
"""Cycles that are shown, and tasks of each."""

_WAITED = 15
"""The most rows of tasks that others wait for."""

NUMBER = ">"
"""Marks the title of a column of numbers."""


class ReportTable(msgspec.Struct, frozen=True):
    """Rows under their titles; a title with ``>`` is a column of numbers."""

    heads: Sequence[str]
    rows: list[list[str]]


class ReportSection(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the report.

    Attributes:
        name: The name of its chart.
        lines: Sentences.
        table: None without rows.
    """

    name: str
    title: str
    lines: list[str] = []
    table: ReportTable | None = None


class Headline(msgspec.Struct, frozen=True, kw_only=True):
    """The summary in three short texts, each with a sentence: done, left, end."""

    title: str
    period: str
    done: str
    done_more: str
    left: str
    left_more: str
    when: str
    when_more: str


def headline(report: BoardReport) -> Headline:
    """Return the summary of the report."""
    standing = report.standing
    parts = {
        "in progress": standing.in_progress,
        "in review": standing.in_review,
        "blocked": standing.blocked,
    }
    named = ", ".join(f"{count} {name}" for name, count in parts.items() if count)
    scope = f" of {report.workstream}" if report.workstream else ""
    when, more = _when(report)
    return Headline(
        title=f"Report{scope or ' of the board'}",
        period=f"{local_time(report.since)} to {local_time(report.until)}",
        done=f"{standing.done} of {standing.tasks - standing.cancelled}",
        done_more=f"{standing.done_share:.0%} of what is wanted; {report.completed} in this time",
        left=str(standing.open),
        left_more=named or ("none is in work" if standing.open else "nothing is left"),
        when=when,
        when_more=more,
    )


def _when(report: BoardReport) -> tuple[str, str]:
    forecast = report.forecast
    if forecast.outcome == "done":
        return "now", "every task has ended" if report.standing.tasks else "there are no tasks"
    if forecast.p50 is None or forecast.p85 is None or forecast.p95 is None:
        return "unknown", forecast.reason
    rough = "; rough, for the history is short" if forecast.is_rough else ""
    return (
        local_time(forecast.p85),
        f"85 %; 50 %: {local_time(forecast.p50)}, 95 %: {local_time(forecast.p95)}{rough}",
    )


def sections(report: BoardReport) -> list[ReportSection]:
    """Return the parts of a report in their order; parts without content are left out."""
    if not report.standing.tasks:
        return [section for section in (_learned(report),) if section.table]
    made = [
        _forecast(report),
        _goals(report),
        _time_line(report),
        _flow(report),
        _statuses(report),
        _agents(report.agents, "agents", "Who did what"),
        _ongoing(report),
        _hold_ups(report),
        _critical_path(report),
        _gantt(report),
        *(_cycle(cycle) for cycle in report.cycles[: -_NEWEST - 1 : -1]),
        _failures(report),
        _evidence(report),
        _failing(report),
        _learned(report),
    ]
    return [section for section in made if section.lines or section.table]


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> ReportTable | None:
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    return ReportTable(heads, cells) if cells else None


def _status(status: str) -> str:
    return status.replace("_", " ")


def _title(text: str) -> str:
    return one_line(text, TITLE)


def _forecast(report: BoardReport) -> ReportSection:
    forecast = report.forecast
    lines: list[str] = []
    if forecast.outcome == "unknown":
        lines.append(f"When it will be done is unknown: {forecast.reason}.")
    elif forecast.p50 and forecast.p85 and forecast.p95:
        lines += [
            f"Half of {forecast.trials} played boards are done by {local_time(forecast.p50)}, 85 % by"
            f" {local_time(forecast.p85)}, 95 % by {local_time(forecast.p95)}.",
            f"Played are the {amount(forecast.tasks, 'open task')}, with what they need, by"
            f" {amount(forecast.workers, 'worker')}, with durations of the last {forecast.history} tasks"
            " that ended, by type and agent. Tasks that are added later are not in it.",
        ]
    if forecast.rest:
        begins, ends = map(local_time, forecast.rest)
        days = f" and on {', '.join(forecast.rest_days)}" if forecast.rest_days else ""
        lines.append(
            f"Work has rested daily, next from {begins} to {ends}{days}: the forecast rests then, too."
        )
    elif forecast.trials:
        lines.append(
            "Its history shows no time of the day at which work rests, so the forecast never rests."
        )
    if forecast.is_rough:
        lines.append("The history is short, so the times lie far apart.")
    if forecast.assumed_free:
        lines.append(
            f"Blocked or waiting for a signal, but taken as free: {forecast.assumed_free} of them."
        )
    if forecast.spared:
        lines.append(
            "Not in it, because they are done only if another task fails, which is taken to succeed:"
            f" {amount(forecast.spared, 'task')}."
        )
    if forecast.left_out:
        lines.append(
            "Not in it, because they need a task that failed or was cancelled, or are in a closed"
            f" workstream: {amount(forecast.left_out, 'task')}."
        )
    return ReportSection(
        name="forecast",
        title="When it will be done",
        lines=lines,
        table=_table(
            ["helps most if done first", "title", "agent", ">saves"],
            ([h.task, _title(h.title), h.agent, spoken(h.saves)] for h in forecast.helps),
        ),
    )


def _goals(report: BoardReport) -> ReportSection:
    return ReportSection(
        name="goals",
        title="Goals",
        table=_table(
            [
                "goal",
                "due",
                ">done",
                ">blocked",
                ">estimated",
                "85 % by",
                "beside its date",
                "moved",
            ],
            (
                [
                    goal.name,
                    local_time(goal.due),
                    f"{goal.done} of {goal.total}",
                    goal.blocked,
                    spoken(goal.estimate * 60) if goal.estimate else "",
                    local_time(goal.p85) if goal.p85 else "",
                    slip(goal),
                    later(goal.moved) if goal.moved else "",
                ]
                for goal in report.goals
            ),
        ),
    )


def slip(goal: GoalOutlook) -> str:
    """Return whether the tasks of a goal will have ended, or it was reached, by its date."""
    if goal.outcome == "done":
        return "its tasks have ended"
    if goal.slip is None:
        late = f"late by {spoken(goal.late)}; " if goal.late else ""
        return f"{late}{'unknown: ' * (goal.outcome == 'unknown')}{goal.reason}"
    chance = "" if goal.in_time is None else f" (in time in {goal.in_time:.0%} of the trials)"
    return f"{later(goal.slip)}{chance}"


def later(seconds: float) -> str:
    """Return a difference of two times in words."""
    return f"{spoken(abs(seconds))} {'later' if seconds > 0 else 'earlier'}"


def _time_line(report: BoardReport) -> ReportSection:
    steps = report.time_line.steps[-_LATEST:]
    return ReportSection(
        name="time_line",
        title=f"Flow, by {report.time_line.unit}",
        lines=[
            f"{report.completed} completed ({report.per_day:.1f} a day), {report.failed} failed,"
            f" {report.cancelled} cancelled, {report.added} added."
        ],
        table=_table(
            ["from", ">added", ">completed", ">failed", ">in progress", ">done", ">scope"],
            (
                [
                    local_time(step.begins),
                    step.added,
                    step.completed,
                    step.failed,
                    f"{step.in_progress:.1f}",
                    step.done,
                    step.scope,
                ]
                for step in steps
            ),
        ),
    )


def _spread(spread: Spread) -> list[str]:
    return [spoken(spread.median), spoken(spread.p85)] if spread.count else ["", ""]


def _flow(report: BoardReport) -> ReportSection:
    def row(name: str, times: FlowTimes) -> list[object]:
        lead, cycle = times.lead_time, times.cycle_time
        return [name, lead.count, *_spread(lead), *_spread(cycle)]

    rows = [row("all", report.times)] if report.times.lead_time.count else []
    rows += [row(kind, times) for kind, times in report.times_by_type.items()]
    return ReportSection(
        name="times",
        title="How long tasks take",
        lines=[
            "Lead time is from added to done, cycle time from the first claim to done. 85 % of the"
            " tasks took no longer than the second number."
        ]
        if rows
        else [],
        table=_table(["type", ">done", ">lead: half", ">85 %", ">cycle: half", ">85 %"], rows),
    )


def _statuses(report: BoardReport) -> ReportSection:
    return ReportSection(
        name="statuses",
        title="Time in each status",
        table=_table(
            ["status", ">share", ">in all", ">tasks", ">half", ">85 %"],
            (
                [
                    _status(status.status),
                    f"{status.share:.0%}",
                    spoken(status.seconds),
                    status.per_task.count,
                    *_spread(status.per_task),
                ]
                for status in report.statuses
            ),
        ),
    )


def _agents(agents: Iterable[Share], name: str, title: str) -> ReportSection:
    return ReportSection(
        name=name,
        title=title,
        table=_table(
            ["agent", ">done", ">failed", ">running", ">added", ">knowledge", ">time"],
            (
                [
                    agent.agent,
                    agent.completed,
                    agent.failed,
                    agent.running,
                    agent.added,
                    agent.knowledge,
                    spoken(agent.seconds),
                ]
                for agent in sorted(agents, key=lambda a: (-a.completed, a.agent))
            ),
        ),
    )


def _ongoing(report: BoardReport) -> ReportSection:
    return ReportSection(
        name="ongoing",
        title="Work in progress",
        table=_table(
            ["task", "title", "status", "agent", ">for"],
            (
                [task.task, _title(task.title), _status(task.status), task.agent, spoken(task.age)]
                for task in report.ongoing
            ),
        ),
    )


def _hold_ups(report: BoardReport) -> ReportSection:
    rows = []
    for hold_up in report.hold_ups[:_WAITED]:
        what = f"{hold_up.name} {_title(hold_up.title)}".rstrip()
        state = _status(hold_up.status or hold_up.kind)
        more = ", ..." if hold_up.waiting > len(hold_up.waiters) else ""
        waiters = ", ".join(hold_up.waiters) + more
        rows.append([_title(what), state, hold_up.agent, hold_up.waiting, waiters])
    return ReportSection(
        name="hold_ups",
        title="Who waits for whom",
        table=_table(["waited for", "status", "agent", ">waiting", "who waits"], rows),
    )


def _critical_path(report: BoardReport) -> ReportSection:
    path = report.critical_path
    more = f" The first {len(path.tasks)} of them are shown." if path.left_out else ""
    return ReportSection(
        name="critical_path",
        title="Critical path",
        lines=[
            f"No number of agents ends it in less than {spoken(path.minutes * 60)} of work, by the"
            f" estimates: each of these needs the one before.{more}"
        ]
        if path.tasks
        else [],
        table=_table(
            ["task", "title", "status", ">estimate"],
            (
                [
                    task.task,
                    _title(task.title),
                    _status(task.status),
                    spoken(task.minutes * 60) + (" (assumed)" if task.assumed else ""),
                ]
                for task in path.tasks
            ),
        ),
    )


def _gantt(report: BoardReport) -> ReportSection:
    gantt = report.gantt
    name = f"Cycle {gantt.cycle}" if gantt.cycle is not None else "The work"
    left_out = [f"Left out: {amount(gantt.left_out, 'earlier task')}."] if gantt.left_out else []
    return ReportSection(
        name="gantt",
        title=f"{name} over time",
        lines=left_out,
        table=_table(
            ["task", "title", "agent", "from", "to", "status"],
            (
                [
                    row.task,
                    _title(row.title),
                    row.phases[-1].agent,
                    local_time(row.phases[0].begins),
                    local_time(row.phases[-1].ends),
                    _status(row.status),
                ]
                for row in gantt.rows
            ),
        ),
    )


def _cycle(cycle: CycleWork) -> ReportSection:
    name = f"Cycle {cycle.number}" if cycle.number is not None else "Before the first plan"
    if cycle.number is None and cycle.ended_at is None:
        name = "The work so far"
    end = local_time(cycle.ended_at) if cycle.ended_at else "now"
    begins = local_time(cycle.started_at) if cycle.started_at else "the beginning"
    rows = [
        *([t.task_id, _title(t.title), "done", t.agent, _took(t.seconds)] for t in cycle.finished),
        *([t.task_id, _title(t.title), "failed", t.agent, _took(t.seconds)] for t in cycle.failed),
    ]
    left_out = [f"The last {_NEWEST} are shown."] if len(rows) > _NEWEST else []
    return ReportSection(
        name=f"cycle-{cycle.number or 0}",
        title=name,
        lines=[
            f"{begins} to {end}: {cycle.completed_count} done, {cycle.failed_count} failed,"
            f" {cycle.added_count} added, by"
            f" {', '.join(share.agent for share in cycle.agents) or 'no agent'}.",
            *left_out,
        ],
        table=_table(["task", "title", "outcome", "agent", ">took"], rows[-_NEWEST:]),
    )


def _took(seconds: float | None) -> str:
    return "" if seconds is None else spoken(seconds)


def _failures(report: BoardReport) -> ReportSection:
    return ReportSection(
        name="failures",
        title="What failed, and why",
        table=_table(
            ["task", "title", "agent", "when", "why", "now"],
            (
                [
                    f.task,
                    _title(f.title),
                    f.agent,
                    local_time(f.at),
                    _title(f.reason),
                    _status(f.status),
                ]
                for f in report.failures
            ),
        ),
    )


def _evidence(report: BoardReport) -> ReportSection:
    evidence = report.evidence
    checks, reviews = evidence.passed + evidence.failed, evidence.approved + evidence.rejected
    lines = []
    if checks:
        lines.append(f"{evidence.passed} of {checks} checks passed.")
    if reviews:
        half, most = _spread(evidence.reviews) or ("", "")
        lines.append(
            f"{evidence.approved} of {reviews} reviews approved the work; half of them took no longer"
            f" than {half or '0s'}, 85 % no longer than {most or '0s'}."
        )
    if evidence.forced:
        lines.append(f"Completed by force, with a reason: {amount(evidence.forced, 'task')}.")
    return ReportSection(name="evidence", title="How evidence went", lines=lines)


def _failing(report: BoardReport) -> ReportSection:
    return ReportSection(
        name="failing",
        title="Checks that failed most often",
        table=_table(["check", ">times"], ([c.what, c.times] for c in report.evidence.failing)),
    )


def _learned(report: BoardReport) -> ReportSection:
    rows = [
        *([k.topic, k.change, k.agent, local_time(k.at)] for k in report.knowledge),
        *(
            [f"{d.number} {_title(d.title)}", "decided", d.agent, local_time(d.at)]
            for d in report.decisions
        ),
    ]
    return ReportSection(
        name="knowledge",
        title="Knowledge and decisions",
        table=_table(["topic", "change", "agent", "when"], rows),
    )
