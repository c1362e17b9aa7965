"""Convoys: they land automatically with their last task, in whatever way it ends."""

from contextlib import suppress

import pytest
from boards import add, changes_nothing, code_of, new_store
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from orchestrator import NotFound, Orchestrator
from orchestrator.core.errors import BadName, OrchestratorError

pytestmark = pytest.mark.usefixtures("build")


def end(orc: Orchestrator, task: str, how: str) -> None:
    if how in ("complete", "fail"):
        orc.tasks.claim(task, agent="ann")
    if how == "duplicate":
        orc.links.duplicate(task, add(orc, "the other"))
    else:
        getattr(orc.tasks, how)(task)


def test_a_watcher_is_no_other_spelling_of_an_agent_that_is_here(orc: Orchestrator):
    task = add(orc)
    orc.agents.register("ann")
    with changes_nothing(orc), pytest.raises(BadName):
        orc.convoys.create("release", [task], notify=["Ann"])


@pytest.mark.parametrize("how", ["complete", "fail", "cancel", "duplicate"])
def test_a_convoy_lands_with_its_last_task_by_any_path_and_notifies_its_watchers_once(
    orc: Orchestrator, how: str
):
    first, second = add(orc), add(orc)
    orc.convoys.create("release", [first, second], notify=["boss", "eve"])
    orc.tasks.cancel(first)
    assert orc.convoys.get("release").status == "open"
    end(orc, second, how)
    assert orc.convoys.get("release").status == "landed"
    for watcher in ("boss", "eve"):
        assert [m.subject for m in orc.mail.inbox(agent=watcher)] == ["Convoy release has landed"]


def test_the_end_and_the_landing_are_one_commit(orc: Orchestrator):
    task = add(orc)
    orc.convoys.create("release", [task], notify=["boss"])
    orc.tasks.cancel(task)
    types = [record.type for record in orc.events.read(last=3)]
    assert types == ["task.cancelled", "convoy.landed", "message.sent"]
    assert [record.more for record in orc.events.read(last=3)] == [True, True, False]


def test_an_empty_convoy_stays_open(orc: Orchestrator):
    assert orc.convoys.create("empty").status == "open"
    task = add(orc)
    orc.convoys.add("empty", [task])
    orc.convoys.remove("empty", [task])
    assert orc.convoys.get("empty").status == "open"


def test_a_reopened_task_opens_its_convoy_which_lands_again(orc: Orchestrator):
    task = add(orc)
    orc.convoys.create("release", [task], notify=["boss"])
    orc.tasks.cancel(task)
    orc.tasks.reopen(task)
    assert orc.convoys.get("release").status == "open"
    orc.tasks.cancel(task)
    assert orc.convoys.get("release").landings == 2
    assert len(orc.mail.inbox(agent="boss")) == 2


def test_adding_an_open_task_opens_a_landed_convoy_and_removing_it_lands_it(orc: Orchestrator):
    done, late = add(orc), add(orc)
    orc.tasks.cancel(done)
    assert orc.convoys.create("release", [done]).name == "release"
    assert orc.convoys.get("release").status == "landed"
    orc.convoys.add("release", [late])
    assert orc.convoys.get("release").status == "open"
    orc.convoys.remove("release", [late])
    assert orc.convoys.get("release").status == "landed"


def test_a_cancelled_convoy_is_followed_no_more(orc: Orchestrator):
    task = add(orc)
    orc.convoys.create("release", [task], notify=["boss"])
    orc.convoys.cancel("release", reason="no")
    orc.tasks.cancel(task)
    assert orc.convoys.get("release").status == "cancelled"
    assert orc.mail.inbox(agent="boss") == []
    with changes_nothing(orc):
        assert orc.convoys.cancel("release").status == "cancelled"
        assert code_of(lambda: orc.convoys.start("release")) == "illegal_step"


def test_a_watcher_whose_group_is_empty_keeps_no_task_from_ending(orc: Orchestrator):
    task = add(orc)
    orc.convoys.create("release", [task], notify=["list:nobody", "@type:ghost", "boss"])
    orc.tasks.cancel(task)
    assert orc.convoys.get("release").status == "landed"
    assert len(orc.mail.inbox(agent="boss")) == 1


