"""Finding a task by what somebody wrote, and from which status each step of its life may be taken."""

from typing import TYPE_CHECKING

from orchestrator.core import names
from orchestrator.core.errors import NotFound, Refused
from orchestrator.core.transaction import Committed, Transaction
from orchestrator.domain.tasks.events import ENDED, HELD, Task, TaskAdded, TaskEvent, TaskRenewed

if TYPE_CHECKING:
    from orchestrator.domain.state import State

STEPS: dict[str, tuple[str, ...]] = {
    "claim": ("pending",),
    "sling": ("pending",),
    "renew": HELD,
    "complete": ("in_progress",),
    "fail": ("in_progress",),
    "release": HELD,
    "block": ("pending", *HELD),
    "unblock": ("blocked",),
    "approve": ("in_review",),
    "reject": ("in_review",),
    "cancel": ("pending", *HELD, "blocked", "in_review"),
    "reopen": ENDED,
    "archive": ENDED,
}
"""From which statuses each step may be taken. Editing and notes are always possible."""


def resolve(state: "State", text: str) -> str:
    """The id of the task, archived or not, that a text means.

    An exact id wins; else a prefix of 3 or more digits that only one undotted id has; ``PREFIX.name``
    stands for a child of that task.

    Raises:
        NotFound: No task is meant.
        Refused: The prefix fits more than one.
    """
    if text in state.tasks or text in state.archived:
        return text
    head, dot, tail = text.partition(".")
    fits: list[str] = []
    if len(head) >= 3:
        for ids in (state.tasks, state.archived):
            fits += [i for i in ids if i.startswith(head) and "." not in i]
    if len(fits) > 1:
        raise Refused(
            f"{head!a} fits {len(fits)} tasks: {', '.join(sorted(fits)[:5])}",
            code="ambiguous_id",
            hint="Give more digits of the id.",
        )
    found = fits[0] + dot + tail if fits else ""
    if found in state.tasks or found in state.archived:
        return found
    raise NotFound(
        f"There is no task {text!a}",
        code="task_not_found",
        hint="`t list` shows the tasks of a workstream with their ids.",
    )


def new_id(tx: "Transaction[State]") -> str:
    """An id that no task has or had."""
    state = tx.state
    while (new := tx.random_id()) in state.tasks or new in state.archived:
        pass
    return new


def check_new(state: "State", task_id: str) -> str:
    """Check an id that is made of others, and give it back.

    Raises:
        BadName: It is none.
        Refused: There is or was a task of this id.
    """
    names.name("task", task_id)
    if task_id in state.tasks or task_id in state.archived:
        raise Refused(f"There is or was a task {task_id}", code="task_exists")
    return task_id


def find(state: "State", text: str) -> Task:
    """The live task that a text means; see :func:`resolve`.

    Raises:
        Refused: It is archived.
    """
    task_id = resolve(state, text)
    if task_id in state.archived:
        raise Refused(
            f"Task {task_id} is archived",
            code="archived",
            hint="`t show` still shows it; add a new task to go on.",
        )
    return state.tasks[task_id]


def hung_on(state: "State", agent: str) -> Task:
    """What hangs on an agent's hook.

    Raises:
        NotFound: Nothing does.
    """
    hung = state.hooks.get(agent)
    if hung is None:
        raise NotFound(
            f"Nothing hangs on the hook of {agent}",
            code="hook_empty",
            hint="`hook` shows it, `hook TASK` hangs something there.",
        )
    return state.tasks[hung]


def check_step(task: Task, step: str) -> None:
    """Refuse a step that the task's status does not allow, and name those that it does.

    Raises:
        Refused: Not from this status.
    """
    if task.status in STEPS[step]:
        return
    allowed = [name for name, statuses in STEPS.items() if task.status in statuses]
    holder = f" with {task.assigned_to}" if task.status in HELD else ""
    raise Refused(
        f"Task {task.id} is {task.status}{holder}: `{step}` is not possible",
        code="already_claimed" if step == "claim" and task.status in HELD else "illegal_step",
        hint=f"From {task.status} it can: {', '.join(allowed)}.",
        status=task.status,
        allowed=allowed,
        assigned_to=task.assigned_to,
    )


# Results


def the_task(state: "State", events: Committed) -> Task:
    """The task that the command was about, as the commit left it."""
    return state.tasks[_subject(events)]


def _subject(events: Committed) -> str:
    for _, about in events:
        if isinstance(about, TaskAdded) or (
            isinstance(about, TaskEvent) and not isinstance(about, TaskRenewed)
        ):
            return about.task
    renewed = events[0][1]
    assert isinstance(renewed, TaskRenewed)
    return renewed.task
