"""The events of locks."""

from typing import TypeVar

from msgspec.structs import replace

from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.locks.records import Holder, Lock, Waiter
from orchestrator.domain.state import State


@event("lock.acquired")
class LockAcquired(Event):
    """An agent holds the resource until a time; one hold an agent and resource."""

    resource: str
    until: str
    ttl: float
    shared: bool = False

    def apply(self, state: State, record: Recorded) -> None:
        lock = _without(state, self.resource, record.agent, waiting_too=True)
        mine = Holder(
            agent=record.agent,
            token=record.id,
            since=record.ts,
            until=self.until,
            ttl=self.ttl,
            shared=self.shared,
        )
        put_lock(state, replace(lock, holders=(*lock.holders, mine)))


@event("lock.renewed")
class LockRenewed(Event):
    """The holder's lease was extended; its token stays."""

    resource: str
    until: str
    ttl: float

    def apply(self, state: State, record: Recorded) -> None:
        lock = state.locks[self.resource]
        holders = tuple(
            replace(h, until=self.until, ttl=self.ttl) if h.agent == record.agent else h
            for h in lock.holders
        )
        put_lock(state, replace(lock, holders=holders))


@event("lock.released")
class LockReleased(Event):
    """A holder gave the resource back."""

    resource: str
    holder: str

    def apply(self, state: State, record: Recorded) -> None:
        put_lock(state, _without(state, self.resource, self.holder))


@event("lock.lapsed")
class LockLapsed(Event):
    """The lease of a holder ran out and somebody else wants the resource."""

    resource: str
    holder: str

    def apply(self, state: State, record: Recorded) -> None:
        put_lock(state, _without(state, self.resource, self.holder))


@event("lock.broken")
class LockBroken(Event):
    """Somebody took the resource from all who held it, and said why."""

    resource: str
    reason: str
    holders: tuple[str, ...]

    def apply(self, state: State, record: Recorded) -> None:
        put_lock(state, replace(state.locks[self.resource], holders=()))


@event("lock.awaited")
class LockAwaited(Event):
    """An agent began to wait for the resource, until a time at most."""

    resource: str
    until: str
    shared: bool = False

    def apply(self, state: State, record: Recorded) -> None:
        lock = state.locks.get(self.resource, Lock(resource=self.resource))
        others = tuple(w for w in lock.waiting if w.agent != record.agent)
        mine = Waiter(agent=record.agent, until=self.until, shared=self.shared)
        put_lock(state, replace(lock, waiting=(*others, mine)))


@event("lock.abandoned")
class LockAbandoned(Event):
    """An agent waits no longer."""

    resource: str

    def apply(self, state: State, record: Recorded) -> None:
        lock = state.locks.get(self.resource)
        if lock is not None:
            others = tuple(w for w in lock.waiting if w.agent != record.agent)
            put_lock(state, replace(lock, waiting=others))


def put_lock(state: State, lock: Lock) -> None:
    """Add a lock, replace its record, or remove it when no agent holds or awaits it."""
    if lock.holders or lock.waiting:
        state.locks[lock.resource] = lock
    else:
        state.locks.pop(lock.resource, None)
    if "schedule" in state.__dict__:
        state.schedule.lock_changed(lock)


def rename(state: State, old: str, new: str) -> None:
    """Give the holds of an agent, and its places in queues, to its new name."""
    for lock in [*state.locks.values()]:
        put_lock(state, with_name(lock, old, new))


def _without(state: State, resource: str, agent: str, *, waiting_too: bool = False) -> Lock:
    lock = state.locks.get(resource, Lock(resource=resource))
    return Lock(
        resource=resource,
        holders=tuple(h for h in lock.holders if h.agent != agent),
        waiting=tuple(w for w in lock.waiting if not waiting_too or w.agent != agent),
    )


def with_name(lock: Lock, old: str, new: str) -> Lock:
    """The lock after one of its holders or waiters got another name."""
    return replace(
        lock,
        holders=tuple(_renamed(holder, old, new) for holder in lock.holders),
        waiting=tuple(_renamed(waiter, old, new) for waiter in lock.waiting),
    )


H = TypeVar("H", Holder, Waiter)


def _renamed(one: H, old: str, new: str) -> H:
    return replace(one, agent=new) if one.agent == old else one
