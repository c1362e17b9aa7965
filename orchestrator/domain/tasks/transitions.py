"""The transitions of a task's status, and from which status each is allowed."""

from orchestrator.core.errors import Refused
from orchestrator.domain.tasks.records import ENDED, HELD, Task

TRANSITIONS: dict[str, tuple[str, ...]] = {
    "claim": ("pending", "assigned"),
    "sling": ("pending",),
    "renew": HELD,
    "complete": ("in_progress",),
    "fail": ("in_progress",),
    "release": HELD,
    "block": ("pending", *HELD),
    "unblock": ("blocked",),
    "review": ("in_review",),
    "approve": ("in_review",),
    "reject": ("in_review",),
    "cancel": ("pending", *HELD, "blocked", "in_review"),
    "reopen": ENDED,
    "archive": ENDED,
}
"""The statuses from which each transition is allowed. Editing and notes are always allowed.

An assigned task is claimed by its own agent only, and ``complete`` with ``force`` needs no claim.
"""

SETTLED: dict[str, tuple[str, ...]] = {
    "complete": ("done", "in_review"),
    "fail": ("failed",),
    "release": ("pending",),
    "unblock": ("pending", *HELD, "in_review"),
    "cancel": ("cancelled",),
    "reopen": ("pending",),
}
"""The statuses in which a transition is already done, so that repeating it changes nothing."""

REVIEWS = ("review", "approve", "reject")
"""The transitions of a reviewer; a task whose branch waits to be merged is past them."""

_WAYS_ON: dict[str, str] = {
    "pending": "t claim",
    "assigned": "t claim",
    "in_progress": "t complete",
    "blocked": "t unblock",
    "in_review": "t approve",
    "done": "t reopen",
    "failed": "t reopen",
    "cancelled": "t reopen",
}
"""The next command for a task of each status."""


def way_on(task: Task) -> str:
    """The next command for a task."""
    return f"{'merge show' if task.waits_for else _WAYS_ON[task.status]} {task.id}"


def check_transition(task: Task, transition: str) -> None:
    """Refuse a transition that the status of the task does not allow.

    Raises:
        Refused: The transition is not allowed from this status; the hint names the command that is.
    """
    if transition not in allowed_transitions(task):
        raise not_possible(task, transition)


def allowed_transitions(task: Task) -> list[str]:
    """The transitions that the status of the task allows."""
    allowed = [name for name, statuses in TRANSITIONS.items() if task.status in statuses]
    return [name for name in allowed if not (task.waits_for and name in REVIEWS)]


def is_settled(task: Task, transition: str) -> bool:
    """Whether a transition is already done; see :data:`SETTLED`."""
    return task.status in SETTLED[transition]


def not_possible(task: Task, transition: str) -> Refused:
    """The refusal of a transition, with the command that works and the others that are allowed."""
    allowed = allowed_transitions(task)
    if task.waits_for and transition in REVIEWS:
        return Refused(
            f"Task {task.id} waits for the merge of its branch, not for a reviewer",
            code="waits_for_merge",
            hint=f"`{way_on(task)}` shows where it is; the merge ends the task.",
            status=task.status,
            allowed=allowed,
        )
    holder = f" with {task.assigned_to}" if task.status in HELD else ""
    is_taken = transition == "claim" and task.status in HELD
    way = way_on(task)
    others = [name for name in allowed if name != way.split()[1]]
    return Refused(
        f"Task {task.id} is {task.status}{holder}: `{transition}` is not possible",
        code="already_claimed" if is_taken else "illegal_step",
        hint="`t next` finds other work."
        if is_taken
        else f"`{way}` is; so {'are' if len(others) > 1 else 'is'} {', '.join(others)}.",
        status=task.status,
        allowed=allowed,
        assigned_to=task.assigned_to,
    )
