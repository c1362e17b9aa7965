"""What a merge of two boards makes of work that contradicts."""

from typing import Any

import msgspec
import pytest
from boards import add, as_text, code_of, fold

from orchestrator import Orchestrator
from orchestrator.core.errors import UsageError
from orchestrator.core.events import Recorded, types
from orchestrator.core.store import START
from orchestrator.domain.board.events import BoardMerged
from orchestrator.domain.workstreams.events import WorkstreamEdited
from orchestrator.maintenance.board_merge import noun_rules, submission_rules, task_rules
from orchestrator.maintenance.board_merge.merge import MergeReport, merge_board
from orchestrator.maintenance.board_merge.merging import MergeInProgress
from orchestrator.stores.memory import MemoryStore

from .test_random_boards import Pair

TEXTS = ("board.merged", "knowledge.", "decision.")
"""The types that the merge itself and its texts handle."""


@pytest.fixture
def pair() -> Pair:
    """A board with two tasks, and its copy."""
    pair = Pair()
    for title in ("One", "Two"):
        add(pair.boards[0], title)
    pair.boards[0].knowledge.write("plan", "a\nb\nc\nd\ne\n")
    pair.part()
    return pair


def both(pair: Pair) -> tuple[Orchestrator, Orchestrator]:
    here, there = pair.boards
    return here, there


def merge(here: Orchestrator, there: Orchestrator, **how: Any) -> MergeReport:
    return merge_board(here.engine, there.engine, name="other", **how)


def task_ids(orc: Orchestrator) -> list[str]:
    return [*orc.engine.read().tasks]


def conflicts(report: MergeReport) -> list[tuple[str, str, str, str]]:
    return [(c.field, c.here, c.there, c.won) for c in report.conflicts]


def notes(orc: Orchestrator, task: str) -> list[str]:
    return [note.text for note in orc.tasks.get(task).notes]


def test_every_event_type_has_a_rule_or_counts_on_one_board_only():
    ruled = {*noun_rules.RULES, *submission_rules.RULES, *task_rules.RULES, *task_rules.NEW}
    missing = {
        name
        for name, cls in types().items()
        if cls not in ruled and not name.startswith((*noun_rules.LOCAL, *TEXTS, "tests."))
    }
    assert not missing, "give each a rule in maintenance/board_merge, or a place in LOCAL"


def test_a_copy_has_the_agent_the_time_and_the_id_that_it_had_there(pair: Pair):
    here, there = both(pair)
    here.events.log("ann", "other.work")
    there.events.log("bob", "deployed", version=2)
    (event,) = [r for r in fold_records(there) if r.type == "deployed"]
    pair.clock.advance(60)
    assert merge(here, there).taken == 1
    (copy,) = [r for r in fold_records(here) if r.type == "deployed"]
    assert (copy.agent, copy.ts, copy.payload) == (event.agent, event.ts, event.payload)
    assert copy.origin is not None
    assert (copy.id, copy.origin.event) == (event.id + 1, event.id)


def fold_records(orc: Orchestrator) -> list[Recorded]:
    return [record for chunk in orc.engine.store.read(START) for record in chunk.events]


def test_a_claim_that_lost_is_reported_and_the_holder_here_goes_on(pair: Pair):
    here, there = both(pair)
    task = task_ids(here)[0]
    here.tasks.claim(task, agent="ann")
    there.tasks.claim(task, agent="bob", lease="1h")
    report = merge(here, there)
    assert [(c.field, c.here, c.won) for c in report.conflicts] == [
        ("claim", "in_progress with ann", "here")
    ]
    assert "claimed by bob until" in report.conflicts[0].there
    assert here.tasks.complete(task, agent="ann").status == "done"


def test_work_that_is_done_there_is_done_here_and_the_holder_gets_mail(pair: Pair):
    here, there = both(pair)
    task = task_ids(here)[0]
    here.tasks.claim(task, agent="ann")
    there.tasks.claim(task, agent="bob")
    there.tasks.complete(task, result="Shipped", agent="bob")
    report = merge(here, there)
    done = here.tasks.get(task)
    assert (done.status, done.assigned_to, done.result) == ("done", "bob", "Shipped")
    assert conflicts(report) == [("end", "in_progress with ann", "completed by bob", "there")]
    assert [letter.subject for letter in here.mail.inbox(agent="ann")] == [
        f"Taken from you: {task} One"
    ]


@pytest.mark.parametrize("into", [0, 1])
def test_done_counts_before_cancelled_whichever_board_is_merged(pair: Pair, into: int):
    here, there = both(pair)
    task = task_ids(here)[0]
    here.tasks.cancel(task, reason="not wanted")
    there.tasks.claim(task, agent="bob")
    there.tasks.complete(task, result="Shipped", agent="bob")
    merge(pair.boards[into], pair.boards[1 - into])
    done = pair.boards[into].tasks.get(task)
    assert (done.status, done.result) == ("done", "Shipped")
    assert any("not wanted" in note for note in notes(pair.boards[into], task))


