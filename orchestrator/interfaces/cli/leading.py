"""The meaning of a line that was refused: words of other tools, or what was probably meant.

Only loaded for such a line. The tables are in :mod:`orchestrator.interfaces.cli.habits`.
"""

import shlex
from collections.abc import Iterator, Sequence

import click

from orchestrator.core.errors import OrchestratorError, UsageError, nearest_word
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD, TASK
from orchestrator.interfaces.cli.groups import HELP, Command, Group, is_option
from orchestrator.interfaces.cli.habits import (
    COMMANDS,
    COMMANDS_MEANT,
    ELSEWHERE,
    EXTRA_MEANT,
    FILTERS,
    MISSING_MEANT,
    OPTIONS,
    OPTIONS_MEANT,
    PLACES,
    VALUES,
    spread,
)
from orchestrator.interfaces.cli.parameters import Argument

_COMMANDS, _VALUES = spread(COMMANDS), spread(VALUES)
_OPTIONS, _FILTERS = spread(OPTIONS), spread(FILTERS)

# Commands


def command_of(
    group: Group, context: click.Context, args: Sequence[str]
) -> tuple[click.Command, list[str]]:
    """The command of a line whose first word the group does not know, with the words after it.

    At the top the words of tasks count too.

    Raises:
        UsageError: There is none; the hint is the line that was probably meant.
    """
    word, *rest = args
    command = _of_habit(group, word)
    if word == "help":
        command, rest = BOARD.get_command(None, word), [group.name, *rest]
    if command is None:
        path, words = _meant(group, context, word)
        hint = f"Did you mean {_line(context, path, [*words, *rest])}?" if path else _help(context)
        raise UsageError(f"No such command {word!a}.", hint=hint)
    return command, rest


def _of_habit(group: Group, word: str) -> click.Command | None:
    if group is not BOARD:
        return _synonym(group, word)
    if word in ELSEWHERE:
        return _at(ELSEWHERE[word])
    return TASK.get_command(None, word) or _synonym(BOARD, word) or _synonym(TASK, word)


def _synonym(group: Group, word: str) -> click.Command | None:
    commands = (group.get_command(None, meant) for meant in _COMMANDS.get(word, "").split())
    return next((command for command in commands if command is not None), None)


def _at(path: str) -> click.Command | None:
    node: click.Command | None = BOARD
    for word in path.split():
        assert isinstance(node, Group)
        node = node.get_command(None, word)
    return node


def _meant(group: Group, context: click.Context, word: str) -> tuple[str, list[str]]:
    """The path to the command that was probably meant (empty if none is similar), and its first word."""
    top = group is BOARD
    inside = "" if top else f"{group.name} "
    path = COMMANDS_MEANT.get(inside + word)
    everywhere = dict(_paths())
    here = dict(_paths(TASK if top else group, inside))
    path = path or _near(word, {**everywhere, **here} if top else here)
    if not path and (path := _shows(TASK if top else group, context, word)):
        return path, [word]
    return path or everywhere.get(word) or _near(word, everywhere), []


def _paths(group: Group = BOARD, lead: str = "") -> Iterator[tuple[str, str]]:
    """Every word for a command with its path; for repeated words the last pair counts."""
    for inner in reversed(group.groups):
        yield from _paths(inner, f"{lead}{inner.name} ")
    for name in [*group.list_commands(None), *group.verbs]:
        words = (name,) if name in group.verbs else group.words[name]
        yield from ((word, f"{lead}{name}") for word in words)


def _near(word: str, paths: dict[str, str]) -> str:
    near = nearest_word(word, paths)
    return paths[near] if near else ""


def _shows(group: Group, context: click.Context, word: str) -> str:
    """The command that shows a record of the group, if the word names one."""
    for name in ("show", "read", "status"):
        command = group.get_command(None, name)
        if isinstance(command, Command) and command.arguments:
            first = command.arguments[0]
            numbered = first.type is types.INTEGER and word.isdecimal()
            if numbered or first.type.shell_complete(context, first, word):
                return f"{group.name} {name}"
    return ""


# Options and arguments


