"""The mail of the merge queue to the author of a branch: what became of it, and what to do next."""

from orchestrator.core.printable import one_line, shortened
from orchestrator.core.transaction import SYSTEM, Transaction
from orchestrator.domain.mail import commands as mail
from orchestrator.domain.mail.matters import matter_of
from orchestrator.domain.merges.events import MergeReturned
from orchestrator.domain.merges.records import Submission
from orchestrator.domain.state import State
from orchestrator.domain.tasks.records import ENDED, Task
from orchestrator.domain.validation import LONGEST_TITLE

_OUTPUT = 2000
"""Characters of the tests' output in a letter; `merge show` has the rest."""


def what_is_wrong(event: MergeReturned, most: int) -> str:
    """What is wrong with a branch: the reason, the files, the output."""
    files = "\n".join(f"- {one_line(file, LONGEST_TITLE)}" for file in event.files)
    tail = event.tail.strip()
    if len(tail) > most:
        tail = f"…{tail[-most:]}"
    parts = (
        event.reason,
        f"In conflict:\n\n{files}" if files else "",
        tail and f"Output:\n\n{tail}",
    )
    return "\n\n".join(filter(None, parts))


def report_return(
    tx: Transaction[State], submission: Submission, event: MergeReturned, task: Task | None
) -> None:
    """Send the author of a branch that was returned what is wrong with it."""
    advice = (
        f"{_way_back(tx.state, submission, event, task)} `merge retry {submission.number}` tries the same"
        f" commit again, `merge show {submission.number}` has the whole output."
    )
    subject = f"Not merged ({event.kind}): {_name(tx.state, submission)}"
    _write(tx, submission, subject, what_is_wrong(event, _OUTPUT), advice, task)


def _way_back(state: State, submission: Submission, event: MergeReturned, task: Task | None) -> str:
    """How the author mends a branch and hands it in again."""
    claim, place, hand_in = "", "", "merge submit"
    if task is not None:
        claim = f"`t claim {task.id}` continues it. "
        if event.follow_up is not None:
            claim = f"Task {task.id} was added for that: {claim}"
        elif task.id in state.worktrees:
            place, hand_in = f" in `worktree path {task.id}`", f"done {task.id}"
    is_rebased = submission.strategy == "rebase"
    step = "Rebase the branch onto {}" if is_rebased else "Merge {} into the branch"
    step = step.format(submission.target)
    return f"{claim}{step}{place}, solve the problem, and commit. `{hand_in}` submits the new head."


def report_end(tx: Transaction[State], submission: Submission, task: Task | None) -> None:
    """Send the author of a branch that was rejected or withdrawn the reason."""
    subject = f"{submission.status.capitalize()}: {_name(tx.state, submission)}"
    advice = f"`merge retry {submission.number}` submits the same commit again."
    if task is not None and tx.state.tasks[task.id].status not in ENDED:
        advice = f"`t claim {task.id}` continues it. {advice}"
    _write(tx, submission, subject, submission.reason, advice, task)


def report_merge(tx: Transaction[State], submission: Submission) -> None:
    """Tell the author of a branch that it is merged."""
    subject = f"Merged: {_name(tx.state, submission)}"
    text = f"{submission.target} contains {submission.branch}: {submission.merge_commit}"
    has_tree = submission.task is not None and submission.task in tx.state.worktrees
    advice = f"`worktree remove {submission.task}` removes its worktree." if has_tree else ""
    _write(tx, submission, subject, text, advice, None)


def _name(state: State, submission: Submission) -> str:
    task = state.tasks.get(submission.task or "")
    return f"{task.id} {task.title}" if task is not None else submission.branch


def _write(
    tx: Transaction[State],
    submission: Submission,
    subject: str,
    text: str,
    advice: str,
    task: Task | None,
) -> None:
    author = submission.author
    if author in (SYSTEM, tx.agent) or tx.state.agents.is_retired(author):
        return
    live = tx.state.tasks.get(task.id) if task is not None else None
    mail.post(
        tx,
        author,
        subject=one_line(subject, LONGEST_TITLE),
        body="\n\n".join(filter(None, [shortened(text, 4000), advice])),
        kind="notification",
        about=matter_of("task.returned", live) if live is not None else None,
    )
