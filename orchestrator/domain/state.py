"""The whole state of a board on one screen: the fold of its log, and what ``state.json`` holds."""

from collections.abc import Iterable
from functools import cached_property

import msgspec

import orchestrator.domain.repairs  # noqa: F401  # an event without a place in the state
from orchestrator.core.errors import Damage
from orchestrator.core.events import Recorded, decode
from orchestrator.domain.agents import Agent
from orchestrator.domain.cycles import Cycle
from orchestrator.domain.knowledge import Topic
from orchestrator.domain.locks import Lock
from orchestrator.domain.message_events import Mailbox, Message
from orchestrator.domain.requests import Request, remember
from orchestrator.domain.schedule import Schedule
from orchestrator.domain.task_events import ArchivedTask, Task
from orchestrator.domain.workstreams import Workstream


class State(msgspec.Struct, dict=True, omit_defaults=True):
    """Everything that is true of a board at one event.

    Records are frozen: a change replaces the record. Tasks and locks are changed through
    :meth:`put_task` and :meth:`put_lock` only, which keep what is derived from them.

    Attributes:
        event: The id of the last event folded in.
        counts: How many tasks of each status a workstream has, archived ones included.
        needed_by: For each task, the tasks that need it.
        queues: The messages of each queue that nobody has taken yet, oldest first.
    """

    event: int = 0
    workstreams: dict[str, Workstream] = {}
    counts: dict[str, dict[str, int]] = {}
    tasks: dict[str, Task] = {}
    needed_by: dict[str, list[str]] = {}
    archived: dict[str, ArchivedTask] = {}
    agents: dict[str, Agent] = {}
    locks: dict[str, Lock] = {}
    topics: dict[str, Topic] = {}
    messages: dict[int, Message] = {}
    mailboxes: dict[str, Mailbox] = {}
    queues: dict[str, list[int]] = {}
    mailing_lists: dict[str, tuple[str, ...]] = {}
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
        """Add a task or replace its record."""
        tasks, status = self.tasks, task.status
        before = tasks.get(task.id)
        tasks[task.id] = task
        old_status = None if before is None else before.status
        if old_status != status:
            counts = self.counts[task.workstream]
            counts[status] = counts.get(status, 0) + 1
            if old_status is not None:
                counts[old_status] -= 1
        if "schedule" in self.__dict__:
            self.schedule.task_changed(before, task)
        if old_status != status and "done" in (old_status, status):
            self._settle(task)

    def _settle(self, need: Task) -> None:
        """Tell the dependants of a task that it is done now, or not done any more."""
        step = -1 if need.status == "done" else 1
        for task_id in self.needed_by.get(need.id, ()):
            task = self.tasks.get(task_id)
            if task is not None:
                self.put_task(msgspec.structs.replace(task, open_needs=task.open_needs + step))

    def is_done(self, task_id: str) -> bool:
        """Whether a task, archived or not, is done."""
        task = self.tasks.get(task_id)
        return task.status == "done" if task else self.archived[task_id].outcome == "done"

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


def _misfit(at: Recorded | None, error: Exception) -> Damage:
    assert at is not None
    return Damage(
        f"Event {at.id} ({at.type}) does not fit what came before it: {error!r}",
        code="misfit",
        hint="No command writes such a log. `doctor --salvage` saves what fits together.",
    )
