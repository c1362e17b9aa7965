"""What a task is judged by: acceptance and checks, which its worker does not change without saying why.

Its creator gets mail about a change while it is in work: :mod:`orchestrator.domain.mail.notices`.
"""

from collections.abc import Collection

from orchestrator.core.errors import Refused
from orchestrator.core.transaction import SYSTEM, Transaction
from orchestrator.domain.state import State
from orchestrator.domain.tasks.facts import JUDGED
from orchestrator.domain.tasks.records import HELD, Task

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
