"""Convoy formulas: legs side by side, then the synthesis that needs them.

Their texts use the templates of Go. Plain fields (``{{.pr}}``, ``{{.leg.focus}}``) are filled; what has no
value, the other actions, and all that stands in a ``range`` or ``with`` are left as they are, and told of.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from orchestrator.core.errors import (
    UsageError,
    did_you_mean,
)
from orchestrator.formulas.drafts import NEVER, Draft, drafts_of
from orchestrator.formulas.graph import StepGraph
from orchestrator.formulas.schema import Formula, Output, Step, Synthesis
from orchestrator.formulas.variables import Values

SYNTHESIS = "synthesis"
"""The id of the step that puts the results of the legs together."""

_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_SAYS_DESCRIPTION = re.compile(r"\{\{-?\s*\.leg\.description\s*-?\}\}")
_BLOCKS = ("if", "range", "with", "block", "define")
_FIELD = re.compile(r"\.([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")


def legs_of(formula: Formula, preset: str | None) -> list[Step]:
    """The legs of a formula, or those that a preset chooses.

    Raises:
        UsageError: It has no such preset.
    """
    if preset is None:
        return list(formula.legs)
    if preset not in formula.presets:
        raise UsageError(
            f"{formula.formula} has no preset {preset!a}{did_you_mean(preset, formula.presets)}",
            hint=f"It has: {', '.join(formula.presets) or 'none'}.",
        )
    chosen = set(formula.presets[preset].legs)
    return [leg for leg in formula.legs if leg.id in chosen]


def run_legs(graph: StepGraph, formula: Formula, values: Values, preset: str | None) -> None:
    """Make the steps of a convoy formula."""
    legs = legs_of(formula, preset)
    template = GoTemplate(formula, values, graph)
    for leg in formula.legs:
        draft = template.leg(leg)
        draft.conditions += [] if leg in legs else [NEVER]
        graph.add([draft])
    if formula.synthesis is not None:
        graph.add([template.synthesis(formula.synthesis, [leg.id for leg in legs])])


class GoTemplate:
    """Fills the plain fields of Go templates in the texts of one formula.

    A field whose value is a variable becomes the placeholder of the variable, which is filled last of all.
    """

    def __init__(self, formula: Formula, values: Values, graph: StepGraph) -> None:
        self._formula = formula
        # For a look at the formula, inputs are filled with their placeholders, as variables are.
        self._known = {*values.known, *(() if values.strict else values.declared)}
        self._graph = graph
        self._output = formula.output or Output()
        given = [f"{name} {{{{{name}}}}}" for name in formula.inputs if name in self._known]
        self._fields = {"formula_name": formula.formula}
        if given:
            self._fields["target_description"] = ", ".join(given)
        self._fields["output.directory"] = self._filled(self._output.directory, {})
        self._fields["output.synthesis"] = self._filled(self._output.synthesis, {})

    def leg(self, leg: Step) -> Draft:
        """The step of a leg, with the base prompt around its description."""
        fields = {"leg.id": leg.id}
        fields["leg.focus"] = self._filled(leg.focus, fields)
        fields["leg.title"] = self._filled(leg.title or leg.id, fields)
        fields["leg.description"] = self._filled(leg.description, fields)
        if self._output.leg_pattern:
            file = self._filled(self._output.leg_pattern, fields)
            path = filter(None, [self._fields["output.directory"], file])
            fields["output_path"] = "/".join(path)
        base = self._formula.prompts.base if self._formula.prompts else ""
        focus = f"Focus: {leg.focus}\n\n" if leg.focus else ""
        if not _SAYS_DESCRIPTION.search(base):
            base = "\n\n".join(filter(None, [base.strip("\n"), f"{focus}{{{{.leg.description}}}}"]))
        draft = next(drafts_of((leg,)))
        draft.title = self._filled(draft.title, fields)
        draft.description = self._filled(base, fields).strip("\n")
        draft.acceptance = self._filled(draft.acceptance, fields)
        return draft

    def synthesis(self, synthesis: Synthesis, legs: list[str]) -> Draft:
        """The step that needs the legs that it names, as far as they run; all of them if it names none."""
        named = [leg for leg in synthesis.depends_on if leg in legs]
        return Draft(
            id=SYNTHESIS,
            title=self._filled(synthesis.title, {}),
            description=self._filled(synthesis.description, {}).strip("\n"),
            acceptance=self._filled(synthesis.acceptance, {}),
            needs=named or legs,
            at=synthesis.at,
        )

    def _filled(self, text: str, fields: Mapping[str, str]) -> str:
        return self._graph.spend("".join(self._pieces(text, fields)))

    def _pieces(self, text: str, fields: Mapping[str, str]) -> Iterator[str]:
        """The text in pieces; inside of ``range`` and ``with`` a dot means something else."""
        end, blocks = 0, list[str]()
        for match in _ACTION.finditer(text):
            before = text[end : match.start()]
            end = match.end()
            word = match[1].partition(" ")[0]
            if word in _BLOCKS:
                blocks.append(word)
            elif word == "end" and blocks:
                blocks.pop()
            field = _FIELD.fullmatch(match[1])
            value = None if field is None else self._value(field[1], fields, blocks)
            if value is None:
                yield before + match[0]
                continue
            yield (before.rstrip() if match[0].startswith("{{-") else before) + value
            if match[0].endswith("-}}"):
                end += len(text[end:]) - len(text[end:].lstrip())
        yield text[end:]

    def _value(self, name: str, fields: Mapping[str, str], blocks: Sequence[str]) -> str | None:
        """What a field stands for: a text, or a placeholder that asks for a variable; None: it stays.

        An input without a value is nothing if another one is given instead; within a block it stays, for the
        block may be about whether it is there.
        """
        if "range" in blocks or "with" in blocks:
            return None
        known = fields.get(name, self._fields.get(name))
        if known is not None or name in self._known:
            return f"{{{{{name}}}}}" if known is None else known
        variable = self._formula.variables.get(name)
        if variable is None or blocks:
            return None
        is_instead = any(other in self._known for other in variable.required_unless)
        return "" if is_instead else f"{{{{{name}}}}}"
