"""Goals: dates with tasks. A goal keeps the history of its dates, and contains no deleted task."""

from contextlib import suppress

import pytest
from boards import SettableClock, add, changes_nothing, code_of, new_store
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from orchestrator import NotFound, Orchestrator, Refused
from orchestrator.core.errors import OrchestratorError, UsageError

pytestmark = pytest.mark.usefixtures("build")

DAY = 86400.0


def end(orc: Orchestrator, task: str) -> None:
    orc.tasks.claim(task, agent="ann")
    orc.tasks.complete(task)


def test_a_day_means_its_end_and_words_of_time_are_taken(
    orc: Orchestrator, clock: SettableClock
) -> None:
    assert orc.goals.create("beta", due="2027-12-01").due == "2027-12-01T23:59:59.999Z"
    later = orc.goals.create("soon", due="3d").due
    assert later == orc.goals.edit("soon", due="in 3 days").due
    for text in ("soon", "20261201"):
        with changes_nothing(orc), pytest.raises(UsageError, match="not a time for due"):
            orc.goals.create("bad", due=text)


def test_the_first_goal_upgrades_the_board_in_its_commit(orc: Orchestrator) -> None:
    orc.events.log("ann", "goal.created", goal="mine")
    orc.goals.create("beta", due="3d", agent="ann")
    types = [record.type for record in orc.events.read()]
    assert types[1:] == ["goal.created", "board.upgraded", "goal.created"]
    assert [goal.name for goal in orc.goals.all()] == ["beta"]
    orc.goals.create("gamma", due="3d")
    assert [record.type for record in orc.events.read()].count("board.upgraded") == 1


def test_creating_a_goal_again_changes_nothing_and_another_of_its_name_is_refused(
    orc: Orchestrator,
) -> None:
    task = add(orc)
    goal = orc.goals.create("beta", [task], due="2027-12-01")
    with changes_nothing(orc):
        assert orc.goals.create("beta", [task], due="2027-12-01") == goal
        assert code_of(lambda: orc.goals.create("beta", due="2027-12-01")) == "goal_exists"
        assert code_of(lambda: orc.goals.create("BETA", due="2027-12-01")) == "bad_name"
        assert code_of(lambda: orc.goals.create("../x", due="2027-12-01")) == "bad_name"


def test_progress_counts_wanted_tasks_and_what_is_left(orc: Orchestrator) -> None:
    done, cancelled, waits = add(orc), add(orc), add(orc, estimate=90)
    free = add(orc)
    orc.links.add(waits, free)
    orc.goals.create("beta", [done, cancelled, waits, free], due="3d")
    end(orc, done)
    orc.tasks.archive([done])
    orc.tasks.cancel(cancelled)
    status = orc.goals.status("beta")
    assert (status.total, status.done, status.open, status.percent) == (3, 1, 2, 33)
    assert (status.blocked, status.estimate, status.without_estimate) == (1, 90.0, 1)
    assert status.counts == {"pending": 2, "done": 1, "cancelled": 1}
    assert [row["task"] for row in status.tasks] == [done, cancelled, waits, free]


def test_tasks_are_added_once_and_removed_and_unknown_ones_are_refused(orc: Orchestrator) -> None:
    task, other = add(orc), add(orc)
    orc.goals.create("beta", [task], due="3d")
    assert orc.goals.add("beta", [task[:5], other]).tasks == (task, other)
    with changes_nothing(orc):
        assert orc.goals.add("beta", [other]).tasks == (task, other)
        assert code_of(lambda: orc.goals.add("beta", ["00000000"])) == "task_not_found"
        with pytest.raises(UsageError, match="twice"):
            orc.goals.add("beta", [task, task])
    assert orc.goals.remove("beta", [task]).tasks == (other,)
    with changes_nothing(orc):
        assert code_of(lambda: orc.goals.remove("beta", [task])) == "not_in_goal"
        with pytest.raises(NotFound, match="did you mean 'beta'"):
            orc.goals.status("bet")


def test_a_deleted_task_is_no_task_of_a_goal(orc: Orchestrator) -> None:
    task, other = add(orc), add(orc)
    orc.goals.create("beta", [task, other], due="3d")
    orc.tasks.delete([task])
    assert orc.goals.get("beta").tasks == (other,)
    with changes_nothing(orc), pytest.raises(Refused, match="is deleted"):
        orc.goals.add("beta", [task])


def test_a_moved_date_keeps_the_dates_before_with_the_reason(
    orc: Orchestrator, clock: SettableClock
) -> None:
    orc.goals.create("beta", due="2027-12-01")
    orc.goals.edit("beta", due="2027-12-08", reason="The tests came late", agent="ann")
    goal = orc.goals.edit("beta", due="2027-12-04", agent="ann")
    assert [(m.before[8:10], m.after[8:10], m.reason) for m in goal.moves] == [
        ("01", "08", "The tests came late"),
        ("08", "04", ""),
    ]
    assert orc.goals.status("beta").moved == 3 * DAY
    with changes_nothing(orc):
        assert orc.goals.edit("beta", due="2027-12-04") == goal
        with pytest.raises(UsageError, match="Nothing is to be changed"):
            orc.goals.edit("beta")


def test_a_goal_is_late_after_its_date_while_it_is_open(
    orc: Orchestrator, clock: SettableClock
) -> None:
    orc.goals.create("beta", due="1d")
    orc.goals.create("gamma", due="5d")
    assert orc.status().late_goals == []
    clock.advance(3 * DAY)
    assert orc.goals.status("beta").late == 2 * DAY
    assert [goal.name for goal in orc.status().late_goals] == ["beta"]
    assert orc.status().text().count("beta (due") == 1
    assert orc.prime("ann").text.count("Late: beta") == 1
    assert "gamma" not in orc.prime("ann").text
    orc.goals.reach("beta")
    assert orc.goals.status("beta").late == 0
    assert "Late" not in orc.prime("ann").text
    assert "Late" not in orc.status().text()


