"""Random formulas: cooking makes no circle and loses no need; steps left out by conditions keep the order."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomlkit
from boards import new_store
from hypothesis import assume, given
from hypothesis import strategies as st

from orchestrator import Orchestrator
from orchestrator.core.errors import BadInput
from orchestrator.core.problems import (
    Problems,
)
from orchestrator.domain.workflows.compiled import MILESTONE, CompiledFormula, CompiledStep
from orchestrator.formulas import compile_formula
from orchestrator.formulas.loading import Loaded
from orchestrator.formulas.parse import read
from orchestrator.formulas.schema import Formula
from orchestrator.formulas.validate import check

from .kitchen import before

EXPANSION = read(
    b'type = "expansion"\n[[template]]\nid = "{target}.one"\n[[template]]\nid = "{target}.two"\n'
    b'needs = ["{target}.one"]\n[[template]]\nid = "{target}.side"',
    "pair.formula.toml",
    Problems("It"),
)
ASPECT = read(
    b'type = "aspect"\n[[advice]]\ntarget = "s[0-4]"\n[advice.before]\nid = "{step.id}-pre"\n'
    b'[advice.after]\nid = "{step.id}-post"',
    "around.formula.toml",
    Problems("It"),
)
DEEP = read(
    b'type = "expansion"\n[[template]]\nid = "{target}.begin"\n[[template]]\nid = "{target}.again"\n'
    b'needs = ["{target}.begin"]\n[template.loop]\ncount = 2\n[[template.loop.body]]\nid = "z"\n'
    b'expand = "pair"',
    "deep.formula.toml",
    Problems("It"),
)
SWITCHES = ("c0", "c1", "c2")


@dataclass
class Made:
    """A formula as TOML says it, and the ids that it has."""

    steps: list[dict[str, Any]]
    compose: dict[str, Any] = field(default_factory=dict)

    def load(self) -> Loaded:
        values = {
            "formula": "made",
            "vars": dict.fromkeys(SWITCHES, "yes"),
            "steps": self.steps,
            "compose": self.compose,
        }
        problems, warnings = Problems("It"), dict[str, None]()
        formula = read(tomlkit.dumps(values).encode(), "made.formula.toml", problems)
        check(formula, [], problems, warnings)
        problems.check()
        others: dict[str, Formula] = {"pair": EXPANSION, "deep": DEEP, "around": ASPECT}
        return Loaded(formula=formula, others=others, warnings=())


@st.composite
def made(draw: st.DrawFn, *, outside: bool = False) -> Made:
    """Up to 9 steps; each needs earlier ones, or sits in one, or loops, expands, depends on a switch.

    With ``outside`` they wait for tasks of the board too.
    """
    steps: list[dict[str, Any]] = []
    by_id: dict[str, dict[str, Any]] = {}
    for number in range(draw(st.integers(1, 9))):
        step: dict[str, Any] = {"id": f"s{number}"}
        known = list(by_id)
        needs = draw(st.lists(st.sampled_from(known), max_size=2, unique=True)) if known else []
        if needs:
            step["needs"] = [draw(st.sampled_from(brings(by_id[need]))) for need in needs]
        if outside and draw(st.integers(0, 3)) == 0:
            step["gate"] = {"type": "task", "id": f"task{number}"}
        if draw(st.booleans()):
            step["condition"] = draw(st.sampled_from(["{{%s}}", "!{{%s}}"])) % draw(
                st.sampled_from(SWITCHES)
            )
        parents = [i for i, s in by_id.items() if not {"loop", "expand"}.intersection(s)]
        inside = (
            draw(st.sampled_from(parents)) if parents and draw(st.integers(0, 2)) == 0 else None
        )
        kind = draw(st.sampled_from(["plain", "plain", "plain", "count", "until", "expand"]))
        if kind == "expand":
            step["expand"] = draw(st.sampled_from(["pair", "deep"]))
        elif kind in ("count", "until"):
            body = draw(bodies())
            how: dict[str, Any] = {"count": draw(st.integers(0, 3))}
            if kind == "until":
                how = {"until": "it is so", "max": draw(st.integers(1, 2))}
            step["loop"] = {**how, "body": body}
        place = by_id[inside].setdefault("children", []) if inside else steps
        place.append(step)
        by_id[step["id"]] = step
    for step in by_id.values():
        parts = step.get("children", [])
        if parts and not any({"loop", "expand"}.intersection(part) for part in parts):
            step["waits_for"] = draw(st.sampled_from(["all", "any"]))
    compose = {"aspects": ["around"]} if draw(st.booleans()) else {}
    return Made(steps, compose)


def brings(step: dict[str, Any]) -> list[str]:
    """Ids that refer to a step: its own, and some of steps that cooking puts in its place."""
    ids = [step["id"]]
    if step.get("expand") == "pair":
        ids += [f"{step['id']}.one", f"{step['id']}.two"]
    if step.get("loop", {}).get("count", 0) > 1:
        ids.append(f"{step['id']}.iter2.x")
    return ids


@st.composite
def bodies(draw: st.DrawFn) -> list[dict[str, Any]]:
    """The body of a loop: two steps, the second of which may be a loop that refers to the first."""
    second: dict[str, Any] = {"id": "y", "needs": draw(st.sampled_from([[], ["x"]]))}
    if draw(st.booleans()):
        inner = {"id": "x2", "needs": draw(st.sampled_from([[], ["x"]]))}
        second["loop"] = {"count": draw(st.integers(0, 2)), "body": [inner]}
    return [{"id": "x"}, second]


def cooked_with(loaded: Loaded, switches: dict[str, str]) -> dict[str, CompiledStep]:
    return {step.id: step for step in compile_formula(loaded, switches).steps}


@given(made(), st.lists(st.sampled_from(["yes", "no"]), min_size=3, max_size=3))
def test_a_compiled_formula_has_no_circle_and_every_need_is_an_earlier_step(
    formula: Made, values: list[str]
):
    try:
        steps = cooked_with(formula.load(), dict(zip(SWITCHES, values, strict=True)))
    except BadInput as refused:  # a circle by way of a parent
        assume(False)
        raise AssertionError from refused
    seen: set[str] = set()
    for step in steps.values():
        assert seen.issuperset(step.needs)
        assert step.parent is None or step.parent in seen
        seen.add(step.id)
    assert not any(step in behind for step, behind in before(steps).items())


@given(made(outside=True), st.lists(st.sampled_from(["yes", "no"]), min_size=3, max_size=3))
def test_a_false_condition_never_loses_the_order_of_steps(formula: Made, values: list[str]):
    unconditional = Made(_without_conditions(formula.steps), formula.compose)
    try:
        whole = cooked_with(unconditional.load(), {})
        part = cooked_with(formula.load(), dict(zip(SWITCHES, values, strict=True)))
    except BadInput as refused:
        assume(False)
        raise AssertionError from refused
    was, now = before(whole), before(part)
    # A dropped part may stay as a milestone, for the order of others.
    # So may one that is a loop of no rounds in the whole, where nothing is left of it.
    assert {part[step].type for step in part if step not in whole} <= {MILESTONE}
    stayed = {
        step
        for step in part
        if step in whole
        and (part[step].type, part[step].until) == (whole[step].type, whole[step].until)
    }
    for step in stayed:
        waited = {need for need in was[step] if need in stayed or need not in whole}
        assert now[step] >= waited, step


def _without_conditions(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = [{key: value for key, value in step.items() if key != "condition"} for step in steps]
    for step in kept:
        if "children" in step:
            step["children"] = _without_conditions(step["children"])
    return kept


def poured(formula: Made) -> tuple[CompiledFormula, Orchestrator, str]:
    """A compiled formula with steps, a board with its workflow, and the root."""
    try:
        cooked = compile_formula(formula.load(), {})
    except BadInput as refused:
        assume(False)
        raise AssertionError from refused
    assume(cooked.steps)
    orc = Orchestrator(new_store())
    return cooked, orc, orc.workflows.pour(cooked).root.id


@given(made())
def test_a_poured_formula_can_be_worked_to_its_end_in_an_order_that_respects_the_needs(
    formula: Made,
):
    cooked, orc, root = poured(formula)
    behind = before({step.id: step for step in cooked.steps})
    work = [step.id for step in cooked.steps if step.type != "milestone"]
    done: list[str] = []
    while (task := orc.tasks.next(agent="ann")) is not None:
        step = task.id.removeprefix(f"{root}.")
        assert behind[step].intersection(work) <= set(done), step
        orc.tasks.complete(task.id, agent="ann")
        done.append(step)
    assert sorted(done) == sorted(work), "each once"
    assert orc.tasks.get(root).status == "done"


@given(made())
def test_a_distilled_workflow_compiles_to_the_same_graph(formula: Made):
    cooked, orc, root = poured(formula)
    text = orc.formulas.distill(root, "again")
    problems = Problems("It")
    again = read(text.encode(), "again.formula.toml", problems)
    check(again, [], problems, {})
    problems.check()
    recooked = compile_formula(Loaded(formula=again, others={}, warnings=()), {})
    assert as_graph(recooked) == as_graph(cooked)


def as_graph(cooked: CompiledFormula) -> dict[str, tuple[object, ...]]:
    return {
        step.id: (
            step.title, step.description, step.type, set(step.needs), step.parent, step.waits_for,
            step.gates, step.outside, step.until, step.acceptance, step.verify, step.review,
        )
        for step in cooked.steps
    }  # fmt: skip


def test_the_expansions_and_aspects_of_these_tests_are_valid(tmp_path: Path):
    """The expansions and aspects of these tests are valid on their own."""
    problems = Problems("It")
    check(EXPANSION, [], problems, {})
    check(DEEP, [], problems, {})
    check(ASPECT, [], problems, {})
    problems.check()
