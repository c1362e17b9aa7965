"""``orc mail``: mark, archive and delete messages, queues, do not disturb."""

from typing import TYPE_CHECKING

from orchestrator.core.errors import UsageError
from orchestrator.core.printable import amount, escape
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import MAIL, QUEUE
from orchestrator.interfaces.cli.layout import shown_time
from orchestrator.interfaces.cli.parameters import argument, option
from orchestrator.interfaces.cli.rendering import Answer, present_lines, say
from orchestrator.interfaces.cli.run import Run

if TYPE_CHECKING:
    from orchestrator.domain.mail.commands import Quiet
    from orchestrator.domain.mail.letters import Letter
    from orchestrator.domain.mail.queues import QueueView
    from orchestrator.domain.mail.records import Message

_ID = argument("id", "The number of the message.", types.INTEGER)


@MAIL.command("unread", example="unread 17", idempotent=True)
@_ID
def unread(run: Run, id: int) -> "Answer[Letter]":
    """Mark a message of your mailbox as not read."""
    return run.changed(run.orc.mail.unread(id), f"Message {id} is unread")


@MAIL.command("archive", example="archive --older-than 7d", idempotent=True)
@argument("[ids...]", "The numbers of messages.", types.INTEGER, metavar="ID...")
@option("--older-than", "What was read so long ago, but for pinned: 7d.", types.DURATION)
def archive(
    run: Run, ids: tuple[int, ...], older_than: str | None
) -> "Answer[dict[str, list[int]]]":
    """Take messages out of your mailbox; the log keeps them."""
    if not ids and older_than is None:
        raise UsageError("There is nothing to archive", hint="Give numbers, or --older-than 7d.")
    gone = run.orc.mail.archive(ids, older_than=older_than)
    return say({"archived": gone}, f"Archived {amount(len(gone), 'message')}")


@MAIL.command("delete", example="delete 17 18", destructive=True)
@argument("ids...", "The numbers of messages.", types.INTEGER, metavar="ID...")
def delete(run: Run, ids: tuple[int, ...]) -> "Answer[dict[str, list[int]]]":
    """Delete messages from your mailbox: no search shows them to you.

    The log keeps them, and `mail read` shows them by number.
    """
    gone = run.orc.mail.delete(ids)
    return say({"deleted": gone}, f"Deleted {amount(len(gone), 'message')}")


@QUEUE.command("list", example="list", reads=True)
def queues(run: Run) -> "Answer[list[QueueView]]":
    """List the queues: how many messages wait, and which were taken by whom."""
    return present_lines(run.orc.mail.queues(), _queue, empty="No queues.")


@QUEUE.command("release", example="release 17")
@_ID
def release(run: Run, id: int) -> "Answer[Message]":
    """Return a message to its queue, at its old position."""
    return say(run.orc.mail.release(id), f"Released message {id} to its queue")


@MAIL.command("dnd", example="dnd --until 2h", reads=("state", "until"), idempotent=True)
@argument("[state]", "on or off; shown if not given.", types.choice("on", "off"))
@option("--until", "When it ends: 2h, 2026-12-01T09:00; else with `off`.", types.TIME)
def dnd(run: Run, state: str | None, until: str | None) -> "Answer[Quiet]":
    """Do not disturb: only urgent mail is printed by `check --inject` and ends a wait of `next`.

    Other mail arrives as usual, and counts as unread.
    """
    mail = run.orc.mail
    if state is None and until is None:
        return say(quiet := mail.quiet(), _quiet(quiet))
    quiet = mail.do_not_disturb(state != "off", until=until or "")
    return run.changed(quiet, _quiet(quiet))


def _quiet(quiet: "Quiet") -> str:
    ends = f" until {shown_time(quiet.until)}" if quiet.until else ""
    return f"Do not disturb: {'on' if quiet.on else 'off'}{ends}"


def _queue(queue: "QueueView") -> str:
    taken = [
        f"  {message.id} {message.subject}: taken by {message.taken_by}, {shown_time(message.taken_at)}"
        for message in queue.taken
    ]
    ids = f": {', '.join(map(str, queue.waiting))}" if queue.waiting else ""
    return "\n".join(map(escape, (f"{queue.name}: {len(queue.waiting)} waiting{ids}", *taken)))
