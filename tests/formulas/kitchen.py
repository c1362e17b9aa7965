"""A kitchen for tests: formula files in a folder, and the steps that they are cooked to."""

import re
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from orchestrator.core.errors import BadInput
from orchestrator.domain.workflows.compiled import CompiledFormula, CompiledStep
from orchestrator.formulas import compile_formula, load
from orchestrator.stores.files.folders import FileDocuments

REAL = Path(__file__).parents[1] / "data" / "formulas"

VALUES: dict[str, dict[str, str]] = {
    "shiny": {"feature": "Login"},
    "shiny-enterprise": {"feature": "Login"},
    "shiny-secure": {"feature": "Login"},
    "gastown-release": {"version": "0.3.0"},
    "mol-idea-to-plan": {"problem": "Too slow"},
    "code-review": {"pr": "123"},
}
"""What the real formulas need."""


class Kitchen:
    """A board's folder with formulas."""

    def __init__(self, board: Path) -> None:
        self.board = board
        (board / "formulas").mkdir(parents=True, exist_ok=True)

    def write(self, name: str, text: str) -> str:
        """Write a formula file, with a first line if it is missing; return the name."""
        text = dedent(text)
        if not re.search(r"^formula\s*=", text, re.MULTILINE):
            text = f'formula = "{name}"\n{text}'
        (self.board / "formulas" / f"{name}.formula.toml").write_text(text, encoding="utf-8")
        return name

    def cook(
        self,
        text_or_name: str,
        variables: Mapping[str, str] | None = None,
        *,
        preset: str | None = None,
        strict: bool = True,
    ) -> CompiledFormula:
        is_name = re.fullmatch(r"[\w.-]+", text_or_name) is not None
        name = text_or_name if is_name else self.write("test", text_or_name)
        return compile_formula(
            load(name, FileDocuments(str(self.board))), variables, preset=preset, strict=strict
        )

    def graph(self, text_or_name: str, **variables: str) -> dict[str, set[str]]:
        """Each step with what it needs."""
        return graph(self.cook(text_or_name, variables))

    def problems(self, text_or_name: str, **variables: str) -> list[str]:
        """All problems of an invalid formula."""
        with pytest.raises(BadInput) as caught:
            self.cook(text_or_name, variables)
        messages = caught.value.details["problems"]
        assert isinstance(messages, list)
        return messages


def graph(cooked: CompiledFormula) -> dict[str, set[str]]:
    return {step.id: set(step.needs) for step in cooked.steps}


def step_of(cooked: CompiledFormula, step_id: str) -> CompiledStep:
    return next(step for step in cooked.steps if step.id == step_id)


def before(steps: Mapping[str, CompiledStep]) -> dict[str, set[str]]:
    """For each step, everything that must be done before an agent can take it; tasks of the board too.

    For a step that waits for any of several tasks, only what all of these wait for.
    """
    parts: dict[str, list[str]] = {}
    for step in steps.values():
        if step.parent is not None:
            parts.setdefault(step.parent, []).append(step.id)

    def direct(step: CompiledStep) -> set[str]:
        earlier = {*step.needs, *step.outside}
        if step.waits_for.startswith("all"):
            earlier.update(awaited(step))
        above = step.parent
        while above is not None:
            earlier.update(steps[above].needs, steps[above].outside)
            above = steps[above].parent
        return earlier

    def awaited(step: CompiledStep) -> list[str]:
        return parts.get(step.waits_for.partition(":")[2] or step.id, [])

    near = {step_id: direct(step) for step_id, step in steps.items()}
    closed = {step_id: set[str]() for step_id in steps}
    changed = True
    while changed:
        changed = False
        for step_id, step in steps.items():
            earlier = near[step_id].union(*(closed.get(other, ()) for other in near[step_id]))
            if step.waits_for.startswith("any") and awaited(step):
                earlier |= set.intersection(*({part, *closed[part]} for part in awaited(step)))
            changed = changed or earlier != closed[step_id]
            closed[step_id] = earlier
    return closed


__all__ = ["REAL", "VALUES", "Kitchen", "before", "graph", "step_of"]
