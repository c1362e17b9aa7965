"""Expansions: the steps of an expansion formula replace a step, inline or by ``compose``.

The replacements inherit the priority, labels and assignee of the target unless they set their own; the first
ones its gates, the last ones its acceptance and checks.
"""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

import msgspec

from orchestrator.core.errors import BadInput, did_you_mean
from orchestrator.core.problems import Problems
from orchestrator.formulas.graph import StepGraph
from orchestrator.formulas.loops import unroll
from orchestrator.formulas.schema import ExpandRule, Formula, MapRule
from orchestrator.formulas.steps import Draft, drafts_of, inherit, inherit_checks, last_of
from orchestrator.formulas.values import Values
from orchestrator.formulas.variables import value_problems

_NAME = re.compile(
    r"\{\{\s*([A-Za-z_][A-Za-z0-9_-]*)\s*\}\}|\{([A-Za-z_][A-Za-z0-9_-]*(?:\.[a-z]+)?)\}"
)

WORDS = ("target", "target.id", "target.title", "target.description")
"""The words in braces with which a template refers to the step that it replaces."""

DEEPEST = 5
"""The deepest nesting of expansions in expansions."""


class Expander(msgspec.Struct):
    """Replaces steps of one graph by expansions.

    Attributes:
        graph: The graph.
        formulas: The expansions by name.
        values: The values of the compilation.
        problems: Receives the problems.
    """

    graph: StepGraph
    formulas: Mapping[str, Formula]
    values: Values
    problems: Problems

    def expand_inline(self) -> None:
        """Replace every step with ``expand`` by its expansion, and every loop by its rounds."""
        for depth in range(DEEPEST + 1):
            unroll(self.graph, self.values, self.problems)
            for draft in [draft for draft in self.graph if draft.expand]:
                place = f"{draft.place}: expand"
                if depth == DEEPEST:
                    self.problems.note(place, f"expansions are nested more than {DEEPEST} deep")
                    return
                name, draft.expand = draft.expand, ""
                self._try(place, draft, name, draft.expand_vars)
                if self.graph.is_full:
                    return

    def expand_composed(self, formula: Formula) -> None:
        """Expand the steps of ``compose.expand``, then the steps of ``compose.map``."""
        rules: list[ExpandRule | MapRule] = [*formula.compose.expand, *formula.compose.map]
        for rule in rules:
            for draft in self._targets(rule):
                self._try(rule.place, draft, rule.with_, rule.vars)
                if self.graph.is_full:
                    return
            self.expand_inline()

    def _targets(self, rule: ExpandRule | MapRule) -> list[Draft]:
        if isinstance(rule, ExpandRule):
            draft = self.graph.find(rule.target, rule.place, self.problems)
            return [] if draft is None else [draft]
        drafts = [draft for draft in self.graph if fnmatchcase(draft.id, rule.select)]
        if not drafts:
            self.problems.note(rule.place, f"no step matches {rule.select!a}")
        return drafts

    def _try(self, place: str, target: Draft, name: str, given: Mapping[str, str]) -> None:
        if name in self.formulas:  # a missing one is reported where files are loaded
            how = (target, self.formulas[name], place, given)
            self.problems.attempt(place, self.expand, *how)

    def expand(
        self,
        target: Draft,
        expansion: Formula,
        place: str,
        given: Mapping[str, str],
        *,
        is_data: bool = False,
    ) -> None:
        """Replace a step by the steps of an expansion.

        Args:
            target: The step.
            expansion: The formula with the template.
            place: Where the expansion is requested.
            given: The variables of the request.
            is_data: Title and description of the target come from a board, and are never read as templates.

        Raises:
            BadInput: The step has children, an id would be used twice, or there are too many steps.
        """
        graph, values = self.graph, self.values
        if target.id in graph.children():
            raise BadInput(f"{target.id!a} has children, so no steps can replace it")
        self._check_given(expansion, place, given)
        title = values.bind(target.title or target.id, is_data=is_data)
        description = values.bind(target.description, is_data=is_data)
        words = dict(zip(WORDS, (target.id, target.id, title, description), strict=True))
        names = (*expansion.vars, *given)
        variables = {name: values.bind_variable(name, expansion, given) for name in names}
        new = [
            graph.rewrite(draft, lambda text: replace_names(text, words, variables))
            for draft in drafts_of(expansion.template)
        ]
        for draft in new:
            inherit(draft, target)
            draft.inserted = target.inserted
            if draft.parent is None:
                draft.conditions = target.conditions + draft.conditions
        for draft in last_of(new):
            inherit_checks(draft, target)
        graph.replace(target, new)

    def _check_given(self, expansion: Formula, place: str, given: Mapping[str, str]) -> None:
        """Note undeclared variables of an expansion, and values that are not allowed."""
        for name, value in given.items():
            variable = expansion.vars.get(name)
            if variable is None:
                near = did_you_mean(name, expansion.vars)
                self.problems.note(place, f"{expansion.formula} has no variable {name!a}{near}")
            elif "{" not in value:
                for problem in value_problems(variable, value):
                    self.problems.note(place, f"variable {name}: {problem}")


def replace_names(
    text: str, words: Mapping[str, str], variables: Mapping[str, str] | None = None
) -> str:
    """Replace names in braces, once: ``{name}`` for words and variables, ``{{name}}`` for variables."""
    variables = variables or {}

    def value(match: re.Match[str]) -> str:
        double, single = match.groups()
        if double:
            return variables.get(double, match[0])
        return words.get(single, variables.get(single, match[0]))

    return _NAME.sub(value, text)
