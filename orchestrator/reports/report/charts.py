"""The charts of a report as SVG, drawn by matplotlib; their colours and fonts are those of the page.

A chart is drawn in placeholder colours, which become variables of the page's style, so one picture serves
light and dark. Text stays text; text of agents is never markup or mathematics.
"""

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

import matplotlib as mpl
from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from orchestrator.core import clock
from orchestrator.core.printable import escape, shortened
from orchestrator.reports.report.records import BoardReport, FlowTimes

INK, MUTED, GRID, PAPER = "#010101", "#020202", "#030303", "#040404"
DONE, PROGRESS, REVIEW, FAILED, IDLE = "#050505", "#060606", "#070707", "#080808", "#090909"

_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    PAPER: "paper",
    DONE: "done",
    PROGRESS: "progress",
    REVIEW: "review",
    FAILED: "failed",
    IDLE: "idle",
}
"""The style variable of the page for each placeholder colour."""

STATUS_COLOURS = {
    "pending": IDLE,
    "assigned": MUTED,
    "in_progress": PROGRESS,
    "in_review": REVIEW,
    "blocked": FAILED,
}

_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titlecolor": INK,
    "axes.axisbelow": True,
    "figure.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "svg.fonttype": "none",
    "date.autoformatter.hour": "%H:%M",
}

WIDE, HALF = 10.0, 5.2
"""Widths of a chart, in inches of 72 units."""

_LABEL = 34
"""Characters of a label beside a bar."""


