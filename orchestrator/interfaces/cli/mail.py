"""``orc mail``: messages between agents, and their delivery."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypedDict

from orchestrator.core.errors import OrchestratorError, UsageError
from orchestrator.core.printable import amount, escape
from orchestrator.domain.mail.records import KINDS, PRIORITIES, Receipt
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import MAIL
from orchestrator.interfaces.cli.layout import facts, lines, parts, section, shown_time
from orchestrator.interfaces.cli.parameters import argument, flag, option, text_file, together
from orchestrator.interfaces.cli.rendering import Answer, listing, present, say, warn
from orchestrator.interfaces.cli.run import Run, either, given, once

if TYPE_CHECKING:
    from orchestrator.domain.mail.commands import InboxItem
    from orchestrator.domain.mail.letters import Letter
    from orchestrator.domain.mail.matters import UnreadCount
    from orchestrator.domain.mail.search import SearchMatch
    from orchestrator.interfaces.cli.injection import Block

_ID = argument("id", "The number of the message.", types.INTEGER)
_SUBJECT = option("--subject/-s", "One line.", default="")
_TEXT = together(
    option("--message/-m", "The text."),
    text_file("the text"),
    option("--priority", "How urgent it is; normal if not given.", types.choice(*PRIORITIES)),
)
_WORD = argument("[text]", "The text, as with -m.")
_WORDS = together(argument("[line]", "One line.", metavar="SUBJECT"), _WORD)
_WAIT = "Wait so long for {}: 30s."


@MAIL.command(
    "send",
    example='send ann,@ws:build -s "The key expires" -m "Renew it today." --priority high',
    signed=True,
)
@argument(
    "to",
    "Agents, @all, @type:NAME, @ws:NAME, list:NAME or queue:NAME, with commas.",
    types.AGENT_NAME,
)
@_WORDS
@_SUBJECT
@_TEXT
@option("--kind", "What it is; note if not given.", types.choice(*KINDS))
@option("--reply-to", "The message that it answers.", types.ID, rare=True)
@option("--cc", "Further addresses.", types.AGENT_NAME, metavar="TO", many=True, rare=True)
@flag("--pinned", "Keep it when what was read is archived by age.", rare=True)
def send(run: Run, to: str, **options: Any) -> "Answer[Letter]":
    """Send a message; an agent that has not acted yet gets it later."""
    subject, body, options = _written(**options)
    return _sent(run.orc.mail.send(to, subject, body, **options))


@MAIL.command(
    "broadcast",
    example='broadcast -s "The main branch is frozen" -m "Until the release is out."',
    signed=True,
)
@_WORDS
@_SUBJECT
@_TEXT
def broadcast(run: Run, **options: Any) -> "Answer[Letter]":
    """Send a message to all registered agents."""
    subject, body, options = _written(**options)
    return _sent(run.orc.mail.broadcast(subject, body, **options))


@MAIL.command("reply", example='reply 17 -m "Done, the key is new."', signed=True)
@_ID
@_WORD
@_TEXT
def reply(run: Run, id: int, **options: Any) -> "Answer[Letter]":
    """Answer the sender of a message."""
    body, options = _with_body(**options)
    if not body:
        raise UsageError("A reply needs a text", hint="Give -m TEXT, -m - or --file FILE.")
    return _sent(run.orc.mail.reply(id, body, **options))


@MAIL.command("check", example="check --inject", reads=())
@option("--wait", _WAIT.format("mail"), types.DURATION, default=0)
@flag("--inject", "Print what is new, for a hook; the exit status is always 0.")
@option(
    "--budget", "With --inject: tokens it may have; 1000 if not given.", types.NAME, metavar="N"
)
def check(run: Run, wait: str, inject: bool, budget: str | None) -> "Answer[Block | UnreadCount]":
    """Ask for unread mail: exit 0 if there is some, 1 if not.

    With --inject new messages are printed, oldest first, and count as delivered once they have been written
    out. Without new messages nothing is printed.
    """
    if inject:
        return _injected(run, wait, budget)
    if budget is not None:
        raise UsageError("--budget goes with --inject")
    count = run.orc.mail.check(wait=wait)
    return say(count, _counted(count), 0 if count.unread else 1)


def _injected(run: Run, wait: str, budget: str | None) -> "Answer[Block]":
    """New messages as a block. It runs in a hook before each turn, so no error may stop it."""
    from orchestrator.delivery.loop import hand_over
    from orchestrator.interfaces.cli.injection import BUDGET, Block, Injection

    answer = say(Block("", [], 0), "")

    def show_later(printed: Block, after: Callable[[], object]) -> None:
        nonlocal answer
        answer = Answer(printed, lambda: printed.text, after=after)

    try:
        tokens = BUDGET if budget is None else types.integer(budget)
        mail = run.orc.mail
        if mail.check(new=True, wait=wait).new:
            prog = run.prog_as(mail.owner) if run.settings.hook else run.prog
            boundary = os.urandom(8).hex()
            delivery = Injection(show_later, budget=tokens, boundary=boundary, prog=prog)
            hand_over(run.orc, mail.owner, delivery)
    except OrchestratorError as error:
        warn(f"mail could not be shown: {error.message}. {error.hint}".strip())
    except Exception as error:  # noqa: BLE001  # the agent's turn must continue in any case
        warn(f"mail could not be shown: {error}")
    return answer


@MAIL.command("inbox", example="inbox --unread", reads=True)
@argument("[owner]", "Whose mailbox; else yours.", types.AGENT_NAME)
@flag("--unread", "Only what is not read.")
def inbox(run: Run, owner: str | None, unread: bool) -> "Answer[list[InboxItem]]":
    """List the messages of a mailbox, oldest first; nothing is marked."""
    return listing(
        run.orc.mail.inbox(agent=owner, unread=unread),
        "id",
        ("from", "sender"),
        ("sent", "sent_at"),
        "priority",
        ("status", lambda item: "acknowledged" if item.acknowledged_at else item.status),
        ("kept", lambda item: "pinned" if item.pinned else ""),
        "subject",
        empty="No unread mail." if unread else "No mail.",
    )


@MAIL.command("read", example="read 17", idempotent=True)
@_ID
@flag("--peek", "Mark nothing, as with the mail of others.")
def read(run: Run, id: int, peek: bool) -> "Answer[Letter]":
    """Show a message; in your own mailbox it is then read."""
    mail = run.orc.mail
    return present(
        mail.peek(id) if peek else mail.read(id), lambda letter: _page(letter, run.agent)
    )


@MAIL.command("thread", example="thread 17", reads=True)
@_ID
def thread(run: Run, id: int) -> "Answer[list[Letter]]":
    """Show the thread of a message, oldest first; nothing is marked as read."""
    return present(
        run.orc.mail.thread(id),
        lambda letters: "\n\n".join(_page(letter, run.agent) for letter in letters),
    )


@MAIL.command("ack", example="ack 17", idempotent=True)
@_ID
def ack(run: Run, id: int) -> "Answer[Letter]":
    """Acknowledge a message."""
    return say(run.orc.mail.ack(id), f"Acknowledged message {id}")


@MAIL.command("search", example="search api key", reads=True)
@argument("words...", "All of them must be in the message.")
@flag("--archived", "Also what was archived; reads the whole log.")
def search(run: Run, words: tuple[str, ...], archived: bool) -> "Answer[list[SearchMatch]]":
    """Find messages that you sent or received, newest first."""
    return listing(
        run.orc.mail.search(" ".join(words), archived=archived),
        "id",
        ("from", "sender"),
        ("sent", "sent_at"),
        "subject",
        "line",
        empty="(no match)",
    )


@MAIL.command("take", example="take reviews --wait 60s")
@argument("queue", "The name of the queue.", types.NAME)
@option("--wait", _WAIT.format("a message"), types.DURATION, default=0)
def take(run: Run, queue: str, wait: str) -> "Answer[Letter | None]":
    """Take the oldest message of a queue; no other agent gets it.

    It is read once it was written out; after an interruption it stays unread in your mailbox.
    """
    mail = run.orc.mail
    letter = mail.take(queue, wait=wait)
    if letter is None:
        return say(None, f"(nothing in queue {escape(queue)})", 1)
    return Answer(letter, lambda: _page(letter, run.agent), after=lambda: mail.read(letter.id))


class _MailingList(TypedDict):
    """A mailing list with its members."""

    name: str
    members: tuple[str, ...]


@MAIL.command("list", example="list reviewers ann bob", reads=("members", "delete"))
@argument("name", "The name of the mailing list.", types.NAME)
@argument("[members...]", "Who is in it from now on.", types.AGENT_NAME, metavar="AGENT...")
@flag("--delete", "There is no such list any more.")
def list_(run: Run, name: str, members: tuple[str, ...], delete: bool) -> "Answer[_MailingList]":
    """Show the members of a mailing list, or set them."""
    if delete and members:
        raise UsageError("A list is set or deleted", hint="Leave the members or --delete out.")
    mail = run.orc.mail
    if not members and not delete:
        members = mail.list_members(name)
        return say(_MailingList(name=name, members=members), "\n".join(map(escape, members)))
    if delete:
        mail.list_members(name)
    members = mail.set_list(name, members)
    text = f"{'Set' if members else 'Deleted'} mailing list: {escape(name)}"
    return run.changed(_MailingList(name=name, members=members), text)


@MAIL.command("lists", example="lists", reads=True)
def lists(run: Run) -> "Answer[list[_MailingList]]":
    """List the mailing lists with their members."""
    all_lists = run.orc.mail.lists()
    texts = (escape(f"{name}: {', '.join(members)}") for name, members in all_lists.items())
    value = [_MailingList(name=name, members=members) for name, members in all_lists.items()]
    return Answer(value, lambda: lines(texts, empty="No mailing lists."))


def _written(
    line: str | None, text: str | None, subject: str, **options: Any
) -> tuple[str, str, dict[str, Any]]:
    """Subject and text of a message, by position or option, and its other options."""
    if subject and text is None:  # the subject is an option, so the word is the text
        line, text = None, line
    body, options = _with_body(text, **options)
    return once("subject", line, subject or None) or "", body, options


def _with_body(
    text: str | None, message: str | None, file: str | None, **options: Any
) -> tuple[str, dict[str, Any]]:
    """The text of a message from the line, a file or stdin, and its other options."""
    return either("text", once("message", text, message), file) or "", given(**options)


def _sent(letter: "Letter") -> "Answer[Letter]":
    queue = [f"queue:{letter.queue}"] if letter.queue else []
    whom = escape(", ".join([*letter.recipients, *queue]))
    return say(letter, f"Sent message {letter.id} to {whom}")


def _counted(count: "UnreadCount") -> str:
    agent = escape(count.agent)
    if not count.unread:
        return f"No unread mail for {agent}."
    return f"{amount(count.unread, 'unread message')} for {agent}, {count.new} of them new."


def _page(letter: "Letter", reader: str | None) -> str:
    """A whole message with the reader's receipt, or with all receipts if the reader has none."""
    mine = letter.receipts.get(reader or "")
    start = f" (start {letter.incarnation})" if letter.incarnation else ""
    taken = f"{letter.taken_by}, {shown_time(letter.taken_at)}" if letter.taken_by else ""
    head = facts(
        letter,
        ("message", "id"),
        ("from", lambda _: f"{letter.sender}{start}"),
        "to",
        "cc",
        "subject",
        "priority",
        "kind",
        "thread",
        "reply_to",
        ("pinned", lambda _: "yes" if letter.pinned else ""),
        ("sent", "sent_at"),
        ("taken by", lambda _: taken),
        *((step, lambda _, moment=moment: moment) for step, moment in _steps(mine)),
    )
    others = {} if mine else letter.receipts
    receipts = "\n".join(f"{agent}: {_progress(receipt)}" for agent, receipt in others.items())
    return parts(head, section("receipts", receipts), section("text", letter.body.rstrip("\n")))


def _steps(receipt: "Receipt | None") -> list[tuple[str, str]]:
    """The receipt of a message, as a table."""
    if receipt is None:
        return []
    steps = (
        ("delivered", receipt.delivered_at),
        ("read", receipt.read_at),
        ("acknowledged", receipt.acknowledged_at),
    )
    return [(step, shown_time(moment)) for step, moment in steps if moment]


def _progress(receipt: "Receipt") -> str:
    return ", ".join(f"{step} {moment}" for step, moment in _steps(receipt)) or "waits"