def test_the_creator_of_a_convoy_is_notified_unless_others_are_named(orc: Orchestrator):
    assert orc.convoys.create("mine", agent="ann").notify == ("ann",)
    assert orc.convoys.create("system").notify == ()
    with changes_nothing(orc):
        assert code_of(lambda: orc.convoys.create("bad", notify=["@nobody:x"])) == "usage"


def test_names_are_checked_and_used_once(orc: Orchestrator):
    orc.convoys.create("release")
    with changes_nothing(orc):
        assert orc.convoys.create("release").tasks == ()
        for facts in ({"description": "x"}, {"notify": ["bob"]}):
            again = lambda: orc.convoys.create("release", **facts)  # noqa: B023,E731
            assert code_of(again) == "convoy_exists"
        assert code_of(lambda: orc.convoys.create("RELEASE")) == "bad_name"
        assert code_of(lambda: orc.convoys.create("../x")) == "bad_name"
        with pytest.raises(NotFound):
            orc.convoys.add("release", ["00000000"])
        with pytest.raises(NotFound):
            orc.convoys.status("nothing")


def test_the_status_counts_every_task_archived_ones_too(orc: Orchestrator):
    done, running, waiting = add(orc), add(orc), add(orc)
    orc.convoys.create("release", [done, running, waiting])
    end(orc, done, "complete")
    orc.tasks.archive([done])
    orc.tasks.claim(running, agent="ann")
    status = orc.convoys.status("release")
    assert status.counts == {"pending": 1, "in_progress": 1, "done": 1}
    assert (status.total, status.ended, status.percent, status.ready) == (3, 1, 33, 1)


def test_the_status_says_why_a_task_waits(orc: Orchestrator):
    running = add(orc)
    waiting = add(orc, needs=[running])
    orc.convoys.create("release", [running, waiting, add(orc)])
    orc.tasks.claim(running, agent="ann")
    waits = orc.convoys.status("release").waits
    assert waits == {waiting: [f"needs {running}, which is in_progress"]}


class Following(RuleBasedStateMachine):
    """Random histories of tasks in random convoys: a convoy has landed exactly if all its tasks have
    ended."""

    def __init__(self) -> None:
        super().__init__()
        self.orc = Orchestrator(new_store())
        self.told = 0

    @initialize()
    def begin(self) -> None:
        self.orc.workstreams.create("build")
        for name in ("one", "two"):
            self.orc.convoys.create(name, notify=["boss"])

    def attempt(self, call: object, *words: object, **options: object) -> None:
        with suppress(OrchestratorError):
            call(*words, **options)  # type: ignore[operator]

    def pick(self, number: int) -> str:
        state = self.orc.engine.read()
        ids = [*state.tasks, *state.tasks.archived]
        return ids[number % len(ids)] if ids else "00000000"

    @rule()
    def add(self) -> None:
        self.orc.tasks.add("build", title="x")

    @rule(
        number=st.integers(0, 99),
        step=st.sampled_from(["complete", "fail", "cancel", "reopen", "release"]),
    )
    def step(self, number: int, step: str) -> None:
        task = self.pick(number)
        self.attempt(self.orc.tasks.claim, task, agent="ann")
        self.attempt(getattr(self.orc.tasks, step), task)

    @rule(number=st.integers(0, 99))
    def archive(self, number: int) -> None:
        self.attempt(self.orc.tasks.archive, [self.pick(number)])

    @rule(
        number=st.integers(0, 99),
        name=st.sampled_from(["one", "two"]),
        step=st.sampled_from(["add", "add", "remove"]),
    )
    def change(self, number: int, name: str, step: str) -> None:
        self.attempt(getattr(self.orc.convoys, step), name, [self.pick(number)])

    @invariant()
    def landed_means_that_all_have_ended(self) -> None:
        state = self.orc.engine.read()
        landings = 0
        for convoy in state.convoys.values():
            still = [task for task in convoy.tasks if state.tasks.is_open(task)]
            assert convoy.open_tasks == len(still)
            if convoy.tasks:
                assert convoy.status == ("open" if still else "landed")
            landings += convoy.landings
        subjects = [message.subject for message in self.orc.mail.inbox(agent="boss")]
        landed = [subject for subject in subjects if subject.startswith("Convoy")]
        assert sum(1 + subject.count(",") for subject in landed) == landings


TestFollowing = Following.TestCase
TestFollowing.settings = settings(stateful_step_count=30)
