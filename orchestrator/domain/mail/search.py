"""The search of words in messages."""

from collections.abc import Iterator

import msgspec

from orchestrator.core.events import Recorded, decode
from orchestrator.core.transaction import Desk
from orchestrator.domain.mail.events import (
    MessageDeleted,
    MessageRequeued,
    MessageSent,
    MessageTaken,
)
from orchestrator.domain.mail.letters import find_sent
from orchestrator.domain.state import State

_READ = (MessageTaken.TYPE, MessageRequeued.TYPE, MessageDeleted.TYPE, MessageSent.TYPE)


class SearchMatch(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A message that matches a search, and its first line with one of the words."""

    id: int
    sender: str
    sent_at: str
    subject: str
    line: str


def messages_of(
    desk: Desk[State], agent: str, *, archived: bool
) -> Iterator[tuple[Recorded, MessageSent]]:
    """Yield the messages that an agent sent and received, newest first."""
    state = desk.read()
    box = state.mail.mailbox(agent)
    if not archived:
        for id, header in reversed(state.mail.messages.items()):
            if header.sender == agent or id in box:
                yield find_sent(id, desk.event)
        return
    yield from _in_log(desk, agent, {id for _, id, _ in box.items()})


def _in_log(
    desk: Desk[State], agent: str, mine: set[int]
) -> Iterator[tuple[Recorded, MessageSent]]:
    deleted, given_back = set[int](), set[int]()
    # Backwards, so that a message comes after the events that take, give back and delete it.
    for recorded in desk.read_backwards():
        if recorded.type not in _READ:
            continue
        event = decode(recorded)
        if isinstance(event, MessageSent):
            got = agent in event.recipients or recorded.id in mine
            if recorded.agent == agent or (got and recorded.id not in deleted):
                yield recorded, event
        elif recorded.agent == agent:
            if isinstance(event, MessageDeleted):
                deleted.update(event.messages)
            elif isinstance(event, MessageRequeued):
                given_back.add(event.message)
            elif isinstance(event, MessageTaken) and event.message not in given_back:
                mine.add(event.message)
            elif isinstance(event, MessageTaken):
                given_back.remove(event.message)


def match(recorded: Recorded, sent: MessageSent, wanted: list[str]) -> SearchMatch | None:
    """Return what a message has of the words, folded; None if one of them is missing."""
    text = f"{sent.subject}\n{sent.body}"
    folded = text.casefold()
    if not all(word in folded for word in wanted):
        return None
    lines = (line for line in text.split("\n") if any(word in line.casefold() for word in wanted))
    return SearchMatch(
        id=recorded.id,
        sender=recorded.agent,
        sent_at=recorded.ts,
        subject=sent.subject,
        line=next(lines, "").strip(),
    )
