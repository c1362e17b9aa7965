"""Workflows on the board: poured in a single commit, worked by any agents, ended once."""

from collections.abc import Iterable
from contextlib import suppress

import pytest
from boards import SettableClock, changes_nothing, check_law, code_of, new_store
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from orchestrator import Orchestrator
from orchestrator.core.errors import BadName, OrchestratorError, Refused
from orchestrator.domain.tasks.dependencies import Blocked
from orchestrator.domain.tasks.records import ENDED
from orchestrator.domain.workflows.compiled import CompiledFormula, CompiledGate, CompiledStep
from orchestrator.domain.workflows.records import Condense


def step(id: str, *needs: str, **fields: object) -> CompiledStep:
    return CompiledStep(id=id, title=id.title(), needs=needs, **fields)  # type: ignore[arg-type]


def cooked(*steps: CompiledStep, **fields: object) -> CompiledFormula:
    return CompiledFormula(formula="made", steps=steps, **fields)  # type: ignore[arg-type]


CHAIN = cooked(step("a"), step("b", "a"), step("c", "b"))
LOOP = cooked(
    step("loop", type="milestone", waits_for="all", until="it is good"),
    step("loop.1", type="milestone", waits_for="all", parent="loop"),
    step("loop.1.x", parent="loop.1"),
    step("loop.2", "loop.1", type="milestone", waits_for="all", parent="loop"),
    step("loop.2.x", parent="loop.2"),
    step("after", "loop"),
)


def pour(orc: Orchestrator, what: CompiledFormula = CHAIN, **how: object) -> str:
    return orc.workflows.pour(what, **how).root.id  # type: ignore[arg-type]


def statuses(orc: Orchestrator, root: str) -> dict[str, str]:
    return {
        task.id.removeprefix(f"{root}."): task.status for task in orc.workflows.standing(root).steps
    }


# Pouring


@pytest.mark.parametrize(
    ("formula", "how"), [(CHAIN, {"assignee": "Ann"}), (cooked(step("a", assignee="Ann")), {})]
)
def test_an_assignee_is_no_other_spelling_of_an_agent_that_is_here(
    orc: Orchestrator, formula: CompiledFormula, how: dict[str, str]
):
    orc.agents.register("ann")
    with changes_nothing(orc), pytest.raises(BadName):
        pour(orc, formula, **how)


def test_pouring_is_one_commit(orc: Orchestrator):
    root = pour(orc)
    poured = [record for record in orc.events.read() if record.type != "workstream.created"]
    assert [record.type for record in poured] == ["workflow.poured", *["task.added"] * 4]
    assert [record.more for record in poured] == [True] * 4 + [False]
    assert orc.tasks.get(f"{root}.b").needs == (f"{root}.a",)
    assert orc.tasks.get(root).workstream == "workflows"


def test_a_formula_without_steps_or_with_an_unknown_task_pours_nothing(orc: Orchestrator):
    with changes_nothing(orc):
        assert code_of(lambda: pour(orc, cooked())) == "usage"
        assert code_of(lambda: pour(orc, cooked(step("a", outside=("nope",))))) == "task_not_found"
        assert code_of(lambda: pour(orc, on="nope")) == "task_not_found"


def test_a_task_is_done_with_the_workflow_that_is_poured_on_it(orc: Orchestrator):
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="Big", priority=2).id
    after = orc.tasks.add("build", title="After", needs=[task]).id
    assert pour(orc, on=task) == task
    assert orc.tasks.get(f"{task}.a").priority == 2
    assert code_of(lambda: pour(orc, on=task)) == "workflow_exists"
    for name in "abc":
        orc.tasks.claim(f"{task}.{name}", agent="ann")
        orc.tasks.complete(f"{task}.{name}")
    assert orc.tasks.get(task).status == "done"
    assert [t.id for t in orc.links.ready()] == [after]


def test_a_task_with_checks_is_completed_by_its_holder_after_its_steps(orc: Orchestrator):
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="Big", review=True).id
    pour(orc, cooked(step("a")), on=task)
    orc.tasks.claim(f"{task}.a", agent="ann")
    orc.tasks.complete(f"{task}.a")
    assert orc.tasks.next(agent="ann").id == task  # type: ignore[union-attr]
    assert orc.tasks.complete(task).status == "in_review"


def test_the_root_is_not_completed_before_its_steps(orc: Orchestrator):
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="Big").id
    orc.tasks.claim(task, agent="ann")
    pour(orc, on=task)
    with changes_nothing(orc):
        assert code_of(lambda: orc.tasks.complete(task)) == "not_ready"


