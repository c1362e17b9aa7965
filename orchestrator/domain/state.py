"""The whole state of a board on one screen: the fold of its log, and what ``state.json`` holds."""

from collections.abc import Callable, Iterable
from functools import cached_property

import msgspec
from msgspec.structs import replace

from orchestrator.core.errors import Damage
from orchestrator.core.events import Recorded, decode
from orchestrator.domain.agents.commands import Agent
from orchestrator.domain.agents.session_events import Session
from orchestrator.domain.convoys.commands import Convoy
from orchestrator.domain.cycles.events import Cycle
from orchestrator.domain.idempotency import Request, remember
from orchestrator.domain.knowledge.commands import Topic
from orchestrator.domain.locks.commands import Lock
from orchestrator.domain.mail.events import Mailbox, Message
from orchestrator.domain.tasks.events import (
    ENDED,
    HELD,
    NO_CHILDREN,
    ArchivedTask,
    Progress,
    Task,
    kept_back,
    unlink,
)
from orchestrator.domain.tasks.ready_queue import Schedule
from orchestrator.domain.workflows.events import Workflow
from orchestrator.domain.workstreams.commands import Workstream

Effect = Callable[["State", Task], Task]
"""What another task's change does to a record."""


class State(msgspec.Struct, dict=True, omit_defaults=True):
    """Everything that is true of a board at one event.

    Records are frozen: a change replaces the record. Tasks and locks are changed through
    :meth:`put_task` and :meth:`put_lock` only, which keep what is derived from them.

    Attributes:
        event: The id of the last event folded in.
        counts: How many tasks of each status a workstream has, archived ones included.
        needed_by: For each task, the tasks that need it.
        children: For each task, the tasks that are parts of it, archived ones included.
        awaited_by: For each task, the tasks whose gate waits for its children.
        aliases: Names that agents had before, with those that they have now.
        tracked_by: For each task, the convoys that track it.
        hooks: The one task that hangs on each agent's hook, while the agent has it.
        queues: The messages of each queue that nobody has taken yet, oldest first.
        signals: For each signal that was not given yet, the tasks that wait for it.
        workflows: The poured workflows by the task that is the root of each.
        steps: For each of them its steps, in the order in which they were poured.
        work: For each of them how far these are, but for those that are done by themselves.
    """

    event: int = 0
    workstreams: dict[str, Workstream] = {}
    counts: dict[str, dict[str, int]] = {}
    tasks: dict[str, Task] = {}
    needed_by: dict[str, list[str]] = {}
    children: dict[str, list[str]] = {}
    awaited_by: dict[str, list[str]] = {}
    hooks: dict[str, str] = {}
    archived: dict[str, ArchivedTask] = {}
    agents: dict[str, Agent] = {}
    aliases: dict[str, str] = {}
    sessions: dict[str, Session] = {}
    locks: dict[str, Lock] = {}
    topics: dict[str, Topic] = {}
    messages: dict[int, Message] = {}
    mailboxes: dict[str, Mailbox] = {}
    queues: dict[str, list[int]] = {}
    mailing_lists: dict[str, tuple[str, ...]] = {}
    convoys: dict[str, Convoy] = {}
    tracked_by: dict[str, list[str]] = {}
    signals: dict[str, list[str]] = {}
    workflows: dict[str, Workflow] = {}
    steps: dict[str, list[str]] = {}
    work: dict[str, Progress] = {}
    cycle: Cycle | None = None
    requests: dict[str, Request] = {}

    def fold(self, records: Iterable[Recorded]) -> None:
        """Fold events in, in their order.

        Raises:
            Damage: An event is of a newer version, or does not fit what came before; the state then
                holds what came before it, and perhaps a part of it.
        """
        at = None
        try:
            for at in records:
                event = decode(at)
                if event is not None:
                    event.apply(self, at)
                self.event = at.id
                if at.req is not None:
                    self.close(at)
        except (LookupError, ValueError, TypeError, AttributeError, AssertionError) as error:
            raise _misfit(at, error) from error

    def close(self, at: Recorded) -> None:
        """Note that everything up to this record has been applied."""
        self.event = at.id
        if at.req is not None:
            remember(self.requests, at.req, at.id)

    def put_task(self, task: Task) -> None:
        """Add a task or replace its record, with all that follows for tasks that depend on it."""
        self._follow(self._put(task))

    def _follow(self, effects: "list[tuple[str, Effect]]") -> None:
        while effects:
            task_id, effect = effects.pop()
            record = self.tasks.get(task_id)
            if record is not None:
                effects += self._put(effect(self, record))

    def _put(self, task: Task) -> list[tuple[str, Effect]]:
        """Replace one record, and tell what changes with it: whose record, and how."""
        tasks, status = self.tasks, task.status
        before = tasks.get(task.id)
        tasks[task.id] = task
        if "schedule" in self.__dict__:
            self.schedule.task_changed(before, task)
        self._follow_signals(before, task)
        if before is None:
            self._count(task, None)
            return []
        effects: list[tuple[str, Effect]] = []
        if before.status != status:
            self._count(task, before.status)
            if "done" in (before.status, status):
                effects += self._needs_moved(task)
            if task.parent is not None:
                effects += self._child_moved(task.parent, before.status, status)
            if task.id in self.tracked_by and (status in ENDED) != (before.status in ENDED):
                self._tell_convoys(task)
        if before.assigned_to is not None and (
            before.status != status or before.assigned_to != task.assigned_to
        ):
            self._unhook(before.assigned_to, task)
        if task.progress is not before.progress:
            effects += self._gates_of(task.id)
        if task.id in self.children and task.keeps_children != before.keeps_children:
            effects += [(child, kept_back) for child in self.children[task.id]]
        return effects

    def _follow_signals(self, before: Task | None, after: Task | None) -> None:
        """Keep the tasks that wait for each signal."""
        if (before.signals if before else ()) is (after.signals if after else ()):
            return
        for task, list_of in ((before, _off), (after, _on)):
            if task is not None:
                for key in dict.fromkeys(one.key for one in task.signals if not one.given_at):
                    list_of(self.signals, key, task.id)

    def drop_task(self, task_id: str) -> Task:
        """Take a task out of the live ones, and give its last record; nobody has it."""
        task = self.tasks.pop(task_id)
        self._follow_signals(task, None)
        return task

    def forget_task(self, task_id: str) -> None:
        """Take every trace of a task out of the state; nobody has it, and none that stays waits for it."""
        task = self.tasks[task_id]
        self.counts[task.workstream][task.status] -= 1
        unlink(self, task)
        for name in self.tracked_by.pop(task_id, ()):
            convoy = self.convoys[name]
            tasks = tuple(tracked for tracked in convoy.tasks if tracked != task_id)
            still = convoy.open_tasks - (task.status not in ENDED)
            self.convoys[name] = replace(convoy, tasks=tasks, open_tasks=still)
        if task.assigned_to is not None and self.hooks.get(task.assigned_to) == task_id:
            del self.hooks[task.assigned_to]
        self.drop_task(task_id)

    def _count(self, task: Task, before: str | None) -> None:
        """Count a task that came, or that had another status before, for its workstream and workflow."""
        counts = self.counts[task.workstream]
        if before is not None:
            counts[before] -= 1
        counts[task.status] = counts.get(task.status, 0) + 1
        if task.workflow is not None:
            self._count_work(task.workflow, task, before)

    def _count_work(self, workflow: str, task: Task, before: str | None) -> None:
        """Count a step for its workflow; one that gets done by a workflow of its own is work too."""
        if not task.milestone or task.id in self.workflows:
            work = self.work.get(workflow, NO_CHILDREN)
            self.work[workflow] = work.moved(before, task.status)

    def _needs_moved(self, need: Task) -> "list[tuple[str, Effect]]":
        """Tell the dependants of a task that it is done now, or not done any more."""
        step = -1 if need.status == "done" else 1
        return [(dependant, _needs(step)) for dependant in self.needed_by.get(need.id, ())]

    def _child_moved(
        self, parent: str, before: str | None, after: str | None
    ) -> "list[tuple[str, Effect]]":
        """Tell a task of a step of its child; if it is archived, those who wait for its children."""
        if parent in self.tasks:
            return [(parent, _moved(before, after))]
        return self._gates_of(parent)

    def _gates_of(self, task_id: str) -> "list[tuple[str, Effect]]":
        """Tell those who wait for the children of a task to look at them again."""
        return [(waiter, kept_back) for waiter in self.awaited_by.get(task_id, ())]

    def _unhook(self, agent: str, task: Task) -> None:
        """Take a task off the hook of an agent that does not have it any more."""
        has_it = task.assigned_to == agent and task.status in HELD
        if not has_it and self.hooks.get(agent) == task.id:
            del self.hooks[agent]

    def _tell_convoys(self, task: Task) -> None:
        step = -1 if task.status in ENDED else 1
        for name in self.tracked_by[task.id]:
            convoy = self.convoys[name]
            self.convoys[name] = replace(convoy, open_tasks=convoy.open_tasks + step)

    def move_child(self, parent: str, before: str | None, after: str | None) -> None:
        """Count a child of a task that came (``before`` is None), or left (``after`` is None)."""
        self._follow(self._child_moved(parent, before, after))

    def is_done(self, task_id: str) -> bool:
        """Whether a task, archived or not, is done."""
        return self.status_of(task_id) == "done"

    def status_of(self, task_id: str) -> str:
        """The status of a task; of an archived one, how it ended."""
        task = self.tasks.get(task_id)
        return task.status if task is not None else self.archived[task_id].outcome

    def is_open(self, task_id: str) -> bool:
        """Whether a task has not ended; an archived one has."""
        task = self.tasks.get(task_id)
        return task is not None and task.status not in ENDED

    def put_lock(self, lock: Lock) -> None:
        """Add a lock, replace its record, or remove it when nobody holds or awaits it."""
        if lock.holders or lock.waiting:
            self.locks[lock.resource] = lock
        else:
            self.locks.pop(lock.resource, None)
        if "schedule" in self.__dict__:
            self.schedule.lock_changed(lock)

    @cached_property
    def schedule(self) -> Schedule:
        """What can run now: derived from tasks and locks on first use, kept up to date from then on."""
        return Schedule(self)


# What changes with another task


def _needs(step: int) -> Effect:
    return lambda _, task: replace(task, open_needs=task.open_needs + step)


def _moved(before: str | None, after: str | None) -> Effect:
    return lambda _, task: replace(
        task, progress=(task.progress or NO_CHILDREN).moved(before, after)
    )


def _on(lists: dict[str, list[str]], key: str, task: str) -> None:
    lists.setdefault(key, []).append(task)


def _off(lists: dict[str, list[str]], key: str, task: str) -> None:
    lists[key].remove(task)
    if not lists[key]:
        del lists[key]


def _misfit(at: Recorded | None, error: Exception) -> Damage:
    assert at is not None
    return Damage(
        f"Event {at.id} ({at.type}) does not fit what came before it: {error!r}",
        code="misfit",
        hint="No command writes such a log. `doctor --salvage` saves what fits together.",
    )
