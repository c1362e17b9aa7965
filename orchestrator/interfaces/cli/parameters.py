"""Arguments and options of commands: click's, each declared in one call."""
# ruff: noqa: ARG001, ARG002 -- the signatures are click's

from collections.abc import Callable, Sequence
from typing import Any

import click

from orchestrator.core.calls import check_list
from orchestrator.core.errors import UsageError
from orchestrator.interfaces.cli import types

Decorator = Callable[[Any], Any]
"""A decorator that declares parameters of a command's function."""


class Argument(click.Argument):
    """A positional parameter."""

    def __init__(self, declarations: Sequence[str], *, help: str, **settings: Any) -> None:
        super().__init__(declarations, **settings)
        self.help = help

    def make_metavar(self, ctx: click.Context | None = None) -> str:
        """Its form in the usage line: ``WS``, ``[RESULT]``, ``WORDS...``."""
        name = self.metavar or self.name.upper() + ("..." if self.nargs == -1 else "")
        return name if self.required else f"[{name}]"

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """Its line in the help, whatever the version of click."""
        return self.make_metavar(ctx), self.help or ""


class Option(click.Option):
    """An option.

    ``many`` accepts commas and repetition (``--needs a,b --needs c``) and gives a tuple, or None without the
    option. Without ``commas`` it accepts only repetition, for values with commas. With ``clears`` an empty
    text is an empty tuple, which clears a list; else it is refused. A ``rare`` option is only in
    ``--help --all``.
    """

    def __init__(
        self,
        declarations: Sequence[str],
        *,
        type: types.Type = types.TEXT,
        many: bool = False,
        commas: bool = True,
        clears: bool = False,
        rare: bool = False,
        **settings: Any,
    ) -> None:
        if many:
            settings = {"callback": flattened, **settings, "multiple": True}
        if not settings.get("is_flag"):
            settings["type"] = types.Several(type, commas=commas) if many else type
        settings["show_default"] = settings.get("default") not in (None, "", 0)
        super().__init__(declarations, **settings)
        self.takes_commas = many and commas
        self.clears = clears
        self.rare = rare


def flattened(ctx: click.Context, param: click.Parameter, lists: Sequence[Any]) -> Any:
    """The values of all repetitions of an option in one tuple; None if it is not on the line.

    Raises:
        BadName: One of them is empty.
        UsageError: One of them is there twice, or all of them are none where there is nothing to clear.
    """
    if not lists:
        return None
    name = param.name or ""
    if lists == ((),):
        if not getattr(param, "clears", False):
            # An unset variable of the shell, as in `--label "$LABEL"`.
            raise UsageError(f"The list of {name} is empty", hint="Leave the option out.")
        return ()
    values = tuple(word for words in lists for word in words or ("",))
    check_list(name, values)
    return values


def argument(place: str, help: str, type: types.Type = types.TEXT, **settings: Any) -> Decorator:
    """Declare an argument of the decorated command; see :class:`Argument`.

    Args:
        place: Its name in the usage line: ``task``, ``[task]`` if it is optional, ``tasks...`` for all
            remaining words.
        help: What it is.
        type: What its text becomes.
        settings: More for the class.
    """
    settings |= {"required": place[0] != "[", "nargs": -1 if "..." in place else 1}
    return click.argument(place.strip("[.]"), cls=Argument, help=help, type=type, **settings)


def option(
    flags: str, help: str, type: types.Type = types.TEXT, *, name: str = "", **settings: Any
) -> Decorator:
    """Declare an option of the decorated command; see :class:`Option`.

    Args:
        flags: Its flags, as in ``--subject/-s``.
        help: What it is.
        type: What its text becomes.
        name: The parameter of the function, if it differs from the first flag.
        settings: More for the class.
    """
    words = [*flags.split("/"), *([name] if name else [])]
    return click.option(*words, cls=Option, help=help, type=type, **settings)


def flag(flags: str, help: str, *, name: str = "", rare: bool = False) -> Decorator:
    """Declare an option that takes no value."""
    return option(flags, help, name=name, is_flag=True, rare=rare)


def text_file(what: str) -> Decorator:
    """Declare ``--file``, beside a text that may be long."""
    return option("--file", f"Take {what} from a file; - is stdin.", types.TEXT_FILE, rare=True)


def together(*decorators: Decorator) -> Decorator:
    """Declare several parameters at once, in this order."""

    def declare(function: Any) -> Any:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return declare


# Parameters that several commands take

DRY_RUN = flag("--dry-run", "Only say what would be done.")
LEASE = option("--lease", "How long the claim lasts: 30m, 2h.", types.DURATION)
TOKEN = option(
    "--token", "The fencing token of the claim; an older one is refused.", types.INTEGER, rare=True
)
REASON = option("--reason", "Why.", default="")
LIMIT = option("--limit", "At most so many.", types.POSITIVE)
ONLY_WORKSTREAM = argument(
    "[workstream]", "Only tasks of this one.", types.WORKSTREAM_NAME, metavar="WS"
)
IN_WORKSTREAM = option(
    "--ws", "Only tasks of this workstream.", types.WORKSTREAM_NAME, name="workstream"
)
WHERE = option(
    "--where",
    "Only what passes: 'priority <= 2 and label = api'; see `help where`.",
    metavar="EXPRESSION",
    default="",
)