def test_a_second_result_becomes_a_note(pair: Pair):
    task = task_ids(pair.boards[0])[0]
    for orc, agent in zip(pair.boards, ("ann", "bob"), strict=True):
        orc.tasks.claim(task, agent=agent)
        orc.tasks.complete(task, result=f"by {agent}", agent=agent)
    here, there = both(pair)
    assert conflicts(merge(here, there)) == [("result", "by ann", "by bob", "here")]
    assert here.tasks.get(task).result == "by ann"
    assert any(note.endswith("\nby bob") for note in notes(here, task))


def test_the_later_value_of_a_field_counts_on_both_boards_and_labels_are_joined(pair: Pair):
    here, there = both(pair)
    task = task_ids(here)[0]
    there.tasks.edit(task, title="Theirs", labels=["b"], meta={"k": "1"})
    pair.clock.advance(5)
    here.tasks.edit(task, title="Ours", labels=["a"], meta={"l": "2"})
    assert conflicts(merge(here, there)) == [("title", "Ours", "Theirs", "here")]
    merge(there, here)
    for orc in pair.boards:
        edited = orc.tasks.get(task)
        assert (edited.title, {*edited.labels}) == ("Ours", {"a", "b"})
        assert edited.meta == {"k": "1", "l": "2"}
        assert any("Theirs" in note for note in notes(orc, task))


def test_a_need_that_would_close_a_circle_is_left_out_and_named(pair: Pair):
    here, there = both(pair)
    one, two = task_ids(here)
    here.links.add(one, two)
    there.links.add(two, one)
    report = merge(here, there)
    assert [(c.what, c.field) for c in report.conflicts] == [(f"task {two}", "needs")]
    assert here.tasks.get(one).needs == (two,)
    assert here.tasks.get(two).needs == ()


def test_two_tasks_of_one_id_stay_two_and_the_later_events_find_theirs(pair: Pair):
    """Children get the next number on each board."""
    here, there = both(pair)
    parent = task_ids(here)[0]
    add(here, "Ours", parent=parent)
    add(there, "Theirs", parent=parent)
    report = merge(here, there)
    assert report.renamed == {f"task {parent}.1": f"task {parent}.2"}
    there.tasks.note(f"{parent}.1", "for theirs")
    merge(here, there)
    assert here.tasks.get(f"{parent}.2").title == "Theirs"
    assert notes(here, f"{parent}.2") == ["for theirs"]
    merge(there, here)
    here.tasks.note(f"{parent}.2", "back")
    merge(there, here)
    assert notes(there, f"{parent}.1") == ["for theirs", "back"]
    assert there.tasks.get(f"{parent}.2").title == "Ours"


def test_texts_are_merged_by_lines_and_contradictions_keep_both_without_markers(pair: Pair):
    here, there = both(pair)
    here.knowledge.write("plan", "A\nb\nc\nd\ne\n", agent="ann")
    there.knowledge.write("plan", "a\nb\nc\nd\nE\n", agent="bob")
    here.knowledge.write("notes", "ours")
    pair.clock.advance(1)
    there.knowledge.write("notes", "theirs")
    report = merge(here, there)
    assert here.knowledge.read("plan") == "A\nb\nc\nd\nE\n"
    assert (here.knowledge.read("notes"), here.knowledge.read("notes-conflict")) == (
        "theirs",
        "ours",
    )
    assert [(c.what, c.kept) for c in report.conflicts] == [("topic notes", "topic notes-conflict")]
    assert "<<<" not in "".join(map(str, fold_records(here)))
    merge(there, here)
    assert there.knowledge.read("plan") == "A\nb\nc\nd\nE\n"
    assert there.knowledge.read("notes") == "theirs"


def test_files_that_were_edited_by_hand_there_are_taken_over_once(pair: Pair):
    here, there = both(pair)
    there.engine.documents.write("knowledge/plan.md", b"by hand\n")
    assert merge(here, there).taken == 1
    assert here.knowledge.read("plan") == "by hand\n"
    assert merge(here, there).taken == 0


def test_decisions_of_one_number_get_two_and_say_where_they_come_from(pair: Pair):
    here, there = both(pair)
    here.decisions.add("Ours")
    there.decisions.add("Theirs")
    there.decisions.add("Newer")
    there.decisions.supersede(1, 2)
    assert merge(here, there).renamed == {
        "decision 1": "decision 2",
        "decision 2": "decision 3",
    }
    second = here.decisions.get(2)
    assert (second.title, second.superseded_by) == ("Theirs", 3)
    assert "this is decision 1." in second.text


