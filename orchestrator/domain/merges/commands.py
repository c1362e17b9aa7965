"""``orc.merges``: submit branches to the merge queue, and what its runners do with them.

A runner claims submissions under a lease with a fencing token, and reports how each of them ended. Every
report may be repeated, and is refused after the claim was taken over or given up. No command runs git but
:meth:`Merges.submit`.
"""

from collections.abc import Iterable

from msgspec.structs import asdict

from orchestrator.core import names
from orchestrator.core.errors import NotFound, Refused, UsageError
from orchestrator.core.events import decode
from orchestrator.core.printable import escape, one_line
from orchestrator.core.transaction import SYSTEM, Committed, Noun, Transaction, command
from orchestrator.domain.agents.identity import act_now, act_to_work
from orchestrator.domain.merges import letters, queue
from orchestrator.domain.merges.events import (
    MergeClaimed,
    MergeMerged,
    MergeRejected,
    MergeReleased,
    MergeRenewed,
    MergeRetried,
    MergeReturned,
    MergeWithdrawn,
)
from orchestrator.domain.merges.policy import BranchRequest, check_apart
from orchestrator.domain.merges.records import (
    RETURN_KINDS,
    STRATEGIES,
    Proposal,
    ReturnKind,
    Strategy,
    Submission,
)
from orchestrator.domain.merges.score import Score, ranked, score
from orchestrator.domain.state import State
from orchestrator.domain.tasks.events import TaskAdded
from orchestrator.domain.tasks.lookup import exists, find_live, new_id, resolve
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.tasks.verification_events import TaskSubmitted
from orchestrator.domain.validation import (
    LONGEST_TITLE,
    check_choice,
    check_line,
    check_required,
    lease_length,
)

DEFAULT_LEASE = 10 * 60.0
"""Seconds that a runner has a submission, unless it renews its claim."""

RENEWED_BELOW = 2 / 3
"""The share of a lease that must be left, or a renewal extends it."""

LONGEST_TAIL = 8000
"""Characters of the tests' output that are kept."""

_MOST_FILES = 200
"""How many files in conflict are kept."""


class SubmissionView(Submission, frozen=True, kw_only=True):
    """A submission with what is computed of it.

    Attributes:
        position: Its place in the queue of its target, counted from 1; None: it has ended.
        score: Why it has this place.
        tail: The end of the output of the tests that returned it.
    """

    position: int | None = None
    score: Score | None = None
    tail: str = ""


def claimed_submissions(state: State, events: Committed) -> list[Submission]:
    """The submissions that were claimed or whose claim was renewed, in the order of the claim."""
    claim = next(e for _, e in events if isinstance(e, MergeClaimed | MergeRenewed))
    return [state.merges[number] for number in claim.numbers]


