"""The events of workstreams."""

from typing import Any

from msgspec import UNSET, UnsetType

from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.state import State
from orchestrator.domain.workstreams.records import Workstream


class WorkstreamEvent(Event):
    """An event of one workstream."""

    workstream: str

    def change(self, state: State, record: Recorded, **changes: Any) -> None:
        """Change the record of the workstream."""
        state.workstreams.change(self.workstream, **changes, updated_at=record.ts)


@event("workstream.created")
class WorkstreamCreated(WorkstreamEvent):
    """A workstream was created."""

    description: str = ""
    priority: int = 5
    prefix: str = ""

    def apply(self, state: State, record: Recorded) -> None:
        state.workstreams[self.workstream] = Workstream(
            name=self.workstream,
            description=self.description,
            priority=self.priority,
            prefix=self.prefix,
            status="active",
            created_at=record.ts,
            updated_at=record.ts,
            created_by=record.agent,
        )
        state.tasks.counts[self.workstream] = {}


@event("workstream.imported")
class WorkstreamImported(Event):
    """A workstream came from another system, with its times."""

    record: Workstream

    def apply(self, state: State, record: Recorded) -> None:
        state.workstreams[self.record.name] = self.record
        state.tasks.counts[self.record.name] = {}


@event("workstream.edited")
class WorkstreamEdited(WorkstreamEvent):
    """The description, the priority or the prefix changed; a field that is not set did not."""

    description: str | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    prefix: str | UnsetType = UNSET

    def apply(self, state: State, record: Recorded) -> None:
        facts = ("description", "priority", "prefix")
        given = {name: getattr(self, name) for name in facts}
        changes = {name: value for name, value in given.items() if value is not UNSET}
        self.change(state, record, **changes)


@event("workstream.closed")
class WorkstreamClosed(WorkstreamEvent):
    """The workstream was closed: no tasks are added or taken."""

    reason: str = ""

    def apply(self, state: State, record: Recorded) -> None:
        self.change(state, record, status="closed")


@event("workstream.reopened")
class WorkstreamReopened(WorkstreamEvent):
    """A closed workstream is active again."""

    def apply(self, state: State, record: Recorded) -> None:
        self.change(state, record, status="active")
