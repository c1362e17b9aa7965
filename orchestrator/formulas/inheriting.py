"""``extends``: a formula merged with those that it begins with.

The parents come first, in their order. The child's variables, texts and settings win, its steps are appended,
and a step with the id of an inherited one, wherever that stands, takes its place.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from msgspec.structs import replace

from orchestrator.formulas.schema import Compose, Formula, Step

_SETTINGS = ("description", "phase", "squash", "prompts", "output", "synthesis")
_SWITCHES = ("pour", "review_only")
_NAMED = ("vars", "inputs", "presets")
_STEPS = ("steps", "template", "legs")
_LISTS = ("advice", "pointcuts")

T = TypeVar("T")


def merged(formula: Formula, parents: Iterable[Formula]) -> Formula:
    """A formula with its parents in it; each parent has its own in it already."""
    for parent in reversed([*parents]):
        formula = _under(formula, parent)
    return formula


def _under(formula: Formula, parent: Formula) -> Formula:
    fields: dict[str, Any] = {
        name: getattr(formula, name) or getattr(parent, name) for name in _SETTINGS
    }
    for name in _SWITCHES:
        own = getattr(formula, name)
        fields[name] = getattr(parent, name) if own is None else own
    fields |= {name: _named(getattr(parent, name), getattr(formula, name)) for name in _NAMED}
    fields |= {name: _steps(getattr(parent, name), getattr(formula, name)) for name in _STEPS}
    fields |= {name: _both(getattr(parent, name), getattr(formula, name)) for name in _LISTS}
    return replace(formula, **fields, compose=_compose(parent.compose, formula.compose))


def _named(parent: Mapping[str, T], child: Mapping[str, T]) -> dict[str, T]:
    return {**parent, **child}


def _compose(parent: Compose, child: Compose) -> Compose:
    lists = ("expand", "map", "branch", "gate")
    fields = {name: _both(getattr(parent, name), getattr(child, name)) for name in lists}
    return Compose(**fields, aspects=tuple(dict.fromkeys((*parent.aspects, *child.aspects))))


def _both(parent: tuple[Any, ...], child: tuple[Any, ...]) -> tuple[Any, ...]:
    """The records of both, each once: a formula that two parents extend comes in twice."""
    return tuple({record.at: record for record in (*parent, *child)}.values())


def _steps(parent: tuple[Step, ...], child: tuple[Step, ...]) -> tuple[Step, ...]:
    """The parent's steps, with those of the same id replaced, and the others behind."""
    new = {step.id: step for step in child if step.id}
    used: set[str] = set()
    kept = _replaced(parent, new, used)
    return (*kept, *(step for step in child if step.id not in used))


def _replaced(steps: tuple[Step, ...], new: Mapping[str, Step], used: set[str]) -> tuple[Step, ...]:
    found = []
    for step in steps:
        if step.id in new:
            used.add(step.id)
            found.append(new[step.id])
        else:
            loop = step.loop
            if loop is not None:
                loop = replace(loop, body=_replaced(loop.body, new, used))
            found.append(replace(step, children=_replaced(step.children, new, used), loop=loop))
    return tuple(found)
