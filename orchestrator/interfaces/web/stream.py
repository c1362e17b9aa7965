"""The live stream of the log as server-sent events, which a client can resume after any event.

One task follows the log for all clients. Events are encoded once and kept for a while; a client that is
further behind reads them from the log. A client that does not take what it is sent is disconnected.
"""

import threading
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

import anyio
import anyio.from_thread
import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from orchestrator import AsyncOrchestrator, Orchestrator
from orchestrator.board import open_store
from orchestrator.core.errors import OrchestratorError, UsageError
from orchestrator.core.events import Recorded
from orchestrator.core.store import Cursor, Store
from orchestrator.domain.event_log import as_dict
from orchestrator.domain.subscriptions.patterns import matches
from orchestrator.interfaces.cli.rendering import warn
from orchestrator.interfaces.web.answers import HttpProblem

MOST = 256
"""How many clients follow at once."""

KEPT = 5000
"""How many events are kept for clients that are a little behind."""

LARGEST_KEPT = 8 << 20
"""Bytes of the events that are kept; the newest is kept whatever its size."""

AT_ONCE = 500
"""How many events are sent at once."""

LARGEST_AT_ONCE = 256 << 10
"""Bytes that are sent at once, or a single larger event: so much a client that reads nothing holds."""

BEAT = 15.0
"""Seconds of silence after which a comment shows that the stream is alive."""

SLOW = 30.0
"""Seconds in which a client must take what it is sent."""

_AGAIN = 1.0
_LOOK = 0.25  # seconds after which the reader sees that no client is left


def _store_beside(orc: Orchestrator) -> Store:
    """A second store of the same board; one in memory has only itself."""
    if orc.folder is None:
        return orc.engine.store
    return open_store(orc.folder, warn=warn).store


class SentEvent(msgspec.Struct, frozen=True):
    """An event of the log as a client gets it."""

    id: int
    type: str
    agent: str
    data: bytes


def sent(record: Recorded) -> SentEvent:
    """Encode an event."""
    data = b"id: %d\ndata: %b\n\n" % (record.id, msgspec.json.encode(as_dict(record)))
    return SentEvent(record.id, record.type, record.agent, data)


class WantedEvents(msgspec.Struct, frozen=True):
    """Which events a client wants: those of an agent, of a type such as ``task.*``."""

    agent: str = ""
    type: str = ""

    def passes(self, event: SentEvent) -> bool:
        """Whether it wants this event."""
        if self.agent and event.agent != self.agent:
            return False
        return not self.type or matches(self.type, event.type)


def _some(events: Iterable[SentEvent]) -> list[SentEvent]:
    """As many events as are sent at once."""
    chosen, size = list[SentEvent](), 0
    for event in events:
        size += len(event.data)
        if chosen and size > LARGEST_AT_ONCE:
            break
        chosen.append(event)
    return chosen


