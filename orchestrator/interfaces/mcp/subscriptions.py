"""Subscriptions of resources: a client hears when what it has read changes.

After each event of the log the subscribed resources are read again, and the client is notified if the text of
one is different. So a brief has changed when any part of it has.
"""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import TaskGroup
from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp.shared.subscriptions import ResourcesListChanged, ResourceUpdated
from mcp_types import (
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from orchestrator.core.errors import OrchestratorError
from orchestrator.interfaces.cli.rendering import warn
from orchestrator.interfaces.mcp.resources import BoardResources

_LIST = ""
"""Stands for the list of resources."""


class ResourceSubscriptions:
    """What the client of a server wants to hear of.

    Args:
        resources: The resources.
    """

    def __init__(self, resources: BoardResources) -> None:
        self._resources = resources
        self._bus = InMemorySubscriptionBus()
        self._listen = ListenHandler(self._bus)
        self._sessions: dict[str, ServerSession] = {}
        self._listened = Counter[str]()
        self._texts: dict[str, str] = {}
        self._group: TaskGroup | None = None
        self._follows = False
        self._change = anyio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The time in which subscriptions are served."""
        async with anyio.create_task_group() as group:
            self._group = group
            yield
            group.cancel_scope.cancel()

    # Up to 2025-11-25: a request for each resource.

    async def subscribe(
        self, context: ServerRequestContext[Any], params: SubscribeRequestParams
    ) -> EmptyResult:
        """Let the client hear of a resource.

        Raises:
            MCPError: There is no such resource.
        """
        await self._begin(params.uri)
        self._sessions[params.uri] = context.session
        return EmptyResult()

    async def unsubscribe(
        self, _context: ServerRequestContext[Any], params: UnsubscribeRequestParams
    ) -> EmptyResult:
        """End that."""
        self._sessions.pop(params.uri, None)
        return EmptyResult()

    # From 2026-07-28 on: a request whose answer is the stream.

    async def listen(
        self, context: ServerRequestContext[Any], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """Let the client hear of resources until it gives the request up.

        Raises:
            MCPError: There is no such resource.
        """
        wanted = [*(params.notifications.resource_subscriptions or ())]
        if params.notifications.resources_list_changed:
            wanted.append(_LIST)
        self._listened.update(wanted)
        try:
            for uri in wanted:
                await self._begin(uri)
            return await self._listen(context, params)
        finally:
            self._listened.subtract(wanted)

    # Changes

    async def _begin(self, uri: str) -> None:
        if not self._follows and self._group is not None:
            event = await self._resources.orc.run("state", lambda orc: orc.engine.read().event)
            self._follows = True
            self._group.start_soon(self._follow, event)
            self._group.start_soon(self._tell)
        self._texts[uri] = await self._text(uri)

    async def _follow(self, event: int) -> None:
        try:
            async for _ in self._resources.orc.events.follow(since=event):
                self._change.set()
        except (OrchestratorError, OSError) as error:
            self._follows = False  # the next subscription begins anew
            warn(f"Subscriptions end: {error}")

    async def _tell(self) -> None:
        while self._follows:
            await self._change.wait()
            self._change = anyio.Event()
            for uri in {*self._sessions, *(+self._listened)}:
                try:
                    text = await self._text(uri)
                except (MCPError, OrchestratorError):  # it was deleted: that is a change too
                    text = ""
                if text != self._texts.get(uri):
                    self._texts[uri] = text
                    await self._changed(uri)

    async def _changed(self, uri: str) -> None:
        if uri in self._sessions:
            await self._sessions[uri].send_resource_updated(uri)
        if self._listened[uri] > 0:
            await self._bus.publish(
                ResourcesListChanged() if uri == _LIST else ResourceUpdated(uri)
            )

    async def _text(self, uri: str) -> str:
        if uri == _LIST:
            return await self._resources.names()
        return await self._resources.text(uri)
