"""``orc dashboard``: the board, live in a terminal."""

import gc
import os
from importlib.util import find_spec

from orchestrator.core.errors import BadName, UsageError
from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.layout import is_terminal
from orchestrator.interfaces.cli.parameters import ONLY_WORKSTREAM, flag
from orchestrator.interfaces.cli.run import Run


@BOARD.command("dashboard", example="dashboard build", local=True)
@ONLY_WORKSTREAM
@flag("--lines", "Plain lines that are never redrawn, for screen readers; also with TERM=dumb.")
def dashboard(run: Run, workstream: str | None, lines: bool) -> None:
    """Follow the board live, and claim, approve, answer and write from the keyboard; ? lists the keys.

    Actions are recorded under --agent NAME or $ORC_AGENT, else under the name of the user.
    """
    watch(run, workstream, in_lines=lines)


def watch(run: Run, workstream: str | None, *, in_lines: bool) -> None:
    """Show the dashboard until the person leaves it.

    Raises:
        UsageError: It would need Textual, which is not installed, or a terminal.
    """
    if run.settings.json:
        raise UsageError(
            "A dashboard has no JSON",
            hint="`events list --follow --json` follows the board in JSON.",
        )
    in_lines = in_lines or os.environ.get("TERM") == "dumb"
    if not in_lines:
        _check_terminal()
    from orchestrator.interfaces.tui.feed import Feed

    gc.enable()  # `process` has disabled it for commands that end soon
    with run.lasting(reads=True) as orc:
        if workstream is not None:
            orc.engine.read().workstreams.check(workstream)
        feed = Feed(orc, run.agent or _user(), workstream)
        if in_lines:
            from orchestrator.interfaces.tui.line_mode import LineMode

            LineMode(feed).run()
            return
        from orchestrator.interfaces.tui.app import Dashboard

        Dashboard(feed).run()


def _check_terminal() -> None:
    if find_spec("textual") is None:
        raise UsageError(
            "The extra tui is not installed",
            hint="pip install 'agent-orchestrator[tui]', or `dashboard --lines`, which needs nothing more",
        )
    if not is_terminal():
        raise UsageError(
            "A dashboard needs a terminal", hint="`dashboard --lines` writes plain lines."
        )


def _user() -> str:
    """The name of the user of this machine, as the name of an agent."""
    import getpass

    from orchestrator.core import names

    try:
        return names.agent(getpass.getuser())
    except (BadName, OSError, KeyError):
        raise UsageError(
            "This needs to know who you are", hint="Give --agent NAME, or set ORC_AGENT."
        ) from None