def test_pouring_on_a_task_that_its_own_step_would_wait_for_is_refused(orc: Orchestrator):
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="P").id
    orc.tasks.add("build", title="c", parent=task, needs=[task])
    other = orc.tasks.add("build", title="Q").id
    behind = orc.tasks.add("build", title="R", needs=[other]).id
    with changes_nothing(orc):
        assert code_of(lambda: pour(orc, on=task)) == "circle"
        assert (
            code_of(lambda: pour(orc, cooked(step("a", outside=(behind,))), on=other)) == "circle"
        )


# Working


def test_advancing_completes_and_claims_the_next_in_one_commit(orc: Orchestrator):
    root = pour(orc)
    orc.tasks.claim(f"{root}.a", agent="ann")
    advanced = orc.workflows.advance(f"{root}.a", result="ok")
    assert (advanced.completed.result, advanced.ended, advanced.total) == ("ok", 1, 3)
    assert advanced.next is not None
    assert (advanced.next.id, advanced.next.assigned_to) == (f"{root}.b", "ann")
    last = orc.events.read(last=2)
    assert [record.type for record in last] == ["task.completed", "task.claimed"]
    assert [record.more for record in last] == [True, False]


def test_advancing_takes_another_step_if_one_is_taken_and_reports_the_end(
    orc: Orchestrator,
):
    root = pour(orc, cooked(step("a"), step("b", "a"), step("c", "a")))
    orc.tasks.claim(f"{root}.a", agent="ann")
    with orc.transaction():  # the rival is faster
        orc.tasks.complete(f"{root}.a")
        orc.tasks.claim(f"{root}.b", agent="bob")
    orc.tasks.claim(f"{root}.c", agent="ann")
    assert orc.workflows.advance(f"{root}.c").next is None
    advanced = orc.workflows.advance(f"{root}.b")
    assert (advanced.next, advanced.complete) == (None, True)
    assert orc.tasks.get(root).status == "done"


def test_the_next_claim_lasts_as_long_as_the_one_before(orc: Orchestrator, clock: SettableClock):
    root = pour(orc)
    orc.tasks.claim(f"{root}.a", agent="ann", lease=5)
    orc.workflows.advance(f"{root}.a", agent="ann")
    clock.advance(6)
    assert orc.tasks.next(agent="bob").id == f"{root}.b"  # type: ignore[union-attr]


def test_only_steps_can_be_advanced_and_force_takes_a_reason(orc: Orchestrator):
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="x").id
    root = pour(orc, cooked(step("a", verify=("false",))))
    for first in (task, f"{root}.a"):
        orc.tasks.claim(first, agent="ann")
    with changes_nothing(orc):
        assert code_of(lambda: orc.workflows.advance(task)) == "no_workflow"
        assert code_of(lambda: orc.workflows.advance(f"{root}.a", force=True)) == "usage"


def test_a_worker_that_dies_is_replaced_by_any_other_at_the_next_ready_step(
    orc: Orchestrator, clock: SettableClock
):
    root = pour(orc)
    orc.tasks.claim(f"{root}.a", agent="ann")
    orc.workflows.advance(f"{root}.a", agent="ann")
    assert orc.tasks.next(agent="bob") is None
    clock.advance(31 * 60)
    assert orc.tasks.next(agent="bob").id == f"{root}.b"  # type: ignore[union-attr]
    assert code_of(lambda: orc.tasks.complete(f"{root}.b", agent="ann")) == "not_holder"


def test_the_other_steps_of_a_dead_assignee_are_free_too(orc: Orchestrator, clock: SettableClock):
    root = pour(orc, assignee="ann")
    assert orc.tasks.next(agent="bob") is None
    orc.tasks.claim(f"{root}.a", agent="ann")
    clock.advance(31 * 60)
    orc.tasks.claim(f"{root}.a", agent="bob")
    advanced = orc.workflows.advance(f"{root}.a")
    assert advanced.next is not None
    assert advanced.next.id == f"{root}.b"


def test_a_step_is_given_to_its_assignee_when_it_is_ready_with_one_message(
    orc: Orchestrator,
):
    root = pour(
        orc, cooked(step("a"), step("b", "a", assignee="bob"), step("c", "a", assignee="bob"))
    )
    assert orc.tasks.get(f"{root}.b").status == "pending"
    orc.tasks.claim(f"{root}.a", agent="ann")
    orc.tasks.complete(f"{root}.a")
    assert orc.tasks.get(f"{root}.b").assigned_to == "bob"
    assert [m.subject for m in orc.mail.inbox(agent="bob")] == [
        f"Assigned 2 steps of workflow {root}"
    ]


