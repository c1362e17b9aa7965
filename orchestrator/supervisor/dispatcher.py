"""The dispatcher: begins the work that its sources offer to agents, within the limits.

One thread decides and uses the board. It sleeps until a message comes: the log has grown, agent files or
watched files have changed, an attempt has ended, or the runner is to end. A thread for each running attempt
waits for its process.
"""

import math
import queue
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress

from orchestrator.api import Orchestrator
from orchestrator.core import clock, system
from orchestrator.core.errors import OrchestratorError, Refused
from orchestrator.core.printable import amount
from orchestrator.core.trust import Trust
from orchestrator.domain.state import State
from orchestrator.domain.subscriptions.limits import Pause, pause_of
from orchestrator.supervisor.attempts import Attempts, Ended
from orchestrator.supervisor.event_reading import records
from orchestrator.supervisor.event_work import EventWork
from orchestrator.supervisor.log_watch import LogWatch
from orchestrator.supervisor.processes import GRACE, AgentLog, runner_folder
from orchestrator.supervisor.schedules import LONGEST_WAIT, Schedules
from orchestrator.supervisor.sources import Offer, WorkSource
from orchestrator.supervisor.task_work import TaskWork
from orchestrator.supervisor.watching import (
    Exclusion,
    FileChange,
    FileWatcher,
    own_folders,
    push_changes,
)
from orchestrator.supervisor.workers import Follower, Worker, Workers

MOST_AGENTS = 10
"""How many agents run at a time unless another number is given."""

BACK_OFF = 1.0
"""Seconds between a failed attempt and the next one; twice as many after each further failure."""

_TOLD = 30.0  # seconds between two looks at the agent files although the system reports changes
_UNTOLD = 1.0  # seconds between two looks where it does not
_SYNCHRONISED = 30.0  # seconds between two looks at the files of a board in a database
_SHORTEST = 0.01
_AGAIN = 1.0  # seconds until the next try when no work could be begun
_TROUBLE = 5.0  # seconds until the next try when the board cannot be used


Message = Ended | list[FileChange] | str
"""What the thread of the dispatcher hears: an attempt has ended, files have changed, or a word."""


