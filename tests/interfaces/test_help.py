"""Every command has a help text with a working example, and is in the reference."""

import inspect
import re
import shlex
import sys
from pathlib import Path

import pytest
from trees.repositories import Repo

from orchestrator.core.errors import OrchestratorError
from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.groups import Command, Group
from orchestrator.interfaces.cli.help_pages import LONGEST
from orchestrator.interfaces.cli.help_topics import TOPICS
from orchestrator.interfaces.cli.layout import columns
from orchestrator.interfaces.cli.reference import commands, pages

from .conftest import CommandLine
from .reading import read
from .terminal import at_terminal

ALL = list(commands())
ALL_PATHS = ["", *(group.name for group in BOARD.groups), "task dep", *(path for path, _ in ALL)]
DOCS = Path(__file__).parents[2] / "docs" / "commands"

every_command = pytest.mark.parametrize(("path", "command"), ALL, ids=[path for path, _ in ALL])


def example(path: str, command: Command) -> list[str]:
    """The words of the example after the program's name."""
    group, _, _ = path.rpartition(" ")
    return [*group.split(), *shlex.split(command.example.partition(" > ")[0])]


@every_command
def test_help_has_a_sentence_and_an_example(cli: CommandLine, path: str, command: Command) -> None:
    assert command.summary.endswith(".")
    shown = cli(*path.split(), "--help").out
    assert " ".join(command.summary.split()[:4]) in " ".join(shown.split())
    group = " ".join(path.split()[:-1])
    assert f"Example: {f'orc {group}'.strip()} {command.example.split()[0]}" in shown
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
        words = [word for name in group.list_commands(None) for word in group.words[name]]
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


BEFORE = 94_158 / 143
"""Characters of a page, of a command or group, when each named what is the same everywhere."""


def test_a_page_has_at_most_25_lines_and_all_have_half_of_what_they_had(cli: CommandLine) -> None:
    written = 0
    for path in ALL_PATHS:
        shown = cli(*path.split(), "--help").out
        if path in dict(ALL):
            assert len(shown.splitlines()) <= LONGEST, path
        written += len(shown)
    assert written / len(ALL_PATHS) <= BEFORE / 2


@every_command
def test_help_with_all_shows_every_option(cli: CommandLine, path: str, command: Command) -> None:
    shown = cli(*path.split(), "--help", "--all").out
    assert all(option.opts[0] in shown for option in command.options)
    rare = [option.opts[0] for option in command.options if option.rare]
    short = cli(*path.split(), "--help").out
    assert all(flag in short.partition("More by --help --all")[2] for flag in rare)


def test_the_page_of_the_day_names_ten_commands_and_where_the_rest_is(cli: CommandLine) -> None:
    shown = cli("help").out
    assert shown == cli("--help").out
    assert len(shown.splitlines()) <= LONGEST
    for word in ("prime", "next", "show", "note", "done", "fail", "add", "ls", "say", "lock"):
        assert f"\n  {word} " in shown
    words = {*BOARD.list_commands(None), *BOARD.verbs}
    assert all(re.search(rf"\b{word}\b", shown) for word in words)
    assert all(name in shown for name in TOPICS)


def test_help_of_a_command_is_its_page(cli: CommandLine) -> None:
    assert cli("help", "t", "next").out == cli("t", "next", "--help").out
    assert cli("t", "help", "next").out == cli("task", "next", "--help").out
    assert cli("help", "add", "--all").out == cli("add", "--help", "--all").out
    assert cli("help", "time", "--json").json["text"] == cli("help", "time").out.rstrip("\n")
    assert "did you mean 'time'?" in cli("help", "tme", status=2).err
    assert (
        "There is no command and no topic 'frobnicate'" in cli("help", "frobnicate", status=2).err
    )


def test_the_topics_are_a_page_with_a_line_each(cli: CommandLine) -> None:
    lines = cli("help", "topics").out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == list(TOPICS)
    assert "help topics" in cli("help").out


def test_a_page_breaks_no_word_at_its_hyphen(cli: CommandLine) -> None:
    for path in ("", "add", "next", "t edit"):
        assert "-\n" not in cli(*path.split(), "--help", "--all").out


