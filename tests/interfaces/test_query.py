"""``orc query`` and ``orc index``: their output and exit status."""

import csv
import io
import json
import sys
from pathlib import Path

import pytest

from .conftest import CommandLine
from .terminal import at_terminal

HOSTILE = [
    "=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\ttab", " =1", "a|b *c* [d](e) `f` <script>",
    "line\nbreak", "\x1b[31mred", "\u202eright to left",
]  # fmt: skip


@pytest.fixture
def asked(cli: CommandLine) -> CommandLine:
    """A board with a workstream and two tasks."""
    cli("ws", "create", "build")
    cli("add", "build", "First", "--label", "a,b")
    cli("add", "build", "Second")
    return cli


def test_an_answer_in_every_format(asked: CommandLine):
    sql = "SELECT title, priority, assignee FROM tasks ORDER BY title"
    assert asked("query", sql).lines == [
        "title   priority  assignee", "First   5", "Second  5",
    ]  # fmt: skip
    objects = [
        {"title": "First", "priority": 5, "assignee": None},
        {"title": "Second", "priority": 5, "assignee": None},
    ]
    assert asked("query", sql, "--json").json == objects
    assert asked("query", sql, "--format", "json").json == objects
    assert [*map(json.loads, asked("query", sql, "--format", "jsonl").lines)] == objects
    assert asked("query", sql, "--format", "csv").lines == [
        "title,priority,assignee", "First,5,", "Second,5,",
    ]  # fmt: skip
    assert asked("query", sql, "--format", "markdown").lines == [
        "| title | priority | assignee |", "| --- | --- | --- |", "| First | 5 |  |", "| Second | 5 |  |",
    ]  # fmt: skip


def _select(text: str) -> str:
    return f"SELECT CAST(x'{text.encode().hex()}' AS TEXT) AS x"


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_data_in_every_format(asked: CommandLine, text: str):
    sql = _select(text)
    rows = [*csv.reader(io.StringIO(asked("query", sql, "--format", "csv").out))]
    assert len(rows) == 2
    assert rows[1][0].lstrip()[:1] not in ("=", "+", "-", "@")
    assert rows[1][0].removeprefix("'") == text
    for shown in (asked("query", sql), asked("query", sql, "--format", "markdown")):
        assert len(shown.lines) <= 3
        assert not any(sign in shown.out for sign in ("\x1b", "\u202e", "\t"))
    assert "<script>" not in asked("query", sql, "--format", "markdown").out
    assert asked("query", sql, "--json").json == [{"x": text}]


def test_columns_of_one_name_are_all_there(asked: CommandLine):
    assert asked("query", "SELECT 1 AS a, 2 AS a", "--json").json == [{"a": 1, "a_2": 2}]


def test_bytes_are_shown_as_sql_writes_them(asked: CommandLine):
    assert asked("query", "SELECT x'00ff' AS b").lines == ["b", "x'00ff'"]
    assert asked("query", "SELECT x'00ff' AS b", "--format", "jsonl").json == {"b": "AP8="}


def test_a_cut_answer_is_marked(asked: CommandLine):
    shown = asked("query", "SELECT title FROM tasks", "--limit", "1", "--format", "csv")
    assert len(shown.lines) == 2
    assert shown.err == "Warning: Only the first 1 rows are shown; --limit N shows more.\n"
    assert asked("query", "SELECT title FROM tasks").err == ""


def test_named_queries_with_parameters_and_those_of_the_board(asked: CommandLine, tmp_path: Path):
    listed = asked("query", "--list", "--json").json
    assert {"lead-times", "throughput"} <= {query["name"] for query in listed}
    asked("query", "lead-times", "--ws", "build")
    asked("query", "activity", "--agent", "system")
    assert asked("query", "throughput", "--ws=other", "--json").json == []
    folder = tmp_path / "board" / "queries"
    folder.mkdir()
    (folder / "open.sql").write_text(
        "-- Open tasks.\n-- :n How many.\nSELECT title FROM tasks ORDER BY title LIMIT :n"
    )
    assert asked("query", "open", "--n", "1").lines == ["title", "First"]
    assert "Open tasks." in asked("query", "--list").out
    assert "has no parameter" in asked("query", "open", "--m", "1", status=2).err
    assert "needs a value" in asked("query", "open", "--n", status=2).err
    assert "lead-times" in asked("query", "lead-time", status=1).err


def test_a_table_or_view_is_asked_by_its_name_and_parameters_of_sql_are_given_behind_it(
    asked: CommandLine,
):
    assert [row["title"] for row in asked("query", "ready", "--json").json] == ["First", "Second"]
    sql = "SELECT title FROM tasks WHERE title = :title"
    assert asked("query", sql, "--title", "Second").lines == ["title", "Second"]
    assert asked("query", "SELECT 3 > :n", "--n", "2").lines[1:] == ["1"]
    assert "no parameter :titl" in asked("query", sql, "--titl", "x", status=2).err
    assert "no parameter :csv" in asked("query", "SELECT 1", "--csv", "f", status=2).err
    assert "tasks" in asked("query", "--schema").out


@pytest.mark.parametrize("sql", ["DELETE FROM tasks", "SELEC 1", "SELECT 1; SELECT 2"])
def test_what_cannot_be_asked_is_a_usage_error(asked: CommandLine, sql: str):
    assert asked("query", sql, status=2).err.startswith("Error: The query failed: ")
    assert asked("query", sql, "--json", status=2).error["code"] == "query"


