"""Rules for both trackers: only work is imported, no need is lost, a second import updates."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from boards import MORNING, SettableClock, changes_nothing, code_of
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator import BadInput, Orchestrator, Refused
from orchestrator.core.moments import moment
from orchestrator.domain.tasks.records import Note
from orchestrator.integrations import Report, export_backlog, import_backlog, import_beads
from orchestrator.integrations.appendix import Appendix
from orchestrator.integrations.updates import HAS_CHECKS, OPEN_NEEDS, OWN_WORK
from orchestrator.reports.sentences import Sentences

from .test_backlog import page, put
from .test_beads import issue, take, written


def ready(orc: Orchestrator) -> set[str]:
    return {task.id for task in orc.links.ready()}


# What the tracker takes


def test_a_memory_becomes_knowledge_and_a_header_is_skipped(orc: Orchestrator) -> None:
    lines = [
        {"_schema": "beads-jsonl/1", "_sort": "stable-v1"},
        {"_type": "issue", **issue("x-1")},
        {"_type": "memory", "key": "auth tokens", "value": "They expire daily.\n"},
        {"_type": "memory", "key": "rule", "value": "---\nno frontmatter: x: y\n---\n"},
    ]
    report = take(orc, *lines)
    assert (report.tasks, report.topics, report.no_place) == (1, ("auth-tokens", "rule"), {})
    assert report.renamed == {"topic auth tokens": "auth-tokens"}
    assert orc.knowledge.read("auth-tokens") == "They expire daily.\n"
    with changes_nothing(orc):
        assert take(orc, *lines).topics == ()


def test_a_byte_order_mark_is_not_part_of_a_file(orc: Orchestrator, tmp_path: Path) -> None:
    take(orc, b'\xef\xbb\xbf{"id":"x-1","title":"One"}')
    folder = put(tmp_path, **{"1": "\ufeff" + page("task-1", "text")})
    import_backlog(orc.engine, folder)
    assert orc.tasks.get("x-1").title == "One"
    assert orc.tasks.get("task-1").description == "text"


def test_a_circle_of_ended_tasks_keeps_nothing_back(orc: Orchestrator) -> None:
    take(
        orc,
        issue("a", ("blocks", "b"), status="closed"),
        issue("b", ("blocks", "a"), status="closed"),
        issue("c", ("blocks", "a")),
    )
    assert ready(orc) == {"c"}
    assert [entry["dependencies"][0]["type"] for entry in written(orc)[0]] == ["blocks"] * 3


def test_tasks_that_wait_for_the_parts_of_each_other_stay_so(orc: Orchestrator) -> None:
    report = take(orc, issue("a", ("waits-for", "b")), issue("b", ("waits-for", "a")), issue("c"))
    assert (ready(orc), report.no_place) == ({"c"}, {})


@pytest.mark.parametrize("kind", ["blocks", "parent-child"])
def test_a_circle_of_open_tasks_keeps_them_back_until_a_person_lets_one_go(
    orc: Orchestrator, kind: str
) -> None:
    report = take(orc, issue("a", ("blocks", "b")), issue("b", (kind, "a")), issue("c"))
    assert ready(orc) == {"c"}
    assert report.kept_back == ("a",)
    orc.workflows.signal("a")
    assert ready(orc) == ({"b", "c"} if kind == "parent-child" else {"a", "c"})


def test_the_newer_of_two_records_with_one_id_counts(orc: Orchestrator) -> None:
    report = take(
        orc,
        issue("x", updated_at="2026-02-01T00:00:00Z", priority=1),
        issue("x", updated_at="2026-01-01T00:00:00Z", priority=2),
        issue("y", priority=1),
        issue("y", priority=2),
    )
    assert (orc.tasks.get("x").priority, orc.tasks.get("y").priority) == (1, 2)
    assert report.no_place == {"duplicate ids: the newer counts": 2}


def test_a_folder_with_parts_is_one_import(orc: Orchestrator, tmp_path: Path) -> None:
    rows: dict[str, list[dict[str, Any]]] = {
        "issues": [
            {"id": "x-1", "title": "One", "pinned": 0, "ephemeral": 0, "metadata": "{}"},
            {"id": "x-2", "title": "Two", "status": "open", "estimated_minutes": None},
        ],
        "dependencies": [{"issue_id": "x-2", "depends_on_id": "x-1", "type": "blocks"}],
        "labels": [{"issue_id": "x-2", "label": "ui"}, {"issue_id": "gone", "label": "ui"}],
        "comments": [{"issue_id": "x-1", "author": "ann", "text": "Half of it", "id": 1}],
    }
    for name, records in rows.items():
        text = "".join(json.dumps(record) + "\n" for record in records)
        (tmp_path / f"{name}.jsonl").write_text(text)
    report = import_beads(orc.engine, str(tmp_path))
    assert report.no_place == {"labels of issues that are not there": 1}
    assert (orc.tasks.get("x-2").needs, orc.tasks.get("x-2").labels) == (("x-1",), ("ui",))
    assert orc.tasks.get("x-1").notes == (Note("ann", "", "Half of it"),)


def test_the_beads_folder_of_a_project_is_read(orc: Orchestrator, tmp_path: Path) -> None:
    assert code_of(lambda: import_beads(orc.engine, str(tmp_path))) == "file_not_found"
    (tmp_path / ".beads").mkdir()
    (tmp_path / ".beads" / "issues.jsonl").write_text('{"id":"x-1","title":"One"}\n')
    assert import_beads(orc.engine, str(tmp_path)).tasks == 1


def test_backlog_reads_only_files_of_its_prefix(orc: Orchestrator, tmp_path: Path) -> None:
    folder = put(tmp_path, **{"1 - One": page("task-1")})
    tasks = Path(folder, "backlog", "tasks")
    (tasks / "readme.md").write_text("# Tasks\n")
    (tasks / "JIRA-7 - Two.md").write_text(page("JIRA-7"))
    report = import_backlog(orc.engine, folder)
    assert (report.tasks, report.no_place) == (1, {"files that are not task-*.md": 2})
    (tasks.parent / "config.yml").write_text(
        'task_prefix: "JIRA"\nstatuses: ["To Do", "Shipped"]\n'
    )
    (tasks / "JIRA-8.md").write_text(page("JIRA-8", status="Shipped"))
    import_backlog(orc.engine, folder)
    assert orc.tasks.get("JIRA-7").status == "pending"
    assert orc.tasks.get("JIRA-8").status == "done", "the last column is that of finished work"


@pytest.mark.parametrize("date", ["08-06-25", "08/06/25", "08.06.25", "2025-06-08"])
def test_dates_of_older_versions_are_read(orc: Orchestrator, tmp_path: Path, date: str) -> None:
    import_backlog(orc.engine, put(tmp_path, a=page("a", created_date=f"'{date}'")))
    assert orc.tasks.get("a").created_at == "2025-06-08T00:00:00.000Z"


@pytest.mark.parametrize("people", ["@a1, @a2", "[@a1, @a2]", '["@a1", a2]', "\n  - '@a1'\n  - a2"])
def test_the_first_assignee_gets_it(orc: Orchestrator, tmp_path: Path, people: str) -> None:
    report = import_backlog(orc.engine, put(tmp_path, a=page("a", assignee=people)))
    assert orc.tasks.get("a").assigned_to == "a1"
    assert report.no_place == {"further assignees": 1}


LONG = 60_000
"""Where a pattern goes over a text again from each of its characters, this many take minutes."""


@pytest.mark.parametrize("people", ["@a1" + " " * LONG + "x", "\n" * LONG, "[" + " " * LONG + "]"])
def test_an_absurd_assignee_is_read_in_the_time_that_its_length_takes(
    orc: Orchestrator, tmp_path: Path, people: str
) -> None:
    report = import_backlog(orc.engine, put(tmp_path, a=page("a", assignee=people), b=page("b")))
    assert report.tasks == 2
    assert (orc.tasks.get("a").assigned_to or "a1").startswith("a1")


def test_numbers_of_any_length_are_ids(orc: Orchestrator, tmp_path: Path) -> None:
    """An id of 5,000 digits once caused a traceback."""
    digits = "9" * 5000
    folder = put(tmp_path, a=page(f"task-00{digits}", dependencies="[b]"), b=page("b"))
    Path(folder, "backlog", "tasks", "task-c.md").write_text(page("c", dependencies=f"[{digits}]"))
    import_backlog(orc.engine, folder)
    assert ready(orc) == {"b"}, "the number is the task, whatever stands before its digits"
    assert len(orc.tasks.get("c").needs) == 1


def test_what_lies_among_the_completed_tasks_is_done(orc: Orchestrator, tmp_path: Path) -> None:
    folder = put(tmp_path, a=page("a", dependencies="[b]"))
    (tmp_path / "backlog" / "completed").mkdir()
    (tmp_path / "backlog" / "completed" / "task-b.md").write_text(page("b", status="Old Column"))
    import_backlog(orc.engine, folder)
    assert ready(orc) == {"a"}


def test_a_date_alone_is_the_whole_day_and_comes_back_as_a_date(
    orc: Orchestrator, tmp_path: Path
) -> None:
    import_backlog(orc.engine, put(tmp_path / "in", a=page("a", due_date="2027-01-02")))
    assert orc.tasks.get("a").due == moment("2027-01-02", "2027-01-01T00:00:00Z", is_end=True)
    export_backlog(orc.engine, str(tmp_path / "out"))
    (file,) = (tmp_path / "out" / "tasks").iterdir()
    assert "due_date: '2027-01-02'\n" in file.read_text()


# Needs


@pytest.mark.parametrize("written_as", ["2", "TASK-2", "task-2", "Task-02", "' 2 '"])
def test_ids_that_are_one_for_backlog_are_one_here(
    orc: Orchestrator, tmp_path: Path, written_as: str
) -> None:
    folder = put(
        tmp_path,
        **{
            "1": page("task-1", dependencies=f"[{written_as}]"),
            "2": page("task-2"),
            "3": page("task-3", parent_task_id=written_as),
        },
    )
    import_backlog(orc.engine, folder)
    assert orc.tasks.get("task-1").needs == ("task-2",)
    assert orc.tasks.get("task-3").parent == "task-2"


def test_a_need_of_a_task_that_is_not_there_keeps_back_as_it_does_in_backlog(
    orc: Orchestrator, board: Orchestrator, tmp_path: Path
) -> None:
    report = import_backlog(orc.engine, put(tmp_path / "in", a=page("a", dependencies="[9]")))
    assert (ready(orc), report.kept_back) == (set(), ("a",))
    export_backlog(orc.engine, str(tmp_path / "out"))
    import_backlog(board.engine, str(tmp_path / "out"))
    assert board.tasks.get("a").signals == orc.tasks.get("a").signals


@pytest.mark.parametrize("kind", ["relates-to", "related"])
def test_kinds_of_links_that_are_one_for_beads_are_one_here(orc: Orchestrator, kind: str) -> None:
    take(orc, issue("a", (kind, "b")), issue("b"))
    assert [(link.kind, link.task) for link in orc.tasks.get("a").links] == [("related", "b")]


def test_every_kind_of_link_that_keeps_back_there_keeps_back_here(orc: Orchestrator) -> None:
    take(
        orc,
        issue("a"),
        issue("b", ("conditional-blocks", "a")),
        issue("c", ("waits-for", "e"), ("waits-for", "a")),
        issue("d", ("blocks", "external:other:capability")),
        issue("e"),
        issue("f", ("parent-child", "e"), status="closed"),
        issue("g", ("waits-for", "h")),
        issue("h", status="closed"),
    )
    assert ready(orc) == {"a", "e", "g"}, "h has no children that g could wait for"


def test_a_need_of_a_failure_comes_in_and_goes_out_as_such(orc: Orchestrator) -> None:
    take(orc, issue("undo", ("conditional-blocks", "ship"), ("blocks", "ship")), issue("ship"))
    undo = orc.tasks.get("undo")
    assert (undo.needs, undo.needs_failure_of) == ((), ("ship",))
    issues, _ = written(orc)
    (exported,) = (entry["dependencies"] for entry in issues if "dependencies" in entry)
    assert [(d["type"], d["depends_on_id"]) for d in exported] == [("conditional-blocks", "ship")]
    orc.tasks.claim("ship", agent="ann")
    orc.tasks.fail("ship", agent="ann", reason="no disk")
    assert ready(orc) == {"undo"}


def test_a_need_of_a_failure_that_closes_a_circle_goes_out_as_it_came_in(orc: Orchestrator) -> None:
    take(
        orc,
        issue("self", ("conditional-blocks", "self")),
        issue("a", ("conditional-blocks", "b")),
        issue("b", ("blocks", "a")),
    )
    assert ready(orc) == set()
    issues, _ = written(orc)
    links = {
        (issue["id"], link["type"], link["depends_on_id"])
        for issue in issues
        for link in issue["dependencies"]
    }
    assert links == {
        ("self", "conditional-blocks", "self"),
        ("a", "conditional-blocks", "b"),
        ("b", "blocks", "a"),
    }


def test_a_failure_is_known_by_the_reason_why_an_issue_was_closed(orc: Orchestrator) -> None:
    """A fulfilled need of a failure is removed; a need of the failure of a done issue cancels the task."""
    take(
        orc,
        issue("a", status="closed", close_reason="Timeout in CI"),
        issue("b", status="closed", close_reason="Shipped"),
        issue("undo-a", ("conditional-blocks", "a")),
        issue("undo-b", ("conditional-blocks", "b")),
        issue("after", ("blocks", "a")),
    )
    assert ready(orc) == {"undo-a", "after"}
    assert orc.tasks.get("undo-b").status == "cancelled"


def test_a_part_of_an_issue_that_is_put_off_is_put_off(orc: Orchestrator) -> None:
    until = "2027-01-01T00:00:00.000Z"
    take(orc, issue("a", defer_until=until), issue("b", ("parent-child", "a")))
    assert ready(orc) == set()
    assert orc.tasks.get("b").defer_until == until


# What is not work

NO_WORK: dict[str, dict[str, Any]] = {
    "records of the type agent": {"issue_type": "agent"},
    "records of the type role": {"issue_type": "role"},
    "records of the type message": {"issue_type": "message"},
    "records of the type gate": {"issue_type": "gate", "await_type": "human"},
    "records of the type event": {"issue_type": "event"},
    "records of the type merge-request": {"issue_type": "merge-request"},
    "records of the type convoy": {"labels": ["urgent", "gt:convoy"]},
    "pinned records": {"pinned": True},
    "wisps": {"ephemeral": True},
    "templates": {"is_template": 1},
    "deleted issues": {"status": "tombstone"},
}


@pytest.mark.parametrize("kind", NO_WORK)
def test_what_is_not_work_there_is_none_here_and_keeps_back_as_it_did(
    orc: Orchestrator, kind: str
) -> None:
    report = take(orc, issue("x", **NO_WORK[kind]), issue("y", ("blocks", "x")), issue("z"))
    assert (report.no_place[kind], report.examples[kind]) == (1, ("x",))
    assert {task.id for task in orc.tasks.all()} == {"y", "z"}
    assert ready(orc) == ({"y", "z"} if kind == "deleted issues" else {"z"})
    assert written(orc)[0][0]["dependencies"][0]["depends_on_id"] == "x" or kind == "deleted issues"


def test_a_record_that_is_not_work_and_has_ended_keeps_nothing_back(orc: Orchestrator) -> None:
    take(orc, issue("x", issue_type="gate", status="closed"), issue("y", ("blocks", "x")))
    assert ready(orc) == {"y"}


def test_a_status_of_a_project_of_its_own_is_not_ready(orc: Orchestrator) -> None:
    report = take(orc, issue("x", status="on-review"))
    assert (ready(orc), report.no_place) == (set(), {"status on-review": 1})
    assert written(orc)[0][0]["status"] == "on-review"


def test_a_molecule_is_never_handed_out_and_is_done_with_its_parts(orc: Orchestrator) -> None:
    take(orc, issue("m", issue_type="molecule"), issue("s", ("parent-child", "m")))
    assert ready(orc) == {"s"}
    assert [entry["issue_type"] for entry in written(orc)[0]] == ["molecule", "task"]
    orc.tasks.claim("s", agent="ann")
    orc.tasks.complete("s", agent="ann")
    assert orc.tasks.get("m").status == "done"


# A second import


def test_the_same_file_again_changes_nothing(orc: Orchestrator, tmp_path: Path) -> None:
    issues = [
        issue("a", ("blocks", "b"), ("related", "c"), notes="n", design="d", assignee="ann"),
        issue("b", ("blocks", "a"), status="closed"),
        issue("c", ("waits-for", "a"), ("parent-child", "b"), status="deferred"),
        issue("d", ("blocks", "e"), ("blocks", "a"), ("blocks", "gone")),
        issue("e", ("blocks", "d"), ("blocks", "a")),
    ]
    take(orc, *issues)
    folder = put(
        tmp_path, **{"1": page("task-1", dependencies="[9]", status="Done"), "2": page("2")}
    )
    import_backlog(orc.engine, folder)
    with changes_nothing(orc):
        assert take(orc, *issues).updated == ()
        assert import_backlog(orc.engine, folder).updated == ()


def test_what_changed_there_changes_here(orc: Orchestrator) -> None:
    take(orc, issue("a", created_at="2026-01-01T00:00:00Z"), issue("b"), workstream="shop")
    report = take(
        orc,
        issue("a", ("blocks", "c"), created_at="2026-01-01T00:00:00Z", title="New", labels=["ui"]),
        issue("b", status="closed", close_reason="It works", notes="Half"),
        issue("c"),
        workstream="shop",
    )
    assert (report.tasks, report.updated) == (1, ("a", "b"))
    a, b = orc.tasks.get("a"), orc.tasks.get("b")
    assert (a.title, a.labels, a.needs, a.workstream) == ("New", ("ui",), ("c",), "shop")
    assert (b.status, b.result, b.notes) == ("done", "It works", (Note("beads", "", "Half"),))
    assert (a.open_needs, ready(orc)) == (1, {"c"})


def test_a_need_that_would_close_a_circle_later_is_kept_as_a_signal(orc: Orchestrator) -> None:
    take(orc, issue("a", ("blocks", "b")), issue("b"), issue("c"))
    report = take(orc, issue("a", ("blocks", "b")), issue("b", ("blocks", "c"), ("blocks", "a")))
    assert orc.tasks.get("b").needs == ("c",)
    assert (report.kept_back, ready(orc)) == (("b",), {"c"})


def test_an_issue_without_a_priority_has_the_one_that_beads_gives_it(orc: Orchestrator) -> None:
    take(orc, issue("a"), issue("b", priority=0))
    assert [orc.tasks.get(name).priority for name in "ab"] == [2, 0]


def test_what_happened_here_since_counts(orc: Orchestrator, clock) -> None:
    early, late = "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"
    names = ("done", "held", "older", "noted")
    take(orc, *(issue(name, updated_at=early) for name in names))
    clock.advance(60)
    for name in ("done", "held"):
        orc.tasks.claim(name, agent="ann")
    orc.tasks.complete("done", result="Mine", agent="ann")
    orc.tasks.edit("older", title="Mine")
    orc.tasks.note("noted", "Mine", agent="ann")
    report = take(
        orc,
        issue("done", updated_at=late, description="New"),
        issue("held", updated_at=late, status="closed", description="New"),
        issue("older", updated_at=early, description="New"),
        issue("noted", updated_at=late, comments=[{"text": "Theirs", "author": "bob"}]),
    )
    assert [orc.tasks.get(name).description for name in names] == ["New", "New", "", ""]
    assert (orc.tasks.get("done").status, orc.tasks.get("done").result) == ("done", "Mine")
    assert (orc.tasks.get("held").status, orc.tasks.get("held").assigned_to) == (
        "in_progress",
        "ann",
    )
    assert [note.text for note in orc.tasks.get("noted").notes] == ["Mine", "Theirs"]
    assert report.no_place["tasks that changed here later"] == 1
    assert report.no_place["statuses of tasks that agents have"] == 1


LATE = "2027-01-01T00:00:00Z"
LATER = "2027-01-02T00:00:00Z"


@pytest.fixture
def held(orc: Orchestrator) -> Orchestrator:
    """A board with an imported task that ann has and a convoy of hers that wes watches."""
    take(orc, issue("a", acceptance_criteria="All"), agent="cleo")
    for agent in ("ann", "ben", "wes"):
        orc.agents.register(agent)
    orc.convoys.create("c", ["a"], notify=["wes"], agent="wes")
    orc.tasks.claim("a", agent="ann")
    return orc


def letters(orc: Orchestrator, agent: str) -> list[str]:
    return [message.subject for message in orc.mail.inbox(agent=agent)]


def test_an_import_that_changes_the_criteria_of_work_is_reported_and_kept_in_the_evidence(
    held: Orchestrator,
) -> None:
    take(held, issue("a", acceptance_criteria="Some", updated_at=LATE), agent="ben")
    task = held.tasks.get("a")
    assert (task.acceptance, task.status, task.assigned_to) == ("Some", "in_progress", "ann")
    [change] = task.evidence
    assert (change.what, change.problem, change.agent) == (
        "re-imported from beads",
        "changed acceptance",
        "ben",
    )
    for agent in ("ann", "wes"):
        assert letters(held, agent) == ["Changed by an import: a The a"]
    assert letters(held, "ben") == []


@pytest.mark.parametrize("importer", ["ann", None])
def test_a_worker_takes_a_change_of_how_it_is_judged_only_with_a_reason(
    held: Orchestrator, importer: str | None
) -> None:
    changed = issue("a", acceptance_criteria="Some", updated_at=LATE, title="New")
    report = take(held, changed, issue("b"), agent=importer)
    assert (report.tasks, report.updated) == (1, ())
    assert [*report.no_place] == [OWN_WORK]
    assert held.tasks.get("a").acceptance == "All"
    assert take(held, changed, reason="Agreed", agent=importer).updated == ("a",)
    assert held.tasks.get("a").acceptance == "Some"
    assert held.tasks.get("a").evidence[0].what == "re-imported from beads: Agreed"
    assert letters(held, "wes") == ["Changed by an import: a New"]


def test_a_claim_is_not_ended_by_an_import_after_another_one(held: Orchestrator) -> None:
    take(held, issue("a", acceptance_criteria="All", title="New", updated_at=LATE))
    report = take(held, issue("a", acceptance_criteria="All", status="closed", updated_at=LATER))
    assert report.no_place == {"statuses of tasks that agents have": 1}
    assert (held.tasks.get("a").status, held.tasks.get("a").assigned_to) == ("in_progress", "ann")


def test_who_had_a_task_that_an_import_ended_hears_of_it(held: Orchestrator, clock) -> None:
    clock.advance(3600)
    take(held, issue("a", acceptance_criteria="All", status="closed", updated_at=LATE))
    task = held.tasks.get("a")
    assert (task.status, task.evidence[-1].problem) == ("done", "changed status")
    assert "Changed by an import: a The a" in letters(held, "ann")
    sentences = Sentences(held.engine, subject="a")
    assert sentences.of(held.tasks.history("a")[-1]) == (
        "imported it again from beads: status in_progress -> done, assigned to ann -> none"
    )


def test_a_name_of_another_case_is_that_of_the_agent_that_is_here(orc: Orchestrator) -> None:
    orc.agents.register("ann")
    report = take(orc, issue("a", assignee="Ann", created_by="ANN"), issue("b", assignee="Ben"))
    task = orc.tasks.get("a")
    assert (task.assigned_to, task.created_by) == ("ann", "ann")
    assert orc.tasks.get("b").assigned_to == "Ben"
    assert report.renamed == {"agent ANN": "ann", "agent Ann": "ann"}
    same = [issue("a", assignee="Ann", created_by="ANN"), issue("b", assignee="Ben")]
    with changes_nothing(orc):
        assert take(orc, *same).updated == ()


def test_an_author_is_the_agent_that_is_here_under_its_present_name(
    orc: Orchestrator, tmp_path: Path
) -> None:
    orc.agents.register("ann")
    orc.agents.register("bob")
    orc.agents.rename("bob", "rob")
    comments = [
        {"author": author, "text": f"{author} was here", "created_at": LATE}
        for author in ("Ann", "bob", "Zoe")
    ]
    report = take(orc, issue("a", notes="By no agent", comments=comments))
    notes = orc.tasks.get("a").notes
    assert [note.agent for note in notes] == ["beads", "ann", "rob", "Zoe"]
    assert {note.at for note in notes[1:]} == {"2027-01-01T00:00:00.000Z"}
    assert report.renamed == {"agent Ann": "ann", "agent bob": "rob"}
    project = put(tmp_path, **{"1": page("task-1", COMMENT)})
    import_backlog(orc.engine, project)
    note = orc.tasks.get("task-1").notes[0]
    assert (note.agent, note.at, note.text) == ("ann", "2026-01-02T10:00:00.000Z", "Well done")
    with changes_nothing(orc):
        take(orc, issue("a", notes="By no agent", comments=comments))
        import_backlog(orc.engine, project)


def test_a_comment_that_was_written_twice_is_there_twice(orc: Orchestrator) -> None:
    agreed = {"author": "zoe", "text": "+1", "created_at": LATE}
    take(orc, issue("a", comments=[agreed]))
    take(orc, issue("a", comments=[agreed, agreed]))
    assert [note.text for note in orc.tasks.get("a").notes] == ["+1", "+1"]
    with changes_nothing(orc):
        take(orc, issue("a", comments=[agreed, agreed]))


COMMENT = """## Comments
<!-- COMMENTS:BEGIN -->
<!-- COMMENT:BEGIN -->
index: 1
author: @Ann
created: 2026-01-02 10:00

