"""The schema of the index: tables, columns and keys, each declared once; views are in :mod:`.views`.

The database, ``docs/index.md`` and the metadata for Datasette are made from these declarations. A time is
text such as ``2026-11-21T06:13:00.123Z``, so times compare as texts; what is not known is NULL; a list or
mapping is JSON.
"""

from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

import msgspec

from orchestrator.index.views import VIEWS

Value = Callable[[Any], object]
"""Gets the value of a column from a record."""

TEXT, INTEGER, REAL = "TEXT", "INTEGER", "REAL"


class TableColumn(msgspec.Struct, frozen=True):
    """A column.

    Attributes:
        name: Its name.
        kind: Its type in SQLite.
        about: Its contents.
        value: Gets it from the record; None: the field of the same name.
        references: The column that it points to: ``tasks.id``.
    """

    name: str
    kind: str
    about: str
    value: Value | None = None
    references: str = ""


class IndexTable(msgspec.Struct, frozen=True):
    """A table.

    Attributes:
        name: Its name.
        about: The meaning of a row.
        columns: Its columns.
        key: The columns of the primary key.
        indexes: Further indexes: columns, perhaps with ``WHERE``.
        rowid: Whether rows have an id of their own beside the key.
    """

    name: str
    about: str
    columns: tuple[TableColumn, ...]
    key: tuple[str, ...]
    indexes: tuple[str, ...] = ()
    rowid: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)

    @property
    def upsert(self) -> str:
        """The statement that writes a row, or replaces the row with the same key."""
        marks = ", ".join("?" * len(self.columns))
        return f"INSERT OR REPLACE INTO {self.name} VALUES ({marks})"

    def taker(self) -> Callable[[Any], tuple[object, ...]]:
        """The row of a record: the values of its columns."""
        values = [c.value or attrgetter(c.name) for c in self.columns if c.value is not GIVEN]
        return lambda record: tuple([value(record) for value in values])

    def create(self) -> str:
        """The statement that makes the table."""
        parts = [self._declared(column) for column in self.columns]
        if self.key != (self.columns[0].name,):
            parts.append(f"PRIMARY KEY ({', '.join(self.key)})")
        body = ",\n  ".join(parts)
        return f"CREATE TABLE {self.name} (\n  {body}\n){'' if self.rowid else ' WITHOUT ROWID'}"

    def _declared(self, column: TableColumn) -> str:
        key = " PRIMARY KEY" if self.key == (column.name,) == (self.columns[0].name,) else ""
        if not column.references:
            return f"{column.name} {column.kind}{key}"
        table, _, name = column.references.partition(".")
        return f"{column.name} {column.kind}{key} REFERENCES {table}({name})"

    def create_indexes(self) -> Iterator[str]:
        """The statements that make the further indexes."""
        for number, columns in enumerate(self.indexes, start=1):
            what, _, where = columns.partition(" WHERE ")
            where = f" WHERE {where}" if where else ""
            yield f"CREATE INDEX {self.name}_{number} ON {self.name} ({what}){where}"


def GIVEN(record: Any) -> object:  # noqa: N802  it stands where a value's function stands
    """Mark a column whose value is not from the record, but from the code that writes the row."""
    raise NotImplementedError


def or_null(name: str) -> Value:
    """The field, or NULL where it is empty."""
    take = attrgetter(name)
    return lambda record: take(record) or None


def as_json(name: str) -> Value:
    """The field as JSON."""
    take, encode = attrgetter(name), msgspec.json.Encoder(enc_hook=str).encode
    return lambda record: encode(take(record)).decode()


def as_number(name: str) -> Value:
    """The field, a boolean, as 0 or 1."""
    take = attrgetter(name)
    return lambda record: int(take(record))


C = TableColumn

