"""``orc.terminals``: agents in windows of tmux. The log says what was started and how it ended."""

import os
import re
import sys
import time
from collections.abc import Sequence
from hashlib import sha256
from typing import Literal

import msgspec
from msgspec.structs import asdict

from orchestrator.core import names, processes, system
from orchestrator.core.errors import BadInput, NotFound, Refused, UsageError
from orchestrator.core.machine import this_machine
from orchestrator.core.printable import escape, is_plain
from orchestrator.core.processes import MARK
from orchestrator.core.transaction import SYSTEM
from orchestrator.delivery.terminal import Pane
from orchestrator.domain.mail.commands import Mail
from orchestrator.domain.tasks.lookup import resolve
from orchestrator.domain.terminals.commands import TerminalRecords, TerminalStart
from orchestrator.domain.terminals.records import Outcome, Terminal
from orchestrator.domain.validation import check_required
from orchestrator.domain.worktrees.commands import WorktreeRecords
from orchestrator.runtimes.port import NETWORK, find_program
from orchestrator.supervisor.places import command_line
from orchestrator.supervisor.processes import kill_all
from orchestrator.terminals.tmux import TmuxPane, TmuxServer

GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL when a terminal is stopped."""

LONGEST_NUDGE = 1000
"""Characters of a line that is typed for an agent."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PAUSE = 0.02


class TerminalView(Terminal, frozen=True, kw_only=True):
    """The last terminal of an agent as it is now.

    Attributes:
        condition: ``running``; ``starting``: it is not there yet; ``exited``, ``stopped``, ``lost`` or
            ``failed`` as in ``outcome``, also if the end is not recorded yet; ``elsewhere``: it runs on
            another machine.
        watchers: How many terminals show it.
    """

    condition: Outcome | Literal["running", "starting", "elsewhere"]
    watchers: int = 0


class Nudge(msgspec.Struct, frozen=True, kw_only=True):
    """A line for an agent in a terminal.

    Attributes:
        agent: The agent.
        message: The message with the same text, which is in its mailbox whether the line was typed or not.
        typed: Whether the line was typed.
        reason: Why it was not.
    """

    agent: str
    message: int
    typed: bool
    reason: str = ""


