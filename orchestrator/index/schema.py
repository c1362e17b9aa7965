"""The schema of the index: tables, columns and keys, each declared once; views are in :mod:`.views`.

The database, ``docs/schema.md`` and the metadata for Datasette are made from these declarations. A time is
text such as ``2026-11-21T06:13:00.123Z``, so times compare as texts; what is not known is NULL; a list or
mapping is JSON.
"""

from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

import msgspec

from orchestrator.index.views import VIEWS

Value = Callable[[Any], object]
"""Makes the value of a column of a field or a record."""

TEXT, INTEGER, REAL = "TEXT", "INTEGER", "REAL"


class TableColumn(msgspec.Struct, frozen=True):
    """A column.

    Attributes:
        name: Its name.
        about: Its contents.
        kind: Its type in SQLite.
        convert: Makes its value of the field of the same name; None: it is the field.
        value: Gets it from the record in another way.
        references: The column that it points to: ``tasks.id``.
    """

    name: str
    about: str
    kind: str = TEXT
    convert: Value | None = None
    value: Value | None = None
    references: str = ""

    @property
    def taker(self) -> Value:
        """Gets its value from a record."""
        take, convert = attrgetter(self.name), self.convert
        return self.value or (take if convert is None else lambda record: convert(take(record)))


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
        values = [column.taker for column in self.columns if column.value is not GIVEN]
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


def or_null(value: Any) -> object:
    """The value, or NULL where it is empty."""
    return value or None


def as_json(value: Any) -> object:
    """The value as JSON."""
    return _encode(value).decode()


_encode = msgspec.json.Encoder(enc_hook=str).encode

C = TableColumn

