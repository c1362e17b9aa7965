"""Expansions: a step gives place to the steps of an expansion formula, inline or by ``compose``.

What the target says beyond its id, title and description is not lost: the steps of the template have its
priority, labels and assignee unless they say so themselves, the first ones its gates, the last ones its
acceptance and checks.
"""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

from orchestrator.core.errors import (
    BadInput,
    did_you_mean,
)
from orchestrator.core.problems import (
    Problems,
)
from orchestrator.formulas.drafts import Draft, drafts_of, ends_of, inherit, show_what_it_shows
from orchestrator.formulas.graph import StepGraph
from orchestrator.formulas.loops import unroll
from orchestrator.formulas.schema import Formula
from orchestrator.formulas.variables import Values, wrong_with

_NAMED = re.compile(
    r"\{\{\s*([A-Za-z_][A-Za-z0-9_-]*)\s*\}\}|\{([A-Za-z_][A-Za-z0-9_-]*(?:\.[a-z]+)?)\}"
)

WORDS = ("target", "target.id", "target.title", "target.description")
"""What the texts of a template may say of the step whose place they take, in braces."""

DEEPEST = 5
"""How often an expansion may stand in another one."""


def expand_inline(
    graph: StepGraph, formulas: Mapping[str, Formula], values: Values, problems: Problems
) -> None:
    """Let every step with ``expand`` give place to its expansion, and every loop to its rounds."""
    for depth in range(DEEPEST + 1):
        unroll(graph, values, problems)
        targets = [draft for draft in graph if draft.expand]
        for draft in targets:
            place = f"{draft.at}: expand"
            if depth == DEEPEST:
                problems.note(place, f"expansions stand in one another more than {DEEPEST} deep")
                return
            name, draft.expand = draft.expand, ""
            rule = (place, draft.expand_vars)
            problems.attempt(
                place, expand, graph, draft, formulas.get(name), rule, values, problems
            )
            if graph.is_full:
                return


def expand_composed(
    graph: StepGraph,
    formula: Formula,
    formulas: Mapping[str, Formula],
    values: Values,
    problems: Problems,
) -> None:
    """Expand the steps that ``compose.expand`` names, then those that ``compose.map`` selects."""
    for rule in formula.compose.expand:
        target = graph.get(rule.target)
        if target is None:
            near = did_you_mean(rule.target, [draft.id for draft in graph])
            problems.note(rule.at, f"there is no step {rule.target!a}{near}")
        else:
            how = (graph, target, formulas.get(rule.with_), (rule.at, rule.vars), values, problems)
            problems.attempt(rule.at, expand, *how)
            expand_inline(graph, formulas, values, problems)
    for choice in formula.compose.map:
        chosen = [draft for draft in graph if fnmatchcase(draft.id, choice.select)]
        if not chosen:
            problems.note(choice.at, f"no step fits {choice.select!a}")
        for draft in chosen:
            how = (
                graph,
                draft,
                formulas.get(choice.with_),
                (choice.at, choice.vars),
                values,
                problems,
            )
            problems.attempt(choice.at, expand, *how)
            if graph.is_full:
                return
        expand_inline(graph, formulas, values, problems)


def expand(
    graph: StepGraph,
    target: Draft,
    expansion: Formula | None,
    rule: tuple[str, Mapping[str, str]],
    values: Values,
    problems: Problems,
    *,
    is_data: bool = False,
) -> None:
    """Let the steps of an expansion take the place of one step.

    Args:
        graph: Where the step stands.
        target: The step.
        expansion: The formula that has the template; None if it is not there, which is told of where files
            are loaded: the step stays as it is.
        rule: Where the expansion is asked for, and the variables that are given there.
        values: The values of the cooking.
        problems: Told of variables that are not allowed.
        is_data: Title and description of the target come from a board, and are never read as templates.

    Raises:
        BadInput: The step has parts, an id would be there twice, or there are too many steps.
    """
    if expansion is None:
        return
    if target.id in graph.parts():
        raise BadInput(f"{target.id!a} has children, so nothing can take its place")
    _check_given(expansion, *rule, problems)
    told = (
        target.id,
        target.id,
        values.bind(target.title or target.id, is_data=is_data),
        values.bind(target.description, is_data=is_data),
    )
    filling = Filling(
        dict(zip(WORDS, told, strict=True)),
        {
            name: values.bound_variable(name, expansion, rule[1])
            for name in (*expansion.vars, *rule[1])
        },
    )
    new = [graph.rewritten(draft, filling.fill) for draft in drafts_of(expansion.template)]
    for draft in new:
        inherit(draft, target)
        draft.inserted = target.inserted
        if draft.parent is None:
            draft.conditions = [*target.conditions, *draft.conditions]
    for draft in ends_of(new):
        show_what_it_shows(draft, target)
    graph.replace(target, new)


def _check_given(
    expansion: Formula, place: str, given: Mapping[str, str], problems: Problems
) -> None:
    """Note variables that the expansion does not have, and values that it does not allow."""
    for name, value in given.items():
        variable = expansion.vars.get(name)
        if variable is None:
            known = did_you_mean(name, expansion.vars)
            problems.note(place, f"{expansion.formula} has no variable {name!a}{known}")
        elif "{" not in value:
            for wrong in wrong_with(variable, value):
                problems.note(place, f"variable {name}: {wrong}")


class Filling:
    """Fills names in braces: ``{name}`` for words and variables, ``{{name}}`` for variables.

    Args:
        words: What the names of this place stand for.
        variables: The same of variables.
    """

    def __init__(
        self, words: Mapping[str, str], variables: Mapping[str, str] | None = None
    ) -> None:
        self._words = {**(variables or {}), **words}
        self._variables = variables or {}

    def fill(self, text: str) -> str:
        """The text with every name that is known replaced; what is filled in is not looked at again."""
        return _NAMED.sub(self._value, text)

    def _value(self, match: re.Match[str]) -> str:
        double, single = match.groups()
        known = self._variables.get(double) if double else self._words.get(single)
        return match[0] if known is None else known
