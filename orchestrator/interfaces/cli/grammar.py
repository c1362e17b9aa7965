"""What a command line is made of, as data: groups, commands, arguments, options.

Nothing here knows how a line is read. The quick reader and click both work from these declarations, so a
command is declared once, beside its function, and agents that call the CLI thousands of times do not wait
for a library that they do not need.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from orchestrator.core.errors import UsageError

Convert = Callable[[str], Any]
"""Makes a value of a word, or raises ValueError with a sentence."""


def is_option(word: str) -> bool:
    """Whether a word of the line is an option: ``-n``, ``--last``, ``--last=5``.

    ``-5``, ``- an item`` and ``--- three dashes`` are not: agents pass numbers and markdown as arguments.
    """
    name = word[2:] if word[:2] == "--" else word[1:] if word[:1] == "-" else ""
    name = name.partition("=")[0]
    return name[:1].isascii() and name[:1].isalpha() and not any(map(str.isspace, name))


class Argument(msgspec.Struct, frozen=True):
    """A word that is given by its place. ``many`` takes all words that are left, so it comes last.

    ``completes`` names what a shell offers here: workstreams, tasks, agents, topics, resources.
    """

    name: str
    help: str = ""
    metavar: str = ""
    required: bool = True
    many: bool = False
    convert: Convert = str
    default: Any = None
    completes: str = ""

    @property
    def usage(self) -> str:
        """How it stands in the usage line: ``WS``, ``[RESULT]``, ``WORDS...``."""
        name = self.metavar or self.name.upper() + ("..." if self.many else "")
        return name if self.required else f"[{name}]"


class Option(msgspec.Struct, frozen=True):
    """A word that is given by its name.

    A ``flag`` takes no value. ``many`` takes commas and repetition (``--needs a,b --needs c``) and gives
    a tuple, or None when it does not stand on the line; ``--needs ""`` is an empty tuple. Without
    ``commas`` only by repetition: commands and paths may hold commas.
    """

    flags: tuple[str, ...]
    help: str
    metavar: str = "TEXT"
    flag: bool = False
    many: bool = False
    commas: bool = True
    convert: Convert = str
    default: Any = None
    choices: tuple[str, ...] = ()
    completes: str = ""

    @property
    def name(self) -> str:
        """The name of the value: ``--older-than`` is ``older_than``."""
        return self.flags[0].lstrip("-").replace("-", "_")


Function = TypeVar("Function", bound=Callable[..., Any])


class Command(msgspec.Struct):
    """A command: its function, and how it is called.

    Attributes:
        example: What follows the group's name in the example of the help.
        reads: It changes nothing.
        filters_agent: ``--agent`` chooses what is listed; who acts is ``$ORC_AGENT``.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Argument, ...]
    options: tuple[Option, ...]
    example: str
    aliases: tuple[str, ...] = ()
    reads: bool = False
    filters_agent: bool = False

    @property
    def help(self) -> str:
        """What the command does: the text under the function's name."""
        return self.function.__doc__ or ""

    @property
    def summary(self) -> str:
        """The first sentence of the help."""
        return self.help.partition("\n")[0]


