"""Tasks: their transitions, leases and fencing tokens, needs, ids, and the result of ``next``."""

from collections.abc import Callable
from contextlib import suppress

import msgspec
import pytest
from boards import SettableClock, changes_nothing, code_of

from orchestrator import BadInput, BadName, NotFound, Orchestrator, Refused, UsageError
from orchestrator.core.transaction import Transaction
from orchestrator.domain.tasks.transitions import TRANSITIONS

HALF_AN_HOUR = 30 * 60


@pytest.fixture(autouse=True)
def build(orc: Orchestrator) -> None:
    orc.workstreams.create("build", priority=5)


def add(orc: Orchestrator, title: str = "Ship", **fields: object) -> str:
    return orc.tasks.add("build", title=title, **fields).id  # type: ignore[arg-type]


def done(orc: Orchestrator, task: str) -> str:
    orc.tasks.claim(task, agent="ann")
    orc.tasks.complete(task, agent="ann")
    return task


def in_status(orc: Orchestrator, status: str) -> str:
    """A task of this status; one that is running is ann's."""
    task = add(orc)
    if status == "assigned":
        orc.hooks.sling(task, "ann", convoy=False)
    if status in ("in_progress", "done", "failed"):
        orc.tasks.claim(task, agent="ann")
    if status == "done":
        orc.tasks.complete(task)
    elif status == "failed":
        orc.tasks.fail(task)
    elif status == "blocked":
        orc.tasks.block(task, reason="rain")
    elif status == "cancelled":
        orc.tasks.cancel(task)
    assert orc.tasks.get(task).status == status
    return task


# Adding


def test_a_task_keeps_everything_it_was_given(orc: Orchestrator):
    need = add(orc)
    task = orc.tasks.add(
        "build",
        title="Ship v1",
        description="all of it\nand more",
        type="bug",
        priority=2,
        labels=["a", "b"],
        acceptance="it ships",
        estimate=30,
        needs=[need[:6]],
        touches=["git", "src/**:shared"],
        agent="ann",
    )
    assert orc.tasks.get(task.id) == task
    assert msgspec.structs.asdict(task) == {
        "id": task.id,
        "workstream": "build",
        "title": "Ship v1",
        "description": "all of it\nand more",
        "status": "pending",
        "type": "bug",
        "priority": 2,
        "labels": ("a", "b"),
        "acceptance": "it ships",
        "estimate": 30.0,
        "needs": (need,),
        "open_needs": 1,
        "parent": None,
        "held": False,
        "gate": None,
        "waiting": False,
        "signals": (),
        "milestone": False,
        "external_ref": "",
        "needs_failure_of": (),
        "meta": {},
        "until": "",
        "for_each": None,
        "workflow": None,
        "assignee": "",
        "progress": None,
        "links": (),
        "touches": ("git", "src/**:shared"),
        "defer_until": "",
        "due": "",
        "commits": (),
        "assigned_to": None,
        "lease": None,
        "lease_until": "",
        "token": None,
        "attempt": 0,
        "workers": (),
        "failures": 0,
        "reviewer": None,
        "review_lease": None,
        "review_until": "",
        "waits_for": "",
        "proposal": None,
        "result": None,
        "reason": "",
        "checks": None,
        "evidence": (),
        "notes": (),
        "created_at": "2026-11-21T06:13:00.000Z",
        "created_by": "ann",
        "updated_at": "2026-11-21T06:13:00.000Z",
        "claimed_at": None,
        "machine": "",
        "ended_at": None,
        "events": (3,),
    }


def test_a_task_has_the_defaults_of_the_issue(orc: Orchestrator):
    task = orc.tasks.get(add(orc))
    assert (task.status, task.type, task.priority, task.attempt) == ("pending", "task", 5, 0)
    assert (task.assigned_to, task.result, task.token) == (None, None, None)


def test_an_estimate_is_the_same_number_in_memory_and_after_a_fold(orc: Orchestrator):
    estimate = orc.tasks.get(add(orc, estimate=30)).estimate
    assert isinstance(estimate, float)


def test_ids_are_8_hex_digits(orc: Orchestrator):
    ids = {add(orc, str(n)) for n in range(20)}
    assert len(ids) == 20
    assert all(len(i) == 8 and set(i) <= set("0123456789abcdef") for i in ids)


def test_an_id_is_never_used_again_not_even_that_of_an_archived_task(
    orc: Orchestrator, monkeypatch: pytest.MonkeyPatch
):
    old, archived = add(orc), done(orc, add(orc))
    orc.tasks.archive([archived])
    rolls = iter([old, archived, "01234567"])
    monkeypatch.setattr(
        "orchestrator.core.transaction.Transaction.random_id", staticmethod(lambda: next(rolls))
    )
    assert add(orc) == "01234567"


def test_a_child_has_its_parents_id_and_a_name_of_its_own(orc: Orchestrator):
    parent = add(orc)
    child = add(orc, parent=parent[:4], name="docs")
    assert child == f"{parent}.docs"
    assert add(orc, parent=child, name="api") == f"{parent}.docs.api"
    with changes_nothing(orc):
        assert code_of(lambda: add(orc, parent=parent, name="docs")) == "task_exists"


def test_the_id_of_an_archived_child_is_never_used_again(orc: Orchestrator):
    parent = add(orc)
    child = done(orc, add(orc, parent=parent, name="docs"))
    orc.tasks.archive([child])
    with changes_nothing(orc):
        assert code_of(lambda: add(orc, parent=parent, name="docs")) == "task_exists"


