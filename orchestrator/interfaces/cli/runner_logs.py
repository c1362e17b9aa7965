"""``orc runner logs``: what agents have written."""

import os
import time
from collections.abc import Iterator

from orchestrator.core import names, system
from orchestrator.core.errors import NotFound, missing
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import RUNNER
from orchestrator.interfaces.cli.event_queue import json_line
from orchestrator.interfaces.cli.layout import columns, padded
from orchestrator.interfaces.cli.parameters import argument, flag, option
from orchestrator.interfaces.cli.rendering import Answer, say, write
from orchestrator.interfaces.cli.run import Run
from orchestrator.supervisor.log_reading import SUFFIX, LogReader
from orchestrator.supervisor.places import place_in_state

_PAUSE = 0.2  # seconds between two looks where the system reports no changes
_LOOK = 30.0  # and where it does


class _Logs:
    """The logs of a folder: of one agent, or of all.

    Args:
        folder: The folder.
        agent: The agent; None: all of them.
        as_json: Print JSON lines.
    """

    def __init__(self, folder: str, agent: str | None, *, as_json: bool) -> None:
        self._folder = folder
        self._agent = agent
        self._as_json = as_json
        self._readers: dict[str, LogReader] = {}

    def known(self) -> list[str]:
        """The agents that have a log."""
        try:
            entries = sorted(os.listdir(self._folder))
        except FileNotFoundError:
            return []
        files = (name for name in entries if name.endswith(SUFFIX))
        return [names.from_file_name(name.removesuffix(SUFFIX)) for name in files]

    def last(self, most: int) -> None:
        """Print the last lines of each."""
        for agent, reader in self._new_readers():
            self._print(agent, reader.last(most))

    def new(self) -> None:
        """Print the lines that were added since the last call."""
        self._new_readers()
        for agent, reader in self._readers.items():
            self._print(agent, reader.new())

    def _new_readers(self) -> list[tuple[str, LogReader]]:
        agents = self.known() if self._agent is None else [self._agent]
        new = [agent for agent in agents if agent not in self._readers]
        for agent in new:
            path = os.path.join(self._folder, f"{names.file_name(agent)}{SUFFIX}")
            self._readers[agent] = LogReader(path)
        return [(agent, self._readers[agent]) for agent in new]

    def _print(self, agent: str, lines: "Iterator[str] | list[str]") -> None:
        room = max(map(columns, self._readers), default=0)
        for line in lines:
            if self._as_json:
                payload = {"text": line}
                text = json_line({"type": "agent.output", "worker_id": agent, "payload": payload})
            elif self._agent is None:
                text = f"{padded(agent, room)}  {escape(line)}"
            else:
                text = escape(line)
            write(f"{text}\n".encode("utf-8", "replace"))


@RUNNER.command("logs", example="logs plan -f", reads=True, local=True)
@argument("[agent]", "Whose; else those of all agents.", types.AGENT_NAME)
@flag("--follow/-f", "Print new lines as they come, until the command is ended.")
@option("--lines/-n", "How many of the last lines of each agent.", types.COUNT, default=20)
def logs(run: Run, agent: str | None, follow: bool, lines: int) -> "Answer[list[str]] | None":
    """Print what agents have written: the last lines of their logs."""
    if run.orc.folder is None:
        raise NotFound("This board is not in a folder, so it has no logs", code="no_runner")
    folder = place_in_state(run.orc.folder, "logs")
    shown = _Logs(folder, agent and names.agent(agent), as_json=run.settings.json)
    known = shown.known()
    if not follow and agent is not None and agent not in known:
        hint = "`runner logs` prints all logs; `runner check` lists the agents."
        raise missing("log of", agent, known, hint=hint, code="log_not_found")
    shown.last(lines)
    if not follow:
        return None if known or run.settings.json else say([], "No logs: no agent has run.")
    alarm = system.FileAlarm([folder])
    while True:
        shown.new()
        if alarm.is_told:
            alarm.wait(_LOOK)
        else:
            time.sleep(_PAUSE)
