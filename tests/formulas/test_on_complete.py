"""``on_complete``: a formula for each item of a list in the result of a step."""

import json
from pathlib import Path
from typing import Any

import pytest
from boards import code_of

from orchestrator import Orchestrator
from orchestrator.core.errors import Refused

from .kitchen import Kitchen, graph

LEG = """
[vars.name]
required = true
[vars.place]
default = "there"
[[steps]]
id = "read"
title = "Read {{name}} {{place}}"
[[steps]]
id = "mend"
title = "Mend {{name}}"
needs = ["read"]
"""

PLAN = """
[[steps]]
id = "survey"
description = "Look around."
[steps.on_complete]
for_each = "output.legs"
bond = "leg"
vars = { name = "{item.name}", place = "number {index}" }
[[steps]]
id = "report"
needs = ["survey"]
"""


@pytest.fixture
def town(memory_path: Path, kitchen: Kitchen) -> Orchestrator:
    kitchen.write("leg", LEG)
    kitchen.write("plan", PLAN)
    (kitchen.board / "state").mkdir()
    return Orchestrator.open(kitchen.board)


def poured(town: Orchestrator, name: str = "plan") -> str:
    return town.workflows.pour(town.formulas.cook(name), agent="lead").root.id


def ended(town: Orchestrator, task: str, result: Any = "") -> None:
    town.tasks.claim(task, agent="ann")
    town.tasks.complete(task, result=result, agent="ann")


def titles(town: Orchestrator, root: str) -> dict[str, str]:
    steps = town.workflows.standing(root).steps
    return {step.id.removeprefix(f"{root}."): step.title for step in steps}


LEGS = json.dumps({"legs": [{"name": "roof"}, {"name": "door"}]})


def test_the_end_of_a_step_adds_a_formula_for_each_item(town: Orchestrator):
    root = poured(town)
    assert titles(town, root) == {
        "survey": "survey",
        "survey.each": "leg for each of output.legs",
        "report": "report",
    }
    ended(town, f"{root}.survey", LEGS)
    assert titles(town, root) == {
        "survey": "survey",
        "survey.each": "leg for each of output.legs",
        "report": "report",
        "survey.each.1": "leg: name=roof, place=number 0",
        "survey.each.1.read": "Read roof number 0",
        "survey.each.1.mend": "Mend roof",
        "survey.each.2": "leg: name=door, place=number 1",
        "survey.each.2.read": "Read door number 1",
        "survey.each.2.mend": "Mend door",
    }
    ready = [task.id for task in town.workflows.standing(root).ready]
    assert ready == [f"{root}.survey.each.1.read", f"{root}.survey.each.2.read"]


def test_who_needs_the_step_waits_for_the_items_too(town: Orchestrator):
    root = poured(town)
    ended(town, f"{root}.survey", LEGS)
    for step in ("1.read", "1.mend", "2.read"):
        ended(town, f"{root}.survey.each.{step}")
    assert not town.tasks.get(f"{root}.report").is_clear
    ended(town, f"{root}.survey.each.2.mend")
    assert town.tasks.get(f"{root}.survey.each").result == "2 of 2 done"
    assert town.tasks.get(f"{root}.report").is_clear
    ended(town, f"{root}.report")
    assert town.tasks.get(root).status == "done"


def test_completing_with_continue_claims_a_step_of_the_first_item(town: Orchestrator):
    root = poured(town)
    town.tasks.claim(f"{root}.survey", agent="ann")
    advanced = town.workflows.advance(f"{root}.survey", result=LEGS, agent="ann")
    assert advanced.next is not None
    assert advanced.next.id == f"{root}.survey.each.1.read"
    assert (advanced.ended, advanced.total) == (1, 6)


def test_without_items_nothing_is_added(town: Orchestrator):
    root = poured(town)
    ended(town, f"{root}.survey", '{"legs": []}')
    assert town.tasks.get(f"{root}.survey.each").status == "done"
    assert town.tasks.get(f"{root}.report").is_clear


