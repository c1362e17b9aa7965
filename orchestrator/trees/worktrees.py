"""``orc.worktrees``: make, list and remove the worktrees of tasks.

Git makes and removes the folders; the board records which task has which. A worktree stays as long as its
removal would lose work: see :mod:`orchestrator.trees.losses`.
"""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from orchestrator.core import clock, names
from orchestrator.core.errors import Refused
from orchestrator.core.git import Git, GitFailed
from orchestrator.core.git_worktrees import changes
from orchestrator.core.transaction import SYSTEM
from orchestrator.domain.merges.policy import target_of
from orchestrator.domain.tasks.lookup import find_live
from orchestrator.domain.tasks.records import HELD, Task
from orchestrator.domain.tasks.taking import TaskTaking
from orchestrator.domain.worktrees.commands import WorktreeRecords
from orchestrator.domain.worktrees.records import SetupResult, Worktree, branch_of
from orchestrator.trees.kept import UNKNOWN, KeepReason, Removal, kept
from orchestrator.trees.making import Wanted, make
from orchestrator.trees.registered import Registered, RepositoryTrees

if TYPE_CHECKING:
    from orchestrator.trees.preparation import Preparation


class WorktreeView(msgspec.Struct, frozen=True, kw_only=True):
    """A worktree as it stands.

    Attributes:
        task: Its task; None for a worktree of git that the board does not know.
        title: The title of the task.
        status: The status of the task; empty if it is not among the tasks any more.
        agent: The agent that has the task.
        branch: Its branch; of one that the board does not know, what is checked out there.
        base: The branch from which it was made.
        path: Its folder.
        is_there: Whether the folder is there; not for one of another machine.
        commit: The last commit of its branch; empty if there is no branch.
        ahead: How many commits its branch has and the base has not; None if one of the two is gone.
        behind: How many commits the base has and the branch has not.
        changed: How many files are changed and not committed.
        untracked: How many files and folders git neither tracks nor ignores.
        lock: Why git does not remove it; empty if it is not locked.
        problem: Why git cannot read it; empty if it can.
        made_at: When it was made.
        age_seconds: How long ago that was.
        setup: How its setup commands ended; None if they did not run.
        machine: The machine on which it is, if machines share the board.
    """

    task: str | None = None
    title: str = ""
    status: str = ""
    agent: str | None = None
    branch: str = ""
    base: str = ""
    path: str
    is_there: bool
    commit: str = ""
    ahead: int | None = None
    behind: int | None = None
    changed: int = 0
    untracked: int = 0
    lock: str = ""
    problem: str = ""
    made_at: str = ""
    age_seconds: float | None = None
    setup: SetupResult | None = None
    machine: str = ""

    @property
    def is_dirty(self) -> bool:
        """Whether it has changes that are not committed."""
        return bool(self.changed or self.untracked)


