"""The queues of messages, and who took what from them."""

import msgspec

from orchestrator.domain.mail.records import MailSlice


class TakenMessage(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A message that was taken from a queue and is still in the mailbox of its taker."""

    id: int
    subject: str
    taken_by: str
    taken_at: str


class QueueView(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A queue: its waiting messages, oldest first, and the messages that were taken from it."""

    name: str
    waiting: tuple[int, ...]
    taken: tuple[TakenMessage, ...]


def all_queues(mail: MailSlice) -> list[QueueView]:
    """Return the queues that hold messages, or whose messages their takers still hold, by name."""
    taken: dict[str, list[TakenMessage]] = {name: [] for name in mail.queues}
    for id, header in mail.messages.items():
        if header.taken_by is None or id not in mail.mailbox(header.taken_by):
            continue
        name = next(to[6:] for to in (*header.to, *header.cc) if to.startswith("queue:"))
        taken.setdefault(name, []).append(
            TakenMessage(
                id=id,
                subject=header.subject,
                taken_by=header.taken_by,
                taken_at=header.taken_at or "",
            )
        )
    return [
        QueueView(name=name, waiting=tuple(mail.queues.get(name, ())), taken=tuple(held))
        for name, held in sorted(taken.items())
    ]
