"""Remove the wisps from the events of a board for an export, because they are temporary.

An event of a wisp is replaced by an empty event, so that all others keep their ids, which are also numbers of
tokens, versions and messages.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from orchestrator.core.errors import Damage
from orchestrator.core.events import Recorded, is_reserved
from orchestrator.core.store import START
from orchestrator.core.strict_json import encode_payload
from orchestrator.domain.state import State
from orchestrator.domain.workflows.events import WorkflowBurned
from orchestrator.domain.workflows.records import Workflow
from orchestrator.domain.workflows.wisps import users_of
from orchestrator.engine import Engine

LEFT_OUT = "wisp.left_out"
"""The type of an event that replaces an event of a wisp."""

_LISTS = ("tasks", "added", "removed")
"""Fields of events that are lists of tasks."""


class EventsWithoutWisps(NamedTuple):
    """Events without those of wisps, and a remark about each wisp that stays."""

    records: Iterable[Recorded]
    remarks: list[str]


def events_without_wisps(engine: Engine) -> EventsWithoutWisps:
    """Return the events of a board without those of its current wisps.

    A wisp stays if tasks outside of it depend on it.
    """
    state = engine.read()
    stored = (record for chunk in engine.store.read(START) for record in chunk.events)
    leaving: list[Workflow] = []
    remarks = []
    for wisp in state.workflows.wisps():
        if user := next(users_of(state, wisp, burning=True), None):
            remarks.append(f"wisp {wisp.root} is included: task {user[0]} {user[1]}")
        else:
            leaving.append(wisp)
    if not leaving:
        return EventsWithoutWisps(stored, remarks)
    events = list(stored)
    records = list(_without(state, leaving, events))
    records += _burned(engine, leaving, records[-1])
    try:
        State().fold(records)
    except Damage:
        names = ", ".join(wisp.root for wisp in leaving)
        return EventsWithoutWisps(
            events, [*remarks, f"the wisps {names} are included: other tasks used them"]
        )
    return EventsWithoutWisps(records, remarks)


def _without(
    state: State, wisps: list[Workflow], records: Iterable[Recorded]
) -> Iterator[Recorded]:
    roots = {wisp.root for wisp in wisps if wisp.own_root}
    tasks = roots.union(*(state.workflows.steps.get(wisp.root, ()) for wisp in wisps))
    for record in records:
        if not is_reserved(record.type, state.board.format):
            yield record
            continue
        payload: dict[str, Any] = msgspec.json.decode(record.payload)
        noun = record.type.partition(".")[0]
        is_of_task = noun == "task" and payload.get("task") in tasks
        if is_of_task or (noun == "workflow" and payload["workflow"] in roots):
            yield replace(record, type=LEFT_OUT, payload=encode_payload({}), v=1, req=None)
            continue
        changed: dict[str, Any] = {
            field: [task for task in payload[field] if task not in tasks]
            for field in _LISTS
            if noun in ("task", "convoy", "goal") and field in payload
        }
        if payload.get("task") in tasks:
            changed["task"] = None
        if all(payload[field] == value for field, value in changed.items()):
            yield record
        else:
            yield replace(record, payload=encode_payload(payload | changed))


def _burned(engine: Engine, wisps: list[Workflow], last: Recorded) -> Iterator[Recorded]:
    """Yield events that make roots ordinary tasks again, if they existed before their wisps."""
    roots = [wisp.root for wisp in wisps if not wisp.own_root]
    for number, root in enumerate(roots, start=last.id + 1):
        payload = encode_payload(WorkflowBurned(workflow=root, steps=()))
        more = number < last.id + len(roots)
        yield Recorded(number, engine.now(), engine.agent, WorkflowBurned.TYPE, payload, more=more)
