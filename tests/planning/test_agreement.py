"""The plan and dispatch agree on who may be given what, because both use the same rules."""

from typing import NamedTuple

import pytest
from boards import SettableClock
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import Orchestrator
from orchestrator.stores.memory import MemoryStore


class Member(NamedTuple):
    """An agent of a generated board."""

    capabilities: list[str]
    max_load: int | None
    works: bool
    lock: str | None
    silent_for: float


class Work(NamedTuple):
    """A task of a generated board."""

    type: str
    labels: list[str]
    touches: list[str]


class Board(NamedTuple):
    """The generated facts; :meth:`open` makes the same board from them each time, except for the ids."""

    members: list[Member]
    work: list[Work]

    def open(self, *, agent: int | None = None, task: int | None = None) -> Orchestrator:
        """Make the board.

        Args:
            agent: The only active agent; the others keep what they hold. None for all agents.
            task: The only task that is not deferred; None for all tasks.
        """
        clock = SettableClock()
        store = MemoryStore()
        orc = Orchestrator(store, now=clock)
        orc.workstreams.create("build")
        for number, member in enumerate(self.members):
            name = f"agent-{number}"
            orc.agents.register(name, capabilities=member.capabilities, max_load=member.max_load)
            if member.works:
                running = orc.tasks.add("build", title="Running", touches=[f"own-{number}"])
                orc.tasks.claim(running.id, agent=name, lease="9h")
            if member.lock:
                orc.locks.acquire(member.lock, agent=name, ttl="9h", shared=True)
        for number, work in enumerate(self.work):
            defer = "" if task in (None, number) else "9h"
            orc.tasks.add("build", title=f"task-{number}", defer=defer, **work._asdict())
        clock.advance(3600)
        store.presence.times = {
            f"agent-{number}": clock() - member.silent_for
            for number, member in enumerate(self.members)
            if agent in (None, number)
        }
        return orc

    def planned(self, **only: int) -> set[tuple[int, int]]:
        """The (task, agent) pairs that a plan of the board names."""
        entries = self.open(**only).plan().recommended_parallel
        return {
            (number_of(entry.task.title), number_of(entry.agent))
            for entry in entries
            if entry.agent is not None
        }

    def dispatched(self, **only: int) -> set[tuple[int, int]]:
        """The (task, agent) pairs that dispatch gives."""
        given = self.open(**only).dispatch.run()
        return {(number_of(pair.title), number_of(pair.agent)) for pair in given}


def number_of(name: str) -> int:
    return int(name.partition("-")[2])


touches = st.lists(
    st.sampled_from(["git", "git:shared", "src/a", "src/*", "db"]), max_size=2, unique=True
)
members = st.builds(
    Member,
    st.sampled_from([[], ["bug"], ["ui"], ["bug", "ui"]]),
    st.sampled_from([None, 0, 1, 2]),
    st.booleans(),
    st.sampled_from([None, None, "git", "src/**"]),
    st.sampled_from([0.0, 299.0, 301.0, 899.0, 901.0]),
)
work = st.builds(
    Work, st.sampled_from(["task", "bug"]), st.sampled_from([[], ["ui"], ["docs"]]), touches
)
boards = st.builds(
    Board, st.lists(members, min_size=1, max_size=3), st.lists(work, min_size=1, max_size=3)
)


@given(boards)
def test_what_the_plan_assigns_dispatch_gives(board: Board):
    for task, agent in board.planned():
        assert board.dispatched(agent=agent, task=task) == {(task, agent)}


@given(boards)
def test_what_dispatch_gives_the_plan_assigns(board: Board):
    """To an agent without work: a plan names no agent that is at work, and recommends no task that
    touches what is locked, by whomever; dispatch lets an agent have what it has locked itself."""
    for agent, member in enumerate(board.members):
        for task in range(len(board.work)):
            gives = board.dispatched(agent=agent, task=task)
            assert gives <= {(task, agent)}
            if not member.works and not member.lock:
                assert board.planned(agent=agent, task=task) == gives


@pytest.mark.parametrize(
    ("member", "task"),
    [
        (Member([], None, False, None, 301), Work("task", [], [])),
        (Member([], 0, False, None, 0), Work("task", [], [])),
        (Member([], 1, True, None, 0), Work("task", [], [])),
        (Member(["bug"], None, False, None, 0), Work("task", ["ui"], [])),
    ],
    ids=["silent", "limit of none", "at its limit", "does not suit"],
)
def test_neither_gives_work_to_who_may_not_have_it(member: Member, task: Work):
    board = Board([member], [task])
    assert board.planned() == board.dispatched() == set()


def test_neither_gives_what_another_agent_holds():
    """The lock of another agent prevents it; dispatch gives the task to the holder of the lock."""
    fresh = Member([], None, False, None, 0)
    holder = fresh._replace(lock="git")
    board = Board([fresh, holder], [Work("task", [], ["git"])])
    assert board.planned(agent=0) == board.dispatched(agent=0) == set()
    assert board.dispatched(agent=1) == {(0, 1)}
