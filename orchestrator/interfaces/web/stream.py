"""The live stream of the log as server-sent events, which a client can resume after any event.

One task follows the log for all clients. Events are encoded once and kept for a while; a client that is
further behind reads them from the log. A client that does not take what it is sent is disconnected.
"""

from collections import deque
from collections.abc import AsyncIterator
from itertools import islice

import anyio
import msgspec
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from orchestrator import AsyncOrchestrator
from orchestrator.core.errors import OrchestratorError, UsageError
from orchestrator.core.events import Recorded
from orchestrator.domain.event_log import as_dict
from orchestrator.domain.subscriptions.patterns import matches
from orchestrator.interfaces.cli.rendering import warn
from orchestrator.interfaces.web.answers import HttpProblem

MOST = 256
"""How many clients follow at once."""

KEPT = 5000
"""How many events are kept for clients that are a little behind."""

AT_ONCE = 500
"""How many events are sent at once."""

BEAT = 15.0
"""Seconds of silence after which a comment shows that the stream is alive."""

SLOW = 30.0
"""Seconds in which a client must take what it is sent."""

_AGAIN = 1.0


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


class LiveLog:
    """The end of the log, for any number of clients.

    Args:
        orc: The board.
    """

    def __init__(self, orc: AsyncOrchestrator) -> None:
        self._orc = orc
        self._events: deque[SentEvent] = deque(maxlen=KEPT)
        self._news = anyio.Event()
        self._is_ended = False
        self.head = 0
        self.clients = 0

    async def begin(self) -> None:
        """Find the end of the log."""
        self.head = await self._end()

    async def _end(self) -> int:
        return await self._orc.run("serve", lambda orc: orc.engine.read().event)

    async def has(self, event: int) -> bool:
        """Whether the log has this event, also if it is newer than what was followed."""
        return event <= self.head or event <= await self._end()

    async def follow(self) -> None:
        """Follow the log until cancelled; damage ends the following only until the next attempt."""
        while True:
            try:
                async for record in self._orc.events.follow(since=self.head):
                    self._events.append(sent(record))
                    self.head = record.id
                    self._wake()
            except OrchestratorError as error:
                warn(f"the log cannot be followed: {error.message}")
                await anyio.sleep(_AGAIN)

    def end(self) -> None:
        """End the streams of all clients, because the server ends."""
        self._is_ended = True
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
            return [*islice(self._events, start, start + AT_ONCE)]
        records = await self._orc.events.read(first=AT_ONCE, since=event)
        return [sent(record) for record in records]

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
        self._log.clients += 1
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._send, send, tasks.cancel_scope)
                while (await receive())["type"] != "http.disconnect":
                    pass
                tasks.cancel_scope.cancel()
        finally:
            self._log.clients -= 1

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
        except (TimeoutError, OSError):
            pass
        gone.cancel()


async def stream_of(log: LiveLog, request: Request) -> EventStream:
    """The stream that a client asks for: after ``Last-Event-ID`` or ``since``, else from now.

    Raises:
        UsageError: It is not the number of an event.
        HttpProblem: The log does not have this event, or too many clients follow.
    """
    text = request.headers.get("last-event-id") or request.query_params.get("since")
    if text is None:
        after = log.head
    elif text.isascii() and text.isdecimal() and len(text) < 19:
        after = int(text)
    else:
        raise UsageError(f"{text[:40]!a} is not the number of an event")
    if not await log.has(after):
        raise HttpProblem(
            409,
            "log_behind",
            f"The log ends at event {log.head}, before {after}: it was replaced",
            hint="Read the board again, and follow from now.",
        )
    if log.clients >= MOST:
        raise HttpProblem(
            503, "too_many_followers", f"{MOST} clients follow already", Retry_After="10"
        )
    query = request.query_params
    return EventStream(log, after, WantedEvents(query.get("agent", ""), query.get("type", "")))
