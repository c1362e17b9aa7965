"""Random histories of pushes, claims, ends, kills, restarts and edits of files, against a simple model.

The dispatcher is the real one on a real board; its processes are stand-ins that end when the history says so.
"""

import os
import queue
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
from boards import check_law
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator import Orchestrator
from orchestrator.core import system
from orchestrator.core.trust import Trust
from orchestrator.domain.subscriptions.records import AttemptReport
from orchestrator.runtimes.output import AttemptResult
from orchestrator.supervisor import attempts
from orchestrator.supervisor.agent_files import load_agent
from orchestrator.supervisor.dispatcher import Dispatcher
from orchestrator.supervisor.processes import AttemptEnd, ProcessIdentity

from .running import Follower

MOST = 3
AGENTS = {"plan": (0, 1, 1), "code": (2, 2, 2), "check": (1, 1, 3)}
"""Agents, each with its ``retry``, ``concurrency`` and ``priority``."""

LISTENS = ("[job]", "[job, other]", "[other]")
NAMES = st.sampled_from([*AGENTS])
NEWEST = st.integers(0, 3)
"""Which of the events or attempts, counted from the newest: so rules meet at the same ones."""


class FakeProcess:
    """The process of an attempt, which ends when it is told; ``all`` are those that run, by pid."""

    all: dict[int, "FakeProcess"] = {}

    def __init__(self, launch: Any, output: Any, *, mark: str, keep: Any, grace: float) -> None:
        variables = launch.variables
        self.mark = mark
        self.agent, self.attempt = variables["ORC_AGENT"], int(variables["ORC_ATTEMPT"])
        self.event = int(variables["ORC_EVENT_ID"])
        self.pid = max(self.all, default=10**9) + 1
        self.all[self.pid] = self
        self._end: queue.SimpleQueue[AttemptEnd] = queue.SimpleQueue()

    @property
    def key(self) -> tuple[str, int, int]:
        return self.agent, self.event, self.attempt

    def end(self, failure: str = "", ended_by: Any = "") -> None:
        if self.all.pop(self.pid, None) is not None:
            self._end.put(AttemptEnd(AttemptResult(failure, AttemptReport()), ended_by))

    def stop(self) -> None:
        self.end(ended_by="stop")

    def wait(self, timeout: float) -> AttemptEnd:
        return self._end.get()

    @classmethod
    def with_mark(cls, variable: str, value: str) -> list[int]:
        return [pid for pid, process in cls.all.items() if process.mark == value]

    @classmethod
    def kill(cls, pid: int) -> None:
        if pid in cls.all:
            cls.all[pid].end("killed")


