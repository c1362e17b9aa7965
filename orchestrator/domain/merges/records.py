"""The record of a submission to the merge queue, and the slice of the state with all of them."""

from typing import Literal, get_args

from orchestrator.core.machine import are_apart
from orchestrator.domain.slices import MapSlice, Record

Strategy = Literal["merge", "squash", "rebase"]
"""How a branch becomes a part of its target."""

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)

MergeStatus = Literal["waiting", "merging", "merged", "returned", "rejected", "withdrawn"]

OPEN: tuple[MergeStatus, ...] = ("waiting", "merging")
"""The statuses of a submission that has not ended."""

ReturnKind = Literal["conflict", "red", "invalid"]
"""Why a submission was returned: it conflicts with the target, a test of the merged tree failed, or the
commit cannot be merged at all, because it or the target is gone."""

RETURN_KINDS: tuple[ReturnKind, ...] = get_args(ReturnKind)


class Proposal(Record, frozen=True, kw_only=True):
    """A commit of a branch that is to be merged into a target.

    Attributes:
        branch: The branch, without ``refs/heads/``.
        target: The branch that it is merged into.
        commit: The head of the branch when it was handed in: what is merged.
    """

    branch: str
    target: str
    commit: str
    strategy: Strategy


class Submission(Proposal, frozen=True, kw_only=True):
    """A proposal in the merge queue.

    Attributes:
        number: Counted from 1, and never reused.
        task: The task that ends with the merge, or the follow-up task of a branch that was returned.
        convoy: The convoy whose own target this branch is.
        author: The agent that gets it back if it cannot be merged.
        retries: How often this work was submitted again after it was returned.
        submitted_at: When it was submitted, or last submitted again.
        runner: The runner of the queue that has or had it.
        machine: The machine of this runner, if machines share the board.
        lease: Seconds that its claim, or the last renewal, lasts.
        until: When the claim ends; another runner may take it then.
        token: The fencing token of the last claim: the id of its event.
        merge_commit: The commit of the target that contains it.
        kind: Why it was returned.
        reason: The reason of its end, or why it was released.
        files: The files in conflict.
        returned_in: The event that returned it, which has the end of the tests' output.
        ended_at: When it ended.
        ended_by: Who ended it.
    """

    number: int
    task: str | None = None
    convoy: str = ""
    author: str
    status: MergeStatus
    retries: int = 0
    submitted_at: str
    runner: str = ""
    machine: str = ""
    lease: float | None = None
    until: str = ""
    token: int | None = None
    merge_commit: str = ""
    kind: Literal["", ReturnKind] = ""
    reason: str = ""
    files: tuple[str, ...] = ()
    returned_in: int | None = None
    ended_at: str = ""
    ended_by: str = ""

    @property
    def proposal(self) -> Proposal:
        """What is to be merged, without its state in the queue."""
        return Proposal(
            branch=self.branch, target=self.target, commit=self.commit, strategy=self.strategy
        )

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.status in OPEN

    def is_being_merged(self, now: str) -> bool:
        """Whether a runner has it under a lease that has not ended."""
        return self.status == "merging" and self.until > now

    def is_merged_elsewhere(self, machine: str, now: str) -> bool:
        """Whether a runner on another machine has it now."""
        return self.is_being_merged(now) and are_apart(self.machine, machine)

    def can_be_claimed(self, now: str) -> bool:
        """Whether a runner may take it: it waits, or the lease of its runner has ended."""
        return self.is_open and not self.is_being_merged(now)


class MergeSlice(MapSlice[int, Submission]):
    """The submissions by number.

    Attributes:
        merge_queue: The numbers of the open ones, the oldest first.
        submissions_of: For each task, the numbers of its submissions, the oldest first.
    """

    MAIN, NOUN = "submissions", "submission"
    HINT = "`merge list --all` shows the submissions."
    submissions: dict[int, Submission] = {}
    merge_queue: list[int] = []
    submissions_of: dict[str, list[int]] = {}

    @property
    def next_number(self) -> int:
        """The number of the next submission."""
        return next(reversed(self.submissions), 0) + 1

    def open(self) -> list[Submission]:
        """The submissions that have not ended, the oldest first."""
        return [self.submissions[number] for number in self.merge_queue]

    def elsewhere(self, machine: str, now: str) -> Submission | None:
        """One that a runner on another machine merges now; the queue runs on one machine at a time."""
        return next((s for s in self.open() if s.is_merged_elsewhere(machine, now)), None)

    def lapsed(self, now: str) -> list[Submission]:
        """The submissions whose runner has let its lease end."""
        return [s for s in self.open() if s.status == "merging" and not s.is_being_merged(now)]

    def open_of_branch(self, branch: str, target: str) -> Submission | None:
        """The open submission of a branch to a target."""
        found = (s for s in self.open() if (s.branch, s.target) == (branch, target))
        return next(found, None)

    def last_of_task(self, task: str) -> Submission | None:
        """The last submission of a task."""
        numbers = self.submissions_of.get(task)
        return self.submissions[numbers[-1]] if numbers else None

    def open_of_task(self, task: str) -> Submission | None:
        """The open submission of a task."""
        last = self.last_of_task(task)
        return last if last is not None and last.is_open else None
