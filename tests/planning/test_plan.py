"""The plan of a cycle, on boards that are made by commands."""

import itertools
from typing import Any

import msgspec
import pytest
from boards import MORNING, SettableClock, add, code_of, set_seen
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import Orchestrator
from orchestrator.core.clock import local_time
from orchestrator.domain.state import State
from orchestrator.domain.tasks import resources
from orchestrator.domain.tasks.derived import add_task, change_task
from orchestrator.domain.tasks.records import Task
from orchestrator.domain.workstreams.records import Workstream
from orchestrator.planning.plan import make_plan
from orchestrator.planning.records import SHOWN

NOW = "2026-11-21T06:13:00.000Z"


@pytest.fixture(autouse=True)
def streams(orc: Orchestrator) -> None:
    orc.workstreams.create("build", priority=1)
    orc.workstreams.create("docs", priority=2)


def planned(orc: Orchestrator, **options: Any) -> dict[str, Any]:
    """A plan as its JSON has it."""
    return msgspec.to_builtins(orc.plan(**options))


def parallel(plan: dict[str, Any]) -> list[str]:
    return [entry["task"]["id"] for entry in plan["recommended_parallel"]]


def kinds(plan: dict[str, Any]) -> list[str]:
    return [entry["kind"] for entry in plan["attention"]]


# The whole


def test_a_plan_as_json(orc: Orchestrator):
    """Every field, whole; the fields of the original among them under their names."""
    task = orc.tasks.add("build", title="Ship", priority=2, touches=["git"], description="Do it")
    after = add(orc, "Announce", "docs", needs=[task.id], estimate=10)
    about = {
        "id": task.id,
        "workstream": "build",
        "title": "Ship",
        "description": "Do it",
        "status": "pending",
        "type": "task",
        "priority": 2,
        "labels": [],
        "estimate": None,
        "touches": ["git"],
        "attempt": 0,
        "assigned_to": None,
        "created_at": NOW,
        "updated_at": NOW,
        "result": None,
    }
    assert planned(orc) == {
        "generated_at": NOW,
        "cycle": 1,
        "workstreams": [
            {"name": "build", "priority": 1, "next_task": about, "pending_count": 1},
            {"name": "docs", "priority": 2, "next_task": None, "pending_count": 1},
        ],
        "recommended_parallel": [
            {
                "workstream": "build",
                "task": about,
                "brief": f"Task {task.id} of build, priority 2: Ship - Do it"
                f" (`runner brief {task.id}` prints the whole brief.)",
                "agent": None,
                "value": 8,
                "touches": ["git"],
            }
        ],
        "recommended_serial": [],
        "waiting": [
            {
                "workstream": "docs",
                "task": after,
                "title": "Announce",
                "needs": [{"task": task.id, "status": "pending", "assigned_to": None}],
                "reasons": [f"needs {task.id}, which is ready"],
            }
        ],
        "critical_path": {
            "minutes": 40.0,
            "tasks": [
                {
                    "workstream": "build",
                    "task": task.id,
                    "title": "Ship",
                    "status": "pending",
                    "minutes": 30.0,
                    "assumed": True,
                },
                {
                    "workstream": "docs",
                    "task": after,
                    "title": "Announce",
                    "status": "pending",
                    "minutes": 10.0,
                    "assumed": False,
                },
            ],
            "left_out": 0,
        },
        "attention": [],
        "left_out": {"recommended_serial": 0, "waiting": 0, "attention": 0},
    }


def test_a_plan_begins_the_next_cycle_and_is_kept_in_the_log(orc: Orchestrator):
    first = orc.plan(agent="lead")
    second = orc.plan()
    assert (first.cycle, second.cycle) == (1, 2)
    [record, _] = orc.events.read(type="cycle.planned")
    assert record.agent == "lead"
    assert msgspec.json.decode(record.payload)["plan"] == msgspec.to_builtins(first)


def test_a_repeated_request_gives_the_first_plan_again(orc: Orchestrator):
    add(orc, "One")
    with orc.request("r1"):
        first = planned(orc)
    add(orc, "Two")
    with orc.request("r1"):
        again = planned(orc)
    assert again == first
    assert orc.engine.read().cycles.cycle.number == 1