EVENTS = IndexTable(
    "events",
    "Every event of the log.",
    (
        C("id", "Its number.", INTEGER),
        C("ts", "When it was recorded."),
        C("agent", "Who acted."),
        C("type", "What happened: task.claimed."),
        C("task", "The task that it is about, if its payload names one; it may be deleted."),
        C("payload", "Its payload, as JSON."),
    ),
    ("id",),
    ("task, id WHERE task IS NOT NULL", "type, id", "agent, id"),
)
WORKSTREAMS = IndexTable(
    "workstreams",
    "A stream of work.",
    (
        C("name", "Its name."),
        C("description", "What belongs to it."),
        C("priority", "1 comes first.", INTEGER),
        C("status", "active or closed."),
        C("prefix", "What the ids of its new tasks begin with.", convert=or_null),
        C("created_at", "When it was created."),
        C("created_by", "Who created it."),
        C("updated_at", "When it was changed last."),
    ),
    ("name",),
)
TASKS = IndexTable(
    "tasks",
    "A task, archived ones included, deleted ones not. What a fact means: `orc help task`.",
    (
        C("id", "Its id."),
        C("workstream", "Its workstream.", references="workstreams.name"),
        C("title", "One line that says what is to be done."),
        C("status", "pending, assigned, in_progress, blocked, in_review, done, failed, cancelled."),
        C("type", "A word such as task, bug, feature."),
        C("priority", "1 comes first.", INTEGER),
        C("assigned_to", "Who has it, or had it when it ended."),
        C("assignee", "The agent that gets it when it is ready.", convert=or_null),
        C("created_by", "Who added it."),
        C("created_at", "When it was added."),
        C("updated_at", "When it was changed last."),
        C("claimed_at", "When it was claimed last."),
        C("ended_at", "When it ended."),
        C("due", "When it should be done.", convert=or_null),
        C("defer_until", "Not to be taken before this time.", convert=or_null),
        C("lease_until", "When its lease ends.", convert=or_null),
        C(
            "free_from",
            "From when any agent may take it; empty text: from the beginning; NULL: while nothing else"
            " changes, never.",
        ),
        C("estimate", "Minutes of work.", REAL),
        C("attempt", "How often it was claimed.", INTEGER),
        C("failures", "How often it failed.", INTEGER),
        C("parent", "The task that it is a part of.", references="tasks.id"),
        C(
            "workflow",
            "The root of the workflow that it is a step of.",
            references="workflows.root",
        ),
        C("until", "What ends its parts early, in words.", convert=or_null),
        C(
            "gate",
            "The children that it waits for: all:ID or any:ID.",
            value=lambda task: f"{task.gate.how}:{task.gate.of}" if task.gate else None,
        ),
        C("milestone", "1: it completes automatically.", INTEGER, convert=int),
        C("open_needs", "How many of its needs are not done.", INTEGER),
        C("is_clear", "1: no other task and no signal keeps it back.", INTEGER, convert=int),
        C(
            "parts",
            "How many parts it has.",
            INTEGER,
            value=lambda task: task.progress.total if task.progress else 0,
        ),
        C(
            "parts_done",
            "How many of them are done.",
            INTEGER,
            value=lambda task: task.progress.done if task.progress else 0,
        ),
        C("reviewer", "Who reviews it."),
        C("review_until", "When the lease of the review ends.", convert=or_null),
        C("description", "What is to be done."),
        C("acceptance", "What must be true when it is done."),
        C("result", "What came out."),
        C("reason", "Why it is blocked, failed or was cancelled.", convert=or_null),
        C("external_ref", "Its name in another system.", convert=or_null),
        C("labels", "Its labels.", convert=as_json),
        C("needs", "The tasks that it needs.", convert=as_json),
        C("needs_failure_of", "The tasks without whose failure it does not run.", convert=as_json),
        C("touches", "The resources that it needs while it runs.", convert=as_json),
        C("commits", "Its commits.", convert=as_json),
        C("signals", "What it waits for from outside the graph.", convert=as_json),
        C("checks", "What must be shown before it is done.", convert=as_json),
        C("meta", "Facts of your own.", convert=as_json),
        C("added", "The event that added it.", INTEGER, value=lambda task: task.events[0]),
        C(
            "changed",
            "The event that changed it last.",
            INTEGER,
            value=lambda task: task.events[-1],
        ),
        C("archived_at", "When it left the live board; NULL: it has not.", value=GIVEN),
    ),
    ("id",),
    ("workstream, status", "status, updated_at", "assigned_to, status", "parent", "workflow"),
)
LABELS = IndexTable(
    "labels",
    "A label of a task.",
    (
        C("task", "The task.", references="tasks.id"),
        C("label", "The label."),
    ),
    ("task", "label"),
    ("label",),
    rowid=False,
)
LINKS = IndexTable(
    "links",
    "A link from a task to another one.",
    (
        C("task", "The task that has the link.", references="tasks.id"),
        C(
            "kind",
            "needs, needs-failure-of, parent, waits-for; or one that never blocks, as related ...",
        ),
        C("other", "The other task; one that was deleted is not in `tasks` any more."),
    ),
    ("task", "kind", "other"),
    ("other, kind",),
    rowid=False,
)
TRANSITIONS = IndexTable(
    "transitions",
    "A change of the status of a task.",
    (
        C("event", "The event that changed it.", INTEGER, references="events.id"),
        C("task", "The task; one that was deleted is not in `tasks` any more."),
        C("ts", "When."),
        C("agent", "Who."),
        C("before", "The status before; NULL: the task was added."),
        C("after", "The status after."),
        C("reason", "Why, if the event has a reason."),
    ),
    ("event", "task"),
    ("task, event", "after, ts"),
    rowid=False,
)
NOTES = IndexTable(
    "notes",
    "A note on a task.",
    (
        C("task", "The task.", references="tasks.id"),
        C("number", "Counted from 1.", INTEGER),
        C("ts", "When it was written."),
        C("agent", "Who wrote it."),
        C("text", "The note."),
    ),
    ("task", "number"),
)
EVIDENCE = IndexTable(
    "evidence",
    "What one check of a task showed last, or what a reviewer wrote.",
    (
        C("task", "The task.", value=GIVEN, references="tasks.id"),
        C("number", "Counted from 1.", INTEGER, value=GIVEN),
        C("ts", "When.", value=attrgetter("at")),
        C("agent", "Who ran or wrote it."),
        C("kind", "verify, artifact, review, force, change."),
        C("what", "The command, the path, what the reviewer wrote, or the reason."),
        C("passed", "1: it passed.", INTEGER, convert=int),
        C("problem", "Why it did not pass.", convert=or_null),
        C("status", "Exit status of a command.", INTEGER),
        C("seconds", "How long the command took.", REAL),
        C("output", "The end of what it wrote.", convert=or_null),
        C("size", "Bytes of an artifact.", INTEGER),
        C("sha256", "Digest of an artifact.", convert=or_null),
    ),
    ("task", "number"),
)
AGENTS = IndexTable(
    "agents",
    "A registered agent.",
    (
        C("id", "Its name."),
        C("type", "Its type."),
        C("status", "active or retired."),
        C("capabilities", "Types and labels of tasks that it suits.", convert=as_json),
        C("max_load", "How many tasks it may be given at once.", INTEGER),
        C("registered_at", "When it was registered."),
    ),
    ("id",),
)
ALIASES = IndexTable(
    "aliases",
    "A name that an agent had before.",
    (C("alias", "The former name."), C("agent", "The present one.")),
    ("alias",),
)
HOOKS = IndexTable(
    "hooks",
    "The task on the hook of an agent.",
    (
        C("agent", "The agent."),
        C("task", "The task.", references="tasks.id"),
    ),
    ("agent",),
)
SESSIONS = IndexTable(
    "sessions",
    "A session of an agent, past ones included.",
    (
        C("agent", "The agent."),
        C("incarnation", "Which start of the agent it is.", INTEGER),
        C("started_at", "When it started."),
        C("ended_at", "When it ended.", convert=or_null),
        C("outcome", "How it ended.", convert=or_null),
        C("subject", "One line for the next session.", convert=or_null),
        C("note", "What the next session should know.", convert=or_null),
        C("collected", "The work that the agent held at the end.", convert=as_json),
    ),
    ("agent", "incarnation"),
)
LOCKS = IndexTable(
    "locks",
    "A period in which an agent held a resource, past ones included.",
    (
        C("token", "The event by which it was acquired.", INTEGER, references="events.id"),
        C("resource", "The resource."),
        C("agent", "Who holds or held it."),
        C("shared", "1: others may share it.", INTEGER, convert=int),
        C("since", "From when."),
        C("until", "When the lease ends."),
        C("ttl", "Seconds that the lease lasts.", REAL),
        C(
            "ended_at",
            "When it was given up; NULL: not yet, but the lease may be over.",
            value=GIVEN,
        ),
        C("ended_by", "The type of the event that ended it.", value=GIVEN),
    ),
    ("token",),
    ("resource, since", "agent"),
)
LOCK_WAITERS = IndexTable(
    "lock_waiters",
    "An agent that waits for a resource.",
    (
        C("resource", "The resource."),
        C("agent", "Who waits."),
        C("until", "Until when at most."),
        C("shared", "1: it would share it.", INTEGER),
    ),
    ("resource", "agent"),
    rowid=False,
)
MESSAGES = IndexTable(
    "messages",
    "A message, archived ones included.",
    (
        C("id", "The event that sent it.", INTEGER, references="events.id"),
        C("sender", "Who sent it."),
        C("sent_at", "When."),
        C("subject", "Its subject."),
        C("body", "Its text."),
        C("priority", "urgent, high, normal, low."),
        C("kind", "note, work_assignment ..."),
        C("thread", "The first message of its thread.", INTEGER, references="messages.id"),
        C("reply_to", "The message that it answers.", INTEGER, references="messages.id"),
        C("recipients", "The addresses as they were given."),
        C("queue", "The queue that it was sent to."),
        C("pinned", "1: it stays when read messages are archived by age.", INTEGER),
        C("taken_by", "The agent that took it from its queue."),
        C("taken_at", "When."),
        C("copies", "The number of mailboxes and queues that hold it.", INTEGER),
    ),
    ("id",),
    ("sender", "thread"),
)
RECEIPTS = IndexTable(
    "receipts",
    "A message in the mailbox of an agent, archived and deleted ones included.",
    (
        C("agent", "Whose mailbox."),
        C("message", "The message.", INTEGER, references="messages.id"),
        C("status", "new, unread, read, archived, deleted."),
        C("delivered_at", "When it was delivered."),
        C("read_at", "When it was read."),
        C("acknowledged_at", "When it was acknowledged."),
    ),
    ("agent", "message"),
    ("message", "agent, status"),
    rowid=False,
)
MAILING_LISTS = IndexTable(
    "mailing_lists",
    "A member of a mailing list.",
    (C("name", "The list."), C("member", "The member.")),
    ("name", "member"),
    rowid=False,
)