class LiveLog:
    """The end of the log, for any number of clients. While there are none, it is not followed.

    Args:
        orc: The board.
    """

    def __init__(self, orc: AsyncOrchestrator) -> None:
        self._orc = orc
        self._events: deque[SentEvent] = deque()
        self._size = 0
        self._news = anyio.Event()
        self._is_wanted = anyio.Event()
        self._is_followed = self._is_ended = False
        self._end_of_wait = threading.Event()
        self.head = 0
        self.clients = 0

    async def _end(self) -> tuple[int, Cursor]:
        """The last event of the log, and the position after it."""
        return await self._orc.run(
            "serve", lambda orc: (orc.engine.read().event, orc.engine.position)
        )

    async def last(self) -> int:
        """The last event of the log as far as it was followed; found anew while no client follows."""
        return self.head if self._is_followed else (await self._end())[0]

    async def has(self, event: int) -> bool:
        """Whether the log has this event, also if it is newer than what was followed."""
        return (self._is_followed and event <= self.head) or event <= (await self._end())[0]

    @contextmanager
    def client(self) -> Iterator[None]:
        """Follow the log at least while a client is there."""
        self.clients += 1
        self._is_wanted.set()
        try:
            yield
        finally:
            self.clients -= 1

    async def follow(self) -> None:
        """Follow the log while there are clients, until cancelled.

        It has its own store: it reads beside the commands, takes no turn from them, and folds nothing.
        """
        store = await self._orc.run("serve", _store_beside)
        while True:
            await self._is_wanted.wait()
            self._is_wanted = anyio.Event()
            while self.clients:
                try:
                    head, position = await self._end()
                except OrchestratorError as error:
                    warn(f"the log cannot be followed: {error.message}")
                    await anyio.sleep(_AGAIN)
                    continue
                self._events.clear()
                self._size = 0
                self._note([], head)
                self._is_followed = True
                try:
                    await anyio.to_thread.run_sync(
                        self._read, store, position, abandon_on_cancel=True
                    )
                finally:
                    self._is_followed = False

    def _read(self, store: Store, position: Cursor) -> None:
        """Read what is committed, in a thread, until no client is left or the log is another one."""
        while self.clients and not self._is_ended:
            try:
                for chunk in store.read(position):
                    position = chunk.end
                    events = [sent(record) for record in chunk.events]
                    anyio.from_thread.run_sync(self._note, events, chunk.end.id)
                store.wait(position, _LOOK)
            except OrchestratorError as error:
                warn(f"the log cannot be followed: {error.message}")
                if self._end_of_wait.wait(_AGAIN) or error.code == "log_behind":
                    return

    def _note(self, events: list[SentEvent], head: int) -> None:
        self._events += events
        self._size += sum(len(event.data) for event in events)
        while len(self._events) > KEPT or (self._size > LARGEST_KEPT and len(self._events) > 1):
            self._size -= len(self._events.popleft().data)
        self.head = head
        self._wake()

    def end(self) -> None:
        """End the streams of all clients, because the server ends."""
        self._is_ended = True
        self._end_of_wait.set()
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, anyio.Event()
        news.set()

    async def after(self, event: int) -> list[SentEvent]:
        """The next events after one, some at once."""
        if event >= self.head:
            return []
        if self._events and self._events[0].id <= event + 1:
            start = event + 1 - self._events[0].id
            return _some(islice(self._events, start, start + AT_ONCE))
        numbers = range(event + 1, min(self.head, event + AT_ONCE) + 1)
        return await self._orc.run(
            "serve", lambda orc: _some(sent(orc.engine.event(number)) for number in numbers)
        )

    async def batches(self, after: int, wanted: WantedEvents) -> AsyncIterator[bytes]:
        """What a client is sent, until the server ends."""
        yield b"retry: 1000\n\n"
        while not self._is_ended:
            news = self._news
            events = await self.after(after)
            if events:
                after = events[-1].id
                data = b"".join([event.data for event in events if wanted.passes(event)])
                if data:
                    yield data
                continue
            with anyio.move_on_after(BEAT) as silence:
                await news.wait()
            if silence.cancelled_caught:
                yield b":\n\n"


class EventStream:
    """The answer to a client that follows the log.

    Args:
        log: The end of the log.
        after: The last event that the client has.
        wanted: What it wants.
    """

    def __init__(self, log: LiveLog, after: int, wanted: WantedEvents) -> None:
        self._log = log
        self._after = after
        self._wanted = wanted

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Send events until the client is gone."""
        with self._log.client():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._send, send, tasks.cancel_scope)
                while (await receive())["type"] != "http.disconnect":
                    pass
                tasks.cancel_scope.cancel()

    async def _send(self, send: Send, gone: anyio.CancelScope) -> None:
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            async for data in self._log.batches(self._after, self._wanted):
                with anyio.fail_after(SLOW):
                    await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except (TimeoutError, OSError, OrchestratorError):
            pass  # the client connects again, and gets the error as an answer
        gone.cancel()


async def stream_of(log: LiveLog, request: Request) -> EventStream:
    """The stream that a client asks for: after ``Last-Event-ID`` or ``since``, else from now.

    Raises:
        UsageError: It is not the number of an event.
        HttpProblem: The log does not have this event, or too many clients follow.
    """
    text = request.headers.get("last-event-id") or request.query_params.get("since")
    if text is None:
        after = await log.last()
    elif text.isascii() and text.isdecimal() and len(text) < 19:
        after = int(text)
    else:
        raise UsageError(f"{text[:40]!a} is not the number of an event")
    if not await log.has(after):
        raise HttpProblem(
            409,
            "log_behind",
            f"The log ends at event {await log.last()}, before {after}: it was replaced",
            hint="Read the board again, and follow from now.",
        )
    if log.clients >= MOST:
        raise HttpProblem(
            503, "too_many_followers", f"{MOST} clients follow already", Retry_After="10"
        )
    query = request.query_params
    return EventStream(log, after, WantedEvents(query.get("agent", ""), query.get("type", "")))
