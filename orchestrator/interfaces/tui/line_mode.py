"""The dashboard as plain lines that are never redrawn: for screen readers, pipes and dumb terminals."""

import shlex
import signal
import sys
import threading

from orchestrator.core import system
from orchestrator.core.errors import OrchestratorError, did_you_mean
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli.rendering import write
from orchestrator.interfaces.tui.actions import ACTIONS, Action, act
from orchestrator.interfaces.tui.feed import Feed
from orchestrator.interfaces.tui.pages import page_of
from orchestrator.interfaces.tui.view import (
    AGENTS,
    BOARD,
    EVENTS,
    LOCKS,
    MAIL,
    PERMISSIONS,
    DashboardView,
    Row,
    ViewUpdate,
)

_SHOWN = 20
"""How many rows of a panel are written; a search shows others."""

_REST = 0.2
"""Seconds between two looks at the board, so that events of one moment are read together."""


_OPENED_FIRST = (PERMISSIONS, MAIL, AGENTS, LOCKS, EVENTS)
"""The panels in which `open` looks for an id first; any other id is that of a task."""

_READ_AGAIN = "The board can be read again."


class LineMode:
    """A dashboard that reads words from stdin and writes lines to stdout.

    Args:
        feed: What is shown, and what actions are done on.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._view = DashboardView()
        self._writing = threading.Lock()
        self._hides_system = False

    def run(self) -> None:
        """Follow the board until stdin ends or the person quits; without stdin until an interrupt."""
        self._view.apply(self._feed.first())
        self._write(self._summary, "Type `help` for the words, `quit` to leave.")
        follower = threading.Thread(target=self._follow, name="dashboard", daemon=True)
        try:
            follower.start()  # it may interrupt this thread from its first event on
            while (line := sys.stdin.readline() if sys.stdin else "") and self.answer(line):
                pass
        except (KeyboardInterrupt, BrokenPipeError):
            pass
        finally:
            self._feed.close()
            if follower.is_alive():
                follower.join()

    @property
    def _summary(self) -> str:
        about = f"Board at event {self._view.event}, you are {escape(self._feed.person)}"
        return ": ".join(filter(None, [about, self._view.summary, self._view.cycle]))

    def _write(self, *lines: str) -> None:
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        data = "".join(f"{line}\n" for line in lines).encode(encoding, "backslashreplace")
        with self._writing:
            write(data)

    def _follow(self) -> None:
        """Write each new event as a sentence until the feed is closed or no reader is left."""
        try:
            self._feed.follow(self._show, lambda text: self._write(text or _READ_AGAIN), _REST)
        except BrokenPipeError:
            self._feed.close()
            system.interrupt(signal.SIGINT)  # ends the wait for a line in the main thread

    def _show(self, update: ViewUpdate) -> None:
        with self._writing:
            self._view.apply(update)
            shown = self._view.panels[EVENTS]
            news = [row.line for key in update.news if (row := shown.row(key))]
        if news:
            self._write(*news)

    # Words

    def answer(self, line: str) -> bool:
        """Do what a line asks for, and write the answer; False: the person leaves."""
        try:
            words = _words(line)
        except ValueError:
            self._write('A text in double quotes ends with one: "like this".')
            return True
        if not words:
            self._write(self._summary)
            return True
        word, rest = words[0].lower(), words[1:]
        if word in ("q", "quit", "exit"):
            return False
        try:
            self._write(*self._lines(word, rest))
        except OrchestratorError as error:
            self._write(escape(f"{error.message}. {error.hint}".strip()))
        except OSError as error:
            self._write(escape(str(error)))
        return True

    def _lines(self, word: str, rest: list[str]) -> list[str]:
        panels = {name.lower(): name for name in self._view.panels}
        actions = {name: action for key, action in ACTIONS.items() for name in (key, action.word)}
        if word in ("help", "?"):
            return _HELP
        if word in ("s", "system"):
            self._hides_system = not self._hides_system
            with self._writing:
                self._view.panels[EVENTS].hide_system(self._hides_system)
            return [f"System events are {'hidden' if self._hides_system else 'shown'}"]
        if word == "open" and rest:
            return self._opened(rest[0])
        if word in actions and (texts := self._texts(actions[word], rest)) is not None:
            return [act(self._feed, actions[word], *texts)]
        if word in actions:
            return [f"Write: {_form(actions[word])}"]
        if word in panels:
            return self._panel(panels[word], " ".join(rest))
        known = [*panels, *actions, "help", "open", "system", "quit"]
        return [f"There is no word {word!a}{did_you_mean(word, known)}. `help` lists them."]

    def _texts(self, action: Action, rest: list[str]) -> tuple[str, ...] | None:
        """The row and the texts of an action; None if one is missing. The last text takes all words."""
        names = [*(["id"] if action.panels else []), *action.asks]
        if len(rest) < sum("[" not in name for name in names):
            return None
        last = len(names) - 1
        texts = rest if len(rest) <= last else [*rest[:last], " ".join(rest[last:])]
        return (*texts,) if action.panels else ("", *texts)

    def _opened(self, key: str) -> list[str]:
        panels = self._view.panels
        places = (name for name in _OPENED_FIRST if panels[name].row(key) is not None)
        return page_of(self._feed, next(places, BOARD), key).split("\n")

    def _panel(self, name: str, searched: str) -> list[str]:
        """The first rows of a panel, those of a search if words are given."""
        panel = self._view.panels[name]
        with self._writing:
            panel.search(searched)
            try:
                lines = [panel.line(number) for number in range(min(len(panel), _SHOWN))]
                left_out = len(panel) - len(lines)
            finally:
                panel.search("")
        texts = [f"  {line.line}" if isinstance(line, Row) else line.text for line in lines]
        more = f"and {left_out} more: `{name.lower()} WORDS` searches"
        return [f"{name}:", *texts, *([more] if left_out else [])]


def _words(line: str) -> list[str]:
    """The words of a line; a text in double quotes is one, and an apostrophe is a letter.

    Raises:
        ValueError: A quote is not closed.
    """
    parts = shlex.shlex(line, posix=True, punctuation_chars=False)
    parts.quotes, parts.escape, parts.commenters = '"', "", ""
    parts.whitespace_split = True
    return [*parts]


def _form(action: Action) -> str:
    names = [*(["ID"] if action.panels else []), *(name.upper() for name in action.asks)]
    return " ".join([action.word, *names])


_HELP = [
    "Type one of these and press Enter. Put a text of several words in double quotes, except the last text:",
    "  board, permissions, agents, mail, locks, files, claims, events, cycle",
    "      show a panel; with words after its name, only rows that contain them",
    "  open ID          everything about a row: a task, an agent, a message, a request ...",
    *(f"  {_form(action)}: {action.about}" for action in ACTIONS.values()),
    "  system           hide or show events of the machinery",
    "  an empty line    the numbers of the board",
    "  quit             leave",
    "New events are written as they happen.",
]
