"""Attempts of agents: their processes from the start to the end that is recorded."""

import os
import secrets
import shutil
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress

import msgspec

from orchestrator.api import Orchestrator
from orchestrator.core.errors import OrchestratorError, Refused
from orchestrator.domain.subscriptions.records import Attempt, AttemptReport
from orchestrator.runtimes.output import AttemptResult, first_line
from orchestrator.runtimes.port import AgentRun, runtime_of, write_files
from orchestrator.supervisor.processes import (
    AgentProcess,
    AttemptEnd,
    AttemptNote,
    NoteFile,
    ProcessIdentity,
    files_folder,
    leftovers,
    runner_folder,
)
from orchestrator.supervisor.sources import Offer, WorkSource
from orchestrator.supervisor.workers import Follower, RunningAttempt, Worker

_LONGEST_BACK_OFF = 300.0
_RECENT = 5.0  # seconds in which the change of a file is reported
_MOST_RECENT = 100
_MARGIN = 60.0  # seconds of a lease after the timeout and the grace of an attempt


class Ended(msgspec.Struct):
    """An attempt has ended."""

    worker: Worker
    running: RunningAttempt
    end: AttemptEnd


class Attempts:
    """Begins attempts and records how they end.

    Args:
        orc: The board.
        board: Its folder.
        project: The folder in which agents work.
        follower: Hears of what happens.
        ended: Gets each attempt that has ended, in any thread; :meth:`record` is called with it.
        grace: Seconds between SIGTERM and SIGKILL.
        back_off: Seconds between a failed attempt and the next one; twice as many after each further failure.
    """

    def __init__(
        self,
        orc: Orchestrator,
        *,
        board: str,
        project: str,
        follower: Follower,
        ended: Callable[[Ended], object],
        grace: float,
        back_off: float,
    ) -> None:
        self._orc = orc
        self._board = board
        self._project = project
        self._follower = follower
        self._ended = ended
        self._grace = grace
        self._back_off = back_off
        self._notes = runner_folder(board, "runner")
        self._identity = ProcessIdentity.of(os.getpid())
        self._recent: deque[tuple[float, str]] = deque(maxlen=_MOST_RECENT)

    def recover(self) -> None:
        """End what runners that were killed have left, and mark their attempts as interrupted."""
        for leftover in leftovers(self._notes):
            note = leftover.note
            if not leftover.end():
                self._follower.note(
                    "runner.trouble", note.agent, "a process of a killed runner cannot be ended"
                )
                continue
            subscriber = self._orc.engine.read().subscriptions.get(note.agent)
            attempt = subscriber.attempt(note.event) if subscriber else None
            is_running = attempt is not None and attempt.status == "running"
            if attempt is not None and is_running and not leftover.is_taken_over:
                with suppress(Refused):
                    self._orc.subscriptions.interrupt(
                        note.agent, note.event, attempt.token, "its runner was killed"
                    )
            leftover.remove()

    def begin(self, offer: Offer) -> bool:
        """Begin an attempt; False if it may not begin now."""
        worker = offer.worker
        mark = f"{os.getpid()}-{secrets.token_hex(8)}"
        note = NoteFile(
            self._notes,
            AttemptNote(
                machine=socket.gethostname(),
                runner=self._identity,
                agent=worker.id,
                event=offer.age,
                mark=mark,
            ),
        )
        try:
            lease = worker.file.settings.timeout + self._grace + _MARGIN
            attempt = offer.source.start(offer, lease)
        except Refused:
            note.remove()
            return False
        except BaseException:
            note.remove()
            raise
        if attempt is None:
            note.remove()
            return True
        running = RunningAttempt(attempt, note, files_folder(self._notes, mark))
        worker.running[attempt.event] = running
        try:
            self._launch(worker, running, mark, offer.source)
        except (OrchestratorError, OSError, ValueError, RuntimeError) as error:
            reason = error.message if isinstance(error, OrchestratorError) else str(error)
            report = AttemptReport(output=reason)
            self._ended(Ended(worker, running, AttemptEnd(AttemptResult(reason, report))))
        return True

    def _launch(
        self, worker: Worker, running: RunningAttempt, mark: str, source: WorkSource
    ) -> None:
        agent, attempt = worker.file, running.attempt
        work = source.input(attempt)
        running.cause = work.cause
        assigned = AgentRun(
            agent=agent,
            event=work.event,
            project=self._project,
            board=self._board,
            scratch=running.scratch,
            variables=os.environ,
            commands=(os.path.dirname(sys.executable),),
            attempt=attempt.number,
            cause=work.cause,
            session=self._orc.subscriptions.get(agent.id).session,
        )
        runtime = runtime_of(agent.settings)
        launch = runtime.launch(assigned)
        write_files(assigned, launch)
        worker.log.write([f"=== {self._orc.engine.now()} {work.title}, attempt {attempt.number}"])

        def keep(lines: list[str]) -> None:
            worker.log.write(lines)
            self._follower.output(agent.id, attempt.event, lines)

        running.process = AgentProcess(
            launch, runtime.reader(), mark=mark, keep=keep, grace=self._grace
        )
        try:
            running.note.add_process(running.process.pid)
            threading.Thread(
                target=self._wait, args=(worker, running, agent.settings.timeout), name=mark
            ).start()
        except BaseException:
            running.process.kill()
            raise

    def _wait(self, worker: Worker, running: RunningAttempt, timeout: float) -> None:
        """In a thread of its own: wait for the end of a process."""
        assert running.process is not None
        try:
            end = running.process.wait(timeout)
        except Exception as error:  # noqa: BLE001  the attempt must end, whatever its output did
            end = AttemptEnd(AttemptResult(f"its output cannot be read: {error}", AttemptReport()))
        self._ended(Ended(worker, running, end))

    def record(self, ended: Ended) -> None:
        """Record the end of an attempt, and forget it."""
        worker, running, end = ended.worker, ended.running, ended.end
        agent, attempt, failure = worker.file, running.attempt, first_line(end.result.failure)
        event, token, report = attempt.event, attempt.token, end.result.report
        commands = self._orc.subscriptions
        try:
            if end.ended_by == "stop":
                commands.interrupt(agent.id, event, token, "the runner was stopped")
            elif end.ended_by == "timeout":
                reason = f"it was ended after its timeout of {agent.settings.timeout:g} s"
                commands.fail(agent.id, event, token, reason, report, delay=self._delay(attempt))
            elif failure:
                commands.fail(agent.id, event, token, failure, report, delay=self._delay(attempt))
            else:
                commands.finish(agent.id, event, token, report)
        except Refused as refused:
            self._follower.note("runner.trouble", agent.id, refused.message)
        worker.running.pop(event, None)
        self._recent.append((time.monotonic(), running.cause))
        running.note.remove()
        shutil.rmtree(running.scratch, ignore_errors=True)
        words = "stopped" if end.ended_by == "stop" else failure or "finished"
        worker.log.write([f"=== {self._orc.engine.now()} event {event}: {words}"])

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

    def _delay(self, attempt: Attempt) -> float:
        return min(self._back_off * 2.0 ** min(attempt.number - 1, 30), _LONGEST_BACK_OFF)