def test_a_request_that_the_other_board_has_answered_has_no_second_effect(pair: Pair):
    here, there = both(pair)
    here.events.log("ann", "other.work")
    with there.request("r-1"):
        first = there.tasks.add("build", title="Once")
    merge(here, there)
    with here.request("r-1"):
        assert here.tasks.add("build", title="Once").id == first.id
    assert [task.title for task in here.tasks.all()].count("Once") == 1


def test_commands_from_the_other_board_do_not_run_until_they_are_trusted(pair: Pair):
    here, there = both(pair)
    task = add(there, "Checked", verify=["true"])
    merge(here, there)
    checks = here.tasks.get(task).checks
    assert checks is not None
    assert not checks.trusted
    merge(there, here)
    own = there.tasks.get(task).checks
    assert own is not None
    assert own.trusted


def test_mail_keeps_its_thread_and_the_marks_of_its_recipients(pair: Pair):
    here, there = both(pair)
    here.events.log("ann", "other.work")
    there.mail.send("bob", "Hi", "first", agent="ann")
    (letter,) = there.mail.inbox(agent="bob")
    there.mail.reply(letter.id, "second", agent="bob")
    there.mail.send("queue:jobs", "Job", "do it", agent="ann")
    there.mail.take("jobs", agent="bob")
    merge(here, there)
    (copy,) = [item for item in here.mail.inbox(agent="bob") if item.subject == "Hi"]
    assert [part.body for part in here.mail.thread(copy.id)] == ["first", "second"]
    assert [(queue.waiting, queue.taken[0].taken_by) for queue in here.mail.queues()] == [
        ((), "bob")
    ]


def test_boards_without_a_common_beginning_become_one():
    boards = [Orchestrator(MemoryStore()) for _ in range(2)]
    for orc, title in zip(boards, ("Ours", "Theirs"), strict=True):
        orc.workstreams.create("build", description=title)
        add(orc, title)
    report = merge(*boards)
    assert (report.shared, report.taken) == (0, 1)
    assert conflicts(report) == [("description", "Ours", "Theirs", "here")]
    assert {task.title for task in boards[0].tasks.all()} == {"Ours", "Theirs"}


def test_what_came_over_a_third_board_is_not_merged_again(pair: Pair):
    first, second = both(pair)
    third = Pair().open(MemoryStore())
    third.workstreams.create("build")
    add(second, "Of the second")
    merge(first, second)
    merge(third, first)
    assert merge(third, second).taken == 0
    assert [t.title for t in third.tasks.all()].count("Of the second") == 1


def test_an_event_that_no_rule_foresaw_is_named_and_the_rest_is_merged(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
):
    """A rule that breaks halfway leaves nothing of its event."""
    here, there = both(pair)
    there.workstreams.edit("build", priority=1)
    add(there, "More")

    def breaks(merging: MergeInProgress, event: WorkstreamEdited) -> None:
        merging.copy(event)
        raise KeyError("nowhere")

    monkeypatch.setitem(noun_rules.RULES, WorkstreamEdited, breaks)
    report = merge(here, there)
    assert [(c.field, c.here, c.won) for c in report.conflicts] == [("fit", "'nowhere'", "here")]
    assert here.workstreams.get("build").priority == 5
    assert "More" in {task.title for task in here.tasks.all()}
    pair.check(0)


def test_a_dry_run_reports_the_same_and_changes_nothing(pair: Pair):
    here, there = both(pair)
    add(there, "More")
    there.knowledge.write("plan", "new\n")
    before = as_text(*fold(here.engine.store))
    tried = merge(here, there, dry_run=True)
    assert as_text(*fold(here.engine.store)) == before
    assert here.knowledge.read("plan") == "a\nb\nc\nd\ne\n"
    assert merge(here, there) == tried


def test_a_board_is_not_merged_into_itself(pair: Pair):
    here, _ = both(pair)
    with pytest.raises(UsageError):
        merge(here, here)


def test_names_of_the_other_board_are_checked_before_anything_is_copied(pair: Pair):
    here, there = both(pair)
    store: Any = there.engine.store
    payload = msgspec.Raw(b'{"topic":"../../x","text":"evil"}')
    last = store._records[-1]
    store._records.append(Recorded(last.id + 1, last.ts, "ann", "knowledge.written", payload))
    evil = Orchestrator(store)
    before = here.engine.read().event
    assert code_of(lambda: merge(here, evil)) == "bad_name"
    assert here.engine.read().event == before


def test_the_report_stays_in_the_log(pair: Pair):
    here, there = both(pair)
    here.tasks.edit(task_ids(here)[0], title="Ours")
    there.tasks.edit(task_ids(here)[0], title="Theirs")
    report = merge(here, there)
    (record,) = [r for r in fold_records(here) if r.type == BoardMerged.TYPE]
    merged = msgspec.json.decode(record.payload, type=BoardMerged)
    assert merged.conflicts == report.conflicts
    assert (merged.other, merged.shared) == ("other", report.shared)
