"""The records of mail: headers, receipts and mailboxes."""

from collections.abc import Iterator
from typing import Literal, get_args

import msgspec
from msgspec.structs import replace

from orchestrator.domain.slices import Record, Slice

Urgency = Literal["urgent", "high", "normal", "low"]

PRIORITIES: tuple[Urgency, ...] = get_args(Urgency)

MessageKind = Literal[
    "note", "work_assignment", "notification", "coordination_request", "status_update"
]

KINDS: tuple[MessageKind, ...] = get_args(MessageKind)


class Matter(Record, frozen=True, kw_only=True):
    """What a notice is about: the event of a task that made it, and the attempt of then.

    Attributes:
        more: Further tasks of the same event, such as steps that were assigned together.
    """

    task: str
    event: str
    attempt: int = 0
    more: tuple[str, ...] = ()


class Message(Record, frozen=True, kw_only=True):
    """The header of a message.

    Defaults are empty, None or small numbers only; :class:`orchestrator.domain.tasks.records.Task` says why.

    Attributes:
        incarnation: The session of the sender that wrote it; 0 if it is not known.
        outdated: Whether the sender had already started a newer session.
        to: The addresses as they were given: agents, ``@all``, ``list:NAME`` ...
        cc: Further ones.
        thread: The id of the first message of the thread.
        pinned: It stays in the mailbox when read messages are archived by age.
        taken_by: The agent that took it from its queue.
        copies: How many mailboxes and queues hold it.
        about: What it asks for, if the board sent it; see :mod:`orchestrator.domain.mail.matters`.
    """

    id: int
    sender: str
    incarnation: int = 0
    outdated: bool = False
    to: tuple[str, ...]
    cc: tuple[str, ...] = ()
    subject: str
    priority: Urgency
    kind: MessageKind
    thread: int
    reply_to: int | None = None
    pinned: bool = False
    sent_at: str
    taken_by: str | None = None
    taken_at: str | None = None
    copies: int
    about: Matter | None = None


class Receipt(Record, frozen=True, kw_only=True):
    """When a message reached one agent; None: not yet."""

    delivered_at: str | None = None
    read_at: str | None = None
    acknowledged_at: str | None = None

    def delivered(self, now: str) -> "Receipt":
        """The receipt once it is delivered."""
        return replace(self, delivered_at=self.delivered_at or now)

    def read(self, now: str) -> "Receipt":
        """The receipt once it is delivered and read."""
        return replace(self.delivered(now), read_at=self.read_at or now)

    def acknowledged(self, now: str) -> "Receipt":
        """The receipt once it is delivered, read and acknowledged."""
        return replace(self.read(now), acknowledged_at=self.acknowledged_at or now)

    def unread(self) -> "Receipt":
        """The receipt of a message that is to be read again."""
        return replace(self, read_at=None, acknowledged_at=None)


class Mailbox(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The messages of an agent, by status.

    Attributes:
        new: Not delivered yet, in the order of arrival.
        unread: Delivered, but not read.
        read: Read.
    """

    new: dict[int, Receipt] = {}
    unread: dict[int, Receipt] = {}
    read: dict[int, Receipt] = {}

    def __contains__(self, message: int) -> bool:
        return message in self.new or message in self.unread or message in self.read

    def items(self) -> Iterator[tuple[str, int, Receipt]]:
        """Yield status (``new``, ``unread`` or ``read``), id and receipt of every message."""
        for status, held in (("new", self.new), ("unread", self.unread), ("read", self.read)):
            for message, receipt in held.items():
                yield status, message, receipt

    def receipt(self, message: int) -> Receipt | None:
        """The receipt of a message; None if it is not here."""
        return self.new.get(message) or self.unread.get(message) or self.read.get(message)

    def pop(self, message: int) -> Receipt:
        """Remove a message, and return its receipt.

        Raises:
            KeyError: It is not here.
        """
        for held in (self.new, self.unread):
            if message in held:
                return held.pop(message)
        return self.read.pop(message)

    def absorb(self, other: "Mailbox") -> list[int]:
        """Take over the messages of another mailbox, in the order of the ids; return those that both had.

        Of these the receipt with more progress is kept.
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
        """The progress of a message here, as a value to compare."""
        receipt = self.receipt(message) or Receipt()
        return message in self.read, message in self.unread, receipt.acknowledged_at is not None


class MailSlice(Slice):
    """The messages that a mailbox or queue still holds.

    Attributes:
        messages: Their headers by id.
        mailboxes: The mailbox of each agent.
        queues: The messages of each queue that no agent has taken yet, oldest first.
        mailing_lists: The members of each list.
        quiet: Until when each agent that asked for it is not to be disturbed; empty: until it ends that.
        asking: For each agent, its unread messages that ask for an action (``about``).
    """

    messages: dict[int, Message] = {}
    mailboxes: dict[str, Mailbox] = {}
    queues: dict[str, list[int]] = {}
    mailing_lists: dict[str, tuple[str, ...]] = {}
    quiet: dict[str, str] = {}
    asking: dict[str, dict[int, None]] = {}

    def mailbox(self, agent: str) -> Mailbox:
        """The mailbox of an agent; an empty one if nothing was sent to it."""
        return self.mailboxes.get(agent) or Mailbox()

    def quiet_until(self, agent: str, now: str) -> str | None:
        """Until when an agent is not to be disturbed; empty: it did not say, None: it may be."""
        until = self.quiet.get(agent)
        return None if until and until <= now else until

    def next_end_of_quiet(self, now: str) -> str | None:
        """When the next agent may be disturbed again."""
        return min((until for until in self.quiet.values() if until > now), default=None)
