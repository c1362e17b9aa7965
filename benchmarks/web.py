"""``orc serve``: requests a second against a bare route, what followers cost, memory."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from time import perf_counter

from benchmarks.boards import Boards
from benchmarks.measure import ROOT, Figure, interleave
from orchestrator import Orchestrator

FOLLOWERS = 100

AGENTS = 8
"""How many ask for their next task at once."""

BARE = """
import asyncio, socket, sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

async def nothing(request):
    await request.body()
    return Response(b"{}", media_type="application/json")

listener = socket.create_server(("127.0.0.1", 0))
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
print(listener.getsockname()[1], flush=True)
app = Starlette(routes=[Route("/", nothing, methods=["GET", "POST"])])
config = uvicorn.Config(app, http="h11", log_config=None, access_log=False, timeout_keep_alive=60)
asyncio.run(uvicorn.Server(config).serve([listener]))
"""
"""A server of the same framework with a route that does nothing."""


class Client:
    """A connection that is kept, without the cost of a library."""

    def __init__(self, port: int, token: str = "") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._file = self._socket.makefile("rb")
        self._head = f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"

    def send(self, method: str, path: str, body: str = "") -> None:
        head = f"{method} {path} HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(f"{head}{body}".encode())

    def ask(self, method: str, path: str, body: str = "") -> None:
        self.send(method, path, body)
        self.read()

    def read(self) -> None:
        status, length = self._file.readline(), 0
        assert b" 200 " in status, status
        while (line := self._file.readline()) != b"\r\n":
            if line.lower().startswith(b"content-length:"):
                length = int(line[15:])
        self._file.read(length)

    def line(self) -> bytes:
        return self._file.readline()


@contextmanager
def serving(board: str) -> Iterator[tuple[int, str, int]]:
    """The port, the token and the process of a server."""
    with tempfile.TemporaryDirectory() as home:
        words = ["--json", "--board", board, "--agent", "kim", "serve", "--port", "0"]
        with _process(["cli.py", *words], {"XDG_DATA_HOME": home}) as (line, pid):
            shown = json.loads(line)
            token = shown["link"].partition("token=")[2]
            yield int(shown["url"].rstrip("/").rpartition(":")[2]), token, pid


@contextmanager
def _process(words: list[str], more: dict[str, str]) -> Iterator[tuple[str, int]]:
    """A process, and the first line that it prints."""
    command = [sys.executable, *words]
    environment = {**os.environ, **more}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline(), process.pid
        finally:
            process.kill()


def answering(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """``status`` and ``next`` against a route that does nothing."""
    board = boards.copy(boards.tasks(100))
    with Orchestrator.open(board, agent="kim") as orc:
        orc.workstreams.create("bench")
        with orc.transaction():
            for number in range(8000):
                orc.tasks.add("bench", title=f"Task {number}")
    small = boards.copy(boards.tasks(100))
    times = 100 if quick else 300
    rounds = 3 if quick else 7
    with ExitStack() as stack:
        line, _ = stack.enter_context(_process(["-c", BARE], {}))
        few = stack.enter_context(serving(small))[:2]
        many = stack.enter_context(serving(board))[:2]
        path, body = "/api/workstreams/bench/next", '{{"agent": "agent-{}"}}'
        rows = (
            ("status of 100 tasks", 0.4, few, 1, "GET", "/api/status", ""),
            (f"next by {AGENTS} agents at once", 0.15, many, AGENTS, "POST", path, body),
            ("next by one agent", None, many, 1, "POST", path, body),
        )
        for what, bound, server, number, method, path, body in rows:
            bare, clients = [[Client(*to) for _ in range(number)] for to in ((int(line),), server)]

            def repeat(clients: list[Client], method: str, path: str, body: str) -> float:
                begun = perf_counter()
                for _ in range(times // len(clients)):
                    for each, client in enumerate(clients):
                        client.send(method, path, body.format(each))
                    for client in clients:
                        client.read()
                return (perf_counter() - begun) / (times // len(clients) * len(clients))

            repeat(clients, method, path, body)
            ours, none = interleave(
                rounds,
                lambda c=clients, m=method, p=path, b=body: repeat(c, m, p, b),  # type: ignore[misc]
                lambda c=bare, m=method, b=body: repeat(c, m, "/", b),  # type: ignore[misc]
            )
            yield Figure(
                name="web",
                what=f"requests a second for {what} against a route that does nothing",
                measured=median(none) / median(ours),
                bound=bound,
                at_least=True,
                detail=f"{1 / median(ours):.0f} against {1 / median(none):.0f}",
            )


def following(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """The CPU of the server for each event that 100 clients follow, and its memory at 10,000 tasks."""
    board = boards.copy(boards.tasks(10_000))
    events = 50 if quick else 200
    with serving(board) as (port, token, pid), Orchestrator.open(board, agent="kim") as orc:
        clients = [Client(port, token) for _ in range(FOLLOWERS)]
        for client in clients:
            client.send("GET", "/api/stream")
            while client.line() != b"retry: 1000\n":
                pass
        Client(port, token).ask("GET", "/api/status")
        orc.workstreams.create("bench")
        before, begun = _cpu(pid), perf_counter()
        for number in range(events):
            orc.events.log("kim", "bench.done", number=number)
        wanted = f'"number":{events - 1}}}'.encode()
        for client in clients:
            while wanted not in client.line():
                pass
        seconds, cpu = perf_counter() - begun, _cpu(pid) - before
        yield Figure(
            name="web-follow",
            what=f"CPU of the server for an event that {FOLLOWERS} clients follow",
            measured=1000 * cpu / events,
            unit="ms",
            detail=f"{events} events in {seconds:.2f} s",
        )
        yield Figure(
            name="web-follow",
            what=f"memory of the server at 10,000 tasks with {FOLLOWERS} clients",
            measured=_memory(pid),
            bound=120.0,
            unit="MB",
        )


def _cpu(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> float:
    with open(f"/proc/{pid}/status") as file:
        line = next(line for line in file if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