EVENTS = IndexTable(
    "events",
    "Every event of the log.",
    (
        C("id", INTEGER, "Its number."),
        C("ts", TEXT, "When it was recorded."),
        C("agent", TEXT, "Who acted."),
        C("type", TEXT, "What happened: task.claimed."),
        C("task", TEXT, "The task that it is about, if its payload names one; it may be deleted."),
        C("payload", TEXT, "Its payload, as JSON."),
    ),
    ("id",),
    ("task, id WHERE task IS NOT NULL", "type, id", "agent, id"),
)
WORKSTREAMS = IndexTable(
    "workstreams",
    "A stream of work.",
    (
        C("name", TEXT, "Its name."),
        C("description", TEXT, "What belongs to it."),
        C("priority", INTEGER, "1 comes first."),
        C("status", TEXT, "active or closed."),
        C("prefix", TEXT, "What the ids of its new tasks begin with.", or_null("prefix")),
        C("created_at", TEXT, "When it was created."),
        C("created_by", TEXT, "Who created it."),
        C("updated_at", TEXT, "When it was changed last."),
    ),
    ("name",),
)
TASKS = IndexTable(
    "tasks",
    "A task, archived ones included, deleted ones not. What a fact means: `orc help task`.",
    (
        C("id", TEXT, "Its id."),
        C("workstream", TEXT, "Its workstream.", references="workstreams.name"),
        C("title", TEXT, "One line that says what is to be done."),
        C(
            "status",
            TEXT,
            "pending, assigned, in_progress, blocked, in_review, done, failed, cancelled.",
        ),
        C("type", TEXT, "A word such as task, bug, feature."),
        C("priority", INTEGER, "1 comes first."),
        C("assigned_to", TEXT, "Who has it, or had it when it ended."),
        C("assignee", TEXT, "The agent that gets it when it is ready.", or_null("assignee")),
        C("created_by", TEXT, "Who added it."),
        C("created_at", TEXT, "When it was added."),
        C("updated_at", TEXT, "When it was changed last."),
        C("claimed_at", TEXT, "When it was claimed last."),
        C("ended_at", TEXT, "When it ended."),
        C("due", TEXT, "When it should be done.", or_null("due")),
        C("defer_until", TEXT, "Not to be taken before this time.", or_null("defer_until")),
        C("lease_until", TEXT, "When its lease ends.", or_null("lease_until")),
        C(
            "free_from",
            TEXT,
            "From when any agent may take it; empty text: from the beginning; NULL: while nothing else"
            " changes, never.",
        ),
        C("estimate", REAL, "Minutes of work."),
        C("attempt", INTEGER, "How often it was claimed."),
        C("failures", INTEGER, "How often it failed."),
        C("parent", TEXT, "The task that it is a part of.", references="tasks.id"),
        C(
            "workflow",
            TEXT,
            "The root of the workflow that it is a step of.",
            references="workflows.root",
        ),
        C("until", TEXT, "What ends its parts early, in words.", or_null("until")),
        C(
            "gate",
            TEXT,
            "The children that it waits for: all:ID or any:ID.",
            lambda task: f"{task.gate.how}:{task.gate.of}" if task.gate else None,
        ),
        C("milestone", INTEGER, "1: it completes by itself.", as_number("milestone")),
        C("open_needs", INTEGER, "How many of its needs are not done."),
        C(
            "is_clear",
            INTEGER,
            "1: no other task and no signal keeps it back.",
            as_number("is_clear"),
        ),
        C(
            "parts",
            INTEGER,
            "How many parts it has.",
            lambda task: task.progress.total if task.progress else 0,
        ),
        C(
            "parts_done",
            INTEGER,
            "How many of them are done.",
            lambda task: task.progress.done if task.progress else 0,
        ),
        C("reviewer", TEXT, "Who reviews it."),
        C("review_until", TEXT, "When the lease of the review ends.", or_null("review_until")),
        C("description", TEXT, "What is to be done."),
        C("acceptance", TEXT, "What must be true when it is done."),
        C("result", TEXT, "What came out."),
        C("reason", TEXT, "Why it is blocked, failed or was cancelled.", or_null("reason")),
        C("external_ref", TEXT, "Its name in another system.", or_null("external_ref")),
        C("labels", TEXT, "Its labels.", as_json("labels")),
        C("needs", TEXT, "The tasks that it needs.", as_json("needs")),
        C(
            "needs_failure_of",
            TEXT,
            "The tasks without whose failure it does not run.",
            as_json("needs_failure_of"),
        ),
        C("touches", TEXT, "The resources that it needs while it runs.", as_json("touches")),
        C("commits", TEXT, "Its commits.", as_json("commits")),
        C("signals", TEXT, "What it waits for from outside the graph.", as_json("signals")),
        C("checks", TEXT, "What must be shown before it is done.", as_json("checks")),
        C("meta", TEXT, "Facts of your own.", as_json("meta")),
        C("added", INTEGER, "The event that added it.", lambda task: task.events[0]),
        C("changed", INTEGER, "The event that changed it last.", lambda task: task.events[-1]),
        C("archived_at", TEXT, "When it left the live board; NULL: it has not.", GIVEN),
    ),
    ("id",),
    ("workstream, status", "status, updated_at", "assigned_to, status", "parent", "workflow"),
)
LABELS = IndexTable(
    "labels",
    "A label of a task.",
    (
        C("task", TEXT, "The task.", references="tasks.id"),
        C("label", TEXT, "The label."),
    ),
    ("task", "label"),
    ("label",),
    rowid=False,
)
LINKS = IndexTable(
    "links",
    "A link from a task to another one.",
    (
        C("task", TEXT, "The task that has the link.", references="tasks.id"),
        C(
            "kind",
            TEXT,
            "needs, needs-failure-of, parent, waits-for; or one that never blocks, as related ...",
        ),
        C("other", TEXT, "The other task; one that was deleted is not in `tasks` any more."),
    ),
    ("task", "kind", "other"),
    ("other, kind",),
    rowid=False,
)
TRANSITIONS = IndexTable(
    "transitions",
    "A change of the status of a task.",
    (
        C("event", INTEGER, "The event that changed it.", references="events.id"),
        C("task", TEXT, "The task; one that was deleted is not in `tasks` any more."),
        C("ts", TEXT, "When."),
        C("agent", TEXT, "Who."),
        C("before", TEXT, "The status before; NULL: the task was added."),
        C("after", TEXT, "The status after."),
        C("reason", TEXT, "Why, if the event says so."),
    ),
    ("event", "task"),
    ("task, event", "after, ts"),
    rowid=False,
)
NOTES = IndexTable(
    "notes",
    "A note on a task.",
    (
        C("task", TEXT, "The task.", references="tasks.id"),
        C("number", INTEGER, "Counted from 1."),
        C("ts", TEXT, "When it was written."),
        C("agent", TEXT, "Who wrote it."),
        C("text", TEXT, "The note."),
    ),
    ("task", "number"),
)
EVIDENCE = IndexTable(
    "evidence",
    "What one check of a task showed last, or what a reviewer wrote.",
    (
        C("task", TEXT, "The task.", GIVEN, "tasks.id"),
        C("number", INTEGER, "Counted from 1.", GIVEN),
        C("ts", TEXT, "When.", attrgetter("at")),
        C("agent", TEXT, "Who ran or wrote it."),
        C("kind", TEXT, "verify, artifact, review, force, change."),
        C("what", TEXT, "The command, the path, what the reviewer wrote, or the reason."),
        C("passed", INTEGER, "1: it passed.", as_number("passed")),
        C("problem", TEXT, "Why it did not pass.", or_null("problem")),
        C("status", INTEGER, "Exit status of a command."),
        C("seconds", REAL, "How long the command took."),
        C("output", TEXT, "The end of what it wrote.", or_null("output")),
        C("size", INTEGER, "Bytes of an artifact."),
        C("sha256", TEXT, "Digest of an artifact.", or_null("sha256")),
    ),
    ("task", "number"),
)
AGENTS = IndexTable(
    "agents",
    "A registered agent.",
    (
        C("id", TEXT, "Its name."),
        C("type", TEXT, "Its type."),
        C("status", TEXT, "active or retired."),
        C(
            "capabilities",
            TEXT,
            "Types and labels of tasks that it suits.",
            as_json("capabilities"),
        ),
        C("max_load", INTEGER, "How many tasks it may be given at once."),
        C("registered_at", TEXT, "When it was registered."),
    ),
    ("id",),
)
ALIASES = IndexTable(
    "aliases",
    "A name that an agent had before.",
    (C("alias", TEXT, "The former name."), C("agent", TEXT, "The present one.")),
    ("alias",),
)
HOOKS = IndexTable(
    "hooks",
    "The task on the hook of an agent.",
    (
        C("agent", TEXT, "The agent."),
        C("task", TEXT, "The task.", references="tasks.id"),
    ),
    ("agent",),
)
SESSIONS = IndexTable(
    "sessions",
    "A session of an agent, past ones included.",
    (
        C("agent", TEXT, "The agent."),
        C("incarnation", INTEGER, "Which start of the agent it is."),
        C("started_at", TEXT, "When it started."),
        C("ended_at", TEXT, "When it ended.", or_null("ended_at")),
        C("outcome", TEXT, "How it ended.", or_null("outcome")),
        C("subject", TEXT, "One line for the next session.", or_null("subject")),
        C("note", TEXT, "What the next session should know.", or_null("note")),
        C("collected", TEXT, "The work that the agent held at the end.", as_json("collected")),
    ),
    ("agent", "incarnation"),
)
LOCKS = IndexTable(
    "locks",
    "A period in which an agent held a resource, past ones included.",
    (
        C("token", INTEGER, "The event by which it was acquired.", references="events.id"),
        C("resource", TEXT, "The resource."),
        C("agent", TEXT, "Who holds or held it."),
        C("shared", INTEGER, "1: others may share it.", as_number("shared")),
        C("since", TEXT, "From when."),
        C("until", TEXT, "When the lease ends."),
        C("ttl", REAL, "Seconds that the lease lasts."),
        C(
            "ended_at",
            TEXT,
            "When it was given up; NULL: not yet, but the lease may be over.",
            GIVEN,
        ),
        C("ended_by", TEXT, "The type of the event that ended it.", GIVEN),
    ),
    ("token",),
    ("resource, since", "agent"),
)
LOCK_WAITERS = IndexTable(
    "lock_waiters",
    "An agent that waits for a resource.",
    (
        C("resource", TEXT, "The resource."),
        C("agent", TEXT, "Who waits."),
        C("until", TEXT, "Until when at most."),
        C("shared", INTEGER, "1: it would share it."),
    ),
    ("resource", "agent"),
    rowid=False,
)
MESSAGES = IndexTable(
    "messages",
    "A message, archived ones included.",
    (
        C("id", INTEGER, "The event that sent it.", references="events.id"),
        C("sender", TEXT, "Who sent it."),
        C("sent_at", TEXT, "When."),
        C("subject", TEXT, "Its subject."),
        C("body", TEXT, "Its text."),
        C("priority", TEXT, "urgent, high, normal, low."),
        C("kind", TEXT, "note, work_assignment ..."),
        C("thread", INTEGER, "The first message of its thread.", references="messages.id"),
        C("reply_to", INTEGER, "The message that it answers.", references="messages.id"),
        C("recipients", TEXT, "The addresses as they were given."),
        C("queue", TEXT, "The queue that it was sent to."),
        C("pinned", INTEGER, "1: it stays when read messages are archived by age."),
        C("taken_by", TEXT, "The agent that took it from its queue."),
        C("taken_at", TEXT, "When."),
        C("copies", INTEGER, "The number of mailboxes and queues that hold it."),
    ),
    ("id",),
    ("sender", "thread"),
)
RECEIPTS = IndexTable(
    "receipts",
    "A message in the mailbox of an agent, archived and deleted ones included.",
    (
        C("agent", TEXT, "Whose mailbox."),
        C("message", INTEGER, "The message.", references="messages.id"),
        C("status", TEXT, "new, unread, read, archived, deleted."),
        C("delivered_at", TEXT, "When it was delivered."),
        C("read_at", TEXT, "When it was read."),
        C("acknowledged_at", TEXT, "When it was acknowledged."),
    ),
    ("agent", "message"),
    ("message", "agent, status"),
    rowid=False,
)
MAILING_LISTS = IndexTable(
    "mailing_lists",
    "A member of a mailing list.",
    (C("name", TEXT, "The list."), C("member", TEXT, "The member.")),
    ("name", "member"),
    rowid=False,
)


