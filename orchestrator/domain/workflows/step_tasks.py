"""The task of a step of a workflow."""

import msgspec

from orchestrator.domain.state import State
from orchestrator.domain.tasks.events import TaskAdded
from orchestrator.domain.tasks.facts import NO_FACTS
from orchestrator.domain.tasks.given_facts import STEP_FACTS, changed_facts
from orchestrator.domain.tasks.lookup import check_new_id, resolve_all
from orchestrator.domain.tasks.relations import GATE_KINDS, Gate, Signal
from orchestrator.domain.workflows.compiled import MILESTONE, CompiledStep

REVIEW_ONLY = "review-only"
"""The label of steps that must not change files."""


def added_step(
    state: State,
    root: str,
    step: CompiledStep,
    workstream: str,
    labels: tuple[str, ...],
    priority: int,
    assignee: str,
) -> TaskAdded:
    """The event that adds the task of a step."""
    needs = (*(f"{root}.{need}" for need in step.needs), *resolve_all(state, step.outside))
    how, _, of = step.waits_for.partition(":")
    is_milestone = step.type == MILESTONE
    facts = changed_facts({n: getattr(step, n) for n in STEP_FACTS}, NO_FACTS, None)
    facts |= {
        "priority": priority if step.priority is None else step.priority,
        "labels": tuple(dict.fromkeys(labels + step.labels)),
    }
    return TaskAdded(
        id=check_new_id(state, f"{root}.{step.id}"),
        workstream=workstream,
        needs=tuple(dict.fromkeys(needs)),
        parent=root if step.parent is None else f"{root}.{step.parent}",
        gate=Gate(GATE_KINDS[how], f"{root}.{of or step.id}") if how else None,
        signals=tuple(Signal(kind=g.type, name=g.name, seconds=g.seconds) for g in step.gates),
        milestone=is_milestone,
        until=step.until,
        for_each=step.for_each
        and msgspec.structs.replace(step.for_each, step=f"{root}.{step.for_each.step}"),
        workflow=root,
        assignee="" if is_milestone else step.assignee or assignee,
        **facts,
    )
