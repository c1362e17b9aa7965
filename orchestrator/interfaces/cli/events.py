"""``orc events``: what happened, and events of your own."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.core.errors import BadInput, UsageError, suggestion
from orchestrator.core.printable import escape
from orchestrator.domain.event_log import EventObject, QueueEvent, as_dict, queue_event
from orchestrator.interfaces.cli import types
from orchestrator.interfaces.cli.commands import BOARD, BUSYTOWN, EVENTS
from orchestrator.interfaces.cli.layout import fitted, is_terminal, lines, parts
from orchestrator.interfaces.cli.moments import sentence_line
from orchestrator.interfaces.cli.parameters import argument, flag, option, together
from orchestrator.interfaces.cli.rendering import Answer, chosen, present, say, write
from orchestrator.interfaces.cli.run import Run, once

if TYPE_CHECKING:
    from orchestrator.core.events import Recorded
    from orchestrator.maintenance.archiving import Archived

    Line = Callable[[Recorded], str]


SHOWN = 20
"""Default number of events in a listing."""

_FILTERS = together(
    option("--last/-n", f"At most so many, the newest ones; {SHOWN} if not given.", types.POSITIVE),
    option(
        "--type/--action",
        "Only of this type; task.* is every type of a noun.",
        types.NAME,
        metavar="TYPE",
    ),
    option("--since", "From a time on, or that long ago, or after an event: 2h, 4711.", types.WHEN),
    flag("--all", "Every event that the other options leave."),
    flag("--follow/-f", "Go on as events are committed; with --json one a line."),
)


@EVENTS.command("list", example="--last 5 --type 'task.*'", reads=True, filters_agent=True)
@_FILTERS
@option("--limit", "As JSON lines, at most so many, the oldest ones: 100.", types.COUNT)
@option("--tail", "As JSON lines, at most so many, the newest ones.", types.COUNT)
@option("--worker", "As JSON lines, only of this agent.", types.AGENT_NAME)
@option("--omit-worker", "As JSON lines, without those of this agent.", types.AGENT_NAME)
def list_(
    run: Run,
    limit: int | None,
    tail: int | None,
    worker: str | None,
    omit_worker: str | None,
    **how: Any,
) -> "Answer[list[EventObject] | list[QueueEvent]] | None":
    """List events, oldest first; at a terminal as sentences, with options of busytown as its JSON lines."""
    own = {"limit": limit, "tail": tail, "worker": worker, "omit_worker": omit_worker}
    assert run.context is not None
    is_busytown = run.context.find_root().command is BUSYTOWN
    if is_busytown or any(value is not None for value in own.values()):
        return _as_queue(run, own, how)
    is_new = run.settings.utc or is_terminal()
    return _listed(run, sentence_line(run.orc) if is_new else None, **how)


@BOARD.command("log", example="log --last 5 --type 'task.*'", reads=True, filters_agent=True)
@_FILTERS
def log(run: Run, **how: Any) -> "Answer[list[EventObject]] | None":
    """Show what happened, oldest first, a sentence for each event."""
    return _listed(run, sentence_line(run.orc), **how)


def _listed(
    run: Run, sentence: "Line | None", *, last: int | None, all: bool, follow: bool, **filters: Any
) -> "Answer[list[EventObject]] | None":
    line = _original if sentence is None else lambda event: fitted(sentence(event))
    most = None if all else SHOWN if last is None else last
    if follow:
        _follow(run, line, last=most, **filters)
        return None
    events = run.orc.events.read(last=None if most is None else most + 1, **filters)
    shown = events[-most:] if most else [] if most == 0 else events
    rest = ""
    if sentence and last is None and len(shown) < len(events):
        rest = _remark(run, len(shown), any(filters.values()))
    return Answer(
        [*map(as_dict, shown)],
        lambda: parts(
            lines(map(line, shown), empty="" if rest else "No events."),
            rest,
            _mistyped(filters["type"]) if sentence and not events else "",
        ),
    )


QUEUED = 100
"""Events of a listing in busytown's form unless another number is given."""


def _as_queue(run: Run, own: dict[str, Any], how: dict[str, Any]) -> "Answer[list[QueueEvent]]":
    """The listing as busytown prints it: JSON lines of the first events, or with ``tail`` of the last."""
    from orchestrator.interfaces.cli.event_queue import json_line

    if how["last"] is not None or how["all"] or how["follow"]:
        raise UsageError(
            "--last, --all and --follow are not for the form that --limit, --tail and --worker ask for",
            hint="`events watch --worker NAME` follows in that form.",
        )
    if own["limit"] is not None and own["tail"] is not None:
        raise UsageError("--limit counts from the beginning and --tail from the end: give one")
    most = QUEUED if own["limit"] is None else own["limit"]
    range = {"first": most} if own["tail"] is None else {"last": own["tail"]}
    events = run.orc.events.read(
        agent=once("worker", own["worker"], how["agent"]),
        omit_agent=own["omit_worker"],
        type=how["type"],
        since=how["since"],
        **range,
    )
    return present([*map(queue_event, events)], lambda shown: "\n".join(map(json_line, shown)))


