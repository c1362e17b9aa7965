"""The events of worktrees."""

from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.state import State
from orchestrator.domain.worktrees.records import SetupResult, Worktree


@event("worktree.added")
class WorktreeAdded(Event):
    """A task has a worktree, new or made again."""

    task: str
    branch: str
    base: str
    commit: str
    path: str
    machine: str = ""

    def apply(self, state: State, record: Recorded) -> None:
        state.worktrees[self.task] = Worktree(
            task=self.task,
            branch=self.branch,
            base=self.base,
            commit=self.commit,
            path=self.path,
            machine=self.machine,
            agent=record.agent,
            made_at=record.ts,
        )


@event("worktree.prepared")
class WorktreePrepared(Event):
    """The setup commands of a worktree ran."""

    task: str
    setup: SetupResult

    def apply(self, state: State, record: Recorded) -> None:
        state.worktrees.change(self.task, setup=self.setup)


@event("worktree.removed")
class WorktreeRemoved(Event):
    """The worktree of a task was removed.

    Attributes:
        commit: The last commit of its branch; empty if the branch was gone.
        kept: Whether the branch is still there.
    """

    task: str
    branch: str
    commit: str = ""
    kept: bool = False

    def apply(self, state: State, record: Recorded) -> None:
        del state.worktrees[self.task]