def test_a_name_needs_a_parent(orc: Orchestrator):
    with changes_nothing(orc), pytest.raises(UsageError):
        add(orc, name="docs")


def test_children_without_a_name_are_numbered_and_no_number_is_used_twice(orc: Orchestrator):
    parent = add(orc)
    first, second = add(orc, parent=parent), add(orc, parent=parent)
    assert (first, second) == (f"{parent}.1", f"{parent}.2")
    orc.tasks.archive([done(orc, second)])
    orc.tasks.edit(first, parent="")
    assert add(orc, parent=parent) == f"{parent}.3"


def test_a_task_goes_only_into_a_workstream_that_exists(orc: Orchestrator):
    with changes_nothing(orc):
        assert code_of(lambda: orc.tasks.add("bild", title="x")) == "workstream_not_found"


def test_a_need_must_exist(orc: Orchestrator):
    with changes_nothing(orc):
        assert code_of(lambda: add(orc, needs=["00000000"])) == "task_not_found"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"title": ""}, UsageError),
        ({"title": "  \n"}, UsageError),
        ({"title": "x" * 501}, BadInput),
        ({"title": "a\0b"}, BadInput),
        ({"title": "\ud800"}, BadInput),
        ({"description": "\ud800"}, BadInput),
        ({"description": "x" * (4 * 1024 * 1024 + 1)}, BadInput),
        ({"acceptance": "\0"}, BadInput),
        ({"type": "a b"}, BadName),
        ({"labels": ["ok", "-x"]}, BadName),
        ({"labels": [""]}, BadName),
        ({"priority": -1}, UsageError),
        ({"priority": 1001}, UsageError),
        ({"estimate": -1}, UsageError),
        ({"estimate": float("nan")}, UsageError),
        ({"estimate": float("inf")}, UsageError),
        ({"touches": ["../x"]}, BadName),
        ({"touches": [""]}, BadName),
        ({"touches": [":shared"]}, BadName),
        ({"touches": ["a\nb"]}, BadName),
        ({"agent": "../ann"}, BadName),
    ],
)
def test_bad_fields_are_refused_and_nothing_is_added(
    orc: Orchestrator, fields: dict[str, object], error: type[Exception]
):
    with changes_nothing(orc), pytest.raises(error):
        add(orc, **fields)


@pytest.mark.parametrize(
    "fields", [{"priority": 1.5}, {"priority": True}, {"estimate": True}, {"priority": 2.0}]
)
def test_a_value_of_the_wrong_type_never_gets_into_the_log(
    orc: Orchestrator, fields: dict[str, object]
):
    """Such an event could not be read back, and the board could never be opened again."""
    with suppress(UsageError, BadInput, TypeError):
        add(orc, **fields)
    reopened = Orchestrator(orc.engine.store)
    orc.engine.store.save_snapshot(b"")
    assert reopened.workstreams.create("still-open").name == "still-open"


# Finding


def test_an_exact_id_wins_over_every_prefix(orc: Orchestrator, monkeypatch: pytest.MonkeyPatch):
    rolls = iter(["abcdef01", "abcdef02"])
    monkeypatch.setattr(
        "orchestrator.core.transaction.Transaction.random_id", staticmethod(lambda: next(rolls))
    )
    first, second = add(orc), add(orc)
    child = add(orc, parent=first, name="abc")
    assert orc.tasks.get(first).id == first
    assert orc.tasks.get("abcdef02").id == second
    assert orc.tasks.get("abcdef01.abc").id == child
    assert code_of(lambda: orc.tasks.get("abcdef")) == "ambiguous_id"
    assert code_of(lambda: orc.tasks.get("abcdef.abc")) == "ambiguous_id"


def test_a_unique_prefix_of_3_digits_is_enough_and_2_are_not(
    orc: Orchestrator, monkeypatch: pytest.MonkeyPatch
):
    rolls = iter(["abcdef01", "12345678"])
    monkeypatch.setattr(
        "orchestrator.core.transaction.Transaction.random_id", staticmethod(lambda: next(rolls))
    )
    first, _ = add(orc), add(orc)
    child = add(orc, parent=first, name="docs")
    assert orc.tasks.get("abc").id == first
    assert orc.tasks.get("abc.docs").id == child
    for text in ("ab", "", ".", "abc.", "abc.doc", "abd", "abcdef011", ".docs"):
        with pytest.raises(NotFound):
            orc.tasks.get(text)


def test_an_archived_task_is_still_found_by_its_prefix(orc: Orchestrator):
    task = done(orc, add(orc))
    before = orc.tasks.get(task)
    orc.tasks.archive([task])
    assert orc.tasks.get(task[:5]) == before


# Steps


ACTIONS: dict[str, Callable[[Orchestrator, str], object]] = {
    "claim": lambda orc, task: orc.tasks.claim(task, agent="bob"),
    "sling": lambda orc, task: orc.hooks.sling(task, "bob", convoy=False),
    "renew": lambda orc, task: orc.tasks.renew(task, agent="ann"),
    "complete": lambda orc, task: orc.tasks.complete(task, agent="ann"),
    "fail": lambda orc, task: orc.tasks.fail(task, agent="ann"),
    "release": lambda orc, task: orc.tasks.release(task, agent="ann"),
    "block": lambda orc, task: orc.tasks.block(task, reason="rain"),
    "unblock": lambda orc, task: orc.tasks.unblock(task),
    "cancel": lambda orc, task: orc.tasks.cancel(task),
    "reopen": lambda orc, task: orc.tasks.reopen(task),
    "archive": lambda orc, task: orc.tasks.archive([task]),
}
AFTER = {
    "claim": "in_progress",
    "sling": "assigned",
    "complete": "done",
    "fail": "failed",
    "release": "pending",
    "block": "blocked",
    "unblock": "pending",
    "cancel": "cancelled",
    "reopen": "pending",
}
LEGAL = {
    "pending": {"claim", "sling", "block", "cancel"},
    "assigned": {"claim", "renew", "release", "block", "cancel"},
    "in_progress": {"renew", "complete", "fail", "release", "block", "cancel"},
    "blocked": {"unblock", "cancel"},
    "done": {"reopen", "archive"},
    "failed": {"reopen", "archive"},
    "cancelled": {"reopen", "archive"},
}


