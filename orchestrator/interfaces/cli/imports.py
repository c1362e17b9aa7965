"""``orc import``: fill an empty board from an export, or from a board of the Node original."""

import sys
from typing import TYPE_CHECKING

from orchestrator.core.errors import UsageError
from orchestrator.interfaces.cli.commands import IMPORT
from orchestrator.interfaces.cli.grammar import Argument, path
from orchestrator.interfaces.cli.rendering import Answer, plain, say
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from orchestrator.transfer import Imported


@IMPORT.command(
    "file",
    Argument("file", "What `export` wrote; - is stdin.", convert=path),
    example="board.jsonl --board copy",
)
def file(run: Run, file: str) -> Answer:
    """Take over a board that `export` wrote, whole or not at all."""
    from orchestrator.transfer import import_board

    if file == "-":
        return _said(import_board(run.orc.engine, sys.stdin))
    try:
        with open(file, encoding="utf-8", newline="\n") as lines:
            return _said(import_board(run.orc.engine, lines))
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise UsageError(f"{file!a} cannot be read: {error.strerror}") from None


@IMPORT.command(
    "opspawn",
    Argument("folder", "The folder with its state.json.", "DIR", convert=path),
    example="opspawn ../opspawn-board --board copy",
)
def opspawn(run: Run, folder: str) -> Answer:
    """Take over a board of the Node original, with its log and knowledge."""
    from orchestrator.transfer import import_opspawn

    return _said(import_opspawn(run.orc.engine, folder))


def _said(imported: "Imported") -> Answer:
    counts = ", ".join(f"{n} {noun}" for noun, n in plain(imported).items())
    return say(imported, f"Imported: {counts}")
