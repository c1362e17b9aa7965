"""What a task is judged by: acceptance and checks, which its worker does not change without saying why."""

from collections.abc import Collection
from contextlib import suppress

from orchestrator.core.errors import OrchestratorError, Refused
from orchestrator.core.printable import one_line
from orchestrator.core.transaction import SYSTEM, Transaction
from orchestrator.domain.mail import commands as mail
from orchestrator.domain.state import State
from orchestrator.domain.tasks.facts import JUDGED
from orchestrator.domain.tasks.records import HELD, Task
from orchestrator.domain.validation import LONGEST_TITLE

IN_WORK = (*HELD, "in_review")
"""The statuses in which an agent works on a task, or waits for its review."""


def check_reason(tx: Transaction[State], task: Task, changed: Collection[str], reason: str) -> None:
    """Refuse an agent to change without a reason what the task is judged by that it has.

    Who gives no name counts as the agent that has it.

    Raises:
        Refused: There is no reason.
    """
    has_it = task.status in IN_WORK and tx.agent in (SYSTEM, task.assigned_to)
    if has_it and not reason.strip() and not JUDGED.isdisjoint(changed):
        raise Refused(
            f"{task.assigned_to} has task {task.id}, and changes what it is judged by:"
            " that takes a reason",
            code="reason_needed",
            hint="Add --reason TEXT; the creator of the task gets it by mail.",
            task=task.id,
            changed=sorted(JUDGED & set(changed)),
        )


def notify_creator(
    tx: Transaction[State], task: Task, changed: Collection[str], reason: str
) -> None:
    """Send the creator of a task that is in work mail about a change of what it is judged by.

    That it cannot be sent changes nothing.
    """
    judged = " and ".join(sorted(JUDGED & set(changed)))
    if not judged or task.status not in IN_WORK or task.created_by in (SYSTEM, tx.agent):
        return
    why = reason or "no reason was given"
    with suppress(OrchestratorError):
        mail.post(
            tx,
            task.created_by,
            subject=one_line(f"Changed {judged} of {task.id}: {task.title}", LONGEST_TITLE),
            body=f"{tx.agent} changed it while {task.assigned_to} has the task: {why}\n\n"
            f"`t show {task.id}` has the old and the new values.",
            kind="notification",
        )
