"""What needs the attention of whoever leads the cycle."""

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.core import clock
from orchestrator.core.printable import one_line, shortened
from orchestrator.core.transaction import SYSTEM
from orchestrator.domain.agents.commands import STALE_AFTER
from orchestrator.domain.state import State
from orchestrator.domain.tasks.records import Task
from orchestrator.planning.survey import DESCRIPTION, SHOWN, place

MANY_FAILURES = 2
"""Failures of one task that call for attention."""

MANY_ATTEMPTS = 3
"""Claims of one task that call for attention if it still has not ended well."""

KINDS = (
    "lease_expired",
    "silent_agent",
    "repeated_failures",
    "need_ended",
    "blocked",
    "in_review",
    "signal",
)
"""The kinds of entries, the most urgent first."""

Entry = dict[str, Any]


def attention(state: State, now: str, seen: Mapping[str, float]) -> tuple[list[Entry], int]:
    """What needs attention, kind by kind, and how many entries were left out.

    Every entry has ``kind`` and ``text``, a sentence for people; some have ``command``, which lets things go
    on once what they wait for is so. ``lease_expired``: the lease of a running
    task ended and nobody took it. ``silent_agent``: somebody holds work and gave no sign of life for five
    minutes. ``repeated_failures``: a task failed twice or was claimed three times and is not done.
    ``need_ended``: a failed or cancelled task that others wait for. ``blocked``: with its reason.
    ``in_review``: work that another agent must approve. ``signal``: a task that only waits for somebody's
    word, a condition, an event or mail.
    """
    active = {name for name, stream in state.workstreams.items() if stream.status == "active"}
    found: dict[str, list[Entry]] = {kind: [] for kind in KINDS}
    for task in state.tasks.values():
        if task.workstream in active and task.status not in ("done", "cancelled"):
            for entry in _about(task, now):
                found[entry["kind"]].append(entry)
    found["silent_agent"] = list(_silent(state, now, seen))
    found["need_ended"] = list(_ended_needs(state, active))
    entries = [entry for kind in KINDS for entry in found[kind][:SHOWN]]
    return entries, sum(max(0, len(entries) - SHOWN) for entries in found.values())


def _about(task: Task, now: str) -> Iterator[Entry]:
    if task.has_lapsed(now):
        yield _entry(
            "lease_expired",
            f"The lease of {task.assigned_to} on {place(task)} ended; the next claim may take it",
            task,
            agent=task.assigned_to,
            since=task.lease_until,
        )
    if task.failures >= MANY_FAILURES or task.attempt >= MANY_ATTEMPTS:
        yield _entry(
            "repeated_failures",
            f"{place(task)} failed {_times(task.failures)} in {_attempts(task.attempt)}",
            task,
            failures=task.failures,
            attempt=task.attempt,
        )
    if task.status == "blocked":
        reason = shortened(task.reason, DESCRIPTION)
        yield _entry(
            "blocked",
            f"{place(task)} is blocked: {reason}",
            task,
            reason=reason,
            since=task.updated_at,
            command=f"t unblock {task.id}",
        )
    if task.status == "in_review":
        worker = task.assigned_to or SYSTEM
        yield _entry(
            "in_review",
            f"{place(task)} by {worker} waits for another agent to approve it",
            task,
            agent=task.assigned_to,
            since=task.updated_at,
            command=f"t approve {task.id}",
        )
    awaited = [one for one in task.signals if not one.given_at and one.kind != "timer"]
    if awaited and task.is_reached and task.status in ("pending", "assigned"):
        signal = awaited[0]
        overdue = " and is overdue" if signal.until and signal.until <= now else ""
        yield _entry(
            "signal",
            f"{place(task)} waits for {signal.kind} {one_line(signal.name, DESCRIPTION)}{overdue}",
            task,
            signal=signal.key,
            since=task.updated_at,
            command=f"t signal {task.id}",
        )


def _silent(state: State, now: str, seen: Mapping[str, float]) -> Iterator[Entry]:
    """Who holds a task or a lock and was neither seen nor took any for five minutes."""
    held: dict[str, list[str]] = {}
    taken: dict[str, str] = {}

    def note(agent: str, what: str, since: str) -> None:
        held.setdefault(agent, []).append(what)
        taken[agent] = max(taken.get(agent, ""), since)

    for task in state.schedule.running():
        note(task.assigned_to or SYSTEM, place(task), task.claimed_at or task.updated_at)
    for lock in state.locks.values():
        for holder in lock.holders:
            if holder.until > now:
                note(holder.agent, lock.resource, holder.since)
    for agent in sorted(held):
        last = max(clock.timestamp(seen[agent]) if agent in seen else "", taken[agent])
        if last < clock.after(now, -STALE_AFTER):
            yield {
                "kind": "silent_agent",
                "text": f"{agent} holds {', '.join(held[agent][:5])} and was not seen since {last}",
                "agent": agent,
                "last_seen": last,
                "holds": held[agent][:SHOWN],
            }


def _ended_needs(state: State, active: set[str]) -> Iterator[Entry]:
    """Tasks that ended without being done and that others wait for."""
    for need, dependants in state.tasks.needed_by.items():
        status, workstream = _outcome(state, need)
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
            yield {
                "kind": "need_ended",
                "text": f"{workstream}/{need} is {status}; {', '.join(waiting[:5])} waits for it",
                "workstream": workstream,
                "task": need,
                "status": status,
                "dependants": waiting[:SHOWN],
                "command": f"t reopen {need}" if need in state.tasks else "",
            }


def _outcome(state: State, task_id: str) -> tuple[str, str]:
    task = state.tasks.get(task_id)
    if task is not None:
        return task.status, task.workstream
    archived = state.tasks.archived[task_id]
    return archived.outcome, archived.workstream


def _entry(kind: str, text: str, task: Task, **facts: Any) -> Entry:
    return {
        "kind": kind,
        "text": text,
        "workstream": task.workstream,
        "task": task.id,
        "title": task.title,
        "status": task.status,
        **facts,
    }


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _attempts(number: int) -> str:
    return "one attempt" if number == 1 else f"{number} attempts"
