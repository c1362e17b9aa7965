"""What a patrol finds, tells and gives back; that it does nothing twice, and nothing against a live lease."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from boards import SettableClock, add, changes_nothing, check_law
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from orchestrator import BadInput, InputOutputError, Orchestrator, Refused
from orchestrator.core import clock as times
from orchestrator.domain.patrols.findings import TreeFacts
from orchestrator.stores.memory import MemoryStore
from tests import forked

from .repositories import Repo

ROOT = Path(__file__).parents[2]
MINUTE, HOUR = 60.0, 3600.0


class Board:
    """A board in memory whose presence has the clock of the test."""

    def __init__(self) -> None:
        self.clock = SettableClock()
        self.store = MemoryStore()
        presence = self.store.presence
        presence.touch = lambda agent: presence.times.__setitem__(agent, self.clock())  # type: ignore[method-assign]
        self.orc = self.open()
        self.orc.workstreams.create("build")

    def open(self) -> Orchestrator:
        return Orchestrator(self.store, now=self.clock)

    def later(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def patrol(self) -> Any:
        return self.orc.patrols.run()

    def kinds(self) -> list[str]:
        return [finding.kind for finding in self.orc.patrols.findings()]

    def mail(self, agent: str) -> list[str]:
        return [message.subject for message in self.orc.mail.inbox(agent=agent)]

    def events(self, prefix: str = "patrol.") -> list[str]:
        return [event.type for event in self.orc.events.read() if event.type.startswith(prefix)]


@pytest.fixture
def board() -> Iterator[Board]:
    board = Board()
    yield board
    check_law(board.orc)


def test_an_agent_without_a_sign_of_life_is_told_more_and_more_seldom_and_then_the_overseer(
    board: Board,
):
    task = add(board.orc)
    board.orc.tasks.claim(task, agent="ann", lease="24h")
    assert not any(board.patrol().nudged)
    board.later(6 * MINUTE)  # silent
    assert board.kinds() == ["quiet_task"]
    [told] = board.patrol().nudged
    assert (told.to, told.concerns[0].subject) == ("ann", task)
    for _ in range(3):  # again and again: nothing twice
        with changes_nothing(board.orc):
            assert board.patrol() == type(board.patrol())()
    board.later(10 * MINUTE)  # gone: another concern, the first one is over
    done = board.patrol()
    assert [c.kind for c in done.settled] == ["quiet_task"]
    assert [t.concerns[0].kind for t in done.nudged] == ["gone_agent"]
    moments = []
    for minute in range(24 * 60 - 20):
        board.later(MINUTE)
        done = board.patrol()
        moments += [(minute, "nudge")] * len(done.nudged)
        moments += [(minute, "escalate")] * len(done.escalated)
    # Pauses of 10, 20 and 40 minutes; the lease is about to end at the end of the day.
    assert moments[:3] == [(9, "nudge"), (29, "nudge"), (69, "escalate")]
    assert board.mail("overseer")[0].startswith(
        f"Patrol, not solved: ann is gone, and has {task} x"
    )
    assert board.orc.tasks.get(task).assigned_to == "ann"  # the lease is live: it is not touched
    board.orc.tasks.note(task, "I am back", agent="ann")
    assert {c.kind for c in board.patrol().settled} >= {"gone_agent"}


def test_what_has_no_live_lease_goes_back_and_what_has_one_never(board: Board):
    lapsed, live, reviewed = (add(board.orc, t) for t in ("lapsed", "live", "reviewed"))
    board.orc.tasks.edit(reviewed, review=True)
    board.orc.tasks.claim(reviewed, agent="cid")
    board.orc.tasks.complete(reviewed, agent="cid")
    board.orc.reviews.claim(reviewed, agent="dan", lease="10m")
    board.orc.tasks.claim(lapsed, agent="ann", lease="10m")
    board.orc.tasks.claim(live, agent="ann", lease="10h")
    board.orc.locks.acquire("git", agent="ann", ttl="10m")
    board.orc.locks.acquire("db", agent="ben", ttl="10h")
    board.later(HOUR)
    done = board.patrol()
    assert [(given.what, given.holder) for given in done.tasks] == [(lapsed, "ann")]
    assert [(given.what, given.holder) for given in done.reviews] == [(reviewed, "dan")]
    assert [(given.what, given.holder) for given in done.locks] == [("git", "ann")]
    assert board.orc.tasks.get(lapsed).status == "pending"
    assert board.orc.tasks.get(live).assigned_to == "ann"
    assert [lock.resource for lock in board.orc.locks.all()] == ["db"]
    assert any(subject.startswith("Lease lapsed: ") for subject in board.mail("ann"))
    assert "lock_of_gone" in board.kinds()
    assert board.patrol().tasks == ()


def test_what_went_back_in_a_round_counts_as_a_change_in_it(board: Board):
    task = add(board.orc)
    board.orc.convoys.create("release", [task], agent="lead")
    board.orc.tasks.claim(task, agent="ann", lease="2m")
    board.later(5 * HOUR)
    done = board.patrol()
    assert ([given.what for given in done.tasks], done.nudged) == ([task], ())
    with changes_nothing(board.orc):
        board.patrol()


def test_a_lease_that_is_about_to_end_is_told_once_for_each_end(board: Board):
    short, long = add(board.orc, "short"), add(board.orc, "long")
    board.orc.tasks.claim(short, agent="ann", lease="60s")
    board.orc.tasks.claim(long, agent="ben", lease="1h")
    board.later(40)
    assert board.kinds() == []
    board.later(6)  # in the last quarter
    assert [t.concerns[0].subject for t in board.patrol().nudged] == [short]
    board.orc.tasks.renew(short, agent="ann")
    assert [c.subject for c in board.patrol().settled] == [short]
    board.later(46)
    assert [t.concerns[0].subject for t in board.patrol().nudged] == [short]
    board.orc.tasks.complete(short, agent="ann")
    board.later(55 * MINUTE)
    assert {f.kind for f in board.orc.patrols.findings() if f.subject == long} == {"lapsing_lease"}


def test_submissions_that_wait_and_convoys_that_stand_still_are_told(board: Board):
    first, second = add(board.orc, "first"), add(board.orc, "second")
    board.orc.convoys.create("release", [first, second], agent="lead")
    board.orc.merges.submit_commit("task/x", "a" * 40, target="main", agent="ann")
    board.later(HOUR + 1)
    assert board.kinds() == ["waiting_submission"]
    board.later(3 * HOUR)
    assert sorted(board.kinds()) == ["still_convoy", "waiting_submission"]
    done = board.patrol()
    assert {t.to: [c.kind for c in t.concerns] for t in done.nudged} == {
        "lead": ["still_convoy"],
        "ann": ["waiting_submission"],
    }
    board.orc.tasks.claim(first, agent="ben", lease="24h")
    board.orc.agents.heartbeat("ben")
    assert board.kinds() == ["waiting_submission"]
    assert [c.kind for c in board.patrol().settled] == ["still_convoy"]


def test_worktrees_that_nobody_has_and_dirty_ones_of_the_gone_are_told(
    board: Board, monkeypatch: pytest.MonkeyPatch
):
    free, left = add(board.orc, "free"), add(board.orc, "left")
    board.orc.agents.heartbeat("ann")
    made = board.orc.engine.now()
    trees = {
        free: TreeFacts(task=free, agent="lead", branch="task/free", made_at=made),
        left: TreeFacts(task=left, agent="ann", branch="task/left", made_at=made, is_dirty=True),
    }
    monkeypatch.setattr(type(board.orc.patrols), "_trees", lambda self, task="": trees)
    assert board.kinds() == []
    board.later(HOUR + 1)
    found = {finding.kind: finding for finding in board.orc.patrols.findings()}
    assert (found["idle_worktree"].subject, found["gone_agent"].subject) == (free, "ann")
    assert f"left changes in the worktree of {left}" in found["gone_agent"].text
    assert {t.to for t in board.patrol().nudged} == {"ann", "lead"}
    board.orc.agents.heartbeat("ann")  # she is back, but has not taken the task up again
    assert board.kinds() == ["idle_worktree", "idle_worktree"]
    board.orc.tasks.claim(left, agent="ann")
    assert board.kinds() == ["idle_worktree"]
    told = board.orc.patrols.explain(left)
    assert told.worktree is not None
    assert told.worktree.is_dirty
    assert "Nothing is wrong with it." in told.lines(board.orc.engine.now())


def test_changes_that_a_gone_agent_left_are_told_and_stay(
    orc: Orchestrator, repository: Repo, clock: SettableClock
):
    left, free = add(orc, "left"), add(orc, "free")
    folder = Path(orc.worktrees.add(left, agent="ann", lease="10m").path)
    orc.worktrees.add(free, agent="ann")
    orc.tasks.release(free, agent="ann")
    (folder / "half a thought.txt").write_text("so far")
    assert orc.patrols.findings() == []
    assert orc.patrols.explain(left).worktree.is_dirty  # type: ignore[union-attr]
    (repository.folder / ".orchestrator" / "state" / "presence" / "ann").unlink()
    clock.advance(HOUR + 1)
    found = {finding.kind: finding for finding in orc.patrols.findings()}
    assert found["gone_agent"].text == f"ann is gone, and left changes in the worktree of {left}"
    assert found["idle_worktree"].subject == free
    done = orc.patrols.run()
    assert [given.what for given in done.tasks] == [left]
    assert {concern.subject for told in done.nudged for concern in told.concerns} == {"ann", free}
    assert (folder / "half a thought.txt").read_text() == "so far"
    shutil.rmtree(folder)  # by hand
    assert not orc.patrols.explain(left).worktree.is_dirty  # type: ignore[union-attr]
    assert [concern.kind for concern in orc.patrols.run().settled] == ["gone_agent"]


def test_explain_says_what_is_known_what_was_told_and_what_comes_next(board: Board):
    task = add(board.orc)
    board.orc.tasks.claim(task, agent="ann", lease="24h")
    board.later(6 * MINUTE)
    known = board.orc.patrols.explain(task[:5])
    [finding] = known.findings
    assert (known.agent, known.presence, finding.nudges, finding.next) == (
        "ann",
        "silent",
        0,
        "nudge",
    )
    with changes_nothing(board.orc):
        board.orc.patrols.explain(task)
    board.patrol()
    [finding] = board.orc.patrols.explain(task).findings
    due = times.after(board.orc.engine.now(), 10 * MINUTE)
    assert (finding.nudges, finding.next, finding.due) == (1, "nudge", due)
    text = "\n".join(board.orc.patrols.explain(task).lines(board.orc.engine.now()))
    assert "ann was told once" in text
    assert "the next patrol tells ann after" in text


def test_settings_say_what_is_too_long_and_mistakes_are_refused(board: Board):
    documents = board.orc.engine.documents
    documents.write("config.toml", b'[patrol]\nnudges = 1\npause = "1m"\n')
    task = add(board.orc)
    board.orc.tasks.claim(task, agent="ann", lease="24h")
    board.later(6 * MINUTE)
    assert board.patrol().nudged
    board.later(MINUTE)
    assert board.patrol().escalated
    for text in (b'pause = "0s"', b'pause = "soon"', b"nudges = 0", b"kill = true"):
        documents.write("config.toml", b"[patrol]\n" + text)
        with pytest.raises(BadInput, match=r"config\.toml cannot be used"):
            board.patrol()
    documents.delete("config.toml")


def test_a_patrol_that_cannot_read_the_presence_of_agents_tells_nobody(
    board: Board, monkeypatch: pytest.MonkeyPatch
):
    """Otherwise every agent would count as gone."""
    board.orc.tasks.claim(add(board.orc), agent="ann", lease="24h")
    board.later(6 * MINUTE)

    def unreadable(*, needed: bool = False) -> dict[str, float]:
        assert needed
        raise InputOutputError("The last activity of agents is not known")

    monkeypatch.setattr(board.store.presence, "seen", unreadable)
    with changes_nothing(board.orc), pytest.raises(InputOutputError):
        board.patrol()


def test_two_real_patrols_at_once_do_everything_once(tmp_path: Path):
    week_ago = SettableClock(time.time() - 7 * 24 * HOUR)
    with Orchestrator.open(tmp_path / "board", now=week_ago) as orc:
        orc.workstreams.create("build")
        tasks = [add(orc, f"task {n}") for n in range(6)]
        for task in tasks[:3]:
            orc.tasks.claim(task, agent=f"agent-{task}", lease="1h")
        for task in tasks[3:]:
            orc.tasks.claim(task, agent=f"agent-{task}", lease="50w")
    for file in (tmp_path / "board" / "state" / "presence").glob("agent-*"):
        file.unlink()
    line = ["--board", str(tmp_path / "board"), "--json", "patrol"]
    patrols = [forked.popen(line, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    rounds = [json.loads(patrol.communicate(timeout=60)[0]) for patrol in patrols]
    assert [patrol.returncode for patrol in patrols] == [0] * 4
    back = [given["what"] for done in rounds for given in done["tasks"]]
    assert sorted(back) == sorted(tasks[:3])
    told = [message["to"] for done in rounds for message in done["nudged"]]
    assert sorted(told) == sorted(f"agent-{task}" for task in tasks[3:])
    line = [*line[:2], "patrol", "--every", "1s"]
    lasting = forked.popen(line, stdout=subprocess.PIPE, text=True)
    try:
        with Orchestrator.open(tmp_path / "board", agent="eve") as orc:
            orc.locks.acquire("git", ttl=0.01)
            assert lasting.stdout is not None
            assert lasting.stdout.readline() == (
                "Gave back the lock git, whose lease of eve had ended\n"
            )
            orc.agents.heartbeat("eve")
            assert {e.agent for e in orc.events.read() if e.type.startswith("patrol.")} == {
                "patrol"
            }
    finally:
        lasting.kill()
        lasting.communicate()
    with Orchestrator.open(tmp_path / "board") as orc:
        check_law(orc)


OURS = ("patrol.", "message.sent", "task.lapsed", "lock.lapsed", "board.upgraded")
"""The types of events that a patrol of this test records."""

AGENTS = st.sampled_from(["ann", "ben", "cid"])
TASKS = st.integers(0, 3)


class PatrolMachine(RuleBasedStateMachine):
    """Random work, silence and patrols by two processes of one board, with a clock that moves."""

    @initialize()
    def begin(self) -> None:
        self.board = Board()
        self.orc = self.board.orc
        self.patrols = [self.orc, self.board.open()]
        self.tasks = [add(self.orc, f"task {n}") for n in range(4)]
        self.orc.convoys.create("all", self.tasks, agent="lead")
        self.read = 0
        self.told: dict[str, list[tuple[str, str]]] = {}

    @rule(agent=AGENTS, task=TASKS, lease=st.sampled_from(["2m", "30m", "12h"]))
    def claim(self, agent: str, task: int, lease: str) -> None:
        known = self.orc.tasks.get(self.tasks[task])
        if known.can_be_taken(self.orc.engine.now()):
            self.orc.tasks.claim(known.id, agent=agent, lease=lease)

    @rule(agent=AGENTS)
    def show_life(self, agent: str) -> None:
        self.orc.agents.heartbeat(agent)

    @rule(agent=AGENTS, resource=st.sampled_from(["git", "db"]))
    def lock(self, agent: str, resource: str) -> None:
        with suppress(Refused):  # another agent has it
            self.orc.locks.acquire(resource, agent=agent, ttl="20m")

    @rule(task=TASKS)
    def release(self, task: int) -> None:
        known = self.orc.tasks.get(self.tasks[task])
        if known.assigned_to:
            self.orc.tasks.release(known.id, agent=known.assigned_to)

    @rule(seconds=st.sampled_from([1.0, 50.0, 6 * MINUTE, 16 * MINUTE, 5 * HOUR]))
    def pass_time(self, seconds: float) -> None:
        self.board.later(seconds)

    @rule(who=st.integers(0, 1))
    def patrol(self, who: int) -> None:
        now = self.orc.engine.now()
        before = {id: self.orc.tasks.get(id) for id in self.tasks}
        locks = {
            (k.resource, h.agent) for k in self.orc.locks.all() for h in k.holders if h.until > now
        }
        self.patrols[who].patrols.run()
        for id, task in before.items():
            after = self.orc.tasks.get(id)
            if task.assigned_to and task.lease_until > now:
                assert after == task, "a task under a live lease was touched"
            assert not after.has_lapsed(now), "a lapsed task was not given back"
        held = {(k.resource, h.agent) for k in self.orc.locks.all() for h in k.holders}
        assert held == locks, "exactly the live holds stay"
        with changes_nothing(self.orc):  # a second patrol, by any process
            for other in self.patrols:
                assert not other.patrols.run().nudged

    @invariant()
    def nothing_is_told_too_often(self) -> None:
        if not hasattr(self, "orc"):
            return
        events = self.orc.events.read()
        for event in events[self.read :]:
            payload = json.loads(bytes(event.payload))
            for concern in payload.get("concerns", ()) if event.type.startswith("patrol.") else ():
                key = str(concern)
                told = self.told.setdefault(key, [])
                if event.type == "patrol.settled":
                    del self.told[key]
                    continue
                steps = [step for step, _ in told]
                if event.type == "patrol.escalated":
                    assert steps == ["patrol.nudged"] * 3
                else:
                    assert steps == ["patrol.nudged"] * len(steps)
                    assert len(steps) < 3
                if told:
                    pause = times.between(told[-1][1], event.ts)
                    assert pause >= 10 * MINUTE * 2 ** (len(told) - 1)
                told.append((event.type, event.ts))
            if event.agent == "patrol":
                assert event.type.startswith(OURS)
        self.read = len(events)
        watches = self.orc.engine.read().patrols
        assert len(watches) == len(self.told)

    def teardown(self) -> None:
        if hasattr(self, "orc"):
            check_law(self.orc)


PatrolMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestPatrolMachine = PatrolMachine.TestCase
