"""The state in the index: records are read when an event first needs them.

So the domain folds new events onto the few records that they change, at the same cost on every board, and the
records that it puts are the changes.
"""

import sqlite3
from collections.abc import Iterator, MutableMapping
from typing import Any, NamedTuple, get_args, get_origin

import msgspec

from orchestrator.domain.mail.records import Mailbox, Receipt
from orchestrator.domain.state import State

_BOXES = ("new", "unread", "read")
_UNKEPT = ("event", "requests")
"""Fields of the state that folding in the index does not need."""

Key = Any
encode = msgspec.json.encode


class Changed(NamedTuple):
    """A record that was put: its key, its value, and its earlier value; None: it is new."""

    key: Key
    value: Any
    before: Any


class StoredMap(MutableMapping[Any, Any]):
    """A map of the state whose records are read from the index on first use.

    Args:
        database: The index.
        kind: The name of its records in the index.
        type: The type of a value.
    """

    def __init__(self, database: sqlite3.Connection, kind: str, type: Any) -> None:
        self.kind = kind
        self._database = database
        self._decode = msgspec.json.Decoder(type).decode
        self._changes_in_place = get_origin(type) in (list, dict)
        self._records: dict[Key, Any] = {}
        self._stored: dict[Key, Any] = {}
        self._put: set[Key] = set()
        self._gone: set[Key] = set()
        self._is_whole = False

    # What changed

    def changed(self) -> Iterator[Changed]:
        """The records that were put or changed in place."""
        for key, value in self._records.items():
            before = self._stored.get(key)
            if self._changes_in_place and before is not None:
                before = self._decode(before)
                if before != value:
                    yield Changed(key, value, before)
            elif key in self._put:
                yield Changed(key, value, before)

    def before(self, key: Key) -> Any:
        """The earlier value of a record of a kind that is replaced; None: it is new."""
        return self._stored.get(key)

    def gone(self) -> list[Key]:
        """The keys of the records that were removed and not put again."""
        return [*self._gone]

    # The methods of a map

    def __getitem__(self, key: Key) -> Any:
        if key in self:
            return self._records[key]
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        if key in self._records:
            return True
        if self._is_whole or key in self._gone:
            return False
        statement = "SELECT value FROM _records WHERE kind = ? AND key = ?"
        row = self._database.execute(statement, (self.kind, key)).fetchone()
        if row is not None:
            self._keep(key, row[0])
        return row is not None

    def __bool__(self) -> bool:
        if self._records or self._is_whole:
            return bool(self._records)
        rows = self._database.execute(
            "SELECT key FROM _records WHERE kind = ? LIMIT ?", (self.kind, len(self._gone) + 1)
        )
        return any(key not in self._gone for (key,) in rows.fetchall())

    def __len__(self) -> int:
        return len(self._whole())

    def __iter__(self) -> Iterator[Key]:
        return iter(self._whole())

    def __setitem__(self, key: Key, value: Any) -> None:
        if key not in self:  # which reads what it was before
            self._gone.discard(key)
        self._put.add(key)
        self._records[key] = value

    def __delitem__(self, key: Key) -> None:
        if key not in self:
            raise KeyError(key)
        del self._records[key]
        self._put.discard(key)
        self._gone.add(key)

    def _keep(self, key: Key, data: bytes) -> None:
        value = self._decode(data)
        self._stored[key] = data if self._changes_in_place else value
        self._records[key] = value

    def _whole(self) -> dict[Key, Any]:
        """All records."""
        if not self._is_whole:
            rows = self._database.execute(
                "SELECT key, value FROM _records WHERE kind = ?", (self.kind,)
            )
            for key, data in rows:
                if key not in self._gone and key not in self._records:
                    self._keep(key, data)
            self._is_whole = True
        return self._records


