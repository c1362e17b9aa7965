"""The records of terminals: which command of which agent runs where, and how it ended."""

from typing import Literal

from orchestrator.core import clock
from orchestrator.domain.slices import MapSlice, Record

Outcome = Literal["exited", "stopped", "lost", "failed"]

STARTING = 30.0
"""Seconds in which a terminal may be recorded and not there yet."""


class Terminal(Record, frozen=True, kw_only=True):
    """The last terminal of an agent.

    Attributes:
        number: The event that started it: a later terminal of the agent has a higher number.
        program: The first word of its command; the event has the whole command.
        task: The task that it was started for.
        folder: The working folder of the command.
        machine: The machine on which it runs.
        server: The socket of the server of tmux.
        session: Its session in tmux; no other terminal of the board ever has this name.
        outcome: ``exited``: the command ended; ``stopped``: `terminal stop` ended it; ``lost``: the
            server of tmux or the session is gone; ``failed``: tmux could not start it. Empty while it runs.
        status: The exit status of the command, or the negative number of the signal that ended it; None if it
            is not known.
    """

    number: int
    agent: str
    program: str
    task: str | None = None
    folder: str
    machine: str
    server: str
    session: str
    started_at: str
    started_by: str
    outcome: Outcome | Literal[""] = ""
    status: int | None = None
    ended_at: str = ""

    @property
    def is_live(self) -> bool:
        """Whether no end of it is recorded."""
        return not self.ended_at

    def is_starting(self, now: str) -> bool:
        """Whether it may be missing in tmux because it is being started."""
        return now < clock.after(self.started_at, STARTING)


class TerminalSlice(MapSlice[str, Terminal]):
    """The last terminal of each agent."""

    MAIN, NOUN = "terminals", "terminal"
    HINT = "`terminal list` shows the terminals."
    terminals: dict[str, Terminal] = {}

    def live(self, machine: str | None = None) -> list[Terminal]:
        """The terminals without an end, by agent; only those of a machine, if one is given."""
        terminals = (self.terminals[agent] for agent in sorted(self.terminals))
        return [t for t in terminals if t.is_live and machine in (None, t.machine)]


def session_name(agent: str, number: int) -> str:
    """The session of a terminal in tmux, of characters that mean nothing in a target of tmux.

    Agents whose names differ have different sessions: ``_`` begins the code of each other byte.
    """
    plain = (
        chr(byte)
        if chr(byte).isascii() and (chr(byte).isalnum() or byte == 0x2D)
        else f"_{byte:02x}"
        for byte in agent.encode()
    )
    return f"{''.join(plain)}-{number}"
