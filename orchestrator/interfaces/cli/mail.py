"""``orc mail``: messages between agents, and how they are put before one."""

import os
from typing import TYPE_CHECKING

from orchestrator.core.errors import OrchestratorError, UsageError
from orchestrator.core.printable import escape
from orchestrator.domain.mail.events import KINDS, PRIORITIES
from orchestrator.interfaces.cli.commands import MAIL
from orchestrator.interfaces.cli.grammar import Argument, Option, integer, path
from orchestrator.interfaces.cli.rendering import Answer, fields, lines, parts, say, section, table
from orchestrator.interfaces.cli.run import Run, given, text_from, warn

if TYPE_CHECKING:
    from orchestrator.domain.mail.commands import Count, Item, Letter
    from orchestrator.domain.mail.events import Receipt

_ID = Argument("id", "The number of the message.", "ID", convert=integer)
_SUBJECT = Option(("--subject", "-s"), "One line.")
_MESSAGE = Option(("--message", "-m"), "The text; - takes it from stdin.")
_FILE = Option(("--file",), "Take the text from a file.", "FILE", convert=path)
_PRIORITY = Option(
    ("--priority",), "How urgent it is; normal if not given.", "WORD", choices=PRIORITIES
)
_WAIT = "Wait so long for {}: 30s."


@MAIL.command(
    "send",
    Argument(
        "to",
        "Agents, @all, @type:NAME, @ws:NAME, list:NAME or queue:NAME, with commas.",
        completes="agents",
    ),
    _SUBJECT,
    _MESSAGE,
    _FILE,
    _PRIORITY,
    Option(("--kind",), "What it is; note if not given.", "WORD", choices=KINDS),
    Option(("--reply-to",), "The message that it answers.", "ID", convert=integer),
    Option(("--cc",), "Further addresses.", "TO", many=True, completes="agents"),
    Option(("--pinned",), "Keep it when what was read is archived by age.", flag=True),
    example='send ann,@ws:build -s "The key expires" -m "Renew it today." --priority high',
)
def send(
    run: Run,
    to: str,
    subject: str | None,
    message: str | None,
    file: str | None,
    priority: str | None,
    kind: str | None,
    reply_to: int | None,
    cc: tuple[str, ...] | None,
    pinned: bool,
) -> Answer:
    """Leave a message; it waits for whoever is not there yet."""
    options = given(priority=priority, kind=kind, reply_to=reply_to, cc=cc)
    text = _text(message, file)
    return _sent(run.orc.mail.send(to, subject or "", text, pinned=pinned, **options))


@MAIL.command(
    "broadcast",
    _SUBJECT,
    _MESSAGE,
    _FILE,
    _PRIORITY,
    example='broadcast -s "The main branch is frozen" -m "Until the release is out."',
)
def broadcast(
    run: Run, subject: str | None, message: str | None, file: str | None, priority: str | None
) -> Answer:
    """Leave a message for all registered agents."""
    text = _text(message, file)
    return _sent(run.orc.mail.broadcast(subject or "", text, **given(priority=priority)))


@MAIL.command(
    "reply", _ID, _MESSAGE, _FILE, _PRIORITY, example='reply 17 -m "Done, the key is new."'
)
def reply(run: Run, id: int, message: str | None, file: str | None, priority: str | None) -> Answer:
    """Answer whoever wrote a message."""
    text = _text(message, file)
    if not text:
        raise UsageError("A reply needs a text", hint="Give -m TEXT, -m - or --file FILE.")
    return _sent(run.orc.mail.reply(id, text, **given(priority=priority)))


@MAIL.command(
    "check",
    Option(("--wait",), _WAIT.format("mail"), "DURATION", default="0"),
    Option(("--inject",), "Print what is new, for a hook; the exit status is always 0.", flag=True),
    Option(("--budget",), "With --inject: tokens it may have; 1000 if not given.", "N"),
    example="check --inject",
)
def check(run: Run, wait: str, inject: bool, budget: str | None) -> Answer:
    """Ask for mail that is not read: 0 there is some, 1 there is none.

    With --inject the messages that were never printed so are printed, oldest first, and count as delivered
    once they have been written out. Nothing is printed when there is nothing new.
    """
    if inject:
        return _injected(run, wait, budget)
    if budget is not None:
        raise UsageError("--budget goes with --inject")
    found = run.orc.mail.check(wait=wait)
    return say(found, _counted(found), 0 if found.unread else 1)


