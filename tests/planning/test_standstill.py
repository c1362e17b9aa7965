"""Why an agent gets no work: each open task is in exactly one group, and every sentence is true."""

import random

import pytest
from boards import SettableClock, hand_in, new_store

from orchestrator import Orchestrator
from orchestrator.core.events import Event
from orchestrator.domain.state import State
from orchestrator.domain.tasks.events import TaskAdded
from orchestrator.domain.tasks.records import ENDED, HELD, Task
from orchestrator.domain.tasks.relations import Signal
from orchestrator.domain.tasks.stages import is_offered
from orchestrator.planning.standstill import Standstill, TaskGroup, standstill

GROUPS = [
    *("ready", "mine", "working", "assigned", "in_review", "blocked", "held_back", "deferred"),
    *("signals", "waiting", "closed", "merging"),
]


REFUSALS = ("lock_denied", "not_ready", "already_claimed", "waits_for_merge", "being_merged")
"""What a random step may meet."""


@pytest.fixture
def orc(clock: SettableClock) -> Orchestrator:
    orc = Orchestrator(new_store(), now=clock)
    orc.workstreams.create("build")
    orc.workstreams.create("docs", priority=1)
    return orc


def reasons(orc: Orchestrator, agent: str = "bob", workstream: str | None = None) -> Standstill:
    return standstill(orc.engine.read(), agent, workstream, orc.engine.now())


def lines(orc: Orchestrator, agent: str = "bob") -> list[str]:
    return reasons(orc, agent).lines("orc")


def record(orc: Orchestrator, event: Event) -> None:
    orc.engine.run("tests.record", lambda tx: tx.record(event), lambda *_: None, None)


def group_of(state: State, task: Task, agent: str, now: str) -> str:
    """The group of a task, by the definition."""
    is_closed = state.workstreams[task.workstream].status != "active"
    if task.status in HELD and not task.has_lapsed(now):
        if task.assigned_to == agent or task.status == "in_progress":
            return "mine" if task.assigned_to == agent else "working"
        return "closed" if is_closed else "assigned"
    if task.waits_for:
        return "merging"  # the runner of the merge queue works on, whatever the workstream
    if task.status == "in_review" and task.review_until > now:
        return "in_review"  # its reviewer ends it all the same
    if is_closed:
        return "closed"
    if task.status in ("in_review", "blocked"):
        return task.status
    if is_offered(state, task, now):
        return "held_back" if state.schedule.task_collisions(task, agent, now) else "ready"
    if task.is_clear and task.defer_until > now:
        return "deferred"
    return "signals" if task.is_reached and task.awaits_signal else "waiting"