def in_our_words(command: Command, context: click.Context, args: list[str]) -> list[str]:
    """The same line in the command's own words.

    Raises:
        UsageError: The command has no such option.
    """
    line = _Line(command, args)
    if line.unknown:
        flag, value = line.unknown
        raise UsageError(f"No such option: {flag}", hint=_option_meant(line, context, flag, value))
    return [*line.options, "--", *line.arguments()]


class _Line:
    """The words after a command, as options and arguments of this command.

    Attributes:
        options: The options with their values.
        words: The positional words.
        unknown: The first unknown option, with its value.
    """

    def __init__(self, command: Command, args: Sequence[str]) -> None:
        self.command = command
        self.known = {
            flag: option
            for option in (*command.options, *command.shared, HELP)
            for flag in option.opts
        }
        self.options: list[str] = []
        self.words: list[str] = []
        self.unknown: tuple[str, str] | None = None
        self._places = list(_places(command))
        self._placed: dict[str, str] = {}
        self._read(list(args))

    def _read(self, rest: list[str]) -> None:
        while rest:
            word = rest.pop(0)
            if word == "--":
                self.words += rest
                return
            if is_option(word):
                self._option(word, rest)
            else:
                self.words.append(word)

    def _option(self, word: str, rest: list[str]) -> None:
        flag, equals, value = word.partition("=")
        if flag not in self.known and flag[:2] != "--" and len(word) > 2:
            flag, equals, value = word[:2], "=", word[2:]
        habits = {**_OPTIONS, **_FILTERS} if self.command.filters_agent else _OPTIONS
        meant = habits.get(flag, "").split() if flag not in self.known else []
        flag = next((other for other in meant if other in self.known), flag)
        place = PLACES.get(flag.lstrip("-"), flag.lstrip("-"))
        if flag in self.known and self.known[flag].is_flag:
            self.options.append(flag)
            return
        if not equals:
            value = rest.pop(0) if rest and not is_option(rest[0]) else ""
        if flag in self.known:
            self.options += [flag, value]
        elif place in self._places:
            self._placed[place] = value
        elif self.unknown is None:
            self.unknown = flag, value

    def arguments(self) -> list[str]:
        """The positional parameters of the command, in order, with values from options."""
        placed = {place: self._placed[place] for place in self._places if place in self._placed}
        if any(map(_holds_several, self.command.arguments)):
            first = [word for place, word in placed.items() if place in _FIRST]
            last = [word for place, word in placed.items() if place not in _FIRST]
            return [*first, *self.words, *last]
        rest = iter(self.words)
        line = [placed[place] if place in placed else next(rest, None) for place in self._places]
        return [*(word for word in line if word is not None), *rest]


_FIRST = {"workstream", "task"}
"""The first parameters of a command that takes all its words as one argument: ``[WS] ID TEXT``."""


def _places(command: Command) -> Iterator[str]:
    """The names of the positional values of a command; three for ``[WS] ID TEXT...``."""
    for argument in command.arguments:
        usage = (argument.metavar or "").rpartition("| ")[2]
        names = usage.split() if _holds_several(argument) else [argument.name]
        for name in names:
            plain = str(name).strip("[].").lower()
            yield PLACES.get(plain, plain)


def _holds_several(argument: Argument) -> bool:
    return argument.nargs == -1 and " " in (argument.metavar or "")


def _option_meant(line: _Line, context: click.Context, flag: str, value: str) -> str:
    path = _path_of(line.command)
    for known in (f"{path} {flag} {_VALUES.get(value, value)}", f"{path} {flag}"):
        if template := OPTIONS_MEANT.get(known):
            words = shlex.join(line.words) or "ID"
            filled = template.format(words=words, value=shlex.quote(value) if value else "AGENT")
            return f"`{_prog(context)} {_short(filled)}` does that."
    near = nearest_word(
        flag.lstrip("-"), [name.lstrip("-") for name in line.known if name[:2] == "--"]
    )
    if near:
        return f"Did you mean `--{near}`? {_help(context)}"
    return _help(context)


