"""Hooks: work stays on an agent's hook through restarts; slung work queues behind it."""

import pytest
from boards import SettableClock, add, changes_nothing, code_of

from orchestrator import NotFound, Orchestrator, UsageError

pytestmark = pytest.mark.usefixtures("build")

DAY = 24 * 3600


def test_hanging_a_task_on_ones_own_hook_begins_it(orc: Orchestrator):
    task = add(orc)
    assert orc.hooks.hang(task, agent="ann").status == "in_progress"
    hook = orc.hooks.show("ann")
    assert hook.task is not None
    assert (hook.task.id, hook.working, hook.queue) == (task, (), ())


def test_hanging_the_same_again_has_no_second_effect(orc: Orchestrator):
    task = add(orc)
    first = orc.hooks.hang(task, agent="ann")
    with changes_nothing(orc):
        assert orc.hooks.hang(task, agent="ann") == first


def test_over_unfinished_work_hanging_is_refused_unless_forced_and_the_old_one_is_pending_again(
    orc: Orchestrator,
):
    old, new = add(orc), add(orc)
    orc.hooks.hang(old, agent="ann")
    with changes_nothing(orc):
        assert code_of(lambda: orc.hooks.hang(new, agent="ann")) == "hook_occupied"
    orc.hooks.hang(new, agent="ann", force=True)
    assert orc.tasks.get(old).status == "pending"
    assert orc.engine.read().agents.hooks == {"ann": new}


def test_what_hangs_by_force_is_the_answer_and_not_what_it_pushed_off(orc: Orchestrator):
    first, second = add(orc), add(orc)
    orc.hooks.hang(first, agent="ann")
    assert orc.hooks.hang(second, force=True, agent="ann").id == second
    assert orc.tasks.get(first).status == "pending"


def test_an_agent_is_given_no_more_than_its_limit_unless_forced(orc: Orchestrator):
    orc.agents.register("ann", max_load=1)
    first, second = add(orc), add(orc)
    orc.hooks.sling(first, "ann")
    with changes_nothing(orc):
        assert orc.hooks.sling(first, "ann").id == first  # it has this one
        assert code_of(lambda: orc.hooks.sling(second, "ann")) == "load_limit"
        assert code_of(lambda: orc.batch.apply([{"id": second, "assign": "ann"}])) == "bad_entries"
    assert orc.hooks.sling(second, "ann", force=True).assigned_to == "ann"


def test_a_claim_hangs_on_an_empty_hook_and_on_no_other(orc: Orchestrator):
    first, second = add(orc), add(orc)
    for task in (first, second):
        orc.tasks.claim(task, agent="ann")
    hook = orc.hooks.show("ann")
    assert hook.task is not None
    assert (hook.task.id, [task.id for task in hook.working]) == (first, [second])


@pytest.mark.parametrize("end", ["complete", "fail", "release", "cancel", "block"])
def test_nothing_hangs_on_a_hook_that_its_agent_does_not_have(orc: Orchestrator, end: str):
    task = add(orc)
    orc.hooks.hang(task, agent="ann")
    getattr(orc.tasks, end)(task, **({"reason": "rain"} if end == "block" else {}))
    assert orc.engine.read().agents.hooks == {}


def test_hung_work_survives_its_agent_and_is_taken_up_first(
    orc: Orchestrator, clock: SettableClock
):
    add(orc, "other", priority=1)
    task = add(orc)
    orc.hooks.hang(task, agent="ann")
    clock.advance(DAY)
    assert orc.engine.read().agents.hooks == {"ann": task}
    claimed = orc.tasks.next(agent="ann")
    assert claimed is not None
    assert (claimed.id, claimed.attempt) == (task, 2)


def test_lapsed_work_that_another_agent_takes_leaves_the_hook(
    orc: Orchestrator, clock: SettableClock
):
    task = add(orc)
    orc.hooks.hang(task, agent="ann")
    clock.advance(DAY)
    orc.tasks.claim(task, agent="bob")
    assert orc.engine.read().agents.hooks == {"bob": task}
    assert code_of(lambda: orc.tasks.complete(task, agent="ann")) == "not_holder"


def test_slung_work_hangs_on_a_free_hook_else_it_queues_in_order(orc: Orchestrator):
    tasks = [add(orc, priority=n) for n in (5, 3, 1)]
    for task in tasks:
        orc.hooks.sling(task, "ann", agent="boss")
    hook = orc.hooks.show("ann")
    assert hook.task is not None
    assert (hook.task.id, hook.task.status) == (tasks[0], "assigned")
    assert [task.id for task in hook.queue] == [tasks[2], tasks[1]]


def test_next_takes_my_hook_then_my_queue_then_what_is_anybodys_and_never_anothers(
    orc: Orchestrator,
):
    free = add(orc, priority=0)
    hung, queued, others = add(orc), add(orc), add(orc, priority=0)
    orc.hooks.sling(hung, "ann")
    orc.hooks.sling(queued, "ann")
    orc.hooks.sling(others, "bob")
    taken = [orc.tasks.next(agent="ann") for _ in range(4)]
    assert [task and task.id for task in taken] == [hung, queued, free, None]
    assert code_of(lambda: orc.tasks.claim(others, agent="ann")) == "already_claimed"


