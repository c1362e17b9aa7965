"""The record of a workflow, and the slice of the state with all of them."""

from orchestrator.core.cold_map import current
from orchestrator.domain.slices import MapSlice, Record
from orchestrator.domain.tasks.relations import Progress


class Condense(Record, frozen=True, kw_only=True):
    """How an ephemeral workflow is condensed.

    Attributes:
        by_itself: Whether this happens automatically, when it is complete.
        kind: A word in the head of the digest.
        metrics: Whether the digest contains the durations of the steps.
    """

    by_itself: bool = False
    kind: str = ""
    metrics: bool = False


class Workflow(Record, frozen=True, kw_only=True):
    """A poured formula.

    Attributes:
        root: The parent task of its steps.
        own_root: Whether the root was created for it; otherwise the task existed before.
        formula: The name of the formula, with its version.
        variables: The values of its variables.
        ephemeral: Whether it is a wisp: not exported, and collected when it is old.
        condense: How a wisp is condensed.
        ended_at: When its root ended; empty while it is open.
    """

    root: str
    own_root: bool = True
    formula: str
    version: int = 1
    variables: dict[str, str] = {}
    ephemeral: bool = False
    condense: Condense | None = None
    poured_at: str
    poured_by: str
    ended_at: str = ""


class WorkflowSlice(MapSlice[str, Workflow]):
    """The workflows by their root task.

    Attributes:
        steps: The steps of each workflow, in the order in which they were added.
        work: The progress of each workflow; milestones are not counted.
    """

    MAIN = "workflows"
    workflows: dict[str, Workflow] = {}
    steps: dict[str, list[str]] = {}
    work: dict[str, Progress] = {}

    def open(self) -> list[Workflow]:
        """The workflows that have not ended; the ended ones cost nothing."""
        return [workflow for workflow in current(self.workflows) if not workflow.ended_at]

    def wisps(self) -> list[Workflow]:
        """The ephemeral workflows, ended or not."""
        return [workflow for workflow in current(self.workflows) if workflow.ephemeral]