def test_a_plan_of_no_entries_is_refused(orc: Orchestrator):
    assert code_of(lambda: orc.plan(max=0)) == "usage"
    assert orc.engine.read().cycles.cycle is None


# Workstreams


def test_a_closed_workstream_takes_no_part(orc: Orchestrator):
    failed = add(orc, "Fail", "docs")
    add(orc, "Wait", "docs", needs=[failed], estimate=100)
    orc.tasks.block(add(orc, "Blocked", "docs"), reason="no key")
    orc.tasks.claim(failed, agent="ann")
    orc.tasks.fail(failed)
    orc.workstreams.close("docs")
    plan = planned(orc)
    for field in ("workstreams", "recommended_parallel", "waiting", "attention"):
        assert plan[field] == [], field
    assert plan["critical_path"]["tasks"] == []


def test_next_task_is_what_next_gives(orc: Orchestrator):
    """By priority, then age, without colliding tasks; if all collide, the first task."""
    first = add(orc, "First", priority=1, touches=["git"])
    later = add(orc, "Later", priority=5)
    add(orc, "Last", priority=5)
    orc.locks.acquire("git", agent="ann", ttl="1h")
    assert planned(orc)["workstreams"][0]["next_task"]["id"] == later
    orc.tasks.cancel(later)
    orc.workstreams.create("held", priority=3)
    held = add(orc, "Held", "held", touches=["git"])
    named = {w["name"]: w["next_task"]["id"] for w in planned(orc)["workstreams"]}
    assert named["held"] == held
    orc.locks.release("git", agent="ann")
    assert planned(orc)["workstreams"][0]["next_task"]["id"] == first


def test_a_workstream_with_nothing_to_do_is_not_listed(orc: Orchestrator):
    done = add(orc, "Done")
    orc.tasks.claim(done, agent="ann")
    assert [w["name"] for w in planned(orc)["workstreams"]] == ["build"]
    orc.tasks.complete(done)
    assert planned(orc)["workstreams"] == []


# Side by side


def test_what_is_held_is_not_recommended(orc: Orchestrator):
    running = add(orc, "Running", touches=["src/**"])
    orc.tasks.claim(running, agent="ann")
    orc.locks.acquire("git", agent="bob")
    orc.locks.acquire("db", agent="bob", shared=True)
    for touches in (["src/a.py"], ["git:shared"], ["db"]):
        add(orc, "Held", touches=touches)
    free = [add(orc, "Free", touches=touches) for touches in (["db:shared"], ["tests/**"], [])]
    assert parallel(planned(orc)) == free


def test_a_lapsed_lease_holds_nothing_and_its_task_is_recommended_again(
    orc: Orchestrator, clock: SettableClock
):
    lapsed = add(orc, "Lapsed", touches=["git"])
    other = add(orc, "Other", priority=9, touches=["git"])
    orc.tasks.claim(lapsed, agent="ann", lease="1m")
    assert parallel(planned(orc)) == []
    clock.advance(61)
    assert parallel(planned(orc)) == [lapsed]
    orc.tasks.edit(lapsed, needs=[add(orc, "New need", priority=8)])
    assert lapsed not in parallel(planned(orc))
    assert other in parallel(planned(orc))


def test_the_value_is_ten_less_priority_and_at_least_one(orc: Orchestrator):
    for priority in (0, 1, 5, 9, 10, 1000):
        add(orc, "Any", priority=priority)
    assert [e["value"] for e in planned(orc)["recommended_parallel"]] == [10, 9, 5, 1, 1, 1]


def test_equal_values_go_by_workstream_priority_then_age(orc: Orchestrator):
    late = add(orc, "In docs", "docs")
    first = add(orc, "First in build")
    second = add(orc, "Second in build")
    assert parallel(planned(orc)) == [first, second, late]
    assert parallel(planned(orc, max=2)) == [first, second]


# Agents


def entries(plan: dict[str, Any]) -> list[str | None]:
    return [entry["agent"] for entry in plan["recommended_parallel"]]


def test_a_busy_team_never_empties_the_plan(orc: Orchestrator):
    orc.agents.register("ann")
    orc.tasks.claim(add(orc, "Running"), agent="ann")
    waiting = add(orc, "Waiting")
    plan = planned(orc)
    assert parallel(plan) == [waiting]
    assert entries(plan) == [None]


