"""The commands of ``orc.tasks`` that take a task; ``next`` loads no other commands."""

from orchestrator.core.transaction import Committed, Noun, Transaction, command
from orchestrator.domain.agents.identity import act_to_work
from orchestrator.domain.state import State
from orchestrator.domain.tasks.events import ReviewClaimed, TaskClaimed
from orchestrator.domain.tasks.leases import claim, claim_review, take
from orchestrator.domain.tasks.lookup import changed_task, find_live
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.waiting import wait_for


def claimed_task(state: State, events: Committed) -> Task | None:
    """Return the task that was claimed, itself or its review; None if nothing was claimed."""
    claims = (event.task for _, event in events if isinstance(event, TaskClaimed | ReviewClaimed))
    return next((state.tasks[task] for task in claims), None)


class TaskTaking(Noun[State], name="tasks"):
    """What takes a task."""

    @command(changed_task)
    def claim(
        self,
        tx: Transaction[State],
        task: str,
        *,
        agent: str | None = None,
        lease: float | str | None = None,
    ) -> Task:
        """Take a task under a lease; if the agent holds it, token and lease stay as they are.

        Args:
            task: Its id or a prefix.
            agent: Who takes it; needed.
            lease: How long, as ``30m`` or seconds.

        Raises:
            Refused: It is not pending nor assigned to the agent, waits for other tasks, or touches what
                another agent holds.
        """
        actor = act_to_work(tx, agent, task=task)
        wanted = find_live(tx.state, task)
        take(tx, wanted, actor, lease)
        return wanted

    def next(
        self,
        workstream: str | None = None,
        *,
        agent: str | None = None,
        lease: float | str | None = None,
        wait: float | str = 0,
        review: bool = False,
    ) -> Task | None:
        """Claim the task to do next.

        The order: the task on the agent's hook, its assigned tasks, a review if ``review`` is set, then the
        tasks that any agent may take, by workstream priority, task priority, age.

        Args:
            workstream: Only tasks of this stream; None for all.
            agent: Who takes it; needed. An agent may hold any number of tasks.
            lease: How long, as ``30m`` or seconds.
            wait: How long to wait for a task to become free.
            review: Also claim reviews that fit the agent's capabilities.

        Returns:
            The task (in review: its review is claimed), or None if there is none to take.
        """
        # Only if it is set, so that a request to an earlier version is recognized.
        reviews = {"review": True} if review else {}

        def attempt() -> Task | None:
            return self._next(workstream, agent=agent, lease=lease, **reviews)

        return wait_for(self._desk, attempt, wait)

    @command(claimed_task)
    def _next(
        self,
        tx: Transaction[State],
        workstream: str | None,
        *,
        agent: str | None,
        lease: float | str | None,
        review: bool = False,
    ) -> None:
        actor = act_to_work(tx, agent)
        tx.state.workstreams.check(workstream)
        task = tx.state.schedule.best(workstream, actor, tx.now, review=review)
        if task is not None:
            take_it = claim_review if task.status == "in_review" else claim
            take_it(tx, task, lease)
