"""The queries of ``orc.tasks``."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Unpack

from orchestrator.core.events import Recorded
from orchestrator.core.progress import ShowProgress, no_progress
from orchestrator.core.transaction import Noun
from orchestrator.domain.agents.identity import own_name
from orchestrator.domain.state import State
from orchestrator.domain.tasks import archive
from orchestrator.domain.tasks.given_facts import GivenFacts
from orchestrator.domain.tasks.leases import task_at_hand
from orchestrator.domain.tasks.lookup import resolve_ever
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.tasks.stages import Standing


class TaskQueries(Noun[State]):
    """What can be asked about tasks."""

    def get(self, task: str | None = None, *, agent: str | None = None) -> Task:
        """The task of this id or prefix, archived and deleted ones included.

        Args:
            task: Its id or a prefix; None for the one that the agent works on, or else reviews.
            agent: Whose task it is, if none is named.

        Raises:
            NotFound: There is none.
        """
        state = self._state
        if task is None:
            return task_at_hand(state, own_name(self._desk, agent), self._desk.now())
        task_id = resolve_ever(state, task)
        archived = state.tasks.archived.get(task_id)
        if archived is None:
            return state.tasks[task_id]
        return archive.record_in(self._desk, archived.event)

    def lasting(
        self, workstream: str | None = None, progress: ShowProgress = no_progress
    ) -> Iterator[Task]:
        """Every task, as :meth:`ever`, without the tasks of wisps, which are temporary."""
        state = self._state
        return (
            task for task in self.ever(workstream, progress) if not archive.is_of_wisp(state, task)
        )

    def ever(
        self, workstream: str | None = None, progress: ShowProgress = no_progress
    ) -> Iterator[Task]:
        """Every task of the board: the archived ones, as they were then, then the live ones.

        Args:
            workstream: Only of this stream.
            progress: Shows how many of the archived ones are read.

        Raises:
            NotFound: There is no such workstream.
        """
        state = self._state
        state.workstreams.check(workstream)
        numbers = sorted(
            record.event
            for task, record in state.tasks.archived.items()
            if workstream in (None, record.workstream) and task not in state.tasks.deleted
        )
        yield from reversed([*archive.records_in(self._desk, numbers, progress)])
        for task in state.tasks.values():
            if workstream in (None, task.workstream):
                yield task

    def history(self, task: str) -> list[Recorded]:
        """The events of a task, oldest first; the last one of an archived or deleted task took it away."""
        record = self.get(task)
        gone = self._state.tasks.archived.get(record.id)
        last = () if gone is None else (gone.event,)
        return [self._desk.event(number) for number in (*record.events, *last)]

    def needed_by(self, task: str) -> list[Task]:
        """Return the tasks that need this one."""
        state = self._state
        dependants = state.tasks.needed_by.get(resolve_ever(state, task), ())
        return [state.tasks[dependant] for dependant in dependants]

    def labels(self) -> dict[str, int]:
        """Count the live tasks of each label, most used first, then by name."""
        counts = Counter(label for task in self._state.tasks.values() for label in task.labels)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def all(
        self,
        workstream: str | None = None,
        *,
        status: Iterable[Standing] = (),
        agent: str | None = None,
        any_labels: Iterable[str] = (),
        open: bool = False,
        overdue: bool = False,
        ready: bool = False,
        text: str | None = None,
        since: str | int | None = None,
        where: str = "",
        **facts: Unpack[GivenFacts],
    ) -> list[Task]:
        """Return the tasks that pass every filter, in the order they were added.

        Args:
            workstream: Only of this stream.
            status: Only of these statuses, or stages.
            agent: Only those it holds or held last.
            any_labels: Only those with one of these labels at least.
            open: Only open tasks.
            overdue: Only open tasks after their due time.
            ready: Only tasks that any agent may take now.
            text: Only those with this text in their title or description, in any case.
            since: Only tasks that changed since this time, this long ago (``2h``), or after this event.
            where: Only tasks that match this expression; see :mod:`orchestrator.domain.tasks.where`.
            **facts: Only those with these facts: all items of a list, else the same value; of a type,
                priority, parent ... as its :class:`orchestrator.domain.tasks.given_facts.Fact` allows.
        """
        from orchestrator.domain.tasks.selection import selection

        state, now = self._state, self._desk.now()
        flags = {"open": open, "overdue": overdue, "ready": ready}
        passes = selection(
            state,
            now,
            where=where,
            workstream=workstream,
            status=status,
            agent=agent,
            any_labels=any_labels,
            flags=[n for n, is_set in flags.items() if is_set],
            text=text,
            since=since,
            facts=facts,
        )
        tasks = state.tasks.open() if open or ready or overdue else state.tasks.values()
        return [task for task in tasks if passes(task)]
