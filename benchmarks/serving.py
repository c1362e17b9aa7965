"""The server for agents against a server of the SDK that has one tool and does nothing."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from time import perf_counter, process_time
from typing import Any

from benchmarks.boards import Boards
from benchmarks.measure import ROOT, Figure, computed, environment, interleave, ms, ratio
from orchestrator import Orchestrator

SMALL = 100

OURS = ["-P", "-m", "orchestrator.interfaces.mcp", "--client", "codex"]
BARE = [
    "-c",
    """
import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types import CallToolResult, ListToolsResult, TextContent, Tool

text = {"type": "object", "properties": {"text": {"type": "string"}}}
tool = Tool(name="note", description="Return the text.", input_schema=text)

async def list_tools(context, params):
    return ListToolsResult(tools=[tool])

async def call_tool(context, params):
    return CallToolResult(content=[TextContent(type="text", text=params.arguments["text"])])

async def main():
    server = Server("bare", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())

anyio.run(main)
""",
]


class _Host:
    """A program that has started a server, and speaks to it."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._number = 0
        client = {"name": "benchmark", "version": "1"}
        version = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
        self.ask("initialize", version)
        self._write({"method": "notifications/initialized"})
        self.ask("tools/list", {})

    def ask(self, method: str, params: dict[str, Any]) -> Any:
        """The result of a request."""
        self._number += 1
        self._write({"id": self._number, "method": method, "params": params})
        assert self._process.stdout is not None
        answer = json.loads(self._process.stdout.readline())
        if "result" not in answer or answer["result"].get("isError"):
            raise RuntimeError(f"{method}: {answer}")
        return answer["result"]

    def cpu(self) -> float:
        """Seconds that the server has computed."""
        return computed(self._process.pid)

    def _write(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self._process.stdin.flush()


@contextmanager
def _served(words: list[str], board: str) -> Iterator[_Host]:
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        env=environment(board) | {"ORC_AGENT": "agent-1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        yield _Host(process)
        assert process.stdin is not None
        process.stdin.close()


def starting(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """From the start of the process to the first answer to `tools/list`."""
    board = boards.copy(boards.tasks(SMALL))

    def start(words: list[str]) -> float:
        begin = perf_counter()
        with _served(words, board):
            return perf_counter() - begin

    start(OURS)
    ours, bare = interleave(4 if quick else 15, lambda: start(OURS), lambda: start(BARE))
    boards.drop(board)
    yield Figure(
        name="serve-start",
        what="start of the MCP server to its first `tools/list`, against a bare server of the SDK",
        measured=ratio(ours, bare),
        bound=1.15,
        detail=f"{ms(ours)} against {ms(bare)}",
    )


def calling(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """A call that changes the board: CPU against a bare call and the same command in a process."""
    board = boards.copy(boards.tasks(SMALL))
    calls, rounds = 100, 3 if quick else 9
    with (
        Orchestrator.open(board, agent="agent-1") as orc,
        _served(OURS, board) as server,
        _served(BARE, board) as bare,
    ):
        task = orc.tasks.next()
        assert task is not None

        def served(host: _Host, arguments: dict[str, Any]) -> float:
            begin = host.cpu()
            for number in range(calls):
                text = f"Note {number}"
                host.ask("tools/call", {"name": "note", "arguments": {"text": text, **arguments}})
            return (host.cpu() - begin) / calls

        def plain() -> float:
            begin = process_time()
            for number in range(calls):
                orc.tasks.note(task.id, f"Note {number}")
            return (process_time() - begin) / calls

        ours, least, command = interleave(
            rounds,
            lambda: served(server, {"task": task.id}),
            lambda: served(bare, {}),
            plain,
        )
    boards.drop(board)
    both = [a + b for a, b in zip(least, command, strict=True)]
    yield Figure(
        name="serve-call",
        what="the tool `note`: CPU, against a bare call and `orc.tasks.note` in a process",
        measured=ratio(ours, both),
        bound=1.5,
        detail=f"{ms(ours)} against {ms(least)} and {ms(command)}; {median(ours) * 1e6:.0f} us",
    )
