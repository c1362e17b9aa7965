"""The schedule: derived from the records alone, and correct after every change."""

import random

import pytest
from boards import SettableClock, check_derived, holds, naive_best, naive_best_review

from orchestrator import Orchestrator
from orchestrator.core import clock as times
from orchestrator.domain.subscriptions.task_attempts import TaskFilter, best_task
from orchestrator.domain.tasks.commands import Task
from orchestrator.domain.tasks.ready_queue import Schedule
from orchestrator.domain.tasks.resources import Need


@pytest.fixture(autouse=True)
def streams(orc: Orchestrator) -> None:
    orc.workstreams.create("build", priority=2)
    orc.workstreams.create("docs", priority=1)


class Life:
    """A board with random commands, all of which are allowed."""

    AGENTS = [f"agent-{n}" for n in range(6)]
    RESOURCES = ["git", "src/**", "src/a", "db:shared", "db", "*"]
    STEPS = ["add", "next", "next", "end", "edit", "touch", "pass_time", "lock", "reopen"]
    STEPS += ["add", "next", "end", "judge", "label", "rename"]

    def __init__(self, orc: Orchestrator, clock: SettableClock, seed: int) -> None:
        self.orc = orc
        self.clock = clock
        self.dice = random.Random(seed)

    def step(self) -> None:
        tasks = self.orc.tasks.all()
        getattr(self, self.dice.choice(self.STEPS) if tasks else "add")(tasks)

    def agent(self) -> str:
        return self.dice.choice(self.AGENTS)

    def touches(self) -> list[str]:
        return self.dice.sample(self.RESOURCES, self.dice.choice([0, 0, 1, 2]))

    def add(self, tasks: list[Task]) -> None:
        needs = self.dice.sample(tasks, min(len(tasks), self.dice.choice([0, 0, 1])))
        self.orc.tasks.add(
            self.dice.choice(["build", "docs"]),
            title="x",
            priority=self.dice.randrange(4),
            touches=self.touches(),
            needs=[need.id for need in needs],
            review=self.dice.choice([None, True]),
            labels=self.dice.sample(["ui", "api", "db"], self.dice.randrange(3)),
            type=self.dice.choice(["task", "bug"]),
        )

    def next(self, tasks: list[Task]) -> None:
        lease, review = self.dice.choice([10, 100, 1000]), self.dice.choice([False, True])
        self.orc.tasks.next(agent=self.agent(), lease=lease, review=review)

    def judge(self, tasks: list[Task]) -> None:
        due = [task for task in tasks if task.status == "in_review"]
        if due:
            task = self.dice.choice(due)
            holder = task.reviewer if task.review_until > self.orc.engine.now() else None
            others = [name for name in (*self.AGENTS, "dora") if name not in task.all_workers]
            agent = holder or self.dice.choice(others)
            if agent in task.all_workers:  # it took the name of one
                self.orc.reviews.release(task.id, agent=agent)
            elif self.dice.choice([True, False]):
                self.orc.reviews.approve(task.id, agent=agent)
            else:
                self.orc.reviews.reject(task.id, reason="no", agent=agent)

    def label(self, tasks: list[Task]) -> None:
        task = self.dice.choice(tasks)
        labels = self.dice.sample(["ui", "api", "db"], self.dice.randrange(3))
        self.orc.tasks.edit(task.id, labels=labels, type=self.dice.choice(["task", "bug"]))
        able = self.dice.choice([[], ["ui"], ["api", "db"]])
        self.orc.agents.register(self.agent(), capabilities=able)

    def rename(self, tasks: list[Task]) -> None:
        old = self.agent()
        if old in {self.dice.choice(tasks).assigned_to, self.dice.choice(tasks).reviewer}:
            self.orc.agents.rename(old, "guest")
            self.orc.agents.rename("guest", old)

    def end(self, tasks: list[Task]) -> None:
        for task in [task for task in tasks if task.status == "in_progress"][:1]:
            step = self.dice.choice(["complete", "fail", "release"])
            getattr(self.orc.tasks, step)(task.id)

    def edit(self, tasks: list[Task]) -> None:
        self.orc.tasks.edit(self.dice.choice(tasks).id, priority=self.dice.randrange(4))

    def touch(self, tasks: list[Task]) -> None:
        self.orc.tasks.edit(self.dice.choice(tasks).id, touches=self.touches())

    def pass_time(self, tasks: list[Task]) -> None:
        self.clock.advance(self.dice.choice([1, 9, 50, 400]))

    def lock(self, tasks: list[Task]) -> None:
        name, agent = self.dice.choice(["git", "src/b", "db"]), self.agent()
        held = self.orc.locks.get(name).holders
        state, now = self.orc.engine.read(), self.orc.engine.now()
        if held:
            self.orc.locks.release(name, agent=held[0].agent)
        elif not state.schedule.collisions(Need(name), agent, now):
            self.orc.locks.acquire(name, agent=agent, ttl=self.dice.choice([5, 50, 500]))

    def reopen(self, tasks: list[Task]) -> None:
        for task in [task for task in tasks if task.status in ("done", "failed")][-1:]:
            self.orc.tasks.reopen(task.id)


