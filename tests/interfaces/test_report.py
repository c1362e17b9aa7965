"""``orc report``: a page at a terminal, markdown elsewhere, and files in the format of their name."""

import json
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.interfaces.cli import layout, rendering, report_page

from .conftest import CommandLine


@pytest.fixture
def board(cli: CommandLine) -> CommandLine:
    """A board with some work on it."""
    cli("ws", "create", "build")
    for title in ("First", "Second"):
        task = cli("t", "add", "build", title, "--json").json["id"]
        cli("t", "claim", task, "--agent", "ann")
    cli("done", task, "It works.", "--agent", "ann")
    return cli


def test_off_a_terminal_it_is_markdown(board: CommandLine) -> None:
    shown = board("report").out
    assert shown.startswith("# Report of the board\n")
    assert "- **Done:** 1 of 2 (50% of what is wanted; 1 in this time)" in shown
    assert board("report", "--format", "md").out.startswith("# Report of the board\n")
    assert board("report", "--ws", "build").out.startswith("# Report of build\n")


def test_at_a_terminal_it_is_a_page(board: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "is_terminal", lambda: True)
    monkeypatch.setattr("orchestrator.interfaces.cli.report.is_terminal", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "70")
    shown = board("report").out
    assert shown.startswith("Report of the board, ")
    assert "\nDone  █████░░░░░ 1 of 2 (50% of what is wanted; 1 in this time)\n" in shown
    assert "\x1b" not in shown
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[1mWork in progress\x1b[0m" in board("report").out
    assert board("report", "--format", "md").out.startswith("# Report of the board\n")


def test_json_is_one_stable_document(board: CommandLine) -> None:
    document = board("report", "--json").json
    assert [*document] == [
        "generated_at", "event", "since", "until", "workstream", "standing", "forecast", "goals",
        "completed",
        "failed", "cancelled", "added", "per_day", "time_line", "times", "times_by_type", "statuses",
        "ongoing", "hold_ups", "failures", "evidence", "knowledge", "decisions", "agents", "cycles",
        "gantt", "critical_path",
    ]  # fmt: skip
    assert [*document["forecast"]] == [
        "outcome", "reason", "tasks", "left_out", "spared", "assumed_free", "history", "is_rough", "workers",
        "trials", "p50", "p85", "p95", "quantiles", "helps", "rest", "rest_days",
    ]  # fmt: skip
    assert document["forecast"]["outcome"] == "unknown"
    same = json.loads(board("report", "--format", "json").out)
    assert {*same} == {*document}


@pytest.mark.parametrize(
    ("name", "begin"),
    [("r.html", "<!doctype html>"), ("r.md", "# Report"), ("r.json", "{"), ("r", "# ")],
)
def test_a_file_is_written_in_the_format_of_its_name(
    board: CommandLine, tmp_path: Path, name: str, begin: str
) -> None:
    path = tmp_path / name
    path.write_text("before")
    assert board("report", "--output", str(path)).out == f"Report: {path}\n"
    assert path.read_text().startswith(begin)
    assert board("report", "--output", str(path), "--json").json == {"file": str(path)}
    assert [file.name for file in tmp_path.iterdir() if file.name.endswith(".part")] == []


def test_a_file_that_cannot_be_written_is_an_error_and_leaves_nothing(
    board: CommandLine, tmp_path: Path
) -> None:
    assert board("report", "--output", str(tmp_path / "no" / "r.md"), status=74).err
    (tmp_path / "folder.md").mkdir()
    assert board("report", "--output", str(tmp_path / "folder.md"), status=74).err
    assert not [file for file in tmp_path.iterdir() if file.name.endswith(".part")]


def test_times_are_local_or_exact(board: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    document = board("report", "--json").json
    assert document["since"].endswith("Z")
    assert document["since"] in board("report", "--utc").out
    assert document["since"] not in board("report").out


def test_what_is_no_moment_is_refused(board: CommandLine) -> None:
    assert "is not a moment" in board("report", "--since", "someday", status=2).err
    assert "is not a moment" in board("report", "--until", "someday", status=2).err
    assert "would begin" in board("report", "--since", "1m", "--until", "2020-01-01", status=2).err
    assert board("report", "--ws", "nope", status=1).err


def test_long_work_shows_how_far_it_is(board: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "_PATIENCE", 0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert "Reading the log" in board("report").err


@pytest.mark.parametrize(("days", "tick"), [(1, "21:30"), (30, "27 Nov"), (4000, "Nov 2026")])
def test_times_on_the_axis_of_a_chart_tell_its_ticks_apart(days: int, tick: str) -> None:
    moment = datetime(2026, 11, 27, 21, 30)  # a local time
    assert report_page.axis_time(moment, 0, timedelta(days=days)) == tick
