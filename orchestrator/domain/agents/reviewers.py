"""The agents that are asked for a review. Any agent that did not work on the task may approve it."""

from heapq import nsmallest

from orchestrator.core.transaction import SYSTEM
from orchestrator.domain.state import State
from orchestrator.domain.tasks.records import Task

ASKED = 2
"""How many agents are asked for a review: a busy agent must not delay it, but mail costs every reader."""


def suitable_reviewers(state: State, task: Task, now: str) -> tuple[str, ...]:
    """Return the agents to ask for a review of a task.

    They are registered and suit the task, or have tasks now; they are neither its workers nor retired. Agents
    that events start are not asked: a runner gives them reviews, and they read no mail before. Agents with a
    live lease come first, then the least busy ones.
    """
    records = state.agents.agents
    known = dict.fromkeys((*records, *state.schedule.holders()))
    asked = (
        agent
        for agent in known
        if agent not in (SYSTEM, "")
        and agent not in task.all_workers
        and agent not in state.subscriptions
        and (
            agent not in records
            or (records[agent].status == "active" and records[agent].suits(task))
        )
    )

    def rank(agent: str) -> tuple[bool, int, str]:
        held = state.schedule.held_by(agent)
        return not any(other.is_run_by(agent, now) for other in held), len(held), agent

    return tuple(nsmallest(ASKED, asked, key=rank))
