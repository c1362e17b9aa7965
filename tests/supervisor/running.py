"""A runner of shell agents for tests, in this process: events can be waited for."""

import json
import os
import random
import select
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator import Orchestrator
from orchestrator.core.events import Recorded
from orchestrator.core.trust import Trust
from orchestrator.supervisor.agent_files import load_agent
from orchestrator.supervisor.dispatcher import Dispatcher
from tests import forked

PATIENCE = 240.0
"""Seconds after which a test fails that waits for an event; nothing depends on how long one takes."""


def payload(record: Recorded) -> Any:
    return json.loads(bytes(record.payload))


def ends(pid: int) -> bool:
    """Whether a killed process ends; the system needs a moment for that."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], PATIENCE)[0])
    finally:
        os.close(process)


def open_gate(path: Path) -> None:
    """Let one agent go on that reads from a fifo."""
    with path.open("w") as gate:
        gate.write("go\n")


def until_true(condition: Callable[[], bool]) -> None:
    """Wait for what nothing reports."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Follower:
    """Collects what the runner does, and lets a test wait for it."""

    def __init__(self) -> None:
        self.events: list[Recorded] = []
        self.lines: list[tuple[str, int, str]] = []
        self.notes: list[tuple[str, str, str]] = []
        self._change = threading.Condition()

    def event(self, record: Recorded) -> None:
        self._add(self.events, record)

    def output(self, agent: str, event: int, lines: list[str]) -> None:
        for line in lines:
            self._add(self.lines, (agent, event, line))

    def note(self, type: str, agent: str, text: str) -> None:
        self._add(self.notes, (type, agent, text))

    def until(self, condition: Callable[[], Any]) -> None:
        with self._change:
            assert self._change.wait_for(condition, PATIENCE), (
                [(e.id, e.type, bytes(e.payload)) for e in self.events[-30:]],
                self.notes,
            )

    def until_events(self, type: str, count: int = 1) -> list[Recorded]:
        self.until(lambda: len(self.of_type(type)) >= count)
        return self.of_type(type)

    def until_line(self, text: str) -> None:
        self.until(lambda: any(text in line for _, _, line in self.lines))

    def until_note(self, type: str, agent: str = "") -> str:
        self.until(lambda: self.notes_of(type, agent))
        return self.notes_of(type, agent)[-1]

    def of_type(self, type: str) -> list[Recorded]:
        return [record for record in self.events if record.type == type]

    def notes_of(self, type: str, agent: str = "") -> list[str]:
        return [text for t, a, text in self.notes if t == type and agent in ("", a)]

    def _add(self, items: list[Any], item: Any) -> None:
        with self._change:
            items.append(item)
            self._change.notify_all()


class Town:
    """A project with a board, agents and trust of its own."""

    def __init__(self, folder: Path) -> None:
        self.project = folder
        self.agents = folder / "agents"
        self.agents.mkdir()
        self.data = folder / "user"
        self.trust = Trust(str(self.data / "orc"))
        self.orc = Orchestrator.open(folder / ".orchestrator")

    @property
    def board(self) -> Path:
        return self.project / ".orchestrator"

    def add(self, name: str, script: str, *, trusted: bool = True, **settings: Any) -> Path:
        fields = {"runtime": "shell", **settings}
        lines = "".join(f"{key}: {value}\n" for key, value in fields.items())
        path = self.agents / f"{name}.md"
        path.write_text(f"---\n{lines}---\n{script}\n")
        if trusted:
            self.trust.add({str(path): load_agent(str(path)).digest})
        return path

    def add_task(self, title: str, **facts: Any) -> str:
        """Add a task to the workstream ``build``."""
        if not self.orc.workstreams.all():
            self.orc.workstreams.create("build")
        return self.orc.tasks.add("build", title=title, **facts).id

    def push(self, type: str, payload: Any = None, agent: str | None = None) -> int:
        return self.orc.events.push(type, payload, agent=agent).id

    def log(self, agent: str) -> str:
        return (self.board / "state" / "logs" / f"{agent}.log").read_text()

    def notes(self) -> list[Path]:
        return [*(self.board / "state" / "runner").iterdir()]

    @contextmanager
    def running(self, *, ready: str = "runner.ready", now: Any = None, **options: Any):
        follower = Follower()
        with Orchestrator.open(self.board, **({"now": now} if now else {})) as orc:
            dispatcher = Dispatcher(
                orc,
                agents=str(self.agents),
                project=str(self.project),
                trust=self.trust,
                follower=follower,
                **{"grace": 0.5, "back_off": 0.01, **options},
            )
            failure: list[BaseException] = []

            def run() -> None:
                try:
                    dispatcher.run()
                except BaseException as error:
                    failure.append(error)
                    raise

            thread = threading.Thread(target=run, daemon=True)
            thread.start()
            follower.stop = dispatcher.stop
            try:
                follower.ready = follower.until_note(ready)
                yield follower
            finally:
                dispatcher.stop()
                dispatcher.stop()
                thread.join(PATIENCE)
                assert not thread.is_alive()
                assert not failure


def command(town: Town, *words: str) -> "subprocess.Popen[str]":
    return forked.popen(
        words,
        cwd=town.project,
        env={**os.environ, "ORCHESTRATOR_DIR": str(town.board), "XDG_DATA_HOME": str(town.data)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def orc(town: Town, *words: str) -> str:
    return command(town, *words).communicate(timeout=PATIENCE)[0]


def runner_of(town: Town) -> "subprocess.Popen[str]":
    return command(town, "--json", "runner", "run")


def until(runner: "subprocess.Popen[str]", text: str) -> str:
    assert runner.stdout is not None
    for line in runner.stdout:
        if text in line:
            return line
    raise AssertionError(f"the runner ended without {text}")


def kill_runners(town: Town, runner: "subprocess.Popen[str]", most: int) -> None:
    """Kill a ready runner after fewer than ``most`` starts, and two more like it; then one at any moment."""
    for seed in range(3):
        for _ in range(random.Random(seed).randrange(1, most)):
            until(runner, "subscription.started")
        runner.kill()
        runner.communicate()
        runner = runner_of(town)
        until(runner, "runner.ready")
    runner.kill()
    runner.communicate()
