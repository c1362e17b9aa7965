"""A server of tmux: one for each board, apart from that of the user, with no configuration of the user.

A command runs without a shell and with the environment that it is given, and nothing else: the server is
started with the variables that every program gets, and a session takes its own from the client that makes it
(``update-environment``), so that none of them stands on a command line that other users can see. A window
stays when its command has ended, with its last lines and the exit status.
"""

import os
import shlex
import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from orchestrator.core import processes, system
from orchestrator.core.errors import InputOutputError, NotFound, UsageError
from orchestrator.core.printable import escape, one_line
from orchestrator.delivery.terminal import tmux_word

if TYPE_CHECKING:
    from libtmux import Server

EXTRA = "pip install 'agent-orchestrator[tmux]'"
INSTALL = "Install tmux 3.2a or newer: apt install tmux, brew install tmux."

WIDTH, HEIGHT = 200, 50
"""The size of a window that no terminal shows."""

HISTORY = 10_000
"""Lines that a window keeps above what it shows."""

_NOTHING_RUNS = ("no current target", "server exited")
"""What tmux says when a server without sessions lists its panes, or ends meanwhile."""

_PATIENCE = 20.0
"""Seconds that a command of tmux may take on a busy machine."""


class TmuxPane(msgspec.Struct, frozen=True):
    """The first pane of a session, in which the command of an agent runs.

    Attributes:
        id: The pane, as tmux names it.
        pid: The process of the command.
        program: The program that has the terminal now.
        is_dead: Whether the command has ended.
        has_missed_end: Whether its output has ended, and tmux has not seen its end.
        status: Its exit status, or the negative number of the signal that ended it.
        watchers: How many terminals show it.
    """

    id: str
    pid: int
    program: str
    is_dead: bool
    has_missed_end: bool
    status: int | None
    watchers: int


