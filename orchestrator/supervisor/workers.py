"""The agents of a runner: their files as they change, and what of them runs here."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Protocol

import msgspec

from orchestrator.core.events import Recorded
from orchestrator.core.trust import Trust
from orchestrator.domain.subscriptions.records import Attempt
from orchestrator.runtimes.output import AttemptResult
from orchestrator.supervisor.agent_files import AgentFile, load_agents, problems_of
from orchestrator.supervisor.processes import AgentLog, AgentProcess, NoteFile


class Follower(Protocol):
    """What hears of the runner's work; its methods are called in any thread."""

    def event(self, record: Recorded) -> None:
        """The log has a new event."""

    def output(self, agent: str, event: int, lines: list[str]) -> None:
        """An agent has written lines."""

    def note(self, type: str, agent: str, text: str) -> None:
        """The runner did an action that is not in the log, such as skipping a file."""


class RunningAttempt(msgspec.Struct):
    """An attempt that runs here.

    Attributes:
        scratch: Its folder.
        mark: The mark of its processes.
        process: What runs now: the agent, or the checks of its task.
        result: The result of the agent, while its task is checked.
        renewal: When its lease is renewed, by the monotonic clock; only a task needs that.
        cause: The cause of what it does (``engine.cause_mark``).
        lost: Why it was asked to end although the runner goes on; else empty.
        held: Lines that it wrote before the follower had its start; None: they go to the follower.
        lock: Guards ``held``.
    """

    agent: str
    attempt: Attempt
    note: NoteFile
    scratch: str
    mark: str
    cause: str = ""
    lost: str = ""
    process: AgentProcess | None = None
    result: AttemptResult | None = None
    renewal: float = float("inf")
    held: list[str] | None = []
    lock: threading.Lock = msgspec.field(default_factory=threading.Lock)


class Worker(msgspec.Struct):
    """An agent whose file is loaded and trusted.

    Attributes:
        running: Its attempts that run here, by event.
    """

    file: AgentFile
    log: AgentLog
    running: dict[int, RunningAttempt] = {}

    @property
    def id(self) -> str:
        """The agent."""
        return self.file.id


class Workers:
    """The workers of a folder of agent files.

    Args:
        folder: The folder of the agent files.
        trust: What may run on this machine.
        log: Makes the log of an agent.
        follower: Hears of files that are loaded, skipped or removed.
    """

    def __init__(
        self, folder: str, trust: Trust, log: Callable[[str], AgentLog], follower: Follower
    ) -> None:
        self._folder = folder
        self._trust = trust
        self._log = log
        self._follower = follower
        self._workers: dict[str, Worker] = {}
        self._leaving: list[Worker] = []
        self._changed: list[AgentFile] = []
        self._noted: dict[str, str] = {}
        self._stamp: object = None

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._workers.values())

    def __len__(self) -> int:
        return len(self._workers)

    def count(self) -> int:
        """How many agents run."""
        return sum(1 for _ in self.running())

    def running(self) -> Iterator[RunningAttempt]:
        """What runs here, also of agents whose file is gone."""
        for worker in (*self._workers.values(), *self._leaving):
            yield from worker.running.values()

    def close(self) -> None:
        """Close their logs."""
        for worker in (*self._workers.values(), *self._leaving):
            worker.log.close()

    def is_trusted(self, worker: Worker) -> bool:
        """Whether its file is still trusted; if not, the files are read again."""
        if self._trust.is_trusted(worker.file.path, worker.file.digest):
            return True
        self._stamp = None
        return False

    @property
    def folders(self) -> tuple[str, str]:
        """The folders that change with the files and with what is trusted."""
        return self._folder, os.path.dirname(self._trust.path)

    def reload(self, *, may_have_changed: bool) -> bool:
        """Read the files again if they or what is trusted has changed; whether that is so.

        Attempts that run go on under the file they began with.

        Args:
            may_have_changed: Whether there was a change in :attr:`folders`.
        """
        if self._stamp is not None and not may_have_changed:
            return False
        stamp = self._stamped()
        if stamp == self._stamp:
            return False
        self._replace(self._usable())
        self._stamp = stamp
        return True

    def announce(self) -> None:
        """Let the follower hear which agents are new or changed: from now on, work starts them."""
        for file in self._changed:
            self._follower.note("agent.loaded", file.id, file.settings.description)
        self._changed.clear()

    def _usable(self) -> dict[str, AgentFile]:
        """The files that are valid and trusted; the follower hears why the others are not used."""
        loaded = load_agents(self._folder)
        usable: dict[str, AgentFile] = {}
        notes: dict[str, str] = {}
        for path, error in loaded.bad.items():
            notes[os.path.basename(path)] = f"{path} is skipped: {'; '.join(problems_of(error))}"
        for agent in loaded.agents.values():
            state = self._trust.state_of(agent.path, agent.digest)
            if state == "trusted":
                usable[agent.id] = agent
            else:
                why = "has changed since it was trusted" if state == "changed" else "is not trusted"
                notes[agent.id] = f"{agent.path} {why}: read it, then `orc trust {agent.id}`"
        for agent_id, text in notes.items():
            if self._noted.get(agent_id) != text:
                self._follower.note("agent.skipped", agent_id, text)
        self._noted = notes
        return usable

    def _stamped(self) -> object:
        """What changes with the agent files and with what is trusted."""
        paths = [self._trust.path]
        with suppress(OSError):
            names = sorted(os.listdir(self._folder))
            paths += [os.path.join(self._folder, name) for name in names if name.endswith(".md")]
        stamps: list[object] = []
        for path in paths:
            try:
                status = os.lstat(path)
            except OSError:
                stamps.append(path)
                continue
            stamps.append((path, status.st_mtime_ns, status.st_size, status.st_ino))
        return stamps

    def _replace(self, usable: dict[str, AgentFile]) -> None:
        for agent_id in [*self._workers]:
            if agent_id not in usable:
                self._follower.note(
                    "agent.removed", agent_id, "its file is gone or is not usable now"
                )
                self._leaving.append(self._workers.pop(agent_id))
        for file in usable.values():
            worker = self._workers.get(file.id)
            if worker is not None and worker.file == file:
                continue
            worker = worker or self._back(file.id) or Worker(file=file, log=self._log(file.id))
            worker.file = file
            self._workers[file.id] = worker
            self._changed.append(file)
        for worker in self._leaving:
            if not worker.running:
                worker.log.close()
        self._leaving = [worker for worker in self._leaving if worker.running]

    def _back(self, agent_id: str) -> Worker | None:
        """The worker of an agent that was removed while it ran."""
        for worker in self._leaving:
            if worker.id == agent_id:
                self._leaving.remove(worker)
                return worker
        return None
