"""Commands about the whole board: status, init, doctor, completion."""

import os
from typing import TYPE_CHECKING, Any

from orchestrator.core.errors import UsageError
from orchestrator.core.printable import amount, escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD, COMPLETE
from orchestrator.interfaces.cli.layout import fitted, lines, paint, shown_time
from orchestrator.interfaces.cli.parameters import argument, flag, option
from orchestrator.interfaces.cli.rendering import Answer, present, say, warn
from orchestrator.interfaces.cli.run import Run
from orchestrator.version import __version__

if TYPE_CHECKING:
    from orchestrator.maintenance.copying import Copied
    from orchestrator.maintenance.doctor import Examination
    from orchestrator.reports.status import Status


@BOARD.command("status", example="status --at 4711", reads=True)
@option("--at", "Right after this event of the past.", types.ID)
def status(run: Run, at: int | None) -> "Answer[Status]":
    """Show the status of the board: workstreams, agents, locks, recent events, topics."""
    return present(run.orc.status(at), lambda board: board.text(shown_time, fitted).rstrip("\n"))


@BOARD.command("init", example="init", local=True)
@argument("[folder]", "Where; .orchestrator if not given.", types.FOLDER, metavar="DIR")
@flag("--versioned", "Git is to keep the board; else it leaves it alone.")
@option(
    "--store", "Keep the board in this database: postgresql://HOST/DATABASE?board=NAME.", name="url"
)
def init(
    run: Run, folder: str | None, versioned: bool, url: str | None
) -> "Answer[dict[str, Any]]":
    """Make a board; an existing one stays as it is.

    All worktrees of a git repository have one board, in the main worktree. With --store, the board is in
    the database; the folder has its address and the files that belong to this machine.
    """
    from orchestrator.board import lead_to, named
    from orchestrator.board_search import place_for_new
    from orchestrator.stores.files.layout import git_care, make

    scheme, location = named(folder or run.settings.board)
    if scheme != "file":
        raise UsageError(f"A board of the scheme {scheme!a} has no folder to make")
    folder = location or place_for_new()
    known = os.path.isdir(os.path.join(folder, "state"))
    made = make(folder, versioned=versioned)
    if url is None:
        text = f"{'There is already a board' if known else 'Made a board'}: {escape(made)}"
    else:
        from orchestrator.api import Orchestrator

        known = not lead_to(made, url)
        with Orchestrator.open(made, warn=warn) as orc:
            orc.engine.note_machine()
            orc.knowledge.sync()
        verb = "Found" if known else "Made"
        text = f"{verb} the board {escape(url)}: commands in {escape(made)} use it"
    git = git_care(made)
    return say(
        {"board": made, "created": not known, "git": git}, lines([text, *_GIT[git]], empty="")
    )


_GIT = {
    "excluded": ["Git leaves it alone; `init --versioned` lets git keep it."],
    "versioned": ["Git keeps it, as far as you commit it: the log and the knowledge."],
    "": [],
}
"""The message of `init` about git, by the way git treats the board."""


@BOARD.command(
    "copy", example="copy .orchestrator postgresql://localhost/work?board=website", local=True
)
@argument("source", "The board: a folder or a URL.", types.FOLDER, metavar="FROM")
@argument(
    "target",
    "The target: an empty board, or an unfinished copy of this one.",
    types.FOLDER,
    metavar="TO",
)
def copy(run: Run, source: str, target: str) -> "Answer[Copied]":
    """Copy a whole board to another store, and compare both afterwards.

    The log stays the same, event by event. Nobody can write to either board meanwhile.
    """
    from orchestrator import Orchestrator
    from orchestrator.maintenance.copying import copy_board

    old = Orchestrator.open(source, reads=True, warn=warn)
    new = Orchestrator.open(target, warn=warn)
    copied = copy_board(old.engine, new.engine, run.progress)
    texts = [amount(copied.events, "event"), amount(copied.documents, "document")]
    return say(copied, f"Copied {' and '.join(texts)}; both boards have the same state")


@BOARD.command("doctor", example="doctor --fix", reads=("fix", "salvage_log"), local=True)
@flag("--fix", "Repair what is safe to repair; the files that change are copied first.")
@flag("--accept-log", "With --fix: accept a log that lost events which the snapshot still has.")
@flag("--salvage-log", "Write what can be read of a damaged log to a new file.")
@flag("--full", "Read every file and every event of the log.")
def doctor(run: Run, **how: bool) -> "Answer[Examination]":
    """Check the board: 0 clean, 1 warnings, 4 damage. Changes nothing without --fix.

    Every line of the log is compared with its checksum. Of a long log, --full also reads the sealed files
    that have not changed since they were checked, and the events before the last checkpoint.
    """
    from orchestrator.maintenance.doctor import examine

    examination = examine(run.orc.engine, progress=run.progress, **how)
    return Answer(examination, lambda: _report(examination), examination.status)


_LEVELS = {"ok": "green", "warning": "yellow", "damage": "red"}


def _report(examination: "Examination") -> str:
    """One line for each finding, with a hint if it is not repaired."""
    texts = []
    for finding in examination.findings:
        word = "fixed" if finding.fixed else finding.level
        text = f": {escape(finding.message)}" if finding.message else ""
        texts.append(f"[{paint(word, _LEVELS.get(word, 'green'))}] {finding.check}{text}")
        if finding.hint and not finding.fixed:
            texts.append(f"    Hint: {escape(finding.hint)}")
    backup, salvaged = examination.backup, examination.salvaged
    texts += [f"Copies are in {escape(backup)}"] if backup else []
    texts += [f"Salvaged: {escape(salvaged)}"] if salvaged else []
    return "\n".join(texts)


@BOARD.command(
    "completion",
    example="completion bash > ~/.local/share/bash-completion/completions/orc",
    reads=True,
    local=True,
)
@argument("shell", "bash, zsh or fish.", types.choice("bash", "zsh", "fish", name="SHELL"))
def completion(_run: Run, shell: str) -> "Answer[dict[str, str]]":
    """Print the script that makes a shell complete `orc`."""
    from click.shell_completion import get_completion_class

    of_shell = get_completion_class(shell)
    assert of_shell is not None
    text = of_shell(BOARD, {}, "orc", COMPLETE).source()
    return say({"shell": shell, "script": text}, text)


@BOARD.command("version", example="version", reads=True, local=True)
def version(_run: Run) -> "Answer[dict[str, str]]":
    """Print the version."""
    return say({"version": __version__}, __version__)
