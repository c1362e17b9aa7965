"""Agents: registration, presence, leases and their renewal by work, retirement."""

from collections.abc import Callable
from contextlib import nullcontext

import pytest
from boards import MORNING, SettableClock, changes_nothing, code_of, set_seen

from orchestrator import BadInput, BadName, NotFound, Orchestrator, UsageError

pytestmark = pytest.mark.usefixtures("build")


def test_registering_sets_type_and_capabilities(orc: Orchestrator):
    agent = orc.agents.register("ann", type="coder", capabilities=["python", "bug"])
    assert (agent.id, agent.type, agent.capabilities) == ("ann", "coder", ("python", "bug"))
    assert agent.registered_at == "2026-11-21T06:13:00.000Z"


def test_a_person_registers_an_agent_under_the_name_of_the_person(orc: Orchestrator):
    orc.agents.register("ben", agent="kim")
    record = list(orc.events.read())[-1]
    assert (record.type, record.agent) == ("agent.registered", "kim")
    assert orc.agents.get("ben").status == "active"
    with pytest.raises(BadName):
        orc.agents.register("../x", agent="kim")


def test_registering_again_changes_what_the_agent_is_but_not_since_when(
    orc: Orchestrator, clock: SettableClock
):
    first = orc.agents.register("ann", type="coder")
    clock.advance(60)
    second = orc.agents.register("ann", type="tester")
    assert (second.type, second.registered_at) == ("tester", first.registered_at)


def test_a_retired_agent_that_registers_again_is_active(orc: Orchestrator):
    orc.agents.register("ann")
    orc.agents.retire("ann")
    assert orc.agents.register("ann").status == "active"


def test_agent_names_may_be_paths(orc: Orchestrator):
    orc.agents.register("rig/crew/ann")
    assert orc.agents.get("rig/crew/ann").id == "rig/crew/ann"


@pytest.mark.parametrize(
    "name", ["", "/", "a/", "/a", "a//b", "a/../b", "..", ".", "-a", "a b", "a\0", "con", "x/nul"]
)
def test_names_that_could_leave_their_folder_are_refused(orc: Orchestrator, name: str):
    with changes_nothing(orc), pytest.raises(BadName):
        orc.agents.register(name)
    with changes_nothing(orc), pytest.raises(BadName):
        orc.tasks.next(agent=name)
    assert name not in orc.engine.store.presence.seen()


def test_names_that_differ_only_in_case_are_refused(orc: Orchestrator):
    orc.agents.register("ann")
    orc.agents.register("rig/bob")
    with changes_nothing(orc):
        assert code_of(lambda: orc.agents.register("Ann")) == "bad_name"
        assert code_of(lambda: orc.agents.register("rig/Bob")) == "bad_name"


def test_type_and_capabilities_are_words(orc: Orchestrator):
    with changes_nothing(orc), pytest.raises(BadName):
        orc.agents.register("ann", type="a b")
    with changes_nothing(orc), pytest.raises(BadName):
        orc.agents.register("ann", capabilities=["-x"])


def test_a_command_is_a_sign_of_life_and_no_event_of_its_own(orc: Orchestrator):
    with changes_nothing(orc):
        assert orc.tasks.next(agent="ann") is None
        assert orc.agents.heartbeat("ann") == []
    assert "ann" in orc.engine.store.presence.seen()


def test_system_is_no_agent_and_is_never_seen(orc: Orchestrator):
    orc.tasks.add("build", title="x")
    assert orc.engine.store.presence.seen() == {}
    assert orc.agents.all() == []


def test_an_agent_that_never_registered_is_listed_when_it_was_seen_or_holds_a_task(
    orc: Orchestrator,
):
    task = orc.tasks.add("build", title="x")
    orc.tasks.claim(task.id, agent="ann")
    orc.locks.acquire("git", agent="bob")
    views = {view.id: view for view in orc.agents.all()}
    assert {name: view.status for name, view in views.items()} == {
        "ann": "unregistered",
        "bob": "unregistered",
    }
    assert (views["ann"].tasks, views["bob"].locks) == ((task.id,), ("git",))


def test_an_agent_is_stale_after_5_minutes_without_a_sign_of_life(
    orc: Orchestrator, clock: SettableClock
):
    orc.agents.register("ann")
    set_seen(orc, "ann", MORNING)
    clock.advance(300)
    assert not orc.agents.get("ann").stale
    clock.advance(1)
    assert orc.agents.get("ann").stale
    set_seen(orc, "ann", clock())
    assert not orc.agents.get("ann").stale


def test_an_unknown_agent_is_not_found(orc: Orchestrator):
    assert code_of(lambda: orc.agents.get("ann")) == "agent_not_found"
    with changes_nothing(orc), pytest.raises(NotFound):
        orc.agents.retire("ann")


def test_a_heartbeat_renews_leases_of_which_half_has_passed(
    orc: Orchestrator, clock: SettableClock
):
    first, second = (orc.tasks.add("build", title=str(n)).id for n in range(2))
    orc.tasks.claim(first, agent="ann", lease=100)
    orc.tasks.claim(second, agent="ann", lease=1000)
    clock.advance(49)
    with changes_nothing(orc):
        assert orc.agents.heartbeat("ann") == []
    clock.advance(1)
    renewed = orc.agents.heartbeat("ann")
    assert [(task.id, task.lease_until) for task in renewed] == [
        (first, "2026-11-21T06:15:30.000Z")
    ]
    with changes_nothing(orc):
        assert orc.agents.heartbeat("ann") == []


