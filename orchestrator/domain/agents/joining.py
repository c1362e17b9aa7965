"""Which session a program on this machine is: the one that it has, or a new one with a name of its own."""

from collections.abc import Container, Iterator
from itertools import count

from orchestrator.core import processes
from orchestrator.core.clock import seconds
from orchestrator.core.machine import are_apart
from orchestrator.core.store import Presence
from orchestrator.domain.agents.identity import is_known
from orchestrator.domain.agents.records import Session
from orchestrator.domain.state import State


def served_agents(state: State, presence: Presence) -> dict[str, bool]:
    """The agents that servers are, by their present names, and whether the server runs."""
    aliases = state.agents.aliases
    return {aliases.get(name, name): runs for name, runs in presence.serving().items()}


def running_servers(state: State, presence: Presence) -> set[str]:
    """The agents that running servers are."""
    return {name for name, runs in served_agents(state, presence).items() if runs}


def session_in(
    state: State, host: str, name: str = "", taken: Container[str] = ()
) -> Session | None:
    """The live session of a process.

    Args:
        state: The board.
        host: The process, by :func:`orchestrator.core.processes.host_process`.
        name: Only one of this name, or of this name with a number.
        taken: Agents that are not asked for.
    """
    for session in state.agents.sessions.values() if host else ():
        if session.host == host and session.is_live and session.agent not in taken:
            base, _, number = session.agent.rpartition("-")
            if name in ("", session.agent) or (number.isdecimal() and name == base):
                return session
    return None


def new_name(
    state: State,
    presence: Presence,
    wanted: str,
    *,
    client: str,
    folder: str,
    given: bool,
    taken: Container[str],
) -> str:
    """The name for a new session of a program in a folder.

    Args:
        state: The board.
        presence: Who was ever there.
        wanted: The name that it gets, with a number while others have it.
        client: The program.
        folder: The folder in which it works.
        given: The user has named it: the name is its own even if others used it before.
        taken: Agents that running servers are.
    """

    def is_own(session: Session) -> bool:
        is_far = are_apart(session.machine, state.machine)
        return (session.client, session.folder) == (client, folder) and not is_far

    def is_free(agent: str) -> bool:
        session = state.agents.sessions.get(agent)
        return agent not in taken and (session is None or not runs(session, state.machine))

    former = [
        session
        for session in state.agents.sessions.values()
        if is_own(session) and is_free(session.agent)
    ]
    if former and not given:
        return max(former, key=lambda session: session.started_at).agent
    if given and is_free(wanted):
        return wanted
    for name in _numbered(wanted):
        session = state.agents.sessions.get(name)
        is_mine = session is not None and is_own(session) and is_free(name)
        if (is_mine and given) or not (is_known(state, presence, name) or name in taken):
            return name
    raise AssertionError


def _numbered(name: str) -> Iterator[str]:
    yield name
    for number in count(2):
        yield f"{name}-{number}"


def runs(session: Session, machine: str) -> bool:
    """Whether a session is live, and the process of its program too if it is of this machine."""
    if not session.is_live or are_apart(session.machine, machine):
        return session.is_live
    return processes.host_runs(session.host, seconds(session.started_at))
