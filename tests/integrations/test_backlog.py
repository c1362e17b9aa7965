"""Task files of Backlog.md are imported with every supported fact; an export and an import change nothing."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from boards import changes_nothing, code_of
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import Orchestrator
from orchestrator.core.errors import BadInput, NotFound, UsageError
from orchestrator.core.files import LONGEST
from orchestrator.domain.knowledge import frontmatter
from orchestrator.domain.tasks.records import Note
from orchestrator.integrations import Report, export_backlog, import_backlog, sections
from orchestrator.integrations.backlog import _TaskFile
from orchestrator.integrations.sections import Comment, Sections

from .test_beads import kept

SHOP = Path(__file__).parents[1] / "data" / "backlog"


@pytest.fixture
def shop(orc: Orchestrator) -> Orchestrator:
    """A board with the tasks of the shop."""
    import_backlog(orc.engine, str(SHOP))
    return orc


def put(folder: Path, **texts: str) -> str:
    """A project with these task files."""
    tasks = folder / "backlog" / "tasks"
    tasks.mkdir(parents=True)
    for name, text in texts.items():
        (tasks / f"task-{name}.md").write_bytes(text.encode())
    return str(folder)


def page(id: str, body: str = "", **fields: str) -> str:
    lines = [f"{name}: {value}" for name, value in {"title": "x", **fields}.items()]
    return "\n".join(["---", f"id: {id}", *lines, "---", "", body])


def test_every_field_with_a_place_comes_in(shop: Orchestrator) -> None:
    task = shop.tasks.get("task-12")
    assert (task.title, task.status, task.priority) == ("Checkout: pay once", "pending", 1)
    assert (task.workstream, task.labels, task.created_by) == ("backlog", ("checkout",), "maria")
    assert task.created_at == "2026-09-14T17:40:00.000Z"
    assert task.description == (
        "Two clicks make two payments.\n\n## Not a section: it stands between markers"
        "\n\n## Implementation Plan\n\n1. Reproduce it\n2. Add a key"
    )
    assert task.acceptance == (
        "[x] One payment per basket\nThe second click says so\n\nDefinition of done:\nTests pass"
    )
    done = shop.tasks.get("task-12.1")
    assert (done.status, done.result, done.assigned_to) == ("done", "The test is red now.", "ann")
    assert done.ended_at == "2026-09-16T12:00:00.000Z"


def test_links_notes_and_assignees_come_in(shop: Orchestrator) -> None:
    task = shop.tasks.get("task-12.2")
    assert (task.parent, task.needs) == ("task-12", ("task-12.1",))
    assert (task.status, task.assigned_to, task.due[:10]) == ("assigned", "bob", "2026-10-01")
    assert task.description == "Legacy section without markers."
    assert task.notes == (
        Note("backlog", "", "The sandbox ignores the header."),
        Note("maria", "2026-09-21T09:30:00.000Z", "Ask them for a date."),
    )


def test_the_report_counts_what_had_no_place(orc: Orchestrator) -> None:
    assert import_backlog(orc.engine, str(SHOP / "backlog")) == Report(
        tasks=3,
        statuses={"pending": 1, "done": 1, "assigned": 1},
        skipped=(),
        renamed={},
        no_place={
            "claims of work in progress": 1,
            "files in docs": 1,
            "files in drafts": 1,
            "further assignees": 1,
            "milestone": 1,
            "needs of tasks that are not here": 1,
            "ordinal": 1,
        },
        kept_back=("task-12.2",),
        examples={
            "claims of work in progress": ("task-12.2",),
            "further assignees": ("task-12.2",),
            "milestone": ("task-12",),
            "needs of tasks that are not here": ("task-12.2",),
            "ordinal": ("task-12",),
        },
    )


def test_tasks_that_are_here_are_refused_by_a_strict_import_or_skipped(shop: Orchestrator) -> None:
    with changes_nothing(shop):
        assert code_of(lambda: import_backlog(shop.engine, str(SHOP), strict=True)) == "task_exists"
        report = import_backlog(shop.engine, str(SHOP), skip_existing=True)
    assert report.skipped == ("task-12", "task-12.2", "task-12.1")


def test_the_input_stays_as_it_was(orc: Orchestrator, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(SHOP, tmp_path / "shop"))
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in copy.rglob("*") if p.is_file()}
    import_backlog(orc.engine, str(copy))
    after = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in copy.rglob("*") if p.is_file()}
    assert after == before


def test_circles_are_a_named_error_of_a_strict_import(orc: Orchestrator, tmp_path: Path) -> None:
    folder = put(tmp_path, a=page("a", dependencies="[B]"), b=page("b", dependencies="[a]"))
    with changes_nothing(orc):
        assert code_of(lambda: import_backlog(orc.engine, folder, strict=True)) == "circle"


def test_windows_line_ends_and_other_columns_are_read(orc: Orchestrator, tmp_path: Path) -> None:
    text = page("a", "## Description\n\nOne\n\nTwo", status="Needs Care").replace("\n", "\r\n")
    report = import_backlog(orc.engine, put(tmp_path, a=text))
    assert orc.tasks.get("a").description == "One\n\nTwo"
    assert (orc.tasks.get("a").status, report.no_place) == ("pending", {"status Needs Care": 1})


@pytest.mark.parametrize(
    "text",
    [
        "no frontmatter",
        "---\nid: a\n",
        page(""),
        page("a", title="''"),
        page("a", title="[1]"),
        page("a", title="!!python/object:os.system x"),
        page("a", title="&x y"),
        page("a", title="*x"),
        page("a", created_date="noon"),
        page("a", labels="{a: b}"),
        page("a", dependencies="[[b]]"),
        page("a\nid: a"),
        page("a", labels="[" + "x, " * 30_000 + "]"),
        page("a", "## Comments\n<!-- COMMENTS:BEGIN -->\ncreated: noon\n---\nx\n---\n<!-- COMMENTS:END -->"),
        "\0\1\2",
        "---\nid: a\ntitle: a\0b\n---\n",
    ],
)  # fmt: skip
def test_a_bad_file_is_read_as_far_as_it_goes_or_refused_by_a_strict_import(
    orc: Orchestrator, tmp_path: Path, text: str
) -> None:
    folder = put(tmp_path, good=page("good"), bad=text)
    with changes_nothing(orc), pytest.raises(BadInput) as caught:
        import_backlog(orc.engine, folder, strict=True)
    assert caught.value.code == "bad_entries"
    assert caught.value.message.startswith("These tasks cannot be taken in: tasks/task-bad.md: ")
    report = import_backlog(orc.engine, folder)
    assert orc.tasks.get("good").status == "pending"
    assert (report.tasks == 2) != ("files that cannot be read" in report.no_place)


def _link(task: Path) -> None:
    task.symlink_to("/etc/hostname")


def _endless(task: Path) -> None:
    with task.open("wb") as file:
        file.truncate(LONGEST + 1)


@pytest.mark.parametrize(
    "make", [_link, _endless, os.mkfifo, os.mkdir, lambda task: task.write_bytes(b"\xff\xfe")]
)
def test_links_pipes_folders_and_endless_or_binary_files_are_left_out_or_refused(
    orc: Orchestrator, tmp_path: Path, make: Callable[[Path], object]
) -> None:
    folder = put(tmp_path, good=page("good"))
    make(Path(folder, "backlog", "tasks", "task-odd.md"))
    with changes_nothing(orc):
        assert code_of(lambda: import_backlog(orc.engine, folder, strict=True)) == "bad_entries"
    report = import_backlog(orc.engine, folder)
    assert (report.tasks, report.no_place) == (1, {"files that cannot be read": 1})


def test_a_folder_of_tasks_that_is_a_link_is_refused(orc: Orchestrator, tmp_path: Path) -> None:
    (tmp_path / "backlog").mkdir()
    (tmp_path / "backlog" / "tasks").symlink_to(SHOP / "backlog" / "tasks")
    with changes_nothing(orc):
        assert code_of(lambda: import_backlog(orc.engine, str(tmp_path))) == "symlink"


def test_a_folder_without_tasks_is_not_found(orc: Orchestrator, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        import_backlog(orc.engine, str(tmp_path))


# Out


MARKED = "<!-- SECTION:DESCRIPTION:END -->\n\n## Final Summary\n<!-- \\AC:BEGIN -->\n---\n"


def everything(orc: Orchestrator) -> None:
    """Tasks with every field that Backlog.md supports."""
    orc.workstreams.create("build")
    add = orc.tasks.add
    top = add("build", title="Top: a [b] ✓\nand more", priority=1, description=MARKED, type="epic")
    first = add("build", title="../../etc/passwd", parent=top.id, name="first", priority=9)
    orc.tasks.claim(first.id, agent="ann")
    orc.tasks.note(first.id, f"Half of it\n\n{MARKED}", agent="bob")
    orc.tasks.note(first.id, "\n\nmore\n", agent="crew/cid")
    orc.tasks.complete(first.id, result=f" It works\r\n{MARKED}", agent="ann")
    add(
        "build",
        title="-",
        labels=["ui"],
        acceptance="It runs\n\n[x] It is seen  \n- [ ] #4 odd\n  deeper\n",
        needs=[first.id],
        parent=top.id,
        due="2027-01-02",
        defer="2027-01-01T09:30",
    )
    failed = add("build", title="no: yes")
    orc.tasks.claim(failed.id, agent="ann")
    orc.tasks.fail(failed.id, reason="no key")
    cancelled = add("build", title="012")
    orc.tasks.cancel(cancelled.id, reason="not wanted")
    orc.tasks.archive([first.id])


def test_what_has_a_place_is_the_same_after_export_and_import(
    orc: Orchestrator, board: Orchestrator, tmp_path: Path
) -> None:
    everything(orc)
    report = export_backlog(orc.engine, str(tmp_path / "out"), workstream="build")
    assert report.no_place == {"attempt": 2, "failures": 1}
    import_backlog(board.engine, str(tmp_path / "out"), workstream="build")
    assert len(board.tasks.all()) == 5
    for task in orc.tasks.ever():
        again = board.tasks.get(task.id)
        assert again.claimed_at == task.claimed_at
        assert kept(again) | {"failures": 0} == kept(task) | {"failures": 0}


def test_the_export_reports_what_has_no_place(orc: Orchestrator, tmp_path: Path, clock) -> None:
    clock.advance(1.5)
    orc.workstreams.create("build")
    other = orc.tasks.add("build", title="y")
    task = orc.tasks.add(
        "build", title="x", touches=["git"], priority=2, estimate=5, waits_for=f"all:{other.id}"
    )
    orc.links.add(task.id, other.id, kind="related")
    orc.tasks.block(task.id, reason="no key")
    assert export_backlog(orc.engine, str(tmp_path / "out")).no_place == {
        "estimate": 1,
        "gate": 1,
        "links": 1,
        "priority between the words": 1,
        "reason": 1,
        "seconds of times": 4,
        "touches": 1,
        "workstream": 2,
    }


def test_files_have_names_that_are_safe_and_lie_in_the_folder_of_their_status(
    orc: Orchestrator, tmp_path: Path
) -> None:
    orc.workstreams.create("build")
    a = orc.tasks.add("build", title="../../etc/passwd\n: *?")
    b = orc.tasks.add("build", title="é" * 400)
    orc.tasks.cancel(b.id)
    export_backlog(orc.engine, str(tmp_path / "out"))
    paths = sorted(str(p.relative_to(tmp_path / "out")) for p in tmp_path.rglob("*.md"))
    assert paths == [f"completed/task-{b.id} - {'é' * 50}.md", f"tasks/task-{a.id} - etc-passwd.md"]


def test_an_export_never_writes_into_what_is_there(orc: Orchestrator, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link", "."):
        with pytest.raises(UsageError):
            export_backlog(orc.engine, str(tmp_path / name))
    (tmp_path / "empty").mkdir()
    export_backlog(orc.engine, str(tmp_path / "empty"))
    assert sorted(os.listdir(tmp_path)) == ["empty", "file", "link"]
    assert (tmp_path / "empty" / "config.yml").is_file()


def test_a_text_cannot_end_its_section_or_begin_another() -> None:
    for text in (MARKED, "<!-- COMMENT:END -->", "<!-- \\\\DOD:END -->", "## Final Summary\n\nx"):
        output = Sections(
            description=text, acceptance="", notes="", summary="", comments=[Comment("a", "", text)]
        )
        read = sections.read(sections.write(output))
        assert (read.description, read.comments[0].text, read.summary) == (text, text, "")


def test_comments_between_dashes_are_read() -> None:
    body = (
        "## Comments\n<!-- COMMENTS:BEGIN -->\nauthor: Ann\ncreated: 2026-06-07 21:21\n---\none\n\n"
        "two\n---\n\nauthor: Bob\ncreated: 2026-06-07 21:22\n---\nthree\n---\n<!-- COMMENTS:END -->"
    )
    assert sections.read(body).comments == [
        Comment("Ann", "2026-06-07T21:21:00.000Z", "one\n\ntwo"),
        Comment("Bob", "2026-06-07T21:22:00.000Z", "three"),
    ]


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n#-:'\"no012@ "))


@given(texts, texts, st.lists(texts, max_size=2))
def test_a_frontmatter_comes_back_as_it_went_so_a_second_import_need_not_write_it(
    text: str, body: str, items: list[str]
) -> None:
    metadata = {"id": text, "labels": items, "assignee": [f"@{item}" for item in items]}
    sections = f"## Description\n{body}\n"
    assert _TaskFile.split(frontmatter.join(metadata, sections)) == (metadata, sections)
