"""Write the index: all rows in a build, and changed rows in an update."""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import Any

import msgspec

from orchestrator.core.errors import Damage
from orchestrator.core.progress import ShowProgress, no_progress
from orchestrator.core.store import START, Chunk, Store
from orchestrator.domain.state import State
from orchestrator.index import schema, texts
from orchestrator.index.history import History
from orchestrator.index.records import (
    Changed,
    Key,
    StateChanges,
    changes_of,
    everything_of,
    keep,
    stored_state,
)
from orchestrator.index.standing import VERSION, note, note_position, position_of, value_of

_AT_ONCE = 20_000
"""The number of events whose rows a build writes together."""

Row = tuple[object, ...]
Texts = list[texts.SearchText]

_take_task = schema.TASKS.taker()
_take_evidence = schema.EVIDENCE.taker()


class Writer:
    """Writes the changes of events into an index.

    Args:
        database: The index, in a transaction.
        state: The state that its events are folded onto, in memory or in the index.
        has_texts: Whether the index has texts.
        is_build: The index is empty, and its full-text index is made at the end.
    """

    def __init__(
        self, database: sqlite3.Connection, state: State, *, has_texts: bool, is_build: bool
    ) -> None:
        self._database = database
        self._state = state
        self._has_texts = has_texts
        self._is_build = is_build
        self.history = History(state, has_texts=has_texts)
        self._archived = dict[str, Any]()

    def fold(self, chunk: Chunk) -> None:
        """Fold events, and write their rows when there are many."""
        self._state.fold(chunk.events, self.history.apply)
        if len(self.history.rows[schema.EVENTS]) >= _AT_ONCE:
            self.write_history()

    def write_history(self) -> None:
        """Write the rows of the past."""
        history = self.history
        for table, rows in history.rows.items():
            self._database.executemany(table.upsert, rows)
        if history.texts:
            self._add_texts(history.texts)
        for statement, values in history.statements:
            self._database.execute(statement, values)
        self._archived |= history.archived
        history.begin()

    def write_state(self, changes: StateChanges) -> None:
        """Write the changes of the state: first removed records, then put ones."""
        put, gone = changes
        for kind, keys in gone.items():
            if keys and kind in _TABLES:
                self._remove(kind, keys)
        for kind, row_of in _SIMPLE.items():
            table = _TABLES[kind][0]
            self._database.executemany(table.upsert, (row_of(c) for c in put[kind]))
        self._write_workflows(put)
        self._write_tasks(put["tasks"])
        self._write_parts(schema.LOCK_WAITERS, "resource", put["locks"], _waiters)
        self._write_parts(schema.MAILING_LISTS, "name", put["mailing_lists"], _members)
        self._write_parts(schema.CONVOY_TASKS, "convoy", put["convoys"], _tracked)
        self._write_parts(schema.GOAL_TASKS, "goal", put["goals"], _tracked)
        self._count_copies(put["messages"], gone.get("messages", ()))
        if self._has_texts:
            self._write_topics(put["topics"])
            for kind, text_of in _WHOLE_TEXTS.items():
                self._replace_texts(
                    ([text_of(c.before)] if c.before is not None else [], [text_of(c.value)])
                    for c in put[kind]
                )

    def _remove(self, kind: str, keys: list[Key]) -> None:
        if kind == "tasks":
            keys = [key for key in keys if key not in self._archived]
            self._forget(keys)
        for table in _TABLES[kind]:
            column = "task" if table in _PARTS else table.columns[0].name
            statement = f"DELETE FROM {table.name} WHERE {column} = ?"
            values: Iterable[Row] = ((key,) for key in keys)
            if kind == "mailboxes":
                statement += " AND message = ? AND status = ?"
                values = ((agent, message, status) for agent, status, message in keys)
            self._database.executemany(statement, values)
        if kind in _POINTED_TO:
            column = _POINTED_TO[kind]
            self._database.executemany(
                f"UPDATE tasks SET {column} = NULL WHERE {column} = ?", ((key,) for key in keys)
            )
        if kind == "tasks" and self._has_texts:
            self._delete_texts(_OWN_TEXTS, ((key,) for key in keys))

    def _forget(self, tasks: Iterable[str]) -> None:
        """Delete the history of tasks that left the board without a trace; deleted tasks keep theirs."""
        deleted = self._state.tasks.deleted
        self._database.executemany(
            "DELETE FROM transitions WHERE task = ?",
            ((task,) for task in tasks if task not in deleted),
        )

    def forget_the_gone(self) -> None:
        """In a build, delete the history of every task that does not exist any more."""
        gone = "SELECT DISTINCT task FROM transitions EXCEPT SELECT id FROM tasks"
        self._forget([task for (task,) in self._database.execute(gone)])

    # Tasks

    def _write_tasks(self, put: list[Changed]) -> None:
        before = getattr(self._state.tasks.tasks, "before", _nothing)
        gone = [Changed(key, task, before(key)) for key, (task, _) in self._archived.items()]
        changed = chain(put, gone)
        parts: dict[schema.IndexTable, list[Row]] = {table: [] for table in _PARTS}
        stale: dict[schema.IndexTable, list[tuple[str]]] = {table: [] for table in _PARTS}
        words: list[tuple[Texts, Texts]] = []
        rows: list[Row] = []
        for key, task, before in changed:
            _, archived_at = self._archived.get(key, (None, None))
            rows.append((*_take_task(self._pointing_to_rows(task)), archived_at))
            for table, rows_of in _PARTS.items():
                new = [*rows_of(task)]
                old = [*rows_of(before)] if before is not None else []
                if new != old:
                    if old:
                        stale[table].append((key,))
                    parts[table] += new
            if self._has_texts:
                old_texts = [*texts.task_texts(before)] if before is not None else []
                words.append((old_texts, [*texts.task_texts(task)]))
            if len(rows) >= _AT_ONCE:
                self._flush_tasks(rows, stale, parts, words)
        self._flush_tasks(rows, stale, parts, words)

    def _pointing_to_rows(self, task: Any) -> Any:
        """The task without the parent that was deleted, and without the workflow that was ended as a wisp."""
        if task.parent is not None and task.parent in self._state.tasks.deleted:
            task = msgspec.structs.replace(task, parent=None)
        if task.workflow is not None and task.workflow not in self._state.workflows:
            task = msgspec.structs.replace(task, workflow=None)
        return task

    def _flush_tasks(
        self,
        rows: list[Row],
        stale: dict[schema.IndexTable, list[tuple[str]]],
        parts: dict[schema.IndexTable, list[Row]],
        words: list[tuple[Texts, Texts]],
    ) -> None:
        self._database.executemany(schema.TASKS.upsert, rows)
        for table, keys in stale.items():
            self._database.executemany(f"DELETE FROM {table.name} WHERE task = ?", keys)
            keys.clear()
        for table, new in parts.items():
            self._database.executemany(table.upsert, new)
            new.clear()
        if self._has_texts:
            self._replace_texts(words)
        rows.clear()
        words.clear()

    # Other records

    def _write_workflows(self, put: dict[str, list[Changed]]) -> None:
        workflows = self._state.workflows
        roots = dict.fromkeys(c.key for kind in ("workflows", "work") for c in put[kind])
        take = schema.WORKFLOWS.taker()
        rows = []
        for root in roots:
            workflow = workflows.get(root)
            if workflow is not None:
                work = workflows.work.get(root)
                rows.append((*take(workflow), work.total if work else 0, work.done if work else 0))
        self._database.executemany(schema.WORKFLOWS.upsert, rows)

    def _write_parts(
        self,
        table: schema.IndexTable,
        column: str,
        put: list[Changed],
        rows_of: Callable[[Changed], Iterator[Row]],
    ) -> None:
        known = ((c.key,) for c in put if c.before is not None)
        self._database.executemany(f"DELETE FROM {table.name} WHERE {column} = ?", known)
        self._database.executemany(table.upsert, (row for c in put for row in rows_of(c)))

    def _count_copies(self, put: list[Changed], gone: Iterable[Key]) -> None:
        self._database.executemany(
            "UPDATE messages SET copies = ? WHERE id = ?",
            chain(((c.value.copies, c.key) for c in put), ((0, key) for key in gone)),
        )

    # Texts

    def _write_topics(self, put: list[Changed]) -> None:
        for key, topic, before in put:
            text = self.history.topics.get(key)
            if text is None and not topic.deleted:
                continue  # its text did not change
            if before is not None:
                self._delete_texts("kind = 'knowledge' AND key = ?", [(key,)])
            if not topic.deleted and text is not None:
                about = {"author": topic.author, "tags": topic.tags, "updated_at": topic.updated_at}
                self._add_texts([texts.topic_text(key, text, **about)])

    def _replace_texts(
        self, changes: Iterable[tuple[list[texts.SearchText], list[texts.SearchText]]]
    ) -> None:
        gone, new = list[Row](), list[texts.SearchText]()
        for before, after in changes:
            if not before:
                new += after
                continue
            kept = set(before) & set(after)
            gone += [text[:3] for text in before if text not in kept]
            new += [text for text in after if text not in kept]
        self._delete_texts("kind = ? AND key = ? AND number = ?", gone)
        self._add_texts(new)

    def _add_texts(self, new: Iterable[texts.SearchText]) -> None:
        (first,) = self._database.execute("SELECT coalesce(max(id), 0) + 1 FROM texts").fetchone()
        rows = [
            (number, *text, texts.grams(text.title, text.body))
            for number, text in enumerate(new, start=first)
        ]
        self._database.executemany(schema.TEXTS.upsert, rows)
        if not self._is_build:
            for words, content in schema.WORDS.items():
                self._database.execute(
                    f"INSERT INTO {words} (rowid, title, body, grams)"
                    f" SELECT id, title, body, grams FROM {content} WHERE id >= ? OR id <= ?",
                    (first, -first),
                )

    def _delete_texts(self, where: str, keys: Iterable[Row]) -> None:
        for key in keys:
            for words, content in schema.WORDS.items():
                self._database.execute(
                    f"INSERT INTO {words} ({words}, rowid, title, body, grams)"
                    f" SELECT 'delete', id, title, body, grams FROM {content} WHERE {where}",
                    key,
                )
            self._database.execute(f"DELETE FROM texts WHERE {where}", key)


