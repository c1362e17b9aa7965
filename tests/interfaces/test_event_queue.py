"""The commands of the event queue: busytown's words and JSON lines."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.interfaces.cli.commands import BUSYTOWN
from orchestrator.interfaces.cli.main import main

from .conftest import CommandLine

PUSHED = 1_000_000_000


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def push(cli: CommandLine, *words: str) -> Any:
    (event,) = lines(cli("events", "push", *words).out)
    return event


def test_push_prints_the_event_as_one_line(cli: CommandLine):
    event = push(cli, "--type", "plan.request", "--worker", "ann", "--payload", '{"a": [1, "é"]}')
    assert list(event) == ["id", "timestamp", "type", "worker_id", "payload"]
    assert event | {"timestamp": 0} == {
        "id": 1,
        "timestamp": 0,
        "type": "plan.request",
        "worker_id": "ann",
        "payload": {"a": [1, "é"]},
    }
    assert isinstance(event["timestamp"], int)
    assert event["timestamp"] > PUSHED
    assert push(cli, "--type", "x")["payload"] == {}
    assert push(cli, "--type", "x", "--agent", "bob")["worker_id"] == "bob"


def test_a_payload_comes_from_stdin_or_a_file(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "payload.json"
    path.write_text('{"text": "' + "x" * 200_000 + '"}\n')
    event = push(cli, "--type", "x", "--file", str(path))
    assert len(event["payload"]["text"]) == 200_000
    with path.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert push(cli, "--type", "x", "--payload", "-")["payload"] == event["payload"]


@pytest.mark.parametrize(
    "line",
    [
        "push --type x --payload {",
        'push --type x --payload {"a":1,"a":2}',
        "push --type x --payload NaN",
        "push --type task.done",
        "push --type a/b",
        "push",
        "push --type x --worker a --agent b",
        "push --type x --worker ..",
        "claim --event abc --worker a",
        "claim --event 1",
        "claim --event 1 --worker a --lease x",
        "check-claim --event 1x",
        "set-cursor --worker a --set 99",
        "set-cursor --worker a",
        "cursor",
        "cursor --worker ../../x",
        "list --limit 1 --tail 1",
        "list --limit 1 --last 1",
    ],
)
def test_what_is_refused_as_usage(cli: CommandLine, line: str):
    push(cli, "--type", "x")
    shown = cli("events", *line.split(), status=2)
    assert shown.out == ""
    assert len(cli("events", "--all", "--json").json) == 1


@pytest.mark.parametrize(
    "line", ["claim --event 99 --worker a", "check-claim --event 99", "retry 9"]
)
def test_missing_records_are_reported(cli: CommandLine, line: str):
    assert cli("events", *line.split(), status=1).err.startswith("Error: ")


def test_the_first_worker_has_the_claim(cli: CommandLine):
    push(cli, "--type", "x", "--worker", "ann")
    claim = ("events", "claim", "--event", "1", "--worker")
    assert cli("events", "check-claim", "--event", "1").out == '{"event_id":1,"claimed":false}\n'
    assert cli(*claim, "w1").out == '{"claimed":true}\n'
    assert cli(*claim, "w2", status=1).out == '{"claimed":false,"claimant":"w1"}\n'
    assert cli(*claim, "w1").out == '{"claimed":true}\n'
    (held,) = lines(cli("events", "check-claim", "--event", "1").out)
    assert list(held) == ["event_id", "worker_id", "claimed_at"]
    assert (held["event_id"], held["worker_id"]) == (1, "w1")
    assert held["claimed_at"] > PUSHED
    cli("agent", "rename", "w1", "w9")
    assert cli(*claim, "w1").out == cli(*claim, "w9").out == '{"claimed":true}\n'


def test_cursors(cli: CommandLine):
    push(cli, "--type", "x")
    push(cli, "--type", "x")
    assert cli("events", "cursor", "--worker", "w").out == '{"worker_id":"w","since":2}\n'
    set_back = cli("events", "set-cursor", "--worker", "w", "--set", "1")
    assert set_back.out == '{"worker_id":"w","since":1}\n'
    assert cli("events", "cursor", "--worker", "w").out == set_back.out


class TestList:
    @pytest.fixture(autouse=True)
    def _events(self, cli: CommandLine) -> None:
        for number, worker in enumerate(["ann", "bob", "ann", "carl"], start=1):
            push(cli, "--type", f"plan.p{number}", "--worker", worker)
        push(cli, "--type", "planned", "--worker", "ann")

    @pytest.mark.parametrize(
        ("options", "ids"),
        [
            ("--limit 2", [1, 2]),
            ("--limit 2 --since 2", [3, 4]),
            ("--limit 0", []),
            ("--tail 2", [4, 5]),
            ("--worker ann", [1, 3, 5]),
            ("--worker ann --limit 1", [1]),
            ("--worker ann --tail 1", [5]),
            ("--omit-worker ann", [2, 4]),
            ("--limit 9 --type plan.*", [1, 2, 3, 4]),
            ("--limit 9 --type planned", [5]),
            ("--limit 9 --type *", [1, 2, 3, 4, 5]),
            ("--tail 2 --type plan.* --since 1", [3, 4]),
            ("--worker nobody", []),
        ],
    )
    def test_its_own_options_give_json_lines(self, cli: CommandLine, options: str, ids: list[int]):
        shown = lines(cli("events", "list", *options.split()).out)
        assert [event["id"] for event in shown] == ids
        assert [event["id"] for event in cli("events", *options.split(), "--json").json] == ids

    def test_a_hundred_unless_another_number_is_given(self, cli: CommandLine):
        for _ in range(100):
            push(cli, "--type", "x", "--worker", "w")
        shown = lines(cli("events", "list", "--omit-worker", "nobody").out)
        assert [event["id"] for event in shown] == [*range(1, 101)]

    def test_without_them_the_listing_is_ours(self, cli: CommandLine):
        assert cli("events", "--type", "plan.*", "--last", "1").out.endswith("carl: plan.p4\n")


def test_scripts_of_busytown_find_its_program(
    cli: CommandLine, capsysbinary: pytest.CaptureFixture[bytes]
):
    def busytown(*words: str) -> list[Any]:
        assert main(words, prog="busytown", top=BUSYTOWN) == 0
        return lines(capsysbinary.readouterr().out.decode())

    (event,) = busytown("plan", "prds/pay.md")
    assert (event["type"], event["payload"]) == ("plan.request", {"prd_path": "prds/pay.md"})
    (made,) = busytown("events", "push", "--type", "plan.created", "--worker", "plan")
    assert busytown("events", "list") == [event, made]
    assert busytown("events", "list", "--type", "plan.c*") == []
    assert busytown("events", "list", "--type", "plan.*", "--since", "1") == [made]
    assert busytown("events", "claim", "--event", "2", "--worker", "code") == [{"claimed": True}]


def test_what_an_agent_wrote_cannot_move_the_cursor_of_a_terminal(cli: CommandLine):
    event = push(cli, "--type", "x", "--payload", '{"a": "\\u001b[2J\\u202e"}')
    out = cli("events", "list", "--limit", "1").out
    assert event["payload"]["a"] == "\x1b[2J\u202e"
    assert out.isascii()
    assert lines(out) == [event]


def test_dead_letters_are_shown_by_status_and_prime_until_they_are_retried_or_dismissed(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
):
    from orchestrator import Orchestrator

    assert cli("events", "dead").out == "No dead letters.\n"
    orc = Orchestrator.open()
    orc.subscriptions.open("plan", position=0)
    event = orc.events.push("x", agent="ann").id
    attempt = orc.subscriptions.start("plan", event, after=0, lease=60)
    assert attempt is not None
    orc.subscriptions.fail("plan", event, attempt.token, "exit \x1b[2J status 1")
    (letter,) = orc.subscriptions.dead()
    for words in (("status",), ("prime", "--agent", "ann"), ("events", "dead")):
        shown = cli(*words).out
        assert f"{letter.number}" in shown
        assert "exit \\x1b[2J status 1" in shown
    cli("events", "retry", str(letter.number))
    assert "Dead letters" not in cli("status").out
    assert "Dead letters" not in cli("prime", "--agent", "ann").out
    attempt = orc.subscriptions.start("plan", event, after=event, lease=60)
    assert attempt is not None
    orc.subscriptions.fail("plan", event, attempt.token, "again")
    cli("events", "dismiss", str(orc.subscriptions.dead()[0].number))
    assert cli("events", "dead").out == "No dead letters.\n"


@pytest.mark.skipif(os.name == "nt", reason="no signals")
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_watch_that_ended_loses_nothing(cli: CommandLine, tmp_path: Path, end: int):
    def watching() -> "subprocess.Popen[str]":
        call = "from orchestrator.interfaces.cli.main import process; process()"
        words = [sys.executable, "-c", call, "events", "watch", "--worker", "w"]
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

    cli("events", "set-cursor", "--worker", "w", "--set", "0")
    first = push(cli, "--type", "one")
    with watching() as watch:
        assert watch.stdout is not None
        assert json.loads(watch.stdout.readline()) == first
        second = push(cli, "--type", "two")
        assert json.loads(watch.stdout.readline()) == second
        watch.send_signal(end)
    third = push(cli, "--type", "three")
    with watching() as watch:
        assert watch.stdout is not None
        seen = [json.loads(watch.stdout.readline())]
        while seen[-1] != third:  # a line may come again
            seen.append(json.loads(watch.stdout.readline()))
        watch.kill()
    assert [event["id"] for event in seen] == [*range(seen[0]["id"], 4)]
