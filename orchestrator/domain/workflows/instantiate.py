"""Pouring: the steps of a cooked formula become tasks, parts of a root."""

import msgspec

from orchestrator.core import names
from orchestrator.core.errors import Refused, UsageError
from orchestrator.core.transaction import Transaction
from orchestrator.domain.agents import commands as agents
from orchestrator.domain.state import State
from orchestrator.domain.tasks.circles import check_no_circle
from orchestrator.domain.tasks.events import TaskAdded, TaskEdited
from orchestrator.domain.tasks.facts import NO_FACTS, changed_facts
from orchestrator.domain.tasks.lookup import check_new_id, find_live, new_id, resolve_all
from orchestrator.domain.tasks.records import HELD, Task
from orchestrator.domain.tasks.relations import Gate, Signal
from orchestrator.domain.tasks.transitions import check_transition
from orchestrator.domain.workflows import automation
from orchestrator.domain.workflows.compiled import MILESTONE, CompiledFormula, CompiledStep
from orchestrator.domain.workflows.events import WorkflowPoured
from orchestrator.domain.workflows.records import Workflow
from orchestrator.domain.workstreams import commands as workstreams
from orchestrator.domain.workstreams.events import WorkstreamCreated

WORKSTREAM = "workflows"
"""Where workflows belong that say no workstream; made when it is first needed."""

REVIEW_ONLY = "review-only"
"""The label of steps that are to change nothing."""

ROOT = "workflow"
"""The type of a root that was made for its workflow."""

OLD = 24 * 3600.0
"""Seconds after its end in which a wisp is collected by the next one."""

ABANDONED = 7 * 24 * 3600.0
"""Seconds without an event after which an open wisp is collected too."""

COLLECTED = 10
"""Wisps that are collected at once."""


class Pouring:
    """A cooked formula on its way onto the board."""

    def __init__(
        self,
        tx: Transaction[State],
        cooked: CompiledFormula,
        workstream: str | None,
        on: str | None,
        ephemeral: bool,
        assignee: str | None = None,
        keep: frozenset[str] = frozenset(),
    ) -> None:
        self._tx = tx
        self._cooked = cooked
        self._ephemeral = ephemeral
        self._on = None if on is None else _open_for_workflow(tx.state, on)
        within = None if self._on is None else self._on.workflow
        self._keep = keep if within is None else keep | {within}
        self._stream = self._workstream(workstream)
        self._labels = (REVIEW_ONLY,) if cooked.review_only else ()
        self._assignee = "" if assignee is None else tx.state.agents.aliases.get(assignee, assignee)
        if assignee is not None:
            agents.check_active(tx.state, names.agent(self._assignee))

    def pour(self) -> str:
        """Record everything, and give the root."""
        tx, cooked = self._tx, self._cooked
        if not cooked.steps:
            raise UsageError(f"Formula {cooked.formula} has no step that its variables leave in")
        if self._ephemeral:
            _collect(tx, self._keep)
        root = self._on.id if self._on is not None else new_id(tx)
        tx.record(
            WorkflowPoured(
                workflow=root,
                formula=cooked.formula,
                version=cooked.version,
                own_root=self._on is None,
                variables=cooked.variables,
                ephemeral=self._ephemeral,
                condense=cooked.condense,
            )
        )
        self._record_root(root)
        for step in cooked.steps:
            tx.record(self._added(root, step))
        self._check_circles(root)
        return root

    def _workstream(self, named: str | None) -> str:
        """Where the tasks belong; it is made if nobody names one."""
        state = self._tx.state
        if self._on is not None:
            if named not in (None, self._on.workstream):
                raise UsageError(f"Task {self._on.id} belongs to {self._on.workstream}")
            named = self._on.workstream
        stream = WORKSTREAM if named is None else named
        if named is None and stream not in state.workstreams:
            self._tx.record(WorkstreamCreated(workstream=stream, description="Poured formulas"))
        return workstreams.find_active(state, stream).name

    def _record_root(self, root: str) -> None:
        gate, cooked = Gate("all", root), self._cooked
        if self._on is None:
            self._tx.record(
                TaskAdded(
                    task=root,
                    workstream=self._stream,
                    title=cooked.title or cooked.formula,
                    description=cooked.description,
                    type=ROOT,
                    labels=self._labels,
                    gate=gate,
                    milestone=True,
                )
            )
        else:
            self._tx.record(TaskEdited(task=root, gate=gate, milestone=True))

    def _added(self, root: str, step: CompiledStep) -> TaskAdded:
        state = self._tx.state
        needs = tuple(f"{root}.{need}" for need in step.needs)
        priority = step.priority
        if priority is None:
            priority = self._on.priority if self._on is not None else 5
        return TaskAdded(
            task=check_new_id(state, f"{root}.{step.id}"),
            workstream=self._stream,
            title=step.title,
            description=step.description,
            type=step.type,
            priority=priority,
            labels=tuple(dict.fromkeys((*self._labels, *step.labels))),
            acceptance=step.acceptance,
            estimate=step.estimate,
            needs=tuple(dict.fromkeys((*needs, *resolve_all(state, step.outside)))),
            touches=step.touches,
            parent=root if step.parent is None else f"{root}.{step.parent}",
            gate=_gate(root, step),
            checks=changed_facts(
                {
                    "verify": step.verify,
                    "artifacts": step.artifacts,
                    "review": step.review,
                    "verify_timeout": step.verify_timeout,
                },
                NO_FACTS,
                None,
            ).get("checks"),
            signals=tuple(
                Signal(kind=gate.type, name=gate.name, seconds=gate.seconds) for gate in step.gates
            ),
            milestone=step.type == MILESTONE,
            until=step.until,
            workflow=root,
            assignee=self._assignee_of(step),
        )

    def _assignee_of(self, step: CompiledStep) -> str:
        if step.type == MILESTONE:
            return ""
        return step.assignee or self._assignee

    def _check_circles(self, root: str) -> None:
        """Refuse steps that would wait for themselves by way of tasks that were there before.

        Among themselves they do not: the formula was checked. And nobody waits for a root that is new.
        """
        if self._on is None:
            return
        state = self._tx.state
        outside = dict.fromkeys(task for step in self._cooked.steps for task in step.outside)
        task = state.tasks[root]
        check_no_circle(state, root, task)
        if outside:
            needs = (*task.needs, *resolve_all(state, outside))
            check_no_circle(state, root, msgspec.structs.replace(task, needs=needs))
        first = next(f"{root}.{step.id}" for step in self._cooked.steps if step.parent is None)
        check_no_circle(state, first, state.tasks[first])


