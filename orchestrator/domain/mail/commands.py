"""Mail: messages between agents, each kept until its recipient has seen it.

A message waits in the mailbox of every recipient, even of an unknown agent, or in a
queue until one agent takes it. Delivery is at least once, in the order of the ids: an interface shows the
messages of :meth:`Mail.pending` to the agent, and calls :meth:`Mail.deliver` after that.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec.structs import asdict

from orchestrator.core import clock, names
from orchestrator.core.errors import BadInput, NotFound, Refused, UsageError
from orchestrator.core.events import Recorded
from orchestrator.core.transaction import Committed, Noun, Transaction, command
from orchestrator.domain.agents.identity import act_now, act_to_work, is_outdated, own_name
from orchestrator.domain.mail import addresses
from orchestrator.domain.mail.events import (
    MailingListSet,
    MailMuted,
    MailUnmuted,
    MessageAcknowledged,
    MessageArchived,
    MessageDeleted,
    MessageDelivered,
    MessageMarked,
    MessageMarkedUnread,
    MessageRead,
    MessageRequeued,
    MessageSent,
    MessageTaken,
)
from orchestrator.domain.mail.letters import Letter, find, find_sent, letter_of
from orchestrator.domain.mail.matters import (
    UnreadCount,
    count_unread,
    new_messages,
    unread_messages,
)
from orchestrator.domain.mail.queues import QueueView, all_queues
from orchestrator.domain.mail.records import (
    KINDS,
    PRIORITIES,
    Mailbox,
    Matter,
    Message,
    MessageKind,
    Urgency,
)
from orchestrator.domain.mail.search import SearchMatch, match, messages_of
from orchestrator.domain.state import State
from orchestrator.domain.validation import (
    LONGEST_TITLE,
    check_choice,
    check_line,
    check_required,
    check_text,
    parse_moment,
)
from orchestrator.domain.waiting import wait_for


class InboxItem(Message, frozen=True, gc=False, kw_only=True):
    """A message in a mailbox: its header, with its status there: new, unread, settled or read."""

    status: str
    delivered_at: str | None
    read_at: str | None
    acknowledged_at: str | None


class Quiet(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Whether an agent is not to be disturbed, and until when; None: until it ends that."""

    agent: str
    on: bool
    until: str | None


def post(
    tx: Transaction[State],
    to: str | Iterable[str],
    *,
    subject: str,
    body: str = "",
    cc: str | Iterable[str] = (),
    priority: Urgency = "normal",
    kind: MessageKind = "note",
    reply_to: int | None = None,
    pinned: bool = False,
    about: Matter | None = None,
) -> Recorded:
    """Send a message as the acting agent; commands of all nouns use it.

    Raises:
        NotFound: A mailing list, a workstream, or the message to reply to does not exist.
        Refused: A group has no member beside the sender.
    """
    to, cc = addresses.parse(to), addresses.parse(cc)
    if not to:
        raise UsageError("A message needs a recipient", hint=f"One of {addresses.FORMS}.")
    recipients = addresses.resolve(tx.state, to + cc, tx.agent)
    parent = None if reply_to is None else find(tx.state, reply_to, tx.event)
    return tx.record(
        MessageSent(
            to=to,
            cc=cc,
            recipients=recipients.agents,
            queue=recipients.queue,
            subject=_subject(subject),
            body=check_text("message", body),
            priority=check_choice("priority of a message", priority, PRIORITIES),
            kind=check_choice("kind of a message", kind, KINDS),
            thread=parent.thread if parent else 0,
            reply_to=reply_to,
            pinned=pinned,
            about=about,
            incarnation=tx.session or 0,
            outdated=is_outdated(tx.state, tx.agent, tx.session),
        )
    )


# Results of commands


def sent_letter(state: State, events: Committed) -> Letter:
    """The message that was sent."""
    return next(
        letter_of(state, record, sent) for record, sent in events if isinstance(sent, MessageSent)
    )