# Rows of records


def _labels(task: Any) -> list[Row]:
    return [(task.id, label) for label in dict.fromkeys(task.labels)]


def _links(task: Any) -> list[Row]:
    linked = [("needs", need) for need in task.needs]
    linked += [("needs-failure-of", need) for need in task.needs_failure_of]
    linked += [("parent", task.parent)] if task.parent is not None else []
    linked += [("waits-for", task.gate.of)] if task.gate is not None else []
    linked += [(link.kind, link.task) for link in task.links]
    return [(task.id, *link) for link in dict.fromkeys(linked)]


def _notes(task: Any) -> list[Row]:
    return [(task.id, n, note.at, note.agent, note.text) for n, note in enumerate(task.notes, 1)]


def _evidence(task: Any) -> list[Row]:
    return [(task.id, n, *_take_evidence(item)) for n, item in enumerate(task.evidence, 1)]


_PARTS: dict[schema.IndexTable, Callable[[Any], list[Row]]] = {
    schema.LABELS: _labels,
    schema.LINKS: _links,
    schema.NOTES: _notes,
    schema.EVIDENCE: _evidence,
}
"""The tables whose rows are parts of a task."""


def _waiters(lock: Changed) -> Iterator[Row]:
    waiting = {waiter.agent: waiter for waiter in lock.value.waiting}
    return ((lock.key, w.agent, w.until, int(w.shared)) for w in waiting.values())


