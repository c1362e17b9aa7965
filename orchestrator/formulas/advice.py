"""Advice: steps inserted before and after the steps that match, by the formula itself or by aspects.

Advice with a ``target`` applies to the steps whose id matches that glob; if its formula has pointcuts, the
step must match one of them too. Advice without a target applies to all steps that match a pointcut. No aspect
applies to a step that advice has inserted.
"""

import re
from fnmatch import fnmatchcase

from orchestrator.core.names import LONGEST
from orchestrator.core.problems import Problems
from orchestrator.formulas.expansions import replace_names
from orchestrator.formulas.graph import StepGraph
from orchestrator.formulas.schema import Advice, Formula, Pointcut, Step
from orchestrator.formulas.steps import Draft, drafts_of, inherit
from orchestrator.formulas.values import Values

WORDS = ("step.id", "step.title", "step.description")
"""The words in braces with which advice refers to the step that it surrounds."""

_WILDCARD = re.compile(r"\[.[^]]*\]|[*?]")


def advise(graph: StepGraph, formula: Formula, values: Values, problems: Problems) -> list[str]:
    """Apply the advice of a formula to a graph.

    Returns:
        Warnings: advice that matches no step.
    """
    warnings = []
    for advice in formula.advice:
        targets = [draft for draft in graph if _matches(advice, formula.pointcuts, draft)]
        if not targets:
            warnings.append(f"{advice.place}: it matches no step")
        for target in targets:
            problems.attempt(advice.place, _surround, graph, target, advice, values)
            if graph.is_full:
                return warnings
    return warnings


def _matches(advice: Advice, pointcuts: tuple[Pointcut, ...], draft: Draft) -> bool:
    if draft.inserted or (advice.target and not fnmatchcase(draft.id, advice.target)):
        return False
    return any(_selects(cut, draft) for cut in pointcuts) if pointcuts else bool(advice.target)


def _selects(cut: Pointcut, draft: Draft) -> bool:
    return (
        (not cut.glob or fnmatchcase(draft.id, cut.glob))
        and (not cut.type or cut.type == (draft.type or "task"))
        and (not cut.label or cut.label in draft.labels)
    )


def _surround(graph: StepGraph, target: Draft, advice: Advice, values: Values) -> None:
    before, after = advice.sequence
    for step in before:
        graph.put_before(target, _inserted(graph, target, step, values))
    for step in reversed(after):
        graph.put_after(target, _inserted(graph, target, step, values))


def _inserted(graph: StepGraph, target: Draft, step: Step, values: Values) -> Draft:
    texts = (target.id, values.bind(target.title or target.id), values.bind(target.description))
    words = dict(zip(WORDS, texts, strict=True))
    draft = graph.rewrite(next(drafts_of((step,))), lambda text: replace_names(text, words))
    inherit(draft, target)
    draft.conditions = target.conditions + draft.conditions
    draft.inserted = True
    return draft


def example_targets(formula: Formula) -> list[Draft]:
    """Example steps for an aspect that is compiled alone: one for each of its globs."""
    targets = {}
    for advice in formula.advice:
        for cut in formula.pointcuts or (Pointcut(),):
            step = _match_of(advice.target or cut.glob) or formula.formula
            labels = (cut.label,) if cut.label else ()
            place = formula.place
            targets[step] = Draft(id=step, title=step, type=cut.type, labels=labels, place=place)
    return [*targets.values()]


def _match_of(glob: str) -> str:
    """A simple id that matches a glob; empty if there is none."""
    if len(glob) > LONGEST:
        return ""
    for wildcard in ("", "any"):
        name = _WILDCARD.sub(wildcard, glob)
        if fnmatchcase(name, glob) and name[:1].isalnum() and name[-1:].isalnum():
            return name
    return ""
