"""The automatic consequences of a commit, which are recorded in the same commit.

Nouns that follow events of other nouns (a convoy follows its tasks, a workflow its steps) are called here,
and mail for the agents that an event concerns, so that no command has to know about them.
"""

from orchestrator.core.transaction import Committed, Transaction
from orchestrator.domain.state import State

QUIET = ("task.claimed", "task.renewed", "task.added", "task.completed")
"""Events of the hot path that make no notice, so that the module of notices is not loaded for them."""


def react(tx: Transaction[State]) -> None:
    """Record the consequences of the events of a transaction, and their consequences in turn."""
    seen = 0
    while seen < len(tx.events):
        events = tx.events[seen:]
        seen = len(tx.events)
        # Boards without convoys, submissions or workflows do not load their modules.
        if tx.state.convoys:
            from orchestrator.domain.convoys import commands as convoys

            convoys.follow(tx, events)
        if tx.state.merges.merge_queue:
            from orchestrator.domain.merges import queue

            queue.follow(tx, events)
        if tx.state.tasks.failure_needed_by:
            from orchestrator.domain.tasks import fallbacks

            fallbacks.follow(tx, events)
        if tx.state.workflows or tx.state.tasks.signals or _has_milestone(tx.state, events):
            from orchestrator.domain.workflows import automation

            automation.follow(tx, events)
        # What was recorded on another board first was reported there; its mail was merged, too.
        news = [(record, event) for record, event in events if not record.is_copy]
        if any(record.type.startswith("task.") and record.type not in QUIET for record, _ in news):
            from orchestrator.domain.mail import notices

            notices.follow(tx, news)


def _has_milestone(state: State, events: Committed) -> bool:
    """Whether a changed task is a child of a milestone, which may be done with it."""
    for _, event in events:
        task = state.tasks.get(getattr(event, "task", ""))
        parent = state.tasks.get(task.parent) if task is not None and task.parent else None
        if parent is not None and parent.milestone:
            return True
    return False
