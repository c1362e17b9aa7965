"""The events of the merge queue.

What they mean for a task is said by events of the task in the same commit: ``task.submitted`` before a
submission, ``task.completed`` after a merge, ``task.returned`` or ``task.reopened`` after any other end.
"""

from typing import Any

from msgspec.structs import replace

from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.merges.records import MergeStatus, ReturnKind, Strategy, Submission
from orchestrator.domain.state import State
from orchestrator.domain.tasks.derived import append_to, change_task, remove_from


class MergeEvent(Event):
    """An event of one submission; it stands in the history of its task."""

    number: int

    def change(self, state: State, record: Recorded, **changes: Any) -> None:
        """Change the submission, and note the event in the history of its task."""
        state.merges.change(self.number, **changes)
        task = state.tasks.get(state.merges[self.number].task or "")
        if task is not None:
            change_task(state, task, replace(task), record)

    def end(self, state: State, record: Recorded, status: MergeStatus, **changes: Any) -> None:
        """End the submission."""
        if state.merges[self.number].is_open:
            state.merges.merge_queue.remove(self.number)
        ended = {"status": status, "ended_at": record.ts, "ended_by": record.agent}
        self.change(state, record, **ended, **changes)


def _wait_for_merge(state: State, task_id: str, record: Recorded) -> None:
    """Let a task that was handed in with its branch wait for the merge."""
    task = state.tasks.get(task_id)
    if task is not None:
        waits_for = "merge" if task.status == "in_review" else ""
        change_task(state, task, replace(task, waits_for=waits_for), record)


@event("merge.submitted")
class MergeSubmitted(MergeEvent):
    """A branch was submitted, or one that waits was submitted again with a new head."""

    branch: str
    target: str
    commit: str
    author: str
    strategy: Strategy = "merge"
    task: str | None = None
    convoy: str = ""
    retries: int = 0

    def apply(self, state: State, record: Recorded) -> None:
        merges = state.merges
        if self.number not in merges:
            merges.merge_queue.append(self.number)
        elif (before := merges[self.number].task) is not None:
            remove_from(merges.submissions_of, before, self.number)
        merges[self.number] = Submission(
            number=self.number,
            branch=self.branch,
            target=self.target,
            commit=self.commit,
            strategy=self.strategy,
            task=self.task,
            convoy=self.convoy,
            author=self.author,
            status="waiting",
            retries=self.retries,
            submitted_at=record.ts,
        )
        if self.task is None:
            return
        append_to(merges.submissions_of, self.task, self.number)
        _wait_for_merge(state, self.task, record)


@event("merge.claimed")
class MergeClaimed(Event):
    """A runner of the queue took submissions under a lease of so many seconds, until a time."""

    numbers: tuple[int, ...]
    lease: float
    until: str
    machine: str = ""

    def apply(self, state: State, record: Recorded) -> None:
        for number in self.numbers:
            state.merges.change(
                number,
                status="merging",
                machine=self.machine,
                runner=record.agent,
                lease=self.lease,
                until=self.until,
                token=record.id,
                reason="",
            )


@event("merge.renewed")
class MergeRenewed(Event):
    """The runner's lease was extended."""

    numbers: tuple[int, ...]
    until: str

    def apply(self, state: State, record: Recorded) -> None:
        for number in self.numbers:
            state.merges.change(number, until=self.until)


@event("merge.released")
class MergeReleased(MergeEvent):
    """A submission waits again: its runner gave it back."""

    reason: str = ""

    def apply(self, state: State, record: Recorded) -> None:
        state.merges.change(self.number, status="waiting", until="", reason=self.reason)


@event("merge.merged")
class MergeMerged(MergeEvent):
    """The target contains the branch; perhaps that is found out after it was withdrawn or rejected."""

    commit: str

    def apply(self, state: State, record: Recorded) -> None:
        self.end(state, record, "merged", merge_commit=self.commit, until="", reason="")


@event("merge.returned")
class MergeReturned(MergeEvent):
    """The branch cannot be merged as it is; ``follow_up`` is the task that was added to mend it."""

    kind: ReturnKind
    reason: str
    files: tuple[str, ...] = ()
    tail: str = ""
    follow_up: str | None = None

    def apply(self, state: State, record: Recorded) -> None:
        if self.follow_up is not None:
            append_to(state.merges.submissions_of, self.follow_up, self.number)
            state.merges.change(self.number, task=self.follow_up)
        facts = {"kind": self.kind, "reason": self.reason, "files": self.files, "until": ""}
        self.end(state, record, "returned", returned_in=record.id, **facts)


@event("merge.retried")
class MergeRetried(MergeEvent):
    """A submission that ended without a merge waits again as it is."""

    def apply(self, state: State, record: Recorded) -> None:
        before = state.merges[self.number]
        state.merges[self.number] = replace(
            before,
            status="waiting",
            retries=before.retries + 1,
            submitted_at=record.ts,
            runner="",
            lease=None,
            token=None,
            kind="",
            reason="",
            files=(),
            returned_in=None,
            ended_at="",
            ended_by="",
        )
        state.merges.merge_queue.append(self.number)
        if before.task is None:
            return
        remove_from(state.merges.submissions_of, before.task, self.number)  # it is the last one now
        append_to(state.merges.submissions_of, before.task, self.number)
        _wait_for_merge(state, before.task, record)


@event("merge.rejected")
class MergeRejected(MergeEvent):
    """The branch is not wanted as it is."""

    reason: str

    def apply(self, state: State, record: Recorded) -> None:
        self.end(state, record, "rejected", reason=self.reason, until="")


@event("merge.withdrawn")
class MergeWithdrawn(MergeEvent):
    """The branch is not to be merged any more, or not yet."""

    reason: str = ""

    def apply(self, state: State, record: Recorded) -> None:
        self.end(state, record, "withdrawn", reason=self.reason, until="")


def rename(state: State, old: str, new: str) -> None:
    """Rename an author and a runner of open submissions. Part of a fold."""
    for submission in state.merges.open():
        author, runner = (
            new if name == old else name for name in (submission.author, submission.runner)
        )
        state.merges.change(submission.number, author=author, runner=runner)
