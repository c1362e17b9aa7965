"""What an agent and its session are."""

from typing import Literal, get_args

from orchestrator.domain.slices import MapSlice, Record
from orchestrator.domain.tasks.records import Task

AgentStatus = Literal["active", "retired"]


class Agent(Record, frozen=True, kw_only=True):
    """An agent.

    ``status`` is active or retired; ``capabilities`` are types and labels of tasks it suits, none means
    all; ``max_load`` is how many tasks it may be given at once, None for any number.
    """

    id: str
    type: str
    status: AgentStatus
    capabilities: tuple[str, ...] = ()
    max_load: int | None = None
    registered_at: str

    def suits(self, task: Task) -> bool:
        """Whether it can do a task of this type or with one of these labels."""
        return not self.capabilities or not {task.type, *task.labels}.isdisjoint(self.capabilities)


Severity = Literal["critical", "high", "medium", "low"]

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""How severe a problem is; the n-th gives a task of priority n."""

Outcome = Literal["COMPLETED", "ESCALATED", "DEFERRED"]

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
"""How an agent can end the task on its hook."""

OVERSEER = "overseer"
"""The default recipient of escalations."""


class Session(Record, frozen=True, kw_only=True):
    """The last session of an agent.

    Attributes:
        incarnation: Which start of the agent it is; 1 is the first.
        ended_at: When it ended; empty while it is live.
        outcome: How it ended: handoff, COMPLETED, ESCALATED, DEFERRED, or empty.
        subject: One line for the next session.
        note: What the next session should know.
        collected: What the agent held when it left: tasks, locks, mail, changed files.
        handed_off_in: Which incarnation left the note.
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

    @property
    def is_live(self) -> bool:
        """Whether it has not ended."""
        return not self.ended_at


class AgentSlice(MapSlice[str, Agent]):
    """The registered agents by name, and what is known of any agent.

    Attributes:
        aliases: Names that agents had before, with the present ones.
        sessions: The last session of each agent.
        hooks: The task on each agent's hook, while the agent has that task.
    """

    MAIN, NOUN = "agents", "agent"
    HINT = "`a list` shows the agents; `a register` adds one."
    agents: dict[str, Agent] = {}
    aliases: dict[str, str] = {}
    sessions: dict[str, Session] = {}
    hooks: dict[str, str] = {}
