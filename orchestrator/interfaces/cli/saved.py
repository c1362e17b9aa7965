"""``orc saved``: commands that only read, saved under a name."""

import shlex
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from orchestrator.core.errors import UsageError
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD, SAVED
from orchestrator.interfaces.cli.layout import table
from orchestrator.interfaces.cli.parameters import argument, flag
from orchestrator.interfaces.cli.rendering import Answer, say
from orchestrator.interfaces.cli.run import ReadingRun, Run

if TYPE_CHECKING:
    from orchestrator.domain.board.settings import SavedQuestion

_NAME = argument("name", "Its name.", types.Type("NAME", completes="saved.name"))


@SAVED.command("add", example="add urgent -- ls --open --where 'priority <= 2'")
@argument("name", "What it is called.", types.NAME)
@argument("words...", "Its command, after --.", metavar="-- COMMAND...")
@flag("--prime", "List it in `prime`.")
def add(run: Run, name: str, words: tuple[str, ...], prime: bool) -> "Answer[SavedQuestion]":
    """Save a command that only reads, with its options."""
    if name in SAVED.words:
        raise UsageError(f"{name} is a command of `saved`", hint="Choose another name.")
    check = ReadingRun(run, rehearses=True)
    with suppress(click.exceptions.Exit):  # help was printed
        _asked(check, words)
    if check.command is None or check.settings.board != run.settings.board:
        raise UsageError("A saved question is a command about this board")
    question = run.orc.saved.add(name, words, prime=prime)
    return say(question, f"Saved: {name}: {escape(question.question)}")


@SAVED.command("ask", example="ask urgent", reads=True)
@_NAME
def ask(run: Run, name: str) -> "Answer[Any]":
    """Ask a saved question; `saved NAME` is short for it."""
    question = run.orc.saved.get(name)
    try:
        words = shlex.split(question.question)
    except ValueError as error:
        raise UsageError(f"The saved question {name} cannot be read: {error}") from None
    raise click.exceptions.Exit(_asked(ReadingRun(run), words))


@SAVED.command("list", example="list", reads=True)
def list_(run: Run) -> "Answer[dict[str, SavedQuestion]]":
    """List the saved questions."""
    saved = run.orc.saved.all()
    rows = [(name, "yes" if q.prime else "", q.question) for name, q in saved.items()]
    return Answer(saved, lambda: table(("name", "prime", "question"), rows) if rows else _NONE)


_NONE = "No questions are saved."


@SAVED.command("remove", example="remove urgent", destructive=True)
@_NAME
def remove(run: Run, name: str) -> "Answer[SavedQuestion]":
    """Remove a saved question."""
    question = run.orc.saved.remove(name)
    return say(question, f"Removed: {name}: {escape(question.question)}")


def _asked(run: ReadingRun, words: Sequence[str]) -> int:
    """Run a command line as a part of a run, and give the exit status."""
    with BOARD.make_context("orc", list(words), obj=run) as context:
        status: int = BOARD.invoke(context)
        return status