class Worktrees(WorktreeRecords, name="worktrees"):
    """``orc.worktrees``: add, remove, prune; get, path, show, all."""

    def add(
        self,
        task: str,
        *,
        base: str | None = None,
        agent: str | None = None,
        lease: float | str | None = None,
    ) -> Worktree:
        """Claim a task, make its branch and its worktree, and run the setup commands.

        A worktree that exists stays as it is; setup commands that have not succeeded yet run again.

        Args:
            task: Its id or a prefix.
            base: The branch to begin with; else the target of the task's convoy, else the branch of the main
                worktree.
            agent: Who takes the task; not needed if an agent has it.
            lease: How long the claim lasts, as ``30m`` or seconds.

        Returns:
            The worktree, with its absolute path.

        Raises:
            NotFound: There is no such task, repository or base.
            Refused: The task cannot be claimed, the folder is taken, a setup command failed, or the worktree
                is on another machine.
            GitFailed: Git could not make it.
        """
        from orchestrator.trees.preparation import Preparation

        self._desk.pause()
        if base is not None:
            names.branch(base)
        preparation = Preparation(self._desk)
        repository = RepositoryTrees(self._desk.folder)
        claimed = self._claimed(find_live(self._state, task), agent, lease)
        self._desk.pause()
        worktree = self._made(repository, preparation, claimed, base, agent)
        return self._set_up(preparation, worktree, agent)

    def show(self, task: str) -> WorktreeView:
        """Return the worktree of a task as it stands.

        Args:
            task: The id of the task or a prefix.

        Raises:
            NotFound: There is no such task, or it has no worktree.
        """
        worktree = self.get(task)
        return self._view(RepositoryTrees(self._desk.folder), worktree)

    def all(self) -> list[WorktreeView]:
        """Return the worktrees as they stand: those of tasks, then those that the board does not know."""
        repository = RepositoryTrees(self._desk.folder)
        known = self._located(self._state.worktrees.values())
        views = [self._view(repository, worktree) for worktree in known]
        return views + [_unknown_view(tree) for tree in _unknown(repository, self._here())]

    def remove(self, task: str, *, agent: str | None = None) -> Removal:
        """Remove the worktree of a task, and its branch if it is merged completely.

        Args:
            task: The id of the task or a prefix; or the folder of a worktree.
            agent: Who removes it.

        Raises:
            NotFound: There is no such task, or it has no worktree.
            Refused: Work would be lost, it is locked or in use, or the board does not know it; all
                reasons are named.
        """
        self._desk.pause()
        repository = RepositoryTrees(self._desk.folder)
        known = self._here()
        tree = repository.at(task) if os.path.isabs(task) else None
        if tree is not None and tree in _unknown(repository, known):
            raise kept(_stays(tree, [UNKNOWN]))
        by_path = (w for w in known if tree is not None and repository.at(w.path) is tree)
        worktree = next(by_path, None) or self.get(task)
        worktree.check_here(self._state.machine)
        removal = self._removal(repository, worktree, agent)
        if not removal.removed:
            raise kept(removal)
        return removal

    def prune(self, *, dry_run: bool = False, agent: str | None = None) -> list[Removal]:
        """Remove every worktree of this machine whose task has ended, if no work would be lost.

        Args:
            dry_run: Only report what would be removed.
            agent: Who removes them.

        Returns:
            What became of each worktree, with the reasons to keep it.
        """
        self._desk.pause()
        repository = RepositoryTrees(self._desk.folder)
        known = self._here()
        unknown = _unknown(repository, known)
        removals = [
            self._removal(repository, worktree, agent, dry_run=dry_run, only_ended=True)
            for worktree in known
        ]
        return removals + [_stays(tree, [UNKNOWN]) for tree in unknown]

    def _here(self) -> list[Worktree]:
        """The worktrees of tasks on this machine, with their absolute paths."""
        state = self._state
        here = (w for w in state.worktrees.values() if w.is_on(state.machine))
        return self._located(here)

    # Making

    def _claimed(self, task: Task, agent: str | None, lease: float | str | None) -> Task:
        """Claim a task; without a named agent, the claim of its holder is kept."""
        is_named = (agent or self._desk.agent) != SYSTEM
        if not is_named and task.status in HELD:
            return task
        return TaskTaking(self._desk).claim(task.id, agent=agent, lease=lease)

    def _made(
        self,
        repository: RepositoryTrees,
        preparation: "Preparation",
        task: Task,
        base: str | None,
        agent: str | None,
    ) -> Worktree:
        before = self._state.worktrees.get(task.id)
        if before is not None:
            before.check_here(self._state.machine)
            before = self._located([before])[0]
            tree = repository.at(before.path)
            if tree is not None and tree.is_there and (base or before.base) == before.base:
                return before
            base = base or before.base
        wanted = Wanted(
            branch=before.branch if before else branch_of(task.id, task.title),
            base=base or target_of(self._state, task.id) or repository.usual_base(),
            path=before.path
            if before
            else os.path.join(preparation.folder(repository.main), task.id),
        )
        made = make(repository, wanted, self._desk.warn)
        self._added(
            task.id,
            branch=wanted.branch,
            base=wanted.base,
            commit=made.commit,
            path=made.path,
            agent=agent,
        )
        return self.get(task.id)

    def _set_up(
        self, preparation: "Preparation", worktree: Worktree, agent: str | None
    ) -> Worktree:
        """Run the setup commands, unless they have succeeded already.

        Raises:
            Refused: One failed.
        """
        if not preparation.settings.setup or (worktree.setup and worktree.setup.passed):
            return worktree
        if not preparation.is_trusted:
            self._desk.warn(
                "The setup commands of worktrees did not run, because nobody has trusted them on this"
                " machine: `worktree trust` shows them, `worktree trust --yes` allows them."
            )
            return worktree
        variables = {"ORC_TASK": worktree.task, "ORC_AGENT": agent or self._desk.agent}
        if self._desk.folder is not None:
            variables["ORCHESTRATOR_DIR"] = self._desk.folder
        self._desk.pause()  # recording the worktree holds signals back
        setup = preparation.run(worktree.path, variables, self._desk.check_awaited)
        self._prepared(worktree.task, setup, agent=agent)
        if not setup.passed:
            raise Refused(
                f"The worktree {worktree.path!a} is made, but the setup command {setup.command!a} failed:"
                f" {setup.problem}",
                code="setup_failed",
                hint=f"Mend that; `worktree add {worktree.task}` runs the setup commands again.",
                path=worktree.path,
                command=setup.command,
                output=setup.output,
            )
        return replace(worktree, setup=setup)

    # Views

    def _view(self, repository: RepositoryTrees, worktree: Worktree) -> WorktreeView:
        is_here = worktree.is_on(self._state.machine)
        tree = repository.at(worktree.path) if is_here else None
        task = self._state.tasks.get(worktree.task)
        now = self._desk.now()
        ahead, behind = _ahead_behind(repository, worktree)
        view = WorktreeView(
            task=worktree.task,
            title=task.title if task else "",
            status=task.status if task else "",
            agent=task.assigned_to if task else None,
            branch=worktree.branch,
            base=worktree.base,
            path=worktree.path,
            is_there=tree is not None and tree.is_there,
            commit=repository.head_of(worktree.branch),
            ahead=ahead,
            behind=behind,
            lock=tree.lock if tree else "",
            made_at=worktree.made_at,
            age_seconds=clock.between(worktree.made_at, now),
            setup=worktree.setup,
            machine=worktree.machine,
        )
        return _with_changes(view)

    # Removing

    def _removal(
        self,
        repository: RepositoryTrees,
        worktree: Worktree,
        agent: str | None,
        *,
        dry_run: bool = False,
        only_ended: bool = False,
    ) -> Removal:
        """Remove a worktree unless there is a reason to keep it."""
        from orchestrator.trees.removal import RemovalCheck, remove, uses

        state, actor = self._state, agent or self._desk.agent
        submissions = [
            state.merges[number] for number in state.merges.submissions_of.get(worktree.task, ())
        ]
        check = RemovalCheck(
            repository,
            worktree,
            [s.commit for s in submissions if s.status == "merged"],
            [s.target for s in submissions],
        )
        reasons = uses(state, worktree, actor, self._desk.now(), only_ended=only_ended)
        reasons += check.reasons()
        removal = None
        if not (reasons or dry_run):
            try:
                removal = remove(repository, worktree, check)
            except GitFailed as error:  # such as work that came meanwhile
                text = f"git does not remove it: {error.message}"
                reasons.append(KeepReason(kind="refused", text=text))
        if removal is None:
            return Removal(
                task=worktree.task,
                path=worktree.path,
                branch=worktree.branch,
                commit=check.head,
                removed=not reasons,
                branch_deleted=not reasons and check.can_delete_branch,
                reasons=tuple(reasons),
            )
        self._removed(
            worktree.task, commit=removal.commit, kept=not removal.branch_deleted, agent=agent
        )
        return removal


