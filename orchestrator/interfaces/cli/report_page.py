"""The report for a terminal: the summary, small charts, and tables."""

from datetime import datetime, timedelta

from orchestrator.core import clock
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli.layout import (
    bar,
    bars,
    can_show,
    fields,
    paint,
    table,
    takes_colours,
    terminal_width,
)
from orchestrator.reports.report.records import BoardReport
from orchestrator.reports.report.sections import NUMBER, ReportSection, headline, sections

_HEIGHT, _WIDEST = 10, 90
"""The size of a chart: lines and columns."""

_MARGIN = 26
"""Columns beside a chart."""

_LEFT_OUT = ("gantt",)
"""Sections that need a picture."""


def report_page(report: BoardReport) -> str:
    """Return the report for a terminal."""
    head = headline(report)
    share = int(report.standing.done_share * 100)
    answer = [
        ("Done", f"{bar(share)} {head.done} ({head.done_more})"),
        ("Left", f"{head.left} ({head.left_more})"),
        ("When", f"{head.when} ({head.when_more})"),
    ]
    parts = [f"{paint(head.title, 'bold')}, {head.period}", fields(answer), _burn_up(report)]
    for section in sections(report):
        if section.name not in _LEFT_OUT:
            parts += [_section(section, report)]
    return "\n\n".join(filter(None, parts))


def _section(section: ReportSection, report: BoardReport) -> str:
    lines = [paint(escape(section.title), "bold"), *map(escape, section.lines)]
    if section.name == "time_line":
        steps = report.time_line.steps[-20:]
        lines.append(bars([(clock.local_time(step.begins), step.completed) for step in steps]))
    elif section.table:
        heads = [head.removeprefix(NUMBER) for head in section.table.heads]
        lines.append(table(heads, section.table.rows))
    return "\n".join(lines)


def _burn_up(report: BoardReport) -> str:
    """The wanted and the done tasks with the forecast, as a chart, or a sentence if it cannot be drawn."""
    steps = report.time_line.steps
    if len(steps) < 2 or not can_show("⠤"):
        return ""
    try:
        from plotille import Figure
    except ImportError:
        return "With `pip install 'agent-orchestrator[report]'` there is a chart here."
    figure = Figure()
    figure.width, figure.height = min(_WIDEST, terminal_width() - _MARGIN), _HEIGHT
    figure.x_label, figure.y_label = "time", "tasks"
    figure.with_colors = takes_colours()
    figure.color_mode = "names"
    figure.register_label_formatter(float, _number)
    figure.register_label_formatter(datetime, axis_time)
    ends = [*(_local(step.begins) for step in steps[1:]), _local(report.until)]
    wanted, done = [step.scope for step in steps], [step.done for step in steps]
    figure.set_y_limits(min_=0, max_=_HEIGHT * _step(max(wanted)))
    figure.plot(ends, wanted, lc="white", label="wanted")
    figure.plot(ends, done, lc="blue", label="done")
    forecast = report.forecast
    if forecast.p50 and forecast.p85:
        goal = done[-1] + forecast.tasks
        for name, end in (("half of the forecast", forecast.p50), ("85 %", forecast.p85)):
            line = [ends[-1], _local(end)], [done[-1], goal]
            figure.plot(*line, lc="cyan", label=f"{name}: {clock.local_time(end)}")
    return str(figure.show(legend=True))


def _step(most: int) -> int:
    """How many tasks a line of the chart stands for: a round number, so that the highest is inside."""
    power = 1
    while True:
        for step in (power, 2 * power, 3 * power, 4 * power, 6 * power, 8 * power):
            if step * _HEIGHT > most:
                return step
        power *= 10


def _local(moment: str) -> datetime:
    return datetime.fromtimestamp(clock.seconds(moment))


def _number(value: float, chars: int, delta: float, left: bool = False) -> str:  # noqa: ARG001
    return f"{value:.0f}".ljust(chars) if left else f"{value:.0f}".rjust(chars)


def axis_time(value: datetime, chars: int, delta: timedelta, left: bool = False) -> str:  # noqa: ARG001
    """A moment on an axis that spans ``delta``."""
    form = "%b %Y" if delta.days > 300 else "%d %b" if delta.days > 1 else "%H:%M"
    return value.strftime(form).ljust(chars)
