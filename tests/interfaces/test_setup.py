"""``orc setup`` and ``onboard`` as people type them."""

import json
from pathlib import Path

import pytest

from orchestrator.integrations.clients.onboarding import block

from .conftest import CommandLine


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of a test, with a home and without clients."""
    folder = tmp_path / "project"
    for name in ("project", "home"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(folder)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "data"))
    for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "GEMINI_CLI_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    return folder


def test_without_a_name_what_is_installed_is_offered(
    cli: CommandLine, project: Path, tmp_path: Path
) -> None:
    assert cli("setup").out.startswith("No client was found. `orc setup NAME` sets one up: claude,")
    (tmp_path / "home" / ".codex").mkdir()
    assert cli("setup").out == "Codex (the folder ~/.codex): `orc setup codex`\n"
    assert "`orc setup codex --user`" in cli("setup", "--user").out
    assert [*project.iterdir()] == []
    cli("setup", "codex")
    assert cli("setup").out == "Codex (the folder ~/.codex): is set up\n"
    assert "`orc setup codex --user`" in cli("setup", "--user").out


@pytest.mark.parametrize("option", ["--check", "--remove", "--print", "--dry-run"])
def test_an_option_without_a_name_is_refused(cli: CommandLine, project: Path, option: str) -> None:
    """A check of nothing must not pass."""
    assert "No client is named" in cli("setup", option, status=2).err


def test_the_status_of_check_is_whether_all_is_there(cli: CommandLine, project: Path) -> None:
    assert "Would create .mcp.json" in cli("setup", "claude", "--check", status=1).out
    assert [*project.iterdir()] == []
    cli("setup", "claude")
    assert cli("setup", "claude", "--check").out == "All is set up.\n"
    (project / ".mcp.json").write_text("{}")
    assert '+  "mcpServers"' in cli("setup", "claude", "--check", status=1).out


def test_a_path_of_this_machine_in_the_files_of_a_project_is_mentioned(
    cli: CommandLine, project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "`orc` is not in PATH" in cli("setup", "claude").err
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "orc").write_text("")
    (tmp_path / "bin" / "orc").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert cli("setup", "claude").err == ""
    assert "orc prime --hook claude" in (project / ".claude" / "settings.json").read_text()


def test_a_rehearsal_and_print_change_nothing(cli: CommandLine, project: Path) -> None:
    assert "Would create .codex/config.toml" in cli("setup", "codex", "--dry-run").out
    assert "# .codex/config.toml\n[mcp_servers.orc]\n" in cli("setup", "codex", "--print").out
    assert [*project.iterdir()] == []


def test_a_second_removal_has_nothing_to_do(cli: CommandLine, project: Path) -> None:
    cli("setup", "all")
    cli("setup", "all", "--remove")
    assert cli("setup", "all", "--remove").out == "Nothing is set up here.\n"
    assert [*project.iterdir()] == []


def test_a_setup_for_the_user_is_in_the_home(
    cli: CommandLine, project: Path, tmp_path: Path
) -> None:
    cli("setup", "gemini", "--user")
    assert [*project.iterdir()] == []
    settings = json.loads((tmp_path / "home" / ".gemini" / "settings.json").read_text())
    assert settings["mcpServers"]["orc"]["args"] == ["mcp", "--client", "gemini"]


def test_a_named_board_is_in_every_call(cli: CommandLine, project: Path, tmp_path: Path) -> None:
    cli("setup", "claude", "--board", str(tmp_path / "board"))
    text = (project / ".claude" / "settings.json").read_text()
    assert text.count(f"--board {tmp_path / 'board'} ") == 5


@pytest.mark.parametrize(
    "words",
    [("claude", "--project", "--user"), ("claude", "--check", "--remove"), ("emacs",)],
)
def test_what_contradicts_itself_is_refused(
    cli: CommandLine, project: Path, words: tuple[str, ...]
) -> None:
    cli("setup", *words, status=2)
    assert [*project.iterdir()] == []


def test_a_damaged_file_is_named(cli: CommandLine, project: Path) -> None:
    (project / ".mcp.json").write_text("{oops")
    error = cli("setup", "claude", status=2).err
    assert ".mcp.json: line 1, column 2: this is not JSON" in error
    assert "Nothing was changed" in error
    assert [path.name for path in project.iterdir()] == [".mcp.json"]


def test_onboard_prints_the_block_alone(cli: CommandLine) -> None:
    assert cli("onboard").out == block()
