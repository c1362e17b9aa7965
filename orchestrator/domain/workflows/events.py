"""What a workflow is: the record of a poured formula, and the events of its life.

Its steps are tasks, parts of its root; so the record keeps only what no task tells.
"""

from msgspec.structs import replace

from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.state import State
from orchestrator.domain.tasks.derived import forget_task, put_task
from orchestrator.domain.workflows.records import Condense, Workflow


@event("workflow.poured")
class WorkflowPoured(Event):
    """A formula became the steps of a workflow, which are added by the events after it."""

    workflow: str
    formula: str
    version: int = 1
    own_root: bool = True
    variables: dict[str, str] = {}
    ephemeral: bool = False
    condense: Condense | None = None

    def apply(self, state: State, at: Recorded) -> None:
        state.workflows[self.workflow] = Workflow(
            root=self.workflow,
            own_root=self.own_root,
            formula=self.formula,
            version=self.version,
            variables=self.variables,
            ephemeral=self.ephemeral,
            condense=self.condense,
            poured_at=at.ts,
            poured_by=at.agent,
        )


@event("workflow.ended")
class WorkflowEnded(Event):
    """The root of a workflow has ended: done, failed or cancelled.

    ``digest``: of a wisp that condenses by itself: what it was; it becomes the result of the root.
    """

    workflow: str
    outcome: str
    digest: str = ""

    def apply(self, state: State, at: Recorded) -> None:
        workflow = state.workflows[self.workflow]
        state.workflows[self.workflow] = replace(workflow, ended_at=at.ts)
        if self.digest and workflow.own_root:
            root = state.tasks[self.workflow]
            put_task(
                state,
                replace(root, result=self.digest, updated_at=at.ts, events=(*root.events, at.id)),
            )


@event("workflow.reopened")
class WorkflowReopened(Event):
    """The root of a workflow is open again."""

    workflow: str

    def apply(self, state: State, at: Recorded) -> None:
        workflow = state.workflows[self.workflow]
        state.workflows[self.workflow] = replace(workflow, ended_at="")


@event("workflow.squashed")
class WorkflowSquashed(Event):
    """A wisp was condensed: its steps left the board, its root stays with a digest as its result."""

    workflow: str
    steps: tuple[str, ...]
    digest: str

    def apply(self, state: State, at: Recorded) -> None:
        _forget(state, self.workflow, self.steps)
        _let_go(state, self.workflow, at, digest=self.digest)


@event("workflow.burned")
class WorkflowBurned(Event):
    """A wisp left the board without a trace, but for a root that was there before it."""

    workflow: str
    steps: tuple[str, ...]

    def apply(self, state: State, at: Recorded) -> None:
        own = state.workflows[self.workflow].own_root
        _forget(state, self.workflow, self.steps)
        if own:
            forget_task(state, self.workflow)
            del state.workflows[self.workflow]
        else:
            _let_go(state, self.workflow, at)


def _forget(state: State, root: str, steps: tuple[str, ...]) -> None:
    """Take the steps off the board, parts before what they are parts of."""
    for step in reversed(steps):
        forget_task(state, step)
    state.workflows.steps.pop(root, None)
    state.workflows.work.pop(root, None)


def _let_go(state: State, root: str, at: Recorded, *, digest: str | None = None) -> None:
    """Make the root an ordinary task again, with the digest as its result, if there is one."""
    workflow = state.workflows.pop(root)
    task = state.tasks.get(root)
    if task is None:
        return
    if task.gate is not None and task.gate.of == root:
        state.tasks.awaited_by[root].remove(root)
        if not state.tasks.awaited_by[root]:
            del state.tasks.awaited_by[root]
        task = replace(task, gate=None, waiting=False)
    if digest is not None and workflow.own_root:
        task = replace(task, result=digest)
    put_task(state, replace(task, milestone=False, updated_at=at.ts, events=(*task.events, at.id)))
