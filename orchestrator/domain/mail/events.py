"""The events of messages.

The id of a message is the id of the event that sent it. The state has only headers; the text stays in that
event, so a full mailbox costs a board little. A header leaves the state with the last mailbox or queue that
held it; the log keeps it.
"""

from bisect import insort

from msgspec.structs import replace

from orchestrator.core.events import Event, Recorded, event
from orchestrator.domain.mail.records import Mailbox, Matter, Message, MessageKind, Receipt, Urgency
from orchestrator.domain.state import State


@event("message.sent")
class MessageSent(Event):
    """A message was put into the mailboxes of the recipients, and into a queue if it names one."""

    subject: str
    to: tuple[str, ...]
    cc: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    queue: str = ""
    body: str = ""
    priority: Urgency = "normal"
    kind: MessageKind = "note"
    thread: int = 0  # 0: it begins one
    reply_to: int | None = None
    pinned: bool = False
    incarnation: int = 0
    outdated: bool = False
    about: Matter | None = None

    def header(self, record: Recorded) -> Message:
        """The header that the state keeps."""
        return Message(
            id=record.id,
            sender=record.agent,
            incarnation=self.incarnation,
            outdated=self.outdated,
            to=self.to,
            cc=self.cc,
            subject=self.subject,
            priority=self.priority,
            kind=self.kind,
            thread=self.thread or record.id,
            reply_to=self.reply_to,
            pinned=self.pinned,
            sent_at=record.ts,
            copies=len(self.recipients) + bool(self.queue),
            about=self.about,
        )

    def apply(self, state: State, record: Recorded) -> None:
        state.mail.messages[record.id] = self.header(record)
        for agent in self.recipients:
            state.mail.mailboxes.setdefault(agent, Mailbox()).new[record.id] = Receipt()
            _ask(state, agent, record.id)
        if self.queue:
            state.mail.queues.setdefault(self.queue, []).append(record.id)


class MessageMarked(Event):
    """An event of a message in the mailbox of the acting agent."""

    message: int


@event("message.taken")
class MessageTaken(MessageMarked):
    """An agent took a message from its queue; it is in that agent's mailbox now."""

    queue: str

    def apply(self, state: State, record: Recorded) -> None:
        waiting = state.mail.queues[self.queue]
        waiting.remove(self.message)
        if not waiting:
            del state.mail.queues[self.queue]
        taken = replace(
            state.mail.messages[self.message], taken_by=record.agent, taken_at=record.ts
        )
        state.mail.messages[self.message] = taken
        box = state.mail.mailboxes.setdefault(record.agent, Mailbox())
        if self.message in box:
            release(state, self.message)  # it was sent to the agent and to the queue
        else:
            box.unread[self.message] = Receipt().delivered(record.ts)
            _ask(state, record.agent, self.message)


@event("message.delivered")
class MessageDelivered(Event):
    """Messages were delivered to their recipient."""

    messages: tuple[int, ...]

    def apply(self, state: State, record: Recorded) -> None:
        box = state.mail.mailboxes[record.agent]
        for message in self.messages:
            box.unread[message] = box.new.pop(message).delivered(record.ts)


@event("message.read")
class MessageRead(MessageMarked):
    """A recipient read a message."""

    def apply(self, state: State, record: Recorded) -> None:
        box = state.mail.mailboxes[record.agent]
        box.read[self.message] = box.pop(self.message).read(record.ts)
        _stop_asking(state, record.agent, self.message)


@event("message.acknowledged")
class MessageAcknowledged(MessageMarked):
    """A recipient acknowledged a message, and so has read it."""

    def apply(self, state: State, record: Recorded) -> None:
        box = state.mail.mailboxes[record.agent]
        box.read[self.message] = box.pop(self.message).acknowledged(record.ts)
        _stop_asking(state, record.agent, self.message)


@event("message.marked_unread")
class MessageMarkedUnread(MessageMarked):
    """A recipient has still to read a message."""

    def apply(self, state: State, record: Recorded) -> None:
        box = state.mail.mailboxes[record.agent]
        box.unread[self.message] = box.pop(self.message).unread()
        _ask(state, record.agent, self.message)