class Life:
    """A board with random events."""

    AGENTS = ("ann", "bob", "carl")
    STEPS = (
        *("add", "add", "next", "next", "end", "end", "judge", "block", "defer", "stream"),
        *("pass_time", "sling", "lock", "cancel", "ask", "hand_in", "hand_in", "merge"),
    )

    def __init__(self, orc: Orchestrator, clock: SettableClock, seed: int) -> None:
        self.orc, self.clock, self.dice = orc, clock, random.Random(seed)

    def step(self) -> None:
        getattr(self, self.dice.choice(self.STEPS))(self.orc.tasks.all())

    def pick(self, tasks: list[Task], *statuses: str) -> Task | None:
        fitting = [task for task in tasks if task.status in statuses]
        return self.dice.choice(fitting) if fitting else None

    def agent(self) -> str:
        return self.dice.choice(self.AGENTS)

    def add(self, tasks: list[Task]) -> None:
        if self.orc.workstreams.all()[0].status != "active":
            return
        maybe = self.dice.choice
        self.orc.tasks.add(
            "docs",
            title="x",
            parent=maybe([None, *(t.id for t in tasks[-3:] if t.status not in ENDED)]),
            needs=[t.id for t in self.dice.sample(tasks, min(len(tasks), maybe([0, 0, 1, 2])))],
            touches=maybe([[], ["git"], ["src/**"], ["src/a"]]),
            review=maybe([None, True]),
            defer=maybe([None, None, "100s"]),
        )

    def ask(self, tasks: list[Task]) -> None:
        needs = tuple(task.id for task in tasks[-1:] if self.dice.random() < 0.3)
        event = TaskAdded(
            id=f"a{len(tasks)}",
            workstream="docs",
            title="x",
            needs=needs,
            signals=(Signal(kind="human", name="go"),),
        )
        if self.orc.workstreams.all()[0].status == "active" and len(tasks) % 5 == 0:
            record(self.orc, event)

    def next(self, _: list[Task]) -> None:
        self.orc.tasks.next(agent=self.agent(), lease=self.dice.choice([50, 500]), review=True)

    def end(self, tasks: list[Task]) -> None:
        if task := self.pick(tasks, "in_progress"):
            getattr(self.orc.tasks, self.dice.choice(["complete", "fail", "release"]))(task.id)

    def judge(self, tasks: list[Task]) -> None:
        if task := self.pick(tasks, "in_review"):
            holder = task.reviewer if task.review_until > self.orc.engine.now() else None
            self.orc.reviews.approve(task.id, agent=holder or "judge")

    def hand_in(self, tasks: list[Task]) -> None:
        if task := self.pick(tasks, "in_progress"):
            hand_in(self.orc, task.id)

    def merge(self, _: list[Task]) -> None:
        for submission in self.orc.merges.claim("queue", lease=50):
            number, token = submission.number, submission.token or 0
            end = self.dice.choice(["merged", "returned", "kept"])
            if end == "merged":
                self.orc.merges.merged(number, token, commit="b" * 40)
            elif end == "returned":
                self.orc.merges.returned(number, token, kind="red", reason="a test failed")

    def block(self, tasks: list[Task]) -> None:
        if task := self.pick(tasks, "pending", "blocked"):
            if task.status == "blocked":
                self.orc.tasks.unblock(task.id)
            else:
                self.orc.tasks.block(task.id, reason="rain")

    def defer(self, tasks: list[Task]) -> None:
        if task := self.pick(tasks, "pending", "in_progress"):
            self.orc.tasks.edit(task.id, defer="100s")

    def stream(self, _: list[Task]) -> None:
        stream = self.orc.workstreams.all()[0]
        other = "reopen" if stream.status == "closed" else "close"
        if other == "reopen" or self.dice.random() < 0.2:
            getattr(self.orc.workstreams, other)(stream.name)

    def pass_time(self, _: list[Task]) -> None:
        self.clock.advance(self.dice.choice([1, 40, 200]))

    def sling(self, tasks: list[Task]) -> None:
        if task := self.pick(tasks, "pending"):
            self.orc.hooks.sling(task.id, self.agent(), convoy=False)

    def lock(self, _: list[Task]) -> None:
        name = self.dice.choice(["git", "src/a"])
        held = self.orc.locks.get(name).holders
        if held:
            self.orc.locks.release(name, agent=held[0].agent)
        elif name == "git":
            self.orc.locks.acquire(name, agent=self.agent(), ttl=60)

    def cancel(self, tasks: list[Task]) -> None:
        if task := self.pick(tasks, "pending", "in_review", "failed"):
            step = "reopen" if task.status == "failed" else "cancel"
            getattr(self.orc.tasks, step)(task.id, reason="it is so")