def _members(members: Changed) -> Iterator[Row]:
    return ((members.key, member) for member in members.value)


def _tracked(tracking: Changed) -> Iterator[Row]:
    return ((tracking.key, n, task) for n, task in enumerate(tracking.value.tasks, 1))


def _of_value(table: schema.IndexTable) -> Callable[[Changed], Row]:
    take = table.taker()
    return lambda changed: take(changed.value)


def _pair(changed: Changed) -> Row:
    return changed.key, changed.value


def _receipt(changed: Changed) -> Row:
    agent, status, message = changed.key
    return agent, message, status, *msgspec.structs.astuple(changed.value)


_SIMPLE: dict[str, Callable[[Changed], Row]] = {
    "workstreams": _of_value(schema.WORKSTREAMS),
    "agents": _of_value(schema.AGENTS),
    "aliases": _pair,
    "hooks": _pair,
    "topics": _of_value(schema.KNOWLEDGE),
    "decisions": _of_value(schema.DECISIONS),
    "goals": _of_value(schema.GOALS),
    "convoys": _of_value(schema.CONVOYS),
    "submissions": _of_value(schema.SUBMISSIONS),
    "mailboxes": _receipt,
}
"""The kinds of records that are one row each."""

_TABLES: dict[str, tuple[schema.IndexTable, ...]] = {
    "workstreams": (schema.WORKSTREAMS,),
    "agents": (schema.AGENTS,),
    "aliases": (schema.ALIASES,),
    "hooks": (schema.HOOKS,),
    "topics": (schema.KNOWLEDGE,),
    "decisions": (schema.DECISIONS,),
    "goals": (schema.GOALS, schema.GOAL_TASKS),
    "convoys": (schema.CONVOYS, schema.CONVOY_TASKS),
    "submissions": (schema.SUBMISSIONS,),
    "mailboxes": (schema.RECEIPTS,),
    "tasks": (schema.TASKS, *_PARTS),
    "locks": (schema.LOCK_WAITERS,),
    "mailing_lists": (schema.MAILING_LISTS,),
    "workflows": (schema.WORKFLOWS,),
}
"""The tables with the rows of each kind of record."""

