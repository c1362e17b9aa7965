"""The aftermath of a step: tasks that became free, tasks that it blocks, reviewers, unread mail."""

import pytest
from boards import new_store

from orchestrator import AsyncOrchestrator, Orchestrator
from orchestrator.domain.workflows.compiled import CompiledFormula, CompiledStep

pytestmark = pytest.mark.usefixtures("build")


def add(orc: Orchestrator, title: str, **facts: object) -> str:
    return orc.tasks.add("build", title=title, agent="lead", **facts).id  # type: ignore[arg-type]


def freed_by(orc: Orchestrator, task: str, agent: str = "ann") -> list[str]:
    orc.tasks.claim(task, agent=agent)
    return [other.title for other in orc.aftermath(orc.tasks.complete(task, agent=agent)).freed]


def test_what_waited_for_the_task_alone_is_free_and_nothing_else(orc: Orchestrator):
    first, other = add(orc, "first"), add(orc, "other")
    add(orc, "freed", needs=[first])
    add(orc, "waits for both", needs=[first, other])
    add(orc, "put off", needs=[first], defer="3d")
    add(orc, "free before")
    assert freed_by(orc, first) == ["freed"]
    assert freed_by(orc, other) == ["waits for both"]


def test_the_parts_of_a_freed_task_are_free_with_it(orc: Orchestrator):
    first = add(orc, "first")
    whole = add(orc, "whole", needs=[first])
    part = add(orc, "part", parent=whole)
    add(orc, "part of the part", parent=part)
    add(orc, "later part", parent=whole, needs=[part])
    assert freed_by(orc, first) == ["part of the part"]


def test_a_task_is_free_with_the_end_of_its_last_part(orc: Orchestrator):
    whole = add(orc, "whole")
    parts = [add(orc, f"part {number}", parent=whole) for number in (1, 2)]
    assert [freed_by(orc, part) for part in parts] == [[], ["whole"]]


def test_a_milestone_that_is_done_with_the_task_leads_on(orc: Orchestrator):
    steps = (
        CompiledStep(id="a", title="a"),
        CompiledStep(id="stone", title="stone", needs=("a",), type="milestone"),
        CompiledStep(id="b", title="behind it", needs=("stone",)),
    )
    root = orc.workflows.pour(CompiledFormula(formula="made", steps=steps)).root.id
    assert freed_by(orc, f"{root}.a") == ["behind it"]


def test_a_gate_opens_with_the_last_part_or_with_the_first_of_any(orc: Orchestrator):
    whole = add(orc, "whole")
    parts = [add(orc, f"part {number}", parent=whole) for number in (1, 2)]
    add(orc, "after all", waits_for=f"all:{whole}")
    add(orc, "after any", waits_for=f"any:{whole}")
    assert freed_by(orc, parts[0]) == ["after any"]
    assert freed_by(orc, parts[1]) == ["whole", "after all"]


def test_a_step_that_leaves_the_need_open_names_what_waits(orc: Orchestrator):
    task = add(orc, "first")
    add(orc, "second", needs=[task])
    for step in (orc.tasks.fail, orc.tasks.block, orc.tasks.cancel):
        orc.tasks.claim(task, agent="ann")
        after = orc.aftermath(step(task, reason="no key"))
        assert [other.title for other in after.kept_back] == ["second"]
        assert after.freed == ()
        if orc.tasks.get(task).status == "blocked":
            orc.tasks.unblock(task)
        else:
            orc.tasks.reopen(task)
    orc.tasks.claim(task, agent="ann")
    released = orc.aftermath(orc.tasks.release(task))
    assert (released.kept_back, released.agent) == ((), "ann")


def test_the_reviewers_are_those_that_suit_but_never_the_worker(orc: Orchestrator):
    orc.agents.register("gone")
    orc.agents.retire("gone")
    orc.agents.register("tester", capabilities=["test"])
    orc.agents.register("zoe")
    orc.tasks.claim(add(orc, "own"), agent="kim")
    task = add(orc, "reviewed", review=True)
    orc.tasks.claim(task, agent="ann")
    after = orc.aftermath(orc.tasks.complete(task))
    assert after.reviewers == ("kim", "zoe"), "kim works now; tester does not suit"
    assert after.freed == ()
    assert orc.aftermath(orc.reviews.approve(task, agent="zoe")).reviewers == ()


def test_unread_mail_is_that_of_who_made_the_step(orc: Orchestrator):
    task = add(orc, "first")
    orc.mail.send("ann", "hello", agent="bob")
    orc.tasks.claim(task, agent="ann")
    done = orc.tasks.complete(task)
    assert orc.aftermath(done).unread == 1
    assert orc.aftermath(done, agent="bob").unread == 0


@pytest.mark.anyio
async def test_it_is_the_same_awaited():
    async with AsyncOrchestrator(Orchestrator(new_store())) as orc:
        await orc.workstreams.create("build")
        task = await orc.tasks.add("build", title="first")
        await orc.tasks.add("build", title="second", needs=[task.id])
        await orc.tasks.claim(task.id, agent="ann")
        after = await orc.aftermath(await orc.tasks.complete(agent="ann"))
        assert [other.title for other in after.freed] == ["second"]