def _tasks_of(noun: str) -> IndexTable:
    return IndexTable(
        f"{noun}_tasks",
        f"A task of a {noun}.",
        (
            C(noun, f"The {noun}.", references=f"{noun}s.name"),
            C("number", "Its place, counted from 1.", INTEGER),
            C("task", "The task.", references="tasks.id"),
        ),
        (noun, "number"),
        ("task",),
        rowid=False,
    )


CONVOYS = IndexTable(
    "convoys",
    "Tasks that are tracked together.",
    (
        C("name", "Its name."),
        C("description", "What it is for."),
        C("status", "open, landed, cancelled."),
        C("open_tasks", "How many of its tasks have not ended.", INTEGER),
        C("landings", "How often it landed.", INTEGER),
        C("created_at", "When it was created."),
        C("created_by", "Who created it."),
        C("started_at", "When it was started.", convert=or_null),
        C("ended_at", "When it landed or was cancelled.", convert=or_null),
        C("reason", "Why it was cancelled.", convert=or_null),
    ),
    ("name",),
)
CONVOY_TASKS = _tasks_of("convoy")
SUBMISSIONS = IndexTable(
    "submissions",
    "A branch in the merge queue, or one that was in it.",
    (
        C("number", "Counted from 1.", INTEGER),
        C("task", "Its task; it may be deleted."),
        C("convoy", "The convoy whose target this branch is.", convert=or_null),
        C("branch", "The branch."),
        C("target", "The branch that it is merged into."),
        C("commit_id", "The submitted commit.", value=attrgetter("commit")),
        C("strategy", "merge, squash, rebase."),
        C("author", "The agent that gets it back if it cannot be merged."),
        C("status", "waiting, merging, merged, returned, rejected, withdrawn."),
        C("retries", "How often it was submitted again after it was returned.", INTEGER),
        C("submitted_at", "When it was submitted last."),
        C("runner", "The runner that has it, or had it last.", convert=or_null),
        C("until", "When the claim of the runner ends.", convert=or_null),
        C("merge_commit", "The commit of the target that contains it.", convert=or_null),
        C("kind", "Why it was returned: conflict, red, invalid.", convert=or_null),
        C("reason", "Why it ended like this, or why it was released.", convert=or_null),
        C("files", "The files in conflict.", convert=as_json),
        C("ended_at", "When it ended.", convert=or_null),
        C("ended_by", "Who ended it.", convert=or_null),
    ),
    ("number",),
    ("task", "status, target"),
)
WORKFLOWS = IndexTable(
    "workflows",
    "A formula that was poured.",
    (
        C("root", "The task whose parts are its steps.", references="tasks.id"),
        C("formula", "The formula."),
        C("version", "Its version.", INTEGER),
        C("variables", "The values of its variables.", convert=as_json),
        C("ephemeral", "1: a wisp.", INTEGER, convert=int),
        C("poured_at", "When it was poured."),
        C("poured_by", "Who poured it."),
        C("ended_at", "When its root ended.", convert=or_null),
        C("steps", "The number of its steps that are work.", INTEGER, value=GIVEN),
        C("steps_done", "How many of these are done.", INTEGER, value=GIVEN),
    ),
    ("root",),
)
KNOWLEDGE = IndexTable(
    "knowledge",
    "A topic, deleted ones included.",
    (
        C("name", "Its name."),
        C("author", "Who wrote its present version."),
        C("tags", "Its tags.", convert=as_json),
        C(
            "versions",
            "How many versions it had.",
            INTEGER,
            value=lambda topic: len(topic.versions),
        ),
        C(
            "version",
            "The event with its present text.",
            INTEGER,
            value=lambda topic: topic.versions[-1],
            references="knowledge_versions.event",
        ),
        C("updated_at", "When it was changed last."),
        C("deleted", "1: it was deleted.", INTEGER, convert=int),
    ),
    ("name",),
)
KNOWLEDGE_VERSIONS = IndexTable(
    "knowledge_versions",
    "A version of a topic.",
    (
        C("event", "The event that wrote it.", INTEGER, references="events.id"),
        C("topic", "The topic.", references="knowledge.name"),
        C("ts", "When."),
        C("author", "Who."),
        C("text", "The whole text."),
    ),
    ("event",),
    ("topic, event",),
)
DECISIONS = IndexTable(
    "decisions",
    "A decision.",
    (
        C("number", "Counted from 1.", INTEGER),
        C("title", "What was decided."),
        C("status", "accepted or superseded."),
        C("text", "Context, decision, consequences."),
        C("task", "The task that it was made for; it may be deleted."),
        C(
            "superseded_by",
            "The decision that replaced it.",
            INTEGER,
            references="decisions.number",
        ),
        C("decided_at", "When."),
        C("decided_by", "Who."),
        C("path", "Its document."),
    ),
    ("number",),
)
GOALS = IndexTable(
    "goals",
    "A date with tasks that should have ended by then.",
    (
        C("name", "Its name."),
        C("description", "What is to be reached.", convert=or_null),
        C("status", "open, reached, dropped."),
        C("due", "The date."),
        C("first_due", "The date that it had first."),
        C("moves", "How often its date changed.", INTEGER, value=lambda goal: len(goal.moves)),
        C("created_at", "When it was set."),
        C("created_by", "Who set it."),
        C("ended_at", "When it was reached or dropped.", convert=or_null),
        C("ended_by", "Who ended it.", convert=or_null),
        C("reason", "Why it was dropped.", convert=or_null),
    ),
    ("name",),
)
GOAL_TASKS = _tasks_of("goal")
CYCLES = IndexTable(
    "cycles",
    "A round of plan, brief, work, collect.",
    (
        C("number", "Counted from 1.", INTEGER),
        C("event", "The event that began it.", INTEGER, references="events.id"),
        C("started_at", "When."),
        C("plan", "Its plan."),
    ),
    ("number",),
)
TEXTS = IndexTable(
    "texts",
    "A text that is searched; `words` is its full-text index.",
    (
        C("id", "The id of the row in `words`.", INTEGER),
        C("kind", "task, result, note, evidence, message, knowledge, decision, goal, event."),
        C("key", "The task, topic, or number that it belongs to."),
        C("number", "Its number among several, such as notes; else 0.", INTEGER),
        C("task", "The task that it is about."),
        C("agent", "Who wrote it."),
        C("ts", "When it was written, or its record changed."),
        C("title", "Its title; NULL if it has none."),
        C("body", "The text."),
        C("grams", "Its pairs of letters, for scripts without blanks between words."),
    ),
    ("id",),
    ("kind, key, number",),
)

TABLES = (
    EVENTS, WORKSTREAMS, TASKS, LABELS, LINKS, TRANSITIONS, NOTES, EVIDENCE, AGENTS, ALIASES, HOOKS,
    SESSIONS, LOCKS, LOCK_WAITERS, MESSAGES, RECEIPTS, MAILING_LISTS, CONVOYS, CONVOY_TASKS, SUBMISSIONS,
    WORKFLOWS, KNOWLEDGE, KNOWLEDGE_VERSIONS, DECISIONS, GOALS, GOAL_TASKS, CYCLES,
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
