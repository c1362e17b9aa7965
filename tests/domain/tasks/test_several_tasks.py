"""Several tasks are labelled, moved or deleted in a single commit."""

import pytest

from orchestrator import Orchestrator
from orchestrator.core.errors import NotFound, Refused, UsageError
from orchestrator.domain.tasks.events import TaskCancelled, TaskDeleted
from tests.boards import check_derived
from tests.domain.workflows.test_commands import pour


@pytest.fixture
def tasks(orc: Orchestrator) -> list[str]:
    orc.workstreams.create("build")
    orc.workstreams.create("docs", priority=9)
    return [orc.tasks.add("build", title=f"Task {number}").id for number in range(3)]


def head(orc: Orchestrator) -> int:
    return orc.engine.read().event


class TestLabel:
    def test_labels_are_added_and_removed_in_a_single_commit_and_only_where_needed(
        self, orc: Orchestrator, tasks: list[str]
    ) -> None:
        orc.tasks.label(tasks[:1], add=["ui", "api"])
        before = head(orc)
        changed = orc.tasks.label(tasks[:2], add=["ui"], remove=["api"])
        assert [(task.id, task.labels) for task in changed] == [
            (tasks[0], ("ui",)),
            (tasks[1], ("ui",)),
        ]
        assert head(orc) == before + 2
        assert orc.tasks.label(tasks[:2], add=["ui"]) == changed
        assert head(orc) == before + 2
        assert orc.tasks.labels() == {"ui": 2}

    def test_a_label_is_checked_as_everywhere_and_one_bad_id_changes_nothing(
        self, orc: Orchestrator, tasks: list[str]
    ) -> None:
        with pytest.raises(UsageError):
            orc.tasks.label(tasks, add=[""])
        with pytest.raises(NotFound):
            orc.tasks.label([tasks[0], "ffffffff"], add=["ui"])
        assert orc.tasks.get(tasks[0]).labels == ()


class TestMove:
    def test_a_task_moves_with_its_parts_and_is_counted_and_given_out_there(
        self, orc: Orchestrator, tasks: list[str]
    ) -> None:
        part = orc.tasks.add("build", title="Part", parent=tasks[0]).id
        assert [task.id for task in orc.tasks.move([tasks[0]], "docs")] == [tasks[0], part]
        assert orc.workstreams.counts("docs") == {"pending": 2}
        assert orc.workstreams.counts("build") == {"pending": 2}
        check_derived(orc.engine.read())
        taken = [orc.tasks.next("build", agent="ann") for _ in range(3)]
        assert [task and task.id for task in taken] == [tasks[1], tasks[2], None]
        first = orc.tasks.next(agent="ann")
        assert first is not None
        assert first.id == part

    def test_a_review_moves_to_the_reviews_of_the_stream(
        self, orc: Orchestrator, tasks: list[str]
    ) -> None:
        orc.tasks.edit(tasks[0], review=True)
        orc.tasks.claim(tasks[0], agent="ann")
        orc.tasks.complete(tasks[0], agent="ann")
        assert orc.engine.read().schedule.best_review("build", "bob", orc.engine.now())
        orc.tasks.move([tasks[0]], "docs")
        schedule = orc.engine.read().schedule
        assert schedule.best_review("build", "bob", orc.engine.now()) is None
        review = schedule.best_review("docs", "bob", orc.engine.now())
        assert review is not None
        assert review.id == tasks[0]

    def test_a_lease_stays_and_a_task_that_is_there_does_not_change(
        self, orc: Orchestrator, tasks: list[str]
    ) -> None:
        held = orc.tasks.claim(tasks[0], agent="ann")
        [moved] = orc.tasks.move([tasks[0]], "docs")
        assert (moved.token, moved.lease_until) == (held.token, held.lease_until)
        before = head(orc)
        assert orc.tasks.move([tasks[0]], "docs") == [moved]
        assert head(orc) == before

    def test_nothing_moves_to_a_closed_or_unknown_workstream(
        self, orc: Orchestrator, tasks: list[str]
    ) -> None:
        orc.workstreams.close("docs")
        with pytest.raises(Refused, match="closed"):
            orc.tasks.move(tasks, "docs")
        with pytest.raises(NotFound):
            orc.tasks.move(tasks, "dosc")


