"""The dispatcher: starts agents on events, and records how their attempts end.

One thread decides and uses the board. It sleeps until a message comes: the log has grown, an attempt has
ended, or the runner is to end. A thread for each running attempt waits for its process.
"""

import os
import queue
import secrets
import shutil
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Protocol

import msgspec

from orchestrator.api import Orchestrator
from orchestrator.core import clock
from orchestrator.core.errors import OrchestratorError, Refused
from orchestrator.core.events import Recorded
from orchestrator.core.printable import amount
from orchestrator.domain.event_log import queue_event
from orchestrator.domain.state import State
from orchestrator.domain.subscriptions.patterns import hears
from orchestrator.domain.subscriptions.records import Attempt, AttemptReport, Subscriber
from orchestrator.engine import cause_mark
from orchestrator.runtimes.output import AttemptResult
from orchestrator.runtimes.port import AgentRun, runtime_of, write_files
from orchestrator.supervisor.agent_files import AgentFile, load_agents
from orchestrator.supervisor.processes import (
    GRACE,
    AgentLog,
    AgentProcess,
    AttemptEnd,
    AttemptNote,
    NoteFile,
    ProcessIdentity,
    leftovers,
    runner_folder,
)
from orchestrator.supervisor.trust import Trust

MOST_AGENTS = 10
"""How many agents run at a time unless another number is given."""

BACK_OFF = 1.0
"""Seconds between a failed attempt and the next one; twice as many after each further failure."""

_LONGEST_BACK_OFF = 300.0
_MARGIN = 60.0  # seconds of a lease after the timeout and the grace of an attempt
_RELOAD = 1.0  # seconds between two looks at the agent files
_BATCH = 500  # events that are read at once
_TROUBLE = 5.0  # seconds until the next try when the board cannot be used


class Follower(Protocol):
    """What hears of the runner's work; its methods are called in any thread."""

    def event(self, record: Recorded) -> None:
        """The log has a new event."""

    def output(self, agent: str, event: int, lines: list[str]) -> None:
        """An agent has written lines."""

    def note(self, type: str, agent: str, text: str) -> None:
        """The runner did something that is not in the log, such as skipping a file."""


class _Running(msgspec.Struct):
    """An attempt that runs here."""

    attempt: Attempt
    note: NoteFile
    scratch: str
    process: AgentProcess | None = None


class _Worker(msgspec.Struct):
    """An agent whose file is loaded and trusted.

    Attributes:
        position: Up to here its subscriber has settled every event; ``pending`` begins after it.
        pending: The events that it hears, up to the last one that the dispatcher has read.
        running: Its attempts that run here, by event.
    """

    file: AgentFile
    log: AgentLog
    position: int
    pending: deque[int] = msgspec.field(default_factory=deque)
    running: dict[int, _Running] = {}

    def hears(self, record: Recorded) -> bool:
        """Whether an event starts it."""
        settings = self.file.settings
        if settings.ignore_self and record.agent == self.file.id:
            return False
        return hears(settings.listen, record.type)

    def note(self, record: Recorded) -> None:
        """Put an event that starts it behind the pending ones."""
        if record.id > self.position and self.hears(record):
            self.pending.append(record.id)


class _Ended(msgspec.Struct):
    """A message: an attempt has ended."""

    worker: _Worker
    running: _Running
    end: AttemptEnd


