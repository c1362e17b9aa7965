"""Derived data of tasks: counts, needs, children, gates, signals, hooks, convoys, the ready queue.

Every change of a task's record goes through this module, which updates what depends on the record. All of
its functions are parts of a fold.
"""

from collections.abc import Callable
from typing import TypeVar

from msgspec.structs import force_setattr, replace

from orchestrator.core.events import Recorded
from orchestrator.domain.state import State
from orchestrator.domain.tasks.facts import TaskFacts
from orchestrator.domain.tasks.ids import prefix_of
from orchestrator.domain.tasks.records import ENDED, HELD, ArchivedTask, Task, TaskSlice
from orchestrator.domain.tasks.relations import NO_CHILDREN, Progress

T = TypeVar("T")

Effect = tuple[str, Callable[[State, Task], Task]]
"""The id of a task whose record changes with another one, and the function that changes it."""

Update = Callable[[dict[str, list[str]], str, str], None]
"""``append_to`` enters a task in a derived map, ``remove_from`` removes it from there."""


def add_task(state: State, task: Task) -> None:
    """Add a task to the board, under its needs, its parent and the task of its gate."""
    if task.workflow is not None:
        append_to(state.workflows.steps, task.workflow, task.id)
    if task.needs or task.needs_failure_of or task.parent is not None or task.gate is not None:
        link(state, task)
        task = kept_back(state, task)
    tasks = state.tasks
    tasks.tasks[task.id] = task
    if prefix := prefix_of(task.id):
        tasks.prefixes[prefix] = None
    if "schedule" in state.__dict__:
        state.schedule.task_changed(None, task)
    if task.signals:
        _update_signals(tasks, task, append_to)
    if task.links:
        _update_links(tasks, task, append_to)
    _count(state, task, None)


def change_task(state: State, before: Task, task: Task, record: Recorded | None = None) -> None:
    """Replace a task's record, and update the tasks that depend on it.

    Args:
        state: The state that the task is in.
        before: Its record, which does not change.
        task: The record that takes its place, which no caller has seen yet.
        record: The event that enters the history of the task, if any.
    """
    if record is not None:
        # Written into the new record: another copy of it would double the time of a fold.
        assert task is not before
        force_setattr(task, "updated_at", record.ts)
        force_setattr(task, "events", (*before.events, record.id))
    effects = _change(state, before, task)
    while effects:
        task_id, effect = effects.pop()
        dependant = state.tasks.tasks.get(task_id)
        if dependant is not None and (changed := effect(state, dependant)) is not dependant:
            effects += _change(state, dependant, changed)


def archive_task(state: State, task: Task, event: int) -> None:
    """Remove an ended task from the live ones; keep its counts and what its dependants need."""
    state.tasks.archived[task.id] = ArchivedTask(task.workstream, task.status, event)
    _update_needs(state.tasks, task, remove_from)
    _drop(state, task.id)


def forget_task(state: State, task_id: str) -> None:
    """Remove a task completely; no agent has it, and no remaining task waits for it."""
    task = state.tasks[task_id]
    state.tasks.counts[task.workstream][task.status] -= 1
    unlink(state, task)
    for name in state.convoys.tracked_by.pop(task_id, ()):
        convoy = state.convoys[name]
        tasks = tuple(tracked for tracked in convoy.tasks if tracked != task_id)
        open_tasks = convoy.open_tasks - (task.status not in ENDED)
        state.convoys.change(name, tasks=tasks, open_tasks=open_tasks)
    for name in state.goals.goals_of.pop(task_id, ()):
        left = tuple(other for other in state.goals[name].tasks if other != task_id)
        state.goals.change(name, tasks=left)
    if task.assigned_to is not None and state.agents.hooks.get(task.assigned_to) == task_id:
        del state.agents.hooks[task.assigned_to]
    _drop(state, task_id)


