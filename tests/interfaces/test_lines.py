"""The syntax of command lines: the places of options, lists, and words that are not options."""

from contextlib import suppress
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.errors import UsageError
from orchestrator.interfaces.cli.commands import BOARD, RUNNER
from orchestrator.interfaces.cli.groups import GLOBALS, Command, Group, is_option
from orchestrator.interfaces.cli.parameters import Option

from .reading import read

Names = tuple[str, ...]


def commands(group: Group, path: tuple[Names, ...] = ()) -> list[tuple[tuple[Names, ...], Command]]:
    """Every command with the words that lead to it, each word with its short forms."""
    collected = []
    for inner in group.groups:
        collected += commands(inner, (*path, inner.names))
    for command in group.declared:
        collected.append(((*path, group.words[command.name]), command))
        if command.name == group.otherwise:
            collected.append((path, command))
    return collected


ALL = commands(BOARD)

words = st.one_of(
    st.sampled_from(["build", "299833bc", "5", "", "a b", "é", "-5", "- item", "x=1", "-"]),
    st.sampled_from(["--", "--help", "-h", "--json", "--no-such", "-x", "-n5", "-f", "--=", "---"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6),
)
values = st.sampled_from(["5", "-5", "abc", "a,b", "", "30m", "pending", "--json", "a,,b", "json"])
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


def spelled(option: Option, value: str, draw: Any) -> list[str]:
    flag = draw(st.sampled_from(option.opts))
    if option.is_flag:
        return [flag]
    return [f"{flag}={value}"] if draw(st.booleans()) else [flag, value]


@st.composite
def command_lines(draw: Any) -> list[str]:
    """The words of some command, its options and the global ones among them, and arguments."""
    path, command = draw(st.sampled_from(ALL))
    line = [draw(st.sampled_from(names)) for names in path]
    for _ in range(draw(st.integers(0, 5))):
        if draw(st.booleans()):
            chosen = draw(st.sampled_from((*command.options, *GLOBALS)))
            line += spelled(chosen, draw(values), draw)
        else:
            line.append(draw(words))
    return line


@st.composite
def good_lines(draw: Any) -> tuple[list[list[str]], Command]:
    """A valid line in parts, between which words may be inserted, and its command."""
    path, command = draw(st.sampled_from(ALL))
    parts = [[draw(st.sampled_from(names))] for names in path]
    for option in draw(st.lists(st.sampled_from(command.options or [None]), max_size=3)):
        if option is not None:
            parts.append(spelled(option, draw(st.sampled_from(["5", "abc", "pending"])), draw))
    for argument in command.arguments:
        if argument.required or path[-1][0] == command.name:
            parts.append([draw(st.sampled_from(["5", "3d", "bash"]))])
    return parts, command


def understood(line: list[str]) -> Any:
    try:
        return read(line).facts
    except (click.ClickException, UsageError):
        return None


@given(command_lines())
def test_a_line_is_understood_or_refused(line: list[str]) -> None:
    with suppress(click.exceptions.Exit, click.ClickException, UsageError):
        assert isinstance(read(line).command, Command)


@given(good_lines(), st.data())
def test_global_options_mean_the_same_anywhere(
    line: tuple[list[list[str]], Command], data: st.DataObject
) -> None:
    """Except ``--agent`` after the name of a listing, where it is a filter."""
    parts, command = line
    given_last = understood([*(word for part in parts for word in part), "--json", "--agent=ann"])
    for option in (["--json"], data.draw(st.sampled_from([["--agent", "ann"], ["--agent=ann"]]))):
        is_filter = command.filters_agent and option != ["--json"]
        first = len(parts) if is_filter else 0
        parts.insert(data.draw(st.integers(first, len(parts))), option)
    assert understood([word for part in parts for word in part]) == given_last
    assert given_last is None or given_last[0] is command


@given(texts)
def test_a_text_that_is_not_an_option_is_an_argument_as_it_is(text: str) -> None:
    if not is_option(text) and text != "--":
        assert read(["kb", "write", "topic", text, "--tags", "t"]).values["content"] == (text,)
    assert read(["kb", "write", "topic", "--", text]).values["content"] == (text,)


def values_of(*line: str) -> dict[str, Any]:
    return read(line).values


def test_a_list_takes_commas_and_repetition() -> None:
    given_values = values_of("t", "add", "w", "T", "--needs", "a, b", "--needs=c")
    assert given_values["needs"] == ("a", "b", "c")
    assert values_of("t", "add", "w", "T")["needs"] is None
    assert values_of("t", "edit", "a", "--needs", "")["needs"] == ()
    assert values_of("t", "add", "w", "T", "--verify", "a,b")["verify"] == ("a,b",)


def test_a_number_or_markdown_that_begins_with_a_dash_is_a_word() -> None:
    assert values_of("kb", "write", "t", "- item\n- item")["content"] == ("- item\n- item",)
    assert values_of("kb", "write", "t", "--- \ntitle: x")["content"] == ("--- \ntitle: x",)
    assert values_of("t", "complete", "abc", "-5")["words"] == ("abc", "-5")


def test_behind_two_dashes_everything_is_a_word() -> None:
    assert values_of("kb", "write", "t", "--", "--json")["content"] == ("--json",)


def test_agent_chooses_in_listings_and_acts_elsewhere() -> None:
    listing = read(["t", "ls", "--agent", "ann"])
    acting = read(["t", "next", "--agent", "ann"])
    assert (listing.values["agent"], listing.settings.agent) == ("ann", None)
    assert (acting.values["agent"], acting.settings.agent) == (None, "ann")


def test_a_group_with_a_default_needs_no_command() -> None:
    assert values_of("events", "--last", "5")["last"] == 5
    assert values_of("e", "log", "deployed", "a=1")["facts"] == ("a=1",)
    assert values_of("import", "board.jsonl") == {"file": "board.jsonl", "dry_run": False}


@pytest.mark.parametrize(
    ("alone", "meant"),
    [
        ("t", "task list"),
        ("t --status done", "task list --status done"),
        ("--agent ann t", "--agent ann task list"),
        ("t --agent ann", "task list --agent ann"),
        ("ws", "workstream list"),
        ("kb", "knowledge list"),
        ("mail --unread", "mail inbox --unread"),
        ("l", "lock list"),
        ("lock --json", "lock list --json"),
        ("lock git ann", "lock acquire git ann"),
        ("lock --ttl 5m git", "lock acquire --ttl 5m git"),
        ("l release git", "lock release git"),
        ("hook 299833bc", "hook hang 299833bc"),
        ("convoy --all", "convoy list --all"),
        ("f", "formula list"),
        ("decision", "decision list"),
        ("goal", "goal list"),
        ("session", "session show"),
        ("events log deployed", "events log deployed"),
        ("unlock git", "lock release git"),
        ("say ann -s Hello", "mail send ann -s Hello"),
        ("plan --max 3", "runner plan --max 3"),
    ],
)
def test_a_group_alone_lists_and_a_verb_is_the_command_of_a_group(alone: str, meant: str) -> None:
    assert read(alone.split()).facts == read(meant.split()).facts


def test_a_word_that_no_group_knows_is_not_taken_for_a_name() -> None:
    with pytest.raises(UsageError, match="No such command 'nxt'"):
        read(["t", "nxt"])


def test_the_runner_alone_knows_only_its_own_commands() -> None:
    assert read(["p", "--max", "3"], RUNNER).values["max"] == 3
    with pytest.raises(UsageError, match="No such command 't'"):
        read(["t", "next"], RUNNER)
