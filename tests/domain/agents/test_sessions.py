"""Sessions: an older start of an agent cannot end the work of the current one; notes reach the next one."""

import pytest
from boards import SettableClock, add, changes_nothing, code_of

from orchestrator import NotFound, Orchestrator, UsageError

pytestmark = pytest.mark.usefixtures("build")


def test_each_start_is_the_next_incarnation(orc: Orchestrator):
    assert [orc.sessions.start("ann").incarnation for _ in range(3)] == [1, 2, 3]
    assert orc.sessions.start("bob").incarnation == 1
    with changes_nothing(orc):
        assert code_of(orc.sessions.start) == "agent_needed"


@pytest.mark.parametrize("step", ["complete", "fail", "release", "renew"])
def test_what_an_older_session_still_does_to_work_is_refused(orc: Orchestrator, step: str):
    task = add(orc)
    orc.sessions.start("ann")
    orc.sessions.start("ann")
    orc.tasks.claim(task, agent="ann")
    orc.engine.session = 1
    with changes_nothing(orc):
        assert code_of(lambda: getattr(orc.tasks, step)(task, agent="ann")) == "older_session"
        assert code_of(lambda: orc.tasks.next(agent="ann")) == "older_session"
        assert code_of(lambda: orc.sessions.handoff(agent="ann")) == "older_session"
        assert code_of(lambda: orc.agents.heartbeat("ann")) == "older_session"
    orc.engine.session = 2
    getattr(orc.tasks, step)(task, agent="ann")


def test_the_note_reaches_the_next_session_and_not_the_one_after(orc: Orchestrator):
    orc.sessions.start("ann")
    orc.sessions.handoff(subject="Tests", note="The API works.", agent="ann")
    assert not orc.sessions.get("ann").is_live
    assert orc.sessions.start("ann").note == "The API works."
    assert orc.sessions.start("ann").note == ""


def test_a_handoff_collects_what_the_agent_holds_and_leaves_its_hook(orc: Orchestrator):
    task = add(orc, "Ship")
    orc.hooks.hang(task, agent="ann")
    orc.locks.acquire("git", agent="ann")
    orc.mail.send("ann", "hi", agent="bob")
    session = orc.sessions.handoff(collect=True, files=("a.py",), agent="ann")
    assert session.collected[0] == f"task {task} (on the hook, in_progress): Ship"
    assert session.collected[1].startswith("lock git until ")
    assert session.collected[2:] == ("1 unread message", "changed file a.py")
    assert orc.engine.read().agents.hooks == {"ann": task}


def test_done_completes_what_hangs_on_the_hook_and_ends_the_session(orc: Orchestrator):
    task = add(orc)
    orc.sessions.start("ann")
    orc.hooks.hang(task, agent="ann")
    finished = orc.sessions.done(message="shipped", agent="ann")
    assert (finished.task.status, finished.task.result) == ("done", "shipped")
    assert finished.session.outcome == "COMPLETED"
    assert not orc.sessions.get("ann").is_live


def test_done_escalated_blocks_the_task_and_notifies_the_overseer(orc: Orchestrator):
    task = add(orc)
    orc.hooks.hang(task, agent="ann")
    assert orc.sessions.done("ESCALATED", message="No key", agent="ann").task.id == task
    assert (orc.tasks.get(task).status, orc.tasks.get(task).reason) == ("blocked", "No key")
    assert orc.mail.inbox(agent="overseer")[0].subject == "Escalation (medium): No key"


def test_done_deferred_puts_the_task_off_and_back(orc: Orchestrator):
    task = add(orc)
    orc.hooks.hang(task, agent="ann")
    finished = orc.sessions.done("DEFERRED", message="later", until="2d", agent="ann")
    assert finished.task.status == "pending"
    assert finished.task.defer_until == "2026-11-23T06:13:00.000Z"
    assert orc.tasks.next(agent="bob") is None


def test_done_is_refused_where_nothing_hangs_and_for_other_words(orc: Orchestrator):
    with changes_nothing(orc):
        with pytest.raises(NotFound):
            orc.sessions.done(agent="ann")
        for call in (
            lambda: orc.sessions.done("PERHAPS", agent="ann"),
            lambda: orc.sessions.done(until="1d", agent="ann"),
        ):
            with pytest.raises(UsageError):
                call()


@pytest.mark.parametrize("outcome", ["COMPLETED", "ESCALATED", "DEFERRED"])
def test_a_repeated_done_has_one_effect(orc: Orchestrator, outcome: str):
    orc.sessions.start("ann")
    orc.hooks.hang(add(orc), agent="ann")
    with orc.request("r-1"):
        first = orc.sessions.done(outcome, message="x", agent="ann")
    with orc.request("r-1"), changes_nothing(orc):
        assert orc.sessions.done(outcome, message="x", agent="ann") == first


