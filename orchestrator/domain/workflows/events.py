"""The events of workflows. The steps are tasks, children of the root, and have the events of tasks."""

from typing import Any

from msgspec.structs import asdict, replace

from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.state import State
from orchestrator.domain.tasks.derived import change_task, forget_task, remove_from
from orchestrator.domain.workflows.records import Condense, Workflow


class WorkflowEvent(Event):
    """An event of one workflow, named by its root."""

    workflow: str


@event("workflow.poured")
class WorkflowPoured(WorkflowEvent):
    """A formula was poured; the events after this one add the tasks of its steps."""

    formula: str
    version: int = 1
    own_root: bool = True
    variables: dict[str, str] = {}
    ephemeral: bool = False
    condense: Condense | None = None

    def apply(self, state: State, record: Recorded) -> None:
        facts = asdict(self)
        root = facts.pop("workflow")
        state.workflows[root] = Workflow(
            root=root, poured_at=record.ts, poured_by=record.agent, **facts
        )


@event("workflow.ended")
class WorkflowEnded(WorkflowEvent):
    """The root of a workflow has ended: done, failed or cancelled.

    Attributes:
        digest: The digest of an automatically condensed wisp; it becomes the result of the root.
    """

    outcome: str
    digest: str = ""

    def apply(self, state: State, record: Recorded) -> None:
        state.workflows.change(self.workflow, ended_at=record.ts)
        if self.digest and state.workflows[self.workflow].own_root:
            root = state.tasks[self.workflow]
            change_task(state, root, replace(root, result=self.digest), record)


@event("workflow.reopened")
class WorkflowReopened(WorkflowEvent):
    """The root of a workflow is open again."""

    def apply(self, state: State, record: Recorded) -> None:
        state.workflows.change(self.workflow, ended_at="")


@event("workflow.squashed")
class WorkflowSquashed(WorkflowEvent):
    """A wisp was condensed: its steps were removed, and its root has a digest as its result."""

    steps: tuple[str, ...]
    digest: str

    def apply(self, state: State, record: Recorded) -> None:
        _forget(state, self.workflow, self.steps)
        _release_root(state, self.workflow, record, digest=self.digest)


@event("workflow.burned")
class WorkflowBurned(WorkflowEvent):
    """A wisp was removed from the board, except a root that existed before it."""

    steps: tuple[str, ...]

    def apply(self, state: State, record: Recorded) -> None:
        own = state.workflows[self.workflow].own_root
        _forget(state, self.workflow, self.steps)
        if own:
            forget_task(state, self.workflow)
            del state.workflows[self.workflow]
        else:
            _release_root(state, self.workflow, record)


def _forget(state: State, root: str, steps: tuple[str, ...]) -> None:
    """Remove the steps from the board, children before their parents."""
    for step in reversed(steps):
        forget_task(state, step)
    state.workflows.steps.pop(root, None)
    state.workflows.work.pop(root, None)


def _release_root(state: State, root: str, record: Recorded, *, digest: str | None = None) -> None:
    """Make the root an ordinary task again; a digest becomes its result."""
    workflow = state.workflows.pop(root)
    task = state.tasks.get(root)
    if task is None:
        return
    changes: dict[str, Any] = {"milestone": False}
    if task.gate is not None and task.gate.of == root:
        remove_from(state.tasks.awaited_by, root, root)
        changes |= {"gate": None, "waiting": False}
    if digest is not None and workflow.own_root:
        changes["result"] = digest
    change_task(state, task, replace(task, **changes), record)
