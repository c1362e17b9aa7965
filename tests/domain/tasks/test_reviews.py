"""Reviews are work: an agent has a review with its own lease, and `next` returns reviews too."""

import pytest
from boards import SettableClock, changes_nothing, code_of

from orchestrator import Orchestrator


@pytest.fixture(autouse=True)
def streams(orc: Orchestrator) -> None:
    orc.workstreams.create("build", priority=2)
    orc.workstreams.create("docs", priority=1)


def in_review(orc: Orchestrator, *, worker: str = "ann", stream: str = "build", **facts) -> str:
    task = orc.tasks.add(stream, title="x", review=True, **facts).id
    orc.tasks.claim(task, agent=worker)
    orc.tasks.complete(task, agent=worker)
    return task


def given(orc: Orchestrator, agent: str, workstream: str | None = None) -> str | None:
    task = orc.tasks.next(workstream, agent=agent, review=True)
    return None if task is None else task.id


def test_a_review_is_handed_out_once_and_before_new_work(orc: Orchestrator):
    review = in_review(orc)
    new = orc.tasks.add("docs", title="new").id
    task = orc.tasks.next(agent="bob", review=True)
    assert task is not None
    assert (task.id, task.status, task.reviewer) == (review, "in_review", "bob")
    assert task.review_until == "2026-11-21T06:43:00.000Z"
    assert task.assigned_to == "ann"
    assert given(orc, "carl") == new


def test_what_is_assigned_to_an_agent_goes_before_reviews(orc: Orchestrator):
    in_review(orc)
    mine = orc.tasks.add("build", title="mine").id
    orc.hooks.sling(mine, "bob")
    assert given(orc, "bob") == mine


def test_only_those_who_ask_for_reviews_get_them(orc: Orchestrator):
    in_review(orc)
    assert orc.tasks.next(agent="bob") is None


def test_no_agent_is_given_the_review_of_its_own_work(orc: Orchestrator):
    in_review(orc)
    assert given(orc, "ann") is None


def test_an_agent_is_given_reviews_that_it_suits(orc: Orchestrator):
    orc.agents.register("bob", capabilities=["ui"])
    in_review(orc, labels=["api"])
    assert given(orc, "bob") is None
    ui = in_review(orc, labels=["api", "ui"])
    assert given(orc, "bob") == ui


def test_reviews_come_by_workstream_priority_then_task_priority_then_age(orc: Orchestrator):
    late = in_review(orc, priority=2)
    early = in_review(orc, worker="carl", priority=1)
    first = in_review(orc, stream="docs", priority=5)
    assert [given(orc, "bob") for _ in range(4)] == [first, early, late, None]


def test_a_closed_workstream_gives_no_reviews_and_a_named_one_only_its_own(orc: Orchestrator):
    docs, build = in_review(orc, stream="docs"), in_review(orc)
    assert given(orc, "bob", "build") == build
    orc.workstreams.close("docs")
    assert given(orc, "bob") is None
    orc.workstreams.reopen("docs")
    assert given(orc, "bob") == docs


def test_a_review_that_lapses_goes_to_another_agent(orc: Orchestrator, clock: SettableClock):
    task = in_review(orc)
    orc.reviews.claim(task, agent="bob", lease=60)
    assert given(orc, "carl") is None
    clock.advance(60)
    assert given(orc, "carl") == task
    assert code_of(lambda: orc.reviews.approve(task, agent="bob")) == "review_held"
    assert orc.reviews.approve(task, agent="carl").status == "done"


def test_a_wait_ends_when_a_review_lapses(orc: Orchestrator):
    task = in_review(orc)
    orc.reviews.claim(task, agent="bob", lease=60)
    now = orc.engine.now()
    change = orc.engine.read().schedule.next_change(now)
    assert change == orc.tasks.get(task).review_until


def test_claiming_a_review_that_one_has_changes_nothing(orc: Orchestrator):
    task = in_review(orc)
    until = orc.reviews.claim(task, agent="bob").review_until
    with changes_nothing(orc):
        assert orc.reviews.claim(task, agent="bob", lease="2h").review_until == until


