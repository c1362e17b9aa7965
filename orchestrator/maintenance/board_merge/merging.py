"""A merge while it runs: copies events of the other board, and collects what both boards say differently."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from orchestrator.core.events import Cause, Event, Recorded, RequestMark, decode, is_reserved
from orchestrator.core.printable import shortened
from orchestrator.core.transaction import Transaction
from orchestrator.domain.board.events import MergeConflict
from orchestrator.domain.state import State
from orchestrator.domain.tasks.events import TaskClaimed
from orchestrator.maintenance.board_merge.two_logs import (
    OtherBoard,
    Subject,
    TwoLogs,
    mark_of,
    origin_of,
)

LONGEST = 2000
"""The largest length of a value in a conflict, if the whole value is kept elsewhere."""

WHOLE = 4 * 1024 * 1024
"""The largest length of another value; two of them fit into a line of the log."""

_TEXTS = {
    "title", "description", "acceptance", "text", "body", "subject", "result", "reason", "comment",
    "note", "output", "digest", "what", "problem",
}  # fmt: skip
"""Fields of events with texts of agents, in which no id is replaced."""

Won = Literal["here", "there", "both"]


class MergeInProgress:
    """The merge of another board into the open transaction.

    Attributes:
        record: The event of the other board that is considered now.
        conflicts: What both boards say differently.
        left: How many events were not copied, by type.
        renamed: What has another name here, for the report.
        tasks: The id here of each task whose id there means another task here.
        numbers: The number here of each decision whose number there means another decision here.
        submissions: The number here of each submission to the merge queue that has another one there.
        lost_claims: The last claim of the other board that was not copied, by task.
        untrusted: Tasks that got commands from the other board.
    """

    def __init__(self, tx: Transaction[State], other: OtherBoard, logs: TwoLogs) -> None:
        self.tx, self.other, self.logs = tx, other, logs
        self.record: Recorded = Recorded(0, "", "", "", msgspec.Raw(b"{}"))
        self.conflicts: list[MergeConflict] = []
        self.left: dict[str, int] = {}
        self.taken = 0
        self.renamed: dict[str, str] = {}
        self.tasks: dict[str, str] = {}
        self.numbers: dict[int, int] = {}
        self.submissions: dict[int, int] = {}
        self.lost_claims: dict[str, tuple[Recorded, TaskClaimed]] = {}
        self.untrusted: dict[str, None] = {}
        self._ids: dict[int, int] = {}
        self._in_order: list[tuple[int, int]] = []
        self._commit = (0, 0)  # the first event of the current commit there, and its copy

    @property
    def state(self) -> State:
        """The state of this board with what was merged so far."""
        return self.tx.state

    def begin(self, record: Recorded) -> None:
        """Consider the next event of the other board."""
        if not self.record.more:
            self._commit = (record.id, self._next)
        self.record = record

    def recognise(self, record: Recorded, known: int) -> None:
        """Learn the names that an event which both boards have gave to a task or decision."""
        renamed: dict[str, tuple[str, dict[Any, Any]]] = {
            "task.added": ("task", self.tasks),
            "decision.added": ("number", self.numbers),
            "merge.submitted": ("number", self.submissions),
        }
        if not known or record.type not in renamed:
            return
        field, names = renamed[record.type]
        there, here = (
            msgspec.json.decode(r.payload)[field] for r in (record, self.tx.event(known))
        )
        if there != here:
            names[there] = here

    @property
    def last(self) -> Recorded:
        """The last event of the other board."""
        return self.other.store.event(self.other.end.id)

    @property
    def _next(self) -> int:
        return self.state.event + len(self.tx.events) + 1

    # Recording

    def copy(self, event: Event | None, source: Recorded | None = None) -> Recorded:
        """Record the event, with the agent and the time that it has there.

        Args:
            event: The event as it is to be recorded here; None for a type that agents define.
            source: The record there; None: the one that is considered.
        """
        is_current = source is None
        source = source or self.record
        like = replace(
            source,
            req=self._request(source),
            cause=self._cause(source.cause),
            origin=origin_of(source),
            more=False,
        )
        if event is None:
            record = self.tx.record_copy(like)
        else:
            record = self.tx.record(event, origin=like.origin, like=like)
        self._ids[source.id] = record.id
        if is_current:
            self._in_order.append((source.id, record.id))
        self.taken += 1
        return record

    def copy_own(self, record: Recorded) -> None:
        """Copy an event of a type that agents define; of a type that is reserved here, under another name."""
        if is_reserved(record.type, self.state.board.format):
            self.renamed[f"type {record.type}"] = f"type event.{record.type}"
            self.record = record = replace(
                record, type=f"event.{record.type}", origin=origin_of(record)
            )
        self.copy(None)

    def follow(self, event: Event) -> Recorded:
        """Record an event of this board that the one of the other board makes necessary."""
        return self.tx.record(event, origin=replace(origin_of(self.record), follows=True))

    def copy_if(self, event: Event, fits: bool) -> None:
        """Copy the event if it fits this board; else leave it."""
        if fits:
            self.copy(event)
        else:
            self.leave()

    def leave(self) -> None:
        """Do not copy the event: it counts only there, or has no effect here."""
        self.left[self.record.type] = self.left.get(self.record.type, 0) + 1

    def conflict(
        self, what: str, field: str, here: Any, there: Any, won: Won, kept: str = ""
    ) -> None:
        """Report what both boards say differently.

        Args:
            what: What it is about.
            field: The field, or ``claim``, ``end``, ``text``.
            here: The value of this board.
            there: The value of the other board.
            won: Which one counts.
            kept: Where the other one is kept; empty: only in this report, which then has the whole values.
        """
        most = LONGEST if kept else WHOLE
        self.conflicts.append(
            MergeConflict(
                what=what,
                field=field,
                here=shortened(as_text(here), most),
                there=shortened(as_text(there), most),
                won=won,
                kept=kept,
                event=self.record.id,
            )
        )

    def compare(self, what: str, here: object, there: object, fields: Iterable[str]) -> None:
        """Report the fields that differ and of which the value of this board stays."""
        for field in fields:
            mine, theirs = getattr(here, field), getattr(there, field)
            if mine != theirs:
                self.conflict(what, field, mine, theirs, "here")

    def _cause(self, cause: Cause | None) -> Cause | None:
        if cause is None:
            return None
        event, root = self.id_of(cause.event), self.id_of(cause.root)
        return Cause(event, cause.depth, root) if event and root else None

    def _request(self, source: Recorded) -> RequestMark | None:
        """The request that a commit answered, if it was copied as a whole and the id is not used here."""
        mark = source.req
        first, copy = self._commit
        is_whole = self._next - copy == source.id - first and self._ids.get(first) == copy
        if mark is None or mark.id in self.state.requests or not (is_whole or source.id == first):
            return None
        new_first = self._next if source.id == first else copy
        return replace(mark, first=new_first) if mark.first == first else None

    # What both boards know

    def id_of(self, number: int) -> int | None:
        """The id here of an event of the other board."""
        return self._ids.get(number) or self.logs.id_here(number)

    def settled(self) -> dict[str, tuple[int, int]]:
        """The first and last copy of the events that each agent of both boards settled on the other one."""
        spans: dict[str, tuple[int, int]] = {}
        for agent, subscriber in self.other.state.subscriptions.items():
            copies = [copy for there, copy in self._in_order if there <= subscriber.position]
            if copies and agent in self.state.subscriptions:
                spans[agent] = copies[0], copies[-1]
        return spans

    def concurrent(self, subject: Subject, *kinds: type[Event]) -> Iterator[tuple[Recorded, Any]]:
        """The events of these kinds that changed a record here without the other board's knowledge."""
        for number in self.logs.concurrent(subject):
            record = self.tx.event(number)
            event = decode(record, self.state.board.format_at(number))
            if isinstance(event, kinds):
                yield record, event

    def is_concurrent(self, subject: Subject) -> bool:
        """Whether this board changed a record without the other board's knowledge."""
        return bool(self.logs.concurrent(subject))

    def is_later_here(self, subject: Subject, kind: type[Event]) -> bool | None:
        """Whether this board made such a change later than the other board; None if it made none."""
        mine = [record for record, _ in self.concurrent(subject, kind)]
        return not self.is_older_here(mine[-1]) if mine else None

    def is_from_there(self, number: int | None) -> bool:
        """Whether an event of this board, such as a claim, is one of the other board, or of both."""
        if number is None:
            return False
        return number <= self.logs.shared or self.tx.event(number).is_copy

    def is_older_here(self, record: Recorded) -> bool:
        """Whether an event of this board is older than the one that is considered."""
        mine = (record.ts, origin_of(record).digest)
        return mine < (self.record.ts, mark_of(self.record).digest)

    def event_of(self, record: Recorded) -> Event | None:
        """The event of a record of the other board, with the ids that its tasks have here."""
        format = self.other.state.board.format_at(record.id)
        if self.tasks and is_reserved(record.type, format):
            fields = _replaced(msgspec.json.decode(record.payload), self.tasks)
            record = replace(record, payload=msgspec.Raw(msgspec.json.encode(fields)))
        return decode(record, format)


Rule = Callable[[MergeInProgress, Any], None]
"""Records what an event of the other board means here."""


def as_text(value: Any) -> str:
    """A value of a field as a text."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _replaced(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: item if key in _TEXTS else _replaced(item, names) for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_replaced(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value