def _open_for_workflow(state: State, text: str) -> Task:
    """The task that a workflow is to be poured on.

    Raises:
        Refused: It has ended, is in review, is a milestone, has a workflow, or waits for children already.
    """
    task = find_live(state, text)
    check_transition(task, "block" if task.status != "blocked" else "unblock")
    if task.id in state.workflows:
        raise Refused(
            f"Task {task.id} gets done by a workflow already: {state.workflows[task.id].formula}",
            code="workflow_exists",
            hint=f"`formula current {task.id}` shows where it stands.",
        )
    if task.milestone:
        raise Refused(
            f"Task {task.id} is a milestone, which is done by itself",
            code="no_work",
            hint="Pour the workflow on the step before it, or on the one after it.",
        )
    if task.gate is not None:
        raise Refused(
            f"Task {task.id} waits for children already",
            code="gate_exists",
            hint="`t edit --waits-for ''` takes that away.",
        )
    return task


def _gate(root: str, step: CompiledStep) -> Gate | None:
    how, _, of = step.waits_for.partition(":")
    return Gate(how, f"{root}.{of or step.id}") if how else None


def _collect(tx: Transaction[State], keep: frozenset[str]) -> None:
    """Let wisps go that ended long ago, or that nobody has touched for a week."""
    state = tx.state
    wisps = [w for w in state.workflows.values() if w.ephemeral and w.root not in keep]
    old = [workflow for workflow in wisps if _is_old(tx, workflow)]
    for workflow in old[:COLLECTED]:
        if workflow.condense is not None and workflow.condense.by_itself:
            automation.squash(tx, workflow)
        else:
            automation.burn(tx, workflow)


def _is_old(tx: Transaction[State], workflow: Workflow) -> bool:
    """Whether a wisp is over, or nobody has anything to do with it any more."""
    state, now = tx.state, tx.now
    try:
        automation.check_unused(state, workflow, now, burning=True)
    except Refused:
        return False
    if workflow.ended_at:
        return workflow.ended_at <= tx.later(-OLD)
    steps = [*automation.live_steps(state, workflow.root)]
    waits = any(
        step.defer_until > now or (step.status in HELD and not step.has_lapsed(now))
        for step in steps
    )
    last = max((step.updated_at for step in steps), default="")
    return not waits and max(last, workflow.poured_at) <= tx.later(-ABANDONED)
