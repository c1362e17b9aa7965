"""Locks: resources held alone or shared, under a lease, without circles of waiters."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from boards import SettableClock, changes_nothing, check_law, code_of, new_store

from orchestrator import BadName, NotFound, Orchestrator, Refused, UsageError
from orchestrator.core.store import Cursor
from orchestrator.core.transaction import Transaction
from orchestrator.domain.locks import commands
from orchestrator.domain.locks.commands import find_circle
from orchestrator.domain.locks.events import LockAcquired
from orchestrator.domain.state import State
from orchestrator.domain.tasks import resources
from orchestrator.domain.tasks.events import TaskAdded
from orchestrator.domain.waiting import wait_for


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def another(orc: Orchestrator) -> Orchestrator:
    """A second object for the same board, like another process."""
    return Orchestrator(orc.engine.store, now=orc.engine._clock)


def wait_until_awaited(orc: Orchestrator, resource: str, agent: str) -> None:
    while True:
        wait = orc.engine.watch()
        if any(waiter.agent == agent for waiter in orc.locks.get(resource).waiting):
            return
        assert wait(60), f"{agent} never waited"


def test_a_lock_is_held_for_its_ttl_60_seconds_by_default(orc: Orchestrator, clock: SettableClock):
    lease = orc.locks.acquire("git", agent="ann")
    assert (lease.resource, lease.agent, lease.ttl, lease.shared) == ("git", "ann", 60.0, False)
    assert lease.until == "2026-11-21T06:14:00.000Z"
    assert lease.token == orc.engine.read().event
    clock.advance(60)
    assert orc.locks.all() == []
    assert orc.locks.acquire("git", agent="bob", ttl="2m").until == "2026-11-21T06:16:00.000Z"


def test_a_lock_of_another_is_denied_with_holder_and_end(orc: Orchestrator):
    orc.locks.acquire("git", agent="ann")
    with changes_nothing(orc), pytest.raises(Refused) as caught:
        orc.locks.acquire("git", agent="bob")
    assert caught.value.code == "lock_denied"
    assert caught.value.message == "Lock denied: git (held by another agent)"
    assert caught.value.details["holder"] == "ann"
    assert caught.value.details["until"] == "2026-11-21T06:14:00.000Z"


def test_locks_need_an_agent(orc: Orchestrator):
    with changes_nothing(orc):
        assert code_of(lambda: orc.locks.acquire("git")) == "agent_needed"
        assert code_of(lambda: orc.locks.acquire("git", agent="system")) == "agent_needed"
        assert code_of(lambda: orc.locks.release("git")) == "agent_needed"


@pytest.mark.parametrize("ttl", [0, -1, "0s", "soon", float("nan"), float("inf")])
def test_a_ttl_is_a_length(orc: Orchestrator, ttl: float | str):
    with changes_nothing(orc), pytest.raises(UsageError):
        orc.locks.acquire("git", agent="ann", ttl=ttl)


@pytest.mark.parametrize("resource", ["", "..", "a/../b", "a\nb", "a\0", " a", "x" * 201, "\x1b"])
def test_a_resource_has_a_name_that_can_be_shown(orc: Orchestrator, resource: str):
    with changes_nothing(orc), pytest.raises(BadName):
        orc.locks.acquire(resource, agent="ann")


def test_acquiring_again_renews_and_keeps_the_token(orc: Orchestrator, clock: SettableClock):
    first = orc.locks.acquire("git", agent="ann")
    clock.advance(30)
    again = orc.locks.acquire("git", agent="ann", ttl=100)
    assert (again.token, again.until) == (first.token, "2026-11-21T06:15:10.000Z")


def test_a_lapsed_lock_that_its_holder_acquires_again_has_a_new_token(
    orc: Orchestrator, clock: SettableClock
):
    first = orc.locks.acquire("git", agent="ann")
    clock.advance(60)
    assert orc.locks.acquire("git", agent="ann").token > first.token


def test_tokens_grow_with_every_holder(orc: Orchestrator, clock: SettableClock):
    tokens = []
    for agent in ("ann", "bob", "ann", "carl"):
        tokens.append(orc.locks.acquire("git", agent=agent).token)
        clock.advance(60)
    assert tokens == sorted(set(tokens))


def test_shared_holders_share_and_keep_others_out(orc: Orchestrator):
    orc.locks.acquire("git", agent="ann", shared=True)
    orc.locks.acquire("git", agent="bob", shared=True)
    with changes_nothing(orc):
        assert code_of(lambda: orc.locks.acquire("git", agent="carl")) == "lock_denied"
        assert code_of(lambda: orc.locks.acquire("git", agent="bob")) == "lock_denied"
    orc.locks.release("git", agent="ann")
    assert not orc.locks.acquire("git", agent="bob").shared
    with changes_nothing(orc):
        assert code_of(lambda: orc.locks.acquire("git", agent="ann", shared=True)) == "lock_denied"


def test_a_resource_written_as_shared_never_makes_two_exclusive_holders(orc: Orchestrator):
    """Tasks write ``git:shared``; as the name of a lock it means the same or is refused."""
    try:
        lease = orc.locks.acquire("git:shared", agent="ann")
    except (BadName, UsageError):
        return
    assert (lease.resource, lease.shared) == ("git", True)
    with changes_nothing(orc):
        assert code_of(lambda: orc.locks.acquire("git", agent="bob")) == "lock_denied"
    assert orc.locks.acquire("git:shared", agent="bob").shared
    orc.locks.release("git:shared", agent="ann")


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        ("src/auth/**", "src/auth/login.py"),
        ("src/auth/login.py", "src/auth/**"),
        ("src/*/login.py", "src/auth/*"),
        ("**", "git"),
        ("src/**", "src/auth"),
    ],
)
def test_globs_keep_out_what_they_match(orc: Orchestrator, held: str, wanted: str):
    orc.locks.acquire(held, agent="ann")
    with changes_nothing(orc):
        assert code_of(lambda: orc.locks.acquire(wanted, agent="bob")) == "lock_denied"
    orc.locks.release(held, agent="ann")
    orc.locks.acquire(wanted, agent="bob")


def test_globs_leave_the_rest_free(orc: Orchestrator):
    orc.locks.acquire("src/auth/**", agent="ann")
    for free in ("src/authors.py", "src/*.py", "docs/**", "git"):
        orc.locks.acquire(free, agent="bob")


def test_ones_own_holds_never_collide(orc: Orchestrator):
    orc.locks.acquire("src/**", agent="ann")
    orc.locks.acquire("src/a.py", agent="ann")
    assert [lock.resource for lock in orc.locks.all()] == ["src/**", "src/a.py"]


def test_a_running_tasks_touches_are_locks_under_its_lease(orc: Orchestrator, clock: SettableClock):
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="x", touches=["src/**", "db:shared"]).id
    orc.tasks.claim(task, agent="ann", lease=600)
    with changes_nothing(orc), pytest.raises(Refused) as caught:
        orc.locks.acquire("src/a.py", agent="bob")
    assert (caught.value.code, caught.value.details["task"]) == ("lock_denied", task)
    orc.locks.acquire("db", agent="bob", shared=True)
    orc.locks.acquire("src/a.py", agent="ann")
    orc.tasks.complete(task)
    with changes_nothing(orc):
        assert code_of(lambda: orc.locks.acquire("src/a.py", agent="bob")) == "lock_denied"
    orc.locks.release("src/a.py", agent="ann")
    orc.locks.acquire("src/a.py", agent="bob")


def test_renew_extends_from_now(orc: Orchestrator, clock: SettableClock):
    lease = orc.locks.acquire("git", agent="ann", ttl=50)
    clock.advance(40)
    assert orc.locks.renew("git", agent="ann").until == "2026-11-21T06:14:30.000Z"
    assert orc.locks.renew("git", agent="ann", ttl=10).until == "2026-11-21T06:13:50.000Z"
    assert orc.locks.renew("git", agent="ann").token == lease.token


def test_only_a_holder_renews_and_releases(orc: Orchestrator, clock: SettableClock):
    orc.locks.acquire("git", agent="ann")
    with changes_nothing(orc):
        assert code_of(lambda: orc.locks.renew("git", agent="bob")) == "lock_not_held"
        assert code_of(lambda: orc.locks.release("git", agent="bob")) == "lock_not_held"
        assert code_of(lambda: orc.locks.release("svn", agent="ann")) == "lock_not_held"
    clock.advance(60)
    with changes_nothing(orc):
        assert code_of(lambda: orc.locks.renew("git", agent="ann")) == "lock_not_held"


def test_release_gives_back_only_ones_own_hold(orc: Orchestrator):
    orc.locks.acquire("git", agent="ann", shared=True)
    orc.locks.acquire("git", agent="bob", shared=True)
    assert orc.locks.release("git", agent="ann") == "git"
    assert [holder.agent for holder in orc.locks.get("git").holders] == ["bob"]


def test_breaking_a_lock_needs_a_reason_and_frees_it_of_all(orc: Orchestrator):
    orc.locks.acquire("git", agent="ann", shared=True)
    orc.locks.acquire("git", agent="bob", shared=True)
    with changes_nothing(orc), pytest.raises(UsageError):
        orc.locks.break_("git", reason="")
    orc.locks.break_("git", reason="both are gone", agent="carl")
    broken = orc.events.read(last=1)[0]
    assert (broken.agent, broken.type) == ("carl", "lock.broken")
    assert b"both are gone" in bytes(broken.payload)
    orc.locks.acquire("git", agent="carl")
    with changes_nothing(orc):
        assert code_of(lambda: orc.locks.renew("git", agent="ann")) == "lock_not_held"


def test_breaking_a_free_resource_is_not_found(orc: Orchestrator):
    with changes_nothing(orc), pytest.raises(NotFound):
        orc.locks.break_("git", reason="tidy")


def test_get_of_a_free_resource_shows_no_holder(orc: Orchestrator):
    lock = orc.locks.get("git")
    assert (lock.resource, lock.holders, lock.waiting) == ("git", (), ())


# Waiting


def test_a_waiter_gets_the_lock_when_it_is_released(orc: Orchestrator, pool: ThreadPoolExecutor):
    orc.locks.acquire("git", agent="ann")
    waiting = pool.submit(another(orc).locks.acquire, "git", agent="bob", wait=60)
    wait_until_awaited(orc, "git", "bob")
    orc.locks.release("git", agent="ann")
    assert waiting.result(60).agent == "bob"
    assert orc.locks.get("git").waiting == ()


def test_a_waiter_gets_the_lock_when_the_task_that_touches_it_ends(
    orc: Orchestrator, pool: ThreadPoolExecutor
):
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="x", touches=["git"]).id
    orc.tasks.claim(task, agent="ann")
    waiting = pool.submit(another(orc).locks.acquire, "git", agent="bob", wait=60)
    wait_until_awaited(orc, "git", "bob")
    orc.tasks.complete(task)
    assert waiting.result(60).agent == "bob"


def test_a_waiter_gets_the_lock_when_the_lease_of_its_holder_ends():
    """No event announces this; the clock is real, because the waiter sleeps until then."""
    orc = Orchestrator(new_store())
    orc.workstreams.create("build")
    done = orc.tasks.add("build", title="done first", touches=["x"]).id
    orc.tasks.claim(done, agent="carl", lease=0.05)
    orc.tasks.complete(done)
    orc.locks.acquire("other", agent="carl", ttl="1h")
    task = orc.tasks.add("build", title="x", touches=["git"]).id
    orc.tasks.claim(task, agent="ann", lease=0.2)
    assert orc.locks.acquire("git", agent="bob", wait=60, ttl=0.2).agent == "bob"
    assert orc.locks.acquire("git", agent="carl", wait=60).agent == "carl"
    check_law(orc)


def test_next_waits_for_the_end_of_a_lease_too():
    orc = Orchestrator(new_store())
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="x").id
    orc.tasks.claim(task, agent="ann", lease=0.2)
    claimed = orc.tasks.next(agent="bob", wait=60)
    assert claimed is not None
    assert (claimed.id, claimed.attempt) == (task, 2)
    check_law(orc)


def test_waiting_in_vain_is_denied_and_leaves_no_waiter_behind(orc: Orchestrator):
    orc.locks.acquire("git", agent="ann")
    assert code_of(lambda: orc.locks.acquire("git", agent="bob", wait="10ms")) == "lock_denied"
    assert orc.locks.get("git").waiting == ()
    assert [entry.type for entry in orc.events.read(last=2)] == ["lock.awaited", "lock.abandoned"]


def test_waiting_for_what_is_free_takes_it_at_once(orc: Orchestrator):
    orc.locks.acquire("git", agent="ann", wait=60)
    assert [entry.type for entry in orc.events.read()] == ["lock.acquired"]


def test_waiting_with_a_request_id_gives_the_lock_and_its_repetition_the_same_lease(
    orc: Orchestrator, pool: ThreadPoolExecutor
):
    orc.locks.acquire("git", agent="ann")

    def acquire() -> object:
        mine = another(orc)
        with mine.request("r-1"):
            return mine.locks.acquire("git", agent="bob", wait=60)

    waiting: Future[object] = pool.submit(acquire)
    wait_until_awaited(orc, "git", "bob")
    orc.locks.release("git", agent="ann")
    lease = waiting.result(60)
    with changes_nothing(orc):
        assert acquire() == lease


@pytest.mark.parametrize("is_own", [True, False])
def test_a_commit_right_after_a_try_in_vain_is_not_missed(
    orc: Orchestrator, is_own: bool, monkeypatch: pytest.MonkeyPatch
):
    """Even if the commit becomes known before the wait begins, the wait ends at once."""
    desk = orc.engine
    other = desk if is_own else another(orc).engine
    tried: list[bool] = []

    def attempt() -> bool | None:
        desk.read()
        if not tried:
            other.run(
                "test",
                lambda tx: tx.record_custom("free", {}),
                lambda _state, _events: None,
                None,
            )
            desk.read()
            tried.append(True)
            return None
        return True

    wait = desk.store.wait

    def wait_at_most(after: Cursor, timeout: float) -> bool:
        assert wait(after, 0), "it waits although there was a commit"
        return True

    monkeypatch.setattr(desk.store, "wait", wait_at_most)
    assert wait_for(desk, attempt, 60)


def test_waiting_that_would_close_a_circle_is_refused_at_once_and_the_circle_is_shown(
    orc: Orchestrator, pool: ThreadPoolExecutor
):
    orc.locks.acquire("a", agent="ann")
    orc.locks.acquire("b", agent="bob")
    orc.locks.acquire("c/**", agent="carl")
    first = pool.submit(another(orc).locks.acquire, "b", agent="ann", wait=60)
    wait_until_awaited(orc, "b", "ann")
    second = pool.submit(another(orc).locks.acquire, "c/x", agent="bob", wait=60)
    wait_until_awaited(orc, "c/x", "bob")
    with changes_nothing(orc), pytest.raises(Refused) as caught:
        orc.locks.acquire("a", agent="carl", wait=60)
    assert caught.value.code == "circle"
    assert caught.value.details["circle"] == ["carl", "a", "ann", "b", "bob", "c/x", "carl"]
    assert "carl -> a -> ann -> b -> bob -> c/x -> carl" in caught.value.message
    orc.locks.release("c/**", agent="carl")
    assert second.result(60).agent == "bob"
    orc.locks.release("b", agent="bob")
    assert first.result(60).agent == "ann"


def test_two_shared_holders_that_both_want_it_alone_are_a_circle(
    orc: Orchestrator, pool: ThreadPoolExecutor
):
    orc.locks.acquire("git", agent="ann", shared=True)
    orc.locks.acquire("git", agent="bob", shared=True)
    waiting = pool.submit(another(orc).locks.acquire, "git", agent="ann", wait=60)
    wait_until_awaited(orc, "git", "ann")
    with changes_nothing(orc):
        assert code_of(lambda: orc.locks.acquire("git", agent="bob", wait=60)) == "circle"
    orc.locks.release("git", agent="bob")
    assert not waiting.result(60).shared


def test_a_chain_of_waiters_without_a_circle_may_wait(orc: Orchestrator, pool: ThreadPoolExecutor):
    orc.locks.acquire("a", agent="ann")
    orc.locks.acquire("b", agent="bob")
    waiting = pool.submit(another(orc).locks.acquire, "a", agent="bob", wait=60)
    wait_until_awaited(orc, "a", "bob")
    assert code_of(lambda: orc.locks.acquire("b", agent="carl", wait="10ms")) == "lock_denied"
    orc.locks.release("a", agent="ann")
    assert waiting.result(60).agent == "bob"


def test_an_agent_that_waits_beside_a_circle_of_others_follows_the_circle_once(
    orc: Orchestrator, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
):
    """An agent may take free resources while it waits, so others can close a circle that no agent may
    join."""
    orc.locks.acquire("a", agent="ann")
    orc.locks.acquire("b/y", agent="dora")
    waiting = [
        pool.submit(another(orc).locks.acquire, "b/**", agent="ann", wait=120),
        pool.submit(another(orc).locks.acquire, "a", agent="bob", wait=120),
    ]
    wait_until_awaited(orc, "b/**", "ann")
    wait_until_awaited(orc, "a", "bob")
    orc.locks.acquire("b/x", agent="bob")
    asked: list[str] = []
    waits_of = commands._waits_of

    def counted(state: State, agent: str, now: str) -> list[resources.Need]:
        assert agent not in asked, "followed for ever"
        asked.append(agent)
        return waits_of(state, agent, now)

    with monkeypatch.context() as patch:
        patch.setattr(commands, "_waits_of", counted)
        state = orc.engine.read()
        assert find_circle(state, "carl", resources.Need("a"), orc.engine.now()) == []
    assert sorted(asked) == ["ann", "bob", "dora"]
    orc.locks.release("a", agent="ann")
    assert waiting[1].result(120).agent == "bob"
    for resource, agent in (("b/x", "bob"), ("b/y", "dora")):
        orc.locks.release(resource, agent=agent)
    assert waiting[0].result(120).agent == "ann"


def test_waiting_inside_a_transaction_is_refused(orc: Orchestrator):
    orc.locks.acquire("git", agent="ann")
    with changes_nothing(orc), pytest.raises(UsageError), orc.transaction():
        orc.locks.acquire("git", agent="bob", wait=60)


def test_one_resource_is_never_held_by_two_when_many_race_for_it(orc: Orchestrator):
    """Each thread acquires the lock, reads and writes a number; a second holder would lose an increment."""
    number = 0

    def add(agent: str) -> None:
        nonlocal number
        mine = another(orc)
        for _ in range(5):
            mine.locks.acquire("number", agent=agent, wait=60)
            number += 1
            mine.locks.release("number", agent=agent)

    threads = [threading.Thread(target=add, args=(f"agent-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert number == 20
    acquired = [entry.id for entry in orc.events.read(type="lock.acquired")]
    released = [entry.id for entry in orc.events.read(type="lock.released")]
    assert all(a < r for a, r in zip(acquired, released, strict=True))
    assert all(r < a for r, a in zip(released, acquired[1:], strict=False))


@pytest.mark.parametrize("spelling", ["./src/a.py", "src//a.py", "src/./a.py", "src/a.py"])
def test_one_path_is_one_resource_however_it_is_spelled(orc: Orchestrator, spelling: str):
    orc.workstreams.create("w")
    task = orc.tasks.add("w", title="T", touches=[spelling, "docs/"])
    assert task.touches == ("src/a.py", "docs")
    lease = orc.locks.acquire(spelling, agent="ann")
    assert lease.resource == "src/a.py"
    for other in ("src/a.py", ".//src/a.py", "src/{a,b}.py", "src/[ab].py"):
        assert code_of(lambda other=other: orc.locks.acquire(other, agent="bob")) == "lock_denied"
    assert orc.tasks.next("w", agent="bob") is None
    assert orc.locks.renew("src/a.py", agent="ann").token == lease.token
    assert orc.locks.release("src/a.py", agent="ann") == "src/a.py"
    assert orc.tasks.next("w", agent="bob") is not None


def test_names_of_an_old_board_are_compared_as_paths_and_stay_in_its_log(
    orc: Orchestrator, clock: SettableClock
):
    """Earlier versions recorded every spelling; this test writes events like theirs."""
    orc.workstreams.create("w")
    until = "2026-11-21T07:13:00.000Z"

    def record(tx: Transaction[State]) -> None:
        tx.act_as("ann")
        tx.record(LockAcquired(resource="./src/a.py", until=until, ttl=3600.0))
        tx.record(LockAcquired(resource="docs//*", until=until, ttl=3600.0))
        tx.record(TaskAdded(id="old", workstream="w", title="T", touches=("src//a.py",)))

    orc.engine.run("old", record, lambda _state, _events: None, None)
    assert code_of(lambda: orc.locks.acquire("src/a.py", agent="bob")) == "lock_denied"
    assert code_of(lambda: orc.locks.acquire("docs/x", agent="bob")) == "lock_denied"
    assert orc.tasks.next("w", agent="bob") is None
    assert [group.resource for group in orc.plan().recommended_serial] == ["src/a.py"]
    assert orc.locks.get("src/a.py").holder("ann") is not None
    assert orc.locks.renew("src/a.py", agent="ann", ttl="2h").resource == "./src/a.py"
    assert orc.locks.release("src/a.py", agent="ann") == "./src/a.py"
    assert orc.locks.acquire("src/a.py", agent="bob").resource == "src/a.py"
    orc.locks.break_("docs/*", reason="gone")
    assert [lock.resource for lock in orc.locks.all()] == ["src/a.py"]
    orc.locks.release("src/a.py", agent="bob")
    assert orc.tasks.next("w", agent="bob") is not None


def test_a_lapsed_lock_of_an_old_board_goes_with_the_next_acquisition(
    orc: Orchestrator, clock: SettableClock
):
    def record(tx: Transaction[State]) -> None:
        tx.act_as("ann")
        tx.record(LockAcquired(resource="./a", until=tx.later(60.0), ttl=60.0))

    orc.engine.run("old", record, lambda _state, _events: None, None)
    clock.advance(61)
    orc.locks.acquire("a", agent="bob")
    assert list(orc.engine.read().locks) == ["a"]
