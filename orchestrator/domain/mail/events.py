"""What a message is: its header, the mailboxes and queues that hold it, and the events that move it.

The id of a message is the id of the event that sent it. The state keeps headers only; the text stays in that
event, so a full mailbox costs a board little. A header leaves the state with the last mailbox or queue that
held it; the log keeps it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from orchestrator.core.events import Event, Recorded, event

if TYPE_CHECKING:
    from orchestrator.domain.state import State

PRIORITIES = ("urgent", "high", "normal", "low")
KINDS = ("note", "work_assignment", "notification", "coordination_request", "status_update")


class Message(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """The header of a message.

    Defaults are empty, None or small numbers only; :class:`orchestrator.domain.tasks.events.Task` says why.

    Attributes:
        incarnation: Which start of the sender wrote it; 0 if that is not known.
        outdated: Whether the sender had started anew by then, so that the writer was a late one.
        to: The addresses as they were written: agents, ``@all``, ``list:NAME`` ...
        cc: Further ones.
        thread: The id of the message that began the exchange; its own, if it did.
        pinned: Stays in the mailbox when what was read is archived by age.
        taken_by: Who took it from its queue.
        copies: How many mailboxes and queues hold it.
    """

    id: int
    sender: str
    incarnation: int = 0
    outdated: bool = False
    to: tuple[str, ...]
    cc: tuple[str, ...] = ()
    subject: str
    priority: str
    kind: str
    thread: int
    reply_to: int | None = None
    pinned: bool = False
    sent_at: str
    taken_by: str | None = None
    taken_at: str | None = None
    copies: int


class Receipt(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """When a message reached one agent; None for what has not happened yet."""

    delivered_at: str | None = None
    read_at: str | None = None
    acknowledged_at: str | None = None

    def delivered(self, now: str) -> "Receipt":
        """The same, delivered by now."""
        return replace(self, delivered_at=self.delivered_at or now)

    def read(self, now: str) -> "Receipt":
        """The same, delivered and read by now."""
        return replace(self.delivered(now), read_at=self.read_at or now)

    def acknowledged(self, now: str) -> "Receipt":
        """The same, delivered, read and acknowledged by now."""
        return replace(self.read(now), acknowledged_at=self.acknowledged_at or now)


class Mailbox(msgspec.Struct, omit_defaults=True):
    """The messages that an agent holds, by how far they have come, so that nothing has to be counted.

    Attributes:
        new: Not delivered yet, in the order they came.
        unread: Delivered: put before the agent, which has not said that it read them.
        read: Read.
    """

    new: dict[int, Receipt] = {}
    unread: dict[int, Receipt] = {}
    read: dict[int, Receipt] = {}

    @property
    def count_unread(self) -> int:
        """How many are not read, whether they were delivered or not."""
        return len(self.new) + len(self.unread)

    def __contains__(self, message: int) -> bool:
        return message in self.new or message in self.unread or message in self.read

    def items(self) -> Iterator[tuple[str, int, Receipt]]:
        """Every message: ``new``, ``unread`` or ``read``, its id and its receipt."""
        for standing, held in (("new", self.new), ("unread", self.unread), ("read", self.read)):
            for message, receipt in held.items():
                yield standing, message, receipt

    def receipt(self, message: int) -> Receipt | None:
        """When the message was delivered, read and acknowledged here; None if it is not here."""
        return self.new.get(message) or self.unread.get(message) or self.read.get(message)

    def pop(self, message: int) -> Receipt:
        """Take a message out.

        Raises:
            KeyError: It is not here.
        """
        for held in (self.new, self.unread):
            if message in held:
                return held.pop(message)
        return self.read.pop(message)

    def absorb(self, other: "Mailbox") -> list[int]:
        """Take over what another holds, in the order of the ids; gives the messages that both had.

        Of those the receipt that says more is kept.
        """
        both = [message for _, message, _ in other.items() if message in self]
        for message in both:
            weaker = self if self.progress(message) < other.progress(message) else other
            weaker.pop(message)
        for mine, theirs in (
            (self.new, other.new),
            (self.unread, other.unread),
            (self.read, other.read),
        ):
            merged = sorted({**mine, **theirs}.items())
            mine.clear()
            mine.update(merged)
        return both

    def progress(self, message: int) -> tuple[bool, bool, bool]:
        """How far a message has come here; of two the greater is further."""
        receipt = self.receipt(message) or Receipt()
        return message in self.read, message in self.unread, receipt.acknowledged_at is not None


@event("message.sent")
class MessageSent(Event):
    """A message was put into the mailboxes of the recipients, and into a queue if it names one."""

    subject: str
    to: tuple[str, ...]
    cc: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    queue: str = ""
    body: str = ""
    priority: str = "normal"
    kind: str = "note"
    thread: int = 0  # 0: it begins one
    reply_to: int | None = None
    pinned: bool = False
    incarnation: int = 0
    outdated: bool = False

    def header(self, at: Recorded) -> Message:
        """What the state keeps of it."""
        return Message(
            id=at.id,
            sender=at.agent,
            incarnation=self.incarnation,
            outdated=self.outdated,
            to=self.to,
            cc=self.cc,
            subject=self.subject,
            priority=self.priority,
            kind=self.kind,
            thread=self.thread or at.id,
            reply_to=self.reply_to,
            pinned=self.pinned,
            sent_at=at.ts,
            copies=len(self.recipients) + bool(self.queue),
        )

    def apply(self, state: "State", at: Recorded) -> None:
        state.messages[at.id] = self.header(at)
        for agent in self.recipients:
            state.mailboxes.setdefault(agent, Mailbox()).new[at.id] = Receipt()
        if self.queue:
            state.queues.setdefault(self.queue, []).append(at.id)


@event("message.taken")
class MessageTaken(Event):
    """An agent took a message from its queue: it is in that agent's mailbox now, and nobody else gets it."""

    message: int
    queue: str

    def apply(self, state: "State", at: Recorded) -> None:
        waiting = state.queues[self.queue]
        waiting.remove(self.message)
        if not waiting:
            del state.queues[self.queue]
        taken = replace(state.messages[self.message], taken_by=at.agent, taken_at=at.ts)
        state.messages[self.message] = taken
        box = state.mailboxes.setdefault(at.agent, Mailbox())
        if self.message in box:
            release(state, self.message)  # it was sent to the agent and to the queue
        else:
            box.unread[self.message] = Receipt().delivered(at.ts)


