"""Commands that compute for long keep nobody waiting, and their answers are those of any other command."""

import threading
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from orchestrator import Orchestrator

from .conftest import client_of
from .process import serving


def test_what_computes_long_is_answered_while_another_request_waits_for_the_board(
    board: Orchestrator, client: TestClient
):
    assert board.folder is not None
    with Orchestrator.open(board.folder) as other:
        replies = []
        added = {"title": "Two"}
        waiting = threading.Thread(
            target=lambda: replies.append(client.post("/api/workstreams/build/tasks", json=added))
        )
        with other.engine.store.locked("test", 10):
            waiting.start()
            report = client.get("/api/commands/report")
            assert (report.status_code, replies) == (200, [])
        waiting.join()
        assert [reply.status_code for reply in replies] == [201]


def test_its_answer_is_that_of_any_other_command(board: Orchestrator, client: TestClient):
    found = client.get("/api/commands/search?words=parser&fields=kind,title&per_page=1")
    assert found.json() == [{"kind": "task", "title": "Write the parser"}]
    assert (found.headers["total-count"], found.headers["exit-status"]) == ("1", "0")
    again = {"If-None-Match": found.headers["etag"]}
    assert client.get(str(found.request.url), headers=again).status_code == 304
    text = client.get("/api/commands/search?words=parser", headers={"Accept": "text/plain"}).text
    assert text.startswith("task ")
    client.post("/api/workstreams/build/tasks", json={"title": "Test the parser"})
    assert len(client.get("/api/commands/search?words=parser").json()) == 2


def test_its_errors_are_problems_with_their_hints(client: TestClient):
    for path, status, code in (
        ("goal/show?name=none", 404, "goal_not_found"),
        ("search?words=a&limit=0", 400, "usage"),
        ("query?words=DELETE%20FROM%20tasks", 400, "query"),
    ):
        reply = client.get(f"/api/commands/{path}")
        assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert reply.json()["hint"]


def test_a_server_of_a_large_board_makes_its_index(
    board: Orchestrator, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("orchestrator.interfaces.web.app.LARGE", 2)
    with client_of(board) as client:
        # Searches of this test are in the same two processes, and the index comes first.
        while not board.index.status().exists:
            client.get("/api/status")
    assert board.index.status().event == board.status().event


def test_no_file_of_the_folder_in_which_it_was_started_is_run(place: Path, home: Path):
    """A repository may come from others, with modules that have the names of those of Python."""
    with serving(place, home, "--port", "0") as server:
        for name in ("pickle", "anyio", "orchestrator"):
            text = "open('run', 'w').close()\nraise SystemExit\n"
            (place / f"{name}.py").write_text(text)
        status, _ = server.request("GET", "/api/commands/report")
        assert (status, (place / "run").exists()) == (200, False)
