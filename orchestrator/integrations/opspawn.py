"""Boards of the Node original."""

import os
from collections.abc import Iterable
from typing import Any

from orchestrator.core import clock, files, names
from orchestrator.core.decoding import decode_text
from orchestrator.core.errors import BadInput, InputOutputError, NotFound
from orchestrator.core.events import FORMAT
from orchestrator.core.strict_json import strict_json
from orchestrator.core.transaction import Committed, Noun, Transaction, command
from orchestrator.domain.agents.events import AgentImported
from orchestrator.domain.agents.records import Agent
from orchestrator.domain.board.imported import Imported, imported
from orchestrator.domain.event_log import check_type
from orchestrator.domain.knowledge.commands import join
from orchestrator.domain.knowledge.events import KnowledgeWritten
from orchestrator.domain.state import State
from orchestrator.domain.tasks.events import TaskImported
from orchestrator.domain.tasks.records import ENDED, Task
from orchestrator.domain.validation import check_priority, check_text, check_title
from orchestrator.domain.workstreams.events import WorkstreamImported
from orchestrator.domain.workstreams.records import Workstream
from orchestrator.engine import Engine, not_empty

_STATUSES = ("pending", "in_progress", "blocked", *ENDED)


def _the_import(state: State, events: Committed) -> Imported:
    """The contents of the board after the import."""
    return imported(state, len(events))


class OpspawnImport(Noun[State], name="transfer"):
    """The command that imports a board of the Node original in a single commit."""

    @command(_the_import)
    def opspawn(self, tx: Transaction[State], folder: str, *, agent: str | None = None) -> None:
        """Import ``state.json``, ``events.jsonl`` and the knowledge of a folder.

        Workstreams, tasks and agents keep ids, times and results. Knowledge keeps the author and time of its
        header comment as frontmatter. The old log becomes events ``opspawn.<action>`` with the original's
        agents and times. Locks and leases are not imported, because they have ended.

        Raises:
            Refused: The board is not empty.
            NotFound: The folder has no ``state.json``.
            BadInput: A file is not in the format of the original.
        """
        tx.act_as(agent)
        if tx.state.event:
            raise not_empty()
        for line in _read_log(os.path.join(folder, "events.jsonl")):
            _import_event(tx, line)
        try:
            _import_state(tx, _read_state(os.path.join(folder, "state.json")))
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise BadInput(f"state.json is not what the original writes: {error!r}") from None
        for name, text in _read_knowledge(os.path.join(folder, "knowledge")):
            _import_topic(tx, name, text)


def import_opspawn(engine: Engine, folder: str, *, agent: str | None = None) -> Imported:
    """Import a board of the Node original; see :meth:`OpspawnImport.opspawn`."""
    return OpspawnImport(engine).opspawn(os.path.abspath(folder), agent=agent)


def _import_event(tx: Transaction[State], line: dict[str, Any]) -> None:
    facts = {k: v for k, v in line.items() if k not in ("ts", "agent", "action")}
    type_name = check_type(f"opspawn.{line.get('action', 'event')}", FORMAT)
    who = names.agent(str(line.get("agent") or "system"))
    tx.record_custom(type_name, facts, agent=who, ts=_time(line.get("ts"), tx.now))


def _import_state(tx: Transaction[State], old: dict[str, Any]) -> None:
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
        tasks += [_task_of(name, task, now) for task in stream.get("tasks", ())]
    # Age decides between equal priorities, and age is the order of the events.
    for task in sorted(tasks, key=lambda task: task.created_at):
        if task.id in tx.state.tasks:
            raise BadInput(f"Two tasks have the id {task.id}")
        tx.record(TaskImported(record=task))
    for id, agent in _mapping(old, "agents").items():
        registered = Agent(
            id=names.agent(id),
            type=names.name("agent type", str(agent.get("type") or "general")),
            status="active",
            capabilities=tuple(agent.get("capabilities") or ()),
            registered_at=_time(agent.get("registered_at"), now),
        )
        tx.record(AgentImported(record=registered))


def _task_of(workstream: str, old: dict[str, Any], now: str) -> Task:
    status = old.get("status", "pending")
    if status not in _STATUSES:
        raise BadInput(f"Task {old.get('id')!r} has the status {status!r}")
    updated = _time(old.get("updated_at"), now)
    running = status == "in_progress"
    return Task(
        id=names.name("task", str(old["id"])),
        workstream=workstream,
        title=check_title(str(old.get("title") or old["id"])),
        description=check_text("description", str(old.get("description") or "")),
        # A claim of the original has no lease: so the task is free here.
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


def _import_topic(tx: Transaction[State], name: str, text: str) -> None:
    head, _, body = text.partition("\n")
    words = head.removeprefix("<!-- Updated by ").removesuffix(" -->").split(" at ")
    if head.startswith("<!-- Updated by ") and len(words) == 2:
        author, written_at = names.agent(words[0]), _time(words[1], tx.now)
    else:
        author, written_at, body = "system", tx.now, text
    topic = names.name("topic", name, among=tx.state.knowledge)
    document = join({"author": author, "updated_at": written_at}, body)
    tx.record(KnowledgeWritten.of(topic, check_text("content", document), author=author))


def _read_state(path: str) -> dict[str, Any]:
    old = strict_json(_text(path))
    if not isinstance(old, dict):
        raise BadInput(f"{path} is not a state of the original")
    return old


def _read_log(path: str) -> Iterable[dict[str, Any]]:
    try:
        file = files.open_file(path, follow=True)
    except NotFound:
        return
    with file:
        for place, line in files.lines(path, file):
            try:
                value = strict_json(decode_text(line, "it"))
            except BadInput as error:
                raise BadInput(f"{path}, {place}: {error.message}") from None
            if not isinstance(value, dict):
                raise BadInput(f"{path}, {place} is not an object")
            yield value


def _read_knowledge(folder: str) -> Iterable[tuple[str, str]]:
    try:
        entries = sorted(os.listdir(folder))
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputOutputError(f"{folder} cannot be read: {error.strerror}") from None
    for name in entries:
        if name.endswith(".md"):
            yield name.removesuffix(".md"), _text(os.path.join(folder, name))


def _text(path: str) -> str:
    with files.open_file(path, follow=True) as file:
        return decode_text(files.read_whole(path, file), path)


def _mapping(old: dict[str, Any], key: str) -> dict[str, Any]:
    value = old.get(key, {})
    if not isinstance(value, dict):
        raise BadInput(f"{key} is not an object")
    return value


def _time(text: Any, otherwise: str) -> str:
    return clock.timestamp(clock.seconds(text) + 0.0001) if isinstance(text, str) else otherwise
