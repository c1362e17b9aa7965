"""Mail: messages that agents leave for each other, each until its recipient has seen it.

A message waits in the mailbox of every recipient, also of one that never was on the board, or in a queue
until one agent takes it. Delivery is at least once and in the order of the ids: who puts messages before an
agent reads :meth:`Mail.pending`, and calls :meth:`Mail.deliver` only when they have arrived.
"""

from collections.abc import Callable, Iterable, Iterator

import msgspec
from msgspec.structs import asdict, replace

from orchestrator.core import clock, names
from orchestrator.core.errors import BadInput, NotFound, UsageError
from orchestrator.core.events import Recorded, decode
from orchestrator.core.transaction import Committed, Noun, Transaction, command
from orchestrator.domain.agents.identity import act_now, is_outdated, own_name
from orchestrator.domain.mail import addresses
from orchestrator.domain.mail.events import (
    MailingListSet,
    MessageAcknowledged,
    MessageArchived,
    MessageDelivered,
    MessageRead,
    MessageSent,
    MessageTaken,
)
from orchestrator.domain.mail.records import KINDS, PRIORITIES, Mailbox, Message, Receipt
from orchestrator.domain.state import State
from orchestrator.domain.validation import (
    LONGEST_TITLE,
    check_line,
    check_text,
)
from orchestrator.domain.waiting import wait_for

Find = Callable[[int], Recorded]
"""Gives one event by its id."""


class Letter(Message, frozen=True, gc=False, kw_only=True):
    """A message as a reader sees it: header, text, and how far it has come.

    Attributes:
        recipients: The agents whom the addresses meant when it was sent.
        queue: The queue that it was sent to; empty if none.
        receipts: By agent, of those who hold it now: when it was delivered, read and acknowledged.
    """

    recipients: tuple[str, ...]
    queue: str
    body: str
    receipts: dict[str, Receipt]


class Item(Message, frozen=True, gc=False, kw_only=True):
    """A line of a mailbox: a header with how far it has come there: ``new``, ``unread`` or ``read``."""

    status: str
    delivered_at: str | None
    read_at: str | None
    acknowledged_at: str | None


