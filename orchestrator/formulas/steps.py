"""Steps of a formula: walks over them, changes of their texts, and their form during compilation."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, TypeVar

import msgspec
from msgspec.structs import asdict, replace

from orchestrator.core.errors import BadInput
from orchestrator.domain.workflows.compiled import MILESTONE
from orchestrator.formulas.schema import Formula, Loop, Step, StepGate

NEVER = "no == yes"
"""A condition that is always false, as for a loop without rounds."""

ITERATION = "iteration"
"""The name of a round's number, from 1, in the body of every loop."""

T = TypeVar("T")
S = TypeVar("S", bound=Step)


class Draft(Step):
    """A step during compilation, in a flat list: it has a parent instead of children.

    Attributes:
        parent: The step that contains it.
        conditions: It is left out unless all of them are true.
        inserted: Advice inserted it, so no aspect applies to it.
        rank: Its position; a replacement has the position of the replaced step.
    """

    parent: str | None = None
    conditions: tuple[str, ...] = ()
    inserted: bool = False
    rank: tuple[int, ...] = ()


def drafts_of(steps: Iterable[Step], parent: str | None = None) -> Iterator[Draft]:
    """Flatten steps: each is followed by its children."""
    for step in steps:
        fields = asdict(step) | {
            "needs": unique((*step.needs, *step.depends_on)),
            "depends_on": (),
            "children": (),
            "condition": "",
        }
        conditions = (step.condition,) if step.condition.strip() else ()
        yield Draft(**fields, parent=parent, conditions=conditions)
        yield from drafts_of(step.children, step.id)


def flat(steps: Iterable[Step]) -> Iterator[Step]:
    """Yield steps with their children at any depth."""
    for step in steps:
        yield step
        yield from flat(step.children)


def nested(steps: Iterable[Step]) -> Iterator[Step]:
    """Yield steps with their children and the bodies of their loops, at any depth."""
    for step in flat(steps):
        yield step
        if step.loop is not None:
            yield from nested(step.loop.body)


def steps_of(formula: Formula) -> Iterator[Step]:
    """Yield every step of a formula, including advice."""
    yield from nested((*formula.steps, *formula.template, *formula.legs))
    for advice in formula.advice:
        before, after = advice.sequence
        yield from nested(before + after)


def awaited(step: Step) -> tuple[str, str | None]:
    """How many children (``all``, ``any``) of which step a step waits for; ``("all", None)`` if none."""
    text = step.waits_for
    for how in ("all", "any"):
        if text in (how, f"{how}-children"):
            return how, step.id
        if text.startswith(f"{how}:"):
            return how, text[len(how) + 1 :]
    if text.startswith("children-of(") and text.endswith(")"):
        return "all", text[len("children-of(") : -1].strip()
    return "all", None


def is_milestone(step: Step) -> bool:
    """Whether a step completes automatically, as the holder of a loop with ``until`` does."""
    return step.type == MILESTONE or (step.loop is not None and bool(step.loop.until))


def task_gates(step: Step) -> list[StepGate]:
    """The gates that are tasks of the board."""
    return [gate for gate in step.gates if gate.type == "task"]


def last_of(drafts: Collection[Draft]) -> list[Draft]:
    """The top-level drafts that must be done for all of the drafts to be done.

    A need of a child counts only if its parents cannot complete without that child.
    """
    by_id = {draft.id: draft for draft in drafts}
    optional = {d.id for d in drafts if d.until or awaited(d) == ("any", d.id)}
    needed: set[str] = set()
    for draft in drafts:
        parent = draft.parent
        while parent is not None and parent not in optional:
            parent = by_id[parent].parent
        if parent is None:
            needed.update(draft.needs)
    return [draft for draft in drafts if draft.parent is None and draft.id not in needed]


def unique(items: Iterable[T]) -> tuple[T, ...]:
    """The items in their order, each once."""
    return tuple(dict.fromkeys(items))


# Changes of texts and references


