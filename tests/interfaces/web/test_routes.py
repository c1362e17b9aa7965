"""The routes of the original have its shapes; refusals are 404 and 409, and errors are problems."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from orchestrator import Orchestrator
from orchestrator.interfaces.web import app
from orchestrator.stores.memory import MemoryStore

from .conftest import client_of


def test_the_status_as_an_object_and_as_text(client: TestClient):
    status = client.get("/api/status").json()
    assert [stream["name"] for stream in status["workstreams"]] == ["build"]
    text = client.get("/api/status/text")
    assert text.headers["content-type"].startswith("text/plain")
    assert "[P2] build (1 pending)" in text.text


def test_workstreams(client: TestClient):
    new = {"name": "ops", "description": "Keep it running", "priority": 1}
    made = client.post("/api/workstreams", json=new)
    assert (made.status_code, made.json() | new, made.json()["counts"]) == (201, made.json(), {})
    names = [stream["name"] for stream in client.get("/api/workstreams").json()]
    assert names == ["ops", "build"]
    assert client.post("/api/workstreams", json={}).status_code == 400
    assert client.post("/api/workstreams", json=new | {"priority": 7}).status_code == 409


def test_a_task_from_added_to_done(client: TestClient):
    tasks = "/api/workstreams/build/tasks"
    added = client.post(
        tasks, json={"title": "T", "description": "D", "priority": 1, "estimate": 5}
    )
    assert (added.status_code, added.json()["estimate"]) == (201, 5)
    id = added.json()["id"]
    assert {task["title"] for task in client.get(tasks).json()} == {"T", "Write the parser"}
    claimed = client.post(f"{tasks}/{id}/claim", json={"agent": "ann"})
    assert (claimed.status_code, claimed.json()["assigned_to"]) == (200, "ann")
    refused = client.post(f"{tasks}/{id}/claim", json={"agent": "bob"})
    assert (refused.status_code, refused.json()["error"]) == (409, refused.json()["detail"])
    done = client.post(f"{tasks}/{id}/complete", json={"result": "R"}).json()
    assert (done["status"], done["result"], done["assigned_to"]) == ("done", "R", "ann")


def test_next_gives_the_first_task_or_says_that_there_is_none(client: TestClient):
    path = "/api/workstreams/build/next"
    assert client.post(path, json={"agent": "ann"}).json()["title"] == "Write the parser"
    assert client.post(path, json={"agent": "bob"}).json() == {"message": "No pending tasks"}


def test_agents(client: TestClient):
    new = {"id": "rig/ann", "type": "coder", "capabilities": ["python"]}
    assert client.post("/api/agents", json=new).status_code == 201
    assert client.post("/api/agents/rig/ann/heartbeat").json() == {"ok": True}
    (agent,) = [a for a in client.get("/api/agents").json() if a["id"] == "rig/ann"]
    assert (agent["stale"], agent["capabilities"]) == (False, ["python"])


def test_events(client: TestClient):
    types = [event["type"] for event in client.get("/api/events").json()]
    assert types == ["workstream.created", "task.added"]
    assert len(client.get("/api/events?last=1").json()) == 1
    assert len(client.get("/api/events?action=task_added&agent=kim&since=1h").json()) == 1
    assert client.get("/api/events?last=many").status_code == 400


def test_knowledge(client: TestClient):
    topic = "/api/knowledge/parser"
    assert client.get(topic).status_code == 404
    assert client.put(topic, json={"content": "By hand", "agent": "ann"}).json() == {"ok": True}
    assert client.get("/api/knowledge").json() == ["parser"]
    assert client.get(topic).json() == {"topic": "parser", "content": "By hand"}
    assert client.delete(topic).json() == {"ok": True}
    assert client.delete(topic).status_code == 404


def test_locks(client: TestClient):
    lock = {"resource": "src/a.py", "agent": "ann", "ttl": 60_000}
    assert client.post("/api/locks", json=lock).json() == {"acquired": True}
    denied = client.post("/api/locks", json=lock | {"agent": "bob"})
    assert (denied.status_code, denied.json()["acquired"]) == (409, False)
    assert denied.json()["error"].startswith("Lock denied: src/a.py")
    (held,) = client.get("/api/locks").json()
    assert (held["resource"], held["holders"][0]["ttl"]) == ("src/a.py", 60.0)
    path = "/api/locks/src/a.py"
    assert client.request("DELETE", path, json={"agent": "bob"}).json() == {"released": False}
    assert client.request("DELETE", path, json={"agent": "ann"}).json() == {"released": True}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/api/workstreams/none/tasks", None, 404, "workstream_not_found"),
        ("POST", "/api/workstreams/none/tasks", {"title": "T"}, 404, "workstream_not_found"),
        ("POST", "/api/workstreams/build/tasks/none/claim", {}, 404, "task_not_found"),
        ("GET", "/api/none", None, 404, "no_route"),
        ("PATCH", "/api/status", None, 405, "method"),
        ("PUT", "/api/knowledge/..%2f..%2fsecret", {"content": "x"}, 400, "bad_name"),
        ("GET", "/api/knowledge/..%2f..%2fsecret", None, 400, "bad_name"),
        ("PUT", "/api/knowledge/a", {"content": "x", "more": 1}, 400, "usage"),
        ("GET", "/api/workstreams?page=0", None, 400, "usage"),
        ("GET", "/api/commands/none", None, 404, "no_command"),
        ("GET", "/api/commands/init", None, 404, "no_command"),
        ("GET", "/api/commands/task/claim", None, 405, "method"),
        ("POST", "/api/commands/task/list", {}, 405, "method"),
        ("POST", "/api/commands/task/claim", {}, 400, "usage"),
        ("POST", "/api/commands/task/claim", {"task": "x", "nope": 1}, 400, "usage"),
        ("GET", "/api/commands/task/list?open=maybe", None, 400, "usage"),
        ("POST", "/api/commands/next", {"lease": None}, 400, "usage"),
    ],
)
def test_every_error_is_a_problem(
    client: TestClient, method: str, path: str, body: Any, status: int, code: str
):
    reply = (
        client.request(method, path, json=body)
        if body is not None
        else client.request(method, path)
    )
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json()
    assert (reply.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["error"] == problem["detail"]
    assert problem["title"]


@pytest.mark.parametrize(
    "body",
    ["{", "\x0b", " ", "[1]", '{"name": NaN}', '{"name": "a", "name": "b"}', '"x"', "\ud800"],
)
def test_a_body_that_is_not_json_is_refused(client: TestClient, body: str):
    data = body.encode("utf-8", "surrogatepass")
    assert client.post("/api/workstreams", content=data).status_code == 422


def test_what_names_no_agent_is_logged_under_the_name_of_the_person(
    client: TestClient, board: Orchestrator
):
    client.post("/api/workstreams/build/tasks", json={"title": "T"})
    client.put("/api/knowledge/parser", json={"content": "C"})
    client.delete("/api/knowledge/parser")
    client.post("/api/workstreams/build/next", json={})
    client.post("/api/commands/task/add", json={"workstream": "build", "title": "U"})
    assert {event.agent for event in board.events.read()} == {"kim"}


def test_repeating_a_request_with_its_id_has_one_effect(client: TestClient, board: Orchestrator):
    path, key = "/api/workstreams/build/tasks", {"Idempotency-Key": "r-1"}
    first = client.post(path, json={"title": "T"}, headers=key)
    again = client.post(path, json={"title": "T"}, headers=key)
    assert first.json()["id"] == again.json()["id"]
    other = client.post(path, json={"title": "Another"}, headers=key)
    assert other.status_code == 409
    assert len(board.tasks.all()) == 2
    assert (
        client.post(path, json={"title": "T"}, headers={"Idempotency-Key": ""}).status_code == 400
    )


def test_a_client_that_has_an_answer_is_told_so(client: TestClient):
    tag = client.get("/api/workstreams").headers["etag"]
    again = client.get("/api/workstreams", headers={"If-None-Match": f'"x", {tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    client.post("/api/workstreams", json={"name": "ops"})
    assert client.get("/api/workstreams", headers={"If-None-Match": tag}).status_code == 200


def test_a_list_comes_in_pages(client: TestClient):
    for number in range(6):
        client.post("/api/workstreams/build/tasks", json={"title": f"T{number}"})
    path, seen = "/api/workstreams/build/tasks?per_page=3", []
    while path:
        reply = client.get(path)
        assert reply.headers["total-count"] == "7"
        seen += [task["title"] for task in reply.json()]
        path = reply.links["next"]["url"] if "next" in reply.links else ""
    assert len(seen) == len(set(seen)) == 7
    assert client.get("/api/workstreams/build/tasks?page=9").json() == []


@pytest.mark.parametrize("path", ["workstreams/build/tasks", "commands/task/list"])
def test_of_a_list_the_fields_that_are_wanted(client: TestClient, path: str):
    client.post("/api/workstreams/build/tasks", json={"title": "Two"})
    reply = client.get(f"/api/{path}?fields=title,priority&per_page=1")
    assert reply.json() == [{"title": "Write the parser", "priority": 3}]
    assert reply.headers["total-count"] == "2"
    assert client.get(f"/api/{path}").headers["etag"] != reply.headers["etag"]
    refused = client.get(f"/api/{path}?fields=titel").json()
    assert (refused["status"], refused["detail"][:25]) == (400, "There is no field 'titel'")


def test_fields_of_one_record_but_not_of_a_text(client: TestClient):
    assert client.get("/api/status?fields=event").json() == {"event": 2}
    path = "/api/commands/task/list?fields=title"
    assert client.get(path, headers={"Accept": "text/plain"}).status_code == 400
    for wrong in ("status/text?fields=event", "status?fields=", "locks?fields=a&fields=b"):
        assert client.get(f"/api/{wrong}").status_code == 400
    assert client.get("/api/knowledge?fields=name").json() == []


def test_head_is_get_without_a_body(client: TestClient):
    reply = client.head("/api/workstreams")
    assert (reply.status_code, reply.content) == (200, b"")
    assert reply.headers["etag"] == client.get("/api/workstreams").headers["etag"]


def test_a_status_that_is_kept_needs_no_turn_and_shows_what_another_process_wrote(
    place: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(app, "FRESH", 3600.0)
    with (
        Orchestrator.open(place) as orc,
        Orchestrator.open(place) as other,
        client_of(orc) as client,
    ):
        first = client.get("/api/status")
        with orc.transaction():  # this thread has the board, and no request gets it
            assert client.get("/api/status").content == first.content
        other.tasks.add("build", title="T")
        assert client.get("/api/status").json()["event"] == first.json()["event"] + 1


def test_a_database_is_not_asked_in_the_loop_whether_a_kept_status_is_current(
    monkeypatch: pytest.MonkeyPatch,
):
    """Its answer may take long, for example while another statement waits for the lock of the board."""
    monkeypatch.setattr(app, "FRESH", 3600.0)

    class Remote(MemoryStore):
        is_local = False

        def mark(self) -> object:
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()
            return super().mark()

    orc = Orchestrator(Remote())
    orc.workstreams.create("build")
    with client_of(orc) as client:
        first = client.get("/api/status")
        assert client.get("/api/status").content == first.content
        client.post("/api/workstreams", json={"name": "ops"})
        assert client.get("/api/status").json()["event"] == first.json()["event"] + 1