SETTLED = {
    "pending": {"release", "unblock", "reopen"},
    "assigned": {"unblock"},
    "in_progress": {"unblock"},
    "blocked": {"block"},
    "done": {"complete"},
    "failed": {"fail"},
    "cancelled": {"cancel"},
}
WAYS = {
    "pending": "claim",
    "assigned": "claim",
    "in_progress": "complete",
    "blocked": "unblock",
    "done": "reopen",
    "failed": "reopen",
    "cancelled": "reopen",
}


@pytest.mark.parametrize("status", LEGAL)
@pytest.mark.parametrize("step", ACTIONS)
def test_each_step_is_allowed_from_its_statuses_and_refused_from_all_others(
    orc: Orchestrator, status: str, step: str
):
    task = in_status(orc, status)
    taken = status in ("assigned", "in_progress") and step in ("claim", "sling")
    if step in LEGAL[status] and not taken:
        ACTIONS[step](orc, task)
        assert orc.tasks.get(task).status == AFTER.get(step, status)
        return
    if step in SETTLED[status]:
        with changes_nothing(orc):
            assert getattr(ACTIONS[step](orc, task), "status", None) == status
        return
    with changes_nothing(orc), pytest.raises(Refused) as caught:
        ACTIONS[step](orc, task)
    assert caught.value.code == ("already_claimed" if taken else "illegal_step")
    if step == "sling" and taken:
        return
    assert set(caught.value.details["allowed"]) == LEGAL[status]  # type: ignore[call-overload]
    if taken:
        assert "`t next`" in caught.value.hint
    else:
        assert f"`t {WAYS[status]} {task}`" in caught.value.hint
        assert all(word in caught.value.hint for word in LEGAL[status])


def test_the_table_of_steps_is_the_one_of_the_issue():
    assert {step: set(TRANSITIONS[step]) & set(LEGAL) for step in ACTIONS} == {
        step: {status for status, steps in LEGAL.items() if step in steps} for step in ACTIONS
    }


def test_a_claim_needs_the_name_of_an_agent(orc: Orchestrator):
    task = add(orc)
    with changes_nothing(orc):
        assert code_of(lambda: orc.tasks.claim(task)) == "agent_needed"
        assert code_of(lambda: orc.tasks.claim(task, agent="system")) == "agent_needed"
        assert code_of(lambda: orc.tasks.next()) == "agent_needed"


def test_a_claim_is_a_lease_of_30_minutes_with_a_token(orc: Orchestrator):
    claimed = orc.tasks.claim(add(orc), agent="ann")
    assert (claimed.assigned_to, claimed.attempt, claimed.claimed_at) == (
        "ann",
        1,
        "2026-11-21T06:13:00.000Z",
    )
    assert claimed.lease_until == "2026-11-21T06:43:00.000Z"
    assert claimed.token == orc.events.read(last=1)[0].id


@pytest.mark.parametrize(
    ("lease", "until"),
    [("90s", "06:14:30.000Z"), (90, "06:14:30.000Z"), ("1.5h", "07:43:00.000Z")],
)
def test_a_lease_has_the_length_it_was_given(orc: Orchestrator, lease: float | str, until: str):
    assert orc.tasks.claim(add(orc), agent="ann", lease=lease).lease_until == f"2026-11-21T{until}"


@pytest.mark.parametrize("lease", [0, -1, "0s", "soon", "", float("nan"), "200y", 1e30])
def test_a_lease_that_is_not_a_length_is_refused(orc: Orchestrator, lease: float | str):
    task = add(orc)
    with changes_nothing(orc), pytest.raises(UsageError):
        orc.tasks.claim(task, agent="ann", lease=lease)


def test_a_result_and_a_reason_are_kept(orc: Orchestrator):
    first, second = add(orc), add(orc)
    orc.tasks.claim(first, agent="ann")
    orc.tasks.claim(second, agent="ann")
    completed = orc.tasks.complete(first, result="Shipped!\n\nAt last.")
    assert (completed.result, completed.assigned_to) == ("Shipped!\n\nAt last.", "ann")
    failed = orc.tasks.fail(second, reason="no disk")
    assert (failed.reason, failed.failures) == ("no disk", 1)


def test_complete_without_a_name_acts_for_the_holder(orc: Orchestrator):
    task = add(orc)
    orc.tasks.claim(task, agent="ann")
    orc.tasks.complete(task)
    assert orc.events.read(last=1)[0].agent == "ann"


@pytest.mark.parametrize("step", ["complete", "fail", "release", "renew"])
def test_only_the_holder_takes_the_steps_of_a_holder(orc: Orchestrator, step: str):
    task = add(orc)
    orc.tasks.claim(task, agent="ann")
    with changes_nothing(orc), pytest.raises(Refused) as caught:
        getattr(orc.tasks, step)(task, agent="bob")
    assert (caught.value.code, caught.value.details["assigned_to"]) == ("not_holder", "ann")
    assert "ann has it now" in caught.value.message


