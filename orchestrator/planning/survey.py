"""What there is to plan: the tasks that could be taken now, and what others hold of what they touch."""

from collections.abc import Iterable
from typing import Any

import msgspec

from orchestrator.core.printable import shortened
from orchestrator.domain.state import State
from orchestrator.domain.tasks import resources
from orchestrator.domain.tasks.ready_queue import Hold, rank_of
from orchestrator.domain.tasks.records import Task
from orchestrator.planning.choice import Candidate

SHOWN = 100
"""Entries of one list of a plan. A plan is one line of the log, so it may not grow with the board."""

DESCRIPTION = 500
"""Characters of a description that a plan carries; the brief has it whole."""


class Survey(msgspec.Struct):
    """The board as the planner sees it.

    Attributes:
        candidates: Every task that anybody may take, lapsed ones included, of active workstreams.
        held: For each text of ``touches`` what is held now and excludes it; texts without are left out.
    """

    state: State
    now: str
    candidates: list[Candidate]
    held: dict[str, list[Hold]]

    def holds(self, task: Task) -> list[Hold]:
        """What others hold that the task touches."""
        return [hold for text in task.touches for hold in self.held.get(text, ())]

    def is_free(self, candidate: Candidate) -> bool:
        """Whether nothing is held that the task touches."""
        return not any(text in self.held for text in candidate.task.touches)


def survey(state: State, now: str, workstream: str | None = None) -> Survey:
    """Look over the board, or over one workstream, once."""
    needs: dict[str, resources.Need] = {}
    candidates = [
        _candidate(task, state.workstreams[task.workstream].priority, needs)
        for task in state.schedule.ready(workstream, now)
    ]
    held = {}
    for text, need in needs.items():
        if holds := state.schedule.collisions(need, None, now):
            held[text] = holds
    return Survey(state, now, candidates, held)


def value_of(task: Task) -> int:
    """What it is worth to run a task: 9 for priority 1, down to 1 from priority 9 on."""
    return max(1, 10 - task.priority)


def _candidate(task: Task, priority: int, known: dict[str, resources.Need]) -> Candidate:
    modes: dict[str, bool] = {}
    for text in task.touches:
        need = known.get(text)
        if need is None:
            need = known[text] = resources.parse(text)
        modes[need.resource] = need.shared and modes.get(need.resource, True)
    value = value_of(task)
    order = (priority, task.events[0], task.id)
    return Candidate(
        task=task,
        value=value,
        order=order,
        preference=(-value, order),
        modes=modes,
        globs=tuple(resource for resource in modes if resources.is_glob(resource)),
    )


def best_of(found: Survey, candidates: Iterable[Candidate]) -> Task | None:
    """The task of one workstream that is taken next: by priority, then age; one that collides if all do."""
    ranked = ((not found.is_free(c), rank_of(c.task), c) for c in candidates)
    best = min(ranked, default=None, key=lambda entry: entry[:2])
    return best[2].task if best else None


def place(task: Task) -> str:
    """A task as the original writes it: ``workstream/id``."""
    return f"{task.workstream}/{task.id}"


def record(task: Task) -> dict[str, Any]:
    """A task in a plan: the fields of the original and those that matter for choosing it."""
    return {
        "id": task.id,
        "workstream": task.workstream,
        "title": task.title,
        "description": shortened(task.description, DESCRIPTION),
        "status": task.status,
        "type": task.type,
        "priority": task.priority,
        "labels": list(task.labels),
        "estimate": task.estimate,
        "touches": list(task.touches),
        "attempt": task.attempt,
        "assigned_to": task.assigned_to,
        "created_at": task.created_at,
        "updated_at": task.updated_at,
        "result": task.result,
    }
