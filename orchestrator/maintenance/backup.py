"""A board in and out of other forms: the whole board as JSONL, and boards of the Node original."""

import os
from collections.abc import Iterable, Iterator
from typing import IO, Any

import jsonlines
import msgspec

from orchestrator.core import clock, names
from orchestrator.core.errors import BadInput, Damage, InputOutputError, NotFound
from orchestrator.core.events import START, Recorded, encode_payload, is_reserved
from orchestrator.core.strict_json import strict_json
from orchestrator.core.transaction import Committed, Noun, Transaction, command
from orchestrator.domain.agents.events import AgentImported
from orchestrator.domain.agents.records import Agent
from orchestrator.domain.event_log import check_type
from orchestrator.domain.knowledge.commands import join
from orchestrator.domain.knowledge.events import KnowledgeWritten
from orchestrator.domain.state import State
from orchestrator.domain.tasks import resources
from orchestrator.domain.tasks.events import TaskImported
from orchestrator.domain.tasks.records import ENDED, Task
from orchestrator.domain.tasks.verification_events import TaskDistrusted
from orchestrator.domain.validation import (
    check_priority,
    check_text,
    check_title,
)
from orchestrator.domain.workstreams.events import WorkstreamImported
from orchestrator.domain.workstreams.records import Workstream
from orchestrator.engine import Engine, not_empty
from orchestrator.stores.files import disk

_OLD_STATUSES = ("pending", "in_progress", "blocked", *ENDED)
"""What a task of the Node original can be."""

