"""A tool as the server has it: its definition, and what answers its calls."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from mcp_types import CallToolResult, Tool

Due = Callable[[], Awaitable[object]]
"""Runs after the answer of a call was written to the host; does not run if the host cancelled the call."""


Call = Callable[[dict[str, Any], list[Due]], Awaitable[CallToolResult]]


class ServedTool(msgspec.Struct, frozen=True):
    """A tool, and what answers its calls.

    Attributes:
        definition: Its name, schema and annotations.
        call: Answers a call with these arguments, and adds to the list what runs after the answer.
        waits: Whether a call with the argument ``wait`` may wait for others.
    """

    definition: Tool
    call: Call
    waits: bool = False


def cost_of(tool: Tool) -> int:
    """The tokens of a tool in the list that a model reads: a quarter of its bytes."""
    return len(tool.model_dump_json(by_alias=True, exclude_none=True).encode()) // 4
