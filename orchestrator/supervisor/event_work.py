"""Events as work: each agent gets the events that it hears, in their order."""
# ruff: noqa: ARG002 -- the methods of a source of work have one signature, described there

import os
import time
from collections.abc import Iterable
from contextlib import suppress

import msgspec

from orchestrator.api import Orchestrator
from orchestrator.core import clock
from orchestrator.core.events import Recorded
from orchestrator.core.machine import this_machine
from orchestrator.domain.event_log import queue_event
from orchestrator.domain.state import State
from orchestrator.domain.subscriptions.patterns import hears
from orchestrator.domain.subscriptions.records import DUE, Attempt
from orchestrator.engine import cause_mark
from orchestrator.runtimes.output import AttemptResult
from orchestrator.supervisor.agent_files import AgentFile
from orchestrator.supervisor.event_reading import (
    ReaderMemory,
    WaitingEvents,
    remember,
    remembered,
    scan,
)
from orchestrator.supervisor.schedules import is_due_for, schedule_of
from orchestrator.supervisor.sources import AttemptInput, Check, Offer
from orchestrator.supervisor.workers import Worker

_SAVE = 5000  # events after which what waits is kept although the runner goes on


class _Ear(WaitingEvents, kw_only=True):
    """What an agent hears under its file.

    Attributes:
        key: What decides which events it hears.
    """

    file: AgentFile
    key: str

    def listens(self, type: str) -> bool:
        """Whether events of a type may start it."""
        if type == DUE and schedule_of(self.file) is not None:
            return True
        return hears(self.file.settings.listen, type)

    def hears(self, record: Recorded) -> bool:
        """Whether an event starts it."""
        settings = self.file.settings
        if is_due_for(self.file.id, record):
            return True
        if settings.ignore_self and record.agent == self.file.id:
            return False
        return hears(settings.listen, record.type)

    def note(self, record: Recorded) -> None:
        """Put an event that starts it behind the pending ones."""
        if record.id > self.position and self.hears(record):
            self.pending.append(record.id)


class _Known(msgspec.Struct, frozen=True):
    """What a former runner knew of an agent: what it hears from its position on."""

    key: str
    position: int
    pending: tuple[int, ...]


class _Memory(ReaderMemory, frozen=True, kw_only=True):
    """What a former runner knew of all agents."""

    agents: dict[str, _Known] = {}


