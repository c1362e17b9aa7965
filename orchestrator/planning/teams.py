"""Match chosen tasks with idle agents: a bipartite matching."""

from collections import deque
from collections.abc import Sequence

from orchestrator.domain.agents.assignment import is_idle, may_take, team
from orchestrator.domain.state import State
from orchestrator.domain.tasks.records import Task


def assign(
    state: State, tasks: Sequence[Task], now: str, seen: dict[str, float]
) -> list[str | None]:
    """Return an idle agent for each task, or None; no agent twice.

    As many tasks as possible get an agent, the earlier ones first. Among the agents that may take a task the
    agent with the fewest locks comes first, then the one with the fewest capabilities (an agent that suits
    every task is kept for tasks that no other agent suits), then the first by name.
    """
    views = [view for view in team(state, now, seen) if is_idle(state, view.id, now)]
    views.sort(key=lambda a: (len(a.locks), not a.capabilities, len(a.capabilities), a.id))
    idle = [state.agents[view.id] for view in views]
    agent_of: dict[int, str] = {}
    suitable: list[list[str]] = []
    hopeless: set[tuple[str, tuple[str, ...]]] = set()
    for number, task in enumerate(tasks):
        suitable.append([agent.id for agent in idle if may_take(state, agent, task, now)])
        # If one task cannot get an agent, neither can a later one of the same kind.
        kind = (task.type, task.labels)
        if kind not in hopeless and not _augment(number, suitable, agent_of):
            hopeless.add(kind)
    return [agent_of.get(number) for number in range(len(tasks))]


def _augment(start: int, suitable: Sequence[Sequence[str]], agent_of: dict[int, str]) -> bool:
    """Find an agent for one more task along a shortest augmenting path; no task loses its agent."""
    task_of = {agent: task for task, agent in agent_of.items()}
    wanted_by: dict[str, int] = {}
    waiting = deque([start])
    while waiting:
        task = waiting.popleft()
        for agent in suitable[task]:
            if agent in wanted_by:
                continue
            wanted_by[agent] = task
            if agent in task_of:
                waiting.append(task_of[agent])
                continue
            moved = agent
            while moved:  # each agent on the path moves to the task that wanted it
                to = wanted_by[moved]
                moved, agent_of[to] = agent_of.get(to, ""), moved
            return True
    return False
