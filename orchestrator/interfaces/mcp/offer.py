"""What a server offers: the tools of a set or those that are named, resources and prompts."""

from collections.abc import Callable, Sequence

from orchestrator import AsyncOrchestrator
from orchestrator.core.errors import UsageError, did_you_mean
from orchestrator.interfaces.mcp.board_tools import (
    ALL,
    MINIMAL,
    STANDARD,
    BoardTool,
    ToolWords,
    board_tools,
)
from orchestrator.interfaces.mcp.messages import Self, message_tools
from orchestrator.interfaces.mcp.resources import BoardResources
from orchestrator.interfaces.mcp.served import ServedTool
from orchestrator.interfaces.mcp.server import AgentServer
from orchestrator.runtimes.permission_server import TOOL

SETS = {"minimal": MINIMAL, "standard": STANDARD, "all": ALL}


def agent_server(
    shared: AsyncOrchestrator,
    wanted: str,
    me: Self,
    warnings: list[str],
    guarded: Callable[[Sequence[ServedTool]], list[ServedTool]] = list,
) -> AgentServer:
    """The server of a board for an agent.

    Args:
        shared: The board, which stays open.
        wanted: A set, or the names of tools with commas.
        me: The agent.
        warnings: What the board warns of; each answer takes what came.
        guarded: Makes the tools wait for what they need.

    Raises:
        UsageError: There is no such tool.
    """
    messages = {tool.definition.name: tool for tool in message_tools(shared, me, warnings)}
    names = [*messages, *SETS[wanted]] if wanted in SETS else wanted.split(",")
    for name in names:
        if name not in (*messages, *ALL, TOOL):
            raise UsageError(
                f"There is no tool {name!a}{did_you_mean(name, [*SETS, *messages, *ALL, TOOL])}",
                hint="`mcp tools --tools all` lists them.",
            )
    rows = {
        name: BoardTool(name, ALL[name], has_output=wanted == "all")
        for name in names
        if name in ALL
    }
    words = ToolWords(rows.values())
    board = board_tools(shared, rows.values(), lambda: me.name, warnings, words)
    served = messages | {tool.definition.name: tool for tool in board}
    if TOOL in names:
        from orchestrator.interfaces.mcp.permission import permission_tool  # it loads the runner

        served[TOOL] = permission_tool(shared, me.name)
    resources = BoardResources(shared, me, words) if rows else None
    return AgentServer(guarded([served[name] for name in names]), resources)
