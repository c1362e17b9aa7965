"""Real receivers for notices: a server of webhooks, one for mail, and a port that takes and never answers."""

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Webhooks:
    """A server whose path selects the answer: ``/500``, ``/302``, ``/hang``, else 200."""

    def __init__(self) -> None:
        self.received: list[tuple[str, str, Any]] = []
        self.arrived = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.status = 200
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                authorization = self.headers.get("Authorization", "")
                outer.received.append((self.path, authorization, json.loads(body or b"null")))
                outer.arrived.release()
                word = self.path.split("/")[1].partition("?")[0]
                if word == "hang":
                    outer.go_on.wait()
                status = int(word) if word.isdecimal() else outer.status
                self.send_response(status)
                if status in (301, 302, 307):
                    self.send_header("Location", f"{outer.url}/elsewhere")
                if status == 429:
                    self.send_header("Retry-After", "1")
                self.end_headers()

            do_GET = do_POST  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.address}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def paths(self) -> list[str]:
        return [path for path, _, _ in self.received]

    def close(self) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that takes connections and never writes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