class Terminals(TerminalRecords, name="terminals"):
    """``orc.terminals``: spawn, nudge, stop, reap; get, all, views, peek."""

    def spawn(
        self,
        id: str,
        program: str,
        *arguments: str,
        task: str | None = None,
        env: Sequence[str] = (),
        agent: str | None = None,
    ) -> Terminal:
        """Start the command of an agent in a window of tmux.

        No shell reads the command. Its environment has a few variables of this process, as agents of the
        runner have, and who the agent is. It works in the worktree of the task, or of the only task that the
        agent has; if there is none, in the folder of this process.

        Args:
            id: The agent.
            program: The program.
            arguments: Its arguments.
            task: The task that the agent is to work on.
            env: Further variables of this process that the command gets, such as ``ANTHROPIC_API_KEY``.
            agent: Who starts it.

        Raises:
            UsageError: The extra is not installed.
            NotFound: There is no tmux or no such program (``program_not_found``), or no such task.
            Refused: The agent has a terminal, or is retired; as many run as the board allows; the task has
                ended, another agent has it, or the folder of its worktree is gone.
            InputOutputError: tmux failed.
        """
        board = self._board()
        folder = self._folder(id, task)
        variables = _variables(names.agent(id), board, env)
        path = find_program(program, folder, variables["PATH"])
        if "=" in path:  # `env` would set a variable
            raise BadInput(f"The path of the program has a `=`: {escape(path)}")
        self.reap(agent=agent)
        server = TmuxServer(self._socket(board))
        # The agent of a window does not record its end.
        reaping = [*command_line(board), "--agent", SYSTEM, "terminal", "reap"]
        socket_path = server.start(_server_variables(), reaping)
        try:
            start = TerminalStart((program, *arguments), folder, this_machine(), socket_path)
            terminal = self._start(id, start, task, agent)
            if terminal.is_live and terminal.session not in server.panes():
                self._run(server, terminal, (path, *arguments), variables, agent)
        finally:
            server.end_if_empty()
        return terminal

    def reap(self, *, agent: str | None = None) -> list[Terminal]:
        """Record the ends of terminals of this machine whose command has ended, and return them.

        tmux calls this when a command ends; a terminal whose server was killed is found by the next call.

        Raises:
            NotFound: There is no tmux.
            InputOutputError: tmux failed.
        """
        ended: list[Terminal] = []
        for view in self._seen(self._state.terminals.live(this_machine())):
            if view.condition in ("exited", "lost"):
                terminal = self._state.terminals[view.agent]
                ended.append(self._end(terminal, view.condition, view.status, agent))
        return ended

    def views(self) -> list[TerminalView]:
        """Return the last terminal of each agent as it is now, by agent.

        Raises:
            NotFound: There is no tmux, and a terminal should run.
            InputOutputError: tmux failed.
        """
        return self._seen(self.all())

    def peek(self, id: str, number: int = 50) -> list[str]:
        """Return the last lines in the terminal of an agent, also when its command has ended.

        Args:
            id: The agent.
            number: How many lines at most.

        Raises:
            NotFound: It has no terminal, or that is gone (``terminal_gone``).
        """
        terminal = self.get(id)
        server, pane = self._pane(terminal)
        return server.lines(pane, number)

    def nudge(self, id: str, text: str, *, agent: str | None = None) -> Nudge:
        """Send a line to an agent by mail, and type it into its terminal if no person types there.

        It is typed as it is, behind the name of the sender. It is not typed when the command has ended, when
        a shell would run it, when a person has used a key in the last seconds, reads back or has begun a
        line. The message is in the mailbox in any case.

        Args:
            id: The agent.
            text: One line without control characters.
            agent: Who sends it.

        Raises:
            BadInput: The text is too long, or is not one plain line.
            NotFound: The agent has no terminal, or that is gone.
        """
        check_required("text", text)
        if len(text) > LONGEST_NUDGE or not is_plain(text):
            raise BadInput(
                f"A nudge is one line of at most {LONGEST_NUDGE} characters, none of which is a control"
                " character",
                hint="`mail send` sends any text.",
            )
        terminal = self.get(id)
        _, found = self._pane(terminal)
        letter = Mail(self._desk).send(terminal.agent, f"Nudge: {text}"[:200], text, agent=agent)
        self._desk.pause()
        pane = Pane(found.id, None, server=("-S", terminal.server))
        reason = _try_to_type(pane, f"Nudge from {letter.sender} (mail {letter.id}): {text}")
        return Nudge(agent=terminal.agent, message=letter.id, typed=not reason, reason=reason)

    def attach_command(self, id: str) -> list[str]:
        """Return the words of the command that shows the terminal of an agent.

        Raises:
            NotFound: It has no terminal, or that is gone.
        """
        terminal = self.get(id)
        server, _ = self._pane(terminal)
        return server.attaching(terminal.session)

    def stop(self, id: str, *, agent: str | None = None) -> Terminal:
        """End the command of an agent and all that it has started, and close the window.

        The command gets SIGTERM, and SIGKILL after five seconds. If it has ended, only the window is closed.

        Raises:
            NotFound: The agent has no terminal.
            Refused: It runs on another machine (``other_machine``).
        """
        terminal = self.get(id)
        self._check_here(terminal)
        self._desk.pause()
        server = TmuxServer(terminal.server)
        pane = server.panes().get(terminal.session)
        if terminal.is_live and pane is not None:
            was_running = not pane.is_dead
            status = self._end_command(server, terminal, pane)
            outcome: Outcome = "stopped" if was_running else "exited"
            terminal = self._end(terminal, outcome, status, agent)
        elif terminal.is_live:
            terminal = self._end(terminal, "lost", None, agent)
        server.remove(terminal.session)
        return terminal

    # The parts of these commands

    def _board(self) -> str:
        if self._desk.folder is None:
            raise UsageError("A board in memory has no terminals")
        self._desk.pause()
        return os.path.abspath(self._desk.folder)

    def _folder(self, id: str, task: str | None) -> str:
        """The working folder for an agent."""
        state = self._state
        agent = state.agents.aliases.get(id, id)
        tasks = (
            [t.id for t in state.schedule.held_by(agent)]
            if task is None
            else [resolve(state, task)]
        )
        trees = [task for task in tasks if task in state.worktrees]
        return WorktreeRecords(self._desk).path(trees[0]) if len(trees) == 1 else os.getcwd()

    def _socket(self, board: str) -> str:
        """The server of tmux for a new terminal: the one that runs, even if its usual place has changed."""
        live = self._state.terminals.live(this_machine())
        if live:
            return live[0].server
        return f"orc-{sha256(os.path.realpath(board).encode()).hexdigest()[:12]}"

    def _run(
        self,
        server: TmuxServer,
        terminal: Terminal,
        words: Sequence[str],
        variables: dict[str, str],
        agent: str | None,
    ) -> None:
        """Start a recorded terminal in tmux, and close the windows of earlier ones of the agent."""
        if terminal.task is not None:
            variables["ORC_TASK"] = terminal.task
        marked = ("env", f"{MARK}={_mark(terminal)}", *words)
        try:
            server.run(terminal.session, marked, terminal.folder, variables)
        except BaseException:
            self._end(terminal, "failed", None, agent)
            raise
        earlier = terminal.session.rpartition("-")[0]
        for session in server.panes():
            if session != terminal.session and session.rpartition("-")[0] == earlier:
                server.remove(session)

    def _seen(self, terminals: Sequence[Terminal]) -> list[TerminalView]:
        machine, now = this_machine(), self._desk.now()
        live = {t.server for t in terminals if t.is_live and t.machine == machine}
        panes = {path: TmuxServer(path).panes() for path in live}
        return [
            _view(terminal, panes.get(terminal.server, {}), machine, now) for terminal in terminals
        ]

    def _pane(self, terminal: Terminal) -> tuple[TmuxServer, TmuxPane]:
        """The pane of a terminal of this machine.

        Raises:
            NotFound: It is gone.
        """
        self._check_here(terminal)
        server = TmuxServer(terminal.server)
        pane = server.panes().get(terminal.session)
        if pane is None:
            raise NotFound(
                f"The terminal of {escape(terminal.agent)} is gone",
                code="terminal_gone",
                hint="`terminal list` shows how it ended, `terminal spawn` starts a new one.",
            )
        return server, pane

    def _check_here(self, terminal: Terminal) -> None:
        if terminal.machine != this_machine():
            raise Refused(
                f"The terminal of {escape(terminal.agent)} is on {escape(terminal.machine)}",
                code="other_machine",
                hint="Call this on that machine.",
            )

    def _end_command(self, server: TmuxServer, terminal: Terminal, pane: TmuxPane) -> int | None:
        """End a command and all that it has started; return its exit status."""
        mark = _mark(terminal)
        if pane.pid in system.processes_with(MARK, mark):
            system.ask_to_end(pane.pid)
        _await_end(server, terminal.session)
        kill_all(lambda: system.processes_with(MARK, mark))
        seen = _await_end(server, terminal.session)
        return seen.status if seen is not None else None


