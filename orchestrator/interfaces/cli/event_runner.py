"""``orc runner run``, ``start``, ``stop`` ...: the process that starts agents on events."""

import gc
import os
import signal
from types import FrameType
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from orchestrator.core import clock, system
from orchestrator.core.errors import NotFound, Refused
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.agent_files import (
    AGENTS_DIR,
    agents_folder,
    folder_in_use,
    user_trust,
)
from orchestrator.interfaces.cli.commands import RUNNER
from orchestrator.interfaces.cli.parameters import option, together
from orchestrator.interfaces.cli.rendering import Answer, say
from orchestrator.interfaces.cli.run import Run, given

if TYPE_CHECKING:
    from orchestrator import Orchestrator
    from orchestrator.domain.subscriptions.records import Attempt
    from orchestrator.supervisor.runner import RunnerPlace

OPTIONS = together(
    AGENTS_DIR,
    option("--max-agents", "How many agents run at a time; else 10.", types.POSITIVE),
    option(
        "--watch",
        "Changes of files in this folder are events; may be repeated.",
        types.FOLDER,
        many=True,
        commas=False,
    ),
    option(
        "--exclude",
        "Files not to watch, as in .gitignore: '*.tmp', build/; may be repeated.",
        types.WORD,
        many=True,
        commas=False,
    ),
)
"""The options of a runner, however it is started."""


@RUNNER.command("run", example="run --max-agents 4", local=True)
@OPTIONS
def run_(run: Run, **options: Any) -> None:
    """Start trusted agents on events until the process is ended, and print what happens.

    The first SIGTERM or Ctrl-C lets running agents finish, a second one ends them. There is one runner for
    each board on a machine.
    """
    from orchestrator.interfaces.cli.runner_lines import JsonPrinter, LinePrinter
    from orchestrator.supervisor import daemon
    from orchestrator.supervisor.dispatcher import Dispatcher
    from orchestrator.supervisor.places import project_of

    class DaemonPrinter(LinePrinter):
        def note(self, type: str, agent: str, text: str) -> None:
            super().note(type, agent, text)
            if type == "runner.ready":
                daemon.report_ready()

    options = absolute(run, options)
    folder = agents_folder(run, options["agents_dir"])
    is_daemon = bool(os.environ.pop(daemon.VARIABLE, ""))
    gc.enable()  # `process` has disabled it for commands that end soon
    keeper = system.go_on_as_child() if run.owns_process else 0
    system.adopt_orphans()
    with run.lasting() as orc:
        place = runner_place(orc)
        log = daemon.detach(place.board) if is_daemon else ""
        with place.held(option_words(options), log, keeper):
            printer = DaemonPrinter if is_daemon else LinePrinter
            follower = (
                JsonPrinter()
                if run.settings.json and not is_daemon
                else printer(orc, is_exact=run.settings.utc)
            )
            dispatcher = Dispatcher(
                orc,
                agents=folder,
                project=project_of(place.board),
                trust=user_trust(run),
                follower=follower,
                watch=options["watch"] or (),
                exclude=options["exclude"] or (),
                is_kept=bool(keeper),
                **given(most=options["max_agents"]),
            )

            def stop(_number: int, _frame: FrameType | None) -> None:
                dispatcher.stop()

            for number in system.INTERRUPTS:
                signal.signal(number, stop)
            dispatcher.run()


@RUNNER.command("start", example="start --watch src", local=True)
@OPTIONS
def start(run: Run, **options: Any) -> "Answer[dict[str, Any]]":
    """Start a runner in the background, and wait until it is ready."""
    return _start(run, runner_place(run.orc), option_words(absolute(run, options)), "Started")


@RUNNER.command("restart", example="restart", local=True)
def restart(run: Run) -> "Answer[dict[str, Any]]":
    """End the runner in the background when its agents have finished, and start it with the same options."""
    place = runner_place(run.orc)
    note = place.needed()
    if not note.log:
        raise Refused(
            f"Process {note.pid} was not started by `runner start`",
            code="not_in_background",
            hint="`runner stop` ends it.",
        )
    note.stop()
    return _start(run, place, note.options, "Restarted")


def _start(
    run: Run, place: "RunnerPlace", options: tuple[str, ...], verb: str
) -> "Answer[dict[str, Any]]":
    from orchestrator.supervisor.daemon import start
    from orchestrator.supervisor.places import command_line, project_of

    if place.current() is not None:
        raise place.refusal()
    utc = ["--utc"] if run.settings.utc else []
    project = project_of(place.board)
    pid = start([*command_line(place.board), "--json", *utc, "runner", "run", *options], project)
    note = place.current()
    log = note.log if note else ""
    return say({"pid": pid, "log": log}, f"{verb}: process {pid}; its log: {log}")