def delete_task(state: State, task: Task, event: int, reason: str) -> None:
    """Remove an ended task from every list and count, and keep that its id was used."""
    forget_task(state, task.id)
    state.tasks.archived[task.id] = ArchivedTask(task.workstream, task.status, event)
    state.tasks.deleted[task.id] = reason


def move_task(state: State, before: Task, task: Task, record: Recorded) -> None:
    """Replace the record of a task by one of another workstream, and count it there."""
    counts = state.tasks.counts
    counts[before.workstream][before.status] -= 1
    counts[task.workstream][task.status] = counts[task.workstream].get(task.status, 0) + 1
    change_task(state, before, task, record)


def link(state: State, task: Task) -> None:
    """Enter a task under its needs, its parent and the task of its gate."""
    _update_needs(state.tasks, task, append_to)
    if task.parent is not None:
        append_to(state.tasks.children, task.parent, task.id)
        _follow(state, _child_changed(state, task.parent, None, task.status))


def unlink(state: State, task: Task) -> None:
    """Remove a task from its needs, its parent and the task of its gate."""
    _update_needs(state.tasks, task, remove_from)
    if task.parent is not None:
        remove_from(state.tasks.children, task.parent, task.id)
        _follow(state, _child_changed(state, task.parent, task.status, None))


def _update_needs(tasks: TaskSlice, task: Task, update: Update) -> None:
    for need in task.needs:
        update(tasks.needed_by, need, task.id)
    for need in task.needs_failure_of:
        update(tasks.failure_needed_by, need, task.id)
    if task.gate is not None:
        update(tasks.awaited_by, task.gate.of, task.id)


def _update_signals(tasks: TaskSlice, task: Task, update: Update) -> None:
    for key in dict.fromkeys(signal.key for signal in task.signals if not signal.given_at):
        update(tasks.signals, key, task.id)


def _update_links(tasks: TaskSlice, task: Task, update: Update) -> None:
    for other in dict.fromkeys(link.task for link in task.links):
        update(tasks.linked_by, other, task.id)


def _drop(state: State, task_id: str) -> None:
    task = state.tasks.pop(task_id)
    _update_signals(state.tasks, task, remove_from)
    _update_links(state.tasks, task, remove_from)
    state.tasks.unknown_facts.pop(task_id, None)


# Values of a record that depend on other tasks


def kept_back(state: State, task: Task) -> Task:
    """The record with ``held`` and ``waiting`` as the task's parent and gate are now."""
    parent = state.tasks.get(task.parent) if task.parent is not None else None
    held = parent is not None and parent.keeps_children
    waiting = False
    if task.gate is not None:
        own = task.gate.of == task.id
        progress = task.progress if own else progress_of(state, task.gate.of)
        waiting = not (progress or NO_CHILDREN).passes(task.gate.how)
    if (held, waiting) == (task.held, task.waiting):
        return task
    return replace(task, held=held, waiting=waiting)


def progress_of(state: State, task_id: str) -> Progress | None:
    """The progress of a task's children; an archived task has no record of it, so they are counted."""
    task = state.tasks.get(task_id)
    if task is not None:
        return task.progress
    progress = NO_CHILDREN
    for child in state.tasks.children.get(task_id, ()):
        progress = progress.moved(None, state.tasks.status_of(child))
    return progress


def count_open(state: State, facts: TaskFacts) -> int:
    """Count the needs that are not done, and the tasks that must fail first and have not failed."""
    tasks = state.tasks
    count = sum(not tasks.is_done(need) for need in facts.needs)
    return count + sum(not tasks.has_failed(need) for need in facts.needs_failure_of)


# Consequences of a change


def _follow(state: State, effects: list[Effect]) -> None:
    for task_id, effect in reversed(effects):
        task = state.tasks.tasks.get(task_id)
        if task is not None and (changed := effect(state, task)) is not task:
            change_task(state, task, changed)