def _await_end(server: TmuxServer, session: str) -> TmuxPane | None:
    """Wait until the command of a session has ended, for a while; return its pane, if it is there."""
    deadline = time.monotonic() + GRACE
    pane = server.panes().get(session)
    while pane is not None and not pane.is_dead and time.monotonic() < deadline:
        time.sleep(_PAUSE)
        pane = server.panes().get(session)
    return pane


def _view(terminal: Terminal, panes: dict[str, TmuxPane], machine: str, now: str) -> TerminalView:
    facts = asdict(terminal)
    pane = panes.get(terminal.session)
    if not terminal.is_live:
        assert terminal.outcome
        return TerminalView(**facts, condition=terminal.outcome)
    if terminal.machine != machine:
        return TerminalView(**facts, condition="elsewhere")
    if pane is None:
        return TerminalView(**facts, condition="starting" if terminal.is_starting(now) else "lost")
    if pane.is_dead:
        return TerminalView(**{**facts, "status": pane.status}, condition="exited")
    return TerminalView(**facts, condition="running", watchers=pane.watchers)


def _try_to_type(pane: Pane, line: str) -> str:
    """Type a line if nothing is against it; else return what is."""
    try:
        reason = pane.obstacle()
        if not reason:
            pane.type_line(line)
    except (NotFound, OSError) as error:
        return str(error)
    return reason


def _variables(agent: str, board: str, env: Sequence[str]) -> dict[str, str]:
    """The environment of a command."""
    given = os.environ
    for name in env:
        if not _VARIABLE.fullmatch(name):
            raise UsageError(f"{name!a} is not the name of a variable")
        if name not in given:
            raise UsageError(f"{name} is not set here")
    path = [os.path.dirname(sys.executable), *filter(None, [given.get("PATH")])]
    return {
        **_server_variables(),
        **{name: given[name] for name in env},
        "PATH": os.pathsep.join(path),
        "ORC_AGENT": agent,
        "ORCHESTRATOR_DIR": board,
    }


def _server_variables() -> dict[str, str]:
    """What every command of the board may know of this process.

    The mark of an attempt of the runner is left out: a terminal outlives the attempt.
    """
    allowed = (*NETWORK, "TMUX_TMPDIR")
    variables = {name: os.environ[name] for name in allowed if name in os.environ}
    variables |= processes.passed_on(os.environ)
    for name in (MARK, "ORCHESTRATOR_DIR", "TERM"):
        variables.pop(name, None)
    return variables


def _mark(terminal: Terminal) -> str:
    """What stands in the environment of all that a command starts."""
    return f"terminal-{terminal.server}-{terminal.session}"