def refusal(error: click.ClickException, prog: str) -> UsageError:
    """The error for a line that click refuses, which has an exit status.

    Args:
        error: The error of click.
        prog: How the program is called.
    """
    context: click.Context | None = getattr(error, "ctx", None)
    if context is None:
        return UsageError(error.format_message(), hint=f"`{prog} --help` shows how it is called.")
    if isinstance(error, click.MissingParameter):
        return _missing(context, error)
    if isinstance(error, click.NoSuchOption):  # click's suggestions by spelling are misleading
        return UsageError(f"No such option: {error.option_name}", hint=_help(context))
    if error.message.startswith("Got unexpected extra"):
        return _too_many(context, error)
    return UsageError(error.format_message(), hint=_help(context))


def _missing(context: click.Context, error: click.MissingParameter) -> UsageError:
    """The error for a line that ends too early."""
    command = context.command
    first = context.params.get("workstream")
    if command is TASK.get_command(None, "add") and first and not _is_workstream(context, first):
        line = shlex.join(["add", first])
        hint = f"`{_prog(context)} {line}` adds to the only workstream, or to the board's default."
        return UsageError("The workstream is missing: WS TITLE", hint=hint)
    hint = MISSING_MEANT.get(_path_of(command), "")
    return UsageError(error.format_message(), hint=f"{hint} {_help(context)}".lstrip())


def _too_many(context: click.Context, error: click.ClickException) -> UsageError:
    """The error for a line with too many words."""
    path, words = _path_of(context.command), error.message.partition("(")[2].rstrip(")")
    if (template := EXTRA_MEANT.get(path)) is None:
        return UsageError(error.message, hint=_help(context))
    line = f"`{_prog(context)} {_short(template)} {words}`"
    return UsageError(error.message, hint=f"{line} records an event. {_help(context)}")


def _is_workstream(context: click.Context, name: str) -> bool:
    try:
        context.obj.orc.workstreams.get(name)
    except (OrchestratorError, OSError):
        return False
    return True


def workstream_meant(error: OrchestratorError, context: click.Context) -> str:
    """The hint for a word that is not a workstream: perhaps it is an agent, or the first word of a title."""
    words = context.params.get("words") or _title(context)
    if context.command.name == "add" and len(words) > 1 and error.code == "workstream_not_found":
        line = f"`{_prog(context)} add {shlex.quote(' '.join(words))}`"
        return f"If all of it is the title: {line}. {error.hint}"
    first = next(iter(context.command.params), None)
    name: str = context.params.get("workstream") or ""
    takes = isinstance(first, Argument) and first.name == "workstream" and not first.required
    is_known = not name or _is_workstream(context, name)
    if not takes or is_known or context.params.get("agent") or "did you mean" in error.message:
        return error.hint
    line = f"{_prog(context)} {_short(_path_of(context.command))} --agent {shlex.quote(name)}"
    return f"Is {name!a} an agent? `{line}`. {error.hint}"


def _title(context: click.Context) -> list[str]:
    """The words of ``task add``, by their positions."""
    places = ("workstream", "title", "desc", "number")
    return [context.params[place] for place in places if isinstance(context.params.get(place), str)]


# What is printed


def _help(context: click.Context) -> str:
    return f"`{context.command_path} --help` shows how it is called."


def _line(context: click.Context, path: str, rest: Sequence[str]) -> str:
    return f"`{' '.join([_prog(context), _short(path), *map(shlex.quote, rest)])}`"


def _prog(context: click.Context) -> str:
    prog: str = context.obj.prog
    agent = context.obj.settings.agent
    return f"{prog} --agent {shlex.quote(agent)}" if agent else prog


def _path_of(command: click.Command) -> str:
    """The path to a command, in full."""
    name = command.name or ""
    places = [("", BOARD)]
    for lead, group in places:
        if group.commands.get(name) is command:
            return f"{lead}{name}"
        places += [(f"{lead}{inner.name} ", inner) for inner in group.groups]
    return name


def _short(path: str) -> str:
    """A path with the short form of its group, or the verb at the top that means it."""
    group, _, rest = path.partition(" ")
    verbs = {f"{group.name} {name}": verb for verb, (group, name) in BOARD.verbs.items()}
    for full, verb in verbs.items():
        if path == full or path.startswith(f"{full} "):
            return verb + path.removeprefix(full)
    names = BOARD.words[group] if group in BOARD.list_commands(None) else (group,)
    return f"{(*names[1:], group)[0]} {rest}".rstrip() if rest else path
