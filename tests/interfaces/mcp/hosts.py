"""A program that starts an MCP server and talks to it, byte by byte, as clients do."""

import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE
from typing import Any

from orchestrator.interfaces.mcp import server as _imported_before_servers_begin  # noqa: F401
from tests import forked

PATIENCE = 120.0

CHANNEL = "notifications/claude/channel"


class Closed(Exception):
    """The server has ended."""


class Host:
    """A server of a board, and what it has written.

    Args:
        board: The board.
        agent: The name that the user gives the agent; empty for none.
        words: Options of the server.
        client: The name of the client.
        experimental: Capabilities of the client.
        variables: More variables.

    Attributes:
        pushes: The parameters of the pushes that arrived.
    """

    def __init__(
        self,
        board: Path,
        agent: str = "",
        *words: str,
        client: str = "tester",
        experimental: dict[str, Any] | None = None,
        **variables: str,
    ) -> None:
        ours = {name: text for name, text in os.environ.items() if not name.startswith("ORC")}
        ours |= {"ORCHESTRATOR_DIR": str(board), **variables}
        ours |= {"ORC_AGENT": agent} if agent else {}
        self.process = forked.popen(["mcp", *words], env=ours, stdin=PIPE, stdout=PIPE)
        self.pushes: list[dict[str, Any]] = []
        self.instructions = ""
        self._client = {"name": client, "version": "1"}
        self._experimental = experimental or {}
        self._answers: dict[int, Any] = {}
        self._number = 0
        self._has_ended = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if not line.endswith(b"\n"):
                break  # the server was killed while it wrote
            message = json.loads(line)
            with self._news:
                if message.get("method") == CHANNEL:
                    self.pushes.append(message["params"])
                elif "id" in message:
                    self._answers[message["id"]] = message
                self._news.notify_all()
        with self._news:
            self._has_ended = True
            self._news.notify_all()

    def open(self, version: str = "2025-06-18") -> "Host":
        """Shake hands; the server knows its client then."""
        capabilities = {"experimental": self._experimental} if self._experimental else {}
        answer = self.request(
            "initialize",
            protocolVersion=version,
            capabilities=capabilities,
            clientInfo=self._client,
        )
        self.capabilities = answer["capabilities"]
        self.instructions = answer["instructions"]
        self.send(method="notifications/initialized")
        return self

    def open_stateless(self) -> "Host":
        """Talk the protocol 2026-07-28 from now on, which has no handshake."""
        self._meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": self._client,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        return self

    _meta: dict[str, Any] | None = None

    def send(self, **message: Any) -> None:
        """Write a message."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            self.process.stdin.flush()
        except (OSError, ValueError) as error:
            raise Closed from error

    def request(self, method: str, **params: Any) -> Any:
        """The result of a request."""
        with self._news:
            self._number += 1
            number = self._number
        if self._meta is not None:
            params["_meta"] = self._meta
        self.send(id=number, method=method, params=params)
        self.wait(lambda: number in self._answers)
        answer = self._answers[number]
        assert "result" in answer, answer
        return answer["result"]

    def call(self, tool: str, /, **arguments: Any) -> str:
        """The text of a tool call that succeeds."""
        result = self.request("tools/call", name=tool, arguments=arguments)
        text = "\n".join(content["text"] for content in result["content"])
        assert not result.get("isError"), text
        return text

    def error(self, tool: str, /, **arguments: Any) -> str:
        """The text of a tool call that fails."""
        result = self.request("tools/call", name=tool, arguments=arguments)
        assert result["isError"]
        return str(result["content"][0]["text"])

    def wait(self, condition: Callable[[], object]) -> None:
        """Wait for what the server writes.

        Raises:
            Closed: It has ended before.
        """
        deadline = time.monotonic() + PATIENCE
        with self._news:
            while not condition():
                if self._has_ended:
                    raise Closed
                left = deadline - time.monotonic()
                assert left > 0, "the server did not write it"
                self._news.wait(left)

    def pushed(self, count: int) -> list[str]:
        """The contents of the pushes, once there are so many."""
        self.wait(lambda: len(self.pushes) >= count)
        return [push["content"] for push in self.pushes]

    def kill(self) -> None:
        """Kill the server, and read what it had written."""
        self.process.kill()
        self._end()

    def close(self) -> int:
        """Close stdin; the exit status of the server."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self._end()

    def _end(self) -> int:
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with suppress(OSError):  # what was not flushed to a killed server
                stream.close()
        return status


def until(condition: Callable[[], object]) -> None:
    """Wait for what another process does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