class StoredMailboxes(MutableMapping[str, Mailbox]):
    """The mailboxes of the state, message by message, so that a full one costs no more than an empty one.

    Only those that an event has named are iterated over.

    Args:
        database: The index.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._boxes: dict[str, Mailbox] = {}

    def boxes(self) -> Iterator[tuple[str, str, StoredMap]]:
        """The agent, the status and the receipts of each part that was read."""
        for agent, mailbox in self._boxes.items():
            for status in _BOXES:
                yield agent, status, getattr(mailbox, status)

    def __getitem__(self, agent: str) -> Mailbox:
        if agent not in self._boxes and agent not in self:
            raise KeyError(agent)
        return self._boxes[agent]

    def __contains__(self, agent: object) -> bool:
        mailbox = self.setdefault(str(agent))
        return bool(mailbox.new or mailbox.unread or mailbox.read)

    def __len__(self) -> int:
        return len(self._boxes)

    def __iter__(self) -> Iterator[str]:
        return iter(self._boxes)

    def __setitem__(self, agent: str, mailbox: Mailbox) -> None:
        self._boxes[agent] = mailbox

    def setdefault(self, agent: str, default: Mailbox | None = None) -> Mailbox:  # noqa: ARG002
        if agent not in self._boxes:
            maps = (StoredMap(self._database, box_kind(agent, s), Receipt) for s in _BOXES)
            self._boxes[agent] = Mailbox(*maps)  # type: ignore[arg-type]
        return self._boxes[agent]

    def __delitem__(self, agent: str) -> None:
        for status in _BOXES:
            getattr(self._boxes[agent], status).clear()  # a mailbox without messages has no record

    def pop(self, agent: str, default: Any = None) -> Any:
        if agent not in self:
            return default
        taken = Mailbox(*(dict(getattr(self._boxes[agent], status)) for status in _BOXES))
        del self[agent]
        return taken


class StateChanges(NamedTuple):
    """Changes of the state: for each kind of record the put records, and the keys of removed ones.

    A receipt has the kind ``mailboxes``; its key is the agent, the status and the message.
    """

    put: dict[str, list[Changed]]
    gone: dict[str, list[Key]]


def stored_state(database: sqlite3.Connection, event: int) -> State:
    """The state after an event, with its records in the index."""
    state = State(event=event)
    for holder, name in state.holders():
        hint: Any = type(holder).__annotations__[name]
        if name in _UNKEPT:
            continue
        if name == "mailboxes":
            setattr(holder, name, StoredMailboxes(database))
        elif get_origin(hint) is dict:
            setattr(holder, name, StoredMap(database, name, get_args(hint)[1]))
        else:
            row = database.execute("SELECT value FROM _records WHERE kind = ?", (name,)).fetchone()
            setattr(holder, name, msgspec.json.decode(row[0], type=hint))
    return state


def changes_of(state: State) -> StateChanges:
    """The changes of a state of :func:`stored_state` since it was made."""
    put, gone = dict[str, list[Changed]](), dict[str, list[Key]]()
    for kind, value in _fields(state):
        if isinstance(value, StoredMailboxes):
            boxes = [*value.boxes()]
            put[kind] = [
                Changed((agent, status, c.key), c.value, c.before)
                for agent, status, receipts in boxes
                for c in receipts.changed()
            ]
            gone[kind] = [
                (agent, status, key) for agent, status, box in boxes for key in box.gone()
            ]
        elif isinstance(value, StoredMap):
            put[kind], gone[kind] = [*value.changed()], value.gone()
        else:
            put[kind], gone[kind] = [Changed("", value, None)], []
    return StateChanges(put, gone)


def everything_of(state: State) -> StateChanges:
    """All records of a state in memory, as new ones."""
    put = dict[str, list[Changed]]()
    for kind, value in _fields(state):
        if kind == "mailboxes":
            put[kind] = [
                Changed((agent, status, message), receipt, None)
                for agent, mailbox in sorted(value.items())
                for status, message, receipt in mailbox.items()
            ]
        elif isinstance(value, dict):
            put[kind] = [Changed(key, record, None) for key, record in sorted(value.items())]
        else:
            put[kind] = [Changed("", value, None)]
    return StateChanges(put, {})


def keep(database: sqlite3.Connection, changes: StateChanges) -> None:
    """Write changes to the records of the index."""
    database.executemany(
        "DELETE FROM _records WHERE kind = ? AND key = ?",
        (_place(kind, key) for kind, keys in changes.gone.items() for key in keys),
    )
    database.executemany(
        "INSERT OR REPLACE INTO _records VALUES (?, ?, ?)",
        (
            (*_place(kind, c.key), encode(c.value))
            for kind, put in sorted(changes.put.items())
            for c in put
        ),
    )


def box_kind(agent: str, status: str) -> str:
    """The key in the index for the receipts of one status in one mailbox."""
    return f"mailbox {status} {agent}"


def _place(kind: str, key: Key) -> tuple[str, Key]:
    if kind == "mailboxes":
        agent, status, message = key
        return box_kind(agent, status), message
    return kind, key


def _fields(state: State) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in state.fields().items() if name not in _UNKEPT)