def test_the_reviewer_is_named_to_others_with_the_time(orc: Orchestrator):
    task = in_review(orc)
    orc.reviews.claim(task, agent="bob")
    for step in (
        lambda: orc.reviews.claim(task, agent="carl"),
        lambda: orc.reviews.approve(task, agent="carl"),
        lambda: orc.reviews.reject(task, agent="carl", reason="no"),
    ):
        with pytest.raises(Exception, match=f"bob reviews task {task} until 06:43"):
            step()


def test_the_worker_cannot_take_the_review(orc: Orchestrator):
    task = in_review(orc)
    assert code_of(lambda: orc.reviews.claim(task, agent="ann")) == "own_work"


@pytest.mark.parametrize("status", ["pending", "done"])
def test_only_what_is_in_review_can_be_taken_as_a_review(orc: Orchestrator, status: str):
    task = orc.tasks.add("build", title="x").id
    if status == "done":
        orc.tasks.claim(task, agent="ann")
        orc.tasks.complete(task, agent="ann")
    assert code_of(lambda: orc.reviews.claim(task, agent="bob")) == "illegal_step"


def test_signs_of_life_renew_a_review(orc: Orchestrator, clock: SettableClock):
    task = in_review(orc)
    orc.reviews.claim(task, agent="bob", lease=60)
    clock.advance(29)
    orc.agents.heartbeat("bob")
    assert orc.tasks.get(task).review_until == "2026-11-21T06:14:00.000Z"
    clock.advance(1)
    orc.agents.heartbeat("bob")
    assert orc.tasks.get(task).review_until == "2026-11-21T06:14:30.000Z"


def test_a_renewed_review_is_not_taken_for_one_that_was_handed_out(
    orc: Orchestrator, clock: SettableClock
):
    orc.reviews.claim(in_review(orc), agent="bob", lease=60)
    clock.advance(30)
    assert given(orc, "bob") is None


def test_a_review_is_given_back(orc: Orchestrator):
    task = in_review(orc)
    assert code_of(lambda: orc.reviews.release(task, agent="bob")) == "not_holder"
    orc.reviews.claim(task, agent="bob")
    assert code_of(lambda: orc.reviews.release(task, agent="carl")) == "not_holder"
    freed = orc.reviews.release(task, agent="bob", reason="I wrote half of it")
    assert (freed.status, freed.reviewer, freed.review_until) == ("in_review", None, "")
    assert given(orc, "carl") == task


def test_a_retired_agent_reviews_nothing(orc: Orchestrator):
    task = in_review(orc)
    orc.agents.register("bob")
    orc.reviews.claim(task, agent="bob")
    orc.agents.retire("bob")
    assert given(orc, "carl") == task


def test_a_renamed_agent_keeps_its_review_and_its_work(orc: Orchestrator):
    task = in_review(orc)
    orc.reviews.claim(task, agent="bob")
    orc.agents.rename("bob", "bert")
    orc.agents.rename("ann", "anna")
    assert orc.tasks.get(task).reviewer == "bert"
    orc.reviews.release(task, agent="bert")
    assert given(orc, "anna") is None
    assert given(orc, "bert") == task


@pytest.mark.parametrize("step", ["approve", "reject", "cancel"])
def test_the_end_of_a_review_leaves_no_reviewer(orc: Orchestrator, step: str):
    task = in_review(orc)
    orc.reviews.claim(task, agent="bob")
    if step == "cancel":
        orc.tasks.cancel(task)
    elif step == "approve":
        orc.reviews.approve(task, agent="bob")
    else:
        orc.reviews.reject(task, reason="no tests", agent="bob")
    ended = orc.tasks.get(task)
    assert (ended.reviewer, ended.review_lease, ended.review_until) == (None, None, "")
    assert orc.engine.read().schedule.reviews.held_by("bob") == []


def test_a_repeated_request_gives_the_same_review_once(orc: Orchestrator):
    first, second = in_review(orc), in_review(orc)
    for _ in range(2):
        with orc.request("r1"):
            task = orc.tasks.next(agent="bob", review=True)
        assert task is not None
        assert task.id == first
    assert orc.tasks.get(second).reviewer is None


