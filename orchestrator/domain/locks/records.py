"""What a lock is: who holds it and who waits for it."""

import msgspec

from orchestrator.domain.slices import MapSlice


class Holder(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """One holder of a lock, until a time. ``ttl`` is the length of the lease in seconds."""

    agent: str
    token: int
    since: str
    until: str
    ttl: float
    shared: bool = False


class Waiter(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """An agent that waits for the lock until a time."""

    agent: str
    until: str
    shared: bool = False


class Lock(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """A resource with those who hold it and those who wait for it."""

    resource: str
    holders: tuple[Holder, ...] = ()
    waiting: tuple[Waiter, ...] = ()


class LockSlice(MapSlice[str, Lock]):
    """The locks by resource."""

    MAIN = "locks"
    locks: dict[str, Lock] = {}
