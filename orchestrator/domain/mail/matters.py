"""What a notice asks for, and whether it is settled: it counts as unread no longer, and ends no wait.

Nothing is stored for that. A notice names the event of a task that it is about, and the state says whether
that is still to be acted on. So a review that lapses makes its notice count again.
"""

from collections.abc import Callable

import msgspec

from orchestrator.domain.mail.records import Matter
from orchestrator.domain.state import State
from orchestrator.domain.tasks.records import ENDED, Task

SETTLED: dict[str, Callable[[Task, int, str, str], bool]] = {
    # The review is taken, ended or withdrawn, or is of an earlier attempt.
    "task.submitted": lambda task, attempt, now, _agent: (
        not task.awaits_review or task.attempt > attempt or task.review_until > now
    ),
    "task.rejected": lambda task, attempt, _now, _agent: _goes_on(task, attempt),
    "task.returned": lambda task, attempt, _now, _agent: _goes_on(task, attempt),
    "task.lapsed": lambda task, attempt, _now, _agent: _goes_on(task, attempt),
    "task.failed": lambda task, _attempt, _now, _agent: task.status != "failed",
    # An escalation.
    "task.added": lambda task, _attempt, _now, _agent: task.status in ENDED,
    "task.assigned": lambda task, _attempt, _now, agent: not task.is_assigned_to(agent),
}
"""For each event whose notice asks for an action: if it is settled, by task, attempt, time and recipient."""


def _goes_on(task: Task, attempt: int) -> bool:
    """Whether a task was claimed since that attempt, was handed in, or has ended."""
    return task.attempt > attempt or task.status == "in_review" or task.status in ENDED


def matter_of(event: str, task: Task, *more: Task) -> Matter | None:
    """Return what a notice of an event of one or several tasks asks for; None if it only informs."""
    if event not in SETTLED:
        return None
    others = tuple(other.id for other in more)
    return Matter(task=task.id, event=event, attempt=task.attempt, more=others)


class UnreadCount(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Count the messages that an agent has not read, and how many of them were not delivered."""

    agent: str
    unread: int
    new: int


def count_unread(state: State, agent: str, now: str) -> UnreadCount:
    """Count the messages that an agent has not read, without settled notices."""
    box, settled = state.mail.mailbox(agent), settled_messages(state, agent, now)
    return UnreadCount(
        agent=agent,
        unread=len(box.new) + len(box.unread) - len(settled),
        new=len(box.new) - sum(message in box.new for message in settled),
    )


def settled_messages(state: State, agent: str, now: str) -> set[int]:
    """Return the messages that an agent has not read and need not read: what they ask for is settled.

    Only unread notices are looked at, not the mailbox.
    """
    asking, messages = state.mail.asking.get(agent, ()), state.mail.messages
    return {
        message for message in asking if _is_settled(state, messages[message].about, agent, now)
    }


def _is_settled(state: State, matter: Matter | None, agent: str, now: str) -> bool:
    """Whether a matter is settled for an agent with all of its tasks, or those have left the board."""
    if matter is None or (rule := SETTLED.get(matter.event)) is None:
        return False
    tasks = map(state.tasks.get, (matter.task, *matter.more))
    return all(task is None or rule(task, matter.attempt, now, agent) for task in tasks)


def unread_messages(state: State, agent: str, now: str, *, new: bool = False) -> list[int]:
    """Return the messages that an agent has not read, oldest first, without settled notices.

    Args:
        state: The board.
        agent: The owner of the mailbox.
        now: The time.
        new: Only messages that were not delivered to it.
    """
    box, settled = state.mail.mailbox(agent), settled_messages(state, agent, now)
    held = sorted(box.new if new else (*box.new, *box.unread))
    return [message for message in held if message not in settled]


def new_messages(state: State, agent: str, now: str) -> tuple[list[int], list[int]]:
    """Return the new messages to put before an agent, and those to keep from it for now.

    While an agent is not to be disturbed, only urgent ones are put before it.
    """
    new = unread_messages(state, agent, now, new=True)
    if state.mail.quiet_until(agent, now) is None:
        return new, []
    urgent = [message for message in new if state.mail.messages[message].priority == "urgent"]
    return urgent, [message for message in new if message not in urgent]