class Merges(Noun[State]):
    """``orc.merges``: submit, retry, reject, withdraw; claim and its reports; get, show, all."""

    def submit(
        self,
        what: str | None = None,
        *,
        target: str | None = None,
        strategy: Strategy | None = None,
        agent: str | None = None,
    ) -> Submission | Task:
        """Submit a branch to the merge queue; git is asked for its head.

        A task in work is completed with that: its checks run, and with a review the approval submits the
        branch. A branch that is submitted already is submitted with its new head. If that is the same,
        nothing changes.

        Args:
            what: The task, by id or prefix, or the branch; None for the branch of the working folder, else
                the task that the agent works on.
            target: The branch to merge it into; None for that of the task's convoy, else of ``config.toml``.
            strategy: How; None for that of ``config.toml``.
            agent: Who submits it, and gets it back if it cannot be merged.

        Returns:
            The submission; the task, if a review comes first.

        Raises:
            NotFound: There is no repository, no such branch, or no such target.
            Refused: There is nothing to merge (``nothing_to_merge``), its worktree has changes that are not
                committed (``uncommitted``), or the task cannot be completed.
        """
        from orchestrator.domain.merges.submitting import submit

        return submit(self._desk, what, BranchRequest("", target, strategy), agent)

    def land(
        self,
        convoy: str,
        *,
        target: str | None = None,
        strategy: Strategy | None = None,
        agent: str | None = None,
    ) -> Submission:
        """Submit the target branch of a convoy, so that all its work is merged as one.

        If that was done and nothing came in since, nothing changes.

        Args:
            convoy: The convoy; all its tasks must have ended.
            target: The branch to merge it into; None for that of ``config.toml``.
            strategy: How; None for that of ``config.toml``.
            agent: Who submits it, and gets it back if it cannot be merged.

        Raises:
            NotFound: There is no such convoy, or git knows none of the branches.
            Refused: The convoy has no target (``no_target``) or was cancelled, a task of it is open
                (``open_tasks``), or a submission waits to be merged into its target (``submitted``).
        """
        from orchestrator.domain.merges.submitting import land

        return land(self._desk, convoy, BranchRequest("", target, strategy), agent)

    @command(queue.changed_submission)
    def submit_commit(
        self,
        tx: Transaction[State],
        branch: str,
        commit: str,
        *,
        target: str,
        strategy: Strategy = "merge",
        task: str | None = None,
        agent: str | None = None,
    ) -> Submission | None:
        """Submit a commit of a branch whose facts the caller knows; see :meth:`submit`.

        If it is submitted already, nothing changes; a new head replaces one that waits.

        Args:
            branch: The branch.
            commit: The whole id of the commit.
            target: The branch to merge it into.
            strategy: How: ``merge``, ``squash`` or ``rebase``.
            task: The task that it belongs to, which has ended.
            agent: Who gets it back if it cannot be merged.

        Raises:
            Refused: The task is open (``task_open``); a runner merges the branch (``being_merged``); the
                branch or the task is in the queue with another one (``branch_taken``, ``submitted``).
        """
        author = act_now(tx, agent)
        proposal = check_proposal(branch, target, commit, strategy)
        of_task = find_live(tx.state, task) if task is not None else None
        if of_task is not None and of_task.status != "done" and of_task.waits_for != "merge":
            raise Refused(
                f"Task {of_task.id} is {of_task.status}: its branch is submitted with its result",
                code="task_open",
                hint=f"`t complete {of_task.id}` submits it.",
                status=of_task.status,
            )
        queue.enter(tx, proposal, author=author, task=of_task.id if of_task is not None else None)
        return tx.state.merges.open_of_branch(branch, target)

    # The runner of the queue

    @command(claimed_submissions)
    def claim(
        self,
        tx: Transaction[State],
        runner: str,
        *,
        limit: int = 1,
        target: str | None = None,
        lease: float | str | None = None,
        passed: Iterable[int] = (),
    ) -> list[Submission] | None:
        """Take the submissions with the highest scores, all of one target, under a lease.

        Those of a runner whose lease has ended are taken over. While a runner on another machine has some,
        none are taken.

        Args:
            runner: The runner; needed.
            limit: How many at most.
            target: Only those of this target; None: of the target of the best one.
            lease: How long, as ``10m`` or seconds.
            passed: Those that are left waiting.

        Returns:
            The submissions in the order of their scores, with one token; empty if none can be taken.

        Raises:
            UsageError: The limit is below 1, or no runner is named.
        """
        act_to_work(tx, runner)
        if limit < 1:
            raise UsageError(f"{limit} submissions cannot be taken", hint="Give 1 or more.")
        if tx.state.merges.elsewhere(tx.state.machine, tx.now) is not None:
            return []
        passed = {*passed}
        free = [s for s in tx.state.merges.open() if s.can_be_claimed(tx.now)]
        free = [s for s in free if s.number not in passed]
        if target is not None:
            free = [s for s in free if s.target == target]
        best = ranked(tx.state, free, tx.now)
        taken = [s.number for s in best if s.target == best[0].target][:limit]
        if not taken:
            return []
        length = DEFAULT_LEASE if lease is None else lease_length(lease)
        until, machine = tx.later(length), tx.state.machine
        tx.record(MergeClaimed(numbers=tuple(taken), lease=length, until=until, machine=machine))
        return None

    @command(claimed_submissions)
    def renew(self, tx: Transaction[State], numbers: Iterable[int], token: int) -> list[Submission]:
        """Extend the lease of submissions from now, by its length, unless most of it is left.

        Raises:
            Refused: The claim with this token has ended for one of them (``not_holder``).
        """
        held = [_held(tx, number, token) for number in dict.fromkeys(numbers)]
        length = max((s.lease or DEFAULT_LEASE for s in held), default=0.0)
        if any(s.until < tx.later(length * RENEWED_BELOW) for s in held):
            numbers = tuple(s.number for s in held)
            tx.record(MergeRenewed(numbers=numbers, until=tx.later(length)))
        return held

    @command(queue.changed_submission)
    def release(
        self, tx: Transaction[State], number: int, token: int, *, reason: str = ""
    ) -> Submission:
        """Give a submission back to the queue as it is, where it waits again.

        Raises:
            Refused: The claim with this token has ended (``not_holder``).
        """
        known = tx.state.merges.find(number)
        if known.token != token or known.status != "waiting":
            held = _held(tx, number, token)
            tx.record(MergeReleased(number=held.number, reason=check_line("reason", reason)))
        return known

    @command(queue.changed_submission)
    def merged(
        self, tx: Transaction[State], number: int, token: int, *, commit: str
    ) -> Submission | None:
        """Report that the target contains the branch; its task is done with that.

        A branch that was withdrawn or rejected after the lease of its runner had ended may have landed all
        the same. Then that is what became of it; the task stays with the author.

        Args:
            number: The submission.
            token: The fencing token of the claim.
            commit: The commit of the target that contains it.

        Raises:
            Refused: The claim with this token has ended (``not_holder``).
        """
        known = tx.state.merges.find(number)
        check_commit(commit)
        if known.token == token and (known.status, known.merge_commit) == ("merged", commit):
            return known
        is_late = known.status in ("withdrawn", "rejected") and (known.token or 0) == token
        if is_late:
            tx.act_as(known.runner or SYSTEM)
        else:
            known = _held(tx, number, token)
        tx.record(MergeMerged(number=number, commit=commit))
        if not is_late:  # else the task may wait for another submission by now
            queue.end_task(tx, known)
        letters.report_merge(tx, tx.state.merges[number])
        return None

    @command(queue.changed_submission)
    def returned(
        self,
        tx: Transaction[State],
        number: int,
        token: int,
        *,
        kind: ReturnKind,
        reason: str,
        files: Iterable[str] = (),
        tail: str = "",
    ) -> Submission | None:
        """Report that a branch cannot be merged as it is: its task goes back to the author, with mail.

        A task that is done is reopened. If there is no task that can be reopened, a follow-up task is added
        and takes the place of the task.

        Args:
            number: The submission.
            token: The fencing token of the claim.
            kind: ``conflict``, ``red`` (a test failed) or ``invalid`` (it cannot be merged at all).
            reason: One line that says what is wrong.
            files: The files in conflict.
            tail: The end of the tests' output.

        Raises:
            Refused: The claim with this token has ended (``not_holder``).
        """
        check_choice("kind of return", kind, RETURN_KINDS)
        reason = check_line("reason", check_required("reason", reason))
        known = tx.state.merges.find(number)
        if known.token == token and (known.status, known.kind) == ("returned", kind):
            return known
        held = _held(tx, number, token)
        given = [_readable(file) for file in files]
        event = MergeReturned(
            number=number,
            kind=kind,
            reason=reason,
            files=tuple(given[:_MOST_FILES]),
            tail=_readable(tail)[-LONGEST_TAIL:],
        )
        runner = tx.agent
        if _goes_back(tx.state, held):
            tx.record(event)
            task = queue.give_back(
                tx, held, f"{held.branch} was not merged into {held.target}: {reason}"
            )
        else:
            task = _follow_up(tx, held, event)
            event.follow_up = task.id if task is not None else None
            tx.record(event)
            if task is not None:
                queue.assign_author(tx, task, held.author)
        tx.act_as(runner)
        letters.report_return(tx, tx.state.merges[number], event, task)
        return None

    # People and authors

    @command(queue.changed_submission)
    def retry(
        self, tx: Transaction[State], what: int | str, *, agent: str | None = None
    ) -> Submission | None:
        """Let a submission that was returned, rejected or withdrawn wait again as it is.

        Its task is handed in again with it. If it waits, nothing changes.

        Args:
            what: Its number, its task or its branch.
            agent: Who acts.

        Raises:
            NotFound: There is no such submission.
            Refused: It was merged, or its task has moved on (``task_open``).
        """
        act_now(tx, agent)
        known = find(tx.state, what)
        if known.is_open:
            return known
        if known.status == "merged":
            raise _ended(known, "retry")
        other = tx.state.merges.open_of_branch(known.branch, known.target)
        if known.task is not None:
            other = other or tx.state.merges.open_of_task(known.task)
        if other is not None:
            raise Refused(
                f"Submission {other.number} of the same branch or task is in the queue",
                code="submitted",
                hint=f"`merge show {other.number}` shows it.",
                submission=other.number,
            )
        _hand_in_again(tx, known)
        tx.record(MergeRetried(number=known.number))
        return None

    @command(queue.changed_submission)
    def reject(
        self, tx: Transaction[State], what: int | str, reason: str, *, agent: str | None = None
    ) -> Submission | None:
        """End a submission without a merge: its task goes back to the author, with the reason.

        If it was rejected already, nothing changes.

        Args:
            what: Its number, its task or its branch.
            reason: Why it is not merged.
            agent: Who acts.

        Raises:
            NotFound: There is no such submission.
            Refused: It has ended, or a runner merges it (``being_merged``).
        """
        actor = act_now(tx, agent)
        reason = check_line("reason", check_required("reason", reason))
        known = find(tx.state, what)
        if known.status == "rejected":
            return known
        _check_waits(tx, known, "reject")
        tx.record(MergeRejected(number=known.number, reason=reason))
        task = queue.give_back(tx, known, f"Rejected by {actor} in the merge queue: {reason}")
        letters.report_end(tx, tx.state.merges[known.number], task)
        return None

    @command(queue.changed_submission)
    def withdraw(
        self,
        tx: Transaction[State],
        what: int | str,
        *,
        reason: str = "",
        agent: str | None = None,
    ) -> Submission | None:
        """Take a submission out of the queue; a task that waits for it goes back to its author.

        If it was withdrawn already, nothing changes.

        Args:
            what: Its number, its task or its branch.
            reason: Why.
            agent: Who acts.

        Raises:
            NotFound: There is no such submission.
            Refused: It has ended, or a runner merges it (``being_merged``).
        """
        actor = act_now(tx, agent)
        known = find(tx.state, what)
        if known.status == "withdrawn":
            return known
        _check_waits(tx, known, "withdraw")
        reason = check_line("reason", reason)
        tx.record(MergeWithdrawn(number=known.number, reason=reason))
        task = tx.state.tasks.get(known.task or "")
        if task is not None and task.waits_for == "merge":
            because = f": {reason}" if reason else ""
            queue.give_back(tx, known, f"Taken out of the merge queue by {actor}{because}")
        letters.report_end(tx, tx.state.merges[known.number], task)
        return None

    # Queries

    def get(self, what: int | str) -> Submission:
        """Return a submission by its number, its task or its branch: the open one, else the last one.

        Raises:
            NotFound: There is no such submission.
        """
        return find(self._state, what)

    def show(self, what: int | str) -> SubmissionView:
        """Return a submission with its score, its place in the queue, and the output that returned it.

        Raises:
            NotFound: There is no such submission.
        """
        state, now = self._state, self._desk.now()
        known = find(state, what)
        facts = asdict(known)
        if known.is_open:
            rivals = [s for s in state.merges.open() if s.target == known.target]
            place = [s.number for s in ranked(state, rivals, now)].index(known.number) + 1
            return SubmissionView(**facts, position=place, score=score(state, known, now))
        if known.returned_in is None:
            return SubmissionView(**facts)
        event = decode(self._desk.event(known.returned_in), state.board.format)
        assert isinstance(event, MergeReturned)
        return SubmissionView(**facts, tail=event.tail)

    def all(self, *, ended: bool = False) -> list[Submission]:
        """Return the open submissions in the order in which they are taken; with ``ended`` all by number."""
        state = self._state
        if ended:
            return [*state.merges.values()]
        return ranked(state, state.merges.open(), self._desk.now())


