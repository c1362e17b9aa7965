"""What a workstream is."""

from typing import Literal

import msgspec

from orchestrator.domain.slices import MapSlice

WorkstreamStatus = Literal["active", "closed"]


class Workstream(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """A stream of work. ``status`` is active or closed; a closed one gives out no tasks."""

    name: str
    description: str = ""
    priority: int = 5
    status: WorkstreamStatus
    created_at: str
    updated_at: str
    created_by: str


class WorkstreamSlice(MapSlice[str, Workstream]):
    """The workstreams by name."""

    MAIN = "workstreams"
    workstreams: dict[str, Workstream] = {}
