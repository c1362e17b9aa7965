"""Record repairs and upgrades of a board."""

from orchestrator.core.events import format_of
from orchestrator.core.transaction import SYSTEM, Committed, Noun, Transaction, command
from orchestrator.domain.board.events import BoardRepaired, BoardUpgraded
from orchestrator.domain.locks.events import LockLapsed
from orchestrator.domain.merges.events import MergeReleased
from orchestrator.domain.state import State
from orchestrator.domain.tasks.events import TaskLapsed
from orchestrator.domain.tasks.records import Task


def repaired_checks(state: State, events: Committed) -> tuple[str, ...]:
    """The names of the repaired checks."""
    return next(e.repaired for _, e in events if isinstance(e, BoardRepaired))


def upgrade_for(tx: Transaction[State], noun: str) -> None:
    """Upgrade the log to the format that a noun needs, in the commit that needs it."""
    upgrade_to(tx, format_of(noun))


def upgrade_to(tx: Transaction[State], format: int) -> None:
    """Upgrade the log to a format, if it has an older one."""
    if tx.state.board.format < format:
        tx.record(BoardUpgraded(format=format))


def format_now(state: State, _events: Committed) -> int:
    """The format of the log."""
    return state.board.format


class Upgrades(Noun[State]):
    """Commands that change the format of the log alone."""

    @command(format_now)
    def to(self, tx: Transaction[State], format: int) -> None:
        """Upgrade the log to a format; older versions refuse it from here on."""
        upgrade_to(tx, format)


class Repairs(Noun[State]):
    """Commands of the doctor."""

    @command(repaired_checks)
    def record(
        self, tx: Transaction[State], repaired: tuple[str, ...], *, lapses: bool = False
    ) -> None:
        """Record a repair; with ``lapses``, also end the leases whose time has passed."""
        tx.record(BoardRepaired(repaired=repaired))
        if lapses:
            end_lapsed(tx)


def end_lapsed(tx: Transaction[State]) -> None:
    """End the leases of running tasks, of runners of the merge queue and of locks, whose time has passed."""
    for task in lapsed_tasks(tx.state, tx.now):
        tx.record(TaskLapsed(task=task.id, holder=task.assigned_to or SYSTEM))
    for submission in tx.state.merges.lapsed(tx.now):
        reason = f"the lease of {submission.runner} has ended"
        tx.record(MergeReleased(number=submission.number, reason=reason))
    for resource, agent in ended_holds(tx.state, tx.now):
        tx.record(LockLapsed(resource=resource, holder=agent))


def lapsed_tasks(state: State, now: str) -> list[Task]:
    """The running tasks whose lease has ended."""
    return [task for task in state.schedule.running() if task.has_lapsed(now)]


def ended_holds(state: State, now: str) -> list[tuple[str, str]]:
    """The holds of locks whose lease has ended: resource and holder."""
    return [
        (lock.resource, holder.agent)
        for lock in state.locks.values()
        for holder in lock.holders
        if holder.until <= now
    ]
