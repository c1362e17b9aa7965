"""Rows for the past, which only events contain: transitions, past locks and sessions, versions.

It compares the state before and after each folded event, because only the domain knows what an event
changes.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from orchestrator.core.events import Event, Recorded
from orchestrator.domain.knowledge.events import VersionEvent
from orchestrator.domain.mail.events import (
    MessageArchived,
    MessageRequeued,
    MessageSent,
    MessageTaken,
)
from orchestrator.domain.state import State
from orchestrator.domain.tasks.events import TaskArchived, TaskDeleted, TaskImported
from orchestrator.domain.tasks.records import Task
from orchestrator.index import schema, texts

Row = tuple[object, ...]
Statement = tuple[str, Row | dict[str, object]]

_session_row = schema.SESSIONS.taker()

_ADD_LOCK = (
    "INSERT OR IGNORE INTO locks (resource, agent, token, shared, since, until, ttl)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_CHANGE_LOCK = "UPDATE locks SET agent = ?, until = ?, ttl = ? WHERE token = ?"
_END_LOCK = "UPDATE locks SET ended_at = ?, ended_by = ? WHERE token = ?"
_TAKE_MESSAGE = "UPDATE messages SET taken_by = ?, taken_at = ? WHERE id = ?"

_RENAME = (
    "UPDATE OR REPLACE sessions SET agent = :new WHERE agent = :old",
    "UPDATE messages SET sender = :new WHERE sender = :old AND id < :event",
    "UPDATE messages SET taken_by = :new WHERE taken_by = :old",
    "UPDATE OR IGNORE receipts SET agent = :new WHERE agent = :old"
    " AND status IN ('archived', 'deleted')",
    "DELETE FROM receipts WHERE agent = :old AND status IN ('archived', 'deleted')",
)
_RENAME_TEXTS = (
    "UPDATE texts SET agent = :new WHERE agent = :old AND kind = 'message'"
    " AND CAST(key AS INTEGER) < :event"
)


class History:
    """Applies events to a state, and collects their rows.

    Args:
        state: The state that the events are folded onto.
        has_texts: Whether the index has texts.

    Attributes:
        rows: New rows by their table.
        statements: Changes of older rows, in order; they run after the new rows are written.
        texts: New texts.
        archived: The tasks that were archived, each with the time.
        topics: The last text of each changed topic.
    """

    def __init__(self, state: State, *, has_texts: bool) -> None:
        self._state = state
        self._has_texts = has_texts
        self.rows: dict[schema.IndexTable, list[Row]] = {}
        self.statements: list[Statement] = []
        self.texts: list[texts.SearchText] = []
        self.archived: dict[str, tuple[Task, str]] = {}
        self.topics: dict[str, str] = {}
        self._special: dict[str, Callable[[Any, Recorded], None]] = {
            "message.sent": self._send,
            "message.taken": self._take,
            "message.archived": self._archive,
            "message.deleted": self._archive,
            "message.requeued": self._requeue,
            "knowledge.written": self._version,
            "knowledge.edited": self._version,
            "cycle.planned": self._plan,
            "session.started": self._session,
            "session.ended": self._session,
            "agent.renamed": self._rename,
        }
        self.begin()

    def begin(self) -> None:
        """Drop the collected rows after they were written."""
        self.rows = {table: [] for table in schema.TABLES}
        self.statements, self.texts = [], []
        self.archived = {}
        self._events = self.rows[schema.EVENTS]
        self._transitions = self.rows[schema.TRANSITIONS]

    def apply(self, event: Event | None, record: Recorded) -> None:
        """Apply an event; see :data:`orchestrator.domain.state.Applying`."""
        type = record.type
        task = None
        if event is None:
            if self._has_texts:
                self.texts.append(texts.event_text(record))
        elif type.startswith("task."):
            task = self._task_event(event, record)
        elif type.startswith("lock."):
            self._lock_event(event, record)
        elif (special := self._special.get(type)) is not None:
            special(event, record)
        else:
            event.apply(self._state, record)
            task = getattr(event, "task", None)
        payload = bytes(record.payload).decode()
        self._events.append((record.id, record.ts, record.agent, type, task, payload))

    def _task_event(self, event: Event, record: Recorded) -> str | None:
        tasks = self._state.tasks.tasks
        if isinstance(event, (TaskImported, TaskArchived)):
            task: str | None = event.record.id
        else:
            task = getattr(event, "task", None)
        before = tasks.get(task) if task is not None else None
        event.apply(self._state, record)
        if isinstance(event, TaskDeleted):
            return task
        if isinstance(event, TaskArchived):
            self.archived[event.record.id] = event.record, record.ts
            return task
        after = tasks.get(task) if task is not None else None
        status = before.status if before is not None else None
        if after is not None and after.status != status:
            reason = getattr(event, "reason", "")
            reason = reason if isinstance(reason, str) and reason else None
            self._transitions.append(
                (record.id, task, record.ts, record.agent, status, after.status, reason)
            )
        return task

    # Locks

    def _lock_event(self, event: Event, record: Recorded) -> None:
        resource = getattr(event, "resource", "")
        before = self._state.locks.of(resource).holders
        event.apply(self._state, record)
        self._compare_locks(resource, before, record)

    def _compare_locks(self, resource: str, before: tuple[Any, ...], record: Recorded) -> None:
        held = {holder.token: holder for holder in before}
        for h in self._state.locks.of(resource).holders:
            known = held.pop(h.token, None)
            if known is None:
                row = (resource, h.agent, h.token, int(h.shared), h.since, h.until, h.ttl)
                self.statements.append((_ADD_LOCK, row))
            elif known != h:
                self.statements.append((_CHANGE_LOCK, (h.agent, h.until, h.ttl, h.token)))
        for token in held:
            self.statements.append((_END_LOCK, (record.ts, record.type, token)))

    # Mail

    def _send(self, event: MessageSent, record: Recorded) -> None:
        event.apply(self._state, record)
        row = (
            record.id,
            record.agent,
            record.ts,
            event.subject,
            event.body,
            event.priority,
            event.kind,
            event.thread or record.id,
            event.reply_to,
            msgspec.json.encode((*event.to, *event.cc)).decode(),
            event.queue or None,
            int(event.pinned),
            None,
            None,
            0,
        )
        self.rows[schema.MESSAGES].append(row)
        if self._has_texts:
            self.texts.append(texts.message_text(event, record))

    def _take(self, event: MessageTaken, record: Recorded) -> None:
        event.apply(self._state, record)
        self.statements.append((_TAKE_MESSAGE, (record.agent, record.ts, event.message)))

    def _requeue(self, event: MessageRequeued, record: Recorded) -> None:
        event.apply(self._state, record)
        self.statements.append((_TAKE_MESSAGE, (None, None, event.message)))

    def _archive(self, event: MessageArchived, record: Recorded) -> None:
        box = self._state.mail.mailboxes[record.agent]
        receipts = [(message, box.receipt(message)) for message in event.messages]
        event.apply(self._state, record)
        for message, receipt in receipts:
            times = msgspec.structs.astuple(receipt) if receipt is not None else (None, None, None)
            row = (record.agent, message, record.type.partition(".")[2], *times)
            self.statements.append((schema.RECEIPTS.upsert, row))

    # Knowledge, cycles, sessions, agents

    def _version(self, event: VersionEvent, record: Recorded) -> None:
        event.apply(self._state, record)
        self.topics[event.topic] = event.text
        row = (record.id, event.topic, record.ts, event.author, event.text)
        self.rows[schema.KNOWLEDGE_VERSIONS].append(row)

    def _plan(self, event: Any, record: Recorded) -> None:
        event.apply(self._state, record)
        plan = msgspec.json.encode(event.plan).decode()
        self.rows[schema.CYCLES].append((event.number, record.id, record.ts, plan))

    def _session(self, event: Event, record: Recorded) -> None:
        event.apply(self._state, record)
        row = _session_row(self._state.agents.sessions[record.agent])
        self.statements.append((schema.SESSIONS.upsert, row))

    def _rename(self, event: Any, record: Recorded) -> None:
        before = {lock.resource: lock.holders for lock in self._state.locks.values()}
        event.apply(self._state, record)
        for resource, holders in before.items():
            self._compare_locks(resource, holders, record)
        names: dict[str, object] = {"old": event.id, "new": event.to, "event": record.id}
        self.statements += [(statement, names) for statement in _RENAME]
        if self._has_texts:
            self.statements.append((_RENAME_TEXTS, names))