def test_no_agent_is_named_twice(orc: Orchestrator):
    orc.agents.register("ann")
    orc.agents.register("bob")
    for _ in range(3):
        add(orc, "Any")
    assert entries(planned(orc)) == ["ann", "bob", None]


def test_who_is_retired_stale_or_unregistered_is_not_named(orc: Orchestrator, clock: SettableClock):
    for name in ("gone", "silent", "here"):
        orc.agents.register(name)
        set_seen(orc, name, MORNING)
    orc.agents.retire("gone")
    clock.advance(301)
    orc.events.log("passer-by", "hello")
    set_seen(orc, "here", MORNING + 1)
    add(orc, "One")
    add(orc, "Two")
    assert entries(planned(orc)) == ["here", None]


def test_an_agent_is_named_for_what_it_can_do(orc: Orchestrator):
    """By type or label; an agent that can do everything is kept for tasks that no other agent can do."""
    orc.agents.register("a-all")
    orc.agents.register("b-bugs", capabilities=["bug"])
    orc.agents.register("c-ui", capabilities=["ui"])
    add(orc, "A bug", type="bug", priority=1)
    add(orc, "Labelled", labels=["ui"], priority=2)
    add(orc, "Neither", priority=3)
    add(orc, "Another", priority=4)
    assert entries(planned(orc)) == ["b-bugs", "c-ui", "a-all", None]


def test_who_can_do_less_is_named_before_who_can_do_all(orc: Orchestrator):
    orc.agents.register("a-all")
    orc.agents.register("b-some", capabilities=["bug", "ui"])
    orc.agents.register("c-bugs", capabilities=["bug"])
    for _ in range(3):
        add(orc, "A bug", type="bug")
    assert entries(planned(orc)) == ["c-bugs", "b-some", "a-all"]


def test_agents_move_so_that_as_many_tasks_as_possible_have_one(orc: Orchestrator):
    """The bug could go to either; the label only to one of them."""
    orc.agents.register("a", capabilities=["bug", "ui"])
    orc.agents.register("b", capabilities=["bug", "db"])
    add(orc, "A bug", type="bug", priority=1)
    add(orc, "Ui", labels=["ui"], priority=2)
    assert entries(planned(orc)) == ["b", "a"]


def test_of_free_agents_the_one_with_fewer_locks_is_named(orc: Orchestrator):
    orc.agents.register("a")
    orc.agents.register("b")
    orc.locks.acquire("elsewhere", agent="a")
    add(orc, "Any")
    assert entries(planned(orc)) == ["b"]


# One after another


def serial(plan: dict[str, Any]) -> list[tuple[str, list[str]]]:
    return [(group["resource"], group["tasks"]) for group in plan["recommended_serial"]]


def test_tasks_that_need_one_resource_are_a_group_in_order(orc: Orchestrator):
    low = add(orc, "Low", priority=7, touches=["git"])
    docs = add(orc, "Docs", "docs", priority=1, touches=["git"])
    high = add(orc, "High", priority=1, touches=["git", "db"])
    [group] = planned(orc)["recommended_serial"]
    assert group == {
        "reason": "Multiple tasks need git",
        "resource": "git",
        "resources": ["git"],
        "tasks": [f"build/{high}", f"docs/{docs}", f"build/{low}"],
        "shared": [],
        "waits_for": [],
        "left_out": 0,
    }


def test_those_that_only_share_are_marked_and_alone_no_group(orc: Orchestrator):
    readers = [add(orc, "Read", touches=["db:shared"]) for _ in range(2)]
    assert planned(orc)["recommended_serial"] == []
    writer = add(orc, "Write", priority=9, touches=["db"])
    [group] = planned(orc)["recommended_serial"]
    assert group["tasks"] == [f"build/{i}" for i in (*readers, writer)]
    assert group["shared"] == [f"build/{i}" for i in readers]


def test_two_parts_of_a_glob_are_two_groups(orc: Orchestrator):
    """The two files may be worked on side by side; the whole folder with neither."""
    a = add(orc, "A", touches=["src/a"])
    b = add(orc, "B", touches=["src/b"])
    both = add(orc, "Both", touches=["src/**"])
    assert serial(planned(orc)) == [
        ("src/a", [f"build/{a}", f"build/{both}"]),
        ("src/b", [f"build/{b}", f"build/{both}"]),
    ]


