"""The plan of a cycle: what to run side by side, what after what, what waits, and what needs attention."""

from itertools import islice
from typing import Any

from orchestrator.core.printable import one_line
from orchestrator.domain.state import State
from orchestrator.domain.tasks.blockers import blockers, is_kept_back, open_needs
from orchestrator.domain.tasks.records import Task
from orchestrator.planning.attention import attention
from orchestrator.planning.choice import Candidate, choose
from orchestrator.planning.critical_path import critical_path
from orchestrator.planning.queues import serial_groups
from orchestrator.planning.survey import (
    DESCRIPTION,
    SHOWN,
    Survey,
    best_of,
    record,
    survey,
)
from orchestrator.planning.teams import assign

Plan = dict[str, Any]
"""A plan as JSON has it."""

REASONS = 5
"""Sentences that say why a task waits."""


def make_plan(state: State, *, now: str, number: int, at_most: int, seen: dict[str, float]) -> Plan:
    """Plan a cycle from the state alone; nothing is changed.

    Args:
        state: The board.
        now: The time.
        number: The number of the cycle that the plan begins.
        at_most: Entries of ``recommended_parallel``.
        seen: When each agent was here last, in seconds since 1970.

    Returns:
        The fields of the original (``generated_at``, ``workstreams``, ``recommended_parallel``,
        ``recommended_serial``) and ``cycle``, ``waiting``, ``critical_path``, ``attention``, and
        ``left_out``: how many entries of each list are not shown.
    """
    found = survey(state, now)
    serial, more_serial = serial_groups(found)
    waiting, more_waiting = _waiting(state, now)
    alarms, more_alarms = attention(state, now, seen)
    return {
        "generated_at": now,
        "cycle": number,
        "workstreams": _workstreams(found),
        "recommended_parallel": _parallel(found, at_most, seen),
        "recommended_serial": serial,
        "waiting": waiting,
        "critical_path": critical_path(state),
        "attention": alarms,
        "left_out": {
            "recommended_serial": more_serial,
            "waiting": more_waiting,
            "attention": more_alarms,
        },
    }


def _workstreams(found: Survey) -> list[dict[str, Any]]:
    """The active workstreams that have something pending or running, by priority, then name."""
    by_stream: dict[str, list[Candidate]] = {}
    for candidate in found.candidates:
        by_stream.setdefault(candidate.task.workstream, []).append(candidate)
    entries = []
    for stream in sorted(found.state.workstreams.values(), key=lambda s: (s.priority, s.name)):
        counts = found.state.tasks.counts[stream.name]
        if stream.status == "active" and (counts.get("pending") or counts.get("in_progress")):
            following = best_of(found, by_stream.get(stream.name, ()))
            entries.append(
                {
                    "name": stream.name,
                    "priority": stream.priority,
                    "next_task": record(following) if following else None,
                    "pending_count": counts.get("pending", 0),
                }
            )
    return entries


def _parallel(found: Survey, at_most: int, seen: dict[str, float]) -> list[dict[str, Any]]:
    chosen = choose((c for c in found.candidates if found.is_free(c)), at_most)
    agents = assign(found.state, [c.task for c in chosen], found.now, seen)
    return [
        {
            "workstream": candidate.task.workstream,
            "task": record(candidate.task),
            "brief": _short_brief(candidate.task),
            "agent": agent,
            "value": candidate.value,
            "touches": list(candidate.task.touches),
        }
        for candidate, agent in zip(chosen, agents, strict=True)
    ]


def _short_brief(task: Task) -> str:
    """One paragraph; the whole brief is printed when somebody asks for it, so the log need not keep it."""
    about = one_line(task.description, DESCRIPTION)
    return (
        f"Task {task.id} of {task.workstream}, priority {task.priority}: {task.title}"
        f"{' - ' if about else ''}{about} (`runner brief {task.id}` prints the whole brief.)"
    )


def _waiting(state: State, now: str) -> tuple[list[dict[str, Any]], int]:
    """Pending tasks of active workstreams that are kept back, with what keeps each."""
    streams = state.workstreams
    tasks = [
        task
        for task in state.tasks.values()
        if task.status == "pending"
        and is_kept_back(state, task, now)
        and streams[task.workstream].status == "active"
    ]
    tasks.sort(key=lambda t: (streams[t.workstream].priority, t.priority, t.events[0], t.id))
    return [_waits(state, task, now) for task in tasks[:SHOWN]], max(0, len(tasks) - SHOWN)


def _waits(state: State, task: Task, now: str) -> dict[str, Any]:
    return {
        "workstream": task.workstream,
        "task": task.id,
        "title": task.title,
        "needs": [_need(state, need) for need in open_needs(state, task)][:SHOWN],
        "reasons": [blocker.says for blocker in islice(blockers(state, task, now), REASONS)],
    }


def _need(state: State, task_id: str) -> dict[str, Any]:
    task = state.tasks.get(task_id)
    if task is None:
        archived = state.tasks.archived[task_id]
        return {"task": task_id, "status": archived.outcome, "assigned_to": None}
    return {"task": task_id, "status": task.status, "assigned_to": task.assigned_to}
