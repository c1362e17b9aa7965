"""The mail that was announced to an agent, so that each message ends a wait only once."""

from collections.abc import Iterable

from orchestrator.core.decoding import whole_number
from orchestrator.core.transaction import Desk
from orchestrator.domain.mail.matters import new_messages
from orchestrator.domain.mail.records import Message
from orchestrator.domain.state import State


def announced(desk: Desk[State], agent: str) -> tuple[int, frozenset[int]]:
    """Return the newest message that was announced to the agent, and the older ones that were not.

    0 if there is none.
    """
    words = desk.cursors.read(_reader(agent)).split(" ")
    numbers = [number for word in words if (number := whole_number(word)) is not None]
    if len(numbers) < len(words):
        return 0, frozenset()
    return numbers[0], frozenset(numbers[1:])


def announce(desk: Desk[State], agent: str, message: int, kept: Iterable[int] = ()) -> None:
    """Record that the messages up to this one were announced to the agent, but for some."""
    before, last = announced(desk, agent), max(message, announced(desk, agent)[0])
    after = last, frozenset(id for id in kept if id < last)
    if after != before:
        desk.cursors.write(_reader(agent), " ".join(map(str, (last, *sorted(after[1])))))


def unannounced(desk: Desk[State], agent: str) -> tuple[tuple[Message, ...], list[int]]:
    """Return the new messages to announce to an agent, and those to keep from it for now.

    Messages that were delivered or announced, and settled ones, are not among them.
    """
    state = desk.read()
    new, kept = new_messages(state, agent, desk.now())
    if not (new or kept):
        return (), []
    last, passed = announced(desk, agent)

    def waits(message: int) -> bool:
        return message > last or message in passed

    return tuple(state.mail.messages[m] for m in new if waits(m)), [*filter(waits, kept)]


def _reader(agent: str) -> str:
    return f"mail/{agent}"
