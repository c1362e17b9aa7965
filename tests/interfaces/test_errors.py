"""Errors are printed on stderr in the same form, with the exit status of the contract."""

import json
from pathlib import Path

import pytest

from orchestrator.core import errors
from orchestrator.core.errors import OrchestratorError
from orchestrator.interfaces.cli.main import report

from .conftest import CommandLine

FAMILY = [cls for cls in vars(errors).values() if isinstance(cls, type)]
FAMILY = [cls for cls in FAMILY if issubclass(cls, OrchestratorError)]


@pytest.mark.parametrize("kind", FAMILY)
def test_every_error_has_its_sentence_code_and_status(
    kind: type[OrchestratorError], capsys: pytest.CaptureFixture[str]
) -> None:
    error = kind("It went wrong", hint="Do this.", task="299833bc")
    assert report(error, as_json=False) == kind.exit_status
    assert capsys.readouterr() == ("", "Error: It went wrong\nHint: Do this.\n")
    assert report(error, as_json=True) == kind.exit_status
    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err) == {
        "error": {
            "code": kind.code,
            "message": "It went wrong",
            "hint": "Do this.",
            "retryable": kind.retryable,
            "task": "299833bc",
        }
    }


def test_errors_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    report(OrchestratorError("a\x1b[2Jb\nc"), as_json=False)
    assert capsys.readouterr().err == "Error: a\\x1b[2Jb\\nc\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("t frobnicate", "No such command 'frobnicate'"),
        ("t next --nope", "No such option"),
        ("kb read", "Missing argument"),
        ("status --at x", "'x' is not a whole number"),
        ("t next a b c", "Got unexpected extra argument (c)"),
        ("t list --json=1", "does not take a value"),
        ("t add w --priority", "requires an argument"),
        ("events --last -1", "-1 is less than 1"),
        ("t ls --agent=", "it is empty"),
        ("t add w T --estimate soon", "'soon' is not a duration"),
    ],
)
def test_bad_usage_is_status_2_in_both_forms(cli: CommandLine, line: str, message: str) -> None:
    shown = cli(*line.split(), status=2)
    assert shown.out == ""
    assert shown.err.startswith("Error: ")
    assert message in shown.err
    assert "--help` shows how it is called.\n" in shown.err
    error = cli("--json", *line.split(), status=2).error
    assert (error["code"], error["retryable"]) == ("usage", False)
    assert message in error["message"]


def test_what_the_board_refuses_is_status_1(cli: CommandLine) -> None:
    cli("ws", "create", "w")
    task = cli("t", "add", "w", "T", "--json").json["id"]
    cli("t", "claim", task, "ann")
    error = cli("t", "claim", task, "bob", "--json", status=1).error
    assert (error["code"], error["assigned_to"]) == ("already_claimed", "ann")
    assert cli("t", "show", "ffffffff", "--json", status=1).error["code"] == "task_not_found"
    assert cli("t", "ls", "nowhere", "--json", status=1).error["code"] == "workstream_not_found"


def test_no_board_is_status_3(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORCHESTRATOR_DIR")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    shown = cli("t", "ls", status=3)
    assert "init" in shown.err
    assert list(folder.iterdir()) == []


def test_damage_is_status_4(cli: CommandLine, tmp_path: Path) -> None:
    cli("ws", "create", "w")
    log = tmp_path / "board" / "state" / "events.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"w"', b'"x"'))
    (tmp_path / "board" / "state" / "state.json").unlink()
    assert cli("ws", "create", "v", "--json", status=4).error["code"]


@pytest.mark.parametrize("name", ["../x", "a/b", "-x", "", ".", "con", "a\nb", "a" * 201])
def test_names_that_could_leave_the_board_are_bad_usage(
    cli: CommandLine, tmp_path: Path, name: str
) -> None:
    cli("status")
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    for line in (
        ["ws", "create", "--", name],
        ["kb", "write", "--", name, "text"],
        ["kb", "read", "--", name],
        ["a", "register", "--", name if name != "a/b" else "a//b"],
    ):
        assert cli("--json", *line, status=2).error["code"] == "bad_name"
    after = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert {path for path in after - before if path.parent.name != "state"} == set()


def test_an_argument_that_is_not_text_is_refused(cli: CommandLine) -> None:
    cli("ws", "create", "w")
    assert "surrogate" in cli("t", "add", "w", "x\udcff", status=2).err
    assert cli("t", "show", "x\udcff", "--json", status=1).error["code"] == "task_not_found"
