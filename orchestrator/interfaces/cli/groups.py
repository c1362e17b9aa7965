"""The classes of commands and groups, based on click's, with what all command lines share.

The object of a context is the :class:`orchestrator.interfaces.cli.run.Run` of the line. It executes
commands, and it loads the help and the words of other tools when a line needs them.
"""
# ruff: noqa: ARG002 -- the signatures are click's

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.parameters import Argument, Option
from orchestrator.version import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

ALL = "all"
"""The key in a context for ``--all``: the help then shows rare options too."""

_GLOBAL = "global_"
"""Keeps ``--agent`` apart from an argument of the same name."""


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Keep the value of a global option for the run; the last one on a line counts."""
    if value:
        setattr(context.obj.settings, parameter.name.removeprefix(_GLOBAL), value)


def _global(flag: str, help: str, **settings: Any) -> Option:
    name = _GLOBAL + flag.lstrip("-").replace("-", "_")
    settings |= {"callback": _remember, "expose_value": False, "is_eager": True}
    return Option([flag, name], help=help, **settings)


def _filled(metavar: str, completes: str = "") -> types.Type:
    return types.Type(metavar, types.filled, completes=completes)


_AGENT = _filled("NAME", types.AGENT_NAME.completes)
GLOBALS = (
    _global("--json", "Print one JSON document.", is_flag=True),
    _global(
        "--fields",
        "Like --json, with only these fields of each record: id,title.",
        type=_filled("NAMES"),
    ),
    _global("--utc", "Show exact times, in UTC; else local ones.", is_flag=True),
    _global("--board", "The board's folder; else $ORCHESTRATOR_DIR.", type=_filled("DIR")),
    _global("--request-id", "Repeating a command with this id has one effect.", type=_filled("ID")),
    _global(
        "--hook",
        "A hook of this client calls: answer in its form, and never fail.",
        type=types.choice("claude", "codex", "gemini", "cursor", "opencode", name="CLIENT"),
        rare=True,
    ),
    _global("--agent", "Who acts; else $ORC_AGENT.", type=_AGENT),
)
"""Options that are allowed anywhere on the line."""


def _printing(*flags: str, text: Callable[[click.Context], str], **settings: Any) -> Option:
    """An option that prints a text and ends the run."""

    def show(context: click.Context, _: click.Parameter, wanted: bool) -> None:
        if wanted and not context.resilient_parsing:
            click.echo(text(context))
            context.exit()

    return Option(flags, is_flag=True, expose_value=False, callback=show, **settings)


def _version(context: click.Context) -> str:
    return f'{{"version": "{__version__}"}}' if context.obj.settings.json else __version__


# click's own would import `locale` with every command, through `gettext`.
HELP = _printing(
    "-h", "--help", text=click.Context.get_help, is_eager=True, help="Show this message and exit."
)
VERSION = _printing("--version", text=_version, help="Print the version.")


def _filter(context: click.Context, _: click.Parameter, value: str | None) -> None:
    context.params["agent"] = value


AGENT_FILTER = Option(
    ["--agent", f"{_GLOBAL}agent"],
    help="Only those of this agent.",
    type=_AGENT,
    callback=_filter,
    expose_value=False,
)
"""The meaning of ``--agent`` behind the name of a listing; before it, it is who acts."""


class _Everywhere(click.Command):
    """A command that takes the global options."""

    name: str
    shared: Sequence[Option] = GLOBALS

    @property
    def summary(self) -> str:
        """The first line of the help."""
        return (self.help or "").partition("\n")[0]

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own parameters, the global ones, and ``--help``."""
        return [*self.params, *self.shared, HELP]

    def get_help(self, ctx: click.Context) -> str:
        """The page of the help."""
        text: str = ctx.obj.help_page(self, ctx)
        return text