def test_too_long_is_a_timeout(asked: CommandLine):
    forever = (
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    )
    assert "longer than 0.1 s" in asked("query", forever, "--timeout", "100ms", status=5).err


def test_the_index_is_built_dropped_and_its_status_is_reported(asked: CommandLine):
    assert asked("index").out.startswith("There is no index")
    assert asked("index", "build").out.startswith("The index is up to date: event 3 ")
    assert "up to date" in asked("index").out
    asked("add", "build", "Third")
    assert "1 events behind" in asked("index", "status").out
    assert asked("index", "verify").out == "The index is as the log says\n"
    standing = asked("index", "status", "--json").json
    assert (standing["exists"], standing["event"], standing["head"], standing["problem"]) == (
        True,
        4,
        4,
        "",
    )
    assert asked("index", "drop").out == "Dropped the index\n"
    assert asked("index", "drop").out == "There was no index\n"
    assert asked("query", "SELECT count(*) AS n FROM tasks").lines == ["n", "3"]


def test_an_index_that_differs_from_the_log_is_damage(asked: CommandLine, tmp_path: Path):
    import sqlite3

    asked("index", "build")
    with sqlite3.connect(tmp_path / "board" / "state" / "index.db") as database:
        database.execute("UPDATE tasks SET title = 'Changed' WHERE title = 'First'")
    database.close()
    assert asked("index", "verify", status=4).out == "tasks differs in 2 rows\n"


def test_without_an_index_there_is_nothing_to_verify(asked: CommandLine):
    assert asked("index", "verify").out.startswith("There is no index")


def test_the_metadata_is_json(asked: CommandLine):
    assert asked("index", "metadata").json["databases"]["index"]["tables"]["tasks"]


def test_an_index_does_not_disturb_the_doctor_or_a_backup(asked: CommandLine, tmp_path: Path):
    asked("index", "build")
    asked("query", "SELECT 1")
    assert "[ok] index" in asked("doctor").out
    asked("export", str(tmp_path / "export.jsonl"))
    assert "index" not in (tmp_path / "export.jsonl").read_text()


def test_the_doctor_builds_an_index_anew_that_is_of_no_use(asked: CommandLine, tmp_path: Path):
    assert "index" not in asked("doctor").out
    asked("index", "build")
    path = tmp_path / "board" / "state" / "index.db"
    path.write_text("garbage")
    assert "index.db is of no use: file is not a database" in asked("doctor", status=1).out
    asked("doctor", "--fix")
    assert asked("index", "verify").out == "The index is as the log says\n"
    assert "[ok] index" in asked("doctor").out


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal of Unix")
@pytest.mark.parametrize("format", ["table", "json", "jsonl", "csv", "markdown"])
def test_a_terminal_gets_no_control_characters_in_any_format(
    asked: CommandLine, tmp_path: Path, format: str
):
    shown = at_terminal(
        tmp_path / "board", "query", _select("a\x1b[31m\u202eb\x9b"), "--format", format
    )
    assert not any(sign in shown for sign in ("\x1b", "\u202e", "\x9b"))


def test_lists_of_queries_and_tables_have_every_format(asked: CommandLine):
    for listing, name in (("--list", "lead-times"), ("--schema", "tasks")):
        answer = asked("query", listing, "--json").json
        assert [*map(json.loads, asked("query", listing, "--format", "jsonl").lines)] == answer
        assert asked("query", listing, "--format", "json").json == answer
        rows = csv.DictReader(io.StringIO(asked("query", listing, "--format", "csv").out))
        assert name in {row["name"] for row in rows}
        assert f"| {name} |" in asked("query", listing, "--format", "markdown").out


def test_no_shipped_query_hides_a_table_or_view(asked: CommandLine):
    queries = {query["name"] for query in asked("query", "--list", "--json").json}
    assert not queries & {table["name"] for table in asked("query", "--schema", "--json").json}


def test_since_of_a_named_query_is_a_moment(asked: CommandLine):
    for name in ("activity", "throughput"):
        assert asked("query", name, "--since", "1h", "--json").json
        assert not asked("query", name, "--since", "2100-01-01", "--json").json
        assert asked("query", name, "--since", "soon", status=2).err.startswith("Error: ")


def test_a_missing_value_of_sql_is_named(asked: CommandLine):
    assert "--title VALUE" in asked("query", "SELECT :title", status=2).err


def test_a_query_of_the_board_may_use_what_it_does_not_describe(asked: CommandLine, tmp_path: Path):
    folder = tmp_path / "board" / "queries"
    folder.mkdir()
    (folder / "twice.sql").write_text("SELECT 2 * :n AS x")
    assert asked("query", "twice", "--n", "3").lines == ["x", "6"]
    assert asked("query", "twice", "--json").json == [{"x": None}]


@pytest.mark.parametrize(
    ("content", "problem"), [(b"\xff", "UTF-8"), (b"-- x\n" * 30_000, "larger")]
)
def test_a_query_of_the_board_that_cannot_be_read_is_refused_with_the_reason(
    asked: CommandLine, tmp_path: Path, content: bytes, problem: str
):
    folder = tmp_path / "board" / "queries"
    folder.mkdir()
    (folder / "bad.sql").write_bytes(content)
    assert "lead-times" in asked("query", "--list").out
    assert problem in asked("query", "bad", status=2).err
