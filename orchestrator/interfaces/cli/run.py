"""A run of a command: its board, its acting agent, and its input from files and stdin."""

import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from types import ModuleType
from typing import IO, TYPE_CHECKING, Any, BinaryIO, TypeVar

import msgspec

from orchestrator.core import clock
from orchestrator.core.errors import InputOutputError, NotFound, UsageError
from orchestrator.core.progress import ShowProgress, no_progress
from orchestrator.core.transaction import SYSTEM
from orchestrator.interfaces.cli.rendering import (
    Answer,
    Value,
    chosen,
    note,
    progress_bar,
    say,
    show,
    warn,
)

if TYPE_CHECKING:
    import click

    from orchestrator import Orchestrator
    from orchestrator.board import Opened
    from orchestrator.core.store import Store
    from orchestrator.index.database import IndexFile
    from orchestrator.interfaces.cli.groups import Command

T = TypeVar("T")


class Settings(msgspec.Struct):
    """The global options of a line."""

    json: bool = False
    fields: str = ""
    utc: bool = False
    board: str | None = None
    request_id: str | None = None
    agent: str | None = None
    hook: str | None = None


class Run:
    """The run of a command line, which each command's function gets with its values.

    Attributes:
        context: The running command with its values; None while the line is read.
        hook_facts: What a client says of the event, if one of its hooks calls.
        owns_process: Whether the process ends with it, so that it may change what the process is.
        names_task: Whether the first of a task's words is certainly its id.
        show: Takes the answer of the command.
    """

    def __init__(
        self,
        prog: str = "orc",
        checkout: str | None = None,
        *,
        run_hook: "Callable[[Run, Command, dict[str, Any], str], int] | None" = None,
        owns_process: bool = False,
    ) -> None:
        self.settings = Settings()
        self._run_hook = run_hook
        self.owns_process = owns_process
        self._prog = prog
        self._checkout = checkout
        self._orc: Orchestrator | None = None
        self._reads = True
        self._stdin_is_taken = False
        self._warnings: set[str] = set()
        self.show = show
        self.context: click.Context | None = None
        self.hook_facts: dict[str, Any] = {}
        self.names_task = False

    @property
    def orc(self) -> "Orchestrator":
        """The board, opened on first use."""
        if self._orc is None:
            from orchestrator import Orchestrator

            self._orc = Orchestrator.open(
                self.settings.board,
                agent=self.settings.agent,
                request_id=self.settings.request_id,
                light=True,
                checkout=self._checkout,
                warn=self.warn_once,
                reads=self._reads,
            )
            if self._orc.is_new:
                where = self._orc.folder or self.settings.board or "in the database"
                warn(f"There was no board {where}: it was made")
            self._orc.engine.show_progress = self.progress
        return self._orc

    def act_as(self, agent: str) -> None:
        """Let an agent act on the open board."""
        self.settings.agent = agent
        self.orc.engine.agent = agent

    def lasting(self, *, reads: bool = False) -> "Orchestrator":
        """The board, opened for a process that does not end after one command; ``reads`` creates none."""
        from orchestrator import Orchestrator

        return Orchestrator.open(
            self.settings.board,
            agent=self.settings.agent,
            checkout=self._checkout,
            warn=self.warn_once,
            reads=reads,
        )

    @property
    def store(self) -> "Store":
        """The store of the board without its state, which opens much faster."""
        return self._opened.store

    @property
    def index(self) -> "IndexFile":
        """The index of the board without its state."""
        from orchestrator.index.database import IndexFile

        opened = self._opened
        return IndexFile(
            opened.store, opened.folder, warn=self.warn_once, show_progress=self.progress
        )

    @cached_property
    def _opened(self) -> "Opened":
        from orchestrator.board import open_store

        checkout, board = self._checkout, self.settings.board
        opened = open_store(board, checkout=checkout, reads=True, warn=self.warn_once)
        agent = os.environ.get("ORC_AGENT")
        if agent and opened.store.presence.knows(agent):
            opened.store.presence.touch(agent)
        return opened

    def warn_once(self, text: str) -> None:
        """Write each warning once; every read of a damaged log repeats it."""
        if text not in self._warnings:
            self._warnings.add(text)
            warn(text)

    def rehearsed(self, dry: bool) -> AbstractContextManager[None]:
        """The context of a command that may be a dry run."""
        return self.orc.rehearsal() if dry else nullcontext()

    def execute(self, command: "Command", values: dict[str, Any]) -> int:
        """Run a command, show its answer, and give the exit status."""
        assert command.callback is not None
        if self.settings.hook is not None and self._run_hook is not None:
            return self._run_hook(self, command, values, self.settings.hook)
        self._reads = command.only_reads(values)
        if self.settings.fields:
            self.settings.json = True
            if not self._reads:  # a field that is not there would turn success into failure
                raise UsageError("--fields is for commands that only read", hint="Give --json.")
        with clock.exact_times(self.settings.utc or self.settings.json):
            answer: Answer[Any] | None = command.callback(self, **values)
            if answer is None:
                return 0
            answer.value = chosen(answer.value, self.settings.fields)
            self.show(answer, as_json=self.settings.json, lossy=command.reads is not True)
        if command.is_signed(values) and not self.settings.json and self._is_unsigned():
            note(f'recorded as "{SYSTEM}"; give --agent NAME or export ORC_AGENT=NAME')
        return answer.exit_status

    # What groups and commands need for few lines; it is loaded for those.

    def help_page(self, command: "click.Command", context: "click.Context") -> str:
        """The help of a command or group."""
        from orchestrator.interfaces.cli import help_pages

        return help_pages.page(command, context)

    @property
    def leading(self) -> ModuleType:
        """The module that reads lines with words of other tools, and explains refused lines."""
        from orchestrator.interfaces.cli import leading

        return leading

    def _is_unsigned(self) -> bool:
        """Whether this run recorded an event without a named agent."""
        return self.agent is None and self.orc.engine.last_author == SYSTEM

    def changed(self, value: Value, text: str) -> "Answer[Value]":
        """The answer of a command that changes a record, with a note if nothing changed."""
        return say(value, f"{text}\n{self.unchanged}".rstrip("\n"))

    @property
    def unchanged(self) -> str:
        """A note if the command changed nothing, else empty."""
        return "" if self.orc.engine.has_recorded else "Nothing changed: it was so before."

    def stdin(self) -> BinaryIO:
        """Standard input, which only one parameter of a line may read.

        Raises:
            UsageError: Another parameter reads it, or the process has none.
        """
        if self._stdin_is_taken:
            raise UsageError("stdin can be read once", hint="Write one `-` on a line.")
        self._stdin_is_taken = True
        if sys.stdin is None:  # the caller's shell closed it: `0<&-`
            raise UsageError("stdin is closed", hint="Give the text on the line, or in a file.")
        return sys.stdin.buffer

    def text_from(self, path: str) -> str:
        """The text of a file, or of stdin for ``-``.

        Raises:
            UsageError: It cannot be read, or stdin is empty.
            BadInput: It is not UTF-8.
        """
        from orchestrator.core.decoding import decode_text
        from orchestrator.core.files import read_whole

        name = "stdin" if path == "-" else ascii(path)

        try:
            with self.reading(path) as file:
                data = read_whole(name, file)
        except OSError as error:
            raise UsageError(f"{name} cannot be read: {error.strerror}") from None
        if path == "-" and not data.strip():
            raise UsageError("stdin is empty", hint='Write "" for an empty text.')
        return decode_text(data, name)

    def reading(self, path: str) -> "AbstractContextManager[IO[bytes]]":
        """A file that is named on the line, or stdin for ``-``.

        Raises:
            UsageError: It cannot be read.
            BadInput: It is no regular file, nor a pipe that this process has open.
        """
        if path == "-":
            return nullcontext(self.stdin())
        from orchestrator.core.files import open_file

        try:
            return open_file(path, follow=True)
        except (NotFound, InputOutputError) as error:
            why = error.message.rpartition(": ")[2]
            raise UsageError(f"{path!a} cannot be read: {why}") from None

    def text_of(self, words: Sequence[str]) -> str | None:
        """The text of words, joined by blanks; ``-`` alone is stdin without its last newline."""
        if [*words] == ["-"]:
            return self.text_from("-").removesuffix("\n")
        return " ".join(words) if words else None

    def close(self) -> None:
        """Close the board if it was opened."""
        if self._orc is not None:
            self._orc.close()

    def actor(self, named: str | None) -> str | None:
        """The acting agent, which may also be named by position.

        Raises:
            UsageError: It is named twice, differently.
        """
        return once("agent", named, self.settings.agent)

    @property
    def progress(self) -> ShowProgress:
        """A progress bar for long work at a terminal."""
        return no_progress if self.settings.json else progress_bar

    @property
    def prog(self) -> str:
        """The begin of a line that runs another command on the same board."""
        # runner.py has no other commands.
        prog = self._prog.replace("runner.py", "cli.py")
        return " ".join([prog, *map(_quoted, self.board_words)])

    @property
    def board_words(self) -> tuple[str, ...]:
        """The option that names the board, if the line has it."""
        if self.settings.board is None:
            return ()
        from orchestrator.board import named

        scheme, location = named(self.settings.board)
        board = os.path.abspath(location) if location and scheme == "file" else self.settings.board
        return ("--board", board)

    def prog_as(self, agent: str) -> str:
        """The begin of a line of an agent on the same board; the agent of the variable needs no option."""
        if agent in (SYSTEM, os.environ.get("ORC_AGENT")):
            return self.prog
        return f"{self.prog} --agent {agent}"

    @property
    def agent(self) -> str | None:
        """The acting agent, by option or variable."""
        return self.settings.agent or os.environ.get("ORC_AGENT") or None


