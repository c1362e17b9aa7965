"""The report of an import from another tracker, or of an export to one."""

from typing import TYPE_CHECKING

from orchestrator.core.printable import escape
from orchestrator.interfaces.cli.layout import parts
from orchestrator.interfaces.cli.rendering import Answer

if TYPE_CHECKING:
    from orchestrator.integrations import Report


def reported(report: "Report", done: str) -> Answer:
    """The report for people and programs; ``done`` stands first, and is safe to show."""
    return Answer(report, lambda: _text(report, done))


def _text(report: "Report", done: str) -> str:
    counts = ", ".join(f"{n} {status}" for status, n in report.statuses.items())
    skipped = f"Skipped, because they are here: {', '.join(report.skipped)}"
    renamed = [f"  {old} -> {new}" for old, new in report.renamed.items()]
    lost = [f"  {field}: {n}" for field, n in report.no_place.items()]
    return parts(
        f"{done}: {report.tasks} tasks{f' ({counts})' if counts else ''}",
        escape(skipped) if report.skipped else "",
        "Written otherwise:" if renamed else "",
        *map(escape, renamed),
        "Had no place (values):" if lost else "",
        *map(escape, lost),
    )
