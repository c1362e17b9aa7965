"""Workstreams: named, with a priority, open or closed."""

import pytest
from boards import changes_nothing, code_of

from orchestrator import BadInput, NotFound, Orchestrator, Refused, UsageError


def test_a_workstream_has_its_name_description_priority_and_who_made_it_when(orc: Orchestrator):
    made = orc.workstreams.create("build", description="Build it", priority=2, agent="ann")
    assert (made.name, made.description, made.priority, made.status) == (
        "build",
        "Build it",
        2,
        "active",
    )
    assert (made.created_by, made.created_at) == ("ann", "2026-11-21T06:13:00.000Z")
    assert orc.workstreams.get("build") == made


def test_workstreams_are_listed_by_priority_then_name(orc: Orchestrator):
    for name, priority in (("c", 2), ("b", 2), ("z", 1), ("a", 9)):
        orc.workstreams.create(name, priority=priority)
    assert [stream.name for stream in orc.workstreams.all()] == ["z", "b", "c", "a"]


def test_the_default_priority_is_5(orc: Orchestrator):
    assert orc.workstreams.create("build").priority == 5


def test_a_name_is_given_once(orc: Orchestrator):
    made = orc.workstreams.create("build", description="Build", priority=2)
    with changes_nothing(orc):
        assert orc.workstreams.create("build", description="Build", priority=2) == made
        for facts in ({}, {"description": "Build"}, {"description": "Build", "priority": 3}):
            again = lambda: orc.workstreams.create("build", **facts)  # noqa: B023,E731
            assert code_of(again) == "workstream_exists"
    orc.workstreams.close("build")
    with changes_nothing(orc):
        again = lambda: orc.workstreams.create("build", description="Build", priority=2)  # noqa: E731
        assert code_of(again) == "workstream_exists"


def test_names_that_differ_only_in_case_are_refused(orc: Orchestrator):
    orc.workstreams.create("build")
    with changes_nothing(orc):
        assert code_of(lambda: orc.workstreams.create("Build")) == "bad_name"


@pytest.mark.parametrize("priority", [-1, 1001, 10**30])
def test_a_priority_is_from_0_to_1000(orc: Orchestrator, priority: int):
    with changes_nothing(orc), pytest.raises(UsageError):
        orc.workstreams.create("build", priority=priority)


def test_edit_changes_what_is_given_and_nothing_else(orc: Orchestrator):
    orc.workstreams.create("build", description="old", priority=3)
    assert orc.workstreams.edit("build", description="new").priority == 3
    assert orc.workstreams.edit("build", priority=1).description == "new"
    assert orc.workstreams.edit("build", description="").description == ""


def test_edit_of_an_unknown_workstream_is_not_found(orc: Orchestrator):
    with pytest.raises(NotFound) as caught:
        orc.workstreams.edit("build", priority=1)
    assert (caught.value.code, caught.value.exit_status) == ("workstream_not_found", 1)
    assert "ws create" in caught.value.hint


def test_a_closed_workstream_takes_and_gives_no_tasks_until_it_is_reopened(orc: Orchestrator):
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="Ship")
    assert orc.workstreams.close("build", reason="enough").status == "closed"
    with changes_nothing(orc):
        assert code_of(lambda: orc.tasks.add("build", title="More")) == "workstream_closed"
        assert code_of(lambda: orc.tasks.claim(task.id, agent="ann")) == "workstream_closed"
        assert orc.tasks.next(agent="ann") is None
        assert orc.tasks.next("build", agent="ann") is None
    assert orc.workstreams.reopen("build").status == "active"
    claimed = orc.tasks.next(agent="ann")
    assert claimed is not None
    assert claimed.id == task.id


def test_work_in_progress_in_a_closed_workstream_can_be_completed(orc: Orchestrator):
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="Ship")
    orc.tasks.claim(task.id, agent="ann")
    orc.workstreams.close("build")
    assert orc.tasks.complete(task.id, agent="ann").status == "done"


def test_what_a_workstream_is_already_changes_nothing(orc: Orchestrator):
    orc.workstreams.create("build", description="x", priority=3)
    with changes_nothing(orc):
        assert orc.workstreams.reopen("build").status == "active"
        assert orc.workstreams.edit("build", description="x", priority=3).priority == 3
    orc.workstreams.close("build")
    with changes_nothing(orc):
        assert orc.workstreams.close("build").status == "closed"


def test_counts_tell_how_many_tasks_of_each_status_there_are(orc: Orchestrator):
    orc.workstreams.create("build")
    first, second, _ = (orc.tasks.add("build", title=str(n)) for n in range(3))
    orc.tasks.claim(first.id, agent="ann")
    orc.tasks.complete(first.id)
    orc.tasks.cancel(second.id)
    assert orc.workstreams.counts("build") == {"pending": 1, "done": 1, "cancelled": 1}


def test_counts_of_an_unknown_workstream_are_not_found(orc: Orchestrator):
    with pytest.raises(NotFound):
        orc.workstreams.counts("build")


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_a_description_that_cannot_be_kept_is_refused(orc: Orchestrator, text: str):
    with changes_nothing(orc), pytest.raises(BadInput):
        orc.workstreams.create("build", description=text)


def test_a_reason_is_at_most_500_characters(orc: Orchestrator):
    orc.workstreams.create("build")
    with changes_nothing(orc), pytest.raises(BadInput):
        orc.workstreams.close("build", reason="x" * 501)


def test_refusals_are_errors_with_exit_status_1(orc: Orchestrator):
    orc.workstreams.create("build")
    with pytest.raises(Refused) as caught:
        orc.workstreams.create("build", priority=9)
    assert (caught.value.exit_status, caught.value.retryable) == (1, False)
