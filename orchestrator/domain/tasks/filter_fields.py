"""The facts that tasks are filtered by, derived from the declarations of what a task is.

Each fact that callers may give, each other field of the record, and what the board says of a task now.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Literal

import msgspec

from orchestrator.domain.state import State
from orchestrator.domain.tasks.checks import NO_CHECKS
from orchestrator.domain.tasks.fact_values import LISTS, Kind
from orchestrator.domain.tasks.facts import KEPT, NO_FACTS
from orchestrator.domain.tasks.given_facts import FACTS, Fact
from orchestrator.domain.tasks.records import ENDED, Task
from orchestrator.domain.tasks.stages import is_offered, stage_of

Form = Literal[
    "text", "word", "task", "workstream", "status", "stage", "priority", "number", "minutes", "moment",
    "flag", "pairs",
]  # fmt: skip
"""What a fact is compared with.

A ``text`` is searched, a ``word`` compared as a whole; ``minutes`` may be written as a duration.
"""

ORDERED: tuple[Form, ...] = ("priority", "number", "minutes", "moment")
"""Forms whose values come before or after each other."""

NUMBERS: tuple[Form, ...] = ("priority", "number", "minutes")

Read = Callable[[Task], Any]


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A fact that tasks are filtered by.

    Attributes:
        name: Its name in an expression.
        form: What it is compared with.
        source: The attribute of the record, or what reads it of a task on a board at a time.
        many: Its values are several; a comparison holds if it holds for one of them.
        is_ahead: A moment that mostly lies ahead: ``3d`` counts on from now, and back for others.
        key: The key of a pair.
    """

    name: str
    form: Form
    source: str | Callable[[Task, State, str], Any]
    many: bool = False
    is_ahead: bool = False
    key: str = ""

    def reader(self, state: State, now: str) -> Read:
        """Return what reads the value of a task."""
        source = self.source
        if isinstance(source, str):
            return attrgetter(source)
        return lambda task: source(task, state, now)


_FORMS: dict[Kind, Form] = {
    "text": "text",
    "word": "word",
    "task": "task",
    "time": "moment",
    "integer": "priority",
    "minutes": "minutes",
    "words": "word",
    "tasks": "task",
    "lines": "word",
    "pairs": "pairs",
    "flag": "flag",
}
"""What facts are compared with, by the form in which callers give them."""


def _given(name: str, fact: Fact) -> Field:
    source: Any = fact.field or name
    if source == "checks":

        def source(task: Task, _state: State, _now: str) -> Any:
            return getattr(task.checks or NO_CHECKS, name)

    elif source == "gate":

        def source(task: Task, _state: State, _now: str) -> Any:
            return f"{task.gate.how}:{task.gate.of}" if task.gate else ""

    is_line = name in KEPT and not KEPT[name].is_long
    return Field(
        name=name,
        form="word" if fact.kind == "text" and is_line else _FORMS[fact.kind],
        source=source,
        many=fact.kind in LISTS,
        is_ahead=fact.kind == "time",
    )


def _kept(name: str) -> Field:
    is_flag = isinstance(getattr(NO_FACTS, name), bool)
    return Field(name=name, form="flag" if is_flag else "word", source=name)


def _is_overdue(task: Task, _state: State, now: str) -> bool:
    return task.due != "" and task.due <= now and task.status not in ENDED


_STANDING = (
    Field(name="workstream", form="workstream", source="workstream"),
    Field(name="status", form="status", source="status"),
    Field(name="stage", form="stage", source=lambda task, state, now: stage_of(state, task, now)),
    Field(name="open", form="flag", source=lambda task, _state, _now: task.status not in ENDED),
    Field(name="ready", form="flag", source=lambda task, state, now: is_offered(state, task, now)),
    Field(name="overdue", form="flag", source=_is_overdue),
    Field(name="agent", form="word", source="assigned_to"),
    Field(name="given_to", form="word", source="assignee"),
    Field(name="attempt", form="number", source="attempt"),
    Field(name="failures", form="number", source="failures"),
    Field(name="reviewer", form="word", source="reviewer"),
    Field(name="result", form="text", source="result"),
    Field(name="reason", form="text", source="reason"),
    Field(
        name="notes",
        form="text",
        source=lambda task, _state, _now: [note.text for note in task.notes],
        many=True,
    ),
    Field(name="creator", form="word", source="created_by"),
    Field(name="created", form="moment", source="created_at"),
    Field(name="updated", form="moment", source="updated_at"),
    Field(name="claimed", form="moment", source="claimed_at"),
    Field(name="ended", form="moment", source="ended_at"),
    Field(name="lease_until", form="moment", source="lease_until", is_ahead=True),
    Field(name="event", form="number", source=lambda task, _state, _now: task.events[-1]),
)
"""How a task stands, beside its facts. ``event`` is the last one that changed it."""

FIELDS: dict[str, Field] = {
    field.name: field
    for field in (
        *(_kept(name) for name in ("id", "milestone", "until", "workflow")),
        *(_given(name, fact) for name, fact in FACTS.items() if fact.kind in _FORMS),
        *_STANDING,
    )
}
"""Every fact that tasks are filtered by, by name."""

NAMES: dict[str, str] = {
    **{fact.singular: name for name, fact in FACTS.items() if fact.singular and name in FIELDS},
    **{
        fact.field: name
        for name, fact in FACTS.items()
        if fact.field in KEPT and fact.field != "checks"
    },
    **dict.fromkeys(("assigned_to", "assignee", "owner"), "agent"),
    **dict.fromkeys(("closed", "closed_at", "ended_at"), "ended"),
    **dict.fromkeys(("claimed_at", "started", "started_at"), "claimed"),
    "created_at": "created",
    "created_by": "creator",
    "updated_at": "updated",
    "desc": "description",
    "issue_type": "type",
    "spec": "external_ref",
    "spec_id": "external_ref",
    "need": "needs",
    "note": "notes",
    "project": "workstream",
    "ws": "workstream",
}
"""Other names of facts: those of records here, and those of other tools."""

PAIRS = ("meta.", "metadata.")
"""What stands before the key of a pair: ``meta.team``."""


def field_of(name: str) -> Field | None:
    """Return the field of a name, which may be ``meta.KEY``; None if there is none."""
    for prefix in PAIRS:
        if name.startswith(prefix) and (key := name.removeprefix(prefix)):
            return pair_field(key)
    return FIELDS.get(name) or FIELDS.get(NAMES.get(name, ""))


def pair_field(key: str) -> Field:
    """Return the field of one of the facts of ``meta``."""
    return Field(
        name=f"meta.{key}",
        form="word",
        source=lambda task, _state, _now: task.meta.get(key),
        key=key,
    )
