"""The events of locks."""

from typing import Any, TypeVar

from msgspec.structs import replace

from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.locks.records import Holder, Lock, Waiter
from orchestrator.domain.state import State

H = TypeVar("H", Holder, Waiter)


class LockEvent(Event):
    """An event of one resource."""

    resource: str


class HolderRemoved(LockEvent):
    """A holder lost the resource."""

    holder: str

    def apply(self, state: State, record: Recorded) -> None:
        lock = state.locks.of(self.resource)
        put_lock(state, replace(lock, holders=_others(lock.holders, self.holder)))


@event("lock.acquired")
class LockAcquired(LockEvent):
    """An agent acquired the resource until a time."""

    until: str
    ttl: float
    shared: bool = False

    def apply(self, state: State, record: Recorded) -> None:
        lock, agent = state.locks.of(self.resource), record.agent
        mine = Holder(
            agent=agent,
            token=record.id,
            since=record.ts,
            until=self.until,
            ttl=self.ttl,
            shared=self.shared,
        )
        holders = (*_others(lock.holders, agent), mine)
        put_lock(state, replace(lock, holders=holders, waiting=_others(lock.waiting, agent)))


@event("lock.renewed")
class LockRenewed(LockEvent):
    """The holder's lease was extended; its token stays."""

    until: str
    ttl: float

    def apply(self, state: State, record: Recorded) -> None:
        lock = state.locks[self.resource]
        holders = _changed(lock.holders, record.agent, until=self.until, ttl=self.ttl)
        put_lock(state, replace(lock, holders=holders))


@event("lock.released")
class LockReleased(HolderRemoved):
    """A holder released the resource."""


@event("lock.lapsed")
class LockLapsed(HolderRemoved):
    """The lease of a holder has ended, and another agent acquires the resource."""


@event("lock.broken")
class LockBroken(LockEvent):
    """The resource was taken from all of its holders, for a reason."""

    reason: str
    holders: tuple[str, ...]

    def apply(self, state: State, record: Recorded) -> None:
        put_lock(state, replace(state.locks[self.resource], holders=()))


@event("lock.awaited")
class LockAwaited(LockEvent):
    """An agent began to wait for the resource, until a time at most."""

    until: str
    shared: bool = False

    def apply(self, state: State, record: Recorded) -> None:
        lock = state.locks.of(self.resource)
        mine = Waiter(agent=record.agent, until=self.until, shared=self.shared)
        put_lock(state, replace(lock, waiting=(*_others(lock.waiting, record.agent), mine)))


@event("lock.abandoned")
class LockAbandoned(LockEvent):
    """An agent stopped waiting."""

    def apply(self, state: State, record: Recorded) -> None:
        lock = state.locks.of(self.resource)
        put_lock(state, replace(lock, waiting=_others(lock.waiting, record.agent)))


def put_lock(state: State, lock: Lock) -> None:
    """Store the record of a lock; remove it when no agent holds it or waits for it."""
    if lock.holders or lock.waiting:
        state.locks[lock.resource] = lock
    else:
        state.locks.pop(lock.resource, None)
    if "schedule" in state.__dict__:
        state.schedule.lock_changed(lock)


def rename(state: State, old: str, new: str) -> None:
    """Move the holds and the waits of an agent to its new name."""
    for lock in [*state.locks.values()]:
        holders = _changed(lock.holders, old, agent=new)
        waiting = _changed(lock.waiting, old, agent=new)
        put_lock(state, replace(lock, holders=holders, waiting=waiting))


def _others(places: tuple[H, ...], agent: str) -> tuple[H, ...]:
    return tuple(place for place in places if place.agent != agent)


def _changed(places: tuple[H, ...], name: str, **changes: Any) -> tuple[H, ...]:
    return tuple(replace(p, **changes) if p.agent == name else p for p in places)
