"""The session that a server is: its agent, its heartbeats, and the mail that is pushed into it."""

import os
import re
import secrets
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any, Literal

import anyio
import anyio.from_thread
import anyio.lowlevel
from mcp_types import CallToolResult, TextContent

from orchestrator import AsyncOrchestrator, Orchestrator
from orchestrator.core import processes, repository
from orchestrator.core.errors import OrchestratorError, Refused
from orchestrator.delivery.channel import CAPABILITY, Channel
from orchestrator.delivery.loop import NET, deliver
from orchestrator.delivery.ports import NewMail, Trigger
from orchestrator.delivery.triggers import Poll, Watch
from orchestrator.domain.agents.commands import HEARTBEAT
from orchestrator.domain.agents.joining import running_servers
from orchestrator.interfaces.cli.injection import block
from orchestrator.interfaces.cli.rendering import error_text, warn
from orchestrator.interfaces.mcp.messages import Self
from orchestrator.interfaces.mcp.served import Call, Due, ServedTool
from orchestrator.interfaces.mcp.stdio import HostLink

CLIENTS = ("claude", "codex", "cursor", "gemini", "opencode")
"""How the names of known clients begin; of these only Claude Code shows channels."""

Shows = Literal["yes", "no", "perhaps"]
"""Whether a client shows channel notifications; others drop them in silence."""

_CHANNEL_OPTIONS = ("--dangerously-load-development-channels", "--channels")