def test_slinging_again_to_the_same_agent_has_no_second_effect(orc: Orchestrator):
    task = add(orc)
    orc.hooks.sling(task, "ann", agent="boss")
    with changes_nothing(orc):
        assert orc.hooks.sling(task, "ann", agent="boss").assigned_to == "ann"
    assert len(orc.mail.inbox(agent="ann")) == 1


def test_slinging_what_another_agent_has_is_refused_unless_forced(orc: Orchestrator):
    task = add(orc)
    orc.tasks.claim(task, agent="ann")
    with changes_nothing(orc):
        assert code_of(lambda: orc.hooks.sling(task, "bob")) == "already_claimed"
    assert orc.hooks.sling(task, "bob", force=True).assigned_to == "bob"
    assert code_of(lambda: orc.tasks.complete(task, agent="ann")) == "not_holder"


def test_ended_work_and_retired_agents_are_not_slung_to(orc: Orchestrator):
    task, ended = add(orc), add(orc)
    orc.tasks.cancel(ended)
    orc.agents.register("ann")
    orc.agents.retire("ann")
    with changes_nothing(orc):
        assert code_of(lambda: orc.hooks.sling(ended, "bob")) == "illegal_step"
        assert code_of(lambda: orc.hooks.sling(task, "ann")) == "retired"
        assert code_of(lambda: orc.hooks.sling(task, "../ann")) == "bad_name"


def test_slung_work_gets_a_convoy_of_its_own_unless_it_is_tracked(orc: Orchestrator):
    tracked, alone, plain = add(orc), add(orc), add(orc)
    orc.convoys.create("release", [tracked])
    for task in (tracked, alone):
        orc.hooks.sling(task, "ann", agent="boss")
    orc.hooks.sling(plain, "ann", agent="boss", convoy=False)
    assert [c.name for c in orc.convoys.all()] == ["release", f"work-{alone}"]
    assert orc.convoys.get(f"work-{alone}").notify == ("boss",)


def test_the_agent_gets_a_single_notice_with_the_urgency_of_the_task(orc: Orchestrator):
    orc.hooks.sling(add(orc, "Fix\nit", priority=1), "ann", agent="boss", message="Today.")
    [letter] = orc.mail.inbox(agent="ann")
    assert (letter.kind, letter.priority, letter.sender) == ("work_assignment", "urgent", "boss")
    assert letter.subject.endswith(": Fix it")
    assert "Today." in orc.mail.read(letter.id, agent="ann").body


def test_unslung_work_is_pending_and_the_log_names_who_took_it(orc: Orchestrator):
    task = add(orc)
    orc.hooks.sling(task, "ann")
    assert orc.hooks.unsling(task, agent="boss").status == "pending"
    assert orc.events.read(last=1)[0].agent == "boss"
    assert orc.engine.read().agents.hooks == {}
    with changes_nothing(orc):
        assert orc.hooks.unsling(task, agent="boss").status == "pending"
        assert code_of(lambda: orc.hooks.unsling(agent="ann")) == "hook_empty"


def test_assigned_work_that_is_not_begun_is_free_after_a_day_and_not_while_its_agent_lives(
    orc: Orchestrator, clock: SettableClock
):
    lost, kept = add(orc), add(orc)
    orc.hooks.sling(lost, "gone")
    orc.hooks.sling(kept, "ann")
    for _ in range(3):
        clock.advance(DAY / 2)
        orc.agents.heartbeat("ann")
    claimed = orc.tasks.next(agent="bob")
    assert claimed is not None
    assert claimed.id == lost
    assert orc.tasks.next(agent="bob") is None


def test_a_retired_agent_leaves_assigned_work_to_others_too(orc: Orchestrator):
    task = add(orc)
    orc.agents.register("ann")
    orc.hooks.sling(task, "ann")
    orc.agents.retire("ann", agent="boss")
    assert orc.tasks.get(task).status == "pending"
    assert [record.agent for record in orc.events.read(last=2)] == ["boss", "boss"]


def test_a_hook_needs_an_agent(orc: Orchestrator):
    task = add(orc)
    for call in (orc.hooks.show, lambda: orc.hooks.hang(task), lambda: orc.hooks.sling(task)):
        with changes_nothing(orc), pytest.raises(UsageError):
            call()
    with pytest.raises(NotFound):
        orc.hooks.hang("00000000", agent="ann")


def test_a_rehearsal_answers_as_the_command_would_and_changes_nothing(orc: Orchestrator):
    task = add(orc)
    with changes_nothing(orc), orc.rehearsal():
        assert orc.hooks.sling(task, "ann", agent="boss").status == "assigned"
    assert orc.tasks.get(task).status == "pending"