def test_a_retired_assignee_does_not_prevent_completing_the_step_before(orc: Orchestrator):
    orc.agents.register("bob")
    root = pour(orc, cooked(step("a"), step("b", "a", assignee="bob")))
    orc.agents.retire("bob")
    orc.tasks.claim(f"{root}.a", agent="ann")
    assert orc.workflows.advance(f"{root}.a").next is not None, "anybody may take it"


# Ends


def test_the_root_is_done_with_its_last_step_and_reopened_with_one(orc: Orchestrator):
    root = pour(orc, cooked(step("a")))
    orc.tasks.claim(f"{root}.a", agent="ann")
    orc.tasks.complete(f"{root}.a")
    assert orc.tasks.get(root).result == "1 of 1 done"
    assert orc.workflows.get(root).ended_at
    orc.tasks.reopen(f"{root}.a")
    assert orc.tasks.get(root).status == "pending"
    assert not orc.workflows.get(root).ended_at


def test_cancelling_the_root_cancels_its_steps_and_cancelling_all_steps_the_root(orc: Orchestrator):
    root = pour(orc)
    orc.tasks.cancel(root)
    assert set(statuses(orc, root).values()) == {"cancelled"}
    other = pour(orc)
    for name in "abc":
        orc.tasks.cancel(f"{other}.{name}")
    assert orc.tasks.get(other).status == "cancelled", "nothing of it was done"


@pytest.mark.parametrize("by", ["root", "step"])
def test_a_cancelled_workflow_is_reopened_as_it_was_by_its_root_or_a_step(
    orc: Orchestrator, by: str
):
    root = pour(orc, cooked(*CHAIN.steps, step("d")))
    orc.tasks.cancel(f"{root}.d", reason="not wanted")
    orc.tasks.claim(f"{root}.a", agent="ann")
    orc.tasks.complete(f"{root}.a")
    then = orc.workflows.bond(root, cooked(step("z"))).then
    orc.tasks.cancel(root)
    orc.tasks.reopen(root if by == "root" else f"{root}.c")
    assert statuses(orc, root) == {"a": "done", "b": "pending", "c": "pending", "d": "cancelled"}
    assert orc.tasks.get(root).status == "pending"
    assert not orc.workflows.get(root).ended_at
    assert [task.id for task in orc.links.ready()] == [f"{root}.b"], f"not {then}.z"


def test_a_milestone_that_would_complete_again_at_once_is_not_reopened(orc: Orchestrator):
    root = pour(orc, cooked(step("a")))
    orc.tasks.claim(f"{root}.a", agent="ann")
    orc.tasks.complete(f"{root}.a")
    with changes_nothing(orc):
        assert code_of(lambda: orc.tasks.reopen(root)) == "nothing_open"


def test_reopening_downstream_reopens_all_that_was_done_after_it(orc: Orchestrator):
    steps = (step("a"), step("m", "a", type="milestone"), step("p", "m"), step("q", parent="p"))
    root = pour(orc, cooked(*steps, step("c", "p"), step("other"), step("review", "c")))
    for name in ("a", "q", "p", "c", "other"):
        orc.tasks.claim(f"{root}.{name}", agent="ann")
        orc.tasks.complete(f"{root}.{name}")
    orc.tasks.claim(f"{root}.review", agent="bob")
    orc.tasks.reopen(f"{root}.a", downstream=True, reason="wrong")
    assert statuses(orc, root) == dict.fromkeys(("a", "m", "p", "q", "c"), "pending") | {
        "other": "done",
        "review": "in_progress",
    }
    orc.tasks.release(f"{root}.review")
    assert [task.id for task in orc.links.ready()] == [f"{root}.a"]


def test_a_child_added_to_a_step_is_a_step_but_not_of_a_wisp(orc: Orchestrator):
    root = pour(orc, cooked(step("a"), step("b", "a")))
    part = orc.tasks.add("workflows", title="found", parent=f"{root}.a").id
    assert orc.tasks.get(part).workflow == root
    assert orc.workflows.standing(root).total == 3
    orc.tasks.claim(part, agent="ann")
    advanced = orc.workflows.advance(part)
    assert advanced.next is not None
    assert (advanced.next.id, advanced.ended, advanced.total) == (f"{root}.a", 1, 3)
    wisp = pour(orc, cooked(step("a")), ephemeral=True)
    assert orc.tasks.add("workflows", title="found", parent=f"{wisp}.a").workflow is None


