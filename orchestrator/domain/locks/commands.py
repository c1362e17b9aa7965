"""Locks: resources that agents hold under a lease, exclusive or shared.

A resource is a name or a path glob (see :mod:`orchestrator.domain.tasks.resources`). Running tasks hold their
resources in the same way. The token of a lease is the id of its event, so tokens only grow.
"""

from collections.abc import Iterable, Iterator

import msgspec
from msgspec.structs import replace

from orchestrator.core import clock
from orchestrator.core.errors import NotFound, Refused, did_you_mean
from orchestrator.core.multimap import multimap
from orchestrator.core.transaction import Committed, Noun, Transaction, command, no_result
from orchestrator.domain.agents.identity import act_now, act_to_work
from orchestrator.domain.locks.events import (
    LockAbandoned,
    LockAcquired,
    LockAwaited,
    LockBroken,
    LockLapsed,
    LockReleased,
    LockRenewed,
)
from orchestrator.domain.locks.records import Holder, Lock
from orchestrator.domain.state import State
from orchestrator.domain.tasks import resources
from orchestrator.domain.tasks.ready_queue import HeldResource
from orchestrator.domain.validation import check_required, lease_length
from orchestrator.domain.waiting import wait_for

DEFAULT_TTL = 60.0
"""The default length of a lock, in seconds."""


