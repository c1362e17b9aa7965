"""The tools of agentbus: one session writes to another."""

import re
from collections.abc import Callable
from typing import Any

from mcp_types import CallToolResult, TextContent, Tool, ToolAnnotations

from orchestrator import AsyncOrchestrator, Orchestrator
from orchestrator.core.errors import Refused, UsageError
from orchestrator.core.printable import escape, one_line
from orchestrator.interfaces.mcp.board_tools import answered
from orchestrator.interfaces.mcp.served import Due, ServedTool

_NAME = re.compile(r"[a-z0-9_-]{1,32}")

_SUBJECT = 80
"""Characters of a text that are its subject in a mailbox."""

_ABSENT = ("silent", "gone")


class Self:
    """The agent of the server, which can be renamed."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def join(self) -> None:
        """Become an agent, if it is none yet."""

    def rename(self, orc: Orchestrator, to: str) -> None:
        """Change the name of the agent; its mail follows."""
        orc.agents.rename(self.name, to)
        self.name = to


def message_tools(orc: AsyncOrchestrator, me: Self, warnings: list[str]) -> list[ServedTool]:
    """The tools, for an agent."""

    def served(
        name: str,
        about: str,
        answer: Callable[..., str],
        *needed: str,
        reads: bool = False,
        is_idempotent: bool = False,
    ) -> ServedTool:
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {argument: {"type": "string"} for argument in needed},
        }
        schema |= {"required": list(needed)} if needed else {}
        hints = ToolAnnotations(
            read_only_hint=True if reads else None,
            destructive_hint=None if reads else False,
            idempotent_hint=True if is_idempotent else None,
        )
        tool = Tool(
            name=name,
            description=about,
            input_schema=schema,
            annotations=hints,
        )

        async def call(arguments: dict[str, Any], _due: list[Due]) -> CallToolResult:
            def run(plain: Orchestrator) -> CallToolResult:
                texts = [arguments.get(argument) for argument in needed]
                if not all(isinstance(text, str) and text for text in texts):
                    raise UsageError(f"{name} needs {' and '.join(needed)}, as texts")
                text = answer(plain, me, *texts)
                return CallToolResult(content=[TextContent(type="text", text=text)])

            return await answered(orc, name, run, warnings)

        return ServedTool(tool, call)

    return [
        served(
            "send_message",
            "Send a message to a peer, here or not.",
            _send,
            "to",
            "text",
        ),
        served("broadcast", "Send a message to all peers that are here.", _broadcast, "text"),
        served("list_peers", "List the agents that are here.", _list, reads=True),
        served("whoami", "Say your own name.", lambda _, me: me.name, reads=True),
        served(
            "set_name", "Change your name; your mail follows.", _rename, "name", is_idempotent=True
        ),
    ]


def _parts(text: str) -> tuple[str, str]:
    """The subject and the body of a text; a short line is a subject alone."""
    subject = one_line(text, _SUBJECT)
    return subject, "" if subject == text else text


def _peers(orc: Orchestrator, me: Self) -> list[str]:
    here = {agent.id for agent in orc.agents.all() if agent.presence not in _ABSENT}
    return sorted(here - {me.name})


def _send(orc: Orchestrator, me: Self, to: str, text: str) -> str:
    if to == me.name:
        raise Refused("This is your own name", hint="`list_peers` names the others.")
    letter = orc.mail.send(to, *_parts(text), agent=me.name)
    return f"sent to {escape(to)} (#{letter.id})"


def _broadcast(orc: Orchestrator, me: Self, text: str) -> str:
    peers = _peers(orc, me)
    if not peers:
        raise Refused("No peer is here", hint="`send_message` writes to one that comes later.")
    orc.mail.send(peers, *_parts(text), agent=me.name)
    return f"broadcast to {len(peers)} peer(s): {', '.join(map(escape, peers))}"


def _list(orc: Orchestrator, me: Self) -> str:
    names = sorted([*_peers(orc, me), me.name])
    return "\n".join(f"{escape(name)}{' (you)' if name == me.name else ''}" for name in names)


def _rename(orc: Orchestrator, me: Self, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!a} is not a name", hint="a-z, 0-9, _ and -, at most 32 characters."
        )
    if name in _peers(orc, me):
        raise Refused(f"There is a peer {name} already", code="name_taken")
    if name != me.name:
        me.rename(orc, name)
    return f"renamed to {name}"
