"""The ready queue: ready tasks in order, leases by their ends, and held resources.

An agent is given first what hangs on its hook, then what is assigned to it, then a review, then what any
agent may take.

All of it is derived from tasks and locks, so it is never stored: it is built in one pass when a process
first needs it and follows every change from then on. The queues are heaps whose entries may go stale; an
entry counts only if the record still agrees when the entry comes to the top. From the first use of a filter
on, the tasks that fit it have a queue of their own, so a look costs the same however long the queues are.
"""

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush

import msgspec

from orchestrator.core import clock, names
from orchestrator.core.multimap import multimap
from orchestrator.domain.agents.records import AgentSlice
from orchestrator.domain.locks.records import Lock, LockSlice
from orchestrator.domain.tasks import resources
from orchestrator.domain.tasks.records import ENDED, HELD, Rank, Task, TaskSlice, rank_of
from orchestrator.domain.tasks.review_queue import EVERYTHING, Filter, Permits, ReviewQueue
from orchestrator.domain.workstreams.records import WorkstreamSlice


class HeldResource(msgspec.Struct, frozen=True, gc=False):
    """A resource that an agent holds until a time, by a lock or by a running task."""

    resource: str
    shared: bool
    agent: str
    until: str
    task: str | None = None


class Schedule:
    """The queues and holds of one state; see the module for how they are kept.

    Args:
        tasks: The tasks.
        workstreams: The workstreams.
        locks: The locks.
        agents: The agents.
        machine: The machine on which local resources are asked for; empty: all agents are on one.

    Attributes:
        reviews: Work that waits for a reviewer.
    """

    def __init__(
        self,
        tasks: TaskSlice,
        workstreams: WorkstreamSlice,
        locks: LockSlice,
        agents: AgentSlice,
        machine: str = "",
    ) -> None:
        self._machine = machine
        self._tasks = tasks.tasks
        self._workstreams = workstreams.workstreams
        self._locks = locks.locks
        self._agents = agents.agents
        self._hooks = agents.hooks
        self.reviews = ReviewQueue(self._tasks)
        self._ready: dict[str, list[Rank]] = {name: [] for name in workstreams}
        self._filtered: dict[str, dict[Filter, list[Rank]]] = {}
        self._assigned: dict[str, list[Rank]] = {}
        self._steps: dict[tuple[str, str], list[Rank]] = {}
        self._open_parts: dict[str, int] = {}
        self._automated: dict[str, None] = {}
        self._deferred: list[tuple[str, str]] = []
        self._running: dict[str, None] = {}
        self._of: dict[str, dict[str, None]] = {}
        self._ending: list[tuple[str, str]] = []
        self._renewals: dict[str, list[tuple[str, str]]] = {}
        self._exact: dict[str, dict[object, HeldResource]] = {}
        self._globs: dict[object, HeldResource] = {}
        for task in tasks.open():
            if task.status in HELD:
                self._start(task)
            if task.is_automated:
                self._note_automation(task)
            if task.parent is not None:
                self._count_part(None, task)
            if (
                task.status == "pending"
                and task.workflow is None
                and not task.defer_until
                and not task.completes_itself
                and task.is_clear
            ):
                self._ready[task.workstream].append((task.priority, task.events[0], task.id))
            elif task.status == "in_review":
                self.reviews.task_changed(None, task)
            else:
                self._offer(None, task)
        for queue in self._ready.values():
            heapify(queue)
        for lock in locks.values():
            self.lock_changed(lock)

    # What changed

    def task_changed(self, before: Task | None, task: Task) -> None:
        """Follow a task that was added or replaced."""
        if task.parent is not None or (before is not None and before.parent is not None):
            self._count_part(before, task)
        if task.is_automated or task.id in self._automated:
            self._note_automation(task)
        if task.status == "in_review" or (before is not None and before.status == "in_review"):
            self.reviews.task_changed(before, task)
        if before is not None and before.status in HELD:
            if task.status == before.status and _course(before) == _course(task):
                return
            self._stop(before)
        if task.status in HELD:
            self._start(task)
        self._offer(before, task)

    def _count_part(self, before: Task | None, task: Task) -> None:
        """Count the open children of a task's parent; queue the parent again after its last child."""
        left = before.parent if before is not None and before.status not in ENDED else None
        joined = task.parent if task.status not in ENDED else None
        if left == joined:
            return
        if joined is not None:
            self._open_parts[joined] = self._open_parts.get(joined, 0) + 1
        if left is not None:
            self._open_parts[left] -= 1
            if not self._open_parts[left]:
                del self._open_parts[left]
                self._offer_again(left)

    def _offer_again(self, task_id: str) -> None:
        """Queue a task again that was not queued while a child of it was open."""
        task = self._tasks.get(task_id)
        if task is None:
            return
        if task.status in HELD:
            heappush(self._ending, (task.lease_until, task.id))
        self._offer(None, task)

    def _offer(self, before: Task | None, task: Task) -> None:
        """Queue a task as put off, assigned or ready, unless it is queued already."""
        if task.status not in ("pending", "assigned") or not task.is_clear or task.completes_itself:
            return
        if before is not None and before.is_clear and _offered(before) == _offered(task):
            return
        if task.defer_until:
            heappush(self._deferred, (task.defer_until, task.id))
        else:
            self._queue(task, _assignee(task))

    def _queue(self, task: Task, agent: str = "") -> None:
        """Put a task into the queue of an agent or of its stream, and into that of its workflow."""
        queues = self._assigned if agent else self._ready
        heappush(queues.setdefault(agent or task.workstream, []), rank_of(task))
        if not agent:
            for filter, queue in self._filtered.get(task.workstream, {}).items():
                if filter.fits(task):
                    heappush(queue, rank_of(task))
        if task.workflow is not None:
            heappush(self._steps.setdefault((task.workflow, agent), []), rank_of(task))

    def _note_automation(self, task: Task) -> None:
        if task.automation_is_due:
            self._automated[task.id] = None
        else:
            self._automated.pop(task.id, None)

    def lock_changed(self, lock: Lock) -> None:
        """Follow a lock that was acquired, renewed or released."""
        resource = names.resource(lock.resource)  # earlier versions kept every spelling
        holds = self._globs
        if not resources.is_glob(resource):
            holds = self._exact.setdefault(resource, {})
        for key in [key for key in holds if key[0] == "lock" and key[1] == lock.resource]:  # type: ignore[index]
            del holds[key]
        for holder in lock.holders:
            holds["lock", lock.resource, holder.agent] = HeldResource(
                resource, holder.shared, holder.agent, holder.until
            )
        if not self._exact.get(resource, True):
            del self._exact[resource]

    def _start(self, task: Task) -> None:
        agent = task.assigned_to or ""
        self._of.setdefault(agent, {})[task.id] = None
        heappush(self._ending, (task.lease_until, task.id))
        heappush(self._renewals.setdefault(agent, []), (self._half(task), task.id))
        if task.status != "in_progress":
            return
        self._running[task.id] = None
        for text in task.touches:
            need = resources.parse(text, task.machine)
            hold = HeldResource(need.resource, need.shared, agent, task.lease_until, task.id)
            if resources.is_glob(need.resource):
                self._globs["task", task.id, need.resource] = hold
            else:
                self._exact.setdefault(need.resource, {})["task", task.id] = hold

    def _stop(self, task: Task) -> None:
        self._running.pop(task.id, None)
        del self._of[task.assigned_to or ""][task.id]
        for text in task.touches:
            resource = resources.parse(text, task.machine).resource
            self._globs.pop(("task", task.id, resource), None)
            holds = self._exact.get(resource)
            if holds is not None:
                holds.pop(("task", task.id), None)
                if not holds:
                    del self._exact[resource]

    # Holds

    def running(self) -> Iterator[Task]:
        """The tasks in progress, lapsed ones included, in the order they were claimed."""
        return (self._tasks[task_id] for task_id in self._running)

    def held_by(self, agent: str) -> list[Task]:
        """What an agent has, assigned or in progress, lapsed or not."""
        return [self._tasks[task_id] for task_id in self._of.get(agent, ())]

    def holders(self) -> list[str]:
        """Return the agents that have tasks, assigned or in progress."""
        return [agent for agent, tasks in self._of.items() if tasks]

    def load(self, agent: str) -> int:
        """How many tasks an agent has, assigned or in progress."""
        return len(self._of.get(agent, ()))

    def spellings(self, resource: str, agent: str | None = None) -> list[str]:
        """The names under which a resource is locked, by an agent or by any.

        Boards of earlier versions may have ``./src/a.py`` beside ``src/a.py``.
        """
        is_glob = resources.is_glob(resource)
        holds = self._globs if is_glob else self._exact.get(resource, {})
        locked: dict[str, None] = {}
        for key, hold in holds.items():
            kind, name = key[:2]  # type: ignore[index]
            if kind == "lock" and hold.resource == resource and agent in (None, hold.agent):
                locked[name] = None
        return list(locked)

    def collisions(self, need: resources.Need, agent: str | None, now: str) -> list[HeldResource]:
        """The holds of others, under live leases, that exclude this need."""
        if resources.is_glob(need.resource):
            held = [hold for holds in self._exact.values() for hold in holds.values()]
        else:
            held = list(self._exact.get(need.resource, {}).values())
        return [
            hold
            for hold in [*held, *self._globs.values()]
            if hold.agent != agent
            and hold.until > now
            and not (hold.shared and need.shared)
            and resources.collide(hold.resource, need.resource)
        ]

    def task_collisions(
        self, task: Task, agent: str | None, now: str, machine: str | None = None
    ) -> list[HeldResource]:
        """The holds of others on resources of the task, if it is worked on here or on another machine."""
        here = self._machine if machine is None else machine
        return [
            hold
            for text in task.touches
            for hold in self.collisions(resources.parse(text, here), agent, now)
        ]

    def due_for_automation(self) -> list[Task]:
        """Return the tasks that automation changes now."""
        tasks = (self._tasks.get(task_id) for task_id in self._automated)
        return [task for task in tasks if task is not None and task.automation_is_due]

    # Tasks to take

    def best(
        self, workstream: str | None, agent: str, now: str, *, review: bool = False
    ) -> Task | None:
        """The task to take next, without collisions.

        The order: the task on the agent's hook, its assigned tasks, a review if ``review`` is set, then the
        tasks that any agent may take, by workstream priority, task priority, age. Lapsed tasks count as
        pending. Tasks of closed workstreams are not taken.
        """
        task = self.best_own(workstream, agent, now)
        if task is None and review:
            task = self.best_review(workstream, agent, now)
        if task is not None:
            return task
        streams = self._workstreams if workstream is None else (workstream,)
        return self.best_free(streams, agent, now)

    def best_own(
        self, workstream: str | None, agent: str, now: str, permits: Permits | None = None
    ) -> Task | None:
        """The task on the agent's hook, else the first that is assigned to it."""
        self._recall(now)
        for queue in ([*self._hung(agent, now)], self._assigned.get(agent)):
            task = self._first(queue, agent, now, workstream, own=True, permits=permits)
            if task is not None:
                return task
        return None

    def best_free(
        self,
        workstreams: Iterable[str],
        agent: str,
        now: str,
        filters: Iterable[Filter | None] = EVERYTHING,
        permits: Permits | None = None,
    ) -> Task | None:
        """The first of the tasks that any agent may take.

        Args:
            workstreams: Their names.
            agent: Who would take it.
            now: The time.
            filters: It takes the tasks that fit one of these.
            permits: Whether it may take a task; None: any.
        """
        self._recall(now)
        streams = [self._workstreams[name] for name in workstreams if name in self._workstreams]
        if len(streams) > 1:
            streams.sort(key=lambda stream: stream.priority)
        best: tuple[int, Rank, Task] | None = None
        for stream in streams:
            if best is not None and stream.priority > best[0]:
                break
            for filter in filters:
                queue = self._free(stream.name, filter)
                task = self._first(queue, agent, now, stream.name, filter=filter, permits=permits)
                if task is not None and (best is None or rank_of(task) < best[1]):
                    best = (stream.priority, rank_of(task), task)
        return best[2] if best else None

    def _free(self, workstream: str, filter: Filter | None) -> list[Rank]:
        """The queue of what any agent may take in a stream, or of the part of it that fits a filter."""
        ready = self._ready.get(workstream, [])
        if filter is None:
            return ready
        queues = self._filtered.setdefault(workstream, {})
        if filter not in queues:
            known = (rank for rank in ready if rank[2] in self._tasks)
            queues[filter] = [rank for rank in known if filter.fits(self._tasks[rank[2]])]
            heapify(queues[filter])
        return queues[filter]

    def best_review(
        self,
        workstream: str | None,
        agent: str,
        now: str,
        filters: Iterable[Filter | None] = EVERYTHING,
        permits: Permits | None = None,
    ) -> Task | None:
        """The next review that the agent may do; the arguments as in :meth:`best_free`."""
        record = self._agents.get(agent)
        capabilities = record.capabilities if record is not None else ()
        by_priority = multimap(
            (stream.priority, stream.name)
            for stream in self._workstreams.values()
            if stream.status == "active" and workstream in (None, stream.name)
        )
        reviews = (
            self.reviews.best(by_priority[priority], agent, capabilities, now, filters, permits)
            for priority in sorted(by_priority)
        )
        return next((task for task in reviews if task is not None), None)

    def best_step(self, workflow: str, agent: str, now: str) -> Task | None:
        """The step of a workflow that an agent should take next: one assigned to it, else a free one."""
        self._recall(now)
        for whose in (agent, ""):
            queue = self._steps.get((workflow, whose))
            task = self._first(queue, agent, now, own=whose == agent)
            if task is not None:
                return task
        return None

    def ready(self, workstream: str | None, now: str) -> list[Task]:
        """Return every task that any agent may take, in the order in which they are taken."""
        self._recall(now)
        ranks: dict[str, tuple[int, Rank]] = {}
        for stream in self._workstreams.values():
            if stream.status != "active" or workstream not in (None, stream.name):
                continue
            queue = self._ready.get(stream.name, [])
            live = {rank for rank in queue if self._stands(rank, now)}
            self._ready[stream.name] = sorted(live)  # a sorted list is a heap
            ranks.update((rank[2], (stream.priority, rank)) for rank in live)
        return [self._tasks[task_id] for task_id in sorted(ranks, key=ranks.__getitem__)]

    def _hung(self, agent: str, now: str) -> Iterator[Rank]:
        """The task on the agent's hook, unless the agent works on it."""
        task_id = self._hooks.get(agent)
        if task_id is not None:
            task = self._tasks[task_id]
            if not task.is_run_by(agent, now):
                yield rank_of(task)

    def deferred(self, now: str) -> list[Task]:
        """Return the tasks that are only put off."""
        entries = {id: until for until, id in self._deferred if self._is_deferred(until, id)}
        tasks = (self._tasks[task_id] for task_id, until in entries.items() if until > now)
        return [task for task in tasks if task.is_clear]

    def next_change(self, now: str) -> str | None:
        """Return when the next lease, review, lock or postponement ends, so that a task may become free."""
        self._recall(now)
        while self._ending and not self._is_ending(*self._ending[0]):
            heappop(self._ending)
        while self._deferred and not self._is_deferred(*self._deferred[0]):
            heappop(self._deferred)
        ends = [queue[0][0] for queue in (self._ending, self._deferred) if queue]
        ends += filter(None, [self.reviews.next_end(now)])
        for lock in self._locks.values():
            ends.extend(holder.until for holder in lock.holders)
        later = [end for end in ends if end > now]
        return min(later) if later else (now if ends else None)

    def due_renewals(self, agent: str, now: str) -> list[Task]:
        """The tasks and reviews of an agent whose live lease has passed its half."""
        queue = self._renewals.get(agent)
        due: dict[str, Task] = {}  # a held task is in the queue again after each of its changes
        while queue and queue[0][0] <= now:
            half, task_id = heappop(queue)
            task = self._tasks.get(task_id)
            if task and task.is_held_by(agent, now) and self._half(task) == half:
                due[task_id] = task
        if queue is not None:
            for task in due.values():
                heappush(queue, (self._half(task), task.id))
        return [*due.values(), *self.reviews.due_renewals(agent, now)]

    @staticmethod
    def _half(task: Task) -> str:
        return clock.after(task.lease_until, -(task.lease or 0.0) / 2)

    def _recall(self, now: str) -> None:
        """Queue lapsed tasks, and tasks whose time has come."""
        while self._deferred and self._deferred[0][0] <= now:
            until, task_id = heappop(self._deferred)
            if self._is_deferred(until, task_id):
                task = self._tasks[task_id]
                self._queue(task, _assignee(task))
                if task.status in HELD:  # it may have lapsed while it was put off
                    heappush(self._ending, (task.lease_until, task_id))
        while self._ending and self._ending[0][0] <= now:
            until, task_id = heappop(self._ending)
            if self._is_ending(until, task_id):
                task = self._tasks[task_id]
                self._queue(task)

    def _is_ending(self, until: str, task_id: str) -> bool:
        task = self._tasks.get(task_id)
        return task is not None and task.status in HELD and task.lease_until == until

    def _is_deferred(self, until: str, task_id: str) -> bool:
        task = self._tasks.get(task_id)
        return task is not None and task.defer_until == until and task.status in ("pending", *HELD)

    def _first(
        self,
        queue: list[Rank] | None,
        agent: str,
        now: str,
        workstream: str | None = None,
        *,
        own: bool = False,
        filter: Filter | None = None,
        permits: Permits | None = None,
    ) -> Task | None:
        """The first of a queue that the agent may take.

        Args:
            queue: The queue.
            agent: Who would take it.
            now: The time.
            workstream: Only tasks of this stream.
            own: It is the queue of what the agent has, not that of a stream.
            filter: What the queue is for; an entry that does not fit any more is dropped.
            permits: Whether the agent may take a task; None: any.
        """
        passed: list[Rank] = []
        excluded: dict[tuple[str, ...], bool] = {}
        first = None
        while queue and first is None:
            if not self._stands(queue[0], now, agent):
                heappop(queue)
                continue
            task = self._tasks[queue[0][2]]
            elsewhere = workstream not in (None, task.workstream)
            # The task was taken from the agent, or moved: it is in another queue.
            is_gone = not (task.status in HELD and task.assigned_to == agent) if own else elsewhere
            if is_gone or (filter is not None and not filter.fits(task)):
                heappop(queue)
                continue
            is_active = self._workstreams[task.workstream].status == "active"
            if elsewhere or not is_active or (permits is not None and not permits(task)):
                passed.append(heappop(queue))
                continue
            if task.touches and task.touches not in excluded:
                excluded[task.touches] = bool(self.task_collisions(task, agent, now))
            if task.touches and excluded[task.touches]:
                passed.append(heappop(queue))
            else:
                first = task
        for rank in passed:
            heappush(queue, rank)  # type: ignore[arg-type]
        return first

    def _stands(self, rank: Rank, now: str, agent: str | None = None) -> bool:
        """Whether an entry of a queue still counts: any agent, or this one, may take the task."""
        task = self._tasks.get(rank[2])
        if task is None or rank_of(task) != rank or not task.is_clear or task.completes_itself:
            return False
        if rank[2] in self._open_parts:
            return False
        if task.defer_until > now:
            heappush(self._deferred, (task.defer_until, task.id))
            return False
        if task.status == "assigned" and task.assigned_to == agent:
            return True
        if task.status in HELD and task.lease_until > now:
            heappush(self._ending, (task.lease_until, task.id))  # the clock was set back
            return False
        return task.status == "pending" or task.status in HELD


def _assignee(task: Task) -> str:
    return (task.assigned_to or "") if task.status == "assigned" else ""


def _course(task: Task) -> tuple[object, ...]:
    """The facts of a running task on which the queues and holds depend."""
    return (
        task.lease_until,
        task.lease,
        task.assigned_to,
        task.touches,
        task.priority,
        task.is_clear,
        task.defer_until,
        task.type,
        task.labels,
    )


def _offered(task: Task) -> tuple[object, ...]:
    """The queues of a task that may be taken, and the time of its entry."""
    kind = task.workstream, task.type, task.labels
    return task.status, task.assigned_to, task.defer_until, kind, rank_of(task)
