"""An agent whose attempts fail in a row, or whose budget is spent, pauses; the runner reports it."""

import json
import re

import pytest

from orchestrator.supervisor import task_work

from .running import Town, orc


def test_an_agent_that_fails_in_a_row_is_started_again_after_a_pause(town: Town):
    # Its fourth run succeeds, however long the pause before it is.
    town.add("weak", "echo run >> runs; test $(wc -l < runs) -gt 3", listen="[job]")
    with town.running(back_off=0.1) as runner:
        for _ in range(5):
            town.push("job")
        text = runner.until_note("agent.paused", "weak")
        runner.until_events("subscription.finished", 2)
    pause = (
        r"for \d+s: its last 3 attempts failed, the last one because it ended with exit status 1"
    )
    assert re.search(pause, text)
    assert len(runner.of_type("subscription.failed")) == 3
    assert town.orc.subscriptions.get("weak").rest is None


def test_the_status_names_who_pauses_until_when_and_why(town: Town):
    town.add("weak", "exit 1", listen="[job]")
    with town.running(back_off=600) as runner:
        for _ in range(3):
            town.push("job")
        runner.until_note("agent.paused", "weak")
    (pause,) = json.loads(orc(town, "--json", "runner", "status"))["paused"]
    assert pause["agent"] == "weak"
    assert pause["until"] > town.orc.engine.now()
    assert "weak is not started until " in orc(town, "runner", "status")


def test_a_budget_of_runs_holds_also_for_two_runners_and_after_a_restart(town: Town):
    town.add("dear", "true", listen="[job]", budget="{runs: 3}", concurrency=5)
    for _ in range(8):
        town.push("job")
    town.orc.subscriptions.open("dear", position=0)
    with town.running() as runner, town.running():
        runner.until_note("agent.paused", "dear")
        runner.until_events("subscription.finished", 3)
    with town.running() as runner:
        text = runner.until_note("agent.paused", "dear")
    assert "its budget of 3 runs an hour is spent" in text
    assert len(town.orc.events.read(type="subscription.started")) == 3
    (pause,) = json.loads(orc(town, "--json", "runner", "status"))["paused"]
    assert "3 runs" in pause["reason"]


def test_a_budget_of_tokens_is_what_the_runtime_reports(town: Town):
    result = {
        "type": "result",
        "is_error": False,
        "result": "done",
        "total_cost_usd": 0.3,
        "usage": {"input_tokens": 900, "output_tokens": 200},
    }
    programs = town.project / "bin"
    programs.mkdir()
    claude = programs / "claude"
    claude.write_text(f"#!/bin/sh\ncat >/dev/null\necho '{json.dumps(result)}'\n")
    claude.chmod(0o755)
    town.add("dear", "Work.", runtime="claude", listen="[job]", budget="{tokens: 1000}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{programs}:/usr/bin:/bin")
        with town.running() as runner:
            town.push("job")
            town.push("job")
            text = runner.until_note("agent.paused", "dear")
    assert "its budget of 1,000 tokens a day is spent" in text
    assert len(runner.of_type("subscription.finished")) == 1


def test_a_file_that_was_changed_after_the_failures_ends_the_pause(town: Town):
    town.add("weak", "exit 1", listen="[job]")
    with town.running(back_off=600) as runner:
        for _ in range(4):
            town.push("job")
        runner.until_note("agent.paused", "weak")
        town.add("weak", "echo mended", listen="[job]")
        runner.until_events("subscription.finished")
    assert runner.of_type("subscription.woken")


def test_a_retry_by_a_person_ends_the_pause(town: Town):
    town.add("weak", "test -e mended", listen="[job]")
    with town.running(back_off=600) as runner:
        for _ in range(4):
            town.push("job")
        runner.until_note("agent.paused", "weak")
        (town.project / "mended").touch()
        town.orc.subscriptions.retry(town.orc.subscriptions.dead()[0].number)
        runner.until_events("subscription.finished", 2)


def test_a_retired_agent_is_named_and_its_tasks_wait(town: Town, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(task_work, "_PAUSE", 0.1)
    town.orc.workstreams.create("build")
    town.orc.agents.register("coder")
    town.orc.agents.retire("coder")
    town.add("coder", "echo done", takes="[{}]")
    with town.running() as runner:
        town.orc.tasks.add("build", title="a")
        assert "is retired" in runner.until_note("runner.trouble", "coder")
        town.orc.agents.register("coder")
        runner.until_events("task.completed")
