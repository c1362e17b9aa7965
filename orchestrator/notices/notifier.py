"""The notifier: sends the notices of a person's rules, each once, one after the other for each rule.

The rules of attempts are those of subscriptions (``orc.subscriptions.notice``): of several notifiers on a
board one begins a notice, and a notice whose sender was killed is begun again when its lease has ended. The
thread of :meth:`Notifier.run` decides and uses the board; a thread for each notice waits for what sends it.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

import msgspec

from orchestrator.api import Orchestrator
from orchestrator.core import clock
from orchestrator.core.errors import NotFound, OrchestratorError, Refused
from orchestrator.core.events import Recorded
from orchestrator.core.printable import one_line
from orchestrator.domain.event_log import as_dict
from orchestrator.domain.state import State
from orchestrator.domain.subscriptions.limits import NO_LIMITS, pause_of
from orchestrator.domain.subscriptions.records import Attempt, Subscriber
from orchestrator.notices.filters import fits
from orchestrator.notices.rules import NoticeRules, Rule, subscriber_of
from orchestrator.notices.sending import LEASE, send
from orchestrator.notices.texts import LISTED, NoticeText, compose
from orchestrator.reports.sentences import Sentences
from orchestrator.reports.timeline import tasks_in
from orchestrator.supervisor.event_reading import (
    ReaderMemory,
    WaitingEvents,
    records,
    remember,
    remembered,
    scan,
)
from orchestrator.supervisor.log_watch import LogWatch
from orchestrator.supervisor.places import board_name

ATTEMPTS = 5
"""How often a notice is tried before it is given up."""

BACK_OFF = 10.0
"""Seconds between a failed attempt and the next one; twice as many after each further failure."""

_LONGEST_REASON = 300
_AGAIN = 1.0  # seconds until the next try when the end of an attempt cannot be recorded
_TROUBLE = 5.0  # seconds until the next try when the board or the file of rules cannot be used


class NoticeReport(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt at a notice ended.

    Attributes:
        events: How many events it is about.
        reason: Why it was not sent; empty if it was.
        is_last: No further attempt follows.
    """

    rule: str
    title: str
    events: int
    attempt: int
    reason: str = ""
    is_last: bool = True


class _Ended(msgspec.Struct, frozen=True):
    rule_queue: "_RuleQueue"
    attempt: Attempt
    notice: NoticeText
    reason: str


class _RuleQueue(WaitingEvents, kw_only=True, eq=False):
    """The events of a rule that wait for a notice.

    Attributes:
        batch: The events of the notice that waits for its next attempt, if this process began it.
        is_sending: A thread sends a notice.
    """

    name: str
    rule: Rule
    batch: tuple[int, ...] = ()
    is_sending: bool = False

    @property
    def id(self) -> str:
        """Its subscriber."""
        return subscriber_of(self.name)


class _NotifierMemory(ReaderMemory, frozen=True, kw_only=True):
    """What the notifier before this one kept: where the events that wait begin, for each rule.

    Attributes:
        begins: By rule: the key of its filters, and the event after which its events may wait.
    """

    begins: dict[str, tuple[str, int]] = {}


