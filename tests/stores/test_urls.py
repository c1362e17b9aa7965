"""A board is opened by its path or by a URL."""

from pathlib import Path

import pytest

from orchestrator import Orchestrator, UsageError, stores
from orchestrator.interfaces.cli.main import main
from orchestrator.interfaces.cli.run import Run


def test_a_path_and_a_file_url_open_the_same_board(tmp_path: Path):
    folder = tmp_path / "a board"
    with Orchestrator.open(folder) as orc:
        orc.workstreams.create("build")
    with Orchestrator.open(folder.as_uri()) as orc:
        assert orc.folder == str(folder)
        assert list(orc.engine.read().workstreams) == ["build"]


def test_a_board_in_memory_has_no_folder_and_is_new_each_time():
    with Orchestrator.open("memory:") as orc:
        orc.workstreams.create("build")
        orc.knowledge.write("plan", "text")
        assert orc.folder is None
        assert orc.knowledge.read("plan") == "text"
    with Orchestrator.open("memory:") as orc:
        assert not orc.engine.read().workstreams


@pytest.mark.parametrize("url", ["mysql://db/board", "https://example.com", "mem://x"])
def test_another_scheme_is_refused_and_those_that_exist_are_named(url: str):
    with pytest.raises(UsageError, match="no store has the scheme") as caught:
        Orchestrator.open(url)
    assert "memory:" in caught.value.hint
    assert "file:///" in caught.value.hint


@pytest.mark.parametrize("url", ["file://elsewhere/board", "file:", "file://"])
def test_a_file_url_names_a_path_on_this_machine(url: str):
    with pytest.raises(UsageError, match="not a path on this machine"):
        stores.parse(url)


@pytest.mark.parametrize("path", ["board", "/tmp/board", "a:b", r"C:\board", "./x:y//z", None])
def test_everything_else_is_a_path(path: str | None):
    assert stores.parse(path) == ("file", path)


def test_the_variable_takes_a_url_as_the_argument_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORCHESTRATOR_DIR", (tmp_path / "a board").as_uri())
    with Orchestrator.open() as orc:
        assert orc.folder == str(tmp_path / "a board")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a board"]


def test_commands_that_are_shown_and_init_take_a_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    url = (tmp_path / "b").as_uri()
    assert main(["init", url]) == 0
    assert main(["--board", url, "prime", "ann"]) == 0
    assert f"--board {tmp_path / 'b'}" in capsys.readouterr().out
    run = Run()
    run.settings.board = "memory:"
    assert run.prog == "orc --board memory:"
    assert main(["init", "memory:"]) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["b"]
