"""Click's commands, built from the grammar: for help, completion, and lines that need explaining.

A command's callback does not run anything; it gives back the call that the line means.
"""
# ruff: noqa: ARG001, ARG002, ARG005 -- the signatures are click's

from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from orchestrator.core.errors import OrchestratorError, UsageError
from orchestrator.interfaces.cli import completion
from orchestrator.interfaces.cli.grammar import (
    AGENT_FILTER,
    GLOBALS,
    Argument,
    Call,
    Command,
    Group,
    Option,
    call,
    is_option,
    value,
)
from orchestrator.version import __version__

HELP = ("-h", "--help")
_SETTINGS = {"help_option_names": list(HELP), "max_content_width": 100}
_GLOBAL = "global_"  # keeps `--agent` apart from an argument of the same name


def parse(top: Group, words: Sequence[str], prog: str) -> Call | int:
    """The call that a line means; or the exit status, when help or completions were printed.

    Raises:
        UsageError: The line means nothing.
    """
    try:
        parsed = group(top, is_top=True).main(
            list(words), prog_name=prog, complete_var=completion.VARIABLE, standalone_mode=False
        )
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return UsageError.exit_status
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context else prog
        raise UsageError(
            error.format_message(), hint=f"`{path} --help` shows how it is called."
        ) from None
    except click.Abort:
        raise KeyboardInterrupt from None
    assert isinstance(parsed, (Call, int))
    return parsed


def group(node: Group, *, is_top: bool = False) -> click.Group:
    """A group as click's; the top one tells the version."""
    parameters: list[click.Parameter] = [_option(option, _GLOBAL) for option in GLOBALS]
    if is_top:
        parameters.append(_version())
    return _Group(
        node, name=node.name, help=node.summary, params=parameters, context_settings=_SETTINGS
    )


def command(node: Command) -> click.Command:
    """A command as click's."""
    parameters: list[click.Parameter] = [_argument(argument) for argument in node.arguments]
    parameters += [_option(option) for option in node.options]
    shared = (*GLOBALS[:-1], AGENT_FILTER) if node.filters_agent else GLOBALS
    parameters += [_option(option, _GLOBAL) for option in shared]
    return _Command(
        node,
        name=node.name,
        help=node.help,
        params=parameters,
        callback=lambda **values: _call(node, values),
        context_settings=_SETTINGS,
    )


def _call(node: Command, values: dict[str, Any]) -> Call:
    """The call, with the global options of every level of the line; the last one wins."""
    given: dict[str, Any] = {}
    context: click.Context | None = click.get_current_context()
    while context is not None:
        for name, item in context.params.items():
            if name.startswith(_GLOBAL) and item not in (None, False):
                given.setdefault(name.removeprefix(_GLOBAL), item)
        context = context.parent
    own = {name: item for name, item in values.items() if not name.startswith(_GLOBAL)}
    return call(node, own, given)


def _argument(argument: Argument) -> click.Argument:
    # A default, even None, would satisfy click where a word is required.
    default = {} if argument.required or argument.many else {"default": argument.default}
    return click.Argument(
        [argument.name],
        required=argument.required,
        nargs=-1 if argument.many else 1,
        type=_Converted(argument.convert, argument.completes),
        metavar=argument.usage,
        **default,
    )


def _option(option: Option, prefix: str = "") -> click.Option:
    declaration = [*option.flags, prefix + option.name]
    if option.flag:
        return click.Option(declaration, is_flag=True, help=option.help)
    shown = "" if option.default in (None, "") else f"  [default: {option.default}]"
    return click.Option(
        declaration,
        help=option.help + shown,
        multiple=True,
        metavar="|".join(option.choices) or option.metavar,
        type=_Converted(lambda text: value(option, [text]), option.completes, option.choices),
        callback=lambda context, parameter, given: _settle(option, given),
    )


def _settle(option: Option, given: Sequence[Any]) -> Any:
    """One value of the values of all repetitions: the last, or all of them in one tuple."""
    if not given:
        return option.default
    return tuple(word for words in given for word in words) if option.many else given[-1]


def _version() -> click.Option:
    def show(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
        if wanted and not context.resilient_parsing:
            click.echo(__version__)
            context.exit()

    return click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="Print the version.",
    )


class _Converted(click.ParamType[Any]):
    """The type of a value as the grammar says it, and what a shell offers for it."""

    name = "text"

    def __init__(self, convert: Any, completes: str, choices: Sequence[str] = ()) -> None:
        self._convert, self._completes, self._choices = convert, completes, choices

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):  # a default
            return value
        try:
            return self._convert(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        except OrchestratorError as error:
            self.fail(error.message, param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        board = ctx.find_root().params.get(_GLOBAL + "board")
        words = self._choices or completion.words(self._completes, board)
        return [CompletionItem(word) for word in words if word.startswith(incomplete)]


class _Command(click.Command):
    """A command whose help ends with an example, and whose arguments may begin with a dash."""

    def __init__(self, node: Command, **settings: Any) -> None:
        super().__init__(**settings)
        self._node = node

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _words_last(self._node, args))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own: list[tuple[str, str]] = []
        shared: list[tuple[str, str]] = []
        for option in self.get_params(ctx):
            record = option.get_help_record(ctx) if isinstance(option, click.Option) else None
            if record is not None:
                name = option.name or ""
                (shared if name.startswith(_GLOBAL) or name == "help" else own).append(record)
        _section(formatter, "Arguments", [(a.usage, a.help) for a in self._node.arguments])
        _section(formatter, "Options", own)
        _section(formatter, "Everywhere", shared)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Example"):
            path = (ctx.parent or ctx).command_path
            formatter.write_text(f"{path} {self._node.example}")


class _Group(click.Group):
    """A group that knows aliases and a default command, and imports no module before its time."""

    def __init__(self, node: Group, **settings: Any) -> None:
        super().__init__(**settings)
        self._node = node

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if self._node.default and not (ctx.resilient_parsing and not args):
            args = _with_default(self._node, args)
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = self._node.find(cmd_name)
        if isinstance(found, Group):
            return group(found)
        return command(found) if found is not None else None

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [node.name for node in self._node.nodes]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(", ".join((node.name, *node.aliases)), node.summary) for node in self._node.nodes]
        _section(formatter, "Commands", rows)


def _section(formatter: click.HelpFormatter, title: str, rows: Sequence[tuple[str, str]]) -> None:
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows)


def _words_last(node: Command, args: list[str]) -> list[str]:
    """The same line with its arguments behind ``--``, if click would take one for an option."""
    if not any(word[:1] == "-" and len(word) > 1 and not is_option(word) for word in args):
        return args
    takes_value = {flag for o in (*node.options, *GLOBALS) if not o.flag for flag in o.flags}
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


def _with_default(node: Group, args: list[str]) -> list[str]:
    """The line with the group's default command, if it names none."""
    flags = {flag: option for option in GLOBALS for flag in option.flags}
    i = 0
    while i < len(args) and (option := flags.get(args[i].partition("=")[0])) is not None:
        i += 1 if option.flag or "=" in args[i] else 2
    if i < len(args) and (args[i] in HELP or node.find(args[i]) is not None):
        return args
    return [*args[:i], node.default, *args[i:]]
