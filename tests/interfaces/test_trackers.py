"""Batches, imports and exports on the command line: reports, dry runs, and files as they were."""

import io
import json
import shutil
import sys
from pathlib import Path

import pytest

from .conftest import CommandLine

DATA = Path(__file__).parents[1] / "data"
ISSUES = str(DATA / "beads" / "issues.jsonl")
SHOP = str(DATA / "backlog")

REPORT = "{done}: 5 tasks (2 pending, 1 done, 1 assigned, 1 blocked)\n"
LOSSES = """\
Written otherwise:
  agent Maria Lopez -> Maria-Lopez
  label area:checkout -> area-checkout
Had no place (values):
  claims of work in progress: 1 (shop-a1f.2)
  deleted issues: 1 (shop-9zz)
  dependencies replies-to: 1 (shop-b20)
  links to tasks that are not here: 1 (shop-a1f.2)
  pinned: 1 (shop-b21)
"""


def files_under(folder: Path) -> dict[Path, tuple[bytes, int]]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


@pytest.fixture
def board(cli: CommandLine, tmp_path: Path) -> Path:
    """The folder of a board with a workstream, left behind by an agent."""
    cli("ws", "create", "build", "--agent", "ann")
    return tmp_path / "board"


def test_import_beads_prints_its_report_and_on_stderr_what_was_lost(cli: CommandLine) -> None:
    shown = cli("import", "beads", ISSUES, "--ws", "shop")
    assert (shown.out, shown.err) == (REPORT.format(done="Imported"), LOSSES)
    assert cli("ws", "show", "shop", "--json").json["counts"]["done"] == 1


def test_import_beads_reads_stdin(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b'{"id":"x-1","title":"x"}'))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert cli("import", "beads", "-", "--json").json == {
        "tasks": 1,
        "statuses": {"pending": 1},
        "updated": [],
        "skipped": [],
        "topics": [],
        "kept_back": [],
        "renamed": {},
        "no_place": {},
        "examples": {},
    }
    assert cli("t", "show", "x-1", "--json").json["workstream"] == "beads"


def test_what_is_here_is_skipped_or_refused_by_a_strict_import(cli: CommandLine) -> None:
    cli("import", "backlog", SHOP)
    error = cli("import", "backlog", SHOP, "--strict", "--json", status=1).error
    assert error["code"] == "task_exists"
    assert error["tasks"] == ["task-12", "task-12.2", "task-12.1"]
    for options in ((), ("--skip-existing",), ("--strict", "--skip-existing")):
        assert cli("import", "backlog", SHOP, *options).out == (
            "Imported: 0 tasks\nSkipped, because they are here: task-12, task-12.2, task-12.1\n"
        )


@pytest.mark.parametrize("link", [False, True])
def test_a_file_that_is_none_is_a_named_error(cli: CommandLine, tmp_path: Path, link: bool) -> None:
    if link:
        (tmp_path / "issues").symlink_to(ISSUES)
    error = cli(
        "import", "beads", str(tmp_path / "issues"), "--json", status=2 if link else 1
    ).error
    assert error["code"] == ("symlink" if link else "file_not_found")
    assert cli("import", "beads", str(tmp_path / "board"), "--json", status=1).error["code"] == (
        "file_not_found"
    )


def test_a_dry_run_prints_the_report_and_leaves_every_file_as_it_was(
    cli: CommandLine, board: Path, tmp_path: Path
) -> None:
    cli("export", str(tmp_path / "export.jsonl"))
    (tmp_path / "plan.md").write_text("- A {assign: bob}\n")
    before = files_under(tmp_path)
    shown = cli("import", "beads", ISSUES, "--dry-run", "--agent", "ann")
    assert (shown.out, shown.err) == (REPORT.format(done="Would import"), LOSSES)
    assert cli("import", "backlog", SHOP, "--dry-run").out.startswith("Would import: 3 tasks")
    assert cli(
        "t", "batch", str(tmp_path / "plan.md"), "--ws", "build", "--dry-run"
    ).out.startswith("Would add ")
    assert files_under(tmp_path) == before
    assert cli("import", str(tmp_path / "export.jsonl"), "--dry-run", status=1).out == ""
    assert cli("import", "opspawn", str(DATA / "opspawn-board"), "--dry-run", status=1).out == ""
    assert files_under(tmp_path) == before