def test_a_heartbeat_does_not_bring_a_lapsed_lease_back(orc: Orchestrator, clock: SettableClock):
    task = orc.tasks.add("build", title="x").id
    orc.tasks.claim(task, agent="ann", lease=100)
    clock.advance(100)
    with changes_nothing(orc):
        assert orc.agents.heartbeat("ann") == []


def test_leases_of_others_are_not_renewed(orc: Orchestrator, clock: SettableClock):
    task = orc.tasks.add("build", title="x").id
    orc.tasks.claim(task, agent="ann", lease=100)
    clock.advance(60)
    with changes_nothing(orc):
        assert orc.agents.heartbeat("bob") == []


def test_retiring_gives_back_tasks_and_locks_in_the_same_commit(orc: Orchestrator):
    orc.agents.register("ann")
    task = orc.tasks.add("build", title="x").id
    orc.tasks.claim(task, agent="ann")
    orc.locks.acquire("git", agent="ann")
    assert orc.agents.retire("ann", reason="home").status == "retired"
    assert orc.tasks.get(task).status == "pending"
    assert orc.locks.all() == []
    last = orc.events.read(last=3)
    assert [moment.type for moment in last] == ["task.released", "lock.released", "agent.retired"]
    assert [moment.more for moment in last] == [True, True, False]


@pytest.mark.parametrize(
    "use",
    [
        lambda orc, name: orc.agents.register(name),
        lambda orc, name: orc.agents.rename("zoe", name),
        lambda orc, name: orc.agents.heartbeat(name),
        lambda orc, name: orc.sessions.start(name),
        lambda orc, name: orc.tasks.add("build", title="x", agent=name),
        lambda orc, name: orc.tasks.next(agent=name),
        lambda orc, name: orc.locks.acquire("git", agent=name),
        lambda orc, name: orc.hooks.sling(orc.tasks.all()[0].id, name, agent="boss"),
        lambda orc, name: orc.mail.send(name, "hello", agent="boss"),
        lambda orc, name: orc.mail.set_list("night", [name], agent="boss"),
        lambda orc, name: orc.knowledge.write("topic", "x", agent=name),
    ],
)
@pytest.mark.parametrize("known", ["registered", "acted"])
def test_a_new_name_differs_from_every_other_by_more_than_its_case(
    orc: Orchestrator, use: Callable[[Orchestrator, str], object], known: str
):
    for name in ("Ann", "zoe", "boss"):
        if known == "registered":
            orc.agents.register(name)
        else:
            orc.tasks.add("build", title="x", agent=name)
    orc.tasks.add("build", title="x", agent="boss")
    with changes_nothing(orc), pytest.raises(BadName):
        use(orc, "ann")
    assert not orc.engine.presence.knows("ann")
    use(orc, "bea")


def test_names_that_were_used_before_they_collided_still_act(orc: Orchestrator):
    for name in ("Ann", "ann"):
        orc.engine.presence.touch(name)
    assert orc.tasks.add("build", title="x", agent="ann").created_by == "ann"


def test_an_agent_whose_lease_has_ended_does_not_work(orc: Orchestrator, clock: SettableClock):
    task = orc.tasks.add("build", title="x").id
    orc.tasks.claim(task, agent="ann", lease="1m")
    assert orc.agents.get("ann").presence == "working"
    clock.advance(61)
    orc.engine.presence.touch("ann")
    view = orc.agents.get("ann")
    assert (view.presence, view.tasks) == ("idle", (task,))


def test_registering_renaming_and_retiring_again_change_nothing(orc: Orchestrator):
    for again in (False, True):
        with changes_nothing(orc) if again else nullcontext():
            agent = orc.agents.register("ann", type="coder", capabilities=["bug"], max_load=2)
            assert agent.max_load == 2
    orc.agents.rename("ann", "bea")
    with changes_nothing(orc):
        assert orc.agents.rename("ann", "bea") == orc.agents.rename("bea", "bea") == "bea"
    retired = orc.agents.retire("bea")
    with changes_nothing(orc):
        assert orc.agents.retire("bea") == retired


@pytest.mark.parametrize("reason", ["\ud800", "a\0b", "x" * 501, 5])
def test_a_reason_that_cannot_be_kept_leaves_the_agent_as_it_was(orc: Orchestrator, reason: str):
    orc.agents.register("ann")
    task = orc.tasks.add("build", title="x").id
    orc.tasks.claim(task, agent="ann")
    with changes_nothing(orc), pytest.raises((BadInput, UsageError, TypeError)):
        orc.agents.retire("ann", reason=reason)


def test_a_long_path_like_name_is_seen_too(board: Orchestrator):
    name = "/".join("abcdefghi" * 10)
    board.workstreams.create("build", agent=name)
    assert name in board.engine.store.presence.seen()


@pytest.mark.parametrize("act", ["read", "write"])
def test_a_name_that_differs_only_in_case_is_refused_to_every_agent_that_uses_it(
    board: Orchestrator, act: str
):
    board.workstreams.create("w")
    board.agents.register("Aa")
    with Orchestrator.open(board.engine.folder, agent="aA") as other, pytest.raises(BadName):
        other.status() if act == "read" else other.tasks.add("w", title="x")
    assert [view.id for view in board.agents.all()] == ["Aa"]
