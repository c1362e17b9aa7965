"""The events of workstreams."""

import msgspec
from msgspec import UNSET, UnsetType

from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.state import State
from orchestrator.domain.workstreams.records import Workstream, WorkstreamStatus


@event("workstream.created")
class WorkstreamCreated(Event):
    """A workstream began."""

    workstream: str
    description: str = ""
    priority: int = 5

    def apply(self, state: State, record: Recorded) -> None:
        state.workstreams[self.workstream] = Workstream(
            name=self.workstream,
            description=self.description,
            priority=self.priority,
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
class WorkstreamEdited(Event):
    """Description or priority changed; a field that is not there did not."""

    workstream: str
    description: str | UnsetType = UNSET
    priority: int | UnsetType = UNSET

    def apply(self, state: State, record: Recorded) -> None:
        old = state.workstreams[self.workstream]
        state.workstreams[self.workstream] = msgspec.structs.replace(
            old,
            description=old.description if self.description is UNSET else self.description,
            priority=old.priority if self.priority is UNSET else self.priority,
            updated_at=record.ts,
        )


@event("workstream.closed")
class WorkstreamClosed(Event):
    """No more tasks are given out or added."""

    workstream: str
    reason: str = ""

    def apply(self, state: State, record: Recorded) -> None:
        _set_status(state, self.workstream, "closed", record)


@event("workstream.reopened")
class WorkstreamReopened(Event):
    """A closed workstream is active again."""

    workstream: str

    def apply(self, state: State, record: Recorded) -> None:
        _set_status(state, self.workstream, "active", record)


def _set_status(state: State, name: str, status: WorkstreamStatus, record: Recorded) -> None:
    state.workstreams[name] = msgspec.structs.replace(
        state.workstreams[name], status=status, updated_at=record.ts
    )
