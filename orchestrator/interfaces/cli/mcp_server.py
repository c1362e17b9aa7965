"""``orc mcp``: serve the board to an agent over the Model Context Protocol."""

import gc
from typing import Any

from orchestrator.core import clock
from orchestrator.core.errors import NoBoard, UsageError
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import MCP
from orchestrator.interfaces.cli.layout import table
from orchestrator.interfaces.cli.parameters import option
from orchestrator.interfaces.cli.rendering import Answer
from orchestrator.interfaces.cli.run import Run
from orchestrator.runtimes.permission_server import TOOL, is_there

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
    from orchestrator import Orchestrator
    from orchestrator.delivery.channel import CAPABILITY, INSTRUCTIONS
    from orchestrator.interfaces.mcp.messages import Self
    from orchestrator.interfaces.mcp.offer import agent_server
    from orchestrator.interfaces.mcp.served_board import ServedBoard
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
        advice = f"{error.message}. `orc init` makes one for later sessions."
        AgentServer([], instructions=advice).serve(taken)
        return
    with opened as orc:
        shared = ServedBoard(orc)
        if tools == TOOL:  # the attempt that has started it is a session
            agent_server(shared, tools, Self(orc.engine.agent), warnings).serve(taken)
            return
        session = ServerSession(orc, shared, name=agent, client=client, poll=seconds)
        try:
            server = agent_server(shared, tools, session, warnings, session.served)
            server.sdk.instructions = f"{server.sdk.instructions or ''} {INSTRUCTIONS}".strip()
            server.serve(taken, [session.run], {CAPABILITY: {}})
        finally:
            session.leave(orc)


@MCP.command("tools", example="tools --tools minimal", reads=True)
@_TOOLS
def tools_(_run: Run, tools: str) -> "Answer[dict[str, Any]]":
    """List the tools of a set, with what each costs in tokens: a quarter of its bytes."""
    _check_extra()
    from orchestrator import Orchestrator
    from orchestrator.interfaces.mcp.messages import Self
    from orchestrator.interfaces.mcp.offer import agent_server
    from orchestrator.interfaces.mcp.served import cost_of
    from orchestrator.interfaces.mcp.served_board import ServedBoard

    with Orchestrator.open("memory:") as orc:
        served = agent_server(ServedBoard(orc), tools, Self("agent"), []).definitions
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
