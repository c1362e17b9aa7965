"""Agents: who works on the board. Registering is optional; it declares what an agent is and can do.

The presence of an agent follows from its last call, which is the time of its presence file.
"""

import time
from collections.abc import Container, Iterable, Mapping
from typing import Literal

import msgspec
from msgspec.structs import replace

from orchestrator.core import clock, names, processes
from orchestrator.core.errors import Refused, UsageError
from orchestrator.core.machine import are_apart
from orchestrator.core.store import Presence
from orchestrator.core.transaction import Committed, Noun, Transaction, command
from orchestrator.domain.agents.events import AgentRegistered, AgentRenamed, AgentRetired
from orchestrator.domain.agents.identity import act_in_session
from orchestrator.domain.agents.joining import served_agents
from orchestrator.domain.agents.records import LEFT, Agent, AgentStatus, Session
from orchestrator.domain.locks import commands as locks
from orchestrator.domain.locks.events import LockReleased
from orchestrator.domain.locks.records import Lock
from orchestrator.domain.mail.matters import count_unread
from orchestrator.domain.state import State
from orchestrator.domain.tasks.events import ReviewReleased, TaskRenewed, released
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.validation import check_line

HEARTBEAT = 15.0
"""Seconds between two signs of life of an agent in a live session."""

SILENT_AFTER, GONE_AFTER = 2 * HEARTBEAT, 3 * HEARTBEAT
"""Seconds without a heartbeat after which an agent in a live session is silent, and then gone."""

STALE_AFTER, LOST_AFTER = 5 * 60.0, 15 * 60.0
"""The same for an agent without a session, which has no regular heartbeat."""


FAREWELL = 5.0
"""Seconds between the end of a session and the last sign of life of the command that ended it."""


