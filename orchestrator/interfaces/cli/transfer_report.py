"""The report of an import from another tracker, or of an export to one."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from orchestrator.core.printable import amount, escape, first_of
from orchestrator.interfaces.cli.layout import parts
from orchestrator.interfaces.cli.rendering import Answer
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from orchestrator.integrations import Report

_NAMED = 10
"""Tasks that one line names."""


def reported(run: Run, report: "Report", done: str) -> "Answer[Report]":
    """The report for people and programs; ``done`` comes first, and is already escaped."""
    warn_of_losses(run, report)
    return Answer(report, lambda: _text(report, done))


def _text(report: "Report", done: str) -> str:
    counts = ", ".join(f"{n} {status}" for status, n in report.statuses.items())
    return parts(
        f"{done}: {amount(report.tasks, 'task')}{f' ({counts})' if counts else ''}",
        _listed("Updated", report.updated),
        _listed("Skipped, because they are here", report.skipped),
        _listed("Written to the knowledge", report.topics),
    )


def warn_of_losses(run: Run, report: "Report") -> None:
    """Say on stderr what was left out, a line a kind; ``--json`` has it in the document."""
    if run.settings.json or sys.stderr is None:
        return
    text = parts(
        "Written otherwise:" if report.renamed else "",
        *(escape(f"  {old} -> {new}") for old, new in report.renamed.items()),
        "Had no place (values):" if report.no_place else "",
        *(escape(_loss(report, kind)) for kind in report.no_place),
        _listed(
            "Kept back by needs that are not here (`t signal ID` frees a task)", report.kept_back
        ),
    )
    if text:
        sys.stderr.write(f"{text}\n")


def _loss(report: "Report", kind: str) -> str:
    count, examples = report.no_place[kind], report.examples.get(kind, ())
    more = ", ..." if count > len(examples) else ""
    named = f" ({', '.join(examples)}{more})" if examples else ""
    return f"  {kind}: {count}{named}"


def _listed(what: str, ids: Iterable[str]) -> str:
    ids = list(ids)
    return escape(f"{what}: {first_of(ids, _NAMED)}") if ids else ""
