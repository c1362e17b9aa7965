"""Attempts of agents: their processes from the start to the end that is recorded."""

import os
import secrets
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from itertools import takewhile

import msgspec
from msgspec.structs import replace

from orchestrator.api import Orchestrator
from orchestrator.core.errors import NotFound, OrchestratorError, Refused, UsageError
from orchestrator.core.machine import are_apart, this_machine
from orchestrator.domain.state import State
from orchestrator.domain.subscriptions.records import Attempt, AttemptReport
from orchestrator.domain.subscriptions.task_attempts import TASK_LEASE, loss_of
from orchestrator.runtimes.output import AttemptResult, OutputReader, first_line
from orchestrator.runtimes.port import AgentRun, Launch, runtime_of, write_files
from orchestrator.supervisor.processes import (
    AgentProcess,
    AttemptEnd,
    AttemptNote,
    Keeper,
    NoteFile,
    ProcessIdentity,
    files_folder,
    leftovers,
    remove_unfinished,
    runner_folder,
)
from orchestrator.supervisor.sources import Offer, WorkSource
from orchestrator.supervisor.task_work import CheckReader
from orchestrator.supervisor.workers import Follower, RunningAttempt, Worker, Workers

_RECENT = 5.0  # seconds in which the change of a file is reported
_MOST_RECENT = 100
_MARGIN = 60.0  # seconds of a lease after the timeout and the grace of an attempt


class Ended(msgspec.Struct):
    """A process of an attempt has ended: the agent, or the checks of its task."""

    worker: Worker
    running: RunningAttempt
    source: WorkSource
    end: AttemptEnd


