"""After a runner was killed, no work is lost or finished twice, and no process of its agents remains."""

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from orchestrator.core import system
from orchestrator.core.processes import MARK

from .running import PATIENCE, Town, command, ends, kill_runners, orc, runner_of, until, until_true


def test_the_next_runner_ends_what_a_killed_one_has_left(town: Town):
    script = "if test $ORC_ATTEMPT = 1; then setsid sleep 600 & echo child $$ $!; sleep 600; fi"
    town.add("slow", script, listen="[job]", retry=1)
    killed = runner_of(town)
    until(killed, "runner.ready")
    event = town.push("job")
    line = until(killed, "child ")
    pids = [int(word) for word in line.partition("child ")[2].partition('"')[0].split()]
    killed.kill()
    killed.communicate()
    assert len(town.notes()) >= 1
    with town.running() as runner:
        (finished,) = runner.until_events("subscription.finished")
        assert runner.of_type("subscription.interrupted"), "its follower hears of it"
    assert bytes(finished.payload).startswith(
        b'{"subscriber":"slow","event":%d,"attempt":2' % event
    )
    assert all(map(ends, pids))
    assert not [path for path in town.notes() if path.suffix == ".note"]


def test_the_agents_of_a_killed_runner_end_although_no_runner_comes(town: Town):
    script = "trap '' TERM HUP; setsid sleep 600 & sh -c 'setsid sleep 600' & echo child $$ $!; sleep 600"
    town.add("slow", script, listen="[job]")
    killed = runner_of(town)
    until(killed, "runner.ready")
    town.push("job")
    line = until(killed, "child ")
    pids = [int(word) for word in line.partition("child ")[2].partition('"')[0].split()]
    (note,) = [path for path in town.notes() if path.suffix == ".note"]
    mark = note.stem
    killed.kill()
    killed.communicate()
    assert all(map(ends, pids))
    until_true(lambda: not system.processes_with(MARK, mark))


def test_what_an_agent_leaves_without_its_environment_is_ended_with_it(town: Town):
    town.add("daemon", "env -i setsid sleep 600 & echo child $!", listen="[job]")
    runner = runner_of(town)
    until(runner, "runner.ready")
    town.push("job")
    child = int(until(runner, "child ").partition("child ")[2].partition('"')[0])
    until(runner, "subscription.finished")
    assert ends(child)
    orc(town, "runner", "stop")
    runner.communicate(timeout=PATIENCE)


def runner_below(keeper: int) -> int:
    """The process of a runner whose keeper was started."""
    (child,) = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    return int(child)


@pytest.mark.skipif(sys.platform != "linux", reason="orphans have no known parent elsewhere")
@pytest.mark.parametrize("victim", ["what was started", "the runner below its keeper"])
def test_what_has_neither_group_nor_environment_of_a_killed_runner_ends(town: Town, victim: str):
    script = (
        "env -i setsid sh -c 'sleep 600 & sleep 600' & echo child $!;"
        " (env -i setsid sleep 600 &); touch begun; sleep 600"
    )
    town.add("daemon", script, listen="[job]", retry=1)
    killed = runner_of(town)
    until(killed, "runner.ready")
    runner = runner_below(killed.pid)
    town.push("job")
    until(killed, "child ")
    until_true(lambda: (town.project / "begun").exists() and len(sleepers(town)) == 4)
    left = sleepers(town)
    os.kill(killed.pid if victim == "what was started" else runner, signal.SIGKILL)
    assert killed.wait(PATIENCE) == (-9 if victim == "what was started" else 137)
    assert all(map(ends, (*left, runner)))
    assert not sleepers(town)
    with town.running() as again:
        again.until_events("subscription.interrupted")


def sleepers(town: Town) -> list[int]:
    """The processes of ``sleep`` that work in the project, whatever their environment."""
    pids = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):
            program = Path(f"/proc/{name}/comm").read_text()
            if program == "sleep\n" and os.readlink(f"/proc/{name}/cwd") == str(town.project):
                pids.append(int(name))
    return pids


def test_a_runner_that_begins_waits_for_one_whose_keeper_was_killed(town: Town):
    town.add("slow", "setsid sleep 600 & sleep 600", listen="[job]")
    for _ in range(3):
        runner = runner_of(town)
        until(runner, "runner.ready")
        town.push("job")
        until(runner, "subscription.started")
        runner.kill()
    last = runner_of(town)
    until(last, "runner.ready")
    last.send_signal(signal.SIGINT)
    last.send_signal(signal.SIGTERM)
    last.communicate(timeout=PATIENCE)
    assert last.returncode == 0


def test_a_second_runner_is_refused_with_the_process_of_the_first(town: Town):
    first = runner_of(town)
    until(first, "runner.ready")
    assert f"process {first.pid}, for " in orc(town, "runner", "run")
    first.send_signal(signal.SIGTERM)
    assert first.wait(PATIENCE) == 0
    first.communicate()


def test_the_runner_is_shown_and_stopped_when_its_agents_have_finished(town: Town):
    os.mkfifo(town.project / "gate")
    town.add("slow", "read x < gate", listen="[job]")
    first = runner_of(town)
    until(first, "runner.ready")
    event = town.push("job")
    until(first, "subscription.started")
    shown = json.loads(orc(town, "--json", "runner", "status"))
    assert shown["pid"] == first.pid
    assert shown["running"] == [{"agent": "slow", "event": event, "attempt": 1}]
    stopping = command(town, "runner", "stop")
    until(first, "runner.stopping")
    with (town.project / "gate").open("w") as gate:
        gate.write("go\n")
    assert stopping.communicate(timeout=PATIENCE)[0] == f"Stopped: process {first.pid}\n"
    first.communicate()
    assert first.returncode == 0
    assert finishes(town) == [("slow", event)]
    assert "No runner" in orc(town, "runner", "status")


def test_each_event_has_one_finish_though_runners_are_killed(town: Town):
    for name in "ab":
        town.add(name, "echo $ORC_EVENT_ID >> ran-$ORC_AGENT", listen="[job]", retry=20)
    killed = runner_of(town)
    until(killed, "runner.ready")
    events = [town.push("job") for _ in range(30)]
    kill_runners(town, killed, 8)
    wanted = [(agent, event) for agent in "ab" for event in events]
    with town.running() as runner:
        runner.until(lambda: len(finishes(town)) >= len(wanted))
    assert finishes(town) == wanted


def finishes(town: Town) -> list[tuple[str, int]]:
    records = town.orc.events.read(type="subscription.finished")
    payloads = [json.loads(bytes(record.payload)) for record in records]
    return sorted((payload["subscriber"], payload["event"]) for payload in payloads)
