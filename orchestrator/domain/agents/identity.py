"""The identity of the acting agent: its current name and session."""

from collections.abc import Iterable

from orchestrator.core import names
from orchestrator.core.errors import BadName, Refused, did_you_mean
from orchestrator.core.store import Presence
from orchestrator.core.transaction import SYSTEM, Desk, Transaction, check_named
from orchestrator.domain.state import State


def is_known(state: State, presence: Presence, agent: str) -> bool:
    """Whether an agent of this name exists: it registered, began a session, or acted."""
    agents = state.agents
    return (
        agent in agents
        or agent in agents.aliases
        or agent in agents.sessions
        or presence.knows(agent)
    )


def known_names(state: State, presence: Presence) -> set[str]:
    """The names of all agents that ever registered, began a session or acted."""
    agents = state.agents
    return {*agents, *agents.aliases, *agents.sessions, *presence.seen()}


def check_name(state: State, presence: Presence, agent: str) -> bool:
    """Whether an agent of this name was here; a new name differs from others not only in case or as a file.

    Raises:
        BadName: It differs only so, or it cannot be the name of an agent.
    """
    if agent == SYSTEM or is_known(state, presence, names.agent(agent)):
        return True
    others = {name.replace("/", ".") for name in known_names(state, presence)}
    names.name("agent", agent.replace("/", "."), among=others)
    return False


def strangers(state: State, presence: Presence, agents: Iterable[str]) -> list[str]:
    """Say of each agent that was never here which known one has the most similar name."""
    new = [agent for agent in agents if not is_known(state, presence, agent)]
    known = sorted(known_names(state, presence)) if new else []
    return [
        f"no agent {agent} was here yet{did_you_mean(agent, known)}; what is meant for it waits"
        for agent in new
    ]


def name_here(state: State, presence: Presence, agent: str) -> str:
    """The name of the agent that a name means which another program wrote: its present one, in its case."""
    agent = state.agents.aliases.get(agent, agent)
    try:
        check_name(state, presence, agent)
    except BadName:
        alike = (name for name in known_names(state, presence) if _key(name) == _key(agent))
        return next(alike, agent)
    return agent


def _key(agent: str) -> str:
    return names.normal_form(agent).casefold().replace("/", ".")


def act_now(tx: Transaction[State], agent: str | None, *, needed: bool = False) -> str:
    """Set the acting agent, as :meth:`Transaction.act_as`; a renamed agent acts under its new name."""
    actor = tx.act_as(agent, needed=needed)
    alias = tx.state.agents.aliases.get(actor)
    return actor if alias is None else tx.act_as(alias)


def own_name(desk: Desk[State], agent: str | None) -> str:
    """Return the current name of an agent; None: the agent that the board was opened with.

    Raises:
        UsageError: No agent is named.
    """
    name = check_named(desk.agent if agent is None else names.agent(agent))
    return desk.read().agents.aliases.get(name, name)


def act_in_session(
    tx: Transaction[State], agent: str | None, *, needed: bool = False, task: str = "ID"
) -> str:
    """Set the acting agent, as :meth:`Transaction.act_as`, and refuse an outdated session.

    Args:
        tx: The transaction.
        agent: The name; None for the agent that the board was opened with.
        needed: Refuse to act as ``system``.
        task: The task that the command is about, for the hint of the refusal.

    Raises:
        Refused: The agent has started a newer session.
    """
    actor = act_now(tx, agent, needed=needed)
    if is_outdated(tx.state, actor, tx.session):
        now = tx.state.agents.sessions[actor].incarnation
        raise Refused(
            f"{actor} has a newer session: this is session {tx.session}, and {now} has begun",
            code="older_session",
            hint="Stop here: the newer session has the work."
            f" `t note {task} TEXT` keeps what this session learned.",
            session=tx.session,
            current=now,
        )
    return actor


def act_to_work(tx: Transaction[State], agent: str | None, *, task: str = "ID") -> str:
    """Set the acting agent, which is needed, for a command that takes work or a resource.

    Raises:
        Refused: It is retired, or has started a newer session than the acting one.
    """
    actor = act_in_session(tx, agent, needed=True, task=task)
    check_active(tx.state, actor)
    return actor


def check_active(state: State, agent: str) -> None:
    """Refuse a retired agent, which is given and takes nothing; one that never registered is allowed.

    Raises:
        BadName: It cannot be the name of an agent.
        Refused: It is retired.
    """
    if state.agents.is_retired(names.agent(agent)):
        raise Refused(
            f"Agent {agent} is retired: it takes no work",
            code="retired",
            hint=f"`a register {agent}` makes it active again.",
            agent=agent,
        )


def is_outdated(state: State, agent: str, session: int | None) -> bool:
    """Whether an agent has started a newer session than this one."""
    known = state.agents.sessions.get(agent)
    return session is not None and known is not None and session < known.incarnation
