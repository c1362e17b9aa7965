"""The process of the server: its link, its token, its log, slow and many connections, its end."""

import asyncio
import http.client
import json
import re
import shlex
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from orchestrator.core.errors import UsageError
from orchestrator.interfaces.web import server as web
from orchestrator.interfaces.web.server import Address, Serving, token_of

from .process import PROGRAM, ROOT, ServerProcess, serving


def test_the_token_of_a_board_stays_until_another_one_is_wanted(home: Path):
    first = token_of("/a", folder=str(home))
    assert len(first) >= 43  # 256 bits
    assert token_of("/a", folder=str(home)) == first
    assert token_of("/b", folder=str(home)) != first
    second = token_of("/a", new=True, folder=str(home))
    assert second not in (first, "")
    assert token_of("/a", folder=str(home)) == second


@pytest.mark.needs("modes")
def test_only_the_user_can_read_the_token(home: Path):
    token_of("/a", folder=str(home))
    assert stat.S_IMODE((home / "serve.json").stat().st_mode) == 0o600


def test_the_token_is_in_no_log(place: Path, home: Path):
    with serving(place, home, "--port", "0") as server:
        assert server.request("POST", "/api/workstreams/build/tasks", {"title": "T"})[0] == 201
        connection = server.connection()
        connection.request("GET", f"/?token={server.token}")
        assert connection.getresponse().status == 303
        err = server.end()
        assert server.token not in err
        assert err == ""
    for path in place.rglob("*"):
        if path.is_file():
            assert server.token.encode() not in path.read_bytes()


def test_it_ends_at_once_with_clients_that_follow(place: Path, home: Path):
    from .process import Follower

    for number in (signal.SIGTERM, signal.SIGINT):
        with serving(place, home, "--port", "0") as server:
            follower = Follower(server)
            assert server.end(number) == ""
            assert list(follower.events()) == []


def _is_closed(connection: socket.socket) -> bool:
    """Whether the server closes the connection; its answer, if it gives one, is read before."""
    connection.settimeout(60)
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


def test_a_client_that_sends_a_head_slowly_is_disconnected(place: Path, home: Path):
    with serving(place, home, "--port", "0") as server:
        slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
        for each in slow[:10]:
            each.sendall(b"GET /api/status HTTP/1.1\r\nHost: ")
        assert server.request("GET", "/api/workstreams")[0] == 200
        assert all(_is_closed(each) for each in slow)


def test_a_request_that_has_begun_is_not_taken_for_a_slow_head(monkeypatch: pytest.MonkeyPatch):
    """Its wait begins before that of a slow head, which ends meanwhile."""
    monkeypatch.setattr(web, "HEAD_TIME", 0.05)
    is_over = asyncio.Event()

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await is_over.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def connected() -> bytes:
        config = uvicorn.Config(app, log_config=None)
        listener = await asyncio.get_running_loop().create_server(
            lambda: web.PatientProtocol(config, ServerState(), {}), "127.0.0.1", 0
        )
        port = listener.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        slow, slow_writer = await asyncio.open_connection("127.0.0.1", port)
        slow_writer.write(b"GET / HTTP/1.1\r\nHost: ")
        assert await slow.read() == b""
        is_over.set()
        line = await reader.readline()
        writer.close()
        slow_writer.close()
        listener.close()
        return line

    assert b" 204 " in asyncio.run(connected())


def test_a_head_that_is_too_long_is_refused(place: Path, home: Path):
    with serving(place, home, "--port", "0") as server:
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 100_000 + b"\r\n")
        assert _is_closed(client)
        assert server.request("GET", "/api/workstreams")[0] == 200


def test_many_requests_at_once_are_answered_or_refused(place: Path, home: Path):
    with serving(place, home, "--port", "0") as server:
        head = f"GET /api/workstreams HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        head += f"Authorization: Bearer {server.token}\r\nConnection: close\r\n\r\n"
        clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(300)]
        for each in clients:
            each.sendall(head.encode())
        for each in clients:
            each.settimeout(60)
            assert each.recv(12) in (b"HTTP/1.1 200", b"HTTP/1.1 503")
        assert server.request("GET", "/api/workstreams")[0] == 200