class ReadingRun(Run):
    """A run that refuses every command that changes the board.

    Args:
        run: The run that it is a part of: the same board and options.
        rehearses: Commands are checked, and not called.

    Attributes:
        command: The command that was called or checked; None if there was none.
    """

    def __init__(self, run: Run, *, rehearses: bool = False) -> None:
        vars(self).update(vars(run))
        self.settings = msgspec.structs.replace(run.settings)
        self._rehearses = rehearses
        self.command: Command | None = None

    def execute(self, command: "Command", values: dict[str, Any]) -> int:
        """Run a command that only reads; see :meth:`Run.execute`.

        Raises:
            UsageError: It changes the board, writes a file, or asks another saved question.
        """
        if command.reads == () or not command.only_reads(values):
            raise UsageError(
                f"`{command.name}` changes the board; a saved question only reads",
                hint="`help` lists the commands; commands that list or show can be saved.",
            )
        output = command.output(values)
        if output is not None:  # the words may come from a board of another person
            raise UsageError(
                f"`{command.name}` would write {output!a}; a saved question only reads",
                hint="Leave the file out: the answer goes to stdout.",
            )
        if command.callback is not None and command.callback.__module__.endswith(".saved"):
            raise UsageError("A saved question does not ask another one")
        self.command = command
        return 0 if self._rehearses else super().execute(command, values)


def _quoted(word: str) -> str:
    """A word quoted for a shell; `shlex` is only loaded if it needs quotes."""
    if re.fullmatch(r"[\w@%+=:,./-]+", word, re.ASCII):
        return word
    import shlex

    return shlex.quote(word)


def either(name: str, text: str | None, file: str | None) -> str | None:
    """A text from the line or from ``--file``, but not from both.

    Raises:
        UsageError: Both are given.
    """
    if text is not None and file is not None:
        raise UsageError(f"The {name} is given twice", hint="Leave the text or --file out.")
    return file if text is None else text


def once(name: str, positional: T | None, option: T | None) -> T | None:
    """A value by position or by the option of this name, but not two different values.

    Raises:
        UsageError: Both are given and differ.
    """
    if positional is not None and option is not None and positional != option:
        raise UsageError(
            f"The {name} is given twice: {positional!a} and --{name} {option!a}",
            hint="Leave one of them out.",
        )
    return option if positional is None else positional


def given(**values: Any) -> dict[str, Any]:
    """The values that are on the line; the others keep the defaults of the API."""
    return {name: value for name, value in values.items() if value is not None}
