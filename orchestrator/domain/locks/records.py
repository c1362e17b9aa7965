"""The record of a lock: its holders and waiters."""

from orchestrator.domain.slices import MapSlice, Record


class Holder(Record, frozen=True, kw_only=True):
    """A holder of a resource until a time.

    Attributes:
        token: Of the lock, or of the claim.
        ttl: The length of the lease in seconds.
        task: The running task that touches the resource; None for a lock.
    """

    agent: str
    token: int
    since: str
    until: str
    ttl: float
    shared: bool = False
    task: str | None = None


class Waiter(Record, frozen=True, kw_only=True):
    """An agent that waits for the lock until a time."""

    agent: str
    until: str
    shared: bool = False


class Lock(Record, frozen=True, kw_only=True):
    """A resource with its holders and waiters."""

    resource: str
    holders: tuple[Holder, ...] = ()
    waiting: tuple[Waiter, ...] = ()

    def holder(self, agent: str) -> Holder | None:
        """The hold of an agent; None if it has none."""
        return next((holder for holder in self.holders if holder.agent == agent), None)

    def without_ended(self, now: str) -> "Lock":
        """The lock without the leases and the waiting times that have ended."""
        return Lock(
            resource=self.resource,
            holders=tuple(h for h in self.holders if h.until > now),
            waiting=tuple(w for w in self.waiting if w.until > now),
        )


class LockSlice(MapSlice[str, Lock]):
    """The locks by resource."""

    MAIN = "locks"
    locks: dict[str, Lock] = {}

    def of(self, resource: str) -> Lock:
        """The lock of a resource; it has no holders if it is free."""
        return self.locks.get(resource) or Lock(resource=resource)
