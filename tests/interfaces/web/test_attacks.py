"""Attacks by bytes, paths, names and floods: each works on a naive version, and fails on ours.

Those that a page of another site tries are in ``test_access.py``.
"""

import os
import re
import socket
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import anyio
import pytest
from starlette.testclient import TestClient

from orchestrator import AsyncOrchestrator, Orchestrator
from orchestrator.interfaces.web import stream

from .conftest import TOKEN, client_of
from .process import ServerProcess, serving

TASKS = "/api/workstreams/build/tasks"


# Two requests that look like one


def _smuggled(port: int, token: str) -> bytes:
    body = b'{"title": "Smuggled"}'
    head = f"POST {TASKS} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
    return b"%bContent-Length: %d\r\n\r\n%b" % (head.encode(), len(body), body)


def _naive_requests(data: bytes) -> list[bytes]:
    """The first lines of the requests, as read by a server that supports only Content-Length."""
    lines = []
    while data.strip():
        head, _, data = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        lines.append(head.partition(b"\r\n")[0])
        data = data[int(length[1]) if length else 0 :]
    return lines


def _answers(server: ServerProcess, data: bytes) -> list[int]:
    """The statuses of all answers, until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        client.sendall(data)
        received = b""
        while part := client.recv(65536):
            received += part
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", received)]


@pytest.mark.parametrize(
    "lengths",
    [
        b"Content-Length: 0\r\nTransfer-Encoding: chunked",
        b"Content-Length: 0\r\nTransfer-Encoding: xchunked",
        b"Content-Length: 0\r\nContent-Length: 500",
        b"Content-Length: 0\r\nX: y\r\nTransfer-Encoding : chunked",
        b"Content-Length: 0\r\nHost: evil.example",
    ],
)
def test_a_request_with_two_meanings_is_refused_with_all_that_is_behind_it(
    place: Path, home: Path, lengths: bytes
):
    with serving(place, home, "--port", "0") as server:
        host = f"Host: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {server.token}\r\n".encode()
        head = b"POST /api/agents/kim/heartbeat HTTP/1.1\r\n%b%b\r\n\r\n" % (host, lengths)
        data = head + _smuggled(server.port, server.token)
        assert len(_naive_requests(data)) == 2
        assert _answers(server, data) in ([400], [501])
        assert server.request("GET", TASKS) == (200, [])


# Paths that lead elsewhere


@pytest.mark.parametrize(
    "topic",
    [
        "..%2f..%2fsecret",
        "%2e%2e%2f%2e%2e%2fsecret",
        "../../secret",
        "parser%2f..%2f..%2f..%2fsecret",
        "./../../secret",
    ],
)
def test_no_topic_is_a_path_out_of_the_board(place: Path, topic: str):
    """A naive server joins the folder and the name."""
    secret = place.parent / "secret.md"
    secret.write_text("the secret")
    naive = os.path.normpath(os.path.join(place, "knowledge", f"{unquote(topic)}.md"))
    assert Path(naive).read_text() == "the secret"
    with Orchestrator.open(place) as orc, client_of(orc) as client:
        for path in (f"/api/knowledge/{topic}", f"/page/{topic}", f"/{topic}"):
            assert "the secret" not in client.get(path).text
        reply = client.put(f"/api/knowledge/{topic}", json={"content": "x"})
        assert reply.status_code in (400, 404, 405)
        reply = client.get("/api/commands/knowledge/read", params={"topic": unquote(topic)})
        assert reply.status_code in (400, 404)
    assert secret.read_text() == "the secret"


@pytest.mark.parametrize(
    "topic", ["..%5c..%5csecret", "%252e%252e%252fsecret", "a%00b", "%c0%ae%c0%ae%2fsecret", "%0a"]
)
def test_no_topic_is_decoded_twice_or_otherwise(client: TestClient, topic: str):
    reply = client.put(f"/api/knowledge/{topic}", json={"content": "x"})
    assert (reply.status_code, reply.json()["code"]) == (400, "bad_name")
    assert client.get("/api/knowledge").json() == []


# Names that mean more than they say


@pytest.mark.parametrize("name", ["__proto__", "constructor", "prototype"])
def test_no_argument_is_a_name_of_the_language_of_pages(
    client: TestClient, board: Orchestrator, name: str
):
    """A naive server merges what it is given into its record."""
    record = SimpleNamespace(title="T")
    vars(record).update({name: {"is_admin": True}})
    assert vars(record)[name] == {"is_admin": True}
    before = board.engine.read().event
    given: dict[str, Any] = {"workstream": "build", "title": "T", name: {"is_admin": True}}
    assert client.post("/api/commands/task/add", json=given).status_code == 400
    assert client.get("/api/commands/task/list", params={name: "x"}).status_code == 400
    assert board.engine.read().event == before


def test_no_header_of_an_answer_has_a_line_of_the_request(client: TestClient):
    query = "per_page=1&x=%0d%0aSet-Cookie:%20a=b"
    assert "\r\nSet-Cookie" in unquote(query)  # what a naive server puts into its links
    headers = client.get(f"/api/events?{query}").headers
    assert "set-cookie" not in headers
    assert "%0D%0ASet-Cookie" in headers["link"]


@pytest.mark.parametrize(
    "header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-Method"]
)
def test_no_header_makes_a_change_of_a_question(board: Orchestrator, header: str):
    """A server that only shows the board would change it."""
    before = board.engine.read().event
    with client_of(board, is_read_only=True) as client:
        reply = client.request("GET", TASKS, headers={header: "POST"})
        assert reply.status_code == 200
        assert client.request("TRACE", TASKS).status_code in (403, 405)
    assert board.engine.read().event == before


# What others could see


def test_the_token_is_in_no_address_that_others_get_to_know(board: Orchestrator):
    """A naive server leaves it in the address of the page, which names itself as Referer of what it loads."""
    with client_of(board) as client:
        entered = client.get(f"/?token={TOKEN}")
        assert TOKEN not in entered.headers["location"]
        assert entered.headers["referrer-policy"] == "no-referrer"
        assert entered.headers["cache-control"] == "no-store"
        shown = client.get("/", headers={"Accept": "text/html"})
        assert TOKEN not in shown.text
        assert TOKEN not in str(shown.headers)


def test_only_with_the_gate_no_page_shows_the_board_in_a_frame(board: Orchestrator):
    for is_gated in (False, True):
        with client_of(board, is_gated=is_gated) as client:
            headers = client.get("/api/status").headers
        assert (headers.get("x-frame-options") == "DENY") is is_gated
        assert ("frame-ancestors 'none'" in headers.get("content-security-policy", "")) is is_gated


# Floods


class Flood:
    """Clients that read nothing of large events."""

    def __init__(self, orc: Orchestrator) -> None:
        self.log = stream.LiveLog(AsyncOrchestrator(orc))
        self._events = self.log._orc.events
        self.held: list[int] = []
        self.kept = 0

    async def _receive(self) -> Any:
        await anyio.sleep_forever()

    async def _send(self, message: Any) -> None:
        if len(message.get("body", b"")) > 100:
            self.held.append(len(message["body"]))
            await anyio.sleep_forever()

    def _client(self, after: int) -> Any:
        client = stream.EventStream(self.log, after, stream.WantedEvents())
        return partial(client, {}, self._receive, self._send)

    async def run(self) -> None:
        """Let one client follow from the beginning, and some more after many events."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.log.follow)
            tasks.start_soon(self._client(await self.log.last()))
            while not self.held:
                await self._events.log("kim", "ci.begun", text="x" * 100)
                await anyio.sleep(0.01)
            for _ in range(100):
                await self._events.log("kim", "ci.done", text="x" * 200_000)
            end = (await self.log._end())[0]
            while self.log.head < end:
                await anyio.sleep(0.01)
            for _ in range(20):
                tasks.start_soon(self._client(end - 60))
            while len(self.held) < 21:
                await anyio.sleep(0.01)
            self.kept = sum(len(event.data) for event in self.log._events)
            self.log.end()
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("is_naive", [True, False])
def test_followers_that_read_nothing_hold_little_of_large_events(
    place: Path, monkeypatch: pytest.MonkeyPatch, is_naive: bool
):
    """What is kept of 20 MB of events, and what each of 20 clients waits to be sent."""
    if is_naive:
        monkeypatch.setattr(stream, "LARGEST_KEPT", 1 << 40)
        monkeypatch.setattr(stream, "LARGEST_AT_ONCE", 1 << 40)
    with Orchestrator.open(place) as orc:
        flood = Flood(orc)
        anyio.run(flood.run)
    assert (flood.kept > 16 << 20) is is_naive
    assert (sum(flood.held) > 100 << 20) is is_naive
