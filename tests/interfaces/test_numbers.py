"""Numbers on the command line: tables and a chart that any terminal can show, and one stable document."""

import io
import sys
from pathlib import Path

import pytest

from orchestrator.interfaces.cli import rendering
from orchestrator.interfaces.cli.layout import bars

from .conftest import CommandLine

ROWS = [("a", 8), ("bb", 1), ("none", 0)]


def terminal(encoding: str) -> io.TextIOWrapper:
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    stream.isatty = lambda: True  # type: ignore[method-assign]
    return stream


def test_a_chart_has_blocks_where_the_encoding_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "14")
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "utf-8"))
    assert bars(ROWS) == "a     ██████ 8\nbb    ▊ 1\nnone  0"
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    assert bars(ROWS) == "a     ###### 8\nbb    # 1\nnone  0"
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "latin-1"))
    assert bars(ROWS).isascii()
    assert bars([]) == ""
    assert bars([("x\x1b[2J", 0)]) == "x\\x1b[2J  0"


def test_a_chart_has_colours_on_a_terminal_only_and_not_with_no_color(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", terminal("utf-8"))
    assert "\x1b[32m" in bars(ROWS)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in bars(ROWS)


def test_stats_show_a_chart_and_tables(cli: CommandLine) -> None:
    cli("ws", "create", "build")
    cli("t", "add", "build", "Ship v1")
    cli("t", "next", "build", "ann")
    shown = cli("stats").out
    assert shown.startswith(
        "1 task: 1 open (1 active), 0 done, 0 failed, 0 cancelled; 0% of the wanted tasks are done"
    )
    assert "\nin_progress  ████████████████████████████████████████ 1\n" in shown
    assert [line.split() for line in shown.splitlines() if line.startswith("ann")] == [
        ["ann", "1", "1", "1", "0", "0", "0", "0%"]
    ]
    assert "Ship v1" in shown


def test_numbers_as_json_have_no_chart_and_the_filters_apply(cli: CommandLine) -> None:
    cli("ws", "create", "build")
    cli("t", "add", "build", "Ship v1")
    answer = cli("stats", "--ws", "build", "--agent", "ann", "--days", "3", "--json").json
    assert answer["total"] == {
        "tasks": 0,
        "open": 0,
        "active": 0,
        "done": 0,
        "failed": 0,
        "cancelled": 0,
        "completion_rate": 0.0,
    }
    assert [*answer] == [
        "since", "total", "by_status", "by_workstream", "by_priority", "by_type", "by_agent", "active",
    ]  # fmt: skip
    answer = cli("metrics", "--days", "2", "--json").json
    assert [*answer] == [
        "days", "since", "until", "total", "agents", "throughput", "by_workstream", "by_priority",
        "by_type", "by_agent", "cycles",
    ]  # fmt: skip
    assert [*answer["total"]] == [
        "added", "completed", "failed", "cancelled", "per_day", "success_rate", "time_to_start",
        "time_to_finish",
    ]  # fmt: skip
    assert len(answer["throughput"]) == 2


def test_metrics_of_an_empty_board_say_zero(cli: CommandLine) -> None:
    cli("init")
    shown = cli("metrics").out
    assert "None" not in shown
    assert "completed       0 (0.00 a day)" in shown
    assert "utilisation     0% (0 of 0 agents work)" in shown
    assert cli("stats", "--days", "0", status=2).err.startswith("Error: 0 is not a number of days")


def test_progress_is_shown_on_a_terminal_only_and_only_if_it_is_long(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("ws", "create", "build")
    for _ in range(3):
        task = cli("t", "add", "build", "x", "--json").json["id"]
        cli("t", "cancel", task)
        cli("t", "archive", task)
    monkeypatch.setattr(rendering, "_PATIENCE", 0)
    assert cli("stats").err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert "Reading archived tasks" in cli("stats").err
    assert cli("stats", "--json").err == ""
    monkeypatch.setattr(rendering, "_PATIENCE", 3600)
    assert cli("stats").err == ""


def test_reading_a_long_log_shows_how_far_it_is(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("ws", "create", "build")
    monkeypatch.setattr(rendering, "_PATIENCE", 0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert cli("ws", "ls").err == ""
    (tmp_path / "board/state/state.json").unlink()
    assert "Reading the log" in cli("ws", "ls").err
