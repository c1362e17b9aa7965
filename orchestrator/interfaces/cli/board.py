"""Commands about the whole board: status, init, doctor, completion."""

import os
from typing import TYPE_CHECKING

from orchestrator.core.errors import UsageError
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.completion import SHELLS
from orchestrator.interfaces.cli.grammar import Argument, Option, integer, path
from orchestrator.interfaces.cli.rendering import Answer, paint, say
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from orchestrator.maintenance.doctor import Examination


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
    "doctor",
    Option(("--fix",), "Repair what needs no person's word; keeps copies.", flag=True),
    Option(
        ("--accept-log",),
        "With --fix: the log counts where the snapshot had gone further.",
        flag=True,
    ),
    Option(("--salvage-log",), "Write what can be read of a damaged log to a new file.", flag=True),
    example="doctor --fix",
)
def doctor(run: Run, fix: bool, accept_log: bool, salvage_log: bool) -> Answer:
    """Look the board over: 0 clean, 1 warnings, 4 damage. Changes nothing without --fix."""
    from orchestrator.maintenance.doctor import examine

    if run.orc.folder is None:
        raise UsageError("This board has no folder to look over")
    found = examine(
        run.orc.engine, run.orc.folder, fix=fix, accept_log=accept_log, salvage_log=salvage_log
    )
    return Answer(found, lambda: _report(found), found.status)


_LEVELS = {"ok": "green", "warning": "yellow", "damage": "red"}


def _report(found: "Examination") -> str:
    """A line a finding, with what to do where something is left to do."""
    said = []
    for finding in found.findings:
        word = "fixed" if finding.fixed else finding.level
        text = f": {escape(finding.message)}" if finding.message else ""
        said.append(f"[{paint(word, _LEVELS.get(word, 'green'))}] {finding.check}{text}")
        if finding.hint and not finding.fixed:
            said.append(f"    Hint: {escape(finding.hint)}")
    said += [f"Copies are in {escape(found.backup)}"] if found.backup else []
    said += [f"Salvaged: {escape(found.salvaged)}"] if found.salvaged else []
    return "\n".join(said)


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
