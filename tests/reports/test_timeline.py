"""The timeline of a task, a workstream or an agent, with the time between events."""

import pytest
from boards import SettableClock

from orchestrator import Orchestrator
from orchestrator.core.errors import NotFound, Refused


@pytest.fixture
def board(orc: Orchestrator, clock: SettableClock) -> Orchestrator:
    """Two workstreams with a task each; ann has done one."""
    orc.workstreams.create("build", agent="boss")
    orc.workstreams.create("docs", agent="boss")
    task = orc.tasks.add("build", title="Write the parser", agent="boss").id
    orc.tasks.add("docs", title="Write the guide", agent="boss")
    clock.advance(7200)
    orc.tasks.claim(task, agent="ann")
    clock.advance(90.5)
    orc.tasks.complete(task, result="Done", agent="ann")
    return orc


def types(timeline: object) -> list[str]:
    return [event.type for event in timeline.events]  # type: ignore[attr-defined]


def test_a_task_has_its_events_with_the_time_between(board: Orchestrator) -> None:
    task = board.tasks.all()[0].id
    line = board.timeline(task[:6])
    assert line.task == task
    assert types(line) == ["task.added", "task.claimed", "task.completed"]
    assert line.after == [0, 7200, 90.5]
    assert types(board.timeline(task, agent="ann")) == ["task.claimed", "task.completed"]
    assert types(board.timeline(task, since="1h")) == ["task.claimed", "task.completed"]
    assert types(board.timeline(task, since=line.events[1].id)) == ["task.completed"]
    assert types(board.timeline(task, last=1)) == ["task.completed"]
    assert board.timeline(task, last=0).after == []


def test_a_workstream_has_its_own_events_and_those_of_its_tasks(board: Orchestrator) -> None:
    task = board.tasks.all()[0].id
    board.events.log("ann", "ci.failed", task=task)
    board.events.log("ann", "deployed", workstream="docs")
    board.tasks.archive([task])
    expected = [
        "workstream.created",
        "task.added",
        "task.claimed",
        "task.completed",
        "ci.failed",
        "task.archived",
    ]
    assert types(board.timeline("build")) == types(board.timeline(workstream="build")) == expected
    assert types(board.timeline("docs")) == ["workstream.created", "task.added", "deployed"]


def test_the_timeline_of_the_board_is_read_in_pages_back_to_its_beginning(
    board: Orchestrator,
) -> None:
    whole = board.timeline().events
    assert [event.id for event in whole] == [*range(1, len(whole) + 1)]
    pages = [board.timeline(last=2).events]
    while pages[0][0].id > 1:
        pages.insert(0, board.timeline(before=pages[0][0].id, last=2).events)
    assert [event for page in pages for event in page] == whole
    assert types(board.timeline(type="task.*", before=whole[-1].id)) == [
        "task.added",
        "task.added",
        "task.claimed",
    ]
    task = board.tasks.all()[0].id
    assert types(board.timeline(task, type="task.claimed")) == ["task.claimed"]
    assert types(board.timeline(task, before=whole[-1].id)) == ["task.added", "task.claimed"]


def test_an_agent_is_known_by_what_it_did(board: Orchestrator) -> None:
    assert types(board.timeline("ann")) == ["task.claimed", "task.completed"]
    assert types(board.timeline(agent="ann", workstream="docs")) == []
    with pytest.raises(NotFound, match="'anna'"):
        board.timeline("anna")


def test_a_name_of_several_things_is_refused_with_ways_to_say_which(board: Orchestrator) -> None:
    board.agents.register("docs")
    with pytest.raises(Refused) as caught:
        board.timeline("docs")
    assert "timeline --ws docs" in caught.value.hint
    assert types(board.timeline(workstream="docs")) == ["workstream.created", "task.added"]
    with pytest.raises(NotFound):
        board.timeline(workstream="dcos")
