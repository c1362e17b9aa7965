"""What readers of the log share: its events in pages, those that wait for a subscriber, and their memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from orchestrator.api import Orchestrator
from orchestrator.core.errors import NotFound
from orchestrator.core.events import Recorded

_BATCH = 500  # events that are read at once


class WaitingEvents(msgspec.Struct, kw_only=True):
    """The events that wait for a subscriber.

    Attributes:
        position: Up to here the subscriber has settled every event; ``pending`` begins after it.
        pending: The events that are for it, up to the last one that was read.
    """

    position: int
    pending: deque[int] = msgspec.field(default_factory=deque)

    def settle(self, position: int) -> bool:
        """Go to the position of the subscriber, which others may have moved.

        Returns:
            Whether it has gone back: the events after it are to be read again.
        """
        is_back = position < self.position
        self.position = position
        if is_back:
            self.pending.clear()
        while self.pending and self.pending[0] <= position:
            self.pending.popleft()
        return is_back


class ReaderMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader keeps for the next one.

    Attributes:
        event: The last event that it had read.
        ts: The time of this event, by which a log that was restored is recognized.
    """

    event: int = 0
    ts: str = ""


Waiting = TypeVar("Waiting", bound=WaitingEvents)
Memory = TypeVar("Memory", bound=ReaderMemory)


def records(orc: Orchestrator, after: int, until: int) -> Iterator[Recorded]:
    """The events of the log after one, up to another."""
    while after < until:
        batch: Iterable[Recorded] = orc.events.read(since=after, first=min(until - after, _BATCH))
        for record in batch:
            yield record
            after = record.id
        if not batch:
            return


def scan(
    orc: Orchestrator,
    begins: Iterable[tuple[Waiting, int]],
    until: int,
    note: Callable[[Waiting, Recorded], object],
) -> None:
    """Note the events for several subscribers in one reading.

    Args:
        orc: The board.
        begins: The subscribers, each with the event after which it begins.
        until: The last event.
        note: Keeps an event for a subscriber, if it is for it.
    """
    begins = [*begins]
    for record in records(orc, min((begin for _, begin in begins), default=until), until):
        for waiting, begin in begins:
            if record.id > begin:
                note(waiting, record)


def remembered(orc: Orchestrator, reader: str, kind: type[Memory], head: int) -> Memory:
    """What a reader has kept; an empty memory if it is of another log, or of events after ``head``."""
    try:
        memory = msgspec.json.decode(orc.engine.cursors.read(reader) or "{}", type=kind)
        known = memory.event and orc.engine.event(memory.event).ts
    except (msgspec.MsgspecError, NotFound):
        return kind()
    return memory if known == memory.ts and memory.event <= head else kind()


def remember(orc: Orchestrator, reader: str, memory: ReaderMemory) -> None:
    """Keep the memory of a reader, with the time of its last event, for :func:`remembered`."""
    dated = replace(memory, ts=orc.engine.event(memory.event).ts)
    orc.engine.cursors.write(reader, msgspec.json.encode(dated).decode())