def _injected(run: Run, wait: str, budget: str | None) -> Answer:
    """What is new as a block. A hook runs with every turn of an agent, so nothing here may fail it."""
    from orchestrator.interfaces.cli.injection import BUDGET, Block, block

    printed = Block("", [], 0)
    try:
        tokens = BUDGET if budget is None else integer(budget)
        mail = run.orc.mail
        if mail.check(new=True, wait=wait).new:
            pending = mail.pending()
            printed = block(
                mail.owner,
                map(mail.peek, pending),
                len(pending),
                budget=tokens,
                boundary=os.urandom(8).hex(),
                prog=run.prog,
            )
    except OrchestratorError as error:
        warn(f"mail could not be shown: {error.message}. {error.hint}".strip())
    except Exception as error:  # noqa: BLE001  # whatever it is, the agent's turn goes on
        warn(f"mail could not be shown: {error}")
    if not printed.messages:
        return say(printed, "")
    return Answer(printed, lambda: printed.text, after=lambda: mail.deliver(printed.messages))


@MAIL.command(
    "inbox",
    Option(("--unread",), "Only what is not read.", flag=True),
    aliases=("i",),
    example="inbox --unread",
    reads=True,
)
def inbox(run: Run, unread: bool) -> Answer:
    """List the messages that you hold, oldest first."""
    items = run.orc.mail.inbox(unread=unread)
    empty = "No unread mail." if unread else "No mail."
    return Answer(items, lambda: _table(items) if items else empty)


@MAIL.command(
    "read",
    _ID,
    Option(("--peek",), "Mark nothing, as with mail of somebody else.", flag=True),
    aliases=("r",),
    example="read 17",
)
def read(run: Run, id: int, peek: bool) -> Answer:
    """Show a message; in your own mailbox it is read from now on."""
    mail = run.orc.mail
    letter = mail.peek(id) if peek else mail.read(id)
    return Answer(letter, lambda: _page(letter, run.agent))


@MAIL.command("thread", _ID, example="thread 17", reads=True)
def thread(run: Run, id: int) -> Answer:
    """Show the exchange that a message belongs to, oldest first; nothing is marked."""
    letters = run.orc.mail.thread(id)
    return Answer(letters, lambda: "\n\n".join(_page(letter, run.agent) for letter in letters))


@MAIL.command("ack", _ID, example="ack 17")
def ack(run: Run, id: int) -> Answer:
    """Say that you have seen to a message."""
    return say(run.orc.mail.ack(id), f"Acknowledged message {id}")


@MAIL.command(
    "archive",
    Argument(
        "ids", "The numbers of messages.", "ID...", required=False, many=True, convert=integer
    ),
    Option(("--older-than",), "What was read so long ago, but for pinned: 7d.", "DURATION"),
    example="archive --older-than 7d",
)
def archive(run: Run, ids: tuple[int, ...], older_than: str | None) -> Answer:
    """Take messages out of your mailbox; the log keeps them."""
    if not ids and older_than is None:
        raise UsageError("There is nothing to archive", hint="Give numbers, or --older-than 7d.")
    gone = run.orc.mail.archive(ids, older_than=older_than)
    return say({"archived": gone}, f"Archived {_messages(len(gone))}")


@MAIL.command(
    "search",
    Argument("words", "All of them must stand in the message.", many=True),
    Option(("--archived",), "Also what was archived; reads the whole log.", flag=True),
    example="search api key",
    reads=True,
)
def search(run: Run, words: tuple[str, ...], archived: bool) -> Answer:
    """Find messages that you sent or hold, newest first."""
    found = run.orc.mail.search(" ".join(words), archived=archived)
    rows = [(match.id, match.sender, match.sent_at, match.subject, match.line) for match in found]
    headers = ("id", "from", "sent", "subject", "line")
    return Answer(found, lambda: table(headers, rows) if rows else "(no match)")


@MAIL.command(
    "take",
    Argument("queue", "The name of the queue."),
    Option(("--wait",), _WAIT.format("a message"), "DURATION", default="0"),
    example="take reviews --wait 60s",
)
def take(run: Run, queue: str, wait: str) -> Answer:
    """Take the oldest message of a queue; nobody else gets it.

    It is read once it was written out; a take that is interrupted before leaves it unread in your mailbox.
    """
    mail = run.orc.mail
    letter = mail.take(queue, wait=wait)
    if letter is None:
        return say(None, f"(nothing in queue {escape(queue)})", 1)
    return Answer(letter, lambda: _page(letter, run.agent), after=lambda: mail.read(letter.id))