def test_finding_a_review_looks_at_none_of_ones_own_and_none_of_another_kind(orc: Orchestrator):
    orc.agents.register("bob", capabilities=["ui"])
    for _ in range(20):
        in_review(orc, worker="bob", labels=["ui"])
        in_review(orc, worker="carl", labels=["api"])
    wanted = in_review(orc, worker="carl", labels=["ui"])
    reviews = orc.engine.read().schedule.reviews
    looked_at: list[str] = []
    stands = reviews._stands

    def counted(rank, *facts):
        looked_at.append(rank[2])
        return stands(rank, *facts)

    reviews._stands = counted
    best = reviews.best(["build"], "bob", ("ui",), orc.engine.now())
    assert best is not None
    assert best.id == wanted
    assert len(looked_at) <= 2


# Whoever worked on it does not review it


def worked_on_before(orc: Orchestrator, how: str, clock: SettableClock) -> str:
    """A task that ann has claimed, and that another agent submits for review."""
    task = orc.tasks.add("build", title="x", review=True).id
    orc.tasks.claim(task, agent="ann", lease=60)
    if how == "release":
        orc.tasks.release(task, agent="ann")
    elif how == "lapse":
        clock.advance(60)
    elif how == "block":
        orc.tasks.block(task, reason="no key", agent="ann")
        orc.tasks.unblock(task)
    elif how == "fail":
        orc.tasks.fail(task, agent="ann")
        orc.tasks.reopen(task)
    elif how == "reject":
        orc.tasks.complete(task, agent="ann")
        orc.reviews.reject(task, reason="no", agent="bob")
        orc.tasks.release(task, agent="ann")
    elif how == "retire":
        orc.agents.register("ann")
        orc.agents.retire("ann")
        orc.agents.register("ann")
    elif how == "give":
        orc.hooks.sling(task, "dora", force=True)
    elif how == "force":
        orc.tasks.release(task, agent="ann")
        orc.tasks.complete(task, force=True, reason="it is there", agent="dora")
        return task
    elif how == "rename":
        orc.agents.rename("ann", "anna")
        orc.tasks.release(task, agent="anna")
        orc.agents.register("ann")
    orc.tasks.claim(task, agent="dora")
    orc.tasks.complete(task, agent="dora")
    return task


@pytest.mark.parametrize(
    "how",
    ["release", "lapse", "block", "fail", "reject", "retire", "give", "force", "rename"],
)
def test_an_agent_that_worked_on_it_before_does_not_review_it(
    orc: Orchestrator, clock: SettableClock, how: str
):
    task = worked_on_before(orc, how, clock)
    for worker in ("ann", "anna", "dora") if how == "rename" else ("ann", "dora"):
        with changes_nothing(orc):
            assert code_of(lambda: orc.reviews.claim(task, agent=worker)) == "own_work"  # noqa: B023
            assert code_of(lambda: orc.reviews.approve(task, agent=worker)) == "own_work"  # noqa: B023
            assert given(orc, worker) is None
    assert given(orc, "carl") == task
    assert orc.reviews.approve(task, agent="carl").status == "done"


def test_an_agent_that_worked_on_it_before_it_was_done_may_review_later_work(orc: Orchestrator):
    task = in_review(orc, worker="ann")
    orc.reviews.approve(task, agent="bob")
    orc.tasks.reopen(task)
    orc.tasks.claim(task, agent="dora")
    orc.tasks.complete(task, agent="dora")
    assert given(orc, "ann") == task


def test_what_is_to_be_reviewed_is_handed_in_by_force_under_a_name(orc: Orchestrator):
    task = orc.tasks.add("build", title="x", review=True).id
    orc.tasks.claim(task, agent="ann")
    orc.tasks.release(task, agent="ann")
    for agent in (None, "system"):
        with changes_nothing(orc):
            forced = lambda: orc.tasks.complete(task, force=True, reason="I say", agent=agent)  # noqa: B023,E731
            assert code_of(forced) == "agent_needed"


def test_a_lapsed_review_is_meant_only_if_there_is_no_other(
    orc: Orchestrator, clock: SettableClock
):
    lapsed, held = in_review(orc), in_review(orc)
    orc.reviews.claim(lapsed, agent="bob", lease="1m")
    orc.reviews.claim(held, agent="bob", lease="1h")
    clock.advance(120)
    assert orc.reviews.approve(agent="bob").id == held
    assert orc.reviews.reject(reason="no tests", agent="bob").id == lapsed
