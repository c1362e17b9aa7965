"""Mail pushed into sessions: the time from the commit to the push, and messages a second."""

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks.boards import Boards
from benchmarks.measure import ROOT, Figure, environment
from orchestrator import Orchestrator

SMALL = 100
_PATIENCE = 60.0
_PAUSE = 0.02
"""Seconds between two messages, in which the session waits again."""


class _McpSession:
    """A session: an MCP server, its answers, and its pushes with the times at which they were read."""

    def __init__(self, board: str, agent: str) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-P", "-m", "orchestrator.interfaces.mcp"],
            cwd=ROOT,
            env=environment(board) | {"ORC_AGENT": agent},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.pushes: queue.SimpleQueue[float] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        self._request(
            "initialize",
            protocolVersion="2025-06-18",
            capabilities={"experimental": {"claude/channel": {}}},
            clientInfo={"name": "benchmark", "version": "1"},
        )
        self._send({"method": "notifications/initialized"})
        self.call("whoami")

    def _read(self) -> None:
        assert self._server.stdout is not None
        for line in self._server.stdout:
            if b'"notifications/claude/channel"' in line:
                self.pushes.put(perf_counter())
            else:
                self._answers.put(json.loads(line))

    def _send(self, message: dict[str, Any]) -> None:
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self._server.stdin.flush()

    def _request(self, method: str, **params: Any) -> dict[str, Any]:
        self._send({"id": 1, "method": method, "params": params})
        return self._answers.get(timeout=_PATIENCE)

    def call(self, tool: str, **arguments: Any) -> None:
        """Call a tool.

        Raises:
            RuntimeError: It failed.
        """
        answer = self._request("tools/call", name=tool, arguments=arguments)
        if answer.get("result", {}).get("isError", True):
            raise RuntimeError(f"{tool}: {answer}")

    def end(self) -> None:
        """Close stdin, and wait for the end."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(_PATIENCE)
        self._server.stdout.close()


def pushing(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """From the commit of a message until the session of its recipient has it."""
    board = boards.copy(boards.tasks(SMALL))
    rounds = 15 if quick else 101
    taken: list[float] = []
    session = _McpSession(board, "ann")
    with Orchestrator.open(board, agent="bob") as orc:
        store, committed = orc.engine.store, [0.0]
        append = store.append

        def timed(*args: Any) -> Any:
            end = append(*args)
            committed[0] = perf_counter()
            return end

        store.append = timed  # type: ignore[method-assign, assignment]
        for number in range(rounds):
            orc.mail.send("ann", f"Message {number}", "Look at part 7, please.")
            taken.append(1000 * (session.pushes.get(timeout=_PATIENCE) - committed[0]))
            time.sleep(_PAUSE)
    session.end()
    boards.drop(board)
    yield Figure(
        name="push",
        what="commit of a message until the session of its recipient has it, median",
        measured=median(taken),
        bound=3.0,
        unit=" ms",
        detail=f"{min(taken):.1f} to {max(taken):.1f} ms in {rounds} rounds",
    )


def flowing(boards: Boards, *, quick: bool) -> Iterator[Figure]:
    """Messages a second through MCP servers, from the calls of the senders to the pushes."""
    for senders, words in ((1, "one sender"), (7, "seven senders")):
        board = boards.copy(boards.tasks(SMALL))
        each = (70 if quick else 420) // senders
        recipient = _McpSession(board, "ann")
        sessions = [_McpSession(board, f"sender-{number}") for number in range(senders)]

        def send_all(session: _McpSession, each: int = each) -> None:
            for number in range(each):
                session.call("send_message", to="ann", text=f"Message {number}")

        threads = [threading.Thread(target=send_all, args=(session,)) for session in sessions]
        begun = perf_counter()
        for thread in threads:
            thread.start()
        for _ in range(each * senders):
            recipient.pushes.get(timeout=_PATIENCE)
        seconds = perf_counter() - begun
        for thread in threads:
            thread.join()
        for session in (recipient, *sessions):
            session.end()
        boards.drop(board)
        yield Figure(
            name="messages",
            what=f"messages a second into a session through MCP, {words}",
            measured=each * senders / seconds,
            unit=" /s",
            detail=f"{each * senders} messages in {seconds:.1f} s, two synced commits for each",
        )
