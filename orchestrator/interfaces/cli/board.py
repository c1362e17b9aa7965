"""Commands about the whole board: status, init, doctor, export, completion."""

import os
import sys

from orchestrator.core.errors import UsageError
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.completion import SHELLS
from orchestrator.interfaces.cli.grammar import Argument, Option, integer, path
from orchestrator.interfaces.cli.rendering import Answer, say
from orchestrator.interfaces.cli.run import Run


@BOARD.command(
    "status",
    Option(("--at",), "Right after this event of the past.", "ID", convert=integer),
    aliases=("s",),
    example="status --at 4711",
    reads=True,
)
def status(run: Run, at: int | None) -> Answer:
    """Show how the board stands: workstreams, agents, locks, recent events, topics."""
    found = run.orc.status(at)
    return Answer(found, lambda: found.text().rstrip("\n"))


@BOARD.command(
    "init",
    Argument("folder", "Where; .orchestrator if not given.", "DIR", False, convert=path),
    example="init",
)
def init(run: Run, folder: str | None) -> Answer:
    """Make a board; one that is there stays as it is."""
    from orchestrator.board import FOLDER, make

    named = folder or run.settings.board or os.environ.get("ORCHESTRATOR_DIR") or FOLDER
    known = os.path.isdir(os.path.join(named, "state"))
    made = make(named)
    text = f"{'There is already a board' if known else 'Made a board'}: {escape(made)}"
    return say({"board": made, "created": not known}, text)


@BOARD.command(
    "completion",
    Argument("shell", "bash, zsh or fish."),
    example="completion bash > ~/.local/share/bash-completion/completions/orc",
    reads=True,
)
def completion(_run: Run, shell: str) -> Answer:
    """Print the script that makes a shell complete `orc`."""
    from orchestrator.interfaces.cli.completion import script

    if shell not in SHELLS:
        raise UsageError(f"{shell!a} is no shell known here", hint=f"One of {', '.join(SHELLS)}.")
    text = script(shell)
    return say({"shell": shell, "script": text}, text)


@BOARD.command(
    "export",
    Argument("file", "Where to; stdout if not given.", "FILE", False, convert=path),
    example="export board.jsonl",
    reads=True,
)
def export(run: Run, file: str | None) -> Answer | None:
    """Write the whole board as JSON lines."""
    from orchestrator.transfer import export_board

    if file is None or file == "-":
        export_board(run.orc.engine, sys.stdout)
        sys.stdout.flush()
        return None
    with open(file, "x", encoding="utf-8", newline="\n") as out:
        count = export_board(run.orc.engine, out)
    return say({"file": file, "events": count}, f"Exported {count} events: {escape(file)}")
