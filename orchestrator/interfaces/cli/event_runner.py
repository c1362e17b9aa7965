"""``orc runner run``: the process that starts agents on events."""

import os
import signal
import threading
import time
from types import FrameType
from typing import TYPE_CHECKING, Any

from orchestrator.core import clock, system
from orchestrator.core.clock import local_time
from orchestrator.core.errors import NotFound
from orchestrator.core.printable import escape, one_line
from orchestrator.domain.event_log import queue_event
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.agent_files import AGENTS_DIR, agents_folder, user_trust
from orchestrator.interfaces.cli.commands import RUNNER
from orchestrator.interfaces.cli.event_queue import json_line
from orchestrator.interfaces.cli.parameters import option
from orchestrator.interfaces.cli.rendering import Answer, say, write
from orchestrator.interfaces.cli.run import Run, given

if TYPE_CHECKING:
    from orchestrator.core.events import Recorded
    from orchestrator.supervisor.runner import RunnerPlace

_WIDTH = 200
"""Characters of a payload in a readable line."""

_MOST = option("--max-agents", "How many agents run at a time; else 10.", types.COUNT)


class Printer:
    """Prints what the runner does: a line for each event, each line of an agent and each note.

    Args:
        as_json: JSON lines in the form of `events list --limit`; what is not an event of the log has no id.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._lock = threading.Lock()

    def event(self, record: "Recorded") -> None:
        """Print an event of the log."""
        if self._as_json:
            self._write([json_line(queue_event(record))])
            return
        text = one_line(bytes(record.payload).decode(), _WIDTH)
        self._write([_line(record.ts, record.agent, f"{record.type} {text}")])

    def output(self, agent: str, event: int, lines: list[str]) -> None:
        """Print what an agent has written."""
        if self._as_json:
            told = ({"event": event, "text": line} for line in lines)
            self._write([_json("agent.output", agent, payload) for payload in told])
        else:
            self._write([_line("", agent, f"| {line}") for line in lines])

    def note(self, type: str, agent: str, text: str) -> None:
        """Print what is not in the log."""
        if self._as_json:
            self._write([_json(type, agent, {"text": text})])
        else:
            self._write([_line("", agent or "runner", f"{type}: {text}")])

    def _write(self, lines: list[str]) -> None:
        with self._lock:
            write("".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))


def _json(type: str, agent: str, payload: dict[str, Any]) -> str:
    return json_line(
        {"timestamp": int(time.time()), "type": type, "worker_id": agent, "payload": payload}
    )


def _line(moment: str, who: str, text: str) -> str:
    shown = local_time(moment or clock.timestamp(time.time()))
    return f"{shown}  {escape(who)}  {escape(text)}"


@RUNNER.command("run", example="run --max-agents 4")
@AGENTS_DIR
@_MOST
def run_(run: Run, agents_dir: str | None, max_agents: int | None) -> None:
    """Start trusted agents on events until the process is ended, and print what happens.

    The first SIGTERM or Ctrl-C lets running agents finish, a second one ends them. There is one runner for
    each board on a machine.
    """
    from orchestrator.supervisor.dispatcher import Dispatcher
    from orchestrator.supervisor.runner import RunnerPlace

    folder = agents_folder(run, agents_dir)
    options = [f"--agents-dir={os.path.abspath(agents_dir)}"] if agents_dir else []
    options += [f"--max-agents={max_agents}"] if max_agents else []
    with run.lasting() as orc:
        assert orc.folder is not None
        with RunnerPlace(orc.folder).held(tuple(options)):
            dispatcher = Dispatcher(
                orc,
                agents=folder,
                project=project_of(orc.folder),
                trust=user_trust(run),
                follower=Printer(as_json=run.settings.json),
                **given(most=max_agents),
            )

            def stop(_number: int, _frame: FrameType | None) -> None:
                dispatcher.stop()

            for number in system.INTERRUPTS:
                signal.signal(number, stop)
            dispatcher.run()


@RUNNER.command("stop", example="stop")
def stop(run: Run) -> Answer:
    """Ask the runner to end, and wait until its agents have finished; it starts no more."""
    note = _place(run).needed()
    note.stop()
    return say({"pid": note.pid}, f"Stopped: process {note.pid}")


@RUNNER.command("status", example="status", reads=True)
def status(run: Run) -> Answer:
    """Show whether a runner runs on this machine, since when, and what its agents work on."""
    note = _place(run).current()
    running = [
        {"agent": subscriber.agent, "event": attempt.event, "attempt": attempt.number}
        for subscriber in run.orc.subscriptions.all()
        for attempt in subscriber.running
    ]
    value = {
        "pid": note.pid if note else None,
        "seconds": round(note.seconds()) if note else None,
        "running": running,
    }
    if note is None:
        return say(value, "No runner runs here.")
    lines = [f"The runner is process {note.pid}, for {clock.spoken(note.seconds())}."]
    lines += [
        f"{item['agent']} works on event {item['event']}, attempt {item['attempt']}"
        for item in running
    ]
    return say(value, "\n".join(lines))


def _place(run: Run) -> "RunnerPlace":
    from orchestrator.supervisor.runner import RunnerPlace

    if run.orc.folder is None:
        raise NotFound("This board is not in a folder, so no runner runs on it", code="no_runner")
    return RunnerPlace(run.orc.folder)


def project_of(board: str) -> str:
    """The folder that agents work in: around a board ``.orchestrator``, else that of the board."""
    return os.path.dirname(board) if os.path.basename(board) == ".orchestrator" else board