class Notifier:
    """Sends the notices of a board until it is stopped.

    Args:
        orc: The board, which only the thread of :meth:`run` uses.
        rules: The rules.
        report: Is called with the end of each attempt.
        warn: Is called once with the reason when the board or the rules cannot be used.
        send: Sends a notice before a time; returns why it was not sent, else an empty text.
    """

    def __init__(
        self,
        orc: Orchestrator,
        rules: NoticeRules,
        *,
        report: Callable[[NoticeReport], object],
        warn: Callable[[str], object],
        send: Callable[[Rule, NoticeText, float], str] = send,
    ) -> None:
        self._orc = orc
        self._rules = rules
        self._report = report
        self._warn = warn
        self._send = send
        self._queues: dict[str, _RuleQueue] = {}
        self._head = 0
        self._memory: _NotifierMemory | None = None
        self._inbox: queue.SimpleQueue[_Ended | str] = queue.SimpleQueue()
        self._log = LogWatch(lambda: self._inbox.put("log"))
        self._sending = 0
        self._is_stopped = False
        self._trouble = ""

    def stop(self) -> None:
        """End when the notices that are being sent were sent; a handler of a signal may call this."""
        self._inbox.put("stop")

    def run(self) -> None:
        """Send notices until :meth:`stop`."""
        engine = self._orc.engine
        session, engine.session = engine.session, None  # that of who started it is no rule's
        self._log.start()
        self._inbox.put("log")
        try:
            while not self._is_stopped or self._sending:
                self._take(self._messages())
        finally:
            engine.session = session
            self._log.stop()
            self._save()

    def run_once(self) -> None:
        """Send what waits now, at most one notice for each rule, and end."""
        engine = self._orc.engine
        session, engine.session = engine.session, None
        try:
            self._work()
            self._is_stopped = True
            while self._sending:
                self._take([self._inbox.get()])
        finally:
            engine.session = session
            self._save()

    def _messages(self) -> list[_Ended | str]:
        """Wait for messages; none if it is time to look again."""
        self._orc.engine.pause()
        with suppress(queue.Empty):
            return [self._inbox.get(timeout=self._patience())]
        return []

    def _take(self, messages: Iterable[_Ended | str]) -> None:
        for message in messages:
            if isinstance(message, _Ended):
                self._end(message)
            elif message == "stop":
                self._is_stopped = True
        try:
            self._work()
            self._trouble = ""
        except OrchestratorError as error:
            if error.message != self._trouble:
                self._warn(error.message)
            self._trouble = error.message
        if "log" in messages:
            self._log.wait_for(self._orc.engine.watch())

    def _work(self) -> None:
        """Read new events, and begin the notices that may begin now."""
        if self._is_stopped:
            return
        state = self._orc.engine.read()
        self._load(state)
        state = self._orc.engine.read()
        self._read(state)
        for rule_queue in self._queues.values():
            if not rule_queue.is_sending:
                self._begin(rule_queue, state)

    # Rules

    def _load(self, state: State) -> None:
        """Take over the rules of the file; those that are new begin where their subscribers are."""
        if self._memory is None:
            self._memory = remembered(self._orc, _READER, _NotifierMemory, state.event)
            self._head = state.event
        known = self._rules.all()
        queues: dict[str, _RuleQueue] = {}
        changed: list[tuple[_RuleQueue, int]] = []
        for name, rule in known.items():
            rule_queue = self._queues.get(name)
            if rule_queue is None or rule_queue.rule != rule:
                position = self._orc.subscriptions.open(subscriber_of(name)).position
                begin = max(position, self._begin_of(name, rule))
                rule_queue = _RuleQueue(
                    name=name,
                    rule=rule,
                    position=position,
                    is_sending=rule_queue is not None and rule_queue.is_sending,
                )
                changed.append((rule_queue, begin))
            queues[name] = rule_queue
        self._scan(state, changed)
        self._queues = queues

    def _begin_of(self, name: str, rule: Rule) -> int:
        assert self._memory is not None
        key, begin = self._memory.begins.get(name, ("", 0))
        return begin if key == _key(rule) else 0

    def _scan(self, state: State, begins: Iterable[tuple[_RuleQueue, int]]) -> None:
        """Queue the events that fit: for each rule those after its event, up to the last event read."""
        scan(self._orc, begins, self._head, partial(self._note, state))

    def _read(self, state: State) -> None:
        """Read new events, once for all rules; everything again if the log was replaced by an older one."""
        if state.event < self._head:
            self._queues, self._memory = {}, None
            return
        for record in records(self._orc, self._head, state.event):
            for rule_queue in self._queues.values():
                self._note(state, rule_queue, record)
            self._head = record.id

    @staticmethod
    def _note(state: State, rule_queue: _RuleQueue, record: Recorded) -> None:
        if record.id > rule_queue.position and fits(rule_queue.rule, record, state):
            rule_queue.pending.append(record.id)

    # Notices

    def _begin(self, rule_queue: _RuleQueue, state: State) -> None:
        """Begin the next notice of a rule, if it may begin now."""
        subscriber = state.subscriptions[rule_queue.id]
        if rule_queue.settle(subscriber.position):
            self._scan(state, [(rule_queue, rule_queue.position)])
        now = self._orc.engine.now()
        if pause_of(subscriber, NO_LIMITS, now) is not None:
            return
        place = next(iter(subscriber.attempts), None)
        if place is not None:
            if not place.may_begin(now):
                return
            first, event = place.first, place.event
        elif rule_queue.pending and subscriber.next_notice(rule_queue.rule.every, now) <= now:
            batch = tuple(rule_queue.pending) if rule_queue.rule.every else (rule_queue.pending[0],)
            first, event, rule_queue.batch = batch[0], batch[-1], batch
        else:
            return
        try:
            attempt = self._orc.subscriptions.notice(
                rule_queue.id,
                event,
                first=first,
                after=rule_queue.position,
                lease=LEASE,
                most=ATTEMPTS,
                every=rule_queue.rule.every,
            )
        except Refused:  # another notifier was faster; its commit wakes this one
            return
        if attempt is not None:
            self._start(rule_queue, attempt)

    def _start(self, rule_queue: _RuleQueue, attempt: Attempt) -> None:
        """Let a thread send a notice."""
        notice = self._notice(rule_queue, attempt)
        rule, now = rule_queue.rule, self._orc.engine.now()
        until = time.time() + clock.between(now, attempt.until)  # by the clock of this machine

        def work() -> None:
            try:
                reason = self._send(rule, notice, until)
            except Exception as error:  # noqa: BLE001  the attempt must end; the text may hold an address
                reason = f"sending failed with {type(error).__name__}"
            self._inbox.put(_Ended(rule_queue, attempt, notice, reason))

        rule_queue.is_sending = True
        self._sending += 1
        threading.Thread(target=work, name=f"send-{rule_queue.name}", daemon=True).start()

    def _notice(self, rule_queue: _RuleQueue, attempt: Attempt) -> NoticeText:
        """The notice of an attempt.

        If another process has begun it, its events are those that fit now, and its last one in any case.
        """
        state = self._orc.engine.read()
        if not rule_queue.batch or rule_queue.batch[-1] != attempt.event:
            rule_queue.batch = tuple(
                record.id
                for record in records(self._orc, max(attempt.first, 1) - 1, attempt.event)
                if record.id == attempt.event or fits(rule_queue.rule, record, state)
            )
        now = self._orc.engine.now()
        sentences = Sentences(self._orc.engine, lambda moment: clock.local_time(moment, now))
        board = board_name(self._orc.folder or "board")

        def fields_of(record: Recorded) -> dict[str, str]:
            return {"board": board, **fields(record, state, sentences, now)}

        shown = [self._orc.engine.event(number) for number in rule_queue.batch[:LISTED]]
        templates = rule_queue.rule.title, rule_queue.rule.body
        return compose(
            rule_queue.name,
            templates,
            shown,
            lambda record: {**as_dict(record)},
            fields_of,
            len(rule_queue.batch),
        )

    def _end(self, ended: _Ended) -> None:
        """Record how an attempt has ended."""
        rule_queue, attempt = ended.rule_queue, ended.attempt
        reason = one_line(ended.reason, _LONGEST_REASON)
        try:
            if reason:
                self._orc.subscriptions.fail(
                    rule_queue.id, attempt.event, attempt.token, reason, back_off=BACK_OFF
                )
            else:
                self._orc.subscriptions.finish(rule_queue.id, attempt.event, attempt.token)
        except (Refused, NotFound) as error:
            self._warn(error.message)
        except OrchestratorError as error:
            if self._orc.engine.now() < attempt.until:
                threading.Timer(_AGAIN, self._inbox.put, [ended]).start()
                return
            self._warn(
                f"{error.message}; notice {attempt.event} of {rule_queue.name} may come again"
            )
        self._sending -= 1
        current = self._queues.get(rule_queue.name, rule_queue)
        current.is_sending = rule_queue.is_sending = False
        is_last = not reason or attempt.number >= attempt.most
        self._report(
            NoticeReport(
                rule=rule_queue.name,
                title=ended.notice.title,
                events=len(ended.notice.events) + ended.notice.more,
                attempt=attempt.number,
                reason=reason,
                is_last=is_last,
            )
        )

    def _patience(self) -> float | None:
        """Seconds until a notice may begin without a message; None if only a message can begin one."""
        if self._trouble:
            return _TROUBLE
        if self._is_stopped:
            return None
        try:
            state, now = self._orc.engine.read(), self._orc.engine.now()
        except OrchestratorError:
            return _TROUBLE
        waits = (
            self._wait(rule_queue, state.subscriptions[rule_queue.id], now)
            for rule_queue in self._queues.values()
        )
        due = min((wait for wait in waits if wait is not None), default=None)
        return None if due is None else max(due, 0.01)

    @staticmethod
    def _wait(rule_queue: _RuleQueue, subscriber: Subscriber, now: str) -> float | None:
        attempt = next(iter(subscriber.attempts), None)
        if rule_queue.is_sending or (attempt is None and not rule_queue.pending):
            return None
        pause = pause_of(subscriber, NO_LIMITS, now)
        untils = [pause.until] if pause is not None else []
        if attempt is None:
            untils.append(subscriber.next_notice(rule_queue.rule.every, now))
        elif not attempt.may_begin(now):
            untils.append(attempt.until if attempt.status == "running" else attempt.due)
        return clock.between(now, max(untils, default=now))

    # The memory for the next notifier

    def _save(self) -> None:
        """Keep for the next notifier from where on events may wait; without it, more of the log is read."""
        if self._memory is None or not self._head:
            return
        begins = {
            rule_queue.name: (
                _key(rule_queue.rule),
                rule_queue.pending[0] - 1 if rule_queue.pending else self._head,
            )
            for rule_queue in self._queues.values()
        }
        with suppress(OrchestratorError):
            remember(self._orc, _READER, _NotifierMemory(event=self._head, begins=begins))


_READER = "notify"
"""The name of notifiers among the readers of the board."""


def _key(rule: Rule) -> str:
    """The filters of a rule as a text, which decide the events that fit it."""
    filters = (rule.on, rule.agents, rule.workstreams, rule.tasks, rule.labels, rule.priority)
    return msgspec.json.encode(filters).decode()


def fields(record: Recorded, state: State, sentences: Sentences, now: str) -> dict[str, str]:
    """The values of the fields of a template for an event."""
    payload = msgspec.json.decode(record.payload)
    named = [*tasks_in(payload)] if isinstance(payload, dict) else []
    task = next((task for name in named if (task := state.tasks.get(name)) is not None), None)
    return {
        "event": str(record.id),
        "type": record.type,
        "time": clock.local_time(record.ts, now),
        "agent": record.agent,
        "what": sentences.of(record),
        "task": task.id if task else "",
        "title": task.title if task else "",
        "workstream": task.workstream if task else "",
        "priority": str(task.priority) if task else "",
    }
