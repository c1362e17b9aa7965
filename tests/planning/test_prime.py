"""Prime: what an agent needs first, within a budget, without repetition."""

import re

import pytest
from boards import SettableClock, add, new_store
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import Orchestrator, UsageError
from orchestrator.domain.workflows.compiled import CompiledFormula, CompiledGate, CompiledStep

pytestmark = pytest.mark.usefixtures("build")


def test_it_shows_the_agent_the_hook_the_note_the_mail_and_the_loop(orc: Orchestrator):
    task = add(orc, "Ship v1", acceptance="it ships")
    orc.agents.register("ann", type="coder")
    orc.sessions.start("ann")
    orc.sessions.handoff(subject="Tests are next", note="The API works.", agent="ann")
    orc.sessions.start("ann")
    orc.hooks.hang(task, agent="ann")
    orc.mail.send("ann", "The key expires", agent="bob")
    orc.knowledge.write("grammar", "LL(1)")
    text = orc.prime("ann").text
    assert text.startswith(
        "# You are ann (coder)\n\nWork hangs on your hook: go on with it at once."
    )
    step = f'Next step: go on, then `orc done {task} "RESULT"`.'
    assert f"## On your hook\n\nTask {task} of build, in_progress. {step}" in text
    assert "> Ship v1\n" in text
    assert "> Tests are next\n> The API works." in text
    assert "from bob\n> The key expires" in text
    assert "> grammar\n" in text
    assert "\n1 open: 1 in progress.\n" in text
    assert text.partition("## The loop\n\n")[2].count("\n- `orc ") == 2
    assert "This is session 2." in text


def test_the_next_step_of_work_with_parts_is_its_first_ready_part(orc: Orchestrator):
    task = add(orc, "Whole")
    part = add(orc, "Part", parent=task)
    orc.hooks.hang(task, agent="ann")
    assert f"Next step: its part {part}: `orc claim {part}`" in orc.prime("ann").text


def test_the_order_of_duties_is_hook_review_mail_idle(orc: Orchestrator):
    add(orc)
    assert "`orc next` gives you work" in orc.prime("ann").text
    orc.mail.send("ann", "hi", agent="bob")
    assert "read your mail first" in orc.prime("ann").text
    reviewed = add(orc, review=True)
    orc.tasks.claim(reviewed, agent="bob")
    orc.tasks.complete(reviewed)
    orc.reviews.claim(reviewed, agent="ann")
    assert "You have a review to finish." in orc.prime("ann").text
    assert f"review of {reviewed}, by bob: `orc approve {reviewed}`" in orc.prime("ann").text
    orc.hooks.sling(add(orc), "ann", agent="bob")
    assert "go on with it at once" in orc.prime("ann").text


def test_the_text_differs_at_the_start_of_a_board_at_its_end_and_when_nothing_is_ready(
    orc: Orchestrator,
):
    assert "The board has no tasks yet: `orc add " in orc.prime("ann").text
    task = add(orc, "Write it")
    orc.tasks.claim(task, agent="bob")
    stuck = orc.prime("ann").text
    assert "Nothing can be begun now: `orc next --wait 10m` waits for work." in stuck
    assert f"- In work (1): {task} Write it: bob until " in stuck
    orc.tasks.complete(task)
    assert "Every task has ended." in orc.prime("ann").text
    assert "## The board" not in orc.prime("ann").text


def test_the_state_of_the_board_is_one_line(orc: Orchestrator):
    ready, review, blocked, done = (add(orc, review=n == 1) for n in range(4))
    add(orc, needs=[ready])
    add(orc, defer="3d")
    orc.hooks.sling(add(orc), "ann", agent="bob")
    for task in (review, done, add(orc)):
        orc.tasks.claim(task, agent="bob")
    orc.tasks.complete(review)
    orc.tasks.complete(done)
    orc.tasks.block(blocked, reason="no key")
    line = "7 open: 1 ready, 1 in progress, 1 assigned, 1 in review, 1 blocked, 2 waiting; 1 done."
    assert f"\n{line}\n" in orc.prime("ann").text


def test_a_review_that_i_may_do_is_shown_and_my_own_work_is_not(orc: Orchestrator):
    task = add(orc, "Parser", review=True)
    orc.tasks.claim(task, agent="ann")
    orc.tasks.complete(task)
    assert "## Review due" not in orc.prime("ann").text
    due = orc.prime("bob").text
    assert f"## Review due\n\n{task}, by ann: `orc next` gives it to you\n> Parser" in due