def test_groups_of_the_same_tasks_are_one(orc: Orchestrator):
    tasks = [add(orc, "Any", touches=["git", "db:shared"]) for _ in range(2)]
    tasks.append(add(orc, "Any", touches=["git:shared", "db"]))
    [group] = planned(orc)["recommended_serial"]
    assert group["resources"] == ["git", "db"]
    assert group["shared"] == []
    assert group["tasks"] == [f"build/{i}" for i in tasks]


def test_one_task_that_touches_overlapping_resources_is_not_a_group(orc: Orchestrator):
    add(orc, "One", touches=["src/**", "src/a", "src/*"])
    assert planned(orc)["recommended_serial"] == []


def test_who_waits_behind_a_lock_or_a_running_task_is_in_a_group(orc: Orchestrator):
    running = add(orc, "Running", touches=["src/a"])
    orc.tasks.claim(running, agent="ann", lease="10m")
    orc.locks.acquire("git", agent="bob", ttl="60s")
    behind = add(orc, "Behind", touches=["src/**"])
    locked = add(orc, "Locked", touches=["git"])
    until = {"ann": "2026-11-21T06:23:00.000Z", "bob": "2026-11-21T06:14:00.000Z"}
    groups = {group["resource"]: group for group in planned(orc)["recommended_serial"]}
    assert groups["src/**"]["tasks"] == [f"build/{behind}"]
    assert groups["src/**"]["waits_for"] == [
        {"agent": "ann", "resource": "src/a", "task": running, "until": until["ann"]}
    ]
    assert groups["git"]["tasks"] == [f"build/{locked}"]
    assert groups["git"]["waits_for"] == [
        {"agent": "bob", "resource": "git", "task": None, "until": until["bob"]}
    ]


touch = st.tuples(
    st.sampled_from(["git", "src/a", "src/b", "src/*", "src/**", "s*/a"]),
    st.sampled_from(["", ":shared"]),
).map("".join)


def state_of(touches: list[list[str]]) -> State:
    state = State()
    state.workstreams["w"] = Workstream(
        name="w", status="active", created_at="", updated_at="", created_by="x"
    )
    state.tasks.counts["w"] = {}
    for number, texts in enumerate(touches, start=1):
        add_task(
            state,
            Task(
                id=f"{number:08x}",
                workstream="w",
                title="t",
                status="pending",
                type="task",
                created_by="x",
                priority=number % 4,
                touches=tuple(texts),
                events=(number,),
            ),
        )
    return state


@given(st.lists(st.lists(touch, max_size=2, unique=True), max_size=7))
def test_every_collision_is_in_a_group_and_every_group_is_of_collisions(touches: list[list[str]]):
    """Two tasks are in the same group, not both as sharing, exactly if they collide."""
    state = state_of(touches)
    plan = msgspec.to_builtins(make_plan(state, now=NOW, number=1, at_most=8, seen={}))
    grouped = set()
    for group in plan["recommended_serial"]:
        for pair in itertools.combinations(group["tasks"], 2):
            if not set(pair) <= set(group["shared"]):
                grouped.add(frozenset(pair))
    needs = {f"w/{t.id}": [resources.parse(x) for x in t.touches] for t in state.tasks.values()}
    assert grouped == {
        frozenset((a, b))
        for a, b in itertools.combinations(needs, 2)
        if any(
            resources.collide(x.resource, y.resource) and not (x.shared and y.shared)
            for x in needs[a]
            for y in needs[b]
        )
    }


# Waiting, and the critical path


def test_what_others_have_what_is_put_off_and_what_a_parent_keeps_back_is_not_offered(
    orc: Orchestrator,
):
    given, later, top = add(orc, "Given"), add(orc, "Later"), add(orc, "Top")
    part = add(orc, "Part", parent=top)
    orc.hooks.sling(given, "ann", agent="boss")
    orc.tasks.edit(later, defer="1h")
    orc.tasks.block(top, reason="no key")
    plan = planned(orc)
    assert parallel(plan) == []
    assert plan["workstreams"][0]["next_task"] is None
    assert [(entry["task"], entry["reasons"]) for entry in plan["waiting"]] == [
        (later, [f"put off until {local_time(orc.tasks.get(later).defer_until, NOW)}"]),
        (part, [f"its parent {top} is blocked: no key"]),
    ]