@pytest.mark.parametrize("seed", range(4))
def test_every_open_task_is_counted_in_one_group_by_its_definition(
    orc: Orchestrator, clock: SettableClock, seed: int
):
    life = Life(orc, clock, seed)
    met: set[str] = set()
    for _ in range(250):
        try:
            life.step()
        except Exception as error:  # a lock that another agent holds, a task that is not ready
            if getattr(error, "code", "") not in REFUSALS:
                raise
        agent = life.agent()
        for workstream in (None, "docs", "build"):
            state, now = orc.engine.read(), orc.engine.now()
            expected = dict.fromkeys(GROUPS, 0)
            members: dict[str, set[str]] = {name: set() for name in GROUPS}
            for task in state.tasks.values():
                if task.status not in ENDED and workstream in (None, task.workstream):
                    name = group_of(state, task, agent, now)
                    expected[name] += 1
                    members[name].add(task.id)
            answer = standstill(state, agent, workstream, now)
            groups: dict[str, TaskGroup] = {name: getattr(answer, name) for name in GROUPS}
            assert {name: group.count for name, group in groups.items()} == expected
            assert answer.open == sum(expected.values())
            for name, group in groups.items():
                assert {held.task for held in group.tasks} <= members[name]
                assert len(group.tasks) == min(3, group.count)
            met |= {name for name, count in expected.items() if count}
            answer.lines("orc")
    assert len(met) >= 9, "the life was a dull one"


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_answered_only_if_there_is_nothing(
    orc: Orchestrator, clock: SettableClock, seed: int
):
    life = Life(orc, clock, seed)
    kinds: set[str] = set()
    for _ in range(200):
        try:
            life.step()
        except Exception as error:
            if getattr(error, "code", "") not in REFUSALS:
                raise
        agent = life.agent()
        best = orc.engine.read().schedule.best(None, agent, orc.engine.now(), review=True)
        is_open = any(task.status not in ENDED for task in orc.tasks.all())
        with orc.rehearsal():
            answer = orc.next(agent=agent, mail=False)
        kinds.add(answer.kind)
        if best is not None:
            assert answer.task is not None
            assert answer.task.id == best.id
            assert answer.kind == ("review" if best.status == "in_review" else "task")
        elif is_open or not orc.tasks.all():
            assert answer.kind == "none"
            assert answer.standstill is not None
            assert answer.standstill.ready.count == 0
        else:
            assert answer.kind == "ended"
    assert {"task", "none"} <= kinds


def test_work_of_others_is_named_with_title_agent_time_and_who_waits(orc: Orchestrator):
    first = orc.tasks.add("build", title="Write the parser").id
    second = orc.tasks.add("build", title="Test it", needs=[first]).id
    orc.tasks.claim(first, agent="ann")
    work, waiting, *_ = lines(orc)
    assert work.startswith(f"- In work (1): {first} Write the parser: ann until ")
    assert work.endswith(" (needed by 1)")
    assert waiting == (
        f"- Waits for other tasks (1): {second} Test it:"
        f" needs {first} Write the parser, which is in_progress"
    )


def test_a_failed_need_is_named_with_its_reason_and_the_command_that_frees_it(orc: Orchestrator):
    first = orc.tasks.add("build", title="Ask").id
    orc.tasks.add("build", title="Use the answer", needs=[first])
    orc.tasks.claim(first, agent="ann")
    orc.tasks.fail(first, reason="no answer")
    text = "\n".join(lines(orc))
    assert f"- Not done, but needed (1): {first} Ask: no answer (`orc t reopen {first}`)" in text
    assert "Nobody works on a task, so no task will end without a new claim." in text


def test_what_others_hold_is_named_with_the_holder(orc: Orchestrator):
    task = orc.tasks.add("build", title="Commit", touches=["git"]).id
    orc.locks.acquire("git", agent="ann", ttl=60)
    [line, *_] = lines(orc)
    assert line.startswith(f"- Held back (1): {task} Commit: touches git, which ann holds until ")


def test_a_review_is_named_with_worker_and_reviewer(orc: Orchestrator):
    task = orc.tasks.add("build", title="Commit", review=True).id
    orc.tasks.claim(task, agent="ann")
    orc.tasks.complete(task, agent="ann")
    assert lines(orc, "ann")[0] == (
        f"- In review (1): {task} Commit of ann, no agent reviews it yet:"
        " another agent must review it"
    )
    assert f"`orc t review {task}` takes a review that is due." in lines(orc, "bob")
    orc.reviews.claim(task, agent="carl")
    [line, *rest] = lines(orc, "bob")
    assert line.startswith(f"- In review (1): {task} Commit of ann, carl reviews it until ")
    assert not any("t review" in text for text in rest)


def test_a_review_that_does_not_suit_is_explained(orc: Orchestrator):
    orc.agents.register("bob", capabilities=["docs"])
    task = orc.tasks.add("build", title="Commit", review=True).id
    orc.tasks.claim(task, agent="ann")
    orc.tasks.complete(task, agent="ann")
    assert lines(orc)[0].endswith(": it is of a kind that your capabilities leave out")


