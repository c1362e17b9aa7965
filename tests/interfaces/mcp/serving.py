"""Servers of a board for tests: in this process, started by the official client, or as bytes on pipes."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from subprocess import PIPE
from types import TracebackType
from typing import Any, Self

import anyio
import mcp.client.session
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import get_default_environment
from mcp.server.stdio import stdio_server
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, KNOWN_PROTOCOL_VERSIONS

from orchestrator import Orchestrator
from orchestrator.interfaces.mcp import messages
from orchestrator.interfaces.mcp.offer import agent_server
from orchestrator.interfaces.mcp.served_board import ServedBoard
from tests import forked

PATIENCE = 60.0
"""Seconds that a test waits at most; nothing depends on how fast it is."""

MODULE = ("-P", "-m", "orchestrator.interfaces.mcp")

every_version = pytest.mark.parametrize("version", KNOWN_PROTOCOL_VERSIONS)
"""All versions of the protocol that the SDK speaks."""


class InProcess:
    """A server for an agent in this process."""

    def __init__(self, board: Path, agent: str, tools: str = "standard") -> None:
        self.board, self.agent, self.tools = board, agent, tools

    def run(self, use: Callable[[Client], Any], mode: str = "auto") -> Any:
        async def main() -> Any:
            warnings: list[str] = []
            with Orchestrator.open(self.board, agent=self.agent, warn=warnings.append) as orc:
                server = agent_server(
                    ServedBoard(orc), self.tools, messages.Self(self.agent), warnings
                )
                async with Client(server.sdk, mode=mode) as client:
                    return await use(client)

        return anyio.run(main)

    def call(self, tool: str, **arguments: Any) -> str:
        """The text of a call that succeeds."""
        result = self.result(tool, **arguments)
        assert not result.is_error, result
        return "\n".join(content.text for content in result.content)

    def error(self, tool: str, **arguments: Any) -> str:
        """The text of a call that fails."""
        result = self.result(tool, **arguments)
        assert result.is_error
        text: str = result.content[0].text
        return text

    def result(self, tool: str, **arguments: Any) -> Any:
        return self.run(lambda client: client.call_tool(tool, arguments))


def started(board: Path, *words: str, **variables: str) -> StdioServerParameters:
    """How a program starts a server of the board."""
    return StdioServerParameters(
        command=sys.executable,
        args=[*MODULE, *words],
        env={"ORCHESTRATOR_DIR": str(board), "HOME": str(board.parent), **variables},
    )


class _Stdin(anyio.AsyncFile[str]):
    """The stdin of a server; what its client writes after the end is lost."""

    async def write(self, text: Any) -> int:
        with _closed():
            return await super().write(text)

    async def flush(self) -> None:
        with _closed():
            await super().flush()


@contextmanager
def _closed() -> Iterator[None]:
    """Say that a file is closed as the SDK expects it."""
    try:
        yield
    except (BrokenPipeError, ValueError):
        raise anyio.ClosedResourceError from None


@asynccontextmanager
async def connected(parameters: StdioServerParameters) -> AsyncIterator[Any]:
    """A server that begins as a copy of this process, and the streams for its client."""
    words = ["mcp", *parameters.args[len(MODULE) :]]
    variables = get_default_environment() | (parameters.env or {})
    process = forked.popen(words, env=variables, stdin=PIPE, stdout=PIPE)
    reads = anyio.wrap_file(TextIOWrapper(process.stdout, encoding="utf-8"))
    writes = _Stdin(TextIOWrapper(process.stdin, encoding="utf-8"))
    try:
        # A client reads and writes the same lines as a server.
        async with stdio_server(reads, writes) as streams:
            yield streams
            await writes.aclose()
    except* anyio.BrokenResourceError:
        pass  # the server wrote a line after the client had left
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def official_client(board: Path, version: str, **settings: Any) -> AsyncIterator[Client]:
    """The official client with a server of its own, as the agent ann, speaking this version."""
    transport = connected(started(board, ORC_AGENT="ann"))
    is_old = version in HANDSHAKE_PROTOCOL_VERSIONS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mcp.client.session, "LATEST_HANDSHAKE_VERSION", version)
        async with Client(transport, mode="legacy" if is_old else version, **settings) as client:
            assert client.protocol_version == version
            yield client


class Host:
    """A program that speaks to a server of its own in bytes."""

    def __init__(self, board: Path, *words: str, code: str = "", **variables: str) -> None:
        env = {**os.environ, "ORCHESTRATOR_DIR": str(board), "ORC_AGENT": "ann", **variables}
        if code:
            command = [sys.executable, "-P", "-c", code, *words]
            self.process = subprocess.Popen(command, env=env, stdin=PIPE, stdout=PIPE)
        else:
            self.process = forked.popen(["mcp", *words], env=env, stdin=PIPE, stdout=PIPE)
        self._number = 0

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def notify(self, method: str, **params: Any) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        self.write(json.dumps(message).encode() + b"\n")

    def ask(self, method: str, **params: Any) -> int:
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        self.write(json.dumps(message).encode() + b"\n")
        return self._number

    def read(self) -> Any:
        """The next message, which is one of the protocol."""
        assert self.process.stdout is not None
        message = json.loads(self.process.stdout.readline())
        assert message["jsonrpc"] == "2.0"
        return message

    def answer(self, method: str, **params: Any) -> Any:
        number = self.ask(method, **params)
        answer = self.read()
        assert answer["id"] == number
        return answer.get("result", answer.get("error"))

    def shake_hands(self, version: str = "2024-11-05") -> Any:
        client = {"name": "by hand", "version": "1"}
        result = self.answer(
            "initialize", protocolVersion=version, capabilities={}, clientInfo=client
        )
        self.notify("notifications/initialized")
        return result

    def call(self, tool: str, **arguments: Any) -> str:
        """The text of a call."""
        text: str = self.answer("tools/call", name=tool, arguments=arguments)["content"][0]["text"]
        return text

    def end(self) -> tuple[bytes, int]:
        """Close stdin; the rest of stdout and the exit status."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        rest = self.process.stdout.read()
        return rest, self.process.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with suppress(OSError):  # what a server that ended has not read
                stream.close()