def absolute(run: Run, options: dict[str, Any]) -> dict[str, Any]:
    """The options with paths that hold in any folder.

    Raises:
        NotFound: A folder to watch does not exist.
    """
    folders = [os.path.abspath(folder) for folder in options["watch"] or ()]
    for folder in folders:
        if not os.path.isdir(folder):
            raise NotFound(f"There is no folder {folder}", code="folder_not_found")
    agents = agents_folder(run, options["agents_dir"])
    return {
        **options,
        "watch": tuple(folders),
        "agents_dir": agents if os.path.isdir(agents) else None,
    }


def option_words(options: dict[str, Any]) -> tuple[str, ...]:
    """The words of options."""
    words: list[str] = []
    for name, value in options.items():
        values = value if isinstance(value, tuple) else () if value is None else (value,)
        words += [f"--{name.replace('_', '-')}={item}" for item in values]
    return tuple(words)


@RUNNER.command("stop", example="stop", local=True)
def stop(run: Run) -> "Answer[dict[str, int]]":
    """Ask the runner to end, and wait until its agents have finished; it starts no more."""
    note = runner_place(run.orc).needed()
    note.stop()
    return say({"pid": note.pid}, f"Stopped: process {note.pid}")


class _RunningAttempt(TypedDict):
    """What an agent works on."""

    agent: str
    event: int
    attempt: int
    task: NotRequired[str]


class _PausedAgent(TypedDict):
    """An agent that is not started until then."""

    agent: str
    until: str
    reason: str


class _RunnerStatus(TypedDict):
    """The runner on this machine: its process, or null if none runs, and how long it has run, in seconds."""

    pid: int | None
    seconds: int | None
    log: str | None
    running: list[_RunningAttempt]
    paused: list[_PausedAgent]


@RUNNER.command("status", example="status", reads=True)
def status(run: Run) -> "Answer[_RunnerStatus]":
    """Show whether a runner runs on this machine, what its agents work on, and which have to pause."""
    note = runner_place(run.orc).current()
    running = [
        _running(subscriber.agent, attempt)
        for subscriber in run.orc.subscriptions.all()
        for attempt in subscriber.running
        if not attempt.first  # a notice, which another process sends
    ]
    paused = _paused(run)
    value = _RunnerStatus(
        pid=note.pid if note else None,
        seconds=round(note.seconds()) if note else None,
        log=note.log if note else None,
        running=running,
        paused=paused,
    )
    pauses = [
        f"{item['agent']} is not started until"
        f" {clock.local_time(item['until'], run.orc.engine.now())}: {escape(item['reason'])}"
        for item in paused
    ]
    if note is None:
        return say(value, "\n".join(["No runner runs here.", *pauses]))
    lines = [f"The runner is process {note.pid}, for {clock.spoken(note.seconds())}."]
    lines += [f"It runs in the background; its log: {note.log}"] if note.log else []
    for item in running:
        work = f"task {item['task']}" if "task" in item else f"event {item['event']}"
        lines.append(f"{item['agent']} works on {work}, attempt {item['attempt']}")
    return say(value, "\n".join(lines + pauses))


def _running(agent: str, attempt: "Attempt") -> _RunningAttempt:
    running = _RunningAttempt(agent=agent, event=attempt.event, attempt=attempt.number)
    if attempt.task:
        running["task"] = attempt.task
    return running


def _paused(run: Run) -> list[_PausedAgent]:
    """The agents that have to pause, with the budgets of the files that the runner reads."""
    from orchestrator.domain.subscriptions.limits import NO_LIMITS, pause_of
    from orchestrator.supervisor.agent_files import load_agents

    agents = load_agents(agents_folder(run, folder_in_use(run))).agents
    now = run.orc.engine.now()
    paused = []
    for subscriber in run.orc.subscriptions.all():
        file = agents.get(subscriber.agent)
        pause = pause_of(subscriber, file.settings.budget if file else NO_LIMITS, now)
        if pause is not None and not subscriber.noticed:
            until, reason = pause.until, pause.reason
            paused.append(_PausedAgent(agent=subscriber.agent, until=until, reason=reason))
    return paused


def runner_place(orc: "Orchestrator") -> "RunnerPlace":
    """Where the runner of a board leaves its note.

    Raises:
        NotFound: The board is not in a folder.
    """
    from orchestrator.supervisor.runner import RunnerPlace

    if orc.folder is None:
        raise NotFound("This board is not in a folder, so no runner runs on it", code="no_runner")
    return RunnerPlace(orc.folder)
