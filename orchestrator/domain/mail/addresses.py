"""Addresses of mail: ``ann``, ``@all``, ``@type:NAME``, ``@ws:NAME``, ``list:NAME``, ``queue:NAME``.

Groups are resolved when a message is sent, and never contain its sender.
"""

from collections.abc import Iterable

import msgspec

from orchestrator.core import names
from orchestrator.core.calls import check_list, split_list
from orchestrator.core.errors import Refused, UsageError, missing
from orchestrator.core.transaction import SYSTEM
from orchestrator.domain.state import State

FORMS = "NAME, @all, @type:NAME, @ws:NAME, list:NAME, queue:NAME"

_KINDS = {"@type": "agent type", "@ws": "workstream", "list": "mailing list", "queue": "queue"}
"""The kind of name in each form of address."""


class Recipients(msgspec.Struct, frozen=True, gc=False):
    """The recipients of a message: agents, and the queue if there is one."""

    agents: tuple[str, ...]
    queue: str


def parse(addresses: str | Iterable[str]) -> tuple[str, ...]:
    """Split one or several texts with commas into addresses.

    Raises:
        BadName: One between two commas is empty.
        UsageError: An address is given twice.
    """
    texts = [addresses] if isinstance(addresses, str) else addresses
    parsed = tuple(word for text in texts for word in split_list(text))
    check_list("addresses", parsed)
    return parsed


def named(addresses: Iterable[str]) -> list[str]:
    """Return those of the addresses that are names of agents."""
    return [address for address in addresses if ":" not in address and address[:1] != "@"]


def check(addresses: Iterable[str]) -> None:
    """Check the forms of addresses; whether a recipient exists is checked when a message is sent.

    Raises:
        BadName: A name in it is not allowed.
        UsageError: An address has no known form.
    """
    for address in addresses:
        form, colon, name = address.partition(":")
        if colon and form in _KINDS:
            names.name(_KINDS[form], name)
        elif colon or (address[:1] == "@" and address != "@all"):
            raise UsageError(
                f"{address!a} is not an address", hint=f"An address is one of {FORMS}."
            )
        elif address != "@all":
            mailbox(address)


def resolve(state: State, addresses: Iterable[str], sender: str) -> Recipients:
    """Resolve addresses to the current recipients.

    Raises:
        NotFound: There is no such mailing list or workstream.
        Refused: The sender is the only member of a group (``nobody``).
        UsageError: An address has no known form, or two of them are queues.
    """
    addresses = tuple(addresses)
    check(addresses)
    agents: dict[str, None] = {}
    queues: dict[str, None] = {}
    for address in addresses:
        form, colon, name = address.partition(":")
        if form == "queue" and colon:
            queues[names.name("queue", name, among=state.mail.queues)] = None
        elif colon or address[0] == "@":
            agents.update(dict.fromkeys(_group(state, address, sender)))
        else:
            name = mailbox(address)
            agents[state.agents.aliases.get(name, name)] = None
    if len(queues) > 1:
        raise UsageError("A message goes to one queue", hint="Send it once for each.")
    return Recipients(tuple(agents), next(iter(queues), ""))


def mailbox(agent: str) -> str:
    """Check that an agent of this name can have a mailbox, and return the name.

    Raises:
        UsageError: It is the form of a group, or ``system``.
    """
    if agent == SYSTEM:
        raise UsageError(f"{SYSTEM} has no mailbox", hint=f"An address is one of {FORMS}.")
    if agent[:1] == "@":
        raise UsageError(f"{agent!a} is not an agent", hint=f"An address is one of {FORMS}.")
    return names.agent(agent)


def _group(state: State, address: str, sender: str) -> list[str]:
    members = [member for member in _members(state, address) if member != sender]
    if not members:
        raise Refused(
            f"{address} has no member beside the sender",
            code="nobody",
            hint="`a list` shows the agents, `mail lists` the mailing lists.",
            address=address,
        )
    return members


def _members(state: State, address: str) -> Iterable[str]:
    form, _, name = address.partition(":")
    if form in ("@all", "@type"):
        active = (agent for agent in state.agents.values() if agent.status != "retired")
        return sorted(agent.id for agent in active if form == "@all" or agent.type == name)
    if form == "@ws":
        state.workstreams.find(name)
        held = {agent: state.schedule.held_by(agent) for agent in state.schedule.holders()}
        return sorted(a for a, tasks in held.items() if any(t.workstream == name for t in tasks))
    return find_list(state, name)


def find_list(state: State, name: str) -> tuple[str, ...]:
    """Return the members of a mailing list.

    Raises:
        NotFound: There is no such list.
    """
    members = state.mail.mailing_lists.get(names.name("mailing list", name))
    if members is None:
        raise missing(
            "mailing list",
            name,
            state.mail.mailing_lists,
            code="list_not_found",
            hint="`mail lists` shows them; `mail list NAME AGENT...` makes one.",
        )
    return members