class Command(_Everywhere):
    """A command of the board.

    Args:
        name: The word for it.
        example: The example of the help, without the group's name.
        reads: Whether it changes nothing; or the parameters without which it changes nothing. ``()``: it adds
            nothing to the board, but is not only a question: it marks what it has shown, or writes files.
        filters_agent: Whether ``--agent`` behind it filters the listing.
        signed: Whether others read what it writes as written by the agent; or the parameters that make it so.
        idempotent: Whether a second call with the same arguments changes nothing more.
        destructive: Whether it removes or undoes what others may need.
        long: Whether it only reads, but may compute for seconds on a large board: a server runs it in another
            process.
        local: Whether it is about this machine: its files, its programs or its terminal. `orc serve` has no
            route for it.
        settings: Settings of :class:`click.Command`.
    """

    def __init__(
        self,
        name: str,
        *,
        example: str,
        reads: bool | tuple[str, ...] = False,
        filters_agent: bool = False,
        signed: bool | tuple[str, ...] = False,
        idempotent: bool = False,
        destructive: bool = False,
        long: bool = False,
        local: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(name, add_help_option=False, **settings)
        self.example = example
        self.reads = reads
        self.filters_agent = filters_agent
        self.signed = signed
        self.idempotent = idempotent
        self.destructive = destructive
        self.long = long
        self.local = local
        if filters_agent:
            self.shared = (*GLOBALS[:-1], AGENT_FILTER)

    def output(self, values: Mapping[str, Any]) -> str | None:
        """The file or folder outside the board that it writes with these values."""
        outputs = (types.OUTPUT_FILE, types.OUTPUT_FOLDER)
        named = (values.get(str(p.name)) for p in self.params if p.type in outputs)
        return next((name for name in named if name not in (None, "-")), None)

    def only_reads(self, values: Mapping[str, Any]) -> bool:
        """Whether it changes nothing with these values."""
        if isinstance(self.reads, bool):
            return self.reads or any(values.get(name) for name in self.questions)
        return not any(values.get(name) for name in self.reads)

    @property
    def questions(self) -> list[str]:
        """The parameters with which it only reports what it would do."""
        return [str(p.name) for p in self.params if p.name in ("dry_run", "look")]

    def is_signed(self, values: Mapping[str, Any]) -> bool:
        """Whether others read what it writes as written by the agent."""
        signed = self.signed
        return signed if isinstance(signed, bool) else any(values[name] for name in signed)

    @property
    def arguments(self) -> list[Argument]:
        """The positional parameters."""
        return [param for param in self.params if isinstance(param, Argument)]

    @property
    def options(self) -> list[Option]:
        """The options, without the global ones."""
        return [param for param in self.params if isinstance(param, Option)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words after the command's name; on a second try also the words of other tools."""
        try:
            return super().parse_args(ctx, _arguments_last(self, list(args)))
        except click.NoSuchOption:
            return super().parse_args(ctx, ctx.obj.leading.in_our_words(self, ctx, args))

    def invoke(self, ctx: click.Context) -> int:
        """Run the command, and return the exit status."""
        ctx.obj.context = ctx
        status: int = ctx.obj.execute(self, ctx.params)
        return status


class Group(_Everywhere, click.Group):
    """Commands that belong together; their modules are imported on use.

    Args:
        names: The word for it and its short forms: ``task/t``.
        help: What it is for.
        modules: The commands, by the module of this package that declares them: words with their short
            forms, such as ``{"tasks": "list/ls show"}``.
        groups: Groups inside.
        verbs: Words that mean a command of another group: ``{"claim": (TASK, "claim")}``.
        default: The command of a line without one: ``task`` is ``task list``.
        otherwise: The command for any other word: ``lock git`` is ``lock acquire git``.
        local: Whether all of them are about this machine.

    Attributes:
        words: Every word that means a command or a group here, with all the words for the same.
    """

    command_class = Command

    def __init__(
        self,
        names: str,
        help: str,
        modules: Mapping[str, str],
        *,
        groups: Sequence["Group"] = (),
        verbs: Mapping[str, tuple["Group", str]] | None = None,
        default: str = "",
        otherwise: str = "",
        local: bool = False,
    ) -> None:
        self.names: tuple[str, ...] = tuple(names.split("/"))
        super().__init__(
            self.names[0],
            help=help,
            commands=list(groups),
            add_help_option=False,
        )
        self.default = default
        self.otherwise = otherwise
        self.local = local
        self.groups = groups
        self.verbs = verbs or {}
        self._modules: dict[str, str] = {}
        self.words = {word: group.names for group in groups for word in group.names}
        for module, commands in modules.items():
            for entry in commands.split():
                spelled = tuple(entry.split("/"))
                self.words |= dict.fromkeys(spelled, spelled)
                self._modules[spelled[0]] = module

    def get_command(self, ctx: click.Context | None, cmd_name: str) -> click.Command | None:
        """The command that a word means."""
        if cmd_name in self.verbs:
            group, name = self.verbs[cmd_name]
            return group.get_command(ctx, name)
        name, *_ = self.words.get(cmd_name, ("",))
        if name in self._modules and name not in self.commands:
            importlib.import_module(f"{__package__}.{self._modules[name]}")
        return self.commands.get(name)

    def list_commands(self, ctx: click.Context | None) -> list[str]:
        """The names of the groups and commands, in the order of the table."""
        return list(dict.fromkeys(names[0] for names in self.words.values()))

    @property
    def declared(self) -> list[Command]:
        """The commands, without the groups."""
        commands = (self.get_command(None, name) for name in self._modules)
        return [command for command in commands if isinstance(command, Command)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words up to the command's name; without a name the default command is used."""
        if "--all" in args and not {*HELP.opts}.isdisjoint(args):
            ctx.meta[ALL] = True
            args = [word for word in args if word != "--all"]
        if self.default and not (ctx.resilient_parsing and not args):
            args = self._with_default(args)
        return super().parse_args(ctx, args)

    def _with_default(self, args: list[str]) -> list[str]:
        flags = {flag: option for option in GLOBALS for flag in option.opts}
        i = 0
        while i < len(args) and (option := flags.get(args[i].partition("=")[0])) is not None:
            i += 1 if option.is_flag or "=" in args[i] else 2
        if i < len(args) and (args[i] in HELP.opts or args[i] in self.words):
            return args
        command = self._command_of(args[i:])
        return [command, *args] if command else args

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of the first word, with the words after it."""
        word, *rest = args
        command = self.get_command(ctx, word)
        if command is None and not ctx.resilient_parsing:
            command, rest = ctx.obj.leading.command_of(self, ctx, args)
        return word, command, rest

    def _command_of(self, words: list[str]) -> str:
        """The command of a line that names none; empty if its first word is not an argument of it."""
        if not words or self.otherwise == self.default:
            return self.default
        if not is_option(words[0]):
            return self.otherwise
        default = self.get_command(None, self.default)
        assert default is not None
        flags = {flag for param in default.params for flag in param.opts}
        is_default = not self.otherwise or words[0].partition("=")[0] in flags
        return self.default if is_default else self.otherwise

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """The completions for a shell: commands, verbs and options."""
        from click.shell_completion import CompletionItem

        verbs = [CompletionItem(word) for word in self.verbs if word.startswith(incomplete)]
        return [*verbs, *super().shell_complete(ctx, incomplete)]


def is_option(word: str) -> bool:
    """Whether a word of the line is an option: ``-n``, ``--last``, ``--last=5``.

    ``-5``, ``- an item`` and ``--- three dashes`` are not: agents pass numbers and markdown as arguments.
    """
    name = word[2:] if word[:2] == "--" else word[1:] if word[:1] == "-" else ""
    name = name.partition("=")[0]
    return name[:1].isascii() and name[:1].isalpha() and not any(map(str.isspace, name))


def _arguments_last(command: Command, args: list[str]) -> list[str]:
    """The same line with its arguments after ``--``, if click would read one as an option."""
    if not any(word[:1] == "-" and len(word) > 1 and not is_option(word) for word in args):
        return args
    taking = [option for option in (*command.options, *GLOBALS) if not option.is_flag]
    takes_value = {flag for option in taking for flag in option.opts}
    options: list[str] = []
    words: list[str] = []
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if word == "--":
            words += rest
            break
        (options if is_option(word) else words).append(word)
        if word in takes_value and rest:
            options.append(rest.pop(0))
    return [*options, "--", *words]
