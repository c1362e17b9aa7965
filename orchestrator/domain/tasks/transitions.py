"""The transitions of a task's status, and from which status each is allowed."""

from orchestrator.core.errors import Refused
from orchestrator.domain.tasks.records import ENDED, HELD, Task

TRANSITIONS: dict[str, tuple[str, ...]] = {
    "claim": ("pending",),
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
"""The statuses from which each transition is allowed. Editing and notes are always allowed."""


def check_transition(task: Task, transition: str) -> None:
    """Refuse a transition that the status of the task does not allow, and name those that it allows.

    Raises:
        Refused: The transition is not allowed from this status.
    """
    if task.status in TRANSITIONS[transition]:
        return
    allowed = [name for name, statuses in TRANSITIONS.items() if task.status in statuses]
    holder = f" with {task.assigned_to}" if task.status in HELD else ""
    raise Refused(
        f"Task {task.id} is {task.status}{holder}: `{transition}` is not possible",
        code="already_claimed" if transition == "claim" and task.status in HELD else "illegal_step",
        hint=f"From {task.status} it can: {', '.join(allowed)}.",
        status=task.status,
        allowed=allowed,
        assigned_to=task.assigned_to,
    )
