"""The plan of a cycle: tasks to run side by side, tasks to run in sequence, waiting tasks, and alerts."""

from itertools import islice

import msgspec
from msgspec.structs import replace

from orchestrator.core.multimap import multimap
from orchestrator.core.printable import one_line, shortened
from orchestrator.domain.state import State
from orchestrator.domain.tasks.blockers import REASONS, blockers, open_needs
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.tasks.stages import is_kept_back
from orchestrator.planning import records
from orchestrator.planning.attention import attention
from orchestrator.planning.choice import choose
from orchestrator.planning.critical_path import critical_path
from orchestrator.planning.queues import serial_groups
from orchestrator.planning.records import DESCRIPTION, SHOWN
from orchestrator.planning.survey import Survey, about, best_of, survey
from orchestrator.planning.teams import assign


def make_plan(
    state: State, *, now: str, number: int, at_most: int, seen: dict[str, float]
) -> records.Plan:
    """Plan a cycle from the state alone; nothing is changed.

    Args:
        state: The board.
        now: The time.
        number: The number of the cycle that the plan begins.
        at_most: Entries of ``recommended_parallel``.
        seen: When each agent was last seen, in seconds since 1970.
    """
    board = survey(state, now)
    serial, more_serial = serial_groups(board)
    waiting = _waiting_tasks(state, now)
    alerts, more_alerts = attention(state, now, seen)
    return records.Plan(
        generated_at=now,
        cycle=number,
        workstreams=_workstreams(board),
        recommended_parallel=_recommendations(board, at_most, seen),
        recommended_serial=serial,
        waiting=[_waiting(state, task, now) for task in waiting[:SHOWN]],
        critical_path=critical_path(state),
        attention=alerts,
        left_out=records.LeftOut(
            recommended_serial=more_serial, waiting=len(waiting[SHOWN:]), attention=more_alerts
        ),
    )


def _workstreams(board: Survey) -> list[records.PlannedWorkstream]:
    """Return the active workstreams that have a pending or running task, by priority, then name."""
    candidates = multimap((candidate.task.workstream, candidate) for candidate in board.candidates)
    entries = []
    for stream in sorted(board.state.workstreams.values(), key=lambda s: (s.priority, s.name)):
        counts = board.state.tasks.counts[stream.name]
        if stream.status == "active" and (counts.get("pending") or counts.get("in_progress")):
            best = best_of(board, candidates.get(stream.name, ()))
            entries.append(
                records.PlannedWorkstream(
                    name=stream.name,
                    priority=stream.priority,
                    next_task=_planned(best) if best else None,
                    pending_count=counts.get("pending", 0),
                )
            )
    return entries


def _recommendations(
    board: Survey, at_most: int, seen: dict[str, float]
) -> list[records.Recommendation]:
    chosen = choose((c for c in board.candidates if board.is_free(c)), at_most)
    agents = assign(board.state, [c.task for c in chosen], board.now, seen)
    return [
        records.Recommendation(
            workstream=candidate.task.workstream,
            task=_planned(candidate.task),
            brief=_short_brief(candidate.task),
            agent=agent,
            value=candidate.value,
            touches=list(candidate.task.touches),
        )
        for candidate, agent in zip(chosen, agents, strict=True)
    ]


def _planned(task: Task) -> records.PlannedTask:
    planned = msgspec.convert(task, records.PlannedTask, from_attributes=True)
    return replace(planned, description=shortened(task.description, DESCRIPTION))


def _short_brief(task: Task) -> str:
    """Return one paragraph: the log need not keep the whole brief, which can be printed at any time."""
    text = one_line(task.description, DESCRIPTION)
    return (
        f"Task {task.id} of {task.workstream}, priority {task.priority}: {task.title}"
        f"{' - ' if text else ''}{text} (`runner brief {task.id}` prints the whole brief.)"
    )


def _waiting_tasks(state: State, now: str) -> list[Task]:
    """Return the blocked pending tasks of active workstreams, in the order of taking them."""
    streams = {name: s.priority for name, s in state.workstreams.items() if s.status == "active"}
    pending = (t for t in state.tasks.open() if t.status == "pending" and t.workstream in streams)
    return sorted(
        (task for task in pending if is_kept_back(state, task, now)),
        key=lambda task: (streams[task.workstream], task.priority, task.events[0], task.id),
    )


def _waiting(state: State, task: Task, now: str) -> records.WaitingTask:
    needs = []
    for need in open_needs(state, task)[:SHOWN]:
        agent = state.tasks[need].assigned_to if need in state.tasks else None
        status = state.tasks.status_of(need)
        needs.append(records.OpenNeed(task=need, status=status, assigned_to=agent))
    reasons = [blocker.says for blocker in islice(blockers(state, task, now), REASONS)]
    return records.WaitingTask(**about(task), needs=needs, reasons=reasons)
