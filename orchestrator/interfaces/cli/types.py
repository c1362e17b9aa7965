"""Types of the values of arguments and options.

A type declares how a text is converted, how help names the value, and how a shell completes it.
"""
# ruff: noqa: ARG002 -- the signatures are click's

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from orchestrator.core.calls import split_list
from orchestrator.core.errors import OrchestratorError, did_you_mean
from orchestrator.core.printable import is_plain

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType

Convert = Callable[[str], Any]
"""Converts a text to a value; raises ValueError or one of our errors with a sentence."""


class Type(ParamType):
    """A type of values.

    Args:
        name: The name of a value in help: ``DURATION``.
        convert: Converts a text to the value.
        completes: Completions from the board: an attribute of records, such as ``tasks.id``.
        words: The only values, if it is a closed set.
        is_integer: Whether programs give an integer.
    """

    def __init__(
        self,
        name: str,
        convert: Convert = str,
        *,
        completes: str = "",
        words: Sequence[str] = (),
        is_integer: bool = False,
    ) -> None:
        self.name = name
        self.completes = completes
        self._convert = convert
        self.words = words
        self.is_integer = is_integer

    def or_empty(self) -> "Type":
        """The same type with the empty text as a value, which clears a fact."""
        convert = self._convert
        return Type(
            self.name,
            lambda text: convert(text) if text else text,
            completes=self.completes,
            is_integer=self.is_integer,
        )

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """The name of a value in help."""
        return self.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert a text; a default is a value already."""
        if not isinstance(value, str):
            return value
        try:
            return self._convert(value)
        except ValueError as error:
            return self.fail(str(error), param, ctx)
        except OrchestratorError as error:
            return self.fail(error.message, param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        """The completions for a shell; none without a board, because a shell cannot show errors."""
        from click.shell_completion import CompletionItem

        words = self.words
        if self.completes:
            noun, _, attribute = self.completes.partition(".")
            try:
                words = [getattr(record, attribute) for record in getattr(ctx.obj.orc, noun).all()]
            except (OrchestratorError, OSError):
                words = ()
        # A shell inserts completions into the line, and names of files may contain any character.
        return [CompletionItem(w) for w in words if w.startswith(incomplete) and is_plain(w)]


class FreeText(Type):
    """Any text; ``-`` means stdin, unless it is one of several words."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The text, without the newline at the end of stdin."""
        if value != "-" or ctx is None or ctx.resilient_parsing or (param and param.nargs == -1):
            return value
        return ctx.obj.text_of(["-"])


class TextFile(Type):
    """The text of the file at a path."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The text of the file."""
        if value is None or ctx is None or ctx.resilient_parsing:
            return None
        return ctx.obj.text_from(os.path.expanduser(value))


class Several(ParamType):
    """Values of a type in one text, separated by commas; an empty text is none.

    An empty item stays one, so that :func:`orchestrator.core.calls.check_list` refuses it.
    """

    def __init__(self, of: Type, *, commas: bool) -> None:
        self.name, self.of, self._commas = of.name, of, commas
        self.shell_complete = of.shell_complete  # type: ignore[method-assign]

    get_metavar = Type.get_metavar

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The values of a text in a tuple."""
        words = split_list(value, commas=self._commas)
        return tuple(self.of.convert(word, param, ctx) if word else "" for word in words)


def integer(text: str) -> int:
    """A whole number of at most 18 digits, as every field of the board takes it."""
    if not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 19:
        raise ValueError(f"{text!a} is not a whole number")
    return int(text)


def _at_least(least: int) -> Convert:
    def convert(text: str) -> int:
        number = integer(text)
        if number < least:
            raise ValueError(f"{text} is less than {least}")
        return number

    return convert


def filled(text: str) -> str:
    """A text that is not empty."""
    if not text:  # an unset variable of the caller's shell
        raise ValueError("it is empty")
    return text


def _minutes(text: str) -> float:
    """Minutes: a bare number, or a duration such as ``2h``."""
    from orchestrator.core.clock import duration

    return duration(text) / (1 if text[-1:].isdecimal() else 60)


def _priority(text: str) -> int:
    """A number, or a word for one, such as P1 or high."""
    try:
        return integer(text)
    except ValueError:
        from orchestrator.domain.tasks.fact_values import priority_of

        number = priority_of(text)
        if number is None:
            raise
        return number


def choice(*words: str, name: str = "") -> Type:
    """One word of a closed set; help lists them unless a name is given."""

    def convert(text: str) -> str:
        if text in words:
            return text
        from orchestrator.interfaces.cli.habits import VALUES, spread

        meant = spread(VALUES).get(text.casefold())
        if meant not in words:
            raise ValueError(
                f"{text!a} is not one of {', '.join(words)}{did_you_mean(text, words)}"
            )
        return meant

    return Type(name or "|".join(words), convert, words=words)


TEXT = FreeText("TEXT")
TEXT_FILE = TextFile("FILE")
NAME = Type("NAME")
WORD = Type("WORD")
WORDS = Type("WORDS")
INTEGER = Type("N", integer, is_integer=True)
PRIORITY = Type("N", _priority, is_integer=True)
COUNT = Type("N", _at_least(0), is_integer=True)
POSITIVE = Type("N", _at_least(1), is_integer=True)
"""How many to show. 0 is refused: its answer would say that there are none."""
ID = Type("ID", integer, is_integer=True)
DURATION = Type("DURATION")
TIME = Type("TIME")
MINUTES = Type("TIME", _minutes)
WHEN = Type("WHEN")
FILE = Type("FILE", os.path.expanduser)
FOLDER = Type("DIR", os.path.expanduser)
OUTPUT_FILE = Type("FILE", os.path.expanduser)
OUTPUT_FOLDER = Type("DIR", os.path.expanduser)
WORKSTREAM_NAME = Type("WS", completes="workstreams.name")
TASK_ID = Type("ID", completes="tasks.id")
AGENT_NAME = Type("AGENT", completes="agents.id")
TOPIC_NAME = Type("TOPIC", completes="knowledge.name")
RESOURCE_NAME = Type("RESOURCE", completes="locks.resource")
FORMULA_NAME = Type("NAME", completes="formulas.name")
WORKFLOW_ID = Type("ROOT", completes="workflows.root")
GOAL_NAME = Type("GOAL", completes="goals.name")
CONVOY_NAME = Type("NAME", completes="convoys.name")
