"""Completing a task whose checks run first, outside the board's lock.

The lease is extended so that the checks can end before it does; what they showed counts for one claim and for
the checks that the task had then.
"""

from collections.abc import Callable
from typing import TypeVar

from orchestrator.core.errors import Refused, UsageError
from orchestrator.core.transaction import SYSTEM, Committed, Desk, Transaction
from orchestrator.domain.state import State
from orchestrator.domain.tasks import verification
from orchestrator.domain.tasks.events import TaskCompleted, TaskRenewed
from orchestrator.domain.tasks.leases import held_task
from orchestrator.domain.tasks.records import Evidence, Task
from orchestrator.domain.tasks.verification import ChecksDue
from orchestrator.domain.tasks.verification_events import TaskChecked, TaskSubmitted
from orchestrator.domain.validation import check_text

MARGIN = 60.0
"""Seconds that a lease lasts at least when checks have taken all their time."""

R = TypeVar("R")


def complete(
    desk: Desk[State],
    request: tuple[str, tuple[object, ...]],
    shows: Callable[[State, Committed], R],
    pick: Callable[[Transaction[State]], str],
    *,
    result: str | None,
    force: bool = False,
    reason: str = "",
    agent: str | None,
    token: int | None = None,
    then: Callable[[Transaction[State], Task], None] | None = None,
) -> R:
    """Complete a task as ``tasks.complete`` does, for a command that may do more in the same commit.

    Args:
        desk: The board.
        request: Name and arguments of the command.
        shows: Renders its result.
        pick: Returns the id of the task, from the state that the command finds.
        result: What came out.
        force: Complete it although a check does not pass.
        reason: Why; goes with ``force``.
        agent: Who did it; without a name, the holder.
        token: The fencing token of the claim.
        then: Records what belongs to the same commit; called with the task as it was held.

    Raises:
        Refused: The task is not in progress, another agent holds it, or a check did not pass.
        UsageError: ``force`` without a reason or the reverse; checks inside a transaction.
    """
    if force != bool(reason.strip()):
        raise UsageError("To complete a task by force takes both --force and --reason TEXT")

    def attempt(due: ChecksDue | None, evidence: tuple[Evidence, ...] = ()) -> R:
        def within(tx: Transaction[State]) -> None:
            if due is None:
                held = held_task(tx, pick(tx), "complete", agent, token)
            else:
                held = _held_unchanged(tx, due, agent)
            _check_workflow_ended(tx.state, held)
            text = None if result is None else check_text("result", result)
            if due is None:
                _check_nothing_due(held, force)
            else:
                tx.record(TaskChecked(task=held.id, evidence=evidence))
            is_reviewed = held.checks is not None and held.checks.review
            ending = TaskSubmitted if is_reviewed else TaskCompleted
            tx.record(ending(task=held.id, result=text, reason=check_text("reason", reason)))
            if then is not None:
                then(tx, held)

        name, arguments = request
        return desk.run(name, within, shows, arguments)

    try:
        return attempt(None)
    except ChecksDue as checks:
        due = checks
    evidence = _run_checks(desk, due, agent)
    failure = next((item for item in evidence if not item.passed), None)
    if failure is not None and not force:
        _keep_evidence(desk, due, evidence, agent)
        raise verification.check_failed(due.task, evidence, failure)
    return attempt(due, evidence)


def _run_checks(desk: Desk[State], due: ChecksDue, agent: str | None) -> tuple[Evidence, ...]:
    desk.pause()  # refuses here what would extend a lease inside an open transaction
    commands = len(due.checks.verify) if due.checks.trusted else 0
    if commands:
        _extend_lease(desk, due, commands * due.checks.patience + MARGIN, agent)
        desk.pause()  # that commit holds signals back
    return verification.gather(
        due.task, due.checks, agent=due.holder, board=desk.folder, now=desk.now
    )


def _extend_lease(desk: Desk[State], due: ChecksDue, seconds: float, agent: str | None) -> None:
    def within(tx: Transaction[State]) -> None:
        held = held_task(tx, due.task, "complete", agent, due.token)
        until = tx.later(seconds)
        if held.lease_until < until:
            tx.record(TaskRenewed(task=held.id, until=until))

    desk.run("tasks.cover", within, _no_result, None)


def _keep_evidence(
    desk: Desk[State], due: ChecksDue, evidence: tuple[Evidence, ...], agent: str | None
) -> None:
    def within(tx: Transaction[State]) -> None:
        held = _held_unchanged(tx, due, agent)
        tx.record(TaskChecked(task=held.id, evidence=evidence))

    desk.run("tasks.keep", within, _no_result, None)


def _no_result(state: State, events: Committed) -> None:
    """Show nothing: the command is a part of another one."""


def _held_unchanged(tx: Transaction[State], due: ChecksDue, agent: str | None) -> Task:
    """Return the task whose checks ran.

    Raises:
        Refused: Another agent holds it, the claim has ended, or its checks were changed.
    """
    held = held_task(tx, due.task, "complete", agent, due.token)
    if held.checks != due.checks:
        raise verification.checks_changed(held.id)
    return held


def _check_nothing_due(task: Task, force: bool) -> None:
    """Stop if checks must run first.

    Raises:
        ChecksDue: They must.
        Refused: They must, and their commands are not trusted.
    """
    checks = task.checks
    if checks is None or not checks.are_due:
        return
    if checks.are_inert and not force:
        raise verification.not_trusted(task.id, checks)
    raise ChecksDue(task.id, task.token, task.assigned_to or SYSTEM, checks)


def _check_workflow_ended(state: State, task: Task) -> None:
    """Refuse to complete the root of a workflow before its steps.

    Raises:
        Refused: They have not all ended.
    """
    if task.waiting and task.id in state.workflows:
        raise Refused(
            f"Task {task.id} gets done by its workflow, whose steps have not all ended",
            code="not_ready",
            hint=f"`formula current {task.id}` shows where it stands.",
        )