def test_a_goal_is_reached_when_its_tasks_have_ended(orc: Orchestrator) -> None:
    done, still = add(orc), add(orc)
    orc.goals.create("beta", [done, still], due="3d")
    end(orc, done)
    with changes_nothing(orc), pytest.raises(Refused, match=still):
        orc.goals.reach("beta")
    orc.tasks.cancel(still)
    goal = orc.goals.reach("beta", agent="ann")
    assert (goal.status, goal.ended_by) == ("reached", "ann")
    assert orc.goals.all() == []
    assert orc.goals.all(ended=True) == [goal]
    orc.tasks.reopen(still)
    with changes_nothing(orc):
        assert orc.goals.reach("beta") == goal
        for refused in (
            lambda: orc.goals.drop("beta"),
            lambda: orc.goals.add("beta", [still]),
            lambda: orc.goals.remove("beta", [still]),
            lambda: orc.goals.edit("beta", due="9d"),
        ):
            assert code_of(refused) == "illegal_step"


def test_a_dropped_goal_leaves_its_tasks_and_can_be_reopened(orc: Orchestrator) -> None:
    task = add(orc)
    orc.goals.create("beta", [task], due="3d")
    goal = orc.goals.drop("beta", reason="Not wanted")
    assert (goal.status, goal.reason) == ("dropped", "Not wanted")
    assert orc.tasks.get(task).status == "pending"
    assert code_of(lambda: orc.goals.reach("beta")) == "illegal_step"
    goal = orc.goals.reopen("beta")
    assert (goal.status, goal.reason, goal.ended_at) == ("open", "", "")
    with changes_nothing(orc):
        assert orc.goals.reopen("beta") == goal


def test_goals_are_listed_the_next_date_first(orc: Orchestrator) -> None:
    for name, due in (("late", "9d"), ("soon", "1d"), ("then", "5d")):
        orc.goals.create(name, due=due)
    assert [goal.name for goal in orc.goals.all()] == ["soon", "then", "late"]


class Pursuing(RuleBasedStateMachine):
    """Random histories of tasks in random goals, compared with a dictionary of sets."""

    def __init__(self) -> None:
        super().__init__()
        self.orc = Orchestrator(new_store())
        self.tasks: dict[str, list[str]] = {"one": [], "two": []}
        self.ended: set[str] = set()
        self.ids: list[str] = []

    @initialize()
    def begin(self) -> None:
        self.orc.workstreams.create("build")
        for name in self.tasks:
            self.orc.goals.create(name, due="3d")

    @rule()
    def add(self) -> None:
        self.ids.append(self.orc.tasks.add("build", title="x").id)

    @rule(
        number=st.integers(0, 99),
        name=st.sampled_from(["one", "two"]),
        verb=st.sampled_from(["add", "add", "remove"]),
    )
    def change(self, number: int, name: str, verb: str) -> None:
        if not self.ids:
            return
        task, mine = self.ids[number % len(self.ids)], self.tasks[name]
        is_right = name not in self.ended and (verb == "add" or task in mine)
        if not is_right:
            with pytest.raises(OrchestratorError):
                getattr(self.orc.goals, verb)(name, [task])
            return
        getattr(self.orc.goals, verb)(name, [task])
        if verb == "remove":
            mine.remove(task)
        elif task not in mine:
            mine.append(task)

    @rule(
        number=st.integers(0, 99), step=st.sampled_from(["complete", "cancel", "reopen", "archive"])
    )
    def step(self, number: int, step: str) -> None:
        if not self.ids:
            return
        task = self.ids[number % len(self.ids)]
        with suppress(OrchestratorError):
            self.orc.tasks.claim(task, agent="ann")
        with suppress(OrchestratorError):
            getattr(self.orc.tasks, step)([task] if step == "archive" else task)

    @rule(number=st.integers(0, 99))
    def delete(self, number: int) -> None:
        if not self.ids:
            return
        task = self.ids[number % len(self.ids)]
        try:
            self.orc.tasks.delete([task])
        except OrchestratorError:
            return
        self.ids.remove(task)
        for mine in self.tasks.values():
            if task in mine:
                mine.remove(task)

    @rule(name=st.sampled_from(["one", "two"]), verb=st.sampled_from(["reach", "drop", "reopen"]))
    def end(self, name: str, verb: str) -> None:
        if verb == "reopen":
            self.orc.goals.reopen(name)
            self.ended.discard(name)
            return
        with suppress(OrchestratorError):
            getattr(self.orc.goals, verb)(name)
            self.ended.add(name)

    @invariant()
    def goals_are_those_of_the_model(self) -> None:
        state = self.orc.engine.read()
        for name, goal in state.goals.items():
            assert [*goal.tasks] == self.tasks[name]
            assert (goal.status != "open") == (name in self.ended)
            status = self.orc.goals.status(name)
            assert status.open == sum(map(state.tasks.is_open, goal.tasks))
            assert sum(status.counts.values()) == len(goal.tasks)
        for task in self.ids:
            goals = [name for name, mine in self.tasks.items() if task in mine]
            assert sorted(state.goals.goals_of.get(task, [])) == goals


TestPursuing = Pursuing.TestCase
TestPursuing.settings = settings(stateful_step_count=30)
