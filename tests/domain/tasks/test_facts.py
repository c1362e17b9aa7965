"""A fact of a task is declared once; everything that shows, accepts or stores facts has all of them."""

import inspect
import typing

import msgspec
import pytest
from boards import changes_nothing

from orchestrator import Orchestrator
from orchestrator.core.errors import BadInput, UsageError
from orchestrator.domain.tasks.batch_fields import ADDING, EDITING
from orchestrator.domain.tasks.commands import Tasks
from orchestrator.domain.tasks.edit_events import TaskEdited
from orchestrator.domain.tasks.events import (
    TaskAdded,
)
from orchestrator.domain.tasks.fact_values import LISTS
from orchestrator.domain.tasks.facts import KEPT, NO_FACTS, TaskFacts
from orchestrator.domain.tasks.given_facts import FACTS, GivenFacts
from orchestrator.domain.tasks.records import Task


def fields(record: type[msgspec.Struct]) -> set[str]:
    return {field.name for field in msgspec.structs.fields(record)}


def test_every_fact_that_is_given_is_kept_in_a_field() -> None:
    assert {fact.field or name for name, fact in FACTS.items()} <= fields(TaskFacts)


def test_every_fact_but_the_title_declares_how_it_is_exported() -> None:
    assert KEPT.keys() == fields(TaskFacts) - {"title"}


def test_the_record_and_the_event_that_adds_it_have_every_fact() -> None:
    facts = TaskFacts.__struct_fields__
    assert TaskAdded.__struct_fields__ == facts == Task.__struct_fields__[: len(facts)]


def test_the_event_that_edits_has_every_fact_that_may_change() -> None:
    final = {field for field, kept in KEPT.items() if kept.is_final}
    assert fields(TaskEdited) == {"task", "reason", "dropped"} | (fields(TaskFacts) - final)


@pytest.mark.parametrize("method", [Tasks.add, Tasks.edit])
def test_the_call_of_a_command_shows_every_fact_with_its_type(method: typing.Any) -> None:
    parameters = inspect.signature(method).parameters
    assert FACTS.keys() <= parameters.keys()
    hints = typing.get_type_hints(GivenFacts)
    assert {name: parameters[name].annotation for name in hints} == hints
    assert all(parameters[name].default is None for name in hints)


def test_a_batch_takes_every_fact() -> None:
    assert FACTS.keys() <= ADDING.keys() & EDITING.keys()


FILLED: dict[str, typing.Any] = {
    "description": "x",
    "type": "bug",
    "priority": 1,
    "labels": ["ui"],
    "acceptance": "x",
    "estimate": 90,
    "needs": ["ID"],
    "needs_failure_of": ["ID"],
    "touches": ["git"],
    "parent": "ID",
    "waits_for": "any:ID",
    "defer": "2999-01-01",
    "due": "2999-01-01",
    "commits": ["abcd"],
    "external_ref": "gh-9",
    "meta": {"team": "web"},
    "verify": ["make test"],
    "artifacts": ["dist"],
    "review": True,
}


def test_the_facts_to_clear_are_all_but_the_part_of_another() -> None:
    assert FACTS.keys() - {"title", "verify_timeout"} == FILLED.keys()


@pytest.mark.parametrize("is_batch", [False, True], ids=["edit", "batch"])
@pytest.mark.parametrize("name", FILLED)
def test_an_empty_text_or_list_clears_every_fact(
    orc: Orchestrator, name: str, is_batch: bool
) -> None:
    orc.workstreams.create("build")
    other = orc.tasks.add("build", title="Other").id
    fact, value = FACTS[name], FILLED[name]
    value = {
        "needs": [other],
        "needs_failure_of": [other],
        "parent": other,
        "waits_for": f"any:{other}",
    }.get(name, value)
    task = orc.tasks.add("build", title="A", **{name: value}).id
    field = fact.field or name
    assert getattr(orc.tasks.get(task), field) != getattr(NO_FACTS, field)
    empty: typing.Any = [] if fact.kind in LISTS else False if fact.kind == "flag" else ""
    if is_batch:
        orc.batch.apply([{"id": task, name: empty}])
    else:
        orc.tasks.edit(task, **{name: empty})
    assert getattr(orc.tasks.get(task), field) == getattr(NO_FACTS, field)


@pytest.mark.parametrize("name", ["priority", "estimate"])
def test_a_text_is_not_a_number(orc: Orchestrator, name: str) -> None:
    orc.workstreams.create("build")
    with changes_nothing(orc), pytest.raises(UsageError, match=f"'high' is not an? {name}"):
        orc.tasks.add("build", title="A", **{name: "high"})


def test_an_external_ref_is_one_line_by_which_tasks_are_found(orc: Orchestrator) -> None:
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="Pay", external_ref="gh-9")
    orc.tasks.add("build", title="Other")
    assert orc.tasks.all(external_ref="gh-9") == [task]
    assert "gh-9" in orc.brief(task.id)
    assert orc.tasks.edit(task.id, external_ref="gh-10").external_ref == "gh-10"
    assert orc.tasks.edit(task.id, external_ref="").external_ref == ""
    with changes_nothing(orc), pytest.raises(BadInput):
        orc.tasks.edit(task.id, external_ref="x" * 501)


def test_meta_are_free_facts_in_the_order_given_by_which_tasks_are_filtered(
    orc: Orchestrator,
) -> None:
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="Pay", meta={"team": "shop", "area": "a=b"})
    orc.tasks.add("build", title="Other", meta=["team=shop"])
    assert orc.tasks.all(meta={"area": "a=b", "team": "shop"}) == [task]
    assert len(orc.tasks.all(meta=["team=shop"])) == 2
    assert "area=a=b" in orc.brief(task.id)
    edited = orc.tasks.edit(task.id, meta=["risk=high", "team=", "area=api"])
    assert [*edited.meta.items()] == [("area", "api"), ("risk", "high")]
    assert orc.tasks.get(task.id) == edited
    assert orc.tasks.edit(task.id, meta={}).meta == {}
    for wrong in (["team"], {"a b": "x"}, {"a": "\0"}, {"a": "x" * 501}):
        with changes_nothing(orc), pytest.raises(UsageError):
            orc.tasks.edit(task.id, meta=wrong)


def test_meta_of_a_step_are_filled_and_a_distilled_formula_has_them(orc: Orchestrator) -> None:
    vars_ = b'formula = "mine"\n[vars.team]\ndefault = "shop"\n'
    step = b'[[steps]]\nid = "a"\nmeta.team = "{{team}}"\n'
    orc.engine.documents.write("formulas/mine.formula.toml", vars_ + step)
    root = orc.workflows.pour(orc.formulas.cook("mine")).root.id
    assert orc.tasks.get(f"{root}.a").meta == {"team": "shop"}
    assert '[steps.meta]\nteam = "shop"' in orc.formulas.distill(root, "again")
