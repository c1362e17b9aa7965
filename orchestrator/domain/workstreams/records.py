"""The record of a workstream."""

from typing import Literal

from orchestrator.core.errors import Refused
from orchestrator.domain.slices import MapSlice, Record

WorkstreamStatus = Literal["active", "closed"]


class Workstream(Record, frozen=True, kw_only=True):
    """A stream of work.

    Attributes:
        prefix: What the ids of its new tasks begin with, before a dash; empty: they are digits only.
        status: Active or closed; tasks of a closed workstream cannot be taken.
    """

    name: str
    description: str = ""
    priority: int = 5
    prefix: str = ""
    status: WorkstreamStatus
    created_at: str
    updated_at: str
    created_by: str


class WorkstreamSlice(MapSlice[str, Workstream]):
    """The workstreams by name."""

    MAIN, NOUN = "workstreams", "workstream"
    HINT = "`ws list` shows the workstreams; `ws create` makes one."
    workstreams: dict[str, Workstream] = {}

    def find_active(self, name: str) -> Workstream:
        """Return a workstream to which tasks can be added, and from which they can be taken.

        Raises:
            NotFound: There is none of this name.
            Refused: It is closed.
        """
        workstream = self.find(name)
        if workstream.status != "active":
            raise Refused(
                f"Workstream {name} is closed",
                code="workstream_closed",
                hint="`ws reopen` makes it active again.",
            )
        return workstream
