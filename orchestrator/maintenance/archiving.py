"""Archive old parts of the log: move them to another folder, or compress them. Commands still read them."""

import msgspec

from orchestrator.core.errors import Refused, UsageError
from orchestrator.core.events import ARCHIVED
from orchestrator.core.progress import ShowProgress, no_progress
from orchestrator.core.store import ArchivedPart
from orchestrator.domain.board.commands import Upgrades
from orchestrator.engine import Engine


class Archived(msgspec.Struct, frozen=True):
    """The parts of the log that were moved, oldest first."""

    moved: list[ArchivedPart]


def archive_log(
    engine: Engine,
    *,
    folder: str | None = None,
    compress: bool = False,
    keep: int = 0,
    undo: bool = False,
    progress: ShowProgress = no_progress,
) -> Archived:
    """Move sealed segments of the log to a folder, compress them, or take them back.

    A command that was interrupted has moved some of them; repeating it moves the rest.

    Args:
        engine: The board.
        folder: The new folder of their data; None leaves the data in their folder.
        compress: Compress them.
        keep: How many of the latest ones stay as they are.
        undo: Take all back to the folder of the log, not compressed.
        progress: Shows how many were moved.

    Raises:
        BadName: The path of the folder is not allowed.
        Refused: The board is not kept in files, or the folder is not there or belongs to another board.
        Damage: A segment is damaged. It and those after it were not moved.
        UsageError: A package that compresses is not installed, or nothing is asked for.
    """
    if undo == (compress or folder is not None) or (undo and keep):
        raise UsageError(
            "Say what to do: move the segments, compress them, or undo both",
            hint="`events archive --compress`, `events archive --to DIR` or `events archive --undo`.",
        )
    upkeep = engine.store.upkeep
    if upkeep is None:
        raise Refused("Only a board in files has segments to archive", code="no_segments")
    engine.pause()
    engine.read()
    moves = upkeep.archive(folder=folder, compress=compress, keep=keep, undo=undo)
    if moves and not undo:
        Upgrades(engine).to(ARCHIVED)
        engine.pause()
    return Archived([move() for move in progress(moves, "Archiving the log")])