class Count(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """How many messages an agent has not read, and how many of them were not delivered either."""

    agent: str
    unread: int
    new: int


class Found(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A message that a search found, and the first line with one of the words."""

    id: int
    sender: str
    sent_at: str
    subject: str
    line: str


def post(
    tx: Transaction[State],
    to: str | Iterable[str],
    *,
    subject: str,
    body: str = "",
    cc: str | Iterable[str] = (),
    priority: str = "normal",
    kind: str = "note",
    reply_to: int | None = None,
    pinned: bool = False,
) -> Recorded:
    """Send a message as whoever acts; for commands of any noun that have something to tell.

    Raises:
        NotFound: A mailing list, a workstream, or the message that is replied to is not there.
        Refused: A group has nobody in it.
    """
    written, copied = addresses.parse(to), addresses.parse(cc)
    if not written:
        raise UsageError("A message needs a recipient", hint=f"One of {addresses.FORMS}.")
    whom = addresses.resolve(tx.state, (*written, *copied), tx.agent)
    parent = None if reply_to is None else find(tx.state, reply_to, tx.event)
    return tx.record(
        MessageSent(
            to=written,
            cc=copied,
            recipients=whom.agents,
            queue=whom.queue,
            subject=_subject(subject),
            body=check_text("message", body),
            priority=_one_of("priority", priority, PRIORITIES),
            kind=_one_of("kind", kind, KINDS),
            thread=parent.thread if parent else 0,
            reply_to=reply_to,
            pinned=pinned,
            incarnation=tx.session or 0,
            outdated=is_outdated(tx.state, tx.agent, tx.session),
        )
    )


def unread(state: State, agent: str) -> int:
    """How many messages an agent has not read."""
    box = state.mail.mailboxes.get(agent)
    return box.count_unread if box is not None else 0


def find(state: State, message: int, event: Find) -> Message:
    """The header of a message; of one that has left the state, from the log.

    Raises:
        NotFound: There never was such a message.
    """
    header = state.mail.messages.get(message)
    if header is None:
        at, sent = _sent(message, event)
        header = sent.header(at)
    return header


# Results of commands


def the_letter(state: State, events: Committed) -> Letter:
    """The message that was sent."""
    return next(_letter(state, at, sent) for at, sent in events if isinstance(sent, MessageSent))


def the_taken(events: Committed) -> int | None:
    """The id of the message that was taken; None if the queue was empty."""
    return next((e.message for _, e in events if isinstance(e, MessageTaken)), None)


def the_delivered(state: State, events: Committed) -> list[int]:
    """The messages that had not been delivered before."""
    return [id for _, e in events if isinstance(e, MessageDelivered) for id in e.messages]


def the_archived(state: State, events: Committed) -> list[int]:
    """The messages that left the mailbox."""
    return [id for _, e in events if isinstance(e, MessageArchived) for id in e.messages]


def the_members(state: State, events: Committed) -> tuple[str, ...]:
    """The members of the list that was set."""
    return next(e.members for _, e in events if isinstance(e, MailingListSet))


class Mail(Noun[State]):
    """``orc.mail``: send, reply, broadcast, read, ack, archive, take, lists; inbox, check, thread, search."""

    @command(the_letter)
    def send(
        self,
        tx: Transaction[State],
        to: str | Iterable[str],
        subject: str,
        body: str = "",
        *,
        cc: str | Iterable[str] = (),
        priority: str = "normal",
        kind: str = "note",
        reply_to: int | None = None,
        pinned: bool = False,
        agent: str | None = None,
    ) -> None:
        """Leave a message.

        Args:
            to: An agent, ``@all``, ``@type:NAME``, ``@ws:NAME`` (who holds tasks of a workstream),
                ``list:NAME`` or ``queue:NAME``; several with commas.
            subject: One line.
            body: Any text.
            cc: Further addresses.
            priority: urgent, high, normal or low.
            kind: note, work_assignment, notification, coordination_request or status_update.
            reply_to: The message that it answers; it joins that one's thread.
            pinned: Keep it in the mailbox when what was read is archived by age.
            agent: Who writes.

        Raises:
            NotFound: A mailing list, a workstream, or the message that is replied to is not there.
            Refused: A group has nobody in it beside the sender (``nobody``).
        """
        act_now(tx, agent)
        post(
            tx,
            to,
            subject=subject,
            body=body,
            cc=cc,
            priority=priority,
            kind=kind,
            reply_to=reply_to,
            pinned=pinned,
        )

    def broadcast(
        self, subject: str, body: str = "", *, priority: str = "normal", agent: str | None = None
    ) -> Letter:
        """Leave a message for all who are registered and not retired, but for the sender."""
        return self.send("@all", subject, body, priority=priority, agent=agent)

    @command(the_letter)
    def reply(
        self,
        tx: Transaction[State],
        message: int,
        body: str,
        *,
        priority: str = "normal",
        agent: str | None = None,
    ) -> None:
        """Answer whoever wrote a message; of one's own, write again to those it was for."""
        actor = act_now(tx, agent)
        parent = find(tx.state, message, tx.event)
        to = parent.to if parent.sender == actor else (parent.sender,)
        again = "" if parent.subject.startswith("Re: ") else "Re: "
        subject = f"{again}{parent.subject}"[:LONGEST_TITLE]
        post(tx, to, subject=subject, body=body, priority=priority, reply_to=message)

    def _take(self, queue: str, *, agent: str | None) -> Letter | None:
        def mark(tx: Transaction[State]) -> int | None:
            act_now(tx, agent, needed=True)
            waiting = tx.state.mail.queues.get(names.name("queue", queue))
            if not waiting:
                return None
            message = waiting[0]
            tx.record(MessageTaken(message=message, queue=queue))
            return message

        return self._marked("mail.take", mark, the_taken, (queue, agent))

    def _marked(
        self,
        name: str,
        mark: Callable[[Transaction[State]], int | None],
        which: "Callable[[Committed], int | None]",
        arguments: tuple[object, ...],
    ) -> Letter | None:
        """Run a command about a message, whose text is read before the commit: nothing may fail after it.

        Args:
            name: The command.
            mark: Records what it does, and says about which message; None: about none.
            which: The same, from the events of a request that is repeated.
            arguments: What tells a repeated request from another.
        """
        read: list[tuple[Recorded, MessageSent]] = []

        def body(tx: Transaction[State]) -> None:
            message = mark(tx)
            if message is not None:
                read.append(_sent(message, tx.event))

        def shows(state: State, events: Committed) -> Letter | None:
            message = None if read else which(events)
            if message is not None:
                read.append(_sent(message, self._desk.event))
            return _letter(state, *read[0]) if read else None

        return self._desk.run(name, body, shows, arguments)

    def take(self, queue: str, *, agent: str | None = None, wait: float | str = 0) -> Letter | None:
        """Take the oldest message of a queue; nobody else gets it.

        Args:
            queue: Its name, without ``queue:``.
            agent: Who takes it; needed. The message is in that agent's mailbox from now on, delivered.
            wait: Block so long for one to come.

        Returns:
            The message, or None if there is none.
        """
        return wait_for(self._desk, lambda: self._take(queue, agent=agent), wait)

    def read(self, message: int, *, agent: str | None = None) -> Letter:
        """A message with its text; in one's own mailbox it is read from now on.

        Raises:
            NotFound: There never was such a message.
        """

        def mark(tx: Transaction[State]) -> int:
            actor = act_now(tx, agent, needed=True)
            find(tx.state, message, tx.event)
            box = tx.state.mail.mailboxes.get(actor, Mailbox())
            if message in box and message not in box.read:
                tx.record(MessageRead(message=message))
            return message

        letter = self._marked("mail.read", mark, lambda _: message, (message, agent))
        assert letter is not None
        return letter

    def peek(self, message: int) -> Letter:
        """A message with its text, whoever's it is and archived or not; nothing is marked.

        Raises:
            NotFound: There never was such a message.
        """
        return _letter(self._state, *_sent(message, self._desk.event))

    def ack(self, message: int, *, agent: str | None = None) -> Letter:
        """Say that a message in one's mailbox was seen to; again changes nothing.

        Raises:
            NotFound: It is not in the mailbox (``message_not_found``).
        """

        def mark(tx: Transaction[State]) -> int:
            box = _box(tx.state, act_now(tx, agent, needed=True), [message])
            receipt = box.receipt(message)
            if receipt is not None and receipt.acknowledged_at is None:
                tx.record(MessageAcknowledged(message=message))
            return message

        letter = self._marked("mail.acknowledge", mark, lambda _: message, (message, agent))
        assert letter is not None
        return letter

    @command(the_archived)
    def archive(
        self,
        tx: Transaction[State],
        messages: Iterable[int] = (),
        *,
        older_than: float | str | None = None,
        agent: str | None = None,
    ) -> None:
        """Take messages out of one's mailbox; the log keeps them. Returns their ids.

        Args:
            messages: Ids, read or not.
            older_than: Also those that were read so long ago, but for pinned ones.
            agent: Whose mailbox; needed.

        Raises:
            NotFound: One is not in the mailbox (``message_not_found``).
        """
        actor = act_now(tx, agent, needed=True)
        chosen = list(dict.fromkeys(messages))
        box = _box(tx.state, actor, chosen)
        if older_than is not None:
            before = clock.after(tx.now, -clock.duration(older_than))
            chosen += [
                message
                for message, receipt in box.read.items()
                if (receipt.read_at or "") <= before
                and not tx.state.mail.messages[message].pinned
                and message not in chosen
            ]
        if chosen:
            tx.record(MessageArchived(messages=tuple(sorted(chosen))))

    @command(the_delivered)
    def deliver(
        self, tx: Transaction[State], messages: Iterable[int], *, agent: str | None = None
    ) -> None:
        """Say that messages have reached their recipient; call it when they have, never before.

        Returns those that had not been delivered before; others are passed over.
        """
        box = tx.state.mail.mailboxes.get(act_now(tx, agent, needed=True), Mailbox())
        arrived = tuple(sorted(message for message in set(messages) if message in box.new))
        if arrived:
            tx.record(MessageDelivered(messages=arrived))

    @command(the_members)
    def set_list(
        self,
        tx: Transaction[State],
        name: str,
        members: Iterable[str],
        *,
        agent: str | None = None,
    ) -> None:
        """Give a mailing list its members; without any the list is gone."""
        act_now(tx, agent)
        names.name("mailing list", name, among=tx.state.mail.mailing_lists)
        checked = tuple(addresses.mailbox(member) for member in addresses.parse(members))
        tx.record(MailingListSet(name=name, members=checked))

    # Queries

    @property
    def owner(self) -> str:
        """Whose mail is meant when no agent is named.

        Raises:
            UsageError: The board was opened by nobody in particular.
        """
        return own_name(self._desk, None)

    def inbox(self, *, agent: str | None = None, unread: bool = False) -> list[Item]:
        """The messages that an agent holds, oldest first; with ``unread`` those it has not read."""
        state = self._state
        box = state.mail.mailboxes.get(own_name(self._desk, agent), Mailbox())
        held = [entry for entry in box.items() if not (unread and entry[0] == "read")]
        return [
            Item(**asdict(state.mail.messages[message]), status=standing, **asdict(receipt))
            for standing, message, receipt in sorted(held, key=lambda entry: entry[1])
        ]

    def check(self, *, agent: str | None = None, new: bool = False, wait: float | str = 0) -> Count:
        """How much mail an agent has not read.

        Args:
            agent: Whose mailbox; needed.
            new: Wait for what was not delivered yet, not for anything unread.
            wait: Block so long until there is some.
        """
        owner = own_name(self._desk, agent)

        def some() -> Count | None:
            count = _count(self._state, owner)
            return count if (count.new if new else count.unread) else None

        return wait_for(self._desk, some, wait) or _count(self._state, owner)

    def pending(self, *, agent: str | None = None) -> list[int]:
        """The messages that were not delivered to an agent yet, in the order to deliver them."""
        box = self._state.mail.mailboxes.get(own_name(self._desk, agent))
        return sorted(box.new) if box else []

    def thread(self, message: int) -> list[Letter]:
        """The exchange that a message belongs to, oldest first.

        Of archived messages those are shown that lead from a shown one back to the beginning.

        Raises:
            NotFound: There never was such a message.
        """
        state, event = self._state, self._desk.event
        root = find(state, message, event).thread
        shown = [id for id, header in state.mail.messages.items() if header.thread == root]
        known = set()
        for id in (message, *shown):
            ancestor: int | None = id
            while ancestor is not None and ancestor not in known:
                known.add(ancestor)
                ancestor = find(state, ancestor, event).reply_to
        return [self.peek(id) for id in sorted(known)]

    def search(
        self, words: str, *, agent: str | None = None, archived: bool = False
    ) -> list[Found]:
        """The messages that hold all the words in subject or text, newest first; case does not matter.

        Args:
            words: What to look for, with blanks between.
            agent: Whose: what it sent, and what is in its mailbox.
            archived: Also what has left its mailbox; reads the whole log.
        """
        owner = own_name(self._desk, agent)
        wanted = words.casefold().split()
        found = (_match(at, sent, wanted) for at, sent in self._seen_by(owner, archived=archived))
        return [match for match in found if match is not None] if wanted else []

    def _seen_by(self, agent: str, *, archived: bool) -> Iterator[tuple[Recorded, MessageSent]]:
        """What an agent sent and received, newest first."""
        state = self._state
        box = state.mail.mailboxes.get(agent, Mailbox())
        if not archived:
            for id, header in reversed(state.mail.messages.items()):
                if header.sender == agent or id in box:
                    yield _sent(id, self._desk.event)
            return
        taken: set[int] = set()  # read backwards, a message is met after its taking
        for at in self._desk.read_backwards():
            if at.type == MessageTaken.TYPE and at.agent == agent:
                event = decode(at)
                assert isinstance(event, MessageTaken)
                taken.add(event.message)
            elif at.type == MessageSent.TYPE:
                sent = decode(at)
                assert isinstance(sent, MessageSent)
                if at.agent == agent or agent in sent.recipients or at.id in taken or at.id in box:
                    yield at, sent

    def lists(self) -> dict[str, tuple[str, ...]]:
        """The mailing lists with their members, by name."""
        return dict(sorted(self._state.mail.mailing_lists.items()))

    def list_members(self, name: str) -> tuple[str, ...]:
        """The members of a mailing list.

        Raises:
            NotFound: There is no such list.
        """
        return addresses.find_list(self._state, name)


def _letter(state: State, at: Recorded, sent: MessageSent) -> Letter:
    header = state.mail.messages.get(at.id) or replace(sent.header(at), copies=0)
    held = ((agent, box.receipt(at.id)) for agent, box in state.mail.mailboxes.items())
    return Letter(
        **asdict(header),
        recipients=sent.recipients,
        queue=sent.queue,
        body=sent.body,
        receipts={agent: receipt for agent, receipt in held if receipt is not None},
    )


def _sent(message: int, event: Find) -> tuple[Recorded, MessageSent]:
    """The event that sent a message.

    Raises:
        NotFound: There is no such message.
    """
    try:
        at = event(message)
        sent = decode(at)
    except NotFound:
        sent = None
    if not isinstance(sent, MessageSent):
        raise NotFound(
            f"There is no message {message}",
            code="message_not_found",
            hint="`mail inbox` lists what you hold, with ids.",
        )
    return at, sent


def _box(state: State, agent: str, messages: Iterable[int]) -> Mailbox:
    """The mailbox of an agent that holds these messages.

    Raises:
        NotFound: It does not hold one of them.
    """
    box = state.mail.mailboxes.get(agent, Mailbox())
    for message in messages:
        if message not in box:
            raise NotFound(
                f"Message {message} is not in the mailbox of {agent}",
                code="message_not_found",
                hint="`mail inbox` lists what is; `mail read` shows any message.",
            )
    return box


def _count(state: State, agent: str) -> Count:
    box = state.mail.mailboxes.get(agent, Mailbox())
    return Count(agent=agent, unread=box.count_unread, new=len(box.new))


def _match(at: Recorded, sent: MessageSent, wanted: list[str]) -> Found | None:
    text = f"{sent.subject}\n{sent.body}"
    folded = text.casefold()
    if not all(word in folded for word in wanted):
        return None
    lines = (line for line in text.split("\n") if any(word in line.casefold() for word in wanted))
    return Found(
        id=at.id,
        sender=at.agent,
        sent_at=at.ts,
        subject=sent.subject,
        line=next(lines, "").strip(),
    )


def _subject(text: str) -> str:
    if not text.strip():
        raise UsageError("A subject is needed")
    if text.splitlines() != [text]:
        raise BadInput("A subject is one line", hint="The rest belongs into the message.")
    return check_line("subject", text)


def _one_of(field: str, word: str, words: tuple[str, ...]) -> str:
    if word not in words:
        raise UsageError(f"{word!a} is no {field} of a message", hint=f"One of {', '.join(words)}.")
    return word