def test_a_dry_run_into_an_empty_board_leaves_it_empty(
    cli: CommandLine, board: Path, tmp_path: Path
) -> None:
    cli("export", str(tmp_path / "export.jsonl"))
    shutil.rmtree(board)
    cli("init")
    before = files_under(tmp_path)
    shown = cli("import", str(tmp_path / "export.jsonl"), "--dry-run").out
    assert shown == "Would import: 1 workstream, 0 tasks, 0 agents, 0 topics, 1 event\n"
    assert cli("import", "opspawn", str(DATA / "opspawn-board"), "--dry-run").out.startswith(
        "Would import: "
    )
    assert files_under(tmp_path) == before


def test_export_beads_writes_a_new_file_or_stdout(cli: CommandLine, tmp_path: Path) -> None:
    cli("import", "beads", ISSUES, "--ws", "shop")
    file = tmp_path / "out.jsonl"
    assert cli("export", "beads", str(file), "--ws", "shop").out == (
        f"Exported to {file}: 5 tasks (2 pending, 1 done, 1 assigned, 1 blocked)\n"
    )
    printed = cli("export", "beads", "-")
    assert (printed.out, printed.err) == (
        file.read_text(),
        "Had no place (values):\n  workstream: 5\n",
    )
    issues = [json.loads(line) for line in file.read_text().splitlines()]
    document = cli("export", "beads", "-", "--json").json
    assert (document["issues"], document["no_place"]) == (issues, {"workstream": 5})
    before = file.read_bytes()
    assert "is there already" in cli("export", "beads", str(file), status=2).err
    assert file.read_bytes() == before


