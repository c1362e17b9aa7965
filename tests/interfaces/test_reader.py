"""The quick reader and click read a line alike, from one grammar."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.errors import UsageError
from orchestrator.interfaces.cli.click_app import parse
from orchestrator.interfaces.cli.commands import BOARD, RUNNER
from orchestrator.interfaces.cli.grammar import GLOBALS, Call, Command, Group, Option
from orchestrator.interfaces.cli.reader import read

Path = tuple[tuple[str, ...], Command]


def commands(group: Group, path: tuple[tuple[str, ...], ...] = ()) -> list[Any]:
    """Every command with the words that lead to it, each word with its aliases."""
    found: list[Any] = []
    for node in group.nodes:
        here = (*path, (node.name, *node.aliases))
        found += commands(node, here) if isinstance(node, Group) else [(here, node)]
        if isinstance(node, Group) and node.default:
            default = node.find(node.default)
            found.append((here, default))
    return found


ALL = commands(BOARD)

good_words = st.sampled_from(["build", "299833bc", "5", "", "a b", "é", "-5", "- item", "x=1", "-"])
any_words = st.one_of(
    good_words,
    st.sampled_from(["--", "--help", "-h", "--json", "--no-such", "-x", "-n5", "-f", "--=", "---"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6),
)
values = st.sampled_from(["5", "-5", "abc", "a,b", "", "30m", "pending", "--json", "a,,b", "json"])


def spelled(option: Option, value: str, draw: Any) -> list[str]:
    flag = draw(st.sampled_from(option.flags))
    if option.flag:
        return [flag]
    return [f"{flag}={value}"] if draw(st.booleans()) else [flag, value]


@st.composite
def command_lines(draw: Any, words: Any = any_words) -> list[str]:
    """The words of some command, its options and the global ones among them, and arguments."""
    path, command = draw(st.sampled_from(ALL))
    lead = [draw(st.sampled_from(names)) for names in path]
    for _ in range(draw(st.integers(0, 2))):
        option = spelled(draw(st.sampled_from(GLOBALS)), draw(values), draw)
        at = draw(st.integers(0, len(lead)))
        lead[at:at] = option if at == 0 or not lead[at - 1].startswith("--") else []
    rest: list[str] = []
    for _ in range(draw(st.integers(0, 5))):
        if draw(st.booleans()):
            chosen = draw(st.sampled_from((*command.options, *GLOBALS)))
            rest += spelled(chosen, draw(values), draw)
        else:
            rest.append(draw(words))
    return lead + rest


def as_facts(call: Call) -> Any:
    return call.command.function, call.values, call.settings


@given(command_lines())
def test_what_the_reader_accepts_click_reads_the_same(line: list[str]) -> None:
    call = read(BOARD, line)
    if call is not None:
        other = parse(BOARD, line, "orc")
        assert isinstance(other, Call)
        assert as_facts(other) == as_facts(call)


@given(command_lines(words=good_words))
def test_what_click_accepts_without_help_the_reader_accepts_too(line: list[str]) -> None:
    try:
        call = parse(BOARD, line, "orc")
    except UsageError:
        call = None
    assert isinstance(read(BOARD, line), Call) == isinstance(call, Call)


def values_of(*words: str) -> dict[str, Any]:
    call = read(BOARD, words)
    assert call is not None
    return call.values


def test_global_options_stand_anywhere() -> None:
    for line in ("--json t next w", "t --json next w", "t next --json w", "t next w --json"):
        call = read(BOARD, line.split())
        assert call is not None
        assert call.settings.json
        assert call.values["workstream"] == "w"


def test_a_list_takes_commas_and_repetition() -> None:
    given_values = values_of("t", "add", "w", "T", "--needs", "a, b", "--needs=c")
    assert given_values["needs"] == ("a", "b", "c")
    assert values_of("t", "add", "w", "T")["needs"] is None
    assert values_of("t", "edit", "a", "--needs", "")["needs"] == ()


def test_a_number_or_markdown_that_begins_with_a_dash_is_a_word() -> None:
    assert values_of("kb", "write", "t", "- item\n- item")["content"] == ("- item\n- item",)
    assert values_of("kb", "write", "t", "--- \ntitle: x")["content"] == ("--- \ntitle: x",)
    assert values_of("t", "complete", "abc", "-5")["words"] == ("abc", "-5")


def test_behind_two_dashes_everything_is_a_word() -> None:
    assert values_of("kb", "write", "t", "--", "--json")["content"] == ("--json",)


def test_agent_chooses_in_listings_and_acts_elsewhere() -> None:
    listing = read(BOARD, ["t", "ls", "--agent", "ann"])
    acting = read(BOARD, ["t", "next", "--agent", "ann"])
    assert listing is not None
    assert acting is not None
    assert (listing.values["agent"], listing.settings.agent) == ("ann", None)
    assert (acting.values["agent"], acting.settings.agent) == (None, "ann")


def test_a_group_with_a_default_needs_no_command() -> None:
    assert values_of("events", "--last", "5")["last"] == 5
    assert values_of("e", "log", "deployed", "a=1")["facts"] == ("a=1",)
    assert values_of("import", "board.jsonl") == {"file": "board.jsonl", "dry_run": False}


def test_the_runner_alone_knows_only_its_own_commands() -> None:
    assert read(RUNNER, ["p", "--max", "3"]) is not None
    assert read(RUNNER, ["t", "next"]) is None


@pytest.mark.parametrize(
    "line", ["", "t", "t nxt", "t next --nope", "status --at x", "t next a b c"]
)
def test_a_line_that_needs_explaining_is_left_to_click(line: str) -> None:
    assert read(BOARD, line.split()) is None