class Drawing:
    """The charts of one report.

    Args:
        report: The figures.
        zone: The zone of the time axes.
    """

    def __init__(self, report: BoardReport, zone: tzinfo) -> None:
        self._report = report
        self._zone = zone

    def all(self) -> dict[str, str]:
        """Draw the charts: SVG elements by the names of their sections."""
        charts = {
            "forecast": (self._burn_up, "Tasks wanted and done over time, and the forecast"),
            "time_line": (
                self._flow,
                "Tasks completed and failed, and work in progress, over time",
            ),
            "times": (self._times, "Lead and cycle time by type: of half and of 85 % of the tasks"),
            "statuses": (self._statuses, "Share of the time that tasks spent in each status"),
            "agents": (self._agents, "Tasks done and failed, by agent"),
            "gantt": (self._gantt, "When each task was in progress, in review or blocked"),
        }
        svgs = {}
        with mpl.rc_context(_STYLE), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about characters that the measuring font lacks
            for name, (draw, label) in charts.items():
                if figure := draw():
                    svgs[name] = _svg(figure, label, name)
        return svgs

    # Charts over time

    def _burn_up(self) -> Figure | None:
        report, forecast = self._report, self._report.forecast
        if not report.standing.tasks:
            return None
        figure, (axes,) = _figure(WIDE, 3.4)
        moments, ends = self._moments(), self._date(report.until)
        scope, done = self._totals("scope"), self._totals("done")
        axes.fill_between(moments, done, color=DONE, alpha=0.16, linewidth=0)
        axes.plot(moments, done, color=DONE, linewidth=2)
        axes.plot(moments, scope, color=MUTED, linewidth=1.5)
        top = max(*scope, 1)
        middle = len(done) * 2 // 3
        # The names of rising lines: above on the left, or below on the right.
        _write(axes, "wanted", (moments[middle], scope[middle]), (-5, 5), MUTED, ha="right")
        _write(axes, "done", (moments[middle], done[middle]), (5, -14), DONE)
        if forecast.p50 and forecast.p85 and forecast.p95:
            goal = done[-1] + forecast.tasks
            likely, late = self._date(forecast.p50), self._date(forecast.p95)
            early = self._date(forecast.quantiles[0])
            corners = [ends, early, late], [done[-1], goal, goal]
            axes.fill(*corners, color=DONE, alpha=0.12, linewidth=0)
            axes.plot([ends, likely], [done[-1], goal], color=DONE, linewidth=1.5, dashes=(4, 3))
            points = {50: likely, 85: self._date(forecast.p85), 95: late}
            for end in points.values():
                axes.plot(end, goal, "o", color=DONE, markersize=6, clip_on=False)
                axes.plot([end] * 2, [0, goal], color=DONE, linewidth=0.8, dashes=(1, 3))
            for shares, end in _together(points, (late - moments[0]) * _NEAR):
                _write(axes, f"{', '.join(map(str, shares))} %", (end, goal), (0, 8), ha="center")
            axes.axvline(ends, color=MUTED, linewidth=0.8)
            _write(axes, "now", (ends, 0), (5, 5), MUTED)
            top = max(top, goal)
        axes.set_ylim(0, top * 1.16)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.grid(axis="y")
        self._time_axis(axes)
        return figure

    def _flow(self) -> Figure | None:
        line = self._report.time_line
        steps = line.steps
        if not any(step.completed or step.failed or step.in_progress for step in steps):
            return None
        figure, (ended, busy) = _figure(HALF, 3.6, rows=2)
        begins = [self._date(step.begins) for step in steps]
        width = line.seconds / 86400 * 0.82
        done = [step.completed for step in steps]
        failed = [step.failed for step in steps]
        ended.bar(begins, done, width, align="edge", color=DONE, linewidth=0)
        ended.bar(begins, failed, width, bottom=done, align="edge", color=FAILED, linewidth=0)
        _keys(ended, f"Ended, by {line.unit}", {"done": DONE, "failed": FAILED})
        areas = [[step.in_progress for step in steps], [step.in_review for step in steps]]
        busy.stackplot(
            self._moments(),
            [[*area, area[-1]] for area in areas],
            colors=[PROGRESS, REVIEW],
            alpha=0.75,
            step="post",
            linewidth=0,
        )
        _keys(busy, "In work, on average", {"in progress": PROGRESS, "in review": REVIEW})
        for axes in (ended, busy):
            axes.grid(axis="y")
            axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.set_ylim(0, max(1, axes.get_ylim()[1]))
            axes.set_xlim(begins[0], self._date(self._report.until))
            self._time_axis(axes)
        return figure

    def _gantt(self) -> Figure | None:
        gantt = self._report.gantt
        if not gantt.rows:
            return None
        figure, (axes,) = _figure(WIDE, 0.8 + 0.27 * len(gantt.rows))
        begins, ends = self._date(gantt.begins), self._date(gantt.ends)
        least = (ends - begins) / 400  # a value above 0 is visible
        for place, row in enumerate(gantt.rows):
            for phase in row.phases:
                begin, end = self._date(phase.begins), self._date(phase.ends)
                colour = STATUS_COLOURS[phase.status]
                axes.barh(place, max(end - begin, least), 0.62, begin, color=colour, linewidth=0)
            if row.status in ("done", "failed"):
                sign, colour = ("✓", DONE) if row.status == "done" else ("✕", FAILED)
                last = self._date(row.phases[-1].ends) + least * 2
                axes.text(last, place, sign, color=colour, va="center", fontsize=9)
        labels = [f"{row.task}  {_label(row.title)}" for row in gantt.rows]
        _rows(axes, labels)
        names = {"in progress": PROGRESS, "in review": REVIEW, "blocked": FAILED}
        _keys(axes, "", names)
        axes.grid(axis="x")
        axes.set_xlim(begins, ends + (ends - begins) * 0.02)
        self._time_axis(axes)
        return figure

    # Charts of amounts

    def _times(self) -> Figure | None:
        report = self._report
        kinds = dict(sorted(report.times_by_type.items(), key=lambda entry: -_done(entry[1]))[:8])
        if not kinds:
            return None
        figure, (axes,) = _figure(HALF, 0.9 + 0.5 * len(kinds))
        for place, times in enumerate(kinds.values()):
            for spread, colour, offset in (
                (times.lead_time, MUTED, -0.15),
                (times.cycle_time, PROGRESS, 0.15),
            ):
                if spread.count:
                    ends = [max(1.0, spread.median), max(1.0, spread.p85)]
                    axes.plot(ends, [place + offset] * 2, color=colour, linewidth=2, alpha=0.6)
                    axes.plot(ends[0], place + offset, "o", color=colour, markersize=7)
                    axes.plot(
                        ends[1],
                        place + offset,
                        "o",
                        markerfacecolor=PAPER,
                        markeredgecolor=colour,
                        markeredgewidth=1.6,
                        markersize=6.5,
                    )
        _rows(axes, [f"{_label(kind)} ({_done(times)})" for kind, times in kinds.items()])
        _keys(axes, "● half   ○ 85 %", {"lead": MUTED, "cycle": PROGRESS})
        axes.set_xscale("log")
        axes.set_xticks(_ticks(axes.get_xlim()))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: clock.spoken(seconds, 1)))
        axes.grid(axis="x")
        return figure

    def _statuses(self) -> Figure | None:
        statuses = self._report.statuses
        if not statuses:
            return None
        figure, (axes,) = _figure(HALF, 0.85)
        begin = 0.0
        for status in statuses:
            colour = STATUS_COLOURS[status.status]
            axes.barh(0, status.share, 0.6, begin, color=colour, linewidth=0)
            begin += status.share
        named = {
            f"{status.status.replace('_', ' ')} {status.share:.0%}": STATUS_COLOURS[status.status]
            for status in statuses
            if status.share >= 0.005
        }
        _keys(axes, "", named)
        axes.set_xlim(0, max(begin, 0.01))
        axes.set_axis_off()
        return figure

    def _agents(self) -> Figure | None:
        worked = [agent for agent in self._report.agents if agent.completed or agent.failed]
        worked = sorted(worked, key=lambda agent: (-agent.completed, agent.agent))[:12]
        if not worked:
            return None
        figure, (axes,) = _figure(HALF, 0.8 + 0.32 * len(worked))
        done = [agent.completed for agent in worked]
        failed = [agent.failed for agent in worked]
        places = range(len(worked))
        axes.barh(places, done, 0.6, color=DONE, linewidth=0)
        axes.barh(places, failed, 0.6, done, color=FAILED, linewidth=0)
        for place, agent in enumerate(worked):
            total = agent.completed + agent.failed
            _write(axes, f"{total}", (total, place), (5, 0), MUTED, va="center")
        _rows(axes, [_label(agent.agent) for agent in worked])
        _keys(axes, "", {"done": DONE, "failed": FAILED})
        axes.set_xlim(left=0)
        axes.xaxis.set_visible(False)
        axes.spines["bottom"].set_visible(False)
        return figure

    # Time axes

    def _date(self, moment: str) -> float:
        return float(dates.date2num(datetime.fromtimestamp(clock.seconds(moment), UTC)))  # type: ignore[no-untyped-call]

    def _moments(self) -> list[float]:
        """The beginnings of the steps, and the end of the last."""
        report = self._report
        first = max(report.since, report.time_line.steps[0].begins)
        steps = [step.begins for step in report.time_line.steps[1:]]
        return [*map(self._date, (first, *steps, report.until))]

    def _totals(self, field: str) -> list[int]:
        """The numbers of wanted or done tasks at each of these moments."""
        steps = self._report.time_line.steps
        return [getattr(steps[0], field), *(getattr(step, field) for step in steps)]

    def _time_axis(self, axes: Axes) -> None:
        locator = dates.AutoDateLocator(tz=self._zone, minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        formatter = dates.ConciseDateFormatter(  # type: ignore[no-untyped-call]
            locator, tz=self._zone, show_offset=False
        )
        formatter.zero_formats = ["", "%Y", "%d %b", "%d %b", "%H:%M", "%H:%M"]
        formatter.formats = ["%Y", "%b", "%d %b", "%H:%M", "%H:%M", "%H:%M:%S"]
        axes.xaxis.set_major_formatter(formatter)
        axes.tick_params(axis="x", pad=6)


def _figure(width: float, height: float, rows: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots(rows, squeeze=False)
    return figure, [row[0] for row in axes]


def _write(
    axes: Axes,
    text: str,
    point: tuple[float, float],
    offset: tuple[int, int],
    colour: str = INK,
    **place: str,
) -> None:
    """Write a text beside a point."""
    how: dict[str, Any] = {"textcoords": "offset points", "fontsize": 9, **place}
    axes.annotate(text, point, offset, color=colour, **how)


_NEAR = 0.05
"""The share of an axis within which points have one label."""


def _together(points: Mapping[int, float], near: float) -> list[tuple[list[int], float]]:
    """Group shares whose points are near each other, each group with the middle of its points."""
    groups: list[list[int]] = []
    for share, end in points.items():
        if groups and end - points[groups[-1][-1]] < near:
            groups[-1].append(share)
        else:
            groups.append([share])
    return [(group, (points[group[0]] + points[group[-1]]) / 2) for group in groups]


def _keys(axes: Axes, title: str, colours: dict[str, str]) -> None:
    """Write the meaning of the colours above a chart."""
    handles = [Patch(facecolor=colour, label=name) for name, colour in colours.items()]
    axes.legend(
        handles=handles,
        loc="lower right" if title else "lower left",
        bbox_to_anchor=(1 if title else 0, 1),
        ncols=len(handles),
        frameon=False,
        fontsize=9,
        handlelength=0.8,
        handleheight=0.8,
        columnspacing=1.2,
        borderaxespad=0.1,
        labelcolor=MUTED,
    )
    if title:
        axes.set_title(title)


def _rows(axes: Axes, labels: Sequence[str]) -> None:
    """Label the rows of a chart, the first on top."""
    axes.set_yticks(range(len(labels)), labels)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
        label.set_color(INK)
        label.set_fontsize(9)
    axes.set_ylim(len(labels) - 0.4, -0.6)


def _label(text: str) -> str:
    return shortened(escape(text), _LABEL)


def _done(times: FlowTimes) -> int:
    return times.lead_time.count


_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_ROUND = (
    *(1.0, 2.0, 5.0, 10.0, 20.0, 30.0),
    *(_MINUTE * n for n in (1, 2, 5, 10, 20, 30)),
    *(_HOUR * n for n in (1, 2, 3, 6, 12)),
    *(_DAY * n for n in (1, 2, 4, 7, 14, 30, 90, 180, 365)),
)
"""The durations at an axis."""


def _ticks(limits: tuple[float, float]) -> list[float]:
    inside = [seconds for seconds in _ROUND if limits[0] <= seconds <= limits[1]]
    return inside[:: len(inside) // 6 + 1] or [limits[1]]


# SVG


def _svg(figure: Figure, label: str, name: str) -> str:
    """Return the chart as an element of a page: without a size, in the page's colours and font."""
    with mpl.rc_context({"svg.hashsalt": name}):
        file = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", metadata=nothing)
    text = file.getvalue()
    text = text[text.index("<svg") :].rstrip()
    text = re.sub(
        r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL
    )
    opening, _, rest = text.partition(">")
    box = opening.partition('viewBox="')[2].partition('"')[0]
    text = f'<svg role="img" aria-label="{label}" viewBox="{box}">{rest}'
    used = {*re.findall(r'(?:url\(|href=")#([\w-]+)', text)}
    text = re.sub(r' id="([\w-]+)"', lambda m: m[0] if m[1] in used else "", text)
    text = re.sub(r"#0[0-9]0[0-9]0[0-9]", lambda m: f"var(--{_VARIABLES[m[0]]})", text)
    return re.sub(r"'DejaVu Sans'[^;\"]*", "var(--font)", text)
