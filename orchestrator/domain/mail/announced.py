"""The mail that was announced to an agent, so that each message ends a wait only once."""

from orchestrator.core.transaction import Desk
from orchestrator.domain.mail.matters import unread_messages
from orchestrator.domain.mail.records import Message
from orchestrator.domain.state import State


def announced(desk: Desk[State], agent: str) -> int:
    """Return the id of the newest message that was announced to the agent; 0 if there is none."""
    text = desk.cursors.read(_reader(agent))
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0


def announce(desk: Desk[State], agent: str, message: int) -> None:
    """Record that the messages up to this one were announced to the agent."""
    if message > announced(desk, agent):
        desk.cursors.write(_reader(agent), str(message))


def unannounced(desk: Desk[State], agent: str) -> tuple[Message, ...]:
    """Return the messages to an agent that were neither delivered nor announced, but for settled ones."""
    state = desk.read()
    new = unread_messages(state, agent, desk.now(), new=True)
    if not new:
        return ()
    last = announced(desk, agent)
    return tuple(state.mail.messages[message] for message in new if message > last)


def _reader(agent: str) -> str:
    return f"mail/{agent}"
