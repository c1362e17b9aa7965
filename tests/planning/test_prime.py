"""Prime: what an agent needs first, within a budget, and nothing twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import Orchestrator, UsageError
from orchestrator.domain.workflows.compiled import CompiledFormula, CompiledGate, CompiledStep
from orchestrator.stores.memory import MemoryStore


@pytest.fixture(autouse=True)
def stream(orc: Orchestrator) -> None:
    orc.workstreams.create("build")


def add(orc: Orchestrator, title: str = "x", **fields: object) -> str:
    return orc.tasks.add("build", title=title, **fields).id  # type: ignore[arg-type]


def test_it_says_who_what_hangs_there_the_note_the_mail_and_six_commands(orc: Orchestrator):
    task = add(orc, "Ship v1", acceptance="it ships")
    orc.agents.register("ann", type="coder")
    orc.sessions.start("ann")
    orc.sessions.handoff(subject="Tests are next", note="The API works.", agent="ann")
    orc.sessions.start("ann")
    orc.hooks.hang(task, agent="ann")
    orc.mail.send("ann", "The key expires", agent="bob")
    text = orc.prime("ann").text
    assert text.startswith(
        "# You are ann (coder)\n\nWork hangs on your hook: go on with it at once."
    )
    assert f"## On your hook\n\nTask {task} of build, in_progress. Next step: go on" in text
    assert "> Ship v1\n" in text
    assert "> Tests are next\n> The API works." in text
    assert "from bob\n> The key expires" in text
    assert text.count("\n- `orc ") == 6
    assert "This is session 2." in text


def test_the_next_step_of_work_with_parts_is_its_first_ready_part(orc: Orchestrator):
    task = add(orc, "Whole")
    part = add(orc, "Part", parent=task)
    orc.hooks.hang(task, agent="ann")
    assert f"Next step: its part {part}: `orc t claim {part}`" in orc.prime("ann").text


def test_the_order_of_duties_is_hook_mail_idle(orc: Orchestrator):
    assert "`orc t next` finds work" in orc.prime("ann").text
    orc.mail.send("ann", "hi", agent="bob")
    assert "read your mail first" in orc.prime("ann").text
    orc.hooks.sling(add(orc), "ann", agent="bob")
    assert "go on with it at once" in orc.prime("ann").text


def test_it_is_silent_if_nothing_changed_since_it_was_shown(orc: Orchestrator):
    first = orc.prime("ann", if_changed=True)
    assert first.text
    assert orc.prime("ann", if_changed=True).text, "it was not shown yet"
    orc.primed(first)
    assert orc.prime("ann", if_changed=True).text == ""
    orc.mail.send("ann", "hi", agent="bob")
    assert "hi" in orc.prime("ann", if_changed=True).text


def test_nobody_is_primed_without_a_name(orc: Orchestrator):
    with pytest.raises(UsageError):
        orc.prime()


@given(
    budget=st.integers(0, 3000),
    title=st.text(min_size=1, max_size=300).filter(str.strip),
    note=st.text(max_size=3000),
    mails=st.integers(0, 40),
)
def test_it_never_has_more_than_its_budget_and_what_agents_wrote_is_quoted(
    budget: int, title: str, note: str, mails: int
):
    orc = Orchestrator(MemoryStore())
    orc.workstreams.create("build")
    try:
        orc.hooks.hang(orc.tasks.add("build", title=title).id, agent="ann")
        orc.sessions.handoff(note=note, agent="ann")
    except UsageError:  # a text that no board takes
        return
    for number in range(mails):
        orc.mail.send("ann", f"subject {number}", agent="bob")
    text = orc.prime("ann", budget=budget).text
    assert len(text) <= budget * 4
    whole = orc.prime("ann", budget=100_000).text
    if len(whole) > budget * 4 >= 400:
        assert "Cut to fit the budget" in text
    own = [line for line in whole.split("\n") if not line.startswith(">")]
    assert all(line.isprintable() for line in own)


def test_it_leads_to_the_step_of_a_workflow_that_hangs_on_the_hook(orc: Orchestrator):
    gates = (CompiledGate(type="human", name="ok"),)
    steps = (
        CompiledStep(id="a", title="First", description="Do it well.", acceptance="It is done."),
        CompiledStep(id="b", title="Second", needs=("a",), gates=gates),
    )
    cooked = CompiledFormula(formula="f", title="f", description="All of it.", steps=steps)
    root = orc.workflows.sling(cooked, "ann", agent="boss").root.id
    text = orc.prime("ann").text
    assert f"Next step: step {root}.a." in text
    assert "> All of it." in text
    assert f"Next step: `orc t claim {root}.a`" in text
    assert "Done means:\n> It is done." in text
    assert text.count(f"{root}.a of ") == 1, "it is not also listed among what else is the agent's"
    orc.tasks.claim(f"{root}.a", agent="ann")
    assert f'then `orc t complete {root}.a "RESULT" --continue`.' in orc.prime("ann").text
    orc.workflows.advance(f"{root}.a", agent="ann")
    text = orc.prime("ann").text
    assert "The workflow on your hook waits for others" in text
    assert f"`orc formula current {root}`" in text


def test_work_that_has_to_wait_again_is_given_back(orc: Orchestrator):
    need = add(orc, "First")
    orc.tasks.claim(need, agent="bob")
    orc.tasks.complete(need)
    task = add(orc, "Second", needs=[need])
    orc.hooks.hang(task, agent="ann")
    orc.tasks.reopen(need)
    assert f"give it back until then: `orc t release {task}`" in orc.prime("ann").text
