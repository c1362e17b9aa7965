"""``orc runner run``: the process that starts agents on events."""

import os
import signal
from types import FrameType
from typing import TYPE_CHECKING

from orchestrator.core import clock, system
from orchestrator.core.errors import NotFound
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.agent_files import AGENTS_DIR, agents_folder, user_trust
from orchestrator.interfaces.cli.commands import RUNNER
from orchestrator.interfaces.cli.parameters import option
from orchestrator.interfaces.cli.rendering import Answer, say
from orchestrator.interfaces.cli.run import Run, given

if TYPE_CHECKING:
    from orchestrator.supervisor.runner import RunnerPlace

_MOST = option("--max-agents", "How many agents run at a time; else 10.", types.COUNT)


@RUNNER.command("run", example="run --max-agents 4")
@AGENTS_DIR
@_MOST
def run_(run: Run, agents_dir: str | None, max_agents: int | None) -> None:
    """Start trusted agents on events until the process is ended, and print what happens.

    The first SIGTERM or Ctrl-C lets running agents finish, a second one ends them. There is one runner for
    each board on a machine.
    """
    from orchestrator.interfaces.cli.runner_lines import JsonPrinter, LinePrinter
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
                follower=JsonPrinter()
                if run.settings.json
                else LinePrinter(orc, is_exact=run.settings.utc),
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
