"""What is derived from tasks: counts, needs, children, gates, signals, hooks, convoys, the ready queue.

Every change of a task's record goes through this module, which updates what depends on the record. All of
its functions are parts of a fold.
"""

from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any

from msgspec.structs import force_setattr, replace

from orchestrator.core.events import Recorded
from orchestrator.domain.state import State
from orchestrator.domain.tasks.records import ENDED, HELD, ArchivedTask, Task, TaskSlice
from orchestrator.domain.tasks.relations import NO_CHILDREN, Progress

Changes = dict[str, Any]
"""New values of fields of a task's record."""

Effect = tuple[str, Callable[[State, Task], Changes]]
"""The id of a task whose record changes with another one, and how."""


def add_task(state: State, task: Task) -> None:
    """Add a task to the board, under those that it needs, belongs to and awaits."""
    if task.workflow is not None:
        append_to(state.workflows.steps, task.workflow, task.id)
    if task.needs or task.parent is not None or task.gate is not None:
        link(state, task)
        task = replace(task, **kept_back(state, task))
    state.tasks.tasks[task.id] = task
    if "schedule" in state.__dict__:
        state.schedule.task_changed(None, task)
    if task.signals:
        _enter_signals(state.tasks, task)
    _count(state, task, None)


def change_task(state: State, task: Task, changes: Changes, record: Recorded | None = None) -> None:
    """Give fields of a task new values, with all that follows for tasks that depend on it.

    The record is replaced, so that whoever holds it keeps what it was; it is changed in place while a fold
    says that there is no other holder (:meth:`orchestrator.domain.state.State.fold`).

    Args:
        state: The state that the task is in.
        task: Its record.
        changes: The new values.
        record: The event that enters the history of the task with this change, if any.
    """
    if record is not None:
        changes["updated_at"] = record.ts
        changes["events"] = (*task.events, record.id)
    effects = _change(state, task, changes)
    while effects:
        task_id, effect = effects.pop()
        dependant = state.tasks.tasks.get(task_id)
        if dependant is not None and (changes := effect(state, dependant)):
            effects += _change(state, dependant, changes)


def archive_task(state: State, task: Task, event: int) -> None:
    """Remove an ended task from the live ones and keep what counts and needs depend on."""
    state.tasks.archived[task.id] = ArchivedTask(task.workstream, task.status, event)
    _unlink_needs(state, task)
    _drop(state, task.id)


def forget_task(state: State, task_id: str) -> None:
    """Remove every trace of a task; no agent has it, and no task that stays waits for it."""
    task = state.tasks[task_id]
    state.tasks.counts[task.workstream][task.status] -= 1
    unlink(state, task)
    for name in state.convoys.tracked_by.pop(task_id, ()):
        convoy = state.convoys[name]
        tasks = tuple(tracked for tracked in convoy.tasks if tracked != task_id)
        open_tasks = convoy.open_tasks - (task.status not in ENDED)
        state.convoys[name] = replace(convoy, tasks=tasks, open_tasks=open_tasks)
    if task.assigned_to is not None and state.agents.hooks.get(task.assigned_to) == task_id:
        del state.agents.hooks[task.assigned_to]
    _drop(state, task_id)


def link(state: State, task: Task) -> None:
    """Enter a task under those that it needs, belongs to and awaits."""
    tasks = state.tasks
    for need in task.needs:
        append_to(tasks.needed_by, need, task.id)
    if task.gate is not None:
        append_to(tasks.awaited_by, task.gate.of, task.id)
    if task.parent is not None:
        append_to(tasks.children, task.parent, task.id)
        _follow(state, _child_changed(state, task.parent, None, task.status))


def unlink(state: State, task: Task) -> None:
    """Remove a task from under those that it needs, belongs to and awaits."""
    _unlink_needs(state, task)
    if task.parent is not None:
        remove_from(state.tasks.children, task.parent, task.id)
        _follow(state, _child_changed(state, task.parent, task.status, None))


def _unlink_needs(state: State, task: Task) -> None:
    for need in task.needs:
        remove_from(state.tasks.needed_by, need, task.id)
    if task.gate is not None:
        remove_from(state.tasks.awaited_by, task.gate.of, task.id)


def _drop(state: State, task_id: str) -> None:
    _leave_signals(state.tasks, state.tasks.pop(task_id))


# Values of a record that depend on other tasks


def kept_back(state: State, task: Task) -> Changes:
    """``held`` and ``waiting`` of a task as its parent and its gate are now, if they differ."""
    parent = state.tasks.get(task.parent) if task.parent is not None else None
    held = parent is not None and parent.keeps_children
    waiting = False
    if task.gate is not None:
        own = task.gate.of == task.id
        progress = task.progress if own else progress_of(state, task.gate.of)
        waiting = not (progress or NO_CHILDREN).passes(task.gate.how)
    if (held, waiting) == (task.held, task.waiting):
        return {}
    return {"held": held, "waiting": waiting}


def progress_of(state: State, task_id: str) -> Progress | None:
    """How far the children of a task are; an archived task keeps no count, so they are counted."""
    task = state.tasks.get(task_id)
    if task is not None:
        return task.progress
    progress = NO_CHILDREN
    for child in state.tasks.children.get(task_id, ()):
        progress = progress.moved(None, state.tasks.status_of(child))
    return progress