def test_one_after_another(town: Orchestrator, kitchen: Kitchen):
    kitchen.write("plan", PLAN.replace('bond = "leg"', 'bond = "leg"\nsequential = true'))
    root = poured(town)
    ended(town, f"{root}.survey", LEGS)
    ready = [task.id for task in town.workflows.standing(root).ready]
    assert ready == [f"{root}.survey.each.1.read"]
    ended(town, f"{root}.survey.each.1.read")
    ended(town, f"{root}.survey.each.1.mend")
    ready = [task.id for task in town.workflows.standing(root).ready]
    assert ready == [f"{root}.survey.each.2.read"]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ("Two legs: roof, door", "has no list legs"),
        ('{"legs": {"name": "roof"}}', "has no list legs"),
        ('{"leg": []}', "has no list legs"),
        ('[{"name": "roof"}]', "has no list legs"),
        ('{"legs": [{"name": "roof"}, {"nam": "door"}]}', "Item 2 in the result of"),
        ('{"legs": ["roof"]}', "has no name"),
        ('{"legs": [{"name": "  "}]}', "it is required, but empty"),
        ('{"legs": [{"name": "a"}], "legs": []}', "has no list legs"),
    ],
)
def test_a_result_that_does_not_fit_is_refused(town: Orchestrator, result: str, words: str):
    root = poured(town)
    before = town.status().event
    with pytest.raises(Refused, match=words) as caught:
        ended(town, f"{root}.survey", result)
    assert caught.value.code == "no_items"
    assert town.tasks.get(f"{root}.survey").status == "in_progress"
    assert town.status().event == before + 1  # the claim
    town.tasks.complete(f"{root}.survey", result=LEGS, agent="ann")
    assert f"{root}.survey.each.2.mend" in {s.id for s in town.workflows.standing(root).steps}


def test_a_text_may_contain_the_list_in_a_block(town: Orchestrator):
    root = poured(town)
    ended(town, f"{root}.survey", f"Two legs, as I see it:\n\n```json\n{LEGS}\n```\nThat is all.")
    assert town.tasks.get(f"{root}.survey.each.2.read").title == "Read door number 1"


def test_values_are_data(town: Orchestrator):
    root = poured(town)
    ended(town, f"{root}.survey", json.dumps({"legs": [{"name": "{{place}} {item} $(rm)"}]}))
    assert town.tasks.get(f"{root}.survey.each.1.mend").title == "Mend {{place}} {item} $(rm)"


def test_by_force_nothing_is_added(town: Orchestrator):
    root = poured(town)
    town.tasks.claim(f"{root}.survey", agent="ann")
    town.tasks.complete(f"{root}.survey", result="none", force=True, reason="no legs", agent="ann")
    assert town.tasks.get(f"{root}.report").is_clear


def test_with_a_review_the_items_are_added_when_it_is_approved(
    town: Orchestrator, kitchen: Kitchen
):
    kitchen.write("plan", PLAN.replace("[steps.on_complete]", "review = true\n[steps.on_complete]"))
    root = poured(town)
    step = f"{root}.survey"
    town.tasks.claim(step, agent="ann")
    assert code_of(lambda: town.tasks.complete(step, result="no", agent="ann")) == "no_items"
    town.tasks.complete(step, result=LEGS, agent="ann")
    assert f"{root}.survey.each.1" not in {s.id for s in town.workflows.standing(root).steps}
    town.reviews.approve(step, agent="bob")
    assert f"{root}.survey.each.1" in {s.id for s in town.workflows.standing(root).steps}


def test_done_again_it_adds_nothing_more(town: Orchestrator):
    root = poured(town)
    ended(town, f"{root}.survey", LEGS)
    before = titles(town, root)
    town.tasks.reopen(f"{root}.survey", reason="look again", agent="lead")
    assert not town.workflows.standing(root).ready[1:]
    ended(town, f"{root}.survey", '{"legs": [{"name": "wall"}]}')
    assert titles(town, root) == before


def test_a_formula_may_bond_itself(town: Orchestrator, kitchen: Kitchen):
    kitchen.write(
        "tree",
        """
        [vars.name]
        default = "root"
        [[steps]]
        id = "split"
        title = "Split {{name}}"
        on_complete = { for_each = "output", bond = "tree", vars = { name = "{item}" } }
        """,
    )
    root = poured(town, "tree")
    ended(town, f"{root}.split", '["a", "b"]')
    ended(town, f"{root}.split.each.1.split", '["aa"]')
    deep = f"{root}.split.each.1.split.each.1.split"
    assert town.tasks.get(deep).title == "Split aa"
    ended(town, deep, "[]")
    ended(town, f"{root}.split.each.2.split", "[]")
    assert town.tasks.get(root).status == "done"