_WHOLE_TEXTS: dict[str, Callable[[Any], texts.SearchText]] = {
    "decisions": texts.decision_text,
    "goals": texts.goal_text,
}
"""The kinds of records that are one text each."""

_POINTED_TO = {"tasks": "parent", "workflows": "workflow"}
"""The kinds of records that a task points to, each with the column."""

_OWN_TEXTS = "kind IN ('task', 'result', 'note', 'evidence') AND key = ?"


def _nothing(_: Key) -> None:
    """The earlier value of a record, which a state in memory does not know."""


# From a log


def build(
    database: sqlite3.Connection,
    store: Store,
    *,
    has_texts: bool = True,
    show_progress: ShowProgress = no_progress,
) -> Damage | None:
    """Make an empty database the index of a whole log, in one transaction.

    Returns:
        The damage before which the reading of the log ended.
    """
    database.execute("BEGIN IMMEDIATE")
    for statement in schema.statements(texts=has_texts):
        database.execute(statement)
    state, position = State(), START
    writer = Writer(database, state, has_texts=has_texts, is_build=True)
    damage = None
    try:
        for chunk in show_progress(store.read(START), "Indexing the log"):
            writer.fold(chunk)
            position = chunk.end
    except Damage as error:
        damage = _readable_before(error)
    for finish in show_progress(
        _finishing(database, writer, state, has_texts), "Writing the index"
    ):
        finish()
    note(database, version=VERSION, build=os.urandom(8).hex(), texts=int(has_texts))
    note(database, log=store.fingerprint(position))
    note_position(database, position)
    database.execute("COMMIT")
    return damage


def _finishing(
    database: sqlite3.Connection, writer: Writer, state: State, has_texts: bool
) -> list[Callable[[], object]]:
    """The rest of a build after the log is folded, in parts of about equal time."""
    changes = everything_of(state)
    parts: list[Callable[[], object]] = [
        writer.write_history,
        partial(writer.write_state, changes),
        writer.forget_the_gone,
        partial(keep, database, changes),
    ]
    statements = [*schema.index_statements(texts=has_texts)]
    statements += [
        f"INSERT INTO {words} ({words}) VALUES ('rebuild')" for words in schema.WORDS if has_texts
    ]
    return [*parts, *(partial(database.execute, statement) for statement in statements)]


def follow(database: sqlite3.Connection, store: Store) -> Damage | None:
    """Update an index from the log, in one transaction, at the cost of the new events.

    Returns:
        The damage before which the reading of the log ended.

    Raises:
        Damage: The log does not continue at the position of the index.
    """
    database.execute("BEGIN IMMEDIATE")
    damage = None
    try:
        position = position_of(database, store.cursor_type)
        state = stored_state(database, position.id)
        writer = Writer(
            database, state, has_texts=bool(value_of(database, "texts")), is_build=False
        )
        try:
            for chunk in store.read(position):
                writer.fold(chunk)
                position = chunk.end
        except Damage as error:
            damage = _readable_before(error)
        writer.write_history()
        changes = changes_of(state)
        writer.write_state(changes)
        keep(database, changes)
        note(database, log=store.fingerprint(position, value_of(database, "log")))
        note_position(database, position)
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
    return damage


def _readable_before(damage: Damage) -> Damage:
    """Return damage before which the log can still be read, as readers of the board do; raise other."""
    if damage.code in ("newer_version", "misfit", "log_behind"):
        raise damage
    return damage
