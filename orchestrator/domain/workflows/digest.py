"""The digest of a condensed wisp: its summary in a few lines."""

from collections.abc import Iterable, Iterator

from orchestrator.core import clock
from orchestrator.core.printable import one_line
from orchestrator.domain.state import State
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.tasks.relations import NO_CHILDREN
from orchestrator.domain.workflows.lookup import live_steps
from orchestrator.domain.workflows.records import Condense, Workflow

_LONGEST = 200
"""The largest length of a value, or of the result of a step."""

_MOST_STEPS = 200


def digest_of(state: State, workflow: Workflow, now: str, summary: str = "") -> str:
    """Summarize a workflow: its formula, its variables, its steps and their results."""
    steps = live_steps(state, workflow.root)
    condense = workflow.condense or Condense()
    kind = f" ({condense.kind})" if condense.kind else ""
    work = state.workflows.work.get(workflow.root, NO_CHILDREN)
    lines = [
        f"{workflow.formula} version {workflow.version}{kind}: {work.done} of {work.total} steps done,"
        f" {workflow.poured_at} to {now}."
    ]
    values = ((name, one_line(value, _LONGEST)) for name, value in workflow.variables.items())
    lines += [f"{name}: {value}" for name, value in values if value]
    lines += ["", summary] if summary else []
    if condense.metrics:
        lines += ["", *_metrics(steps, workflow, now)]
    lines += ["", *(_line(step, workflow) for step in steps[:_MOST_STEPS] if not step.milestone)]
    return "\n".join(lines)


def _line(step: Task, workflow: Workflow) -> str:
    agent = f" by {step.assigned_to}" if step.assigned_to else ""
    result = step.result or step.reason
    text = f": {one_line(result, _LONGEST)}" if result else ""
    return f"- {step.id.removeprefix(workflow.root + '.')} {step.status}{agent}{text}"


def _metrics(steps: Iterable[Task], workflow: Workflow, now: str) -> Iterator[str]:
    """How long the workflow and its steps took."""
    worked = [step for step in steps if step.claimed_at and step.ended_at]
    took = clock.between(workflow.poured_at, now)
    yield f"It took {clock.spoken(took)}; {len({step.assigned_to for step in worked})} agents worked on it."
    for step in worked:
        seconds = clock.between(step.claimed_at or now, step.ended_at or now)
        again = f", {step.attempt} attempts" if step.attempt > 1 else ""
        yield f"- {step.id.removeprefix(workflow.root + '.')}: {clock.spoken(seconds)}{again}"
