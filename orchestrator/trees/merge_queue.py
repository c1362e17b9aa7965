"""The runner of the merge queue: it merges branches together, tests the result, and moves the target.

The submitted commit counts, not what its branch is by now. After a kill each step is repeated or continued: a
submission is reported as merged only when its target contains it, and what the target contains already is
reported and not merged again.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress

import msgspec

from orchestrator.api import Orchestrator
from orchestrator.core.errors import (
    InputOutputError,
    NotFound,
    OrchestratorError,
    Refused,
    TimedOut,
)
from orchestrator.core.git import Git
from orchestrator.core.printable import escape, first_of
from orchestrator.domain.merges.records import ReturnKind, Submission
from orchestrator.trees.bisection import examine
from orchestrator.trees.landing import Target, TargetGone, TargetInUse, TargetMoved, left_behind
from orchestrator.trees.merge_policy import QueuePolicy
from orchestrator.trees.merging import UNATTENDED, CannotMerge, Merging, SubmittedChange
from orchestrator.trees.private_tree import (
    FailedTest,
    PrivateTree,
    left_notes,
    private_tree,
)
from orchestrator.trees.stacking import Stacking

LEASE = 300.0
"""Seconds that a claim of the queue's runner lasts; it is renewed while tests run."""

_MOST_MOVES = 10
"""How often the target may be moved by others while one batch is merged."""

_PATIENCE = 30.0
"""Seconds until a target into which nothing could be merged is tried again, though nothing has changed; twice
as many after each further time, up to ``_LONGEST_PAUSE``."""

_LONGEST_PAUSE = 600.0
_SHOWN = 5


class QueueRound(msgspec.Struct, frozen=True):
    """What one round of the queue did.

    Attributes:
        ended: The submissions that were merged or returned, in this order.
        waiting: Why the others of a target wait, by target.
    """

    ended: list[Submission]
    waiting: dict[str, str]


class Waits(Exception):
    """Nothing can be merged into a target now; the submissions wait."""