FORMAT = "orchestrator-board"
VERSION = 1


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What an import brought in, as counts."""

    workstreams: int
    tasks: int
    agents: int
    topics: int
    events: int


# The whole board as JSONL


def export_board(engine: Engine, out: IO[str]) -> int:
    """Write every event of a board as JSON lines behind a line that names the format.

    Returns:
        How many events were written.
    """
    engine.read()
    count = 0
    out.write(header_line())
    for chunk in engine.store.read(START):
        out.writelines(map(export_line, chunk.events))
        count += len(chunk.events)
    return count


def header_line() -> str:
    """The first line of an export."""
    return msgspec.json.encode({"format": FORMAT, "version": VERSION}).decode() + "\n"


def export_line(at: Recorded) -> str:
    """One event as a line of an export."""
    return msgspec.json.encode(msgspec.structs.replace(at, crc="")).decode() + "\n"


def import_board(engine: Engine, lines: IO[str], *, dry_run: bool = False) -> Imported:
    """Take over a board that :func:`export_board` wrote; the whole of it or nothing.

    The commands that its tasks must pass came with it: they do not run here until they are trusted.

    Args:
        engine: A board without any event.
        lines: The exported text.
        dry_run: Change nothing; only say what would come in.

    Raises:
        Refused: The board is not empty.
        BadInput: The text is no export, or its events do not fit together.
    """
    records = list(_records(lines))
    state = _checked(records)
    if distrust := _distrust(engine, state):
        state.fold((distrust,))
        records.append(distrust)
    if not dry_run:
        engine.take_over(records, state)
        return _imported(state, len(records))
    with engine.rehearsal():
        if engine.read().event:
            raise not_empty()
    return _imported(state, len(records))


def _distrust(engine: Engine, state: State) -> Recorded | None:
    """The event that makes the commands of a log from elsewhere inert, if there are some."""
    tasks = tuple(
        task.id for task in state.tasks.values() if task.checks is not None and task.checks.verify
    )
    if not tasks:
        return None
    event = TaskDistrusted(tasks=tasks)
    raw = encode_payload(event)
    return Recorded(state.event + 1, engine.now(), engine.agent, event.TYPE, raw, event.VERSION)


def _records(lines: IO[str]) -> Iterator[Recorded]:
    # The library reports numbers, not objects that hold NaN or a key twice: the loader below does.
    with jsonlines.Reader(lines, loads=_json_line) as reader:
        try:
            header = reader.read(type=dict)
            if header != {"format": FORMAT, "version": VERSION}:
                raise BadInput("The first line is not that of an exported board of this version")
            for number, fields in enumerate(reader, start=2):
                yield _record(number, fields)
        except EOFError:
            raise BadInput("The file is empty") from None
        except (jsonlines.InvalidLineError, UnicodeDecodeError) as error:
            raise BadInput(f"The file cannot be read: {error}") from None


def _record(number: int, fields: Any) -> Recorded:
    try:
        payload = fields.pop("payload")
        if not isinstance(payload, dict):
            raise BadInput(f"Line {number} has a payload that is no object")
        raw = msgspec.Raw(msgspec.json.encode(payload))
        return msgspec.convert({**fields, "payload": raw}, Recorded)
    except (msgspec.ValidationError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"Line {number} is no event: {error}") from None


def _checked(records: list[Recorded]) -> State:
    """The fold of the records, refused if they are not one log that this version understands."""
    state = State()
    for expected, at in enumerate(records, start=1):
        if at.id != expected:
            raise BadInput(f"Event {at.id} stands where {expected} belongs")
        _check_record(at)
        try:
            state.fold((at,))
        except Damage as damage:
            raise BadInput(damage.message, hint=damage.hint) from None
    _check_names(state)
    if not records or records[-1].more:
        raise BadInput("The export ends in the middle of a commit")
    return state


def _check_record(at: Recorded) -> None:
    names.agent(at.agent)
    clock.check(at.ts)
    if not is_reserved(at.type):
        check_type(at.type)


def _check_names(state: State) -> None:
    """Names became file names and words of commands when they were first taken in; so they do here."""
    for kind, found in (
        ("workstream", state.workstreams),
        ("task", state.tasks),
        ("task", state.tasks.archived),
        ("topic", state.knowledge),
        ("queue", state.mail.queues),
        ("mailing list", state.mail.mailing_lists),
    ):
        for text in found:
            names.name(kind, text)
    members = (member for group in state.mail.mailing_lists.values() for member in group)
    for text in (*state.agents, *state.mail.mailboxes, *members):
        names.agent(text)
    for text in state.locks:
        names.resource(text)
    _check_words(state)


def _check_words(state: State) -> None:
    """The same for what records say beside their own name."""
    _check_all("formula", *(workflow.formula for workflow in state.workflows.values()))
    for agent in state.agents.values():
        _check_all("capability", agent.type, *agent.capabilities)
    for task in state.tasks.values():
        names.agent(task.assigned_to or "system")
        names.agent(task.assignee or "system")
        _check_all("label", task.type, *task.labels)
        for touch in task.touches:
            resources.parse(touch)


def _check_all(kind: str, *words: str) -> None:
    for word in words:
        names.name(kind, word)


def _json_line(text: str | bytes) -> Any:
    return strict_json(text, depth=-1)  # the payload is what may be nested 64 levels deep


# Boards of the Node original


def _the_import(state: State, events: Committed) -> Imported:
    """What the board holds now."""
    return _imported(state, len(events))


class OpspawnImport(Noun[State], name="transfer"):
    """The command that takes over a board of the Node original, in one commit."""

    @command(_the_import)
    def opspawn(self, tx: Transaction[State], folder: str, *, agent: str | None = None) -> None:
        """Take over ``state.json``, ``events.jsonl`` and the knowledge of a folder.

        Workstreams, tasks and agents keep ids, times and results; knowledge keeps author and time of its
        header comment as frontmatter; the old log is kept as events ``opspawn.<action>`` with the
        original's agents and times. Locks and leases are not taken over: they have ended.

        Raises:
            Refused: The board is not empty.
            NotFound: The folder has no ``state.json``.
            BadInput: A file is not what the original writes.
        """
        tx.act_as(agent)
        if tx.state.event:
            raise not_empty()
        for line in _old_log(os.path.join(folder, "events.jsonl")):
            _import_old_event(tx, line)
        try:
            _import_old_state(tx, _old_state(os.path.join(folder, "state.json")))
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise BadInput(f"state.json is not what the original writes: {error!r}") from None
        for name, text in _old_knowledge(os.path.join(folder, "knowledge")):
            _import_old_topic(tx, name, text)


def import_opspawn(engine: Engine, folder: str, *, agent: str | None = None) -> Imported:
    """Take over a board of the Node original; see :meth:`OpspawnImport.opspawn`."""
    return OpspawnImport(engine).opspawn(os.path.abspath(folder), agent=agent)


def _import_old_event(tx: Transaction[State], line: dict[str, Any]) -> None:
    facts = {k: v for k, v in line.items() if k not in ("ts", "agent", "action")}
    type_name = check_type(f"opspawn.{line.get('action', 'event')}")
    who = names.agent(str(line.get("agent") or "system"))
    tx.record_custom(type_name, facts, agent=who, ts=_time(line.get("ts"), tx.now))


def _import_old_state(tx: Transaction[State], old: dict[str, Any]) -> None:
    now = tx.now
    tasks: list[Task] = []
    for name, stream in _mapping(old, "workstreams").items():
        created = _time(stream.get("created_at"), now)
        record = Workstream(
            name=names.name("workstream", name, among=tx.state.workstreams),
            description=check_text("description", str(stream.get("description") or "")),
            priority=check_priority(int(stream.get("priority", 5))),
            status="closed" if stream.get("status") == "closed" else "active",
            created_at=created,
            updated_at=created,
            created_by="system",
        )
        tx.record(WorkstreamImported(record=record))
        tasks += [_old_task(name, task, now) for task in stream.get("tasks", ())]
    # Age decides between equal priorities, and age is the order of the events.
    for task in sorted(tasks, key=lambda task: task.created_at):
        if task.id in tx.state.tasks:
            raise BadInput(f"Two tasks have the id {task.id}")
        tx.record(TaskImported(record=task))
    for id, agent in _mapping(old, "agents").items():
        record_of = Agent(
            id=names.agent(id),
            type=names.name("agent type", str(agent.get("type") or "general")),
            status="active",
            capabilities=tuple(agent.get("capabilities") or ()),
            registered_at=_time(agent.get("registered_at"), now),
        )
        tx.record(AgentImported(record=record_of))


def _old_task(workstream: str, old: dict[str, Any], now: str) -> Task:
    status = old.get("status", "pending")
    if status not in _OLD_STATUSES:
        raise BadInput(f"Task {old.get('id')!r} has the status {status!r}")
    updated = _time(old.get("updated_at"), now)
    running = status == "in_progress"
    return Task(
        id=names.name("task", str(old["id"])),
        workstream=workstream,
        title=check_title(str(old.get("title") or old["id"])),
        description=check_text("description", str(old.get("description") or "")),
        # A claim of the original has no lease: nobody holds it here, so anybody may take it up.
        status="pending" if running else status,
        type="task",
        priority=check_priority(int(old.get("priority", 5))),
        estimate=old.get("estimate") if isinstance(old.get("estimate"), (int, float)) else None,
        assigned_to=None if running else old.get("assigned_to"),
        result=old.get("result"),
        created_at=_time(old.get("created_at"), now),
        created_by="system",
        updated_at=updated,
        ended_at=updated if status in ENDED else None,
    )


def _import_old_topic(tx: Transaction[State], name: str, text: str) -> None:
    head, _, body = text.partition("\n")
    words = head.removeprefix("<!-- Updated by ").removesuffix(" -->").split(" at ")
    if head.startswith("<!-- Updated by ") and len(words) == 2:
        author, at = names.agent(words[0]), _time(words[1], tx.now)
    else:
        author, at, body = "system", tx.now, text
    topic = names.name("topic", name, among=tx.state.knowledge)
    document = join({"author": author, "updated_at": at}, body)
    tx.record(KnowledgeWritten(topic=topic, text=check_text("content", document), author=author))


def _old_state(path: str) -> dict[str, Any]:
    old = strict_json(_text(path))
    if not isinstance(old, dict):
        raise BadInput(f"{path} is no state of the original")
    return old


def _old_log(path: str) -> Iterable[dict[str, Any]]:
    try:
        text = _text(path)
    except NotFound:
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                value = strict_json(line)
            except BadInput as error:
                raise BadInput(f"{path}, line {number}: {error.message}") from None
            if not isinstance(value, dict):
                raise BadInput(f"{path}, line {number} is no object")
            yield value


def _old_knowledge(folder: str) -> Iterable[tuple[str, str]]:
    for name in disk.names_in(folder):
        if name.endswith(".md"):
            yield name.removesuffix(".md"), _text(os.path.join(folder, name))


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        raise NotFound(f"There is no {path}", code="file_not_found") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8") from None
    except OSError as error:
        raise InputOutputError(f"{path} cannot be read: {error.strerror}") from None


def _mapping(old: dict[str, Any], key: str) -> dict[str, Any]:
    found = old.get(key, {})
    if not isinstance(found, dict):
        raise BadInput(f"{key} is no object")
    return found


def _time(text: Any, otherwise: str) -> str:
    return clock.timestamp(clock.seconds(text) + 0.0001) if isinstance(text, str) else otherwise


def _imported(state: State, events: int) -> Imported:
    return Imported(
        workstreams=len(state.workstreams),
        tasks=len(state.tasks) + len(state.tasks.archived),
        agents=len(state.agents),
        topics=sum(not topic.deleted for topic in state.knowledge.values()),
        events=events,
    )