@MAIL.command(
    "list",
    Argument("name", "The name of the mailing list."),
    Argument(
        "members", "Who is in it from now on.", "AGENT...", False, many=True, completes="agents"
    ),
    Option(("--delete",), "There is no such list any more.", flag=True),
    example="list reviewers ann bob",
)
def list_(run: Run, name: str, members: tuple[str, ...], delete: bool) -> Answer:
    """Show the members of a mailing list, or set them."""
    if delete and members:
        raise UsageError("A list is set or deleted", hint="Leave the members or --delete out.")
    mail = run.orc.mail
    if not members and not delete:
        members = mail.list_members(name)
        return say({"name": name, "members": members}, "\n".join(map(escape, members)))
    if delete:
        mail.list_members(name)
    members = mail.set_list(name, members)
    text = f"{'Set' if members else 'Deleted'} mailing list: {escape(name)}"
    return say({"name": name, "members": members}, text)


@MAIL.command("lists", example="lists", reads=True)
def lists(run: Run) -> Answer:
    """List the mailing lists with their members."""
    found = run.orc.mail.lists()
    said = (escape(f"{name}: {', '.join(members)}") for name, members in found.items())
    value = [{"name": name, "members": members} for name, members in found.items()]
    return Answer(value, lambda: lines(said, empty="No mailing lists."))


def _text(message: str | None, file: str | None) -> str:
    """The text of a message: from the line, a file, or stdin."""
    if file is not None and message is not None:
        raise UsageError("The text is given twice", hint="Leave -m or --file out.")
    if file is not None or message == "-":
        return text_from(file)
    return message or ""


def _sent(letter: "Letter") -> Answer:
    queue = [f"queue:{letter.queue}"] if letter.queue else []
    whom = escape(", ".join([*letter.recipients, *queue]))
    return say(letter, f"Sent message {letter.id} to {whom}")


def _counted(count: "Count") -> str:
    agent = escape(count.agent)
    if not count.unread:
        return f"No unread mail for {agent}."
    return f"{_messages(count.unread, 'unread ')} for {agent}, {count.new} of them new."


def _messages(number: int, kind: str = "") -> str:
    return f"{number} {kind}{'message' if number == 1 else 'messages'}"


def _table(items: "list[Item]") -> str:
    rows = [
        (
            item.id,
            item.sender,
            item.sent_at,
            item.priority,
            "acknowledged" if item.acknowledged_at else item.status,
            "pinned" if item.pinned else "",
            item.subject,
        )
        for item in items
    ]
    return table(("id", "from", "sent", "priority", "status", "", "subject"), rows)


def _page(letter: "Letter", reader: str | None) -> str:
    """A message in full, with the reader's receipt, or with all of them for whoever has none."""
    mine = letter.receipts.get(reader or "")
    start = f" (start {letter.incarnation})" if letter.incarnation else ""
    taken = f"{letter.taken_by}, {letter.taken_at}" if letter.taken_by else ""
    head = fields(
        [
            ("message", letter.id),
            ("from", f"{letter.sender}{start}"),
            ("to", ", ".join(letter.to)),
            ("cc", ", ".join(letter.cc)),
            ("subject", letter.subject),
            ("priority", letter.priority),
            ("kind", letter.kind),
            ("thread", letter.thread),
            ("reply to", letter.reply_to),
            ("pinned", "yes" if letter.pinned else ""),
            ("sent", letter.sent_at),
            ("taken by", taken),
            ("delivered", mine and mine.delivered_at),
            ("read", mine and mine.read_at),
            ("acknowledged", mine and mine.acknowledged_at),
        ]
    )
    others = {} if mine else letter.receipts
    receipts = "\n".join(f"{agent}: {_progress(receipt)}" for agent, receipt in others.items())
    return parts(head, section("receipts", receipts), section("text", letter.body.rstrip("\n")))


def _progress(receipt: "Receipt") -> str:
    steps = (
        ("delivered", receipt.delivered_at),
        ("read", receipt.read_at),
        ("acknowledged", receipt.acknowledged_at),
    )
    return ", ".join(f"{step} {at}" for step, at in steps if at) or "waits"
