"""The critical path: the chain of needs that takes longest, which no number of agents can shorten."""

from typing import Any

from orchestrator.domain.state import State
from orchestrator.domain.tasks.records import ENDED, Task
from orchestrator.planning.survey import SHOWN

ASSUMED = 30.0
"""Minutes of a task that has no estimate."""


def critical_path(state: State) -> dict[str, Any]:
    """The longest chain of tasks that have not ended, each needing the one before, and its minutes.

    A running task counts with its whole estimate. Ended needs and tasks of closed workstreams take no
    part. Of equally long chains the one whose tasks were added first is named.
    """
    tasks = _open_tasks(state)
    order = _in_order(state, tasks)
    minutes: dict[str, float] = {}
    before: dict[str, str | None] = {}
    for task in order:
        needs = [need for need in task.needs if need in tasks]
        longest = max(needs, key=lambda need: minutes[need], default=None)
        before[task.id] = longest
        minutes[task.id] = minutes_of(task) + (minutes[longest] if longest else 0.0)
    last = max(tasks, key=lambda task: minutes[task], default=None)
    chain = _chain(tasks, before, last)
    return {
        "minutes": minutes[last] if last else 0.0,
        "tasks": [_entry(task) for task in chain[:SHOWN]],
        "left_out": max(0, len(chain) - SHOWN),
    }


def minutes_of(task: Task) -> float:
    """How long a task takes, in minutes; a milestone that nobody works on takes none."""
    if task.ends_by_itself:
        return 0.0
    return ASSUMED if task.estimate is None else task.estimate


def _open_tasks(state: State) -> dict[str, Task]:
    active = {name for name, stream in state.workstreams.items() if stream.status == "active"}
    return {
        task.id: task
        for task in state.tasks.values()
        if task.workstream in active and task.status not in ENDED
    }


def _in_order(state: State, tasks: dict[str, Task]) -> list[Task]:
    """The tasks, each after what it needs. Chains may be as long as the board, so nothing recurses."""
    open_needs = {t.id: sum(need in tasks for need in t.needs) for t in tasks.values()}
    order = [task for task in tasks.values() if not open_needs[task.id]]
    for task in order:
        for dependant in state.tasks.needed_by.get(task.id, ()):
            if dependant in tasks:
                open_needs[dependant] -= 1
                if not open_needs[dependant]:
                    order.append(tasks[dependant])
    return order


def _chain(tasks: dict[str, Task], before: dict[str, str | None], last: str | None) -> list[Task]:
    chain = []
    while last is not None:
        chain.append(tasks[last])
        last = before[last]
    return chain[::-1]


def _entry(task: Task) -> dict[str, Any]:
    return {
        "workstream": task.workstream,
        "task": task.id,
        "title": task.title,
        "status": task.status,
        "minutes": minutes_of(task),
        "assumed": task.estimate is None and not task.ends_by_itself,
    }