@event("message.requeued")
class MessageRequeued(MessageMarked):
    """An agent gave a message back to the queue that it took it from."""

    queue: str

    def apply(self, state: State, record: Recorded) -> None:
        header = state.mail.messages[self.message]
        state.mail.messages[self.message] = replace(header, taken_by=None, taken_at=None)
        state.mail.mailboxes[record.agent].pop(self.message)
        _stop_asking(state, record.agent, self.message)
        _drop_if_empty(state, record.agent)
        insort(state.mail.queues.setdefault(self.queue, []), self.message)


@event("message.archived")
class MessageArchived(Event):
    """Messages were removed from the mailbox of the acting agent."""

    messages: tuple[int, ...]

    def apply(self, state: State, record: Recorded) -> None:
        box = state.mail.mailboxes[record.agent]
        for message in self.messages:
            box.pop(message)
            _stop_asking(state, record.agent, message)
            release(state, message)
        _drop_if_empty(state, record.agent)


@event("message.deleted")
class MessageDeleted(MessageArchived):
    """Messages were removed from the mailbox of the acting agent, and are not to come up again."""


@event("message.muted")
class MailMuted(Event):
    """The acting agent is not to be disturbed by mail, until a time if there is one."""

    until: str = ""

    def apply(self, state: State, record: Recorded) -> None:
        state.mail.quiet[record.agent] = self.until


@event("message.unmuted")
class MailUnmuted(Event):
    """The acting agent may be disturbed by mail again."""

    def apply(self, state: State, record: Recorded) -> None:
        state.mail.quiet.pop(record.agent, None)


@event("message.list_set")
class MailingListSet(Event):
    """The members of a mailing list were set; without members the list is removed."""

    name: str
    members: tuple[str, ...] = ()

    def apply(self, state: State, record: Recorded) -> None:
        if self.members:
            state.mail.mailing_lists[self.name] = self.members
        else:
            state.mail.mailing_lists.pop(self.name, None)


def _drop_if_empty(state: State, agent: str) -> None:
    box = state.mail.mailboxes[agent]
    if not (box.new or box.unread or box.read):
        del state.mail.mailboxes[agent]


def _ask(state: State, agent: str, message: int) -> None:
    """Keep an unread message that asks for an action in a separate map."""
    if state.mail.messages[message].about is not None:
        state.mail.asking.setdefault(agent, {})[message] = None


def _stop_asking(state: State, agent: str, message: int) -> None:
    asking = state.mail.asking.get(agent, {})
    if message in asking:
        del asking[message]
        if not asking:
            del state.mail.asking[agent]


def release(state: State, message: int) -> None:
    """Count down the copies of a message; its header leaves the state with the last one."""
    header = state.mail.messages[message]
    if header.copies > 1:
        state.mail.messages[message] = replace(header, copies=header.copies - 1)
    else:
        del state.mail.messages[message]


def rename(state: State, old: str, new: str) -> None:
    """Move an agent's mail to its new name: mailbox, lists, sent messages. Part of a fold."""
    if old in state.mail.quiet:
        state.mail.quiet[new] = state.mail.quiet.pop(old)
    moved = state.mail.mailboxes.pop(old, None)
    if moved is not None:
        box = state.mail.mailboxes.setdefault(new, Mailbox())
        both = box.absorb(moved)
        for message in state.mail.asking.pop(old, {}):
            _ask(state, new, message)
        for message in both:
            if message in box.read:
                _stop_asking(state, new, message)
            release(state, message)
    for name, members in state.mail.mailing_lists.items():
        state.mail.mailing_lists[name] = _renamed(members, old, new)
    for message, header in state.mail.messages.items():
        if old in (header.sender, header.taken_by, *header.to, *header.cc):
            state.mail.messages[message] = replace(
                header,
                sender=new if header.sender == old else header.sender,
                taken_by=new if header.taken_by == old else header.taken_by,
                to=_renamed(header.to, old, new),
                cc=_renamed(header.cc, old, new),
            )


def _renamed(agents: tuple[str, ...], old: str, new: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(new if agent == old else agent for agent in agents))