def _change(state: State, before: Task, task: Task) -> list[Effect]:
    """Replace one record and update the derived maps.

    Returns:
        What changes in the records of other tasks.
    """
    tasks, task_id = state.tasks, task.id
    tasks.tasks[task_id] = task
    if "schedule" in state.__dict__:
        state.schedule.task_changed(before, task)
    same = task.status == before.status
    effects = [] if same else _status_changed(state, task, before.status)
    if before.assigned_to is not None:
        _update_hook(state, before.assigned_to, task)
    if task.progress is not before.progress:
        effects += _gates_of(state, task_id)
    children = tasks.children.get(task_id)
    if children and task.keeps_children != before.keeps_children:
        effects += [(child, kept_back) for child in children]
    if task.signals is not before.signals:
        _update_signals(tasks, before, remove_from)
        _update_signals(tasks, task, append_to)
    if task.links is not before.links:
        _update_links(tasks, before, remove_from)
        _update_links(tasks, task, append_to)
    return effects


def _status_changed(state: State, task: Task, before: str) -> list[Effect]:
    """Count a task that had another status before, and return what changes in the records of other tasks."""
    tasks, task_id = state.tasks, task.id
    _count(state, task, before)
    effects: list[Effect] = []
    if task.parent is not None:
        effects = _child_changed(state, task.parent, before, task.status)
    if task_id in tasks.needed_by or task_id in tasks.failure_needed_by:
        effects += _needs_changed(tasks, task, before)
    if task_id in state.convoys.tracked_by:
        _update_convoys(state, task, before)
    return effects


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


def _needs_changed(tasks: TaskSlice, task: Task, before: str) -> list[Effect]:
    """Effects on the tasks that need a task, or its failure, after it had another status."""
    effects: list[Effect] = []
    for wanted, users in (("done", tasks.needed_by), ("failed", tasks.failure_needed_by)):
        if wanted in (task.status, before) and (dependants := users.get(task.id)):
            effect = _one_less_open if task.status == wanted else _one_more_open
            effects += [(dependant, effect) for dependant in dependants]
    return effects


def _one_less_open(_: State, task: Task) -> Task:
    return replace(task, open_needs=task.open_needs - 1)


def _one_more_open(_: State, task: Task) -> Task:
    return replace(task, open_needs=task.open_needs + 1)


def _child_changed(
    state: State, parent: str, before: str | None, after: str | None
) -> list[Effect]:
    """Effects of a child that went from one status to another; None: it is not a child then."""
    if parent not in state.tasks:
        return _gates_of(state, parent)

    def update(_: State, task: Task) -> Task:
        return replace(task, progress=(task.progress or NO_CHILDREN).moved(before, after))

    return [(parent, update)]


def _gates_of(state: State, task_id: str) -> list[Effect]:
    """Effects on the tasks whose gate waits for the children of a task."""
    return [(waiter, kept_back) for waiter in state.tasks.awaited_by.get(task_id, ())]


def _update_hook(state: State, agent: str, task: Task) -> None:
    """Take a task off the hook of an agent that no longer has it."""
    hooks = state.agents.hooks
    if hooks.get(agent) == task.id and (task.assigned_to != agent or task.status not in HELD):
        del hooks[agent]


def _update_convoys(state: State, task: Task, before: str) -> None:
    """Count the open tasks of the convoys that track a task that had another status before."""
    step = (before in ENDED) - (task.status in ENDED)
    for name in state.convoys.tracked_by[task.id] if step else ():
        state.convoys.change(name, open_tasks=state.convoys[name].open_tasks + step)


def append_to(lists: dict[str, list[T]], key: str, item: T) -> None:
    """Append an item to the list of a key."""
    lists.setdefault(key, []).append(item)


def remove_from(lists: dict[str, list[T]], key: str, item: T) -> None:
    """Remove an item from the list of a key, and the list when it is empty."""
    lists[key].remove(item)
    if not lists[key]:
        del lists[key]
