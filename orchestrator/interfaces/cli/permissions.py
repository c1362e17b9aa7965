"""``orc permission``: what agents ask before they use a tool, the answers, and the rules."""

from typing import TYPE_CHECKING

import msgspec

from orchestrator.core.errors import NotFound, UsageError
from orchestrator.core.printable import escape
from orchestrator.core.strict_json import visible_json
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import PERMISSION
from orchestrator.interfaces.cli.layout import fields, lines, shown_time
from orchestrator.interfaces.cli.parameters import argument, flag, option
from orchestrator.interfaces.cli.rendering import Answer, present_lines, say
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from orchestrator.domain.permissions.commands import PermissionView
    from orchestrator.domain.permissions.records import Behavior, PermissionRequest
    from orchestrator.supervisor.permission_rules import PermissionRules

_REQUEST = argument("request", "Its id.", types.Type("REQUEST", completes="permissions.id"))
_ALWAYS = option(
    "--always", "Answer further requests that fit this pattern so: Bash(git:*).", metavar="PATTERN"
)


@PERMISSION.command("list", example="list", reads=True)
@flag("--all", "Those that were answered last, too.")
def list_(run: Run, all: bool) -> "Answer[list[PermissionView]]":
    """List the requests that wait for an answer, oldest first."""
    permissions = run.orc.permissions
    return present_lines(
        permissions.all() if all else permissions.pending(), _line, empty="No requests wait."
    )


@PERMISSION.command("show", example="show 7f3a0c1e", reads=True)
@_REQUEST
def show(run: Run, request: str) -> "Answer[PermissionView]":
    """Show a request with the whole input of its tool."""
    known = run.orc.permissions.get(request)
    answer = f"{known.status} {shown_time(known.answered_at)}" if known.answered_by else ""
    shown: dict[str, object] = {
        "Request": known.id,
        "Agent": known.agent,
        "Tool": known.tool,
        "Status": answer or known.status,
        "Asked": shown_time(known.since),
        "Until": shown_time(known.until),
        "Answered by": known.answered_by,
        "Message": known.message,
    }
    data = msgspec.json.format(msgspec.json.encode(known.tool_input), indent=2)
    return Answer(known, lambda: f"{fields(shown.items())}\n\n{visible_json(data).decode()}")


@PERMISSION.command("allow", example='allow 7f3a0c1e --always "Bash(git:*)"', idempotent=True)
@_REQUEST
@_ALWAYS
def allow(run: Run, request: str, always: str | None) -> "Answer[PermissionRequest]":
    """Allow a tool as it was asked for, once."""
    return _answered(run, request, "allow", "", always)


@PERMISSION.command("deny", example='deny 7f3a0c1e "Ask ann first."', idempotent=True)
@_REQUEST
@argument("[message]", "A message for the agent.", types.TEXT)
@_ALWAYS
def deny(
    run: Run, request: str, message: str | None, always: str | None
) -> "Answer[PermissionRequest]":
    """Deny it. Without an answer it is denied after five minutes."""
    return _answered(run, request, "deny", message or "", always)


@PERMISSION.command(
    "rules",
    example='rules plan "Bash(git:*)" --allow',
    reads=("allow", "deny", "remove"),
)
@argument("[agent]", "The agent whose requests they answer.", types.AGENT_NAME)
@argument("[pattern]", "WebFetch, mcp__github__*, Bash(npm test), Bash(git:*) or *.", types.NAME)
@flag("--allow", "Allow what fits the pattern.")
@flag("--deny", "Deny it.")
@flag("--remove", "Remove the rule.")
def rules(
    run: Run, agent: str | None, pattern: str | None, allow: bool, deny: bool, remove: bool
) -> "Answer[list[dict[str, str]] | dict[str, str]]":
    """Show or change the rules that answer in place of a person; the most specific one that fits counts.

    They belong to the user of this machine, as what is trusted does. Bash(git:*) fits only one plain command,
    so never `git status; rm -rf x`.
    """
    known = _rules(run)
    wanted = [
        name
        for name, is_wanted in (("allow", allow), ("deny", deny), ("remove", remove))
        if is_wanted
    ]
    if len(wanted) > 1:
        raise UsageError("Give one of --allow, --deny and --remove")
    if not wanted:
        if pattern is not None:
            raise UsageError("A pattern without a rule", hint="Give --allow, --deny or --remove.")
        return _listing(known, agent)
    if agent is None or pattern is None:
        raise UsageError(
            "A rule has an agent and a pattern",
            hint='`permission rules plan "Bash(git:*)" --allow`',
        )
    if remove:
        text = known.remove(agent, pattern)
        return say({"agent": agent, "pattern": text}, f"Removed: {escape(agent)} {escape(text)}")
    behavior: Behavior = "allow" if allow else "deny"
    text = known.set(agent, pattern, behavior)
    value = {"agent": agent, "pattern": text, "behavior": behavior}
    return say(value, f"Set: {escape(agent)} {behavior} {escape(text)}")


def _answered(
    run: Run, id: str, behavior: "Behavior", message: str, always: str | None
) -> "Answer[PermissionRequest]":
    permissions = run.orc.permissions
    if always is not None:
        _check_fit(permissions.get(id), always)
    answered = permissions.allow(id) if behavior == "allow" else permissions.deny(id, message)
    verb = "Allowed" if behavior == "allow" else "Denied"
    text = f"{verb}: {escape(answered.agent)} {escape(answered.tool)}"
    if always is not None:
        text += f", and from now on {escape(_rules(run).set(answered.agent, always, behavior))}"
    return say(answered, text)


def _check_fit(request: "PermissionView", pattern: str) -> None:
    """Refuse a pattern that the request is not of: it would not do what the person expects."""
    from orchestrator.domain.permissions.rules import decide

    if decide({pattern: "deny"}, request.tool, request.tool_input) is None:
        raise UsageError(
            f"Request {request.id} does not fit the pattern {pattern!a}",
            hint="It fits one plain command. Leave --always out to answer this request only.",
        )


def _listing(known: "PermissionRules", agent: str | None) -> "Answer[list[dict[str, str]]]":
    listed = [
        {"agent": name, "pattern": pattern, "behavior": behavior}
        for name, patterns in sorted(known.all().items())
        for pattern, behavior in sorted(patterns.items())
        if agent in (None, name)
    ]
    texts = (escape(f"{r['agent']}  {r['behavior']}  {r['pattern']}") for r in listed)
    return Answer(listed, lambda: lines(texts, empty="No rules."))


def _rules(run: Run) -> "PermissionRules":
    from orchestrator.supervisor.permission_rules import PermissionRules

    if run.orc.folder is None:
        raise NotFound(
            "This board is not in a folder, so no agents are started on it", code="no_folder"
        )
    return PermissionRules(run.orc.folder)


def _line(request: "PermissionView") -> str:
    from orchestrator.domain.permissions.commands import shown_input

    state = f"until {shown_time(request.until)}" if request.status == "pending" else request.status
    who = f"{request.id}  {request.agent}  {request.tool}  ({state})"
    return f"{escape(who)}\n  {shown_input(request.tool_input)}"
