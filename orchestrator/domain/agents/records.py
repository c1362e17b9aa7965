"""The records of agents and sessions."""

from typing import Literal, get_args

from orchestrator.core.machine import are_apart
from orchestrator.domain.slices import MapSlice, Record
from orchestrator.domain.tasks.records import Task

AgentStatus = Literal["active", "retired"]


class Agent(Record, frozen=True, kw_only=True):
    """An agent.

    ``status`` is active or retired; ``capabilities`` are types and labels of tasks that it suits, none means
    all; ``max_load`` is the largest number of tasks that it may have, None for any number.
    """

    id: str
    type: str
    status: AgentStatus
    capabilities: tuple[str, ...] = ()
    max_load: int | None = None
    registered_at: str

    def suits(self, task: Task) -> bool:
        """Whether the agent suits a task of this type or with one of these labels."""
        return not self.capabilities or not {task.type, *task.labels}.isdisjoint(self.capabilities)


Severity = Literal["critical", "high", "medium", "low"]

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""The severities of a problem; the n-th makes a task of priority n."""

Outcome = Literal["COMPLETED", "ESCALATED", "DEFERRED"]

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
"""The outcomes of the task on a hook."""

LEFT = "left"
"""The outcome of a session whose program has ended."""

OVERSEER = "overseer"
"""The default recipient of escalations."""


class Session(Record, frozen=True, kw_only=True):
    """The last session of an agent.

    Attributes:
        incarnation: The number of the agent's starts, counted from 1.
        ended_at: When it ended; empty while it is live.
        outcome: How it ended: handoff, COMPLETED, ESCALATED, DEFERRED, left, or empty.
        subject: One line for the next session.
        note: What the next session should know.
        collected: What the agent held when it left: tasks, locks, mail, changed files.
        handed_off_in: The incarnation that left the note.
        client: The program that it runs in, such as claude; empty if that is not known.
        host: The process of that program, by :func:`orchestrator.core.processes.host_process`.
        folder: The folder in which it was started.
        machine: The machine on which it was started, if machines share the board.
    """

    agent: str
    incarnation: int
    started_at: str
    ended_at: str = ""
    outcome: str = ""
    subject: str = ""
    note: str = ""
    collected: tuple[str, ...] = ()
    handed_off_at: str = ""
    handed_off_in: int = 0
    client: str = ""
    host: str = ""
    folder: str = ""
    machine: str = ""

    @property
    def is_live(self) -> bool:
        """Whether it has not ended."""
        return not self.ended_at

    def is_here(self, machine: str) -> bool:
        """Whether it is live and its process is one of this machine, so that one can see if it runs."""
        return self.is_live and bool(self.host) and not are_apart(self.machine, machine)


class AgentSlice(MapSlice[str, Agent]):
    """The registered agents by name, and the aliases, sessions and hooks of all agents.

    Attributes:
        aliases: Former names of agents, with the current ones.
        sessions: The last session of each agent.
        hooks: The task on each agent's hook, while the agent has that task.
        machines: The machine on which each agent was last, on a board that machines share.
    """

    MAIN, NOUN = "agents", "agent"
    HINT = "`a list` shows the agents; `a register` adds one."
    agents: dict[str, Agent] = {}
    aliases: dict[str, str] = {}
    sessions: dict[str, Session] = {}
    hooks: dict[str, str] = {}
    machines: dict[str, str] = {}

    def is_retired(self, agent: str) -> bool:
        """Whether an agent is retired; an agent that never registered is not."""
        known = self.agents.get(agent)
        return known is not None and known.status == "retired"

    def note_machine(self, agent: str, machine: str) -> None:
        """Note where an agent is, if that is known. Part of a fold."""
        if machine:
            self.machines[agent] = machine