class EventWork:
    """The events that agents hear.

    Which events wait for an agent is kept when a runner ends, so that the next one reads only what was added
    to the log. What is kept is a hint: if it does not fit the log or the agent, the log is read again.

    Args:
        orc: The board.
    """

    def __init__(self, orc: Orchestrator) -> None:
        self._orc = orc
        self._reader = f"runner/{this_machine()}"
        self._memory = _Memory()
        self._saved = -1
        self._ears: dict[str, _Ear] = {}
        self._listeners: dict[str, list[_Ear]] = {}
        self._head = 0

    def load(self, workers: Iterable[Worker], head: int) -> None:
        """Hear for these agents; for those that are new or changed from their positions on."""
        self._head = head
        if self._saved < 0:
            self._memory = remembered(self._orc, self._reader, _Memory, self._head)
            self._saved = self._memory.event
        ears: dict[str, _Ear] = {}
        changed: list[tuple[_Ear, int]] = []
        for worker in workers:
            ear = self._ears.get(worker.id)
            if ear is None or ear.file != worker.file:
                ear, begin = self._ear(worker)
                self._wake(worker)
                changed.append((ear, begin))
            ears[worker.id] = ear
        self._scan(changed)
        self._ears = ears
        self._listeners.clear()
        self._save_sometimes()

    def _wake(self, worker: Worker) -> None:
        """Start an agent at once that rests, if its file was changed after its last failure."""
        rest = self._orc.subscriptions.get(worker.id).rest
        with suppress(OSError):
            if rest is None:
                return
            # Compared by their ages: the file has a time of this machine, the failure one of the board.
            rests = clock.between(rest.since, self._orc.engine.now())
            if time.time() - os.path.getmtime(worker.file.path) < rests:
                self._orc.subscriptions.wake(worker.id)

    def save(self) -> None:
        """Keep for the next runner what waits for the agents."""
        if self._saved == self._head or not self._head:
            return
        known = {id: _Known(e.key, e.position, tuple(e.pending)) for id, e in self._ears.items()}
        remember(self._orc, self._reader, _Memory(event=self._head, agents=known))
        self._saved = self._head

    def _save_sometimes(self) -> None:
        if self._head - self._saved >= _SAVE:
            self.save()

    def _ear(self, worker: Worker) -> tuple[_Ear, int]:
        """What an agent hears, and after which event to look for more."""
        position = self._orc.subscriptions.open(worker.id).position
        settings = worker.file.settings
        heard_by = (settings.listen, settings.ignore_self, schedule_of(worker.file))
        key = msgspec.json.encode(heard_by).decode()
        ear = _Ear(file=worker.file, key=key, position=position)
        known = self._memory.agents.get(worker.id)
        if (
            known is None
            or known.key != key
            or not known.position <= position <= self._memory.event
        ):
            return ear, position
        ear.pending.extend(event for event in known.pending if event > position)
        return ear, self._memory.event

    def note(self, record: Recorded) -> None:
        """Keep a new event for those that hear it."""
        listeners = self._listeners.get(record.type)
        if listeners is None:
            listeners = [ear for ear in self._ears.values() if ear.listens(record.type)]
            self._listeners[record.type] = listeners
        for ear in listeners:
            ear.note(record)
        self._head = record.id
        self._save_sometimes()

    def offer(self, worker: Worker, state: State) -> Offer | None:
        """The event that an agent may work now: one that waits for another attempt, or the next one."""
        subscriber = state.subscriptions.get(worker.id)
        if subscriber is None:
            return None
        ear = self._ears[worker.id]
        if ear.settle(subscriber.position):
            self._scan([(ear, ear.position)])
        now = self._orc.engine.now() if subscriber.attempts else ""
        for attempt in subscriber.attempts:
            is_here = attempt.event in worker.running or attempt.task
            if not is_here and attempt.may_begin(now):
                return Offer(worker, self, attempt.event)
        while ear.pending and subscriber.has_passed(ear.pending[0]):
            ear.pending.popleft()
        if ear.pending and len(subscriber.in_work) < worker.file.settings.concurrency:
            return Offer(worker, self, ear.pending[0])
        return None

    def start(self, offer: Offer, lease: float) -> Attempt | None:
        """Begin an attempt at an event; None if the event became a dead letter in its place."""
        agent, settings = offer.worker.id, offer.worker.file.settings
        return self._orc.subscriptions.start(
            agent,
            offer.age,
            after=self._ears[agent].position,
            lease=lease,
            most=settings.retry + 1,
            concurrency=settings.concurrency,
            budget=settings.budget,
            rounds=settings.rounds or None,
        )

    def input(self, attempt: Attempt) -> AttemptInput:
        """The event."""
        record = self._orc.engine.event(attempt.event)
        return AttemptInput(
            title=f"event {record.id} ({record.type})",
            event=queue_event(record),
            cause=cause_mark(record),
        )

    def checks(self, worker: Worker, attempt: Attempt, result: AttemptResult) -> Check | None:
        """Nothing."""
        return None

    def finish(self, worker: Worker, attempt: Attempt, result: AttemptResult) -> None:
        """Record the one finish of the event by this agent."""
        self._orc.subscriptions.finish(worker.id, attempt.event, attempt.token, result.report)

    def wait(self, worker: Worker, state: State) -> float:
        """Seconds until an attempt that waits is due."""
        subscriber = state.subscriptions.get(worker.id)
        waiting = subscriber.attempts if subscriber else ()
        now = self._orc.engine.now() if waiting else ""
        return min(
            (
                _wait(attempt, now)
                for attempt in waiting
                if attempt.event not in worker.running and not attempt.task
            ),
            default=float("inf"),
        )

    def _scan(self, begins: Iterable[tuple[_Ear, int]]) -> None:
        """Keep the events that agents hear, each after an event, up to the last one that was read."""
        scan(self._orc, begins, self._head, _Ear.note)


def _wait(attempt: Attempt, now: str) -> float:
    """Seconds until the next attempt may begin."""
    if attempt.may_begin(now):
        return 0.0
    return clock.between(now, attempt.due if attempt.status == "waiting" else attempt.until)
