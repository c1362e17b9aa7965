"""Names from the file system may contain anything: they are printed escaped, and no command fails."""

import os
from pathlib import Path

import pytest

from .conftest import CommandLine

pytestmark = pytest.mark.needs("bytes")

NAMES = (b"bad\xffname", b"esc\x1b[31mname", b"two\nlines", b"turned\xe2\x80\xaeemit")
FOLDERS = {
    "knowledge": b".md",
    "knowledge/sub": b".md",
    "knowledge/decisions": b".md",
    "formulas": b".formula.toml",
    "queries": b".toml",
    "state/presence": b"",
    "state/presence/waiting": b"",
    "state/presence/serving": b"",
    "state/cursors": b"",
    "state/quarantine": b"",
    "state/backups": b"",
}


@pytest.fixture
def odd_board(cli: CommandLine, tmp_path: Path) -> Path:
    """A board with files of every kind of odd name in its folders."""
    cli("ws", "create", "w")
    cli("kb", "write", "good", "text", "--agent", "ann")
    board = tmp_path / "board"
    for folder, ending in FOLDERS.items():
        (board / folder).mkdir(parents=True, exist_ok=True)
        for name in NAMES:
            with open(os.fsencode(board / folder) + b"/" + name + ending, "wb") as file:
                file.write(b"text\n")
    return board


@pytest.mark.usefixtures("odd_board")
@pytest.mark.parametrize(
    "line",
    [
        *("status", "kb ls", "kb search text", "kb read good", "decision list", "formula list"),
        *("a ls", "whoami --agent ann", "doctor", "doctor --fix", "prime ann", "next --agent ann"),
        *("plan --format markdown", "collect", "log", "stats", "metrics", "report"),
        *("kb read bad", "formula show bad", "formula validate", "export beads -", "dispatch"),
    ],
)
def test_odd_names_are_shown_escaped(cli: CommandLine, line: str):
    shown = cli(*line.split(), status=None)
    for text in (shown.out, shown.err):
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "two\n" not in text


@pytest.mark.usefixtures("odd_board")
@pytest.mark.parametrize(
    "words", ["kb read", "formula show", "a whoami", "decision show", "--agent"]
)
def test_a_shell_is_offered_names_that_can_be_typed(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, words: str
):
    line = f"orc {words} "
    monkeypatch.setenv("_ORC_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split())))
    offered = cli().out
    assert all(text.isprintable() for text in offered.splitlines())
    assert not any(odd in offered for odd in ("bad", "esc", "two", "turned"))


@pytest.mark.usefixtures("odd_board")
def test_prime_names_a_topic_that_can_be_read(cli: CommandLine):
    assert "`orc --agent ann kb read good` shows that one." in cli("prime", "ann").out