class TmuxServer:
    """A server of tmux.

    Args:
        socket: The path of its socket, or a name: tmux then knows the folder.

    Raises:
        UsageError: The extra is not installed, or tmux is too old.
        NotFound: There is no tmux (``program_not_found``).
    """

    def __init__(self, socket: str) -> None:
        try:
            import libtmux
        except ImportError:
            raise UsageError("The extra tmux is not installed", hint=EXTRA) from None
        program = shutil.which("tmux")
        if program is None:
            raise NotFound("There is no program tmux", code="program_not_found", hint=INSTALL)
        is_path = os.path.isabs(socket)
        self._words = (program, "-S" if is_path else "-L", socket)
        self._libtmux = libtmux
        self._server: Server = libtmux.Server(
            socket_path=socket if is_path else None,
            socket_name=None if is_path else socket,
            tmux_bin=program,
        )
        if not libtmux.common.has_minimum_version(raises=False):
            raise UsageError("This tmux is too old", hint=INSTALL)

    def start(self, variables: Mapping[str, str], at_end: Sequence[str]) -> str:
        """Start the server if it does not run, and return the path of its socket.

        It goes on without a session until :meth:`run` or :meth:`end_if_empty`.

        Args:
            variables: What every program in it has in its environment.
            at_end: The words of a command that is run when the command of a window has ended.
        """
        line = shlex.join(at_end).replace("#", "##")  # `#` begins a format of tmux
        shown = self._call(
            variables,
            ("start-server",),
            ("set-option", "-s", "exit-empty", "off"),
            ("set-option", "-g", "remain-on-exit", "on"),
            ("set-option", "-gq", "remain-on-exit-format", ""),
            ("set-option", "-g", "history-limit", str(HISTORY)),
            ("set-option", "-g", "default-shell", "/bin/sh"),
            ("set-hook", "-g", "pane-died", f"run-shell -b {shlex.quote(line)}"),
            ("display-message", "-p", "#{socket_path}"),
        )
        return shown.strip()

    def run(
        self, session: str, words: Sequence[str], folder: str, variables: Mapping[str, str]
    ) -> None:
        """Run a command in a new session.

        Args:
            session: The name of the session.
            words: The command; at least two words, because tmux gives a single one to a shell.
            folder: Its working folder.
            variables: Its environment, beside what the server was started with.
        """
        assert len(words) > 1
        place = folder.replace("#", "##")
        size = ("-x", str(WIDTH), "-y", str(HEIGHT))
        self._call(
            variables,
            ("set-option", "-g", "update-environment", " ".join(sorted(variables))),
            ("new-session", "-d", *size, "-s", session, "-c", place, "--", *words),
            ("set-option", "-s", "exit-empty", "on"),
        )

    def end_if_empty(self) -> None:
        """Let the server end if it has no session."""
        self._server.cmd("set-option", "-s", "exit-empty", "on")

    def panes(self) -> dict[str, TmuxPane]:
        """The first pane of each session, by the name of the session; none if the server does not run.

        Where tmux keeps records of logins, it misses the end of about every tenth command, because the
        library for them takes its signal (tmux issue 311). The end of any other program makes it look for
        all of them.

        Raises:
            InputOutputError: tmux failed.
        """
        panes = self._panes()
        if any(pane.has_missed_end for pane in panes.values()):
            self._server.cmd("run-shell", "true")
            panes = self._panes()
        return panes

    def _panes(self) -> dict[str, TmuxPane]:
        try:
            listed = self._server.panes
        except self._libtmux.exc.LibTmuxException as error:
            if any(reason in str(error) for reason in _NOTHING_RUNS):
                return {}
            raise InputOutputError(f"tmux failed: {escape(one_line(str(error), 200))}") from None
        panes: dict[str, TmuxPane] = {}
        for pane in sorted(listed, key=lambda pane: int((pane.pane_id or "%0")[1:])):
            if pane.session_name and pane.session_name not in panes:
                panes[pane.session_name] = _pane(pane)
        return panes

    def lines(self, pane: TmuxPane, number: int) -> list[str]:
        """The last lines of a pane, without the empty ones at its end."""
        shown = self._server.cmd("capture-pane", "-p", "-J", "-t", pane.id, "-S", str(-number))
        lines = [line.rstrip() for line in shown.stdout]
        while lines and not lines[-1]:
            lines.pop()
        return lines[-number:]

    def remove(self, session: str) -> None:
        """End a session, if it is there."""
        self._server.cmd("kill-session", "-t", f"={session}")

    def attaching(self, session: str) -> list[str]:
        """The words of the command that shows a session; its environment stays as it is."""
        return [*self._words, "attach-session", "-E", "-t", f"={session}"]

    def _call(self, variables: Mapping[str, str], *commands: Iterable[str]) -> str:
        """Run commands of tmux in order, with nothing else in the environment of the client.

        Raises:
            InputOutputError: One of them failed.
        """
        words: list[str] = []
        for command in commands:
            words += [*([";"] if words else []), *map(tmux_word, command)]
        done = processes.run(
            (*self._words, "-f", os.devnull, *words),
            folder="/",
            variables=variables,
            timeout=_PATIENCE,
        )
        if done.status != 0:
            raise InputOutputError(f"tmux failed: {escape(one_line(done.output, 200))}")
        return done.output


def _pane(pane: object) -> TmuxPane:
    def value(name: str) -> str:
        return getattr(pane, name, None) or ""

    pid = int(value("pane_pid") or 0)
    code, signal = value("pane_dead_status"), value("pane_dead_signal")
    status = int(code) if code else -int(signal) if signal else None
    is_silent = value("pane_dead") == "1"
    # Before tmux 3.3 there is no status after a signal.
    has_missed_end = is_silent and status is None and system.parent(pid)[0] > 0
    return TmuxPane(
        id=value("pane_id"),
        pid=pid,
        program=value("pane_current_command"),
        is_dead=is_silent and not has_missed_end,
        has_missed_end=has_missed_end,
        status=status,
        watchers=int(value("session_attached") or 0),
    )