@pytest.mark.parametrize("outcome", ["COMPLETED", "ESCALATED", "DEFERRED"])
def test_done_is_one_commit(orc: Orchestrator, outcome: str):
    orc.sessions.start("ann")
    orc.hooks.hang(add(orc), agent="ann")
    before = orc.engine.read().event
    orc.sessions.done(outcome, message="x", agent="ann")
    more = [record.more for record in orc.events.read() if record.id > before]
    assert more == [True] * (len(more) - 1) + [False]
    assert not orc.sessions.get("ann").is_live


def test_an_escalation_is_a_task_caused_by_the_work_and_mail_to_the_overseer(orc: Orchestrator):
    task = add(orc)
    orc.hooks.hang(task, agent="ann")
    made = orc.sessions.escalate("Key\nexpired", severity="critical", agent="ann")
    assert (made.workstream, made.type, made.priority) == ("build", "escalation", 1)
    assert made.labels == ("escalation", "critical")
    assert [(link.kind, link.task) for link in made.links] == [("caused-by", task)]
    assert orc.mail.inbox(agent="overseer")[0].priority == "urgent"


def test_an_escalation_without_work_or_from_a_closed_stream_goes_to_a_stream_of_its_own(
    orc: Orchestrator,
):
    assert orc.sessions.escalate("x", agent="ann").workstream == "escalations"
    orc.hooks.hang(add(orc), agent="ann")
    orc.workstreams.close("build")
    assert orc.sessions.escalate("y", agent="ann", to="boss").workstream == "escalations"
    assert len(orc.mail.inbox(agent="boss")) == 1


def test_presence_by_signs_of_life(orc: Orchestrator, clock: SettableClock):
    """With a session: silent after 30 s, gone after 45; without one: after 5 and 15 minutes."""

    def presence(seconds: float) -> dict[str, str]:
        now = orc.engine.now()
        then = clock() + seconds
        seen = {"ann": clock(), "bob": clock(), "carl": clock()}
        clock.advance(seconds)
        views = orc.agents.views(orc.engine.read(), orc.engine.now(), seen)
        clock.seconds = then - seconds
        assert orc.engine.now() == now
        return {view.id: view.presence for view in views}

    orc.sessions.start("ann")
    orc.tasks.claim(add(orc), agent="carl")
    assert presence(1) == {"ann": "online", "bob": "idle", "carl": "working"}
    assert presence(31)["ann"] == "silent"
    assert presence(46)["ann"] == "gone"
    assert presence(299)["carl"] == "working"
    assert presence(301) == {"ann": "gone", "bob": "silent", "carl": "silent"}
    assert presence(901)["bob"] == "gone"


def test_renaming_an_agent_loses_nothing(orc: Orchestrator):
    working, queued, ended = add(orc), add(orc), add(orc)
    orc.agents.register("ann", type="coder", max_load=9)
    orc.sessions.start("ann")
    orc.tasks.claim(ended, agent="ann")
    orc.tasks.complete(ended)
    orc.hooks.hang(working, agent="ann")
    orc.hooks.sling(queued, "ann", agent="boss")
    orc.locks.acquire("git", agent="ann")
    orc.convoys.create("release", [working], notify=["ann"])
    orc.mail.set_list("all", ["ann", "bob"])
    assert orc.agents.rename("ann", "rig/ann") == "rig/ann"
    view = orc.agents.get("rig/ann")
    assert (view.hook, view.tasks, view.assigned) == (working, (working,), (queued,))
    assert (view.type, view.max_load, view.session, view.locks) == ("coder", 9, 1, ("git",))
    assert view.unread == 1
    assert orc.tasks.get(ended).assigned_to == "rig/ann"
    assert orc.mail.lists() == {"all": ("rig/ann", "bob")}
    with pytest.raises(NotFound):
        orc.agents.get("ann")


def test_what_still_comes_under_the_old_name_is_the_new_ones(orc: Orchestrator):
    task = add(orc)
    orc.tasks.claim(task, agent="ann")
    orc.agents.rename("ann", "bea")
    orc.mail.send("ann", "hi", agent="bob")
    assert [item.subject for item in orc.mail.inbox(agent="ann")] == ["hi"]
    assert orc.agents.get("bea").unread == 1
    assert orc.tasks.complete(task, agent="ann").status == "done"
    orc.agents.rename("bea", "cara")
    orc.mail.send("ann", "again", agent="bob")
    assert orc.agents.get("cara").unread == 2


def test_an_agent_that_is_renamed_back_is_listed_under_its_first_name(orc: Orchestrator):
    orc.agents.register("ann")
    orc.agents.rename("ann", "bea")
    orc.agents.rename("bea", "ann")
    assert [agent.id for agent in orc.agents.all()] == ["ann"]
    assert orc.agents.get("ann").id == "ann"


def test_a_name_that_is_taken_or_unknown_is_refused(orc: Orchestrator):
    for name in ("ann", "bob"):
        orc.agents.register(name)
    with changes_nothing(orc):
        assert code_of(lambda: orc.agents.rename("ann", "bob")) == "name_taken"
        assert code_of(lambda: orc.agents.rename("ann", "BOB")) == "bad_name"
        assert code_of(lambda: orc.agents.rename("ghost", "new")) == "agent_not_found"