def test_two_servers_do_not_get_one_port(place: Path, home: Path):
    with serving(place, home, "--port", "0") as server:
        other = subprocess.run(
            [*PROGRAM, "--board", place, "--agent", "kim", "serve", "--port", str(server.port)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert other.returncode == 74
        assert "takes a free one" in other.stderr or "--port 0" in other.stderr


def test_an_address_for_other_machines_needs_a_word_and_warns_without_tls(place: Path, home: Path):
    with serving(place, home, "--port", "0", "--host", "0.0.0.0") as server:
        assert server.request("GET", "/api/workstreams")[0] == 200
        connection = server.connection()
        connection.request("GET", "/api/status", headers={**server.headers, "Host": "evil.example"})
        assert connection.getresponse().status == 421
        assert "without --cert" in server.end()
    listening = Serving(Address(), "t")
    assert listening.url.startswith("http://127.0.0.1:")
    listening.close()


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path):
    with pytest.raises(UsageError):
        Serving(Address(certificate=str(tmp_path / "none.pem")), "t")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
def test_with_a_certificate_it_is_reached_by_tls_only(place: Path, home: Path, tmp_path: Path):
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    words += " -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        ["openssl", *words.split(), "-keyout", key, "-out", cert], check=True, capture_output=True
    )
    with serving(place, home, "--port", "0", "--cert", cert, "--key", key) as server:
        trusting = ssl.create_default_context(cafile=cert)
        client = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=60, context=trusting)
        client.request("GET", "/api/workstreams", headers=server.headers)
        reply = client.getresponse()
        assert (reply.status, json.loads(reply.read())[0]["name"]) == (200, "build")
        client.close()
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            server.request("GET", "/api/workstreams")


def test_a_command_of_a_request_does_not_see_the_terminal_of_the_server(place: Path, home: Path):
    """Else `task edit` would open an editor there."""
    with serving(place, home, "--port", "0") as server:
        _, task = server.request("POST", "/api/workstreams/build/tasks", {"title": "T"})
        status, problem = server.request("POST", "/api/commands/task/edit", {"task": task["id"]})
        assert status in (400, 422)
        assert problem["code"] == "usage"


def test_without_a_board_there_is_no_server_and_no_new_board(tmp_path: Path):
    program = [
        *PROGRAM,
        "--board",
        str(tmp_path / "typo"),
        "--agent",
        "kim",
        "serve",
        "--port",
        "0",
    ]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert not (tmp_path / "typo").exists()


def test_other_commands_do_not_load_the_server(place: Path):
    done = subprocess.run(
        [
            sys.executable,
            "-X",
            "importtime",
            *PROGRAM[1:],
            "--board",
            place,
            "next",
            "build",
            "ann",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "orchestrator.engine" in loaded
    assert loaded.isdisjoint({"starlette", "uvicorn", "anyio", "orchestrator.interfaces.web"})


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_requests_of_the_guide_are_answered(place: Path, home: Path):
    guide = (ROOT / "docs" / "guides" / "window.md").read_text()
    lines = re.findall(r"^\$ (curl .*)$", guide, re.MULTILINE)
    assert len(lines) > 10
    with serving(place, home, "--port", "0") as server:
        auth, url = f"Authorization: Bearer {server.token}", f"http://127.0.0.1:{server.port}"
        for line in lines:
            words = shlex.split(line.replace("$AUTH", auth).replace("$URL", url))
            done = subprocess.run(
                [*words, "-w", "\n%{http_code}"], capture_output=True, text=True, check=False
            )
            assert done.stdout.splitlines()[-1] in ("200", "201"), (line, done.stdout)
            if "/api/stream" in line:
                assert "id: 3\ndata: " in done.stdout


def test_the_link_is_json_with_json(place: Path, home: Path):
    server = ServerProcess(place, home, "--port", "0")
    assert server.token
    assert json.dumps(server.headers)
    server.end()
