"""The events of permissions; the first two are those of busytown."""

import hashlib
from typing import Any

import msgspec

from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.permissions.records import KEPT, Behavior, PermissionRequest
from orchestrator.domain.state import State


class PermissionEvent(Event):
    """An event of a request."""

    request_id: str


@event("permission.request")
class PermissionRequested(PermissionEvent):
    """An agent asks to use a tool."""

    agent_id: str
    tool_name: str
    tool_input: dict[str, Any]
    until: str

    def apply(self, state: State, record: Recorded) -> None:
        requests = state.permissions
        requests[self.request_id] = PermissionRequest(
            id=self.request_id,
            agent=self.agent_id,
            tool=self.tool_name,
            event=record.id,
            digest=digest_of(self.tool_input),
            cause=record.cause.event if record.cause else 0,
            since=record.ts,
            until=self.until,
        )
        settled = [request.id for request in requests.values() if request.is_settled(record.ts)]
        for request_id in settled[:-KEPT]:
            del requests[request_id]


@event("permission.response")
class PermissionAnswered(PermissionEvent):
    """A person has answered."""

    behavior: Behavior
    message: str = ""

    def apply(self, state: State, record: Recorded) -> None:
        state.permissions.change(
            self.request_id,
            status="allowed" if self.behavior == "allow" else "denied",
            message=self.message,
            answered_by=record.agent,
            answered_at=record.ts,
        )


@event("permission.taken")
class PermissionTaken(PermissionEvent):
    """The agent has the answer; it counts for no other use of the tool."""

    def apply(self, state: State, record: Recorded) -> None:
        state.permissions.change(self.request_id, taken=True)


@event("permission.expired")
class PermissionExpired(PermissionEvent):
    """The time is over without an answer: the request is denied."""

    def apply(self, state: State, record: Recorded) -> None:
        state.permissions.change(self.request_id, status="expired", taken=True)


def digest_of(tool_input: dict[str, Any]) -> str:
    """What stands for the input of a tool, whatever the order of its fields."""
    return hashlib.sha256(msgspec.json.encode(tool_input, order="sorted")).hexdigest()[:32]