class AgentView(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as it is now: its record, when it was seen, and what it holds.

    Attributes:
        presence: waiting (for work), working (has a task under a lease, or reviews one), online (in a live
            session), idle (seen without a session), silent (missed its heartbeats) or gone.
        stale: Silent or gone.
        session: The number of its live session; None without one.
        hook: The task that hangs on its hook.
        tasks: Its tasks in progress.
        reviews: The tasks that it reviews.
        assigned: Its tasks that are not started.
        load: The number of both.
        unread: The number of unread messages.
        machine: The machine on which it was last seen at work; empty if no other machines use the board.
        do_not_disturb: Until when mail is not to disturb it; empty: until it says otherwise, None: it may.
    """

    id: str
    type: str
    status: AgentStatus | Literal["unregistered"]
    presence: str
    stale: bool
    capabilities: tuple[str, ...]
    max_load: int | None
    registered_at: str | None
    last_seen: str | None
    session: int | None
    hook: str | None
    tasks: tuple[str, ...]
    reviews: tuple[str, ...]
    assigned: tuple[str, ...]
    load: int
    unread: int
    do_not_disturb: str | None
    locks: tuple[str, ...]
    machine: str


def changed_agent(state: State, events: Committed) -> Agent:
    """The agent that was registered or retired."""
    changed = (e.id for _, e in events if isinstance(e, (AgentRegistered, AgentRetired)))
    return state.agents[next(changed)]


def new_name(state: State, events: Committed) -> str:
    """The new name of the agent."""
    return next(e.to for _, e in events if isinstance(e, AgentRenamed))


def renewed_tasks(state: State, events: Committed) -> list[Task]:
    """The tasks whose leases a heartbeat renewed."""
    renewed = (e.task for _, e in events if isinstance(e, TaskRenewed))
    return [state.tasks[task] for task in renewed]


class Agents(Noun[State]):
    """``orc.agents``: register, rename, heartbeat, retire; get, all."""

    @command(changed_agent)
    def register(
        self,
        tx: Transaction[State],
        id: str,
        *,
        type: str = "general",
        capabilities: Iterable[str] = (),
        max_load: int | None = None,
        agent: str | None = None,
    ) -> Agent | None:
        """Register an agent with its capabilities; register it again to change them.

        Args:
            id: Its name; path-like names (``rig/crew/ann``) are allowed.
            type: A word for its kind.
            capabilities: Types and labels of tasks that it suits; none means all.
            max_load: The largest number of tasks that it may have; None for any number.
            agent: Who registers it; itself if not given.

        Raises:
            BadName: The name is not allowed, or differs from another only in case.
        """
        if max_load is not None and not 0 <= max_load < 1_000_000:
            raise UsageError(f"{max_load} is not a load", hint="Give a number of tasks.")
        actor = tx.act_as(agent or id)
        machine = tx.state.machine if actor == id else ""
        _check_new(tx.state, names.agent(id))
        words = tuple(names.name("capability", word) for word in capabilities)
        names.name("agent type", type)
        known = tx.state.agents.get(id)
        if known is not None and known.status == "active":
            new = replace(known, type=type, capabilities=words, max_load=max_load)
            if new == known and machine in ("", tx.state.agents.machines.get(id)):
                return known
        tx.record(
            AgentRegistered(
                id=id, type=type, capabilities=words, max_load=max_load, machine=machine
            )
        )
        return None

    @command(new_name)
    def rename(
        self, tx: Transaction[State], id: str, to: str, *, agent: str | None = None
    ) -> str | None:
        """Rename an agent with its tasks, hook, locks, mail, session and lists.

        Mail to the old name, and commands under it, go to the new name until the old name is registered
        again. If this was done before, nothing changes.

        Raises:
            NotFound: No agent has or had the old name.
            Refused: An agent has or had the new name.
        """
        tx.act_as(agent)
        names.agent(to)
        if to in (id, tx.state.agents.aliases.get(id)):
            return to
        if not _is_known(tx.state, id, self._desk.presence.seen(needed=True)):
            raise tx.state.agents.missing(id)
        if _is_known(tx.state, to, {}) and to not in tx.state.agents.aliases:
            raise Refused(f"There is an agent {to} already", code="name_taken")
        _check_new(tx.state, to, leaving=id)
        if to.casefold() != id.casefold():
            tx.check_agent(to)
        tx.record(AgentRenamed(id=id, to=to))
        tx.actors.add(to)
        return None

    @command(renewed_tasks)
    def heartbeat(self, tx: Transaction[State], id: str) -> None:
        """Report that an agent is alive; its leases are renewed when half of their time has passed.

        The heartbeat itself is the time of the agent's presence file, not an event.

        Returns:
            The tasks whose leases were renewed.
        """
        act_in_session(tx, id)

    def wait_for_beat(self, id: str, every: float | str) -> bool:
        """Wait until the next heartbeat of an agent is due, in a live session.

        Args:
            id: The agent.
            every: Seconds between two heartbeats, or a duration as text.

        Returns:
            False when its session has ended, or it has none.
        """
        deadline = time.monotonic() + max(clock.duration(every), 0.1)
        wait = self._desk.watch()
        while self._has_session(id):
            left = deadline - time.monotonic()
            if left <= 0:
                return True
            self._desk.pause()
            wait(left)
            wait = self._desk.watch()
        return False

    def _has_session(self, id: str) -> bool:
        session = self._state.agents.sessions.get(self._state.agents.aliases.get(id, id))
        return session is not None and session.is_live

    @command(changed_agent)
    def retire(
        self, tx: Transaction[State], id: str, *, reason: str = "", agent: str | None = None
    ) -> Agent | None:
        """Retire an agent, and release what it holds in the same commit. If it is retired, nothing changes.

        Raises:
            NotFound: No agent of this name is registered.
        """
        tx.act_as(agent)
        known = tx.state.agents.find(id)
        if known.status == "retired":
            return known
        for task in tx.state.schedule.held_by(id):
            tx.record(released(task, f"{id} retired"))
        for task in tx.state.schedule.reviews.held_by(id):
            tx.record(ReviewReleased(task=task.id, holder=id, reason=f"{id} retired"))
        for lock in locks.by_holder(tx.state, tx.now).get(id, ()):
            tx.record(LockReleased(resource=lock.resource, holder=id))
        tx.record(AgentRetired(id=id, reason=check_line("reason", reason)))
        return None

    def get(self, id: str) -> AgentView:
        """Return an agent as it is now, registered or not, if it was seen or holds a task.

        Raises:
            NotFound: No agent has or had this name.
        """
        state, now, presence = self._state, self._desk.now(), self._desk.presence
        seen = presence.seen()
        if id not in _known(state, seen):
            raise state.agents.missing(id)
        held = locks.by_holder(state, now).get(id, ())
        waits, is_served = id in presence.waiting(), served_agents(state, presence).get(id)
        return _view(state, id, now, seen.get(id), held, waits=waits, is_served=is_served)

    def all(self) -> list[AgentView]:
        """Return every agent that is registered or was seen, by name."""
        return self.present(self._state, self._desk.now(), self._desk.presence)

    @staticmethod
    def present(
        state: State, now: str, presence: Presence, *, needed: bool = False
    ) -> list[AgentView]:
        """Return the agents of a state, as far as they are seen now; ``needed`` as for ``Presence.seen``."""
        served = served_agents(state, presence)
        return Agents.views(state, now, presence.seen(needed=needed), presence.waiting(), served)

    @staticmethod
    def views(
        state: State,
        now: str,
        seen: dict[str, float],
        waiting: Container[str] = (),
        served: Mapping[str, bool] | None = None,
    ) -> list[AgentView]:
        """Return the agents of a state, given the time, their last activity, who waits and who is served."""
        served = served or {}
        held = locks.by_holder(state, now)
        return [
            _view(
                state,
                name,
                now,
                seen.get(name),
                held.get(name, ()),
                waits=name in waiting,
                is_served=served.get(name),
            )
            for name in sorted(_known(state, seen))
        ]


def _known(state: State, seen: dict[str, float]) -> set[str]:
    """The names of all agents that are registered, were seen or hold a task."""
    return {*state.agents, *seen, *state.schedule.holders()} - state.agents.aliases.keys()


def _view(
    state: State,
    id: str,
    now: str,
    seen: float | None,
    held_locks: Iterable[Lock],
    *,
    waits: bool,
    is_served: bool | None,
) -> AgentView:
    record, session = state.agents.get(id), state.agents.sessions.get(id)
    last = clock.timestamp(seen) if seen is not None else None
    if record is not None:
        last = max(last or "", record.registered_at)
    held = state.schedule.held_by(id)
    tasks = tuple(task.id for task in held if task.status == "in_progress")
    reviews = [t.id for t in state.schedule.reviews.held_by(id) if t.is_reviewed_by(id, now)]
    works = bool(reviews) or any(task.is_run_by(id, now) for task in held)
    is_live = session is not None and session.is_live
    presence = "gone"
    if waits:
        presence = "waiting"
    elif is_served is not False and session is not None and session.is_here(state.machine):
        runs = processes.host_runs(session.host, clock.seconds(session.started_at))
        presence = "gone" if not runs else "working" if works else "online"
    elif is_served:
        presence = "working" if works else "online"
    elif session is not None and _has_left(session, last):
        pass
    elif record is None or record.status != "retired":
        # The program of a session on another machine sends no heartbeats, and its process is not seen here.
        is_far = (
            session is not None and bool(session.host) and are_apart(session.machine, state.machine)
        )
        has_beat = is_live and not is_far
        presence = _presence(last, now, is_live=is_live, has_beat=has_beat, works=works)
    return AgentView(
        id=id,
        type=record.type if record else "general",
        status=record.status if record else "unregistered",
        presence=presence,
        stale=presence in ("silent", "gone"),
        capabilities=record.capabilities if record else (),
        max_load=record.max_load if record else None,
        registered_at=record.registered_at if record else None,
        last_seen=last,
        session=session.incarnation if session is not None and is_live else None,
        hook=state.agents.hooks.get(id),
        tasks=tasks,
        reviews=tuple(reviews),
        assigned=tuple(task.id for task in held if task.status == "assigned"),
        load=len(held),
        unread=count_unread(state, id, now).unread,
        do_not_disturb=state.mail.quiet_until(id, now),
        locks=tuple(lock.resource for lock in held_locks),
        machine=state.agents.machines.get(id, ""),
    )


def _has_left(session: Session, last: str | None) -> bool:
    """Whether the program of an agent has ended, and the agent was not seen since."""
    if session.outcome != LEFT or not session.ended_at:
        return False
    return last is None or last <= clock.after(session.ended_at, FAREWELL)


def _presence(last: str | None, now: str, *, is_live: bool, has_beat: bool, works: bool) -> str:
    """The presence of an agent, from its last activity; see :class:`AgentView` for the words.

    Args:
        last: Its last activity.
        now: The time.
        is_live: It has a live session.
        has_beat: It is expected to send heartbeats; a program on another machine that runs it sends none.
        works: It has work.
    """
    silent, gone = (SILENT_AFTER, GONE_AFTER) if has_beat else (STALE_AFTER, LOST_AFTER)
    if last is None or last < clock.after(now, -gone):
        return "gone"
    if last < clock.after(now, -silent):
        return "silent"
    return "working" if works else "online" if is_live else "idle"


def _is_known(state: State, id: str, seen: dict[str, float]) -> bool:
    return (
        id in state.agents
        or id in state.agents.sessions
        or id in state.mail.mailboxes
        or id in state.terminals
        or id in seen
        or state.schedule.load(id) > 0
    )


def _check_new(state: State, id: str, leaving: str | None = None) -> None:
    """Refuse a name that differs from another agent's only in case, or as a file."""
    if id not in state.agents:
        others = {name.replace("/", ".") for name in state.agents if name != leaving}
        names.name("agent", id.replace("/", "."), among=others)