def test_archived_and_moved_steps_still_belong_to_their_workflow(orc: Orchestrator):
    root = pour(orc)
    orc.tasks.claim(f"{root}.a", agent="ann")
    orc.tasks.complete(f"{root}.a")
    orc.tasks.archive([f"{root}.a"])
    orc.tasks.edit(f"{root}.c", parent="")
    assert {orc.workflows.get(f"{root}.{name}").root for name in "abc"} == {root}
    standing = orc.workflows.standing(root)
    assert (standing.total, standing.ended, len(standing.steps)) == (3, 1, 3)


def test_no_workflow_is_poured_on_a_milestone(orc: Orchestrator):
    root = pour(orc, LOOP)
    with changes_nothing(orc):
        assert code_of(lambda: pour(orc, on=f"{root}.loop.1")) == "no_work"


def test_two_steps_are_advanced_in_one_transaction(orc: Orchestrator):
    first, second = pour(orc), pour(orc)
    for root in (first, second):
        orc.tasks.claim(f"{root}.a", agent="ann")
    with orc.transaction():
        advanced = [orc.workflows.advance(f"{root}.a") for root in (first, second)]
    assert [step.completed.id for step in advanced] == [f"{first}.a", f"{second}.a"]
    assert [step.next and step.next.id for step in advanced] == [f"{first}.b", f"{second}.b"]


def test_the_next_claim_lasts_as_long_as_given(orc: Orchestrator):
    root = pour(orc)
    orc.tasks.claim(f"{root}.a", agent="ann")
    advanced = orc.workflows.advance(f"{root}.a", lease="2h")
    assert advanced.next is not None
    assert advanced.next.lease == 7200


def test_the_second_of_two_bonded_workflows_begins_when_the_first_is_done(orc: Orchestrator):
    first = pour(orc, cooked(step("a")))
    bonded = orc.workflows.bond(first, cooked(step("b")))
    assert [task.id for task in orc.links.ready()] == [f"{first}.a"]
    assert code_of(lambda: orc.workflows.bond(bonded.then, first)) == "circle"
    orc.tasks.claim(f"{first}.a", agent="ann")
    orc.tasks.complete(f"{first}.a")
    assert [task.id for task in orc.links.ready()] == [f"{bonded.then}.b"]


def test_a_milestone_is_open_again_when_what_it_needs_is(orc: Orchestrator):
    root = pour(orc, cooked(step("a"), step("m", "a", type="milestone"), step("b", "m")))
    orc.tasks.claim(f"{root}.a", agent="ann")
    orc.tasks.complete(f"{root}.a")
    assert [task.id for task in orc.links.ready()] == [f"{root}.b"]
    orc.tasks.reopen(f"{root}.a")
    assert [task.id for task in orc.links.ready()] == [f"{root}.a"]


# Signals


@pytest.mark.parametrize("kind", ["human", "condition", "gh:run"])
def test_a_step_waits_until_its_signal_is_given(orc: Orchestrator, kind: str):
    root = pour(orc, cooked(step("a", gates=(CompiledGate(type=kind, name="go"),))))
    assert orc.links.ready() == []
    assert code_of(lambda: orc.tasks.claim(f"{root}.a", agent="ann")) == "not_ready"
    assert code_of(lambda: orc.workflows.signal(f"{root}.a", "other")) == "no_signal"
    orc.workflows.signal(f"{root}.a", "go", text="looks good", agent="boss")
    assert [task.id for task in orc.links.ready()] == [f"{root}.a"]
    assert orc.tasks.get(f"{root}.a").notes[0].text == "looks good"


def test_progress_separates_stuck_and_waiting_steps_with_reasons(orc: Orchestrator):
    gate = (CompiledGate(type="human", name="ok"),)
    root = pour(orc, cooked(step("m", type="milestone", gates=gate), step("a", "m")))
    standing = orc.workflows.standing(root)
    assert why(standing.stuck) == {"m": [f"t signal {root}.m"]}
    assert why(standing.waiting) == {"a": [""]}
    then = orc.workflows.bond(root, cooked(step("b"))).then
    standing = orc.workflows.standing(then)
    assert standing.stuck == ()
    assert why(standing.waiting) == {then: [""], "b": [""]}


def why(kept: Iterable[Blocked]) -> dict[str, list[str]]:
    """The commands that are named for each blocked step."""
    return {
        entry.task.id.rpartition(".")[2]: [blocker.command for blocker in entry.by]
        for entry in kept
    }


