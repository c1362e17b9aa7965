"""What happened: sentences for people, the original's lines for programs, exact times on request."""

import re
from pathlib import Path

import pytest

from .conftest import CommandLine
from .terminal import at_terminal

ORIGINAL = re.compile(r"\[\d\d:\d\d:\d\d\] system: workstream\.created \{workstream=w\}\n")
SENTENCE = re.compile(r"\d\d:\d\d system created the workstream w\n")


def test_events_in_a_pipe_prints_the_lines_of_the_original(cli: CommandLine):
    cli("ws", "create", "w")
    assert ORIGINAL.fullmatch(cli("events").out)


def test_log_prints_sentences_also_in_a_pipe(cli: CommandLine):
    cli("ws", "create", "w")
    assert SENTENCE.fullmatch(cli("log").out)
    assert cli("log", "--json").json == cli("events", "--json").json


@pytest.mark.parametrize("word", ["log", "events"])
def test_utc_gives_exact_times(cli: CommandLine, word: str):
    cli("ws", "create", "w")
    moment = cli("events", "--json").json[0]["ts"]
    assert cli(word, "--utc").out == f"{moment} system created the workstream w\n"


@pytest.mark.needs("pty")
@pytest.mark.parametrize("word", ["log", "events"])
def test_a_terminal_shows_sentences_and_how_long_ago_it_was(
    cli: CommandLine, tmp_path: Path, word: str
):
    cli("ws", "create", "w")
    shown = at_terminal(tmp_path / "board", word)
    assert re.fullmatch(r"\d+ min ago system created the workstream w\n", shown)


def test_an_event_of_another_day_shows_its_date(cli: CommandLine, tmp_path: Path):
    board = tmp_path / "board" / "state"
    board.mkdir(parents=True, exist_ok=True)
    golden = Path(__file__).parents[1] / "golden" / "events.jsonl"
    (board / "events.jsonl").write_bytes(golden.read_bytes())
    for line in cli("log", "--last", "1000").lines:
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d ", line)


def test_log_shows_what_status_and_show_tell_and_escapes_it(cli: CommandLine):
    cli("ws", "create", "w")
    task = cli("t", "add", "w", "red \x1b[31m", "--json").json["id"]
    sentence = f"added {task} red \\x1b[31m to w"
    assert cli("log").lines[-1].endswith(f" system {sentence}")
    assert f" system {sentence}\n" in cli("status").out
    assert cli("t", "show", task).lines[-1].endswith(" system added it to w")
