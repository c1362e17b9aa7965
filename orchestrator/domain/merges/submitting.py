"""Submitting a branch or a convoy: git is asked outside the board's lock."""

import os

from orchestrator.core import names, repository
from orchestrator.core.errors import NotFound, OrchestratorError, Refused
from orchestrator.core.git import HEADS, Git
from orchestrator.core.printable import escape
from orchestrator.core.transaction import Committed, Desk, Transaction
from orchestrator.domain.agents.identity import act_now, own_name
from orchestrator.domain.board.settings import FILE, MergeSettings, settings
from orchestrator.domain.merges import queue
from orchestrator.domain.merges.branches import look, task_of_branch
from orchestrator.domain.merges.events import MergeEvent
from orchestrator.domain.merges.policy import BranchRequest, Handover, handover_of
from orchestrator.domain.merges.records import Proposal, Submission
from orchestrator.domain.state import State
from orchestrator.domain.tasks.blockers import titled
from orchestrator.domain.tasks.completion import Completion, complete
from orchestrator.domain.tasks.leases import current_task
from orchestrator.domain.tasks.lookup import changed_task, resolve
from orchestrator.domain.tasks.records import Task


def submit(
    desk: Desk[State], what: str | None, request: BranchRequest, agent: str | None
) -> Submission | Task:
    """Submit a branch; see ``merges.submit``."""
    state = desk.read()
    task, branch = _named(desk, state, what, agent)
    request = request._replace(branch=branch)
    named = ("merges.submit", (what, request.target, request.strategy, agent))
    live = state.tasks.get(task)
    if live is not None and live.status != "done" and live.waits_for != "merge":
        return complete(
            desk,
            named,
            _submitted,
            lambda _: live.id,
            Completion(None, agent=agent),
            branch=request,
            again=lambda _, done: done,
        )
    handover = handover_of(state, _policy(desk), task, request)
    proposal = _look(desk, handover)

    def within(tx: Transaction[State]) -> Submission | None:
        author = act_now(tx, agent)
        queue.enter(tx, proposal, author=author, task=task or None)
        return None if tx.events else _open(tx.state, proposal)

    return desk.run(named[0], within, _submitted, named[1])


def land(desk: Desk[State], name: str, request: BranchRequest, agent: str | None) -> Submission:
    """Submit the target branch of a convoy; see ``merges.land``."""
    state, policy = desk.read(), _policy(desk)
    branch = _own_target(state, name)
    handover = Handover(
        task="",
        branch=branch,
        is_named=True,
        worktree=None,
        target=names.branch(request.target or policy.target),
        strategy=request.strategy or policy.strategy,
        is_needed=True,
    )
    try:
        proposal = _look(desk, handover)
    except Refused as refused:
        merged = [s for s in state.merges.values() if s.convoy == name and s.status == "merged"]
        if refused.code == "nothing_to_merge" and merged:
            return merged[-1]
        raise

    def within(tx: Transaction[State]) -> Submission | None:
        author = act_now(tx, agent)
        _own_target(tx.state, name)
        queue.enter(tx, proposal, author=author, convoy=name)
        return None if tx.events else _open(tx.state, proposal)

    arguments = (name, request.target, request.strategy, agent)
    return desk.run("merges.land", within, queue.changed_submission, arguments)


def _submitted(state: State, events: Committed) -> Submission | Task:
    """Return the submission that a command made; the task, if a review comes first."""
    if any(isinstance(event, MergeEvent) for _, event in events):
        return queue.changed_submission(state, events)
    return changed_task(state, events)


def _open(state: State, proposal: Proposal) -> Submission | None:
    return state.merges.open_of_branch(proposal.branch, proposal.target)


def _policy(desk: Desk[State]) -> MergeSettings:
    return settings(desk.documents.read(FILE)).merge


def _look(desk: Desk[State], handover: Handover) -> Proposal:
    """Return what is to be merged.

    Raises:
        Refused: It must not be merged as it is.
    """
    desk.pause()  # git is not run inside a transaction
    state = desk.read()
    seen = look(handover, desk.folder, lambda branch: task_of_branch(state, branch))
    if seen.problem is not None:
        raise seen.problem
    assert seen.proposal is not None
    return seen.proposal


def _named(desk: Desk[State], state: State, what: str | None, agent: str | None) -> tuple[str, str]:
    """Return the task and the branch that are meant, empty if there is none or the usual one.

    Raises:
        BadName: It is no task, and cannot be a branch.
        NotFound: Nothing is named, and the agent is on no branch and works on no task.
        UsageError: Nothing is named, nor an agent.
    """
    if what is None:
        branch = _branch_here()
        if branch and task_of_branch(state, branch) is not None:
            what = f"{HEADS}{branch}"
        else:
            return current_task(state, own_name(desk, agent), desk.now()).id, ""
    if not what.startswith(HEADS):
        try:
            return resolve(state, what), ""
        except NotFound:
            pass
    branch = names.branch(what.removeprefix(HEADS))
    submitted = {s.branch: s.task for s in state.merges.open()}
    made = {worktree.branch: worktree.task for worktree in state.worktrees.values()}
    known = made.get(branch) or submitted.get(branch)
    return known or task_of_branch(state, branch) or "", branch


def _branch_here() -> str:
    """Return the branch that is checked out in the working folder; empty if there is none."""
    try:
        place = repository.here(os.getcwd())
    except OrchestratorError:
        return ""
    if place is None:
        return ""
    return Git(place.root).found("symbolic-ref", "--quiet", "--short", "HEAD") or ""


def _own_target(state: State, name: str) -> str:
    """Return the target branch of a convoy that can land.

    Raises:
        NotFound: There is no such convoy.
        Refused: It has no target, was cancelled, has an open task, or its target is still merged into.
    """
    convoy = state.convoys.find(name)
    if not convoy.target:
        raise Refused(
            f"Convoy {name} has no target branch of its own: its branches are merged one by one",
            code="no_target",
            hint="`convoy create NAME --target BRANCH` gives it one.",
        )
    if convoy.status == "cancelled":
        raise Refused(f"Convoy {name} was cancelled", code="illegal_step")
    if still := [task for task in convoy.tasks if state.tasks.is_open(task)]:
        raise Refused(
            f"Convoy {name} has open tasks: {titled(state, still)}",
            code="open_tasks",
            hint=f"`convoy status {name}` shows them.",
            tasks=still,
        )
    waiting = [s.number for s in state.merges.open() if s.target == convoy.target]
    if waiting:
        raise Refused(
            f"Submissions wait to be merged into {escape(convoy.target)}: {', '.join(map(str, waiting))}",
            code="submitted",
            hint="`merge list` shows them.",
            submissions=waiting,
        )
    return convoy.target