def test_an_agent_with_assigned_work_is_given_no_other(orc: Orchestrator):
    orc.agents.register("ann")
    given, free = add(orc, "Given"), add(orc, "Free")
    orc.hooks.sling(given, "ann", agent="boss")
    [entry] = planned(orc)["recommended_parallel"]
    assert (entry["task"]["id"], entry["agent"]) == (free, None)


def test_what_waits_is_listed_with_where_its_needs_stand(orc: Orchestrator):
    done, running, failed = (add(orc, title) for title in ("Done", "Running", "Failed"))
    orc.tasks.claim(done, agent="ann")
    orc.tasks.complete(done)
    orc.tasks.claim(running, agent="ann")
    orc.tasks.claim(failed, agent="bob")
    orc.tasks.fail(failed)
    orc.tasks.archive([failed])
    add(orc, "After", needs=[done, running, failed])
    [entry] = planned(orc)["waiting"]
    assert entry["needs"] == [
        {"task": running, "status": "in_progress", "assigned_to": "ann"},
        {"task": failed, "status": "failed", "assigned_to": None},
    ]


def test_the_critical_path_is_the_longest_by_minutes_not_by_tasks(orc: Orchestrator):
    short = [add(orc, "Short", estimate=10)]
    for _ in range(3):
        short.append(add(orc, "Short", estimate=10, needs=[short[-1]]))
    long = add(orc, "Long", estimate=45)
    last = add(orc, "Last", needs=[long, short[1]])
    path = planned(orc)["critical_path"]
    assert [task["task"] for task in path["tasks"]] == [long, last]
    assert path["minutes"] == 75.0


@given(
    st.lists(
        st.tuples(st.sampled_from([None, 1.0, 20.0, 50.0]), st.sets(st.integers(0, 8), max_size=3)),
        max_size=9,
    )
)
def test_the_critical_path_is_as_long_as_the_longest_of_all_chains(
    given_tasks: list[tuple[float | None, set[int]]],
):
    state = state_of([[] for _ in given_tasks])
    ids = list(state.tasks)
    for i, (estimate, needs) in enumerate(given_tasks):
        before = tuple(ids[n] for n in sorted(needs) if n < i)
        task = state.tasks[ids[i]]
        state.tasks[ids[i]] = msgspec.structs.replace(
            task, estimate=estimate, needs=before, open_needs=len(before)
        )
        for need in before:
            state.tasks.needed_by.setdefault(need, []).append(ids[i])

    def longest(task_id: str) -> float:
        task = state.tasks[task_id]
        own = 30.0 if task.estimate is None else task.estimate
        return own + max((longest(need) for need in task.needs), default=0.0)

    path = msgspec.to_builtins(make_plan(state, now=NOW, number=1, at_most=8, seen={}))[
        "critical_path"
    ]
    assert path["minutes"] == max(map(longest, ids), default=0.0)
    assert path["minutes"] == sum(task["minutes"] for task in path["tasks"])
    for before, after in itertools.pairwise(path["tasks"]):
        assert before["task"] in state.tasks[after["task"]].needs


# Attention


def test_the_agent_of_a_review_is_null_if_no_agent_has_the_task():
    """The sentence names `system`, which is not an agent; alerts of other kinds have no such field."""
    state = state_of([[], []])
    task, other = state.tasks.values()
    change_task(state, task, msgspec.structs.replace(task, status="in_review"))
    change_task(state, other, msgspec.structs.replace(other, status="blocked", reason="no key"))
    plan = msgspec.to_builtins(make_plan(state, now=NOW, number=1, at_most=8, seen={}))
    blocked, review = plan["attention"]
    assert review["agent"] is None
    assert review["text"] == f"w/{task.id} by system waits for another agent to approve it"
    assert "agent" not in blocked


