"""Words of other tools work, or the error suggests the right line; suggestions never mislead."""

import re
import shlex
import subprocess
import sys

import click
import pytest

from orchestrator.core.errors import UsageError
from orchestrator.interfaces.cli import habits, leading
from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.groups import Command, Group
from orchestrator.interfaces.cli.reference import commands

from .conftest import CommandLine
from .reading import read

ALL = dict(commands())
GROUPS = [BOARD, *BOARD.groups]


@pytest.mark.parametrize(
    ("habit", "meant"),
    [
        ("list", "ls"),
        ("tasks", "ls"),
        ("locks", "lock ls"),
        ("history", "log"),
        ("info", "status"),
        ("create T", "add T"),
        ("new T", "add T"),
        ("start 299833bc ann", "claim 299833bc ann"),
        ("update 299833bc --title T", "task edit 299833bc --title T"),
        ("view 299833bc", "show 299833bc"),
        ("close", "done"),
        ("complete 299833bc", "task complete 299833bc"),
        ("approve 299833bc", "task approve 299833bc"),
        ("send ann Hello", "mail send ann Hello"),
        ("inbox", "mail inbox"),
        ("t help next", "help task next"),
        ("t update 299833bc --title T", "t edit 299833bc --title T"),
        ("t start 299833bc", "t claim 299833bc"),
        ("t take 299833bc", "t claim 299833bc"),
        ("t get 299833bc", "t show 299833bc"),
        ("t view 299833bc", "t show 299833bc"),
        ("t comment 299833bc text", "t note 299833bc text"),
        ("t close 299833bc", "t complete 299833bc"),
        ("t finish 299833bc", "t complete 299833bc"),
        ("t create w T", "t add w T"),
        ("t new w T", "t add w T"),
        ("kb get a", "kb read a"),
        ("kb show a", "kb read a"),
        ("kb cat a", "kb read a"),
        ("kb set a text", "kb write a text"),
        ("kb add a text", "kb append a text"),
        ("kb rm a", "kb delete a"),
        ("mail ls", "mail inbox"),
        ("ws add w", "ws create w"),
        ("a add ann", "a register ann"),
        ("lock git", "lock acquire git"),
        ("add T -p 1 -d text -l a,b", "add T --priority 1 --description text --labels a,b"),
        ("add T -p1", "add T --priority=1"),
        ("t add w --title T", "t add w T"),
        ("add T --ws w", "add w T"),
        ("add T --depends-on a --ac text", "add T --needs a --acceptance text"),
        ("t ls -s done", "t ls --status done"),
        ("t ls --assignee ann", "t ls --agent ann"),
        ("t next --workstream w", "t next w"),
        ("t claim --id 299833bc --as ann", "t claim 299833bc --agent ann"),
        ("t note 299833bc --text text", "t note 299833bc text"),
        ("t complete 299833bc -m text", "t complete 299833bc --result text"),
        ("t fail 299833bc --message text", "t fail 299833bc --reason text"),
        ("log --limit 5", "log --last 5"),
        ("log --tail=5", "log --last 5"),
        ("mail send --to ann --subject S --body B", "mail send ann -s S -m B"),
        ("mail send ann -s S -b B", "mail send ann -s S -m B"),
    ],
)
def test_a_habit_means_what_it_means_here(habit: str, meant: str) -> None:
    mine, plain = read(habit.split()), read(meant.split())
    assert mine.command is plain.command
    assert mine.values == plain.values
    assert mine.settings == plain.settings


def test_mail_takes_subject_and_text_by_their_places(cli: CommandLine) -> None:
    for line in (
        ["mail", "send", "ann", "Hello", "The text"],
        ["say", "ann", "-s", "Hello", "The text"],
        ["mail", "send", "--to", "ann", "--subject", "Hello", "--body", "The text"],
    ):
        sent = cli(*line, "--agent", "bob", "--json").json
        assert (sent["to"], sent["subject"], sent["body"]) == (["ann"], "Hello", "The text")
    number = str(sent["id"])
    assert (
        cli("mail", "reply", number, "Thanks", "--agent", "ann", "--json").json["body"] == "Thanks"
    )


