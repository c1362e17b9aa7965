"""The stage of a task: its status with its present meaning, such as ready or lapsed."""

from boards import SettableClock

from orchestrator import Orchestrator
from orchestrator.domain.tasks.stages import STAGES, stage_of


def stages(orc: Orchestrator) -> dict[str, str]:
    state, now = orc.engine.read(), orc.engine.now()
    return {task.title: stage_of(state, task, now) for task in state.tasks.values()}


def test_each_stage(orc: Orchestrator):
    orc.workstreams.create("build")

    def add(title: str, **facts: object) -> str:
        return orc.tasks.add("build", title=title, **facts).id  # type: ignore[arg-type]

    ready = add("ready")
    add("waiting", needs=[ready])
    add("deferred", defer="2100-01-01T00:00:00Z")
    orc.tasks.claim(add("in_progress"), agent="ann")
    orc.tasks.block(add("blocked"), reason="no key")
    orc.tasks.cancel(add("cancelled"))
    for title in ("done", "failed", "in_review"):
        task = add(title, review=title == "in_review")
        orc.tasks.claim(task, agent="ann")
        (orc.tasks.fail if title == "failed" else orc.tasks.complete)(task, agent="ann")
    orc.hooks.sling(add("assigned"), "bob")
    shown = stages(orc)
    assert shown == {title: title for title in shown}
    assert set(shown) == set(STAGES) - {"lapsed"}


def test_a_task_whose_lease_has_ended_is_lapsed(orc: Orchestrator, clock: SettableClock):
    orc.workstreams.create("build")
    orc.tasks.claim(orc.tasks.add("build", title="one").id, agent="ann", lease="1m")
    clock.advance(61)
    assert stages(orc) == {"one": "lapsed"}


def test_a_closed_workstream_keeps_its_tasks_waiting(orc: Orchestrator):
    orc.workstreams.create("build")
    orc.tasks.add("build", title="one")
    orc.workstreams.close("build")
    assert stages(orc) == {"one": "waiting"}