def test_an_expired_lease_calls_for_attention(orc: Orchestrator, clock: SettableClock):
    task = add(orc, "Left")
    orc.tasks.claim(task, agent="ann", lease="10s")
    clock.advance(10)
    [entry] = planned(orc)["attention"]
    assert entry == {
        "kind": "lease_expired",
        "text": f"The lease of ann on build/{task} ended; the next claim may take it",
        "workstream": "build",
        "task": task,
        "title": "Left",
        "status": "in_progress",
        "agent": "ann",
        "since": "2026-11-21T06:13:10.000Z",
    }


def test_an_agent_that_holds_work_and_is_not_seen_for_five_minutes_calls_for_attention(
    orc: Orchestrator, clock: SettableClock
):
    task = add(orc, "Long")
    orc.tasks.claim(task, agent="ann", lease="1h")
    orc.locks.acquire("git", agent="bob", ttl="1h")
    orc.agents.register("idle")
    for name in ("ann", "bob", "idle"):
        set_seen(orc, name, MORNING)
    clock.advance(300)
    assert kinds(planned(orc)) == []
    set_seen(orc, "bob", clock())
    clock.advance(1)
    [entry] = planned(orc)["attention"]
    assert (entry["kind"], entry["agent"], entry["holds"]) == (
        "silent_agent",
        "ann",
        [f"build/{task}"],
    )
    assert entry["last_seen"] == NOW


def test_repeated_failures_call_for_attention_until_the_task_is_done(orc: Orchestrator):
    task = add(orc, "Hard")
    for attempt in range(2):
        orc.tasks.claim(task, agent="ann")
        assert kinds(planned(orc)) == []
        orc.tasks.fail(task, reason="no")
        if not attempt:
            orc.tasks.reopen(task)
    [entry] = planned(orc)["attention"]
    assert (entry["kind"], entry["failures"], entry["attempt"]) == ("repeated_failures", 2, 2)
    orc.tasks.reopen(task)
    orc.tasks.claim(task, agent="ann")
    assert kinds(planned(orc)) == ["repeated_failures"]
    orc.tasks.complete(task)
    assert kinds(planned(orc)) == []


def test_a_third_attempt_calls_for_attention_also_without_failures(orc: Orchestrator):
    task = add(orc, "Dropped")
    for _ in range(2):
        orc.tasks.claim(task, agent="ann")
        orc.tasks.release(task)
    assert kinds(planned(orc)) == []
    orc.tasks.claim(task, agent="ann")
    assert kinds(planned(orc)) == ["repeated_failures"]


@pytest.mark.parametrize("archived", [False, True])
@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_need_that_will_not_be_done_calls_for_attention(
    orc: Orchestrator, status: str, archived: bool
):
    need = add(orc, "Need")
    after = add(orc, "After", needs=[need])
    if status == "failed":
        orc.tasks.claim(need, agent="ann")
        orc.tasks.fail(need)
    else:
        orc.tasks.cancel(need)
    if archived:
        orc.tasks.archive([need])
    [entry] = planned(orc)["attention"]
    assert (entry["kind"], entry["task"], entry["status"]) == ("need_ended", need, status)
    assert entry["dependants"] == [after]
    orc.tasks.cancel(after)
    assert kinds(planned(orc)) == []


def test_a_blocked_task_calls_for_attention_with_its_reason(orc: Orchestrator):
    task = add(orc, "Stuck")
    orc.tasks.block(task, reason="no key")
    [entry] = planned(orc)["attention"]
    assert (entry["kind"], entry["task"], entry["reason"]) == ("blocked", task, "no key")


# Size


def test_a_plan_does_not_grow_with_the_board():
    """It is a single line of the log: entries that are left out are counted."""
    count = 5000
    state = state_of([["git", f"own-{i}"] for i in range(count)])
    long = "x" * 400
    for task in list(state.tasks.values()):
        state.tasks[task.id] = msgspec.structs.replace(task, title=long, description=long * 9)
    for task in list(state.tasks.values())[: count // 2]:
        change_task(state, task, msgspec.structs.replace(task, status="blocked", reason=long * 9))
    plan = msgspec.to_builtins(make_plan(state, now=NOW, number=1, at_most=8, seen={}))
    assert len(msgspec.json.encode(plan)) < 1 << 20
    [group] = plan["recommended_serial"]
    assert len(group["tasks"]) + group["left_out"] == count // 2
    assert plan["left_out"]["attention"] == count // 2 - SHOWN