def test_claiming_what_one_holds_keeps_token_and_lease(orc: Orchestrator, clock: SettableClock):
    task = add(orc)
    held = orc.tasks.claim(task, agent="ann", lease="1h")
    clock.advance(60)
    with changes_nothing(orc):
        assert orc.tasks.claim(task[:6], agent="ann", lease="2h") == held
    clock.advance(3600)
    assert orc.tasks.claim(task, agent="ann").token != held.token  # the lease had ended


def test_completing_again_changes_nothing_but_another_result_is_kept_as_a_note(orc: Orchestrator):
    task = add(orc)
    token = orc.tasks.claim(task, agent="ann").token
    done = orc.tasks.complete(task, result="shipped", agent="ann", token=token)
    with changes_nothing(orc):
        for again in ({}, {"agent": "ann"}, {"agent": "ann", "result": "shipped", "token": token}):
            assert orc.tasks.complete(task, **again) == done  # type: ignore[arg-type]
        for wrong in ({"agent": "bob"}, {"agent": "ann", "token": 1}):
            assert code_of(lambda: orc.tasks.complete(task, **wrong)) in (  # type: ignore[arg-type] # noqa: B023
                "illegal_step",
                "not_holder",
            )
    noted = orc.tasks.complete(task, result="shipped twice", agent="ann")
    assert (noted.result, [note.text for note in noted.notes]) == ("shipped", ["shipped twice"])
    with changes_nothing(orc):
        assert orc.tasks.complete(task, result="shipped twice", agent="ann") == noted


def test_an_open_need_refuses_the_completion_of_a_claimed_task_and_is_named(orc: Orchestrator):
    need, task = add(orc, title="Lay the pipe"), add(orc)
    orc.tasks.claim(task, agent="ann")
    orc.links.add(task, need)
    with changes_nothing(orc), pytest.raises(Refused) as caught:
        orc.tasks.complete(task, agent="ann")
    assert (caught.value.code, caught.value.details["needs"]) == ("not_ready", [need])
    assert f"{need} (Lay the pipe)" in caught.value.message
    assert f"`t complete {task} --force --reason TEXT`" in caught.value.hint
    done = orc.tasks.complete(task, agent="ann", force=True, reason="it was there already")
    (override,) = done.evidence
    assert (override.kind, override.what) == ("force", "it was there already")
    assert need in override.problem


@pytest.mark.parametrize("end", ["complete", "fail", "cancel"])
def test_a_parent_is_completed_after_its_children(orc: Orchestrator, end: str):
    parent = add(orc)
    child = orc.tasks.add("build", title="Dig", parent=parent).id
    orc.tasks.claim(parent, agent="ann")
    with changes_nothing(orc), pytest.raises(Refused) as caught:
        orc.tasks.complete(parent, agent="ann")
    assert caught.value.details["parts"] == [child]
    assert f"{child} (Dig)" in caught.value.message
    orc.tasks.claim(child, agent="bob")
    reason = {"reason": "no need"} if end == "cancel" else {}
    getattr(orc.tasks, end)(child, **reason)
    assert orc.tasks.complete(parent, agent="ann").status == "done"


@pytest.mark.parametrize("status", ["pending", "assigned", "in_progress", "blocked"])
@pytest.mark.parametrize("agent", ["ann", None])
def test_force_with_a_reason_completes_an_open_task_of_any_status(
    orc: Orchestrator, status: str, agent: str | None
):
    task = in_status(orc, status)
    need = add(orc)
    orc.links.add(task, need)
    orc.tasks.add("build", title="Dig", parent=task)
    done = orc.tasks.complete(task, result="x", force=True, reason="we know", agent=agent)
    assert (done.status, done.result, done.reason) == ("done", "x", "we know")
    (override,) = done.evidence
    assert (override.kind, override.what, override.passed) == ("force", "we know", False)
    assert need in override.problem
    assert "Dig" in override.problem


def test_force_takes_nothing_from_another_agent(orc: Orchestrator):
    task = add(orc)
    orc.tasks.claim(task, agent="ann")
    with changes_nothing(orc):
        force = {"force": True, "reason": "we know"}
        assert code_of(lambda: orc.tasks.complete(task, agent="bob", **force)) == "not_holder"  # type: ignore[arg-type]


def test_an_edit_that_changes_nothing_is_not_an_event(orc: Orchestrator):
    task = orc.tasks.add("build", title="x", labels=["ui"], priority=2)
    with changes_nothing(orc):
        assert orc.tasks.edit(task.id, labels=["ui"], title="x", defer="") == task


def test_the_parts_of_a_task_are_given_before_it(orc: Orchestrator, clock: SettableClock):
    epic, other = add(orc, priority=1), add(orc, priority=5)
    parts = [orc.tasks.add("build", title="x", parent=epic, priority=9).id for _ in range(2)]
    gone = orc.tasks.add("build", title="x", parent=epic, priority=9, defer="9d").id
    given = [orc.tasks.next(agent=f"a{n}") for n in range(4)]
    assert [task and task.id for task in given] == [other, *parts, None]
    orc.tasks.complete(parts[0])
    orc.tasks.fail(parts[1])
    assert orc.tasks.next(agent="ann") is None
    assert [blocked.by[0].kind for blocked in orc.links.blocked()] == ["parts", "deferred"]
    orc.tasks.edit(gone, parent="")
    assert orc.tasks.all(ready=True) == orc.links.ready() == [orc.tasks.get(epic)]
    taken = orc.tasks.next(agent="ann", lease="1m")
    assert taken is not None
    assert taken.id == epic
    orc.tasks.edit(gone, parent=epic, defer="")  # a part that turns up while the task is in work
    clock.advance(61)
    later = [orc.tasks.next(agent=name) for name in ("ann", "bob", "ann")]
    assert [task and task.id for task in later] == [gone, None, None]
    orc.tasks.complete(gone)
    back = orc.tasks.next(agent="bob")
    assert back is not None
    assert back.id == epic


