"""``orc mcp``: serve the board to an agent over the Model Context Protocol."""

import gc
import os
from typing import TYPE_CHECKING

from orchestrator.core.errors import NoBoard, UsageError, did_you_mean
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import MCP
from orchestrator.interfaces.cli.layout import table
from orchestrator.interfaces.cli.parameters import option
from orchestrator.interfaces.cli.rendering import Answer
from orchestrator.interfaces.cli.run import Run
from orchestrator.runtimes.permission_server import TOOL, is_there

if TYPE_CHECKING:
    from orchestrator import Orchestrator
    from orchestrator.interfaces.mcp.server import ServedTool

SETS = ("minimal", "standard", "all")

_TOOLS = option(
    "--tools",
    "minimal, standard, all, or the names of tools with commas.",
    types.NAME,
    metavar="SET",
    default="standard",
)


@MCP.command("serve", example="serve --client claude --tools minimal")
@_TOOLS
@option("--client", "The program of the agent, for its name if $ORC_AGENT has none.", types.NAME)
def serve_(run: Run, tools: str, client: str | None) -> None:
    """Serve the board to an agent over MCP, on stdin and stdout, until stdin is closed.

    `orc mcp` alone does it too. With --client and without a board it serves no tools. The tool
    permission_prompt asks people before Claude Code uses a tool; the runner starts a server of it for agents
    with the runtime claude.
    """
    _check_extra()
    from orchestrator.interfaces.mcp.descriptors import take_descriptors

    taken = take_descriptors()
    from orchestrator import Orchestrator
    from orchestrator.interfaces.mcp.server import AgentServer

    gc.enable()  # `process` has disabled it for commands that end soon
    warnings: list[str] = []
    agent = run.agent
    try:
        opened = Orchestrator.open(run.settings.board, agent=agent, warn=warnings.append)
    except NoBoard as error:
        if client is None:
            raise
        # The setup of a user starts the server in every folder; one that ends would be shown as a fault.
        without = AgentServer([])
        without.sdk.instructions = f"{error.message}. `orc init` makes one for later sessions."
        without.serve(taken)
        return
    with opened as orc:
        if agent is None and tools != TOOL:
            agent = _joined(orc, client or "agent")
        served = _served(orc, tools, agent or orc.engine.agent, warnings)
        AgentServer(served).serve(taken)


@MCP.command("tools", example="tools --tools minimal", reads=True)
@_TOOLS
def tools_(_run: Run, tools: str) -> Answer:
    """List the tools of a set, with what each costs in tokens: a quarter of its bytes."""
    _check_extra()
    from orchestrator import Orchestrator
    from orchestrator.interfaces.mcp.server import cost_of

    with Orchestrator.open("memory:") as orc:
        served = [tool.definition for tool in _served(orc, tools, "agent", [])]
    costs = [cost_of(tool) for tool in served]
    rows = [
        {"tool": tool.name, "tokens": cost, "about": tool.description or ""}
        for tool, cost in zip(served, costs, strict=True)
    ]

    def text() -> str:
        lines = [[str(value) for value in row.values()] for row in rows]
        return f"{table([*rows[0]], lines)}\n\n{sum(costs)} tokens in all"

    return Answer({"tools": rows, "tokens": sum(costs)}, text)


def _check_extra() -> None:
    if not is_there():
        raise UsageError(
            "The extra mcp is not installed", hint="pip install 'agent-orchestrator[mcp]'"
        )


def _joined(orc: "Orchestrator", client: str) -> str:
    """The agent of the program that has started this server; its hooks are the same agent."""
    from orchestrator.core.processes import host_process
    from orchestrator.integrations.clients.setting_up import top_of

    return orc.sessions.join(client, host=host_process(), folder=top_of(os.getcwd())).agent


def _served(
    orc: "Orchestrator", wanted: str, agent: str, warnings: list[str]
) -> "list[ServedTool]":
    """The tools of a set, or those that are named.

    Raises:
        UsageError: There is no such tool.
    """
    from orchestrator import AsyncOrchestrator
    from orchestrator.interfaces.mcp.board_tools import ALL, MINIMAL, STANDARD, board_tools
    from orchestrator.interfaces.mcp.messages import Self, message_tools
    from orchestrator.interfaces.mcp.permission import permission_tool

    me, shared = Self(agent), AsyncOrchestrator(orc)
    messages = message_tools(shared, me, warnings)
    if wanted in SETS:
        rows = {"minimal": MINIMAL, "standard": STANDARD, "all": ALL}[wanted]
        has_output = wanted == "all"
        return [
            *messages,
            *board_tools(shared, rows, lambda: me.name, warnings, has_output=has_output),
        ]
    known = [
        *messages,
        *board_tools(shared, ALL, lambda: me.name, warnings),
        permission_tool(shared, agent),
    ]
    by_name = {tool.definition.name: tool for tool in known}
    for name in wanted.split(","):
        if name not in by_name:
            raise UsageError(
                f"There is no tool {name!a}{did_you_mean(name, [*SETS, *by_name])}",
                hint="`mcp tools --tools all` lists them.",
            )
    return [by_name[name] for name in wanted.split(",")]
