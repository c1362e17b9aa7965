"""``extends``: merge a formula with its parents.

The parents come first, in their order. The child's variables, texts and settings win, its steps are appended,
and a step with the id of an inherited one replaces it, wherever that is.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import fields, replace

from orchestrator.formulas.schema import Compose, Formula, Step

_STEPS = ("steps", "template", "legs")
_OWN = ("place", "formula", "version", "type", "extends", *_STEPS, "compose")
"""Fields that are not inherited, or merged in a special way."""


def merged(formula: Formula, parents: Iterable[Formula]) -> Formula:
    """Merge a formula with its parents, which are already merged with their own parents."""
    for parent in reversed([*parents]):
        formula = replace(
            formula,
            **_merged_fields(parent, formula, but=_OWN),
            **{
                name: _merged_steps(getattr(parent, name), getattr(formula, name))
                for name in _STEPS
            },
            compose=Compose(**_merged_fields(parent.compose, formula.compose)),
        )
    return formula


def _merged_fields(
    parent: Formula | Compose, child: Formula | Compose, but: Iterable[str] = ()
) -> dict[str, Any]:
    names = [field.name for field in fields(child) if field.name not in but]
    return {name: _merged_value(getattr(parent, name), getattr(child, name)) for name in names}


def _merged_value(parent: Any, child: Any) -> Any:
    """Tables of names are united, and so are lists; of other values the child's wins if it has one."""
    if isinstance(child, dict):
        return parent | child
    if isinstance(child, tuple):
        # A formula that two parents extend is merged twice, but counts once.
        return tuple({getattr(item, "place", item): item for item in parent + child}.values())
    return parent if child is None or child == "" else child


def _merged_steps(parent: tuple[Step, ...], child: tuple[Step, ...]) -> tuple[Step, ...]:
    """The parent's steps, with the child's steps of the same ids in their places, then the child's others."""
    new = {step.id: step for step in child if step.id}
    used: set[str] = set()
    kept = _replaced(parent, new, used)
    return (*kept, *(step for step in child if step.id not in used))


def _replaced(steps: tuple[Step, ...], new: Mapping[str, Step], used: set[str]) -> tuple[Step, ...]:
    kept = []
    for step in steps:
        if step.id in new:
            used.add(step.id)
            kept.append(new[step.id])
        else:
            loop = step.loop
            if loop is not None:
                loop = replace(loop, body=_replaced(loop.body, new, used))
            kept.append(replace(step, children=_replaced(step.children, new, used), loop=loop))
    return tuple(kept)
