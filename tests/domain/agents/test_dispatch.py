"""Dispatch: ready tasks go to the suitable agents with the least work."""

import pytest
from boards import SettableClock, add, changes_nothing, set_seen

from orchestrator import NotFound, Orchestrator, Refused


@pytest.fixture(autouse=True)
def stream(orc: Orchestrator, monkeypatch: pytest.MonkeyPatch, clock: SettableClock) -> None:
    orc.workstreams.create("build")
    # Presence is the system's time; here it is the time of the test.
    monkeypatch.setattr(orc.engine.presence, "touch", lambda name: set_seen(orc, name, clock()))


def test_the_most_urgent_first_each_to_the_least_busy_counted_again_after_each(orc: Orchestrator):
    tasks = [add(orc, priority=n) for n in (3, 1, 2, 5, 4)]
    for name in ("bob", "ann"):
        orc.agents.register(name)
    orc.tasks.claim(tasks[3], agent="ann")
    given = orc.dispatch.run(agent="boss")
    assert [(assignment.task, assignment.agent, assignment.load) for assignment in given] == [
        (tasks[1], "bob", 1),
        (tasks[2], "ann", 2),
        (tasks[0], "bob", 2),
        (tasks[4], "ann", 3),
    ]


def test_each_assignment_leaves_one_message(orc: Orchestrator):
    for _ in range(3):
        add(orc)
    orc.agents.register("ann")
    orc.dispatch.run()
    assert [item.kind for item in orc.mail.inbox(agent="ann")] == ["work_assignment"] * 3


def test_only_agents_that_suit_a_task_are_given_it(orc: Orchestrator):
    bug, docs = add(orc, type="bug"), add(orc, labels=["docs"])
    orc.agents.register("ann", capabilities=["bug"])
    orc.agents.register("bob", capabilities=["docs"])
    add(orc)
    assert {(assignment.task, assignment.agent) for assignment in orc.dispatch.run()} == {
        (bug, "ann"),
        (docs, "bob"),
    }


def test_no_agent_is_given_more_than_its_limit(orc: Orchestrator):
    for _ in range(5):
        add(orc)
    orc.agents.register("ann", max_load=2)
    orc.agents.register("bob", max_load=0)
    assert [assignment.agent for assignment in orc.dispatch.run()] == ["ann", "ann"]


def test_retired_and_gone_agents_are_given_nothing(orc: Orchestrator, clock: SettableClock):
    add(orc)
    for name in ("gone", "retired"):
        orc.agents.register(name)
    orc.agents.retire("retired")
    clock.advance(3600)
    with changes_nothing(orc):
        assert orc.dispatch.run() == []


def test_only_ready_tasks_of_the_stream_the_urgency_and_the_convoy_are_given(orc: Orchestrator):
    orc.workstreams.create("docs")
    orc.agents.register("ann")
    first = add(orc, priority=2)
    add(orc, needs=[first])
    add(orc, defer="1d")
    low = add(orc, priority=7)
    other = orc.tasks.add("docs", title="x").id
    orc.convoys.create("release", [low])
    assert [assignment.task for assignment in orc.dispatch.run("build", priority=5)] == [first]
    assert [assignment.task for assignment in orc.dispatch.run(convoy="release")] == [low]
    assert [assignment.task for assignment in orc.dispatch.run()] == [other]
    with pytest.raises(NotFound):
        orc.dispatch.run("nowhere")


def test_a_second_dispatch_finds_nothing_left(orc: Orchestrator):
    add(orc)
    orc.agents.register("ann")
    orc.dispatch.run()
    with changes_nothing(orc):
        assert orc.dispatch.run() == []


def test_a_repeated_request_gives_the_first_answer(orc: Orchestrator):
    add(orc)
    orc.agents.register("ann")
    with orc.request("r-1"):
        first = orc.dispatch.run(agent="boss")
    with orc.request("r-1"), changes_nothing(orc):
        assert orc.dispatch.run(agent="boss") == first


def test_starting_a_convoy_may_give_its_tasks_out_in_the_same_commit(orc: Orchestrator):
    task = add(orc)
    orc.agents.register("ann")
    orc.convoys.create("release", [task], notify=["boss"])
    convoy, given = orc.dispatch.start_convoy("release")
    assert convoy.started_at
    assert [assignment.agent for assignment in given] == ["ann"]
    with changes_nothing(orc), pytest.raises(Refused, match="was started already"):
        orc.dispatch.start_convoy("release")
