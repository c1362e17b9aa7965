"""The branch of a task, read from git outside the board's lock.

The repository is the one that contains the board, else the one of the working folder. A worktree in which the
branch is checked out must be clean: what is not committed would not be merged.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

from orchestrator.core import paths, repository
from orchestrator.core.errors import NotFound, OrchestratorError, Refused
from orchestrator.core.git import HEADS, Git
from orchestrator.core.git_worktrees import changes, worktrees
from orchestrator.core.printable import amount, escape, first_of
from orchestrator.domain.board.settings import FILE
from orchestrator.domain.merges.policy import Handover, check_apart
from orchestrator.domain.merges.records import Proposal
from orchestrator.domain.state import State
from orchestrator.domain.tasks.lookup import exists
from orchestrator.domain.worktrees.records import PREFIX, folder_of

_NAMED = 3
"""How many files of a dirty worktree are named."""


class Look(NamedTuple):
    """What git says about a handover.

    Attributes:
        proposal: What can be submitted; None if there is no branch, or nothing in it.
        problem: Why it must not be submitted as it is.
    """

    proposal: Proposal | None
    problem: Refused | None = None


def task_of_branch(state: State, branch: str) -> str | None:
    """The task whose id is in the name of a branch: ``task/<id>`` or ``task/<id>-<title>``."""
    if not branch.startswith(PREFIX):
        return None
    words = branch.removeprefix(PREFIX).split("-")
    ids = ("-".join(words[:count]) for count in range(len(words), 0, -1))
    return next((task for task in ids if exists(state, task)), None)


def look(handover: Handover, folder: str | None, owner: Callable[[str], str | None]) -> Look:
    """Ask git about what is to be handed in.

    Args:
        handover: What.
        folder: The folder of the board.
        owner: Returns the task of a branch by its name.

    Raises:
        NotFound: There is no repository (``no_repository``), or no branch (``branch_not_found``), and one is
            needed; or the target does not exist (``target_not_found``).
        Refused: Several branches carry the id of the task (``several_branches``), or its worktree is not on
            its branch (``not_on_branch``).
    """
    try:
        place = repository.nearest(folder)
    except OrchestratorError:  # a git file that cannot be read
        place = None
    if place is None:
        if not handover.is_needed:
            return Look(None)
        raise NotFound(
            "There is no git repository around the board, nor here",
            code="no_repository",
            hint="Run the command inside the repository that has the branch.",
        )
    git = Git(place.common)
    branch = handover.branch
    head = git.commit(f"{HEADS}{branch}") if branch else None
    if head is None and handover.task and not handover.is_named:
        branch = _branch_by_name(git, handover.task, owner)
        head = git.commit(f"{HEADS}{branch}") if branch else None
    if head is None:
        if not handover.is_needed:
            return Look(None)
        what = f"branch {escape(branch)}" if branch else f"branch of task {handover.task}"
        raise NotFound(
            f"There is no {what}",
            code="branch_not_found",
            hint=f"`git branch` lists the branches; `{PREFIX}ID-WORDS` names that of a task.",
        )
    return _compare(git, handover._replace(branch=branch), head, folder)


def _branch_by_name(git: Git, task: str, owner: Callable[[str], str | None]) -> str:
    """Return the branch that carries the id of a task; empty if there is none.

    Raises:
        Refused: Several do.
    """
    begin = f"{HEADS}{PREFIX}{task}"
    listed = git.text("for-each-ref", "--format=%(refname)", begin, f"{begin}-*")
    found = [ref.removeprefix(HEADS) for ref in listed.splitlines()]
    own = [branch for branch in found if owner(branch) == task]
    if len(own) > 1:
        raise Refused(
            f"Task {task} has {len(own)} branches: {first_of(own, 5, escape)}",
            code="several_branches",
            hint="`merge submit BRANCH` submits the one that is meant.",
            branches=own,
        )
    return own[0] if own else ""


def _compare(git: Git, handover: Handover, head: str, board: str | None) -> Look:
    """Compare a branch with its target, and look into the worktree that has it checked out."""
    branch, target = handover.branch, handover.target
    check_apart(branch, target)
    base = git.commit(f"{HEADS}{target}")
    if base is None:
        raise NotFound(
            f"There is no branch {escape(target)}, into which {escape(branch)} is to be merged",
            code="target_not_found",
            hint=f"`[merge] target` in {FILE} names the usual one; `git branch NAME` makes one.",
        )
    if not int(git.text("rev-list", "--count", "--end-of-options", f"{base}..{head}")):
        return Look(None, _nothing_to_merge(handover))
    proposal = Proposal(branch=branch, target=target, commit=head, strategy=handover.strategy)
    _check_on_branch(handover, board)
    tree = next((tree.path for tree in worktrees(git) if tree.branch == branch), None)
    dirty = _changed_files(tree, board) if tree is not None and paths.is_folder(tree) else []
    return Look(proposal, _uncommitted(branch, dirty) if dirty else None)


def _check_on_branch(handover: Handover, board: str | None) -> None:
    """Refuse a task whose worktree has not checked out its branch: its last work is not in the branch.

    Raises:
        Refused: A rebase is under way there, or another branch is checked out.
    """
    if handover.worktree is None:
        return
    folder = folder_of(handover.worktree, board)
    if not paths.is_folder(folder):
        return
    head = Git(folder).found("symbolic-ref", "--quiet", "HEAD")
    if head != f"{HEADS}{handover.branch}":
        raise Refused(
            f"The worktree of task {handover.task} is not on its branch {escape(handover.branch)}",
            code="not_on_branch",
            hint="`git status` there says what is under way; end it, or switch to the branch.",
            branch=handover.branch,
            worktree=folder,
        )


def _changed_files(tree: str, board: str | None) -> list[str]:
    """The files of a worktree that are not committed, without those that git ignores and those of a board."""
    found = changes(Git(tree))
    files = [*found.changed, *found.untracked]
    if board is None or (within := paths.inside(os.path.realpath(board), tree)) is None:
        return files
    return [
        file for file in files if file.rstrip("/") != within and not file.startswith(f"{within}/")
    ]


def _nothing_to_merge(handover: Handover) -> Refused:
    """The refusal of a branch without a commit of its own."""
    branch, target, task = handover.branch, handover.target, handover.task
    by_force = f" If nothing is to be merged: `t complete {task} --force --reason TEXT`."
    return Refused(
        f"The branch {escape(branch)} has no commit that {escape(target)} does not have",
        code="nothing_to_merge",
        hint=f"Commit the work first.{by_force if task else ''}",
        branch=branch,
        target=target,
    )


def _uncommitted(branch: str, files: list[str]) -> Refused:
    return Refused(
        f"The worktree of {escape(branch)} has {amount(len(files), 'file')} that"
        f" {'is' if len(files) == 1 else 'are'} not committed: {first_of(files, _NAMED, escape)}",
        code="uncommitted",
        hint="Commit them, or let git ignore them; this command commits nothing.",
        branch=branch,
        files=[escape(file) for file in files[:100]],
    )