def test_best_equals_its_definition_through_a_random_life(orc: Orchestrator, clock: SettableClock):
    """A thousand steps of six agents; after each step the best task of an agent is computed from scratch."""
    life = Life(orc, clock, seed=7)
    for _ in range(1000):
        life.step()
        agent, stream = life.agent(), life.dice.choice([None, "build", "docs"])
        state, now = orc.engine.read(), orc.engine.now()
        best = state.schedule.best(stream, agent, now)
        expected = naive_best(state, stream, agent, now)
        assert (best and best.id) == (expected and expected.id)
        review = state.schedule.best_review(stream, agent, now)
        due = naive_best_review(state, stream, agent, now)
        assert (review and review.id) == (due and due.id)
    check_derived(orc.engine.read())
    assert len({record.type for record in orc.events.read()}) > 10, "the life was a dull one"


FILTERS = [
    TaskFilter(),
    TaskFilter(ws="docs"),
    TaskFilter(type="bug"),
    TaskFilter(labels=("ui",)),
    TaskFilter(ws="build", labels=("api", "db")),
    TaskFilter(capability="ui"),
    TaskFilter(capability="review", type="task"),
]


@pytest.mark.parametrize("seed", [2, 5])
def test_the_best_task_of_filters_equals_its_definition_through_a_random_life(
    orc: Orchestrator, clock: SettableClock, seed: int
):
    life = Life(orc, clock, seed)
    for agent in life.AGENTS:
        orc.subscriptions.open(agent)
    for _ in range(600):
        life.step()
        agent, takes = life.agent(), life.dice.sample(FILTERS, life.dice.choice([1, 2]))
        state, now = orc.engine.read(), orc.engine.now()
        fits = lambda task: any(taken.fits(task) for taken in takes)  # noqa: B023, E731
        best = best_task(state, state.subscriptions.find(agent), takes, now)
        never = lambda _task: False  # noqa: E731
        expected = (
            naive_best(state, None, agent, now, never)
            or naive_best_review(state, None, agent, now, fits)
            or naive_best(state, None, agent, now, fits)
        )
        assert (best and best.id) == (expected and expected.id)


def test_a_look_for_a_rare_kind_of_task_does_not_grow_with_the_queue(orc: Orchestrator):
    with orc.transaction():
        for number in range(300):
            orc.tasks.add("build", title=str(number))
            orc.tasks.add("build", title="r", review=True)
    rare = orc.tasks.add("build", title="rare", type="rare").id
    for task in orc.tasks.all():
        if task.title == "r":
            orc.tasks.claim(task.id, agent="ann")
            orc.tasks.complete(task.id, agent="ann")
    orc.subscriptions.open("bob")
    looks: list[str] = []

    class CountingFilter(TaskFilter, frozen=True):
        def fits(self, task: Task) -> bool:
            looks.append(task.id)
            return super().fits(task)

    takes = (CountingFilter(type="rare"),)
    for expected in (rare, None, None):
        looks.clear()
        state = orc.engine.read()
        best = best_task(state, state.subscriptions.find("bob"), takes, orc.engine.now())
        assert (best and best.id) == expected
        if expected:
            orc.tasks.cancel(rare)
    assert not looks
    orc.tasks.add("build", title="another")
    late = orc.tasks.add("build", title="late", type="rare").id
    state = orc.engine.read()
    best = best_task(state, state.subscriptions.find("bob"), takes, orc.engine.now())
    assert best is not None
    assert best.id == late
    assert len(looks) < 10


def test_a_schedule_made_late_equals_one_that_followed_from_the_start(
    orc: Orchestrator, clock: SettableClock
):
    early = orc.engine.read().schedule
    task = orc.tasks.add("build", title="x", touches=["git", "src/**:shared"]).id
    orc.tasks.claim(task, agent="ann")
    orc.locks.acquire("db", agent="bob", shared=True)
    orc.locks.acquire("d/*", agent="bob")
    assert orc.engine.read().schedule is early
    state = orc.engine.read()
    late = Schedule(state.tasks, state.workstreams, state.locks, state.agents)
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
