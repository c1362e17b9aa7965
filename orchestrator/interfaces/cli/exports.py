"""``orc export``: the whole board as JSON lines, or its tasks for beads and for Backlog.md."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import IO, TYPE_CHECKING, Any

import msgspec

from orchestrator.core.errors import UsageError
from orchestrator.core.printable import amount, escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import EXPORT
from orchestrator.interfaces.cli.parameters import IN_WORKSTREAM, argument
from orchestrator.interfaces.cli.rendering import Answer, plain, say, warn
from orchestrator.interfaces.cli.run import Run
from orchestrator.interfaces.cli.transfer_report import reported, warn_of_losses

if TYPE_CHECKING:
    from orchestrator.integrations.report import Report


@EXPORT.command("file", example="board.jsonl", reads=True)
@argument("[file]", "Where to; stdout if not given.", types.OUTPUT_FILE)
def file(run: Run, file: str | None) -> "Answer[list[Any] | dict[str, Any]] | None":
    """Write the whole board as JSON lines, without wisps, which are temporary."""
    from orchestrator.maintenance.backup import export_board

    if file is None or file == "-":
        return _printed(run)
    with _new_file(file) as out:
        exported = export_board(run.orc.engine, out, run.progress)
    for remark in exported.remarks:
        warn(f"In the export, {remark}")
    count = exported.events
    return say(
        {"file": file, "events": count}, f"Exported {amount(count, 'event')}: {escape(file)}"
    )


@contextmanager
def _new_file(name: str) -> Iterator[IO[str]]:
    """A new file, which is deleted if writing fails: half a file would look complete.

    Raises:
        UsageError: The file exists.
    """
    try:
        with open(name, "x", encoding="utf-8", newline="\n") as out:
            try:
                yield out
            except BaseException:
                os.unlink(name)
                raise
    except FileExistsError:
        raise UsageError(f"{name!a} is there already", hint="Name a new file.") from None


def _printed(run: Run) -> "Answer[list[Any]] | None":
    """The export on stdout: line by line, or with ``--json`` as one array of the lines."""
    from orchestrator.maintenance.backup import export_board

    if not run.settings.json:
        exported = export_board(run.orc.engine, sys.stdout)
        sys.stdout.flush()
        for remark in exported.remarks:
            warn(f"In the export, {remark}")
        return None
    lines = io.StringIO()
    export_board(run.orc.engine, lines)
    return say([msgspec.json.decode(line) for line in lines.getvalue().split("\n") if line], "")


@EXPORT.command("beads", example="beads issues.jsonl --ws build", reads=True)
@argument("file", "Where to; - is stdout.", types.OUTPUT_FILE)
@IN_WORKSTREAM
def beads(run: Run, file: str, workstream: str | None) -> "Answer[Report | dict[str, Any]]":
    """Write tasks as issues of beads, one JSON object a line; report facts that beads cannot hold."""
    from orchestrator.integrations import export_beads

    with nullcontext(io.StringIO()) if file == "-" else _new_file(file) as out:
        report = export_beads(run.orc.engine, out, workstream=workstream, progress=run.progress)
    if not isinstance(out, io.StringIO):
        return reported(run, report, f"Exported to {escape(file)}")
    warn_of_losses(run, report)
    issues = out.getvalue().splitlines()
    document = {"issues": list(map(msgspec.json.decode, issues)), **plain(report)}
    return Answer(document, lambda: "\n".join(issues))


@EXPORT.command("backlog", example="backlog backlog --ws build", reads=True)
@argument("folder", "A new folder, or an empty one.", types.OUTPUT_FOLDER, metavar="DIR")
@IN_WORKSTREAM
def backlog(run: Run, folder: str, workstream: str | None) -> "Answer[Report]":
    """Write tasks as files of Backlog.md; report facts that it cannot hold."""
    from orchestrator.integrations import export_backlog

    report = export_backlog(run.orc.engine, folder, workstream=workstream, progress=run.progress)
    return reported(run, report, f"Exported to {escape(folder)}")