def test_work_whose_lease_lapsed_is_shown_to_its_agent_and_to_others(
    orc: Orchestrator, clock: SettableClock
):
    task = add(orc, "Parser")
    orc.tasks.claim(task, agent="ann")
    assert "lapsed" not in orc.prime("bob").text
    clock.advance(3600)
    assert f"{task}, with ann until " in orc.prime("bob").text
    mine = orc.prime("ann").text
    assert f"in_progress, its lease has ended. Next step: `orc claim {task}`." in mine
    assert "lapsed" not in mine


def test_the_newest_mail_is_shown_and_the_rest_is_counted(orc: Orchestrator):
    for number in range(65):
        orc.mail.send("ann", f"subject {number}", agent="bob")
    text = orc.prime("ann").text
    assert [n for n in range(65) if f"> subject {n}\n" in text] == [60, 61, 62, 63, 64]
    assert "60 older: `orc mail inbox --unread`" in text
    assert text.index("> subject 64\n") < text.index("> subject 60\n")


def test_who_is_here_and_what_they_do(orc: Orchestrator):
    orc.tasks.claim(add(orc, "Lexer"), agent="bob")
    orc.agents.heartbeat("cleo")
    text = orc.prime("ann").text
    assert re.search(r"## Who is here\n\n> bob: [0-9a-f]{8} Lexer\n> cleo: ", text)


@pytest.mark.parametrize("budget", range(40, 260, 10))
def test_a_small_budget_puts_no_heading_over_nothing(orc: Orchestrator, budget: int) -> None:
    task = add(orc, "Ship v1")
    orc.hooks.hang(task, agent="ann")
    orc.agents.heartbeat("cleo")
    orc.mail.send("ann", "hi", agent="bob")
    text = orc.prime("ann", budget=budget, prog="orc --agent ann").text
    for title in ("The board", "Who is here", "The loop"):
        assert f"## {title}\n\n(Left out" not in text


@pytest.mark.parametrize("budget", [100, 150, 200])
def test_a_small_budget_keeps_the_work_and_drops_the_loop_first(orc: Orchestrator, budget: int):
    task = add(orc, "Ship v1")
    orc.hooks.hang(task, agent="ann")
    for number in range(65):
        orc.mail.send("ann", f"subject {number}", agent="bob")
    orc.knowledge.write("grammar", "LL(1)")
    text = orc.prime("ann", budget=budget, prog="orc --agent ann").text
    assert (
        f"Task {task} of build, in_progress. Next step: go on, then `orc --agent ann done" in text
    )
    assert "## The loop" not in text
    assert len(text) <= budget * 4


def test_only_changes_that_concern_the_agent_count_as_new(orc: Orchestrator):
    orc.hooks.hang(add(orc), agent="ann")
    orc.primed(orc.prime("ann"))
    add(orc, "another")
    orc.agents.register("bob")
    assert orc.prime("ann", if_changed=True).text == ""


def test_mail_that_was_shown_ends_no_wait(orc: Orchestrator):
    orc.mail.send("ann", "hi", agent="bob")
    orc.primed(orc.prime("ann"))
    assert orc.next(agent="ann").kind == "none"
    orc.mail.send("ann", "again", agent="bob")
    assert orc.next(agent="ann").kind == "mail"


def test_prime_needs_the_name_of_an_agent(orc: Orchestrator):
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
    orc = Orchestrator(new_store())
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
    assert f"Next step: `orc claim {root}.a`" in text
    assert "Done means:\n> It is done." in text
    assert text.count(f"{root}.a of ") == 1, "it is not also listed among what else is the agent's"
    orc.tasks.claim(f"{root}.a", agent="ann")
    assert f'then `orc done {root}.a "RESULT" --continue`.' in orc.prime("ann").text
    orc.workflows.advance(f"{root}.a", agent="ann")
    text = orc.prime("ann").text
    assert "The workflow on your hook waits; the reasons are below" in text
    assert f"`orc formula current {root}`" in text


def test_work_that_has_to_wait_again_is_given_back(orc: Orchestrator):
    need = add(orc, "First")
    orc.tasks.claim(need, agent="bob")
    orc.tasks.complete(need)
    task = add(orc, "Second", needs=[need])
    orc.hooks.hang(task, agent="ann")
    orc.tasks.reopen(need)
    assert f"give it back until then: `orc release {task}`" in orc.prime("ann").text
