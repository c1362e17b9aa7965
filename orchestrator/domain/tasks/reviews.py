"""Reviews: another agent than the worker approves or rejects work; imported commands are trusted.

A review is work: the agent that takes it has a separate lease, and no other agent ends it meanwhile.
"""

from collections.abc import Iterable

from orchestrator.core import clock
from orchestrator.core.errors import Refused
from orchestrator.core.transaction import SYSTEM, Committed, Noun, Transaction, command
from orchestrator.domain.agents.assignment import assign
from orchestrator.domain.agents.identity import act_in_session, act_to_work
from orchestrator.domain.state import State
from orchestrator.domain.tasks.events import ReviewReleased, TaskCompleted
from orchestrator.domain.tasks.leases import claim_review, current_review, named_or
from orchestrator.domain.tasks.lookup import changed_task, find_live
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.tasks.transitions import check_transition
from orchestrator.domain.tasks.verification_events import TaskApproved, TaskRejected, TaskTrusted
from orchestrator.domain.validation import check_required, check_text


def trusted_tasks(state: State, events: Committed) -> list[Task]:
    """Return the tasks whose commands may run now and could not before."""
    return [state.tasks[event.task] for _, event in events if isinstance(event, TaskTrusted)]


class Reviews(Noun[State]):
    """``orc.reviews``: claim, release, approve, reject, trust."""

    @command(changed_task)
    def claim(
        self,
        tx: Transaction[State],
        task: str | None = None,
        *,
        agent: str | None = None,
        lease: float | str | None = None,
    ) -> Task:
        """Take the review of a task under a separate lease. If the agent has it already, nothing changes.

        Args:
            task: Its id or a prefix; None for the one that the agent reviews.
            agent: Who reviews; needed.
            lease: How long, as ``30m`` or seconds; every sign of life renews it.

        Raises:
            Refused: It is not in review, the reviewer worked on it (``own_work``), or another agent reviews
                it (``review_held``).
        """
        reviewed = _reviewed(tx, named_or(current_review, tx, task, agent), "review", agent)
        if not reviewed.is_reviewed_by(tx.agent, tx.now):
            claim_review(tx, reviewed, lease)
        return reviewed

    @command(changed_task)
    def release(
        self,
        tx: Transaction[State],
        task: str | None = None,
        *,
        reason: str = "",
        agent: str | None = None,
    ) -> None:
        """Release a review, so that another agent can do it.

        Args:
            task: Its id or a prefix; None for the one that the agent reviews.
            reason: Why.
            agent: Who reviews.

        Raises:
            Refused: No agent reviews it, or another one does.
        """
        release_review(
            tx, find_live(tx.state, named_or(current_review, tx, task, agent)), reason, agent
        )

    @command(changed_task)
    def approve(
        self,
        tx: Transaction[State],
        task: str | None = None,
        *,
        comment: str = "",
        agent: str | None = None,
    ) -> None:
        """Approve the work of another agent; the task is done with it, or its branch is submitted then.

        Args:
            task: Its id or a prefix; None for the one that the agent reviews.
            comment: A comment of the reviewer.
            agent: Who reviews; needed.

        Raises:
            Refused: It is not in review, the reviewer worked on it (``own_work``), or another agent reviews
                it (``review_held``).
        """
        reviewed = _reviewed(tx, named_or(current_review, tx, task, agent), "approve", agent)
        tx.record(TaskApproved(task=reviewed.id, comment=check_text("comment", comment)))
        if reviewed.proposal is not None:
            from orchestrator.domain.merges import queue

            author = reviewed.assigned_to or tx.agent
            queue.enter(tx, reviewed.proposal, author=author, task=reviewed.id)
            return
        tx.record(
            TaskCompleted(
                task=reviewed.id,
                result=reviewed.result,
                reason=reviewed.reason,
                worker=reviewed.assigned_to or "",
            )
        )

    @command(changed_task)
    def reject(
        self,
        tx: Transaction[State],
        task: str | None = None,
        *,
        reason: str,
        agent: str | None = None,
    ) -> None:
        """Give work back to its worker, who gets the reason; work of a retired agent becomes free.

        Args:
            task: Its id or a prefix; None for the one that the agent reviews.
            reason: What is missing; kept as a note.
            agent: Who reviews; needed.

        Raises:
            Refused: It is not in review, the reviewer worked on it (``own_work``), or another agent reviews
                it (``review_held``).
        """
        reviewed = _reviewed(tx, named_or(current_review, tx, task, agent), "reject", agent)
        tx.record(TaskRejected(task=reviewed.id, reason=check_required("reason", reason)))
        worker = reviewed.assigned_to
        if worker is not None and not tx.state.agents.is_retired(worker):
            assign(tx, tx.state.tasks[reviewed.id], worker)

    @command(trusted_tasks)
    def trust(
        self, tx: Transaction[State], tasks: Iterable[str], *, agent: str | None = None
    ) -> None:
        """Trust the imported commands of tasks, so that they can run; read them first.

        Args:
            tasks: Ids or prefixes; those without such commands stay as they are.
            agent: Who trusts them.
        """
        tx.act_as(agent)
        chosen = {task.id: task for task in (find_live(tx.state, text) for text in tasks)}
        for task in chosen.values():
            if task.checks is not None and task.checks.are_inert:
                tx.record(TaskTrusted(task=task.id))


def release_review(tx: Transaction[State], reviewed: Task, reason: str, agent: str | None) -> None:
    """Record that an agent releases the review of a task.

    Raises:
        Refused: No agent reviews it, or another one does.
    """
    actor = act_in_session(tx, agent)
    if reviewed.reviewer is None or actor not in (SYSTEM, reviewed.reviewer):
        who = reviewed.reviewer or "no agent"
        raise Refused(
            f"{actor} does not review task {reviewed.id}: {who} does",
            code="not_holder",
            reviewer=reviewed.reviewer,
            status=reviewed.status,
        )
    tx.act_as(reviewed.reviewer)
    reason = check_text("reason", reason)
    tx.record(ReviewReleased(task=reviewed.id, holder=reviewed.reviewer, reason=reason))


def _reviewed(tx: Transaction[State], text: str, transition: str, agent: str | None) -> Task:
    """Return the task for a transition that only an agent that did not work on it may make.

    Raises:
        Refused: It is not in review, a worker of it acts, or another agent reviews it.
    """
    actor = act_to_work(tx, agent, task=text)
    task = find_live(tx.state, text)
    check_transition(task, transition)
    if actor in task.all_workers:
        raise Refused(
            f"{actor} {'did the work of' if actor == task.assigned_to else 'worked on'} task {task.id}:"
            " another agent must review it",
            code="own_work",
            hint="`t list --status in_review` shows others what awaits them.",
            assigned_to=task.assigned_to,
            workers=task.all_workers,
        )
    if task.reviewer not in (None, actor) and task.review_until > tx.now:
        raise Refused(
            f"{task.reviewer} reviews task {task.id} until {clock.local_time(task.review_until, tx.now)}",
            code="review_held",
            hint="`next` finds other work; `mail send` reaches the reviewer.",
            reviewer=task.reviewer,
            review_until=task.review_until,
        )
    return task