class MergeQueue:
    """A runner of the queue of a board, in its repository.

    Args:
        orc: The board.
        common: Git's folder of the repository, which all worktrees share.
        folder: Where its private worktree is made.
        policy: How branches are merged.
        runner: Its name as an agent.
        tell: Gets a sentence for each step.
        report: Called for each submission that was merged or returned, as soon as the board has it.

    Attributes:
        absent: The submissions whose commits this repository does not have, with the reason why they wait.
    """

    def __init__(
        self,
        orc: Orchestrator,
        common: str,
        folder: str,
        policy: QueuePolicy,
        *,
        runner: str,
        tell: Callable[[str], object],
        report: Callable[[Submission], object] = lambda _: None,
    ) -> None:
        self.orc = orc
        self.common = common
        self.policy = policy
        self.runner = runner
        self.tell = tell
        self.report = report
        self.runs = 0
        self.green: set[str] = set()
        self.absent: dict[int, str] = {}
        self._folder = folder
        self._tree: PrivateTree | None = None
        self._exits = ExitStack()
        self._refusals: dict[str, _Refusal] = {}

    def watch(self) -> None:
        """Merge whatever is submitted, until the process is ended."""
        engine = self.orc.engine
        while True:
            self.round()
            if not self._waiting():
                grown = engine.watch()
                engine.pause()
                grown(_PATIENCE)

    def round(self) -> QueueRound:
        """Merge what waits, the targets one after the other, until there is nothing that can be merged.

        A target into which nothing could be merged is left alone for a while, unless it or what waits for it
        changes.
        """
        ended: list[Submission] = []
        self.absent.clear()
        try:
            with self._exits:
                self._tidy_up(ended)
                for target in self._waiting():
                    why = self._merge_all(target, ended)
                    if why:
                        self.tell(f"{escape(target)} cannot be moved now: {why}")
                        self._refuse(target, why)
                    else:
                        self._refusals.pop(target, None)
        finally:
            self._tree = None
        reasons = {target: refusal.reason for target, refusal in self._refusals.items()}
        if (busy := self._elsewhere()) is not None:
            reasons[busy.target] = f"the queue runs on {busy.machine} now"
        return QueueRound(ended, reasons)

    def _waiting(self) -> list[str]:
        """The targets with submissions that can be merged now."""
        if self._elsewhere() is not None:
            return []
        now = self.orc.engine.now()
        waiting = dict.fromkeys(s.target for s in self.orc.merges.all() if s.can_be_claimed(now))
        for target in self._refusals.keys() - waiting.keys():
            del self._refusals[target]
        return [
            target
            for target in waiting
            if target not in self._refusals
            or self._refusals[target].until <= time.monotonic()
            or self._refusals[target].waiting != self._waiting_for(target)
        ]

    def _elsewhere(self) -> Submission | None:
        """What a runner on another machine merges now."""
        engine = self.orc.engine
        return engine.read().merges.elsewhere(engine.machine, engine.now())

    def _refuse(self, target: str, why: str) -> None:
        """Leave a target alone for a while, longer each time if nothing changes."""
        waiting, before = self._waiting_for(target), self._refusals.get(target)
        is_same = before is not None and before.waiting == waiting
        pause = min(before.pause * 2, _LONGEST_PAUSE) if before and is_same else _PATIENCE
        self._refusals[target] = _Refusal(why, waiting, pause, time.monotonic() + pause)

    def _waiting_for(self, target: str) -> frozenset[str]:
        """The commit of a target, and the commits that wait for it."""
        waiting = [s.commit for s in self.orc.merges.all() if s.target == target]
        with suppress(TargetGone):
            waiting.append(Target(self.common, self.common, target).tip())
        return frozenset(waiting)

    def _tidy_up(self, late: list[Submission]) -> None:
        """Finish what a killed runner has left; add the submissions that it has merged to ``late``."""

        def has_ended(number: int, commit: str, intent: str) -> bool:
            try:
                known = self.orc.merges.get(number)
            except NotFound:  # it is of another board
                return False
            if known.commit != commit or known.is_open:
                return False
            if intent and known.status != "merged":
                late.extend(self._report_late(known, intent))
            return True

        git = Git(self.common, settings=UNATTENDED)
        for note in left_notes(git, self.common, self._folder):
            self._give_back(note)
        for target in left_behind(self.common, self.common, has_ended):
            with self.telling():
                target.bring_along()

    def _give_back(self, note: bytes) -> None:
        """Put back into the queue what a killed runner had claimed, before its lease ends."""
        with suppress(msgspec.MsgspecError):  # no note, or a part of one
            for work in msgspec.json.decode(note, type=list[_ClaimedWork]):
                # It may be of another board, or another runner may have it.
                with suppress(NotFound, Refused):
                    if self.orc.merges.get(work.number).commit == work.commit:
                        self.orc.merges.release(work.number, work.token, reason="its runner ended")

    def _report_late(self, ended: Submission, intent: str) -> Iterator[Submission]:
        """Report what landed before its runner was killed, and was withdrawn before the next one came."""
        with suppress(TargetGone, Refused):  # refused: a later runner has returned it
            if Target(self.common, self.common, ended.target).contains(intent):
                merged = self.orc.merges.merged(ended.number, ended.token or 0, commit=intent)
                self.report(merged)
                yield merged

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Report a worktree whose files cannot be updated now; the next round tries it again."""
        try:
            yield
        except TargetGone:
            pass
        except TargetInUse as error:
            self.tell(f"{error.message}. {error.hint}")

    @property
    def tree(self) -> PrivateTree:
        """The private worktree, made when it is first needed."""
        if self._tree is None:
            git = Git(self.common, settings=UNATTENDED)
            made = private_tree(git, self.common, self._folder)
            self._tree = self._exits.enter_context(made)
        return self._tree

    def _merge_all(self, target: str, ended: list[Submission]) -> str:
        """Merge all that waits for a target; return why the rest waits."""
        while True:
            claimed = self.orc.merges.claim(
                self.runner,
                limit=self.policy.batch,
                target=target,
                lease=LEASE,
                passed=self.absent,
            )
            if not claimed:
                return "; ".join(self.absent.values())
            batch = MergeBatch(self, claimed)
            try:
                batch.merge()
            except (Waits, InputOutputError, TimedOut, TargetGone, TargetInUse) as reason:
                batch.release(str(reason))
                return str(reason)
            except BaseException as error:
                batch.give_up("the runner of the merge queue was ended")
                if not isinstance(error, Refused) or error.code != "not_holder":
                    raise
                self.tell(f"{error.message}: another runner continues it")
            finally:
                ended += batch.ended


class _ClaimedWork(msgspec.Struct, frozen=True, array_like=True):
    """A submission that a runner has, as it is in its note."""

    number: int
    token: int
    commit: str


class _Refusal(msgspec.Struct, frozen=True):
    """A target into which nothing is merged for a while.

    Attributes:
        reason: Why.
        waiting: Its commit, and what waited for it.
        pause: Seconds until it is tried again, though this has not changed.
        until: When they are over.
    """

    reason: str
    waiting: frozenset[str]
    pause: float
    until: float


class MergeBatch:
    """The submissions of one claim.

    Args:
        queue: The runner.
        claimed: The submissions, all of one target.
    """

    def __init__(self, queue: MergeQueue, claimed: Sequence[Submission]) -> None:
        self.ended: list[Submission] = []
        self._queue = queue
        self._policy = queue.policy
        self._merges = queue.orc.merges
        self._token = claimed[0].token or 0
        self._held = {submission.number: submission for submission in claimed}
        self._changes = {s.number: self._change_of(s) for s in claimed}
        self._name = claimed[0].target
        self._target = Target(queue.common, queue.common, self._name)
        self._renewed = time.monotonic()
        self._landing: frozenset[int] = frozenset()  # what the target may contain, without a report

    # The batch

    def merge(self) -> None:
        """Merge what can be merged, and give back what cannot.

        Raises:
            Waits: The target takes nothing now.
            TargetGone: There is no target.
            TargetInUse: A worktree that has the target is in the way.
            Refused: Another runner has taken over the claim (``not_holder``).
        """
        note = [_ClaimedWork(c.number, self._token, c.commit) for c in self._changes.values()]
        self._queue.tree.note(msgspec.json.encode(note))
        self._give_back_missing()
        for _ in range(_MOST_MOVES):
            try:
                changes = [self._changes[number] for number in self._held]
                self._report_merged(self._target.take(changes))
                while self._held:
                    self._merge_upon(self._target.seen)
                return
            except TargetMoved:
                self._queue.tell(f"{self._name} has moved: all branches are merged with it again")
        raise Waits(f"others moved {self._name} {_MOST_MOVES} times while the tests ran")

    def release(self, reason: str) -> None:
        """Give the submissions that have not ended back to the queue."""
        self._forget(self._held)
        for number in list(self._held):
            self._merges.release(number, self._token, reason=reason)
        self._held.clear()

    def give_up(self, reason: str) -> None:
        """Give back what can be given back; what is left is taken over when the claim ends."""
        for number in list(self._held):
            with suppress(OrchestratorError):
                self._merges.release(number, self._token, reason=reason)
        with suppress(OrchestratorError):  # the next runner reads what may have landed
            self._forget(self._held.keys() - self._landing)

    def _give_back_missing(self) -> None:
        """Return what the repository does not have; on a board of machines, let it wait for a push."""
        changes = list(self._changes.values())
        missing = self._target.missing(changes)
        if missing and self._queue.orc.engine.machine:
            self._target.fetch([self._changes[number] for number in missing])
            for number in self._target.missing(changes):
                change = self._changes[number]
                reason = (
                    f"this repository does not have {change.commit[:12]} of {escape(change.branch)}:"
                    " push it to a remote of this repository"
                )
                self._merges.release(number, self._token, reason=reason)
                self._queue.absent[number] = reason
                del self._held[number]
            return
        for number in missing:
            commit = self._changes[number].commit
            self._return(number, "invalid", f"The repository has no commit {commit[:12]} any more")

    def _merge_upon(self, base: str) -> None:
        """Merge and test on a commit of the target, move the target, and give back what is not merged."""
        self._queue.tree.show(base)
        stacking = Stacking(Merging(self._queue.tree.git), base, self._name)
        failed: dict[SubmittedChange, FailedTest] = {}

        def passes(stack: Sequence[SubmittedChange]) -> bool:
            failure = self._test(stacking.top(stack), stack)
            if failure is not None and stack:
                failed[stack[-1]] = failure
            return failure is None

        findings = examine(
            [self._changes[number] for number in self._held],
            stacking.stacked,
            passes,
            base_is_green=base in self._queue.green,
            retries=self._policy.retries,
        )
        if findings.green:
            self._land(stacking.commits(findings.green), base)
        elif self._target.tip() != base:
            raise TargetMoved
        for change, error in stacking.refused.items():
            self._return_refused(change, error, base)
        for change in findings.red:
            self._return_red(change, failed[change])
        if findings.base_is_red and not findings.green:
            raise Waits(f"the tests fail on {self._name} itself, at {base[:12]}")

    def _land(self, commits: Mapping[SubmittedChange, str], base: str) -> None:
        new = list(commits.values())[-1]
        self._renew()  # the last look at the claim before the target moves
        self._landing = frozenset(change.number for change in commits)
        if new != base:
            self._target.land(commits, base, new)
        elif self._target.tip() != base:
            raise TargetMoved
        self._report_merged({change.number: commit for change, commit in commits.items()})
        with self._queue.telling():  # a person may have begun to work there just now
            self._target.bring_along()

    # Reports

    def _report_merged(self, commits: dict[int, str]) -> None:
        if not commits:
            return
        with self._queue.orc.transaction():
            for number, commit in commits.items():
                self._merges.merged(number, self._token, commit=commit)
        self._forget(commits)
        for number in commits:
            self._end(number)

    def _return_refused(self, change: SubmittedChange, error: CannotMerge, base: str) -> None:
        reason = error.message
        if error.kind == "conflict":
            files = first_of(error.files, _SHOWN, escape)
            reason = f"It conflicts with {self._name} at {base[:12]} in {files}"
        self._return(change.number, error.kind, reason, error.files, error.output)

    def _return_red(self, change: SubmittedChange, test: FailedTest) -> None:
        reason = f"The test `{escape(test.command)}` failed when merged into {self._name}: {test.problem}"
        self._return(change.number, "red", reason, tail=test.tail)

    def _return(
        self, number: int, kind: ReturnKind, reason: str, files: Sequence[str] = (), tail: str = ""
    ) -> None:
        self._merges.returned(number, self._token, kind=kind, reason=reason, files=files, tail=tail)
        self._forget([number])
        self._end(number)

    def _end(self, number: int) -> None:
        del self._held[number]
        self.ended.append(self._merges.get(number))
        self._queue.report(self.ended[-1])

    def _forget(self, numbers: Iterable[int]) -> None:
        self._target.forget([self._changes[number] for number in numbers])

    def _change_of(self, submission: Submission) -> SubmittedChange:
        task = submission.task
        title = submission.branch
        if task is not None:
            with suppress(OrchestratorError):  # it was deleted
                title = self._queue.orc.tasks.get(task).title
        return SubmittedChange(
            number=submission.number,
            branch=submission.branch,
            commit=submission.commit,
            strategy=submission.strategy,
            title=title,
            trailers=(("Task", task),) if task is not None else (),
        )

    # Tests

    def _test(self, commit: str, stack: Sequence[SubmittedChange]) -> FailedTest | None:
        """Run the tests on a commit; return the one that failed."""
        if commit in self._queue.green or not self._policy.tests:
            return None
        numbers = first_of([str(change.number) for change in stack], _SHOWN)
        with_them = f" with {numbers}" if numbers else " itself"
        self._queue.tell(f"Testing {escape(self._name)}{with_them}")
        self._queue.runs += 1
        self._queue.tree.show(commit)
        variables = {"ORC_MERGE_TARGET": self._name}
        if self._queue.orc.engine.folder is not None:
            variables["ORCHESTRATOR_DIR"] = self._queue.orc.engine.folder
        failure = self._queue.tree.run(
            self._policy.tests,
            variables=variables,
            timeout=self._policy.timeout,
            look=self._keep_claim,
        )
        if failure is None:
            self._queue.green.add(commit)
        return failure

    def _keep_claim(self) -> None:
        if time.monotonic() - self._renewed > LEASE / 3:
            self._renew()

    def _renew(self) -> None:
        self._merges.renew(list(self._held), self._token)
        self._renewed = time.monotonic()
