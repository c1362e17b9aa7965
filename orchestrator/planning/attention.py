"""What the leader of the cycle should look at, kind by kind.

====================  =======================================================================
kind                  meaning
====================  =======================================================================
`lease_expired`       the lease of a running task ended, and no other agent took the task
`silent_agent`        an agent holds work and has shown no sign of life for five minutes
`repeated_failures`   a task failed twice or was claimed three times, and is not done
`need_ended`          a failed or cancelled task that others wait for
`blocked`             a task that was set aside, with its reason
`in_review`           work that another agent must approve
`signal`              a task that only waits for a person, a condition, an event or mail
====================  =======================================================================
"""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from orchestrator.core import clock
from orchestrator.core.printable import one_line, shortened
from orchestrator.core.transaction import SYSTEM
from orchestrator.domain.agents.commands import STALE_AFTER
from orchestrator.domain.state import State
from orchestrator.domain.tasks.records import Task
from orchestrator.planning.records import Alert, AlertKind
from orchestrator.planning.survey import DESCRIPTION, SHOWN, place

MANY_FAILURES = 2
"""Failures of one task that call for attention."""

MANY_ATTEMPTS = 3
"""Claims of one task that call for attention while it is not done."""


def attention(state: State, now: str, seen: Mapping[str, float]) -> tuple[list[Alert], int]:
    """Return the alerts, the most urgent kind first, and how many were left out."""
    active = {name for name, stream in state.workstreams.items() if stream.status == "active"}
    alerts: dict[str, list[Alert]] = {kind: [] for kind in get_args(AlertKind)}
    for task in state.tasks.values():
        if task.workstream in active and task.status not in ("done", "cancelled"):
            for alert in _task_alerts(task, now):
                alerts[alert.kind].append(alert)
    alerts["silent_agent"] = list(_silent_agents(state, now, seen))
    alerts["need_ended"] = list(_ended_needs(state, active))
    shown = [alert for of_kind in alerts.values() for alert in of_kind[:SHOWN]]
    return shown, sum(map(len, alerts.values())) - len(shown)


def _task_alerts(task: Task, now: str) -> Iterator[Alert]:
    def alert(kind: AlertKind, text: str, **facts: Any) -> Alert:
        return Alert(
            kind=kind,
            text=text,
            workstream=task.workstream,
            task=task.id,
            title=task.title,
            status=task.status,
            **facts,
        )

    if task.has_lapsed(now):
        yield alert(
            "lease_expired",
            f"The lease of {task.assigned_to} on {place(task)} ended; the next claim may take it",
            agent=task.assigned_to,
            since=task.lease_until,
        )
    if task.failures >= MANY_FAILURES or task.attempt >= MANY_ATTEMPTS:
        failures = "once" if task.failures == 1 else f"{task.failures} times"
        attempts = "one attempt" if task.attempt == 1 else f"{task.attempt} attempts"
        yield alert(
            "repeated_failures",
            f"{place(task)} failed {failures} in {attempts}",
            failures=task.failures,
            attempt=task.attempt,
        )
    if task.status == "blocked":
        reason = shortened(task.reason, DESCRIPTION)
        yield alert(
            "blocked",
            f"{place(task)} is blocked: {reason}",
            reason=reason,
            since=task.updated_at,
            command=f"t unblock {task.id}",
        )
    if task.status == "in_review":
        worker = task.assigned_to or SYSTEM
        yield alert(
            "in_review",
            f"{place(task)} by {worker} waits for another agent to approve it",
            agent=worker,
            since=task.updated_at,
            command=f"t approve {task.id}",
        )
    awaited = [s for s in task.signals if not s.given_at and s.kind != "timer"]
    if awaited and task.is_reached and task.status in ("pending", "assigned"):
        signal = awaited[0]
        overdue = " and is overdue" if signal.until and signal.until <= now else ""
        yield alert(
            "signal",
            f"{place(task)} waits for {signal.kind} {one_line(signal.name, DESCRIPTION)}{overdue}",
            signal=signal.key,
            since=task.updated_at,
            command=f"t signal {task.id}",
        )


def _silent_agents(state: State, now: str, seen: Mapping[str, float]) -> Iterator[Alert]:
    """Yield the agents that hold a task or a lock, and neither were seen nor took any for five minutes."""
    held = [
        (task.assigned_to or SYSTEM, place(task), task.claimed_at or task.updated_at)
        for task in state.schedule.running()
    ]
    for lock in state.locks.values():
        held += [(h.agent, lock.resource, h.since) for h in lock.holders if h.until > now]
    by_agent: dict[str, list[tuple[str, str]]] = {}
    for agent, holding, since in held:
        by_agent.setdefault(agent, []).append((holding, since))
    for agent, holdings in sorted(by_agent.items()):
        last_seen = clock.timestamp(seen[agent]) if agent in seen else ""
        last = max(last_seen, *(since for _, since in holdings))
        if last < clock.after(now, -STALE_AFTER):
            holds = [holding for holding, _ in holdings]
            yield Alert(
                kind="silent_agent",
                text=f"{agent} holds {', '.join(holds[:5])} and was not seen since {last}",
                agent=agent,
                last_seen=last,
                holds=holds[:SHOWN],
            )


def _ended_needs(state: State, active: set[str]) -> Iterator[Alert]:
    """Yield the tasks that ended without being done and that others wait for."""
    for need, dependants in state.tasks.needed_by.items():
        status = state.tasks.status_of(need)
        if status not in ("failed", "cancelled"):
            continue
        waiting = [
            task_id
            for task_id in dependants
            if (task := state.tasks.get(task_id))
            and task.status in ("pending", "assigned", "blocked")
            and task.workstream in active
        ]
        if waiting:
            is_archived = need not in state.tasks
            workstream = (state.tasks.archived if is_archived else state.tasks)[need].workstream
            yield Alert(
                kind="need_ended",
                text=f"{workstream}/{need} is {status}; {', '.join(waiting[:5])} waits for it",
                workstream=workstream,
                task=need,
                status=status,
                dependants=waiting[:SHOWN],
                command="" if is_archived else f"t reopen {need}",
            )