def test_a_long_group_names_three_and_counts_the_rest(orc: Orchestrator):
    for number in range(5):
        orc.tasks.add("build", title=f"t{number}", defer="2h")
    [line, *_] = lines(orc)
    assert line.startswith("- Put off (5): ")
    assert line.endswith("; and 2 more")


def test_titles_of_others_move_nothing_on_a_terminal(orc: Orchestrator):
    orc.tasks.add("build", title="a\x1b[2Jb", defer="2h")
    assert "\x1b" not in "\n".join(lines(orc))


def test_the_last_line_is_the_command_that_waits(orc: Orchestrator):
    assert lines(orc)[-1] == "`orc next --wait 10m` waits for work."
    asked = reasons(orc, workstream="docs").lines("orc --agent bob")
    assert asked[-1] == "`orc --agent bob next docs --wait 10m` waits for work."


def test_a_parent_that_waits_for_its_parts_is_named_with_them(orc: Orchestrator):
    top = orc.tasks.add("build", title="Top").id
    part = orc.tasks.add("build", title="Part", parent=top).id
    orc.tasks.claim(part, agent="ann")
    assert f"- Waits for other tasks (1): {top} Top: has open parts: {part} (Part)" in lines(orc)


@pytest.mark.parametrize("what", ["review", "blocked", "assigned", "pending", "failed need"])
def test_what_stands_in_a_closed_workstream_goes_on_when_that_is_open_again(
    orc: Orchestrator, what: str
):
    task = orc.tasks.add("build", title="Ship", review=what == "review").id
    if what == "blocked":
        orc.tasks.block(task, reason="rain")
    elif what == "assigned":
        orc.hooks.sling(task, "carl", convoy=False)
    elif what in ("review", "failed need"):
        orc.tasks.claim(task, agent="ann")
        getattr(orc.tasks, "complete" if what == "review" else "fail")(task, agent="ann")
    if what == "failed need":
        orc.tasks.add("docs", title="Tell", needs=[task])
    orc.workstreams.close("build")
    [line] = [line for line in lines(orc) if task in line and "Ship" in line and "`" in line]
    label = "Not done, but needed" if what == "failed need" else "In a closed workstream"
    assert line.startswith(f"- {label} (1): {task} Ship")
    assert "(`orc ws reopen build`)" in line
    answer = reasons(orc)
    assert not answer.goes_on
    assert answer.review is None


def test_a_need_in_the_archive_is_named_with_the_command_that_drops_it(orc: Orchestrator):
    need = orc.tasks.add("build", title="Gone").id
    orc.tasks.cancel(need)
    task = orc.tasks.add("build", title="Ship", needs=[need]).id
    orc.tasks.archive([need])
    assert f"(`orc t dep remove {task} {need}`)" in "".join(lines(orc))


def test_of_many_waiting_agents_the_first_are_named(orc: Orchestrator):
    agents = [f"agent-{number}" for number in range(5)]
    reasons = standstill(orc.engine.read(), "bob", None, orc.engine.now(), agents)
    assert "Also waiting for work: agent-0, agent-1, agent-2 and 2 more." in reasons.lines("orc")
    assert reasons.waiters == tuple(agents)


def test_a_branch_that_waits_to_be_merged_is_named_with_worker_and_runner(orc: Orchestrator):
    task = orc.tasks.add("build", title="Parse").id
    orc.tasks.claim(task, agent="ann")
    hand_in(orc, task)
    waits, *rest = lines(orc)
    shown = f"(`orc merge show {task}`)"
    assert waits == f"- To be merged (1): {task} Parse of ann, no runner merges it yet {shown}"
    assert not any("no task will end without a new claim" in line for line in rest)
    run = "Only merges are left: `orc merge run --once` makes them, if no runner does."
    assert run in rest
    orc.merges.claim("queue")
    assert run not in lines(orc)
    assert f"Parse of ann, queue merges it until 06:23 {shown}" in lines(orc)[0]
    assert orc.next(agent="bob").kind == "none"
