"""The MCP server that asks people before an agent uses a tool, as a program of agents starts it."""

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import msgspec

from orchestrator.domain.permissions.records import TIME

if TYPE_CHECKING:
    from orchestrator.runtimes.port import AgentRun

TOOL = "permission_prompt"
"""The tool of the server that is called before another tool."""

_SERVER = "orc_permissions"

TOOL_OF_CLAUDE = f"mcp__{_SERVER}__{TOOL}"
"""How Claude Code names it."""

_MARGIN = 60.0
"""Seconds that its client waits longer than people may take."""

VARIABLES = {"MCP_CONNECT_TIMEOUT_MS": "60000", "MCP_TIMEOUT": "60000"}
"""How long Claude Code waits for the server: its 5 seconds are short on a busy machine."""


def is_there() -> bool:
    """Whether the extra ``mcp`` is installed."""
    return find_spec("mcp") is not None


def server_config(run: "AgentRun") -> str:
    """The file that names the server, in the form of Claude Code.

    The agent may write into the folder that it works in, and settings there can set variables. So the server
    takes no module from there (``-P``), and has its own variables.
    """
    given = run.variables
    variables = {
        "ORCHESTRATOR_DIR": run.board,
        "ORC_AGENT": run.agent.id,
        "ORC_CAUSE": run.cause,
        "PYTHONPATH": "",
        **{name: given.get(name, "") for name in ("HOME", "LOCALAPPDATA", "XDG_DATA_HOME")},
    }
    server = {
        "type": "stdio",
        "command": sys.executable,
        "args": ["-P", "-m", "orchestrator.interfaces.mcp", "--tools", TOOL],
        "env": variables,
        "timeout": round((TIME + _MARGIN) * 1000),
        "alwaysLoad": True,  # Claude Code begins when it is connected, and not before
    }
    return msgspec.json.encode({"mcpServers": {_SERVER: server}}).decode()