def _tasks_of(noun: str) -> IndexTable:
    return IndexTable(
        f"{noun}_tasks",
        f"A task of a {noun}.",
        (
            C(noun, TEXT, f"The {noun}.", references=f"{noun}s.name"),
            C("number", INTEGER, "Its place, counted from 1."),
            C("task", TEXT, "The task.", references="tasks.id"),
        ),
        (noun, "number"),
        ("task",),
        rowid=False,
    )


CONVOYS = IndexTable(
    "convoys",
    "Tasks that are tracked together.",
    (
        C("name", TEXT, "Its name."),
        C("description", TEXT, "What it is for."),
        C("status", TEXT, "open, landed, cancelled."),
        C("open_tasks", INTEGER, "How many of its tasks have not ended."),
        C("landings", INTEGER, "How often it landed."),
        C("created_at", TEXT, "When it was created."),
        C("created_by", TEXT, "Who created it."),
        C("started_at", TEXT, "When it was started.", or_null("started_at")),
        C("ended_at", TEXT, "When it landed or was cancelled.", or_null("ended_at")),
        C("reason", TEXT, "Why it was cancelled.", or_null("reason")),
    ),
    ("name",),
)
CONVOY_TASKS = _tasks_of("convoy")
WORKFLOWS = IndexTable(
    "workflows",
    "A formula that was poured.",
    (
        C("root", TEXT, "The task whose parts are its steps.", references="tasks.id"),
        C("formula", TEXT, "The formula."),
        C("version", INTEGER, "Its version."),
        C("variables", TEXT, "The values of its variables.", as_json("variables")),
        C("ephemeral", INTEGER, "1: a wisp.", as_number("ephemeral")),
        C("poured_at", TEXT, "When it was poured."),
        C("poured_by", TEXT, "Who poured it."),
        C("ended_at", TEXT, "When its root ended.", or_null("ended_at")),
        C("steps", INTEGER, "The number of its steps that are work.", GIVEN),
        C("steps_done", INTEGER, "How many of these are done.", GIVEN),
    ),
    ("root",),
)
KNOWLEDGE = IndexTable(
    "knowledge",
    "A topic, deleted ones included.",
    (
        C("name", TEXT, "Its name."),
        C("author", TEXT, "Who wrote its present version."),
        C("tags", TEXT, "Its tags.", as_json("tags")),
        C("versions", INTEGER, "How many versions it had.", lambda topic: len(topic.versions)),
        C(
            "version",
            INTEGER,
            "The event with its present text.",
            lambda topic: topic.versions[-1],
            references="knowledge_versions.event",
        ),
        C("updated_at", TEXT, "When it was changed last."),
        C("deleted", INTEGER, "1: it was deleted.", as_number("deleted")),
    ),
    ("name",),
)
KNOWLEDGE_VERSIONS = IndexTable(
    "knowledge_versions",
    "A version of a topic.",
    (
        C("event", INTEGER, "The event that wrote it.", references="events.id"),
        C("topic", TEXT, "The topic.", references="knowledge.name"),
        C("ts", TEXT, "When."),
        C("author", TEXT, "Who."),
        C("text", TEXT, "The whole text."),
    ),
    ("event",),
    ("topic, event",),
)
DECISIONS = IndexTable(
    "decisions",
    "A decision.",
    (
        C("number", INTEGER, "Counted from 1."),
        C("title", TEXT, "What was decided."),
        C("status", TEXT, "accepted or superseded."),
        C("text", TEXT, "Context, decision, consequences."),
        C("task", TEXT, "The task that it was made for; it may be deleted."),
        C(
            "superseded_by",
            INTEGER,
            "The decision that replaced it.",
            references="decisions.number",
        ),
        C("decided_at", TEXT, "When."),
        C("decided_by", TEXT, "Who."),
        C("path", TEXT, "Its document."),
    ),
    ("number",),
)
GOALS = IndexTable(
    "goals",
    "A date with tasks that should have ended by then.",
    (
        C("name", TEXT, "Its name."),
        C("description", TEXT, "What is to be reached.", or_null("description")),
        C("status", TEXT, "open, reached, dropped."),
        C("due", TEXT, "The date."),
        C("first_due", TEXT, "The date that it had first."),
        C("moves", INTEGER, "How often its date changed.", lambda goal: len(goal.moves)),
        C("created_at", TEXT, "When it was set."),
        C("created_by", TEXT, "Who set it."),
        C("ended_at", TEXT, "When it was reached or dropped.", or_null("ended_at")),
        C("ended_by", TEXT, "Who ended it.", or_null("ended_by")),
        C("reason", TEXT, "Why it was dropped.", or_null("reason")),
    ),
    ("name",),
)
GOAL_TASKS = _tasks_of("goal")
CYCLES = IndexTable(
    "cycles",
    "A round of plan, brief, work, collect.",
    (
        C("number", INTEGER, "Counted from 1."),
        C("event", INTEGER, "The event that began it.", references="events.id"),
        C("started_at", TEXT, "When."),
        C("plan", TEXT, "Its plan."),
    ),
    ("number",),
)
TEXTS = IndexTable(
    "texts",
    "A text that is searched; `words` is its full-text index.",
    (
        C("id", INTEGER, "The id of the row in `words`."),
        C("kind", TEXT, "task, result, note, evidence, message, knowledge, decision, goal, event."),
        C("key", TEXT, "The task, topic, or number that it belongs to."),
        C("number", INTEGER, "Its number among several, such as notes; else 0."),
        C("task", TEXT, "The task that it is about."),
        C("agent", TEXT, "Who wrote it."),
        C("ts", TEXT, "When it was written, or its record changed."),
        C("title", TEXT, "Its title; NULL if it has none."),
        C("body", TEXT, "The text."),
        C("grams", TEXT, "Its pairs of letters, for scripts without blanks between words."),
    ),
    ("id",),
    ("kind, key, number",),
)

