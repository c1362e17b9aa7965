"""Attacks on a local server: each works on the server without its gate, and fails on ours."""

import re
from typing import Any

import anyio
import pytest
from starlette.requests import Request
from starlette.testclient import TestClient
from starlette.types import Message

from orchestrator import Orchestrator
from orchestrator.interfaces.web import access, answers

from .conftest import TOKEN, URL, client_of

COOKIE = {"Cookie": f"orc_8137={TOKEN}"}
BEARER = {"Authorization": f"Bearer {TOKEN}"}
NEW = {"title": "Made by an attacker"}
TASKS = "/api/workstreams/build/tasks"

ATTACKS: dict[str, tuple[str, str, dict[str, str], Any, int]] = {
    "no token": ("GET", TASKS, {}, None, 401),
    "no token, a change": ("POST", TASKS, {}, NEW, 401),
    "a wrong token": ("GET", TASKS, {"Authorization": "Bearer wrong"}, None, 401),
    "a token of other letters": ("GET", TASKS, {"Authorization": "Bearer \u00e9"}, None, 401),
    "a wrong cookie": ("GET", TASKS, {"Cookie": "orc_8137=wrong"}, None, 401),
    "a cookie of another port": ("GET", TASKS, {"Cookie": f"orc_8138={TOKEN}"}, None, 401),
    "a broken cookie": ("GET", TASKS, {"Cookie": 'orc_8137="\\'}, None, 401),
    "DNS rebinding": ("GET", TASKS, {**BEARER, "Host": "evil.example:8137"}, None, 421),
    "DNS rebinding without a port": ("GET", TASKS, {**BEARER, "Host": "evil.example"}, None, 421),
    "another port": ("GET", TASKS, {**BEARER, "Host": "127.0.0.1:9999"}, None, 421),
    "an empty host": ("GET", TASKS, {**BEARER, "Host": ""}, None, 421),
    "a name that ends like ours": ("GET", TASKS, {**BEARER, "Host": "localhost.evil.it:8137"}, None, 421),
    "CSRF with the cookie": ("POST", TASKS, {**COOKIE, "Origin": "http://evil.example"}, NEW, 403),
    "CSRF from another port": ("POST", TASKS, {**COOKIE, "Origin": "http://localhost:3000"}, NEW, 403),
    "CSRF from a file": ("POST", TASKS, {**COOKIE, "Origin": "null"}, NEW, 403),
    "CSRF without an origin": ("POST", TASKS, COOKIE, NEW, 403),
    "CSRF of a form of the same site": ("POST", TASKS, {**COOKIE, "Sec-Fetch-Site": "same-site"}, NEW, 403),
    "reading from another page": ("GET", TASKS, {**COOKIE, "Origin": "http://evil.example"}, None, 403),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_works_on_a_naive_server_and_fails_here(board: Orchestrator, name: str):
    method, path, headers, body, status = ATTACKS[name]
    for is_gated in (False, True):
        before = len(board.tasks.all())
        with client_of(board, is_gated=is_gated) as client:
            client.headers.pop("Authorization", None)
            raw = [(key.encode(), value.encode()) for key, value in headers.items()]
            reply = client.request(method, path, json=body, headers=raw)
        if is_gated:
            assert (reply.status_code, len(board.tasks.all())) == (status, before)
            assert TOKEN not in reply.text
            assert "parser" not in reply.text
        else:
            assert reply.status_code in (200, 201)


def test_the_link_sets_a_cookie_that_no_script_and_no_other_site_can_use(board: Orchestrator):
    with client_of(board) as client:
        del client.headers["Authorization"]
        reply = client.get(f"/?token={TOKEN}")
        assert (reply.status_code, reply.headers["location"]) == (303, "/")
        cookie = reply.headers["set-cookie"]
        assert cookie.startswith(f"orc_8137={TOKEN}; ")
        assert {"HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
        assert client.get("/").status_code == 200
        assert client.get(TASKS).status_code == 200
        own = {"Origin": URL}
        assert client.post(TASKS, json=NEW, headers=own).status_code == 201
        assert (
            client.post(TASKS, json=NEW, headers={"Sec-Fetch-Site": "same-origin"}).status_code
            == 201
        )
        assert client.get("/?token=wrong").status_code == 401
    with client_of(board) as client:  # an address is seen by others: in histories, in logs
        del client.headers["Authorization"]
        assert client.get(f"{TASKS}?token={TOKEN}").status_code == 401


def test_a_cookie_goes_over_tls_only_if_the_server_has_it(board: Orchestrator):
    with client_of(board, is_secure=True) as client:
        assert "Secure" in client.get(f"/?token={TOKEN}").headers["set-cookie"]


def test_no_page_of_another_origin_is_let_in_unless_it_is_named(board: Orchestrator):
    page, other = "https://page.example", "https://other.example"
    preflight = {"Access-Control-Request-Method": "POST"}
    with client_of(board, others=[page]) as client:
        reply = client.get(TASKS, headers={"Origin": page})
        assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, page)
        reply = client.options(TASKS, headers={"Origin": page, **preflight})
        assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (204, page)
        for headers in ({"Origin": other}, {"Origin": other, **preflight}):
            reply = client.options(TASKS, headers=headers)
            assert reply.status_code == 403
            assert "access-control-allow-origin" not in reply.headers
    with client_of(board) as client:
        assert "access-control-allow-origin" not in client.get(TASKS).headers


@pytest.mark.parametrize("path", ["/", TASKS, "/api/none", "/api/openapi.json"])
def test_every_answer_forbids_frames_scripts_and_guesses(client: TestClient, path: str):
    headers = client.get(path).headers
    assert headers["x-frame-options"] == "DENY"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers


def test_a_server_that_only_shows_the_board_changes_nothing(board: Orchestrator):
    before = board.engine.read().event
    with client_of(board, is_read_only=True) as client:
        assert client.get(TASKS).status_code == 200
        assert client.get("/api/commands/task/list").status_code == 200
        for method, path in (
            ("POST", TASKS),
            ("POST", "/api/commands/task/add"),
            ("PUT", "/api/knowledge/a"),
            ("DELETE", "/api/knowledge/a"),
        ):
            reply = client.request(method, path, json={})
            assert (reply.status_code, reply.json()["code"]) == (403, "read_only")
    assert board.engine.read().event == before


def test_a_huge_request_is_refused(client: TestClient):
    body = b'{"title": "%b"}' % (b"x" * access.LARGEST_BODY)
    assert client.post(TASKS, content=body).status_code == 413
    parts = (body[start : start + 65536] for start in range(0, len(body), 65536))
    assert client.post(TASKS, content=parts).status_code == 413  # without its length
    assert client.get(f"{TASKS}?x={'y' * access.LONGEST_QUERY}").status_code == 413


@pytest.mark.parametrize("first", [b"", b'{"title": '])
def test_a_body_that_does_not_arrive_in_time_is_refused(
    monkeypatch: pytest.MonkeyPatch, first: bytes
):
    """The rest of this body never comes."""
    monkeypatch.setattr(access, "BODY_TIME", 0.05)
    parts = [{"type": "http.request", "body": first, "more_body": True}] if first else []

    async def receive() -> Message:
        if not parts:
            await anyio.sleep_forever()
        return parts.pop()

    request = Request({"type": "http", "method": "POST", "headers": []}, receive)
    with pytest.raises(answers.HttpProblem) as caught:
        anyio.run(access.read_body, request)
    assert (caught.value.status, caught.value.code) == (408, "too_slow")


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "__proto__"]
)
def test_what_agents_write_comes_only_as_data(client: TestClient, text: str):
    """As JSON or plain text, which no browser runs, and which no browser guesses to be a page."""
    client.post(TASKS, json={"title": text, "description": text})
    client.put("/api/knowledge/parser", json={"content": text})
    for path in (
        TASKS,
        "/api/status",
        "/api/status/text",
        "/api/events",
        "/api/knowledge/parser",
        f"/{text}",
    ):
        reply = client.get(path)
        assert re.match(r"(application/(problem\+)?json|text/plain)", reply.headers["content-type"])
        assert reply.headers["x-content-type-options"] == "nosniff"


def test_a_name_that_is_special_in_a_browser_is_only_a_key(client: TestClient, board: Orchestrator):
    body = b'{"title": "T", "__proto__": {"is_admin": true}}'
    assert client.post(TASKS, content=body).status_code == 400
    assert len(board.tasks.all()) == 1


def test_each_error_of_the_family_has_a_status():
    from orchestrator.core import errors

    family = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.OrchestratorError)
    ]
    for kind in family:
        assert 400 <= answers.details_of(kind("Why"))["status"] < 600


def test_an_unexpected_failure_says_nothing_of_its_cause(
    board: Orchestrator, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Orchestrator, "status", None)
    gate = access.rules_of(TOKEN, ["127.0.0.1"], 8137)
    from orchestrator import AsyncOrchestrator
    from orchestrator.interfaces.web.app import Service, application

    app: Any = application(Service(AsyncOrchestrator(board), "kim"), gate)
    with TestClient(app, URL, headers=BEARER, raise_server_exceptions=False) as client:
        reply = client.get("/api/status")
    assert (reply.status_code, reply.json()["detail"]) == (500, "The server failed")
    assert "NoneType" not in reply.text