class ModelAgent:
    """What the model knows of an agent: its file, its position, its open attempts by event."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.retry, self.concurrency, self.priority = AGENTS[name]
        self.listen = LISTENS[0]
        self.is_there = self.is_trusted = True
        self.position: int | None = None
        self.numbers: dict[int, int] = {}
        self.running: set[int] = set()

    def next(self, pushed: dict[int, str]) -> int | None:
        """What it would begin now: an attempt again, else the next event that it hears."""
        if self.position is None or not (self.is_there and self.is_trusted):
            return None
        for event in sorted(self.numbers):
            if event not in self.running:
                return event
        types = self.listen.strip("[]").split(", ")
        if len(self.numbers) < self.concurrency:
            for event, type in sorted(pushed.items()):
                if event > self.position and type in types:
                    return event
        return None


class RunnerMachine(RuleBasedStateMachine):
    """One board, a runner that is killed and started again, agents whose files change."""

    def __init__(self) -> None:
        super().__init__()
        memory = os.environ.get("PYTEST_DEBUG_TEMPROOT")
        self.folder = Path(tempfile.mkdtemp(dir=memory, prefix="orchestrator-test-"))
        self.files = self.folder / "agents"
        self.files.mkdir()
        self.trust = Trust(str(self.folder / "user"))
        self.orc = Orchestrator.open(self.folder / ".orchestrator")
        self.runners = self.edits = 0
        self.living: set[int] = set()
        self.agents = {name: ModelAgent(name) for name in AGENTS}
        self.pushed: dict[int, str] = {}
        self.finished: Counter[tuple[str, int]] = Counter()
        self.dead: Counter[tuple[str, int]] = Counter()
        self.claims: dict[int, str] = {}
        FakeProcess.all.clear()
        living, fakes = self.living, FakeProcess.all
        self.patches = [
            mock.patch.object(attempts, "AgentProcess", FakeProcess),
            mock.patch.object(system, "processes_with", FakeProcess.with_mark),
            mock.patch.object(system, "kill_group", FakeProcess.kill),
            mock.patch.object(
                ProcessIdentity,
                "is_alive",
                property(lambda identity: identity.pid in living or identity.pid in fakes),
            ),
        ]
        for patch in self.patches:
            patch.start()

    @initialize()
    def begin(self) -> None:
        for name in self.agents:
            self.write(name)
        self.start()

    # What happens

    def start(self) -> None:
        """A runner starts: what another one has left is interrupted first."""
        self.runners += 1
        self.living.add(self.runners)
        self.dispatcher = Dispatcher(
            Orchestrator.open(self.folder / ".orchestrator"),
            agents=str(self.files),
            project=str(self.folder),
            trust=self.trust,
            follower=Follower(),
            most=MOST,
            back_off=0.0,
        )
        self.dispatcher._attempts._identity = ProcessIdentity(self.runners, 0, "", 0.0)
        for agent in self.agents.values():
            for event in [*agent.running]:
                self.ended(agent, event)
        self.step()

    def step(self, *, waits: bool = False) -> None:
        """Let the runner do what it can, then the model."""
        self.dispatcher._take(self.dispatcher._messages() if waits else [])
        for agent in self.agents.values():
            if agent.position is None and agent.is_there and agent.is_trusted:
                opened = [
                    record.id
                    for record in self.orc.events.read(type="subscription.opened")
                    if msgspec.json.decode(record.payload)["subscriber"] == agent.name
                ]
                agent.position = opened[0] - 1
        while sum(len(agent.running) for agent in self.agents.values()) < MOST:
            offers = [
                (agent.priority, event, agent.name)
                for agent in self.agents.values()
                if (event := agent.next(self.pushed)) is not None
            ]
            if not offers:
                return
            _, event, name = min(offers, key=lambda offer: offer[:2])
            agent = self.agents[name]
            agent.numbers[event] = agent.numbers.get(event, 0) + 1
            agent.running.add(event)
            agent.position = max(agent.position or 0, event)

    def ended(self, agent: ModelAgent, event: int) -> None:
        """An attempt ended without success."""
        agent.running.remove(event)
        if agent.numbers[event] > agent.retry:
            del agent.numbers[event]
            self.dead[agent.name, event] += 1

    def write(self, name: str) -> None:
        """Write the file of an agent as the model has it."""
        agent, path = self.agents[name], self.files / f"{name}.md"
        self.edits += 1
        path.unlink(missing_ok=True)
        if agent.is_there:
            path.write_text(
                f"---\nruntime: shell\nlisten: {agent.listen}\nretry: {agent.retry}\n"
                f"concurrency: {agent.concurrency}\npriority: {agent.priority}\n---\n"
                f"true {'x' * self.edits}\n"
            )
            if agent.is_trusted:
                self.trust.add({str(path): load_agent(str(path)).digest})

    # Rules

    @rule(type=st.sampled_from(["job", "job", "other"]))
    def push(self, type: str) -> None:
        self.pushed[self.orc.events.push(type, agent="ann").id] = type
        self.step()

    @precondition(lambda self: FakeProcess.all)
    @rule(which=NEWEST, failure=st.sampled_from(["", "", "no"]))
    def end(self, which: int, failure: str) -> None:
        """An agent ends, or crashes."""
        process = [*FakeProcess.all.values()][-1 - which % len(FakeProcess.all)]
        agent, event = self.agents[process.agent], process.event
        process.end(failure)
        if failure:
            self.ended(agent, event)
        else:
            agent.running.remove(event)
            del agent.numbers[event]
            self.finished[agent.name, event] += 1
        self.step(waits=True)

    @rule(pushes=st.integers(0, 2))
    def kill(self, pushes: int) -> None:
        """The runner is killed; events come; the next one starts."""
        self.living.remove(self.runners)
        for _ in range(pushes):
            self.pushed[self.orc.events.push("job", agent="ann").id] = "job"
        self.start()

    @rule(name=NAMES, listen=st.sampled_from(LISTENS))
    def edit(self, name: str, listen: str) -> None:
        self.agents[name].listen = listen
        self.write(name)
        self.step()

    @rule(name=NAMES)
    def take_away_or_bring_back(self, name: str) -> None:
        self.agents[name].is_there = not self.agents[name].is_there
        self.write(name)
        self.step()

    @rule(name=NAMES)
    def trust_or_not(self, name: str) -> None:
        """A file is edited by others, or trusted by a person."""
        self.agents[name].is_trusted = not self.agents[name].is_trusted
        self.write(name)
        self.step()

    @precondition(lambda self: self.pushed)
    @rule(worker=st.sampled_from(["w1", "w2"]), which=NEWEST)
    def claim(self, worker: str, which: int) -> None:
        event = [*self.pushed][-1 - which % len(self.pushed)]
        held = self.orc.subscriptions.claim(event, agent=worker)
        assert held.agent == self.claims.setdefault(event, worker)
        self.step()

    # What must hold

    @invariant()
    def what_runs_is_what_the_model_runs(self) -> None:
        wanted = [
            (agent.name, event, agent.numbers[event])
            for agent in self.agents.values()
            for event in agent.running
        ]
        assert sorted(process.key for process in FakeProcess.all.values()) == sorted(wanted)

    @invariant()
    def each_event_ends_once(self) -> None:
        for type, model in (("finished", self.finished), ("died", self.dead)):
            records = self.orc.events.read(type=f"subscription.{type}")
            payloads = [msgspec.json.decode(record.payload) for record in records]
            assert Counter((p["subscriber"], p["event"]) for p in payloads) == model
        assert not self.finished.keys() & self.dead.keys()
        assert max(self.finished.values(), default=1) == 1

    def teardown(self) -> None:
        try:
            if self.runners:
                for agent in self.agents.values():
                    agent.is_there = agent.is_trusted = True
                    self.write(agent.name)
                self.step()
                while FakeProcess.all:
                    self.end(0, "")
                self.what_runs_is_what_the_model_runs()
                self.each_event_ends_once()
                notes = self.folder / ".orchestrator" / "state" / "runner"
                assert [*notes.iterdir()] == []
            check_law(self.orc)
        finally:
            for patch in self.patches:
                patch.stop()
            shutil.rmtree(self.folder)


TestRunner = RunnerMachine.TestCase
TestRunner.settings = settings(
    max_examples=int(os.environ.get("ORC_EXAMPLES", "50")) // 5,
    stateful_step_count=30,
    deadline=None,
)
