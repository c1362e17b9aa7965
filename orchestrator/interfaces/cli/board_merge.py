"""``orc board merge``: add the work of another copy of this board."""

from typing import TYPE_CHECKING

from orchestrator.core.printable import amount, escape, one_line
from orchestrator.core.transaction import SYSTEM
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import VIEW
from orchestrator.interfaces.cli.layout import counted, parts
from orchestrator.interfaces.cli.parameters import DRY_RUN, argument
from orchestrator.interfaces.cli.rendering import Answer
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from orchestrator.domain.board.events import MergeConflict
    from orchestrator.maintenance.board_merge.merge import MergeReport

_SHOWN = 60
"""Characters of a value in a line about a conflict."""


@VIEW.command("merge", example="merge ../other/.orchestrator --dry-run", local=True)
@argument(
    "other", "The folder of the other board, which is only read.", types.FOLDER, metavar="DIR"
)
@DRY_RUN
def merge(run: Run, other: str, dry_run: bool) -> "Answer[MergeReport]":
    """Add the work of another copy of this board, in one commit.

    Tasks are matched by their ids. If both boards changed the same thing, the conflict is reported, and a
    text that loses is kept as a note or a topic. To merge again adds only what is new.
    """
    from orchestrator.api import Orchestrator
    from orchestrator.maintenance.board_merge.merge import merge_board

    # The other one comes first: if there is none, this board is not made either.
    with Orchestrator.open(other, agent=SYSTEM, reads=True, warn=run.warn_once) as orc:
        report = merge_board(
            run.orc.engine, orc.engine, name=other, dry_run=dry_run, progress=run.progress
        )
    return Answer(report, lambda: _text(report, dry_run))


def _text(report: "MergeReport", dry_run: bool) -> str:
    other = escape(report.other)
    if not report.taken and not report.conflicts:
        return f"Nothing to merge: this board already has all events of {other}"
    done = "Would merge" if dry_run else "Merged"
    since = f"after event {report.shared}" if report.shared else "with no common beginning"
    return parts(
        f"{done} {amount(report.taken, 'event')} of {other}, {since}",
        f"Not copied: {escape(counted(report.left))}" if report.left else "",
        *(f"Renamed: {escape(old)} is {escape(new)} here" for old, new in report.renamed.items()),
        f"{amount(len(report.conflicts), 'conflict')}:" if report.conflicts else "",
        *(_line(conflict) for conflict in report.conflicts),
    )


def _line(conflict: "MergeConflict") -> str:
    here, there = (escape(one_line(text, _SHOWN)) for text in (conflict.here, conflict.there))
    kept = f"; the other value is in {escape(conflict.kept)}" if conflict.kept else ""
    what = f"{escape(conflict.what)}, {escape(conflict.field)}"
    return f"  {what}: here `{here}`, there `{there}`; {_WON[conflict.won]}{kept}"


_WON = {"here": "this board wins", "there": "the other board wins", "both": "both are kept"}