@pytest.mark.parametrize(
    "call",
    [
        lambda orc, task: orc.tasks.add("build", title="x", labels=["ui", "ui"]),
        lambda orc, task: orc.tasks.add("build", title="x", labels=[""]),
        lambda orc, task: orc.tasks.add("build", title="x", needs=[task, task]),
        lambda orc, task: orc.tasks.add("build", title="x", needs=[task[:7], task]),
        lambda orc, task: orc.tasks.edit(task, touches=["git", ""]),
        lambda orc, task: orc.batch.apply([{"id": task, "labels": ["a", "a"]}]),
        lambda orc, task: orc.convoys.create("dup", [task, task]),
        lambda orc, task: orc.convoys.create("dup", [task[:7], task]),
        lambda orc, task: orc.convoys.create("dup", [task], notify=["ann", "ann"]),
        lambda orc, task: orc.agents.register("ann", capabilities=["x", "x"]),
        lambda orc, task: orc.knowledge.write("topic", "x", tags=["a", "a"]),
    ],
)
def test_a_list_with_a_repeated_or_an_empty_item_is_refused(
    orc: Orchestrator, call: Callable[[Orchestrator, str], object]
):
    task = add(orc)
    with changes_nothing(orc), pytest.raises(UsageError):
        call(orc, task)


def test_a_mistyped_id_is_answered_with_the_nearest_everywhere(
    orc: Orchestrator, monkeypatch: pytest.MonkeyPatch
):
    ids = iter(["299833bc", "5d41402a"])
    monkeypatch.setattr(Transaction, "random_id", staticmethod(lambda: next(ids)))
    task, other = add(orc), add(orc)
    calls: list[Callable[[str], object]] = [
        orc.tasks.get,
        orc.tasks.complete,
        lambda text: orc.links.add(other, text),
        lambda text: orc.convoys.create("all", [text]),
        lambda text: orc.hooks.sling(text, "ann"),
        lambda text: orc.batch.apply([{"title": "x", "needs": [text]}]),
    ]
    for slip in ("299833bd", "29833bc", "2998833bc", "299383bc", "299833BC"):
        for call in calls:
            with pytest.raises((NotFound, UsageError)) as caught:
                call(slip)
            assert f"did you mean '{task}'?" in caught.value.message
    with pytest.raises(NotFound) as caught:
        orc.tasks.get("0123abcd")
    assert "did you mean" not in caught.value.message


def test_completing_a_pending_task_is_refused(orc: Orchestrator):
    task = add(orc)
    with changes_nothing(orc):
        assert code_of(lambda: orc.tasks.complete(task)) == "illegal_step"


def test_blocking_needs_a_reason_and_gives_the_task_back(orc: Orchestrator):
    task = add(orc)
    orc.tasks.claim(task, agent="ann")
    with changes_nothing(orc), pytest.raises(UsageError):
        orc.tasks.block(task, reason=" ")
    blocked = orc.tasks.block(task, reason="waits for legal")
    assert (blocked.reason, blocked.assigned_to, blocked.token) == ("waits for legal", None, None)
    assert orc.tasks.unblock(task).reason == ""


def test_reopening_clears_end_holder_and_result(orc: Orchestrator):
    task = add(orc)
    orc.tasks.claim(task, agent="ann")
    orc.tasks.complete(task, result="done")
    opened = orc.tasks.reopen(task, reason="not quite")
    assert (opened.status, opened.result, opened.ended_at, opened.assigned_to) == (
        "pending",
        None,
        None,
        None,
    )
    assert opened.attempt == 1


def test_notes_are_appended_in_any_status_and_never_replaced(
    orc: Orchestrator, clock: SettableClock
):
    task = add(orc)
    orc.tasks.note(task, "one", agent="ann")
    clock.advance(1)
    done(orc, task)
    noted = orc.tasks.note(task, "two\nlines", agent="bob")
    assert [(note.agent, note.at[11:19], note.text) for note in noted.notes] == [
        ("ann", "06:13:00", "one"),
        ("bob", "06:13:01", "two\nlines"),
    ]
    with changes_nothing(orc), pytest.raises(UsageError):
        orc.tasks.note(task, " ")


# Editing


def test_edit_changes_what_is_given_and_nothing_else(orc: Orchestrator):
    task = add(orc, description="old", labels=["a"], estimate=5, touches=["git"])
    before = orc.tasks.get(task)
    edited = orc.tasks.edit(task, title="New", labels=[], priority=1)
    assert (edited.title, edited.labels, edited.priority) == ("New", (), 1)
    assert (edited.description, edited.estimate, edited.touches) == ("old", 5, ("git",))
    assert edited.events == (*before.events, before.events[-1] + 1)


