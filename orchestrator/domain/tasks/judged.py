"""What a task is judged by: acceptance and checks, which its worker does not change without saying why.

Its creator gets mail about a change while it is in work: :mod:`orchestrator.domain.mail.notices`.
"""

from collections.abc import Collection

from orchestrator.core.errors import Refused
from orchestrator.core.transaction import SYSTEM, Transaction
from orchestrator.domain.state import State
from orchestrator.domain.tasks.events import TaskClaimed
from orchestrator.domain.tasks.facts import JUDGED
from orchestrator.domain.tasks.records import HELD, Task

IN_WORK = (*HELD, "in_review")
"""The statuses in which an agent works on a task, or waits for its review."""


def check_reason(tx: Transaction[State], task: Task, changed: Collection[str], reason: str) -> None:
    """Refuse an agent to change without a reason what a task is judged by that it has or had.

    Who gives no name counts as the agent that has it. An agent that gives the task back, changes it and takes
    it again is its worker all the same.

    Raises:
        Refused: There is no reason.
    """
    if reason.strip() or JUDGED.isdisjoint(changed):
        return
    has_it = task.status in IN_WORK and tx.agent in (SYSTEM, task.assigned_to)
    if has_it or (task.attempt and _had_it(tx, task)):
        worker = task.assigned_to if has_it else tx.agent
        raise Refused(
            f"{worker} {'has' if has_it else 'had'} task {task.id}, and changes what it is judged by:"
            " that takes a reason",
            code="reason_needed",
            hint="Add --reason TEXT; the creator of the task gets it by mail.",
            task=task.id,
            changed=sorted(JUDGED & set(changed)),
        )


def _had_it(tx: Transaction[State], task: Task) -> bool:
    """Whether the agent that acts has claimed the task before, and did not write it down itself."""
    claims = (tx.event(number) for number in task.events)
    is_worker = any(e.agent == tx.agent and e.type == TaskClaimed.TYPE for e in claims)
    return is_worker and tx.agent != task.created_by
