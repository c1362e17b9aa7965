"""``-`` is stdin for every text, once on a line; a long text may come from a file."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.reference import commands

from .conftest import CommandLine

ROOT = Path(__file__).parents[2]
TEXT = "The first line\n\n- ünd more"


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run of the test reads the same text, as a process of its own would."""

    class Again:
        @property
        def buffer(self) -> io.BytesIO:
            return io.BytesIO(f"{TEXT}\n".encode())

    monkeypatch.setattr(sys, "stdin", Again())


def added(cli: CommandLine, *words: str) -> str:
    return str(cli("t", "add", "w", "T", *words, "--json").json["id"])


@pytest.fixture(autouse=True)
def workstream(cli: CommandLine) -> None:
    cli("ws", "create", "w")


@pytest.mark.usefixtures("stdin")
def test_every_text_of_a_task_may_come_from_stdin(cli: CommandLine) -> None:
    task = added(cli)

    def shown(name: str) -> object:
        return cli("t", "show", task, "--json").json[name]

    assert cli("t", "edit", task, "--description", "-", "--json").json["description"] == TEXT
    assert cli("t", "edit", task, "--acceptance", "-", "--json").json["acceptance"] == TEXT
    assert cli("t", "add", "w", "-", "--json").json["title"] == TEXT
    assert cli("t", "add", "w", "T", "-", "--json").json["description"] == TEXT
    assert cli("add", "w", "T", "-", "--json").json["description"] == TEXT
    cli("t", "note", task, "-")
    assert shown("notes")[-1]["text"] == TEXT  # type: ignore[index]
    cli("t", "block", "w", task, "-")
    assert shown("reason") == TEXT
    cli("t", "unblock", task)
    cli("t", "claim", task, "ann")
    cli("t", "complete", task, "-", "--agent", "ann")
    assert shown("result") == TEXT


@pytest.mark.usefixtures("stdin")
def test_texts_of_other_nouns_too(cli: CommandLine) -> None:
    sent = cli("mail", "send", "ann", "-s", "Hi", "-m", "-", "--json", "--agent", "ben").json
    assert sent["body"] == TEXT
    session = cli("handoff", "-m", "-", "--json", "--agent", "ann").json
    assert session["note"] == TEXT
    decision = cli("decision", "add", "T", "--context", "-", "--json").json
    assert TEXT in decision["text"]
    cli("kb", "write", "k", "-")
    assert cli("kb", "read", "k").out.endswith(f"{TEXT}\n")
    cli("l", "acquire", "git", "ann")
    cli("l", "break", "git", "--reason", "-")
    assert cli("events", "--last", "1", "--json").json[0]["payload"]["reason"] == TEXT


@pytest.mark.usefixtures("stdin")
def test_a_dash_among_words_is_a_dash_and_names_are_not_texts(cli: CommandLine) -> None:
    task = added(cli)
    cli("t", "note", task, "a", "-", "b")
    assert cli("t", "show", task, "--json").json["notes"][-1]["text"] == "a - b"
    cli("kb", "write", "k", "-", "x")
    assert cli("kb", "read", "k").out.endswith("- x\n")
    assert "'-' cannot name" in cli("ws", "create", "-", status=2).err


@pytest.mark.usefixtures("stdin")
def test_stdin_is_read_once(cli: CommandLine) -> None:
    shown = cli("t", "add", "w", "T", "--description", "-", "--acceptance", "-", status=2)
    assert "stdin can be read once" in shown.err
    assert cli("t", "ls", "--json").json == []


def test_a_long_text_may_come_from_a_file(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "text.md"
    file.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    path = str(file)
    task = added(cli, "--file", path)
    assert cli("t", "show", task, "--json").json["description"] == TEXT
    file.write_text("Another")
    assert cli("t", "edit", task, "--file", path, "--json").json["description"] == "Another"
    cli("t", "note", task, "--file", path)
    cli("t", "claim", task, "ann")
    cli("done", task, "--file", path, "--agent", "ann")
    shown = cli("t", "show", task, "--json").json
    assert (shown["notes"][-1]["text"], shown["result"]) == ("Another", "Another")
    cli("mail", "send", "ann", "-s", "Hi", "--file", path, "--agent", "ben")
    cli("kb", "write", "k", "--file", path)
    twice = cli("t", "note", task, "text", "--file", path, status=2)
    assert "given twice" in twice.err
    missing = cli("t", "note", task, "--file", str(tmp_path / "none"), status=2)
    assert "cannot be read" in missing.err


def readers() -> list[tuple[str, ...]]:
    """A line of every command for each text, file and word of it that may be stdin."""
    lines: list[tuple[str, ...]] = [
        ("kb", "write", "k"),
        ("kb", "append", "k", "-"),
        ("t", "batch", "-"),
        ("import", "-"),
        ("import", "beads", "-"),
        ("f", "cook", "feature", "--vars-file", "-"),
        ("t", "note", "ID", "-"),
        ("t", "complete", "ID", "-"),
        ("mail", "send", "ann", "-s", "Hi", "-m", "-"),
    ]
    for path, command in commands():
        needed = [argument.name for argument in command.arguments if argument.required]
        for option in command.options:
            if isinstance(option.type, (types.FreeText, types.TextFile)):
                lines.append((*path.split(), *("1" for _ in needed), option.opts[0], "-"))
    return lines


@pytest.mark.parametrize("words", readers(), ids=" ".join)
def test_a_closed_stdin_is_a_clear_error_for_every_command_that_reads_it(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    task = added(cli)
    monkeypatch.setattr(sys, "stdin", None)
    line = [task if word == "ID" else word for word in words]
    before = cli("status", "--json").json["event"]
    shown = cli(*line, "--json", status=2)
    assert shown.error["message"] == "stdin is closed"
    assert cli("status", "--json").json["event"] == before


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell closes it")
def test_a_process_without_stdin(tmp_path: Path) -> None:
    script = f"{sys.executable} {ROOT / 'cli.py'} --board b kb write k 0<&-"
    ended = subprocess.run(
        script, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("Error: stdin is closed\n")
