"""Many tasks at a glance: `ls`, `board`, and the page of a plan, in a pipe and at a terminal."""

import re
import time
from pathlib import Path

import pytest
import wcwidth

from orchestrator import Orchestrator
from orchestrator.cold.tree import ColdTree
from orchestrator.interfaces.cli.layout import cut, table
from tests.boards import SettableClock
from tests.engine.test_cold import cold_at_once

from .conftest import CommandLine
from .terminal import at_terminal


@pytest.fixture
def tasks(cli: CommandLine) -> dict[str, str]:
    """A task in progress, a ready one, one that waits and one that is done, by title."""
    cli("ws", "create", "w")
    ids = {
        title: cli("t", "add", "w", title, "--priority", "3", "--json").json["id"]
        for title in ("done", "ready", "running")
    }
    ids["waiting"] = cli("t", "add", "w", "waiting", "--needs", ids["ready"], "--json").json["id"]
    for title in ("done", "running"):
        cli("t", "claim", ids[title], "ann")
    cli("t", "complete", ids["done"], "--agent", "ann")
    return ids


def titles(text: str) -> list[str]:
    return [line.split()[-1] for line in text.splitlines()[1:]]


def test_list_in_a_pipe_prints_the_lines_of_before_in_the_order_of_adding(
    cli: CommandLine, tasks: dict[str, str]
):
    assert cli("t", "ls").lines == [
        f"[done] {tasks['done']}: done -> ann",
        f"[pending] {tasks['ready']}: ready",
        f"[in_progress] {tasks['running']}: running -> ann",
        f"[pending] {tasks['waiting']}: waiting (waits for {tasks['ready']})",
    ]


@pytest.mark.usefixtures("tasks")
def test_ls_shows_open_work_first(cli: CommandLine):
    assert titles(cli("ls").out) == ["running", "ready", "waiting", "done"]


@pytest.mark.needs("pty")
def test_list_at_a_terminal_is_ls(cli: CommandLine, tasks: dict[str, str], tmp_path: Path):
    shown = at_terminal(tmp_path / "board", "t", "ls")
    assert titles(shown) == ["running", "ready", "waiting", "done"]
    assert f"{tasks['running']}  P3    in_progress" in shown


@pytest.mark.usefixtures("tasks")
@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--open"], ["running", "ready", "waiting"]),
        (["--mine"], ["running", "done"]),
        (["--agent", "ann", "--open"], ["running"]),
        (["--text", "WAIT"], ["waiting"]),
        (["--sort", "title"], ["done", "ready", "running", "waiting"]),
        (["--sort", "age"], ["done", "ready", "running", "waiting"]),
        (["--status", "done"], ["done"]),
        (["--status", "waiting,done"], ["waiting", "done"]),
        (["--status", "pending"], ["ready", "waiting"]),
        (["--since", "7"], ["done"]),
        (["--since", "1h", "--ready"], ["ready"]),
        (["--where", "title like *n* and open"], ["running", "waiting"]),
        (["--where", "title like *n*", "--status", "closed"], ["done"]),
        (["--where", "agent = ann", "--open", "--mine"], ["running"]),
    ],
)
def test_options_choose_and_sort(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, options: list[str], shown: list[str]
):
    monkeypatch.setenv("ORC_AGENT", "ann")
    listed = cli("ls", *options).out.replace("Only those of ann\n", "")
    assert sorted(titles(listed)) == sorted(shown)
    if "--sort" in options:
        assert titles(cli("t", "ls", *options).out) == shown


@pytest.mark.usefixtures("tasks")
def test_ready_takes_an_expression_too(cli: CommandLine):
    assert len(cli("t", "ready", "--where", "priority = 3").lines) == 1
    assert cli("t", "ready", "--where", "priority = 1").out == "No task is ready.\n"


@pytest.mark.usefixtures("tasks")
def test_a_mistake_in_an_expression_is_shown_with_a_sign_below_it(cli: CommandLine):
    assert cli("ls", "--where", "open and prioriti = 1", status=2).err == (
        "Error: There is no fact 'prioriti'; did you mean 'priority'?\n"
        "  | open and prioriti = 1\n"
        "  |          ^\n"
        "Hint: `orc help where` lists the facts of a task.\n"
    )
    error = cli("ls", "--where", "open and prioriti = 1", "--json", status=2).error
    assert (error["code"], error["position"]) == ("bad_expression", 9)


