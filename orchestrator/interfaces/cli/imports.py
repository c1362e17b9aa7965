"""``orc import``: fill an empty board, or take tasks of other trackers into any board."""

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from orchestrator.core.errors import UsageError
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


@IMPORT.command("file", example="board.jsonl --board copy")
@argument("file", "What `export` wrote; - is stdin.", types.FILE)
@DRY_RUN
def file(run: Run, file: str, dry_run: bool) -> Answer:
    """Take over a board that `export` wrote, whole or not at all."""
    from orchestrator.maintenance.backup import import_board

    try:
        with (
            nullcontext(sys.stdin) if file == "-" else open(file, encoding="utf-8", newline="\n")
        ) as lines:
            board = import_board(run.orc.engine, lines, dry_run=dry_run, progress=run.progress)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise UsageError(f"{file!a} cannot be read: {error.strerror}") from None
    return _counted(board, dry_run)


@IMPORT.command("opspawn", example="opspawn ../opspawn-board --board copy")
@argument("folder", "The folder with its state.json.", types.FOLDER, metavar="DIR")
@DRY_RUN
def opspawn(run: Run, folder: str, dry_run: bool) -> Answer:
    """Take over a board of the Node original, with its log and knowledge."""
    from orchestrator.integrations.opspawn import import_opspawn

    with run.rehearsed(dry_run):
        return _counted(import_opspawn(run.orc.engine, folder), dry_run)


def _into(workstream: str) -> Decorator:
    """Declare what decides on the tasks of another tracker."""
    help = "Where they belong; made if it is not there."
    return together(
        option("--ws", help, types.WORKSTREAM_NAME, name="workstream", default=workstream),
        flag("--skip-existing", "Take in only what is not on the board; else that is refused."),
        DRY_RUN,
    )


@IMPORT.command("beads", example="beads .beads/issues.jsonl --ws build --dry-run")
@argument("file", "Issues, one JSON object a line; - is stdin.", types.FILE)
@_into("beads")
def beads(run: Run, file: str, dry_run: bool, **how: Any) -> Answer:
    """Take issues of beads into a workstream, all or none; reports what has no place here."""
    from orchestrator.integrations import import_beads
    from orchestrator.integrations.files import open_file

    source = nullcontext(sys.stdin.buffer) if file == "-" else open_file(file)
    with source as lines, run.rehearsed(dry_run):
        report = import_beads(run.orc.engine, lines, **how, progress=run.progress)
    return reported(report, _done(dry_run))


@IMPORT.command("backlog", example="backlog ../project --ws build --dry-run")
@argument("folder", "The project, or its folder backlog.", types.FOLDER, metavar="DIR")
@_into("backlog")
def backlog(run: Run, folder: str, dry_run: bool, **how: Any) -> Answer:
    """Take tasks of Backlog.md into a workstream, all or none; reports what has no place here."""
    from orchestrator.integrations import import_backlog

    with run.rehearsed(dry_run):
        report = import_backlog(run.orc.engine, folder, **how, progress=run.progress)
    return reported(report, _done(dry_run))


def _done(dry_run: bool) -> str:
    return "Would import" if dry_run else "Imported"


def _counted(imported: "Imported", dry_run: bool) -> Answer:
    counts = ", ".join(f"{n} {noun}" for noun, n in plain(imported).items())
    return say(imported, f"{_done(dry_run)}: {counts}")
