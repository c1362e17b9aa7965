"""The records of permissions: what agents have asked for, and how it was answered."""

from typing import Literal, get_args

from orchestrator.domain.slices import MapSlice, Record

Behavior = Literal["allow", "deny"]

BEHAVIORS: tuple[Behavior, ...] = get_args(Behavior)

TIME = 300.0
"""Seconds in which a request can be answered; after that it is denied."""

KEPT = 100
"""How many settled requests stay in the state; the log has all of them."""


class PermissionRequest(Record, frozen=True, kw_only=True):
    """A request of an agent to use a tool once.

    Attributes:
        event: The event that has the input of the tool.
        digest: Stands for the input.
        cause: The event that started the agent; 0 if none did.
        until: When it is denied if it was not answered.
        status: ``expired``: denied because its time was over.
        taken: Whether the agent has its answer, which counts once.
    """

    id: str
    agent: str
    tool: str
    event: int
    digest: str
    cause: int = 0
    since: str
    until: str
    status: Literal["pending", "allowed", "denied", "expired"] = "pending"
    taken: bool = False
    message: str = ""
    answered_by: str = ""
    answered_at: str = ""

    def is_settled(self, now: str) -> bool:
        """Whether it can neither be answered nor have its answer taken any more."""
        return self.taken or self.until <= now

    def is_pending(self, now: str) -> bool:
        """Whether it waits for an answer."""
        return self.status == "pending" and not self.is_settled(now)


class PermissionSlice(MapSlice[str, PermissionRequest]):
    """The requests by id, oldest first."""

    MAIN, NOUN = "permissions", "permission"
    HINT = "`permission list` shows the requests that wait."
    permissions: dict[str, PermissionRequest] = {}

    def pending(self, now: str) -> list[PermissionRequest]:
        """The requests that wait for an answer, oldest first."""
        return [request for request in self.permissions.values() if request.is_pending(now)]

    def same(
        self, agent: str, tool: str, digest: str, cause: int, now: str
    ) -> PermissionRequest | None:
        """The request for the same use of a tool whose answer is still to come or to be taken."""
        for request in self.permissions.values():
            key = (request.agent, request.tool, request.digest, request.cause)
            if key == (agent, tool, digest, cause) and not request.is_settled(now):
                return request
        return None
