"""What a workflow is: the record of a poured formula."""

import msgspec

from orchestrator.domain.slices import MapSlice
from orchestrator.domain.tasks.relations import Progress


class Condense(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """How an ephemeral workflow ends: by itself when it is complete, with which word and numbers."""

    by_itself: bool = False
    kind: str = ""
    metrics: bool = False


class Workflow(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """A poured formula.

    Attributes:
        root: The task whose parts its steps are.
        own_root: Whether the root was made for it; otherwise it says how a task that was there gets done.
        formula: The name of the formula, with its version.
        variables: The values that it was cooked with.
        ephemeral: A wisp: not exported, and collected when it is old.
        condense: How a wisp is condensed at its end.
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
        work: How far the steps of each workflow are, except those that are done by themselves.
    """

    MAIN = "workflows"
    workflows: dict[str, Workflow] = {}
    steps: dict[str, list[str]] = {}
    work: dict[str, Progress] = {}
