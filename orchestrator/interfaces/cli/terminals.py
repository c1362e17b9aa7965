"""``orc terminal``: agents in windows of tmux."""

import os
import sys
from typing import TYPE_CHECKING

from orchestrator.core.errors import UsageError
from orchestrator.core.printable import escape, escape_lines
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import TERMINAL
from orchestrator.interfaces.cli.parameters import argument, option
from orchestrator.interfaces.cli.rendering import Answer, listing, present_lines, say
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from orchestrator.domain.terminals.records import Terminal
    from orchestrator.terminals.commands import Nudge, TerminalView

_AGENT = argument("agent", "The agent.", types.Type("AGENT", completes="terminals.agent"))


@TERMINAL.command("spawn", example="spawn ann --task 7f3a0c1e -- claude --model opus")
@argument("agent", "The agent.", types.AGENT_NAME)
@argument("command...", "The program and its arguments, after `--`.", types.WORD)
@option("--task", "The task that it works on.", types.TASK_ID)
@option(
    "--env", "Also give it this variable of your shell: ANTHROPIC_API_KEY.", types.NAME, many=True
)
def spawn(
    run: Run, agent: str, command: tuple[str, ...], task: str | None, env: tuple[str, ...] | None
) -> "Answer[Terminal]":
    """Start the command of an agent in a window of tmux.

    The command runs without a shell. It gets a few variables of your environment, as agents of the runner do,
    and ORC_AGENT, ORCHESTRATOR_DIR and ORC_TASK. An agent has one terminal. `max` in [terminal] of
    config.toml limits how many run.
    """
    terminal = run.orc.terminals.spawn(agent, *command, task=task, env=env or ())
    return say(terminal, f"Started {escape(terminal.program)} for {escape(terminal.agent)}")


@TERMINAL.command("list", example="list", reads=True)
def list_(run: Run) -> "Answer[list[TerminalView]]":
    """List the last terminal of each agent; if it has ended, with its exit status."""
    return listing(
        run.orc.terminals.views(),
        "agent",
        ("state", _state),
        "program",
        ("task", "task"),
        ("started", "started_at"),
        ("ended", "ended_at"),
        empty="No terminals.",
    )


@TERMINAL.command("peek", example="peek ann -n 20", reads=True)
@_AGENT
@option("-n/--lines", "How many lines at most.", types.POSITIVE, default=50)
def peek(run: Run, agent: str, lines: int) -> "Answer[dict[str, str | list[str]]]":
    """Print the last lines in the terminal of an agent, also when its command has ended."""
    shown = run.orc.terminals.peek(agent, lines)
    text = escape_lines("\n".join(shown)) if shown else "(nothing yet)"
    return say({"agent": agent, "lines": shown}, text)


@TERMINAL.command("nudge", example='nudge ann "Read your mail, please."')
@_AGENT
@argument("text...", "One line.", types.TEXT)
def nudge(run: Run, agent: str, text: tuple[str, ...]) -> "Answer[Nudge]":
    """Send a line to an agent by mail, and type it into its terminal unless a person types there.

    It is not typed if a shell would run it, or if a person pressed a key in the last five seconds, scrolls
    back or has begun a line. The mail is sent in any case.
    """
    nudged = run.orc.terminals.nudge(agent, " ".join(text))
    name = escape(nudged.agent)
    done = "Typed for" if nudged.typed else "Not typed for"
    why = "" if nudged.typed else f" ({nudged.reason})"
    return say(nudged, f"{done} {name}{why}; it is message {nudged.message} in the mailbox")


@TERMINAL.command("attach", example="attach ann")
@_AGENT
def attach(run: Run, agent: str) -> "Answer[dict[str, str]]":
    """Show the terminal of an agent here, and type in it. Ctrl-b d leaves it running."""
    from orchestrator.core import system

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("This is no terminal", hint=f"`terminal peek {agent}` prints its lines.")
    words = run.orc.terminals.attach_command(agent)
    run.orc.close()
    os.environ.pop("TMUX", None)  # a window of another server may be around this one
    status = system.run_at_terminal(words)
    return say({"agent": agent}, f"Left the terminal of {escape(agent)}", exit_status=status)


@TERMINAL.command("stop", example="stop ann", idempotent=True, destructive=True)
@_AGENT
def stop(run: Run, agent: str) -> "Answer[Terminal]":
    """End the command of an agent and every process that it started, and close the window.

    It gets SIGTERM, and SIGKILL after five seconds. Its task stays claimed until the lease ends.
    """
    terminal = run.orc.terminals.stop(agent)
    how = "Stopped" if run.orc.engine.has_recorded else "Closed"
    return say(terminal, f"{how} the terminal of {escape(terminal.agent)}{_status(terminal)}")


@TERMINAL.command("reap", example="reap", idempotent=True)
def reap(run: Run) -> "Answer[list[Terminal]]":
    """Record which commands in terminals have ended; tmux calls this automatically."""
    return present_lines(
        run.orc.terminals.reap(),
        lambda t: f"{escape(t.agent)}: {t.outcome}{_status(t)}",
        empty="No other terminal has ended.",
    )


def _state(view: "TerminalView") -> str:
    return f"{view.condition}{_status(view)}" + (" (shown)" if view.watchers else "")


def _status(terminal: "Terminal") -> str:
    status = terminal.status
    if status is None:
        return ""
    return f", signal {-status}" if status < 0 else f", status {status}"
