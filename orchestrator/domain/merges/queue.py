"""The steps of the merge queue that commands of several nouns make: enter it, end, give a task back.

A task whose branch waits to be merged is in review; the merge ends it, and any other end of the submission
gives it back to the author. While a runner merges a branch, nothing else ends its task: by then the target
may hold the commit already.
"""

from collections.abc import Iterator

from orchestrator.core import clock
from orchestrator.core.errors import Refused
from orchestrator.core.events import Event
from orchestrator.core.printable import escape
from orchestrator.core.transaction import SYSTEM, Committed, Transaction
from orchestrator.domain.agents.assignment import assign
from orchestrator.domain.board.commands import upgrade_for
from orchestrator.domain.merges.events import MergeEvent, MergeSubmitted, MergeWithdrawn
from orchestrator.domain.merges.records import Proposal, Submission
from orchestrator.domain.state import State
from orchestrator.domain.tasks.events import TaskArchived, TaskCompleted, TaskReopened
from orchestrator.domain.tasks.lookup import exists
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.tasks.verification_events import TaskReturned
from orchestrator.domain.workflows.events import WorkflowBurned, WorkflowSquashed


def changed_submission(state: State, events: Committed) -> Submission:
    """The submission of a command, after the commit."""
    return state.merges[next(e.number for _, e in events if isinstance(e, MergeEvent))]


def enter(
    tx: Transaction[State],
    proposal: Proposal,
    *,
    author: str,
    task: str | None = None,
    convoy: str = "",
) -> None:
    """Submit a branch, or its new head while it waits; what is submitted already records nothing.

    Raises:
        Refused: The branch is being merged (``being_merged``), is that of another task
            (``branch_taken``), or the task waits for another branch (``submitted``).
    """
    merges = tx.state.merges
    known = merges.open_of_branch(proposal.branch, proposal.target)
    _check_one_of_each(tx.state, known, proposal, task)
    if known is not None:
        if known.proposal == proposal and task in (None, known.task):
            return
        check_not_being_merged(known, tx.now)
    last = merges.last_of_task(task) if task is not None else None
    again = known is None and last is not None and last.status == "returned"
    retries = known.retries if known else last.retries + 1 if again and last else 0
    upgrade_for(tx, "merge")
    tx.record(
        MergeSubmitted(
            number=merges.next_number if known is None else known.number,
            branch=proposal.branch,
            target=proposal.target,
            commit=proposal.commit,
            strategy=proposal.strategy,
            task=task or (known.task if known else None),
            convoy=convoy,
            author=author,
            retries=retries,
        )
    )


def _check_one_of_each(
    state: State, known: Submission | None, proposal: Proposal, task: str | None
) -> None:
    """Refuse a second task for a branch, and a second branch for a task.

    Raises:
        Refused: There would be one.
    """
    if task is None:
        return
    if known is not None and known.task not in (None, task):
        raise Refused(
            f"The branch {escape(proposal.branch)} waits to be merged for task {known.task}",
            code="branch_taken",
            hint=f"`merge withdraw {known.number}` takes it out of the queue.",
            submission=known.number,
        )
    other = state.merges.open_of_task(task)
    if other is not None and other is not known:
        raise Refused(
            f"Task {task} has submission {other.number} in the merge queue:"
            f" {escape(other.branch)} into {escape(other.target)}",
            code="submitted",
            hint=f"`merge withdraw {other.number}` takes it out of the queue.",
            submission=other.number,
        )


def check_not_being_merged(submission: Submission, now: str) -> None:
    """Refuse to change a submission that a runner merges.

    Raises:
        Refused: A runner has it, under a lease that has not ended.
    """
    if submission.is_being_merged(now):
        raise Refused(
            f"{submission.runner} merges submission {submission.number}"
            f" until {clock.local_time(submission.until, now)} at the latest",
            code="being_merged",
            hint=f"`merge show {submission.number}` tells how it ends; then try again.",
            submission=submission.number,
            runner=submission.runner,
            until=submission.until,
        )


# What the end of a submission means for its task


def end_task(tx: Transaction[State], submission: Submission) -> None:
    """Record that the task of a merged branch is done, if it waited for that."""
    task = tx.state.tasks.get(submission.task or "")
    if task is not None and task.waits_for == "merge":
        tx.record(
            TaskCompleted(
                task=task.id,
                result=task.result,
                reason=task.reason,
                worker=task.assigned_to or submission.author,
            )
        )


def give_back(tx: Transaction[State], submission: Submission, reason: str) -> Task | None:
    """Give the task of a branch that was not merged back to its author.

    A task that is done is reopened.

    Returns:
        The task as it is then; None if there is none that can be given back.
    """
    task = tx.state.tasks.get(submission.task or "")
    if task is None:
        return None
    if task.waits_for == "merge":
        author = task.assigned_to or submission.author
        tx.record(TaskReturned(task=task.id, reason=reason))
    elif can_be_reopened(tx.state, task):
        author = submission.author
        tx.record(TaskReopened(task=task.id, reason=reason))
    else:
        return None
    assign_author(tx, tx.state.tasks[task.id], author)
    return tx.state.tasks[task.id]


def can_be_reopened(state: State, task: Task) -> bool:
    """Whether a task that is done can be opened again for its branch."""
    is_active = state.workstreams[task.workstream].status == "active"
    return task.status == "done" and is_active and not (task.milestone or task.needs_failure_of)


def assign_author(tx: Transaction[State], task: Task, author: str) -> None:
    """Assign a task to the author of its branch; the task of one that is retired or unknown stays free."""
    if author != SYSTEM and not tx.state.agents.is_retired(author):
        assign(tx, task, author)


# What happens to a task in the queue by other commands


def follow(tx: Transaction[State], events: Committed) -> None:
    """Withdraw the submissions of tasks that these events ended or opened in another way.

    Raises:
        Refused: A runner merges such a branch.
    """
    merges = tx.state.merges
    changed = dict.fromkeys(task for _, event in events for task in _tasks_of(event))
    for task_id in changed:
        submission = merges.open_of_task(task_id)
        if submission is not None and (reason := _why_not(tx.state, task_id)):
            check_not_being_merged(submission, tx.now)
            tx.record(MergeWithdrawn(number=submission.number, reason=reason))


def _tasks_of(event: Event | None) -> Iterator[str]:
    if isinstance(event, TaskArchived):
        yield event.record.id
    elif isinstance(task := getattr(event, "task", None), str):
        yield task
    # The steps of these workflows leave the board without a record.
    elif isinstance(event, WorkflowBurned | WorkflowSquashed):
        yield from (*event.steps, event.workflow)


def _why_not(state: State, task_id: str) -> str:
    """Why the branch of a task is not to be merged any more; empty if it is."""
    if task_id in state.tasks.deleted or not exists(state, task_id):
        return f"task {task_id} was deleted"
    task = state.tasks.get(task_id)
    if task is None or task.status == "done" or task.waits_for == "merge":
        return ""
    return f"task {task_id} is {task.status}"