def map_texts(value: Any, change: Callable[[str], str], but: Collection[str] = ("place",)) -> Any:
    """Apply a function to every text of a value at any depth.

    In the body of a loop, the names that it gives to its own round are not changed.

    Args:
        value: A text, or a tuple, dictionary or record that holds texts.
        change: The function.
        but: Fields of records that stay as they are.
    """
    if isinstance(value, str):
        return change(value)
    if isinstance(value, tuple):
        return tuple(map_texts(item, change, but) for item in value)
    if isinstance(value, dict):
        return {key: map_texts(item, change, but) for key, item in value.items()}
    if not isinstance(value, msgspec.Struct):
        return value
    fields = {
        name: map_texts(item, change, but)
        for name in value.__struct_fields__
        if (item := getattr(value, name)) and name not in but and name != "body"
    }
    if isinstance(value, Loop):
        fields["body"] = map_texts(value.body, _outside(value, change), but)
    return replace(value, **fields)


def _outside(loop: Loop, change: Callable[[str], str]) -> Callable[[str], str]:
    """Limit a change to what a loop's body does not define itself: the number of its round."""
    names = "|".join(map(re.escape, filter(None, (ITERATION, loop.var))))
    own = re.compile(rf"(\{{\{{\s*(?:{names})\s*\}}\}}|\{{(?:{names})\}})")

    def changed(text: str) -> str:
        pieces = own.split(text)
        return "".join(p if number % 2 else change(p) for number, p in enumerate(pieces))

    return changed


def with_references(step: S, new: Callable[[str], str]) -> S:
    """A step that refers to other steps by new ids, also in the body of its loop."""
    how, of = awaited(step)
    return replace(
        step,
        needs=tuple(map(new, step.needs)),
        depends_on=tuple(map(new, step.depends_on)),
        waits_for=step.waits_for if of in (None, step.id) else f"{how}:{new(of or '')}",
        children=tuple(with_references(child, new) for child in step.children),
        loop=None if step.loop is None else _loop_with_references(step.loop, new),
    )


def _loop_with_references(loop: Loop, new: Callable[[str], str]) -> Loop:
    """The same for a loop; ids of steps in its body hide equal ones outside."""
    own = {step.id for step in flat(loop.body)}

    def outer(step: str) -> str:
        return step if step in own else new(step)

    return replace(loop, body=tuple(with_references(step, outer) for step in loop.body))


# Facts that pass from a replaced step to its replacements


def inherit(draft: Draft, target: Draft) -> None:
    """Give a replacement of a step, or a step around it, the facts that it does not set itself."""
    draft.priority = target.priority if draft.priority is None else draft.priority
    if draft.type != MILESTONE:  # the rounds of a loop get it instead
        draft.assignee = draft.assignee or target.assignee
    draft.labels = unique(target.labels + draft.labels)
    draft.touches = unique(target.touches + draft.touches)


def inherit_checks(draft: Draft, target: Draft) -> None:
    """Give the last replacement of a step the checks of that step, and what is added when it is done.

    Raises:
        BadInput: The replacement is a milestone, which completes automatically and has neither.
    """
    has_checks = target.verify or target.artifacts or target.review
    if is_milestone(draft) and (has_checks or target.on_complete):
        what = "checks" if has_checks else "on_complete"
        raise BadInput(
            f"{target.id!a} has {what}, but the last step in its place, {draft.id!a}, is a milestone:"
            f" it completes automatically and has no {'checks' if has_checks else 'result'}"
        )
    draft.on_complete = draft.on_complete or target.on_complete
    if target.acceptance not in draft.acceptance:
        draft.acceptance = "\n\n".join(filter(None, [draft.acceptance, target.acceptance]))
    draft.verify = unique(draft.verify + target.verify)
    draft.verify_timeout = draft.verify_timeout or target.verify_timeout
    draft.artifacts = unique(draft.artifacts + target.artifacts)
    draft.review = draft.review or target.review