def test_needs_may_not_close_a_circle_and_the_circle_is_shown(orc: Orchestrator):
    first = add(orc)
    second = add(orc, needs=[first])
    third = add(orc, needs=[second])
    with changes_nothing(orc), pytest.raises(Refused) as caught:
        orc.tasks.edit(first, needs=[third])
    assert caught.value.code == "circle"
    circle = caught.value.details["circle"]
    assert circle in ([first, third, second, first], [first, second, third, first])
    with changes_nothing(orc):
        assert code_of(lambda: orc.tasks.edit(first, needs=[first])) == "circle"


def test_a_diamond_is_not_a_circle(orc: Orchestrator):
    root = add(orc)
    left, right = add(orc, needs=[root]), add(orc, needs=[root])
    assert orc.tasks.get(add(orc, needs=[left, right])).open_needs == 2


def test_editing_needs_counts_the_open_ones_anew(orc: Orchestrator):
    finished, waiting = done(orc, add(orc)), add(orc)
    task = add(orc, needs=[waiting])
    assert orc.tasks.edit(task, needs=[finished]).is_clear
    assert not orc.tasks.edit(task, needs=[finished, waiting]).is_clear
    assert orc.tasks.edit(task, needs=[]).is_clear


def test_touches_edited_while_the_task_runs_hold_at_once_and_the_old_ones_are_free(
    orc: Orchestrator,
):
    task = add(orc, touches=["git"])
    orc.tasks.claim(task, agent="ann")
    orc.tasks.edit(task, touches=["db"])
    with changes_nothing(orc):
        assert code_of(lambda: orc.locks.acquire("db", agent="bob")) == "lock_denied"
    orc.locks.acquire("git", agent="bob")
    orc.tasks.complete(task)
    orc.locks.acquire("db", agent="bob")


def test_a_lapsed_task_is_given_out_also_when_its_priority_was_edited_meanwhile(
    orc: Orchestrator, clock: SettableClock
):
    orc.locks.acquire("git", agent="carl", ttl="10h")
    task = add(orc)
    orc.tasks.claim(task, agent="ann")
    clock.advance(HALF_AN_HOUR)
    orc.tasks.edit(task, touches=["git"])
    assert orc.tasks.next(agent="bob") is None
    orc.tasks.edit(task, priority=2)
    orc.locks.release("git", agent="carl")
    given = orc.tasks.next(agent="bob")
    assert given is not None
    assert given.id == task


# Needs


def test_a_task_is_ready_when_it_is_pending_and_all_its_needs_are_done(orc: Orchestrator):
    first, second = add(orc), add(orc)
    task = add(orc, needs=[first, second])
    ready = lambda: {t.id for t in orc.tasks.all(ready=True)}  # noqa: E731
    assert ready() == {first, second}
    done(orc, first)
    assert ready() == {second}
    done(orc, second)
    assert ready() == {task}


def test_a_task_that_waits_cannot_be_claimed(orc: Orchestrator):
    first = add(orc)
    task = add(orc, needs=[first])
    with changes_nothing(orc), pytest.raises(Refused) as caught:
        orc.tasks.claim(task, agent="ann")
    assert (caught.value.code, caught.value.details["needs"]) == ("not_ready", [first])


@pytest.mark.parametrize("end", ["fail", "cancel"])
def test_a_failed_or_cancelled_need_keeps_its_dependants_waiting(orc: Orchestrator, end: str):
    need = add(orc)
    task = add(orc, needs=[need])
    orc.tasks.claim(need, agent="ann")
    getattr(orc.tasks, end)(need)
    orc.tasks.archive([need])
    assert not orc.tasks.get(task).is_clear
    assert orc.tasks.next(agent="bob") is None


def test_reopening_a_need_makes_its_dependants_wait_again(orc: Orchestrator):
    need = done(orc, add(orc))
    task = add(orc, needs=[need])
    assert orc.tasks.get(task).is_clear
    orc.tasks.reopen(need)
    assert not orc.tasks.get(task).is_clear


def test_a_done_need_counts_as_done_when_it_is_archived(orc: Orchestrator):
    need = done(orc, add(orc))
    before = add(orc, needs=[need])
    orc.tasks.archive([need])
    after = add(orc, needs=[need])
    assert {t.id for t in orc.tasks.all(ready=True)} == {before, after}


def test_needed_by_names_the_dependants(orc: Orchestrator):
    need = add(orc)
    dependants = [add(orc, needs=[need]) for _ in range(2)]
    assert [task.id for task in orc.tasks.needed_by(need[:5])] == dependants


# Next


def test_next_goes_by_workstream_priority_then_task_priority_then_age(orc: Orchestrator):
    orc.workstreams.create("urgent", priority=1)
    orc.workstreams.create("as-urgent", priority=1)
    late = add(orc, priority=0)
    third = orc.tasks.add("urgent", title="3", priority=7).id
    first = orc.tasks.add("urgent", title="1", priority=2).id
    second = orc.tasks.add("as-urgent", title="2", priority=2).id
    given = [orc.tasks.next(agent="ann") for _ in range(5)]
    assert [task and task.id for task in given] == [first, second, third, late, None]


def test_next_of_a_workstream_gives_only_its_tasks(orc: Orchestrator):
    orc.workstreams.create("urgent", priority=1)
    orc.tasks.add("urgent", title="1")
    task = add(orc)
    given = orc.tasks.next("build", agent="ann")
    assert given is not None
    assert given.id == task
    assert orc.tasks.next("build", agent="ann") is None
    with pytest.raises(NotFound):
        orc.tasks.next("bild", agent="ann")


