"""``orc agent``: who works on the board."""

from typing import TYPE_CHECKING, TypedDict

from orchestrator.core.errors import NotFound, UsageError
from orchestrator.core.printable import escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import AGENT
from orchestrator.interfaces.cli.layout import facts, shown_time
from orchestrator.interfaces.cli.parameters import argument, option
from orchestrator.interfaces.cli.rendering import Answer, listing, say
from orchestrator.interfaces.cli.run import Run, given

if TYPE_CHECKING:
    from orchestrator.domain.agents.commands import AgentView
    from orchestrator.domain.agents.records import Agent
    from orchestrator.reports.spans import WorkSpan

_ID = argument("id", "The agent.", types.AGENT_NAME)


@AGENT.command(
    "register", example="register agent-1 builder --capability python,docs", idempotent=True
)
@argument("id", "Its name; names like team/ann are allowed.", types.AGENT_NAME)
@argument("[type]", "A word for its kind.", types.NAME, default="general")
@option(
    "--capabilities/--capability",
    "Types and labels of tasks it suits; none means all.",
    types.WORDS,
    many=True,
)
@option("--max-load", "How many tasks it may be given at once.", types.COUNT)
def register(
    run: Run, id: str, type: str, capabilities: list[str] | None, max_load: int | None
) -> "Answer[Agent]":
    """Register an agent, with its type and capabilities."""
    other = run.settings.agent if run.settings.agent != id else None
    agent = run.orc.agents.register(
        id, type=type, capabilities=capabilities or (), max_load=max_load, **given(agent=other)
    )
    return run.changed(agent, f"Registered agent: {escape(agent.id)} ({escape(agent.type)})")


@AGENT.command("rename", example="rename agent-1 team/ann", idempotent=True)
@_ID
@argument("to", "Its new name.", types.NAME)
def rename(run: Run, id: str, to: str) -> "Answer[dict[str, str]]":
    """Rename an agent; its tasks, hook, locks, mail and session are kept."""
    name = run.orc.agents.rename(id, to)
    return run.changed({"id": name, "was": id}, f"Renamed agent: {escape(id)} -> {escape(name)}")


@AGENT.command("list", example="list", reads=True)
def list_(run: Run) -> "Answer[list[AgentView]]":
    """List agents that are registered, were seen, or have work: how many tasks, of how many at most.

    `orc whoami --agent NAME` shows the type and the capabilities of one.
    """
    agents = run.orc.agents.all()
    machines = ["machine"] if any(agent.machine for agent in agents) else []
    return listing(
        agents,
        ("agent", "id"),
        ("state", _presence),
        *machines,
        "last_seen",
        ("tasks", _load),
        ("hook", "hook"),
        ("unread", _unread),
        "locks",
        empty="No agents.",
    )


class _Beat(TypedDict):
    """An agent that is alive, and the tasks whose leases were renewed."""

    id: str
    renewed: list[str]


@AGENT.command("heartbeat", example="heartbeat agent-1 --every 15s", idempotent=True)
@argument("[id]", "The agent; else who acts.", types.AGENT_NAME)
@option(
    "--every", "Go on so, this often, until the session ends or is taken over: 15s.", types.DURATION
)
def heartbeat(run: Run, id: str | None, every: str | None) -> "Answer[_Beat]":
    """Record that an agent is alive; leases that are half over are renewed."""
    name = run.actor(id) or run.agent
    if name is None:
        raise UsageError(
            "This needs to know which agent acts",
            code="agent_needed",
            hint="Name the agent, give --agent NAME, or set ORC_AGENT.",
        )
    renewed = [task.id for task in run.orc.agents.heartbeat(name)]
    while every is not None and run.orc.agents.wait_for_beat(name, every):
        renewed += [task.id for task in run.orc.agents.heartbeat(name)]
    # Nothing is read after the commit: an error would look like a failed command.
    return say(_Beat(id=name, renewed=renewed), f"Heartbeat: {escape(name)}")


@AGENT.command("whoami", example="whoami --agent agent-1", reads=True)
def whoami(run: Run) -> "Answer[dict[str, str] | AgentView]":
    """Show the acting agent, and what it holds."""
    name = run.agent or "system"
    try:
        view = run.orc.agents.get(name)
    except NotFound:
        return say({"id": name, "status": "unregistered"}, f"{escape(name)} (not seen yet)")
    return Answer(view, lambda: agent_page(view))


@AGENT.command("retire", example="retire agent-1", idempotent=True)
@_ID
@option("--reason", "Why.", default="")
def retire(run: Run, id: str, reason: str) -> "Answer[Agent]":
    """Retire an agent; everything that it holds is released."""
    return run.changed(run.orc.agents.retire(id, reason=reason), f"Retired agent: {escape(id)}")


@AGENT.command("work", example="work ann --since 8h", reads=True)
@argument("[agent]", "Only the work of this agent.", types.AGENT_NAME)
@option("--since", "From a time on, or that long ago, or after an event; else 24h.", types.WHEN)
def work(run: Run, agent: str | None, since: str | None) -> "Answer[list[WorkSpan]]":
    """List who had which task in progress from when to when, by the beginning."""
    return listing(
        run.orc.spans(agent=agent, since=since),
        ("from", "since"),
        ("to", "until"),
        "agent",
        "task",
        "status",
        "title",
        empty="No work.",
    )


def _presence(agent: "AgentView") -> str:
    return agent.status if agent.status == "retired" else agent.presence


def _unread(agent: "AgentView") -> int | None:
    return agent.unread or None


def _quiet(agent: "AgentView") -> str:
    until = agent.do_not_disturb
    return "" if until is None else f"until {shown_time(until)}" if until else "on"


def _load(agent: "AgentView") -> str:
    limit = "" if agent.max_load is None else f"/{agent.max_load}"
    return f"{agent.load}{limit}" if agent.load or limit else ""


def agent_page(agent: "AgentView") -> str:
    """An agent as it is now, as safe lines."""
    known = facts(
        agent,
        ("state", _presence),
        "session",
        "machine",
        "last_seen",
        "hook",
        ("in progress", "tasks"),
        "assigned",
        ("unread mail", _unread),
        ("do not disturb", _quiet),
        "locks",
        "capabilities",
    )
    return f"{escape(agent.id)} ({escape(agent.type)})\n{known}"