def test_a_milestone_that_was_kept_back_longer_is_blocked_with_the_reason(
    town: Orchestrator, kitchen: Kitchen
):
    root = poured(town)
    other = town.tasks.add("workflows", title="Other", agent="lead")
    each = f"{root}.survey.each"
    town.links.add(each, other.id, agent="lead")
    ended(town, f"{root}.survey", LEGS)
    (kitchen.board / "formulas" / "leg.formula.toml").unlink()
    ended(town, other.id)
    assert town.tasks.get(each).status == "blocked"
    assert "leg" in town.tasks.get(each).reason
    kitchen.write("leg", LEG)
    town.tasks.unblock(each, agent="lead")
    assert town.tasks.get(f"{each}.1.read").title == "Read roof number 0"


def test_distilled_it_is_the_rule_again_without_its_items(town: Orchestrator):
    root = poured(town)
    ended(town, f"{root}.survey", LEGS)
    text = town.formulas.distill(root, "again")
    town.formulas.save("again", text)
    again = town.formulas.cook("again").steps
    first = town.formulas.cook("plan").steps
    assert [(s.id, s.description, s.needs, s.for_each) for s in again] == [
        (s.id, s.description, s.needs, s.for_each) for s in first
    ]


def test_other_steps_wait_for_the_milestone(kitchen: Kitchen):
    kitchen.write("leg", LEG)
    steps = """
        [[steps]]
        id = "survey"
        on_complete = { for_each = "output.legs", bond = "leg", vars = { name = "{item}" } }
        [[steps]]
        id = "a"
        needs = ["survey"]
        waits_for = "all-children"
        [[steps]]
        id = "b"
        waits_for = "children-of(survey)"
        [[steps]]
        id = "c"
        needs = ["survey"]
        """
    assert kitchen.graph(steps) == {
        "survey": set(),
        "survey.each": {"survey"},
        "a": {"survey.each"},
        "b": {"survey.each"},
        "c": {"survey.each"},
    }
    assert {step.waits_for for step in kitchen.cook("test").steps} == {""}


def test_the_agent_of_the_step_reads_what_its_result_must_be(kitchen: Kitchen):
    kitchen.write("leg", LEG)
    kitchen.write("plan", PLAN)
    assert kitchen.cook("plan").steps[0].description == (
        "Look around.\n\nThe result must be JSON, or contain a ```json block: an object with a list legs,"
        " each with name. For each item the steps of leg are added."
    )


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ('for_each = "legs", bond = "leg"', "for_each says where the list is"),
        ('for_each = "output.legs"', "it needs bond"),
        ('for_each = "output", bond = "leg", parallel = true, sequential = true', "only one of"),
        ('for_each = "output", bond = "lag"', "There is no formula 'lag'"),
        ('for_each = "output", bond = "leg", vars = { nam = "x" }', "has no variable 'nam'"),
        ('for_each = "output", bond = "leg"', "leg requires 'name'"),
        ('for_each = "output", bond = "leg", var = { name = "x" }', "unknown key 'var'"),
        ('for_each = 3, bond = "leg"', "for_each is not a text"),
    ],
)
def test_rules_that_cannot_work_are_named_with_their_place(
    kitchen: Kitchen, rule: str, problem: str
):
    kitchen.write("leg", LEG)
    text = f'[[steps]]\nid = "a"\non_complete = {{ {rule} }}'
    assert any(problem in each and "on_complete" in each for each in kitchen.problems(text))


def test_milestones_and_loops_have_no_result(kitchen: Kitchen):
    kitchen.write("leg", LEG)
    rule = 'on_complete = { for_each = "output", bond = "leg", vars = { name = "{item}" } }'
    for more in ('type = "milestone"', 'loop = { count = 2, body = [{ id = "x" }] }'):
        assert "has no result" in kitchen.problems(f'[[steps]]\nid = "a"\n{more}\n{rule}')[0]


def test_an_expansion_keeps_it_with_its_last_step(kitchen: Kitchen):
    kitchen.write("leg", LEG)
    kitchen.write(
        "twice",
        """
        type = "expansion"
        [[template]]
        id = "{target}.first"
        [[template]]
        id = "{target}.then"
        needs = ["{target}.first"]
        """,
    )
    steps = """
        [[steps]]
        id = "a"
        on_complete = { for_each = "output", bond = "leg", vars = { name = "{item}" } }
        [[steps]]
        id = "b"
        needs = ["a"]
        [[compose.expand]]
        target = "a"
        with = "twice"
        """
    cooked = kitchen.cook(steps)
    assert graph(cooked) == {
        "a.first": set(),
        "a.then": {"a.first"},
        "a.then.each": {"a.then"},
        "b": {"a.then.each"},
    }