def _mistyped(type: str | None) -> str:
    from orchestrator.reports.sentences import SENTENCES

    return suggestion(type, SENTENCES) if type else ""


def _remark(run: Run, shown: int, is_filtered: bool) -> str:
    """A note about entries that a listing left out; counting matches would need the whole log."""
    which = "such" if is_filtered else f"of {run.orc.engine.read().event}"
    return f"The last {shown} {which} events: --last N or --all shows more"


def _follow(run: Run, line: "Line", last: int | None, since: str | None, **filters: Any) -> None:
    """Print the logged events, then each new one, without end."""
    head = run.orc.engine.read().event
    for event in run.orc.events.read(last=last, since=since, **filters):
        if event.id <= head:
            _print(run, event, line)
    for event in run.orc.events.follow(since=head, **filters):
        _print(run, event, line)


def _print(run: Run, event: "Recorded", line: "Line") -> None:
    shown = chosen(as_dict(event), run.settings.fields) if run.settings.json else None
    text = msgspec.json.encode(shown).decode() if shown is not None else line(event)
    write((text + "\n").encode())


@EVENTS.command("log", example="log deployed service=api replicas=3")
@argument("type", "What happened: deployed, ci.failed.", types.NAME)
@argument(
    "[facts...]",
    "More about it; a value is JSON if it reads as such, else text.",
    metavar="KEY=VALUE...",
)
def record(run: Run, type: str, facts: tuple[str, ...]) -> "Answer[EventObject]":
    """Log an event of your own."""
    logged = run.orc.events.log(run.settings.agent, type, **_payload(facts))
    return say(as_dict(logged), _original(logged))


@EVENTS.command("archive", example="archive --to /mnt/old --compress --keep 2", local=True)
@option("--to", "Move the sealed segments to this folder.", types.FOLDER, metavar="DIR")
@flag("--compress", "Compress them; needs the extra archive.")
@option("--keep", "Leave this many of the latest segments as they are: 2.", types.COUNT, default=0)
@flag("--undo", "Move all segments back to the folder of the log, and decompress them.")
def archive(run: Run, to: str | None, compress: bool, keep: int, undo: bool) -> "Answer[Archived]":
    """Move old parts of the log to another folder, or compress them.

    Every command reads them as before. The log is cut into segments of 64 MiB; all but the last are sealed.
    """
    from orchestrator.maintenance.archiving import archive_log

    archived = archive_log(
        run.orc.engine,
        folder=to,
        compress=compress,
        keep=keep,
        undo=undo,
        progress=run.progress,
    )
    texts = [
        f"Events {part.first} to {part.last}: {escape(part.path)} ({part.stored:,} bytes)"
        for part in archived.moved
    ]
    texts += [
        f"{escape(part.left)} stays: a copy of this board may need it. If there is none, remove it."
        for part in archived.moved
        if part.left
    ]
    nothing = (
        "No segment is archived."
        if undo
        else "There is no sealed segment to move. The log seals one at 64 MiB, and --keep leaves the latest."
    )
    return say(archived, lines(texts, empty=nothing))


def _payload(facts: tuple[str, ...]) -> dict[str, Any]:
    payload: dict[str, Any] = {}
    for fact in facts:
        key, equals, text = fact.partition("=")
        if not equals or not key:
            raise UsageError(f"{fact!a} is not KEY=VALUE", hint="Write service=api.")
        if key in payload:
            raise UsageError(f"{key!a} is given twice")
        payload[key] = _value(text)
    return payload


def _value(text: str) -> Any:
    """The text as JSON, if it is JSON that the log can store without loss; else the text itself."""
    from orchestrator.core.strict_json import strict_json

    try:
        return strict_json(text)
    except BadInput:
        return text


def _original(event: "Recorded") -> str:
    """An event as the original prints it: ``[HH:MM:SS] agent: action {k=v}``."""
    facts = as_dict(event)["payload"]
    pairs = facts.items() if isinstance(facts, dict) else [("payload", facts)]
    text = ", ".join(f"{key}={_fact(value)}" for key, value in pairs)
    shown = f" {{{text}}}" if text else ""
    return escape(f"[{event.ts[11:19]}] {event.agent}: {event.type}{shown}")


def _fact(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else text[:57] + "..."
