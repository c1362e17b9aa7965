"""SQL queries only read, within limits; named queries take parameters."""

import subprocess
import sys
from pathlib import Path

import pytest
from boards import code_of

from orchestrator import NotFound, Orchestrator, UsageError
from orchestrator.core.errors import BadInput, TimedOut
from orchestrator.index.named import given, is_name, parse_query
from orchestrator.index.query import QueryError

NOW = "2026-11-27T20:00:00.000Z"

HOSTILE = [
    "INSERT INTO tasks (id) VALUES ('x')",
    "UPDATE tasks SET title = 'x'",
    "DELETE FROM events",
    "REPLACE INTO workstreams (name) VALUES ('x')",
    "WITH x AS (SELECT 1) DELETE FROM events",
    "DROP TABLE tasks",
    "ALTER TABLE tasks ADD COLUMN x",
    "CREATE TABLE x (a)",
    "CREATE TEMP TABLE x (a)",
    "CREATE TEMP VIEW x AS SELECT 1",
    "CREATE TRIGGER x AFTER INSERT ON tasks BEGIN SELECT 1; END",
    "CREATE VIRTUAL TABLE x USING fts5(a)",
    "ATTACH DATABASE '{path}' AS x",
    "ATTACH DATABASE ':memory:' AS x",
    "DETACH DATABASE main",
    "VACUUM",
    "VACUUM INTO '{path}'",
    "REINDEX",
    "ANALYZE",
    "BEGIN IMMEDIATE",
    "COMMIT",
    "SAVEPOINT x",
    "PRAGMA query_only = OFF",
    "PRAGMA writable_schema = ON",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA user_version = 7",
    "PRAGMA temp_store_directory = '/'",
    "PRAGMA hard_heap_limit = 1",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "SELECT load_extension('x')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT writefile('{path}', 'x')",
    "SELECT readfile('/etc/passwd')",
    "SELECT * FROM pragma_user_version",
    "INSERT INTO words (words) VALUES ('delete-all')",
    "INSERT INTO words (words) VALUES ('rebuild')",
    "SELECT 1; DROP TABLE tasks",
    "",
    "-- nothing",
    "SELEC 1",
    "SELECT * FROM nothing",
    "SELECT :missing",
    "SELECT '\0",
]


@pytest.fixture
def indexed(board: Orchestrator) -> Orchestrator:
    """A board of files with two tasks and an index."""
    board.workstreams.create("build")
    board.workstreams.create("docs")
    first = board.tasks.add("build", title="First")
    board.tasks.add("docs", title="Second", labels=["a", "b"])
    board.tasks.claim(first.id, agent="ann")
    board.tasks.complete(first.id, agent="ann", result="Shipped")
    board.index.build()
    return board


@pytest.mark.parametrize("sql", HOSTILE)
def test_whatever_does_not_plainly_read_is_refused_and_changes_nothing(
    indexed: Orchestrator, tmp_path: Path, sql: str
):
    victim = tmp_path / "victim"
    index = Path(indexed.folder or "") / "state" / "index.db"
    before = index.read_bytes()
    with pytest.raises(QueryError):
        indexed.index.query(sql.format(path=victim))
    assert not victim.exists()
    assert index.read_bytes() == before
    assert indexed.index.query("SELECT count(*) FROM tasks").rows == [[2]]


@pytest.mark.parametrize(
    "sql",
    [
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        "SELECT count(*) FROM events a, events b, events c, events d, events e, events f, events g,"
        " events h, events i, events j, events k, events l, events m, events n, events o",
    ],
)
def test_a_question_without_end_is_ended(indexed: Orchestrator, sql: str):
    with pytest.raises(TimedOut):
        indexed.index.query(sql, seconds=0.2)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT zeroblob(1000000000)",
        "SELECT replace(hex(zeroblob(9000000)), '0', 'xxxxxx')",
        "SELECT hex(zeroblob(30000000))",
        "SELECT " + ", ".join(["1"] * 600),
        "SELECT " + "(" * 600 + "1" + ")" * 600,
        "SELECT 'x' LIKE '" + "%a" * 300 + "'",
    ],
)
def test_values_and_statements_have_limits(indexed: Orchestrator, sql: str):
    assert code_of(lambda: indexed.index.query(sql)) == "query"


def test_an_answer_that_is_too_large_is_refused(indexed: Orchestrator):
    rows = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100)"
    with pytest.raises(UsageError, match="too large"):
        indexed.index.query(f"{rows} SELECT zeroblob(5000000) FROM n")


def test_a_process_that_asks_is_limited_in_memory(indexed: Orchestrator):
    """The limit of SQLite lasts as long as the process, so the test uses a separate process."""
    code = (
        "import sys; from orchestrator import Orchestrator\n"
        "orc = Orchestrator.open(sys.argv[1])\n"
        "columns = ', '.join(f'hex(zeroblob(10000000 + {n}))' for n in range(100))\n"
        "try: orc.index.query(f'SELECT {columns}', memory=100_000_000)\n"
        "except Exception as error: print(error)\n"
    )
    folder = indexed.folder or ""
    run = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True)
    assert "memory" in run.stdout, run.stderr


def test_rows_beyond_the_limit_are_cut_with_a_note(indexed: Orchestrator):
    answer = indexed.index.query("SELECT id FROM events ORDER BY id", limit=3)
    assert (answer.rows, answer.cut) == ([[1], [2], [3]], True)
    assert not indexed.index.query("SELECT id FROM events", limit=1000).cut