@pytest.mark.usefixtures("tasks")
def test_what_a_limit_leaves_out_is_counted(cli: CommandLine):
    shown = cli("ls", "--limit", "1")
    assert shown.lines[-1] == "3 more: --all shows them"
    assert len(shown.lines) == 3
    assert len(cli("ls", "--limit", "1", "--json").json) == 1
    assert len(cli("ls", "--json").json) == 4


def test_ended_tasks_come_last_the_newest_first_and_only_shown_ones_are_read(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Records of ended work are cold: listing all tasks costs what is shown, and the order is the same."""
    cli("ws", "create", "w")
    ids = [cli("t", "add", "w", f"t{n}", "--json").json["id"] for n in range(8)]
    for task in ids[:6]:
        cli("t", "claim", task, "ann")
        cli("t", "complete", task, "--agent", "ann")
    with cold_at_once(newest=2):
        with Orchestrator.open(tmp_path / "board") as orc:
            orc.engine.save()
        expected = cli("ls", "--where", "priority >= 0", "--json").json
        assert [task["title"] for task in expected] == [
            "t6",
            "t7",
            "t5",
            "t4",
            "t3",
            "t2",
            "t1",
            "t0",
        ]
        for limit in range(9):
            assert cli("ls", "--limit", str(limit), "--json").json == expected[:limit]
        monkeypatch.setattr(ColdTree, "scan", None)
        assert cli("ls", "--limit", "2").lines[-1] == "6 more: --all shows them"


def test_mine_without_a_name_explains_how_to_give_it(cli: CommandLine):
    assert "ORC_AGENT" in cli("ls", "--mine", status=2).err


def test_a_lapsed_lease_is_marked(cli: CommandLine):
    cli("ws", "create", "w")
    task = cli("t", "add", "w", "slow", "--json").json["id"]
    cli("t", "claim", task, "ann", "--lease", "1ms")
    assert " lapsed " in cli("ls").lines[1]
    assert cli("t", "ls").out == f"[in_progress] {task}: slow -> ann (lapsed)\n"
    assert f"{task} P5 lapsed" in cli("board").out


@pytest.mark.needs("pty")
@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("command", ["ls", "board"])
def test_nothing_is_wider_than_the_terminal(
    cli: CommandLine, tasks: dict[str, str], tmp_path: Path, columns: int, command: str
):
    cli("t", "add", "w", f"Begin {'of a title of many words ' * 8}".strip())
    cjk = cli("t", "add", "w", "任務名稱很長" * 20, "--json").json["id"]
    cli("t", "claim", cjk, "개발자")
    cli("t", "add", "w", "cafe\u0301 🎉 " + "e\u0301" * 200)
    shown = at_terminal(tmp_path / "board", command, columns=columns).splitlines()
    assert max(map(wcwidth.wcswidth, shown)) <= columns
    assert any(tasks["ready"] in line for line in shown)
    assert sum("Begin of a title" in line or "Begin of…" in line for line in shown) == 1


def test_ended_tasks_take_a_line_each_on_the_board(cli: CommandLine):
    ids = [cli("add", f"Step {i}", "--json").json["id"] for i in range(10)]
    for task in ids[1:]:
        cli("done", task, "ok", "--agent", "ann", "--force", "--reason", "x")
    cli("t", "cancel", ids[0])
    shown = cli("board").lines
    assert shown[0] == "ended (10)"
    assert shown[1] == f"{ids[0]} cancelled: Step 0"
    assert sorted(shown[2:]) == sorted(f"{task} Step {i}" for i, task in enumerate(ids) if i)


def test_the_age_counts_from_when_a_task_ended_or_was_taken(cli: CommandLine, tmp_path: Path):
    clock = SettableClock(time.time() - 3 * 86400)
    with Orchestrator.open(tmp_path / "board", now=clock, agent="ann") as orc:
        orc.workstreams.create("w")
        ended, taken, _ = (orc.tasks.add("w", title=title).id for title in "abc")
        clock.advance(86400)
        orc.tasks.claim(ended)
        clock.advance(86400 + 19 * 3600)
        orc.tasks.complete(ended, result="ok")
        clock.advance(3.5 * 3600)
        orc.tasks.claim(taken, lease="1d")
    ages = {line.split()[-1]: line.split()[3] for line in cli("ls").lines[1:]}
    assert ages == {"a": "5h", "b": "1h", "c": "3d"}


@pytest.mark.needs("pty")
def test_sentences_in_a_table_are_wrapped_and_names_to_type_are_cut_last(
    cli: CommandLine, tmp_path: Path
):
    name = "team/a-reviewer-of-papers"
    cli("a", "register", name)
    for i in range(4):
        cli("lock", f"src/some/folder/file-{i}.py", name)
    board = tmp_path / "board"
    assert name in at_terminal(board, "agents")
    for words in (("formula", "show", "bugfix"), ("agent", "template")):
        shown = at_terminal(board, *words)
        assert max(map(wcwidth.wcswidth, shown.splitlines())) <= 80
        assert "…" not in shown, words


@pytest.mark.needs("pty")
def test_a_report_at_a_terminal_is_a_page_and_json_for_programs(cli: CommandLine, tmp_path: Path):
    cli("plan")
    page = at_terminal(tmp_path / "board", "collect")
    day = r"\d{4}-\d\d-\d\d \d\d:\d\d"
    assert re.match(rf"# Cycle 1\n\nFrom {day} to {day}\.\n", page)
    for words in (("--json",), ("--format", "json")):
        assert at_terminal(tmp_path / "board", "collect", *words).startswith("{\n")
    assert cli("collect").json["cycle"] == 1


def test_columns_stand_below_each_other_whatever_characters_are_in_them():
    texts = ("plain", "任務", "한국어", "cafe\u0301", "🎉 party", "naïve")
    shown = table(("text", "end"), [(text, "|") for text in texts]).splitlines()[1:]
    assert {wcwidth.wcswidth(line) for line in shown} == {11}


@pytest.mark.parametrize(
    ("text", "room", "shown"),
    [
        ("abcdef", 4, "abc…"),
        ("任務名稱", 8, "任務名稱"),
        ("任務名稱", 7, "任務名…"),
        ("任務名稱", 6, "任務…"),  # half a character is none
        ("e\u0301e\u0301e\u0301", 2, "e\u0301…"),  # an accent stays with its letter
    ],
)
def test_a_text_is_cut_by_the_columns_that_it_takes(text: str, room: int, shown: str):
    assert cut(text, room) == shown


@pytest.mark.usefixtures("tasks")
def test_the_board_has_a_column_for_each_kind_of_work_that_there_is(cli: CommandLine):
    shown = cli("board")
    assert shown.lines[0].split("  ")[0] == "ready (1)"
    assert [column["title"] for column in cli("board", "--json").json] == [
        "ready",
        "in progress",
        "in review",
        "waiting",
        "ended",
    ]
    assert "in review" not in shown.out
    assert "@ann" in shown.out


@pytest.mark.usefixtures("tasks")
def test_the_board_counts_the_cards_that_it_leaves_out(cli: CommandLine):
    for number in range(3):
        cli("t", "add", "w", f"more {number}")
    assert "+ 3 more" in cli("board", "--limit", "1").out


def test_an_empty_board_has_no_tasks(cli: CommandLine):
    cli("ws", "create", "w")
    for command in ("ls", "board"):
        assert cli(command).out == "No tasks.\n"


@pytest.mark.usefixtures("tasks")
def test_a_look_at_the_plan_begins_no_cycle(cli: CommandLine):
    head = len(cli("events", "--json").json)
    assert cli("plan", "--look").json["cycle"] == 1
    assert cli("plan", "--look", "--format", "markdown").out.startswith("# Cycle 1 if it began at ")
    assert len(cli("events", "--json").json) == head
    assert cli("plan").json["cycle"] == 1


@pytest.mark.needs("pty")
def test_a_plan_at_a_terminal_is_a_page(cli: CommandLine, tasks: dict[str, str], tmp_path: Path):
    shown = at_terminal(tmp_path / "board", "plan")
    assert shown.startswith("# Cycle 1, ")
    assert f"## Start side by side\n\n- {tasks['ready']} [w, P3] ready" in shown
    assert f"## Waiting\n\n- {tasks['waiting']} [w] waiting (" in shown


@pytest.mark.parametrize(
    "line",
    [
        "t ready --limit",
        "search One --limit",
        "similar One --limit",
        "timeline build -n",
        "events --last",
        "query tasks --limit",
    ],
)
def test_a_listing_of_no_lines_is_refused_because_it_would_say_that_there_is_nothing(
    cli: CommandLine, line: str
) -> None:
    cli("ws", "create", "build")
    cli("t", "add", "build", "One")
    assert len(cli(*line.split(), "1").lines) >= 1
    assert "0 is less than 1" in cli(*line.split(), "0", status=2).err


@pytest.mark.usefixtures("tasks")
def test_who_acts_filters_no_list_and_a_filter_names_itself(cli: CommandLine):
    everything = cli("ls")
    assert cli("--agent", "ann", "ls").out == everything.out
    only = cli("--agent", "bob", "ls", "--agent", "ann")
    assert len(only.lines) < len(everything.lines)
    assert only.lines[-1] == "Only those of ann"
