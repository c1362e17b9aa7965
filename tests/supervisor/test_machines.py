"""Runners on several machines: one on each, and they share the work of a board in a database."""

import os
import subprocess
from pathlib import Path

from orchestrator import Orchestrator
from orchestrator.core.trust import Trust
from orchestrator.supervisor.agent_files import load_agent
from tests import forked
from tests.postgres_server import Server

from .running import PATIENCE, until

MEET = """
touch "$MEETING/$ORC_AGENT"
while ! test -e "$MEETING/mill" || ! test -e "$MEETING/forge"; do sleep 0.02; done
"""
"""An agent that ends when the agents of both machines were at work at the same time."""


def command(folder: Path, machine: str, *words: str) -> "subprocess.Popen[str]":
    place = folder / machine
    return forked.popen(
        words,
        cwd=place,
        env={
            **os.environ,
            "ORCHESTRATOR_DIR": str(place / "board"),
            "ORC_MACHINE": machine,
            "XDG_DATA_HOME": str(place / "user"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_each_machine_has_one_runner_and_they_share_the_work(
    postgres: Server, memory_path: Path
) -> None:
    url = postgres.new_board()
    meeting = memory_path / "meeting"
    meeting.mkdir()
    for machine in ("mill", "forge"):
        place = memory_path / machine
        (place / "agents").mkdir(parents=True)
        agent = place / "agents" / f"{machine}.md"
        script = MEET.replace("$MEETING", str(meeting))
        agent.write_text(f"---\nruntime: shell\ntakes: [{{ws: build}}]\n---\n{script}")
        Trust(str(place / "user" / "orc")).add({str(agent): load_agent(str(agent)).digest})
        made = command(memory_path, machine, "init", str(place / "board"), "--store", url)
        assert made.wait(PATIENCE) == 0
    orc = Orchestrator.open(memory_path / "mill" / "board")
    orc.workstreams.create("build")
    tasks = [orc.tasks.add("build", title=f"t{n}").id for n in range(4)]

    runners = [
        command(memory_path, machine, "--json", "runner", "run") for machine in ("mill", "forge")
    ]
    for runner in runners:
        until(runner, "runner.ready")
    second = command(memory_path, "mill", "runner", "run")
    output = second.communicate(timeout=PATIENCE)[0]
    assert (second.returncode, "A runner runs" in output) == (1, True), output
    engine = orc.engine
    grown = engine.watch()
    while any(task.status != "done" for task in orc.tasks.all()):
        engine.pause()
        grown(PATIENCE)
        grown = engine.watch()
    for runner in runners:
        runner.terminate()
        runner.communicate(timeout=PATIENCE)
    done = [orc.tasks.get(task) for task in tasks]
    assert {task.machine for task in done} == {"mill", "forge"}
    assert {task.attempt for task in done} == {1}, "no task is begun twice"
    assert all(task.assigned_to == task.machine for task in done)
    assert {view.id: view.machine for view in orc.agents.all()}.items() >= {
        "mill": "mill",
        "forge": "forge",
    }.items()
    orc.close()
