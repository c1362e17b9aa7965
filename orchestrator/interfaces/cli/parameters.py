"""Arguments and options of commands: click's, with the types of values that a board knows.

A type says in one place what a text becomes, how help names the value, and what a shell completes it with.
"""
# ruff: noqa: ARG001, ARG002 -- the signatures are click's

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from orchestrator.core.errors import OrchestratorError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType

Convert = Callable[[str], Any]
"""Makes a value of a text, or raises ValueError or an error of ours with a sentence."""

Decorator = Callable[[Any], Any]
"""Declares parameters of the command's function that it decorates."""


# Types


class Type(ParamType):
    """A type of values.

    Args:
        name: How help writes a value: ``DURATION``.
        convert: Makes the value of a text.
        completes: What a shell offers: an attribute of the board's records, such as ``tasks.id``.
        words: What a shell offers that is on no board.
    """

    def __init__(
        self, name: str, convert: Convert = str, *, completes: str = "", words: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.completes = completes
        self._convert = convert
        self._words = words

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """How help writes a value."""
        return self.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value of a text; a default is one already."""
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
        """What a shell offers; nothing where there is no board, because a shell cannot show errors."""
        from click.shell_completion import CompletionItem

        words = self._words
        if self.completes:
            noun, _, attribute = self.completes.partition(".")
            try:
                words = [getattr(record, attribute) for record in getattr(ctx.obj.orc, noun).all()]
            except (OrchestratorError, OSError):
                words = ()
        return [CompletionItem(word) for word in words if word.startswith(incomplete)]


class _Several(ParamType):
    """Values of a type in one text, separated by commas."""

    def __init__(self, of: Type, *, commas: bool) -> None:
        self.name, self._of, self._commas = of.name, of, commas
        self.shell_complete = of.shell_complete  # type: ignore[method-assign]

    get_metavar = Type.get_metavar

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        words = map(str.strip, value.split(",") if self._commas else [value])
        return tuple(self._of.convert(word, param, ctx) for word in words if word)


def integer(text: str) -> int:
    """A whole number of at most 18 digits, as every field of the board takes it."""
    if not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 19:
        raise ValueError(f"{text!a} is not a whole number")
    return int(text)


def _count(text: str) -> int:
    number = integer(text)
    if number < 0:
        raise ValueError(f"{text} is less than 0")
    return number


def filled(text: str) -> str:
    """A text that is not empty."""
    if not text:  # an unset variable of the caller's shell
        raise ValueError("it is empty")
    return text


def _minutes(text: str) -> float:
    """Minutes: a bare number, or a duration such as ``2h``."""
    from orchestrator.core.clock import duration

    return float(text) if text[-1:].isdecimal() else duration(text) / 60


def choice(*words: str, name: str = "") -> Type:
    """One word of a closed set; help lists them unless a name is given."""

    def convert(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!a} is not one of {', '.join(words)}")
        return text

    return Type(name or "|".join(words), convert, words=words)


TEXT = Type("TEXT")
WORD = Type("WORD")
WORDS = Type("WORDS")
INTEGER = Type("N", integer)
COUNT = Type("N", _count)
ID = Type("ID", integer)
DURATION = Type("DURATION")
TIME = Type("TIME")
MINUTES = Type("TIME", _minutes)
WHEN = Type("WHEN")
FILE = Type("FILE", os.path.expanduser)
FOLDER = Type("DIR", os.path.expanduser)
WORKSTREAM_NAME = Type("WS", completes="workstreams.name")
TASK_ID = Type("ID", completes="tasks.id")
AGENT_NAME = Type("AGENT", completes="agents.id")
TOPIC_NAME = Type("TOPIC", completes="knowledge.name")
RESOURCE_NAME = Type("RESOURCE", completes="locks.resource")
FORMULA_NAME = Type("NAME", completes="formulas.name")
WORKFLOW_ID = Type("ROOT", completes="workflows.root")
CONVOY_NAME = Type("NAME", completes="convoys.name")


# Parameters


class Argument(click.Argument):
    """A word that is given by its place; ``many`` takes all words that are left, so it comes last."""

    def __init__(
        self,
        declarations: Sequence[str],
        *,
        help: str,
        type: Type = TEXT,
        required: bool = True,
        many: bool = False,
        **settings: Any,
    ) -> None:
        nargs = -1 if many else 1
        super().__init__(declarations, required=required, type=type, nargs=nargs, **settings)
        self.help = help

    def make_metavar(self, ctx: click.Context | None = None) -> str:
        """How it stands in the usage line: ``WS``, ``[RESULT]``, ``WORDS...``."""
        name = self.metavar or self.name.upper() + ("..." if self.nargs == -1 else "")
        return name if self.required else f"[{name}]"

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """Its line in the help, whatever the version of click."""
        return self.make_metavar(ctx), self.help or ""


class Option(click.Option):
    """A word that is given by its name.

    ``many`` takes commas and repetition (``--needs a,b --needs c``) and gives a tuple, or None when it is
    not on the line; ``--needs ""`` is an empty tuple. Without ``commas`` only by repetition: commands and
    paths may hold commas.
    """

    def __init__(
        self,
        declarations: Sequence[str],
        *,
        help: str,
        type: Type = TEXT,
        many: bool = False,
        commas: bool = True,
        **settings: Any,
    ) -> None:
        if many:
            settings = {"callback": flattened, **settings, "multiple": True}
        if not settings.get("is_flag"):
            settings["type"] = _Several(type, commas=commas) if many else type
        shown = settings.get("default") not in (None, "")
        super().__init__(declarations, help=help, show_default=shown, **settings)
        self.takes_commas = many and commas


def flattened(ctx: click.Context, param: click.Parameter, lists: Sequence[Any]) -> Any:
    """The values of all repetitions of an option in one tuple; None if it is not on the line."""
    return tuple(word for words in lists for word in words) if lists else None


def argument(name: str, **settings: Any) -> Decorator:
    """Declare an argument of the decorated command; see :class:`Argument`."""
    return click.argument(name, cls=Argument, **settings)


def option(*flags: str, **settings: Any) -> Decorator:
    """Declare an option of the decorated command; see :class:`Option`."""
    return click.option(*flags, cls=Option, **settings)


def flag(*flags: str, help: str) -> Decorator:
    """Declare an option that takes no value."""
    return option(*flags, help=help, is_flag=True)


def together(*decorators: Decorator) -> Decorator:
    """Declare several parameters at once, in this order."""

    def declare(function: Any) -> Any:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return declare


# Parameters that several commands take

DRY_RUN = flag("--dry-run", help="Say what would be done, and leave every file as it is.")
LEASE = option("--lease", type=DURATION, help="How long the claim lasts: 30m, 2h.")
TOKEN = option(
    "--token", type=INTEGER, help="The fencing token of the claim; an older one is refused."
)
REASON = option("--reason", default="", help="Why.")
LIMIT = option("--limit", type=COUNT, help="At most so many.")
ONLY_WORKSTREAM = argument(
    "workstream", type=WORKSTREAM_NAME, metavar="WS", required=False, help="Only tasks of this one."
)
IN_WORKSTREAM = option("--ws", type=WORKSTREAM_NAME, help="Only tasks of this workstream.")