def find(state: State, what: int | str) -> Submission:
    """Return the submission that a number, a task or a branch names: the open one, else the last one.

    Raises:
        NotFound: There is none.
        Refused: The prefix of a task fits several.
    """
    merges = state.merges
    if isinstance(what, int) or (what.isascii() and what.isdigit() and int(what) in merges):
        return merges.find(int(what))
    try:
        found = merges.last_of_task(resolve(state, what))
    except NotFound:
        found = None
    if found is None:
        latest = [*merges.values(), *merges.open()][::-1]
        found = next((s for s in latest if s.branch == what), None)
    if found is None:
        raise NotFound(
            f"Nothing was submitted as {escape(what)}",
            code="submission_not_found",
            hint=merges.HINT,
        )
    return found


def check_proposal(branch: str, target: str, commit: str, strategy: Strategy) -> Proposal:
    """Check what is to be merged into what.

    Raises:
        BadName: A name is not that of a branch.
        UsageError: The two are one, the commit is no whole id, or the strategy is unknown.
    """
    check_apart(names.branch(branch), names.branch(target))
    check_choice("strategy", strategy, STRATEGIES)
    return Proposal(branch=branch, target=target, commit=check_commit(commit), strategy=strategy)


def _readable(text: str) -> str:
    """A text of git or of a program as text that can be stored: other bytes are escaped."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def check_commit(commit: str) -> str:
    """Check that a text is the whole id of a commit.

    Raises:
        UsageError: It is not.
    """
    if len(commit) not in (40, 64) or not {*commit} <= {*"0123456789abcdef"}:
        raise UsageError(f"{commit!a} is not the whole id of a commit")
    return commit


def _held(tx: Transaction[State], number: int, token: int) -> Submission:
    """Return a submission for its runner, who acts from now on.

    Raises:
        Refused: The claim with this token has ended.
    """
    known = tx.state.merges.find(number)
    if known.status != "merging" or known.token != token:
        has_it = (
            f"{known.runner} has it now" if known.status == "merging" else f"it is {known.status}"
        )
        raise Refused(
            f"The claim of submission {number} with token {token} has ended: {has_it}",
            code="not_holder",
            status=known.status,
            token=known.token,
        )
    tx.act_as(known.runner)
    return known


def _check_waits(tx: Transaction[State], submission: Submission, verb: str) -> None:
    if not submission.is_open:
        raise _ended(submission, verb)
    queue.check_not_being_merged(submission, tx.now)


def _ended(submission: Submission, verb: str) -> Refused:
    is_merged = submission.status == "merged"
    return Refused(
        f"Submission {submission.number} was {submission.status}: `{verb}` is not possible",
        code="illegal_step",
        hint="" if is_merged else f"`merge retry {submission.number}` puts it back into the queue.",
        status=submission.status,
    )


def _goes_back(state: State, submission: Submission) -> bool:
    """Whether the task of a submission can be given back to its author."""
    task = state.tasks.get(submission.task or "")
    return task is not None and (task.waits_for == "merge" or queue.can_be_reopened(state, task))


def _hand_in_again(tx: Transaction[State], submission: Submission) -> None:
    """Put the task of a submission in review again, with the result that it had.

    Raises:
        Refused: Another agent works on the task, or it is not wanted any more.
    """
    task = tx.state.tasks.get(submission.task or "")
    if task is None or task.status == "done":
        return
    is_free = task.status in ("pending", "assigned") or task.has_lapsed(tx.now)
    is_mine = task.status == "in_progress" and tx.agent in (SYSTEM, task.assigned_to)
    if not (is_free or is_mine):
        holder = f" with {task.assigned_to}" if task.status == "in_progress" else ""
        raise Refused(
            f"Task {task.id} is {task.status}{holder}: its branch is submitted with its result",
            code="task_open",
            hint=f"`t show {task.id}` shows where it stands.",
            status=task.status,
            assigned_to=task.assigned_to,
        )
    before = [
        event for event in map(tx.event, reversed(task.events)) if event.type == TaskSubmitted.TYPE
    ]
    known = decode(before[0], tx.state.board.format) if before else None
    result = known.result if isinstance(known, TaskSubmitted) else None
    reason = known.reason if isinstance(known, TaskSubmitted) else ""
    handed_in = TaskSubmitted(
        task=task.id, result=result, reason=reason, proposal=submission.proposal
    )
    tx.record(handed_in)


def _follow_up(tx: Transaction[State], submission: Submission, event: MergeReturned) -> Task | None:
    """Add a task to mend a branch that has none which can be reopened; None if no workstream takes it."""
    stream = _stream_of(tx, submission)
    if stream is None:
        return None
    task_id = new_id(tx, stream)
    title = f"Mend {submission.branch} so that it merges into {submission.target}"
    tx.record(
        TaskAdded(
            id=task_id,
            workstream=stream,
            title=one_line(title, LONGEST_TITLE),
            description=letters.what_is_wrong(event, LONGEST_TAIL),
        )
    )
    return tx.state.tasks[task_id]


def _stream_of(tx: Transaction[State], submission: Submission) -> str | None:
    """The active workstream for the follow-up task of a submission."""
    from orchestrator.domain.workstreams.usual import usual_workstream

    if submission.task is not None and exists(tx.state, submission.task):
        stream = tx.state.tasks.workstream_of(submission.task)
    else:
        try:
            stream = usual_workstream(tx)
        except (NotFound, UsageError):
            return None
    return stream if tx.state.workstreams[stream].status == "active" else None