def test_a_step_that_needs_a_step_that_will_not_be_done_is_stuck(orc: Orchestrator):
    root = pour(orc, cooked(step("a"), step("b", "a"), step("c"), step("d", "c"), step("e")))
    orc.tasks.cancel(f"{root}.a")
    orc.tasks.claim(f"{root}.c", agent="ann")
    orc.tasks.fail(f"{root}.c", reason="no")
    orc.tasks.claim(f"{root}.e", agent="ann")
    standing = orc.workflows.standing(root)
    assert why(standing.stuck) == {"b": [f"t reopen {root}.a"], "c": [f"t reopen {root}.c"]}
    assert why(standing.waiting) == {"d": [f"t reopen {root}.c"]}
    assert [task.id for task in standing.current] == [f"{root}.e"]
    assert (standing.ended, standing.total) == (1, 5), "what failed is not done"


def test_a_step_whose_lease_has_ended_is_ready_and_not_current(
    orc: Orchestrator, clock: SettableClock
):
    root = pour(orc, cooked(step("a"), step("b", review=True)))
    for name in "ab":
        orc.tasks.claim(f"{root}.{name}", agent="ann")
    orc.tasks.complete(f"{root}.b")
    clock.advance(31 * 60)
    standing = orc.workflows.standing(root)
    assert standing.current == ()
    assert [task.id for task in standing.ready] == [f"{root}.a"]
    assert [task.id for task in standing.review] == [f"{root}.b"]


def test_a_refused_claim_names_the_commands_that_let_the_task_go_on(orc: Orchestrator):
    gates = (CompiledGate(type="human", name="it's ok"), CompiledGate(type="event", name="x"))
    root = pour(orc, cooked(step("a", gates=gates)))
    with pytest.raises(Refused) as caught:
        orc.tasks.claim(f"{root}.a", agent="ann")
    commands = caught.value.details["commands"]
    assert commands == [f"t signal {root}.a 'it'\"'\"'s ok'", f"t signal {root}.a x"]
    gates = (CompiledGate(type="human", name="a\nb"), CompiledGate(type="event", name="--help"))
    root = pour(orc, cooked(step("a", gates=gates)))
    standing = orc.workflows.standing(root)
    assert why(standing.stuck) == {"a": [f"t signal {root}.a human", f"t signal {root}.a event"]}
    for command in why(standing.stuck)["a"]:
        orc.workflows.signal(*command.split()[2:])
    assert orc.tasks.claim(f"{root}.a", agent="ann").status == "in_progress"


def test_a_reopened_step_waits_for_human_signals_again_but_not_for_past_events(
    orc: Orchestrator,
):
    gates = (CompiledGate(type="human", name="ok"), CompiledGate(type="event", name="ci.passed"))
    root = pour(
        orc, cooked(step("a"), step("m", "a", type="milestone", gates=gates), step("b", "m"))
    )
    orc.events.log("ci", "ci.passed")
    orc.workflows.signal(f"{root}.m", "ok", agent="boss")
    orc.tasks.claim(f"{root}.a", agent="ann")
    orc.tasks.complete(f"{root}.a")
    assert [task.id for task in orc.links.ready()] == [f"{root}.b"]
    orc.tasks.reopen(f"{root}.a")
    orc.tasks.claim(f"{root}.a", agent="ann")
    orc.tasks.complete(f"{root}.a")
    assert why(orc.workflows.standing(root).stuck) == {"m": [f"t signal {root}.m"]}


def test_pouring_does_not_open_its_own_gates(orc: Orchestrator):
    root = pour(
        orc, cooked(step("a", gates=(CompiledGate(type="event", name="task.added"),)), step("b"))
    )
    assert orc.tasks.next(agent="ann").id == f"{root}.b"  # type: ignore[union-attr]
    orc.tasks.add("workflows", title="another")
    assert orc.tasks.claim(f"{root}.a", agent="ann").status == "in_progress"


def test_events_and_mail_give_the_signals_that_wait_for_them(orc: Orchestrator):
    gates = (CompiledGate(type="event", name="ci.passed"), CompiledGate(type="mail", name="Go on"))
    root = pour(orc, cooked(step("a", gates=gates)))
    orc.events.log("ci", "ci.failed")
    orc.events.log("ci", "ci.passed")
    assert [signal.kind for signal in orc.tasks.get(f"{root}.a").signals if signal.given_at] == [
        "event"
    ]
    orc.mail.send("ann", subject="Go on", body="yes", agent="boss")
    assert orc.tasks.next(agent="ann") is not None


