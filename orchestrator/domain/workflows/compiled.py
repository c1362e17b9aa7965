"""A cooked formula: the steps of a workflow before they are tasks.

Made by :func:`orchestrator.formulas.cook`, taken by :mod:`orchestrator.domain.workflows.commands`.
"""

import msgspec

from orchestrator.domain.workflows.records import Condense

MILESTONE = "milestone"
"""The type of a step that is done by itself as soon as nothing keeps it back."""


class CompiledGate(msgspec.Struct, frozen=True, kw_only=True):
    """A signal that a step waits for; see :class:`orchestrator.domain.tasks.records.Signal`."""

    type: str
    name: str = ""
    seconds: float | None = None


class CompiledStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step with every text filled, ready to become a task.

    Attributes:
        needs: Steps of the same workflow that must be done before.
        parent: The step that it is a part of.
        waits_for: ``all`` or ``any`` of its own parts, ``all:STEP`` or ``any:STEP`` of another step's.
        outside: Tasks of the board that must be done before, by id or prefix.
        until: What ends its parts early.
        estimate: Minutes.
        verify_timeout: Seconds that each command may take.
        source: Where it was written.
    """

    id: str
    title: str
    description: str = ""
    type: str = "task"
    priority: int | None = None
    labels: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    parent: str | None = None
    waits_for: str = ""
    gates: tuple[CompiledGate, ...] = ()
    outside: tuple[str, ...] = ()
    until: str = ""
    assignee: str = ""
    acceptance: str = ""
    verify: tuple[str, ...] = ()
    verify_timeout: float | None = None
    artifacts: tuple[str, ...] = ()
    review: bool = False
    touches: tuple[str, ...] = ()
    estimate: float | None = None
    source: str = ""


class CompiledFormula(msgspec.Struct, frozen=True, kw_only=True):
    """What a formula and variables were cooked to.

    Attributes:
        formula: The name of the formula.
        title: What a workflow of it is called.
        variables: The values that were used.
        ephemeral: Whether the formula is made to run as a wisp.
        review_only: Whether its steps change nothing.
        steps: In an order in which each stands behind what it needs and what it is a part of.
        warnings: What is odd about the formula.
        runtime: Placeholders that stayed in texts, for whoever does the steps, with their places.
    """

    formula: str
    title: str = ""
    version: int = 1
    type: str = "workflow"
    description: str = ""
    variables: dict[str, str] = {}
    ephemeral: bool = False
    review_only: bool = False
    condense: Condense | None = None
    steps: tuple[CompiledStep, ...] = ()
    warnings: tuple[str, ...] = ()
    runtime: dict[str, str] = {}