def test_next_always_claims_another_task(orc: Orchestrator):
    tasks = {add(orc) for _ in range(3)}
    given = {task.id for _ in range(3) if (task := orc.tasks.next(agent="ann"))}
    assert given == tasks
    assert orc.tasks.next(agent="ann") is None


def test_next_follows_edits_of_priorities(orc: Orchestrator):
    first, second = add(orc), add(orc)
    orc.tasks.edit(second, priority=1)
    orc.tasks.edit(first, priority=3)
    orc.tasks.edit(first, priority=0)
    given = [orc.tasks.next(agent="ann") for _ in range(3)]
    assert [task and task.id for task in given] == [first, second, None]


def test_next_without_a_task_changes_nothing(orc: Orchestrator):
    add(orc, touches=["git"])
    orc.locks.acquire("git", agent="bob")
    with changes_nothing(orc):
        assert orc.tasks.next(agent="ann") is None


def test_next_passes_over_what_touches_a_lock_or_a_running_task_of_others(orc: Orchestrator):
    locked = add(orc, touches=["src/**"], priority=1)
    running = add(orc, touches=["git"], priority=2)
    collides = add(orc, touches=["git"], priority=3)
    shares = add(orc, touches=["docs:shared"], priority=4)
    free = add(orc, priority=5)
    orc.locks.acquire("src/main.py", agent="bob")
    orc.locks.acquire("docs", agent="bob", shared=True)
    orc.tasks.claim(running, agent="bob")
    given = [orc.tasks.next(agent="ann") for _ in range(3)]
    assert [task and task.id for task in given] == [shares, free, None]
    mine = [orc.tasks.next(agent="bob") for _ in range(3)]
    assert [task and task.id for task in mine] == [locked, collides, None]


def test_claim_of_what_touches_a_held_resource_is_refused_with_holder_and_end(orc: Orchestrator):
    task = add(orc, touches=["git"])
    orc.locks.acquire("git", agent="bob", ttl=60)
    with changes_nothing(orc), pytest.raises(Refused) as caught:
        orc.tasks.claim(task, agent="ann")
    assert caught.value.code == "resource_held"
    assert caught.value.details["holder"] == "bob"
    assert "06:14" in caught.value.hint
    assert orc.tasks.claim(task, agent="bob").assigned_to == "bob"


def test_a_resource_touched_both_shared_and_alone_is_held_alone(orc: Orchestrator):
    task = add(orc, touches=["git", "git:shared"])
    orc.tasks.claim(task, agent="ann")
    with changes_nothing(orc):
        assert code_of(lambda: orc.locks.acquire("git", agent="bob", shared=True)) == "lock_denied"


# Leases


def test_a_lapsed_task_goes_to_the_next_next_with_another_attempt_and_token(
    orc: Orchestrator, clock: SettableClock
):
    task = add(orc)
    old = orc.tasks.claim(task, agent="ann")
    clock.advance(HALF_AN_HOUR - 1)
    assert orc.tasks.next(agent="bob") is None
    clock.advance(1)
    new = orc.tasks.next(agent="bob")
    assert new is not None
    assert (new.id, new.assigned_to, new.attempt) == (task, "bob", 2)
    assert new.token > old.token  # type: ignore[operator]
    types = [record.type for record in orc.events.read(last=3)]
    assert types == ["task.lapsed", "task.claimed", "message.sent"], "its holder is notified"


def test_the_late_holder_is_refused_with_the_name_of_the_new_holder(
    orc: Orchestrator, clock: SettableClock
):
    task = add(orc)
    token = orc.tasks.claim(task, agent="ann").token
    clock.advance(HALF_AN_HOUR)
    orc.tasks.next(agent="bob")
    for call in (
        lambda: orc.tasks.complete(task, agent="ann", result="late"),
        lambda: orc.tasks.complete(task, agent="ann", token=token),
        lambda: orc.tasks.complete(task, token=token),
    ):
        with changes_nothing(orc), pytest.raises(Refused) as caught:
            call()
        assert caught.value.code == "not_holder"
        assert "bob has it now" in caught.value.message


def test_an_old_token_is_refused_also_when_the_same_agent_has_the_task_again(
    orc: Orchestrator, clock: SettableClock
):
    task = add(orc)
    old = orc.tasks.claim(task, agent="ann").token
    clock.advance(HALF_AN_HOUR)
    new = orc.tasks.claim(task, agent="ann")
    assert new.attempt == 2
    with changes_nothing(orc):
        assert code_of(lambda: orc.tasks.complete(task, agent="ann", token=old)) == "not_holder"
    assert orc.tasks.complete(task, agent="ann", token=new.token).status == "done"


def test_an_old_token_is_refused_after_the_task_was_done_by_another(
    orc: Orchestrator, clock: SettableClock
):
    task = add(orc)
    old = orc.tasks.claim(task, agent="ann").token
    clock.advance(HALF_AN_HOUR)
    orc.tasks.claim(task, agent="bob")
    orc.tasks.complete(task, agent="bob", result="mine")
    with changes_nothing(orc):
        assert code_of(lambda: orc.tasks.complete(task, agent="ann", token=old)) == "not_holder"


def test_a_holder_whose_lapsed_task_is_still_free_may_complete_it(
    orc: Orchestrator, clock: SettableClock
):
    task = add(orc)
    claimed = orc.tasks.claim(task, agent="ann")
    clock.advance(10 * HALF_AN_HOUR)
    assert orc.tasks.complete(task, agent="ann", token=claimed.token).status == "done"


