"""What becomes of the merge queue when two boards are merged: its submissions get free numbers.

The claims of runners are not taken over: a submission that a runner of the other board has waits here, and
ends here with what that runner reported.
"""

from typing import Any

from msgspec.structs import replace

from orchestrator.core.events import Event
from orchestrator.domain.merges.events import (
    MergeClaimed,
    MergeMerged,
    MergeRejected,
    MergeReleased,
    MergeRenewed,
    MergeRetried,
    MergeReturned,
    MergeSubmitted,
    MergeWithdrawn,
)
from orchestrator.maintenance.board_merge.merging import MergeInProgress, Rule

Ended = MergeMerged | MergeReturned | MergeRejected | MergeWithdrawn


def submit(merging: MergeInProgress, event: MergeSubmitted) -> None:
    """Submit a branch, unless this board has submitted it too."""
    merges = merging.state.merges
    number = merging.submissions.get(event.number, event.number)
    known = merges.get(number)
    is_again = known is not None and known.is_open and known.branch == event.branch
    mine = merges.open_of_branch(event.branch, event.target)
    if mine is not None and mine.number != number:
        merging.leave()
        here, there = (f"commit {commit}" for commit in (mine.commit, event.commit))
        merging.conflict(f"submission of {event.branch}", "commit", here, there, "here")
        merging.submissions[event.number] = mine.number
        return
    if known is not None and not is_again:
        number = merges.next_number
        merging.submissions[event.number] = number
        merging.renamed[f"submission {event.number}"] = f"submission {number}"
    task = event.task if event.task in merging.state.tasks else None
    merging.copy(replace(event, number=number, task=task))


def end(merging: MergeInProgress, event: Ended) -> None:
    """End a submission that is open here."""
    number = merging.submissions.get(event.number, event.number)
    known = merging.state.merges.get(number)
    if known is not None and known.is_open:
        merging.copy(replace(event, number=number))
        return
    merging.leave()
    verb = event.TYPE.partition(".")[2]
    if known is not None and known.status != verb:
        merging.conflict(f"submission {number}", "end", known.status, verb, "here")


def retry(merging: MergeInProgress, event: MergeRetried) -> None:
    """Let a submission wait again that has ended here without a merge, if its branch waits no other time."""
    number = merging.submissions.get(event.number, event.number)
    merges = merging.state.merges
    known = merges.get(number)
    fits = (
        known is not None
        and not known.is_open
        and known.status != "merged"
        and merges.open_of_branch(known.branch, known.target) is None
    )
    merging.copy_if(replace(event, number=number), fits)


def leave(merging: MergeInProgress, _event: Any) -> None:
    """Do not take over what a runner of the queue holds."""
    merging.leave()


RULES: dict[type[Event], Rule] = {
    MergeClaimed: leave,
    MergeMerged: end,
    MergeRejected: end,
    MergeReleased: leave,
    MergeRenewed: leave,
    MergeRetried: retry,
    MergeReturned: end,
    MergeSubmitted: submit,
    MergeWithdrawn: end,
}
