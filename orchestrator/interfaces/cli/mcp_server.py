"""``orc mcp``: serve the board to an agent over the Model Context Protocol."""

from orchestrator.core.errors import UsageError
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD
from orchestrator.interfaces.cli.parameters import option
from orchestrator.interfaces.cli.run import Run
from orchestrator.runtimes.permission_server import TOOL, is_there


@BOARD.command("mcp", example="mcp --tools permission_prompt")
@option(
    "--tools",
    "The tools that are served.",
    types.choice(TOOL),
    default=TOOL,
)
def mcp(run: Run, tools: str) -> None:  # noqa: ARG001  there is one tool
    """Serve tools to an agent over MCP, on stdin and stdout, until stdin is closed.

    permission_prompt asks people before Claude Code uses a tool: `claude --permission-prompt-tool`. The
    runner starts it for agents with the runtime claude.
    """
    if not is_there():
        raise UsageError(
            "The extra mcp is not installed", hint="pip install 'agent-orchestrator[mcp]'"
        )
    from orchestrator import AsyncOrchestrator
    from orchestrator.interfaces.mcp.permission import permission_tool
    from orchestrator.interfaces.mcp.server import serve

    with run.lasting() as orc:
        serve([permission_tool(AsyncOrchestrator(orc), orc.engine.agent)])
