"""Compare the logs of two boards: what they share, what is new, and which changes are concurrent.

An event is known by its id and a digest of its content on the board that recorded it first; a copy carries
both as its origin. So an event is never copied twice, whatever way it takes.
"""

import hashlib
from collections.abc import Iterator

import msgspec

from orchestrator.core.errors import NotFound
from orchestrator.core.events import Event, Origin, Recorded, decode
from orchestrator.core.progress import ShowProgress
from orchestrator.core.store import START, Cursor, Store
from orchestrator.domain.board.events import BoardMerged
from orchestrator.domain.state import State

Subject = tuple[str, object]
"""What an event changes: a noun, and the id or name of one of its records."""

_ID_FIELDS = {
    "agent": "id",
    "convoy": "convoy",
    "decision": "number",
    "goal": "goal",
    "knowledge": "topic",
    "task": "task",
    "workstream": "workstream",
}
"""The field with the id of the subject, for each noun whose records both boards may change."""


class OtherBoard(msgspec.Struct, frozen=True):
    """The board that is merged.

    Attributes:
        name: Its folder, as it was given.
        store: Its store, which is only read.
        state: Its state.
        end: The end of its log, which the state belongs to.
    """

    name: str
    store: Store
    state: State
    end: Cursor


def mark_of(record: Recorded) -> Origin:
    """What identifies an event in the log that it was read from."""
    facts = "\0".join((str(record.id), record.ts, record.agent, record.type, ""))
    content = hashlib.blake2b(facts.encode(), digest_size=8)
    content.update(record.payload)
    return Origin(record.id, content.hexdigest())


def origin_of(record: Recorded) -> Origin:
    """What identifies an event on the board that recorded it first."""
    origin = record.origin
    return mark_of(record) if origin is None else Origin(origin.event, origin.digest)


def subject_of(record: Recorded, event: Event | None) -> Subject | None:
    """What an event changes, if both boards may change it."""
    noun, _, verb = record.type.partition(".")
    if event is None:
        return None
    if noun == "session" or verb in ("muted", "unmuted"):
        return noun, record.agent
    if verb == "list_set":
        return "list", getattr(event, "name", "")
    field = _ID_FIELDS.get(noun, "")
    known = getattr(event, "record", None)  # of what was imported or archived
    key = getattr(event, field, None) or getattr(known, "id", None) or getattr(known, "name", None)
    return (noun, key) if field and key is not None else None


class TwoLogs:
    """What this board has recorded after the shared beginning, and what the other one knows of it.

    The other log is read in its order (:meth:`incoming`). Meanwhile, ``concurrent`` answers for the event
    that was read last.

    Attributes:
        shared: The last event of the shared beginning.
    """

    def __init__(
        self, here: Store, state: State, other: OtherBoard, progress: ShowProgress
    ) -> None:
        self._here, self._other, self._progress = here, other, progress
        begin, self._begin_there = shared_ends(here, other.store)
        self.shared = begin.id
        self._ids: dict[Origin, int] = {}
        self._changes: dict[Subject, list[int]] = {}
        self._known_until = begin.id
        self._known_there: set[int] = set()
        self._known_there_until = begin.id
        for record in _records(here, begin, progress, "Reading the log"):
            self._note(record, decode(record, state.board.format_at(record.id)))

    def _note(self, record: Recorded, event: Event | None) -> None:
        if record.origin is None or not record.origin.follows:
            self._ids[origin_of(record)] = record.id
        if isinstance(event, BoardMerged) and _is_in(self._other.store, event.head):
            self._known_until = max(self._known_until, event.head.event)
        if (subject := subject_of(record, event)) is not None:
            self._changes.setdefault(subject, []).append(record.id)

    def incoming(self) -> Iterator[tuple[Recorded, int | None]]:
        """Yield the other board's events after the shared beginning, each with its id here if it is known.

        An event that was considered before without being copied has the id 0.
        """
        formats = self._other.state.board.format_at
        for record in _records(
            self._other.store,
            self._begin_there,
            self._progress,
            "Merging events",
            self._other.end,
        ):
            known = self._known(record)
            if known:
                self._known_there.add(known)
            if record.type == BoardMerged.TYPE:
                event = decode(record, formats(record.id))
                assert isinstance(event, BoardMerged)
                if _is_in(self._here, event.head):
                    self._known_there_until = max(self._known_there_until, event.head.event)
            yield record, known

    def _known(self, record: Recorded) -> int | None:
        known = self._ids.get(origin_of(record))
        if known is None:
            return 0 if record.id <= self._known_until else None
        return 0 if record.origin is not None and record.origin.follows else known

    def id_here(self, number: int) -> int | None:
        """The id here of an event of the other board that both have; None if this board does not have it."""
        if number <= self.shared:
            return number
        try:
            return self._ids.get(origin_of(self._other.store.event(number)))
        except NotFound:
            return None

    def concurrent(self, subject: Subject) -> list[int]:
        """The events of this board that changed the subject without the other board's knowledge."""
        return [
            number
            for number in self._changes.get(subject, ())
            if number > self._known_there_until and number not in self._known_there
        ]

    def change(self, subject: Subject, number: int) -> None:
        """Note an event of the merge itself, with which this board goes its own way."""
        self._changes.setdefault(subject, []).append(number)


def shared_ends(one: Store, other: Store) -> tuple[Cursor, Cursor]:
    """The end of the longest beginning that two logs share, in whole commits, as a position in each of them.

    The logs of a board and of its copy share all events up to the copy. The number of lines that are read
    hardly grows with them.
    """
    low, high = 0, min(_last_id(one), _last_id(other))
    while low < high:
        middle = (low + high + 1) // 2
        is_equal = one.line(middle)[0] == other.line(middle)[0]
        low, high = (middle, high) if is_equal else (low, middle - 1)
    while low and one.event(low).more:
        low -= 1
    return (one.line(low)[1], other.line(low)[1]) if low else (START, START)


def _last_id(store: Store) -> int:
    return next((record.id for record in store.read_backwards()), 0)


def _records(
    store: Store, after: Cursor, progress: ShowProgress, label: str, end: Cursor | None = None
) -> Iterator[Recorded]:
    """The events of a log after a position, up to an end."""
    length = end.id - after.id if end is not None else None
    records = (record for chunk in store.read(after) for record in chunk.events)
    for record in progress(records, label, length):
        if end is not None and record.id > end.id:
            return
        yield record


def _is_in(store: Store, mark: Origin) -> bool:
    try:
        return mark_of(store.event(mark.event)) == mark
    except NotFound:
        return False
