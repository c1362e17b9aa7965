"""The critical path: the longest chain of needs, which more agents cannot shorten."""

from collections import deque
from graphlib import TopologicalSorter

from orchestrator.domain.state import State
from orchestrator.domain.tasks.blockers import awaited_failures
from orchestrator.domain.tasks.records import Task
from orchestrator.planning.records import SHOWN, CriticalPath, PathTask
from orchestrator.planning.survey import about

ASSUMED = 30.0
"""Minutes of a task that has no estimate."""


def longest_chain(state: State, workstream: str | None = None) -> list[Task]:
    """Return the longest chain of tasks that have not ended, each needing the one before.

    A running task counts with its whole estimate. Ended needs, tasks of closed workstreams, and tasks that
    need a failure which there was not do not count. Among equally long chains, the one whose tasks were
    added first is returned.

    Args:
        state: The board.
        workstream: Only tasks of this stream; None for all.
    """
    tasks = {
        task.id: task
        for task in state.tasks.open()
        if workstream in (None, task.workstream)
        and state.workstreams[task.workstream].status == "active"
        and not awaited_failures(state, task)
    }
    needs = {task.id: [need for need in task.needs if need in tasks] for task in tasks.values()}
    minutes: dict[str, float] = {}
    before: dict[str, str | None] = {}
    for name in TopologicalSorter(needs).static_order():
        longest = before[name] = max(needs[name], key=minutes.__getitem__, default=None)
        minutes[name] = _minutes(tasks[name]) + (minutes[longest] if longest else 0.0)
    last = max(tasks, key=minutes.__getitem__, default=None)
    chain: deque[Task] = deque()
    while last is not None:
        chain.appendleft(tasks[last])
        last = before[last]
    return [*chain]


def critical_path(state: State, workstream: str | None = None) -> CriticalPath:
    """Return the longest chain with its minutes; see :func:`longest_chain`."""
    chain = longest_chain(state, workstream)
    path = [
        PathTask(
            **about(task),
            status=task.status,
            minutes=_minutes(task),
            assumed=task.estimate is None and not task.completes_itself,
        )
        for task in chain[:SHOWN]
    ]
    total = sum(map(_minutes, chain), 0.0)
    return CriticalPath(minutes=total, tasks=path, left_out=len(chain) - len(path))


def _minutes(task: Task) -> float:
    """Return the estimate of a task in minutes; 0 for a milestone."""
    if task.completes_itself:
        return 0.0
    return ASSUMED if task.estimate is None else task.estimate