def test_an_export_that_fails_leaves_no_file(cli: CommandLine, board: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert "is there already" in cli("export", "beads", str(tmp_path / "link"), status=2).err
    cli("export", "beads", str(tmp_path / "x"), "--ws", "nope", status=1)
    cli("export", "backlog", str(tmp_path / "y"), "--ws", "nope", status=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["board", "link"]


def test_export_backlog_writes_a_new_folder(cli: CommandLine, tmp_path: Path) -> None:
    cli("import", "backlog", SHOP)
    shown = cli("export", "backlog", str(tmp_path / "out"), "--json").json
    assert (shown["tasks"], shown["no_place"]) == (3, {"workstream": 3})
    assert len(list(tmp_path.glob("out/*/*.md"))) == 3


def test_export_alone_still_writes_the_board(cli: CommandLine, board: Path) -> None:
    first, second = cli("export").lines
    assert json.loads(first)["format"] == "orchestrator-board"
    assert json.loads(second)["type"] == "workstream.created"
    assert cli("export", "file", "--json").json[0]["format"] == "orchestrator-board"


def test_a_batch_reports_what_it_did(cli: CommandLine, board: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.md"
    plan.write_text("# V2 {workstream: build}\n- One {key: a, assign: ann}\n- Two {needs: a}\n")
    done = cli("t", "batch", str(plan), "--request-id", "r1", "--json").json
    first, second = done["added"]
    assert (done["keys"], done["assigned"]) == ({"a": first}, {first: "ann"})
    assert cli("t", "batch", str(plan), "--request-id", "r1").lines == [
        f"Added {first}: One",
        f"Added {second}: Two",
        f"Assigned {first} -> ann",
    ]
    assert len(cli("t", "ls", "--json").json) == 2


def test_a_batch_takes_the_words_of_the_command_line(
    cli: CommandLine, board: Path, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.md"
    plan.write_text(
        "# V2 {workstream: build, priority: P1}\n- A {due: tomorrow, estimate: 5min}\n"
        "- B {priority: urgent, defer: monday}\n- C {priority: Low}\n"
    )
    cli("t", "batch", str(plan))
    tasks = {task["title"]: task for task in cli("t", "ls", "--json").json}
    assert [tasks[title]["priority"] for title in "ABC"] == [1, 0, 9]
    assert (tasks["A"]["estimate"], bool(tasks["A"]["due"])) == (5.0, True)


def test_a_batch_that_is_applied_twice_reports_it(
    cli: CommandLine, board: Path, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.md"
    plan.write_text("# V2 {workstream: build}\n- One\n  - Test it\n- Two\n  - Test it\n")
    assert cli("t", "batch", str(plan)).err == ""
    for words in (("--dry-run",), ()):
        err = cli("t", "batch", str(plan), *words).err
        assert "4 of 4 new tasks have the titles of open ones" in err
    plan.write_text("- Three {external_ref: gh-3}\n")
    cli("t", "batch", str(plan), "--ws", "build")
    task = cli("t", "ls", "--external-ref", "gh-3", "--json").json[0]["id"]
    refused = cli("t", "batch", str(plan), "--ws", "build", status=2).err
    assert f"line 1: task {task} has the external_ref 'gh-3' already" in refused


def test_the_problems_of_a_batch_come_in_the_order_of_their_places(
    cli: CommandLine, board: Path, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.md"
    plan.write_text("- A {needs: gone}\n- B {nonsense: 1}\n- C {related: gone}\n- D {due: never}\n")
    error = cli("t", "batch", str(plan), "--ws", "build", "--json", status=2).error
    assert [problem.partition(":")[0] for problem in error["problems"]] == [
        f"line {number}" for number in (1, 2, 3, 4)
    ]


def test_every_problem_of_a_batch_is_printed_once(
    cli: CommandLine, board: Path, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text('[5, {"titel": 1}, {"title": ""}, {"title": "\\u001b[2J", "x\\u001b": 1}]')
    shown = cli("t", "batch", str(plan), "--ws", "build", status=2)
    first, *rest = shown.err.splitlines()
    assert first.endswith(
        ": entry 1: it is not an object; entry 2: 'titel' is not a field here; did you mean 'title'?;"
        " entry 3: A title is needed; and 1 more"
    )
    assert rest == [
        "  entry 4: 'x\\x1b' is not a field here",
        "Hint: Nothing was changed. Correct these places and try again.",
    ]
    error = cli("t", "batch", str(plan), "--ws", "build", "--json", status=2).error
    assert (error["code"], len(error["problems"])) == ("bad_entries", 4)
    assert cli("t", "ls").out == "No tasks.\n"


def test_a_byte_order_mark_is_read_over_by_every_face(
    cli: CommandLine, board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def marked(name: str, text: str) -> str:
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
        return str(tmp_path / name)

    def as_stdin(text: str) -> str:
        stdin = io.TextIOWrapper(io.BytesIO(text.encode("utf-8-sig")), encoding="utf-8")
        monkeypatch.setattr(sys, "stdin", stdin)
        return "-"

    exported = cli("export").out
    plan = "- One {key: a}\n"
    cli("t", "batch", marked("plan.md", plan), "--ws", "build")
    cli("t", "batch", as_stdin('[{"title": "One"}]'), "--ws", "build")
    assert [task["title"] for task in cli("t", "ls", "--json").json] == ["One", "One"]
    cli("kb", "write", "file", "--file", marked("text", "text"))
    cli("kb", "write", "stdin", as_stdin("text"))
    assert (cli("kb", "read", "file").out, cli("kb", "read", "stdin").out) == ("text\n", "text\n")
    for number, source in enumerate((marked("board.jsonl", exported), as_stdin(exported))):
        other = str(tmp_path / f"other-{number}")
        assert cli("--board", other, "import", source).out.startswith("Imported: 1 workstream, ")
    assert cli("import", "beads", as_stdin('{"id":"x-1","title":"x"}'), "--json").json["tasks"] == 1
