"""Who suits to review a task: a few agents to ask, though any that did not work on it may approve."""

from heapq import nsmallest

from orchestrator.core.transaction import SYSTEM
from orchestrator.domain.state import State
from orchestrator.domain.tasks.records import Task

ASKED = 2
"""Agents that are asked for one review: one that is busy or gone must not hold it up, and mail costs each."""


def suitable_reviewers(state: State, task: Task, now: str) -> tuple[str, ...]:
    """Return the agents to ask for a review of a task.

    They are registered and suit it, or have tasks now; its workers and retired agents are none of them. Those
    whose lease shows that they work come first, then those with least to do.
    """
    records = state.agents.agents
    known = dict.fromkeys((*records, *state.schedule.holders()))
    asked = (
        agent
        for agent in known
        if agent not in (SYSTEM, "")
        and agent not in task.all_workers
        and (
            agent not in records
            or (records[agent].status == "active" and records[agent].suits(task))
        )
    )

    def rank(agent: str) -> tuple[bool, int, str]:
        held = state.schedule.held_by(agent)
        return not any(other.is_run_by(agent, now) for other in held), len(held), agent

    return tuple(nsmallest(ASKED, asked, key=rank))