def test_a_timer_starts_when_nothing_else_keeps_the_step_back(
    orc: Orchestrator, clock: SettableClock
):
    timer = CompiledGate(type="timer", name="1h", seconds=3600.0)
    root = pour(orc, cooked(step("a"), step("b", "a", gates=(timer,))))
    clock.advance(7200)
    orc.tasks.claim(f"{root}.a", agent="ann")
    orc.tasks.complete(f"{root}.a")
    assert orc.tasks.next(agent="ann") is None
    clock.advance(3601)
    assert orc.tasks.next(agent="ann").id == f"{root}.b"  # type: ignore[union-attr]


@pytest.mark.parametrize("early", [True, False])
def test_a_timer_is_over_when_its_signal_is_given_before_it_begins_or_while_it_runs(
    orc: Orchestrator, early: bool
):
    timer = CompiledGate(type="timer", name="1h", seconds=3600.0)
    root = pour(orc, cooked(step("a"), step("b", "a", gates=(timer,))))
    if early:
        orc.workflows.signal(f"{root}.b", "timer")
    orc.tasks.claim(f"{root}.a", agent="ann")
    orc.tasks.complete(f"{root}.a")
    if not early:
        assert orc.tasks.get(f"{root}.b").defer_until
        orc.workflows.signal(f"{root}.b")
    assert orc.tasks.claim(f"{root}.b", agent="ann").defer_until == ""
    assert code_of(lambda: orc.workflows.signal(f"{root}.b")) == "no_signal"


def test_the_signal_of_a_loop_cancels_the_rounds_that_are_not_started(orc: Orchestrator):
    root = pour(orc, LOOP)
    orc.tasks.claim(f"{root}.loop.1.x", agent="ann")
    orc.workflows.signal(f"{root}.loop", agent="ann")
    assert statuses(orc, root)["loop.2.x"] == "cancelled"
    advanced = orc.workflows.advance(f"{root}.loop.1.x")
    assert advanced.next is not None
    assert advanced.next.id == f"{root}.after"
    assert statuses(orc, root)["loop"] == "done"


# Wisps


def test_a_squashed_wisp_leaves_its_root_with_a_digest(orc: Orchestrator):
    root = pour(orc, cooked(step("a"), condense=Condense(metrics=True)), ephemeral=True)
    orc.tasks.claim(f"{root}.a", agent="ann")
    orc.tasks.complete(f"{root}.a", result="found it")
    ended = orc.workflows.squash(root, summary="All well")
    assert "a done by ann: found it" in ended.digest
    assert "All well" in ended.digest
    assert orc.tasks.get(root).result == ended.digest
    assert code_of(lambda: orc.tasks.get(f"{root}.a")) == "task_not_found"


def test_a_burned_wisp_leaves_a_trace_only_in_the_log(orc: Orchestrator):
    orc.workstreams.create("build")
    before = orc.engine.read()
    tasks, counts = dict(before.tasks), {k: dict(v) for k, v in before.tasks.counts.items()}
    root = pour(orc, LOOP, workstream="build", ephemeral=True)
    orc.tasks.claim(f"{root}.loop.1.x", agent="ann")
    assert code_of(lambda: orc.workflows.burn(root)) == "still_running"
    orc.tasks.release(f"{root}.loop.1.x")
    orc.workflows.burn(root)
    state = orc.engine.read()
    assert dict(state.tasks) == tasks
    assert {k: {s: n for s, n in v.items() if n} for k, v in state.tasks.counts.items()} == counts
    assert [
        dict(state.workflows),
        state.workflows.steps,
        state.tasks.children,
        state.tasks.awaited_by,
    ] == [{}] * 4
    assert any(record.type == "workflow.poured" for record in orc.events.read())


def test_a_wisp_that_is_condensed_automatically_has_its_digest_at_its_end(orc: Orchestrator):
    root = pour(orc, cooked(step("a"), condense=Condense(by_itself=True)), ephemeral=True)
    orc.tasks.claim(f"{root}.a", agent="ann")
    assert orc.tasks.complete(f"{root}.a", result="it").status == "done"
    assert "a done by ann: it" in (orc.tasks.get(root).result or "")


def test_old_wisps_are_collected_with_the_next_and_those_in_use_are_not(
    orc: Orchestrator, clock: SettableClock
):
    over = pour(orc, cooked(step("a")), ephemeral=True)
    orc.tasks.cancel(over)
    used = pour(orc, cooked(step("a")), ephemeral=True)
    orc.tasks.claim(f"{used}.a", agent="ann", lease="30d")
    clock.advance(8 * 86400)
    new = pour(orc, cooked(step("a")), ephemeral=True)
    assert set(orc.engine.read().workflows) == {used, new}


