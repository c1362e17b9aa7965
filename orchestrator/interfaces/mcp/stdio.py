"""The connection to the host: messages of JSON-RPC, a line each, on stdin and stdout.

The SDK has such a transport too. It takes stdout away from other code only once it serves, so what a
library prints before that reaches the host. It drops a line that it cannot read, so the host waits for the
answer for ever. And SIGTERM does not end its reader.
"""

import json
import os
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    PARSE_ERROR,
    PROTOCOL_VERSION_META_KEY,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
)
from mcp_types.jsonrpc import jsonrpc_message_adapter
from pydantic import ValidationError

from orchestrator.core import system
from orchestrator.interfaces.mcp.descriptors import Descriptors

LONGEST_LINE = 1 << 24
"""Bytes of a message; a longer one is refused before it is read."""


class HostLink:
    """The way to the host, for messages that answer no request.

    Attributes:
        opened: Set once the host takes notifications: after the handshake, or with its first request
            if its version of the protocol has none.
        client_name: The name that the client gives itself.
        client_experimental: The experimental capabilities that it declares.
    """

    def __init__(self, descriptor: int) -> None:
        self.opened = anyio.Event()
        self.client_name = ""
        self.client_experimental: dict[str, Any] = {}
        self._descriptor = descriptor
        self._order = anyio.Lock()

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Send a notification; it has been handed to the system when this returns.

        Raises:
            OSError: The host does not read any more.
        """
        notification = JSONRPCNotification(jsonrpc="2.0", method=method, params=dict(params))
        await self.send(notification)

    async def send(self, message: JSONRPCMessage) -> None:
        """Send a message; the same holds."""
        try:
            text = message.model_dump_json(by_alias=True, exclude_unset=True)
        except ValueError:  # a text with a lone surrogate
            fields = message.model_dump(by_alias=True, exclude_unset=True)
            text = json.dumps(fields)
        data = text.encode() + b"\n"
        async with self._order:
            if system.takes_at_once(self._descriptor, len(data)):
                os.write(self._descriptor, data)
            else:
                await anyio.to_thread.run_sync(self._write, data, abandon_on_cancel=True)

    def follow(self, message: JSONRPCMessage) -> None:
        """Learn from a message of the host who it is, and whether it takes notifications from now on."""
        if isinstance(message, JSONRPCNotification):
            if message.method == "notifications/initialized":
                self.opened.set()
        elif isinstance(message, JSONRPCRequest):
            params = message.params or {}
            meta = params.get("_meta")
            if message.method == "initialize":
                self._learn(params.get("clientInfo"), params.get("capabilities"))
            elif isinstance(meta, dict) and PROTOCOL_VERSION_META_KEY in meta:
                self._learn(meta.get(CLIENT_INFO_META_KEY), meta.get(CLIENT_CAPABILITIES_META_KEY))
                self.opened.set()

    def _learn(self, info: object, capabilities: object) -> None:
        name = info.get("name") if isinstance(info, dict) else None
        more = capabilities.get("experimental") if isinstance(capabilities, dict) else None
        self.client_name = name if isinstance(name, str) else ""
        self.client_experimental = more if isinstance(more, dict) else {}

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]


_BEGIN = 4096
"""Bytes of a message that is too long in which its id is looked for."""


@asynccontextmanager
async def connected(
    taken: Descriptors, written: Callable[[JSONRPCMessage], Awaitable[None]]
) -> AsyncIterator[
    tuple[
        MemoryObjectReceiveStream[SessionMessage | Exception],
        MemoryObjectSendStream[SessionMessage],
        HostLink,
    ]
]:
    """The messages of the host, the stream for answers, and the link; they end with the host's stdin.

    Args:
        taken: Stdin and stdout.
        written: Called with each answer that has been handed to the system.
    """
    link = HostLink(taken.outgoing)
    arrived, incoming = anyio.create_memory_object_stream[SessionMessage | Exception]()
    outgoing, answers = anyio.create_memory_object_stream[SessionMessage]()

    async def send_answers(scope: anyio.CancelScope) -> None:
        try:
            async with answers:
                async for answer in answers:
                    await link.send(answer.message)
                    await written(answer.message)
        except OSError:  # the host does not read any more
            scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(send_answers, group.cancel_scope)
        reader = _HostReader(taken.incoming, arrived, link)
        # A daemon: a signal ends the process although this waits for the host.
        threading.Thread(target=reader.run, name="stdin", daemon=True).start()
        yield incoming, outgoing, link


class _HostReader:
    """Reads the messages of the host, in a thread."""

    def __init__(
        self,
        descriptor: int,
        arrived: MemoryObjectSendStream[SessionMessage | Exception],
        link: HostLink,
    ) -> None:
        self._descriptor = descriptor
        self._arrived = arrived
        self._link = link
        self._token = anyio.lowlevel.current_token()

    def run(self) -> None:
        """Read until the host closes stdin."""
        with suppress(anyio.RunFinishedError), open(self._descriptor, "rb") as file:
            while line := file.readline(LONGEST_LINE + 1):
                if len(line) > LONGEST_LINE:
                    begin = line[:_BEGIN].decode(errors="replace")
                    while line and not line.endswith(b"\n"):
                        line = file.readline(LONGEST_LINE)
                    self._in_loop(self._link.send, refusal(begin, "The message is too long"))
                elif not line.isspace():
                    self._take(line.decode(errors="replace"))
            self._in_loop(self._arrived.aclose)

    def _take(self, text: str) -> None:
        try:
            message = parsed(text)
        except (ValueError, RecursionError) as error:
            why = (
                "it is nested too deep" if isinstance(error, RecursionError) else "it is no message"
            )
            self._in_loop(self._link.send, refusal(text, f"The message cannot be read: {why}"))
        else:
            self._in_loop(self._arrive, message)

    def _in_loop(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            anyio.from_thread.run(function, *args, token=self._token)

    async def _arrive(self, message: JSONRPCMessage) -> None:
        if not self._link.opened.is_set():
            self._link.follow(message)
        await self._arrived.send(SessionMessage(message))


def parsed(text: str) -> JSONRPCMessage:
    """The message of a line.

    Raises:
        ValueError: It is none.
        RecursionError: It is nested too deep.
    """
    try:
        return jsonrpc_message_adapter.validate_json(text, by_name=False)
    except ValidationError:
        # A text with a lone surrogate is JSON; the board refuses it with a sentence.
        return jsonrpc_message_adapter.validate_python(json.loads(text), by_name=False)


def refusal(text: str, why: str) -> JSONRPCError:
    """The answer to a line that is no message, with the id of the request if it can be read."""
    error = ErrorData(code=PARSE_ERROR, message=why)
    return JSONRPCError(jsonrpc="2.0", id=_id_of(text), error=error)


_SIGN = re.compile(r'"(?:[^"\\]|\\.)*"|[][{}:]|-?\d+')


def _id_of(text: str) -> str | int | None:
    """The id of a request whose JSON cannot be read as a whole."""
    depth, last = 0, ("", "")
    for match in _SIGN.finditer(text):
        sign = match[0]
        if depth == 1 and last == ('"id"', ":") and sign not in "[{:":
            return int(sign) if sign[0] != '"' else sign[1:-1]
        depth += (sign in "[{") - (sign in "]}")
        last = (last[1], sign)
    return None
