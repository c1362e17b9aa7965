"""``-`` is stdin for every text, once on a line; a long text may come from a file."""

import io
import os
import socket
import subprocess
import sys
from collections.abc import Callable
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


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _socket(path: Path) -> None:
    # The path of a socket is short, so it is bound from its folder.
    folder = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(folder)


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def file_readers() -> list[tuple[str, ...]]:
    """A line of every command that reads a file which it names, ``-`` in place of the file."""
    lines = [line for line in readers() if line[-2] != "--reason"]
    named = [line for line in lines if line[0] in ("import", "f") or line[1] == "batch"]
    return named + [line for line in lines if line[-2] == "--file"]


@pytest.mark.skipif(os.name == "nt", reason="kinds of files that POSIX has")
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, _endless, _socket, _huge])
@pytest.mark.parametrize("words", file_readers(), ids=" ".join)
def test_what_is_no_file_or_never_ends_is_a_clear_error_for_every_command_that_reads_one(
    cli: CommandLine, tmp_path: Path, words: tuple[str, ...], make: Callable[[Path], object]
) -> None:
    """A fifo was waited for, and /dev/zero filled the memory."""
    odd = tmp_path / "odd"
    make(odd)
    before = cli("status", "--json").json["event"]
    shown = cli(*(str(odd) if word == "-" else word for word in words), "--json", status=None)
    assert shown.status in (1, 2)
    assert shown.error["code"] in ("not_a_file", "symlink", "bad_input", "usage", "file_not_found")
    assert str(odd) in shown.error["message"] or "longer than" in shown.error["message"]
    assert cli("status", "--json").json["event"] == before


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell")
@pytest.mark.parametrize("words", ["t note {} --file <(echo one)", "t note {} --file /dev/stdin"])
def test_the_output_of_a_command_is_a_file(cli: CommandLine, tmp_path: Path, words: str) -> None:
    task = added(cli)
    line = f"echo one | {sys.executable} {ROOT / 'cli.py'} {words.format(task)}"
    subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True)
    assert cli("t", "show", task, "--json").json["notes"][-1]["text"].strip() == "one"


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell")
def test_what_comes_without_an_end_is_refused(cli: CommandLine, tmp_path: Path) -> None:
    task = added(cli)
    for words in (f"t note {task} -", f"t note {task} --file <(cat /dev/zero)", "import -"):
        line = f"{sys.executable} {ROOT / 'cli.py'} {words} < /dev/zero"
        ended = subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (ended.returncode, ended.stdout) == (2, "")
        assert "longer than" in ended.stderr


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell closes it")
def test_a_process_without_stdin(tmp_path: Path) -> None:
    script = f"{sys.executable} {ROOT / 'cli.py'} --board b kb write k 0<&-"
    ended = subprocess.run(
        script, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("Error: stdin is closed\n")
