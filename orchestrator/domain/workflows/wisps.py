"""The end of wisps: they are squashed, burned, or collected when they are old."""

from collections.abc import Iterable, Iterator

from orchestrator.core.errors import Refused
from orchestrator.core.transaction import Transaction
from orchestrator.domain.convoys import commands as convoys
from orchestrator.domain.state import State
from orchestrator.domain.tasks.events import TaskCompleted, TaskNoted, released
from orchestrator.domain.tasks.records import HELD, Task
from orchestrator.domain.workflows.automation import cancel
from orchestrator.domain.workflows.digest import digest_of
from orchestrator.domain.workflows.events import WorkflowBurned, WorkflowSquashed
from orchestrator.domain.workflows.lookup import live_steps
from orchestrator.domain.workflows.records import Workflow

OLD = 24 * 3600.0
"""The age after its end, in seconds, at which a wisp may be collected."""

ABANDONED = 7 * 24 * 3600.0
"""The time without an event, in seconds, after which an open wisp may be collected."""

COLLECTED = 10
"""How many wisps are collected in a transaction."""


def squash(tx: Transaction[State], workflow: Workflow, summary: str = "") -> None:
    """Condense a wisp: remove its steps, and store a digest in its root."""
    state, root = tx.state, workflow.root
    digest = digest_of(state, workflow, tx.now, summary)
    _end(tx, live_steps(state, root), f"the workflow {root} was squashed")
    if not workflow.own_root and root in state.tasks:
        tx.record(TaskNoted(task=root, text=digest))
    elif state.tasks.is_open(root):
        tx.record(TaskCompleted(task=root, result=digest))
    convoys.follow(tx, tx.events)
    tx.record(WorkflowSquashed(workflow=root, steps=_step_ids(state, root), digest=digest))


def burn(tx: Transaction[State], workflow: Workflow) -> None:
    """Remove a wisp from the board without a digest."""
    state, root = tx.state, workflow.root
    own = [state.tasks[root]] if workflow.own_root else []
    _end(tx, [*own, *live_steps(state, root)], f"the workflow {root} was burned")
    convoys.follow(tx, tx.events)
    tx.record(WorkflowBurned(workflow=root, steps=_step_ids(state, root)))


def _step_ids(state: State, root: str) -> tuple[str, ...]:
    return tuple(state.workflows.steps.get(root, ()))


def _end(tx: Transaction[State], tasks: Iterable[Task], reason: str) -> None:
    """Release and cancel tasks."""
    for task in tasks:
        if tx.state.tasks[task.id].status in HELD:
            tx.record(released(task, reason))
        cancel(tx, [task], reason)


def check_unused(state: State, workflow: Workflow, now: str, *, burning: bool) -> None:
    """Refuse to end a wisp while an agent works on a step, or tasks outside of it need a step.

    Raises:
        Refused: There is such a task; the message names it.
    """
    for task in live_steps(state, workflow.root):
        if task.status == "in_progress" and not task.has_lapsed(now):
            raise Refused(
                f"{task.assigned_to} works on step {task.id}",
                code="still_running",
                hint=f"Let it end first, or take the step back: `unsling {task.id}`.",
                task=task.id,
                assigned_to=task.assigned_to,
            )
    for user, why in users_of(state, workflow, burning=burning):
        raise Refused(
            f"Task {user} {why}, which would leave the board",
            code="still_needed",
            hint="`t dep remove` removes the link; a workflow inside must end first.",
            task=user,
        )


def users_of(state: State, workflow: Workflow, *, burning: bool) -> Iterator[tuple[str, str]]:
    """The remaining tasks that need a removed task, with the reason."""
    leaving = dict.fromkeys(_step_ids(state, workflow.root))
    if burning and workflow.own_root:
        leaving[workflow.root] = None
    tasks = state.tasks
    for task in leaving:
        if task in state.workflows and task != workflow.root:
            yield task, "has a workflow of its own"
        for users, why in (
            (tasks.needed_by, "needs"),
            (tasks.failure_needed_by, "needs the failure of"),
            (tasks.awaited_by, "waits for children of"),
            (tasks.children, "is a part of"),
        ):
            for user in users.get(task, ()):
                if user not in leaving:
                    yield user, f"{why} {task}"


def collect(tx: Transaction[State], keep: frozenset[str]) -> None:
    """End some wisps that ended a day ago, or were abandoned a week ago."""
    wisps = [wisp for wisp in tx.state.workflows.wisps() if wisp.root not in keep]
    for workflow in [wisp for wisp in wisps if _is_collectable(tx, wisp)][:COLLECTED]:
        if workflow.condense is not None and workflow.condense.by_itself:
            squash(tx, workflow)
        else:
            burn(tx, workflow)


def _is_collectable(tx: Transaction[State], workflow: Workflow) -> bool:
    state, now = tx.state, tx.now
    try:
        check_unused(state, workflow, now, burning=True)
    except Refused:
        return False
    if workflow.ended_at:
        return workflow.ended_at <= tx.later(-OLD)
    steps = live_steps(state, workflow.root)
    if any(s.defer_until > now or s.is_held(now) for s in steps):
        return False
    last = max([workflow.poured_at, *(step.updated_at for step in steps)])
    return last <= tx.later(-ABANDONED)
