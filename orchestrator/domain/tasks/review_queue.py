"""The review queue: work that waits for a reviewer, and running reviews.

The entries are kept by stream, by required capability, and by worker, so that an agent finds a review without
scanning its own work or work that it does not suit. As in
:mod:`orchestrator.domain.tasks.ready_queue` an entry may go stale, and counts only if the record still
the same.
"""

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from itertools import islice

from orchestrator.core import clock
from orchestrator.domain.tasks.records import Rank, Task, rank_of

Fits = Callable[[Task], bool]
"""Whether an agent takes a task."""

Workers = tuple[str, ...]
"""The agents that worked on a task."""

ANYTHING = ""
"""The capability of an agent that declares none."""


class ReviewQueue:
    """The reviews of a state; the schedule builds them and keeps them up to date."""

    def __init__(self, tasks: dict[str, Task]) -> None:
        self._tasks = tasks
        self._due: dict[tuple[str, str], dict[Workers, list[Rank]]] = {}
        self._ending: list[tuple[str, str]] = []
        self._of: dict[str, dict[str, None]] = {}
        self._all: dict[str, None] = {}

    def task_changed(self, before: Task | None, task: Task) -> None:
        """Follow a task that was added or replaced, and is or was in review."""
        if before is not None and before.reviewer is not None:
            del self._of[before.reviewer][before.id]
        if task.status == "in_review":
            self._all[task.id] = None
        else:
            self._all.pop(task.id, None)
        if task.reviewer is not None:
            self._of.setdefault(task.reviewer, {})[task.id] = None
            heappush(self._ending, (task.review_until, task.id))
        elif task.status == "in_review" and (before is None or _place(before) != _place(task)):
            self._offer(task)

    def all(self) -> list[Task]:
        """Return the tasks in review, in the order in which they are reviewed."""
        tasks = (self._tasks.get(task_id) for task_id in self._all)
        return sorted((task for task in tasks if task is not None), key=rank_of)

    def held_by(self, agent: str) -> list[Task]:
        """The reviews of an agent, lapsed or not."""
        reviews = (self._tasks.get(task_id) for task_id in self._of.get(agent, ()))
        return [task for task in reviews if task is not None]

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
        fits: Fits | None = None,
    ) -> Task | None:
        """The review to do next: of the work of others, and of a kind that the agent can do.

        Args:
            streams: Equal in priority.
            agent: Who would review.
            capabilities: Types and labels of tasks that it suits; none means all.
            now: The time.
            fits: Whether the agent takes the review of a task; None: any.
        """
        self.recall(now)
        first: Rank | None = None
        for stream in streams:
            for ability in capabilities or (ANYTHING,):
                for rank in self._firsts(stream, ability, agent, now, fits):
                    first = rank if first is None else min(first, rank)
        return None if first is None else self._tasks[first[2]]

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
        for ability in {ANYTHING, task.type, *task.labels}:
            workers = self._due.setdefault((task.workstream, ability), {})
            heappush(workers.setdefault(task.all_workers, []), rank_of(task))

    def _firsts(
        self, stream: str, ability: str, agent: str, now: str, fits: Fits | None
    ) -> Iterator[Rank]:
        """Yield the first review of the work of each other agent."""
        workers = self._due.get((stream, ability), {})
        for group, queue in [*workers.items()]:
            while queue and not self._stands(queue[0], stream, ability, group, now):
                heappop(queue)
            if not queue:
                del workers[group]
            elif agent in group:
                continue
            elif fits is None or fits(self._tasks[queue[0][2]]):
                yield queue[0]
            else:
                others = sorted(rank for rank in queue[1:] if rank[2] in self._tasks)
                stand = (r for r in others if self._stands(r, stream, ability, group, now))
                yield from islice((r for r in stand if fits(self._tasks[r[2]])), 1)

    def _stands(self, rank: Rank, stream: str, ability: str, workers: Workers, now: str) -> bool:
        task = self._tasks.get(rank[2])
        if task is None or task.status != "in_review" or rank_of(task) != rank:
            return False
        if task.review_until > now:
            heappush(self._ending, (task.review_until, task.id))  # the clock may have been set back
            return False
        suits = ability in (ANYTHING, task.type, *task.labels)
        return suits and task.all_workers == workers and task.workstream == stream

    def _is_ending(self, until: str, task_id: str) -> bool:
        task = self._tasks.get(task_id)
        return task is not None and task.status == "in_review" and task.review_until == until


def _place(task: Task) -> tuple[object, ...]:
    """The queues of a review that no agent has."""
    free = task.status == "in_review" and task.reviewer is None
    return free, task.all_workers, task.workstream, task.type, task.labels, rank_of(task)
