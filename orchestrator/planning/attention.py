"""Alerts for the leader of the cycle, by kind.

====================  =======================================================================
kind                  meaning
====================  =======================================================================
`lease_expired`       the lease of a running task ended, and no other agent took the task
`silent_agent`        an agent holds work and has shown no sign of life for five minutes
`repeated_failures`   a task failed twice or was claimed three times, and is not done
`need_ended`          a failed or cancelled task that others wait for
`blocked`             a task that was set aside, with its reason
`in_review`           work that another agent must approve
`to_merge`            work whose branch must be merged
`signal`              a task that only waits for a person, a condition, an event or mail
====================  =======================================================================
"""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from orchestrator.core import clock
from orchestrator.core.cold_map import current
from orchestrator.core.multimap import multimap
from orchestrator.core.printable import one_line, shortened, times
from orchestrator.core.transaction import SYSTEM
from orchestrator.domain.agents.commands import STALE_AFTER
from orchestrator.domain.state import State
from orchestrator.domain.tasks.blockers import ended_needs
from orchestrator.domain.tasks.records import Task
from orchestrator.planning.records import DESCRIPTION, SHOWN, Alert, AlertKind
from orchestrator.planning.survey import about, place

MANY_FAILURES = 2
"""How many failures of a task make an alert."""

MANY_ATTEMPTS = 3
"""How many claims of a task that is not done make an alert."""


def attention(state: State, now: str, seen: Mapping[str, float]) -> tuple[list[Alert], int]:
    """Return the alerts, the most urgent kind first, and how many were left out."""
    active = {name for name, stream in state.workstreams.items() if stream.status == "active"}
    alerts: dict[str, list[Alert]] = {kind: [] for kind in get_args(AlertKind)}
    for task in current(state.tasks.tasks):
        if task.workstream in active and task.status not in ("done", "cancelled"):
            for alert in _task_alerts(task, now):
                alerts[alert.kind].append(alert)
    alerts["silent_agent"] = list(_silent_agents(state, now, seen))
    alerts["need_ended"] = list(_ended_needs(state, active))
    shown = [alert for of_kind in alerts.values() for alert in of_kind[:SHOWN]]
    return shown, sum(map(len, alerts.values())) - len(shown)


def _task_alerts(task: Task, now: str) -> Iterator[Alert]:
    where = place(task)

    def alert(kind: AlertKind, text: str, **facts: Any) -> Alert:
        facts |= about(task)
        return Alert(kind=kind, text=text, status=task.status, **facts)

    if task.has_lapsed(now):
        text = f"The lease of {task.assigned_to} on {where} ended; the next claim may take it"
        yield alert("lease_expired", text, agent=task.assigned_to, since=task.lease_until)
    if task.failures >= MANY_FAILURES or task.attempt >= MANY_ATTEMPTS:
        attempts = "one attempt" if task.attempt == 1 else f"{task.attempt} attempts"
        text = f"{where} failed {times(task.failures)} in {attempts}"
        yield alert("repeated_failures", text, failures=task.failures, attempt=task.attempt)
    if task.status == "blocked":
        reason = shortened(task.reason, DESCRIPTION)
        way = f"t unblock {task.id}"
        text = f"{where} is blocked: {reason}"
        yield alert("blocked", text, reason=reason, since=task.updated_at, command=way)
    if task.awaits_review:
        agent, way = task.assigned_to, f"t approve {task.id}"
        text = f"{where} by {agent or SYSTEM} waits for another agent to approve it"
        yield alert("in_review", text, agent=agent, since=task.updated_at, command=way)
    if task.waits_for:
        agent, way = task.assigned_to, f"merge show {task.id}"
        text = f"{where} by {agent or SYSTEM} waits for the merge of its branch"
        yield alert("to_merge", text, agent=agent, since=task.updated_at, command=way)
    awaited = [s for s in task.signals if not s.given_at and s.kind != "timer"]
    if awaited and task.is_reached and task.status in ("pending", "assigned"):
        signal, way = awaited[0], f"t signal {task.id}"
        overdue = " and is overdue" if signal.until and signal.until <= now else ""
        text = f"{where} waits for {signal.kind} {one_line(signal.name, DESCRIPTION)}{overdue}"
        yield alert("signal", text, signal=signal.key, since=task.updated_at, command=way)


def _silent_agents(state: State, now: str, seen: Mapping[str, float]) -> Iterator[Alert]:
    """Yield the agents that hold a task or a lock, and were not active for five minutes."""
    tasks = (
        (task.assigned_to or SYSTEM, (place(task), task.claimed_at or task.updated_at))
        for task in state.schedule.running()
    )
    locks = (
        (holder.agent, (lock.resource, holder.since))
        for lock in state.locks.values()
        for holder in lock.holders
        if holder.until > now
    )
    for agent, held in sorted(multimap((*tasks, *locks)).items()):
        last_seen = clock.timestamp(seen[agent]) if agent in seen else ""
        last = max(last_seen, *(since for _, since in held))
        if last < clock.after(now, -STALE_AFTER):
            holds = [name for name, _ in held][:SHOWN]
            text = f"{agent} holds {', '.join(holds[:5])} and was not seen since {last}"
            yield Alert(kind="silent_agent", text=text, agent=agent, last_seen=last, holds=holds)


def _ended_needs(state: State, active: set[str]) -> Iterator[Alert]:
    """Yield an alert for each failed or cancelled task that blocks other tasks."""
    tasks = state.tasks
    idle = [t for t in tasks.open() if t.status in ("pending", "assigned", "blocked")]
    users = ended_needs(state, (task for task in idle if task.workstream in active))
    for need, dependants in users.items():
        waiting = [task.id for task in dependants]
        status, workstream = tasks.status_of(need), tasks.workstream_of(need)
        yield Alert(
            kind="need_ended",
            text=f"{workstream}/{need} is {status}; {', '.join(waiting[:5])} waits for it",
            workstream=workstream,
            task=need,
            status=status,
            dependants=waiting[:SHOWN],
            command=f"t reopen {need}" if need in tasks else "",
        )