def test_a_lapsed_task_that_was_renewed_is_not_given_out(orc: Orchestrator, clock: SettableClock):
    task = add(orc)
    orc.tasks.claim(task, agent="ann")
    clock.advance(HALF_AN_HOUR)
    orc.tasks.renew(task, agent="ann")
    assert orc.tasks.next(agent="bob") is None


def test_a_lapsed_task_whose_need_was_reopened_is_not_ready_and_not_given_out(
    orc: Orchestrator, clock: SettableClock
):
    need = done(orc, add(orc, touches=["git"]))
    task = add(orc, needs=[need])
    orc.tasks.claim(task, agent="ann")
    orc.tasks.reopen(need)
    orc.tasks.block(need, reason="rain")
    clock.advance(HALF_AN_HOUR)
    assert orc.tasks.next(agent="bob") is None


def test_a_running_tasks_touches_are_free_when_its_lease_has_ended(
    orc: Orchestrator, clock: SettableClock
):
    orc.tasks.claim(add(orc, touches=["git"]), agent="ann", lease=60)
    with changes_nothing(orc):
        assert code_of(lambda: orc.locks.acquire("git", agent="bob")) == "lock_denied"
    clock.advance(60)
    orc.locks.acquire("git", agent="bob")


def test_renew_extends_from_now_by_the_leases_length_or_another(
    orc: Orchestrator, clock: SettableClock
):
    task = add(orc)
    orc.tasks.claim(task, agent="ann", lease=100)
    clock.advance(10)
    assert orc.tasks.renew(task, agent="ann").lease_until == "2026-11-21T06:14:50.000Z"
    assert orc.tasks.renew(task, agent="ann", lease=60).lease_until == "2026-11-21T06:14:10.000Z"
    assert orc.tasks.renew(task, agent="ann").lease_until == "2026-11-21T06:14:10.000Z"


def test_a_renewal_keeps_the_token_and_the_attempt(orc: Orchestrator):
    task = add(orc)
    claimed = orc.tasks.claim(task, agent="ann")
    renewed = orc.tasks.renew(task, agent="ann", token=claimed.token, lease="2h")
    assert (renewed.token, renewed.attempt) == (claimed.token, 1)


def test_half_a_lease_is_that_of_the_last_renewal_also_when_the_end_stays_the_same(
    orc: Orchestrator, clock: SettableClock
):
    task = add(orc)
    orc.tasks.claim(task, agent="ann", lease=60)
    clock.advance(30 - 1)
    orc.tasks.renew(task, agent="ann", lease=31)
    clock.advance(16)
    assert [t.id for t in orc.agents.heartbeat("ann")] == [task]


# Archiving


def test_archived_tasks_leave_the_state_but_stay_in_counts_needs_and_show(
    orc: Orchestrator, clock: SettableClock
):
    old = done(orc, add(orc))
    clock.advance(31 * 86400)
    young, open_ = done(orc, add(orc)), add(orc)
    assert [task.id for task in orc.tasks.archive(older_than="30d")] == [old]
    assert [task.id for task in orc.tasks.all()] == [young, open_]
    assert orc.workstreams.counts("build") == {"done": 2, "pending": 1}
    assert orc.tasks.get(old).status == "done"
    assert [record.type for record in orc.tasks.history(old)] == [
        "task.added",
        "task.claimed",
        "task.completed",
        "task.archived",
    ]


def test_an_archived_task_takes_no_further_step(orc: Orchestrator):
    task = done(orc, add(orc))
    orc.tasks.archive([task])
    with changes_nothing(orc):
        for step in ("claim", "reopen", "cancel", "archive"):
            assert code_of(lambda step=step: ACTIONS[step](orc, task)) == "archived"


def test_archiving_is_all_or_nothing(orc: Orchestrator):
    finished, pending = done(orc, add(orc)), add(orc)
    with changes_nothing(orc):
        assert code_of(lambda: orc.tasks.archive([finished, pending])) == "illegal_step"


def test_archiving_nothing_records_nothing(orc: Orchestrator):
    add(orc)
    with changes_nothing(orc):
        assert orc.tasks.archive(older_than=0) == []


# Queries


def test_all_passes_every_filter(orc: Orchestrator):
    orc.workstreams.create("other")
    mine = add(orc, labels=["x", "y"], type="bug")
    elsewhere = orc.tasks.add("other", title="t", labels=["x"]).id
    waiting = add(orc, needs=[mine])
    orc.tasks.claim(mine, agent="ann")
    ids = lambda **filters: [task.id for task in orc.tasks.all(**filters)]  # noqa: E731
    assert ids() == [mine, elsewhere, waiting]
    assert ids(workstream="build") == [mine, waiting]
    assert ids(status=["pending"]) == [elsewhere, waiting]
    assert ids(agent="ann") == [mine]
    assert ids(labels=["x"]) == [mine, elsewhere]
    assert ids(labels=["x", "y"]) == [mine]
    assert ids(type="bug") == [mine]
    assert ids(ready=True) == [elsewhere]
    with pytest.raises(UsageError):
        ids(status=["pendng"])
    with pytest.raises(NotFound):
        ids(workstream="bild")


def test_history_holds_every_event_of_a_task_and_no_other(orc: Orchestrator):
    task, other = add(orc), add(orc)
    orc.tasks.edit(task, title="New")
    orc.tasks.note(other, "x")
    orc.tasks.claim(task, agent="ann")
    orc.tasks.complete(task)
    assert [record.type for record in orc.tasks.history(task)] == [
        "task.added",
        "task.edited",
        "task.claimed",
        "task.completed",
    ]
