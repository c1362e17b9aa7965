"""``orc.events``: log events of own types, and read the log."""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any, NotRequired, TypedDict

import msgspec

from orchestrator.core import clock
from orchestrator.core.decoding import whole_number
from orchestrator.core.errors import BadName
from orchestrator.core.events import Recorded, caused_by, is_reserved
from orchestrator.core.transaction import Committed, Noun, Transaction, command
from orchestrator.domain.state import State
from orchestrator.domain.subscriptions.patterns import matches


def logged_event(state: State, events: Committed) -> Recorded:
    """The event that was logged."""
    return next(record for record, event in events if event is None)


class Events(Noun[State], name="journal"):
    """``orc.events``: log, read, follow."""

    def log(self, agent: str | None, type: str, /, **payload: Any) -> Recorded:
        """Log an event of a type that is not reserved for the toolkit.

        Args:
            agent: Who logs it.
            type: A word, dotted or not: ``deployed``, ``ci.failed``.
            payload: Facts, as JSON values.

        Raises:
            BadName: The type is not allowed or belongs to the toolkit (``task.*``).
            BadInput: A value that JSON cannot carry.
        """
        return self._log(agent, type, payload)

    def push(self, type: str, payload: Any = None, *, agent: str | None = None) -> Recorded:
        """Log the same event, with any JSON value as its payload.

        Raises:
            BadName: The type is not allowed or belongs to the toolkit (``task.*``).
            BadInput: A value that JSON cannot carry.
        """
        return self._log(agent, type, {} if payload is None else payload)

    @command(logged_event)
    def _log(self, tx: Transaction[State], agent: str | None, type: str, payload: Any) -> None:
        actor = tx.act_as(agent)
        # An agent that an event has started may call without its environment.
        running = tx.state.subscriptions[actor].running if actor in tx.state.subscriptions else ()
        cause = caused_by(tx.event(running[-1].event)) if running and not tx.cause else None
        tx.record_custom(check_type(type, tx.state.board.format), payload, cause=cause)

    def read(
        self,
        *,
        last: int | None = None,
        first: int | None = None,
        agent: str | None = None,
        omit_agent: str | None = None,
        type: str | None = None,
        since: str | int | None = None,
    ) -> list[Recorded]:
        """Return events, oldest first.

        Args:
            last: At most so many, the newest ones.
            first: At most so many, the oldest ones.
            agent: Only those of this agent.
            omit_agent: Without those of this agent.
            type: Only of this type; ``task.*`` is every type of a noun.
            since: Only from this time, that long ago (``2h``), or after this event id.
        """
        limit = None if since is None else beginning(since, self._desk.now())
        is_filtered = not agent is omit_agent is type is None
        if first is not None and not is_filtered and not isinstance(limit, str):
            return self._range(limit or 0, first)
        most = None if last is None else max(last, 0)
        newest = islice(self._matching(agent, type, limit, omit_agent), most)
        return [*deque(newest, None if first is None else max(first, 0))][::-1]

    def _range(self, after: int, most: int) -> list[Recorded]:
        """Some events after one of them, whatever the length of the log."""
        end = min(self._state.event, after + max(most, 0))
        return [self._desk.event(number) for number in range(max(after, 0) + 1, end + 1)]

    def follow(
        self, *, agent: str | None = None, type: str | None = None, since: int | None = None
    ) -> Iterator[Recorded]:
        """Yield events as they are committed, without end; from after the event ``since``, else from now."""
        last = self._state.event if since is None else since
        while True:
            with self._desk.query():  # no other thread may read new events between these two lines
                head = self._state.event
                wait = self._desk.watch()
            for number in range(last + 1, head + 1):
                record = self._desk.event(number)
                if _matches(record, agent, type):
                    yield record
            last = head
            self._desk.pause()
            wait(60.0)

    def _matching(
        self, agent: str | None, type: str | None, limit: str | int | None, omit_agent: str | None
    ) -> Iterator[Recorded]:
        for record in self._desk.read_backwards():
            if isinstance(limit, int) and record.id <= limit:
                return
            if isinstance(limit, str) and record.ts < limit:
                return
            if _matches(record, agent, type) and record.agent != omit_agent:
                yield record


def beginning(since: str | int, now: str) -> str | int:
    """The beginning of a report: after an event (an id), or at a time (a timestamp).

    Args:
        since: The id of an event, a time, or how long ago (``2h``).
        now: The time to count back from.

    Raises:
        UsageError: It is neither.
    """
    number = since if isinstance(since, int) else whole_number(since)
    if number is not None:
        return number
    from orchestrator.core.moments import moment  # few commands are given one

    return moment(str(since), now, is_past=True)


def check_type(type: str, format: int) -> str:
    """Check the type of an event that an agent logs.

    Raises:
        BadName: It is not allowed or belongs to the toolkit.
    """
    if not type or len(type) > 200 or not all(c.isalnum() or c in "._-" for c in type):
        raise BadName(
            f"{type!a} cannot be the type of an event",
            hint="Use letters, digits, `.`, `_` and `-`: ci.failed.",
        )
    if is_reserved(type, format):
        raise BadName(
            f"Events {type.partition('.')[0]}.* are the toolkit's own",
            hint="Choose another first word.",
        )
    return type


class EventObject(TypedDict):
    """An event for programs."""

    id: int
    ts: str
    agent: str
    type: str
    payload: dict[str, Any]
    cause: NotRequired[dict[str, int]]


def as_dict(record: Recorded) -> EventObject:
    """An event for programs."""
    event = EventObject(
        id=record.id,
        ts=record.ts,
        agent=record.agent,
        type=record.type,
        payload=msgspec.json.decode(record.payload),
    )
    if record.cause:
        event["cause"] = msgspec.to_builtins(record.cause)
    return event


class QueueEvent(TypedDict):
    """An event as busytown prints it, and as an agent gets it."""

    id: int
    timestamp: int
    type: str
    worker_id: str
    payload: dict[str, Any]


def queue_event(record: Recorded) -> QueueEvent:
    """An event as busytown prints it, and as an agent gets it."""
    return {
        "id": record.id,
        "timestamp": int(clock.seconds(record.ts)),
        "type": record.type,
        "worker_id": record.agent,
        "payload": msgspec.json.decode(record.payload),
    }


def _matches(record: Recorded, agent: str | None, type: str | None) -> bool:
    if agent is not None and record.agent != agent:
        return False
    if type is None or matches(type, record.type):
        return True
    return record.type == type.replace("_", ".", 1)  # the original's names: task_completed