@pytest.mark.parametrize(
    ("word", "number"),
    [("P0", 0), ("p1", 1), ("P4", 4), ("high", 1), ("Urgent", 0), ("medium", 5), ("low", 9)],
)
def test_a_word_for_a_priority_is_its_number(word: str, number: int) -> None:
    assert read(["add", "T", "--priority", word]).values["priority"] == number
    assert read(["ws", "create", "w", "What", word]).values["number"] == number


@pytest.mark.parametrize("word", ["P", "Px", "p99999", "soon"])
def test_other_words_are_not_priority(word: str) -> None:
    with pytest.raises(click.UsageError, match="is not a whole number"):
        read(["add", "T", "--priority", word])


def test_a_word_for_a_status_is_the_status() -> None:
    assert read(["t", "ls", "--status", "todo,completed"]).values["status"] == ("pending", "done")
    with pytest.raises(click.UsageError, match="is not one of"):
        read(["t", "ls", "--status", "nowhere"])


LED = [
    ("nxt", "orc next"),
    ("t nxt 'a b'", "orc t next 'a b'"),
    ("t edti 299833bc", "orc t edit 299833bc"),
    ("t plan --max 3", "orc plan --max 3"),
    ("acquire git ann", "orc l acquire git ann"),
    ("t search parser", "orc search --in task parser"),
    ("kb claim 299833bc", "orc claim 299833bc"),
    ("mail 17", "orc m read 17"),
    ("t edit 299833bc --status done", "orc t complete 299833bc"),
    ("t update 299833bc --status=closed", "orc t complete 299833bc"),
    ("t edit 299833bc --status in_progress", "orc claim 299833bc"),
    ("update 299833bc --claim", "orc claim 299833bc"),
    ("t edit 299833bc --assignee ann", "orc sling 299833bc ann"),
    ("t add w T --claim", "orc claim ID"),
    ("t add w T --assignee ann", "orc sling ID ann"),
    ("t add 'Write the parser'", "orc add 'Write the parser'"),
    ("t next bob", "orc t next --agent bob"),
    ("t ls bob", "--agent bob"),
    ("t ready bob", "orc ready --agent bob"),
    ("mail list", "mail inbox"),
    ("log deployed service=api", "orc e log deployed service=api"),
    ("events deployed", "orc e log deployed"),
    ("add Write the parser", "orc add 'Write the parser'"),
    ("t add Write the parser", "orc add 'Write the parser'"),
]


@pytest.mark.parametrize(("line", "meant"), LED)
def test_a_wrong_line_is_answered_with_the_line_that_was_meant(
    cli: CommandLine, line: str, meant: str
) -> None:
    cli("ws", "create", "w")
    shown = cli(*shlex.split(line), status=None)
    assert shown.status != 0
    assert re.search(rf"^Hint: .*`[^`]*{re.escape(meant)}`", shown.err, re.MULTILINE), shown.err


def test_a_word_that_names_a_thing_leads_to_what_shows_it(cli: CommandLine) -> None:
    task = cli("add", "T", "--json").json["id"]
    cli("kb", "write", "plan", "Text")
    for line, meant in (
        ([task], f"orc show {task}"),
        (["t", task], f"orc show {task}"),
        (["kb", "plan"], "orc kb read plan"),
        (["ws", "main"], "orc ws show main"),
    ):
        assert f"Did you mean `{meant}`?" in cli(*line, status=2).err


def test_the_line_that_was_meant_names_who_acts(cli: CommandLine) -> None:
    assert "`orc --agent ann next 'a b'`" in cli("--agent", "ann", "nxt", "a b", status=2).err


@pytest.mark.parametrize(
    ("line", "misleading"),
    [
        ("t edit 299833bc --status done", "--estimate"),
        ("t add w T --claim", "--name"),
        ("mail send ann --nowhere", "--json"),
        ("t ls --whatever", "--"),
        ("frobnicate", "Did you mean"),
        ("t frobnicate", "Did you mean"),
        ("t next --nope", "Did you mean"),
        ("t ls nowhere --agent ann", "an agent"),
        ("t add nowhere Title", "an agent"),
    ],
)
def test_what_is_far_off_is_not_suggested(cli: CommandLine, line: str, misleading: str) -> None:
    shown = cli(*line.split(), status=None).err.replace("--help", "")
    assert misleading not in shown.partition("Hint:")[2]


