"""Formulas as JSON files, and the keys that other tools write."""

import json
from pathlib import Path
from typing import Any

import pytest
from boards import code_of

from orchestrator.core.errors import BadInput
from orchestrator.formulas import load
from orchestrator.formulas.library import own, save, sources
from orchestrator.stores.files.folders import FileDocuments

from .kitchen import Kitchen

STEPS = [
    {"id": "design", "title": "Design {{what}}", "priority": 2, "labels": ["ui"]},
    {"id": "build", "needs": ["design"], "gate": {"type": "timer", "timeout": "30m"}},
]


def written(kitchen: Kitchen, value: Any, name: str = "plan") -> Path:
    path = kitchen.board / "formulas" / f"{name}.formula.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def test_a_json_file_is_cooked_to_what_the_same_toml_is(kitchen: Kitchen):
    written(kitchen, {"formula": "plan", "vars": {"what": "x"}, "steps": STEPS})
    cooked = kitchen.cook("plan")
    kitchen.write(
        "other",
        """
        [vars]
        what = "x"
        [[steps]]
        id = "design"
        title = "Design {{what}}"
        priority = 2
        labels = ["ui"]
        [[steps]]
        id = "build"
        needs = ["design"]
        gate = { type = "timer", timeout = "30m" }
        """,
    )
    same = kitchen.cook("other")
    assert [step.title for step in cooked.steps] == ["Design x", "build"]
    for step, other in zip(cooked.steps, same.steps, strict=True):
        assert step.source == other.source.replace("other.formula.toml", "plan.formula.json")
        assert (step.title, step.needs, step.gates, step.labels, step.priority) == (
            other.title, other.needs, other.gates, other.labels, other.priority,
        )  # fmt: skip


def test_its_errors_name_file_and_place(kitchen: Kitchen):
    written(kitchen, {"steps": [{"id": "a", "titel": "A", "priority": None}], "verson": 1})
    assert kitchen.problems("plan") == [
        "plan.formula.json: steps[0] (a): unknown key 'titel'; did you mean 'title'?",
        "plan.formula.json: unknown key 'verson'; did you mean 'version'?",
    ]


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"steps": NaN}', '{"a": 1, "a": 2}', "[" * 9000, '"\\ud800"']
)
def test_what_is_not_a_json_object_is_refused(kitchen: Kitchen, text: str):
    written(kitchen, text)
    with pytest.raises(BadInput, match=r"plan\.formula\.json"):
        kitchen.cook("plan")


def test_two_files_of_one_name_are_refused_with_both_paths(kitchen: Kitchen):
    path = written(kitchen, {"steps": STEPS})
    kitchen.write("plan", '[[steps]]\nid = "a"')
    board = FileDocuments(str(kitchen.board))
    assert own(board) == ["plan"]
    (source,) = (each for each in sources(board) if each.name == "plan")
    assert {source.path, source.twin} == {str(path), str(path.with_suffix(".toml"))}
    assert code_of(lambda: load("plan", board)) == "formula_twice"
    assert code_of(lambda: save("plan", "", board)) == "formula_exists"
    path.with_suffix(".toml").unlink()
    assert len(kitchen.cook("plan", {"what": "x"}).steps) == 2
    assert code_of(lambda: save("plan", "", board)) == "formula_exists"


def test_keys_that_inform_are_kept_in_the_step(kitchen: Kitchen):
    step = {
        "id": "a",
        "description": "Do it.",
        "notes": "Ask {{who}}.",
        "metadata": {"team": "core", "size": 3},
        "meta": {"team": "api"},
        "agent": "reviewer",
        "interactive": True,
        "parallel": False,
    }
    written(kitchen, {"vars": {"who": "ann"}, "steps": [step]})
    cooked = kitchen.cook("plan").steps[0]
    assert cooked.description == "Do it.\n\nNotes:\nAsk ann."
    assert cooked.meta == {
        "team": "api",
        "size": "3",
        "agent": "reviewer",
        "interactive": "true",
        "parallel": "false",
    }