class Dispatcher:
    """Starts agents on the events of a board until it is stopped.

    Args:
        orc: The board, which only the thread of :meth:`run` uses.
        agents: The folder of the agent files.
        project: The folder in which agents work.
        trust: What may run on this machine.
        follower: Hears of what happens.
        most: How many agents run at a time.
        grace: Seconds between SIGTERM and SIGKILL.
        back_off: Seconds between a failed attempt and the next one; twice as many after each further failure.
    """

    def __init__(
        self,
        orc: Orchestrator,
        *,
        agents: str,
        project: str,
        trust: Trust,
        follower: Follower,
        most: int = MOST_AGENTS,
        grace: float = GRACE,
        back_off: float = BACK_OFF,
    ) -> None:
        if orc.folder is None:
            raise Refused(
                "This board is not in a folder, and agents reach a board by its folder",
                code="no_folder",
            )
        self._orc = orc
        self._board = orc.folder
        self._folder = agents
        self._project = project
        self._trust = trust
        self._most = most
        self._follower = follower
        self._grace = grace
        self._back_off = back_off
        self._notes = runner_folder(orc.folder, "runner")
        self._logs = runner_folder(orc.folder, "logs")
        self._identity = ProcessIdentity.of(os.getpid())
        self._workers: dict[str, _Worker] = {}
        self._leaving: list[_Worker] = []
        self._listeners: dict[str, list[_Worker]] = {}
        self._noted: dict[str, str] = {}
        self._stamp: object = None
        self._head = 0
        self._inbox: queue.SimpleQueue[_Ended | str] = queue.SimpleQueue()
        self._ended: deque[_Ended] = deque()
        self._trouble = ""
        self._stops = 0
        self._waits: queue.SimpleQueue[Callable[[float], bool] | None] = queue.SimpleQueue()

    # What other threads, and handlers of signals, may call

    def stop(self) -> None:
        """End when the running agents have finished; called again, end them."""
        self._inbox.put("stop")

    # The one thread that decides

    def run(self) -> None:
        """Start agents until :meth:`stop`; then nothing of them is left."""
        watcher = threading.Thread(target=self._watch, name="watch", daemon=True)
        watcher.start()
        try:
            self.recover()
            self._head = self._orc.engine.read().event
            self._take(["log"])
            self._note("runner.ready", "", f"listening: {amount(len(self._workers), 'agent')}")
            while not self._stops or self._count() or self._ended:
                self._orc.engine.pause()
                self._take(self._messages())
        finally:
            self._waits.put(None)
            for worker, running in self._all_running():
                if running.process is not None:
                    running.process.stop()
                worker.log.close()

    def recover(self) -> None:
        """End what runners that were killed have left, and mark their attempts as interrupted."""
        for leftover in leftovers(self._notes):
            note = leftover.note
            if not leftover.end():
                self._note(
                    "runner.trouble", note.agent, "a process of a killed runner cannot be ended"
                )
                continue
            subscriber = self._orc.engine.read().subscriptions.get(note.agent)
            attempt = subscriber.attempt(note.event) if subscriber else None
            if attempt is not None and attempt.status == "running":
                with suppress(Refused):
                    self._orc.subscriptions.interrupt(
                        note.agent, note.event, attempt.token, "its runner was killed"
                    )
            leftover.remove()

    def _messages(self) -> list[_Ended | str]:
        """Wait for messages; none if it is time to look again."""
        messages: list[_Ended | str] = []
        with suppress(queue.Empty):
            messages.append(self._inbox.get(timeout=self._patience()))
            while True:
                messages.append(self._inbox.get_nowait())
        return messages

    def _take(self, messages: Iterable[_Ended | str]) -> None:
        for message in messages:
            if isinstance(message, _Ended):
                self._ended.append(message)
            elif message == "stop":
                self._stop()
        try:
            while self._ended:
                self._record(self._ended[0])
                self._ended.popleft()
            self._reload()
            self._advance()
            self._trouble = ""
        except OrchestratorError as error:
            if error.message != self._trouble:
                self._note("runner.trouble", "", error.message)
            self._trouble = error.message
        if "log" in messages:
            self._waits.put(self._orc.engine.watch())

    def _stop(self) -> None:
        self._stops += 1
        if self._stops == 1:
            self._note("runner.stopping", "", f"{self._count()} agents finish their work")
            return
        for _, running in self._all_running():
            if running.process is not None:
                running.process.stop()

    def _watch(self) -> None:
        """In a thread of its own: tell the dispatcher that the log has grown."""
        while (wait := self._waits.get()) is not None:
            try:
                while not wait(_RELOAD):
                    if not self._waits.empty():
                        return
            except OSError:
                time.sleep(_TROUBLE)
            self._inbox.put("log")

    # Agent files

    def _reload(self) -> None:
        """Load the agent files if they or what is trusted has changed."""
        stamp = self._stamped()
        if stamp == self._stamp:
            return
        loaded = load_agents(self._folder)
        usable: dict[str, AgentFile] = {}
        notes: dict[str, str] = {}
        for path, error in loaded.bad.items():
            problems = error.details.get("problems")
            lines = problems if isinstance(problems, list) else [error.message]
            notes[os.path.basename(path)] = f"{path} is skipped: {'; '.join(map(str, lines))}"
        for agent in loaded.agents.values():
            state = self._trust.state_of(agent.path, agent.digest)
            if state == "trusted":
                usable[agent.id] = agent
            else:
                why = "has changed since it was trusted" if state == "changed" else "is not trusted"
                notes[agent.id] = f"{agent.path} {why}: read it, then `trust {agent.id}`"
        for agent_id, text in notes.items():
            if self._noted.get(agent_id) != text:
                self._note("agent.skipped", agent_id, text)
        self._noted = notes
        self._replace(usable)
        self._stamp = stamp

    def _stamped(self) -> object:
        """What changes with the agent files and with what is trusted."""
        paths = [self._trust.path]
        with suppress(OSError):
            names = sorted(os.listdir(self._folder))
            paths += [os.path.join(self._folder, name) for name in names if name.endswith(".md")]
        stamps: list[object] = []
        for path in paths:
            try:
                status = os.lstat(path)
            except OSError:
                stamps.append(path)
                continue
            stamps.append((path, status.st_mtime_ns, status.st_size, status.st_ino))
        return stamps

    def _replace(self, usable: dict[str, AgentFile]) -> None:
        """Go on with these agents; attempts that run go on under the file they began with."""
        self._listeners.clear()
        new: list[_Worker] = []
        for agent_id in [*self._workers]:
            if agent_id not in usable:
                self._note("agent.removed", agent_id, "its file is gone or is not usable now")
                self._leaving.append(self._workers.pop(agent_id))
        for agent in usable.values():
            known = self._workers.get(agent.id)
            if known is not None and known.file == agent:
                continue
            worker = known or self._back(agent) or self._worker(agent)
            worker.file = agent
            worker.pending.clear()
            self._workers[agent.id] = worker
            new.append(worker)
            self._note("agent.loaded", agent.id, agent.settings.description)
        self._leaving = [worker for worker in self._leaving if worker.running]
        self._scan(new, self._head)

    def _back(self, agent: AgentFile) -> _Worker | None:
        """The worker of an agent that was removed while it ran."""
        for worker in self._leaving:
            if worker.file.id == agent.id:
                self._leaving.remove(worker)
                return worker
        return None

    def _worker(self, agent: AgentFile) -> _Worker:
        position = self._orc.subscriptions.open(agent.id).position
        log = AgentLog(
            self._logs, agent.id, lambda text: self._note("runner.trouble", agent.id, text)
        )
        return _Worker(file=agent, log=log, position=position)

    # Events

    def _scan(self, workers: list[_Worker], until: int) -> None:
        """Note the events up to ``until`` that workers hear after their positions."""
        after = min((worker.position for worker in workers), default=until)
        for record in self._read(after, until):
            for worker in workers:
                worker.note(record)

    def _read(self, after: int, until: int) -> Iterator[Recorded]:
        while after < until:
            records = self._orc.events.read(since=after, first=min(until - after, _BATCH))
            yield from records
            after = records[-1].id if records else until

    def _follow(self, head: int) -> None:
        """Read new events, each one once for all agents."""
        for record in self._read(self._head, head):
            self._follower.event(record)
            listeners = self._listeners.get(record.type)
            if listeners is None:
                listeners = [
                    worker
                    for worker in self._workers.values()
                    if hears(worker.file.settings.listen, record.type)
                ]
                self._listeners[record.type] = listeners
            for worker in listeners:
                worker.note(record)
            self._head = record.id

    def _advance(self) -> None:
        """Begin every attempt that may begin now."""
        state = self._orc.engine.read()
        self._follow(state.event)
        if self._stops:
            return
        next_events = {
            agent: event
            for agent, worker in self._workers.items()
            if (event := self._next(worker, state)) is not None
        }
        while next_events and self._count() < self._most:
            agent = min(next_events, key=lambda agent: self._rank(agent, next_events[agent]))
            worker, event = self._workers[agent], next_events.pop(agent)
            if self._begin(worker, event):
                state = self._orc.engine.read()
                self._follow(state.event)
                if (another := self._next(worker, state)) is not None:
                    next_events[agent] = another

    def _rank(self, agent: str, event: int) -> tuple[int, int]:
        """Which of several agents begins first: by priority, then by the age of the event."""
        return self._workers[agent].file.settings.priority, event

    def _next(self, worker: _Worker, state: State) -> int | None:
        """The event that a worker may work now."""
        subscriber = state.subscriptions.get(worker.file.id)
        if subscriber is None:
            return None
        self._settle(worker, subscriber)
        now = self._orc.engine.now() if subscriber.attempts else ""
        for attempt in subscriber.attempts:
            if attempt.event not in worker.running and _due(attempt) <= now:
                return attempt.event
        if worker.pending and len(subscriber.attempts) < worker.file.settings.concurrency:
            return worker.pending[0]
        return None

    def _settle(self, worker: _Worker, subscriber: Subscriber) -> None:
        """Bring a worker to the position of its subscriber, which others may have moved."""
        if subscriber.position == worker.position:
            return
        is_back = subscriber.position < worker.position
        worker.position = subscriber.position
        if is_back:
            worker.pending.clear()
            self._scan([worker], self._head)
        while worker.pending and worker.pending[0] <= worker.position:
            worker.pending.popleft()

    def _patience(self) -> float:
        """Seconds until an attempt is due or the files are looked at."""
        if self._ended:
            return _TROUBLE
        now = self._orc.engine.now()
        soonest = _RELOAD
        subscriptions = self._orc.engine.read().subscriptions
        if self._count() < self._most and not self._stops:
            for agent, worker in self._workers.items():
                subscriber = subscriptions.get(agent)
                for attempt in subscriber.attempts if subscriber else ():
                    if attempt.event not in worker.running:
                        soonest = min(soonest, max(clock.between(now, _due(attempt)), 0.01))
        return soonest

    # Attempts

    def _count(self) -> int:
        """How many agents run."""
        return sum(1 for _ in self._all_running())

    def _all_running(self) -> Iterator[tuple[_Worker, _Running]]:
        for worker in (*self._workers.values(), *self._leaving):
            for running in worker.running.values():
                yield worker, running

    def _begin(self, worker: _Worker, event: int) -> bool:
        """Begin an attempt; False if it may not begin now."""
        agent, settings = worker.file, worker.file.settings
        if not self._trust.is_trusted(agent.path, agent.digest):
            self._stamp = None
            return False
        mark = f"{os.getpid()}-{secrets.token_hex(8)}"
        note = NoteFile(
            self._notes,
            AttemptNote(
                machine=socket.gethostname(),
                runner=self._identity,
                agent=agent.id,
                event=event,
                mark=mark,
            ),
        )
        try:
            attempt = self._orc.subscriptions.start(
                agent.id,
                event,
                after=worker.position,
                lease=settings.timeout + self._grace + _MARGIN,
                most=settings.retry + 1,
                concurrency=settings.concurrency,
            )
        except Refused:
            note.remove()
            return False
        except BaseException:
            note.remove()
            raise
        if attempt is None:
            note.remove()
            return True
        scratch = os.path.join(self._notes, f"{mark}.files")
        running = _Running(attempt, note, scratch)
        worker.running[event] = running
        try:
            self._launch(worker, running, mark)
        except (OrchestratorError, OSError) as error:
            reason = error.message if isinstance(error, OrchestratorError) else str(error)
            report = AttemptReport(output=reason)
            self._inbox.put(_Ended(worker, running, AttemptEnd(AttemptResult(reason, report))))
        return True

    def _launch(self, worker: _Worker, running: _Running, mark: str) -> None:
        agent, attempt = worker.file, running.attempt
        record = self._orc.engine.event(attempt.event)
        assigned = AgentRun(
            agent=agent,
            event=queue_event(record),
            project=self._project,
            board=self._board,
            scratch=running.scratch,
            variables=os.environ,
            commands=(os.path.dirname(sys.executable),),
            attempt=attempt.number,
            cause=cause_mark(record),
            session=self._orc.subscriptions.get(agent.id).session,
        )
        runtime = runtime_of(agent.settings)
        launch = runtime.launch(assigned)
        write_files(assigned, launch)
        title = f"event {record.id} ({record.type}), attempt {attempt.number}"
        worker.log.write([f"=== {self._orc.engine.now()} {title}"])

        def keep(lines: list[str]) -> None:
            worker.log.write(lines)
            self._follower.output(agent.id, attempt.event, lines)

        running.process = AgentProcess(
            launch, runtime.reader(), mark=mark, keep=keep, grace=self._grace
        )
        running.note.add_process(running.process.pid)
        threading.Thread(
            target=self._wait, args=(worker, running, agent.settings.timeout), name=mark
        ).start()

    def _wait(self, worker: _Worker, running: _Running, timeout: float) -> None:
        """In a thread of its own: wait for the end of a process."""
        assert running.process is not None
        try:
            end = running.process.wait(timeout)
        except Exception as error:  # noqa: BLE001  the attempt must end, whatever its output did
            end = AttemptEnd(AttemptResult(f"its output cannot be read: {error}", AttemptReport()))
        self._inbox.put(_Ended(worker, running, end))

    def _record(self, ended: _Ended) -> None:
        """Record the end of an attempt, and forget it."""
        worker, running, end = ended.worker, ended.running, ended.end
        agent, attempt, failure = worker.file, running.attempt, end.result.failure
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
            self._note("runner.trouble", agent.id, refused.message)
        worker.running.pop(event, None)
        running.note.remove()
        shutil.rmtree(running.scratch, ignore_errors=True)
        words = "stopped" if end.ended_by == "stop" else failure or "finished"
        worker.log.write([f"=== {self._orc.engine.now()} event {event}: {words}"])

    def _delay(self, attempt: Attempt) -> float:
        return min(self._back_off * 2.0 ** min(attempt.number - 1, 30), _LONGEST_BACK_OFF)

    def _note(self, type: str, agent: str, text: str) -> None:
        self._follower.note(type, agent, text)


def _due(attempt: Attempt) -> str:
    """When the next attempt may begin: after the wait, or after the lease of a runner that is gone."""
    return attempt.due if attempt.status == "waiting" else attempt.until
