"""The facts of a task as they are stored, each declared once.

A field of :class:`TaskFacts` declares how a fact is stored and shown; a key of
:class:`orchestrator.domain.tasks.given_facts.GivenFacts` declares what callers give for it and its check. The
rest derives from these two: the record and its events, the signatures of ``tasks.add`` and ``tasks.edit``,
batch files, command-line options, ``task show``, briefs, imports.
"""

from typing import Annotated

import msgspec

from orchestrator.domain.tasks.checks import Checks
from orchestrator.domain.tasks.relations import ForEach, Gate, Link, Signal


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """How a fact is kept and shown.

    Attributes:
        label: Its label in ``task show``; empty if it has a special place there.
        is_long: It is shown as a section, not as a line.
        brief: The share of a brief that it may have, as a section of quoted text; 0: none.
        is_final: Whether it never changes after the task was added.
        beads: The field of an issue of beads that holds the same text or time.
    """

    label: str = ""
    is_long: bool = False
    brief: float = 0.0
    is_final: bool = False
    beads: str = ""


class TaskFacts(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The stored facts of a task: the first fields of its record and of the event that adds it.

    Attributes:
        priority: 1 comes first.
        estimate: Minutes, or None.
        needs_failure_of: Tasks that must fail before; it is cancelled as soon as one of them is done.
        parent: The task that it is a part of; blockers of the parent block it too.
        gate: Children that it waits for.
        signals: What it waits for from outside the graph.
        milestone: It completes automatically as soon as nothing blocks it, unless it has checks.
        until: The condition that ends its children early, in words; then those not begun are cancelled.
        for_each: Of a milestone: what it adds for each item of a result, as its children.
        workflow: The root of the workflow that it is a step of.
        assignee: The agent that gets it as soon as nothing blocks it.
        links: Links that never block.
        touches: Resources that it needs while it runs, exclusive or ``:shared``.
        defer_until: Not to be taken before this time.
        due: When it should be done.
        commits: Commits in version control that belong to it.
        checks: Its checks; None if there are none.
    """

    id: Annotated[str, Kept(is_final=True)]
    workstream: Annotated[str, Kept(is_final=True)]
    title: str
    description: Annotated[str, Kept(label="Description", is_long=True, brief=0.2)] = ""
    type: Annotated[str, Kept(label="type")] = "task"
    priority: Annotated[int, Kept(label="priority")] = 5
    labels: Annotated[tuple[str, ...], Kept(label="labels")] = ()
    acceptance: Annotated[
        str, Kept(label="Acceptance", is_long=True, brief=0.1, beads="acceptance_criteria")
    ] = ""
    estimate: Annotated[float | None, Kept(label="estimate")] = None
    needs: Annotated[tuple[str, ...], Kept(label="needs")] = ()
    needs_failure_of: Annotated[tuple[str, ...], Kept(label="needs failure of")] = ()
    parent: Annotated[str | None, Kept(label="parent")] = None
    gate: Annotated[Gate | None, Kept(label="waits for")] = None
    signals: Annotated[tuple[Signal, ...], Kept(label="signals", is_final=True)] = ()
    milestone: Annotated[bool, Kept(label="milestone")] = False
    until: Annotated[str, Kept(label="until", is_final=True)] = ""
    for_each: Annotated[ForEach | None, Kept(label="adds", is_final=True)] = None
    workflow: Annotated[str | None, Kept(label="workflow", is_final=True)] = None
    assignee: Annotated[str, Kept(label="to be given to")] = ""
    links: Annotated[tuple[Link, ...], Kept(label="links")] = ()
    touches: Annotated[tuple[str, ...], Kept(label="touches")] = ()
    defer_until: Annotated[str, Kept(label="put off until", beads="defer_until")] = ""
    due: Annotated[str, Kept(label="due", beads="due_at")] = ""
    commits: Annotated[tuple[str, ...], Kept(label="commits")] = ()
    external_ref: Annotated[str, Kept(label="external ref", brief=0.01, beads="external_ref")] = ""
    meta: Annotated[dict[str, str], Kept(label="meta", brief=0.02)] = {}
    checks: Annotated[Checks | None, Kept()] = None


KEPT: dict[str, Kept] = {
    name: hint.__metadata__[0]
    for name, hint in TaskFacts.__annotations__.items()
    if hasattr(hint, "__metadata__")
}
"""The storage of every fact but the title, by field."""

FINAL = {field for field, kept in KEPT.items() if kept.is_final}
"""The fields that never change after the task was added."""

MOVING = {"needs", "needs_failure_of", "parent", "gate"}
"""The fields that say what a task waits for."""

JUDGED = {"acceptance", "checks"}
"""The fields by which the work on a task is judged."""

NO_FACTS = TaskFacts(id="", workstream="", title="")
"""The default facts of a task."""