class Group(msgspec.Struct):
    """Commands that belong together, in modules that are imported when one of them is looked up.

    Attributes:
        modules: Where the commands are declared, in this package; several are parted by spaces.
        default: The command that a line without one means: ``events`` is ``events list``.
        groups: Groups inside.
    """

    name: str
    modules: str
    summary: str
    aliases: tuple[str, ...] = ()
    default: str = ""
    groups: tuple["Group", ...] = ()
    declared: list[Command] = []
    is_complete: bool = False

    def command(
        self,
        name: str,
        *parts: Argument | Option,
        example: str,
        aliases: Sequence[str] = (),
        reads: bool = False,
        filters_agent: bool = False,
    ) -> Callable[[Function], Function]:
        """Declare the decorated function as a command of this group."""

        def declare(function: Function) -> Function:
            self.declared.append(
                Command(
                    name,
                    function,
                    tuple(part for part in parts if isinstance(part, Argument)),
                    tuple(part for part in parts if isinstance(part, Option)),
                    example,
                    tuple(aliases),
                    reads,
                    filters_agent,
                )
            )
            return function

        return declare

    @property
    def commands(self) -> list[Command]:
        """The commands of the group; the first look imports their modules."""
        if not self.is_complete:
            for module in self.modules.split():
                __import__(f"{__package__}.{module}")
            # One module may have imported another: the order is that of the modules all the same.
            order = {f"{__package__}.{name}": i for i, name in enumerate(self.modules.split())}
            self.declared.sort(key=lambda command: order.get(command.function.__module__, 0))
            self.is_complete = True
        return self.declared

    @property
    def nodes(self) -> "tuple[Group | Command, ...]":
        """The groups and the commands inside."""
        return (*self.groups, *self.commands)

    def find(self, word: str) -> "Group | Command | None":
        """The group or command that a word of the line means."""
        for group in self.groups:
            if word == group.name or word in group.aliases:
                return group
        for module in self.modules.split():  # those behind the one that has it are not imported
            __import__(f"{__package__}.{module}")
            for command in self.declared:
                if word == command.name or word in command.aliases:
                    return command
        return None


# What words become


def integer(text: str) -> int:
    """A whole number of at most 18 digits, as every field of the board takes it."""
    if not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 19:
        raise ValueError(f"{text!a} is not a whole number")
    return int(text)


def count(text: str) -> int:
    """A whole number that is not negative."""
    number = integer(text)
    if number < 0:
        raise ValueError(f"{text} is less than nothing")
    return number


def filled(text: str) -> str:
    """A text that says something; an empty one is an unset variable of the caller's shell."""
    if not text:
        raise ValueError("it is empty")
    return text


def minutes(text: str) -> float:
    """Minutes: a bare number, or a duration such as ``2h``."""
    from orchestrator.core.clock import duration

    try:
        return float(text) if text[-1:].isdecimal() else duration(text) / 60
    except UsageError as error:
        raise ValueError(error.message) from None


def path(text: str) -> str:
    """A path; ``~`` is the home folder, as in a shell."""
    return os.path.expanduser(text)


# The line as a whole


class Settings(msgspec.Struct):
    """The global options of a line."""

    json: bool = False
    board: str | None = None
    request_id: str | None = None
    agent: str | None = None


class Call(msgspec.Struct):
    """A line that was understood: which command, with which values, under which global options."""

    command: Command
    values: dict[str, Any]
    settings: Settings


GLOBALS = (
    Option(("--json",), "Print one JSON document.", flag=True),
    Option(("--board",), "The board's folder; else $ORCHESTRATOR_DIR.", "DIR", convert=filled),
    Option(
        ("--request-id",), "Repeating a command with this id has one effect.", "ID", convert=filled
    ),
    Option(("--agent",), "Who acts; else $ORC_AGENT.", "NAME", convert=filled, completes="agents"),
)
"""Options that may stand anywhere on the line."""

AGENT_FILTER = Option(
    ("--agent",), "Only those of this agent.", "NAME", convert=filled, completes="agents"
)
"""What ``--agent`` is in a listing; who acts there is ``$ORC_AGENT``."""


def call(command: Command, values: dict[str, Any], given: dict[str, Any]) -> Call:
    """Put a call together from the values of the command and those of the global options."""
    settings = Settings(**given)
    if command.filters_agent:
        values["agent"] = settings.agent
        settings.agent = None
    return Call(command, values, settings)


def value(option: Option, texts: Sequence[str]) -> Any:
    """The value of an option that was given these texts; of several the last counts, if all are good.

    Raises:
        ValueError: One of them is no value for it.
    """
    if not option.many:
        return [option.convert(_chosen(option, text)) for text in texts][-1]
    words = (
        word.strip() for text in texts for word in (text.split(",") if option.commas else [text])
    )
    return tuple(option.convert(_chosen(option, word)) for word in words if word)


def _chosen(option: Option, word: str) -> str:
    if option.choices and word not in option.choices:
        raise ValueError(f"{word!a} is not one of {', '.join(option.choices)}")
    return word
