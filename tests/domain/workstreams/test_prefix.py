"""The prefix of a workstream: the beginning of the ids of its new tasks."""

import re
from collections.abc import Iterator

import pytest
from boards import changes_nothing, code_of

from orchestrator import Orchestrator
from orchestrator.core.transaction import Transaction


@pytest.fixture
def digits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Set the next random digits, eight at a time; then random ones follow."""
    drawn: list[str] = []
    others: Iterator[int] = iter(range(1, 1000))

    def draw() -> str:
        return drawn.pop(0) if drawn else f"{next(others) * 0x01010101:08x}"

    monkeypatch.setattr(Transaction, "random_id", staticmethod(draw))
    return drawn


def test_new_tasks_have_short_ids_behind_the_prefix_and_others_keep_theirs(
    orc: Orchestrator, digits: list[str]
) -> None:
    orc.workstreams.create("build", prefix="build")
    orc.workstreams.create("docs")
    digits += ["a3f80000", "a3f80001"]
    task = orc.tasks.add("build", title="Ship")
    assert task.id == "build-a3f8"
    assert orc.tasks.add("docs", title="Write").id == "a3f80001"
    assert orc.tasks.add("build", title="Part", parent=task.id).id == "build-a3f8.1"
    orc.workstreams.edit("build", prefix="")
    assert re.fullmatch("[0-9a-f]{8}", orc.tasks.add("build", title="Later").id)
    assert orc.tasks.get("build-a3f8").title == "Ship"


def test_an_id_is_longer_when_shorter_ones_are_taken_also_by_deleted_tasks(
    orc: Orchestrator, digits: list[str]
) -> None:
    orc.workstreams.create("build", prefix="b")
    digits += ["a3f80000"] * 3
    first, second = (orc.tasks.add("build", title=title).id for title in ("One", "Two"))
    assert (first, second) == ("b-a3f8", "b-a3f80")
    orc.tasks.delete([second])
    digits[:] = ["a3f80000"] * 3
    assert orc.tasks.add("build", title="Three").id == "b-a3f800"
    assert orc.tasks.get("b-a3f8").id == first


def test_three_digits_name_a_task_with_and_without_its_prefix(
    orc: Orchestrator, digits: list[str]
) -> None:
    orc.workstreams.create("build", prefix="build")
    digits += ["a3f80000", "a37b0000"]
    one, two = (orc.tasks.add("build", title=title).id for title in ("One", "Two"))
    for text in ("a3f", "a3f8", "build-a3f", one):
        assert orc.tasks.get(text).id == one
    orc.tasks.add("build", title="Part", parent=two)
    assert orc.tasks.get("a37.1").title == "Part"
    for text in ("build", "bui", "build-a3", "a3", "build-"):
        assert code_of(lambda: orc.tasks.get(text)) == "task_not_found"  # noqa: B023
    digits += ["a3f99999"]
    orc.tasks.add("build", title="Three")
    assert code_of(lambda: orc.tasks.get("a3f")) == "ambiguous_id"


def test_the_prefix_is_a_fact_of_the_workstream(orc: Orchestrator) -> None:
    made = orc.workstreams.create("build", prefix="b")
    with changes_nothing(orc):
        assert orc.workstreams.create("build", prefix="b") == made
        assert orc.workstreams.edit("build", prefix="b") == made
        assert code_of(lambda: orc.workstreams.create("build")) == "workstream_exists"
        for bad in ("a.b", "a b", "-a", "a/b", "x" * 31):
            assert code_of(lambda: orc.workstreams.edit("build", prefix=bad)) == "bad_name"  # noqa: B023
    assert orc.workstreams.edit("build", priority=1).prefix == "b"
