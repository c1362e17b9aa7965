"""Issues of beads are imported with every supported fact; an export and an import change nothing."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from boards import changes_nothing, code_of

from orchestrator import Orchestrator
from orchestrator.core.errors import BadInput, Refused
from orchestrator.core.files import LONGEST
from orchestrator.domain.tasks.records import Note, Task
from orchestrator.domain.tasks.relations import Gate, Link
from orchestrator.integrations import Report, export_beads, import_beads

ISSUES = Path(__file__).parents[1] / "data" / "beads" / "issues.jsonl"


def take(orc: Orchestrator, *issues: dict[str, Any] | bytes, **settings: Any) -> Report:
    lines = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in issues]
    return import_beads(orc.engine, io.BytesIO(b"\n".join(lines)), **settings)


def issue(id: str, *links: tuple[str, str], **fields: Any) -> dict[str, Any]:
    dependencies = [{"issue_id": id, "depends_on_id": to, "type": kind} for kind, to in links]
    return {"id": id, "title": f"The {id}", "dependencies": dependencies, **fields}


def written(orc: Orchestrator, **settings: Any) -> tuple[list[dict[str, Any]], Report]:
    out = io.StringIO()
    report = export_beads(orc.engine, out, **settings)
    return [json.loads(line) for line in out.getvalue().splitlines()], report


@pytest.fixture
def shop(orc: Orchestrator) -> Orchestrator:
    """A board with the issues of the shop."""
    with ISSUES.open("rb") as lines:
        import_beads(orc.engine, lines, workstream="shop")
    return orc


def test_every_field_with_a_place_comes_in(shop: Orchestrator) -> None:
    epic = shop.tasks.get("shop-a1f")
    assert (epic.workstream, epic.type, epic.priority, epic.status) == (
        "shop",
        "epic",
        0,
        "pending",
    )
    assert epic.description.endswith(
        "slow networks.\n\n## Design\n\nAn idempotency key per basket."
    )
    assert epic.acceptance == "- one payment per basket\n- the second click says so"
    assert epic.labels == ("area-checkout", "urgent")
    assert (epic.created_at, epic.created_by) == ("2026-09-14T17:40:14.872Z", "Maria-Lopez")
    done = shop.tasks.get("shop-a1f.1")
    assert (done.status, done.assigned_to, done.estimate) == ("done", "crew/ann", 90.0)
    assert (done.result, done.ended_at) == ("Test is red now", "2026-09-16T12:00:00.000Z")
    assert done.updated_at == "2026-09-16T12:00:00.000Z"
    announce = shop.tasks.get("shop-b20")
    assert (announce.due[:10], announce.defer_until[:10]) == ("2027-02-01", "2027-01-15")
    assert announce.gate == Gate("any", "shop-a1f")
    assert announce.links == (Link("discovered-from", "shop-a1f.1"),)
    assert shop.tasks.get("shop-b21").reason == "blocked in beads"


def test_links_notes_and_progress_come_in(shop: Orchestrator) -> None:
    task = shop.tasks.get("shop-a1f.2")
    assert (task.parent, task.needs, task.open_needs) == ("shop-a1f", ("shop-a1f.1",), 0)
    assert task.notes == (
        Note("beads", "", "The bank's sandbox ignores the header."),
        Note("Maria-Lopez", "2026-09-21T09:30:00.000Z", "Ask them for a date."),
    )
    progress = shop.tasks.get("shop-a1f").progress
    assert progress is not None
    assert (progress.total, progress.done) == (2, 1)


def test_work_in_progress_waits_for_its_agent_because_no_claim_is_taken_over(
    shop: Orchestrator,
) -> None:
    assert shop.tasks.get("shop-a1f.2").status == "assigned"
    assert shop.tasks.next("shop", agent="crew/cid") is None, "its part comes before shop-a1f"
    assert shop.tasks.next("shop", agent="crew/bob").id == "shop-a1f.2"  # type: ignore[union-attr]


def test_work_of_a_retired_agent_is_anybodys(orc: Orchestrator) -> None:
    orc.agents.register("bob")
    orc.agents.retire("bob")
    report = take(orc, issue("x-1", assignee="bob", status="open"))
    assert orc.tasks.get("x-1").status == "pending"
    assert report.no_place == {"assignees that are retired": 1}


def test_the_report_counts_what_had_no_place(orc: Orchestrator) -> None:
    with ISSUES.open("rb") as lines:
        report = import_beads(orc.engine, lines)
    assert report == Report(
        tasks=5,
        statuses={"pending": 2, "done": 1, "assigned": 1, "blocked": 1},
        skipped=(),
        renamed={"label area:checkout": "area-checkout", "agent Maria Lopez": "Maria-Lopez"},
        no_place={
            "claims of work in progress": 1,
            "deleted issues": 1,
            "dependencies replies-to": 1,
            "links to tasks that are not here": 1,
            "pinned": 1,
        },
        examples={
            "claims of work in progress": ("shop-a1f.2",),
            "deleted issues": ("shop-9zz",),
            "dependencies replies-to": ("shop-b20",),
            "links to tasks that are not here": ("shop-a1f.2",),
            "pinned": ("shop-b21",),
        },
    )


def test_it_is_one_commit_into_a_board_that_has_tasks(orc: Orchestrator) -> None:
    orc.workstreams.create("shop")
    mine = orc.tasks.add("shop", title="Mine")
    take(orc, issue("x-1", ("blocks", mine.id)), workstream="shop")
    assert orc.tasks.get("x-1").needs == (mine.id,)
    take(orc, issue("x-2"), issue("x-3"), workstream="new")
    assert [record.more for record in orc.events.read(last=3)] == [True, True, False]


def test_a_task_comes_behind_what_it_needs_wherever_it_stands_in_the_file(
    orc: Orchestrator,
) -> None:
    take(orc, issue("c", ("blocks", "b")), issue("b", ("parent-child", "a")), issue("a"))
    assert [task.id for task in orc.tasks.all()] == ["a", "b", "c"]
    assert orc.tasks.get("c").open_needs == 1


def test_tasks_that_are_here_are_refused_by_a_strict_import_or_skipped(shop: Orchestrator) -> None:
    with changes_nothing(shop), pytest.raises(Refused) as caught:
        take(shop, issue("shop-b20"), issue("new"), strict=True)
    assert (caught.value.code, caught.value.details["tasks"]) == ("task_exists", ["shop-b20"])
    report = take(
        shop, issue("shop-b20", odd=1), issue("new", ("blocks", "shop-b20")), skip_existing=True
    )
    assert (report.tasks, report.skipped, report.no_place) == (1, ("shop-b20",), {})
    assert shop.tasks.get("new").needs == ("shop-b20",)


def test_an_id_that_is_not_a_name_becomes_another_and_always_the_same(orc: Orchestrator) -> None:
    report = take(orc, issue("../x"), issue("y", ("blocks", "../x")))
    new = report.renamed["task ../x"]
    assert orc.tasks.get("y").needs == (new,)
    assert take(orc, issue("../x")).skipped == (new,)


def test_circles_are_a_named_error_of_a_strict_import(orc: Orchestrator) -> None:
    circles = [
        [issue("a", ("blocks", "b")), issue("b", ("blocks", "a"))],
        [issue("a", ("blocks", "a"))],
        [issue("a", ("blocks", "b")), issue("b", ("parent-child", "a"))],
        [
            issue("a"),
            issue("t", ("waits-for", "a")),
            issue("c", ("parent-child", "a"), ("blocks", "t")),
        ],
    ]
    for issues in circles:
        with changes_nothing(orc):
            assert code_of(lambda issues=issues: take(orc, *issues, strict=True)) == "circle"


def test_a_request_that_is_repeated_has_one_effect_and_one_report(orc: Orchestrator) -> None:
    def once() -> Report:
        with orc.request("r1"):
            return take(orc, issue("a", odd=1))

    assert once() == once()
    assert len(orc.tasks.all()) == 1


def test_a_dry_run_reports_and_changes_nothing(orc: Orchestrator) -> None:
    with changes_nothing(orc), orc.rehearsal():
        report = take(orc, issue("a"))
    assert report.tasks == 1
    assert take(orc, issue("a")) == report


@pytest.mark.parametrize(
    "line",
    [
        b"hello",
        b"[]",
        b'{"id":"a","id":"b","title":"x"}',
        b'{"id":"a","title":"x","priority":NaN}',
        b'{"id":"a","title":"x","priority":"high"}',
        b'{"id":"a","title":"x","priority":-1}',
        b'{"id":"a","title":"x","priority":1.5}',
        b'{"id":"a","title":""}',
        b'{"id":"a","title":5}',
        b'{"id":7,"title":"x"}',
        b'{"title":"x"}',
        b'{"id":"a","title":"x","labels":{}}',
        b'{"id":"a","title":"x","labels":[1]}',
        b'{"id":"a","title":"x","dependencies":["b"]}',
        b'{"id":"a","title":"x","dependencies":[{"type":"blocks"}]}',
        b'{"id":"a","title":"x","comments":[{"text":4}]}',
        b'{"id":"a","title":"x","created_at":"noon"}',
        b'{"id":"a","title":"x","created_at":5}',
        b'{"id":"a","title":"x","estimated_minutes":-5}',
        b'{"id":"a","title":"a\\u0000b"}',
        b'{"id":"a","title":"\\ud800"}',
        b"\xff\xfe\x00",
        b"\x00\x01",
    ],
)
def test_a_bad_line_is_left_out_with_its_place_or_refused_by_a_strict_import(
    orc: Orchestrator, line: bytes
) -> None:
    with changes_nothing(orc), pytest.raises(BadInput) as caught:
        take(orc, issue("good"), line, strict=True)
    assert caught.value.code == "bad_entries"
    assert caught.value.message.startswith("These issues cannot be taken in: line 2: ")
    with changes_nothing(orc):
        assert code_of(lambda: take(orc, line)) == "bad_entries"
    report = take(orc, issue("good", ("blocks", "a")), line)
    assert (report.tasks, report.no_place["records that cannot be read"]) == (1, 1)
    assert report.examples["records that cannot be read"][0].startswith("line 2: ")
    assert orc.tasks.next("beads", agent="ann") is None, "what it needs may be the line"


def test_all_problems_are_reported_together(orc: Orchestrator) -> None:
    with pytest.raises(BadInput) as caught:
        take(orc, b"x", issue("a"), issue("a"), issue("b", title=""), b"[]", b"{}", strict=True)
    assert [problem.partition(":")[0] for problem in caught.value.details["problems"]] == [  # type: ignore[attr-defined]
        f"line {number}" for number in (1, 3, 4, 5, 6)
    ]
    assert caught.value.message.endswith("; and 2 more")


def test_a_line_that_never_ends_is_refused_before_it_is_read(orc: Orchestrator) -> None:
    with changes_nothing(orc), pytest.raises(BadInput, match="line 1 is longer"):
        take(orc, b'{"id":"' + b"x" * LONGEST + b'"}')


def test_a_closed_workstream_takes_nothing(orc: Orchestrator) -> None:
    orc.workstreams.create("shop")
    orc.workstreams.close("shop")
    with changes_nothing(orc):
        assert code_of(lambda: take(orc, issue("a"), workstream="shop")) == "workstream_closed"


# Round trips


def everything(orc: Orchestrator) -> None:
    """Tasks with every field that beads supports."""
    orc.workstreams.create("build")
    add = orc.tasks.add
    epic = add("build", title="Epic ✓", priority=1, description="All\r\nof it ", type="epic")
    first = add("build", title="First", parent=epic.id, name="first", estimate=30, priority=0)
    orc.tasks.claim(first.id, agent="ann")
    orc.tasks.note(first.id, "Half of it\n\n", agent="bob")
    orc.tasks.complete(first.id, result=" It works ", agent="ann")
    second = add(
        "build",
        title="Second",
        labels=["ui", "web"],
        acceptance="It runs",
        priority=4,
        needs=[first.id],
        parent=epic.id,
        due="2027-01-02",
        defer="2027-01-01T09:30",
        external_ref="gh-9",
    )
    orc.links.add(second.id, epic.id, kind="related")
    orc.links.add(second.id, first.id, kind="caused-by")
    add("build", title="Last", priority=2, waits_for=f"any:{epic.id}")
    orc.tasks.archive([first.id])


DERIVED = {"events", "lease", "lease_until", "token", "open_needs", "held", "waiting", "progress"}
LOST = {"workers", "claimed_at", "attempt"}


def kept(task: Task) -> dict[str, Any]:
    return {
        field: getattr(task, field)
        for field in Task.__struct_fields__
        if field not in DERIVED | LOST
    }


def test_what_has_a_place_is_the_same_after_export_and_import(
    orc: Orchestrator, board: Orchestrator
) -> None:
    everything(orc)
    issues, report = written(orc, workstream="build")
    assert report.no_place == {"attempt": 1, "claimed_at": 1}
    take(board, *issues, workstream="build")
    for task in orc.tasks.ever():
        assert kept(board.tasks.get(task.id)) == kept(task)


def test_an_export_of_what_was_imported_imports_the_same(
    shop: Orchestrator, board: Orchestrator
) -> None:
    issues, report = written(shop, workstream="shop")
    assert report.no_place == {}
    take(board, *issues, workstream="shop")
    for task in shop.tasks.all():
        again = board.tasks.get(task.id)
        assert kept(again) == kept(task)


def test_the_export_reports_what_has_no_place(orc: Orchestrator) -> None:
    orc.workstreams.create("build")
    task = orc.tasks.add("build", title="x", touches=["git", "db:shared"], verify=["true"])
    orc.tasks.cancel(task.id, reason="not wanted")
    issues, report = written(orc)
    assert report.no_place == {
        "checks": 1,
        "priority over 4": 1,
        "status cancelled": 1,
        "touches": 2,
        "workstream": 1,
    }
    assert (issues[0]["status"], issues[0]["close_reason"]) == ("closed", "not wanted")
    assert issues[0]["priority"] == 4


def test_an_issue_that_goes_out_is_one_as_beads_writes_it(orc: Orchestrator) -> None:
    orc.workstreams.create("build")
    parent = orc.tasks.add("build", title="Parent", priority=2)
    child = orc.tasks.add(
        "build", title="Child", parent=parent.id, name="c", priority=2, agent="ann"
    )
    issues, _ = written(orc)
    assert issues[1] == {
        "id": child.id,
        "title": "Child",
        "description": "",
        "status": "open",
        "priority": 2,
        "issue_type": "task",
        "created_at": "2026-11-21T06:13:00.000Z",
        "created_by": "ann",
        "updated_at": "2026-11-21T06:13:00.000Z",
        "dependencies": [
            {
                "issue_id": child.id,
                "depends_on_id": parent.id,
                "type": "parent-child",
            }
        ],
    }
