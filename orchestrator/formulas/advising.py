"""Advice: steps that go before and after the steps that fit, from the formula itself or from aspects.

Advice with a ``target`` is about the steps whose id fits that glob; if its formula has pointcuts, the step
must fit one of them too. Advice without a target is about all that fit a pointcut. No aspect goes around a
step that an aspect has inserted.
"""

import re
from fnmatch import fnmatchcase

from orchestrator.core.problems import (
    Problems,
)
from orchestrator.formulas.drafts import Draft, drafts_of, inherit
from orchestrator.formulas.expanding import Filling
from orchestrator.formulas.graph import StepGraph
from orchestrator.formulas.schema import Advice, Around, Formula, Pointcut, Step
from orchestrator.formulas.variables import Values

WORDS = ("step.id", "step.title", "step.description")
"""What the texts of advice may say of the step that they go around, in braces."""

_SIGN = re.compile(r"\[.[^]]*\]|[*?]")


def advise(graph: StepGraph, formula: Formula, values: Values, problems: Problems) -> list[str]:
    """Put the steps of a formula's advice around those of the graph that fit.

    Returns:
        Warnings: advice that fits no step.
    """
    warnings = []
    for advice in formula.advice:
        chosen = [draft for draft in graph if _fits(advice, formula.pointcuts, draft)]
        if not chosen:
            warnings.append(f"{advice.at}: it fits no step")
        for target in chosen:
            problems.attempt(advice.at, _go_around, graph, target, advice, values)
            if graph.is_full:
                return warnings
    return warnings


def _fits(advice: Advice, pointcuts: tuple[Pointcut, ...], draft: Draft) -> bool:
    if draft.inserted or (advice.target and not fnmatchcase(draft.id, advice.target)):
        return False
    return any(_is_cut(cut, draft) for cut in pointcuts) if pointcuts else bool(advice.target)


def _is_cut(cut: Pointcut, draft: Draft) -> bool:
    return (
        (not cut.glob or fnmatchcase(draft.id, cut.glob))
        and (not cut.type or cut.type == (draft.type or "task"))
        and (not cut.label or cut.label in draft.labels)
    )


def _go_around(graph: StepGraph, target: Draft, advice: Advice, values: Values) -> None:
    before, after = around(advice)
    for step in before:
        graph.put_before(target, _inserted(graph, target, step, values))
    for step in reversed(after):
        graph.put_after(target, _inserted(graph, target, step, values))


def around(advice: Advice) -> tuple[list[Step], list[Step]]:
    """The steps before and the steps after, each in the order in which they are done."""
    inside = advice.around or Around()
    return [*advice.before, *inside.before], [*inside.after, *advice.after]


def _inserted(graph: StepGraph, target: Draft, step: Step, values: Values) -> Draft:
    told = (target.id, values.bind(target.title or target.id), values.bind(target.description))
    words = Filling(dict(zip(WORDS, told, strict=True)))
    draft = graph.rewritten(next(drafts_of((step,))), words.fill)
    inherit(draft, target)
    draft.conditions = [*target.conditions, *draft.conditions]
    draft.inserted = True
    return draft


def stand_ins(formula: Formula) -> list[Draft]:
    """Steps that an aspect which is cooked alone goes around: one for each that it is about."""
    made = {}
    for advice in formula.advice:
        for cut in formula.pointcuts or (Pointcut(),):
            step = _fitting(advice.target or cut.glob) or formula.formula
            labels = [cut.label] if cut.label else []
            made[step] = Draft(id=step, title=step, type=cut.type, labels=labels, at=formula.at)
    return [*made.values()]


def _fitting(glob: str) -> str:
    """A name that fits a glob, the plainest that can be an id; empty if none is found."""
    for instead in ("", "any"):
        name = _SIGN.sub(instead, glob)
        if fnmatchcase(name, glob) and name[:1].isalnum() and name[-1:].isalnum():
            return name
    return ""
