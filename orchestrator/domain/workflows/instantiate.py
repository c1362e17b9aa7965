"""Instantiate a compiled formula: its steps become tasks, children of a root."""

import msgspec

from orchestrator.core import names
from orchestrator.core.errors import Refused, UsageError
from orchestrator.core.transaction import Transaction
from orchestrator.domain.agents.identity import check_active
from orchestrator.domain.state import State
from orchestrator.domain.tasks.circles import check_no_circle
from orchestrator.domain.tasks.edit_events import TaskEdited
from orchestrator.domain.tasks.events import TaskAdded
from orchestrator.domain.tasks.lookup import find_live, new_id, resolve_all
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.tasks.relations import Gate
from orchestrator.domain.tasks.transitions import check_transition
from orchestrator.domain.workflows import wisps
from orchestrator.domain.workflows.compiled import CompiledFormula, CompiledStep
from orchestrator.domain.workflows.events import WorkflowPoured
from orchestrator.domain.workflows.step_tasks import REVIEW_ONLY, added_step
from orchestrator.domain.workstreams.events import WorkstreamCreated

WORKSTREAM = "workflows"
"""The default workstream of workflows; it is created when it is first needed."""

ROOT = "workflow"
"""The type of a root that was created for its workflow."""


def instantiate(
    tx: Transaction[State],
    formula: CompiledFormula,
    *,
    workstream: str | None = None,
    on: str | None = None,
    ephemeral: bool = False,
    assignee: str | None = None,
    keep: frozenset[str] = frozenset(),
) -> str:
    """Add the tasks of a compiled formula, and return the root.

    Args:
        tx: Where the events are recorded.
        formula: The compiled formula.
        workstream: The workstream of the tasks; None: that of ``on``, else the default one.
        on: The task that becomes the root; None: a new one.
        ephemeral: Whether the workflow is a wisp.
        assignee: The agent for steps that name none.
        keep: Workflows that are not collected.

    Raises:
        NotFound: The task, the workstream, or a task that a gate names does not exist.
        Refused: The task cannot become a root, a circle would arise, or an agent or workstream is not active.
        UsageError: The formula has no steps, or the task belongs to another workstream.
    """
    target = None if on is None else _check_target(tx.state, find_live(tx.state, on))
    stream = _workstream(tx, workstream, target)
    if assignee is not None:
        assignee = names.agent(tx.state.agents.aliases.get(assignee, assignee))
        tx.check_agent(assignee)
        check_active(tx.state, assignee)
    for named in dict.fromkeys(step.assignee for step in formula.steps if step.assignee):
        tx.check_agent(named)
    if not formula.steps:
        raise UsageError(f"Formula {formula.formula} has no step with these variables")
    if ephemeral:
        wisps.collect(tx, keep | ({target.workflow} if target and target.workflow else set()))
    root = target.id if target is not None else new_id(tx, stream)
    tx.record(
        WorkflowPoured(
            workflow=root,
            formula=formula.formula,
            version=formula.version,
            own_root=target is None,
            variables=formula.variables,
            ephemeral=ephemeral,
            condense=formula.condense,
        )
    )
    labels = (REVIEW_ONLY,) if formula.review_only else ()
    gate = Gate("all", root)
    if target is not None:
        tx.record(TaskEdited(task=root, gate=gate, milestone=True))
    else:
        tx.record(
            TaskAdded(
                id=root,
                workstream=stream,
                title=formula.title or formula.formula,
                description=formula.description,
                type=ROOT,
                labels=labels,
                gate=gate,
                milestone=True,
            )
        )
    priority = 5 if target is None else target.priority
    for step in tx.show_progress(formula.steps, "Adding steps"):
        tx.record(added_step(tx.state, root, step, stream, labels, priority, assignee or ""))
    if target is not None:
        _check_circles(tx.state, root, formula.steps)
    return root


def _workstream(tx: Transaction[State], name: str | None, target: Task | None) -> str:
    if target is not None:
        if name not in (None, target.workstream):
            raise UsageError(f"Task {target.id} belongs to {target.workstream}")
        name = target.workstream
    elif name is None:
        name = WORKSTREAM
        if name not in tx.state.workstreams:
            tx.record(WorkstreamCreated(workstream=name, description="Poured formulas"))
    return tx.state.workstreams.find_active(name).name


def _check_circles(state: State, root: str, steps: tuple[CompiledStep, ...]) -> None:
    """Refuse a circle through the task that became the root.

    The compiler has checked the steps alone.
    """
    task = state.tasks[root]
    check_no_circle(state, root, task)
    outside = resolve_all(state, dict.fromkeys(name for step in steps for name in step.outside))
    if outside:
        check_no_circle(state, root, msgspec.structs.replace(task, needs=(*task.needs, *outside)))
    first = next(f"{root}.{step.id}" for step in steps if step.parent is None)
    check_no_circle(state, first, state.tasks[first])


def _check_target(state: State, task: Task) -> Task:
    """Check that a task may become the root of a workflow.

    Raises:
        Refused: It has ended, is in review, has a workflow, is a milestone, or waits for children already.
    """
    check_transition(task, "unblock" if task.status == "blocked" else "block")
    if task.id in state.workflows:
        raise Refused(
            f"Task {task.id} has a workflow already: {state.workflows[task.id].formula}",
            code="workflow_exists",
            hint=f"`formula current {task.id}` shows its progress.",
        )
    if task.milestone:
        raise Refused(
            f"Task {task.id} is a milestone, which completes automatically",
            code="no_work",
            hint="Pour the workflow on the step before or after it.",
        )
    if task.gate is not None:
        raise Refused(
            f"Task {task.id} waits for children already",
            code="gate_exists",
            hint="`t edit --waits-for ''` removes that.",
        )
    return task
