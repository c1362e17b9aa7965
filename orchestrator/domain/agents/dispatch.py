"""Dispatch: assign ready tasks to the least busy agents that may take them.

Any number of dispatchers may run at once: each works in one transaction, so a task is assigned once.
"""

from collections.abc import Iterable

import msgspec

from orchestrator.core.errors import Refused
from orchestrator.core.transaction import Committed, Noun, Transaction, command
from orchestrator.domain.agents.assignment import assign, may_take, notify_assignee, team
from orchestrator.domain.agents.records import Agent
from orchestrator.domain.convoys import commands as convoys
from orchestrator.domain.convoys.records import Convoy
from orchestrator.domain.state import State
from orchestrator.domain.tasks.events import TaskAssigned
from orchestrator.domain.tasks.records import Task


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """A task that was assigned to an agent, and the number of the agent's tasks after that."""

    task: str
    title: str
    agent: str
    load: int


def made_assignments(state: State, events: Committed) -> list[Assignment]:
    """The assignments in order."""
    assigned = [event for _, event in events if isinstance(event, TaskAssigned)]
    agents = [event.to for event in assigned]
    return [
        Assignment(
            task=event.task,
            title=state.tasks[event.task].title,
            agent=event.to,
            load=state.schedule.load(event.to) - agents[number:].count(event.to),
        )
        for number, event in enumerate(assigned, start=1)
    ]


def started_convoy(state: State, events: Committed) -> tuple[Convoy, list[Assignment]]:
    """The started convoy and the assignments."""
    return convoys.changed_convoy(state, events), made_assignments(state, events)


class Dispatch(Noun[State]):
    """``orc.dispatch``: run over the board, a workstream or a convoy; start_convoy."""

    @command(made_assignments)
    def run(
        self,
        tx: Transaction[State],
        workstream: str | None = None,
        *,
        priority: int | None = None,
        convoy: str | None = None,
        agent: str | None = None,
    ) -> list[Assignment]:
        """Assign every ready task to the least busy agent that suits it, and notify the agent.

        The agents are those that are registered, neither retired nor stale, and below their load limit;
        loads are counted again after each assignment. A task without such an agent is not assigned, nor is
        a task whose resources another agent holds.

        Args:
            workstream: Only tasks of this stream.
            priority: Only tasks of this priority or a more urgent one.
            convoy: Only tasks of this convoy.
            agent: Who dispatches.

        Returns:
            The assignments, the most urgent task first.
        """
        tx.act_as(agent)
        tx.state.workstreams.check(workstream)
        followed = None if convoy is None else set(tx.state.convoys.find(convoy).tasks)
        seen = self._desk.presence.seen(needed=True)
        members = [tx.state.agents[view.id] for view in team(tx.state, tx.now, seen)]
        for task in tx.state.schedule.ready(workstream, tx.now):
            is_meant = followed is None or task.id in followed
            if not is_meant or (priority is not None and task.priority > priority):
                continue
            chosen = _least_busy(tx.state, members, task, tx.now)
            if chosen is not None:
                notify_assignee(tx, assign(tx, task, chosen, hung=True))
        return []

    @command(started_convoy)
    def start_convoy(self, tx: Transaction[State], name: str, *, agent: str | None = None) -> None:
        """Start a convoy and dispatch its ready tasks, in one commit.

        Raises:
            NotFound: There is no such convoy.
            Refused: It was started, was cancelled or has landed.
        """
        tx.act_as(agent)
        if tx.state.convoys.find(name).started_at:
            raise Refused(
                f"Convoy {name} was started already",
                code="illegal_step",
                hint=f"`dispatch --convoy {name}` gives its ready tasks out.",
            )
        convoys.Convoys(self._desk).start(name)
        self.run(convoy=name)


def _least_busy(state: State, members: Iterable[Agent], task: Task, now: str) -> str | None:
    suitable = (agent.id for agent in members if may_take(state, agent, task, now))
    return min(suitable, key=lambda agent: (state.schedule.load(agent), agent), default=None)
