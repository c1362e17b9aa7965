"""``orc mcp``: serve the board to an agent over the Model Context Protocol."""

import gc
from typing import TYPE_CHECKING

from orchestrator.core import clock
from orchestrator.core.errors import NoBoard, UsageError, did_you_mean
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import MCP
from orchestrator.interfaces.cli.layout import table
from orchestrator.interfaces.cli.parameters import option
from orchestrator.interfaces.cli.rendering import Answer
from orchestrator.interfaces.cli.run import Run
from orchestrator.runtimes.permission_server import TOOL, is_there

if TYPE_CHECKING:
    from orchestrator import AsyncOrchestrator
    from orchestrator.interfaces.mcp.messages import Self
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
@option(
    "--poll",
    "Look for mail so often, where the file system reports no changes; 3s or less.",
    types.DURATION,
)
def serve_(run: Run, tools: str, client: str | None, poll: str | None) -> None:
    """Serve the board to an agent over MCP, on stdin and stdout, until stdin is closed.

    `orc mcp` alone does it too. With --client and without a board it serves no tools. The tool
    permission_prompt asks people before Claude Code uses a tool; the runner starts a server of it for agents
    with the runtime claude.

    The server is a session: it is gone with its program, and no other server has its name. New mail is pushed
    into programs that show it (Claude Code with channels); others get it from their hooks, or from the tool
    mail.
    """
    _check_extra()
    from orchestrator.interfaces.mcp.descriptors import take_descriptors

    taken = take_descriptors()
    from orchestrator import AsyncOrchestrator, Orchestrator
    from orchestrator.delivery.channel import CAPABILITY, INSTRUCTIONS
    from orchestrator.interfaces.mcp.messages import Self
    from orchestrator.interfaces.mcp.server import AgentServer
    from orchestrator.interfaces.mcp.session import ServerSession

    gc.enable()  # `process` has disabled it for commands that end soon
    warnings: list[str] = []
    agent = run.agent
    seconds = None if poll is None else clock.duration(poll)
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
        shared = AsyncOrchestrator(orc)
        if tools == TOOL:  # the attempt that has started it is a session
            AgentServer(_served(shared, tools, Self(orc.engine.agent), warnings)).serve(taken)
            return
        session = ServerSession(shared, name=agent, client=client, poll=seconds)
        try:
            server = AgentServer(session.served(_served(shared, tools, session, warnings)))
            server.sdk.instructions = f"{server.sdk.instructions or ''} {INSTRUCTIONS}".strip()
            server.serve(taken, [session.run], {CAPABILITY: {}})
        finally:
            session.leave(orc)


@MCP.command("tools", example="tools --tools minimal", reads=True)
@_TOOLS
def tools_(_run: Run, tools: str) -> Answer:
    """List the tools of a set, with what each costs in tokens: a quarter of its bytes."""
    _check_extra()
    from orchestrator import AsyncOrchestrator, Orchestrator
    from orchestrator.interfaces.mcp.messages import Self
    from orchestrator.interfaces.mcp.server import cost_of

    with Orchestrator.open("memory:") as orc:
        served = _served(AsyncOrchestrator(orc), tools, Self("agent"), [])
    costs = [cost_of(tool.definition) for tool in served]
    rows = [
        {"tool": tool.definition.name, "tokens": cost, "about": tool.definition.description or ""}
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


def _served(
    shared: "AsyncOrchestrator", wanted: str, me: "Self", warnings: list[str]
) -> "list[ServedTool]":
    """The tools of a set, or those that are named.

    Args:
        shared: The board.
        wanted: The set, or names with commas.
        me: Who acts.
        warnings: What the board warns of; each answer takes what came.

    Raises:
        UsageError: There is no such tool.
    """
    from orchestrator.interfaces.mcp.board_tools import ALL, MINIMAL, STANDARD, board_tools
    from orchestrator.interfaces.mcp.messages import message_tools
    from orchestrator.interfaces.mcp.permission import permission_tool

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
        permission_tool(shared, me.name),
    ]
    by_name = {tool.definition.name: tool for tool in known}
    for name in wanted.split(","):
        if name not in by_name:
            raise UsageError(
                f"There is no tool {name!a}{did_you_mean(name, [*SETS, *by_name])}",
                hint="`mcp tools --tools all` lists them.",
            )
    return [by_name[name] for name in wanted.split(",")]
