"""The tool that Claude Code calls before an agent uses a tool: ``--permission-prompt-tool``.

The rules of this machine answer first; if none fits, people are asked. What goes wrong is a denial.
"""

from typing import Any

import msgspec
from mcp_types import CallToolResult, TextContent, Tool

from orchestrator import AsyncOrchestrator
from orchestrator.core.errors import OrchestratorError
from orchestrator.domain.permissions.records import PermissionRequest
from orchestrator.interfaces.mcp.served import Due, ServedTool
from orchestrator.runtimes.permission_server import TOOL
from orchestrator.supervisor.permission_rules import PermissionRules

_DEFINITION = Tool(
    name=TOOL,
    description="Ask people whether a tool may be used.",
    input_schema={
        "type": "object",
        "properties": {"tool_name": {"type": "string"}, "input": {"type": "object"}},
        "required": ["tool_name", "input"],
    },
)


def permission_tool(orc: AsyncOrchestrator, agent: str) -> ServedTool:
    """The tool, for the requests of an agent."""

    async def call(arguments: dict[str, Any], _due: list[Due]) -> CallToolResult:
        try:
            answer = await _answer(orc, agent, arguments)
        except (OrchestratorError, OSError) as error:
            answer = _denial(getattr(error, "message", "") or str(error))
        text = msgspec.json.encode(answer).decode()
        return CallToolResult(content=[TextContent(type="text", text=text)])

    return ServedTool(_DEFINITION, call)


async def _answer(orc: AsyncOrchestrator, agent: str, arguments: dict[str, Any]) -> dict[str, Any]:
    tool, tool_input = arguments.get("tool_name"), arguments.get("input")
    if not isinstance(tool, str) or not isinstance(tool_input, dict):
        return _denial("`tool_name` is a text and `input` an object")
    if orc.folder is None:
        return _denial("This board is not in a folder")
    behavior = PermissionRules(orc.folder).decide(agent, tool, tool_input)
    if behavior is None:
        request = await orc.permissions.ask(tool, tool_input, agent=agent)
        if request.status != "allowed":
            return _denial(_why(request))
    elif behavior == "deny":
        return _denial("A rule denies it")
    return {"behavior": "allow", "updatedInput": tool_input}


def _denial(message: str) -> dict[str, str]:
    return {"behavior": "deny", "message": f"{message}. Do without this, or say what you need."}


def _why(request: PermissionRequest) -> str:
    if request.status == "expired":
        return "Nobody has answered in time"
    return request.message.removesuffix(".") or f"{request.answered_by} has denied it"