class Attempts:
    """Begins attempts and records how they end.

    Args:
        orc: The board.
        workers: The agents.
        board: Its folder.
        project: The folder in which agents work.
        follower: Hears of what happens.
        ended: Gets each attempt that has ended, in any thread; :meth:`record` is called with them.
        most: How many attempts run at a time.
        grace: Seconds between SIGTERM and SIGKILL.
        back_off: Seconds between a failed attempt and the next one; twice as many after each further failure.
    """

    def __init__(
        self,
        orc: Orchestrator,
        workers: Workers,
        *,
        board: str,
        project: str,
        follower: Follower,
        ended: Callable[[Ended], object],
        most: int,
        grace: float,
        back_off: float,
    ) -> None:
        self._orc = orc
        self._workers = workers
        self._board = board
        self._project = project
        self._follower = follower
        self._ended = ended
        self._grace = grace
        self._back_off = back_off
        self._notes = runner_folder(board, "runner")
        self._retired: set[str] = set()
        self._identity = ProcessIdentity.of(os.getpid())
        self._variables = dict(os.environ)
        self._threads = ThreadPoolExecutor(most)
        self._recent: deque[tuple[float, str]] = deque(maxlen=_MOST_RECENT)

    def keeper(self) -> Keeper | None:
        """Start the process that ends the agents of this one if it is killed; else the next runner does."""
        try:
            return Keeper(self._notes, self._identity)
        except OSError as error:
            text = f"the process that ends agents of a killed runner did not start: {error}"
            self._follower.note("runner.trouble", "", text)
            return None

    def recover(self) -> None:
        """End what runners that were killed have left, and mark their attempts as interrupted."""
        remove_unfinished(self._notes)
        for leftover in leftovers(self._notes):
            note = leftover.note
            if not leftover.end():
                self._follower.note(
                    "runner.trouble", note.agent, "a process of a killed runner cannot be ended"
                )
                continue
            subscriber = self._orc.engine.read().subscriptions.get(note.agent)
            attempt = None
            if subscriber is not None:
                attempt = (
                    subscriber.attempt_on(note.task)
                    if note.task
                    else subscriber.attempt(note.event)
                )
            if (
                attempt is not None
                and attempt.status == "running"
                and not leftover.is_taken_over
                # A runner of another machine may have taken it over.
                and not are_apart(attempt.machine, self._orc.engine.machine)
            ):
                with suppress(Refused):
                    self._orc.subscriptions.interrupt(
                        note.agent, attempt.event, attempt.token, "its runner was killed"
                    )
            leftover.remove()

    def begin(self, offers: Sequence[Offer]) -> list[bool]:
        """Begin attempts, several in one commit; which of them may begin now.

        Args:
            offers: Events, or one task.
        """
        notes: list[NoteFile] = []
        try:
            notes += map(self._note, offers)
            with self._orc.transaction() if len(offers) > 1 else nullcontext():
                started = list(map(self._started, offers))
        except BaseException:
            for note in notes:
                note.remove()
            raise
        for offer, note, attempt in zip(offers, notes, started, strict=True):
            if isinstance(attempt, Attempt):
                self._run(offer, note, attempt)
            else:
                note.remove()
        return [attempt is not False for attempt in started]

    def _note(self, offer: Offer) -> NoteFile:
        note = AttemptNote(
            machine=this_machine(),
            runner=self._identity,
            agent=offer.worker.id,
            event=offer.age,
            task=offer.task,
            mark=f"{os.getpid()}-{secrets.token_hex(8)}",
        )
        return NoteFile(self._notes, note)

    def _started(self, offer: Offer) -> Attempt | bool:
        """Record the start of an attempt; True if it is over at once, False if it may not begin now."""
        worker = offer.worker
        try:
            lease = worker.file.settings.timeout + self._grace + _MARGIN
            return offer.source.start(offer, lease) or True
        except Refused as refused:
            if refused.code == "retired" and worker.id not in self._retired:
                self._follower.note("runner.trouble", worker.id, refused.message)
                self._retired.add(worker.id)
            return False

    def _run(self, offer: Offer, note: NoteFile, attempt: Attempt) -> None:
        """Start the process of an attempt whose start is recorded."""
        worker = offer.worker
        mark = note.mark
        running = RunningAttempt(worker.id, attempt, note, files_folder(self._notes, mark), mark)
        if attempt.task:
            running.renewal = time.monotonic() + TASK_LEASE / 2
        worker.running[attempt.event] = running
        try:
            launch, reader = self._launch_of(worker, running, offer.source)
            self._start(worker, running, offer.source, launch, reader, worker.file.settings.timeout)
        except (OrchestratorError, OSError, ValueError, RuntimeError) as error:
            reason = error.message if isinstance(error, OrchestratorError) else str(error)
            report = AttemptReport(output=reason)
            end = AttemptEnd(AttemptResult(reason, report))
            self._ended(Ended(worker, running, offer.source, end))

    def release_output(self) -> None:
        """Let the follower have the lines of attempts whose start it has by now."""
        for running in self._workers.running():
            with running.lock, suppress(OSError):
                lines, running.held = running.held, None
                if lines:
                    self._follower.output(running.agent, running.attempt.event, lines)

    def stop_lost(self, state: State) -> None:
        """Ask agents to end whose task others have now, or whose attempt another runner has ended."""
        for running in self._workers.running():
            if running.process is None or running.lost:
                continue
            read = self._orc.engine.event
            running.lost = loss_of(state, running.agent, running.attempt, read)
            if running.lost:
                running.process.stop()

    def next_renewal(self) -> float:
        """Seconds until the lease of a task is renewed."""
        renewals = (running.renewal for running in self._workers.running())
        return min(renewals, default=float("inf")) - time.monotonic()

    def renew(self) -> None:
        """Renew the leases of tasks that are due."""
        for running in self._workers.running():
            if running.renewal > time.monotonic():
                continue
            attempt = running.attempt
            with suppress(Refused):  # it is over, and its end will be refused
                self._orc.subscriptions.renew(
                    running.agent, attempt.event, attempt.token, lease=TASK_LEASE
                )
            running.renewal = time.monotonic() + TASK_LEASE / 2

    def _launch_of(
        self, worker: Worker, running: RunningAttempt, source: WorkSource
    ) -> tuple[Launch, OutputReader]:
        """What is started for an attempt; its files are written."""
        agent, attempt = worker.file, running.attempt
        work = source.input(attempt)
        running.cause = work.cause
        assigned = AgentRun(
            agent=agent,
            event=work.event,
            task=work.task,
            brief=work.brief,
            is_review=work.is_review,
            project=self._project,
            board=self._board,
            scratch=running.scratch,
            variables=self._variables,
            commands=(os.path.dirname(sys.executable),),
            attempt=attempt.number,
            cause=work.cause,
            session=self._orc.subscriptions.get(agent.id).session if agent.settings.resume else "",
        )
        runtime = runtime_of(agent.settings)
        launch = runtime.launch(assigned)
        write_files(assigned, launch)
        worker.log.write([f"=== {self._orc.engine.now()} {work.title}, attempt {attempt.number}"])
        return launch, runtime.reader()

    def _start(
        self,
        worker: Worker,
        running: RunningAttempt,
        source: WorkSource,
        launch: Launch,
        reader: OutputReader,
        timeout: float,
    ) -> None:
        """Start a process, and let a thread wait for its end."""
        agent, event = worker.id, running.attempt.event

        def keep(lines: list[str]) -> None:
            worker.log.write(lines)
            with running.lock:
                if running.held is not None:
                    running.held += lines
                    return
            with suppress(OSError):  # a follower that is gone fails no attempt
                self._follower.output(agent, event, lines)

        process = AgentProcess(launch, reader, mark=running.mark, keep=keep, grace=self._grace)
        is_first, running.process = running.process is None, process

        def wait() -> None:
            try:
                end = process.wait(timeout)
            except Exception as error:  # noqa: BLE001  the attempt must end, whatever its output did
                reason = f"its output cannot be read: {error}"
                end = AttemptEnd(AttemptResult(reason, AttemptReport()))
            self._ended(Ended(worker, running, source, end))

        try:
            if is_first:
                running.note.add_process(process.pid)
            self._threads.submit(wait)
        except BaseException:
            process.kill()
            raise

    def record(self, queue: deque[Ended]) -> None:
        """Record how attempts ended, and forget them; what cannot be recorded now stays in the queue.

        The ends of attempts at events are one commit. A task has its own, and its result is checked before.
        """
        while queue:
            events = [*takewhile(lambda ended: not ended.running.attempt.task, queue)]
            if events:
                with self._orc.transaction():
                    endings = [(ended, self._record(ended, ended.end)) for ended in events]
            else:
                endings = [(queue[0], self._record_task(queue[0]))]
            for ended, words in endings:
                queue.popleft()
                if words:
                    self._forget(ended, words)

    def _record_task(self, ended: Ended) -> str:
        """Record the end of an attempt at a task; empty if its result is checked first."""
        running, end = ended.running, ended.end
        if running.result is not None:  # its checks have ended
            failure = end.result.failure
            end = AttemptEnd(replace(running.result, failure=failure), end.ended_by)
        elif not end.ended_by and not end.result.failure and self._check(ended):
            return ""
        return self._record(ended, end)

    def _forget(self, ended: Ended, words: str) -> None:
        """Forget an attempt whose end is recorded."""
        worker, running = ended.worker, ended.running
        attempt = running.attempt
        worker.running.pop(attempt.event, None)
        self._recent.append((time.monotonic(), running.cause))
        running.note.remove()
        shutil.rmtree(running.scratch, ignore_errors=True)
        work = f"task {attempt.task}" if attempt.task else f"event {attempt.event}"
        worker.log.write([f"=== {self._orc.engine.now()} {work}: {words}"])

    def recent_cause(self, running: Iterable[RunningAttempt]) -> str:
        """The cause of what agents may have done to files just now; empty if none was at work.

        Nothing shows which process wrote a file. Of several causes the deepest counts, so that agents that
        start each other by files reach the limit.
        """
        since = time.monotonic() - _RECENT
        causes = {attempt.cause for attempt in running}
        causes |= {cause for moment, cause in self._recent if moment > since}
        return max(causes - {""}, key=self._depth, default="")

    def _depth(self, cause: str) -> int:
        record = self._orc.engine.event(int(cause.partition("/")[0]))
        return record.cause.depth if record.cause else 0

    def _check(self, ended: Ended) -> bool:
        """Start what checks the result of an agent; False if nothing must be checked."""
        worker, running, result = ended.worker, ended.running, ended.end.result
        try:
            check = ended.source.checks(worker, running.attempt, result)
            if check is None:
                return False
            running.result = result
            self._start(worker, running, ended.source, check.launch, CheckReader(), check.timeout)
        except (OrchestratorError, OSError, ValueError, RuntimeError) as error:
            running.result = result
            failed = AttemptResult(f"its checks cannot run: {error}", result.report)
            self._ended(Ended(worker, running, ended.source, AttemptEnd(failed)))
        return True

    def _record(self, ended: Ended, end: AttemptEnd) -> str:
        """Record the end of an attempt, and return it in words."""
        worker, attempt, result = ended.worker, ended.running.attempt, end.result
        place = (worker.id, attempt.event, attempt.token)
        failure = first_line(result.failure)
        try:
            if end.ended_by == "stop":
                reason = first_line(ended.running.lost) or "the runner was stopped"
                self._orc.subscriptions.interrupt(*place, reason, result.report)
                return reason
            if end.ended_by == "timeout":
                failure = self._timeout(worker, ended.running)
            if not failure:
                failure = self._finish(ended, result)
            if failure:
                status = result.report.exit_status
                crashed = bool(end.ended_by) or status is None or status < 0
                self._orc.subscriptions.fail(
                    *place, failure, result.report, back_off=self._back_off, crashed=crashed
                )
        except Refused as refused:
            self._follower.note("runner.trouble", worker.id, refused.message)
        return failure or "finished"

    def _finish(self, ended: Ended, result: AttemptResult) -> str:
        """Record a success; why it is none."""
        try:
            ended.source.finish(ended.worker, ended.running.attempt, result)
        except (Refused, NotFound, UsageError) as error:
            if error.code == "stale_token":
                raise
            return first_line(error.message)
        return ""

    @staticmethod
    def _timeout(worker: Worker, running: RunningAttempt) -> str:
        if running.result is not None:
            return "the checks of its task did not end in time"
        return f"it was ended after its timeout of {worker.file.settings.timeout:g} s"
