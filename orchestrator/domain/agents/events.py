"""The events of agents."""

from msgspec.structs import replace

from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.agents.records import Agent
from orchestrator.domain.convoys import events as convoys
from orchestrator.domain.locks import events as locks
from orchestrator.domain.mail import events as mail
from orchestrator.domain.merges import events as merges
from orchestrator.domain.state import State
from orchestrator.domain.subscriptions import events as subscriptions
from orchestrator.domain.tasks.derived import change_task
from orchestrator.domain.terminals import events as terminals


@event("agent.registered")
class AgentRegistered(Event):
    """An agent was registered, or registered again with other facts."""

    id: str
    type: str = "general"
    capabilities: tuple[str, ...] = ()
    max_load: int | None = None
    machine: str = ""

    def apply(self, state: State, record: Recorded) -> None:
        known = state.agents.get(self.id)
        state.agents.aliases.pop(self.id, None)
        state.agents.note_machine(self.id, self.machine)
        state.agents[self.id] = Agent(
            id=self.id,
            type=self.type,
            status="active",
            capabilities=self.capabilities,
            max_load=self.max_load,
            registered_at=known.registered_at if known else record.ts,
        )


@event("agent.imported")
class AgentImported(Event):
    """An agent came from another system, with its times."""

    record: Agent

    def apply(self, state: State, record: Recorded) -> None:
        state.agents[self.record.id] = self.record


@event("agent.retired")
class AgentRetired(Event):
    """An agent was retired."""

    id: str
    reason: str = ""

    def apply(self, state: State, record: Recorded) -> None:
        state.agents.change(self.id, status="retired")


@event("agent.renamed")
class AgentRenamed(Event):
    """An agent was renamed: its new name owns all that the old name owned."""

    id: str
    to: str

    def apply(self, state: State, record: Recorded) -> None:
        old, new = self.id, self.to
        if (agent := state.agents.pop(old, None)) is not None:
            state.agents[new] = replace(agent, id=new)
        if (session := state.agents.sessions.pop(old, None)) is not None:
            state.agents.sessions[new] = replace(session, agent=new)
        state.agents.note_machine(new, state.agents.machines.pop(old, ""))
        hung = state.agents.hooks.pop(old, None)
        for task in [task for task in state.tasks.values() if task.assigned_to == old]:
            change_task(state, task, replace(task, assigned_to=new))
        for task in [task for task in state.tasks.values() if old in task.workers]:
            # The old name stays: an agent that reuses it must not approve work that was done under it.
            change_task(state, task, replace(task, workers=(*task.workers, new)))
        for task in [task for task in state.tasks.values() if task.reviewer == old]:
            change_task(state, task, replace(task, reviewer=new))
        if hung is not None:
            state.agents.hooks[new] = hung
        locks.rename(state, old, new)
        mail.rename(state, old, new)
        convoys.rename(state, old, new)
        subscriptions.rename(state, old, new)
        merges.rename(state, old, new)
        terminals.rename(state, old, new)
        state.agents.aliases.pop(new, None)
        for alias, name in state.agents.aliases.items():
            if name == old:
                state.agents.aliases[alias] = new
        state.agents.aliases[old] = new
