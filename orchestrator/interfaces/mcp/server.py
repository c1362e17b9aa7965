"""The server: its tools, on stdin and stdout. Stdout carries nothing but the protocol."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
import msgspec
from mcp import MCPError
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    Tool,
)

from orchestrator.version import __version__

Call = Callable[[dict[str, Any]], Awaitable[CallToolResult]]


class ServedTool(msgspec.Struct, frozen=True):
    """A tool, and what answers its calls."""

    definition: Tool
    call: Call


def serve(tools: Sequence[ServedTool]) -> None:
    """Serve tools until the host closes stdin; what still waits is cancelled then."""
    anyio.run(_serve, tools)


async def _serve(tools: Sequence[ServedTool]) -> None:
    by_name = {tool.definition.name: tool for tool in tools}

    async def list_tools(_context: Any, _params: Any) -> ListToolsResult:
        return ListToolsResult(tools=[tool.definition for tool in tools])

    async def call_tool(_context: Any, params: CallToolRequestParams) -> CallToolResult:
        tool = by_name.get(params.name)
        if tool is None:
            raise MCPError(INVALID_PARAMS, f"There is no tool {params.name!a}")
        return await tool.call(params.arguments or {})

    server = Server[Any](
        "orc", version=__version__, on_list_tools=list_tools, on_call_tool=call_tool
    )
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())
