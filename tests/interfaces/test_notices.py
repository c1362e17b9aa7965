"""``orc notify``: rules are added, shown without their addresses, tried, and their notices sent."""

import json
import sys
from pathlib import Path

import pytest

from .conftest import CommandLine

KEEP = "import sys; open({!r}, 'a').write(sys.stdin.read() + '\\n')"


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "user"))
    return tmp_path / "out"


def program(out: Path) -> list[str]:
    return ["--to", "command", "--", sys.executable, "-c", KEEP.format(str(out))]


def test_a_notice_from_the_rule_to_the_program(cli: CommandLine, out: Path):
    assert cli("notify").out == "No rules.\n"
    cli("ws", "create", "w")
    cli("notify", "add", "bad", "--on", "task.failed", "--every", "0", *program(out))
    assert cli("notify", "test", "bad").out == "Sent: a test of bad\n"
    task = cli("--json", "t", "add", "w", "Pay").json["id"]
    cli("t", "claim", task, "--agent", "ann")
    cli("t", "fail", task, "no way", "--agent", "ann")
    assert cli("notify", "run", "--once").out == "Sent bad: board: task.failed (1 event)\n"
    assert cli("notify", "run", "--once").out == "Nothing to send.\n"
    test, notice = map(json.loads, out.read_text().splitlines())
    assert test["title"] == "board: a test"
    assert notice["body"] == f"ann failed {task} Pay: no way"
    (listed,) = cli("--json", "notify", "list").json
    assert (listed["name"], listed["state"]) == ("bad", "ok")
    assert listed["last"]
    assert "bad" in cli("notify", "ls").out
    assert cli("notify", "rm", "bad").out == "Removed: bad\n"


def test_the_reason_of_a_failure_is_listed(cli: CommandLine, out: Path):
    words = ("--to", "command", "--", sys.executable, "-c", "import sys; sys.exit(3)")
    cli("notify", "add", "bad", "--on", "x", *words)
    cli("events", "push", "--type", "x", "--agent", "ann")
    shown = cli("notify", "run", "--once", status=1).out
    assert shown == (
        "Not sent yet bad: board: x (1 event), attempt 1: its program ended with status 3\n"
    )
    assert "attempt 1 of 5 failed, the next one at" in cli("notify", "show", "bad").out
    assert ": its program ended with status 3" in cli("notify", "show", "bad").out
    refused = cli("notify", "test", "bad", status=1).err
    assert "The test of bad was not sent: its program ended with status 3" in refused
    assert cli("runner", "status").out == "No runner runs here.\n"
    assert "Dead letters" not in cli("prime", "--agent", "ann").out


def test_a_program_that_cannot_run_is_refused_and_what_it_writes_is_shown_by_a_test_alone(
    cli: CommandLine, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    add = ("notify", "add", "x", "--on", "x", "--to", "command", "--")
    for word in ("no-such-program", "./no"):
        assert "there is no program" in cli(*add, word, status=1).err
    (tmp_path / "shout").write_text("#!/bin/sh\necho s3cret is missing >&2; exit 3\n")
    (tmp_path / "shout").chmod(0o755)
    cli(*add, "./shout", "./as-it-is")
    assert cli("--json", "notify", "show", "x").json["words"] == [
        str(tmp_path / "shout"),
        "./as-it-is",
    ]
    assert "s3cret is missing" in cli("notify", "test", "x", status=1).err
    cli("events", "push", "--type", "x", "--agent", "ann")
    assert "s3cret" not in cli("notify", "run", "--once", status=1).out
    assert "s3cret" not in cli("events").out


def test_an_added_rule_hears_only_what_happens_from_then_on(cli: CommandLine, out: Path):
    cli("notify", "add", "x", "--on", "x", *program(out))
    cli("notify", "remove", "x")
    cli("events", "push", "--type", "x", "--agent", "ann")
    cli("notify", "add", "x", "--on", "x", *program(out))
    assert cli("notify", "run", "--once").out == "Nothing to send.\n"


def test_an_address_is_checked_and_never_shown(
    cli: CommandLine, out: Path, monkeypatch: pytest.MonkeyPatch
):
    wrong = cli(
        "notify", "add", "x", "--on", "x", "--to", "webhook", "--url", "no://s3cret", status=1
    )
    assert "apprise does not understand its address" in wrong.err
    assert "s3cret" not in wrong.err
    assert cli("notify").out == "No rules.\n"
    cli("notify", "add", "x", "--on", "x", "--to", "webhook", "--url", "https://h/s3cret")
    for shown in (cli("notify", "show", "x"), cli("--json", "notify", "show", "x")):
        assert "https://***" in shown.out
        assert "s3cret" not in shown.out
    added = cli("notify", "add", "y", "--on", "x", "--to", "webhook", "--url", "env:HOOK_URL")
    assert "HOOK_URL is not set here" in added.err
    assert "HOOK_URL holds no address" in cli("notify", "test", "y", status=1).err


def test_without_apprise_only_programs_work(
    cli: CommandLine, out: Path, monkeypatch: pytest.MonkeyPatch
):
    from orchestrator.notices import sending

    monkeypatch.setattr(sending, "find_spec", lambda name: None)
    refused = cli("notify", "add", "x", "--on", "x", "--to", "desktop", status=2)
    assert "agent-orchestrator[notify]" in refused.err
    cli("notify", "add", "x", "--on", "x", *program(out))
    cli("notify", "test", "x")


def test_a_rule_names_a_workstream_and_a_task_that_exist(cli: CommandLine, out: Path):
    cli("notify", "add", "x", "--on", "x", "--ws", "no", *program(out), status=1)
    cli("notify", "add", "x", "--on", "x", "--task", "abcd", *program(out), status=1)
    assert cli("notify").out == "No rules.\n"
