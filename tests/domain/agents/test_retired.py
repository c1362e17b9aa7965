"""A retired agent takes no work and no resource until it registers again; it may still write."""

from collections.abc import Callable

import pytest
from boards import changes_nothing

from orchestrator import Orchestrator
from orchestrator.core.errors import Refused

TAKING: dict[str, Callable[[Orchestrator, str, str], object]] = {
    "claim": lambda orc, task, _: orc.tasks.claim(task, agent="ann"),
    "next": lambda orc, _, __: orc.tasks.next(agent="ann"),
    "next of nothing": lambda orc, _, __: orc.tasks.next("empty", agent="ann"),
    "orc next": lambda orc, _, __: orc.next(agent="ann"),
    "hook": lambda orc, task, _: orc.hooks.hang(task, agent="ann"),
    "sling": lambda orc, task, _: orc.hooks.sling(task, agent="ann"),
    "sling by another": lambda orc, task, _: orc.hooks.sling(task, "ann", agent="bob"),
    "force": lambda orc, task, _: orc.tasks.complete(task, force=True, reason="x", agent="ann"),
    "review": lambda orc, _, review: orc.reviews.claim(review, agent="ann"),
    "approve": lambda orc, _, review: orc.reviews.approve(review, agent="ann"),
    "reject": lambda orc, _, review: orc.reviews.reject(review, reason="x", agent="ann"),
    "lock": lambda orc, _, __: orc.locks.acquire("git", agent="ann"),
    "lock of others": lambda orc, _, __: orc.locks.acquire("db", agent="ann", wait="1s"),
    "queue": lambda orc, _, __: orc.mail.take("todo", agent="ann"),
    "session": lambda orc, _, __: orc.sessions.start("ann"),
    "the name before": lambda orc, _, __: orc.locks.acquire("git", agent="anna"),
}


@pytest.fixture
def board(orc: Orchestrator) -> tuple[str, str]:
    """A free task, and one in review; ann, who was anna before, is retired."""
    orc.workstreams.create("build")
    orc.workstreams.create("empty")
    review = orc.tasks.add("build", title="x", review=True).id
    orc.tasks.claim(review, agent="bob")
    orc.tasks.complete(review, agent="bob")
    task = orc.tasks.add("build", title="y").id
    orc.agents.register("anna")
    orc.agents.rename("anna", "ann")
    orc.agents.retire("ann")
    orc.locks.acquire("db", agent="bob")
    orc.mail.send("queue:todo", "x", agent="bob")
    return task, review


@pytest.mark.parametrize("way", TAKING)
def test_a_retired_agent_takes_nothing(orc: Orchestrator, board: tuple[str, str], way: str):
    with changes_nothing(orc), pytest.raises(Refused) as caught:
        TAKING[way](orc, *board)
    assert (caught.value.code, caught.value.hint) == (
        "retired",
        "`a register ann` makes it active again.",
    )


def test_it_takes_work_once_it_has_registered_again(orc: Orchestrator, board: tuple[str, str]):
    orc.agents.register("ann")
    assert orc.reviews.approve(board[1], agent="ann").status == "done"
    assert orc.tasks.claim(board[0], agent="ann").assigned_to == "ann"


def test_what_it_learned_is_not_lost(orc: Orchestrator, board: tuple[str, str]):
    orc.tasks.note(board[0], "the key is gone", agent="ann")
    orc.knowledge.write("keys", "gone", agent="ann")
    assert orc.mail.send("bob", "keys", agent="ann").sender == "ann"


def test_the_lock_of_a_renamed_agent_is_its_own_under_the_old_name(orc: Orchestrator):
    orc.locks.acquire("git", agent="bob")
    orc.agents.rename("bob", "bert")
    assert orc.locks.renew("git", agent="bob").agent == "bert"
    orc.locks.release("git", agent="bob")
    assert orc.locks.all() == []