def test_an_option_with_a_slip_is_named_right(cli: CommandLine) -> None:
    assert "Did you mean `--status`?" in cli("t", "ls", "--stauts", "done", status=2).err


def test_an_error_before_the_command_is_json_too(cli: CommandLine) -> None:
    error = cli("t", "edit", "299833bc", "--status", "done", "--json", status=2).error
    assert error["message"] == "No such option: --status"
    assert error["hint"] == "`orc t complete 299833bc` does that."


def lines_typed_first() -> list[str]:
    """The first attempts of people and models, by group."""
    first = {
        "": "add ls list next ready show claim tasks locks help version whoami log history search plan brief"
        " unlock create info config",
        "t": "update start take get view comment close finish delete search create new help",
        "kb": "get show cat set add",
        "mail": "ls list",
        "ws": "add",
        "lock": "git",
    }
    lines = [f"{group} {word}".strip() for group, words in first.items() for word in words.split()]
    adds = "-p 1|-d text|-l a|--claim|--assignee ann|--priority P1|--priority high"
    lists = "-s done|--limit 5|--sort age|--all|--open|--mine|--assignee ann|--tail 5"
    lines += [f"add T {option}" for option in adds.split("|")]
    lines += [f"t ls {option}" for option in lists.split("|")]
    lines += ["mail send --to ann", "mail send ann --subject S", "mail send ann --body B"]
    return [*lines, "mail send ann -b B", "add T --due tomorrow", "add T --estimate 5min"]


@pytest.mark.parametrize("line", lines_typed_first())
def test_what_is_typed_first_works_or_is_led(cli: CommandLine, line: str) -> None:
    """A record may be missing; but for every unknown word or option the error suggests a line."""
    cli("add", "T")
    shown = cli("--agent", "ann", *line.split(), status=None)
    unknown = re.search("No such (command|option)|is not a (duration|time|whole)", shown.err)
    assert not unknown or re.search("Did you mean `|` does that", shown.err), shown.err


# The tables


def test_every_word_of_the_tables_means_a_command_somewhere() -> None:
    for word, meant in habits.spread(habits.COMMANDS).items():
        takers = [group for group in GROUPS if group.get_command(None, word) is None]
        assert any(group.get_command(None, m) for group in takers for m in meant.split()), word
    for path in (*habits.ELSEWHERE.values(), *habits.COMMANDS_MEANT.values()):
        assert command_at(path.partition(" --")[0]), path
    assert {*habits.MISSING_MEANT, *habits.EXTRA_MEANT, *habits.EXTRA_MEANT.values()} <= ALL.keys()


def command_at(path: str) -> click.Command | None:
    node: click.Command | None = BOARD
    for word in path.split():
        node = node.get_command(None, word) if isinstance(node, Group) else node
    return node


def test_every_option_of_the_tables_means_one_that_a_command_has() -> None:
    flags = {flag for command in ALL.values() for option in command.options for flag in option.opts}
    for meant in habits.OPTIONS.values():
        assert {*meant.split()} <= flags | {"--agent"}


def test_what_is_answered_is_not_declared() -> None:
    """An option that exists now is parsed, and no longer answered with a suggestion."""
    for known, template in habits.OPTIONS_MEANT.items():
        path, flag, *_ = re.split(r" (?=--)| (?=\w+$)", known)
        command = ALL[path]
        assert flag.partition(" ")[0] not in [f for option in command.options for f in option.opts]
        line = template.format(words="299833bc", value="ann")
        assert isinstance(read(shlex.split(line)).command, Command)
    for known in habits.COMMANDS_MEANT:
        *group, word = known.split()
        assert word not in dict.fromkeys(
            name
            for node in [command_at(" ".join(group))]
            for name in node.list_commands(None)  # type: ignore[union-attr]
        )


def test_what_is_typed_right_loads_no_table(cli: CommandLine) -> None:
    program = """
import sys
from orchestrator.interfaces.cli.main import main
main(["t", "next", "--agent", "ann"])
loaded = {name.rpartition(".")[2] for name in sys.modules}
print({"habits", "leading", "difflib"} & loaded)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "set()"


def test_a_line_is_refused_with_a_usage_error_whatever_the_words() -> None:
    with pytest.raises(UsageError):
        leading.command_of(BOARD, click.Context(BOARD, obj=read(["status"])), ["x" * 50])
