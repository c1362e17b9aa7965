"""Agents: who works on the board. Registering is optional; it says what an agent is and can do."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from orchestrator.core import clock, names
from orchestrator.core.errors import NotFound, Refused
from orchestrator.core.events import Event, Recorded, event
from orchestrator.core.transaction import Committed, Noun, Transaction, command
from orchestrator.domain import locks
from orchestrator.domain.checks import sentence
from orchestrator.domain.task_events import Task, TaskReleased, TaskRenewed

if TYPE_CHECKING:
    from orchestrator.domain.state import State

STALE_AFTER = 5 * 60.0
"""Seconds without a sign of life after which an agent is called stale."""


class Agent(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """An agent. ``status`` is active or retired; ``capabilities`` are types and labels of tasks it suits."""

    id: str
    type: str
    status: str
    capabilities: tuple[str, ...] = ()
    registered_at: str


class AgentView(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as it stands now: its record, when it was seen, what it holds, its unread mail."""

    id: str
    type: str
    status: str
    capabilities: tuple[str, ...]
    registered_at: str | None
    last_seen: str | None
    stale: bool
    tasks: tuple[str, ...]
    locks: tuple[str, ...]
    unread: int


@event("agent.registered")
class AgentRegistered(Event):
    """An agent said who it is; again, it says what it is now."""

    id: str
    type: str = "general"
    capabilities: tuple[str, ...] = ()

    def apply(self, state: "State", at: Recorded) -> None:
        known = state.agents.get(self.id)
        state.agents[self.id] = Agent(
            id=self.id,
            type=self.type,
            status="active",
            capabilities=self.capabilities,
            registered_at=known.registered_at if known else at.ts,
        )


@event("agent.imported")
class AgentImported(Event):
    """An agent came from another system, with its times."""

    record: Agent

    def apply(self, state: "State", at: Recorded) -> None:
        state.agents[self.record.id] = self.record


@event("agent.retired")
class AgentRetired(Event):
    """An agent works no more."""

    id: str
    reason: str = ""

    def apply(self, state: "State", at: Recorded) -> None:
        state.agents[self.id] = replace(state.agents[self.id], status="retired")


def the_agent(state: "State", events: Committed) -> Agent:
    """The result of registering and retiring: the agent's record."""
    about = next(e for _, e in events if isinstance(e, (AgentRegistered, AgentRetired)))
    return state.agents[about.id]


def the_renewed_tasks(state: "State", events: Committed) -> list[Task]:
    """The result of a heartbeat: the tasks whose leases it renewed."""
    renewed = (e.task for _, e in events if isinstance(e, TaskRenewed))
    return [state.tasks[task] for task in renewed]


class Agents(Noun["State"]):
    """``orc.agents``: register, heartbeat, retire; get, all."""

    @command(the_agent)
    def register(
        self,
        tx: "Transaction[State]",
        id: str,
        *,
        type: str = "general",
        capabilities: Iterable[str] = (),
    ) -> None:
        """Say that an agent is there and what it can do; again, to change what it can do.

        Args:
            id: Its name; path-like names (``rig/crew/ann``) are allowed.
            type: A word for its kind.
            capabilities: Types and labels of tasks it suits; none means all.

        Raises:
            BadName: The name is not allowed, or differs from another only in case.
        """
        tx.act_as(id)
        if id not in tx.state.agents:
            names.name("agent", id.replace("/", "."), among=_dotted(tx.state.agents))
        words = tuple(dict.fromkeys(names.name("capability", word) for word in capabilities))
        tx.record(AgentRegistered(id=id, type=names.name("agent type", type), capabilities=words))

    @command(the_renewed_tasks)
    def heartbeat(self, tx: "Transaction[State]", id: str) -> None:
        """Say that an agent is alive; leases of which half has passed are renewed.

        The sign of life itself is the time of the agent's presence file, not an event. Returns the
        tasks whose leases were renewed.
        """
        tx.act_as(id)

    @command(the_agent)
    def retire(
        self, tx: "Transaction[State]", id: str, *, reason: str = "", agent: str | None = None
    ) -> None:
        """End an agent: what it holds is given back in the same commit.

        Raises:
            NotFound: No agent of this name is registered.
            Refused: It is retired already.
        """
        tx.act_as(agent)
        if find(tx.state, id).status == "retired":
            raise Refused(f"Agent {id} is retired already", code="illegal_step")
        for task in [t for t in tx.state.schedule.running() if t.assigned_to == id]:
            tx.record(TaskReleased(task=task.id, reason=f"{id} retired"))
        for lock in locks.held_by(tx.state, id, tx.now):
            tx.record(locks.LockReleased(resource=lock.resource, holder=id))
        tx.record(AgentRetired(id=id, reason=sentence("reason", reason)))

    def get(self, id: str) -> AgentView:
        """The agent as it stands now, also one that never registered but was seen or holds a task.

        Raises:
            NotFound: Nobody of this name was ever here.
        """
        for view in self.all():
            if view.id == id:
                return view
        raise _unknown(id)

    def all(self) -> list[AgentView]:
        """Every agent that is registered or was seen, by name."""
        return self.views(self.state, self._desk.now(), self._desk.seen())

    @staticmethod
    def views(state: "State", now: str, seen: dict[str, float]) -> list[AgentView]:
        """The agents of a state at a time, given when they were seen."""
        holding: dict[str, list[str]] = {}
        for task in state.schedule.running():
            holding.setdefault(task.assigned_to or "", []).append(task.id)
        everyone = sorted({*state.agents, *seen, *holding})
        return [_view(state, name, now, seen.get(name), holding.get(name, ())) for name in everyone]


def find(state: "State", id: str) -> Agent:
    """The registered agent of this name.

    Raises:
        NotFound: There is none.
    """
    agent = state.agents.get(id)
    if agent is None:
        raise _unknown(id)
    return agent


def _view(state: "State", id: str, now: str, seen: float | None, held: Iterable[str]) -> AgentView:
    record, box = state.agents.get(id), state.mailboxes.get(id)
    last = clock.timestamp(seen) if seen is not None else None
    if record is not None:
        last = max(last or "", record.registered_at)
    return AgentView(
        id=id,
        type=record.type if record else "general",
        status=record.status if record else "unregistered",
        capabilities=record.capabilities if record else (),
        registered_at=record.registered_at if record else None,
        last_seen=last,
        stale=last is None or last < clock.after(now, -STALE_AFTER),
        tasks=tuple(held),
        locks=tuple(lock.resource for lock in locks.held_by(state, id, now)),
        unread=box.count_unread if box else 0,
    )


def _dotted(agents: Iterable[str]) -> set[str]:
    return {name.replace("/", ".") for name in agents}


def _unknown(id: str) -> NotFound:
    return NotFound(
        f"There is no agent {id!a}",
        code="agent_not_found",
        hint="`a list` shows the agents; `a register` adds one.",
    )