@event("message.delivered")
class MessageDelivered(Event):
    """Messages were put before their recipient."""

    messages: tuple[int, ...]

    def apply(self, state: "State", at: Recorded) -> None:
        box = state.mailboxes[at.agent]
        for message in self.messages:
            box.unread[message] = box.new.pop(message).delivered(at.ts)


@event("message.read")
class MessageRead(Event):
    """A recipient read a message."""

    message: int

    def apply(self, state: "State", at: Recorded) -> None:
        box = state.mailboxes[at.agent]
        box.read[self.message] = box.pop(self.message).read(at.ts)


@event("message.acknowledged")
class MessageAcknowledged(Event):
    """A recipient said that it has seen to a message; it has read it, then."""

    message: int

    def apply(self, state: "State", at: Recorded) -> None:
        box = state.mailboxes[at.agent]
        box.read[self.message] = box.pop(self.message).acknowledged(at.ts)


@event("message.archived")
class MessageArchived(Event):
    """Messages left the mailbox of the agent."""

    messages: tuple[int, ...]

    def apply(self, state: "State", at: Recorded) -> None:
        box = state.mailboxes[at.agent]
        for message in self.messages:
            box.pop(message)
            release(state, message)
        if not (box.new or box.unread or box.read):
            del state.mailboxes[at.agent]


@event("message.list_set")
class MailingListSet(Event):
    """A mailing list has these members now; without any there is no such list."""

    name: str
    members: tuple[str, ...] = ()

    def apply(self, state: "State", at: Recorded) -> None:
        if self.members:
            state.mailing_lists[self.name] = self.members
        else:
            state.mailing_lists.pop(self.name, None)


def release(state: "State", message: int) -> None:
    """One mailbox or queue less holds a message; its header leaves the state with the last one."""
    header = state.messages[message]
    if header.copies > 1:
        state.messages[message] = replace(header, copies=header.copies - 1)
    else:
        del state.messages[message]