class Dispatcher:
    """Starts agents on the work of a board until it is stopped.

    Args:
        orc: The board, which only the thread of :meth:`run` uses.
        agents: The folder of the agent files.
        project: The folder in which agents work.
        trust: What may run on this machine.
        follower: Hears of what happens.
        most: How many agents run at a time.
        grace: Seconds between SIGTERM and SIGKILL.
        back_off: Seconds between a failed attempt and the next one; twice as many after each further failure.
        watch: Folders whose changed files are events.
        exclude: Patterns of files that are not watched, in the syntax of .gitignore.
        is_kept: The parent of this process is its keeper.

    Raises:
        Refused: The board is not in a folder.
        BadInput: A pattern is wrong.
        NotFound: The extra ``runner``, which watching needs, is not installed.
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
        watch: Sequence[str] = (),
        exclude: Sequence[str] = (),
        is_kept: bool = False,
    ) -> None:
        if orc.folder is None:
            raise Refused(
                "This board is not in a folder, and agents reach a board by its folder",
                code="no_folder",
            )
        self._orc = orc
        self._most = most
        self._is_kept = is_kept
        self._follower = follower
        logs = runner_folder(orc.folder, "logs")

        def log_of(agent: str) -> AgentLog:
            return AgentLog(logs, agent, lambda text: follower.note("runner.trouble", agent, text))

        self._workers = Workers(agents, trust, log_of, follower)
        self._events = EventWork(orc)
        self._sources: tuple[WorkSource, ...] = (
            self._events,
            TaskWork(orc, orc.folder, project),
        )
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._attempts = Attempts(
            orc,
            self._workers,
            board=orc.folder,
            project=project,
            follower=follower,
            ended=self._inbox.put,
            most=most,
            grace=grace,
            back_off=back_off,
        )
        self._schedules = Schedules(
            orc, lambda agent, text: follower.note("runner.trouble", agent, text)
        )
        self._clock_due = self._documents_due = 0.0
        self._project = project
        self._changes: deque[list[FileChange]] = deque()
        self._file_watcher: FileWatcher | None = None
        if watch:
            exclusion = Exclusion(project, exclude, own_folders(orc.folder))
            self._file_watcher = FileWatcher(watch, exclusion, self._inbox.put)
        self._head = 0
        self._pauses: dict[str, Pause] = {}
        self._turns: dict[str, WorkSource] = {}  # the source of each agent's last work
        self._ended: deque[Ended] = deque()
        self._is_ready = self._is_loaded = False
        self._trouble = ""
        self._warnings: set[str] = set()
        self._stops = 0
        self._log = LogWatch(lambda: self._inbox.put("log"))
        self._alarm = system.FileAlarm(self._workers.folders)
        self._alarms: queue.SimpleQueue[system.FileAlarm | None] = queue.SimpleQueue()
        self._must_look = True
        self._quit = threading.Event()

    # What other threads, and handlers of signals, may call

    def stop(self) -> None:
        """End when the running agents have finished; called again, end them."""
        self._inbox.put("stop")

    # The one thread that decides

    def run(self) -> None:
        """Start agents until :meth:`stop`; then nothing of them is left."""
        self._log.start()
        agents = threading.Thread(target=self._watch_agents, name="watch-agents", daemon=True)
        agents.start()
        keeper = None if self._is_kept else self._attempts.keeper()
        engine = self._orc.engine
        warn, engine.warn = engine.warn, self._warn
        session, engine.session = engine.session, None  # that of who started it is no agent's here
        try:
            if self._file_watcher is not None:
                self._file_watcher.start()
            self._take(["log", "agents"])
            while not self._is_over():
                self._orc.engine.pause()
                self._take(self._messages())
        finally:
            engine.warn, engine.session = warn, session
            self._log.stop()
            self._alarms.put(None)
            self._quit.set()
            self._alarm.ring()
            if self._file_watcher is not None:
                self._file_watcher.stop()
            self._end_all()
            self._workers.close()
            agents.join()
            self._alarm.close()
            if keeper is not None and not self._workers.count():
                keeper.close()
            with suppress(OrchestratorError):  # then the next runner reads more
                self._events.save()

    def _messages(self) -> list[Message]:
        """Wait for messages; none if it is time to look again."""
        messages: list[Message] = []
        with suppress(queue.Empty):
            try:
                patience = self._patience()
            except OrchestratorError:
                patience = _AGAIN  # the board cannot be read, which is reported when it is used
            messages.append(self._inbox.get(timeout=patience))
            while True:
                messages.append(self._inbox.get_nowait())
        return messages

    def _take(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if isinstance(message, Ended):
                self._ended.append(message)
            elif isinstance(message, list):
                self._changes.append(message)
            elif message == "stop":
                self._stop()
            elif message == "agents":
                self._look_at_agents()
        try:
            self._work()
            self._trouble = ""
        except OrchestratorError as error:
            if error.message != self._trouble:
                self._follower.note("runner.trouble", "", error.message)
            self._trouble = error.message
        if "log" in messages:
            self._log.wait_for(self._orc.engine.watch())

    def _work(self) -> None:
        """Do all that can be done now. If the board cannot be used, this is called again."""
        if not self._is_ready:
            self._head = self._orc.engine.read().event  # the follower hears what recovering records
            self._attempts.recover()
            self._orc.engine.note_machine()
        self._attempts.record(self._ended)
        self._attempts.renew()
        self._push_changes()
        self._reload()
        self._advance()
        self._synchronise()
        if not self._is_ready:
            self._is_ready = True
            self._follower.note("runner.ready", "", amount(len(self._workers), "agent"))

    def _warn(self, sentence: str) -> None:
        """Report a warning of the board once; every read of a damaged log repeats it."""
        if sentence not in self._warnings:
            self._warnings.add(sentence)
            self._follower.note("runner.trouble", "", sentence)

    def _is_over(self) -> bool:
        """Whether it was asked to end, and no agent runs.

        Ends that cannot be recorded keep it, until it is asked again; then the next runner finds their notes.
        """
        if not self._stops:
            return False
        count = self._workers.count()
        return not count or (self._stops > 1 and bool(self._trouble) and count == len(self._ended))

    def _stop(self) -> None:
        self._stops += 1
        if self._stops == 1:
            count = self._workers.count()
            text = f"{amount(count, 'attempt')} to finish" if count else ""
            self._follower.note("runner.stopping", "", text)
        else:
            self._end_all()

    def _end_all(self) -> None:
        for running in self._workers.running():
            if running.process is not None:
                running.process.stop()

    def _watch_agents(self) -> None:
        """In a thread of its own: tell the dispatcher that it is time to look at the agent files."""
        while (alarm := self._alarms.get()) is not None:
            if alarm.is_told:
                alarm.wait(_TOLD)
            else:
                self._quit.wait(_UNTOLD)
            self._inbox.put("agents")

    def _look_at_agents(self) -> None:
        """Look at the agent files, and again when they change: also in a folder that is new."""
        self._alarm.close()
        self._alarm = system.FileAlarm(self._workers.folders)
        self._alarms.put(self._alarm)
        self._must_look = True

    def _push_changes(self) -> None:
        """Push the events of watched files; an agent that has just run may be their cause."""
        while self._changes:
            cause = self._attempts.recent_cause(self._workers.running())
            with self._orc.engine.caused_by(cause):
                push_changes(self._orc, self._project, self._changes[0])
            self._changes.popleft()

    def _reload(self) -> None:
        """Load the agent files if they have changed."""
        self._must_look = self._must_look or self._alarm.wait(0.0)
        if self._workers.reload(may_have_changed=self._must_look):
            self._is_loaded = False
        self._must_look = False
        if not self._is_loaded:
            for source in self._sources:
                source.load(self._workers, self._head)
            self._schedules.load(worker.file for worker in self._workers)
            self._clock_due = 0.0
            self._is_loaded = True
            self._workers.announce()

    def _synchronise(self) -> None:
        """Synchronise the documents of a shared board with the files of this machine, if it is time."""
        now = time.monotonic()
        if self._orc.engine.local is None or now < self._documents_due:
            return
        self._documents_due = now + _SYNCHRONISED
        for change in self._orc.knowledge.sync():
            if change.action in ("kept", "conflict"):
                self._warn(f"{change.path}: {change.detail}")

    def _push_due(self) -> None:
        """Push the events of schedules when it is time."""
        now = time.monotonic()
        if now >= self._clock_due:
            self._clock_due = now + self._schedules.push_due()

    def _follow(self, state: State) -> None:
        """Read new events, each one once for all sources."""
        if state.event > self._head:
            self._attempts.stop_lost(state)
        for record in records(self._orc, self._head, state.event):
            self._follower.event(record)
            if record.type.startswith(("knowledge.", "decision.")):
                self._documents_due = 0.0
            for source in self._sources:
                source.note(record)
            self._head = record.id
        self._attempts.release_output()

    def _advance(self) -> None:
        """Begin all work that may begin now."""
        if not self._stops:
            self._push_due()
        state = self._orc.engine.read()
        self._follow(state)
        if self._stops:
            return
        offers = list(filter(None, (self._offer(worker, state) for worker in self._workers)))
        while offers and self._workers.count() < self._most:
            batch = self._first_of(offers)
            has_begun = self._attempts.begin(batch)
            state = self._orc.engine.read()
            self._follow(state)
            for offer, begun in zip(batch, has_begun, strict=True):
                if begun:
                    self._turns[offer.worker.id] = offer.source
                another = self._offer(offer.worker, state)
                if another is not None and (begun or another != offer):
                    offers.append(another)

    def _first_of(self, offers: list[Offer]) -> list[Offer]:
        """Remove the offers that begin together: the events if there is room for all, else the first offer.

        There is room if every agent may run as often as its file allows: then their order changes nothing.
        """
        possible = sum(
            max(offer.worker.file.settings.concurrency - len(offer.worker.running), 1)
            for offer in offers
        )
        offers.sort(key=lambda offer: offer.rank)
        batch = offers[:1]
        if self._workers.count() + possible <= self._most:
            batch = [offer for offer in offers if not offer.task] or batch
        for offer in batch:
            offers.remove(offer)
        return [offer for offer in batch if self._workers.is_trusted(offer.worker)]

    def _offer(self, worker: Worker, state: State) -> Offer | None:
        """What an agent may begin now. Sources take turns, so that none starves the others."""
        subscriber = state.subscriptions.get(worker.id)
        pause = None
        if subscriber is not None:
            budget = worker.file.settings.budget
            pause = pause_of(subscriber, budget, self._orc.engine.now())
        self._say_pause(worker.id, pause)
        if pause is not None:
            return None
        last = self._turns.get(worker.id)
        sources = sorted(self._sources, key=lambda source: source is last)
        offers = (source.offer(worker, state) for source in sources)
        return next(filter(None, offers), None)

    def _say_pause(self, agent: str, pause: Pause | None) -> None:
        """Let the follower hear, once, why an agent is not started and for how long."""
        if pause == self._pauses.get(agent):
            return
        if pause is None:
            del self._pauses[agent]
        else:
            self._pauses[agent] = pause
            seconds = math.ceil(clock.between(self._orc.engine.now(), pause.until))
            self._follower.note(
                "agent.paused", agent, f"for {clock.spoken(seconds)}: {pause.reason}"
            )

    def _patience(self) -> float:
        """Seconds until there may be work without a message."""
        if self._ended:
            return _TROUBLE
        if self._trouble:
            return _AGAIN
        due = max(self._attempts.next_renewal(), _SHORTEST)
        if self._stops:
            return min(due, LONGEST_WAIT)
        due = min(due, self._clock_due - time.monotonic())
        if self._workers.count() >= self._most:
            return max(due, _SHORTEST)
        state = self._orc.engine.read()
        now = self._orc.engine.now()
        waits = (
            clock.between(now, self._pauses[worker.id].until)
            if worker.id in self._pauses
            else min(source.wait(worker, state) for source in self._sources)
            for worker in self._workers
        )
        return max(min((due, *waits)), _SHORTEST)
