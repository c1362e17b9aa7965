"""What `runner run` prints: short lines for people, JSON lines for programs."""

import json
import re
from typing import Any

import pytest

from orchestrator import Orchestrator
from orchestrator.domain.subscriptions.records import AttemptReport
from orchestrator.domain.subscriptions.task_attempts import TaskFilter
from orchestrator.interfaces.cli import layout
from orchestrator.interfaces.cli.runner_lines import JsonPrinter, LinePrinter
from orchestrator.stores.memory import MemoryStore


@pytest.fixture
def orc() -> Orchestrator:
    orc = Orchestrator(MemoryStore())
    orc.subscriptions.open("plan")
    return orc


def attempt(orc: Orchestrator, event: int, **more: Any) -> int:
    after = orc.subscriptions.cursor("plan")
    started = orc.subscriptions.start("plan", event, after=after, lease=60, **more)
    assert started is not None
    return started.token


def printed(orc: Orchestrator, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines for every event of the board, without their times."""
    printer = LinePrinter(orc, is_exact=False)
    for record in orc.events.read():
        printer.event(record)
    lines = capsys.readouterr().out.splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d  ", line) for line in lines)
    return [line[10:] for line in lines]


def test_a_moment_of_another_day_has_its_day(orc: Orchestrator, capsys: pytest.CaptureFixture[str]):
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="Write it", agent="ann").id
    orc.hooks.sling(task, "bob", agent="ann", convoy=False)
    (line,) = [line for line in printed(orc, capsys) if " assigned " in line]
    assert re.search(r"to bob until \d{4}-\d\d-\d\d \d\d:\d\d$", line)


def test_an_event_and_its_attempts_are_short_lines(
    orc: Orchestrator, capsys: pytest.CaptureFixture[str]
):
    event = orc.events.push("plan.request", {"prd": "a b.md", "n": [1]}, agent="ann").id
    token = attempt(orc, event, most=2)
    report = AttemptReport(seconds=1.26, exit_status=1)
    orc.subscriptions.fail("plan", event, token, "it ended with exit status 1", report)
    token = attempt(orc, event)
    report = AttemptReport(
        seconds=61, tools={"Read": 2, "Bash": 1}, input_tokens=1000, output_tokens=204, cost=0.018
    )
    orc.subscriptions.finish("plan", event, token, report)
    assert printed(orc, capsys) == [
        "ann     plan.request  prd=a b.md n=[1]",
        "plan    ▶ plan.request (event 2)",
        "plan    ✗ failed in 1.3 s: it ended with exit status 1",
        "plan    ▶ plan.request (event 2), attempt 2 of 2",
        "plan    ✓ finished in 1m1s, 3 tool calls, 1,204 tokens, $0.02",
    ]


def test_an_attempt_beyond_those_that_may_fail_has_no_limit(
    orc: Orchestrator, capsys: pytest.CaptureFixture[str]
):
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="Write it", agent="ann").id
    for _ in range(2):
        took = orc.subscriptions.take("plan", task, (TaskFilter(),))
        assert took is not None
        orc.subscriptions.interrupt("plan", took.event, took.token, "it was killed")
    assert f"plan    ▶ task {task}, attempt 2" in printed(orc, capsys)


def test_what_is_given_up_names_the_command_that_tries_again(
    orc: Orchestrator, capsys: pytest.CaptureFixture[str]
):
    event = orc.events.push("job", agent="ann").id
    orc.subscriptions.fail("plan", event, attempt(orc, event), "it broke")
    (letter,) = orc.subscriptions.dead()
    assert printed(orc, capsys)[-1] == (
        f"plan    ✗ gives up job (event {event}) after 1 attempt;"
        f" `orc events retry {letter.number}` tries again"
    )
    orc.subscriptions.retry(letter.number)
    assert printed(orc, capsys)[-1].endswith(
        f"gave the dead letter {letter.number} one more attempt"
    )


def test_events_of_the_board_are_sentences(orc: Orchestrator, capsys: pytest.CaptureFixture[str]):
    orc.workstreams.create("build", agent="ann")
    assert printed(orc, capsys) == ["ann     created the workstream build"]


def test_a_request_for_permission_names_the_command_that_answers(
    orc: Orchestrator, capsys: pytest.CaptureFixture[str]
):
    request = orc.permissions._request("Bash", {"command": "ls"}, "plan", 300.0)
    line = next(line for line in printed(orc, capsys) if "asks for permission" in line)
    assert line == (
        f"plan    asks for permission to use Bash ({request.id}):"
        f" `orc permission allow {request.id}`, or `deny`"
    )


def test_lines_and_notes_are_escaped(orc: Orchestrator, capsys: pytest.CaptureFixture[str]):
    printer = LinePrinter(orc, is_exact=False)
    printer.output("plan", 3, ["a\x1b[31mb", "two\rthree"])
    printer.note("agent.skipped", "bad\u202e.md", "x\ny")
    printer.note("runner.ready", "", "1 agent listens")
    record = orc.events.push("x", {"k\x1b": "\x9b1\ny"}, agent="ann")
    printer.event(record)
    lines = [line[10:] for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        r"plan    │ a\x1b[31mb",
        r"plan    │ two\rthree",
        r"bad\u202e.md  skipped: x\ny",
        "runner        ready: 1 agent listens",
        r"ann           x  k\x1b=\x9b1 y",
    ]


def test_colours_are_those_of_a_terminal(
    orc: Orchestrator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    event = orc.events.push("review.created", {"verdict": "revise"}, agent="ann")
    monkeypatch.setattr(layout, "is_terminal", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    LinePrinter(orc, is_exact=False).event(event)
    assert "verdict=\x1b[33mrevise\x1b[0m" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    LinePrinter(orc, is_exact=False).event(event)
    assert "\x1b" not in capsys.readouterr().out


def test_json_lines_have_the_form_of_the_event_list(
    orc: Orchestrator, capsys: pytest.CaptureFixture[str]
):
    printer = JsonPrinter()
    printer.event(orc.events.push("job", {"n": 1}, agent="ann"))
    printer.output("plan", 2, ["a\u2028b"])
    printer.note("agent.loaded", "plan", "Plans")
    event, line, note = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert list(event) == ["id", "timestamp", "type", "worker_id", "payload"]
    assert (event["type"], event["worker_id"], event["payload"]) == ("job", "ann", {"n": 1})
    assert line | {"timestamp": 0} == {
        "timestamp": 0,
        "type": "agent.output",
        "worker_id": "plan",
        "payload": {"event": 2, "text": "a\u2028b"},
    }
    assert (note["type"], note["payload"]) == ("agent.loaded", {"text": "Plans"})
