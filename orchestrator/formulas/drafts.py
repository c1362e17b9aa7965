"""Drafts: the steps of a formula while it is cooked, and what can be said of one or of several of them.

Nothing here knows the graph; how drafts are rewired is in :mod:`orchestrator.formulas.graph`.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import msgspec

from orchestrator.core.errors import BadInput
from orchestrator.domain.workflows.compiled import MILESTONE
from orchestrator.formulas.schema import Loop, Step, StepGate

NEVER = "no == yes"
"""The condition of a step that is left out whatever the variables are, as a loop without rounds is."""


class Draft(msgspec.Struct, kw_only=True):
    """A step in the making; see :class:`orchestrator.formulas.schema.Step` for what the fields mean.

    Attributes:
        parent: The step that it is a part of.
        conditions: It is left out unless all of them are true.
        inserted: An aspect put it there, so no aspect goes around it.
        rank: Where it stands: what takes the place of a step stands there too.
        at: Where it was written.
    """

    id: str
    title: str = ""
    description: str = ""
    type: str = ""
    priority: int | None = None
    labels: list[str] = []
    needs: list[str] = []
    parent: str | None = None
    waits_for: str = ""
    gates: list[StepGate] = []
    assignee: str = ""
    acceptance: str = ""
    conditions: list[str] = []
    expand: str = ""
    expand_vars: dict[str, str] = {}
    loop: Loop | None = None
    until: str = ""
    verify: list[str] = []
    verify_timeout: str = ""
    artifacts: list[str] = []
    review: bool = False
    touches: list[str] = []
    estimate: str | float | None = None
    inserted: bool = False
    rank: tuple[int, ...] = ()
    at: str = ""


TEXTS = (
    "title", "description", "type", "assignee", "acceptance", "expand", "until", "verify_timeout",
)  # fmt: skip
LISTS = ("labels", "conditions", "verify", "artifacts", "touches")


def drafts_of(steps: Iterable[Step], parent: str | None = None) -> Iterator[Draft]:
    """The drafts of steps and of their children, each behind its parent."""
    for step in steps:
        yield Draft(
            id=step.id,
            title=step.title,
            description=step.description,
            type=step.type,
            priority=step.priority,
            labels=list(step.labels),
            needs=once((*step.needs, *step.depends_on)),
            parent=parent,
            waits_for=step.waits_for,
            gates=list(step.gate),
            assignee=step.assignee,
            acceptance=step.acceptance,
            conditions=[step.condition] if step.condition.strip() else [],
            expand=step.expand,
            expand_vars=dict(step.expand_vars),
            loop=step.loop,
            until=step.until,
            verify=list(step.verify),
            verify_timeout=step.verify_timeout,
            artifacts=list(step.artifacts),
            review=step.review,
            touches=list(step.touches),
            estimate=step.estimate,
            at=step.at,
        )
        yield from drafts_of(step.children, step.id)


def ends_of(drafts: Iterable[Draft]) -> list[Draft]:
    """Those of several steps, parts aside, that must be done for all of them to be done.

    What only a part waits for that its parent may be done without is an end too.
    """
    by_id = {draft.id: draft for draft in drafts}
    loose = {
        draft.id for draft in by_id.values() if draft.until or waits_of(draft) == ("any", draft.id)
    }
    waited_for: set[str] = set()
    for draft in by_id.values():
        above = draft.parent
        while above is not None and above not in loose:
            above = by_id[above].parent
        if above is None:
            waited_for.update(draft.needs)
    return [
        draft for draft in by_id.values() if draft.parent is None and draft.id not in waited_for
    ]


ITERATION = "iteration"
"""What the body of every loop calls the number of the round, counted from 1."""


def loop_with(loop: Loop, change: Callable[[str], str]) -> Loop:
    """A loop with every text of it and of its body changed.

    The names that a body has of its own round are not touched in it: they hide those of the same name around.
    """
    own = "|".join(map(re.escape, filter(None, (ITERATION, loop.var))))
    hidden = re.compile(rf"(\{{\{{\s*(?:{own})\s*\}}\}}|\{{(?:{own})\}})")

    def inside(text: str) -> str:
        pieces = hidden.split(text)
        return "".join(p if at % 2 else change(p) for at, p in enumerate(pieces))

    body = tuple(_step_with(step, inside) for step in loop.body)
    return _with_texts(loop, change, body=body)


def _step_with(step: Step, change: Callable[[str], str]) -> Step:
    return _with_texts(
        step,
        change,
        gate=tuple(_gate_with(gate, change) for gate in step.gate),
        children=tuple(_step_with(child, change) for child in step.children),
        loop=None if step.loop is None else loop_with(step.loop, change),
        expand_vars={key: change(text) for key, text in step.expand_vars.items()},
    )


R = TypeVar("R", Loop, Step)


def _with_texts(record: R, change: Callable[[str], str], **fields: object) -> R:
    """A record with its texts and lists of texts changed, and some of its fields given."""
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if name == "at" or name in fields:
            continue
        if isinstance(value, str):
            fields[name] = change(value)
        elif isinstance(value, tuple):
            fields[name] = tuple(map(change, value))
    return msgspec.structs.replace(record, **fields)


def loop_renamed(loop: Loop, new: Callable[[str], str]) -> Loop:
    """A loop whose body speaks of the steps around it by their new ids; its own ones hide them."""
    own = {draft.id for draft in drafts_of(loop.body)}

    def named(text: str) -> str:
        return text if text in own else new(text)

    def renamed(step: Step) -> Step:
        how, of = waits_of(step)
        return msgspec.structs.replace(
            step,
            needs=tuple(map(named, step.needs)),
            depends_on=tuple(map(named, step.depends_on)),
            waits_for=step.waits_for if of in (None, step.id) else f"{how}:{named(of or '')}",
            children=tuple(map(renamed, step.children)),
            loop=None if step.loop is None else loop_renamed(step.loop, named),
        )

    return msgspec.structs.replace(loop, body=tuple(map(renamed, loop.body)))


def inherit(draft: Draft, target: Draft) -> None:
    """Give a step that takes the place of another one, or goes around it, what it does not say itself."""
    draft.priority = target.priority if draft.priority is None else draft.priority
    if draft.type != MILESTONE:  # a loop hands it on to its rounds
        draft.assignee = draft.assignee or target.assignee
    draft.labels = once([*target.labels, *draft.labels])
    draft.touches = once([*target.touches, *draft.touches])


def show_what_it_shows(draft: Draft, target: Draft) -> None:
    """Give the last step of those that take the place of another one what that had to show.

    Raises:
        BadInput: It is a milestone, which is done by itself and so shows nothing.
    """
    if is_milestone(draft) and (target.verify or target.artifacts or target.review):
        raise BadInput(
            f"{target.id!a} has checks, and what is last in its place, {draft.id!a}, is a milestone:"
            " it is done by itself, so it shows nothing"
        )
    if target.acceptance and target.acceptance not in draft.acceptance:
        draft.acceptance = "\n\n".join(filter(None, [draft.acceptance, target.acceptance]))
    draft.verify = once([*draft.verify, *target.verify])
    draft.verify_timeout = draft.verify_timeout or target.verify_timeout
    draft.artifacts = once([*draft.artifacts, *target.artifacts])
    draft.review = draft.review or target.review


def is_milestone(step: Draft | Step) -> bool:
    """Whether a step is done by itself, as the one that holds the rounds of a loop with ``until`` is."""
    return step.type == MILESTONE or (step.loop is not None and bool(step.loop.until))


def tasks_of(draft: Draft) -> list[StepGate]:
    """The tasks of the board that a step waits for."""
    return [gate for gate in draft.gates if gate.type == "task"]


def _gate_with(gate: StepGate, change: Callable[[str], str]) -> StepGate:
    """A gate with every text of it changed."""
    return msgspec.structs.replace(
        gate,
        id=change(gate.id),
        condition=change(gate.condition),
        timeout=change(gate.timeout),
    )


def waits_of(draft: Draft | Step) -> tuple[str, str | None]:
    """How many (``all``, ``any``) children of which step a step waits for; ``all`` of none if it does not."""
    text = draft.waits_for
    for how in ("all", "any"):
        if text in (how, f"{how}-children"):
            return how, draft.id
        if text.startswith(f"{how}:"):
            return how, text[len(how) + 1 :]
    if text.startswith("children-of(") and text.endswith(")"):
        return "all", text[len("children-of(") : -1].strip()
    return "all", None


def filled(draft: Draft, new: Callable[[str], str]) -> Draft:
    """A draft with the texts changed that no other step names."""
    fields: dict[str, object] = {name: new(getattr(draft, name)) for name in TEXTS}
    fields |= {name: [new(text) for text in getattr(draft, name)] for name in LISTS}
    fields["gates"] = [_gate_with(gate, new) for gate in draft.gates]
    if isinstance(draft.estimate, str):
        fields["estimate"] = new(draft.estimate)
    return msgspec.structs.replace(draft, **fields)


def once(texts: Iterable[str]) -> list[str]:
    """Each of several texts once, in their order."""
    return list(dict.fromkeys(texts))
