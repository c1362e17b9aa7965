"""Completing a task whose checks run first, outside the board's lock.

The lease is extended so that the checks can end before it does; what they showed counts for one claim and for
the checks that the task had then. ``force``, with a reason, is the one way past a missing claim, open needs
and parts, and checks; what it passed over stands in the evidence.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from orchestrator.core.errors import Refused, UsageError
from orchestrator.core.machine import are_apart
from orchestrator.core.transaction import (
    SYSTEM,
    Committed,
    Desk,
    Transaction,
    check_named,
    no_result,
)
from orchestrator.domain.agents.identity import act_in_session
from orchestrator.domain.board import FILE
from orchestrator.domain.merges.policy import BranchRequest, due_with
from orchestrator.domain.merges.records import Proposal
from orchestrator.domain.state import State
from orchestrator.domain.tasks import verification
from orchestrator.domain.tasks.blockers import gate_text, open_failures, open_needs, titled
from orchestrator.domain.tasks.events import TaskCompleted, TaskNoted, TaskRenewed
from orchestrator.domain.tasks.leases import claim, has_ended_it, held_task
from orchestrator.domain.tasks.lookup import find_live
from orchestrator.domain.tasks.records import HELD, Evidence, Task
from orchestrator.domain.tasks.stages import open_parts
from orchestrator.domain.tasks.verification import ChecksDue
from orchestrator.domain.tasks.verification_events import TaskChecked, TaskSubmitted
from orchestrator.domain.validation import check_text

MARGIN = 60.0
"""The smallest rest of a lease, in seconds, when checks have used all their time."""

R = TypeVar("R")


class Completion(NamedTuple):
    """How a task is completed.

    Attributes:
        result: The result.
        force: Complete it although it is not claimed, waits for other tasks, or a check does not pass.
        reason: Why; goes with ``force``.
        agent: Who did it; without a name, the holder.
        token: The fencing token of the claim.
    """

    result: str | None
    force: bool = False
    reason: str = ""
    agent: str | None = None
    token: int | None = None


def complete(
    desk: Desk[State],
    request: tuple[str, tuple[object, ...]],
    shows: Callable[[State, Committed], R],
    pick: Callable[[Transaction[State]], str],
    how: Completion,
    *,
    branch: BranchRequest | None = None,
    then: Callable[[Transaction[State], Task], None] | None = None,
    again: Callable[[Transaction[State], Task], R] | None = None,
) -> R:
    """Complete a task as ``tasks.complete`` does, for a command that may do more in the same commit.

    Args:
        desk: The board.
        request: Name and arguments of the command.
        shows: Renders its result.
        pick: Returns the id of the task, given the state.
        how: What came out, by whom, and whether by force.
        branch: The branch that is to be merged, whatever the policy of the board.
        then: Records what belongs to the same commit; called with the task as it was held.
        again: Makes the result where the agent has completed the task already; None: that is refused.

    Raises:
        Refused: The task is not in progress, another agent holds it, a need or a part of it is open, or
            a check did not pass.
        UsageError: ``force`` without a reason or the reverse; checks inside a transaction; no agent is named
            that hands in by force what another one is to review.
    """
    result, force, reason, agent, token = how
    if force != bool(reason.strip()):
        raise UsageError("To complete a task by force takes both --force and --reason TEXT")

    def attempt(
        due: ChecksDue | None,
        evidence: tuple[Evidence, ...] = (),
        proposal: Proposal | None = None,
        problem: str = "",
    ) -> R:
        def within(tx: Transaction[State]) -> R | None:
            text = None if result is None else check_text("result", result)
            if due is not None:
                task = held = _held_unchanged(tx, due, agent)
            else:
                task = find_live(tx.state, pick(tx))
                if again is not None and has_ended_it(tx, task, "complete", agent, token):
                    _note_other_result(tx, task, text)
                    return again(tx, tx.state.tasks[task.id])
                held = (_forced if force else _held)(tx, task, agent, token)
            if not force:
                _check_nothing_open(tx.state, held)
            # What is claimed only by force is not there to be checked.
            if due is None and task.status == "in_progress":
                _check_nothing_due(tx, held, force, branch)
            ran = due is not None
            override = (_override(tx, task, reason, problem, ran=ran),) if force else ()
            _end(tx, held, (*evidence, *override), text, reason, proposal)
            if then is not None:
                then(tx, held)
            return None

        name, arguments = request
        return desk.run(name, within, shows, arguments)

    try:
        return attempt(None)
    except ChecksDue as due:
        return attempt(due, *_run_checks(desk, due, agent, force))


def _end(
    tx: Transaction[State],
    task: Task,
    evidence: tuple[Evidence, ...],
    result: str | None,
    reason: str,
    proposal: Proposal | None,
) -> None:
    """Record that a task is done, or is in review or waits to be merged, with the evidence of its checks."""
    if evidence:
        tx.record(TaskChecked(task=task.id, evidence=evidence))
    is_reviewed = task.checks is not None and task.checks.review
    if is_reviewed and not reason:
        _check_items(tx.state, task, result)
    reason = check_text("reason", reason)
    if not is_reviewed and proposal is None:
        tx.record(TaskCompleted(task=task.id, result=result, reason=reason))
        return
    tx.record(TaskSubmitted(task=task.id, result=result, reason=reason, proposal=proposal))
    if not is_reviewed and proposal is not None:
        from orchestrator.domain.merges import queue

        queue.enter(tx, proposal, author=task.assigned_to or tx.agent, task=task.id)


def _check_items(state: State, task: Task, result: str | None) -> None:
    """Refuse a result for review to which the workflow could add nothing once it is approved."""
    for name in state.tasks.needed_by.get(task.id, ()):
        each = state.tasks[name].for_each
        if each is not None and each.step == task.id:
            from orchestrator.domain.workflows.items import items_of

            items_of(replace(task, result=result), each)


# Who may complete it


def _held(tx: Transaction[State], task: Task, agent: str | None, token: int | None) -> Task:
    return held_task(tx, task.id, "complete", agent, token)


def _forced(tx: Transaction[State], task: Task, agent: str | None, token: int | None) -> Task:
    """Return the task; claim it for the acting agent if no agent holds it."""
    actor = act_in_session(tx, agent, task=task.id)
    if actor == SYSTEM and task.status in HELD:
        actor = tx.act_as(task.assigned_to)
    is_mine = task.status == "in_progress" and task.assigned_to == actor
    is_free = task.status in ("pending", "blocked") or task.has_lapsed(tx.now)
    if is_mine or token is not None or not (is_free or task.is_assigned_to(actor)):
        return _held(tx, task, agent, token)
    if task.checks is not None and task.checks.review:
        check_named(actor)  # else its own worker could hand it in without a name, and approve it
    if actor != SYSTEM:
        claim(tx, task, None)
    return tx.state.tasks[task.id]


def _note_other_result(tx: Transaction[State], task: Task, result: str | None) -> None:
    """Keep a result that differs from the one that the task has, once."""
    known = (task.result, *(note.text for note in task.notes))
    if result and result not in known:
        tx.record(TaskNoted(task=task.id, text=result))


# What must be done before


def _check_nothing_open(state: State, task: Task) -> None:
    """Refuse a task that waits for others: needs, parts, or the children behind its gate.

    Raises:
        Refused: It does; the needs and parts that are open are named.
    """
    if reasons := _open_texts(state, task):
        raise Refused(
            f"Task {task.id} cannot be done yet: {'; '.join(reasons)}",
            code="not_ready",
            hint=f"Complete those first; `t complete {task.id} --force --reason TEXT` does without.",
            needs=open_needs(state, task),
            parts=open_parts(state, task),
        )


def _open_texts(state: State, task: Task) -> list[str]:
    needs, parts = open_needs(state, task), open_parts(state, task)
    texts = [f"it needs {titled(state, needs)}"] if needs else []
    if failures := open_failures(state, task):
        texts.append(f"it needs the failure of {titled(state, failures)}")
    if parts:
        texts.append(
            f"of its parts {titled(state, parts)} {'is' if len(parts) == 1 else 'are'} open"
        )
    elif task.waiting and task.gate is not None:
        texts.append(f"it {gate_text(state, task.gate)}")
    return texts


def _check_nothing_due(
    tx: Transaction[State], task: Task, force: bool, branch: BranchRequest | None
) -> None:
    """Stop if checks must run first, or its branch must be looked at.

    Raises:
        ChecksDue: They must.
        Refused: They must, and their commands are not trusted; or the work is on another machine.
    """
    checks = task.checks if task.checks is not None and task.checks.are_due else None
    handover = due_with(tx.state, tx.read_document(FILE), task, branch)
    if checks is None and handover is None:
        return
    if checks is not None and checks.are_inert and not force:
        raise verification.not_trusted(task.id, checks)
    worktree = tx.state.worktrees.get(task.id)
    machine = worktree.machine if worktree is not None else task.machine
    if are_apart(machine, tx.state.machine):
        if force:
            return
        raise _not_here(task, machine, tx.state.machine)
    raise ChecksDue(task.id, task.token, task.assigned_to or SYSTEM, task.checks, handover)


def _not_here(task: Task, machine: str, here: str) -> Refused:
    return Refused(
        f"The work on task {task.id} is on {machine}, but this machine is {here}. Only {machine} can run"
        " the checks of the task and read its branch",
        code="other_machine",
        hint=f"Complete it there. If the work is here: `t release {task.id}`, then `t claim {task.id}`.",
        task=task.id,
        machine=machine,
    )


def _override(
    tx: Transaction[State], task: Task, reason: str, problem: str, *, ran: bool
) -> Evidence:
    """Return the reason of a completion by force, and what it skips.

    Args:
        tx: The transaction.
        task: The task before the command.
        reason: Why.
        problem: What is wrong with its branch.
        ran: Whether its checks ran; they are evidence of their own then.
    """
    passed_over = _open_texts(tx.state, task)
    if task.status != "in_progress":
        passed_over.insert(0, f"it was {task.status}")
    if task.checks is not None and task.checks.are_due and not ran:
        passed_over.append("its checks did not run")
    if problem:
        passed_over.append(problem)
    return Evidence(
        kind="force",
        what=reason,
        passed=False,
        problem="; ".join(passed_over),
        at=tx.now,
        agent=tx.agent,
    )


# Checks


def _run_checks(
    desk: Desk[State], due: ChecksDue, agent: str | None, force: bool
) -> tuple[tuple[Evidence, ...], Proposal | None, str]:
    """Run the checks of a task, and look at its branch.

    Returns:
        The evidence of the checks, the branch to merge, and what is wrong with the branch.

    Raises:
        Refused: A check did not pass, and nothing forces it; what they showed is kept. Or the branch must not
            be merged as it is.
    """
    desk.pause()  # refuses here what would extend a lease inside an open transaction
    branch = _branch(desk, due, force)
    checks = due.checks
    if checks is None:
        return (), *branch
    commands = len(checks.verify) if checks.trusted else 0
    if commands:
        _extend_lease(desk, due, commands * checks.patience + MARGIN, agent)
        desk.pause()  # that commit holds signals back
    evidence = verification.gather(desk, due.task, checks, agent=due.holder)
    failure = next((item for item in evidence if not item.passed), None)
    if failure is not None and not force:
        _keep_evidence(desk, due, evidence, agent)
        raise verification.check_failed(due.task, evidence, failure)
    return evidence, *(_branch(desk, due, force) if commands else branch)


def _branch(desk: Desk[State], due: ChecksDue, force: bool) -> tuple[Proposal | None, str]:
    """Look at the branch of a task, if it must be merged.

    Returns:
        What is to be merged, and what is wrong with it.

    Raises:
        Refused: It must not be merged as it is, and nothing forces it.
    """
    if due.handover is None:
        return None, ""
    from orchestrator.domain.merges import branches

    def task_of(branch: str) -> str | None:
        task = branches.task_of_branch(desk.read(), branch)
        desk.pause()  # that look took the board, and git may be slow
        return task

    seen = branches.look(due.handover, desk.folder, task_of)
    if seen.problem is not None and not force:
        raise seen.problem
    return seen.proposal, seen.problem.message if seen.problem is not None else ""


def _extend_lease(desk: Desk[State], due: ChecksDue, seconds: float, agent: str | None) -> None:
    def within(tx: Transaction[State]) -> None:
        held = held_task(tx, due.task, "complete", agent, due.token)
        until = tx.later(seconds)
        if held.lease_until < until:
            tx.record(TaskRenewed(task=held.id, until=until))

    desk.run("tasks.cover", within, no_result, None)


def _keep_evidence(
    desk: Desk[State], due: ChecksDue, evidence: tuple[Evidence, ...], agent: str | None
) -> None:
    def within(tx: Transaction[State]) -> None:
        held = _held_unchanged(tx, due, agent)
        tx.record(TaskChecked(task=held.id, evidence=evidence))

    desk.run("tasks.keep", within, no_result, None)


def _held_unchanged(tx: Transaction[State], due: ChecksDue, agent: str | None) -> Task:
    """Return the task whose checks ran.

    Raises:
        Refused: Another agent holds it, the claim has ended, or its checks were changed.
    """
    held = held_task(tx, due.task, "complete", agent, due.token)
    if held.checks != due.checks:
        raise verification.checks_changed(held.id)
    return held