def test_ending_a_wisp_removes_only_its_own_steps(orc: Orchestrator):
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="T").id
    own = orc.tasks.add("build", title="precious", parent=task).id
    root = pour(orc, cooked(step("a")), on=task, ephemeral=True)
    orc.workflows.burn(root)
    assert orc.tasks.get(own).status == "pending"
    assert orc.tasks.get(task).gate is None
    wisp = pour(orc, cooked(step("a")), ephemeral=True)
    orc.tasks.add("workflows", title="found", parent=f"{wisp}.a")
    with changes_nothing(orc):
        assert code_of(lambda: orc.workflows.burn(wisp)) == "still_needed"
        orc_steps = [f"{wisp}.a"]
        assert code_of(lambda: orc.tasks.archive(orc_steps)) in ("illegal_step", "of_a_wisp")


def test_a_root_that_stays_waits_for_no_step_that_leaves(orc: Orchestrator):
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="T").id
    root = pour(orc, cooked(step("a")), on=task, ephemeral=True)
    orc.links.add(root, f"{root}.a", kind="waits-for")
    with changes_nothing(orc):
        for end in (orc.workflows.squash, orc.workflows.burn):
            assert code_of(lambda end=end: end(root)) == "still_needed"  # type: ignore[misc]


def test_a_permanent_workflow_is_neither_squashed_nor_burned(orc: Orchestrator):
    root = pour(orc)
    with changes_nothing(orc):
        assert code_of(lambda: orc.workflows.squash(root)) == "not_ephemeral"
        assert code_of(lambda: orc.workflows.burn(root)) == "not_ephemeral"
        assert code_of(lambda: orc.workflows.get("nope")) == "task_not_found"


# Slinging, requests


def test_a_slung_formula_hangs_on_the_agents_hook_and_its_steps_are_the_agents(orc: Orchestrator):
    poured = orc.workflows.sling(CHAIN, "ann", agent="boss")
    root = poured.root.id
    assert orc.hooks.show("ann").task.id == root  # type: ignore[union-attr]
    assert orc.tasks.next(agent="bob") is None
    assert orc.tasks.next(agent="ann").id == f"{root}.a"  # type: ignore[union-attr]
    assert f"`orc done {root}.a" in orc.prime("ann").text
    assert orc.convoys.get(f"work-{root}").status == "open"
    orc.hooks.unsling(root, agent="boss")
    orc.tasks.complete(f"{root}.a")
    assert orc.tasks.next(agent="bob").id == f"{root}.b"  # type: ignore[union-attr]


def test_slinging_the_root_reserves_the_steps_without_an_assignee(orc: Orchestrator):
    """Slinging a formula has the same effect as pouring it and slinging its root."""
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="T").id
    root = pour(orc, cooked(step("a"), step("b", assignee="bob"), step("c", "a")), on=task)
    orc.hooks.sling(task, "ann", agent="boss")
    held = {first.id: first.assigned_to for first in orc.tasks.all() if first.status == "assigned"}
    assert held == {root: "ann", f"{root}.a": "ann", f"{root}.b": "bob"}
    assert orc.tasks.next(agent="eve") is None
    orc.tasks.claim(f"{root}.a", agent="ann")
    assert orc.workflows.advance(f"{root}.a", agent="ann").next.id == f"{root}.c"  # type: ignore[union-attr]


def test_giving_a_workflow_back_gives_back_the_steps_reserved_for_that_agent(orc: Orchestrator):
    root = orc.workflows.sling(
        cooked(
            step("a"), step("b", assignee="bob"), step("c", "a"), step("d", "a", assignee="bob")
        ),
        "ann",
        agent="boss",
    ).root.id
    orc.hooks.unsling(root, agent="boss")
    held = {first.id: first.assigned_to for first in orc.tasks.all() if first.status == "assigned"}
    assert held == {f"{root}.b": "bob"}
    assert [orc.tasks.get(f"{root}.{name}").assignee for name in "cd"] == ["", "bob"]


def test_slinging_again_on_the_same_task_has_no_second_effect(orc: Orchestrator):
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="T").id
    orc.workflows.sling(CHAIN, "ann", on=task, agent="boss")
    with changes_nothing(orc):
        assert orc.workflows.sling(CHAIN, "ann", on=task, agent="boss").root.id == task


