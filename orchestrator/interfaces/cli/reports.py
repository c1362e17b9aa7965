"""``orc stats`` and ``orc metrics``: numbers about the board, with small charts."""

from collections.abc import Callable, Mapping
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any

from orchestrator.core.clock import spoken
from orchestrator.core.printable import amount, escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.layout import bars, fields, parts, shown_time, table_of
from orchestrator.interfaces.cli.parameters import IN_WORKSTREAM, option
from orchestrator.interfaces.cli.rendering import Answer, present
from orchestrator.interfaces.cli.run import Run, given

if TYPE_CHECKING:
    from orchestrator.reports.metrics import Durations, Flow, Metrics
    from orchestrator.reports.stats import Stats, Tally

_SHOWN = 10
"""How many active tasks the text names; ``--json`` has all."""


@BOARD.command("stats", example="stats --ws build", reads=True, filters_agent=True)
@IN_WORKSTREAM
@option("--days", "Only tasks that changed in so many days.", types.INTEGER)
def stats(run: Run, **filters: Any) -> "Answer[Stats]":
    """Count tasks by status, workstream, priority, type and agent, archived ones included."""
    return present(run.orc.stats(**filters, progress=run.progress), _stats_page)


@BOARD.command("metrics", example="metrics --days 30", reads=True, filters_agent=True)
@IN_WORKSTREAM
@option("--days", "The last so many days; 14 if not given.", types.INTEGER)
def metrics(run: Run, **filters: Any) -> "Answer[Metrics]":
    """Measure the last days: throughput, times, success, busy agents, cycles."""
    return present(run.orc.metrics(**given(**filters), progress=run.progress), _metrics_page)


# Pages


def _stats_page(stats: "Stats") -> str:
    total = stats.total
    summary = (
        f"{amount(total.tasks, 'task')}: {total.open} open ({total.active} active), {total.done} done,"
        f" {total.failed} failed, {total.cancelled} cancelled; {_percent(total.completion_rate)}"
        " of the wanted tasks are done"
    )
    hidden = len(stats.active) - _SHOWN
    columns = ("status", ("task", "id"), "title", ("agent", "assigned_to"), "since")
    return parts(
        summary,
        f"Changed since {shown_time(stats.since)}" if stats.since else "",
        _chapter("By status", bars([*stats.by_status.items()])),
        _tallies("workstream", stats.by_workstream),
        _tallies("priority", stats.by_priority),
        _tallies("type", stats.by_type),
        _tallies("agent", stats.by_agent),
        _chapter("Active", table_of(stats.active[:_SHOWN], *columns)),
        f"  and {hidden} more" if hidden > 0 else "",
    )


def _metrics_page(metrics: "Metrics") -> str:
    total, crew = metrics.total, metrics.agents
    known = [
        ("completed", f"{total.completed} ({total.per_day:.2f} a day)"),
        ("added", total.added),
        ("failed", total.failed),
        ("cancelled", total.cancelled),
        ("success rate", _percent(total.success_rate)),
        ("time to start", _spoken(total.time_to_start)),
        ("time to finish", _spoken(total.time_to_finish)),
        ("utilisation", f"{_percent(crew.utilisation)} ({crew.busy} of {crew.active} agents work)"),
    ]
    agents = metrics.by_agent.items()
    busy = table_of(
        agents, ("agent", itemgetter(0)), ("busy", _of(lambda flow: _percent(flow.busy_share)))
    )
    cycles = table_of(
        metrics.cycles,
        ("cycle", "number"),
        ("began", "started_at"),
        *("parallel", "serial", "waiting", "attention", "completed", "failed"),
    )
    return parts(
        f"The last {metrics.days} days, since {metrics.since[:10]}",
        fields(known),
        _chapter("Completed a day", bars([(d.day, d.completed) for d in metrics.throughput])),
        _flows("workstream", metrics.by_workstream),
        _flows("priority", metrics.by_priority),
        _flows("type", metrics.by_type),
        _flows("agent", metrics.by_agent),
        _chapter("Share of the time with work in progress", busy),
        _chapter("Cycles", cycles),
    )


def _chapter(title: str, text: str) -> str:
    """A text under a title; nothing if there is no text."""
    return f"\n{title}:\n{text}" if text else ""


def _of(get: Callable[[Any], object]) -> Callable[[Any], object]:
    """The cell of a row ``(group, record)``."""
    return lambda row: get(row[1])


def _tallies(name: str, groups: "Mapping[str, Tally]") -> str:
    counts = ("tasks", "open", "active", "done", "failed", "cancelled")
    rows = table_of(
        groups.items(),
        (name, itemgetter(0)),
        *((count, _of(attrgetter(count))) for count in counts),
        ("completed", _of(lambda tally: _percent(tally.completion_rate))),
    )
    return _chapter(f"By {name}", rows)


def _flows(name: str, groups: "Mapping[str, Flow]") -> str:
    rows = table_of(
        groups.items(),
        (name, itemgetter(0)),
        ("completed", _of(attrgetter("completed"))),
        ("failed", _of(attrgetter("failed"))),
        ("a day", _of(lambda flow: f"{flow.per_day:.2f}")),
        ("success", _of(lambda flow: _percent(flow.success_rate))),
        ("to start", _of(lambda flow: _median(flow.time_to_start))),
        ("to finish", _of(lambda flow: _median(flow.time_to_finish))),
    )
    return _chapter(f"By {name} (times are medians)", rows)


def _percent(share: float) -> str:
    return f"{share:.0%}"


def _median(times: "Durations") -> str:
    return spoken(times.median) if times.count else "-"


def _spoken(times: "Durations") -> str:
    if not times.count:
        return "nothing to measure"
    shown = {"median": times.median, "mean": times.mean, "p90": times.p90}
    text = ", ".join(f"{name} {spoken(value)}" for name, value in shown.items())
    return escape(f"{text} (of {times.count})")
