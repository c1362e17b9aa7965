"""Tell an agent in a pane of tmux about a message: a line is typed for it, as a person would.

The line names the message; its text is not typed, because what is typed is an order to the agent. Nothing
is typed while a person types, nor into another program than the agent: a shell would run the line.
"""

import os
import re
import time
from collections.abc import Callable, Sequence

from orchestrator.core import processes
from orchestrator.core.errors import NotFound, UsageError
from orchestrator.core.printable import escape, one_line
from orchestrator.delivery.ports import NewMail

STILL = 5.0
"""Seconds without a key of a person after which a line may be typed."""

_PATIENCE = 10.0
"""Seconds that a command of tmux may take."""

_ABOUT = (
    "#{pane_id}",
    "#{pane_dead}",
    "#{pane_in_mode}",
    "#{pane_input_off}",
    "#{cursor_x}",
    "#{cursor_y}",
    "#{session_id}",
    "#{pane_current_command}",
)


def tmux_word(text: str) -> str:
    """A text as a word of a command of tmux, for which ``;`` at the end of a word ends the command."""
    return f"{text[:-1]}\\;" if text.endswith(";") else text


class Pane:
    """A pane of tmux with an agent.

    Args:
        target: The pane, as tmux names it: ``%3``, ``work:1.0``.
        program: The program that runs in it, such as ``codex``; None for any but a shell.
        server: Options of tmux that name its server.
        now: The time in seconds since 1970.

    Attributes:
        is_gone: Whether the pane was not there any more.
    """

    def __init__(
        self,
        target: str,
        program: str | None,
        *,
        server: Sequence[str] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        if target.startswith("-") or not target:
            raise UsageError(f"{target!a} is not a pane", hint="`tmux list-panes -a` lists them.")
        self._target = target
        self._program = program
        self._server = server
        self._now = now
        self.is_gone = False

    def push(self, mail: NewMail, handed_over: Callable[[list[int]], object]) -> None:
        """See :class:`orchestrator.delivery.ports.Delivery`."""
        for letter in mail.letters:
            if not self.is_free():
                return
            sender = re.sub(r"[^\w./-]", "?", letter.sender)
            self.type_line(f"Mail {letter.id} from {sender}: run orc mail read {letter.id}")
            handed_over([letter.id])

    def is_free(self) -> bool:
        """Whether a line can be typed: the agent waits for one, and no person types.

        Raises:
            NotFound: There is no such pane any more.
        """
        return not self.obstacle()

    def obstacle(self) -> str:
        """Why no line can be typed now; empty if one can.

        Raises:
            NotFound: There is no such pane any more.
        """
        shown = self._tmux("display-message", "-p", "-t", self._target, "\t".join(_ABOUT))
        values = shown.rstrip("\n").split("\t")
        if len(values) != len(_ABOUT) or not values[0]:
            self.is_gone = True
            raise NotFound(f"There is no pane {self._target!a}", code="pane_not_found")
        pane, dead, mode, off, x, y, session, program = values
        if dead == "1":
            return "its command has ended"
        if off == "1" or mode not in ("", "0"):
            return "it takes no keys now: a person reads back in it"
        if not self._is_agent(program):
            return f"the program in it is {escape(program)}"
        if not self._is_still(session):
            return "a person types in it"
        return "" if self._is_line_empty(pane, int(x), int(y)) else "a line is begun in it"

    def type_line(self, line: str) -> None:
        """Type a line and the key Enter.

        Raises:
            NotFound: There is no such pane any more.
        """
        self._tmux("send-keys", "-t", self._target, "-l", "--", tmux_word(line))
        self._tmux("send-keys", "-t", self._target, "Enter")

    def _is_agent(self, program: str) -> bool:
        return (
            program not in processes.SHELLS if self._program is None else program == self._program
        )

    def _is_still(self, session: str) -> bool:
        """Whether no terminal that shows the session got a key lately."""
        times = self._tmux("list-clients", "-t", session, "-F", "#{client_activity}").split()
        return all(self._now() - float(moment) >= STILL for moment in times)

    def _is_line_empty(self, pane: str, x: int, y: int) -> bool:
        """Whether there is nothing but a prompt before the cursor: no letter and no digit."""
        line = self._tmux("capture-pane", "-p", "-t", pane, "-S", str(y), "-E", str(y))
        return not any(character.isalnum() for character in line[:x])

    def _tmux(self, *words: str) -> str:
        """Run a command of tmux, without a shell.

        Raises:
            NotFound: There is no tmux here, or no such pane or server.
        """
        try:
            done = processes.run(
                ("tmux", *self._server, *words),
                folder="/",
                variables=os.environ,
                timeout=_PATIENCE,
            )
        except FileNotFoundError:
            raise NotFound("There is no program tmux", code="program_not_found") from None
        if done.status:
            self.is_gone = True
            why = escape(one_line(done.output, 200))
            raise NotFound(f"tmux {words[0]} failed: {why}", code="pane_not_found")
        if done.status is None:
            raise OSError(f"tmux {words[0]} takes too long")
        return done.output
