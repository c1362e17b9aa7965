"""``orc dashboard`` and ``orc board --watch``: when they run, and what they need."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.interfaces.cli import dashboard


@pytest.mark.parametrize("words", [("dashboard",), ("board", "--watch")])
def test_without_the_extra_the_remedy_is_named(
    cli: Any, monkeypatch: pytest.MonkeyPatch, words: tuple
):
    monkeypatch.setattr(dashboard, "find_spec", lambda name: None)
    shown = cli("ws", "create", "build")
    shown = cli(*words, status=2)
    assert "The extra tui is not installed" in shown.err
    assert "pip install 'agent-orchestrator[tui]'" in shown.err
    assert "dashboard --lines" in shown.err


def test_without_a_terminal_and_with_json_it_is_refused(cli: Any):
    assert "needs a terminal" in cli("dashboard", status=2).err
    assert "has no JSON" in cli("--json", "dashboard", status=2).err


def test_a_workstream_must_be_there(cli: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", "dumb")
    assert "no workstream" in cli("dashboard", "none", status=1).err


def test_it_makes_no_board(cli: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("TERM", "dumb")
    cli("--board", str(tmp_path / "none"), "dashboard", status=3)
    assert not (tmp_path / "none").exists()


def test_without_a_name_the_user_of_the_machine_acts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("getpass.getuser", lambda: "Kim Lee")
    with pytest.raises(dashboard.UsageError, match="who you are") as error:
        dashboard._user()
    assert "--agent NAME" in error.value.hint
    monkeypatch.setattr("getpass.getuser", lambda: "kim")
    assert dashboard._user() == "kim"


def test_other_commands_load_neither_textual_nor_rich():
    """Not even the command line of the dashboard, or its lines."""
    code = (
        "import sys; from orchestrator.interfaces.cli.main import main; main(['board', '--help']);"
        " import orchestrator.interfaces.cli.dashboard, orchestrator.interfaces.tui.line_mode;"
        " sys.exit(bool({'textual', 'rich'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
