"""A server as a process, and clients with real connections."""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.interfaces.web import server as _imported_before_servers_begin  # noqa: F401
from tests import forked

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = (sys.executable, "-m", "orchestrator")
WAIT = 60.0


class ServerProcess:
    """``orc serve`` on a board.

    Args:
        board: The board.
        home: The folder of the user's files.
        words: Options.
    """

    def __init__(self, board: Path, home: Path, *words: str) -> None:
        environment = {**os.environ, "XDG_DATA_HOME": str(home), "PYTHONPATH": str(ROOT)}
        self.process = forked.popen(
            ["--json", "--board", str(board), "--agent", "kim", "serve", *words],
            cwd=board,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()
        shown = json.loads(line)
        self.port = int(shown["url"].rstrip("/").rpartition(":")[2])
        self.token: str = shown["link"].partition("token=")[2]

    @property
    def headers(self) -> dict[str, str]:
        """What lets a request in."""
        return {"Authorization": f"Bearer {self.token}"}

    def connection(self) -> http.client.HTTPConnection:
        """A new connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT)

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask once."""
        connection = self.connection()
        data = json.dumps(body) if body is not None else None
        connection.request(method, path, data, self.headers)
        reply = connection.getresponse()
        text = reply.read()
        connection.close()
        return reply.status, json.loads(text) if text else None

    def end(self, number: int = signal.SIGTERM) -> str:
        """End it, and return what it has written on stderr."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=WAIT)[1].decode()


@contextmanager
def serving(board: Path, home: Path, *words: str) -> Iterator[ServerProcess]:
    """A server that is ended with the block."""
    server = ServerProcess(board, home, *words)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
        server.process.communicate(timeout=WAIT)


class Follower:
    """A client of the stream, which reads event by event."""

    def __init__(self, server: ServerProcess, query: str = "", **headers: str) -> None:
        self.connection = server.connection()
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request("GET", f"/api/stream{query}", headers={**server.headers, **given})
        self.reply = self.connection.getresponse()

    def events(self) -> Iterator[dict[str, Any]]:
        """The events, until the connection ends."""
        number = 0
        while True:
            try:
                line = self.reply.readline()
            except (http.client.IncompleteRead, ConnectionError):
                return
            if not line:
                return
            if line.startswith(b"id: "):
                number = int(line[4:])
            elif line.startswith(b"data: "):
                event = json.loads(line[6:])
                assert event["id"] == number
                yield event

    def close(self) -> None:
        """Leave."""
        self.connection.close()
