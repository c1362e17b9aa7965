"""Every command says what it does, with an example that works, and stands in the reference."""

import inspect
import shlex
from pathlib import Path

import pytest

from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.groups import Command, Group
from orchestrator.interfaces.cli.reference import commands, pages

from .conftest import CommandLine
from .reading import read

ALL = list(commands())
DOCS = Path(__file__).parents[2] / "docs" / "commands"

every_command = pytest.mark.parametrize(("path", "command"), ALL, ids=[path for path, _ in ALL])


def example(path: str, command: Command) -> list[str]:
    """The words of the example behind the program's name."""
    group, _, _ = path.rpartition(" ")
    return [*group.split(), *shlex.split(command.example.partition(" > ")[0])]


@every_command
def test_help_has_a_sentence_and_an_example(cli: CommandLine, path: str, command: Command) -> None:
    assert command.summary.endswith(".")
    shown = cli(*path.split(), "--help").out
    assert " ".join(command.summary.split()[:4]) in " ".join(shown.split())
    group = " ".join(path.split()[:-1])
    assert f"Example:\n  {f'orc {group}'.strip()} {command.example.split()[0]}" in shown
    assert all(argument.help for argument in command.arguments)
    assert all((option.help or "").endswith(".") for option in command.options)


@every_command
def test_the_example_is_a_line_of_this_command(path: str, command: Command) -> None:
    assert read(example(path, command)).command is command


@every_command
def test_the_function_takes_what_is_declared(path: str, command: Command) -> None:
    names = [parameter.name for parameter in command.params if parameter.expose_value]
    names += ["agent"] if command.filters_agent else []
    assert len(names) == len(set(names))
    assert command.callback is not None
    inspect.signature(command.callback).bind(None, **dict.fromkeys(names))


@every_command
def test_only_the_last_argument_takes_many_words(path: str, command: Command) -> None:
    assert all(argument.nargs == 1 for argument in command.arguments[:-1])
    required = [argument.required for argument in command.arguments]
    assert required == sorted(required, reverse=True)


def test_no_two_commands_answer_to_one_word() -> None:
    def check(group: Group) -> None:
        words = [word for name in group.list_commands(None) for word in group.names_of(name)]
        words += group.verbs
        assert len(words) == len(set(words))
        for inner in group.groups:
            check(inner)

    check(BOARD)


def test_the_table_names_every_command_that_is_declared_and_no_other() -> None:
    def check(group: Group) -> None:
        assert set(group.commands) == set(group.list_commands(None))
        for inner in group.groups:
            check(inner)

    assert len(ALL) > 100
    check(BOARD)


def test_the_reference_is_in_step_with_the_declarations() -> None:
    """If this fails: python -m orchestrator.interfaces.cli.reference docs/commands."""
    written = {file.name: file.read_text(encoding="utf-8") for file in DOCS.iterdir()}
    assert written == pages()


@pytest.mark.parametrize("line", ["--help", "t --help", "events --help", "-h"])
def test_help_of_groups_lists_their_commands_with_aliases(cli: CommandLine, line: str) -> None:
    assert "\nCommands:\n" in cli(*line.split()).out


@pytest.mark.parametrize("verb", BOARD.verbs)
def test_the_help_of_a_verb_shows_an_example_of_this_verb(cli: CommandLine, verb: str) -> None:
    shown = cli(verb, "--help").out
    assert f"Usage: orc {verb} " in shown
    line = shown.partition("Example:\n")[2].replace("\n ", "")
    group, name = BOARD.verbs[verb]
    assert read(shlex.split(line)[1:]).command is group.get_command(None, name)


def test_a_group_that_lists_nothing_shows_its_help_as_a_usage_error(cli: CommandLine) -> None:
    shown = cli("runner", status=2)
    assert shown.out == ""
    assert "Usage: orc runner [OPTIONS] COMMAND" in shown.err


@pytest.mark.parametrize("line", ["--version --json", "--json --version", "version --json"])
def test_the_version_is_a_text_or_json(cli: CommandLine, line: str) -> None:
    from orchestrator import __version__

    assert cli("--version").out == cli("version").out == f"{__version__}\n"
    assert cli(*line.split()).json == {"version": __version__}