class ServerSession(Self):
    """The session that a server is; it begins when the host has opened the connection.

    Args:
        orc: The board, whose acting agent this becomes.
        shared: The same for the tasks of the server.
        name: The name that the user gave the agent; else that of the program, by its folder.
        client: The program, if the user named it.
        poll: Look for mail every so many seconds, without file events; None: with them.
    """

    def __init__(
        self,
        orc: Orchestrator,
        shared: AsyncOrchestrator,
        *,
        name: str | None,
        client: str | None,
        poll: float | None = None,
    ) -> None:
        super().__init__(name or "")
        self._engine = orc.engine
        self._shared = shared
        self._is_attempt = bool(name) and processes.ATTEMPT in os.environ
        self._client = client
        self._poll = poll
        self._host = processes.host_process()
        self._parent, self._since = os.getppid(), time.time()
        self._link: HostLink | None = None
        self._joining = anyio.Lock()
        self._is_joined = False
        self._serving = ExitStack()
        self._unsure: list[int] = []
        """Messages that were pushed to a client that perhaps did not show them."""

    # The agent

    def served(self, tools: Sequence[ServedTool]) -> list[ServedTool]:
        """The tools, each of which waits until the agent of the server is known."""
        return [ServedTool(t.definition, self._joined_first(t), waits=t.waits) for t in tools]

    def _joined_first(self, tool: ServedTool) -> Call:
        async def call(arguments: dict[str, Any], due: list[Due]) -> CallToolResult:
            try:
                await self.join()
            except OrchestratorError as error:
                text = TextContent(type="text", text=error_text(error))
                return CallToolResult(content=[text], is_error=True)
            result = await tool.call(arguments, due)
            if tool.definition.name == "mail":
                await self._show_again(result)
            return result

        return call

    async def join(self) -> None:
        """Become an agent, once.

        Raises:
            OrchestratorError: It cannot be one now.
        """
        async with self._joining:
            if not self._is_joined:
                await self._shared.run("join", self._join)
                self._engine.agent = self.name
                self._is_joined = True

    def _join(self, orc: Orchestrator) -> None:
        if self._is_attempt:
            return
        with ExitStack() as stack, orc.transaction():
            self.name = self._agent_of(orc)
            # Noted before the board is free again: the next server finds the name taken.
            stack.enter_context(orc.engine.presence.serving_as(self.name))
            self._serving = stack.pop_all()

    def _agent_of(self, orc: Orchestrator) -> str:
        engine = orc.engine
        if self.name and engine.session is not None:
            if self.name in running_servers(engine.read(), engine.presence):
                raise Refused(
                    f"{self.name} is the agent of another server",
                    code="name_taken",
                    hint="Close it, or start this one without ORC_SESSION: it gets a name of its own.",
                )
            return self.name
        known = orc.sessions.join(
            self._client_name(),
            host=self._host,
            folder=repository.top_of(os.getcwd()),
            name=self.name,
            alone=True,
        )
        return known.agent

    def _client_name(self) -> str:
        if self._client:
            return self._client
        named = self._link.client_name.lower() if self._link else ""
        for client in CLIENTS:
            if named.startswith(client):
                return client
        return re.sub(r"[^a-z0-9]+", "-", named)[:32].strip("-") or "agent"

    def rename(self, orc: Orchestrator, to: str) -> None:
        """Change the name of the agent, with that of the session and its mail."""
        with ExitStack() as stack, orc.transaction():
            orc.agents.rename(self.name, to)
            stack.enter_context(orc.engine.presence.serving_as(to))
            self._serving.close()
            self._serving = stack.pop_all()
        self.name = self._engine.agent = to

    def leave(self, orc: Orchestrator) -> None:
        """End the session, unless it is another program's by now."""
        with self._serving, suppress(OrchestratorError), orc.transaction():
            self._serving.close()  # before the commit, so that no process sees a server without a session
            if self._is_joined and orc.engine.session is None:
                session = orc.sessions.get(self.name)
                if session.is_live and session.host == self._host:
                    orc.sessions.end(agent=session.agent)

    # In the background

    async def run(self, link: HostLink) -> None:
        """Be present and take mail, until the host closes the connection."""
        self._link = link
        await link.opened.wait()
        while not self._is_joined:
            try:
                await self.join()
            except OrchestratorError as error:
                warn(f"this server is no agent yet: {error.message}")
                await anyio.sleep(NET)
        async with anyio.create_task_group() as group:
            group.start_soon(self._beat)
            group.start_soon(self._watch_host)
            if not self._is_attempt:  # all attempts of a worker have the same mailbox
                group.start_soon(self._push, link)

    async def _beat(self) -> None:
        while True:
            await anyio.sleep(HEARTBEAT)
            try:
                await self._shared.agents.heartbeat(self.name)
            except (OrchestratorError, OSError) as error:
                warn(f"no heartbeat of {self.name}: {error}")

    async def _watch_host(self) -> None:
        """End with the host, also if another process keeps its end of stdin open."""
        while self._has_host():
            await anyio.sleep(NET)
        signal.raise_signal(signal.SIGTERM)

    def _has_host(self) -> bool:
        if self._host:
            return processes.host_runs(self._host, self._since)
        return os.getppid() == self._parent

    async def _push(self, link: HostLink) -> None:
        shows = shows_channels(
            self._client or link.client_name, link.client_experimental, self._host
        )
        if shows == "no":
            return  # its hook, and the tool `mail`
        token = anyio.lowlevel.current_token()

        def notify(method: str, params: Mapping[str, Any]) -> None:
            anyio.from_thread.run(link.notify, method, params, token=token)

        channel = Channel(notify)

        def run(orc: Orchestrator) -> None:
            desk = orc.engine
            trigger: Trigger = Watch(desk) if self._poll is None else Poll(desk, self._poll)
            deliver(orc, lambda: self.name, trigger, delivery, warn=warn)

        delivery = channel if shows == "yes" else _Noting(channel, self._unsure)
        await self._shared.run("deliver", run)

    async def _show_again(self, result: CallToolResult) -> None:
        """Add what was pushed, and perhaps not shown, to the answer of the tool `mail`."""
        if not self._unsure:
            return

        def shown(orc: Orchestrator) -> str:
            unread = {item.id for item in orc.mail.inbox(agent=self.name, unread=True)}
            messages = [message for message in self._unsure if message in unread]
            self._unsure.clear()
            if not messages:
                return ""
            shown = block(
                self.name,
                map(orc.mail.peek, messages),
                len(messages),
                boundary=secrets.token_hex(8),
                prog="orc",
            )
            self._unsure.extend(messages[len(shown.messages) :])
            return shown.text

        text = await self._shared.run("mail", shown)
        if text:
            result.content.append(TextContent(type="text", text=text))


class _Noting:
    """A channel to a client that perhaps does not show it: what it took is noted."""

    def __init__(self, channel: Channel, noted: list[int]) -> None:
        self._channel = channel
        self._noted = noted

    def push(self, mail: NewMail, handed_over: Callable[[list[int]], object]) -> None:
        """See :class:`orchestrator.delivery.ports.Delivery`."""

        def taken(messages: list[int]) -> None:
            self._noted.extend(messages)
            handed_over(messages)

        self._channel.push(mail, taken)


def shows_channels(client: str, experimental: Mapping[str, Any], host: str) -> Shows:
    """Whether a client shows channel notifications.

    Args:
        client: Its name.
        experimental: Its capabilities beside the protocol.
        host: Its process.
    """
    if CAPABILITY in experimental:
        return "yes"
    known = next((name for name in CLIENTS if client.lower().startswith(name)), "")
    if known == "claude":
        words = processes.host_words(host)
        if not any("claude" in os.path.basename(word) for word in words[:2]):
            return "perhaps"  # not Claude Code itself
        return "yes" if any(word.startswith(_CHANNEL_OPTIONS) for word in words) else "no"
    return "no" if known else "perhaps"
