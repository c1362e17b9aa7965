"""Every command of the board is a route, made from the catalogue."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from orchestrator import Orchestrator
from orchestrator.interfaces.cli.reference import commands
from orchestrator.interfaces.web import command_routes

LOCAL = """
agent template add, agent template list, board merge, completion, copy, dashboard, doctor, events archive,
events watch,
export backlog, export beads, export file, guard check, guard install, guard link, help,
import backlog, import beads, import file, import opspawn,
index build, index drop, index metadata, index status, index verify, init, knowledge sync,
mail deliver, mcp serve, mcp tools,
merge run, merge trust, notify add, notify list, notify remove, notify run, notify show, notify test,
onboard, orphans, patrol run, runner check, runner install, runner logs, runner restart, runner run,
runner start, runner stop, serve, setup, task batch, task trust, terminal attach, terminal list,
terminal nudge, terminal peek, terminal reap, terminal spawn, terminal stop, trust, version,
worktree add, worktree path, worktree prune, worktree remove, worktree trust
"""
"""Every command that is no route."""


def test_commands_of_the_board_are_routes_and_those_of_the_machine_are_not():
    calls = command_routes.calls()
    for path in (
        "task/claim",
        "task/dep/add",
        "mail/send",
        "query",
        "search",
        "permission/allow",
        "report",
    ):
        assert path in calls
    for path in (
        "init",
        "serve",
        "mcp/serve",
        "setup",
        "runner/run",
        "merge/run",  # it runs what --test says
        "merge/trust",
        "board/merge",
        "worktree/add",  # it may run commands of the board
        "worktree/trust",
        "terminal/spawn",
        "patrol/run",
        "mail/deliver",  # it types into a terminal
        "trust",
        "task/trust",
        "doctor",
    ):
        assert path not in calls
    assert not any(path.startswith(("import", "export", "guard")) for path in calls)
    local = {path for path, _ in commands() if path.replace(" ", "/") not in calls}
    assert local == {path.strip() for path in LOCAL.split(",")}


def test_a_command_that_starts_programs_or_allows_it_is_no_route():
    """Whatever the noun is: these words mean it for a new noun too."""
    for path in command_routes.calls():
        assert path.rpartition("/")[2] not in ("attach", "run", "spawn", "trust"), path


def test_arguments_that_name_another_agent_or_messages_are_there():
    names = {
        path: {parameter.name for parameter in command_routes.calls()[path].parameters}
        for path in ("task/claim", "sling", "mail/delete", "mail/archive", "task/cancel")
    }
    assert "to" in names["sling"]  # who gets the task, not who acts
    assert names["mail/delete"] == {"ids"}
    assert names["mail/archive"] == {"ids", "older_than"}
    assert "ids" not in names["task/cancel"]


def test_a_command_that_only_reads_is_got_and_others_are_posted(client: TestClient):
    added = client.post("/api/commands/task/add", json={"workstream": "build", "title": "--help"})
    assert (added.status_code, added.json()["title"]) == (200, "--help")
    listed = client.get("/api/commands/task/list?workstream=build&where=title%20%3D%20help")
    assert [task["title"] for task in listed.json()] == ["--help"]
    claimed = client.post("/api/commands/task/claim", json={"task": added.json()["id"]})
    assert claimed.json()["assigned_to"] == "kim"


def test_what_a_command_would_do_is_got(board: Orchestrator, client: TestClient):
    """A GET changes nothing: with arguments that change the board it is refused."""
    events = board.engine.read().event
    planned = client.get("/api/commands/runner/plan?look=true")
    assert (planned.status_code, planned.json()["cycle"]) == (200, 1)
    assert client.get("/api/commands/runner/collect").json()["added"]
    assert client.get("/api/commands/board/show").json()
    for path in (
        "runner/plan",
        "runner/collect?save=report",
        "permission/rules?pattern=x&allow=true",
    ):
        reply = client.get(f"/api/commands/{path}")
        assert reply.json()["hint"] == "POST changes it.", path
    posted = client.get("/api/commands/task/add?title=x")
    assert (posted.status_code, posted.headers["allow"]) == (405, "POST")
    assert board.engine.read().event == events


@pytest.mark.parametrize(
    ("path", "arguments", "sentence"),
    [
        ("task/note", {"task": 7, "text": "T"}, "The argument 'task' is a string"),
        ("task/edit", {"task": "T", "priority": "1"}, "The argument 'priority' is an integer"),
        ("task/edit", {"task": "T", "priority": True}, "The argument 'priority' is an integer"),
        (
            "task/edit",
            {"task": "T", "labels": "a,b"},
            "The argument 'labels' is an array of strings",
        ),
        ("task/edit", {"task": "T", "labels": [1]}, "The argument 'labels' is an array of strings"),
        ("mail/archive", {"ids": ["1"]}, "The argument 'ids' is an array of integers"),
        ("task/claim", {"task": None}, "The argument 'task' is null"),
    ],
)
def test_an_argument_has_the_type_that_its_schema_names(
    client: TestClient, path: str, arguments: dict[str, Any], sentence: str
):
    reply = client.post(f"/api/commands/{path}", json=arguments)
    assert (reply.status_code, reply.json()["detail"]) == (400, sentence)


def test_numbers_in_a_query_are_texts(client: TestClient):
    path = "/api/commands/task/list"
    assert len(client.get(f"{path}?limit=1").json()) == 1
    reply = client.get(f"{path}?limit=one")
    assert reply.json()["detail"] == "'limit' is an integer: 'one' is not a whole number"


def test_a_listing_can_be_that_of_another_agent(client: TestClient):
    client.put("/api/knowledge/parser", json={"content": "x", "agent": "ann"})
    (event,) = client.get("/api/commands/timeline?agent=ann").json()
    assert event["says"] == f"{event['ts']} ann wrote the knowledge parser"
    assert client.get("/api/commands/task/list?agent=ann").json() == []


def test_an_answer_as_text_has_no_marks_of_tools(client: TestClient):
    text = client.post("/api/commands/next", json={}, headers={"Accept": "text/plain"}).text
    assert text.startswith("Claimed next task: ")
    assert "orc " in text
    assert "\x02" not in text
    [task] = client.get("/api/commands/task/list").json()
    brief = client.get(f"/api/commands/runner/brief?target={task['id']}").json()["brief"]
    assert "\x02" not in brief
    assert "\norc t note" in brief


def test_the_exit_status_of_an_answer_is_in_a_header(client: TestClient):
    assert client.post("/api/commands/next", json={}).headers["exit-status"] == "0"
    nothing = client.post("/api/commands/next", json={})
    assert (nothing.status_code, nothing.headers["exit-status"]) == (200, "1")


def test_the_pages_of_a_list_are_no_arguments(client: TestClient):
    reply = client.get("/api/commands/task/list?per_page=1")
    assert (reply.headers["total-count"], len(reply.json())) == ("1", 1)


def test_no_argument_reaches_a_file_or_stdin(client: TestClient, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    for arguments in (
        {"topic": "t", "file": str(secret)},
        {"topic": "t", "content": "-"},
        {"topic": "t", "content": ["--file", str(secret)]},
        {"topic": f"--file={secret}", "content": "x"},
    ):
        reply = client.post("/api/commands/knowledge/write", json=arguments)
        assert reply.status_code in (400, 422), arguments
    assert client.get("/api/knowledge").json() == []


def test_a_query_cannot_write(client: TestClient):
    reply = client.get("/api/commands/query", params={"sql": "DELETE FROM tasks"})
    assert reply.status_code in (400, 409)


def test_mail_counts_as_shown_after_it_was_sent(client: TestClient):
    sent = client.post(
        "/api/commands/mail/send", json={"to": "kim", "subject": "Look", "message": "B"}
    )
    assert sent.status_code == 200, sent.text
    check = {"inject": True}
    assert "Look" in client.post("/api/commands/mail/check", json=check).text
    assert "Look" not in client.post("/api/commands/mail/check", json=check).text


def test_a_command_that_prints_without_end_is_left_to_the_stream(client: TestClient):
    assert client.get("/api/commands/log?follow=true").status_code == 400


@pytest.mark.parametrize("path", sorted(command_routes.calls()))
def test_every_command_answers_a_bare_request(client: TestClient, path: str):
    """With an answer, or a problem that says what is missing; never with a failure of the server."""
    call = command_routes.calls()[path]
    if path in ("request", "next"):
        return
    for method in command_routes.methods_of(call):
        reply = client.request(method, f"/api/commands/{path}")
        assert reply.status_code < 500, reply.text


def test_warnings_of_a_command_are_in_a_header(board: Orchestrator, client: TestClient):
    twin = board.tasks.all()[0]
    added = client.post("/api/commands/task/add", json={"workstream": "build", "title": twin.title})
    (warning,) = json.loads(added.headers["warnings"])
    assert warning.startswith(f"{twin.id} says the same: Write the parser; `orc similar")
    listed = client.get("/api/commands/task/list")
    assert "warnings" not in listed.headers


def test_a_saved_question_is_answered(board: Orchestrator, client: TestClient):
    board.saved.add("mine", ["ls", "--open"])
    answer = client.get("/api/commands/saved/ask?name=mine")
    assert [task["title"] for task in answer.json()] == ["Write the parser"]


def test_a_command_may_name_another_agent_than_the_one_who_acts(client: TestClient):
    added = client.post("/api/commands/agent/register", json={"id": "ann"})
    assert (added.status_code, added.json()["id"]) == (200, "ann")
