"""``orc import``: fill an empty board, or import tasks of other trackers into any board."""

import os
from contextlib import nullcontext
from io import TextIOWrapper
from typing import IO, TYPE_CHECKING, Any

from orchestrator.core.printable import amount
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import IMPORT
from orchestrator.interfaces.cli.parameters import (
    DRY_RUN,
    Decorator,
    argument,
    flag,
    option,
    together,
)
from orchestrator.interfaces.cli.rendering import Answer, plain, say
from orchestrator.interfaces.cli.run import Run
from orchestrator.interfaces.cli.transfer_report import reported

if TYPE_CHECKING:
    from orchestrator.domain.board.imported import Imported
    from orchestrator.integrations import Report


@IMPORT.command("file", example="board.jsonl --board copy")
@argument("file", "What `export` wrote; - is stdin.", types.FILE)
@DRY_RUN
def file(run: Run, file: str, dry_run: bool) -> "Answer[Imported]":
    """Import a board that `export` wrote, as a whole or not at all."""
    from orchestrator.maintenance.backup import import_board

    with run.reading(file) as data:
        lines = TextIOWrapper(data, encoding="utf-8-sig", newline="\n")
        board = import_board(run.orc.engine, lines, dry_run=dry_run, progress=run.progress)
    return _counted(board, dry_run)


@IMPORT.command("opspawn", example="opspawn ../opspawn-board --board copy")
@argument("folder", "The folder with its state.json.", types.FOLDER, metavar="DIR")
@DRY_RUN
def opspawn(run: Run, folder: str, dry_run: bool) -> "Answer[Imported]":
    """Import a board of the Node original, with its log and knowledge."""
    from orchestrator.integrations.opspawn import import_opspawn

    with run.rehearsed(dry_run):
        return _counted(import_opspawn(run.orc.engine, folder), dry_run)


def _into(workstream: str) -> Decorator:
    """Declare the options of an import from another tracker."""
    help = "Where they belong; made if it is not there."
    return together(
        option("--ws", help, types.WORKSTREAM_NAME, name="workstream", default=workstream),
        flag(
            "--skip-existing",
            "Leave tasks that are on the board as they are; else they are updated.",
        ),
        flag("--strict", "Refuse what cannot be read, or is on the board; else it is left out."),
        option(
            "--reason",
            "Why you change how your own work is judged; without it that stays as it is.",
            default="",
            rare=True,
        ),
        DRY_RUN,
    )


@IMPORT.command("beads", example="beads .beads/issues.jsonl --ws build --dry-run")
@argument("file", "Issues, one JSON object a line, or their folder; - is stdin.", types.FILE)
@_into("beads")
def beads(run: Run, file: str, dry_run: bool, **how: Any) -> "Answer[Report]":
    """Import issues of beads into a workstream, in one commit; report facts that are lost.

    Existing tasks are updated. Agents, messages, wisps and the like are left out.
    """
    from orchestrator.core.files import open_file
    from orchestrator.integrations import import_beads

    def take(source: IO[bytes] | str) -> "Report":
        with run.rehearsed(dry_run):
            return import_beads(run.orc.engine, source, **how, progress=run.progress)

    if os.path.isdir(file):
        return reported(run, take(file), _done(dry_run))
    with nullcontext(run.stdin()) if file == "-" else open_file(file) as lines:
        return reported(run, take(lines), _done(dry_run))


@IMPORT.command("backlog", example="backlog ../project --ws build --dry-run")
@argument("folder", "The project, or its folder backlog.", types.FOLDER, metavar="DIR")
@_into("backlog")
def backlog(run: Run, folder: str, dry_run: bool, **how: Any) -> "Answer[Report]":
    """Import tasks of Backlog.md into a workstream, in one commit; report facts that are lost.

    Existing tasks are updated.
    """
    from orchestrator.integrations import import_backlog

    with run.rehearsed(dry_run):
        report = import_backlog(run.orc.engine, folder, **how, progress=run.progress)
    return reported(run, report, _done(dry_run))


def _done(dry_run: bool) -> str:
    return "Would import" if dry_run else "Imported"


def _counted(imported: "Imported", dry_run: bool) -> "Answer[Imported]":
    counts = ", ".join(amount(n, noun.removesuffix("s")) for noun, n in plain(imported).items())
    return say(imported, f"{_done(dry_run)}: {counts}")