class TestDelete:
    def test_a_deleted_task_is_in_no_list_and_no_count_and_its_history_stays(
        self, orc: Orchestrator, tasks: list[str]
    ) -> None:
        orc.convoys.create("release", tasks)
        [deleted] = orc.tasks.delete([tasks[0]], reason="twice", agent="ann")
        assert (deleted.id, deleted.status, deleted.reason) == (tasks[0], "cancelled", "twice")
        assert [task.id for task in orc.tasks.all()] == tasks[1:]
        assert [task.id for task in orc.tasks.ever()] == tasks[1:]
        assert orc.workstreams.counts("build") == {"pending": 2}
        assert orc.convoys.get("release").tasks == tuple(tasks[1:])
        assert orc.tasks.get(tasks[0]) == deleted
        assert [e.type for e in orc.tasks.history(tasks[0])[-2:]] == [
            TaskCancelled.TYPE,
            TaskDeleted.TYPE,
        ]
        check_derived(orc.engine.read())

    @pytest.mark.parametrize("step", ["claim", "note", "needs", "parent", "reopen", "delete"])
    def test_nothing_is_done_with_a_deleted_task(
        self, orc: Orchestrator, tasks: list[str], step: str
    ) -> None:
        gone = tasks[0]
        orc.tasks.delete([gone])
        steps = {
            "claim": lambda: orc.tasks.claim(gone, agent="ann"),
            "note": lambda: orc.tasks.note(gone, "hm"),
            "needs": lambda: orc.tasks.edit(tasks[1], needs=[gone]),
            "parent": lambda: orc.tasks.add("build", title="Part", parent=gone),
            "reopen": lambda: orc.tasks.reopen(gone),
            "delete": lambda: orc.tasks.delete([gone]),
        }
        with pytest.raises(Refused) as caught:
            steps[step]()
        assert caught.value.code == "deleted"

    def test_an_id_is_not_used_again(self, orc: Orchestrator, tasks: list[str]) -> None:
        part = orc.tasks.add("build", title="Part", parent=tasks[0], name="api").id
        orc.tasks.delete([part])
        with pytest.raises(Refused, match="There is or was a task"):
            orc.tasks.add("build", title="Again", parent=tasks[0], name="api")

    def test_a_task_that_another_open_task_waits_for_stays_unless_both_go(
        self, orc: Orchestrator, tasks: list[str]
    ) -> None:
        orc.tasks.edit(tasks[1], needs=[tasks[0]])
        with pytest.raises(Refused) as caught:
            orc.tasks.delete([tasks[0]])
        assert caught.value.code == "needed"
        assert caught.value.hint == f"`t dep remove {tasks[1]} {tasks[0]}` removes the link first."
        orc.tasks.delete([tasks[0], tasks[1]])
        check_derived(orc.engine.read())

    def test_a_done_task_goes_and_what_needed_it_stays_free(
        self, orc: Orchestrator, tasks: list[str]
    ) -> None:
        orc.tasks.edit(tasks[1], needs=[tasks[0]])
        orc.tasks.claim(tasks[0], agent="ann")
        orc.tasks.complete(tasks[0], agent="ann")
        orc.tasks.delete([tasks[0]])
        assert tasks[1] in {task.id for task in orc.tasks.all(ready=True)}
        orc.links.remove(tasks[1], tasks[0])
        check_derived(orc.engine.read())

    def test_open_parts_go_only_together_with_the_task(
        self, orc: Orchestrator, tasks: list[str]
    ) -> None:
        part = orc.tasks.add("build", title="Part", parent=tasks[0]).id
        with pytest.raises(Refused) as caught:
            orc.tasks.delete([tasks[0]])
        assert caught.value.code == "has_parts"
        orc.tasks.delete([tasks[0], part])
        assert [task.id for task in orc.tasks.all()] == tasks[1:]
        check_derived(orc.engine.read())

    def test_a_worker_deletes_an_open_part_of_its_task_with_a_reason_only(
        self, orc: Orchestrator, tasks: list[str]
    ) -> None:
        part = orc.tasks.add("build", title="Part", parent=tasks[0], agent="lead").id
        orc.tasks.claim(tasks[0], agent="ann")
        with pytest.raises(Refused) as caught:
            orc.tasks.delete([part], agent="ann")
        assert caught.value.code == "reason_needed"
        orc.tasks.delete([part], reason="planned otherwise", agent="ann")
        assert orc.tasks.get(tasks[0]).evidence[-1].what == "planned otherwise"

    def test_a_step_of_a_workflow_is_not_deleted(self, orc: Orchestrator, tasks: list[str]) -> None:
        root = pour(orc)
        with pytest.raises(Refused) as caught:
            orc.tasks.delete([root])
        assert caught.value.code == "of_a_workflow"
