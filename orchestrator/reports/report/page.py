"""A report as one HTML page without scripts and network, light and dark.

The template escapes all text, the page's policy forbids whatever would be loaded or run, and the charts are
drawn from the figures.
"""

import functools
from datetime import UTC, datetime
from importlib import resources
from typing import Any

from orchestrator.core import clock
from orchestrator.core.errors import UsageError
from orchestrator.core.printable import escape
from orchestrator.reports.report.records import BoardReport
from orchestrator.reports.report.sections import NUMBER, ReportSection, headline, sections

try:
    from jinja2 import Environment, StrictUndefined, Template
    from markupsafe import Markup

    from orchestrator.reports.report.charts import Drawing
except ImportError as error:
    raise UsageError(
        f"A page needs libraries that are not installed: {error.name} is missing",
        hint="pip install 'agent-orchestrator[report]'",
    ) from None

_WIDE = ("forecast", "gantt", "ongoing", "hold_ups", "failures")
"""The sections that take the whole width."""


_LONG = ("title", "why", "topic", "waited for", "who waits", "check")
"""The columns whose texts are wrapped."""


def page(report: BoardReport) -> str:
    """Return the report as an HTML document."""
    head = headline(report)
    now = datetime.now().astimezone()
    zone = UTC if clock.are_exact() else now.tzinfo or UTC
    charts = Drawing(report, zone).all()
    parts = [_part(section, charts.get(section.name, "")) for section in sections(report)]
    standing = report.standing
    wanted = max(1, standing.tasks - standing.cancelled)
    colours = {
        "done": standing.done,
        "review": standing.in_review,
        "progress": standing.in_progress,
        "failed": standing.failed,
    }
    return _template().render(
        head=head,
        answer=[
            ("Done", head.done, head.done_more),
            ("Left", head.left, head.left_more),
            ("All done by", head.when, head.when_more),
        ],
        shares=[(name, round(count / wanted * 100, 2)) for name, count in colours.items()],
        sections=parts,
        footer=(
            f"Made {clock.local_time(report.generated_at)} from event {report.event} of the log."
            f" Times are {zone.tzname(now)}; the steps of a chart begin in UTC."
        ),
    )


@functools.cache
def _template() -> Template:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: escape(value) if type(value) is str else value,
    )
    text = resources.files("orchestrator.reports.report").joinpath("report.html").read_text("utf-8")
    return environment.from_string(text)


def _part(section: ReportSection, chart: str) -> dict[str, Any]:
    heads = section.table.heads if section.table else ()
    return {
        "title": section.title,
        "lines": section.lines,
        "chart": Markup(chart),  # noqa: S704  escaped where it was drawn
        "table": section.table,
        "heads": [
            {
                "text": head.removeprefix(NUMBER),
                "kind": "number"
                if head.startswith(NUMBER)
                else "long"
                if head in _LONG
                else "word",
            }
            for head in heads
        ],
        "is_wide": section.name in _WIDE,
        "is_folded": bool(chart) and section.name != "forecast",
    }
