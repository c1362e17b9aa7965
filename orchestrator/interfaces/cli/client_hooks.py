"""Commands as hooks of a client: JSON on stdin, and an answer in the form that the client understands.

A hook runs in each session of the client, also in folders without a board, so it is silent there. Nothing
that goes wrong may stop the session: errors are warnings on stderr, and the exit status is 0.
"""

import os
import shlex
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.core import processes
from orchestrator.core.errors import NoBoard, OrchestratorError
from orchestrator.core.repository import top_of
from orchestrator.integrations.clients.clients import (
    COMPACTION,
    EDIT,
    END,
    EVENTS,
    HOOK_WORDS,
    PROMPT,
    START,
)
from orchestrator.interfaces.cli.rendering import Answer, show, warn

if TYPE_CHECKING:
    from orchestrator.interfaces.cli.groups import Command
    from orchestrator.interfaces.cli.run import Run

LONGEST = 16 * 1024 * 1024
"""Bytes of stdin that are read: an edit comes with the whole text of a file."""


class HookCall(msgspec.Struct, frozen=True):
    """A call of a hook.

    Attributes:
        client: The client.
        moment: The moment of the session, by the command that is called.
        event: Its name for the client.
        facts: What the client wrote to stdin.
    """

    client: str
    moment: str
    event: str
    facts: dict[str, Any]


def run_hook(run: "Run", command: "Command", values: dict[str, Any], client: str) -> int:
    """Run a command for a hook of a client; the exit status is always 0."""
    assert run.context is not None
    moment = _moment(run.context.command_path)
    facts = _read_facts()
    event = facts.get("hook_event_name")
    usual = next((name for name, known, _ in EVENTS.get(client, ()) if known == moment), "")
    call = HookCall(client, moment, event if isinstance(event, str) else usual, facts)
    try:
        _enter(facts)
        if _name_agent(run, call):
            run.hook_facts = facts
            assert command.callback is not None
            answer: Answer[Any] | None = command.callback(run, **values)
            if answer is not None:
                _show(call, answer, run.agent or "")
    except NoBoard:
        pass
    except OrchestratorError as error:
        warn(f"{error.message}. {error.hint}".strip())
    except Exception as error:  # noqa: BLE001  # the session must continue in any case
        warn(f"the hook failed: {error}")
    return 0


def _moment(path: str) -> str:
    for moment, words in HOOK_WORDS.items():
        command = " ".join(word for word in words if not word.startswith("-"))
        if f" {path}".endswith(f" {command}"):
            return moment
    return ""


def _read_facts() -> dict[str, Any]:
    """What the client says of the event; nothing at a terminal."""
    if sys.stdin is None or sys.stdin.isatty():
        return {}
    with suppress(OSError, msgspec.MsgspecError, ValueError):
        value = msgspec.json.decode(sys.stdin.buffer.read(LONGEST))
        return value if isinstance(value, dict) else {}
    return {}


def _enter(facts: dict[str, Any]) -> None:
    """Work in the folder of the session; hooks of a user run elsewhere in some clients."""
    roots = facts.get("workspace_roots")
    folder = facts.get("cwd") or (roots[0] if isinstance(roots, list) and roots else "")
    if isinstance(folder, str) and os.path.isdir(folder):
        os.chdir(folder)


def _name_agent(run: "Run", call: HookCall) -> bool:
    """Let the agent of this session act; False if there is none to act for.

    A second session of one name is another agent: hooks act as the agent of the server of their program.
    """
    if run.agent and (run.orc.engine.session is not None or processes.ATTEMPT in os.environ):
        return True
    sessions, host, name = run.orc.sessions, processes.host_process(), run.agent or ""
    if call.moment in (END, COMPACTION):  # nothing is begun to be ended
        known = sessions.in_host(host, name)
        if known is None:
            return bool(name)
    else:
        known = sessions.join(call.client, host=host, folder=top_of(os.getcwd()), name=name)
    run.act_as(known.agent)
    return True


def _export(agent: str) -> None:
    """Let the commands that the agent runs in a shell act as it does; Claude Code reads this file."""
    path = os.environ.get("CLAUDE_ENV_FILE")
    if path:
        with suppress(OSError), open(path, "a", encoding="utf-8", newline="\n") as file:
            file.write(f"export ORC_AGENT={shlex.quote(agent)}\n")


def _show(call: HookCall, answer: Answer[Any], agent: str) -> None:
    """Write the answer in the form of the client; nothing if there is nothing to say."""
    value: dict[str, Any] | str = ""
    text = answer.text()
    if call.moment == EDIT:
        value = _refusal(call, text) if answer.exit_status else ""
    elif call.moment in (START, PROMPT) and text:
        value = _context(call, text, agent)
    if call.moment == START:
        _export(agent)
    if value == "":
        return
    if isinstance(value, dict):
        value = msgspec.json.encode(value).decode()
    shown = value
    show(Answer(None, lambda: shown, after=answer.after), as_json=False, lossy=True)


def _context(call: HookCall, text: str, agent: str) -> dict[str, Any] | str:
    """A text for the context of the agent."""
    if call.client == "opencode":
        return text
    if call.client == "cursor":
        is_start = call.moment == START
        more = {"env": {"ORC_AGENT": agent}} if is_start else {"continue": True}
        return {**more, "additional_context": text}
    return {"hookSpecificOutput": {"hookEventName": call.event, "additionalContext": text}}


def _refusal(call: HookCall, reason: str) -> dict[str, Any] | str:
    """No to an edit, with the reason for the agent."""
    if call.client == "opencode":
        return reason
    if call.client == "cursor":
        return {"permission": "deny", "user_message": reason, "agent_message": reason}
    if call.client == "gemini":
        return {"decision": "deny", "reason": reason}
    decision = {"permissionDecision": "deny", "permissionDecisionReason": reason}
    return {"hookSpecificOutput": {"hookEventName": call.event, **decision}}