def count_open(state: State, needs: tuple[str, ...]) -> int:
    """How many of the needs are not done."""
    return sum(not state.tasks.is_done(need) for need in needs)


# What follows from a change


def _follow(state: State, effects: list[Effect]) -> None:
    for task_id, effect in reversed(effects):
        task = state.tasks.tasks.get(task_id)
        if task is not None and (changes := effect(state, task)):
            change_task(state, task, changes)


def _change(state: State, task: Task, changes: Changes) -> list[Effect]:
    """Change one record and update the derived maps.

    Returns:
        What changes in the records of other tasks.
    """
    if "signals" in changes:
        _leave_signals(state.tasks, task)
    old_status, old_agent, old_progress = task.status, task.assigned_to, task.progress
    children = state.tasks.children.get(task.id)
    kept_children = children and task.keeps_children
    task = _write(state, task, changes)
    effects: list[Effect] = []
    if task.status != old_status:
        _count(state, task, old_status)
        _follow_status(state, task, old_status, effects)
    if old_agent is not None and ("status" in changes or "assigned_to" in changes):
        _update_hook(state, old_agent, task)
    if task.progress is not old_progress:
        effects += _gates_of(state, task.id)
    if children and task.keeps_children != kept_children:
        effects += [(child, kept_back) for child in children]
    if "signals" in changes:
        _enter_signals(state.tasks, task)
    return effects


def _write(state: State, task: Task, changes: Changes) -> Task:
    attributes = state.__dict__
    if "in_place" in attributes and "schedule" not in attributes:
        # A loop in C: half of the time of folding a long log would be spent in one of bytecodes.
        any(map(force_setattr, repeat(task), changes, changes.values()))
        return task
    before, task = task, replace(task, **changes)
    state.tasks.tasks[task.id] = task
    if "schedule" in attributes:
        state.schedule.task_changed(before, task)
    return task


def _follow_status(state: State, task: Task, before: str, effects: list[Effect]) -> None:
    status = task.status
    if task.parent is not None:
        effects += _child_changed(state, task.parent, before, status)
    if status == "done" or before == "done":
        effects += _need_changed(state, task)
    if task.id in state.convoys.tracked_by and (status in ENDED) != (before in ENDED):
        _update_convoys(state, task)


def _enter_signals(tasks: TaskSlice, task: Task) -> None:
    for key in _awaited_signals(task):
        append_to(tasks.signals, key, task.id)


def _leave_signals(tasks: TaskSlice, task: Task) -> None:
    for key in _awaited_signals(task):
        remove_from(tasks.signals, key, task.id)


def _awaited_signals(task: Task) -> Iterable[str]:
    return dict.fromkeys(signal.key for signal in task.signals if not signal.given_at)


def _count(state: State, task: Task, before: str | None) -> None:
    """Count a task that was added, or that had another status before, for its stream and workflow."""
    counts = state.tasks.counts[task.workstream]
    if before is not None:
        counts[before] -= 1
    counts[task.status] = counts.get(task.status, 0) + 1
    # A step that is done by a workflow of its own is work; other milestones are not.
    if task.workflow is not None and (not task.milestone or task.id in state.workflows):
        work = state.workflows.work
        work[task.workflow] = work.get(task.workflow, NO_CHILDREN).moved(before, task.status)


def _need_changed(state: State, need: Task) -> list[Effect]:
    """Effects on the dependants of a task that became done, or is no longer done."""
    dependants = state.tasks.needed_by.get(need.id, ())
    effect = _one_less_open if need.status == "done" else _one_more_open
    return [(dependant, effect) for dependant in dependants]


def _one_less_open(_: State, task: Task) -> Changes:
    return {"open_needs": task.open_needs - 1}


def _one_more_open(_: State, task: Task) -> Changes:
    return {"open_needs": task.open_needs + 1}


def _child_changed(
    state: State, parent: str, before: str | None, after: str | None
) -> list[Effect]:
    """Effects of a child that went from one status to another; None: it is no child then."""
    if parent not in state.tasks:
        return _gates_of(state, parent)

    def update(_: State, task: Task) -> Changes:
        return {"progress": (task.progress or NO_CHILDREN).moved(before, after)}

    return [(parent, update)]


def _gates_of(state: State, task_id: str) -> list[Effect]:
    """Effects on the tasks whose gate waits for the children of a task."""
    return [(waiter, kept_back) for waiter in state.tasks.awaited_by.get(task_id, ())]


def _update_hook(state: State, agent: str, task: Task) -> None:
    """Take a task off the hook of an agent that no longer has it."""
    has_it = task.assigned_to == agent and task.status in HELD
    if not has_it and state.agents.hooks.get(agent) == task.id:
        del state.agents.hooks[agent]


def _update_convoys(state: State, task: Task) -> None:
    step = -1 if task.status in ENDED else 1
    for name in state.convoys.tracked_by[task.id]:
        convoy = state.convoys[name]
        state.convoys[name] = replace(convoy, open_tasks=convoy.open_tasks + step)


def append_to(lists: dict[str, list[str]], key: str, task: str) -> None:
    """Append a task to the list of a key."""
    lists.setdefault(key, []).append(task)


def remove_from(lists: dict[str, list[str]], key: str, task: str) -> None:
    """Remove a task from the list of a key, and the list when it is empty."""
    lists[key].remove(task)
    if not lists[key]:
        del lists[key]
