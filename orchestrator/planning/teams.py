"""Who could run what: a free agent for each chosen task, as far as there are any."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator.core import clock
from orchestrator.domain.agents.commands import STALE_AFTER, Agent
from orchestrator.domain.tasks.events import Task

if TYPE_CHECKING:
    from orchestrator.domain.state import State


def assign(
    state: "State", tasks: Sequence[Task], now: str, seen: Mapping[str, float]
) -> list[str | None]:
    """Name an agent for each task, or None; no agent twice.

    As many tasks as possible get one, the earlier ones first. Among the agents that suit a task the one
    with the fewest locks comes first, then one with few capabilities (who suits everything is kept for
    what nobody else suits), then by name.
    """
    free = free_agents(state, now, seen)
    works_on: dict[str, int] = {}
    hopeless: set[tuple[str, tuple[str, ...]]] = set()
    for i, task in enumerate(tasks):
        # Where one task found nobody, a later one of the same kind will not either.
        kind = (task.type, task.labels)
        if kind not in hopeless and not _place(i, tasks, free, works_on):
            hopeless.add(kind)
    named = {task: agent for agent, task in works_on.items()}
    return [named.get(i) for i in range(len(tasks))]


def free_agents(state: "State", now: str, seen: Mapping[str, float]) -> list[Agent]:
    """The registered agents that are active, not stale and have no task, least loaded first."""
    locks: dict[str, int] = {}
    for lock in state.locks.values():
        for holder in lock.holders:
            if holder.until > now:
                locks[holder.agent] = locks.get(holder.agent, 0) + 1
    free = [
        agent
        for agent in state.agents.values()
        if agent.status == "active"
        and all(task.has_lapsed(now) for task in state.schedule.held_by(agent.id))
        and not is_silent(max(seen_at(seen, agent.id), agent.registered_at), now)
    ]
    return sorted(
        free,
        key=lambda a: (locks.get(a.id, 0), not a.capabilities, len(a.capabilities), a.id),
    )


def suits(agent: Agent, task: Task) -> bool:
    """Whether the agent can do the task: one without capabilities can do all."""
    able = agent.capabilities
    return not able or task.type in able or not set(able).isdisjoint(task.labels)


def seen_at(seen: Mapping[str, float], agent: str) -> str:
    """When an agent was here last; empty if it never was."""
    return clock.timestamp(seen[agent]) if agent in seen else ""


def is_silent(last_sign: str, now: str) -> bool:
    """Whether the last sign of life is more than five minutes old."""
    return last_sign < clock.after(now, -STALE_AFTER)


def _place(
    task: int, tasks: Sequence[Task], free: Sequence[Agent], works_on: dict[str, int]
) -> bool:
    """Find an agent for one more task, if need be by moving others to tasks that they suit as well.

    The augmenting path of bipartite matching: a task that has an agent keeps having one.
    """
    asked: dict[str, int] = {}
    waiting = deque([task])
    while waiting:
        current = waiting.popleft()
        for agent in free:
            if agent.id in asked or not suits(agent, tasks[current]):
                continue
            asked[agent.id] = current
            if agent.id in works_on:
                waiting.append(works_on[agent.id])
                continue
            _hand_over(agent.id, asked, works_on)
            return True
    return False


def _hand_over(agent: str, asked: dict[str, int], works_on: dict[str, int]) -> None:
    """Give the free agent the task that asked for it, that task's agent the one before, and so on."""
    before = {task: name for name, task in works_on.items()}
    current: str | None = agent
    while current is not None:
        task = asked[current]
        works_on[current] = task
        current = before.get(task)