@pytest.mark.parametrize("name", TOPICS)
def test_the_commands_of_a_topic_run(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    text = cli("help", name).out
    assert len(text.splitlines()) <= LONGEST
    Repo(tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    cli("add", "Another", "--priority", "9")
    task = cli("add", "Write the parser", "--json").json["id"]
    cli("say", "ben", "Hello", "--agent", "zoe")
    lines = [line.strip().partition("   ")[0] for line in text.splitlines() if line[:6] == "  orc "]
    for line in lines:
        _, *words = shlex.split(line)
        cli(*[task if word == "ID" else word for word in words])
    assert lines or name in ("options", "habits")


def test_the_topic_of_exit_names_every_status(cli: CommandLine) -> None:
    text = cli("help", "exit").out
    statuses = {cls.exit_status for cls in OrchestratorError.__subclasses__()}
    assert all(re.search(rf"^  {status} ", text, re.MULTILINE) for status in statuses)


@pytest.mark.skipif(sys.platform == "win32", reason="it has no terminals of this kind")
def test_help_is_in_columns_at_a_terminal_and_without_padding_elsewhere(
    cli: CommandLine, tmp_path: Path
) -> None:
    assert "\n  --lease DURATION  How" in cli("claim", "--help").out
    shown = at_terminal(tmp_path / "board", "hook", "hang", "--help", columns=60)
    assert re.search(r"\n  \[TASK\] {3,}What to hang", shown)
    assert max(map(len, shown.splitlines())) <= 60


def test_the_reference_is_in_step_with_the_declarations() -> None:
    """If this fails: python -m orchestrator.interfaces.cli.reference docs/commands."""
    written = {file.name: file.read_text(encoding="utf-8") for file in DOCS.iterdir()}
    assert written == pages()


@pytest.mark.parametrize("line", ["--help --all", "t --help", "events --help", "-h --all"])
def test_help_of_groups_lists_their_commands_with_aliases(cli: CommandLine, line: str) -> None:
    assert "\nCommands:\n" in cli(*line.split()).out


@pytest.mark.parametrize("group", BOARD.groups, ids=lambda group: group.name)
def test_the_help_of_a_group_shows_the_example_of_its_first_command(cli: CommandLine, group: Group):
    first = group.declared[0]
    assert (
        f"\nExample: orc {group.name} {first.example.split()[0]}" in cli(group.name, "--help").out
    )


@pytest.mark.parametrize("verb", BOARD.verbs)
def test_the_help_of_a_verb_shows_an_example_of_this_verb(cli: CommandLine, verb: str) -> None:
    shown = cli(verb, "--help").out
    assert shown.split()[:3] == ["Usage:", "orc", verb]
    line = shown.partition("Example: ")[2].partition("More by")[0].replace("\n ", "")
    group, name = BOARD.verbs[verb]
    assert read(shlex.split(line)[1:]).command is group.get_command(None, name)


def test_a_group_that_lists_nothing_shows_its_help_as_a_usage_error(cli: CommandLine) -> None:
    shown = cli("runner", status=2)
    assert shown.out == ""
    assert "Usage: orc runner COMMAND" in shown.err


@pytest.mark.parametrize("line", ["--version --json", "--json --version", "version --json"])
def test_the_version_is_a_text_or_json(cli: CommandLine, line: str) -> None:
    from orchestrator import __version__

    assert cli("--version").out == cli("version").out == f"{__version__}\n"
    assert cli(*line.split()).json == {"version": __version__}


@pytest.mark.parametrize(
    ("line", "usage"),
    [
        ("lock", "   or: orc lock RESOURCE [AGENT] [--ttl DURATION] [--wait DURATION] [--shared]"),
        ("hook", "   or: orc hook [TASK] [--force] [--quiet]"),
        ("import", "   or: orc import FILE [--dry-run]"),
        ("mail", "Alone: orc mail inbox"),
        ("session", "Alone: orc session show"),
    ],
)
def test_the_page_of_a_group_explains_a_line_without_a_command(
    cli: CommandLine, line: str, usage: str
) -> None:
    assert cli(line, "--help").lines[1] == usage
    assert "   or: " not in cli("task", "--help").out


def test_the_usage_of_add_explains_when_a_word_is_the_title(cli: CommandLine) -> None:
    assert cli("add", "--help").lines[0] == "Usage: orc add TITLE | WS TITLE [DESC] [PRIORITY]"


def test_help_all_of_the_top_names_every_word(cli: CommandLine) -> None:
    named = {line.split()[0] for line in cli("--help", "--all").lines if line[:2] == "  "}
    assert set(BOARD.verbs) <= named


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("nope", "There is no command and no topic 'nope'"),
        ("tme", "There is no command and no topic 'tme'; did you mean 'time'?"),
        ("clam", "There is no command and no topic 'clam'; did you mean 'claim'?"),
        ("lock acquir", "There is no command 'acquir'; did you mean 'acquire'?"),
        ("lock nope", "There is no command 'nope'"),
    ],
)
def test_help_suggests_only_what_is_very_near(cli: CommandLine, words: str, message: str) -> None:
    assert cli("help", *words.split(), status=2).err.startswith(f"Error: {message}\nHint: ")


@pytest.mark.needs("pty")
@pytest.mark.parametrize(
    "words",
    [(), *TOPICS, ("ls", "--all"), ("task", "dep", "add"), ("task", "edit", "--all")],
    ids=lambda words: "-".join(words) if isinstance(words, tuple) else words,
)
def test_a_page_of_the_help_fits_a_terminal_of_80_columns(
    cli: CommandLine, tmp_path: Path, words: str | tuple[str, ...]
) -> None:
    named = (words,) if isinstance(words, str) else words
    shown = at_terminal(tmp_path, "help", *named)
    assert [line for line in shown.split("\n") if columns(line) > 80] == []
    assert "".join(shown.split()) == "".join(cli("help", *named).out.split())


def test_the_example_says_the_word_that_was_typed(cli: CommandLine):
    assert "Example: orc t update 299833bc " in cli("t", "update", "--help").out
    assert "Example: orc t edit 299833bc " in cli("t", "edit", "--help").out