def test_a_repeated_request_pours_and_advances_once(orc: Orchestrator):
    roots = set()
    for _ in range(2):
        with orc.request("p1"):
            roots.add(pour(orc))
    assert len(roots) == 1
    root = roots.pop()
    orc.tasks.claim(f"{root}.a", agent="ann")
    for _ in range(2):
        with orc.request("a1"):
            advanced = orc.workflows.advance(f"{root}.a", result="x")
        assert advanced.next is not None
        assert (advanced.completed.status, advanced.next.id) == ("done", f"{root}.b")


# Anything, in any order


class Workflows(RuleBasedStateMachine):
    """Agents pour, work, cancel, reopen, signal and end workflows; the law holds after every step."""

    agents = st.sampled_from(["ann", "bob"])
    some = st.integers(0, 30)

    @initialize()
    def begin(self) -> None:
        self.clock = SettableClock()
        self.orc = Orchestrator(new_store(), now=self.clock)
        self.orc.workstreams.create("build")
        self.orc.tasks.add("build", title="plain")

    def task(self, number: int) -> str:
        ids = list(self.orc.engine.read().tasks)
        return ids[number % len(ids)] if ids else "none"

    @rule(
        what=st.sampled_from([CHAIN, LOOP]),
        ephemeral=st.booleans(),
        on=st.none() | some,
        assignee=st.none() | agents,
    )
    def pour(
        self, what: CompiledFormula, ephemeral: bool, on: int | None, assignee: str | None
    ) -> None:
        with suppress(OrchestratorError):
            self.orc.workflows.pour(
                what,
                ephemeral=ephemeral,
                on=None if on is None else self.task(on),
                assignee=assignee,
                agent="ann",
            )

    @rule(agent=agents, advance=st.booleans())
    def work(self, agent: str, advance: bool) -> None:
        with suppress(OrchestratorError):
            task = self.orc.tasks.next(agent=agent)
            if task is not None and advance and task.workflow is not None:
                advanced = self.orc.workflows.advance(task.id, agent=agent)
                assert advanced.next is None or advanced.next.assigned_to == agent

    @rule(
        number=some,
        how=st.sampled_from(
            [
                "complete",
                "fail",
                "release",
                "cancel",
                "reopen",
                "again",
                "block",
                "unblock",
                "archive",
                "add",
            ]
        ),
    )
    def step(self, number: int, how: str) -> None:
        with suppress(OrchestratorError):
            if how == "archive":
                self.orc.tasks.archive([self.task(number)])
            elif how == "again":
                self.orc.tasks.reopen(self.task(number), downstream=True)
            elif how == "add":
                self.orc.tasks.add("build", title="a part", parent=self.task(number))
            elif how == "block":
                self.orc.tasks.block(self.task(number), reason="no")
            else:
                getattr(self.orc.tasks, how)(self.task(number))

    @rule(number=some, how=st.sampled_from(["signal", "squash", "burn"]))
    def end(self, number: int, how: str) -> None:
        with suppress(OrchestratorError):
            getattr(self.orc.workflows, how)(self.task(number))

    @rule(left=some, other=some)
    def bond(self, left: int, other: int) -> None:
        with suppress(OrchestratorError):
            self.orc.workflows.bond(self.task(left), self.task(other))

    @rule(left=some, other=some, kind=st.sampled_from(["needs", "parent", "waits-for", "related"]))
    def link(self, left: int, other: int, kind: str) -> None:
        with suppress(OrchestratorError):
            self.orc.links.add(self.task(left), self.task(other), kind=kind)

    @rule(number=some, agent=agents, back=st.booleans())
    def sling(self, number: int, agent: str, back: bool) -> None:
        with suppress(OrchestratorError):
            if back:
                self.orc.hooks.unsling(self.task(number), agent="boss")
            else:
                self.orc.hooks.sling(self.task(number), agent, agent="boss")

    @rule(hours=st.sampled_from([0.1, 1, 30, 24 * 8]))
    def wait(self, hours: float) -> None:
        self.clock.advance(hours * 3600)

    @invariant()
    def the_law_holds(self) -> None:
        if hasattr(self, "orc"):
            check_law(self.orc)
            state = self.orc.engine.read()
            for root, workflow in state.workflows.items():
                status = state.tasks.status_of(root)
                assert (status in ENDED) == bool(workflow.ended_at)
                self.orc.workflows.standing(root)
            for task in state.tasks.values():
                for other in (*task.needs, *([task.gate.of] if task.gate else [])):
                    assert other in state.tasks or other in state.tasks.archived
                if task.completes_itself and task.is_clear:
                    assert task.status in (*ENDED, "blocked")


TestWorkflows = Workflows.TestCase
TestWorkflows.settings = settings(stateful_step_count=25)
