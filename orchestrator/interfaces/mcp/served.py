"""A tool as the server has it: its definition, and what answers its calls."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from mcp_types import CallToolResult, Tool

Due = Callable[[], Awaitable[object]]


class ToolRequest:
    """A call that is being answered.

    Attributes:
        due: What runs once the answer was written to the host.
    """

    def __init__(self) -> None:
        self.due: list[Due] = []

    def when_written(self, function: Due) -> None:
        """Run a function once the answer was written, and not if the host gave the call up."""
        self.due.append(function)


Call = Callable[[dict[str, Any], ToolRequest], Awaitable[CallToolResult]]


class ServedTool(msgspec.Struct, frozen=True):
    """A tool, and what answers its calls.

    Attributes:
        definition: Its name, schema and annotations.
        call: Answers a call.
        waits: Whether a call with the argument ``wait`` may wait for others.
    """

    definition: Tool
    call: Call
    waits: bool = False


def cost_of(tool: Tool) -> int:
    """The tokens of a tool in the list that a model reads: a quarter of its bytes."""
    return len(tool.model_dump_json(by_alias=True, exclude_none=True).encode()) // 4