TABLES = (
    EVENTS, WORKSTREAMS, TASKS, LABELS, LINKS, TRANSITIONS, NOTES, EVIDENCE, AGENTS, ALIASES, HOOKS,
    SESSIONS, LOCKS, LOCK_WAITERS, MESSAGES, RECEIPTS, MAILING_LISTS, CONVOYS, CONVOY_TASKS, WORKFLOWS,
    KNOWLEDGE, KNOWLEDGE_VERSIONS, DECISIONS, GOALS, GOAL_TASKS, CYCLES,
)  # fmt: skip
"""The tables with data of log and state."""

OWN = (
    "CREATE TABLE _records (kind TEXT, key, value BLOB, PRIMARY KEY (kind, key)) WITHOUT ROWID",
    "CREATE TABLE _index (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
)
"""The internal tables of the index: the records of the state, and notes about the index."""

WORDS = {"words": "texts", "topic_words": "topic_texts"}
"""The full-text indexes, each with its texts: among topics a word is rare if few topics have it."""

_BLANKS = "length(all_words) - length(replace(all_words, ' ', ''))"

TOPIC_TEXTS = f"""CREATE VIEW topic_texts AS
SELECT * FROM texts WHERE kind = 'knowledge'
UNION ALL
SELECT -id, kind, key, number, NULL, NULL, NULL, NULL,
  replace(hex(zeroblob({_BLANKS})), '00', char(0xe000, 32)), NULL
FROM (SELECT *, title || ' ' || coalesce(body, '') || ' ' || coalesce(grams, '') AS all_words
  FROM texts WHERE kind = 'knowledge')"""
"""Topics, and beside each a text of equal length of a sign that is never written. A word that half of the
texts have counts nothing in FTS5, and topics are few and often about one thing: so half of them have it at
most.
"""


def words_table(name: str) -> str:
    """The statement that makes a full-text index."""
    return (
        f'CREATE VIRTUAL TABLE {name} USING fts5(title, body, grams, content="{WORDS[name]}",'
        ' content_rowid="id", tokenize="unicode61 remove_diacritics 2")'
    )


def statements(*, texts: bool = True) -> Iterator[str]:
    """The statements that make an empty database, without the further indexes."""
    yield from OWN
    for table in TABLES:
        yield table.create()
    for view in VIEWS:
        yield view.create()
    if texts:
        yield TEXTS.create()
        yield TOPIC_TEXTS
        yield from map(words_table, WORDS)


def index_statements(*, texts: bool = True) -> Iterator[str]:
    """The statements that make the further indexes; a build runs them last, which is faster."""
    for table in (*TABLES, *((TEXTS,) if texts else ())):
        yield from table.create_indexes()
