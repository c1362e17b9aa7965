"""Saved questions: stored in config.toml, asked by name, listed by prime; they may not change the board."""

import tomllib
from pathlib import Path

import pytest

from .conftest import CommandLine


@pytest.fixture
def config(cli: CommandLine, tmp_path: Path) -> Path:
    """The settings of a board with an urgent task and another one."""
    cli("ws", "create", "w")
    cli("t", "add", "w", "Now", "--priority", "1")
    cli("t", "add", "w", "Later")
    return tmp_path / "board" / "config.toml"


@pytest.mark.usefixtures("config")
def test_a_question_is_asked_by_its_name_with_its_options(cli: CommandLine) -> None:
    assert cli("saved").out == "No questions are saved.\n"
    words = ("t", "ls", "--where", "priority <= 2 and title = 'now'")
    saved = cli("saved", "add", "urgent", "--", *words)
    question = """t ls --where 'priority <= 2 and title = '"'"'now'"'"''"""
    assert saved.out == f"Saved: urgent: {question}\n"
    assert cli("saved", "urgent").out == cli(*words).out
    assert cli("saved", "ask", "urgent", "--json").json == cli(*words, "--json").json
    assert cli("saved", "list", "--json").json == {"urgent": {"question": question, "prime": False}}
    again = cli("saved", "add", "urgent", "--", *words)
    assert again.out == saved.out
    assert cli("saved", "add", "urgent", "--", "ls", status=1).err.startswith(
        "Error: There is a saved question urgent already"
    )
    cli("saved", "rm", "urgent")
    assert "no saved question 'urgent'" in cli("saved", "urgent", status=1).err
    assert "no saved question 'urgent'" in cli("saved", "remove", "urgent", status=1).err


@pytest.mark.usefixtures("config")
def test_the_exit_status_is_that_of_the_question(cli: CommandLine) -> None:
    cli("saved", "add", "flaws", "--", "t", "lint")
    assert cli("saved", "flaws", status=1).out == cli("t", "lint", status=1).out


def test_what_people_wrote_stays_as_it_is(cli: CommandLine, config: Path) -> None:
    ours = '# where tasks go\nworkstream = "w"   # usual\n'
    config.write_text(ours)
    cli("saved", "add", "open", "--prime", "--", "ls", "--open")
    written = config.read_text()
    assert written.startswith(ours)
    saved = {"open": {"question": "ls --open", "prime": True}}
    assert tomllib.loads(written) == {"workstream": "w", "saved": saved}
    cli("saved", "add", "mine", "--", "ls", "--mine")
    cli("saved", "remove", "open")
    assert tomllib.loads(config.read_text())["saved"] == {"mine": {"question": "ls --mine"}}
    cli("saved", "remove", "mine")
    assert config.read_text().rstrip() == ours.rstrip()


def test_questions_may_be_written_by_hand(cli: CommandLine, config: Path) -> None:
    config.write_text('saved.first = {question = "ls --limit 1", prime = true}\n')
    assert len(cli("saved", "first").lines) == 3
    cli("saved", "add", "all", "--", "ls")
    assert {*cli("saved", "list", "--json").json} == {"first", "all"}
    config.write_text('[saved.bad]\nquestion = "ls \'"\n')
    assert "cannot be read: No closing quotation" in cli("saved", "bad", status=2).err
    config.write_text("[saved.bad]\nquestion = 5\n")
    assert "config.toml cannot be used: saved.bad: " in cli("saved", "list", status=2).err
    config.write_text('[saved.good]\nquestion = "ls"\n[saved.bad]\nqestion = "ls"\n')
    assert "saved.bad: Object contains unknown field" in cli("saved", "list", status=2).err


@pytest.mark.parametrize(
    "words",
    [
        "t add w X",
        "add X",
        "next",
        "done ID result",
        "saved remove x",
        "mail check",
        "plan",
        "doctor --fix",
        "nonsense",
        "t ls --nonsense",
        "ls --board other",
        "saved other",
        "ls --help",
        "report --output out.md",
        "export file out.jsonl",
        "export beads out.jsonl",
        "export backlog out",
        "index build",
        "index drop",
        "setup claude",
    ],
)
def test_only_what_reads_is_saved_or_asked(
    cli: CommandLine,
    config: Path,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    events = cli("events", "--json").json
    cli("saved", "add", "x", "--", *words.split(), status=2)
    assert not config.exists()
    config.write_text(f'[saved.x]\nquestion = "{words}"\n')
    if words not in ("ls --board other", "ls --help"):
        cli("saved", "x", "--agent", "ann", status=2)
    assert cli("events", "--json").json == events
    assert not [*tmp_path.glob("out*")]


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize("name", ["list", "add", "../x", "", "-x"])
def test_a_name_is_no_command_of_the_group_and_a_name(cli: CommandLine, name: str) -> None:
    cli("saved", "add", name, "--", "ls", status=2)


def test_prime_lists_marked_questions_as_data(cli: CommandLine, config: Path) -> None:
    cli("saved", "add", "urgent", "--prime", "--", "ls", "--text", "a\nb")
    cli("saved", "add", "other", "--", "ls")
    shown = cli("prime", "--agent", "ann").out
    assert "## Saved questions\n\n`orc --agent ann saved urgent`\n> ls --text 'a" in shown
    assert "saved other" not in shown
    config.write_text("[saved")
    assert "Saved questions" not in cli("prime", "--agent", "ann").out
