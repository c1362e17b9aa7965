"""A report as markdown; text of agents is escaped."""

import re
from collections.abc import Iterable, Sequence

from orchestrator.core.printable import escape
from orchestrator.reports.report.records import BoardReport
from orchestrator.reports.report.sections import (
    NUMBER,
    ReportSection,
    ReportTable,
    headline,
    sections,
)

_MARKUP = re.compile(r"[\\`*_{}\[\]<>#|!~$&]")


def markdown(report: BoardReport) -> str:
    """Return the report as a markdown document."""
    head = headline(report)
    answer = [
        f"- **Done:** {head.done} ({_plain(head.done_more)})",
        f"- **Left:** {head.left} ({_plain(head.left_more)})",
        f"- **When:** {head.when} ({_plain(head.when_more)})",
    ]
    parts = [f"# {_plain(head.title)}", f"From {head.period}.", "\n".join(answer)]
    for section in sections(report):
        parts += _section(section)
    return "\n\n".join(parts) + "\n"


def _section(section: ReportSection) -> Iterable[str]:
    yield f"## {_plain(section.title)}"
    if section.lines:
        yield "\n".join(map(_plain, section.lines))
    if section.table:
        yield _table(section.table)


def _table(table: ReportTable) -> str:
    rules = ("--:" if head.startswith(NUMBER) else "---" for head in table.heads)
    heads = [head.removeprefix(NUMBER) for head in table.heads]
    return "\n".join([_row(heads), f"|{'|'.join(rules)}|", *map(_row, table.rows)])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_plain, cells))} |"


def _plain(text: str) -> str:
    """A text on one line that no reader of markdown takes for markup."""
    return _MARKUP.sub(lambda match: f"\\{match[0]}", escape(text))
