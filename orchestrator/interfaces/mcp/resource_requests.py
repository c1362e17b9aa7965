"""The requests about resources and prompts, as a server of the SDK takes them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from mcp.server.lowlevel import Server
from mcp_types import (
    CompleteRequestParams,
    GetPromptRequestParams,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    UnsubscribeRequestParams,
)

from orchestrator.interfaces.mcp.prompts import prompt, prompts
from orchestrator.interfaces.mcp.resources import BoardResources
from orchestrator.interfaces.mcp.subscriptions import ResourceSubscriptions


def serve_resources(server: Server[Any], resources: BoardResources) -> None:
    """Let a server have resources, their subscriptions, and prompts."""
    subscriptions = ResourceSubscriptions(resources)

    @asynccontextmanager
    async def lifespan(_server: Server[Any]) -> AsyncIterator[dict[str, Any]]:
        async with subscriptions.running():
            yield {}

    server.lifespan = lifespan
    add = server.add_request_handler
    add("resources/list", PaginatedRequestParams, resources.list)
    add("resources/templates/list", PaginatedRequestParams, resources.templates)
    add("resources/read", ReadResourceRequestParams, resources.read)
    add("resources/subscribe", SubscribeRequestParams, subscriptions.subscribe)
    add("resources/unsubscribe", UnsubscribeRequestParams, subscriptions.unsubscribe)
    add("subscriptions/listen", SubscriptionsListenRequestParams, subscriptions.listen)
    add("prompts/list", PaginatedRequestParams, prompts)
    add("prompts/get", GetPromptRequestParams, partial(prompt, resources))
    add("completion/complete", CompleteRequestParams, resources.complete)
