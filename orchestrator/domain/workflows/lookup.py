"""Find workflows and their steps."""

from collections.abc import Iterator

from orchestrator.core.errors import NotFound
from orchestrator.domain.state import State
from orchestrator.domain.tasks.lookup import resolve
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.workflows.records import Workflow


def find_workflow(state: State, text: str) -> Workflow:
    """Find the workflow of a root or a step.

    Raises:
        NotFound: There is no such task, or it belongs to no workflow.
    """
    named = task_id = resolve(state, text)
    seen: set[str] = set()
    while task_id and task_id not in state.workflows:
        seen.add(task_id)
        task = state.tasks.get(task_id)
        parent = task_id.rpartition(".")[0] if task is None else task.workflow or task.parent or ""
        task_id = "" if parent in seen else parent
    if not task_id:
        raise NotFound(
            f"Task {named} belongs to no workflow",
            code="workflow_not_found",
            hint="`formula current` shows the open workflows; for a squashed one,"
            " `t show` shows the digest.",
        )
    return state.workflows[task_id]


def descendants(state: State, root: str) -> Iterator[str]:
    """Yield the descendants of a task, each after its parent."""
    queue = state.tasks.children.get(root, [])[::-1]
    while queue:
        task = queue.pop()
        yield task
        queue += state.tasks.children.get(task, [])[::-1]


def live_steps(state: State, root: str) -> list[Task]:
    """The steps that were poured with a workflow, except archived ones."""
    return state.tasks.present(state.workflows.steps.get(root, ()))
