"""The progress of a workflow: what is done, held, ready, stuck or waiting, and why."""

from collections.abc import Iterable

import msgspec

from orchestrator.core.printable import one_line
from orchestrator.core.transaction import Desk
from orchestrator.domain.state import State
from orchestrator.domain.tasks.blockers import SHOWN, Blocker, blockers
from orchestrator.domain.tasks.commands import Tasks
from orchestrator.domain.tasks.dependencies import Blocked
from orchestrator.domain.tasks.records import STATUSES, Task
from orchestrator.domain.tasks.relations import NO_CHILDREN
from orchestrator.domain.tasks.stages import is_offered
from orchestrator.domain.workflows.records import Workflow


class WorkflowStanding(msgspec.Struct, frozen=True, kw_only=True):
    """How far a workflow is.

    Attributes:
        workflow: Its record.
        title: The title of its root.
        status: The status of its root.
        counts: Steps by status; milestones are not counted.
        total: The number of steps.
        ended: How many of them are done or cancelled.
        percent: ``ended`` as a percentage.
        current: The steps that an agent holds.
        review: The steps that another agent must approve.
        ready: The steps that any agent may take now.
        stuck: The steps that need an action, with the reasons: they wait for a signal, are blocked, have
            failed, or need a task that will not be done.
        waiting: The other open steps, with what they wait for.
    """

    workflow: Workflow
    title: str
    status: str
    counts: dict[str, int]
    total: int
    ended: int
    percent: int
    current: tuple[Task, ...]
    review: tuple[Task, ...]
    ready: tuple[Task, ...]
    stuck: tuple[Blocked, ...]
    waiting: tuple[Blocked, ...]


class WorkflowProgress(WorkflowStanding, frozen=True, kw_only=True):
    """The progress of a workflow.

    Attributes:
        steps: All steps, in order.
    """

    steps: tuple[Task, ...]


def progress_of(desk: Desk[State], workflow: Workflow) -> WorkflowProgress:
    """Return the progress of a workflow now."""
    state, now = desk.read(), desk.now()
    tasks = Tasks(desk)
    root = tasks.get(workflow.root)
    steps = tuple(map(tasks.get, state.workflows.steps.get(workflow.root, ())))
    work = [step for step in steps if _is_work(state, step)]
    statuses = [step.status for step in work]
    counted = state.workflows.work.get(workflow.root, NO_CHILDREN)
    ended = counted.done + counted.cancelled
    stuck, waiting = _kept_back(state, [root, *steps], now)
    return WorkflowProgress(
        workflow=workflow,
        title=root.title,
        status=root.status,
        counts={s: statuses.count(s) for s in STATUSES if s in statuses},
        total=counted.total,
        ended=ended,
        percent=100 * ended // counted.total if counted.total else 100,
        current=tuple(s for s in work if s.is_held(now)),
        review=tuple(step for step in work if step.status == "in_review"),
        ready=tuple(step for step in work if is_offered(state, step, now)),
        stuck=tuple(stuck),
        waiting=tuple(waiting),
        steps=steps,
    )


def _is_work(state: State, step: Task) -> bool:
    """Whether a step is work: not a milestone, or one with a workflow of its own."""
    return not step.milestone or step.id in state.workflows


def _kept_back(
    state: State, tasks: Iterable[Task], now: str
) -> tuple[list[Blocked], list[Blocked]]:
    """Return the steps that cannot continue: (stuck, waiting)."""
    stuck, waiting = [], []
    for task in tasks:
        is_idle = task.status in ("pending", "blocked", "failed") or task.has_lapsed(now)
        if not is_idle or task.id not in state.tasks or is_offered(state, task, now):
            continue
        blocked = Blocked(task=task, by=tuple(_reasons(state, task, now)))
        if any(_needs_action(state, task, blocker) for blocker in blocked.by):
            stuck.append(blocked)
        elif blocked.by and _is_work(state, task):
            waiting.append(blocked)
    return stuck, waiting


def _reasons(state: State, task: Task, now: str) -> Iterable[Blocker]:
    """The reasons that block a task, without the children of a root, and without future signals."""
    if task.status == "failed":
        reason = f"failed: {one_line(task.reason, SHOWN)}"
        yield Blocker(kind="failed", task=None, says=reason, command=f"t reopen {task.id}")
        return
    for blocker in blockers(state, task, now):
        is_early = blocker.kind == "signal" and not task.is_reached
        is_root = task.id in state.workflows
        is_own = is_root and blocker.kind == "children" and blocker.task == task.id
        if not (is_early or is_own):
            yield blocker


def _needs_action(state: State, task: Task, blocker: Blocker) -> bool:
    """Whether a reason needs an action, and is not reported for another step of the workflow."""
    if blocker.kind == "need" and blocker.task is not None:
        need = state.tasks.get(blocker.task)
        is_reported = (
            need is not None and need.workflow == task.workflow and need.status != "cancelled"
        )
        return bool(blocker.command) and not is_reported
    return blocker.kind not in ("parent", "deferred") and bool(blocker.command)