class Lease(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The lease of an agent on a resource."""

    resource: str
    agent: str
    token: int
    until: str
    ttl: float
    shared: bool


def acquired_lease(state: State, events: Committed) -> Lease:
    """The lease that was acquired or renewed."""
    recorded, lock = next((r, e) for r, e in events if isinstance(e, (LockAcquired, LockRenewed)))
    holder = state.locks[lock.resource].holder(recorded.agent)
    facts = {n: getattr(holder, n) for n in ("agent", "token", "until", "ttl", "shared")}
    return Lease(resource=lock.resource, **facts)


def freed_resource(state: State, events: Committed) -> str:
    """The resource that was released or broken."""
    return next(e.resource for _, e in events if isinstance(e, (LockReleased, LockBroken)))


class HeldPath(msgspec.Struct, frozen=True, kw_only=True):
    """A file that another agent has locked, or works on.

    Attributes:
        path: The file.
        resource: The lock, or what the task touches, which covers it.
        agent: Who holds it.
        until: When the lease ends.
        task: The task that holds it; empty for a lock.
        title: The title of this task.
    """

    path: str
    resource: str
    agent: str
    until: str
    task: str = ""
    title: str = ""


class Locks(Noun[State]):
    """``orc.locks``: acquire, renew, release, break; get, all, held_paths."""

    def acquire(
        self,
        resource: str,
        *,
        agent: str | None = None,
        ttl: float | str = DEFAULT_TTL,
        shared: bool = False,
        wait: float | str = 0,
    ) -> Lease:
        """Acquire a resource; if the agent holds it already, renew the lease.

        Args:
            resource: A name or a path glob.
            agent: The holder; needed.
            ttl: The length of the lease, as ``60s`` or seconds.
            shared: Allow other agents to share it.
            wait: How long to wait until it is free.

        Raises:
            Refused: Another agent holds it (``lock_denied``), or waiting would close a circle (``circle``).
        """
        patience = clock.duration(wait)
        denied: list[Refused] = []

        def attempt() -> Lease | None:
            try:
                return self._acquire(resource, agent=agent, ttl=ttl, shared=shared)
            except Refused as refusal:
                if refusal.code != "lock_denied":
                    raise
                denied.append(refusal)
                return None

        lease = attempt()
        if lease is None and patience:
            # The wait is recorded, so that no other agent can close a circle.
            self._await(resource, agent=agent, shared=shared, patience=patience)
            try:
                lease = wait_for(self._desk, attempt, patience)
            finally:
                if lease is None:
                    self._abandon(resource, agent=agent)
        if lease is None:
            raise denied[-1]
        return lease

    @command(acquired_lease)
    def _acquire(
        self,
        tx: Transaction[State],
        resource: str,
        *,
        agent: str | None,
        ttl: float | str,
        shared: bool,
    ) -> None:
        actor = act_to_work(tx, agent)
        need = self._need(resource, shared)
        resource, shared = need.resource, need.shared
        length = lease_length(ttl)
        if blockers := tx.state.schedule.collisions(need, actor, tx.now):
            raise _denied(resource, blockers, tx.now)
        for spelled in tx.state.schedule.spellings(resource):
            for holder in tx.state.locks.of(spelled).holders:
                if holder.until <= tx.now:
                    tx.record(LockLapsed(resource=spelled, holder=holder.agent))
        until = tx.later(length)
        resource = _spelled(tx.state, resource, actor)
        mine = tx.state.locks.of(resource).holder(actor)
        if mine is not None and mine.shared == shared:
            tx.record(LockRenewed(resource=resource, until=until, ttl=length))
        else:
            tx.record(LockAcquired(resource=resource, until=until, ttl=length, shared=shared))

    @command(no_result, answers_request=False)
    def _await(
        self,
        tx: Transaction[State],
        resource: str,
        *,
        agent: str | None,
        shared: bool,
        patience: float,
    ) -> None:
        actor = act_to_work(tx, agent)
        need = self._need(resource, shared)
        resource, shared = need.resource, need.shared
        if circle := find_circle(tx.state, actor, need, tx.now):
            raise Refused(
                f"Waiting for {resource} would close a circle: {' -> '.join(circle)}",
                code="circle",
                hint="Release what you hold, or take other work.",
                circle=circle,
            )
        tx.record(LockAwaited(resource=resource, until=tx.later(patience), shared=shared))

    @command(no_result, answers_request=False)
    def _abandon(self, tx: Transaction[State], resource: str, *, agent: str | None) -> None:
        act_now(tx, agent, needed=True)
        tx.record(LockAbandoned(resource=self._need(resource).resource))

    @command(acquired_lease)
    def renew(
        self,
        tx: Transaction[State],
        resource: str,
        *,
        agent: str | None = None,
        ttl: float | str | None = None,
    ) -> None:
        """Renew the lease from now, with its length or another one.

        Raises:
            Refused: The agent does not hold it (any more) (``lock_not_held``).
        """
        actor = act_now(tx, agent, needed=True)
        resource = _spelled(tx.state, self._need(resource).resource, actor)
        holder = tx.state.locks.of(resource).holder(actor)
        if holder is None or holder.until <= tx.now:
            raise _not_held(resource, actor)
        length = holder.ttl if ttl is None else lease_length(ttl)
        tx.record(LockRenewed(resource=resource, until=tx.later(length), ttl=length))

    @command(freed_resource)
    def release(self, tx: Transaction[State], resource: str, *, agent: str | None = None) -> None:
        """Release a resource.

        Raises:
            Refused: The agent does not hold it (``lock_not_held``).
        """
        actor = act_now(tx, agent, needed=True)
        resource = _spelled(tx.state, self._need(resource).resource, actor)
        if tx.state.locks.of(resource).holder(actor) is None:
            raise _not_held(resource, actor)
        tx.record(LockReleased(resource=resource, holder=actor))

    # `break` is a keyword of Python, hence the name.
    @command(freed_resource)
    def break_(
        self, tx: Transaction[State], resource: str, *, reason: str, agent: str | None = None
    ) -> None:
        """Take a resource from all of its holders; the log has the reason.

        Raises:
            NotFound: It is not held.
        """
        act_now(tx, agent)
        resource = self._need(resource).resource
        spellings = tx.state.schedule.spellings(resource)
        if not spellings:
            near = did_you_mean(resource, tx.state.locks)
            hint = "`lock list` shows what is held; what a task holds ends with the task."
            raise NotFound(f"No lock holds {resource!a}{near}", code="lock_not_found", hint=hint)
        reason = check_required("reason", reason)
        for spelled in spellings:
            holders = tuple(holder.agent for holder in tx.state.locks.of(spelled).holders)
            tx.record(LockBroken(resource=spelled, reason=reason, holders=holders))

    def all(self) -> list[Lock]:
        """Return the resources that are held, by locks and by running tasks, or waited for now, by name."""
        return in_use(self._state, self._desk.now())

    def held_paths(self, paths: Iterable[str]) -> list[HeldPath]:
        """Return the files that others than the acting agent have locked, or work on.

        Each comes with its first holder. A lock on a folder covers what is in it.

        Args:
            paths: The files, from the top of the worktree.
        """
        state, now, agent = self._state, self._desk.now(), self._desk.agent
        agent = state.agents.aliases.get(agent, agent)
        held = []
        for path in paths:
            hold = next(_holds_of_others(state, path, agent, now), None)
            if hold is not None:
                task = state.tasks.get(hold.task or "")
                held.append(
                    HeldPath(
                        path=path,
                        resource=hold.resource,
                        agent=hold.agent,
                        until=hold.until,
                        task=hold.task or "",
                        title=task.title if task else "",
                    )
                )
        return held

    def get(self, resource: str) -> Lock:
        """Return the holders of a resource, and the agents that wait for it."""
        state, resource = self._state, self._need(resource).resource
        spelled = state.schedule.spellings(resource)
        name = resource if resource in spelled or not spelled else spelled[0]
        return state.locks.of(name).without_ended(self._desk.now())

    def _need(self, resource: str, shared: bool = False) -> resources.Need:
        """The requested resource: ``git`` with ``shared``, or ``git:shared``; a local one of this machine."""
        need = resources.given(resource, self._desk.folder, self._state.machine)
        return resources.Need(need.resource, need.shared or shared)


def _holds_of_others(state: State, path: str, agent: str, now: str) -> Iterator[HeldResource]:
    """The holds of others that cover a file."""
    # Not parsed: the name of a file may end like `:shared`.
    yield from state.schedule.collisions(resources.Need(path), agent, now)
    while (path := path.rpartition("/")[0]) != "":
        for hold in state.schedule.collisions(resources.Need(path), agent, now):
            if hold.resource == path:
                yield hold


def _spelled(state: State, resource: str, agent: str) -> str:
    """The name under which an agent holds a resource."""
    return next(iter(state.schedule.spellings(resource, agent)), resource)


def in_use(state: State, now: str) -> list[Lock]:
    """Return the resources that are held or waited for, by name, without the leases that have ended.

    A running task holds what it touches as an agent holds what it locked: others are refused it.
    """
    locks = {lock.resource: lock.without_ended(now) for lock in state.locks.values()}
    for task in state.schedule.running():
        for text in task.touches if task.lease_until > now else ():
            need = resources.parse(text, task.machine)
            holder = Holder(
                agent=task.assigned_to or "",
                token=task.token or 0,
                since=task.claimed_at or task.updated_at,
                until=task.lease_until,
                ttl=task.lease or 0.0,
                shared=need.shared,
                task=task.id,
            )
            lock = locks.get(need.resource) or Lock(resource=need.resource)
            locks[need.resource] = replace(lock, holders=(*lock.holders, holder))
    used = (lock for lock in locks.values() if lock.holders or lock.waiting)
    return sorted(used, key=lambda lock: lock.resource)


def by_holder(state: State, now: str) -> dict[str, list[Lock]]:
    """Return the locks that each agent holds now."""
    return multimap(
        (holder.agent, lock)
        for lock in state.locks.values()
        for holder in lock.holders
        if holder.until > now
    )


def find_circle(state: State, agent: str, need: resources.Need, now: str) -> list[str]:
    """Return the circle that would close if the agent waited; empty if none would.

    Agents and resources alternate in it: the holder of the wanted resource, the resource that this holder
    waits for, its holder, and so on.
    """
    paths = [(agent, need, [agent])]
    seen = {agent}
    while paths:
        waiter, wanted, path = paths.pop()
        for hold in state.schedule.collisions(wanted, waiter, now):
            further = [*path, wanted.resource, hold.agent]
            if hold.agent == agent:
                return further
            if hold.agent not in seen:
                seen.add(hold.agent)
                paths += [(hold.agent, n, further) for n in _waits_of(state, hold.agent, now)]
    return []


def _waits_of(state: State, agent: str, now: str) -> list[resources.Need]:
    return [
        resources.Need(lock.resource, waiter.shared)
        for lock in state.locks.values()
        for waiter in lock.waiting
        if waiter.agent == agent and waiter.until > now
    ]


def _denied(resource: str, blockers: list[HeldResource], now: str) -> Refused:
    first = blockers[0]
    task = f" for task {first.task}" if first.task else ""
    return Refused(
        f"Lock denied: {resource} (held by another agent)",
        code="lock_denied",
        hint=f"{first.agent} holds {first.resource}{task} until {clock.local_time(first.until, now)};"
        " `--wait 30s` waits for it.",
        resource=resource,
        holder=first.agent,
        until=first.until,
        task=first.task,
    )


def _not_held(resource: str, agent: str) -> Refused:
    return Refused(
        f"Lock not held by {agent}",
        code="lock_not_held",
        hint="`l list` shows who holds what.",
        resource=resource,
        agent=agent,
    )
