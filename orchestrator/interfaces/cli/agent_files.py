"""``orc trust`` and ``orc events map``: the files of agents that events start."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.core.errors import NotFound, UsageError, did_you_mean, missing
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD, EVENTS
from orchestrator.interfaces.cli.layout import lines, table_of
from orchestrator.interfaces.cli.parameters import argument, flag, option
from orchestrator.interfaces.cli.rendering import Answer, say
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from orchestrator.core.trust import Trust
    from orchestrator.supervisor.agent_files import AgentFile, AgentFiles

AGENTS_DIR = option(
    "--agents-dir",
    "The folder of the agent files; else `agents` in the board, or else here.",
    types.FOLDER,
)


@BOARD.command("trust", example="trust plan", reads=("agents", "all"), local=True)
@argument("[agents...]", "The agents whose files may run.", types.Type("AGENT"))
@flag("--all", "Every agent of the folder.")
@flag("--revoke", "They may run no more.")
@AGENTS_DIR
def trust(
    run: Run, agents: tuple[str, ...], all: bool, revoke: bool, agents_dir: str | None
) -> "Answer[dict[str, Any] | list[dict[str, str]]]":
    """Let agent files run on this machine; alone: list them, and what is wrong with them.

    Read a file before you trust it. A file that changes is not trusted any more.
    """
    from orchestrator.supervisor.agent_check import HEARS_EVERYTHING
    from orchestrator.supervisor.agent_schema import EVERYTHING

    files = _load(run, agents_dir)
    trust = user_trust(run)
    if not agents and not all:
        if revoke:
            raise UsageError("No agent is named", hint="`trust --revoke AGENT` names one.")
        return _listing(files, trust)
    if agents and all:
        raise UsageError("Agents are named, and --all is given: leave one of them out")
    chosen = [find_agent(files, name) for name in agents] if agents else [*files.agents.values()]
    if revoke:
        trust.remove(agent.path for agent in chosen)
    else:
        trust.add({agent.path: agent.digest for agent in chosen})
    verb = "Trusted no more" if revoke else "Trusted"
    told = [f"{verb}: {agent.id} ({escape(agent.path)})" for agent in chosen]
    if not revoke:
        told += [
            f"{agent.id} is started by {HEARS_EVERYTHING}."
            for agent in chosen
            if EVERYTHING in agent.settings.listen
        ]
    if all:
        told += skipped(files.problems)
    return say([_row(agent, trust) for agent in chosen], lines(told, empty="No agents."))


def skipped(problems: Mapping[str, list[str]], what: str = "is skipped") -> list[str]:
    """The lines about files that are not usable."""
    return [
        line
        for path, texts in problems.items()
        for line in (f"{escape(path)} {what}:", *(f"  {escape(text)}" for text in texts))
    ]


@EVENTS.command("map", example="map", reads=True)
@AGENTS_DIR
def map_(run: Run, agents_dir: str | None) -> "Answer[dict[str, str]]":
    """Draw which agent listens to what and emits what, as a flowchart of Mermaid."""
    from orchestrator.supervisor.event_map import event_map

    files = _load(run, agents_dir)
    text = event_map(files.agents.values())
    return Answer({"mermaid": text}, lambda: text)


def _load(run: Run, folder: str | None) -> "AgentFiles":
    from orchestrator.supervisor.agent_files import load_agents

    return load_agents(agents_folder(run, folder))


def agents_folder(run: Run, folder: str | None) -> str:
    """The folder of the agent files.

    Raises:
        NotFound: The folder that is named does not exist.
    """
    from orchestrator.supervisor.places import default_folder

    if folder is None:
        return default_folder(run.orc.folder)
    if not os.path.isdir(folder):
        raise NotFound(f"There is no folder {folder}", code="folder_not_found")
    return os.path.abspath(folder)


def folder_in_use(run: Run) -> str | None:
    """The folder that the runner of this machine was started with; None if it is the usual one."""
    from orchestrator.supervisor.places import place_in_state

    board = run.orc.folder
    if board is None or not os.path.isdir(place_in_state(board, "runner")):
        return None
    from orchestrator.supervisor.runner import RunnerPlace

    runner = RunnerPlace(board).current()
    words = runner.options if runner else ()
    folders = (word.partition("=")[2] for word in words if word.startswith("--agents-dir="))
    return next(filter(os.path.isdir, folders), None)


def user_trust(run: Run) -> "Trust":
    """What the user of this machine trusts."""
    from orchestrator.core.trust import Trust

    return Trust(project=run.orc.folder)


def find_agent(files: "AgentFiles", name: str) -> "AgentFile":
    """The agent of this name.

    Raises:
        BadInput: Its file is not usable.
        NotFound: There is none.
    """
    if name in files.agents:
        return files.agents[name]
    for path, error in files.bad.items():
        if os.path.splitext(os.path.basename(path))[0] == name:
            raise error
    raise missing(
        "agent",
        name,
        files.agents,
        code="agent_file_not_found",
        hint="`trust` lists the agents of the folder; `task trust ID` is for the commands of a task.",
    )


def _row(agent: "AgentFile", trust: "Trust") -> dict[str, str]:
    state = trust.state_of(agent.path, agent.digest)
    runtime, path = agent.settings.runtime, agent.path
    return {
        "agent": agent.id,
        "runtime": runtime,
        "state": state,
        "file": path,
        "sha256": agent.digest,
    }


def _listing(files: "AgentFiles", trust: "Trust") -> "Answer[dict[str, Any]]":
    rows = [_row(agent, trust) for agent in files.agents.values()]
    columns = [
        (name, lambda row, name=name: row[name]) for name in ("agent", "runtime", "state", "file")
    ]

    def text() -> str:
        parts = [table_of(rows, *columns) or "No agents.", "\n".join(skipped(files.problems))]
        return "\n\n".join(filter(None, parts))

    return Answer({"agents": rows, "bad": files.problems}, text)


def unheard(run: Run, type: str) -> str:
    """Why an event of a type starts no agent although there are agent files; else empty."""
    folder = folder_in_use(run)
    if not os.path.isdir(agents_folder(run, folder)):
        return ""
    from orchestrator.domain.subscriptions.patterns import hears

    files = _load(run, folder)
    listeners = [a.id for a in files.agents.values() if hears(a.settings.listen, type)]
    if not listeners and (files.agents or files.bad):
        heard = {pattern for a in files.agents.values() for pattern in a.settings.listen}
        return f"No agent listens for {type}{did_you_mean(type, heard)}"
    loaded = run.orc.engine.read().subscriptions
    if any(agent in loaded for agent in listeners) or not listeners:
        return ""
    return (
        f"No runner has loaded {', '.join(listeners)} yet, and an agent hears events from then on:"
        " start `orc runner run`, and push it again"
    )
