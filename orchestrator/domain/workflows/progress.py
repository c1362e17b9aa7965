"""Where a workflow stands: who is at what, what can be taken, what is stuck or waits, and why."""

from collections.abc import Iterable

import msgspec

from orchestrator.core.printable import one_line
from orchestrator.core.transaction import Desk
from orchestrator.domain.state import State
from orchestrator.domain.tasks.blockers import SHOWN, Blocker, blockers, is_offered
from orchestrator.domain.tasks.commands import Tasks
from orchestrator.domain.tasks.dependencies import Blocked
from orchestrator.domain.tasks.records import HELD, STATUSES, Task
from orchestrator.domain.tasks.relations import NO_CHILDREN
from orchestrator.domain.workflows.records import Workflow


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a workflow stands.

    Attributes:
        workflow: Its record.
        title: The title of its root.
        status: The status of its root.
        counts: Steps of each status; milestones are no work, and not counted.
        total: How many steps there are.
        ended: How many of them are done or cancelled.
        percent: The share of these.
        current: The steps that somebody has.
        review: Those that somebody else must approve.
        ready: Those that anybody may take now.
        stuck: Those that do not go on by the work of others: they wait for a signal, are blocked, have failed
            or need what will not be done, with the reasons.
        waiting: The other open ones, with what they wait for.
        steps: All of them, in order.
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
    steps: tuple[Task, ...]


def standing_of(desk: Desk[State], workflow: Workflow) -> Standing:
    """Where a workflow stands now."""
    state, now = desk.read(), desk.now()
    tasks = Tasks(desk)
    steps = tuple(map(tasks.get, state.workflows.steps.get(workflow.root, ())))
    work = [step for step in steps if _is_work(state, step)]
    statuses = [step.status for step in work]
    progress = state.workflows.work.get(workflow.root, NO_CHILDREN)
    ended = progress.done + progress.cancelled
    root = tasks.get(workflow.root)
    stuck, waiting = _kept_back(state, [root, *steps], now)
    return Standing(
        workflow=workflow,
        title=root.title,
        status=root.status,
        counts={s: statuses.count(s) for s in STATUSES if s in statuses},
        total=progress.total,
        ended=ended,
        percent=100 * ended // progress.total if progress.total else 100,
        current=tuple(s for s in work if s.status in HELD and not s.has_lapsed(now)),
        review=tuple(step for step in work if step.status == "in_review"),
        ready=tuple(step for step in work if is_offered(state, step, now)),
        stuck=tuple(stuck),
        waiting=tuple(waiting),
        steps=steps,
    )


def _is_work(state: State, step: Task) -> bool:
    """Whether a step is work, and no milestone; one that a workflow of its own does is."""
    return not step.milestone or step.id in state.workflows


def _kept_back(
    state: State, tasks: Iterable[Task], now: str
) -> tuple[list[Blocked], list[Blocked]]:
    """Of a root and its steps those that do not go on: by themselves never, and those that only wait."""
    stuck, waiting = [], []
    for task in tasks:
        idle = task.status in ("pending", "blocked", "failed") or task.has_lapsed(now)
        if not idle or task.id not in state.tasks or is_offered(state, task, now):
            continue
        kept = Blocked(task=task, by=tuple(_why(state, task, now)))
        if any(_asks_for_somebody(state, task, blocker) for blocker in kept.by):
            stuck.append(kept)
        elif kept.by and _is_work(state, task):
            waiting.append(kept)
    return stuck, waiting


def _why(state: State, task: Task, now: str) -> Iterable[Blocker]:
    """Why a task of a workflow does not go on; the parts of a root need not be told of."""
    if task.status == "failed":
        says = f"failed: {one_line(task.reason, SHOWN)}"
        yield Blocker(kind="failed", task=None, says=says, command=f"t reopen {task.id}")
        return
    for blocker in blockers(state, task, now):
        is_early = blocker.kind == "signal" and not task.is_reached
        is_root = task.id in state.workflows
        is_own = is_root and blocker.kind == "children" and blocker.task == task.id
        if not (is_early or is_own):
            yield blocker


def _asks_for_somebody(state: State, task: Task, blocker: Blocker) -> bool:
    """Whether a reason does not go away by the work of others, and is told of nowhere else."""
    if blocker.kind == "need" and blocker.task is not None:
        need = state.tasks.get(blocker.task)
        is_told = need is not None and need.workflow == task.workflow and need.status != "cancelled"
        return bool(blocker.command) and not is_told
    return blocker.kind not in ("parent", "deferred") and bool(blocker.command)
