"""``orc index``: the optional SQLite index of the board."""

from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.core.printable import escape
from orchestrator.interfaces.cli.commands import INDEX
from orchestrator.interfaces.cli.layout import fields
from orchestrator.interfaces.cli.rendering import Answer, present, say, write
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from orchestrator.index.database import IndexStatus


@INDEX.command("build", example="build", reads=())
def build(run: Run) -> "Answer[IndexStatus]":
    """Make state/index.db, or update it."""
    status = run.orc.index.build()
    return say(status, f"The index is up to date: event {status.event} ({escape(status.path)})")


@INDEX.command("status", example="status", reads=True)
def status(run: Run) -> "Answer[IndexStatus]":
    """Show whether there is an index, and its last event; one that cannot be used is built again."""
    return present(run.orc.index.status(), _standing)


_NONE = "There is no index: one in memory answers questions. `index build` makes one."


def _standing(status: "IndexStatus") -> str:
    if not status.exists:
        return _NONE
    state = status.problem and f"of no use: {status.problem}"
    if not state:
        behind = status.head - status.event
        state = f"{behind} events behind; the next question updates it"
        state = state if behind else "up to date"
    return fields(
        [
            ("index", status.path),
            ("state", state),
            ("event", f"{status.event} of {status.head}"),
            ("schema", status.version),
            ("size", f"{status.size / 1e6:.1f} MB"),
        ]
    )


@INDEX.command("drop", example="drop", reads=())
def drop(run: Run) -> "Answer[dict[str, bool]]":
    """Delete state/index.db; the log still has everything."""
    dropped = run.orc.index.drop()
    return say({"dropped": dropped}, "Dropped the index" if dropped else "There was no index")


@INDEX.command("verify", example="verify", reads=True)
def verify(run: Run) -> "Answer[dict[str, list[str]]]":
    """Compare the index with a new one from the log; if they differ, build it again, and exit with 4."""
    problems = run.orc.index.verify()
    is_right = "The index is as the log says" if run.orc.index.status().exists else _NONE
    text = "\n".join(map(escape, problems)) or is_right
    return say({"problems": problems}, text, 4 if problems else 0)


@INDEX.command("metadata", example="metadata > metadata.json", reads=True)
def metadata(run: Run) -> "Answer[dict[str, Any]] | None":
    """Print metadata for Datasette: datasette state/index.db -m metadata.json."""
    from orchestrator.index.description import metadata as describe

    if run.settings.json:
        return say(describe(), "")
    write(msgspec.json.format(msgspec.json.encode(describe()), indent=2) + b"\n")
    return None
