"""Messages with their texts, which are read from the events that sent them."""

from collections.abc import Callable

from msgspec.structs import asdict, replace

from orchestrator.core.errors import NotFound
from orchestrator.core.events import Recorded, decode
from orchestrator.domain.mail.events import MessageSent
from orchestrator.domain.mail.records import Message, Receipt
from orchestrator.domain.state import State

FindEvent = Callable[[int], Recorded]
"""Returns an event by its id."""


class Letter(Message, frozen=True, gc=False, kw_only=True):
    """A message with its text and receipts.

    Attributes:
        recipients: The agents of the addresses when it was sent.
        queue: The queue that it was sent to; empty if none.
        receipts: For each agent that has it in its mailbox: when it was delivered, read and acknowledged.
    """

    recipients: tuple[str, ...]
    queue: str
    body: str
    receipts: dict[str, Receipt]


def find(state: State, message: int, event: FindEvent) -> Message:
    """Return the header of a message; if no mailbox holds it any more, from the log.

    Raises:
        NotFound: There was never such a message.
    """
    header = state.mail.messages.get(message)
    if header is None:
        recorded, sent = find_sent(message, event)
        header = sent.header(recorded)
    return header


def letter_of(state: State, recorded: Recorded, sent: MessageSent) -> Letter:
    """Return a message as it is now, with the text of the event that sent it."""
    message = recorded.id
    header = state.mail.messages.get(message) or replace(sent.header(recorded), copies=0)
    held = ((agent, box.receipt(message)) for agent, box in state.mail.mailboxes.items())
    return Letter(
        **asdict(header),
        recipients=sent.recipients,
        queue=sent.queue,
        body=sent.body,
        receipts={agent: receipt for agent, receipt in held if receipt is not None},
    )


def find_sent(message: int, event: FindEvent) -> tuple[Recorded, MessageSent]:
    """Return the event that sent a message.

    Raises:
        NotFound: There is no such message.
    """
    try:
        recorded = event(message)
        sent = decode(recorded)
    except NotFound:
        sent = None
    if not isinstance(sent, MessageSent):
        raise NotFound(
            f"There is no message {message}",
            code="message_not_found",
            hint="`mail inbox` lists what you hold, with ids.",
        )
    return recorded, sent