Well done
<!-- COMMENT:END -->
<!-- COMMENTS:END -->
"""


def test_many_changed_tasks_are_looked_up_as_one_is(orc: Orchestrator) -> None:
    names = [f"t{number:02}" for number in range(50)]
    take(orc, *(issue(name) for name in names))
    for name in ("t05", "t45"):
        orc.tasks.claim(name, agent="ann")
        orc.tasks.complete(name, result="Mine", agent="ann")
    issues = [issue(name, status="closed", close_reason="It", updated_at=LATE) for name in names]
    report = take(orc, *issues)
    assert report.no_place == {"statuses of tasks that have ended here": 2}
    assert [task.id for task in orc.tasks.all() if task.result == "Mine"] == ["t05", "t45"]


def test_an_import_ends_no_task_past_its_checks(orc: Orchestrator) -> None:
    take(orc, issue("a"), issue("b"))
    orc.tasks.edit("a", review=True)
    ended = [issue(name, status="closed", updated_at=LATE) for name in ("a", "b")]
    report = take(orc, *ended)
    assert (orc.tasks.get("a").status, orc.tasks.get("b").status) == ("pending", "done")
    assert report.no_place == {HAS_CHECKS: 1}


def test_an_end_before_its_needs_is_reported(orc: Orchestrator) -> None:
    issues = [issue("a", ("blocks", "b")), issue("b"), issue("c", ("blocks", "d")), issue("d")]
    take(orc, *issues)
    ended = [record | {"status": "closed", "updated_at": LATE} for record in issues]
    report = take(orc, *ended[:1], *ended[2:])
    assert report.no_place == {OPEN_NEEDS: 1}
    assert report.examples == {OPEN_NEEDS: ("a",)}


def test_a_task_is_known_by_its_reference_too(orc: Orchestrator) -> None:
    orc.workstreams.create("build")
    mine = orc.tasks.add("build", title="Mine", external_ref="x-1")
    report = take(
        orc,
        issue("x-1", title="Theirs", updated_at="2027-01-01T00:00:00Z", created_at=mine.created_at),
        issue("x-2", ("blocks", "x-1")),
    )
    assert (report.updated, orc.tasks.get(mine.id).title) == ((mine.id,), "Theirs")
    assert orc.tasks.get("x-2").needs == (mine.id,)


def test_a_task_of_another_project_with_the_same_id_is_refused(orc: Orchestrator) -> None:
    take(orc, issue("task-1", created_at="2026-01-01T00:00:00Z"))
    other = issue("task-1", created_at="2026-02-02T00:00:00Z", title="Other")
    with changes_nothing(orc):
        assert code_of(lambda: take(orc, other, issue("new"))) == "task_exists"
    assert take(orc, other, issue("new"), skip_existing=True).tasks == 1
    assert orc.tasks.get("task-1").title == "The task-1"


def test_a_field_that_the_tracker_cannot_hold_stays_as_it_is(
    orc: Orchestrator, tmp_path: Path, clock
) -> None:
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="x", priority=2, estimate=5, touches=["git"])
    export_backlog(orc.engine, str(tmp_path / "out"), workstream="build")
    with changes_nothing(orc):
        import_backlog(orc.engine, str(tmp_path / "out"))
    (file,) = (tmp_path / "out" / "tasks").iterdir()
    clock.advance(3600)
    changed = file.read_text().replace("title: x", "title: y")
    file.write_text(
        changed.replace("updated_date: 2026-11-21 06:13", "updated_date: 2026-11-21 07:00")
    )
    import_backlog(orc.engine, str(tmp_path / "out"))
    again = orc.tasks.get(task.id)
    assert (again.title, again.priority, again.estimate, again.touches) == ("y", 2, 5, ("git",))


# Out


def test_an_export_invents_neither_a_creator_nor_a_time(orc: Orchestrator, tmp_path: Path) -> None:
    take(orc, issue("a", comments=[{"text": "x"}], notes="y", created_at="2026-01-01T00:00:00Z"))
    (entry,), _ = written(orc)
    assert "created_by" not in entry
    assert (entry["notes"], entry["comments"]) == ("y", [{"id": 1, "issue_id": "a", "text": "x"}])
    export_backlog(orc.engine, str(tmp_path / "out"))
    (file,) = (tmp_path / "out" / "tasks").iterdir()
    text = file.read_text()
    assert "1970" not in text
    assert "reporter" not in text
    assert "created: " not in text
    assert "author" not in text


def test_a_section_without_an_end_swallows_nothing(orc: Orchestrator, tmp_path: Path) -> None:
    body = (
        "## Description\n\n<!-- SECTION:DESCRIPTION:BEGIN -->\nText\n\n"
        "## Acceptance Criteria\n<!-- AC:BEGIN -->\n- [ ] #1 Runs\n\n"
        "## Implementation Notes\n\n<!-- SECTION:NOTES:BEGIN -->\nNoted\n<!-- SECTION:NOTES:END -->\n"
    )
    import_backlog(orc.engine, put(tmp_path, a=page("a", body)))
    task = orc.tasks.get("a")
    assert (task.description, task.acceptance, task.notes[0].text) == ("Text", "Runs", "Noted")


texts = st.lists(
    st.sampled_from(["## Design", "\\## Design", "\n", "\n\n", "x", " "]), max_size=6
).map("".join)


@settings(max_examples=200)
@given(texts, texts)
def test_a_design_comes_back_as_it_went_whatever_stands_in_it(text: str, design: str) -> None:
    appendix = Appendix("## Design")
    assert appendix.split(appendix.join(text, design)) == (text, design)


def test_notes_design_and_comments_come_back_as_they_went(orc: Orchestrator) -> None:
    entry = issue(
        "a",
        description="What",
        design="How\n\n## Design\n\nmore",
        notes="One\n\nTwo",
        comments=[
            {
                "id": 1,
                "issue_id": "a",
                "author": "ann",
                "text": "x",
                "created_at": "2026-01-02T00:00:00.000Z",
            }
        ],
        created_at="2026-01-01T00:00:00.000Z",
        created_by="ann",
    )
    take(orc, entry)
    (again,), _ = written(orc)
    assert {name: again[name] for name in entry if name != "dependencies"} == {
        name: value for name, value in entry.items() if name != "dependencies"
    }


# Whatever stands in a file

ids = st.sampled_from(["a", "b", "c", "d", "x/y"])
kinds = st.sampled_from(
    ["blocks", "conditional-blocks", "waits-for", "parent-child", "related", "relates-to", "odd"]
)
odd = (
    st.none() | st.booleans() | st.integers(-2, 9) | st.text(max_size=4) | st.just([]) | st.just({})
)
good_issues = st.fixed_dictionaries(
    {"id": ids, "title": st.just("x")},
    optional={
        "status": st.sampled_from(
            ["open", "closed", "blocked", "deferred", "pinned", "tombstone", "odd"]
        ),
        "issue_type": st.sampled_from(["task", "epic", "gate", "agent", "molecule"]),
        "ephemeral": st.booleans(),
        "dependencies": st.lists(
            st.fixed_dictionaries({"depends_on_id": ids, "type": kinds}), min_size=1, max_size=3
        ),
    },
)
odd_issues = st.builds(
    lambda issue, name, value: {**issue, name: value},
    good_issues,
    st.sampled_from(["title", "priority", "assignee", "labels", "created_at", "defer_until"]),
    odd,
)
lines = st.lists(
    st.one_of(*[good_issues.map(json.dumps)] * 6, odd_issues.map(json.dumps), st.text(max_size=5)),
    max_size=8,
).map("\n".join)


def imported(orc: Orchestrator, text: str) -> Report | None:
    try:
        return import_beads(orc.engine, io.BytesIO(text.encode("utf-8", "surrogatepass")))
    except (BadInput, Refused):
        return None


OWN_FAILURE = {"depends_on_id": "x/y", "type": "conditional-blocks"}
OWN_NEED = {"depends_on_id": "a", "type": "blocks"}
LOST_GATE = {"depends_on_id": "d", "type": "waits-for"}
LOST_FAILURE = {"depends_on_id": "d", "type": "conditional-blocks"}


@settings(max_examples=150, deadline=None)
@given(lines)
@example(json.dumps({"id": "x/y", "title": "x", "dependencies": [OWN_FAILURE]}))
@example(json.dumps({"id": "a", "title": "x", "dependencies": [OWN_NEED, LOST_FAILURE, LOST_GATE]}))
def test_no_file_of_issues_breaks_the_import_or_loses_a_need(text: str) -> None:
    clock = SettableClock(MORNING)
    orc = Orchestrator.open("memory:", now=clock)
    records: dict[str, dict[str, Any]] = {}
    for line in text.split("\n"):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and "id" in record:
            records[record["id"]] = record
    if imported(orc, text) is None:
        return
    open_ids = {
        id
        for id, record in records.items()
        if record.get("status", "open") not in ("closed", "pinned", "tombstone")
    }
    for task_id in ready(orc):
        record = records.get(task_id, {})
        needs = {
            link["depends_on_id"]
            for link in record.get("dependencies", ())
            if link["type"] in ("blocks", "conditional-blocks")
        }
        assert not needs & open_ids, (task_id, text)
        assert record.get("issue_type") not in ("gate", "agent", "molecule")
        assert not record.get("ephemeral")
    clock.advance(60)
    with changes_nothing(orc):
        imported(orc, text)


def test_a_need_of_what_was_left_out_and_a_gate_on_it_stay_as_they_were(clock: SettableClock):
    orc = Orchestrator.open("memory:", now=clock)
    issue = {"id": "a", "title": "x", "dependencies": [LOST_FAILURE, LOST_GATE]}
    text = "\n".join(map(json.dumps, [issue, {"id": "d", "title": "x", "status": "pinned"}]))
    imported(orc, text)
    clock.advance(60)
    with changes_nothing(orc):
        imported(orc, text)


def number_of(task_id: str) -> str:
    """The number of an id that Backlog.md reads in several spellings."""
    return task_id.casefold().removeprefix("task-").lstrip("0")


pages = st.builds(
    lambda task_id, head, body: "\n".join(["---", f"id: {task_id}", *head, "---", body]),
    st.sampled_from(["1", "task-1", "TASK-02", "3"]),
    st.lists(
        st.builds(
            "{}: {}".format,
            st.sampled_from(
                ["title", "status", "dependencies", "assignee", "created_date", "labels"]
            ),
            st.sampled_from(
                ["[1]", "[task-2, 3]", "Done", "To Do", "@a, @b", "{", "'x'", "08-06-25"]
            ),
        ),
        max_size=4,
        unique_by=lambda line: line.partition(":")[0],
    ),
    st.text(max_size=20)
    | st.just("## Description\n<!-- SECTION:DESCRIPTION:BEGIN -->\n## Comments"),
)


@settings(max_examples=60, deadline=None)
@given(files=st.lists(pages | st.text(max_size=8), min_size=1, max_size=4))
def test_no_task_file_breaks_the_import(
    files: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    orc = Orchestrator.open("memory:")
    folder = put(
        tmp_path_factory.mktemp("backlog"),
        **{str(n): text.encode("utf-8", "replace").decode() for n, text in enumerate(files)},
    )
    try:
        import_backlog(orc.engine, folder)
    except (BadInput, Refused):
        return
    done = {number_of(task.id) for task in orc.tasks.all() if task.status == "done"}
    heads = [re.match(r"---\nid: (.*)", text) for text in files]
    numbers = [number_of(head[1] if head else str(n)) for n, head in enumerate(heads)]
    for task_id in ready(orc):
        if numbers.count(number_of(task_id)) == 1:
            text = files[numbers.index(number_of(task_id))]
            needs = re.search(r"^dependencies: \[(.*)\]$", text, re.MULTILINE)
            assert not needs or {*map(number_of, needs[1].split(", "))} <= done, (task_id, files)
    with changes_nothing(orc):
        import_backlog(orc.engine, folder)
