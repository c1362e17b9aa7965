"""The log: sentences for people, the original's lines for programs, exact times on request."""

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
    assert re.fullmatch(r"now system created the workstream w\n", shown)


def test_a_listing_reports_what_it_leaves_out(cli: CommandLine):
    cli("ws", "create", "w")
    for number in range(24):
        cli("t", "add", "w", f"T{number}")
    rest = ": --last N or --all shows more"
    assert cli("log").lines[-1] == f"The last 20 of 25 events{rest}"
    assert len(cli("log", "--last", "3").lines) == 3, "who asks for three knows it"
    assert cli("log", "--type", "task.*").lines[-1] == f"The last 20 such events{rest}"
    assert len(cli("log").lines) == 21
    for whole in (("--all",), ("--last", "25"), ("--since", "20"), ("--type", "workstream.*")):
        assert "--all" not in cli("log", *whole).out
    assert len(cli("log", "--all").lines) == 25
    assert len(cli("events").lines) == len(cli("log", "--json").json) == 20


@pytest.mark.needs("pty")
def test_a_line_of_the_log_stays_a_line_at_a_terminal(cli: CommandLine, tmp_path: Path):
    cli("ws", "create", "w")
    cli("t", "add", "w", "A title of many words " * 6)
    for words in (("log",), ("events",), ("status",)):
        shown = at_terminal(tmp_path / "board", *words, columns=80).splitlines()
        assert max(map(len, shown)) <= 80
        assert any(line.endswith("…") for line in shown)


def test_a_damaged_log_is_warned_of_once(cli: CommandLine, tmp_path: Path):
    cli("ws", "create", "w")
    cli("t", "add", "w", "T")
    log = tmp_path / "board" / "state" / "events.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"T"', b'"U"'))
    (tmp_path / "board" / "state" / "state.json").unlink()
    for page in ("ls", "t ls", "board", "status", "t ready"):
        assert cli(*page.split(), status=None).err.count("is shown as it was") <= 1
    assert cli("ls").err.count("is shown as it was") == 1


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


def test_an_edit_of_checks_names_what_changed_and_why(cli: CommandLine) -> None:
    cli("ws", "create", "w")
    task = cli("t", "add", "w", "Tokenizer", "--artifact", "a.py", "--json").json["id"]
    cli("t", "edit", task, "--artifact", "b.py", "--reason", "It moved", "--agent", "ann")
    shown = cli("log", "--type", "task.edited").out
    assert f"ann changed {task} Tokenizer: artifacts a.py -> b.py (because: It moved)" in shown