def test_reading_of_every_kind_is_allowed(indexed: Orchestrator):
    ask = indexed.index.query
    assert ask("SELECT value FROM tasks, json_each(labels) ORDER BY 1").rows == [["a"], ["b"]]
    assert ["id"] in ask("SELECT name FROM pragma_table_info('tasks')").rows
    assert ask("PRAGMA table_info(tasks)").columns[1] == "name"
    assert ask("SELECT title FROM words WHERE words MATCH 'second'").rows == [["Second"]]
    assert ask("SELECT snippet(words, 1, '<', '>', '', 9) FROM words('shipped')").rows == [
        ["<Shipped>"]
    ]
    assert ask("EXPLAIN QUERY PLAN SELECT * FROM ready").rows
    assert ask("SELECT name FROM sqlite_master WHERE type = 'view'").rows


def test_without_an_index_one_in_memory_answers_and_no_file_is_made(board: Orchestrator):
    board.workstreams.create("build")
    board.tasks.add("build", title="First")
    assert board.index.query("SELECT title FROM ready").rows == [["First"]]
    assert not board.index.status().exists


def test_on_a_large_board_a_note_recommends_an_index(
    board: Orchestrator, warnings: list[str], monkeypatch: pytest.MonkeyPatch
):
    board.workstreams.create("build")
    board.index.query("SELECT 1")
    assert warnings == []
    monkeypatch.setattr("orchestrator.index.database.LARGE", 1)
    board.index.query("SELECT 1")
    assert len(warnings) == 1
    assert "`index build`" in warnings[0]


def test_a_question_brings_the_index_up_to_date_unless_it_may_be_stale(indexed: Orchestrator):
    indexed.tasks.add("build", title="Third")
    count = "SELECT count(*) FROM tasks"
    assert indexed.index.query(count, stale=True).rows == [[2]]
    assert indexed.index.status().event < indexed.index.status().head
    assert indexed.index.query(count).rows == [[3]]
    assert indexed.index.status().event == indexed.index.status().head


def test_every_shipped_query_and_every_view_runs(indexed: Orchestrator):
    for query in indexed.index.queries():
        assert query.about, query.name
        for value in (None, "build"):
            values = {} if value is None else dict.fromkeys(query.parameters, value)
            values |= dict.fromkeys(values.keys() & {"since"}, "7d")
            indexed.index.query(query.sql, given(query, values, NOW))
    for name in ("ready", "blocked", "agent_workload", "tasks"):
        assert indexed.index.query(indexed.index.find(name).sql).columns


def test_a_board_may_have_queries_of_its_own_which_are_data_and_read_only(indexed: Orchestrator):
    folder = Path(indexed.folder or "") / "queries"
    folder.mkdir()
    (folder / "mine.sql").write_text(
        "-- Tasks of one status.\n-- :status Which.\nSELECT id FROM tasks WHERE status = :status"
    )
    (folder / "evil.sql").write_text("DELETE FROM tasks")
    (folder / "Not A Name.sql").write_text("SELECT 1")
    (folder / "latin.sql").write_bytes(b"SELECT '\xe9'")
    names = {query.name: query for query in indexed.index.queries()}
    assert names["mine"].about == "Tasks of one status."
    assert names["mine"].parameters == {"status": "Which."}
    assert "Not A Name" not in names
    assert names["latin"].about.startswith("queries/latin.sql is not UTF-8 text")
    with pytest.raises(BadInput, match="not UTF-8"):
        indexed.index.find("latin")
    mine = indexed.index.find("mine")
    assert len(indexed.index.query(mine.sql, given(mine, {"status": "done"}, NOW)).rows) == 1
    with pytest.raises(QueryError):
        indexed.index.query(indexed.index.find("evil").sql)
    with pytest.raises(UsageError, match="--status"):
        given(mine, {"nothing": "1"}, NOW)


def test_a_name_of_no_query_is_answered_with_the_nearest(indexed: Orchestrator):
    with pytest.raises(NotFound, match="lead-times"):
        indexed.index.find("lead-time")
    assert not is_name("SELECT 1")
    assert not is_name("../evil")


def test_numbers_given_for_parameters_are_numbers():
    query = parse_query("q", "-- About.\n-- :n A number.\nSELECT :n", "board")
    assert given(query, {"n": "12"}, NOW) == {"n": 12}
    assert given(query, {"n": "0x"}, NOW) == {"n": "0x"}
    assert given(query, {}, NOW) == {"n": None}


def test_submissions_are_rows_that_follow_what_becomes_of_them(indexed: Orchestrator):
    for branch in ("one", "two"):
        indexed.merges.submit_commit(branch, "a" * 40, target="main", agent="ann")
    sql = "SELECT branch, status, runner, kind, files FROM submissions ORDER BY number"
    waiting = [["one", "waiting", None, None, "[]"], ["two", "waiting", None, None, "[]"]]
    assert [[*row] for row in indexed.index.query(sql).rows] == waiting
    token = indexed.merges.claim("queue", limit=2)[0].token or 0
    indexed.merges.merged(1, token, commit="b" * 40)
    indexed.merges.returned(2, token, kind="conflict", reason="It conflicts", files=["a.py"])
    ended = [
        ["one", "merged", "queue", None, "[]"],
        ["two", "returned", "queue", "conflict", '["a.py"]'],
    ]
    assert [[*row] for row in indexed.index.query(sql).rows] == ended
