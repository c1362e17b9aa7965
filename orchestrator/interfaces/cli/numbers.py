"""``orc stats`` and ``orc metrics``: numbers about the board, with small charts."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestrator.core.clock import spoken
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.parameters import INTEGER, WORKSTREAM_NAME, option
from orchestrator.interfaces.cli.rendering import (
    Answer,
    bars,
    fields,
    parts,
    table,
)
from orchestrator.interfaces.cli.run import Run, given

if TYPE_CHECKING:
    from orchestrator.reports.metrics import Durations, Flow, Metrics
    from orchestrator.reports.stats import Stats, Tally

_SHOWN = 10
"""Active tasks that the text names; ``--json`` has all."""

_WORKSTREAM = option("--ws", type=WORKSTREAM_NAME, help="Only tasks of this workstream.")


@BOARD.command("stats", example="stats --ws build", reads=True, filters_agent=True)
@_WORKSTREAM
@option("--days", type=INTEGER, help="Only tasks that changed in so many days.")
def stats(run: Run, ws: str | None, days: int | None, agent: str | None) -> Answer:
    """Count tasks by status, workstream, priority, type and agent, archived ones included."""
    found = run.orc.stats(workstream=ws, agent=agent, days=days, progress=run.progress)
    return Answer(found, lambda: _stats_page(found))


@BOARD.command("metrics", example="metrics --days 30", reads=True, filters_agent=True)
@_WORKSTREAM
@option("--days", type=INTEGER, help="The last so many days; 14 if not given.")
def metrics(run: Run, ws: str | None, days: int | None, agent: str | None) -> Answer:
    """Measure the last days: throughput, times, success, how busy the agents are, cycles."""
    found = run.orc.metrics(workstream=ws, agent=agent, progress=run.progress, **given(days=days))
    return Answer(found, lambda: _metrics_page(found))


# Pages


def _stats_page(found: "Stats") -> str:
    total = found.total
    said = (
        f"{total.tasks} tasks: {total.open} open ({total.active} active), {total.done} done,"
        f" {total.failed} failed, {total.cancelled} cancelled; {_percent(total.completion_rate)}"
        " of those that are wanted are done"
    )
    since = f"Changed since {found.since}" if found.since else ""
    active = found.active[:_SHOWN]
    rows = [(task.status, task.id, task.title, task.assigned_to, task.since) for task in active]
    more = f"  and {len(found.active) - _SHOWN} more" if len(found.active) > _SHOWN else ""
    return parts(
        said,
        since,
        _chapter("By status", bars([*found.by_status.items()])),
        _tallies("workstream", found.by_workstream),
        _tallies("priority", found.by_priority),
        _tallies("type", found.by_type),
        _tallies("agent", found.by_agent),
        _chapter("Active", table(("status", "task", "title", "agent", "since"), rows))
        if rows
        else "",
        more,
    )


def _metrics_page(found: "Metrics") -> str:
    total, crew = found.total, found.agents
    facts = [
        ("completed", f"{total.completed} ({total.per_day:.2f} a day)"),
        ("added", total.added),
        ("failed", total.failed),
        ("cancelled", total.cancelled),
        ("success rate", _percent(total.success_rate)),
        ("time to start", _spoken(total.time_to_start)),
        ("time to finish", _spoken(total.time_to_finish)),
        ("utilisation", f"{_percent(crew.utilisation)} ({crew.busy} of {crew.active} agents work)"),
    ]
    shares = [(name, flow.busy_share) for name, flow in found.by_agent.items()]
    busy = table(("agent", "busy"), [(name, _percent(share)) for name, share in shares])
    cycles = [
        (
            c.number,
            c.started_at,
            c.parallel,
            c.serial,
            c.waiting,
            c.attention,
            c.completed,
            c.failed,
        )
        for c in found.cycles
    ]
    heads = ("cycle", "began", "parallel", "serial", "waiting", "attention", "completed", "failed")
    return parts(
        f"The last {found.days} days, since {found.since[:10]}",
        fields(facts),
        _chapter("Completed a day", bars([(d.day, d.completed) for d in found.throughput])),
        _flows("workstream", found.by_workstream),
        _flows("priority", found.by_priority),
        _flows("type", found.by_type),
        _flows("agent", found.by_agent),
        _chapter("Share of the time with work in progress", busy) if shares else "",
        _chapter("Cycles", table(heads, cycles)) if cycles else "",
    )


def _chapter(title: str, text: str) -> str:
    return f"\n{title}:\n{text}"


def _tallies(name: str, groups: "Mapping[str, Tally]") -> str:
    if not groups:
        return ""
    rows = [
        (g, t.tasks, t.open, t.active, t.done, t.failed, t.cancelled, _percent(t.completion_rate))
        for g, t in groups.items()
    ]
    heads = (name, "tasks", "open", "active", "done", "failed", "cancelled", "completed")
    return _chapter(f"By {name}", table(heads, rows))


def _flows(name: str, groups: "Mapping[str, Flow]") -> str:
    if not groups:
        return ""
    rows = [
        (
            group,
            flow.completed,
            flow.failed,
            f"{flow.per_day:.2f}",
            _percent(flow.success_rate),
            _median(flow.time_to_start),
            _median(flow.time_to_finish),
        )
        for group, flow in groups.items()
    ]
    heads = (name, "completed", "failed", "a day", "success", "to start", "to finish")
    return _chapter(f"By {name} (times are medians)", table(heads, rows))


def _percent(share: float) -> str:
    return f"{share:.0%}"


def _median(times: "Durations") -> str:
    return spoken(times.median) if times.count else "-"


def _spoken(times: "Durations") -> str:
    if not times.count:
        return "nothing to measure"
    shown = {"median": times.median, "mean": times.mean, "p90": times.p90}
    said = ", ".join(f"{name} {spoken(value)}" for name, value in shown.items())
    return escape(f"{said} (of {times.count})")
