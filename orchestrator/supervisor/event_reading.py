"""Read the log for subscribers: runners and notifiers use it, and keep a memory for the next process."""

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
        position: The subscriber has settled every event up to this one; ``pending`` begins after it.
        pending: The events for the subscriber, up to the last event that was read.
    """

    position: int
    pending: deque[int] = msgspec.field(default_factory=deque)

    def settle(self, position: int) -> bool:
        """Move to the position of the subscriber, which another process may have changed.

        Returns:
            Whether the new position is before the old one; then the events after it must be read again.
        """
        is_back = position < self.position
        self.position = position
        if is_back:
            self.pending.clear()
        while self.pending and self.pending[0] <= position:
            self.pending.popleft()
        return is_back


class ReaderMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader keeps for the reader after it.

    Attributes:
        event: The last event that the reader had read.
        ts: The time of this event; if the log has another time for it, the log was replaced.
    """

    event: int = 0
    ts: str = ""


Waiting = TypeVar("Waiting", bound=WaitingEvents)
Memory = TypeVar("Memory", bound=ReaderMemory)


def records(orc: Orchestrator, after: int, until: int) -> Iterator[Recorded]:
    """Yield the events that follow the event ``after``, up to the event ``until``."""
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
    """Read the log once for several subscribers.

    Args:
        orc: The board.
        begins: The subscribers, each with an event; only events after it are noted for the subscriber.
        until: The last event that is read.
        note: Called with a subscriber and an event; keeps the event if the subscriber wants it.
    """
    begins = [*begins]
    for record in records(orc, min((begin for _, begin in begins), default=until), until):
        for waiting, begin in begins:
            if record.id > begin:
                note(waiting, record)


def remembered(orc: Orchestrator, reader: str, kind: type[Memory], head: int) -> Memory:
    """The memory of the reader before; an empty one if it is of another log, or has events after ``head``."""
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