def _ahead_behind(repository: RepositoryTrees, worktree: Worktree) -> tuple[int | None, int | None]:
    """How many commits the branch has and the base has not, and the reverse."""
    head, base = repository.head_of(worktree.branch), repository.commit_of(worktree.base)
    if not head or not base:
        return None, None
    counts = repository.git.text(
        "rev-list", "--left-right", "--count", f"{head}...{base}", "--"
    ).split()
    return int(counts[0]), int(counts[1])


def _with_changes(view: WorktreeView) -> WorktreeView:
    """The view with what is not committed."""
    if not view.is_there:
        return view
    try:
        found = changes(Git(view.path))
    except GitFailed as error:
        return replace(view, problem=error.message)
    return replace(view, changed=len(found.changed), untracked=len(found.untracked))


def _unknown_view(tree: Registered) -> WorktreeView:
    return _with_changes(
        WorktreeView(
            branch=tree.branch,
            path=tree.path,
            is_there=tree.is_there,
            commit=tree.head,
            lock=tree.lock,
        )
    )


def _unknown(repository: RepositoryTrees, known: Iterable[Worktree]) -> list[Registered]:
    """The worktrees of git that the board does not know."""
    paths = {os.path.realpath(worktree.path) for worktree in known}
    return [tree for tree in repository.linked() if os.path.realpath(tree.path) not in paths]


def _stays(tree: Registered, reasons: list[KeepReason]) -> Removal:
    return Removal(
        task=None,
        path=tree.path,
        branch=tree.branch,
        commit=tree.head,
        removed=False,
        reasons=tuple(reasons),
    )
