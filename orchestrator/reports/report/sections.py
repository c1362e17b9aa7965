"""A report in words and tables, the same for every layout: markdown, HTML and the terminal.

Text of agents is unchanged here; each layout escapes it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from orchestrator.core.clock import local_time, spoken
from orchestrator.core.printable import amount, one_line
from orchestrator.planning.cycle_report import Failed, Finished, Share
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


class ReportSection(msgspec.Struct, frozen=True):
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


_WORDS: dict[str, Callable[[Any], str]] = {
    **dict.fromkeys(("title", "reason"), _title),
    **dict.fromkeys(("at", "due", "p85", "begins"), local_time),
    **dict.fromkeys(("age", "saves", "seconds"), spoken),
    "status": _status,
    "share": "{:.0%}".format,
    "in_progress": "{:.1f}".format,
}
"""How fields of records are shown; others are shown as they are."""


def _cells(record: Any, *fields: str) -> list[object]:
    values = [getattr(record, field) for field in fields]
    return [
        _WORDS[field](value) if field in _WORDS and value is not None else value
        for field, value in zip(fields, values, strict=True)
    ]


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
    heads = ["helps most if done first", "title", "agent", ">saves"]
    helps = (_cells(task, "task", "title", "agent", "saves") for task in forecast.helps)
    return ReportSection("forecast", "When it will be done", lines, _table(heads, helps))


def _goals(report: BoardReport) -> ReportSection:
    heads = [
        "goal",
        "due",
        ">done",
        ">blocked",
        ">estimated",
        "85 % by",
        "beside its date",
        "moved",
    ]
    rows = (
        [
            *_cells(goal, "name", "due"),
            f"{goal.done} of {goal.total}",
            goal.blocked,
            spoken(goal.estimate * 60) if goal.estimate else "",
            *_cells(goal, "p85"),
            slip(goal),
            later(goal.moved) if goal.moved else "",
        ]
        for goal in report.goals
    )
    return ReportSection("goals", "Goals", table=_table(heads, rows))


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
    heads = ["from", ">added", ">completed", ">failed", ">in progress", ">done", ">scope"]
    fields = ("begins", "added", "completed", "failed", "in_progress", "done", "scope")
    steps = report.time_line.steps[-_LATEST:]
    summary = (
        f"{report.completed} completed ({report.per_day:.1f} a day), {report.failed} failed,"
        f" {report.cancelled} cancelled, {report.added} added."
    )
    table = _table(heads, (_cells(step, *fields) for step in steps))
    return ReportSection("time_line", f"Flow, by {report.time_line.unit}", [summary], table)


def _spread(spread: Spread) -> list[str]:
    return [spoken(spread.median), spoken(spread.p85)] if spread.count else ["", ""]


def _flow(report: BoardReport) -> ReportSection:
    def row(name: str, times: FlowTimes) -> list[object]:
        lead, cycle = times.lead_time, times.cycle_time
        return [name, lead.count, *_spread(lead), *_spread(cycle)]

    rows = [row("all", report.times)] if report.times.lead_time.count else []
    rows += [row(kind, times) for kind, times in report.times_by_type.items()]
    meaning = (
        "Lead time is from added to done, cycle time from the first claim to done. 85 % of the"
        " tasks took no longer than the second number."
    )
    heads = ["type", ">done", ">lead: half", ">85 %", ">cycle: half", ">85 %"]
    lines = [meaning] if rows else []
    return ReportSection("times", "How long tasks take", lines, _table(heads, rows))


def _statuses(report: BoardReport) -> ReportSection:
    heads = ["status", ">share", ">in all", ">tasks", ">half", ">85 %"]
    rows = (
        [*_cells(each, "status", "share", "seconds"), each.per_task.count, *_spread(each.per_task)]
        for each in report.statuses
    )
    return ReportSection("statuses", "Time in each status", table=_table(heads, rows))


def _agents(agents: Iterable[Share], name: str, title: str) -> ReportSection:
    heads = ["agent", ">done", ">failed", ">running", ">added", ">knowledge", ">time"]
    fields = ("agent", "completed", "failed", "running", "added", "knowledge", "seconds")
    ranked = sorted(agents, key=lambda agent: (-agent.completed, agent.agent))
    table = _table(heads, (_cells(agent, *fields) for agent in ranked))
    return ReportSection(name, title, table=table)


def _ongoing(report: BoardReport) -> ReportSection:
    fields = ("task", "title", "status", "agent", "age")
    rows = (_cells(task, *fields) for task in report.ongoing)
    table = _table([*fields[:-1], ">for"], rows)
    return ReportSection("ongoing", "Work in progress", table=table)


def _hold_ups(report: BoardReport) -> ReportSection:
    rows = []
    for hold_up in report.hold_ups[:_WAITED]:
        what = f"{hold_up.name} {_title(hold_up.title)}".rstrip()
        state = _status(hold_up.status or hold_up.kind)
        more = ", ..." if hold_up.waiting > len(hold_up.waiters) else ""
        waiters = ", ".join(hold_up.waiters) + more
        rows.append([_title(what), state, hold_up.agent, hold_up.waiting, waiters])
    heads = ["waited for", "status", "agent", ">waiting", "who waits"]
    return ReportSection("hold_ups", "Who waits for whom", table=_table(heads, rows))


def _critical_path(report: BoardReport) -> ReportSection:
    path = report.critical_path
    more = f" The first {len(path.tasks)} of them are shown." if path.left_out else ""
    meaning = (
        f"No number of agents ends it in less than {spoken(path.minutes * 60)} of work, by the"
        f" estimates: each of these needs the one before.{more}"
    )
    fields = ("task", "title", "status")
    rows = (
        [*_cells(task, *fields), spoken(task.minutes * 60) + " (assumed)" * task.assumed]
        for task in path.tasks
    )
    table = _table([*fields, ">estimate"], rows)
    return ReportSection("critical_path", "Critical path", [meaning] if table else [], table)


def _gantt(report: BoardReport) -> ReportSection:
    gantt = report.gantt
    name = f"Cycle {gantt.cycle}" if gantt.cycle is not None else "The work"
    left_out = [f"Left out: {amount(gantt.left_out, 'earlier task')}."] if gantt.left_out else []
    rows = (
        [
            *_cells(row, "task", "title"),
            row.phases[-1].agent,
            local_time(row.phases[0].begins),
            local_time(row.phases[-1].ends),
            *_cells(row, "status"),
        ]
        for row in gantt.rows
    )
    table = _table(["task", "title", "agent", "from", "to", "status"], rows)
    return ReportSection("gantt", f"{name} over time", left_out, table)


def _cycle(cycle: CycleWork) -> ReportSection:
    name = f"Cycle {cycle.number}" if cycle.number is not None else "Before the first plan"
    if cycle.number is None and cycle.ended_at is None:
        name = "The work so far"
    end = local_time(cycle.ended_at) if cycle.ended_at else "now"
    begins = local_time(cycle.started_at) if cycle.started_at else "the beginning"
    outcomes: tuple[tuple[str, Sequence[Finished | Failed]], ...] = (
        ("done", cycle.finished),
        ("failed", cycle.failed),
    )
    rows = [
        [*_cells(task, "task_id", "title"), outcome, *_cells(task, "agent", "seconds")]
        for outcome, tasks in outcomes
        for task in tasks
    ]
    counts = f"{cycle.completed_count} done, {cycle.failed_count} failed, {cycle.added_count} added"
    agents = ", ".join(share.agent for share in cycle.agents) or "no agent"
    lines = [f"{begins} to {end}: {counts}, by {agents}."]
    lines += [f"The last {_NEWEST} are shown."] if len(rows) > _NEWEST else []
    table = _table(["task", "title", "outcome", "agent", ">took"], rows[-_NEWEST:])
    return ReportSection(f"cycle-{cycle.number or 0}", name, lines, table)


def _failures(report: BoardReport) -> ReportSection:
    heads = ["task", "title", "agent", "when", "why", "now"]
    fields = ("task", "title", "agent", "at", "reason", "status")
    table = _table(heads, (_cells(failure, *fields) for failure in report.failures))
    return ReportSection("failures", "What failed, and why", table=table)


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
    return ReportSection("evidence", "How evidence went", lines)


def _failing(report: BoardReport) -> ReportSection:
    table = _table(["check", ">times"], ([c.what, c.times] for c in report.evidence.failing))
    return ReportSection("failing", "Checks that failed most often", table=table)


def _learned(report: BoardReport) -> ReportSection:
    rows = [_cells(topic, "topic", "change", "agent", "at") for topic in report.knowledge]
    rows += (
        [f"{made.number} {_title(made.title)}", "decided", *_cells(made, "agent", "at")]
        for made in report.decisions
    )
    table = _table(["topic", "change", "agent", "when"], rows)
    return ReportSection("knowledge", "Knowledge and decisions", table=table)
