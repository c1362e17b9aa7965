"""A compiled formula: the steps of a workflow before they become tasks.

:func:`orchestrator.formulas.compile_formula` makes it; :mod:`orchestrator.domain.workflows.commands` uses it.
"""

import msgspec

from orchestrator.domain.tasks.given_facts import StepFacts
from orchestrator.domain.tasks.relations import ForEach
from orchestrator.domain.workflows.records import Condense

MILESTONE = "milestone"
"""The type of a step that completes automatically as soon as nothing blocks it."""


class CompiledGate(msgspec.Struct, frozen=True, kw_only=True):
    """A signal that a step waits for; see :class:`orchestrator.domain.tasks.records.Signal`."""

    type: str
    name: str = ""
    seconds: float | None = None


class CompiledStep(StepFacts, kw_only=True):
    """A step with all texts filled, ready to become a task. Estimates are minutes, and timeouts seconds.

    Attributes:
        needs: Steps of the same workflow that must be done first.
        parent: The step that contains it.
        waits_for: ``all`` or ``any`` of its own children, ``all:STEP`` or ``any:STEP`` of another step's.
        outside: Tasks of the board that must be done first, by id or prefix.
        until: The condition that ends its children early.
        for_each: Of a milestone: what it adds when a step is done.
        source: Its place in the formula file.
    """

    id: str
    type: str = "task"
    needs: tuple[str, ...] = ()
    parent: str | None = None
    waits_for: str = ""
    gates: tuple[CompiledGate, ...] = ()
    outside: tuple[str, ...] = ()
    until: str = ""
    assignee: str = ""
    for_each: ForEach | None = None
    source: str = ""


class CompiledFormula(msgspec.Struct, frozen=True, kw_only=True):
    """A formula compiled with its variables.

    Attributes:
        formula: The name of the formula.
        title: The title of its workflows.
        variables: The values that were used.
        ephemeral: Whether its workflows are wisps.
        review_only: Whether its steps change nothing.
        steps: The steps, each after its needs and its parent.
        warnings: Warnings about the formula.
        runtime: Placeholders that stay in texts for the agent of the step, with their places.
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
