"""Expansions: a step gives place to the steps of an expansion formula, inline or by ``compose``.

What the target says beyond its id, title and description is not lost: the steps of the template have its
priority, labels and assignee unless they say so themselves, the first ones its gates, the last ones its
acceptance and checks.
"""

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from orchestrator.core.errors import BadInput
from orchestrator.domain.checks import Problems, like
from orchestrator.formulas.graph import Draft, Graph, drafts_of, inherit
from orchestrator.formulas.schema import Formula

DEEPEST = 5
"""How often an expansion may stand in another one."""


def expand_inline(graph: Graph, formulas: Mapping[str, Formula], problems: Problems) -> None:
    """Let every step with ``expand`` give place to its expansion, expansions in expansions too."""
    for depth in range(DEEPEST + 1):
        targets = [draft for draft in graph if draft.expand]
        for draft in targets:
            if depth == DEEPEST:
                problems.note(draft.at, f"expansions stand in one another more than {DEEPEST} deep")
                return
            name, draft.expand = draft.expand, ""
            problems.trying(draft.at, expand, graph, draft, formulas[name], draft.expand_vars)


def expand_composed(
    graph: Graph, formula: Formula, formulas: Mapping[str, Formula], problems: Problems
) -> None:
    """Expand the steps that ``compose.expand`` names, then those that ``compose.map`` selects."""
    for rule in formula.compose.expand:
        target = graph.get(rule.target)
        if target is None:
            near = like(rule.target, [draft.id for draft in graph])
            problems.note(rule.at, f"there is no step {rule.target!a}{near}")
        else:
            problems.trying(rule.at, expand, graph, target, formulas[rule.with_], rule.vars)
            expand_inline(graph, formulas, problems)
    for choice in formula.compose.map:
        chosen = [draft for draft in graph if fnmatchcase(draft.id, choice.select)]
        if not chosen:
            problems.note(choice.at, f"no step fits {choice.select!a}")
        for draft in chosen:
            problems.trying(choice.at, expand, graph, draft, formulas[choice.with_], choice.vars)
        expand_inline(graph, formulas, problems)


def expand(graph: Graph, target: Draft, expansion: Formula, given: Mapping[str, str]) -> None:
    """Let the steps of an expansion take the place of one step.

    Raises:
        BadInput: The step has parts, an id would be there twice, or there are too many steps.
    """
    if target.id in graph.parts():
        raise BadInput(f"{target.id!a} has children, so nothing can take its place")
    new = [*template(graph, target, expansion, given)]
    needed = {need for draft in new for need in draft.needs}
    for draft in new:
        if draft.parent is None:
            draft.conditions = [*target.conditions, *draft.conditions]
            if draft.id not in needed:
                _show_what_target_shows(draft, target)
    graph.replace(target, new)


def template(
    graph: Graph, target: Draft, expansion: Formula, given: Mapping[str, str]
) -> Iterator[Draft]:
    """The steps of an expansion for a target."""
    # What the rule does not say is said by whoever cooks, or by the default, when all texts are filled.
    names = {**{name: f"{{{{{name}}}}}" for name in expansion.vars}, **given}
    values = {
        "{target}": target.id,
        "{target.id}": target.id,
        "{target.title}": target.title or target.id,
        "{target.description}": target.description,
        **{f"{{{name}}}": value for name, value in names.items()},
        **{f"{{{{{name}}}}}": value for name, value in given.items()},
    }
    for draft in drafts_of(expansion.template):
        made = graph.rewritten(draft, Filling(values).fill)
        inherit(made, target)
        made.inserted = target.inserted
        yield made


class Filling:
    """Fills names in braces; what is filled in is never filled again."""

    def __init__(self, values: Mapping[str, str]) -> None:

        self._values = values
        # The longer first: `{{name}}` before `{name}` inside it.
        names = sorted(values, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, names)))

    def fill(self, text: str) -> str:
        """The text with every name in braces replaced by its value."""
        return self._pattern.sub(lambda match: self._values[match[0]], text)


def _show_what_target_shows(draft: Draft, target: Draft) -> None:
    if target.acceptance and target.acceptance not in draft.acceptance:
        draft.acceptance = "\n\n".join(filter(None, [draft.acceptance, target.acceptance]))
    draft.verify = list(dict.fromkeys([*draft.verify, *target.verify]))
    draft.verify_timeout = draft.verify_timeout or target.verify_timeout
    draft.artifacts = list(dict.fromkeys([*draft.artifacts, *target.artifacts]))
    draft.review = draft.review or target.review
