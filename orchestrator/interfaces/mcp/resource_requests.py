"""The requests about resources and prompts, as a server of the SDK takes them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp_types import (
    CompleteRequestParams,
    CompleteResult,
    GetPromptRequestParams,
    GetPromptResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    UnsubscribeRequestParams,
)

from orchestrator.interfaces.mcp.prompts import prompt, prompts
from orchestrator.interfaces.mcp.resources import BoardResources
from orchestrator.interfaces.mcp.subscriptions import ResourceSubscriptions

_Context = ServerRequestContext[Any]


def serve_resources(server: Server[Any], resources: BoardResources) -> None:
    """Let a server have resources, their subscriptions, and prompts."""
    subscriptions = ResourceSubscriptions(resources)

    @asynccontextmanager
    async def lifespan(_server: Server[Any]) -> AsyncIterator[dict[str, Any]]:
        async with subscriptions.running():
            yield {}

    async def list_resources(
        _context: _Context, params: PaginatedRequestParams | None
    ) -> ListResourcesResult:
        return await resources.list(params.cursor if params else None)

    async def list_templates(
        _context: _Context, _params: PaginatedRequestParams | None
    ) -> ListResourceTemplatesResult:
        return resources.templates()

    async def read(_context: _Context, params: ReadResourceRequestParams) -> ReadResourceResult:
        return await resources.read(params.uri)

    async def list_prompts(
        _context: _Context, _params: PaginatedRequestParams | None
    ) -> ListPromptsResult:
        return prompts()

    async def get_prompt(_context: _Context, params: GetPromptRequestParams) -> GetPromptResult:
        return await prompt(resources, params.name, params.arguments or {})

    async def complete(_context: _Context, params: CompleteRequestParams) -> CompleteResult:
        completion = await resources.complete(params.ref, params.argument.value)
        return CompleteResult(completion=completion)

    server.lifespan = lifespan
    add = server.add_request_handler
    add("resources/list", PaginatedRequestParams, list_resources)
    add("resources/templates/list", PaginatedRequestParams, list_templates)
    add("resources/read", ReadResourceRequestParams, read)
    add("resources/subscribe", SubscribeRequestParams, subscriptions.subscribe)
    add("resources/unsubscribe", UnsubscribeRequestParams, subscriptions.unsubscribe)
    add("subscriptions/listen", SubscriptionsListenRequestParams, subscriptions.listen)
    add("prompts/list", PaginatedRequestParams, list_prompts)
    add("prompts/get", GetPromptRequestParams, get_prompt)
    add("completion/complete", CompleteRequestParams, complete)
