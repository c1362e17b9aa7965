"""The review queue: work that waits for a reviewer, and running reviews.

The entries are kept by stream, by required capability, by the filters of agents, and by worker, so that an
agent finds a review without scanning its own work or work that it does not suit. As in
:mod:`orchestrator.domain.tasks.ready_queue` an entry may go stale, and counts only if the record still
the same.
"""

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from itertools import product
from typing import Protocol

from orchestrator.core import clock
from orchestrator.domain.tasks.records import Rank, Task, rank_of

Permits = Callable[[Task], bool]
"""Whether an agent may take a task now; it may not for few."""


class Filter(Protocol):
    """Tasks of a kind, told by facts of the task; what fits an equal filter has a queue of its own."""

    def fits(self, task: Task) -> bool:
        """Whether a task is of this kind."""

    def __hash__(self) -> int: ...


EVERYTHING: tuple[Filter | None, ...] = (None,)
"""The filters of an agent that takes all tasks."""

Workers = tuple[str, ...]
"""The agents that worked on a task."""

ANYTHING = ""
"""The capability of an agent that declares none."""


class ReviewQueue:
    """The reviews of a state; the schedule builds them and keeps them up to date."""

    def __init__(self, tasks: dict[str, Task]) -> None:
        self._tasks = tasks
        self._due: dict[tuple[str, str, Filter | None], dict[Workers, list[Rank]]] = {}
        self._filters: dict[Filter | None, None] = {None: None}
        self._ending: list[tuple[str, str]] = []
        self._of: dict[str, dict[str, None]] = {}
        self._all: dict[str, None] = {}

    def task_changed(self, before: Task | None, task: Task) -> None:
        """Follow a task that was added or replaced, and is or was in review."""
        if before is not None and before.reviewer is not None:
            del self._of[before.reviewer][before.id]
        if task.awaits_review:
            self._all[task.id] = None
        else:
            self._all.pop(task.id, None)
        if task.reviewer is not None:
            self._of.setdefault(task.reviewer, {})[task.id] = None
            heappush(self._ending, (task.review_until, task.id))
        elif task.awaits_review and (before is None or _place(before) != _place(task)):
            self._offer(task)

    def all(self) -> list[Task]:
        """Return the tasks in review, in the order in which they are reviewed."""
        tasks = (self._tasks.get(task_id) for task_id in self._all)
        return sorted((task for task in tasks if task is not None), key=rank_of)

    def held_by(self, agent: str) -> list[Task]:
        """The reviews of an agent, lapsed or not."""
        reviews = (self._tasks.get(task_id) for task_id in self._of.get(agent, ()))
        return [task for task in reviews if task is not None]

    def reviewed(self) -> list[Task]:
        """The tasks that an agent reviews, under a lease that has ended or not."""
        return [task for agent in self._of for task in self.held_by(agent)]

    def reviewers(self) -> list[str]:
        """The agents that review tasks."""
        return [agent for agent, tasks in self._of.items() if tasks]

    def due_renewals(self, agent: str, now: str) -> list[Task]:
        """The reviews of an agent whose live lease has passed its half."""
        return [
            task
            for task in self.held_by(agent)
            if now < task.review_until
            and clock.after(task.review_until, -(task.review_lease or 0.0) / 2) <= now
        ]

    def best(
        self,
        streams: Iterable[str],
        agent: str,
        capabilities: tuple[str, ...],
        now: str,
        filters: Iterable[Filter | None] = EVERYTHING,
        permits: Permits | None = None,
    ) -> Task | None:
        """The review to do next: of the work of others, and of a kind that the agent can do.

        Args:
            streams: Equal in priority.
            agent: Who would review.
            capabilities: Types and labels of tasks that it suits; none means all.
            now: The time.
            filters: It takes the reviews that fit one of these.
            permits: Whether it may take a review; None: any.
        """
        self.recall(now)
        first: Rank | None = None
        keys = product(streams, capabilities or (ANYTHING,), map(self._known, filters))
        for key in keys:
            for rank in self._firsts(key, agent, now, permits):
                first = rank if first is None else min(first, rank)
        return None if first is None else self._tasks[first[2]]

    def _known(self, filter: Filter | None) -> Filter | None:
        """The filter, with queues from now on."""
        if filter not in self._filters:
            self._filters[filter] = None
            for task in self.all():
                self._offer_to(task, filter)
        return filter

    def next_end(self, now: str) -> str | None:
        """Return when the next review lapses."""
        self.recall(now)
        while self._ending and not self._is_ending(*self._ending[0]):
            heappop(self._ending)
        return self._ending[0][0] if self._ending else None

    def recall(self, now: str) -> None:
        """Queue the lapsed reviews."""
        while self._ending and self._ending[0][0] <= now:
            until, task_id = heappop(self._ending)
            if self._is_ending(until, task_id):
                self._offer(self._tasks[task_id])

    def _offer(self, task: Task) -> None:
        for filter in self._filters:
            self._offer_to(task, filter)

    def _offer_to(self, task: Task, filter: Filter | None) -> None:
        """Queue a review for the agents with this filter, if it fits."""
        if filter is None or filter.fits(task):
            for ability in {ANYTHING, task.type, *task.labels}:
                workers = self._due.setdefault((task.workstream, ability, filter), {})
                heappush(workers.setdefault(task.all_workers, []), rank_of(task))

    def _firsts(
        self, key: tuple[str, str, Filter | None], agent: str, now: str, permits: Permits | None
    ) -> Iterator[Rank]:
        """Yield the first review of the work of each other agent."""
        workers = self._due.get(key, {})
        for group, queue in [*workers.items()]:
            passed: list[Rank] = []
            while queue:
                if not self._stands(queue[0], key, group, now):
                    heappop(queue)
                elif agent in group or permits is None or permits(self._tasks[queue[0][2]]):
                    break
                else:
                    passed.append(heappop(queue))
            first = queue[0] if queue and agent not in group else None
            for rank in passed:
                heappush(queue, rank)
            if not queue:
                del workers[group]
            if first is not None:
                yield first

    def _stands(
        self, rank: Rank, key: tuple[str, str, Filter | None], workers: Workers, now: str
    ) -> bool:
        task = self._tasks.get(rank[2])
        if task is None or not task.awaits_review or rank_of(task) != rank:
            return False
        if task.review_until > now:
            heappush(self._ending, (task.review_until, task.id))  # the clock may have been set back
            return False
        stream, ability, filter = key
        suits = ability in (ANYTHING, task.type, *task.labels)
        suits = suits and (filter is None or filter.fits(task))
        return suits and task.all_workers == workers and task.workstream == stream

    def _is_ending(self, until: str, task_id: str) -> bool:
        task = self._tasks.get(task_id)
        return task is not None and task.awaits_review and task.review_until == until


def _place(task: Task) -> tuple[object, ...]:
    """The queues of a review that no agent has."""
    free = task.awaits_review and task.reviewer is None
    return free, task.all_workers, task.workstream, task.type, task.labels, rank_of(task)
