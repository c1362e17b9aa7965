"""Agents that crash, hang, flood, fork and lie: the runner goes on, and nothing of them is left."""

import json
import os
import sys
from pathlib import Path

import pytest

from orchestrator.supervisor.processes import LOG_BYTES

from .running import Town, ends, payload

MEGABYTE = 1024 * 1024
HUGE = "x" * (5 * MEGABYTE)


def stand_in(town: Town, name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of this name on PATH; it is Python."""
    folder = town.project / "programs"
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport json, sys\n{code}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


# Agents that leave processes

LEAVING = {
    "a child": "sleep 600 & echo child $!",
    "a session of its own": "setsid sh -c 'echo child $$; exec sleep 600' & read x < gate",
    "a double fork": "(setsid sh -c '(sleep 600 & echo child $!)' &); read x < gate",
    "one that ignores signals": "setsid sh -c 'trap \"\" TERM INT HUP; echo child $$; sleep 600; sleep 600' &"
    " read x < gate",
    "a tree": "setsid sh -c 'setsid sh -c \"echo child \\$\\$; sleep 600 & wait\" & wait' & read x < gate",
}  # fmt: skip


@pytest.mark.parametrize("script", LEAVING.values(), ids=LEAVING)
def test_nothing_that_an_agent_starts_outlives_it(town: Town, script: str):
    os.mkfifo(town.project / "gate")
    town.add("fork", script, listen="[job]")
    with town.running() as runner:
        town.push("job")
        runner.until_line("child ")
        if "gate" in script:
            (town.project / "gate").write_text("go\n")
        runner.until_events("subscription.finished")
        (child,) = [int(text.split()[1]) for _, _, text in runner.lines]
        assert ends(child)


# Agents that write without end


def test_a_runtime_that_floods_with_long_texts_keeps_log_and_report_small(
    town: Town, monkeypatch: pytest.MonkeyPatch
):
    stand_in(
        town,
        "claude",
        "text = {'type': 'assistant', 'message': {'content': [{'type': 'text', 'text': 'x' * 6_000_000}]}}\n"
        "for _ in range(12): print(json.dumps(text))\n"
        "print(json.dumps({'type': 'result', 'result': 'the end'}))",
        monkeypatch,
    )
    town.add("flood", "You flood.", runtime="claude", listen="[job]")
    with town.running() as runner:
        town.push("job")
        (finished,) = runner.until_events("subscription.finished")
    assert len(finished.payload) < 10_000
    for file in (town.board / "state" / "logs").iterdir():
        assert file.stat().st_size <= LOG_BYTES
    assert max(len(text) for _, _, text in runner.lines) <= 65536


# Agents that lie


@pytest.mark.parametrize("error", ["\u202e" * 5000, "a\n" * 5000, "\0\x1b[2J", "x" * MEGABYTE])
def test_what_a_runtime_gives_as_its_reason_never_stops_the_runner(
    town: Town, monkeypatch: pytest.MonkeyPatch, error: str
):
    text = json.dumps({"type": "result", "is_error": True, "result": error})
    stand_in(town, "claude", f"print({text!r})", monkeypatch)
    town.add("wrong", "You fail.", runtime="claude", listen="[job]")
    town.add("next", "true", listen="[job]")
    with town.running() as runner:
        town.push("job")
        runner.until_events("subscription.died")
        runner.until_events("subscription.finished")


def test_a_reason_with_a_long_path_never_stops_the_runner(memory_path: Path):
    folder = memory_path / "/".join(["x" * 200] * 3)
    folder.mkdir(parents=True)
    town = Town(folder)
    town.add("lost", "true", listen="[job]", workdir="none")
    with town.orc, town.running() as runner:
        town.push("job")
        (died,) = runner.until_events("subscription.died")
    assert "No such file" in payload(died)["reason"]


# Large payloads


def test_a_script_that_names_many_large_values_starts(town: Town):
    names = [f"k{n:02}" for n in range(40)]
    script = "\n".join(f'printf "%s " {{{{event.payload.{name}}}}} | wc -c' for name in names)
    town.add("many", script, listen="[job]")
    with town.running() as runner:
        town.push("job", dict.fromkeys(names, "v" * 90000))
        runner.until_events("subscription.finished")
    assert [text.strip() for _, _, text in runner.lines] == ["90001"] * 40


# Loops


def test_two_agents_of_every_event_that_push_nothing_run_once_for_an_event(town: Town):
    for name in "ab":
        town.add(name, "true", listen='["*"]')
    with town.running() as runner:
        town.push("job")
        runner.until_events("subscription.finished", 2)
        town.push("end")
        runner.until_events("subscription.finished", 4)
    types = [record.type for record in town.orc.events.read() if "opened" not in record.type]
    assert sorted(types) == sorted(
        ["job", "end"] + ["subscription.started"] * 4 + ["subscription.finished"] * 4
    )


def test_an_agent_that_pushes_its_trigger_again_under_another_name_ends_at_the_limit(town: Town):
    os.mkfifo(town.project / "causes")
    causes = os.fdopen(os.open(town.project / "causes", os.O_RDWR))
    town.add("again", 'echo "$ORC_CAUSE" > causes', listen="[job]")
    with causes, town.running() as runner:
        town.push("job")
        for _ in range(51):
            with town.orc.engine.caused_by(causes.readline().strip()):
                town.push("job", agent="another")
        (died,) = runner.until_events("subscription.died")
    assert "attempts" not in payload(died)
    assert payload(died)["reason"] == "it is number 51 in a row of causes, and 50 are allowed"
    assert len(runner.of_type("subscription.started")) == 51


# Texts of every kind

TEXT = (
    "é e\u0301 \u4e2d\u6587 \u0639\u0631\u0628\u064a \U0001f469\u200d\U0001f680 "
    "\u2028 \u202e \ufeff '\"$`\\ {{x}}"
)


def test_texts_of_every_kind_reach_an_agent_and_its_log_as_they_are(town: Town):
    (town.project / "Größe ☃").mkdir()
    script = (
        'printf "%s\\n" "$ORC_EVENT_TYPE" {{event.payload.text}}; basename "$PWD"; cat;'
        ' echo "$ORC_EVENT_WORKER_ID"'
    )
    town.add("all", script, listen="[größe.*]", workdir="Größe ☃")
    with town.running() as runner:
        town.push("größe.中文", {"text": TEXT, "é": 1}, agent="zoë")
        runner.until_events("subscription.finished")
    type, text, folder, event, worker = [text for _, _, text in runner.lines]
    assert (type, text, folder, worker) == ("größe.中文", TEXT, "Größe ☃", "zoë")
    assert json.loads(event)["payload"] == {"text": TEXT, "é": 1}
    assert f"\n{TEXT}\n" in town.log("all")


def test_output_that_is_not_utf_8_is_replaced_in_the_log_and_in_the_report(town: Town):
    town.add("raw", r"printf 'a\377b\303\n\000\033[2Jend\n'", listen="[job]")
    with town.running() as runner:
        town.push("job")
        (finished,) = runner.until_events("subscription.finished")
    assert payload(finished)["report"]["output"] == "a\ufffdb\ufffd\n\0\x1b[2Jend"
    assert "a\ufffdb\ufffd\n" in town.log("raw")
