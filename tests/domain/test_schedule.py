"""The schedule: derived from the records alone, and right after every change."""

import random

import pytest
from boards import SettableClock, check_derived, holds, naive_best

from orchestrator import Orchestrator
from orchestrator.core import clock as times
from orchestrator.domain.resources import Need
from orchestrator.domain.schedule import Schedule


@pytest.fixture(autouse=True)
def streams(orc: Orchestrator) -> None:
    orc.workstreams.create("build", priority=2)
    orc.workstreams.create("docs", priority=1)


def test_best_equals_its_definition_through_a_random_life(orc: Orchestrator, clock: SettableClock):
    """A thousand steps of six agents; after each, what is best for somebody is computed anew."""
    dice = random.Random(7)
    agents = [f"agent-{n}" for n in range(6)]
    resources = ["git", "src/**", "src/a", "db:shared", "db", "*"]
    for _ in range(1000):
        _random_step(orc, clock, dice, agents, resources)
        agent = dice.choice(agents)
        stream = dice.choice([None, "build", "docs"])
        state, now = orc.engine.read(), orc.engine.now()
        best = state.schedule.best(stream, agent, now)
        expected = naive_best(state, stream, agent, now)
        assert (best and best.id) == (expected and expected.id)
    check_derived(orc.engine.read())


def _random_step(
    orc: Orchestrator,
    clock: SettableClock,
    dice: random.Random,
    agents: list[str],
    resources: list[str],
) -> None:
    tasks = orc.tasks.all()
    ids = [task.id for task in tasks]
    agent = dice.choice(agents)
    step = dice.choice(["add", "next", "next", "end", "edit", "touch", "clock", "lock", "reopen"])
    if step == "add" or not tasks:
        orc.tasks.add(
            dice.choice(["build", "docs"]),
            title="x",
            priority=dice.randrange(4),
            touches=dice.sample(resources, dice.choice([0, 0, 1, 2])),
            needs=dice.sample(ids, min(len(ids), dice.choice([0, 0, 1]))),
        )
    elif step == "next":
        orc.tasks.next(agent=agent, lease=dice.choice([10, 100, 1000]))
    elif step == "end":
        running = [task for task in tasks if task.status == "in_progress"]
        if running:
            end = dice.choice([orc.tasks.complete, orc.tasks.fail, orc.tasks.release])
            end(dice.choice(running).id)  # type: ignore[operator]
    elif step == "edit":
        orc.tasks.edit(dice.choice(ids), priority=dice.randrange(4))
    elif step == "touch":
        orc.tasks.edit(dice.choice(ids), touches=dice.sample(resources, dice.choice([0, 1, 2])))
    elif step == "clock":
        clock.advance(dice.choice([1, 9, 50, 400]))
    elif step == "lock":
        name = dice.choice(["git", "src/b", "db"])
        held = orc.locks.get(name).holders
        if held:
            orc.locks.release(name, agent=held[0].agent)
        elif not orc.engine.read().schedule.collisions(Need(name), agent, orc.engine.now()):
            orc.locks.acquire(name, agent=agent, ttl=dice.choice([5, 50, 500]))
    elif step == "reopen":
        ended = [task for task in tasks if task.status in ("done", "failed")]
        if ended:
            orc.tasks.reopen(dice.choice(ended).id)


def test_a_schedule_made_late_equals_one_that_followed_from_the_start(
    orc: Orchestrator, clock: SettableClock
):
    early = orc.engine.read().schedule
    task = orc.tasks.add("build", title="x", touches=["git", "src/**:shared"]).id
    orc.tasks.claim(task, agent="ann")
    orc.locks.acquire("db", agent="bob", shared=True)
    orc.locks.acquire("d/*", agent="bob")
    assert orc.engine.read().schedule is early
    late = Schedule(orc.engine.read())
    assert holds(early) == holds(late)
    assert {(hold.resource, hold.shared, hold.agent, hold.task) for hold in holds(late)} == {
        ("git", False, "ann", task),
        ("src/**", True, "ann", task),
        ("db", True, "bob", None),
        ("d/*", False, "bob", None),
    }


def test_holds_end_with_their_lease_and_exclude_only_others(
    orc: Orchestrator, clock: SettableClock
):
    orc.locks.acquire("git", agent="ann", ttl=10)
    schedule = orc.engine.read().schedule
    assert schedule.collisions(Need("git"), "ann", orc.engine.now()) == []
    assert len(schedule.collisions(Need("git", shared=True), "bob", orc.engine.now())) == 1
    clock.advance(10)
    assert schedule.collisions(Need("git"), "bob", orc.engine.now()) == []


def test_the_next_change_is_the_earliest_end_of_any_lease_that_still_runs(
    orc: Orchestrator, clock: SettableClock
):
    first, second = (orc.tasks.add("build", title=str(n)).id for n in range(2))
    orc.tasks.claim(first, agent="ann", lease=10)
    orc.tasks.claim(second, agent="ann", lease=100)
    orc.locks.acquire("git", agent="bob", ttl=1000)
    now = orc.engine.now()
    assert orc.engine.read().schedule.next_change(now) == times.after(now, 10)
    orc.tasks.complete(first)
    clock.advance(20)
    later = orc.engine.now()
    assert orc.engine.read().schedule.next_change(later) == times.after(now, 100)
    orc.tasks.complete(second)
    assert orc.engine.read().schedule.next_change(orc.engine.now()) in (
        times.after(now, 1000),
        times.after(now, 100),  # waking once for nothing does no harm
    )


def test_nothing_changes_by_itself_on_a_board_without_leases(orc: Orchestrator):
    orc.tasks.add("build", title="x")
    assert orc.engine.read().schedule.next_change(orc.engine.now()) is None


def test_a_clock_that_is_set_back_gives_no_task_twice(orc: Orchestrator, clock: SettableClock):
    task = orc.tasks.add("build", title="x").id
    orc.tasks.claim(task, agent="ann", lease=100)
    clock.advance(200)
    schedule = orc.engine.read().schedule
    assert schedule.best(None, "bob", orc.engine.now()) is not None
    clock.advance(-150)
    assert schedule.best(None, "bob", orc.engine.now()) is None
    clock.advance(150)
    assert schedule.best(None, "bob", orc.engine.now()) is not None
