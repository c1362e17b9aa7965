"""Convoy formulas: parallel legs, then the synthesis that needs them.

Their texts use Go templates. Plain fields (``{{.pr}}``, ``{{.leg.focus}}``) are filled; fields without a
value, other actions, and all that is inside ``range`` or ``with`` stay, and are reported.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from orchestrator.core.errors import UsageError, did_you_mean
from orchestrator.formulas.schema import Formula, Output, Step, Synthesis
from orchestrator.formulas.steps import NEVER, Draft, drafts_of
from orchestrator.formulas.values import Values
from orchestrator.formulas.values import blocks as template_blocks

SYNTHESIS = "synthesis"
"""The id of the step that combines the results of the legs."""

_BLANKS = re.compile(r"\s*")
_LEG_DESCRIPTION = re.compile(r"\{\{-?\s*\.leg\.description\s*-?\}\}")
_BLOCKS = ("if", "range", "with", "block", "define")
_FIELD = re.compile(r"\.([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")


def selected_legs(formula: Formula, preset: str | None) -> list[str]:
    """The legs of a formula that a preset selects; without a preset all.

    Raises:
        UsageError: It has no such preset.
    """
    if preset is None:
        return [leg.id for leg in formula.legs]
    if preset not in formula.presets:
        raise UsageError(
            f"{formula.formula} has no preset {preset!a}{did_you_mean(preset, formula.presets)}",
            hint=f"It has: {', '.join(formula.presets) or 'none'}.",
        )
    return [leg.id for leg in formula.legs if leg.id in formula.presets[preset].legs]


def fan_out(formula: Formula, values: Values, legs: list[str]) -> Iterator[Draft]:
    """Make the steps of a convoy formula with these legs."""
    template = _GoTemplate(formula, values)
    for leg in formula.legs:
        draft = template.leg(leg)
        draft.conditions += () if leg.id in legs else (NEVER,)
        yield draft
    if formula.synthesis is not None:
        yield template.synthesis(formula.synthesis, legs)


class _GoTemplate:
    """Fills the plain fields of Go templates in the texts of one formula.

    A field whose value is a variable becomes the placeholder of that variable, which is filled last.
    """

    def __init__(self, formula: Formula, values: Values) -> None:
        self._formula = formula
        self._values = values
        # When a formula is only shown, inputs stay as placeholders, as variables do.
        self._known = {*values.known, *(() if values.strict else values.declared)}
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
        if not _LEG_DESCRIPTION.search(base):
            base = "\n\n".join(filter(None, [base.strip("\n"), f"{focus}{{{{.leg.description}}}}"]))
        draft = next(drafts_of((leg,)))
        draft.title = self._filled(draft.title, fields)
        draft.description = self._filled(base, fields).strip("\n")
        draft.acceptance = self._filled(draft.acceptance, fields)
        return draft

    def synthesis(self, synthesis: Synthesis, legs: list[str]) -> Draft:
        """The step that needs the selected legs that it names; all legs if it names none."""
        needs = tuple(leg for leg in synthesis.depends_on if leg in legs)
        return Draft(
            id=SYNTHESIS,
            title=self._filled(synthesis.title, {}),
            description=self._filled(synthesis.description, {}).strip("\n"),
            acceptance=self._filled(synthesis.acceptance, {}),
            needs=needs or tuple(legs),
            place=synthesis.place,
        )

    def _filled(self, text: str, fields: Mapping[str, str]) -> str:
        return self._values.spend("".join(self._pieces(text, fields)))

    def _pieces(self, text: str, fields: Mapping[str, str]) -> Iterator[str]:
        """The filled text in pieces; inside ``range`` and ``with`` a dot has another meaning."""
        end, blocks = 0, list[str]()
        for begin, close in template_blocks(text):
            before, block = text[end:begin], text[begin:close]
            end = close
            action = block[2:-2].removeprefix("-").removesuffix("-").strip()
            word = action.partition(" ")[0]
            if word in _BLOCKS:
                blocks.append(word)
            elif word == "end" and blocks:
                blocks.pop()
            field = _FIELD.fullmatch(action)
            value = None if field is None else self._value(field[1], fields, blocks)
            if value is None:
                yield before + block
                continue
            yield (before.rstrip() if block.startswith("{{-") else before) + value
            if block.endswith("-}}"):
                end = max(end, _BLANKS.match(text, end).end())  # type: ignore[union-attr]
        yield text[end:]

    def _value(self, name: str, fields: Mapping[str, str], blocks: Sequence[str]) -> str | None:
        """The text or placeholder for a field; None: the field stays.

        An input without a value is empty if another one is given instead. Inside a block it stays, because
        the block may test whether it is there.
        """
        if "range" in blocks or "with" in blocks:
            return None
        known = fields.get(name, self._fields.get(name))
        if known is not None or name in self._known:
            return f"{{{{{name}}}}}" if known is None else known
        variable = self._formula.variables.get(name)
        if variable is None or blocks:
            return None
        has_other = any(other in self._known for other in variable.required_unless)
        return "" if has_other else f"{{{{{name}}}}}"
