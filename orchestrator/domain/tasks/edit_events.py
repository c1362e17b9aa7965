"""The events that change the facts of a task; apart from the others, for few commands need them."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from orchestrator.core.events import Recorded, event
from orchestrator.domain.state import State
from orchestrator.domain.tasks.derived import change_task, count_open, kept_back, link, unlink
from orchestrator.domain.tasks.events import UNHELD, UNSUBMITTED, TaskEvent
from orchestrator.domain.tasks.facts import FINAL, JUDGED, MOVING, TaskFacts
from orchestrator.domain.tasks.records import ENDED, HELD, Evidence, Task

_Changes: Any = msgspec.defstruct(
    "_Changes",
    [
        (name, kind | UnsetType, UNSET)
        for name, kind in TaskFacts.__annotations__.items()
        if name not in FINAL
    ],
    bases=(TaskEvent,),
    kw_only=True,
)
"""Every fact that may change, given or not."""


@event("task.edited")
class TaskEdited(_Changes):  # type: ignore[misc] # its fields are those of the facts
    """Facts of a task changed; a field that is not there did not.

    ``reason``: why what the task is judged by changed, which is evidence then. ``dropped``: open needs and
    parts, and the gate, that it does not wait for any more.
    """

    reason: str = ""
    dropped: tuple[str, ...] = ()

    def apply(self, state: State, record: Recorded) -> None:
        moves = not MOVING.isdisjoint(self.facts())
        if moves:
            unlink(state, state.tasks[self.task])
        super().apply(state, record)
        if moves:
            _link_again(state, self.task)

    def changed(self, task: Task, record: Recorded) -> Task:
        facts = self.facts()
        if self.reason and (problem := self.problem):
            facts["evidence"] = (*task.evidence, _change(problem, self.reason, record))
        return replace(task, **facts)

    def facts(self) -> dict[str, Any]:
        """The facts that changed."""
        own = ("reason", "dropped")
        return {field: value for field, value in _given(self).items() if field not in own}

    @property
    def problem(self) -> str:
        """Which facts that the task is judged by changed; empty if none did."""
        judged, dropped = sorted(JUDGED & self.facts().keys()), " and ".join(self.dropped)
        changes = (
            f"changed {' and '.join(judged)}" if judged else "",
            f"let it go without {dropped}" if dropped else "",
        )
        return ", ".join(filter(None, changes))


def _given(event: msgspec.Struct) -> dict[str, Any]:
    """Return the fields that an event gives, without the id of its task."""
    values = ((field, getattr(event, field)) for field in event.__struct_fields__[1:])
    return {field: value for field, value in values if value is not UNSET}


def _link_again(state: State, task_id: str) -> None:
    """Enter a task that was unlinked under what it waits for now."""
    task = state.tasks[task_id]
    link(state, task)
    open_needs = count_open(state, task)
    change_task(state, task, replace(kept_back(state, task), open_needs=open_needs))


REIMPORTED = (
    *(
        field
        for field in TaskFacts.__struct_fields__
        if field not in ("id", "workstream", "workflow", "checks")
    ),
    "status", "assigned_to", "lease", "lease_until", "result", "reason", "notes", "created_by",
    "ended_at",
)  # fmt: skip
"""What an import changes of a task that is on the board."""

_Reimported: Any = msgspec.defstruct(
    "_Reimported",
    [
        (name, kind | UnsetType, UNSET)
        for name, kind in (TaskFacts.__annotations__ | Task.__annotations__).items()
        if name in (*REIMPORTED, "updated_at")
    ],
    bases=(TaskEvent,),
    kw_only=True,
)


@event("task.reimported")
class TaskReimported(_Reimported):  # type: ignore[misc] # its fields are those of a task
    """A task of the board is now as another system has it; a field that is not there did not change.

    ``source``: what it was imported from; ``why``: the reason that was given; ``holder``: who had it.
    """

    source: str = ""
    why: str = ""
    holder: str = ""

    def apply(self, state: State, record: Recorded) -> None:
        before = state.tasks[self.task]
        change_task(state, before, self.changed(before, record), record)
        if self.updated_at is not UNSET:
            task = state.tasks[self.task]
            change_task(state, task, replace(task, updated_at=self.updated_at))
        moves = {field: value for field, value in self.facts().items() if field in MOVING}
        if moves:
            unlink(state, state.tasks[self.task])
            task = state.tasks[self.task]
            change_task(state, task, replace(task, **moves))
            _link_again(state, self.task)

    @property
    def because(self) -> str:
        """Why the task changed, as its evidence says it; empty for an event of an older version."""
        why = f": {self.why}" if self.why else ""
        return f"re-imported from {self.source}{why}" if self.source else ""

    def facts(self) -> dict[str, Any]:
        """The fields that changed."""
        own = ("source", "why", "holder")
        return {field: value for field, value in _given(self).items() if field not in own}

    def judged(self) -> list[str]:
        """What of the task is judged that changed; its end counts, too."""
        facts = self.facts()
        ended = facts.get("status") in ENDED
        return sorted(facts.keys() & {*JUDGED, "gate", *(["status"] if ended else [])})

    def changed(self, task: Task, record: Recorded) -> Task:
        changes = {field: value for field, value in self.facts().items() if field not in MOVING}
        judged = self.judged()
        if self.source and judged and (self.holder or task.attempt or "status" in judged):
            problem = f"changed {' and '.join(judged)}"
            changes["evidence"] = (*task.evidence, _change(problem, self.because, record))
        if changes.get("status", "assigned") not in HELD:
            changes |= UNHELD | {"assigned_to": changes.get("assigned_to")}
        if "status" in changes:
            changes |= UNSUBMITTED
        return replace(task, **changes)


def _change(problem: str, reason: str, record: Recorded) -> Evidence:
    return Evidence(
        kind="change", what=reason, passed=True, problem=problem, at=record.ts, agent=record.agent
    )