def delivered_messages(state: State, events: Committed) -> list[int]:
    """The messages that had not been delivered before."""
    return [id for _, e in events if isinstance(e, MessageDelivered) for id in e.messages]


def archived_messages(state: State, events: Committed) -> list[int]:
    """The messages that left the mailbox."""
    return [id for _, e in events if isinstance(e, MessageArchived) for id in e.messages]


def released_message(state: State, events: Committed) -> Message:
    """The message that is in its queue again."""
    return next(state.mail.messages[e.message] for _, e in events if isinstance(e, MessageMarked))


def list_members_set(state: State, events: Committed) -> tuple[str, ...]:
    """The members of the list that was set."""
    return next(e.members for _, e in events if isinstance(e, MailingListSet))


def own_quiet(state: State, events: Committed) -> Quiet:
    """What the agent set."""
    record, event = next(e for e in events if isinstance(e[1], MailMuted | MailUnmuted))
    until = event.until if isinstance(event, MailMuted) else None
    return Quiet(agent=record.agent, on=until is not None, until=until or None)


class Mail(Noun[State]):
    """``orc.mail``: messages, mailboxes, queues and mailing lists."""

    @command(sent_letter)
    def send(
        self,
        tx: Transaction[State],
        to: str | Iterable[str],
        subject: str,
        body: str = "",
        *,
        cc: str | Iterable[str] = (),
        priority: Urgency = "normal",
        kind: MessageKind = "note",
        reply_to: int | None = None,
        pinned: bool = False,
        agent: str | None = None,
    ) -> None:
        """Send a message.

        Args:
            to: An agent, ``@all``, ``@type:NAME``, ``@ws:NAME`` (the agents that hold tasks of a
                workstream), ``list:NAME`` or ``queue:NAME``; several with commas.
            subject: One line.
            body: Any text.
            cc: Further addresses.
            priority: urgent, high, normal or low.
            kind: note, work_assignment, notification, coordination_request or status_update.
            reply_to: The message that it answers; it joins the thread of that message.
            pinned: Keep it in the mailbox when read messages are archived by age.
            agent: The sender.

        Raises:
            NotFound: A mailing list, a workstream, or the message to reply to does not exist.
            Refused: A group has no member beside the sender (``nobody``).
        """
        act_now(tx, agent)
        for address in addresses.named((*addresses.parse(to), *addresses.parse(cc))):
            tx.check_agent(address)
        facts: dict[str, Any] = {"priority": priority, "kind": kind, "pinned": pinned}
        post(tx, to, subject=subject, body=body, cc=cc, reply_to=reply_to, **facts)

    def broadcast(
        self,
        subject: str,
        body: str = "",
        *,
        priority: Urgency = "normal",
        agent: str | None = None,
    ) -> Letter:
        """Send a message to all agents that are registered and not retired, except the sender."""
        return self.send("@all", subject, body, priority=priority, agent=agent)

    @command(sent_letter)
    def reply(
        self,
        tx: Transaction[State],
        message: int,
        body: str,
        *,
        priority: Urgency = "normal",
        agent: str | None = None,
    ) -> None:
        """Reply to the sender of a message; to an own message, write to its recipients again."""
        actor = act_now(tx, agent)
        parent = find(tx.state, message, tx.event)
        to = parent.to if parent.sender == actor else (parent.sender,)
        again = "" if parent.subject.startswith("Re: ") else "Re: "
        subject = f"{again}{parent.subject}"[:LONGEST_TITLE]
        post(tx, to, subject=subject, body=body, priority=priority, reply_to=message)

    def _take(self, queue: str, *, agent: str | None) -> Letter | None:
        def mark(tx: Transaction[State]) -> int | None:
            act_to_work(tx, agent)
            waiting = tx.state.mail.queues.get(names.name("queue", queue), ())
            message = next(iter(waiting), None)
            if message is not None:
                tx.record(MessageTaken(message=message, queue=queue))
            return message

        return self._run("mail.take", (queue, agent), mark)

    def _run(
        self,
        name: str,
        arguments: tuple[object, ...],
        mark: Callable[[Transaction[State]], int | None],
    ) -> Letter | None:
        """Run a command that marks a message, and return the message; None if there is none.

        Its text is read before the commit, so that nothing can fail afterwards.
        """
        read: list[tuple[Recorded, MessageSent]] = []

        def body(tx: Transaction[State]) -> None:
            message = mark(tx)
            read[:] = [] if message is None else [find_sent(message, tx.event)]

        def shows(state: State, events: Committed) -> Letter | None:
            if not read:  # the request was answered before
                marked = (e.message for _, e in events if isinstance(e, MessageMarked))
                read.extend(find_sent(message, self._desk.event) for message in marked)
            return letter_of(state, *read[0]) if read else None

        return self._desk.run(name, body, shows, arguments)

    def _marked(
        self,
        name: str,
        message: int,
        agent: str | None,
        mark: Callable[[Transaction[State], str], None],
    ) -> Letter:
        """Run a command of an agent that marks a message in the agent's mailbox, and return the message."""

        def marked(tx: Transaction[State]) -> int:
            mark(tx, act_now(tx, agent, needed=True))
            return message

        letter = self._run(name, (message, agent), marked)
        assert letter is not None
        return letter

    def take(self, queue: str, *, agent: str | None = None, wait: float | str = 0) -> Letter | None:
        """Take the oldest message of a queue; no other agent gets it.

        Args:
            queue: Its name, without ``queue:``.
            agent: The agent that takes it; needed. The message moves to its mailbox, as delivered.
            wait: How long to wait for a message.

        Returns:
            The message, or None if there is none.
        """
        return wait_for(self._desk, lambda: self._take(queue, agent=agent), wait)

    def read(self, message: int, *, agent: str | None = None) -> Letter:
        """Return a message with its text, and mark it as read in the own mailbox.

        Raises:
            NotFound: There was never such a message.
        """

        def mark(tx: Transaction[State], actor: str) -> None:
            find(tx.state, message, tx.event)
            box = tx.state.mail.mailbox(actor)
            if message in box and message not in box.read:
                tx.record(MessageRead(message=message))

        return self._marked("mail.read", message, agent, mark)

    def peek(self, message: int) -> Letter:
        """Return any message with its text, archived or not; nothing is marked.

        Raises:
            NotFound: There was never such a message.
        """
        return letter_of(self._state, *find_sent(message, self._desk.event))

    def ack(self, message: int, *, agent: str | None = None) -> Letter:
        """Acknowledge a message in the own mailbox; a second time changes nothing.

        Raises:
            NotFound: It is not in the mailbox (``message_not_found``).
        """

        def mark(tx: Transaction[State], actor: str) -> None:
            receipt = _box(tx.state, actor, [message]).receipt(message)
            if receipt is not None and receipt.acknowledged_at is None:
                tx.record(MessageAcknowledged(message=message))

        return self._marked("mail.acknowledge", message, agent, mark)

    def unread(self, message: int, *, agent: str | None = None) -> Letter:
        """Mark a message in the own mailbox as not read; one that is not read stays as it is.

        Raises:
            NotFound: It is not in the mailbox (``message_not_found``).
        """

        def mark(tx: Transaction[State], actor: str) -> None:
            if message in _box(tx.state, actor, [message]).read:
                tx.record(MessageMarkedUnread(message=message))

        return self._marked("mail.unread", message, agent, mark)

    @command(released_message)
    def release(self, tx: Transaction[State], message: int, *, agent: str | None = None) -> None:
        """Give a message back to the queue that the agent took it from; it is in its old place there.

        Raises:
            NotFound: It is not in the mailbox (``message_not_found``).
            Refused: The agent did not take it from a queue (``not_taken``).
        """
        actor = act_now(tx, agent, needed=True)
        _box(tx.state, actor, [message])
        if tx.state.mail.messages[message].taken_by != actor:
            raise Refused(
                f"{actor} did not take message {message} from a queue",
                code="not_taken",
                hint="`mail queue list` shows who took what.",
            )
        _, sent = find_sent(message, tx.event)
        tx.record(MessageRequeued(message=message, queue=sent.queue))

    @command(archived_messages)
    def delete(
        self, tx: Transaction[State], messages: Iterable[int], *, agent: str | None = None
    ) -> None:
        """Remove messages from the own mailbox, and from what a search of archived ones shows.

        The log keeps them, and :meth:`peek` shows them.

        Returns:
            Their ids.

        Raises:
            NotFound: One is not in the mailbox (``message_not_found``).
        """
        chosen = tuple(sorted(messages))
        _box(tx.state, act_now(tx, agent, needed=True), chosen)
        if chosen:
            tx.record(MessageDeleted(messages=chosen))

    @command(own_quiet)
    def do_not_disturb(
        self, tx: Transaction[State], on: bool = True, *, until: str = "", agent: str | None = None
    ) -> Quiet:
        """Keep mail from disturbing an agent: only urgent mail ends its waits and is put before it.

        The rest arrives as ever, and counts as unread.

        Args:
            on: False: it may be disturbed again.
            until: When that ends: a time, or how long it lasts, such as ``2h``; else with ``on=False``.
            agent: The agent; needed.
        """
        actor = act_now(tx, agent, needed=True)
        if until and not on:
            raise UsageError(
                "`until` says how long an agent is not to be disturbed", hint="Leave it out."
            )
        end = parse_moment("until", until, tx.now) if until else ""
        if end and end <= tx.now:
            raise UsageError(f"{until!a} is over", hint="Write how long it lasts: 2h.")
        if tx.state.mail.quiet_until(actor, tx.now) != (end if on else None):
            tx.record(MailMuted(until=end) if on else MailUnmuted())
        return Quiet(agent=actor, on=on, until=end or None)

    @command(archived_messages)
    def archive(
        self,
        tx: Transaction[State],
        messages: Iterable[int] = (),
        *,
        older_than: float | str | None = None,
        agent: str | None = None,
    ) -> None:
        """Remove messages from the own mailbox, and return their ids; the log keeps them.

        Args:
            messages: Ids, read or not.
            older_than: Also messages that were read so long ago, except pinned ones.
            agent: The owner of the mailbox; needed.

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

    @command(delivered_messages)
    def deliver(
        self, tx: Transaction[State], messages: Iterable[int], *, agent: str | None = None
    ) -> None:
        """Mark messages as delivered; call it after the recipient has them, never before.

        Returns:
            Those that were not delivered before.
        """
        box = tx.state.mail.mailbox(act_now(tx, agent, needed=True))
        arrived = tuple(sorted(message for message in set(messages) if message in box.new))
        if arrived:
            tx.record(MessageDelivered(messages=arrived))

    @command(list_members_set)
    def set_list(
        self, tx: Transaction[State], name: str, members: Iterable[str], *, agent: str | None = None
    ) -> tuple[str, ...]:
        """Set the members of a mailing list; without members the list is removed."""
        act_now(tx, agent)
        names.name("mailing list", name, among=tx.state.mail.mailing_lists)
        checked = tuple(addresses.mailbox(member) for member in addresses.parse(members))
        for member in checked:
            tx.check_agent(member)
        if tx.state.mail.mailing_lists.get(name, ()) != checked:
            tx.record(MailingListSet(name=name, members=checked))
        return checked

    # Queries

    @property
    def owner(self) -> str:
        """The agent whose mail is used when none is named.

        Raises:
            UsageError: The board was opened without an agent.
        """
        return own_name(self._desk, None)

    def inbox(self, *, agent: str | None = None, unread: bool = False) -> list[InboxItem]:
        """Return the messages in a mailbox, oldest first; with ``unread`` only the unread ones.

        A notice that is not read, and asks for what is settled, is ``settled`` and not unread.
        """
        state, name = self._state, own_name(self._desk, agent)
        open_ones = {*unread_messages(state, name, self._desk.now())}
        items = []
        for status, message, receipt in state.mail.mailbox(name).items():
            if message in open_ones or not unread:
                header = asdict(state.mail.messages[message])
                shown = status if status == "read" or message in open_ones else "settled"
                items.append(InboxItem(**header, status=shown, **asdict(receipt)))
        return sorted(items, key=lambda item: item.id)

    def check(
        self, *, agent: str | None = None, new: bool = False, wait: float | str = 0
    ) -> UnreadCount:
        """Count the messages that an agent has not read.

        Args:
            agent: The owner of the mailbox; needed.
            new: Wait for messages of :meth:`pending`, not for any unread ones.
            wait: How long to wait for a message.
        """
        owner = own_name(self._desk, agent)

        def attempt() -> UnreadCount | None:
            count = count_unread(self._state, owner, self._desk.now())
            waits = self.pending(agent=owner) if new else count.unread
            return count if waits else None

        return wait_for(self._desk, attempt, wait) or count_unread(
            self._state, owner, self._desk.now()
        )

    def pending(self, *, agent: str | None = None) -> list[int]:
        """Return the messages to put before an agent, in the order of delivery: those not delivered yet.

        Only urgent ones while it is not to be disturbed.
        """
        return new_messages(self._state, own_name(self._desk, agent), self._desk.now())[0]

    def thread(self, message: int) -> list[Letter]:
        """Return the thread of a message, oldest first.

        Archived messages are included if they lead from an included one back to the first.

        Raises:
            NotFound: There was never such a message.
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
    ) -> list[SearchMatch]:
        """Return the messages with all the words in subject or text, newest first; case does not matter.

        Args:
            words: The words, separated by blanks.
            agent: Search what this agent sent, and what is in its mailbox.
            archived: Also what was archived from its mailbox; reads the whole log.
        """
        owner = own_name(self._desk, agent)
        wanted = words.casefold().split()
        sent = messages_of(self._desk, owner, archived=archived) if wanted else ()
        matches = (match(recorded, message, wanted) for recorded, message in sent)
        return [match for match in matches if match is not None]

    def queues(self) -> list[QueueView]:
        """Return the queues that hold messages, or whose messages their takers still hold, by name."""
        return all_queues(self._state.mail)

    def quiet(self, *, agent: str | None = None) -> Quiet:
        """Return whether an agent is not to be disturbed, and until when."""
        name = own_name(self._desk, agent)
        until = self._state.mail.quiet_until(name, self._desk.now())
        return Quiet(agent=name, on=until is not None, until=until or None)

    def lists(self) -> dict[str, tuple[str, ...]]:
        """Return the mailing lists with their members, by name."""
        return dict(sorted(self._state.mail.mailing_lists.items()))

    def list_members(self, name: str) -> tuple[str, ...]:
        """Return the members of a mailing list.

        Raises:
            NotFound: There is no such list.
        """
        return addresses.find_list(self._state, name)


def _box(state: State, agent: str, messages: Iterable[int]) -> Mailbox:
    """Return the mailbox of an agent, after a check that it holds these messages.

    Raises:
        NotFound: One of them is not there.
    """
    box = state.mail.mailbox(agent)
    for message in messages:
        if message not in box:
            raise NotFound(
                f"Message {message} is not in the mailbox of {agent}",
                code="message_not_found",
                hint="`mail inbox` lists what is; `mail read` shows any message.",
            )
    return box


def _subject(text: str) -> str:
    check_required("subject", text)
    if text.splitlines() != [text]:
        raise BadInput("A subject is one line", hint="Put the rest into the message.")
    return check_line("subject", text)
