"""``orc report``: what was done, how the work flows, and when the rest will be done."""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from orchestrator.core import system
from orchestrator.core.printable import escape, escape_json
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.layout import is_terminal
from orchestrator.interfaces.cli.parameters import IN_WORKSTREAM, option
from orchestrator.interfaces.cli.rendering import Answer, to_json
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from orchestrator.reports.report.records import BoardReport

_FORMATS = ("md", "html", "json")


@BOARD.command("report", example="report --since 7d --output report.html", reads=True, long=True)
@option("--since", "From a time on, or that long ago, or after an event.", types.WHEN)
@option("--until", "As the board stood then: 2026-12-01, yesterday, 3d.", types.WHEN)
@IN_WORKSTREAM
@option("--format", "A page at a terminal, else md; of a file its ending.", types.choice(*_FORMATS))
@option("--output", "Write it to this file.", types.OUTPUT_FILE)
def report(
    run: Run, format: str | None, output: str | None, **scope: Any
) -> "Answer[BoardReport | dict[str, str]]":
    """Report what was done and by whom, how long work takes, who waits, and when the rest will be done."""
    lay_out = _layout(format or _ending(output), is_file=output is not None)
    made = run.orc.report(**scope, progress=run.progress)

    if output is None:
        return Answer(made, lambda: lay_out(made))
    _write(output, lay_out(made))
    return Answer({"file": output}, lambda: f"Report: {escape(output)}")


def _ending(output: str | None) -> str | None:
    """The format that the name of a file ends with."""
    ending = os.path.splitext(output or "")[1].removeprefix(".").lower()
    return {"htm": "html", "markdown": "md"}.get(ending, ending if ending in _FORMATS else None)


def _layout(format: str | None, *, is_file: bool) -> "Callable[[BoardReport], str]":
    if format == "html":
        from orchestrator.reports.report.page import page

        return page
    if format == "json":
        return lambda made: escape_json(to_json(made).decode().rstrip("\n"))
    if format is None and is_terminal() and not is_file:
        from orchestrator.interfaces.cli.report_page import report_page

        return report_page
    from orchestrator.reports.report.markdown import markdown

    return lambda made: markdown(made).rstrip("\n")


def _write(name: str, text: str) -> None:
    """Replace a file, whole or not at all."""
    part = f"{name}.{os.getpid()}.part"
    file = open(part, "x", encoding="utf-8", newline="\n")  # noqa: SIM115
    try:
        with file:
            file.write(text + "\n")
        system.replace(part, name)
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise
